/** Gathers beside all else that a session can do: pipelines, transactions, databases, keyspaces, CLIENT TRACKING. */
import t from 'tap';
import { deploy } from '../help/deployment.js';
import { misplacedKeys } from '../help/misplaced-keys.js';
import { ProxyProcess } from '../help/proxy.js';
import { startRedisServers } from '../help/redis-server.js';
import { connect, encodeWords, say } from '../help/resp-client.js';

t.test('in a pipeline a gather sees what came before it, and is seen by what comes after it', async (t) => {
  const deployment = await deploy(t);
  const client = await connect(t, deployment.port);
  const [a, b, dest] = [deployment.key(0, 'a'), deployment.key(1, '\r\nb\x00\xff'), deployment.key(2, 'dest')];
  for (let round = 0; round < 20; round++) {
    const commands = [
      ['SADD', a, `x${round}`, 'both'],
      ['SADD', b, `x${round}`, 'both'],
      ['SINTERSTORE', dest, a, b],
      ['SCARD', dest],
      ['DEL', a],
      ['SUNION', a, b],
      ['SINTERCARD', '2', dest, b],
      ['DEL', b, dest],
      ['PING'],
    ];
    client.send(Buffer.concat(commands.map((words) => encodeWords(words))));
    const replies: string[] = [];
    for (const _ of commands) replies.push((await client.next()).toString().split('\r\n')[0] as string);
    t.same(replies, [':2', ':2', ':2', ':2', ':1', '*2', ':2', ':2', '+PONG']);
  }
  t.same(await misplacedKeys(deployment), []);
});

t.test('inside MULTI keys of several shards are refused, and so are patterns', async (t) => {
  const deployment = await deploy(t);
  const client = await connect(t, deployment.port);
  const [a, b] = [deployment.key(0), deployment.key(1)];
  for (const [words, expected] of [
    [
      ['SINTER', a, b],
      /^-CROSSSLOT Keys in request don't hash to the same shard: .* a \{hash tag\} keeps keys together\r\n$/,
    ],
    [['COPY', a, b], /^-CROSSSLOT /],
    [['SORT', a, 'BY', 'w_*'], /^-ERR SORT with patterns of BY or GET is not supported by this proxy inside MULTI/],
  ] as const) {
    t.equal(await say(client, 'MULTI'), '+OK\r\n');
    t.match(await say(client, ...words), expected);
    t.match(await say(client, 'EXEC'), /^-EXECABORT /);
  }
});

t.test('COPY into another database brings the key to the node of the other, and leaves nothing behind', async (t) => {
  const deployment = await deploy(t);
  const client = await connect(t, deployment.port);
  const [a, b] = [deployment.key(0, 'a'), deployment.key(1, 'b')];
  await client.command('SELECT', '2');
  await client.command('SET', a, 'value', 'PX', '1000000');
  t.equal(await say(client, 'COPY', a, b, 'DB', '3'), ':1\r\n');
  t.equal(await say(client, 'COPY', a, b, 'DB', '3'), ':0\r\n');
  t.equal(await say(client, 'COPY', a, b, 'REPLACE', 'DB', '3'), ':1\r\n');
  t.match(await say(client, 'COPY', a, b, 'DB', '99'), /^-ERR DB index is out of range/);
  t.equal(await say(client, 'GET', b), '$-1\r\n');
  await client.command('SELECT', '3');
  t.equal(await say(client, 'GET', b), '$5\r\nvalue\r\n');
  t.ok(Number(await client.command('PTTL', b)) > 900_000);
  for (const database of ['0', '2', '3']) t.same(await misplacedKeys(deployment, database), [], database);
});

t.test('a client that tracks is told of what changes where it lies, and not of copies', async (t) => {
  const deployment = await deploy(t);
  const writer = await connect(t, deployment.port);
  const [a, b, dest] = [deployment.key(0, 'a'), deployment.key(1, 'b'), deployment.key(0, 'dest')];
  const push = (key: string) => `>2\r\n$10\r\ninvalidate\r\n*1\r\n$${key.length}\r\n${key}\r\n`;
  await writer.command('SADD', a, '1', '2', '3');
  await writer.command('SADD', b, '1');
  for (const options of [[], ['NOLOOP'], ['OPTIN']]) {
    const client = await connect(t, deployment.port);
    await client.raw('HELLO', '3');
    t.equal(await say(client, 'CLIENT', 'TRACKING', 'ON', ...options), '+OK\r\n');
    for (const [changed, value] of [
      [b, 'more'],
      [a, 'more'],
    ] as const) {
      if (options.includes('OPTIN')) await client.raw('CLIENT', 'CACHING', 'YES');
      t.equal(await say(client, 'SINTER', a, b), '~1\r\n$1\r\n1\r\n');
      t.equal(await say(client, 'PING'), '+PONG\r\n');
      await writer.command('SADD', changed, value);
      t.equal((await client.next()).toString(), push(changed));
      await writer.command('SREM', changed, value);
    }
    // Who does not say so is remembered nowhere; and of its own writes one with NOLOOP hears nothing.
    t.equal(await say(client, 'SINTERSTORE', dest, a, b), ':1\r\n');
    t.equal(await say(client, 'PING'), '+PONG\r\n');
    client.close();
  }
  t.same(await misplacedKeys(deployment), []);
});

