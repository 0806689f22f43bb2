/** What concerns the whole server, over three real ones: in the form that one Redis has for it, and with a node that dies or hangs meanwhile. */
import t from 'tap';
import { deploy } from '../help/deployment.js';
import { RedisServer } from '../help/redis-server.js';
import type { Value } from '../help/reference-parser.js';
import { connect, type RespClient, say } from '../help/resp-client.js';

/** The form of a reply: its types, the names in maps, and no numbers. */
function formOf(value: Value): unknown {
  if (Array.isArray(value)) return value.map(formOf);
  if (value instanceof Map) return new Map([...value].map(([name, each]) => [name, formOf(each)]));
  return typeof value === 'string' && Number.isNaN(Number(value)) ? value : typeof value;
}

t.test('MEMORY STATS, ROLE, LASTSAVE, TIME, FUNCTION STATS and others have the form of one Redis', async (t) => {
  const { port } = await deploy(t);
  const single = await RedisServer.start();
  t.teardown(() => single.stop());
  for (const protocol of ['2', '3']) {
    const [ours, theirs] = [await connect(t, port), await connect(t, single.port)];
    for (const client of [ours, theirs]) await client.command('HELLO', protocol);
    for (const words of [
      ['MEMORY', 'STATS'],
      ['ROLE'],
      ['LASTSAVE'],
      ['TIME'],
      ['FUNCTION', 'STATS'],
      ['MODULE', 'LIST'],
      ['LATENCY', 'LATEST'],
      ['LATENCY', 'HISTORY', 'fork'],
      ['LATENCY', 'GRAPH', 'fork'],
      ['LATENCY', 'DOCTOR'],
      ['LATENCY', 'HISTOGRAM', 'set'],
      ['LATENCY', 'RESET'],
      ['LATENCY', 'RESET', 'fork'],
      ['SLOWLOG', 'GET', '0'],
      ['SLOWLOG', 'GET', 'x'],
      ['SLOWLOG', 'GET', '1', '2'],
      ['SLOWLOG', 'RESET'],
      ['SLOWLOG', 'HELP'],
      ['LATENCY', 'HELP'],
      ['SAVE'],
      ['BGSAVE', 'x'],
    ]) {
      t.same(
        formOf(await ours.command(...words)),
        formOf(await theirs.command(...words)),
        `${words.join(' ')} in RESP${protocol}`,
      );
    }
  }
});

/** A log of all nodes, as `words` and the node's name. */
async function slowlog(client: RespClient): Promise<string[]> {
  const entries = (await client.command('SLOWLOG', 'GET', '-1')) as unknown as [
    number,
    number,
    number,
    string[],
    string,
    string,
  ][];
  t.equal(new Set(entries.map(([id]) => id)).size, entries.length, 'no two have the same number');
  return entries.map(([, , , words, , name]) => `${words.join(' ')} on ${name}`);
}

t.test('SLOWLOG has what all nodes have noted, and a command for all of them once', async (t) => {
  const deployment = await deploy(t);
  const client = await connect(t, deployment.port);
  await say(client, 'CONFIG', 'SET', 'slowlog-log-slower-than', '0');
  await say(client, 'SLOWLOG', 'RESET');
  const keys = [0, 1, 2].map((node) => deployment.key(node));
  for (const key of keys) await say(client, 'SET', key, 'x');
  await say(client, 'FLUSHALL');
  await say(client, 'CONFIG', 'SET', 'slowlog-log-slower-than', '-1');
  const log = await slowlog(client);
  const sets = log.filter((line) => line.startsWith('SET ')).sort();
  t.same(sets, keys.map((key, node) => `SET ${key} x on ${deployment.names[node]}`).sort());
  t.equal(log.filter((line) => line.startsWith('FLUSHALL')).length, 1);
  t.ok(log.findIndex((line) => line.startsWith('FLUSHALL')) < log.findIndex((line) => line.startsWith('SET ')));
});

t.test('LATENCY HISTOGRAM counts a command for all nodes once, and what the proxy answers itself', async (t) => {
  const deployment = await deploy(t);
  const clients = [await connect(t, deployment.port), await connect(t, deployment.port)] as const;
  const calls = async (...names: string[]) => {
    const pairs = (await clients[0].command('LATENCY', 'HISTOGRAM', ...names)) as unknown as (
      | string
      | [string, number]
    )[];
    return pairs.map((each) => (typeof each === 'string' ? each : each[1]));
  };
  // Both workers have greeted all nodes, which asks them for settings.
  for (const client of clients) await say(client, 'DBSIZE');
  await say(clients[0], 'CONFIG', 'RESETSTAT');
  t.same(await calls(), ['config|resetstat', 1]);
  for (const client of clients) {
    await say(client, 'PING');
    await say(client, 'CLIENT', 'ID');
    await say(client, 'DBSIZE');
    for (const node of [0, 1, 2]) await say(client, 'SET', deployment.key(node), 'x');
  }
  t.same(await calls('ping', 'client', 'dbsize', 'set', 'none'), [
    ...['ping', 2, 'client|id', 2],
    ...['dbsize', 2, 'set', 6],
  ]);
});

