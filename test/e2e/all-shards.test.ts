/** KEYS, RANDOMKEY, SCAN, SCRIPT and FUNCTION over three real servers, next to one Redis that has the same keys. */
import t, { type Test } from 'tap';
import { type Deployment, deploy } from '../help/deployment.js';
import { RedisServer } from '../help/redis-server.js';
import { connect, type RespClient, say } from '../help/resp-client.js';

/** The proxy, and one Redis to compare it with. */
async function setUp(t: Test): Promise<{ deployment: Deployment; ours: RespClient; theirs: RespClient }> {
  const deployment = await deploy(t);
  const single = await RedisServer.start();
  t.teardown(() => single.stop());
  return { deployment, ours: await connect(t, deployment.port), theirs: await connect(t, single.port) };
}

async function keys(client: RespClient, pattern: string): Promise<string[]> {
  return [...((await client.command('KEYS', pattern)) as readonly string[])].sort();
}

const IN_THE_WAY = /^-ERR node \S+ has a key '.*' of another layout, .*; the command had no effect\./;

/** A cursor, and keys. */
type Page = readonly [string, readonly string[]];

const LIBRARY = "#!lua name=l\nredis.register_function('f', function(keys, args) return {keys[1], args[1]} end)";

/** All keys that a whole SCAN finds, each as often as it came. */
async function scan(client: RespClient, ...options: string[]): Promise<string[]> {
  const found: string[] = [];
  let cursor = '0';
  do {
    const [next, page] = (await client.command('SCAN', cursor, ...options)) as unknown as Page;
    found.push(...page);
    cursor = next;
  } while (cursor !== '0');
  return found.sort();
}

const WRITERS: ((key: string) => string[])[] = [
  (key) => ['SET', key, 'x'],
  (key) => ['HSET', key, 'f', 'v'],
  (key) => ['RPUSH', key, 'x'],
];

/** Writes keys of three types to both; returns them sorted. */
async function fill(clients: readonly RespClient[], count: number): Promise<string[]> {
  const names = Array.from({ length: count }, (_, n) => `${n % 2 === 0 ? 'even' : 'odd'}:${n}`);
  for (const client of clients) {
    for (const [n, name] of names.entries()) {
      const reply = client.raw(...(WRITERS[n % WRITERS.length] as (key: string) => string[])(name));
      if (n % 500 === 499 || n === count - 1) await reply;
    }
  }
  return names.sort();
}

t.test('KEYS and SCAN find every key of all shards once, in RESP2 and RESP3', async (t) => {
  const { ours, theirs } = await setUp(t);
  const names = await fill([ours, theirs], 3_000);
  for (const protocol of ['2', '3']) {
    await ours.raw('HELLO', protocol);
    t.same(await keys(ours, '*'), names);
    t.same(await keys(ours, 'odd:1*'), await keys(theirs, 'odd:1*'));
    t.same(await keys(ours, 'nothing*'), []);
    t.same(await scan(ours), names, 'with the smallest pages');
    t.same(await scan(ours, 'COUNT', '1000'), names);
    t.same(await scan(ours, 'MATCH', 'even:*', 'COUNT', '77'), await scan(theirs, 'MATCH', 'even:*'));
    t.same(await scan(ours, 'TYPE', 'hash', 'COUNT', '100'), await scan(theirs, 'TYPE', 'hash'));
  }
});

t.test('several SCANs at once, by several clients, do not disturb each other', async (t) => {
  const { deployment, ours } = await setUp(t);
  const names = await fill([ours], 1_000);
  const clients = await Promise.all(Array.from({ length: 8 }, () => connect(t, deployment.port)));
  const found = await Promise.all(clients.map((client, index) => scan(client, 'COUNT', String(7 + index * 10))));
  for (const own of found) t.same(own, names);
});

