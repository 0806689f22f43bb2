/**
 * SORT whose patterns name keys that may lie on several nodes: the elements, what the patterns name of them, their order, and what it makes of these.
 *
 *   1  the elements                       the node of what is sorted, which also says what is wrong with the command
 *   2  what lies in the keys that patterns name     each node that has some      in one request (sort-lookups.ts)
 *   3  the order of the elements          decided here, where BY names plain numbers; else the node of step 1 sorts a copy by copies of the weights
 *   4  STORE                              the node that has the written key
 *
 * Without a BY that names keys the order is known in step 1, and only what LIMIT leaves is looked up.
 */
import { TYPE } from '../resp/frame.js';
import {
  arrayHeader,
  bulkReply,
  encodeCommand,
  isError,
  nullReply,
  type Protocol,
  parseInteger,
} from '../resp/reply.js';
import { type SortOptions, sortOptions } from '../resp/sort-options.js';
import { Bulks, copy } from './bulks.js';
import { isAboutCommand, notPlacedBy, tooManyElements, tooManyValues } from './gather-errors.js';
import { Ended, type GatherLimits, type GatherRoom } from './gather-room.js';
import { bytesOf, evaluation } from './gather-scripts.js';
import type { NodeSteps } from './node-steps.js';
import { type Column, Lookups, type PlaceOf } from './sort-lookups.js';
import { orderByNumbers } from './sort-order.js';
import { ELEMENTS_SCRIPT, ORDER_SCRIPT, SORTED, STORE_SCRIPT } from './sort-scripts.js';

export interface SortContext {
  limits: GatherLimits;
  protocol: Protocol;
  placeOf: PlaceOf;
  labelOf: (node: number) => string;
  sharedWith: string | null;
}

/** What is looked up of each element. */
interface Columns {
  by: Column | null;
  /** What is asked for of each element, in this order. */
  gets: readonly Get[];
}

/** The elements themselves, nothing, or what was looked up. */
type Get = 'element' | 'nothing' | Column;

/** What is still to be written. */
export interface ToStore {
  key: Uint8Array;
  count: number;
  /** That many bulk strings, one after the other. */
  values: Uint8Array;
}

/** A node takes no more words in a command: Redis's multibulk limit, less those of EVAL. */
const VALUES_MAX = 1024 * 1024 - 8;
const EMPTY = bulkReply('');
const NO_HEADER = new Uint8Array(0);
const NAMES = [SORTED, `${SORTED}:*`];

/** The reply; or what STORE is to write. `home`: the node of what is sorted. */
export function* sortSteps(
  room: GatherRoom,
  context: SortContext,
  words: readonly Uint8Array[],
  home: number,
): NodeSteps<Uint8Array | ToStore> {
  const { limits, protocol, placeOf } = context;
  const options = sortOptions(words);
  const isByKeys = options.by?.kind === 'key' && !options.isUnsorted;
  const elements = yield* readElements(room, limits, words, options, isByKeys, home);
  const lookups = new Lookups(elements);
  const columns = columnsOf(lookups, options, isByKeys);
  yield* lookups.read(room, limits, placeOf);
  const order = columns.by === null ? null : yield* inOrder(room, context, options, elements, columns.by, home);
  const none = options.store === null ? nullReply(protocol) : EMPTY;
  const count = (order ?? elements).length * columns.gets.length;
  if (count > VALUES_MAX) throw room.tooMuch(tooManyValues(count, VALUES_MAX));
  const header = options.store === null ? arrayHeader(count) : NO_HEADER;
  const values = valuesOf(room, elements, columns, order, none, header);
  room.count(values.length);
  return options.store === null ? values : { key: options.store, count, values };
}

/** What has it written. */
export function storing({ key, count, values }: ToStore): Uint8Array {
  const begin = evaluation(STORE_SCRIPT, [], [key]);
  const line = begin.indexOf(0x0a) + 1;
  const words = parseInteger(begin, 0, line) + count;
  return Buffer.concat([arrayHeader(words), begin.subarray(line), values]);
}

/** `error`: what STORE_SCRIPT or ORDER_SCRIPT says of a name. */
export function notPlaced({ labelOf, sharedWith }: SortContext, node: number, error: Uint8Array): Uint8Array {
  return notPlacedBy(labelOf(node), error, NAMES, sharedWith);
}

