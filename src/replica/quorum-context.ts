/** What those who carry out operations on keys that have versions, of consistency quorum and weak, need of who runs them. */
import type { Operation } from './operation.js';
import type { Asker, Outcome, RoundContext, RoundTimes } from './round.js';
import type { VersionClock } from './version-clock.js';

export interface QuorumContext<C, R, V> extends Pick<RoundContext<C, R, V>, 'now' | 'clock' | 'random' | 'send'> {
  /** R and W of docs/CONSISTENCY.md: R + W > N, and 2W > N; of weak keys one each. */
  readonly reads: number;
  readonly writes: number;
  /** A key has a home, the first of its copies that can be asked: who reads or changes it begins there, and it has to take a write if it can. */
  readonly isHomed: boolean;
  /** Copies that are behind are given the newest. */
  readonly repairs: boolean;
  readonly versions: VersionClock;
  /** Whether the node can be asked now, as far as is known. */
  isReachable(node: number): boolean;
  /** Whether nothing is known of the node so far, as after a start, so that it may be the home of a key for others. */
  isAwaited(node: number): boolean;
  /** See Reader.process. */
  processOf(node: number): number;
  /** Whether others should rather be asked. */
  isSlow(node: number): boolean;
  /** These commands, to be carried out by one node alone. */
  alone(commands: C): C;
  /** Of what two copies have replied to the same put, what is told the client. */
  fuller(one: R, other: R): R;
  /** These copies (bit i: copy i) were found to be behind, and nobody waits for them. */
  onLagging(key: string, nodes: readonly number[], copies: number): void;
  /**
   * A copy has promised more than the state that it lacks: somebody was about to give the key a larger version, and is not done. Carries out the
   * read by a `Round`, which finishes that; `read` takes no more part.
   */
  onStuck(read: QuorumAsker<R, V>, operation: Operation<C, R>, job: QuorumJob<R>): void;
  count(event: 'refused' | 'install' | 'impatient' | 'alone' | 'settle' | 'fast-read' | 'slow-read'): void;
}

/** Who carries out one operation, or part of it. */
export interface QuorumAsker<R, V> extends Asker<R, V> {
  /** In the roster of who waits. */
  place: number;
  begin(): void;
}

export interface QuorumJob<R> {
  readonly key: string;
  readonly nodes: readonly number[];
  readonly times: RoundTimes;
  /** Once. Answers may still be told. */
  readonly finish: (outcome: Outcome<R>) => void;
}

/** Reachable copies, from `first` on; those that are slow come last. */
export function copiesToAsk<C, R, V>(
  nodes: readonly number[],
  first: number,
  context: Pick<QuorumContext<C, R, V>, 'isReachable' | 'isSlow'>,
): number[] {
  const copies: number[] = [];
  const slow: number[] = [];
  for (let place = 0; place < nodes.length; place++) {
    const copy = (first + place) % nodes.length;
    const node = nodes[copy] as number;
    if (context.isReachable(node)) (context.isSlow(node) ? slow : copies).push(copy);
  }
  copies.push(...slow);
  return copies;
}

/** Whether it is not known yet which copy others take for the home of the key. */
export function isHomeAwaited<C, R, V>(
  nodes: readonly number[],
  context: Pick<QuorumContext<C, R, V>, 'isReachable' | 'isSlow' | 'isAwaited'>,
): boolean {
  for (const node of nodes) {
    if (context.isAwaited(node)) return true;
    if (context.isReachable(node) && !context.isSlow(node)) return false;
  }
  return false;
}

/** Milliseconds until the next of several tries that failed. */
export function pauseMs(tries: number, random: number): number {
  return Math.min(PAUSE_MIN_MS * 2 ** tries, PAUSE_MAX_MS) * (0.5 + random / 2);
}

const PAUSE_MIN_MS = 1;
const PAUSE_MAX_MS = 64;