t.test('what is there from the beginning to the end is found, whatever comes and goes meanwhile', async (t) => {
  const { deployment, ours } = await setUp(t);
  const names = await fill([ours], 2_000);
  const busy = await connect(t, deployment.port);
  let isDone = false;
  const churn = (async () => {
    for (let n = 0; !isDone; n++) {
      await busy.raw('SET', `passing:${n % 5_000}`, 'x');
      if (n % 3 === 0) await busy.raw('DEL', `passing:${(n * 7) % 5_000}`);
    }
  })();
  const found = new Set(await scan(ours, 'COUNT', '5'));
  isDone = true;
  await churn;
  t.same(
    names.filter((name) => !found.has(name)),
    [],
  );
});

t.test('errors are those of one Redis, byte for byte', async (t) => {
  const { ours, theirs } = await setUp(t);
  for (const words of [
    ['SCAN'],
    ['SCAN', 'x'],
    ['SCAN', '18446744073709551616'],
    ['SCAN', 'x', 'NONSENSE'],
    ['SCAN', '0', 'COUNT', '0'],
    ['SCAN', '0', 'COUNT', 'x'],
    ['SCAN', '0', 'NONSENSE'],
    ['SCAN', '0', 'MATCH'],
    ['KEYS'],
    ['KEYS', '*'],
    ['KEYS', 'a', 'b'],
    ['RANDOMKEY'],
    ['RANDOMKEY', 'x'],
    ['SCRIPT', 'LOAD', 'return 1'],
    ['SCRIPT', 'LOAD', 'return ('],
    ['SCRIPT', 'LOAD'],
    ['SCRIPT', 'EXISTS', 'e0e1f9fabfc9d4800c877a703b823ac0578ff8db', 'x', 'E0E1F9FABFC9D4800C877A703B823AC0578FF8DB'],
    ['SCRIPT', 'EXISTS'],
    ['EVALSHA', 'e0e1f9fabfc9d4800c877a703b823ac0578ff8db', '0'],
    ['SCRIPT', 'FLUSH', 'NONSENSE'],
    ['SCRIPT', 'FLUSH', 'ASYNC'],
    ['SCRIPT', 'EXISTS', 'e0e1f9fabfc9d4800c877a703b823ac0578ff8db'],
    ['EVALSHA', 'e0e1f9fabfc9d4800c877a703b823ac0578ff8db', '0'],
    ['SCRIPT', 'FLUSH', 'SYNC'],
    ['SCRIPT', 'KILL'],
    ['SCRIPT', 'KILL', 'x'],
    ['SCRIPT', 'NONSENSE'],
    ['FUNCTION', 'LOAD', LIBRARY],
    ['FUNCTION', 'LOAD', LIBRARY],
    ['FUNCTION', 'LOAD', 'REPLACE', LIBRARY],
    ['FUNCTION', 'LOAD', '#!lua name=broken\nreturn ('],
    ['FUNCTION', 'LIST'],
    ['FUNCTION', 'DUMP'],
    ...['a', 'b', 'c', 'd', 'e', 'f'].map((key) => ['FCALL', 'f', '1', key, 'x']),
    ['FCALL', 'nosuch', '0'],
    ['FUNCTION', 'KILL'],
    ['FUNCTION', 'DELETE', 'l'],
    ['FUNCTION', 'DELETE', 'l'],
    ['FUNCTION', 'RESTORE', 'garbage'],
    ['FUNCTION', 'FLUSH'],
    ['FUNCTION', 'LIST'],
    ['SLOWLOG', 'RESET'],
    ['MEMORY', 'PURGE'],
    ['FLUSHALL', 'NONSENSE'],
  ]) {
    t.equal(await say(ours, ...words), await say(theirs, ...words), words.join(' '));
  }
});

t.test('RANDOMKEY draws from all shards, by how many keys they have', async (t) => {
  const { deployment, ours } = await setUp(t);
  const only = deployment.key(1, 'only');
  await ours.raw('SET', only, 'x');
  for (let n = 0; n < 20; n++) t.equal(await say(ours, 'RANDOMKEY'), `$${only.length}\r\n${only}\r\n`);
  for (let n = 0; n < 299; n++) await ours.raw('SET', deployment.key(n % 3 === 0 ? 0 : 2, `k${n}`), 'x');
  const drawn = [0, 0, 0];
  for (let n = 0; n < 2_000; n++) {
    const node = deployment.nodeOf(String(await ours.command('RANDOMKEY')));
    drawn[node] = (drawn[node] as number) + 1;
  }
  // 100, 1 and 199 of 300 keys: the bounds are eight standard deviations away.
  const [first, second, third] = drawn as [number, number, number];
  t.ok(first > 500 && first < 840, `${first}`);
  t.ok(second < 30, `${second}`);
  t.ok(third > 1150 && third < 1500, `${third}`);
});

