/**
 * What the driver for Redis stands on: one linearizable map of texts per folder, kept by whoever speaks the protocol of replicated keys
 * (REPLICATION.md) to the nodes of a pool. Nothing is known here of nodes, and nothing there of entries.
 */
import type { Watch } from './driver.js';

/** Of fields that were asked for, in their order; null: it is not there. */
export type Found = readonly (string | null)[];

/** What becomes of fields; null: it goes. None: nothing is changed. */
export type FieldChanges = ReadonlyMap<string, string | null>;

export interface Registers {
  /** Linearizable: as they all were at one moment of the call. Rejects with a StoreError, never `unknown`. */
  read(folder: string, fields: readonly string[], timeoutMs: number): Promise<Found>;
  /** All that there is, likewise. */
  readAll(folder: string, timeoutMs: number): Promise<ReadonlyMap<string, string>>;
  /**
   * Makes of these fields at one moment what `decide` says, and resolves with what they were then; a majority of the nodes has it by then.
   * `decide` is asked again where others were faster: it depends on nothing else, and throws nothing. Rejects with a StoreError.
   */
  change(
    folder: string,
    fields: readonly string[],
    decide: (found: Found) => FieldChanges,
    timeoutMs: number,
  ): Promise<Found>;
  /**
   * Calls `onChange` when a folder may have changed, as a rule once for a change, when all of its nodes have it. A change may go untold: who
   * watches looks now and then.
   */
  watch(folder: string, onChange: () => void): Watch;
  /** What is under way, and what is asked from now on, is `unavailable` or `unknown`. */
  close(): Promise<void>;
}
