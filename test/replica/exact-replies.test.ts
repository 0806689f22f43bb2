/**
 * Replies to commands that a step carried out are byte for byte those that the client would have had from Redis itself, in its
 * protocol: each command through ACCEPT on a key, alone and in a list, and plain on another key in the same state.
 */
import t, { type Test } from 'tap';
import { makeBallot, NEVER, proposerNumber } from '../../src/replica/ballot.js';
import type { Command } from '../../src/replica/commands.js';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import { findCommand } from '../../src/resp/commands.js';
import { encodeCommand } from '../../src/resp/reply.js';
import { type ReplicaNode, startReplicaNode } from '../help/replica-node.js';
import { RespClient } from '../help/resp-client.js';

/** What a key holds before, as commands. */
const STATES: Readonly<Record<string, readonly string[]>> = {
  none: [],
  number: ['SET K 41', 'PEXPIREAT K 4000000000123'],
  wide: ['SET K 9223372036854775800'],
  narrow: ['SET K -9007199254740991'],
  text: ['SET K abc'],
  list: ['RPUSH K a b c a'],
  hash: ['HSET K f 1 g 9223372036854775800 h text'],
  set: ['SADD K 1 2 3'],
  zset: ['ZADD K 1 a 2.5 b 3 c inf d'],
  stream: ['XADD K 1-1 f v', 'XADD K 2-1 f v', 'XGROUP CREATE K grp 0', 'XREADGROUP GROUP grp me COUNT 1 STREAMS K >'],
  hll: ['PFADD K a b c'],
};

/** Every command that a replicated key is sent, and some that are sent in no other form than the watch form. */
const COMMANDS: readonly string[] = `
SET K v | SET K v PXAT 4000000000999 | SET K v KEEPTTL | SET K v NX | SET K v XX | SET K v GET | SET K v BAD
SET K v NX GET | SETNX K v | GETSET K v | GETDEL K | APPEND K x | SETRANGE K 2 zz | SETRANGE K 0 EMPTY | INCR K
DECR K | INCRBY K 7 | INCRBY K 8 | DECRBY K 3 | INCRBYFLOAT K 0.5 | INCRBY K nan | DEL K | UNLINK K | PERSIST K
PEXPIREAT K 4000000000999 GT | EXPIREAT K 4000000000 NX | PEXPIREAT K x | SETBIT K 3 1
BITFIELD K SET i64 0 9223372036854775807 GET i64 0 INCRBY u8 0 255 | BITFIELD K OVERFLOW FAIL INCRBY u2 0 3 | GET K
STRLEN K | GETRANGE K 0 1 | GETBIT K 3 | BITCOUNT K | BITPOS K 1 | EXISTS K | TYPE K | GETEX K PXAT 4000000000999
PEXPIRETIME K | EXPIRETIME K | OBJECT ENCODING K | BITFIELD_RO K GET u63 0 | DUMP K | LCS K K | LCS K K IDX
LPUSH K x | RPUSH K x y | LPUSHX K x | RPUSHX K x | LPOP K | LPOP K 2 | LPOP K 0 | RPOP K | RPOP K 9 | LSET K 1 x
LREM K 0 a | LTRIM K 1 2 | LTRIM K 9 9 | LINSERT K BEFORE b x | LMOVE K K LEFT RIGHT | RPOPLPUSH K K
LMPOP 1 K LEFT COUNT 2 | LINDEX K 9 | LINDEX K 0 | LLEN K | LRANGE K 0 -1 | LPOS K a | LPOS K q | LPOS K a COUNT 0
HSET K f 2 i 3 | HMSET K f 2 | HSETNX K f 1 | HSETNX K n 1 | HDEL K f | HDEL K f g h | HINCRBY K f 2 | HINCRBY K g 7
HINCRBY K g 8 | HINCRBYFLOAT K f 1.5 | HGET K f | HGET K q | HMGET K f q | HLEN K | HEXISTS K f | HKEYS K | HVALS K
HSTRLEN K f | HGETALL K | HRANDFIELD K 9 WITHVALUES | SADD K 3 4 | SREM K 1 | SREM K 1 2 3 | SCARD K | SISMEMBER K 1
SMISMEMBER K 1 9 | SMEMBERS K | SPOP K 0 | ZADD K 5 e | ZADD K NX 5 a | ZADD K INCR 1 a | ZADD K NX INCR 1 a
ZADD K XX 1 q | ZADD K CH 9 a 9 b | ZADD K nan a | ZINCRBY K 1.5 a | ZINCRBY K -inf d | ZREM K a | ZREM K a b c d
ZREMRANGEBYRANK K 0 1 | ZREMRANGEBYSCORE K 1 2 | ZREMRANGEBYLEX K - + | ZPOPMIN K | ZPOPMAX K 2 | ZPOPMIN K 0
ZMPOP 1 K MIN | ZMPOP 1 K MAX COUNT 2 | ZSCORE K a | ZSCORE K q | ZMSCORE K a q | ZRANGE K 0 -1
ZRANGE K 0 -1 WITHSCORES | ZRANGEBYSCORE K 1 3 WITHSCORES | ZREVRANGE K 0 -1 | ZREVRANGEBYSCORE K 3 1 | ZCARD K
ZCOUNT K 1 2 | ZLEXCOUNT K - + | ZRANGEBYLEX K - + | ZREVRANGEBYLEX K + - | ZRANK K a | ZRANK K q
ZRANDMEMBER K 9 WITHSCORES | XADD K 5-1 f v | XADD K 1-0 f v | XADD K NOMKSTREAM 9-9 f v | XADD K MAXLEN = 1 6-1 f v
XDEL K 1-1 | XTRIM K MAXLEN = 1 | XLEN K | XACK K grp 1-1 | XGROUP CREATE K new 0 | XGROUP CREATE K grp 0
XGROUP CREATE K g2 0 MKSTREAM | XGROUP SETID K nope 0 | XGROUP DESTROY K grp | XGROUP CREATECONSUMER K grp me
XGROUP DELCONSUMER K grp me | XSETID K 9-9 | XRANGE K - + | XREVRANGE K + - | XPENDING K grp
XCLAIM K grp you 0 1-1 TIME 4000000000000 JUSTID | XCLAIM K grp you 0 1-1 TIME 4000000000000 | XREAD STREAMS K 0
XREAD STREAMS K 99 | XINFO STREAM K | PFADD K d | PFADD K a | PFCOUNT K | GEOADD K 1 2 m | GEOPOS K a | GEODIST K a b
SRANDMEMBER K 0 | SRANDMEMBER K 9 | HSCAN K 0 | SSCAN K 0 | ZSCAN K 0 | MGET K | TOUCH K | OBJECT REFCOUNT K
SINTERCARD 1 K | ZINTERCARD 1 K | GEOHASH K a q | GEOSEARCH K FROMLONLAT 0 0 BYRADIUS 9 km WITHDIST
`
  .trim()
  .split(/ \| |\n/);

