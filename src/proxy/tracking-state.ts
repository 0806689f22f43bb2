/** A session's CLIENT TRACKING, as its session and its commands know it: see tracking.ts. */
import type { Pending } from '../backend/pending.js';
import type { TrackingLane, TrackingMode } from '../backend/tracking-lane.js';
import type { Target } from './invalidation.js';

export interface TrackingState {
  /** The session's. */
  readonly lane: TrackingLane;
  readonly mode: TrackingMode;
  /** The number of the client that messages go to; 0: the session's own. */
  readonly redirect: number;
  /** That client is gone, as was found when it was to be told something. */
  readonly isBroken: boolean;
  /** Whether CLIENT CACHING was said for the next command, or the one that is carried out. */
  readonly isCaching: boolean;
  /** Goes on in that mode, which has these new prefixes; all before has been answered. Returns the error reply when it cannot. */
  change(mode: TrackingMode, addedPrefixes: readonly Uint8Array[], target: Target | null): Uint8Array | null;
  /** `pending`, which is in the session's queue, is answered OK when the nodes have what is wanted, or cannot have it for now. */
  answerWhenSettled(pending: Pending): void;
  /** CLIENT CACHING was said. */
  cacheNext(): void;
  /** A command was read, and will be carried out now. */
  onCommand(name: string): void;
  /** Not now: it is read again. */
  onPutOff(): void;
  /** Nodes may be others now, and keys may lie elsewhere. */
  onTopologyChanged(): void;
  close(): void;
}
