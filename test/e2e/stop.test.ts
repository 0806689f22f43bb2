/** SIGTERM: what was acknowledged is kept, what is in flight is finished, and nobody holds the end up beyond the limit. */
import { connect } from 'node:net';
import t from 'tap';
import { type Cell, CheckingClient, isPossible } from '../help/checking-client.js';
import { type Deployment, deploy } from '../help/deployment.js';
import { encodeWords, RespClient } from '../help/resp-client.js';
import { waitFor, within } from '../help/wait-for.js';
import { Seeded } from '../transport/seeded.js';

const KIBI = 1024;
/**
 * A node that stands still is waited for. One worker reads in the order in which bytes came: when a client has its reply, all
 * that others sent before it came was read.
 */
const ONE_OF_EACH = { nodes: 1, workers: 1, limits: { requestTimeoutMs: 60_000, stallTimeoutMs: 120_000 } };
/** More than a test machine may need, and much less than the drain limits that must not be waited for. */
const SOON_MS = 10_000;

for (const transport of ['io_uring', 'epoll', 'node'] as const) {
  t.test(`on ${transport}, SIGTERM under load loses no acknowledged write and ends with 0`, async (t) => {
    const random = new Seeded();
    t.comment(`SEED=${random.seed}`);
    const deployment = await deploy(t, { transport, drainTimeout: '20s' });
    const { proxy, names } = deployment;
    const clients = Array.from({ length: 20 }, (_, index) => {
      const cells = Array.from({ length: 30 }, (_, number): Cell => {
        const home = number % names.length;
        return { key: deployment.key(home, `${index}.${number}`), node: names[home] as string, value: null, maybe: [] };
      });
      return new CheckingClient({ port: deployment.port, id: `${index}`, cells, depth: 200, random });
    });
    await Promise.all(clients.map((client) => client.start()));
    await waitFor('load', () => clients.every(({ done }) => done > 500));

    const startMs = performance.now();
    t.equal(await proxy.stop(), 0);
    t.ok(performance.now() - startMs < SOON_MS, 'before the drain limit');
    await waitFor('all clients to be disconnected', () => clients.every(({ isClosed }) => isClosed));
    await Promise.all(clients.map((client) => client.stop()));
    t.same(clients.flatMap(({ faults }) => faults).slice(0, 5), []);
    t.equal(
      clients.reduce((sum, { nodeDown, unknown }) => sum + nodeDown + unknown, 0),
      0,
      'no command fails',
    );
    t.same(await lostWrites(deployment, clients), [], 'the nodes hold what clients were told');
    t.match(proxy.logLines.at(-1), { msg: 'stopped' });
  });

  t.test(`on ${transport}, clients that ask nothing do not hold up the end`, async (t) => {
    const deployment = await deploy(t, { transport, drainTimeout: '60s' });
    const clients = await Promise.all(Array.from({ length: 20 }, () => RespClient.connect(deployment.port)));
    for (const client of clients) await client.command('PING');
    clients[0]?.send('*2\r\n$3\r\nGET\r\n$3\r\nha');
    const startMs = performance.now();
    t.equal(await deployment.proxy.stop(), 0);
    t.ok(performance.now() - startMs < SOON_MS);
    await within('the end of all connections', Promise.all(clients.map(({ closed }) => closed)));
  });

  t.test(`on ${transport}, a command in flight gets its reply before the end`, async (t) => {
    const deployment = await deploy(t, { ...ONE_OF_EACH, transport, drainTimeout: '60s' });
    const [server] = deployment.servers;
    const client = await RespClient.connect(deployment.port);
    await client.command('SET', 'key', 'before');
    server?.pause();
    client.send(Buffer.concat([encodeWords(['SET', 'key', 'after']), encodeWords(['GET', 'key'])]));
    client.send(encodeWords(['ECHO', 'read']));
    const other = await RespClient.connect(deployment.port);
    await other.command('PING');
    const ending = deployment.proxy.stop();
    await deployment.proxy.waitForLog('stopping');
    server?.resume();
    t.equal((await client.nextBytes(5 + 11 + 10)).toString(), '+OK\r\n$5\r\nafter\r\n$4\r\nread\r\n');
    await within('the end of the connection', client.closed);
    t.equal(await ending, 0);
  });

  t.test(`on ${transport}, while it drains, clients that come are refused at once`, async (t) => {
    const deployment = await deploy(t, { ...ONE_OF_EACH, transport, drainTimeout: '60s' });
    const client = await RespClient.connect(deployment.port);
    deployment.servers[0]?.pause();
    client.send(encodeWords(['SET', 'key', 'value']));
    const other = await RespClient.connect(deployment.port);
    await other.command('PING');
    const ending = deployment.proxy.stop();
    await deployment.proxy.waitForLog('stopping');
    await waitFor('a refusal', () => isRefused(deployment.port), SOON_MS);
    deployment.servers[0]?.resume();
    t.equal((await client.next()).toString(), '+OK\r\n');
    t.equal(await ending, 0);
  });

  t.test(`on ${transport}, a client that never reads is cut off at the drain limit`, async (t) => {
    const deployment = await deploy(t, { ...ONE_OF_EACH, transport, drainTimeout: '1s' });
    await becomesDeaf(deployment);
    const startMs = performance.now();
    t.equal(await deployment.proxy.stop(), 0);
    t.ok(performance.now() - startMs < 1_000 + SOON_MS);
    t.ok(deployment.proxy.logLines.some(({ msg }) => msg === 'drain-cut-off'));
  });

  t.test(`on ${transport}, a node that does not answer is given up at the drain limit`, async (t) => {
    const deployment = await deploy(t, { ...ONE_OF_EACH, transport, drainTimeout: '1s' });
    const client = await RespClient.connect(deployment.port);
    deployment.servers[0]?.pause();
    client.send(encodeWords(['SET', 'key', 'value']));
    const other = await RespClient.connect(deployment.port);
    await other.command('PING');
    const startMs = performance.now();
    t.equal(await deployment.proxy.stop(), 0);
    t.ok(performance.now() - startMs < 1_000 + SOON_MS);
    await within('the end of the connection', client.closed);
    t.equal(client.unread, '');
    deployment.servers[0]?.resume();
  });

  t.test(`on ${transport}, SIGTERM again, a while later, ends it at once`, async (t) => {
    const deployment = await deploy(t, { ...ONE_OF_EACH, transport, drainTimeout: '60s' });
    const { proxy } = deployment;
    await becomesDeaf(deployment);
    proxy.signal('SIGTERM');
    await proxy.waitForLog('stopping');
    const again = setInterval(() => proxy.signal('SIGTERM'), 200);
    t.teardown(() => clearInterval(again));
    t.same(await within('the end', proxy.ended), { code: 1, signal: null });
  });
}

