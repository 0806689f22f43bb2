/**
 * Looks at all nodes at once, as nobody in the world can, and says when something is so that must never be:
 *
 *   equal accepted ballots mean equal states; a lineage names what the state stands on; a ballot is used for one base and one command; of two chosen ballots the
 *   larger follows from the smaller one; what a member has promised it does not take back; nor does it take a smaller version than it has.
 *
 * What a node does that may have forgotten, and was not admitted since, is no vote.
 */
import { type Ballot, NEVER, proposerOf } from '../../../src/replica/ballot.js';
import { horizonOf, type Lineage, newestOf } from '../../../src/replica/lineage.js';
import type { MemberAnswer, MemberStep } from '../../../src/replica/member-step.js';
import { parseNodeRecord } from '../../../src/replica/node-record.js';
import type { Answer, Step } from '../../../src/replica/step.js';
import type { Acts, Outcome } from './language.js';
import type { SimNode, Value, Witness } from './node.js';

/** Of one key. */
interface Past {
  /** By ballot: what it was used for, which base it has, which state it made. */
  uses: Map<Ballot, string>;
  bases: Map<Ballot, Ballot>;
  states: Map<Ballot, string>;
  votes: Map<Ballot, Set<number>>;
  chosen: Ballot[];
}

export interface JudgeOptions {
  /** Null where states do not follow from each other: last writer wins. */
  quorum: number | null;
  /** Nodes are to keep what they promise. */
  hasPromises: boolean;
  /** Nodes are to take larger versions alone. */
  hasVersions: boolean;
  now: () => number;
  isTracing: boolean;
}

export class Judge implements Witness {
  /** The first thing that was wrong. */
  violation: string | null = null;
  /** The latest that any clock showed. */
  latestMs = 0;
  readonly lines: string[] = [];
  private readonly pasts = new Map<string, Past>();
  /** By node and key: its effective promise, while it is a member. */
  private readonly promises = new Map<number, Map<string, Ballot>>();
  /** The same of its version. */
  private readonly versions = new Map<number, Map<string, Ballot>>();
  private readonly options: JudgeOptions;

  constructor(options: JudgeOptions) {
    this.options = options;
  }

  trace(text: () => string): void {
    if (this.options.isTracing) this.lines.push(`${String(this.options.now()).padStart(6)}  ${text()}`);
  }

  onClock(timeMs: number): void {
    if (timeMs > this.latestMs) this.latestMs = timeMs;
  }

  onStep(node: SimNode, key: string, step: Step<Acts, Value>, answer: Answer<Outcome, Value>): void {
    this.trace(() => `${node.name} ${key} ${describe(step)} -> ${describe(answer)}`);
    // What is newer is taken whatever was promised.
    if (step.kind === 'merge') this.promises.get(node.index)?.delete(key);
    this.comparePromise(node, key);
    this.compareVersion(node, key);
    if (step.kind !== 'accept' && step.kind !== 'install') return;
    if (answer.kind !== 'ok' && answer.kind !== 'already') return;
    const ballot = step.kind === 'accept' ? step.ballot : step.state.accepted;
    const past = this.pastOf(key);
    if (step.kind === 'accept') {
      const { base, lineage, expired, commands } = step;
      const use = JSON.stringify([base, lineage, expired, commands]);
      const before = past.uses.get(ballot);
      if (before === undefined) past.uses.set(ballot, use);
      else if (before !== use) this.complain(`${key}: ballot ${short(ballot)} used for ${before} and for ${use}`);
      past.bases.set(ballot, base);
      if (this.options.quorum !== null) this.checkLineage(key, past, ballot, lineage);
    }
    this.compareState(node, key, past, ballot);
    if (!node.isTainted) this.onVote(key, past, ballot, node.index);
  }

  onMemberStep(node: SimNode, step: MemberStep<string, Value>, answer: MemberAnswer<string>): void {
    this.trace(() => `${node.name} ${describe(step)} -> ${describe(answer)}`);
    if (step.kind === 'admit') {
      this.promises.delete(node.index);
      this.versions.delete(node.index);
    }
    if (step.kind === 'replace' || step.kind === 'drop') this.comparePromise(node, step.key);
    if (step.kind === 'replace' && answer.kind === 'done') {
      this.compareState(node, step.key, this.pastOf(step.key), step.state.accepted);
    }
    const isMember = step.kind === 'admit' && parseNodeRecord(step.record)?.status.kind === 'member';
    if (isMember && answer.kind === 'admitted') {
      node.isTainted = false;
      node.isRolledBack = false;
    }
  }

  complain(what: string): void {
    this.trace(() => `VIOLATION ${what}`);
    this.violation ??= what;
  }

  private comparePromise(node: SimNode, key: string): void {
    if (node.isTainted) {
      this.promises.delete(node.index);
      return;
    }
    const promises = this.promises.get(node.index) ?? new Map<string, Ballot>();
    this.promises.set(node.index, promises);
    const before = promises.get(key) ?? NEVER;
    const now = node.acceptor.promised(key);
    promises.set(key, now);
    if (now >= before || !this.options.hasPromises) return;
    this.complain(`${key}: ${node.name} had promised ${short(before)}, and now ${short(now)}`);
  }

