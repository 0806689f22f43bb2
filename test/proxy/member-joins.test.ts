/** Sets put together of what DUMP gives: beside what plain JavaScript makes of their members. */
import t from 'tap';
import { joinedCommand } from '../../src/proxy/member-joins.js';
import { RedisServer } from '../help/redis-server.js';
import { parseReply, type Value } from '../help/reference-parser.js';
import { connect, type RespClient } from '../help/resp-client.js';

const LONG = 'long and much the same '.repeat(20);

/** By how Redis keeps them: hash tables, and what it makes of members there; integers of 16, 32 and 64 bits. */
const SETS: Readonly<Record<string, readonly string[]>> = {
  plain: ['a', 'b', 'c', '', 'x'.repeat(63), 'x'.repeat(64), 'y'.repeat(20_000), '\x00\xff\r\n', '1', '-1'],
  likewise: ['b', 'c', 'd', '', 'x'.repeat(64), '\x00\xff\r\n', '300', '-300', '70000', '-70000', '01', '5000000000'],
  compressed: [LONG, `${LONG}!`, 'a'.repeat(5_000), 'ab'.repeat(300), 'c'],
  alike: ['a'.repeat(5_000), LONG, 'd'],
  tiny: ['1', '2', '3', '-300', '32767', '-32768'],
  middling: ['1', '300', '70000', '-70000', '2147483647', '-2147483648'],
  wide: ['1', '-9223372036854775808', '9223372036854775807', '5000000000', '70000'],
  many: Array.from({ length: 5_000 }, (_, number) => `member:${number * 3}`),
  more: Array.from({ length: 3_000 }, (_, number) => `member:${number * 5}`),
  numbers: Array.from({ length: 600 }, (_, number) => String(number * 1_000_003 - 300_000_000)),
  packed: Array.from({ length: 400 }, (_, number) => String(number * 7)),
  nothing: [],
};

async function dumpsOf(client: RespClient): Promise<Map<string, Uint8Array>> {
  const dumps = new Map<string, Uint8Array>();
  for (const [name, members] of Object.entries(SETS)) {
    if (members.length > 0)
      await client.command('SADD', name, ...members.map((member) => Buffer.from(member, 'latin1')));
    const dump = parseReply(await client.raw('DUMP', name))?.value;
    dumps.set(name, dump === null ? new Uint8Array(0) : Buffer.from(dump as unknown as string, 'latin1'));
  }
  return dumps;
}

function membersIn(reply: Buffer): string[] {
  return ((parseReply(reply)?.value ?? []) as Value[]).map(String);
}

function expected(command: string, names: readonly string[]): string[] {
  const [first, ...others] = names.map((name) => new Set(SETS[name])) as [Set<string>, ...Set<string>[]];
  if (command === 'SUNION') return [...new Set(names.flatMap((name) => SETS[name] ?? []))].sort();
  const isWanted = (member: string) =>
    command === 'SDIFF' ? !others.some((set) => set.has(member)) : others.every((set) => set.has(member));
  return [...first].filter(isWanted).sort();
}

function join(words: readonly string[], values: readonly Uint8Array[], protocol: 2 | 3 = 2): Buffer | null {
  const reply = joinedCommand(
    words.map((word) => Buffer.from(word)),
    protocol,
  )?.join(values);
  return reply === null || reply === undefined ? null : Buffer.from(reply);
}

t.test('sets of every kind are put together as they are', async (t) => {
  const server = await RedisServer.start();
  t.teardown(() => server.stop());
  const dumps = await dumpsOf(await connect(t, server.port));
  const names = Object.keys(SETS);
  for (const one of names) {
    for (const other of names) {
      for (const third of ['', 'plain', 'more', 'nothing']) {
        const keys = [one, other, ...(third === '' ? [] : [third])];
        const values = keys.map((key) => dumps.get(key) as Uint8Array);
        for (const command of ['SINTER', 'SUNION', 'SDIFF']) {
          const reply = join([command, ...keys], values);
          const members = reply === null ? null : membersIn(reply).sort();
          const wanted = expected(command, keys);
          if (JSON.stringify(members) !== JSON.stringify(wanted)) t.same(members, wanted, `${command} ${keys}`);
        }
        const count = expected('SINTER', keys).length;
        const card = ['SINTERCARD', String(keys.length), ...keys];
        t.equal(join(card, values)?.toString(), `:${count}\r\n`);
        t.equal(join([...card, 'LIMIT', '2'], values)?.toString(), `:${Math.min(count, 2)}\r\n`);
        t.equal(join([...card, 'limit', '0'], values)?.toString(), `:${count}\r\n`);
      }
    }
  }
});

t.test('in RESP3 the reply is a set', async (t) => {
  const value = Buffer.from('\x02\x01\x01a0123456789', 'latin1');
  t.equal(join(['SINTER', 'a', 'b'], [value, value], 3)?.toString(), '~1\r\n$1\r\na\r\n');
  t.equal(join(['SDIFF', 'a', 'b'], [value, value], 3)?.toString(), '~0\r\n');
});