/** A client with many replies under way to it, more than the kernel takes, that reads none of them. */
async function becomesDeaf(deployment: Deployment): Promise<void> {
  const client = await RespClient.connect(deployment.port);
  await client.command('SET', 'large', 'v'.repeat(100 * KIBI));
  client.stopReading();
  client.send(Buffer.concat(Array.from({ length: 500 }, () => encodeWords(['GET', 'large']))));
  const other = await RespClient.connect(deployment.port);
  await other.command('GET', 'large');
  other.close();
}

/** Nobody listens there any more; a connection that nobody serves is no refusal. */
async function isRefused(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const code = await new Promise<string | null>((resolve) => {
    socket.on('connect', () => resolve(null));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
  });
  socket.destroy();
  return code === 'ECONNREFUSED';
}

/** What the nodes hold, read from them directly, that the clients were not told. */
async function lostWrites(deployment: Deployment, clients: readonly CheckingClient[]): Promise<string[]> {
  const lost: string[] = [];
  for (const [index, server] of deployment.servers.entries()) {
    const direct = await RespClient.connect(server.port);
    for (const cell of clients.flatMap(({ cells }) => cells)) {
      if (cell.node !== deployment.names[index]) continue;
      const value = await direct.command('GET', cell.key);
      if (!isPossible(cell, value)) lost.push(`${cell.key} is ${value}, not ${[cell.value, ...cell.maybe]}`);
    }
    direct.close();
  }
  return lost.slice(0, 5);
}