  /** What was collected is nothing. */
  private compareVersion(node: SimNode, key: string): void {
    if (!this.options.hasVersions) return;
    if (node.isTainted) {
      this.versions.delete(node.index);
      return;
    }
    const versions = this.versions.get(node.index) ?? new Map<string, Ballot>();
    this.versions.set(node.index, versions);
    const before = versions.get(key) ?? NEVER;
    const now = node.acceptor.data.metas.get(key)?.accepted ?? NEVER;
    versions.set(key, now);
    if (now < before && now !== NEVER)
      this.complain(`${key}: ${node.name} had ${short(before)}, and took ${short(now)}`);
  }

  private compareState(node: SimNode, key: string, past: Past, ballot: Ballot): void {
    const { metas, values } = node.acceptor.data;
    const meta = metas.get(key);
    if (meta === undefined || meta.accepted !== ballot) return;
    const value = values.get(key);
    // The value of what has expired may be gone.
    const isGone = meta.live && value === undefined;
    const facts = `${meta.live} ${meta.expireAt} ${meta.lineage}`;
    const before = past.states.get(ballot);
    if (before === undefined) {
      if (!isGone) past.states.set(ballot, `${facts} ${value?.value ?? ''}`);
    } else if (isGone ? !before.startsWith(`${facts} `) : before !== `${facts} ${value?.value ?? ''}`) {
      this.complain(`${key}: ballot ${short(ballot)} is "${before}" and, on ${node.name}, "${facts} ${value?.value}"`);
    }
  }

  private checkLineage(key: string, past: Past, ballot: Ballot, lineage: Lineage): void {
    const wrong = wrongLineage(past, ballot, lineage);
    if (wrong !== null) this.complain(`${key}: ${short(ballot)} says that it stands on ${lineage}, but ${wrong}`);
  }

  private onVote(key: string, past: Past, ballot: Ballot, node: number): void {
    const votes = past.votes.get(ballot) ?? new Set();
    past.votes.set(ballot, votes);
    if (votes.has(node)) return;
    votes.add(node);
    if (this.options.quorum === null || votes.size !== this.options.quorum) return;
    this.trace(() => `   ${key}: ${short(ballot)} is chosen`);
    past.chosen.push(ballot);
    past.chosen.sort();
    const place = past.chosen.indexOf(ballot);
    this.compareChosen(key, past, past.chosen[place - 1], ballot);
    this.compareChosen(key, past, ballot, past.chosen[place + 1]);
  }

  private compareChosen(key: string, past: Past, smaller: Ballot | undefined, larger: Ballot | undefined): void {
    if (smaller === undefined || larger === undefined || this.follows(past, larger, smaller)) return;
    this.complain(`${key}: ${short(larger)} was chosen, and so was ${short(smaller)}, from which it does not follow`);
  }

  private follows(past: Past, larger: Ballot, smaller: Ballot): boolean {
    for (let ballot: Ballot | undefined = larger; ; ballot = past.bases.get(ballot)) {
      if (ballot === smaller) return true;
      // What was deleted may have been collected.
      if (ballot === NEVER) return past.states.get(smaller)?.startsWith('false') === true;
      if (ballot === undefined || ballot < smaller) return false;
    }
  }

  private pastOf(key: string): Past {
    let past = this.pasts.get(key);
    if (past === undefined) {
      past = { uses: new Map(), bases: new Map(), states: new Map(), votes: new Map(), chosen: [] };
      this.pasts.set(key, past);
    }
    return past;
  }
}

/** Of each proposer below it the newest is there, or nothing of it is above the horizon; nor is what was chosen before the key began. */
function wrongLineage(past: Past, ballot: Ballot, lineage: Lineage): string | null {
  const horizon = horizonOf(lineage);
  const newest = new Map<string, Ballot>();
  let root = ballot;
  for (let at = past.bases.get(ballot) as Ballot; at !== NEVER; at = past.bases.get(at) as Ballot) {
    if (!newest.has(proposerOf(at))) newest.set(proposerOf(at), at);
    root = at;
  }
  newest.delete(proposerOf(ballot));
  for (const named of newestOf(lineage)) {
    if (newest.get(proposerOf(named)) !== named) return `${short(named)} is not the newest of its proposer`;
    newest.delete(proposerOf(named));
  }
  const left = [...newest.values(), ...past.chosen.filter((chosen) => chosen < root)].find((other) => other > horizon);
  return left === undefined ? null : `${short(left)} is above its horizon`;
}

/** `1.12.…07` for people: epoch, counter, and the proposer's last digits. */
export function short(ballot: Ballot): string {
  if (ballot === NEVER) return '0';
  return `${Number(ballot.slice(0, 8))}.${Number(ballot.slice(8, 20))}.${ballot.slice(-3)}`;
}

export function describe(thing: object): string {
  return JSON.stringify(thing)
    .replaceAll(/"(\d{40})"/g, (_, ballot: string) => short(ballot))
    .replaceAll('"', '');
}