t.test('a script that was loaded runs on every shard, until all have forgotten it', async (t) => {
  const { deployment, ours } = await setUp(t);
  const sha = String(await ours.command('SCRIPT', 'LOAD', 'return redis.call("get", KEYS[1])'));
  for (const node of [0, 1, 2]) {
    const key = deployment.key(node);
    await ours.raw('SET', key, `on ${node}`);
    t.equal(String(await ours.command('EVALSHA', sha, '1', key)), `on ${node}`);
  }
  t.equal(await say(ours, 'SCRIPT', 'EXISTS', sha), '*1\r\n:1\r\n');
  const direct = await connect(t, deployment.servers[1]?.port as number);
  await direct.raw('SCRIPT', 'FLUSH');
  t.equal(await say(ours, 'SCRIPT', 'EXISTS', sha), '*1\r\n:1\r\n', 'who has lost it is sent it');
  const own = String(await direct.command('SCRIPT', 'LOAD', 'return 1'));
  t.equal(
    await say(ours, 'SCRIPT', 'EXISTS', own),
    '*1\r\n:0\r\n',
    'of what no client has shown all nodes have to know',
  );
  t.equal(await say(ours, 'SCRIPT', 'FLUSH'), '+OK\r\n');
  for (const server of deployment.servers) {
    t.equal(await say(await connect(t, server.port), 'SCRIPT', 'EXISTS', sha), '*1\r\n:0\r\n');
  }
});

t.test('keys that a script makes up lie where it runs: as docs/COMMANDS.md says', async (t) => {
  const { deployment, ours } = await setUp(t);
  const home = deployment.nodeOf('');
  const elsewhere = deployment.key((home + 1) % 3, 'made');
  const write = "return redis.call('sadd', ARGV[1], 'x')";
  t.equal(await say(ours, 'EVAL', write, '0', elsewhere), ':1\r\n');
  t.equal(await say(ours, 'EVAL', write, '0', deployment.key(home, 'made')), ':1\r\n');
  t.same((await keys(ours, '*')).length, 2);
  t.same((await scan(ours)).length, 2);
  t.equal(await say(ours, 'DBSIZE'), ':2\r\n');
  t.equal(await say(ours, 'SMEMBERS', elsewhere), '*0\r\n');
  t.equal(await say(ours, 'DEL', elsewhere), ':0\r\n');
  t.same(await ours.command('SMEMBERS', deployment.key(home, 'made')), ['x'], 'one that happens to lie there');
  const node = await connect(t, deployment.servers[home]?.port as number);
  t.same(await keys(node, '*'), [elsewhere, deployment.key(home, 'made')].sort(), 'it is found at its node');
  // The same name, where it belongs, and a gather that has it brought to where the other one is.
  const destination = deployment.key(home, 'other');
  await ours.command('SADD', elsewhere, 'y');
  t.match(await say(ours, 'SUNIONSTORE', destination, elsewhere), IN_THE_WAY);
  t.equal(await say(node, 'DEL', elsewhere), ':1\r\n', 'there it is removed');
  t.equal(await say(ours, 'SUNIONSTORE', destination, elsewhere), ':1\r\n');
});

t.test('a script without keys goes to one node, and nowhere else while that is down', async (t) => {
  const { deployment, ours } = await setUp(t);
  const home = deployment.nodeOf('');
  await deployment.servers[home]?.kill9();
  // One that was under way when the node died is unknown.
  for (let reply = ''; !reply.startsWith('-NODEDOWN '); ) reply = await say(ours, 'EVAL', 'return 1', '0');
  t.match(await say(ours, 'EVAL', 'return 1', '0'), /^-NODEDOWN node .* the command had no effect/);
  t.equal(await say(ours, 'EVAL', 'return 1', '1', deployment.key((home + 1) % 3)), ':1\r\n');
});

