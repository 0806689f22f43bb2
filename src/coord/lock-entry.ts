/**
 * A lock that the coordination store keeps: one entry, and what becomes of it, decided purely.
 *
 *   locks/HASH-OF-NAME   { "name": "lock:report", "mode": …, "fence": null, "holders": [{ "id": …, "token": …, "fence": null, … }] }
 *
 * Fences are versions: no two changes in a folder of the store have the same one, and it only grows, also where the entry is removed and made again.
 * So the version of the change that grants a lock is its fence. Who writes that change cannot know it yet: null stands for "the version of
 * this entry as it is", and the next change writes it out.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type LockMode, STORE_HOLDERS_MAX } from '../base/lock-mode.js';
import { StoreError } from './store-error.js';

export interface LockHolder {
  /** Of its acquisition, and of no other ever. */
  readonly id: string;
  /** Of the last change that said for how long it is held, and of no other ever. */
  readonly renewal: string;
  /** A character a byte. */
  readonly token: string;
  readonly client: string;
  readonly fence: number;
  readonly ttlMs: number;
}

export interface LockEntry {
  /** A character a byte. */
  readonly name: string;
  /** Of those who hold it, or held it last. */
  readonly mode: LockMode;
  /** That of the last acquisition. */
  readonly fence: number;
  /** The latest last. Some of them may be over. */
  readonly holders: readonly LockHolder[];
}

/** Who wants it, and how. */
export interface LockClaim {
  readonly id: string;
  readonly token: string;
  readonly client: string;
  readonly ttlMs: number;
  readonly mode: LockMode;
}

/** Whether the time of a holder is over, as far as is known here. */
export type IsOver = (holder: LockHolder) => boolean;

/** Of a client's name. */
const CLIENT_CHARS_MAX = 128;
/** Stands for the version of the change that is being written. Versions begin with 1. */
const NEW_FENCE = 0;

const FENCE = z.int().positive().nullable();
/** Fields that later versions add are not known here, and not kept: while a fleet changes its version these do without. */
const VALUE = z.object({
  name: z.string(),
  mode: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('exclusive') }),
    z.object({ kind: z.literal('shared') }),
    z.object({ kind: z.literal('limit'), max: z.int().positive() }),
  ]),
  fence: FENCE,
  holders: z.array(
    z.object({
      id: z.string(),
      renewal: z.string(),
      token: z.string(),
      client: z.string(),
      fence: FENCE,
      ttlMs: z.int().positive(),
    }),
  ),
});

/** What the entry of a lock is called: names of locks may be longer than those of entries, and have any bytes. */
export function entryNameOf(name: string): string {
  return createHash('sha256').update(name, 'latin1').digest('base64url');
}

/** The value of an entry. */
export function encodeLock({ name, mode, fence, holders }: LockEntry): string {
  const told = (number: number) => (number === NEW_FENCE ? null : number);
  const list = holders.map((holder) => ({ ...holder, fence: told(holder.fence) }));
  return JSON.stringify({ name, mode, fence: told(fence), holders: list });
}

/** The value of an entry of that version. Throws a StoreError, `refused`, for what another program has written. */
export function decodeLock(version: number, value: string): LockEntry {
  let written: unknown;
  try {
    written = JSON.parse(value);
  } catch (error) {
    throw notALock(value, error);
  }
  const { data, error } = VALUE.safeParse(written);
  if (data === undefined) throw notALock(value, error);
  const { name, mode, fence, holders } = data;
  return {
    name,
    mode,
    fence: fence ?? version,
    holders: holders.map((holder) => ({ ...holder, fence: holder.fence ?? version })),
  };
}

function notALock(value: string, cause: unknown): StoreError {
  return new StoreError('refused', `${JSON.stringify(value.slice(0, 100))} is no lock that this version knows`, cause);
}

/** What comes of a wish: another entry to be written by the version of this one, or nothing. */
export type Change<R> = { kind: 'write'; entry: LockEntry } | { kind: 'stay'; because: R };

/** Takes the lock. It stays where those hold it who cannot share it with the claimant. Who has the token already has it anew. */
export function acquireIn(
  entry: LockEntry | null,
  name: string,
  { id, token, client, ttlMs, mode }: LockClaim,
  isOver: IsOver,
): Change<readonly LockHolder[]> {
  const others = (entry?.holders ?? []).filter((holder) => holder.token !== token && !isOver(holder));
  if (entry !== null && others.length > 0 && !hasRoom(entry.mode, others.length, mode))
    return { kind: 'stay', because: others };
  const shown = client.slice(0, CLIENT_CHARS_MAX);
  const own = { id, renewal: id, token, client: shown, fence: NEW_FENCE, ttlMs };
  return { kind: 'write', entry: { name, mode, fence: NEW_FENCE, holders: [...others, own] } };
}

/** Whether a lock that so many hold in the mode `held` may be had by one more, in the mode `wanted`. */
function hasRoom(held: LockMode, holders: number, wanted: LockMode): boolean {
  if (holders >= STORE_HOLDERS_MAX) return false;
  if (held.kind === 'limit' && wanted.kind === 'limit') return held.max === wanted.max && holders < held.max;
  return held.kind === 'shared' && wanted.kind === 'shared';
}

/** The last one that has it by that token. Nobody has taken over from one whose time is over but who is still there. */
export function holderIn(entry: LockEntry | null, token: string): LockHolder | null {
  return entry?.holders.findLast((holder) => holder.token === token) ?? null;
}

/** Has it held for so long from this change on. */
export function extendIn(entry: LockEntry | null, token: string, ttlMs: number, renewal: string): Change<null> {
  const own = holderIn(entry, token);
  if (entry === null || own === null) return { kind: 'stay', because: null };
  const holders = entry.holders.map((holder) => (holder === own ? { ...holder, ttlMs, renewal } : holder));
  return { kind: 'write', entry: { ...entry, holders } };
}

/** Takes those out who are meant. It stays where there is none. */
export function releaseIn(entry: LockEntry | null, isMeant: (holder: LockHolder) => boolean): Change<null> {
  const left = entry?.holders.filter((holder) => !isMeant(holder)) ?? [];
  if (entry === null || left.length === entry.holders.length) return { kind: 'stay', because: null };
  return { kind: 'write', entry: { ...entry, holders: left } };
}