t.test('a node that dies or hangs in the middle of a command for all nodes is named, and nothing hangs', async (t) => {
  const deployment = await deploy(t, { limits: { requestTimeoutMs: 500, stallTimeoutMs: 1000 } });
  const client = await connect(t, deployment.port);
  const [, b, c] = deployment.servers as [RedisServer, RedisServer, RedisServer];
  await say(client, 'DBSIZE');
  c.pause();
  const asked = [['SLOWLOG', 'GET'], ['LATENCY', 'RESET'], ['MEMORY', 'STATS'], ['PING']];
  const replies = Promise.all(asked.map((words) => say(client, ...words)));
  const [slowlog, reset, stats, pong] = (await replies) as [string, string, string, string];
  t.match(slowlog, /^-NODEDOWN node c /);
  t.match(reset, /^-UNKNOWN node c .*/, 'it may have been done');
  t.match(stats, /^-NODEDOWN node c /);
  t.equal(pong, '+PONG\r\n');
  c.resume();
  await b.kill9();
  await deployment.proxy.waitForLog('node-down', (line) => line['node'] === 'b');
  t.match(await say(client, 'LASTSAVE'), /^-NODEDOWN node b /);
  t.match(await say(client, 'ROLE'), /^-NODEDOWN node b /);
});

t.test('SWAPDB swaps what all nodes have, as one Redis, and who watches sees it', async (t) => {
  const deployment = await deploy(t);
  const [client, other] = [await connect(t, deployment.port), await connect(t, deployment.port)];
  const keys = [0, 1, 2].map((node) => deployment.key(node));
  for (const key of keys) await say(client, 'SET', key, 'zero');
  await say(other, 'SELECT', '5');
  await say(other, 'SET', keys[0] as string, 'five');
  await say(client, 'WATCH', keys[1] as string);
  t.equal(await say(other, 'SWAPDB', '0', '5'), '+OK\r\n');
  t.same(await client.command('MGET', ...keys), ['five', null, null]);
  t.same(await other.command('MGET', ...keys), ['zero', 'zero', 'zero']);
  await say(client, 'MULTI');
  t.equal(await say(client, 'EXEC'), '*-1\r\n');
  for (const words of [
    ['x', '0'],
    ['0', 'x'],
    ['0', '99'],
    ['0', '-1'],
  ]) {
    const single = await connect(t, (deployment.servers[0] as RedisServer).port);
    t.equal(await say(client, 'SWAPDB', ...words), await say(single, 'SWAPDB', ...words), words.join(' '));
  }
  await deployment.servers[1]?.kill9();
  await deployment.proxy.waitForLog('node-down', (line) => line['node'] === 'b');
  t.match(await say(client, 'SWAPDB', '0', '5'), /^-(NODEDOWN|UNKNOWN) node b /);
});

t.test('CONFIG SET that one node refuses changes nothing at any', async (t) => {
  const deployment = await deploy(t);
  const client = await connect(t, deployment.port);
  const nodes = await Promise.all(deployment.servers.map(({ port }) => connect(t, port)));
  const samples = () =>
    Promise.all(nodes.map((node) => say(node, 'CONFIG', 'GET', 'maxmemory-samples', 'slowlog-max-len')));
  const set = ['CONFIG', 'SET', 'maxmemory-samples', '7', 'slowlog-max-len', '1000'];
  const before = await samples();
  t.match(
    await say(client, 'CONFIG', 'SET', 'maxmemory-samples', '7', 'slowlog-max-len', 'x'),
    /^-ERR CONFIG SET failed/,
  );
  t.same(await samples(), before);
  await say(nodes[1] as RespClient, 'ACL', 'SETUSER', 'default', '-config|set');
  t.match(await say(client, ...set), /^-NOPERM [^(]* \(from node b; 2 of 3 shards [^)]*, and were set back\)\r\n$/);
  t.same(await samples(), before);
  await say(nodes[1] as RespClient, 'ACL', 'SETUSER', 'default', '+@all');
  t.equal(await say(client, ...set), '+OK\r\n');
  for (const answer of await samples()) t.match(answer, /\$1\r\n7\r\n/);
});
