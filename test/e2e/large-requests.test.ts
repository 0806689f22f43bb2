/** Large requests go to their nodes as they come: never held as a whole, in nobody's way, carried out whole or not at all. */
import t from 'tap';
import { deploy } from '../help/deployment.js';
import { GROWTH_MAX, PATIENT, PIECE_BYTES } from '../help/large-values.js';
import { residentBytes, residentPeakBytes } from '../help/process-facts.js';
import { type RedisServer, startRedisServers } from '../help/redis-server.js';
import { connect, encodeWords, RespClient } from '../help/resp-client.js';
import { waitFor, within } from '../help/wait-for.js';
import { Seeded } from '../transport/seeded.js';

const LARGE_BYTES = 4 * 1024 * 1024;
/** Every 10 ms: of a transfer that only waits for a processor some piece is gone by then. */
const STILL_LOOKS = 50;

for (const transport of ['io_uring', 'epoll', 'node'] as const) {
  t.test(
    `on ${transport}, a node that takes nothing for a while does not have the proxy hold what a client sends`,
    async (t) => {
      const { proxy, port, servers } = await deploy(t, { transport, workers: 1, nodes: 1, limits: PATIENT });
      const server = servers[0] as RedisServer;
      const client = await RespClient.connect(port);
      await client.command('SET', 'small', '1');
      const before = residentBytes(proxy.pid);
      const pieces = 200;
      const piece = new Seeded().bytes(PIECE_BYTES);
      client.send(`*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$${pieces * piece.length}\r\n`);
      // The node has begun to take it.
      await waitFor('the connection of its own', async () => (await clientLines(server)).length > 2);
      process.kill(server.pid, 'SIGSTOP');
      let taken = 0;
      const sending = (async () => {
        for (; taken < pieces; taken++) await client.sent(piece);
        client.send('\r\n');
      })();
      try {
        let seen = 0;
        let equalLooks = 0;
        await waitFor('the transfer to stand still', () => {
          equalLooks = taken === seen ? equalLooks + 1 : 0;
          seen = taken;
          return equalLooks >= STILL_LOOKS || taken === pieces;
        });
        t.ok(taken > 0 && taken < pieces, `${taken} of ${pieces} MiB have left the client`);
        const growth = residentBytes(proxy.pid) - before;
        t.ok(growth < GROWTH_MAX[transport], `the process has grown by ${Math.round(growth / 1e6)} MB`);
      } finally {
        process.kill(server.pid, 'SIGCONT');
      }
      await within('all to have left the client', sending, 60_000);
      t.equal(`${await client.next(60_000)}`, '+OK\r\n');
      t.equal(await client.command('STRLEN', 'large'), pieces * piece.length);
      t.ok(residentPeakBytes(proxy.pid) - before < GROWTH_MAX[transport]);
      client.close();
    },
  );

  t.test(`on ${transport}, half a request holds nobody up, and is none when its client goes`, async (t) => {
    const { port, servers, proxy } = await deploy(t, { transport, workers: 1, nodes: 1 });
    const server = servers[0] as RedisServer;
    const other = await RespClient.connect(port);
    const idle = (await clientLines(server)).length;
    for (let round = 0; round < 5; round++) {
      const client = await RespClient.connect(port);
      await beginLarge(client, server, 'large');
      for (let count = 0; count < 50; count++) {
        t.equal(await other.command('SET', 'small', `${count}`), 'OK');
        t.equal(await other.command('GET', 'small'), `${count}`);
      }
      if (round % 2 === 0) client.reset();
      else client.end();
      await waitFor('the node to see the end', async () => (await largestQuery(server)) < LARGE_BYTES / 4);
    }
    t.equal(await other.command('EXISTS', 'large'), 0);
    // One spare connection may stay.
    await waitFor('its connections to be closed', async () => (await clientLines(server)).length <= idle + 1);
    t.notOk(proxy.logLines.some(({ msg }) => msg === 'node-down' || msg === 'worker-died'));
    other.close();
  });

  t.test(`on ${transport}, a client that goes while a pause holds the end of its write is noticed`, async (t) => {
    const { port, servers } = await deploy(t, { transport, workers: 1, nodes: 1 });
    const other = await connect(t, port);
    const toldBy = async (what: string, lines: RegExp) =>
      waitFor(what, async () => lines.test(`${await other.command('INFO', 'ringleader')}`));
    for (const fate of ['ends', 'is reset', 'stays']) {
      const client = await connect(t, port);
      await beginLarge(client, servers[0] as RedisServer, 'large');
      t.equal(await other.command('CLIENT', 'PAUSE', '100000', 'WRITE'), 'OK');
      client.send(Buffer.alloc(LARGE_BYTES / 2));
      client.send('\r\n');
      client.send(encodeWords(['STRLEN', 'large']));
      await toldBy('it to be held', /ringleader_sessions_paused:1\r\n/);
      if (fate === 'ends') client.end();
      else if (fate === 'is reset') client.reset();
      const isGone = fate !== 'stays';
      if (isGone) {
        await toldBy('it to be gone', /ringleader_sessions_open:1\r\n/);
        await toldBy('nothing to be held', /ringleader_sessions_paused:0\r\n/);
      }
      t.equal(await other.command('CLIENT', 'UNPAUSE'), 'OK');
      if (!isGone) t.equal(`${await client.next()}${await client.next()}`, `+OK\r\n:${LARGE_BYTES}\r\n`);
      t.equal(await other.command('EXISTS', 'large'), isGone ? 0 : 1);
      // The next one has begun when the node shows what it has of it.
      await waitFor(
        'the node to see the end',
        async () => (await largestQuery(servers[0] as RedisServer)) < LARGE_BYTES / 4,
      );
    }
  });
}

