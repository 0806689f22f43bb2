/**
 * What a state says of the ballots that it stands on, so that a proposer that was overtaken can tell whether its own is among them
 * (rule W6): the newest ballot of each of the other proposers that made it what it is, newest first.
 *
 *   state:    c by R,  b2 by Q,  b1 by Q,  a2 by R,  a1 by P        each made on the one behind it
 *   lineage:  of c: b2, a1
 *
 * A proposer has one operation on a key at a time, so its newest ballot tells it enough. Of whom nothing is kept, nothing is above
 * the horizon: the newest ballot that was left out, or what was collected before the key began.
 *
 * Invariant: of one ballot there is one lineage, whatever node has it, as it has one base (W1).
 */
import { BALLOT_DIGITS, type Ballot, largest, NEVER, proposerOf } from './ballot.js';

/** As a meta has it: how many ballots (one digit), whether the last is the horizon (0 or 1), and the ballots. */
export type Lineage = string;

export const NO_LINEAGE: Lineage = '00';

/**
 * If more others than that have written since, a proposer that was overtaken may not be able to tell. Each takes 40 bytes a key, on
 * every node, of keys that so many write.
 */
const KEPT_MAX = 4;
/** Before the ballots. */
const HEAD_LENGTH = 2;

/** A state, as far as it matters here. */
interface State {
  readonly accepted: Ballot;
  readonly lineage: Lineage;
}

/** Of a state that `ballot` makes of the base. `horizon`: the largest ballot that may have been there before, if nothing is. */
export function lineageOn(base: State, ballot: Ballot, horizon: Ballot): Lineage {
  const { accepted, lineage } = base;
  if (accepted === NEVER) return format([], horizon);
  const proposer = proposerOf(ballot);
  if (proposerOf(accepted) === proposer) return lineage;
  const kept = [accepted, ...newestOf(lineage).filter((other) => proposerOf(other) !== proposer)];
  const left = kept.splice(KEPT_MAX);
  return format(kept, left.reduce(largest, horizonOf(lineage)));
}

/** Whether the state was made by that ballot, or on top of it; null when that cannot be told. */
export function standsOn({ accepted, lineage }: State, ballot: Ballot): boolean | null {
  if (ballot >= accepted) return ballot === accepted;
  const proposer = proposerOf(ballot);
  for (const newest of [accepted, ...newestOf(lineage)]) {
    if (proposerOf(newest) !== proposer) continue;
    if (newest === ballot) return true;
    return newest < ballot ? false : null;
  }
  return ballot > horizonOf(lineage) ? false : null;
}

/** Bytes of the lineage that begins there. */
export function lineageLength(text: string, at: number): number {
  return HEAD_LENGTH + (text.charCodeAt(at) - 0x30) * BALLOT_DIGITS;
}

export function newestOf(lineage: Lineage): Ballot[] {
  const ballots = ballotsOf(lineage);
  return hasHorizon(lineage) ? ballots.slice(0, -1) : ballots;
}

/** NEVER: nothing is left out. */
export function horizonOf(lineage: Lineage): Ballot {
  return hasHorizon(lineage) ? lineage.slice(-BALLOT_DIGITS) : NEVER;
}

function hasHorizon(lineage: Lineage): boolean {
  return lineage.charCodeAt(1) === 0x31;
}

function ballotsOf(lineage: Lineage): Ballot[] {
  const ballots: Ballot[] = [];
  for (let at = HEAD_LENGTH; at < lineage.length; at += BALLOT_DIGITS)
    ballots.push(lineage.slice(at, at + BALLOT_DIGITS));
  return ballots;
}

function format(newest: readonly Ballot[], horizon: Ballot): Lineage {
  if (horizon === NEVER) return `${newest.length}0${newest.join('')}`;
  return `${newest.length + 1}1${newest.join('')}${horizon}`;
}