const SCRIPTS: readonly string[] = [
  "return redis.call('INCR', KEYS[1])",
  'return {1, {2, false, true}, "x"}',
  "redis.setresp(3); return redis.call('HGETALL', KEYS[1])",
  "redis.call('SET', KEYS[1], 'v'); return redis.error_reply('MYERR done')",
  "return redis.call('nonsense')",
  'return {double=3.5}',
];

for (const protocol of [2, 3] as const) {
  t.test(`each command in RESP${protocol}: on a replicated key as on a plain one`, async (t) => {
    const [server, node] = await startReplicaNode(t);
    const plain = await connectPlain(t, server.port, protocol);
    const record = await node.admit();
    const commands = [...COMMANDS.map(words), ...SCRIPTS.map((source) => ['EVAL', source, '1', 'K'])];
    let count = 0;
    for (const [state, steps] of Object.entries(STATES)) {
      for (const command of commands) {
        // It has the time at which its consumer was seen, of either key another.
        if (state === 'stream' && command[0] === 'DUMP') continue;
        const [own, other] = [`a${count}`, `b${count}`];
        count++;
        await Promise.all(steps.flatMap((step) => [own, other].map((key) => plain.raw(...on(words(step), key)))));
        const what = `${state}: ${command.join(' ')}`;
        const reads: string[] = [];
        if (isReading(command)) await adopt(node, own);
        for (const isFull of isReading(command) ? [false, true] : []) {
          node.isFull = isFull;
          reads.push(await readReply(node, own, record, on(command, own), protocol));
        }
        const expected = (await plain.raw(...on(command, other))).toString('latin1');
        const list = [on(command, own).map((word) => Buffer.from(word))];
        // One key in two has its command in a list, where it is carried out in another way.
        const isListed = count % 2 === 0;
        if (isListed) list.unshift([Buffer.from('EXISTS'), Buffer.from(own)]);
        const replies = await accept(node, own, record, list, protocol);
        const found = replies.at(-1);
        if (found?.replaceAll(own, other) !== expected) t.equal(found, expected, what);
        for (const read of reads) {
          if (read.replaceAll(own, other) !== expected) t.equal(read, expected, `${what}, read`);
        }
        const [left, right, metaReply, existsReply, expiryReply] = await Promise.all([
          contents(plain, own),
          contents(plain, other),
          plain.raw('GET', `~rl:m:${own}`),
          plain.raw('EXISTS', own),
          plain.raw('PEXPIRETIME', own),
        ]);
        if (left !== right) t.equal(left, right, `what is left after ${what}`);
        const meta = metaReply.toString('latin1').split('\r\n')[1]?.slice(82);
        const exists = existsReply.toString() === ':1\r\n';
        const expireAt = expiryReply.toString().slice(1, -2);
        const tail = exists ? `1${expireAt === '-1' ? '0' : expireAt}` : '00';
        if (meta !== tail) t.equal(meta, tail, `the meta after ${what}`);
      }
    }
    t.ok(count > 1500, `${count} were compared`);
    t.equal(node.pushes, 1, 'the node has given up nothing');
  });
}

