/**
 * XREAD of streams on several nodes: each node reads its own, and what they answer is put together here. Nothing is brought to a node, however
 * long the streams are.
 *
 *   XREAD COUNT 5 STREAMS a b c 0 1-1 $     ->     node 0: a c, 0 $      node 1: b, 1-1
 *
 * What is small comes with the first answer. Of more a node says how many bytes it is, and is asked for it once these are held: nothing comes in that is
 * beyond the limits, but for what was added since.
 */
import { bulkOf, elementsOf } from '../replica/reply-shape.js';
import { TYPE } from '../resp/frame.js';
import {
  arrayHeader,
  encodeCommand,
  errorReply,
  isError,
  mapHeader,
  nullReply,
  type Protocol,
  parseInteger,
  REPLY_NULL_ARRAY,
} from '../resp/reply.js';
import { isAboutCommand } from './gather-errors.js';
import { bytesOfAll, type GatherLimits, type GatherRoom } from './gather-room.js';
import { evaluation, READ_SCRIPT } from './gather-scripts.js';
import type { NodeSteps } from './node-steps.js';

interface Share {
  node: number;
  keys: Uint8Array[];
  ids: Uint8Array[];
  /** Which of the command's streams they are. */
  places: number[];
}

export interface Shares {
  shares: readonly Share[];
  /** The names of the streams in the command's order, a character a byte. */
  names: readonly string[];
  /** Entries of each stream at the most, in digits; 0: all. */
  count: string;
}

/** What is wrong with a command, and with which of its streams. */
interface Fault {
  place: number;
  error: Uint8Array;
}

/** Numbers that Lua has, too. */
const COUNT = /^\d{1,15}$/;
const MINUS = 0x2d;
const PAIR_HEADER = arrayHeader(2);

/**
 * `keys`: where each lies, names having a character a byte. Null: it is another command, or of a form that is not shared: one node carries it out, and says
 * what is wrong with it. One that names a stream twice is none: its replies would not say which is which.
 */
export function sharesOf(words: readonly Uint8Array[], keys: ReadonlyMap<string, number>): Shares | null {
  if (textOf(words[0] as Uint8Array).toUpperCase() !== 'XREAD') return null;
  const at = words.findIndex((word, index) => index > 0 && textOf(word).toUpperCase() === 'STREAMS');
  const options = words.slice(1, at);
  const [option, count = '0'] = options.map(textOf);
  const isCounted = options.length === 2 && option?.toUpperCase() === 'COUNT' && COUNT.test(count);
  if (options.length > 0 && !isCounted) return null;
  const half = (words.length - at - 1) / 2;
  const names = words.slice(at + 1, at + 1 + half).map(textOf);
  if (new Set(names).size < names.length) return null;
  const byNode = new Map<number, Share>();
  for (const [place, name] of names.entries()) {
    const node = keys.get(name) as number;
    const own = byNode.get(node) ?? { node, keys: [], ids: [], places: [] };
    own.keys.push(words[at + 1 + place] as Uint8Array);
    own.ids.push(words[at + 1 + half + place] as Uint8Array);
    own.places.push(place);
    byNode.set(node, own);
  }
  return { shares: [...byNode.values()], names, count };
}

/** Each node does its share, and the reply is made of what they answer. */
export function* readStreams(
  room: GatherRoom,
  { gatherBytesMax }: GatherLimits,
  { shares, names, count }: Shares,
  protocol: Protocol,
): NodeSteps<Uint8Array> {
  const small = room.holdSmall(shares.length);
  const options = [String(small), String(gatherBytesMax), count];
  const first = yield shares.map(({ node, keys, ids }) => ({
    node,
    frame: evaluation(READ_SCRIPT, keys, [...options, ...ids]),
  }));
  room.giveBack(small * shares.length);
  const fault = firstFault(room, shares, first);
  if (fault !== null) return fault;
  const isLarge = (at: number) => (first[at] as Uint8Array)[0] === TYPE.integer;
  const replies = first.filter((_, at) => !isLarge(at));
  room.hold(bytesOfAll(replies));
  const large = shares.filter((_, at) => isLarge(at));
  if (large.length > 0) {
    const sizes = first.filter((_, at) => isLarge(at)).map((reply) => parseInteger(reply, 0, reply.length));
    const expected = sizes.reduce((sum, bytes) => sum + bytes, 0);
    room.hold(expected);
    const asked = yield large.map(({ node, keys, ids }) => ({
      node,
      frame: encodeCommand(['XREAD', 'COUNT', count, 'STREAMS', ...keys, ...ids]),
    }));
    for (const [at, { node }] of large.entries()) {
      const reply = asked[at] as Uint8Array;
      if (isError(reply, 0)) throw room.refused(reply, node);
    }
    room.giveBack(expected);
    room.hold(bytesOfAll(asked));
    replies.push(...asked);
  }
  room.count(bytesOfAll(replies));
  return joinStreams(replies, names, protocol);
}

/** The error of the first stream in the command's order that has one, as one Redis has it; null: there is none. */
function firstFault(room: GatherRoom, shares: readonly Share[], replies: readonly Uint8Array[]): Uint8Array | null {
  const faults: Fault[] = [];
  for (const [at, { node, places }] of shares.entries()) {
    const reply = replies[at] as Uint8Array;
    if (isError(reply, 0)) throw room.refused(reply, node);
    if (reply[0] === TYPE.integer) continue;
    const [number, text] = elementsOf(reply);
    if (number === undefined || text === undefined || number[0] !== TYPE.integer) continue;
    const error = errorReply(Buffer.from(bulkOf(text)).toString('latin1'));
    if (!isAboutCommand(error)) throw room.refused(error, node);
    faults.push({ place: places[parseInteger(number, 0, number.length) - 1] as number, error });
  }
  const [earliest] = faults.sort((one, other) => one.place - other.place);
  return earliest?.error ?? null;
}

/** The streams in the order of `names`, of replies to READ_SCRIPT or XREAD: a stream without news is in none, and where all are without, the reply is null. */
function joinStreams(replies: readonly Uint8Array[], names: readonly string[], protocol: Protocol): Uint8Array {
  const streams = new Map<string, Uint8Array[]>();
  for (const reply of replies.filter((reply) => !isNone(reply))) {
    const elements = elementsOf(reply);
    const pairs =
      reply[0] === TYPE.map
        ? elements.flatMap((name, at) => (at % 2 === 0 ? [[name, elements[at + 1] as Uint8Array]] : []))
        : elements.map(elementsOf);
    for (const pair of pairs) streams.set(textOf(bulkOf(pair[0] as Uint8Array)), pair);
  }
  if (streams.size === 0) return protocol === 3 ? nullReply(3) : REPLY_NULL_ARRAY;
  const found = names.flatMap((name) => {
    const pair = streams.get(name);
    if (pair === undefined) return [];
    return protocol === 3 ? pair : [PAIR_HEADER, ...pair];
  });
  return Buffer.concat([protocol === 3 ? mapHeader(streams.size, 3) : arrayHeader(streams.size), ...found]);
}

/** `*-1` or, in RESP3, `_`. */
function isNone(reply: Uint8Array): boolean {
  return reply[0] === TYPE.null || (reply[0] === TYPE.array && reply[1] === MINUS);
}

/** A character a byte. */
function textOf(word: Uint8Array): string {
  return Buffer.from(word).toString('latin1');
}
