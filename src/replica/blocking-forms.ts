/**
 * The commands that wait for data, in the form that does not: what they would do at once. Where there is nothing to do the
 * reply is the null that MULTI gives them (`isNothing`), and whoever waits asks again. The time-out is not the node's
 * business, but its faults are told in Redis's words, and in their place among the others.
 */
import { bulkReply, errorReply, type Protocol, REPLY_NULL, REPLY_NULL_ARRAY } from '../resp/reply.js';
import type { Command } from './commands.js';
import { everywhere, faulty, type KeyOperation, type Shape, unlessError } from './key-operation.js';
import { integerOf, isWord, textOf, word } from './words.js';

type Form = (words: Command, protocol: Protocol) => KeyOperation | Uint8Array;

const LMOVE = word('LMOVE');
const RPOPLPUSH = word('RPOPLPUSH');

const NOT_A_FLOAT = errorReply('ERR timeout is not a float or out of range');
const NOT_AN_INTEGER = errorReply('ERR timeout is not an integer or out of range');
const NEGATIVE = errorReply('ERR timeout is negative');

/** Whether a reply says that there is nothing to hand out yet: a null in any shape. */
export function isNothing(reply: Uint8Array): boolean {
  return reply[0] === 0x5f || ((reply[0] === 0x24 || reply[0] === 0x2a) && reply[1] === 0x2d);
}

/** What is wrong with a time-out in seconds, as BLPOP takes it: the error reply; null if nothing. */
export function secondsFault(timeout: Uint8Array): Uint8Array | null {
  const text = textOf(timeout);
  if (/^[+-]?inf(inity)?$/i.test(text)) return NEGATIVE;
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return NOT_A_FLOAT;
  const ms = Math.ceil(Number(text) * 1000);
  // Redis's own number overflows to the negative.
  return ms < 0 || ms >= 2 ** 63 ? NEGATIVE : null;
}

/** What is wrong with a time-out in milliseconds, as XREAD takes it: the error reply; null if nothing. */
export function millisecondsFault(timeout: Uint8Array): Uint8Array | null {
  const ms = integerOf(timeout);
  if (ms === null) return NOT_AN_INTEGER;
  return ms < 0n ? NEGATIVE : null;
}

/** BLPOP and BRPOP: `pop` is LPOP or RPOP. */
export function blockingListPop(pop: string): Form {
  const name = word(pop);
  return (words, protocol) => {
    const key = words[1] as Uint8Array;
    const shape: Shape = unlessError((value) =>
      isNothing(value) ? nullArray(protocol) : Buffer.concat([TWO, bulkReply(key), value]),
    );
    return secondsFault(words.at(-1) as Uint8Array) ?? everywhere([name, key], protocol, shape);
  };
}

/** BZPOPMIN and BZPOPMAX: `pop` is ZPOPMIN or ZPOPMAX. */
export function blockingZsetPop(pop: string): Form {
  const name = word(pop);
  return (words, protocol) => {
    const key = words[1] as Uint8Array;
    // Of `*2 member score`, or `*0`.
    const shape: Shape = unlessError((popped) =>
      popped[1] === 0x30 ? nullArray(protocol) : Buffer.concat([THREE, bulkReply(key), popped.subarray(TWO.length)]),
    );
    return secondsFault(words.at(-1) as Uint8Array) ?? everywhere([name, key], protocol, shape);
  };
}

/** BLMOVE source target LEFT|RIGHT LEFT|RIGHT timeout: the places are looked at first. */
export function blockingMove(words: Command, protocol: Protocol): KeyOperation | Uint8Array {
  const moving = [LMOVE, ...words.slice(1, 5)];
  if (!isPlace(words[3]) || !isPlace(words[4])) return faulty(moving, protocol);
  return secondsFault(words[5] as Uint8Array) ?? everywhere(moving, protocol);
}

/** BRPOPLPUSH source target timeout. */
export function blockingPopPush(words: Command, protocol: Protocol): KeyOperation | Uint8Array {
  return secondsFault(words[3] as Uint8Array) ?? everywhere([RPOPLPUSH, ...words.slice(1, 3)], protocol);
}

/** BLMPOP and BZMPOP timeout numkeys key… where [COUNT count]: the time-out is looked at last. */
export function blockingPopMany(pop: string, places: readonly [string, string]): Form {
  const name = word(pop);
  return (words, protocol) => {
    const popping = [name, ...words.slice(2)];
    const [where, option, count, ...rest] = words.slice(3 + Number(textOf(words[2] as Uint8Array)));
    const isCounted = isWord(option, 'count') && count !== undefined && (integerOf(count) ?? 0n) > 0n;
    const isValid = places.some((place) => isWord(where, place)) && (option === undefined || isCounted);
    if (!isValid || rest.length > 0) return faulty(popping, protocol);
    return secondsFault(words[1] as Uint8Array) ?? everywhere(popping, protocol);
  };
}

const TWO = word('*2\r\n');
const THREE = word('*3\r\n');

function nullArray(protocol: Protocol): Uint8Array {
  return protocol === 3 ? REPLY_NULL : REPLY_NULL_ARRAY;
}

function isPlace(place: Uint8Array | undefined): boolean {
  return isWord(place, 'left') || isWord(place, 'right');
}
