/**
 * INCRBYFLOAT and HINCRBYFLOAT: what is there is read, the proxy adds, and all nodes are told the result. A number that only a
 * node can read (`0x1p3`, inf, hundreds of digits) is added by one.
 */
import { bulkReply, isError, type Protocol } from '../resp/reply.js';
import { bulkAt } from './bulk-array.js';
import type { Command, Commands } from './commands.js';
import { addDecimals, isNoNumber } from './extended-float.js';
import { all, everywhere, type KeyOperation, type KeyPlan, oneNode, planned } from './key-operation.js';
import { textOf, word } from './words.js';

const GET = word('GET');
const SET = word('SET');
const KEEPTTL = word('KEEPTTL');
const HGET = word('HGET');
const HSET = word('HSET');

/** INCRBYFLOAT key increment. */
export function incrByFloatForm(words: Command, protocol: Protocol): KeyOperation {
  const [, key, increment] = words as [Uint8Array, Uint8Array, Uint8Array];
  const write = (sum: Uint8Array): Command => [SET, key, sum, KEEPTTL];
  return added(words, protocol, [GET, key], increment, write);
}

/** HINCRBYFLOAT key field increment. */
export function hincrByFloatForm(words: Command, protocol: Protocol): KeyOperation {
  const [, key, field, increment] = words as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  const write = (sum: Uint8Array): Command => [HSET, key, field, sum];
  return added(words, protocol, [HGET, key, field], increment, write);
}

function added(
  words: Command,
  protocol: Protocol,
  read: Command,
  increment: Uint8Array,
  write: (sum: Uint8Array) => Command,
): KeyOperation {
  if (isNoNumber(textOf(increment))) return everywhere(words, protocol);
  return planned(words, protocol, (base, found, plain) => {
    if (base.live && found === null) return { kind: 'read', commands: { list: [read], protocol } };
    const reply = found?.[0];
    if (!base.live || reply === undefined) return sumOf('0', plain);
    // The same error, for the same reason, everywhere.
    if (isError(reply, 0)) return all(plain);
    const value = bulkAt(reply);
    return sumOf(value === null ? '0' : textOf(value), plain);
  });

  function sumOf(value: string, plain: Commands): KeyPlan {
    const sum = addDecimals(value, textOf(increment));
    if (sum.kind === 'unsure') return oneNode(plain);
    if (sum.kind === 'invalid') return all(plain);
    const result = word(sum.text);
    return all({ list: [write(result)], protocol }, () => [bulkReply(result)]);
  }
}