t.test('SCRIPT KILL ends a script that runs on some shard', async (t) => {
  const deployment = await deploy(t, { redis: { args: ['--busy-reply-threshold', '50'] } });
  const [runner, killer] = [await connect(t, deployment.port), await connect(t, deployment.port)];
  const direct = await connect(t, deployment.servers[2]?.port as number);
  runner.send(`EVAL "while true do end" 1 ${deployment.key(2)}\r\n`);
  while ((await say(direct, 'PING')) === '+PONG\r\n') {
    // Until the node says that it is busy.
  }
  t.equal(await say(killer, 'SCRIPT', 'KILL'), '+OK\r\n');
  t.match((await runner.next()).toString(), /^-ERR Error running script.*killed by user|^-ERR .*Script killed by user/);
  t.equal(await say(killer, 'SET', deployment.key(2), 'x'), '+OK\r\n', 'the shard serves again');
  t.equal(await say(killer, 'SCRIPT', 'KILL'), '-NOTBUSY No scripts in execution right now.\r\n');
});

t.test('SCRIPT KILL does not end a script that has written', async (t) => {
  const deployment = await deploy(t, { redis: { args: ['--busy-reply-threshold', '50'] } });
  const [runner, killer] = [await connect(t, deployment.port), await connect(t, deployment.port)];
  const direct = await connect(t, deployment.servers[0]?.port as number);
  const key = deployment.key(0);
  runner.send(`EVAL "redis.call('set', KEYS[1], 'x') while true do end" 1 ${key}\r\n`);
  while ((await say(direct, 'PING')) === '+PONG\r\n') {
    // Until the node says that it is busy.
  }
  const reply = await say(killer, 'SCRIPT', 'KILL');
  t.match(reply, /^-UNKILLABLE Sorry the script already executed write commands.* \(from node a; 2 other shards/);
});

t.test('with a node down, KEYS, RANDOMKEY and SCRIPT LOAD name it, and SCAN does when it comes there', async (t) => {
  const { deployment, ours } = await setUp(t);
  const names = await fill([ours], 100);
  await deployment.servers[1]?.kill9();
  const down = await deployment.proxy.waitForLog('node-down', (line) => line['node'] === 'b');
  for (const words of [['KEYS', '*'], ['RANDOMKEY'], ['DBSIZE']]) {
    t.match(await say(ours, ...words), /^-NODEDOWN node b /, words.join(' '));
  }
  t.match(
    await say(ours, 'SCRIPT', 'LOAD', 'return 1'),
    /^-UNKNOWN node b .* other shards have carried out their part/,
  );
  const found: string[] = [];
  let cursor = '0';
  for (;;) {
    const reply = await ours.command('SCAN', cursor, 'COUNT', '10');
    if (!Array.isArray(reply)) {
      t.match(String(reply), /NODEDOWN node b /);
      break;
    }
    const [next, page] = reply as unknown as Page;
    cursor = next;
    found.push(...page);
  }
  t.same(
    found.sort(),
    names.filter((name) => deployment.nodeOf(name) === 0),
  );
  await deployment.servers[1]?.restart();
  await deployment.proxy.waitForLog('node-up', (line) => line['node'] === 'b' && line.time > down.time);
  for (; cursor !== '0'; ) {
    const reply = await ours.command('SCAN', cursor);
    // The node is up for one worker, and maybe not yet for the one that serves this client.
    if (!Array.isArray(reply)) {
      t.match(String(reply), /NODEDOWN node b /);
      continue;
    }
    const [next, page] = reply as unknown as Page;
    cursor = next;
    found.push(...page);
  }
  t.same(
    found.sort(),
    names.filter((name) => deployment.nodeOf(name) !== 1),
    'the same cursor goes on when the node, which has lost its keys, is back',
  );
});
