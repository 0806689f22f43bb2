/**
 * What a node keeps beside a replicated key, under names that no client sees, as packed text that scripts cut apart at fixed
 * places and compare whole (REPLICATION.md, "On a node"):
 *
 *   ~rl:m:KEY   promised (40 digits) accepted (40) lineage (2 + 40 each) live (0 or 1) expireAt (decimal)
 *   ~rl:floor   epochFloor (8 digits) collectFloor (40) collected (40)
 *   ~rl:node    see node-record
 *
 * What is not there is all zeros, but for the promise of a key without meta: that is collectFloor.
 */
import { BALLOT_DIGITS, type Ballot, EPOCH_DIGITS, NEVER } from './ballot.js';
import { lineageLength, NO_LINEAGE } from './lineage.js';
import type { KeyFacts } from './step.js';

export const META_PREFIX = '~rl:m:';
/** Where nodes say the keys that something was put into. */
export const WAKE_CHANNEL = '~rl:wake';
export const NODE_KEY = '~rl:node';
export const FLOOR_KEY = '~rl:floor';
/** A replicated key of the proxy's own: the epochs of repairs. */
export const EPOCH_KEY = '~rl:epoch';
/** Before the cluster's name: replicated keys of the proxy's own, the registers of a coordination store. */
export const REGISTER_PREFIX = '~rl:coord:';
/** Before the name of a lock: a replicated key of the proxy's own, the register of its fences, on the nodes of the lock. */
export const FENCE_PREFIX = '~rl:fence:';
/** Before the name of a lock: there for as long as somebody may wait for it. See lock/lock-scripts. */
export const WAIT_PREFIX = '~rl:w:';
/** Since when a node has locks, and as which member: see lock/lock-scripts. */
export const LOCKS_KEY = '~rl:locks';
/** With the attempt behind it, as others may come in between. Touched by its check if that fails, while watched: the transaction behind it is then not carried out. */
export const GUARD_PREFIX = '~rl:g:';
/** Written by its check if that holds, and looked for by what is carried out for it. */
export const PASS_PREFIX = '~rl:p:';

const META_PREFIX_BYTES = Buffer.from(META_PREFIX);

export function metaKey(key: Uint8Array): Uint8Array {
  const name = Buffer.allocUnsafe(META_PREFIX_BYTES.length + key.length);
  name.set(META_PREFIX_BYTES);
  name.set(key, META_PREFIX_BYTES.length);
  return name;
}

const LAST_MOMENT = 2n ** 63n - 1n;

/** `live` and `expireAt`, as the last part of a meta. */
export function formatTail(live: boolean, expireAt: number): string {
  return live ? `1${momentText(expireAt)}` : `0${expireAt}`;
}

/**
 * A moment as Redis takes it. Facts have moments as doubles, as scripts do: beyond 2^53 ms they are up to 512 ms off, and who reads the last
 * moment that Redis knows, 2^63 - 1, finds 2^63 in them.
 */
export function momentText(expireAt: number): string {
  if (expireAt <= Number.MAX_SAFE_INTEGER) return `${expireAt}`;
  const moment = BigInt(expireAt);
  return `${moment < LAST_MOMENT ? moment : LAST_MOMENT}`;
}

export const NO_TAIL = '00';

/** Facts of a text that has them from `at` on: `accepted`, lineage and tail. */
export function parseFacts(text: string, at: number): KeyFacts {
  const lineage = at + BALLOT_DIGITS;
  const tail = lineage + lineageLength(text, lineage);
  return {
    accepted: text.slice(at, lineage),
    lineage: text.slice(lineage, tail),
    live: isLive(text, tail),
    expireAt: expiry(text, tail),
  };
}

/** Facts of a meta. */
export function parseMetaFacts(meta: string): KeyFacts {
  return parseFacts(meta, BALLOT_DIGITS);
}

export const NO_FACTS: Readonly<KeyFacts> = { accepted: NEVER, lineage: NO_LINEAGE, live: false, expireAt: 0 };
/** The same, as a text. */
export const NO_FACTS_TEXT = `${NEVER}${NO_LINEAGE}${NO_TAIL}`;

/** Whether the tail that begins at `at` says that there is a value. */
export function isLive(text: string, at: number): boolean {
  return text.charCodeAt(at) === 0x31;
}

/** When the value expires, by the tail that begins at `at`. */
export function expiry(text: string, at: number): number {
  return text.length === at + 2 ? text.charCodeAt(at + 1) - 0x30 : Number(text.slice(at + 1));
}

export interface Floors {
  epochFloor: number;
  collectFloor: Ballot;
  collected: Ballot;
}

export const FLOOR_DIGITS = EPOCH_DIGITS + BALLOT_DIGITS * 2;
export const NO_FLOOR = '0'.repeat(FLOOR_DIGITS);

/** Of FLOOR_DIGITS digits that begin at `at`. */
export function parseFloors(text: string, at: number): Floors {
  const collectFloor = at + EPOCH_DIGITS;
  const collected = collectFloor + BALLOT_DIGITS;
  return {
    epochFloor: Number(text.slice(at, collectFloor)),
    collectFloor: text.slice(collectFloor, collected),
    collected: text.slice(collected, collected + BALLOT_DIGITS),
  };
}
