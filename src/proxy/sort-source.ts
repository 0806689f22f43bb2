/**
 * What SORT sorts, where its patterns name keys that may lie on several nodes: it is read with its elements, which say the names. That copy is
 * what is sorted.
 */
import { bulkOf } from '../replica/reply-shape.js';
import { skipValue } from '../resp/frame.js';
import { keyOfPattern, rangeOfUnsorted } from '../resp/sort-patterns.js';
import { tooManyKeys } from './gather-errors.js';
import { Ended, type GatherLimits, type GatherRoom } from './gather-room.js';
import { type Brought, evaluation, SORT_SCRIPT, SORTED } from './gather-scripts.js';
import type { NodeSteps } from './node-steps.js';

/** Where the key lies that a pattern names, a character a byte; or the error why it cannot be read. */
export type PlaceOf = (key: string) => number | Uint8Array;

export interface SortSource {
  /** The command of that copy. */
  words: readonly Uint8Array[];
  sorted: Brought;
  /** The node that has what is sorted. */
  home: number;
  /** The keys that patterns name, and where each lies. */
  named: ReadonlyMap<string, number>;
}

/** Of SORT or SORT_RO, whose keys lie as `keys` says. */
export function* readSortSource(
  room: GatherRoom,
  limits: GatherLimits,
  placeOf: PlaceOf,
  words: readonly Uint8Array[],
  keys: ReadonlyMap<string, number>,
  patterns: readonly Uint8Array[],
): NodeSteps<SortSource> {
  const [name, ...rest] = words as [Uint8Array, Uint8Array, ...Uint8Array[]];
  const source = Buffer.from(rest.shift() as Uint8Array);
  const home = keys.get(source.toString('latin1')) as number;
  const frame = evaluation(
    SORT_SCRIPT,
    [source],
    [String(limits.gatherBytesMax), String(limits.gatherKeysMax), ...rangeOfUnsorted(words)],
  );
  const [reply] = (yield [{ node: home, frame }]) as [Uint8Array];
  const [value, expiry, elements] = room.valuesOf(reply, home) as [Uint8Array, Uint8Array, Uint8Array];
  const sorted: Brought = { name: SORTED, value: bulkOf(value), expiry: bulkOf(expiry) };
  room.hold(sorted.value.length + elements.length);
  const named = keysNamed(room, limits, placeOf, patterns, elements);
  return { words: [name, Buffer.from(SORTED), ...rest], sorted, home, named };
}

/** The keys that patterns name for the elements of that array, and where each lies. */
function keysNamed(
  room: GatherRoom,
  { gatherKeysMax }: GatherLimits,
  placeOf: PlaceOf,
  patterns: readonly Uint8Array[],
  elements: Uint8Array,
): Map<string, number> {
  const named = new Map<string, number>();
  for (const pattern of patterns) {
    for (const element of bulksIn(elements)) {
      const key = Buffer.from(keyOfPattern(pattern, element)).toString('latin1');
      if (named.has(key)) continue;
      const place = placeOf(key);
      if (place instanceof Uint8Array) throw new Ended(place);
      named.set(key, place);
      if (named.size > gatherKeysMax) throw room.tooMuch(tooManyKeys(gatherKeysMax));
    }
  }
  return named;
}

/** The bulk strings of an array, which is whole and valid, one after the other: views of it. */
function* bulksIn(array: Uint8Array): Generator<Uint8Array> {
  for (let at = array.indexOf(0x0a) + 1; at < array.length; ) {
    const end = skipValue(array, at);
    yield bulkOf(array.subarray(at, end));
    at = end;
  }
}
