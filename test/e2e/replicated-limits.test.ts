/** Every bound of replicated keys, hit on purpose: who is refused is told what to do, nothing was carried out, and all goes on afterwards. */
import t, { type Test } from 'tap';
import type { Counts } from '../../src/base/metrics.js';
import type { Status } from '../../src/control/status.js';
import { ProxyProcess } from '../help/proxy.js';
import { type RedisServer, startRedisServers } from '../help/redis-server.js';
import { connect, encodeWords, type RespClient, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

interface Bounded {
  servers: readonly RedisServer[];
  proxy: ProxyProcess;
  client: RespClient;
}

async function start(t: Test, limits: Readonly<Record<string, string | number>>): Promise<Bounded> {
  const servers = await startRedisServers(3);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  const proxy = await ProxyProcess.start({
    nodes: servers.map(({ url }, index) => ({ name: `n${index}`, url })),
    keyspaces: [{ prefix: '', pool: 'main', mode: 'replicated', copies: 3 }],
    limits,
  });
  t.teardown(() => proxy.kill9());
  const client = await connect(t, proxy.port);
  await waitFor('replicated keys to be served', async () => (await say(client, 'DEL', 'no such key')) === ':0\r\n');
  return { servers, proxy, client };
}

/** While no node answers, `client` sends these, and at least `refused` are counted; resolves with what it is answered when they go on. */
async function whilePaused(
  { servers, client, proxy }: Bounded,
  counter: keyof Counts,
  refused: number,
  commands: readonly (readonly string[])[],
): Promise<string[]> {
  for (const server of servers) server.pause();
  client.send(Buffer.concat(commands.map(encodeWords)));
  await waitFor(`${counter} ${refused}`, async () => (await countsOf(proxy))[counter] >= refused);
  for (const server of servers) server.resume();
  const replies: string[] = [];
  for (const _ of commands) replies.push((await client.next()).toString('latin1'));
  return replies;
}

async function countsOf({ adminUrl }: ProxyProcess): Promise<Counts> {
  return ((await (await fetch(`${adminUrl}/status`)).json()) as Status).counters;
}

t.test('so many commands may wait for their turn on one key, and no more', async (t) => {
  const bounded = await start(t, { replicatedKeyQueueMax: 5 });
  const { client, proxy } = bounded;
  const incr = Array.from({ length: 10 }, () => ['INCR', 'hot']);
  const replies = await whilePaused(bounded, 'replicatedCrowded', 4, incr);
  t.same(
    replies.slice(0, 6),
    [1, 2, 3, 4, 5, 6].map((value) => `:${value}\r\n`),
    'one is under way, five wait',
  );
  const refusal =
    '-OVERLOADED too many commands wait for the key (replicatedKeyQueueMax 5); the command had no effect: repeat it later\r\n';
  t.same(replies.slice(6), Array(4).fill(refusal));
  t.equal(await say(client, 'GET', 'hot'), '$1\r\n6\r\n', 'who was refused has done nothing');
  t.equal(await say(client, 'INCR', 'hot'), ':7\r\n');
  t.match(await countsOf(proxy), { commandsOverloaded: 4 });
});

t.test('so many bytes of commands may be under way', async (t) => {
  const bounded = await start(t, { replicatedBytesMax: 2000 });
  const { client } = bounded;
  const value = 'x'.repeat(1500);
  const replies = await whilePaused(bounded, 'replicatedBytesRefused', 2, [
    ['SET', 'a', value],
    ['SET', 'b', value],
    ['MSET', 'c', value, 'd', 'x'],
    ['SET', 'e', 'x'],
  ]);
  t.match(replies, [
    '+OK\r\n',
    /^-OVERLOADED .*\(replicatedBytesMax 2000\); this one had no effect/,
    /^-OVERLOADED /,
    '+OK\r\n',
  ]);
  t.equal(await say(client, 'EXISTS', 'b'), ':0\r\n');
  t.equal(await say(client, 'EXISTS', 'c', 'd'), ':0\r\n');
  t.equal(await say(client, 'SET', 'b', 'x'.repeat(5000)), '+OK\r\n', 'a larger one goes alone');
  t.equal(await say(client, 'MSET', 'c', value, 'd', 'x'), '+OK\r\n', 'what is done is held no longer');
});

t.test('so much may wait for the answers of one node', async (t) => {
  const bounded = await start(t, { nodeQueueCommandsMax: 2 });
  const { client } = bounded;
  const writes = ['a', 'b', 'c'].map((key) => ['SET', key, 'x']);
  // The steps of the third, to all of its nodes; and one that waits since before.
  const replies = await whilePaused(bounded, 'replicatedStepsRefused', 3, writes);
  t.match(replies, [
    '+OK\r\n',
    '+OK\r\n',
    /^-OVERLOADED node n\d: too much waits for it \(.*nodeQueueCommandsMax 2\); the command had no effect/,
  ]);
  t.equal(await say(client, 'EXISTS', 'c'), ':0\r\n');
  t.equal(await say(client, 'SET', 'c', 'x'), '+OK\r\n');
});

t.test('a value above the limit is not written to by what one node alone can carry out', async (t) => {
  const { client, proxy, servers } = await start(t, { replicatedScriptBytesMax: '16kb' });
  const append = ['EVAL', "return redis.call('APPEND', KEYS[1], ARGV[1])", '1', 'a'];
  t.equal(await say(client, ...append, 'x'.repeat(20_000)), ':20000\r\n', 'how large a value it makes is not bounded');
  const refusal = await say(client, ...append, 'y');
  t.match(
    refusal,
    /^-OVERLOADED the value takes \d+ bytes of memory, .*\(replicatedScriptBytesMax 16384\); the command had no effect/,
  );
  t.equal(await say(client, 'STRLEN', 'a'), ':20000\r\n');
  t.equal(await say(client, 'APPEND', 'a', 'y'), ':20001\r\n', 'what all nodes carry out goes on');
  t.equal(await say(client, 'EVAL', "return redis.call('SET', KEYS[1], 'x')", '1', 'b'), '+OK\r\n');
  // Inside of MULTI, too.
  await say(client, 'MULTI');
  await say(client, 'APPEND', 'a', 'z');
  await say(client, ...append, 'z');
  t.match(await say(client, 'EXEC'), /^-OVERLOADED /);
  t.equal(await say(client, 'STRLEN', 'a'), ':20001\r\n');
  const counts = await waitFor('the counters', async () => {
    const counts = await countsOf(proxy);
    return counts.replicatedTooLarge >= 2 && counts;
  });
  t.ok(counts.replicatedAtOneNode >= 2);
  for (const { port } of servers) t.equal(await say(await connect(t, port), 'GET', 'b'), '$1\r\nx\r\n');
});

t.test('a key that was forgotten is written in two round trips, and right', async (t) => {
  const { client, proxy } = await start(t, { replicatedKeysMax: 10 });
  for (let round = 1; round <= 3; round++) {
    for (let key = 0; key < 30; key++) t.equal(await say(client, 'INCR', `key ${key}`), `:${round}\r\n`);
  }
  const counts = await waitFor('the counters', async () => {
    const counts = await countsOf(proxy);
    return counts.replicatedWrites > 90 && counts;
  });
  t.ok(counts.replicatedKeysForgotten >= 60, `${counts.replicatedKeysForgotten} keys were forgotten`);
  t.ok(counts.replicatedPrepares >= 80, `${counts.replicatedPrepares} times promises were asked for`);
});

t.test('a slow copy is waited for as long as the limit says', async (t) => {
  const { client, proxy, servers } = await start(t, { replicatedPatienceMs: 20 });
  t.equal(await say(client, 'SET', 'a', 'x'), '+OK\r\n');
  servers[0]?.pause();
  // One of three reads asks the one that does not answer first. It may have answered some before it paused.
  await waitFor('the counter', async () => {
    for (let read = 0; read < 3; read++) t.equal(await say(client, 'GET', 'a'), '$1\r\nx\r\n');
    return (await countsOf(proxy)).replicatedImpatient >= 1;
  });
});