t.test(
  'a node that dies in the middle is told as that, what is left is dropped, and the session goes on',
  async (t) => {
    const deployment = await deploy(t, { workers: 1, nodes: 2 });
    const [lost, kept] = [deployment.key(0, 'lost'), deployment.key(1, 'kept')];
    const client = await RespClient.connect(deployment.port);
    const server = deployment.servers[0] as RedisServer;
    await beginLarge(client, server, lost);
    await server.kill9();
    t.match(`${await client.next()}`, /^-NODEDOWN node a .*the command had no effect\r\n$/);
    client.send(Buffer.alloc(LARGE_BYTES / 2, 'x'));
    client.send('\r\n');
    t.equal(await client.command('SET', kept, '1'), 'OK');
    t.equal(await client.command('GET', kept), '1');
    // A node that is not there at all, likewise.
    client.send(encodeWords(['SET', lost, Buffer.alloc(LARGE_BYTES, 'y')]));
    t.match(`${await client.next()}`, /^-NODEDOWN node a .*the command had no effect\r\n$/);
    t.equal(await client.command('GET', kept), '1');
    client.close();
  },
);

t.test('commands before and behind a large one keep their order, and it is carried out as any', async (t) => {
  const deployment = await deploy(t, { workers: 1 });
  const client = await RespClient.connect(deployment.port);
  const key = deployment.key(0);
  const value = Buffer.alloc(LARGE_BYTES, 'v');
  const exchanges: [words: (string | Buffer)[], reply: string][] = [
    [['SET', key, 'ab'], '+OK'],
    [['APPEND', key, value], `:${LARGE_BYTES + 2}`],
    [['STRLEN', key], `:${LARGE_BYTES + 2}`],
    [['SET', key, value, 'EX', '100', 'XX'], '+OK'],
    [['TTL', key], ':100'],
    [['SET', key, value, 'NX'], '$-1'],
    [['RPUSH', 'list', 'one', value, 'three', value], ':4'],
    [['LLEN', 'list'], ':4'],
    [['LPUSH', key, value], '-WRONGTYPE Operation against a key holding the wrong kind of value'],
    [['SET', key, value, 'EX', 'soon'], '-ERR value is not an integer or out of range'],
    [['CLIENT', 'REPLY', 'SKIP'], ''],
    [['SET', key, value], ''],
    [['STRLEN', key, value], "-ERR wrong number of arguments for 'strlen' command"],
    [['NOCOMMAND', key, 'x'], "-ERR unknown command 'NOCOMMAND', with args beginning with: "],
    [['MULTI'], '+OK'],
    [['SET', key, value], '+QUEUED'],
    [['EXEC'], '*1\r\n+OK'],
    [['SELECT', '1'], '+OK'],
    [['SETNX', key, value], ':1'],
    [['DBSIZE'], ':1'],
  ];
  client.send(Buffer.concat(exchanges.map(([words]) => encodeWords(words))));
  for (const [words, reply] of exchanges) {
    if (reply !== '') t.equal(`${await client.next()}`.startsWith(reply), true, `${words[0]}: ${reply}`);
  }
  t.match(await client.command('INFO', 'ringleader'), /ringleader_requests_passed_on:8\r\n/);
  client.close();
});