t.test('of sorted sets, small and large, members are counted, beside those of sets', async (t) => {
  const server = await RedisServer.start();
  t.teardown(() => server.stop());
  const client = await connect(t, server.port);
  const members = [
    'a',
    'b',
    'x'.repeat(63),
    '7',
    '127',
    '128',
    '-1',
    '4095',
    '-4096',
    '32767',
    '-32768',
    '8388607',
    '-8388608',
  ];
  members.push('2147483647', '-2147483648', '9223372036854775807', '-9223372036854775808', '007', 'y'.repeat(64), '');
  const scored = members.flatMap((member, at) => [String(at * 1.5 - 7), member]);
  await client.command('ZADD', 'small', ...scored);
  await client.command('ZADD', 'large', ...scored, ...Array.from({ length: 300 }, (_, at) => ['1', `m${at}`]).flat());
  await client.command('CONFIG', 'SET', 'zset-max-listpack-value', '10000');
  await client.command('ZADD', 'packed', '1', 'z'.repeat(5_000), '2', 'z'.repeat(100), '3', 'a');
  await client.command('SADD', 'set', ...members, 'z'.repeat(100));
  t.equal(await client.command('OBJECT', 'ENCODING', 'small'), 'listpack');
  t.equal(await client.command('OBJECT', 'ENCODING', 'large'), 'skiplist');
  t.equal(await client.command('OBJECT', 'ENCODING', 'packed'), 'listpack');
  const dumps = new Map<string, Uint8Array>();
  for (const name of ['small', 'large', 'packed', 'set']) {
    dumps.set(name, Buffer.from(parseReply(await client.raw('DUMP', name))?.value as unknown as string, 'latin1'));
  }
  for (const one of dumps.keys()) {
    for (const other of dumps.keys()) {
      const count = await client.command('ZINTERCARD', '2', one, other);
      const values = [one, other].map((name) => dumps.get(name) as Uint8Array);
      t.equal(join(['ZINTERCARD', '2', one, other], values)?.toString(), `:${count}\r\n`, `${one} ${other}`);
      // As sets are since Redis 7.2.
      const [small, set] = [dumps.get('small'), dumps.get('set')] as [Uint8Array, Uint8Array];
      t.equal(join(['SINTER', one, other], [small, set]), null, 'a sorted set is none that SINTER takes');
    }
  }
});

t.test('the listpack of a set is read, too', async (t) => {
  // As RESTORE of Redis 7.2 takes it: type 20, a string of 15 bytes: its length, 3 entries, "a", 300, 5, the end.
  const listpack = [15, 0, 0, 0, 3, 0, 0x81, 0x61, 2, 0xc1, 0x2c, 2, 5, 1, 0xff];
  const value = Uint8Array.from([20, listpack.length, ...listpack, ...new Array(10).fill(0)]);
  t.equal(
    join(['SUNION', 'a', 'b'], [value, new Uint8Array(0)])?.toString(),
    '*3\r\n$1\r\na\r\n$3\r\n300\r\n$1\r\n5\r\n',
  );
});

t.test('what cannot be read here, or is no form of these commands, is left to a node', async (t) => {
  const set = Buffer.from('\x02\x01\x01a0123456789', 'latin1');
  const string = Buffer.from('\x00\x01a0123456789', 'latin1');
  t.equal(join(['SINTER', 'a', 'b'], [set, string]), null);
  t.equal(join(['SINTER', 'a', 'b'], [string, new Uint8Array(0)]), null);
  for (const words of [
    ['SINTERCARD', '2', 'a', 'b', 'LIMIT', 'x'],
    ['SINTERCARD', '2', 'a', 'b', 'LIMIT', '-1'],
    ['SINTERCARD', '2', 'a', 'b', 'LIMIT'],
    ['SINTERCARD', '2', 'a', 'b', 'LIMIT', '1', '2'],
    ['SINTERCARD', '2', 'a', 'b', 'NO', '1'],
    ['SINTERCARD', '02', 'a', 'b'],
    ['ZDIFF', '2', 'a', 'b'],
  ]) {
    t.equal(
      joinedCommand(
        words.map((word) => Buffer.from(word)),
        2,
      ),
      null,
      words.join(' '),
    );
  }
});

t.test('what would be large when it is no longer compressed is left to a node', async (t) => {
  const server = await RedisServer.start();
  t.teardown(() => server.stop());
  const client = await connect(t, server.port);
  await client.command('SADD', 'set', 'x'.repeat(2 * 1024 * 1024));
  const dump = Buffer.from(parseReply(await client.raw('DUMP', 'set'))?.value as unknown as string, 'latin1');
  t.ok(dump.length < 100_000);
  t.equal(join(['SUNION', 'a', 'b'], [dump, dump]), null);
  t.equal(
    join(['SUNION', 'a', 'b'], [new Uint8Array(0), new Uint8Array(0)])?.toString(),
    '*0\r\n',
    'and the next is well',
  );
});
