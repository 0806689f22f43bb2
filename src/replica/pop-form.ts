/** SPOP: which members is read first (SRANDMEMBER at one node), then all nodes take away those. */
import { type Protocol, setHeader } from '../resp/reply.js';
import { bulkAt, bulksOf } from './bulk-array.js';
import type { Command } from './commands.js';
import { all, everywhere, isWrongType, type KeyOperation, oneNode, planned } from './key-operation.js';
import { integerOf, word } from './words.js';

const SRANDMEMBER = word('SRANDMEMBER');
const SREM = word('SREM');

export function spopForm(words: Command, protocol: Protocol): KeyOperation {
  const [, key, count, ...rest] = words as [Uint8Array, Uint8Array, ...Uint8Array[]];
  // A fault in the count, and none to take: the same on all nodes.
  if (rest.length > 0 || (count !== undefined && (integerOf(count) ?? 0n) <= 0n)) return everywhere(words, protocol);
  const random = count === undefined ? [SRANDMEMBER, key] : [SRANDMEMBER, key, count];
  return planned(words, protocol, (base, found, plain) => {
    if (!base.live) return all(plain);
    if (found === null) return { kind: 'read', commands: { list: [random], protocol } };
    const reply = found[0] as Uint8Array;
    if (isWrongType(reply)) return all(plain);
    const single = bulkAt(reply);
    const members = single === null ? bulksOf(reply) : [single];
    if (members === null || members.length === 0) return oneNode(plain);
    const popped = count === undefined ? reply : asSet(reply, members.length, protocol);
    return all({ list: [[SREM, key, ...members]], protocol }, () => [popped]);
  });
}

/** SRANDMEMBER's array, since it may repeat, as SPOP's set. */
function asSet(reply: Uint8Array, count: number, protocol: Protocol): Uint8Array {
  return Buffer.concat([setHeader(count, protocol), reply.subarray(reply.indexOf(0x0a) + 1)]);
}