t.test('keys of several pools are gathered, and those that no keyspace has are not', async (t) => {
  const servers = await startRedisServers(3);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  const [one, other, third] = servers.map(({ url }) => url) as [string, string, string];
  const layout = {
    pools: { one: { nodes: [one] }, other: { nodes: [other] }, third: { nodes: [third] } },
    keyspaces: [
      { prefix: 'a:', pool: 'one' },
      { prefix: 'b:', pool: 'other' },
    ],
  };
  const proxy = await ProxyProcess.start({ layout });
  t.teardown(() => proxy.kill9());
  const client = await connect(t, proxy.port);
  await client.command('RPUSH', 'a:list', '2', '1', '3');
  for (const [element, weight] of Object.entries({ 1: '3', 2: '1', 3: '2' }))
    await client.command('SET', `b:w_${element}`, weight);
  t.equal(await say(client, 'SORT', 'a:list', 'BY', 'b:w_*'), '*3\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n1\r\n');
  t.equal(await say(client, 'SORT', 'a:list', 'BY', 'b:w_*', 'STORE', 'b:sorted'), ':3\r\n');
  t.equal(await say(client, 'LCS', 'a:none', 'b:w_1', 'LEN'), ':0\r\n');
  t.match(
    await say(client, 'SORT', 'a:list', 'BY', 'c:w_*'),
    /^-ERR a pattern of BY or GET names a key that no keyspace has/,
  );
  t.match(await say(client, 'SINTER', 'a:list', 'c:none'), /^-ERR no keyspace has the key 'c:none'/);
  for (const [index, expected] of [['a:list'], ['b:sorted', 'b:w_1', 'b:w_2', 'b:w_3'], []].entries()) {
    const node = await connect(t, servers[index]?.port as number);
    t.same(((await node.command('KEYS', '*')) as string[]).sort(), expected);
  }
});

t.test('streams are read where they are, however long, and no node is brought any', async (t) => {
  const deployment = await deploy(t, { limits: { gatherBytesMax: '16kb' } });
  const client = await connect(t, deployment.port);
  const keys = [0, 1, 2].map((node) => deployment.key(node, 'stream'));
  for (const key of keys) {
    for (let at = 1; at <= 40; at++) await client.command('XADD', key, `${at}-1`, 'field', `${at}`.repeat(1_000));
    await client.command('XADD', key, '99-1', 'field', 'last');
  }
  const nodes = await Promise.all(deployment.servers.map(({ port }) => connect(t, port)));
  const changes = async () => {
    const all = await Promise.all(nodes.map((node) => say(node, 'INFO', 'persistence')));
    return all.map((text) => /rdb_changes_since_last_save:\d+/.exec(text)?.[0]);
  };
  const before = await changes();
  const last = (key: string) =>
    `*2\r\n$${key.length}\r\n${key}\r\n*1\r\n*2\r\n$4\r\n99-1\r\n*2\r\n$5\r\nfield\r\n$4\r\nlast\r\n`;
  const [a, b, c] = keys as [string, string, string];
  t.equal(await say(client, 'XREAD', 'STREAMS', c, a, b, '40-1', '41', '50'), `*3\r\n${last(c)}${last(a)}${last(b)}`);
  t.equal(await say(client, 'XREAD', 'COUNT', '5', 'STREAMS', c, a, '$', '98'), `*1\r\n${last(a)}`);
  t.equal(await say(client, 'XREAD', 'STREAMS', c, a, '$', '$'), '*-1\r\n');
  t.match(
    await say(client, 'XREAD', 'STREAMS', a, b, '0', '0'),
    /^-OVERLOADED the keys that this command reads on other nodes take \d+ bytes \(gatherBytesMax 16384\); /,
  );
  await client.command('HELLO', '3');
  t.equal(await say(client, 'XREAD', 'STREAMS', c, a, '$', '98'), `%1\r\n${last(a).slice(4)}`);
  t.equal(await say(client, 'XREAD', 'STREAMS', c, a, '$', '$'), '_\r\n');
  t.same(await changes(), before, 'nothing was written anywhere');
});

t.test('small sets are put together without a trip to any one node, and no node is written to', async (t) => {
  const deployment = await deploy(t);
  const client = await connect(t, deployment.port);
  const [a, b] = [deployment.key(0, 'a'), deployment.key(1, 'b')];
  await client.command('SADD', a, '1', '2', '3');
  await client.command('SADD', b, '2', '3', 'x');
  await client.command('PEXPIRE', b, '1000000');
  const node = await connect(t, deployment.servers[0]?.port as number);
  const events = await connect(t, deployment.servers[0]?.port as number);
  await node.command('CONFIG', 'SET', 'notify-keyspace-events', 'KEA');
  await events.raw('PSUBSCRIBE', '*');
  t.equal(await say(client, 'SINTERCARD', '2', a, b), ':2\r\n');
  t.match(await say(client, 'SDIFF', b, a), /^\*1\r\n\$1\r\nx\r\n$/);
  t.equal(await say(client, 'ZINTERCARD', '2', a, b, 'LIMIT', '1'), ':1\r\n');
  await node.command('PUBLISH', 'end', 'now');
  t.match((await events.next()).toString(), /\r\nend\r\n/, 'no event of a key before');
});
