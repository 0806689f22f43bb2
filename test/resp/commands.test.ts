import { spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import {
  arityFits,
  COMMANDS,
  type CommandSpec,
  findCommand,
  findSubcommand,
  unknownCommandText,
  unknownSubcommandText,
  wrongArityText,
} from '../../src/resp/commands.js';
import { OWN_COMMANDS } from '../../src/resp/own-commands.js';
import { layOut } from '../help/arguments.js';
import { redisPrograms } from '../help/redis-programs.js';
import { RedisServer } from '../help/redis-server.js';
import { Seeded } from '../transport/seeded.js';

const dist = fileURLToPath(new URL('../..', import.meta.url));

function makeCommands(...args: string[]): { status: number | null; stderr: string } {
  return spawnSync(process.execPath, ['scripts/make-commands.mjs', ...args, '--check'], { encoding: 'utf8' });
}

function spec(name: string): CommandSpec {
  const found = COMMANDS.find((other) => other.name === name);
  if (found === undefined) throw new Error(`no command ${name}`);
  return found;
}

function find(name: string | Uint8Array): CommandSpec | null {
  const { bytes, start, end } = layOut([name]);
  return findCommand(bytes, start[0] as number, end[0] as number);
}

/** Sends one command on a connection of its own and returns the first line of the reply, one character a byte. */
async function firstLine(args: readonly (string | Uint8Array)[]): Promise<string> {
  const words = args.map((arg) => (typeof arg === 'string' ? Buffer.from(arg, 'latin1') : arg));
  const frame = words.flatMap((word) => [Buffer.from(`\r\n$${word.length}\r\n`), word]);
  const socket = connect(redis.socketPath);
  socket.write(Buffer.concat([Buffer.from(`*${words.length}`), ...frame, Buffer.from('\r\n')]));
  let reply = '';
  for await (const bytes of socket) {
    reply += (bytes as Buffer).toString('latin1');
    if (reply.includes('\r\n')) break;
  }
  return reply.slice(0, reply.indexOf('\r\n'));
}

const redis = await RedisServer.start();
t.teardown(() => redis.stop());

t.test('the checked-in command data is what Redis 7.0 says of itself', async (t) => {
  const { version } = await redisPrograms();
  const { status, stderr } = makeCommands('data', '--server', redis.name);
  if (version.startsWith('7.0.')) t.equal(status, 0, stderr);
  else t.match(stderr, /The table is made from Redis 7\.0/);
});

t.test('docs/COMMANDS.md is what the table says', async (t) => {
  const { status, stderr } = makeCommands('docs', '--dist', dist);
  t.equal(status, 0, stderr);
});

t.test('every command and subcommand is found in lower, upper and mixed case', async (t) => {
  for (const wanted of COMMANDS) {
    const [container, own] = wanted.name.split('|') as [string, string | undefined];
    const name = own ?? container;
    const mixed = [...name].map((letter, i) => (i % 2 === 0 ? letter.toUpperCase() : letter)).join('');
    for (const written of [name, name.toUpperCase(), mixed]) {
      const { bytes, start, end } = layOut([container, written]);
      const outer = findCommand(bytes, start[0] as number, end[0] as number);
      if (own === undefined) t.equal(find(written), wanted);
      else t.equal(outer && findSubcommand(outer, bytes, start[1] as number, end[1] as number), wanted, wanted.name);
    }
  }
  t.equal(findSubcommand(spec('client'), Buffer.from('get'), 0, 3), null, 'a command is no subcommand');
  t.equal(find('id'), null, 'and a subcommand no command');
});

t.test('what differs from a command in any one bit, or in its length, is not it', async (t) => {
  const wrong: string[] = [];
  for (const wanted of COMMANDS.filter((other) => !other.name.includes('|'))) {
    const name = Buffer.from(wanted.name);
    t.not(find(`${wanted.name}x`), wanted);
    t.not(find(wanted.name.slice(1)), wanted);
    t.not(find(wanted.name.slice(0, -1)), wanted);
    for (let i = 0; i < name.length; i++) {
      for (let bit = 0; bit < 8; bit++) {
        const changed = Buffer.from(name);
        changed[i] = (name[i] as number) ^ (1 << bit);
        const isSame = changed.toString('latin1').toLowerCase() === wanted.name;
        if (isSame !== (find(changed) === wanted)) wrong.push(`${wanted.name}, byte ${i}, bit ${bit}`);
      }
    }
  }
  t.strictSame(wrong, []);
  t.equal(find(''), null);
  t.equal(find('g'), null);
  t.equal(find(Buffer.alloc(100, 'g')), null);
});

t.test('what is gathered follows from the key specifications, and only SORT has patterns', async (t) => {
  const gathered = COMMANDS.filter(({ gathers }) => gathers).map(({ name }) => name);
  const reads =
    'eval_ro evalsha_ro fcall_ro lcs pfcount sdiff sinter sintercard sort_ro sunion xread zdiff zinter zintercard zunion';
  const writes = `bitop copy georadius georadiusbymember geosearchstore pfmerge sdiffstore sinterstore sort sunionstore zdiffstore
    zinterstore zrangestore zunionstore`;
  t.same(gathered, [...reads.split(' '), ...writes.split(/\s+/)].sort());
  t.same(
    COMMANDS.filter(({ hasPatterns }) => hasPatterns).map(({ name }) => name),
    ['sort', 'sort_ro'],
  );
});

t.test('random names are found exactly when they are in the list', async (t) => {
  const random = new Seeded();
  t.comment(`seed ${random.seed}`);
  const names = new Set(COMMANDS.map((other) => other.name));
  const wrong: string[] = [];
  for (let i = 0; i < 20_000; i++) {
    const name = Array.from({ length: 1 + random.below(4) }, () => random.pick([...'adeglst'])).join('');
    const found = find(name);
    if ((found?.name === name) !== names.has(name)) wrong.push(`${name} gives ${found?.name}`);
  }
  t.strictSame(wrong, []);
});

t.test('unknown commands are answered in the words of a real Redis', async (t) => {
  const long = 'x'.repeat(100);
  const cases: (string | Uint8Array)[][] = [
    ['foo'],
    ['FOO', 'a', 'b'],
    ['foo', ''],
    ['', 'a'],
    ['foo', long, long, 'never shown'],
    ['foo', 'y'.repeat(126), 'z'],
    ['foo', 'y'.repeat(125), 'z'],
    ['foo', 'y'.repeat(124), 'zz'],
    ['foo', 'y'.repeat(128), 'z'],
    ['foo', 'y'.repeat(1000), 'z'],
    [long + long, 'a'],
    ['foo\r\nbar', 'a\nb', '\r'],
    ['foo\0bar', 'a\0b', 'c'],
    [Buffer.from([0xff, 0xfe, 0x80]), Buffer.from([0xc3, 0x28, 0x01])],
    ['get|x', 'a'],
    ['client|id'],
    ...Array.from({ length: 30 }, (_, i) => [
      'foo',
      ...Array.from({ length: i + 1 }, (_, j) => 'w'.repeat(j + (i % 7))),
    ]),
  ];
  for (const args of cases) {
    const { bytes, start, end, count } = layOut(args);
    t.equal(`-${unknownCommandText(bytes, start, end, count)}`, await firstLine(args));
  }
});

t.test('unknown subcommands are answered in the words of a real Redis', async (t) => {
  for (const container of COMMANDS.filter((other) => other.subcommands !== null)) {
    for (const word of ['foo', '', 'FoO', 'x'.repeat(200), 'a\r\nb', 'maint_notifications', '\xff\xfe', 'a\0b']) {
      const { bytes, start, end } = layOut([container.name, word]);
      const from = start[1] as number;
      const to = end[1] as number;
      t.equal(findSubcommand(container, bytes, from, to), null);
      const text = unknownSubcommandText(container, bytes, from, to);
      t.equal(`-${text}`, await firstLine([container.name, word]));
    }
  }
});

t.test('a wrong number of arguments is seen, and answered in the words of a real Redis', async (t) => {
  // CLIENT SETINFO is of Redis 7.2, and LOCK.ACQUIRE and RL.FENCED of no Redis.
  const own = new Set(['client|setinfo', ...OWN_COMMANDS.map(({ name }) => name)]);
  for (const wanted of COMMANDS.filter(({ name }) => !own.has(name))) {
    const words = wanted.name.split('|');
    const least = Math.abs(wanted.arity);
    t.notOk(arityFits(wanted, least - 1));
    t.ok(arityFits(wanted, least));
    t.equal(arityFits(wanted, least + 1), wanted.arity < 0);
    const counts = wanted.arity < 0 ? [least - 1] : [least - 1, least + 1];
    // A container with a second argument is its subcommand, and a name alone is the least there can be.
    for (const count of counts.filter((other) => other >= words.length)) {
      const args = [...words, ...Array.from({ length: count - words.length }, () => '1')];
      t.equal(await firstLine(args), `-${wrongArityText(wanted)}`, args.join(' '));
    }
  }
});

t.test('the commands of the first release are routed as promised', async (t) => {
  const promised = {
    split: 'mget mset del unlink exists touch',
    all: 'dbsize flushall flushdb info keys randomkey script|load script|exists script|flush script|kill config|set pubsub|channels pubsub|numsub',
    scan: 'scan',
    transaction: 'multi exec discard watch',
    block: 'blpop bzmpop xread xreadgroup',
    wait: 'wait',
    publish: 'publish spublish',
    subscribe: 'subscribe psubscribe ssubscribe unsubscribe punsubscribe sunsubscribe',
    any: 'config|get',
    describe: 'command command|count command|docs command|info command|getkeys',
    clients: 'client|list client|kill client|pause client|unpause',
    local:
      'cluster|slots readonly ping echo quit hello client|id client|setname client|getname client|setinfo client|info select auth',
    one: 'get set hset lpush zadd sadd xadd eval evalsha sort move object|encoding xinfo|stream rename copy',
    monitor: 'monitor',
    reject: 'script|debug shutdown cluster|meet',
  };
  for (const [route, names] of Object.entries(promised)) {
    for (const name of names.split(' ')) t.equal(spec(name).route, route, name);
  }
  t.equal(spec('client').subcommands?.get('maint_notifications'), undefined, 'as a Redis without it');
});

t.test('every refusal says what is refused and why, or is in the words of Redis', async (t) => {
  for (const refused of COMMANDS.filter((other) => other.route === 'reject')) {
    const words = refused.name.split('|');
    const ours = `ERR ${words.join(' ').toUpperCase()} is not supported by this proxy: `;
    if (refused.reason.startsWith(ours) && refused.reason.length > ours.length + 10) continue;
    const args = [...words, ...Array.from({ length: Math.abs(refused.arity) - words.length }, () => '1')];
    const sent = refused.subcommands === null ? args : words;
    t.equal(`-${refused.reason}`, await firstLine(sent), refused.name);
  }
});

t.test('what may change data is told from what may be sent again', async (t) => {
  const names = COMMANDS.filter((other) => other.route !== 'reject' && other.route !== 'local');
  for (const name of 'set del flushall eval evalsha fcall xreadgroup getex sort spop restore script|load script|kill'.split(
    ' ',
  )) {
    t.ok(spec(name).write, name);
  }
  for (const name of 'get mget eval_ro evalsha_ro fcall_ro sort_ro dbsize info config|get pfcount'.split(' ')) {
    t.notOk(spec(name).write, name);
  }
  for (const other of names) t.notOk(other.write && other.readonly, other.name);
});

t.test('every command that is cut up has the merge rule that the proxy knows', async (t) => {
  const policies = COMMANDS.filter((other) => other.route === 'split').map((other) => [
    other.name,
    other.keys,
    other.keyStep,
    other.responsePolicy,
  ]);
  t.strictSame(policies, [
    ['del', 'range', 1, 'agg_sum'],
    ['exists', 'range', 1, 'agg_sum'],
    ['mget', 'range', 1, null],
    ['mset', 'range', 2, 'all_succeeded'],
    ['touch', 'range', 1, 'agg_sum'],
    ['unlink', 'range', 1, 'agg_sum'],
  ]);
});
