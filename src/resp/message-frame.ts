/**
 * The frames by which a node tells a subscriber: in RESP3 a push each, `>3 message NAME TEXT`, `>4 pmessage PATTERN CHANNEL TEXT`,
 * `>3 smessage NAME TEXT`; and the lines by which a subscription is confirmed.
 */

import { TYPE } from './frame.js';
import { encodeCommand, headerLength, writeHeader } from './reply.js';

/** What one can subscribe to: a channel, all channels that fit a pattern, a shard channel. */
export type SubscriptionKind = 'channel' | 'pattern' | 'shard';

export const SUBSCRIPTION_KINDS = ['channel', 'pattern', 'shard'] as const satisfies readonly SubscriptionKind[];

/** What the commands of each kind begin with. */
const LETTERS = { channel: '', pattern: 'P', shard: 'S' } as const satisfies Record<SubscriptionKind, string>;

/** Names in one command: as many as a node takes without trouble. */
const NAMES_MAX = 1_000;

const CR = 0x0d;
const LF = 0x0a;
const SEVEN = 0x37;
const EIGHT = 0x38;
const LETTER_M = 0x6d;
const LETTER_P = 0x70;
const LETTER_S = 0x73;
/** `>3\r\n$7\r\n`, which stands before the first word. */
const HEAD_BYTES = 8;

/** What the message that begins at `start` is of, or null where the push is no message: a confirmation, or something else. */
export function messageKind(bytes: Uint8Array, start: number): SubscriptionKind | null {
  // `message`, `pmessage`, `smessage`: all other words are longer or shorter.
  const length = bytes[start + 5];
  if ((length !== SEVEN && length !== EIGHT) || bytes[start + 6] !== CR) return null;
  switch (bytes[start + HEAD_BYTES]) {
    case LETTER_M:
      return length === SEVEN ? 'channel' : null;
    case LETTER_P:
      return length === EIGHT ? 'pattern' : null;
    case LETTER_S:
      return length === EIGHT ? 'shard' : null;
    default:
      return null;
  }
}

/** By which of its subscriptions the message of that kind reached the subscriber: the channel or the pattern, a character a byte. */
export function messageName(bytes: Uint8Array, start: number, kind: SubscriptionKind): string {
  const header = start + HEAD_BYTES + (kind === 'channel' ? 9 : 10);
  let length = 0;
  let at = header + 1;
  for (; bytes[at] !== CR; at++) length = length * 10 + ((bytes[at] as number) - 0x30);
  if (bytes[at + 1] !== LF) throw new Error('a message without a name');
  const name = at + 2;
  return Buffer.from(bytes.buffer, bytes.byteOffset + name, length).toString('latin1');
}

/** The commands that subscribe to `names`, a character a byte each, or end that. None where there are no names. */
export function subscribeCommands(kind: SubscriptionKind, isEnd: boolean, names: readonly string[]): Uint8Array[] {
  const word = `${LETTERS[kind]}${isEnd ? 'UNSUBSCRIBE' : 'SUBSCRIBE'}`;
  const commands: Uint8Array[] = [];
  for (let at = 0; at < names.length; at += NAMES_MAX) {
    const some = names.slice(at, at + NAMES_MAX).map((name) => Buffer.from(name, 'latin1'));
    commands.push(encodeCommand([word, ...some]));
  }
  return commands;
}

/** The command that ends all subscriptions of that kind. */
export function unsubscribeAll(kind: SubscriptionKind): Uint8Array {
  return encodeCommand([`${LETTERS[kind]}UNSUBSCRIBE`]);
}

/** What confirms that a subscription to `name` (null: to nothing) was made or ended, after which there are `count`. */
export function confirmation(
  kind: SubscriptionKind,
  isEnd: boolean,
  name: string | null,
  count: number,
  protocol: 2 | 3,
): Uint8Array {
  const word = `${LETTERS[kind]}${isEnd ? 'UNSUBSCRIBE' : 'SUBSCRIBE'}`.toLowerCase();
  const head = `${protocol === 3 ? '>' : '*'}3\r\n$${word.length}\r\n${word}\r\n`;
  const shown = name === null ? (protocol === 3 ? '_\r\n' : '$-1\r\n') : `$${name.length}\r\n${name}\r\n`;
  const text = head + shown;
  const frame = Buffer.allocUnsafe(text.length + headerLength(count));
  frame.write(text, 'latin1');
  writeHeader(frame, text.length, TYPE.integer, count);
  return frame;
}
