/** What those who carry out operations on keys that have versions, of consistency quorum and weak, need of who runs them. */
import type { Operation } from './operation.js';
import type { Asker, Outcome, RoundContext, RoundTimes } from './round.js';
import type { KeyState, Step } from './step.js';
import type { VersionClock } from './version-clock.js';

export interface QuorumContext<C, R, V> extends Pick<RoundContext<C, R, V>, 'now' | 'clock' | 'random' | 'send'> {
  /** R and W of docs/CONSISTENCY.md: R + W > N, and 2W > N; of weak and eventual keys one each. */
  readonly reads: number;
  readonly writes: number;
  /** A key has a home, the first of its copies that can be asked: who reads or changes it begins there, and it has to take a write if it can. */
  readonly isHomed: boolean;
  /** Copies that are behind are given the newest. */
  readonly repairs: boolean;
  /**
   * Of consistency eventual: the larger version stays, wherever it is found, and nothing else counts; all ask the same copy first, and what
   * some copies did not take they are given later.
   */
  readonly isEventual: boolean;
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
  /** Of consistency eventual: these copies have not carried out that step of a write that was acknowledged. They are to be given it one day. */
  onMissed(key: string, nodes: readonly number[], copies: number, step: Step<C, V>): void;
  /**
   * A copy has promised more than the state that it lacks: somebody was about to give the key a larger version, and is not done. Carries out the
   * read by a `Round`, which finishes that; `read` takes no more part.
   */
  onStuck(read: PassableAsker<R, V>, operation: Operation<C, R>, job: QuorumJob<R>): void;
  /** All that it waits for is silent: writes need not wait for it any longer. It is told when one has begun. */
  onOverstaying(read: PassableAsker<R, V>): void;
  count(event: 'refused' | 'install' | 'impatient' | 'alone' | 'settle' | 'fast-read' | 'slow-read'): void;
}

/** Who carries out one operation, or part of it. */
export interface QuorumAsker<R, V> extends Asker<R, V> {
  /** In the roster of who waits. */
  place: number;
  begin(): void;
}

/** That writes which came behind it may pass. */
export interface PassableAsker<R, V> extends QuorumAsker<R, V> {
  /** One has begun: what is read at a copy from now on may be newer than that. */
  onPassed(): void;
}

export interface QuorumJob<R> {
  readonly key: string;
  readonly nodes: readonly number[];
  readonly times: RoundTimes;
  /** Once. Answers may still be told. */
  readonly finish: (outcome: Outcome<R>) => void;
}

/** Of what writes. */
export interface WritingJob<R, V> extends QuorumJob<R> {
  /** Who is at it: a change hands it on to a write. */
  writer: QuorumAsker<R, V> | null;
}

/** Reachable copies, from `first` on; those that are slow come last. From 0 on the home is the first. */
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

/** Nodes, as whoever asks for the home of a key names and knows them: see QuorumContext. */
export type HomeContext<N> = Readonly<Record<'isReachable' | 'isSlow' | 'isAwaited', (node: N) => boolean>>;

/** No copy can be asked. */
export const NO_HOME = -1;
/** It is not known yet which copy others take for the home. */
export const HOME_AWAITED = -2;

/**
 * The home of the key whose copies are at `nodes[from]` … `nodes[to - 1]`: the place there of the first that can be asked and is not slow, or, if
 * all are, of the first that can be asked. Allocates nothing.
 */
export function homeOf<N>(nodes: ArrayLike<N>, from: number, to: number, context: HomeContext<N>): number {
  let slow = NO_HOME;
  for (let place = from; place < to; place++) {
    const node = nodes[place] as N;
    if (context.isAwaited(node)) return HOME_AWAITED;
    if (!context.isReachable(node)) continue;
    if (!context.isSlow(node)) return place;
    if (slow === NO_HOME) slow = place;
  }
  return slow;
}

/** What gives a copy that is behind a state. */
export function givingStep<C, V>(state: KeyState<V>, isEventual: boolean): Step<C, V> {
  return isEventual ? { kind: 'merge', state } : { kind: 'install', state, next: state.accepted };
}

/** Milliseconds until the next of several tries that failed. */
export function pauseMs(tries: number, random: number): number {
  return Math.min(PAUSE_MIN_MS * 2 ** tries, PAUSE_MAX_MS) * (0.5 + random / 2);
}

const PAUSE_MIN_MS = 1;
const PAUSE_MAX_MS = 64;
