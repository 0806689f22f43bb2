/** Nodes that cannot be used: a clear line in the log, a clear reply that names the node, and the others served. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { deploy, Placement } from '../help/deployment.js';
import { freePort } from '../help/free-port.js';
import { type LogLine, ProxyProcess } from '../help/proxy.js';
import { RedisServer } from '../help/redis-server.js';
import { ReplyError } from '../help/reference-parser.js';
import { RespClient } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

const LIMITS = { connectTimeoutMs: 3_000, queueTimeoutMs: 3_000, reconnectMaxMs: 200 };

interface BadNode {
  /** The node's name, which says what is wrong with it. */
  name: string;
  /** What the log and the reply say. */
  reason: RegExp;
  /** Starts it. `recover` makes a good node of it, where that can be. */
  start: (t: Test) => Promise<{ url: string; recover?: () => Promise<unknown> }>;
}

const BAD_NODES: readonly BadNode[] = [
  {
    name: 'full',
    reason: /max number of clients reached/,
    start: async (t) => {
      const server = await redis(t, '--maxclients', '1');
      const occupant = await waitFor('the only place', async () => {
        const client = await RespClient.connect(server.port);
        return (await client.command('PING').catch(() => null)) === 'PONG' && client;
      });
      t.teardown(() => occupant.close());
      return { url: server.url, recover: () => occupant.command('CONFIG', 'SET', 'maxclients', '100') };
    },
  },
  {
    name: 'wrong-password',
    reason: /WRONGPASS/,
    start: async (t) => {
      const server = await redis(t, '--requirepass', 'right');
      const url = `redis://:w0rd-to-hide@127.0.0.1:${server.port}`;
      return { url, recover: () => configure(server, 'right', 'requirepass', 'w0rd-to-hide') };
    },
  },
  {
    name: 'missing-password',
    reason: /NOAUTH/,
    start: async (t) => {
      const server = await redis(t, '--requirepass', 'right');
      return { url: server.url, recover: () => configure(server, 'right', 'requirepass', '') };
    },
  },
  {
    name: 'wrong-user',
    reason: /WRONGPASS/,
    start: async (t) => {
      const server = await redis(t);
      const url = `redis://someone:w0rd-to-hide@127.0.0.1:${server.port}`;
      const rule = ['ACL', 'SETUSER', 'someone', 'on', '>w0rd-to-hide', '~*', '+@all'];
      return { url, recover: () => withClient(server.port, (client) => client.command(...rule)) };
    },
  },
  {
    name: 'wrong-port',
    reason: /ECONNREFUSED|[Cc]onnection refused/,
    start: async (t) => {
      const port = await freePort();
      const recover = async () => {
        const server = await RedisServer.start({ port });
        t.teardown(() => server.stop());
      };
      return { url: `redis://127.0.0.1:${port}`, recover };
    },
  },
  {
    name: 'no-such-name',
    reason: /does-not-exist\.invalid cannot be resolved/,
    start: async () => ({ url: 'redis://does-not-exist.invalid:6379' }),
  },
  {
    name: 'no-redis',
    reason: /what is not RESP: 'HTTP\/1\.1 400 Bad Request/,
    start: (t) => impostor(t, (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
  },
  {
    name: 'silent',
    reason: /no answer to connecting and greeting within 3000 ms/,
    start: (t) => impostor(t, () => {}),
  },
  {
    name: 'asleep',
    reason: /no answer to connecting and greeting within 3000 ms/,
    start: async (t) => {
      const server = await redis(t);
      server.pause();
      return { url: server.url, recover: async () => server.resume() };
    },
  },
  {
    name: 'closing',
    reason: /closed the connection|ECONNRESET|reset/,
    start: (t) => impostor(t, (socket) => socket.destroy()),
  },
  {
    name: 'chatty',
    reason: /what nobody asked for|refused the greeting: ERR what/,
    start: (t) => impostor(t, (socket) => socket.write('-ERR what\r\n+OK\r\n+OK\r\n')),
  },
];

for (const transport of ['io_uring', 'epoll', 'node'] as const) {
  t.test(
    `on ${transport}, a node that cannot be used is named in the log and in replies, and the others are served`,
    async (t) => {
      const good = await redis(t);
      const bad = await Promise.all(BAD_NODES.map(async (node) => ({ ...node, ...(await node.start(t)) })));
      const nodes = [{ name: 'good', url: good.url }, ...bad.map(({ name, url }) => ({ name, url }))];
      const placement = new Placement(nodes.map(({ name }) => name));
      const proxy = await ProxyProcess.start({ nodes, workers: 2, transport, limits: LIMITS });
      t.teardown(() => proxy.kill9());
      const client = await RespClient.connect(proxy.port);

      for (const [index, { name, reason }] of bad.entries()) {
        const isIt = (line: LogLine) => line['node'] === name && reason.test(`${line['reason']}`);
        t.equal((await proxy.waitForLog('node-down', isIt)).level, 'error');
        const key = placement.key(index + 1, 'key');
        for (const words of [
          ['SET', key, 'value'],
          ['GET', key],
          ['MGET', key, placement.key(0, 'key')],
        ]) {
          const reply = await client.command(...words);
          t.ok(reply instanceof ReplyError, `${name}: ${words[0]} is answered with an error`);
          const text = `${(reply as ReplyError).message}`;
          t.match(text, new RegExp(`^NODEDOWN node ${name} \\(`));
          t.match(text, reason);
          t.match(text, /; the command had no effect$/);
        }
        const goodKey = placement.key(0, `while ${name}`);
        t.equal(await client.command('SET', goodKey, name), 'OK');
        t.equal(await client.command('GET', goodKey), name);
      }
      t.equal((await fetch(`${proxy.adminUrl}/readyz`)).status, 200, 'it takes connections and holds a topology');

      for (const [index, { name, recover }] of bad.entries()) {
        if (recover === undefined) continue;
        await recover();
        const key = placement.key(index + 1, 'key');
        await waitFor(`${name} to be used`, async () => (await client.command('SET', key, name)) === 'OK');
        t.equal(await client.command('GET', key), name);
        await proxy.waitForLog('node-up', (line) => line['node'] === name);
      }

      const downs = proxy.logLines.filter(({ msg }) => msg === 'node-down');
      t.ok(downs.length <= 10 * bad.length, `${downs.length} lines for ${bad.length} nodes`);
      t.notMatch(proxy.output(), /w0rd-to-hide/, 'no password stands in the log');
      client.close();
    },
  );

  t.test(`on ${transport}, a node that cannot be used is not tried in a tight loop`, async (t) => {
    let connections = 0;
    const { url } = await impostor(t, (socket) => {
      connections++;
      socket.destroy();
    });
    const proxy = await ProxyProcess.start({ nodes: [{ name: 'closing', url }], workers: 2, transport });
    t.teardown(() => proxy.kill9());
    await proxy.waitForLog('node-down');
    const client = await RespClient.connect(proxy.port);
    const startMs = performance.now();
    let replies = 0;
    for (; performance.now() - startMs < 1_000; replies++) await client.command('GET', 'key');
    // Two workers, at 50 ms first and then twice as long each time, with jitter.
    t.ok(connections < 60, `${connections} connections while ${replies} commands were answered`);
    client.close();
  });

  t.test(
    `on ${transport}, a node that goes mad after the greeting loses its connection, and what was written is unknown`,
    async (t) => {
      const { url } = await impostor(t, (socket) => {
        socket.on('data', (bytes) => {
          if (bytes.includes('HELLO')) socket.write('*2\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n-ERR no\r\n-ERR no\r\n');
          else socket.write('?what\r\n');
        });
      });
      const proxy = await ProxyProcess.start({ nodes: [{ name: 'mad', url }], workers: 2, transport });
      t.teardown(() => proxy.kill9());
      const client = await RespClient.connect(proxy.port);
      const write = (await client.command('SET', 'key', 'value')) as ReplyError;
      t.match(write.message, /^UNKNOWN node mad \(.*what is not RESP: '\?what/);
      const read = (await client.command('GET', 'key')) as ReplyError;
      t.match(read.message, /^NODEDOWN node mad \(.*what is not RESP: '\?what/);
      client.close();
    },
  );
}

t.test('a value that is too large for the node is refused, and nobody else is hurt', async (t) => {
  const args = ['--proto-max-bulk-len', '1mb', '--user', 'app', 'on', '>pw', '~*', '+@all', '-config'];
  const deployment = await deploy(t, { nodes: 1, workers: 1, redis: { args } });
  const { port, servers } = deployment;
  const [large, small] = await Promise.all([RespClient.connect(port), RespClient.connect(port)]);
  const value = 'x'.repeat(2 * 1024 * 1024);
  for (let n = 1; n <= 20; n++) {
    const counts = Promise.all(Array.from({ length: 10 }, () => small.command('INCR', 'count')));
    const refusal = (await large.command('SET', 'key', value)) as ReplyError;
    t.match(
      refusal.message,
      /^OVERLOADED node a \(.*\): an argument is larger than it takes \(proto-max-bulk-len 1048576\);/,
    );
    t.equal((await counts).at(-1), n * 10);
  }
  t.equal(await large.command('SET', 'key', value.slice(0, 1024 * 1024)), 'OK', 'as much as it takes');

  // Who may not ask the node for its bound has its words for what is too large.
  const [server] = servers as [RedisServer];
  const nodes = [{ name: 'dumb', url: `redis://app:pw@127.0.0.1:${server.port}` }];
  const proxy = await ProxyProcess.start({ nodes, workers: 1 });
  t.teardown(() => proxy.kill9());
  await withClient(proxy.port, async (client) => {
    const refusal = (await client.command('SET', 'key', value)) as ReplyError;
    t.match(refusal.message, /^(ERR Protocol error: invalid bulk length|UNKNOWN node dumb)/);
    t.equal(await client.command('SET', 'key', 'small'), 'OK');
  });
  large.close();
  small.close();
});

t.test('a node is found by its name', async (t) => {
  const server = await redis(t);
  const nodes = [{ name: 'named', url: `redis://localhost:${server.port}` }];
  const proxy = await ProxyProcess.start({ nodes, workers: 2 });
  t.teardown(() => proxy.kill9());
  const client = await RespClient.connect(proxy.port);
  t.equal(await client.command('SET', 'key', 'value'), 'OK');
  t.equal(await withClient(server.port, (direct) => direct.command('GET', 'key')), 'value');
  client.close();
});

async function redis(t: Test, ...args: string[]): Promise<RedisServer> {
  const server = await RedisServer.start({ args });
  t.teardown(() => server.stop());
  return server;
}

/** A server that is no Redis. */
async function impostor(t: Test, onConnection: (socket: Socket) => void): Promise<{ url: string }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    onConnection(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

async function withClient<T>(port: number, use: (client: RespClient) => Promise<T>): Promise<T> {
  const client = await RespClient.connect(port);
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

function configure(server: RedisServer, password: string, name: string, value: string): Promise<unknown> {
  return withClient(server.port, async (client) => {
    await client.command('AUTH', password);
    return client.command('CONFIG', 'SET', name, value);
  });
}