function* readElements(
  room: GatherRoom,
  { gatherBytesMax, gatherKeysMax }: GatherLimits,
  [, key]: readonly Uint8Array[],
  options: SortOptions,
  isByKeys: boolean,
  home: number,
): NodeSteps<Bulks> {
  // Of a key that is not there a node only looks at the options.
  const check = encodeCommand(['SORT_RO', SORTED, ...options.checked]);
  const limit = isByKeys ? ['0', '-1'] : [String(options.start), String(options.count)];
  const frame = evaluation(
    ELEMENTS_SCRIPT,
    [key as Uint8Array],
    [
      ...[String(gatherBytesMax), String(gatherKeysMax)],
      ...[isByKeys ? 'all' : isStoredOrder(options) ? 'stored' : options.isUnsorted ? 'unsorted' : 'sorted', ...limit],
      ...orderWords(options, options.isUnsorted ? ['BY', 'nosort'] : []),
    ],
  );
  const [checked, reply] = (yield [
    { node: home, frame: check, isUntracked: true },
    { node: home, frame },
  ]) as [Uint8Array, Uint8Array];
  for (const answer of [checked, reply]) {
    if (isError(answer, 0)) throw isAboutCommand(answer) ? new Ended(answer) : room.refused(answer, home);
  }
  if (reply[0] === TYPE.simple) throw room.tooMuch(tooManyElements(gatherKeysMax));
  const whole = room.whole(reply, home);
  room.hold(whole.length);
  return Bulks.of(whole);
}

/** Whether STORE puts them in another order: it compares bytes, where SORT goes by the node's locale, and has sets sorted. */
function isStoredOrder({ store, isAlpha, isUnsorted }: SortOptions): boolean {
  return store !== null && (isAlpha || isUnsorted);
}

/** Those words of a SORT that say in which order elements come. */
function orderWords(options: SortOptions, by: readonly string[]): string[] {
  const { isAlpha, isReversed, start, count } = options;
  return [
    ...by,
    ...(isAlpha ? ['ALPHA'] : []),
    ...(isReversed ? ['DESC'] : []),
    ...['LIMIT', String(start), String(count)],
    ...(isStoredOrder(options) ? ['STORE', SORTED] : []),
  ];
}

function columnsOf(lookups: Lookups, { by, gets }: SortOptions, isByKeys: boolean): Columns {
  return {
    by: isByKeys && by?.kind === 'key' ? lookups.add(by) : null,
    gets: gets.length === 0 ? ['element'] : gets.map((get) => (get.kind === 'key' ? lookups.add(get) : get.kind)),
  };
}

/** Which elements LIMIT leaves, in order: their places. */
function* inOrder(
  room: GatherRoom,
  context: SortContext,
  options: SortOptions,
  elements: Bulks,
  weights: Column,
  home: number,
): NodeSteps<readonly number[]> {
  const places = options.isAlpha ? null : orderByNumbers(elements, weights, options.isReversed);
  if (places !== null) {
    const first = Math.max(options.start, 0);
    return places.slice(first, options.count < 0 ? undefined : first + options.count);
  }
  // The same element may be there several times, and has one weight.
  const placeOf = new Map<string, number>();
  const named: Uint8Array[] = [];
  for (let place = 0; place < elements.length; place++) {
    const name = nameOf(elements.contentOf(place));
    if (placeOf.has(name)) continue;
    placeOf.set(name, place);
    if (!weights.isNull(place)) named.push(bytesOf(`${SORTED}:${name}`), weights.contentOf(place));
  }
  const all = Array.from({ length: elements.length }, (_, place) => elements.contentOf(place));
  const frame = evaluation(
    ORDER_SCRIPT,
    [],
    [String(all.length), String(named.length), ...all, ...named, ...orderWords(options, ['BY', `${SORTED}:*`])],
  );
  const [reply] = (yield [{ node: home, frame, isUntracked: true }]) as [Uint8Array];
  if (isError(reply, 0)) throw isAboutCommand(reply) ? new Ended(reply) : room.refused(reply, home);
  if (reply[reply.indexOf(0x0a) + 1] === TYPE.integer) throw new Ended(notPlaced(context, home, reply));
  room.hold(reply.length);
  const ordered = Bulks.of(reply);
  return Array.from({ length: ordered.length }, (_, at) => placeOf.get(nameOf(ordered.contentOf(at))) as number);
}

/** Behind `header` what is asked for of the elements in `order`, null: of all as they stand. `none`: what stands for nothing. */
function valuesOf(
  room: GatherRoom,
  elements: Bulks,
  { gets }: Columns,
  order: readonly number[] | null,
  none: Uint8Array,
  header: Uint8Array,
): Uint8Array {
  const { length } = order ?? elements;
  let bytes = header.length;
  for (let at = 0; at < length; at++) {
    const place = order === null ? at : (order[at] as number);
    for (const get of gets) {
      const value = get === 'element' ? elements : get;
      bytes += value === 'nothing' || value.isNull(place) ? none.length : value.bytesOf(place);
    }
  }
  room.hold(bytes);
  const values = Buffer.allocUnsafe(bytes);
  let end = copy(header, 0, header.length, values, 0);
  for (let at = 0; at < length; at++) {
    const place = order === null ? at : (order[at] as number);
    for (const get of gets) {
      const value = get === 'element' ? elements : get;
      if (value === 'nothing' || value.isNull(place)) end = copy(none, 0, none.length, values, end);
      else end = value.copyTo(place, values, end);
    }
  }
  return values;
}

/** A character a byte. */
function nameOf(content: Uint8Array): string {
  return Buffer.from(content).toString('latin1');
}