t.test('a command of tens of thousands of words is carried out whole', async (t) => {
  const [, node] = await startReplicaNode(t);
  const record = await node.admit();
  for (const count of [6990, 7010, 20_000]) {
    const members = Array.from({ length: count }, (_, index) => Buffer.from(`m${index}`));
    const replies = await accept(
      node,
      `s${count}`,
      record,
      [[Buffer.from('SADD'), Buffer.from(`s${count}`), ...members]],
      2,
    );
    t.same(replies, [`:${count}\r\n`]);
  }
});

async function connectPlain(t: Test, port: number, protocol: 2 | 3): Promise<RespClient> {
  const client = await RespClient.connect(port);
  t.teardown(() => client.close());
  await client.raw('HELLO', `${protocol}`);
  return client;
}

/** Whatever the key holds becomes its state under a first ballot, as if it had been written so. */
async function adopt(node: ReplicaNode, key: string): Promise<{ live: boolean; expireAt: number }> {
  const [expiry] = await node.exchange(encodeCommand(['PEXPIRETIME', key]), 1);
  const expireAt = Math.max(0, Number(String(expiry).slice(1, -2)));
  const live = String(expiry) !== ':-2\r\n';
  const facts = `${ballot(1)}${NO_LINEAGE}${live ? 1 : 0}${expireAt}`;
  await node.exchange(encodeCommand(['SET', `~rl:m:${key}`, `${ballot(2)}${facts}`]), 1);
  return { live, expireAt };
}

/** Whatever the key holds becomes its state under a first ballot, and the commands are carried out on that. */
async function accept(
  node: ReplicaNode,
  key: string,
  record: string,
  list: readonly Command[],
  protocol: 2 | 3,
): Promise<string[]> {
  const [first, second] = [ballot(1), ballot(2)];
  const name = Buffer.from(key);
  const { live, expireAt } = await adopt(node, key);
  const answer = await node.perform(
    {
      kind: 'accept',
      ballot: second,
      base: first,
      expected: { accepted: first, lineage: NO_LINEAGE, live, expireAt },
      lineage: NO_LINEAGE,
      expired: false,
      commands: { list, protocol },
      setsExpiry: 0,
      next: NEVER,
    },
    name,
    record,
  );
  if (answer.kind !== 'ok' || !('replies' in answer)) return [JSON.stringify(answer)];
  return (answer.replies ?? []).map((reply) => Buffer.from(reply).toString('latin1'));
}

function isReading([name]: readonly string[]): boolean {
  const bytes = Buffer.from(name as string);
  return findCommand(bytes, 0, bytes.length)?.readonly === true && name !== 'PFCOUNT';
}

async function readReply(node: ReplicaNode, key: string, record: string, command: string[], protocol: 2 | 3) {
  const list = [command.map((word) => Buffer.from(word))];
  const view = await node.perform({ kind: 'read', commands: { list, protocol } }, Buffer.from(key), record);
  if (view.kind !== 'view') return JSON.stringify(view);
  return Buffer.from(view.replies?.[0] ?? []).toString('latin1');
}

function ballot(counter: number): string {
  return makeBallot(0, counter, proposerNumber(0, 7));
}

/** All that a key holds; of a stream without the times at which its consumers were seen. */
async function contents(client: RespClient, key: string): Promise<string> {
  const [type, dump] = await Promise.all([client.raw('TYPE', key), client.raw('DUMP', key)]);
  if (type.toString() !== '+stream\r\n') return dump.toString('latin1');
  const parts = [await client.raw('XRANGE', key, '-', '+'), await client.raw('XINFO', 'GROUPS', key)];
  return Buffer.concat(parts).toString('latin1');
}

function words(text: string): string[] {
  return text.split(' ');
}

function on(command: readonly string[], key: string): string[] {
  return command.map((word) => (word === 'K' ? key : word === 'EMPTY' ? '' : word));
}
