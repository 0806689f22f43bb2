/** What a session has of MULTI and WATCH on a replicated key. */
import type { KeyOperation } from '../replica/key-operation.js';
import type { ReplicaSets } from '../routing/copy-sets.js';

/** One key, outside the arena. */
export interface OwnKey {
  readonly copySets: ReplicaSets;
  readonly key: Uint8Array;
}

/** What waits for EXEC. */
export interface ReplicatedBlock extends OwnKey {
  readonly operations: KeyOperation[];
}

/** The key that a session watches. */
export interface ReplicatedWatch extends OwnKey {
  /** What it was when it was first watched; null: not known, and taken for changed. */
  state: { ballot: string; live: boolean } | null;
}
