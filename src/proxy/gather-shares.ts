/**
 * XREAD of streams on several nodes: each node reads its own, and what they answer is put together here. Nothing is brought to a node, however
 * long the streams are.
 *
 *   XREAD COUNT 5 STREAMS a b c 0 1-1 $     ->     node 0: XREAD COUNT 5 STREAMS a c 0 $      node 1: XREAD COUNT 5 STREAMS b 1-1
 */
import { bulkOf, elementsOf } from '../replica/reply-shape.js';
import { TYPE } from '../resp/frame.js';
import { arrayHeader, mapHeader } from '../resp/reply.js';

export interface Share {
  node: number;
  words: readonly (string | Uint8Array)[];
}

export interface Shares {
  shares: readonly Share[];
  /** The names of the streams in the command's order, a character a byte. */
  names: readonly string[];
}

const DIGITS = /^\d+$/;
const MINUS = 0x2d;

/**
 * `keys`: where each lies, names having a character a byte. Null: it is another command, or of a form that is not shared: one node carries it out, and says
 * what is wrong with it. One that names a stream twice is none: its replies would not say which is which.
 */
export function sharesOf(words: readonly Uint8Array[], keys: ReadonlyMap<string, number>): Shares | null {
  if (textOf(words[0] as Uint8Array).toUpperCase() !== 'XREAD') return null;
  const at = words.findIndex((word, index) => index > 0 && textOf(word).toUpperCase() === 'STREAMS');
  const options = words.slice(1, at);
  const [option, count] = options.map(textOf);
  const isCounted = options.length === 2 && option?.toUpperCase() === 'COUNT' && DIGITS.test(count as string);
  if (options.length > 0 && !isCounted) return null;
  const half = (words.length - at - 1) / 2;
  const names = words.slice(at + 1, at + 1 + half).map(textOf);
  if (new Set(names).size < names.length) return null;
  const byNode = new Map<number, { keys: Uint8Array[]; ids: Uint8Array[] }>();
  for (const [index, name] of names.entries()) {
    const node = keys.get(name) as number;
    const own = byNode.get(node) ?? { keys: [], ids: [] };
    own.keys.push(words[at + 1 + index] as Uint8Array);
    own.ids.push(words[at + 1 + half + index] as Uint8Array);
    byNode.set(node, own);
  }
  const shares = [...byNode].map(([node, { keys, ids }]) => ({
    node,
    words: ['XREAD', ...options, 'STREAMS', ...keys, ...ids],
  }));
  return { shares, names };
}

/**
 * The reply, of theirs, none of which is an error: the streams in the order of `names`. A node does not name those without news; one without any answers null: where
 * all do, that is the reply.
 */
export function joinStreams(replies: readonly Uint8Array[], names: readonly string[]): Uint8Array {
  const isMap = replies.some((reply) => reply[0] === TYPE.map);
  const streams = new Map<string, Uint8Array[]>();
  for (const reply of replies.filter((reply) => !isNone(reply))) {
    const elements = elementsOf(reply);
    for (let at = 0; at < elements.length; at += isMap ? 2 : 1) {
      const pair = elements.slice(at, at + (isMap ? 2 : 1));
      const name = isMap ? pair[0] : elementsOf(pair[0] as Uint8Array)[0];
      streams.set(textOf(bulkOf(name as Uint8Array)), pair);
    }
  }
  if (streams.size === 0) return replies[0] as Uint8Array;
  const header = isMap ? mapHeader(streams.size, 3) : arrayHeader(streams.size);
  return Buffer.concat([header, ...names.flatMap((name) => streams.get(name) ?? [])]);
}

/** `*-1` or, in RESP3, `_`. */
function isNone(reply: Uint8Array): boolean {
  return reply[0] === TYPE.null || reply[1] === MINUS;
}

/** A character a byte. */
function textOf(word: Uint8Array): string {
  return Buffer.from(word).toString('latin1');
}
