/** Three shards' replies made one: MGET of twelve keys, DEL, MSET. Nanoseconds and bytes allocated per command. */
import { PendingPool, type ReplyOwner } from '../../src/backend/pending.js';
import { MergePool } from '../../src/proxy/merge.js';
import { type ResponsePolicy, responsePolicy } from '../../src/proxy/response-policy.js';
import type { Session } from '../../src/proxy/session.js';
import { Arena, UNIT_BYTES } from '../../src/transport/arena.js';
import { Output } from '../../src/transport/output.js';
import { type Measurement, measure } from './measure.js';

const PARTS = 3;
const KEYS = 12;
const OPERATIONS = 100_000;

export function run(): Measurement[] {
  const value = `$64\r\n${'x'.repeat(64)}\r\n`;
  return [
    mergeCase(
      'MGET of 12 keys over 3 shards',
      responsePolicy(null, true),
      `*${KEYS / PARTS}\r\n${value.repeat(KEYS / PARTS)}`,
    ),
    mergeCase('DEL over 3 shards', responsePolicy('agg_sum', true), ':4\r\n'),
    mergeCase('MSET over 3 shards', responsePolicy('all_succeeded', true), '+OK\r\n'),
  ];
}

function mergeCase(name: string, policy: ResponsePolicy, reply: string): Measurement {
  const arena = new Arena(new ArrayBuffer(16 * UNIT_BYTES));
  const pendings = new PendingPool();
  const merges = new MergePool(arena, pendings);
  const output = new Output(arena, false);
  const start = arena.allocate(reply.length);
  arena.bytes.set(Buffer.from(reply), start);
  // A merge asks no more of a session than this.
  const session = { isClosed: false, complete: () => {} } as unknown as Session & ReplyOwner;
  return measure(name, OPERATIONS, () => {
    for (let n = 0; n < OPERATIONS; n++) {
      const merge = merges.take(policy, false);
      const head = pendings.take(session, 0, false);
      merge.addSession(session, head);
      const parts = [merge.addPart('a', 0, false), merge.addPart('b', 0, false), merge.addPart('c', 0, false)];
      if (reply.startsWith('*')) for (let key = 0; key < KEYS; key++) merge.addKey(key % PARTS);
      for (const part of parts) merge.onReply(part, start, start + reply.length);
      merge.writeReply(output);
      pendings.release(head);
      while (output.unsentBytes > 0) output.advance(output.unsentLength());
    }
  });
}