t.test(
  'what must be seen whole is held until it is: of users with few rights, MULTI, trackers, monitors',
  async (t) => {
    const { port } = await deploy(t, { workers: 1, nodes: 1 });
    const value = Buffer.alloc(LARGE_BYTES, 'v');
    const client = await RespClient.connect(port);
    t.equal(await client.command('ACL', 'SETUSER', 'few', 'on', 'nopass', '+set', '+auth', '~mine:*'), 'OK');
    const few = await RespClient.connect(port);
    t.equal(await few.command('AUTH', 'few', 'few'), 'OK');
    t.match(`${await few.raw('SET', 'theirs', value)}`, /^-NOPERM/);
    t.equal(await few.command('SET', 'mine:1', value), 'OK');
    const tracker = await RespClient.connect(port);
    await tracker.command('HELLO', '3');
    t.equal(await tracker.command('CLIENT', 'TRACKING', 'ON'), 'OK');
    t.equal(await tracker.command('SET', 'tracked', value), 'OK');
    const monitor = await RespClient.connect(port);
    t.equal(await monitor.command('MONITOR'), 'OK');
    t.equal(await client.command('SET', 'shown', value), 'OK');
    t.match(`${await monitor.nextBytes(100)}`, /"SET" "shown" "vvv/);
    monitor.close();
    t.match(await client.command('INFO', 'ringleader'), /ringleader_requests_passed_on:0\r\n/);
    for (const each of [client, few, tracker]) each.close();
  },
);

t.test('a value that the node does not take is refused, and the session goes on', async (t) => {
  const { port } = await deploy(t, { workers: 1, nodes: 1, redis: { args: ['--proto-max-bulk-len', '2mb'] } });
  const client = await RespClient.connect(port);
  for (let round = 0; round < 3; round++) {
    t.match(
      `${await client.raw('SET', 'large', Buffer.alloc(LARGE_BYTES))}`,
      /^-OVERLOADED node a .*\(proto-max-bulk-len 2097152\); the command was not sent\r\n$/,
    );
    t.equal(await client.command('SET', 'small', '1'), 'OK');
  }
  client.close();
});

t.test('what ends as no RESP is refused in Redis’s words, and not carried out', async (t) => {
  const { port, servers } = await deploy(t, { workers: 1, nodes: 1 });
  const client = await RespClient.connect(port);
  client.send(`*5\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$${LARGE_BYTES}\r\n`);
  client.send(Buffer.alloc(LARGE_BYTES));
  client.send('\r\n$2\r\nEX\r\n$two\r\n');
  t.equal(`${await client.next()}`, '-ERR Protocol error: invalid bulk length\r\n');
  await within('its end', client.closed);
  const direct = await RespClient.connect((servers[0] as RedisServer).port);
  t.equal(await direct.command('EXISTS', 'large'), 0);
  direct.close();
});

t.test('CLIENT PAUSE holds a large write that has begun, as one that has not', async (t) => {
  const { port, servers } = await deploy(t, { workers: 1, nodes: 1 });
  const [client, other] = [await RespClient.connect(port), await RespClient.connect(port)];
  for (const hasBegun of [true, false]) {
    await other.command('DEL', 'large');
    if (hasBegun) await beginLarge(client, servers[0] as RedisServer, 'large');
    t.equal(await other.command('CLIENT', 'PAUSE', '100000', 'WRITE'), 'OK');
    if (!hasBegun) client.send(`*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$${LARGE_BYTES}\r\n`);
    client.send(Buffer.alloc(hasBegun ? LARGE_BYTES / 2 : LARGE_BYTES));
    client.send('\r\n');
    // It is waited for: said by the count of those that wait.
    await waitFor('it to be held', async () =>
      /ringleader_sessions_paused:1\r\n/.test(`${await other.command('INFO', 'ringleader')}`),
    );
    t.equal(await other.command('EXISTS', 'large'), 0);
    t.equal(await other.command('CLIENT', 'UNPAUSE'), 'OK');
    t.equal(`${await client.next()}`, '+OK\r\n');
    t.equal(await other.command('STRLEN', 'large'), LARGE_BYTES);
  }
  client.close();
  other.close();
});

t.test('what has begun where its node no longer is, is not carried out there', async (t) => {
  const { proxy, port, servers } = await deploy(t, { workers: 1, nodes: 1 });
  const before = servers[0] as RedisServer;
  const [after] = (await startRedisServers(1)) as [RedisServer];
  t.teardown(() => after.stop());
  const client = await RespClient.connect(port);
  await beginLarge(client, before, 'large');
  proxy.reload((text) => text.replaceAll(before.url, after.url));
  t.match(`${await client.next()}`, /^-NODEDOWN node a .*the command had no effect\r\n$/);
  client.send(Buffer.alloc(LARGE_BYTES / 2));
  client.send('\r\n');
  t.equal(await client.command('EXISTS', 'large'), 0);
  t.equal(await client.command('SET', 'large', Buffer.alloc(LARGE_BYTES)), 'OK');
  const direct = await RespClient.connect(before.port);
  t.equal(await direct.command('EXISTS', 'large'), 0);
  direct.close();
  client.close();
});

t.test('a client that stops in the middle is closed at requestDeadlineMs', async (t) => {
  const { proxy, port, servers } = await deploy(t, { workers: 1, nodes: 1, limits: { requestDeadlineMs: 1_000 } });
  const server = servers[0] as RedisServer;
  const client = await RespClient.connect(port);
  await beginLarge(client, server, 'large');
  await within('its end', client.closed);
  await proxy.waitForLog('session-closed', ({ reason }) => /requestDeadlineMs/.test(`${reason}`));
  await waitFor('the node to see the end', async () => (await largestQuery(server)) < LARGE_BYTES / 4);
});

t.test('beyond largeConnectionsMax they are held until they are whole', async (t) => {
  const { port, servers } = await deploy(t, { workers: 1, nodes: 1, limits: { largeConnectionsMax: 1 } });
  const [first, second] = [await RespClient.connect(port), await RespClient.connect(port)];
  await beginLarge(first, servers[0] as RedisServer, 'first');
  t.equal(await second.command('SET', 'second', Buffer.alloc(LARGE_BYTES)), 'OK');
  t.match(await second.command('INFO', 'ringleader'), /ringleader_requests_passed_on:1\r\n/);
  first.send(Buffer.alloc(LARGE_BYTES / 2));
  first.send('\r\n');
  t.equal(`${await first.next()}`, '+OK\r\n');
  t.equal(await second.command('SET', 'second', Buffer.alloc(LARGE_BYTES)), 'OK');
  t.match(await second.command('INFO', 'ringleader'), /ringleader_requests_passed_on:2\r\n/);
  first.close();
  second.close();
});

/** Sends half of a SET of LARGE_BYTES; resolves when the node has it. */
async function beginLarge(client: RespClient, server: RedisServer, key: string): Promise<void> {
  client.send(`*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${LARGE_BYTES}\r\n`);
  client.send(Buffer.alloc(LARGE_BYTES / 2, 'x'));
  await waitFor('half of it to be with the node', async () => (await largestQuery(server)) > LARGE_BYTES / 4);
}

/** Connections to the server, but for the one that asks. */
async function clientLines(server: RedisServer): Promise<string[]> {
  const client = await RespClient.connect(server.port);
  const lines = `${await client.command('CLIENT', 'LIST')}`.split('\n').filter(Boolean);
  client.close();
  return lines.filter((line) => !line.includes('cmd=client'));
}

/** Bytes of the largest request that has begun to come to the server. */
async function largestQuery(server: RedisServer): Promise<number> {
  return Math.max(0, ...(await clientLines(server)).map((line) => Number(/ qbuf=(\d+)/.exec(line)?.[1])));
}
