/** Clients that wait for data or watch keys, with real nodes: as on one Redis, and when nodes or clients go. */
import t from 'tap';
import { type Deployment, deploy } from '../help/deployment.js';
import { openDescriptors, residentBytes } from '../help/process-facts.js';
import { startRedisServers } from '../help/redis-server.js';
import { connect, RespClient, say } from '../help/resp-client.js';
import { waitFor, within } from '../help/wait-for.js';
import { FAULT_LIMITS } from './storm.js';

/** Each line by one client; what is behind `<` by a second one, while the first waits or watches. */
const SCRIPTS: readonly (readonly string[])[] = [
  ['BLPOP {k}l 0 < LPUSH {k}l a', 'BRPOP {k}none {k}l 0 < RPUSH {k}l b c', 'LRANGE {k}l 0 -1', 'BLPOP {k}l 1'],
  ['BLMOVE {k}l {k}m LEFT RIGHT 0 < RPUSH {k}l x', 'BRPOPLPUSH {k}m {k}n 0', 'BLMPOP 0 2 {k}o {k}n LEFT COUNT 2'],
  ['BZPOPMIN {k}z 0 < ZADD {k}z 1.5 a', 'BZPOPMAX {k}z 0 < ZADD {k}z 2 b', 'BZMPOP 0 1 {k}z MIN < ZADD {k}z 3 c'],
  [
    'XREAD BLOCK 0 STREAMS {k}s $ < XADD {k}s 1-1 f v',
    'XREAD COUNT 1 BLOCK 10 STREAMS {k}s 0',
    'XREAD BLOCK 10 STREAMS {k}s $',
  ],
  ['XGROUP CREATE {k}s g $', 'XREADGROUP GROUP g c BLOCK 0 STREAMS {k}s > < XADD {k}s 2-1 f v', 'XACK {k}s g 2-1'],
  ['BLPOP {k}none 0.01', 'BRPOPLPUSH {k}none {k}x 0.01', 'BZPOPMIN {k}none 0.01', 'BLMPOP 0.01 1 {k}none LEFT', 'PING'],
  [
    'SET {k}str 1',
    'BLPOP {k}str 0',
    'BLPOP {k}l x',
    'BLPOP {k}l -1',
    'BZMPOP 0 0 {k}z MIN',
    'XREAD BLOCK x STREAMS {k}s $',
  ],
  ['WATCH {k}w < SET {k}w 1', 'MULTI', 'GET {k}w', 'EXEC', 'MULTI', 'GET {k}w', 'EXEC'],
  ['SET {k}w 2', 'WATCH {k}w {k}v', 'GET {k}w', 'MULTI', 'INCR {k}w', 'EXEC'],
  ['WATCH {k}w < INCR {k}w', 'UNWATCH', 'MULTI', 'INCR {k}w', 'EXEC', 'WATCH', 'MULTI', 'WATCH {k}w', 'EXEC'],
  ['SET {k}w 1', 'WATCH {k}w < SET {k}w 2', 'MULTI', 'UNWATCH', 'SET {k}w mine', 'EXEC', 'GET {k}w'],
  [
    'WATCH {k}w < SET {k}w 3',
    'MULTI',
    'CLIENT SETNAME lost',
    'CLIENT NO-EVICT on',
    'GET {k}w',
    'EXEC',
    'CLIENT GETNAME',
  ],
  ['WATCH {k}w < SET {k}w 4', 'MULTI', 'CLIENT SETNAME lost', 'CLIENT UNPAUSE', 'EXEC', 'CLIENT GETNAME'],
  ['WATCH {k}w', 'MULTI', 'CLIENT SETNAME kept', 'GET {k}w', 'CLIENT UNPAUSE', 'PING', 'EXEC', 'CLIENT GETNAME'],
  ['MULTI', 'CLIENT SETNAME again', 'CLIENT GETNAME', 'CLIENT KILL ID 123456', 'INCR {k}n', 'EXEC', 'CLIENT GETNAME'],
  ['MULTI', 'CLIENT SETNAME alone', 'CLIENT KILL ID 123456', 'EXEC', 'CLIENT GETNAME', 'MULTI', 'UNWATCH', 'EXEC'],
  ['MULTI', 'SET {k}w x', 'EXEC x', 'EXEC', 'WATCH {k}w', 'MULTI', 'EXEC 1 2', 'MULTI', 'PING', 'EXEC', 'EXEC x'],
  ['MULTI', 'SET {k}w', 'EXEC x', 'EXEC', 'CLIENT SETNAME x', 'SET {k}w 1'],
  ['WATCH {k}w', 'INCR {k}w', 'MULTI', 'PING', 'EXEC', 'WATCH {k}w', 'MULTI', 'DISCARD', 'MULTI', 'EXEC'],
  [
    'SELECT 5',
    'SET {k}d 5',
    'MOVE {k}d 6',
    'GET {k}d',
    'SELECT 6',
    'GET {k}d',
    'COPY {k}d {k}d DB 5',
    'SELECT 5',
    'GET {k}d',
    'DBSIZE',
  ],
  [
    'SELECT 16',
    'SELECT -1',
    'SELECT x',
    'SELECT 0',
    'CONFIG SET nosuch 1',
    'CONFIG SET maxmemory-samples 7',
    'CONFIG GET maxmemory-samples',
  ],
];

/** Resolves when so many clients wait at the nodes. */
async function blockedAre(client: RespClient, count: number): Promise<void> {
  await waitFor(`${count} clients that wait`, async () =>
    `${await client.command('INFO', 'clients')}`.includes(`blocked_clients:${count}\r\n`),
  );
}

/** Carries out one line of the scripts: what the first client was answered. */
async function carryOut(line: string, first: RespClient, second: RespClient): Promise<string> {
  const [words = [], others] = line.split(' < ').map((part) => part.split(' '));
  const reply = first.raw(...words);
  if (others !== undefined) {
    if (words[0] === 'WATCH') await reply;
    else await blockedAre(second, 1);
    await second.raw(...others);
  }
  return (await reply).toString('latin1');
}

for (const transport of ['io_uring', 'node'] as const) {
  for (const protocol of [2, 3] as const) {
    t.test(`on ${transport} in RESP${protocol}, as one Redis answers`, async (t) => {
      const deployment = await deploy(t, { transport });
      const [reference] = await startRedisServers(1);
      t.teardown(() => reference?.stop());
      const pair = async (port: number) => {
        const [first, second] = [await connect(t, port), await connect(t, port)];
        if (protocol === 3) await first.raw('HELLO', '3');
        return [first, second] as const;
      };
      const through = await pair(deployment.port);
      const direct = await pair(reference?.port as number);
      for (const line of SCRIPTS.flat())
        t.equal(await carryOut(line, ...through), await carryOut(line, ...direct), line);
    });
  }

  t.test(`on ${transport}, a client that goes while it waits takes nothing with it`, async (t) => {
    const deployment = await deploy(t, { transport });
    const other = await connect(t, deployment.port);
    for (const goes of ['close', 'reset', 'end'] as const) {
      const client = await RespClient.connect(deployment.port);
      client.send('*3\r\n$5\r\nBLPOP\r\n$1\r\nk\r\n$1\r\n0\r\n');
      await blockedAre(other, 1);
      client[goes]();
      await blockedAre(other, 0);
      t.equal(await other.command('LPUSH', 'k', goes), 1);
      t.equal(await other.command('LPOP', 'k'), goes, 'nobody has taken it');
      if (goes === 'end') await within('the end of the connection', client.closed);
    }
  });

  t.test(`on ${transport}, CLIENT UNBLOCK ends the wait of a client of any worker`, async (t) => {
    const deployment = await deploy(t, { transport });
    const other = await connect(t, deployment.port);
    // One of each worker, most likely.
    for (const words of [
      ['BLPOP', 'k', '0'],
      ['XREAD', 'BLOCK', '0', 'STREAMS', 's', '$'],
      ['BLPOP', 'l', '0'],
      ['WAIT', '3', '0'],
    ]) {
      for (const how of ['TIMEOUT', 'ERROR']) {
        const client = await connect(t, deployment.port);
        const id = await client.command('CLIENT', 'ID');
        t.equal(await other.command('CLIENT', 'UNBLOCK', `${id}`), 0, 'it does not wait yet');
        const reply = client.raw(...words);
        await blockedAre(other, 1);
        t.equal(await other.command('CLIENT', 'UNBLOCK', `${id}`, how), 1, `${words[0]} ${how}`);
        const text = (await reply).toString();
        if (how === 'ERROR') t.match(text, /UNBLOCKED client unblocked via CLIENT UNBLOCK/);
        else t.equal(text, words[0] === 'WAIT' ? ':0\r\n' : '*-1\r\n');
      }
    }
  });

  t.test(`on ${transport}, those who wait are served in the order in which they came`, async (t) => {
    const deployment = await deploy(t, { transport });
    const pusher = await connect(t, deployment.port);
    const waiting: Promise<string>[] = [];
    for (let count = 1; count <= 5; count++) {
      waiting.push(say(await connect(t, deployment.port), 'BRPOP', 'queue', '0'));
      await blockedAre(pusher, count);
    }
    for (let value = 0; value < 5; value++) await pusher.command('LPUSH', 'queue', `${value}`);
    t.same(
      (await Promise.all(waiting)).map((reply) => /\$1\r\n(\d)\r\n$/.exec(reply)?.[1]),
      ['0', '1', '2', '3', '4'],
    );
  });

  t.test(`on ${transport}, nodes that are killed, paused and restarted under clients that wait or watch`, async (t) => {
    const deployment = await deploy(t, { transport, limits: FAULT_LIMITS });
    const [server] = deployment.servers;
    const [list, key] = [deployment.key(0, 'list'), deployment.key(0, 'key')];
    const pusher = await connect(t, deployment.port);
    for (const fault of ['kill', 'pause'] as const) {
      const [blocker, reader, watcher] = await Promise.all([1, 2, 3].map(() => connect(t, deployment.port)));
      if (!blocker || !reader || !watcher) throw new Error('there are three');
      const popped = blocker.raw('BLPOP', list, '0');
      const read = reader.raw('XREAD', 'BLOCK', '0', 'STREAMS', `{${list}}:stream`, '$');
      await blockedAre(pusher, 2);
      t.equal(await watcher.command('WATCH', key), 'OK');
      if (fault === 'kill') await server?.kill9();
      else server?.pause();
      t.match((await popped).toString(), /^-UNKNOWN node a .*the write may or may not have been done/, fault);
      t.match((await read).toString(), /^-NODEDOWN node a .*the command had no effect/, fault);
      if (fault === 'kill') await server?.restart();
      else server?.resume();
      await waitFor('the node', async () => /^[$_]/.test(await say(pusher, 'GET', key)));
      t.equal(await watcher.command('MULTI'), 'OK');
      t.equal(await watcher.command('SET', key, fault), 'QUEUED');
      const executed = (await watcher.raw('EXEC')).toString();
      if (fault === 'kill') t.equal(executed, '*-1\r\n', 'nobody knows whether the key has changed');
      else t.match(executed, /^\*(-1|1\r\n\+OK)\r\n$/);
      for (const client of [blocker, reader]) {
        const again = client.raw('BLPOP', list, '0');
        await blockedAre(pusher, 1);
        await pusher.command('RPUSH', list, fault);
        t.equal((await again).toString(), `*2\r\n$${list.length}\r\n${list}\r\n$${fault.length}\r\n${fault}\r\n`);
      }
    }
  });

  t.test(`on ${transport}, 10,000 clients that wait or watch, and go, leave nothing behind`, async (t) => {
    const [wave, waves, spare] = [500, 20, 4];
    const deployment = await deploy(t, { transport, limits: { privateConnectionsSpareMax: spare } });
    const other = await connect(t, deployment.port);
    const lists = [0, 1, 2].map((node) => deployment.key(node, 'list'));
    const buffers = await bufferBytes(deployment);
    const descriptors = openDescriptors(deployment.proxy.pid);
    for (let count = 0; count < waves / 2; count++) await crowd(deployment, other, lists, wave);
    await idle(deployment, other);
    const memory = residentBytes(deployment.proxy.pid);
    for (let count = 0; count < waves / 2; count++) await crowd(deployment, other, lists, wave);
    await idle(deployment, other);
    // Of each worker to each node stays the shared one, which may have been opened meanwhile, and what is spare.
    const kept = 2 * 3 * (1 + spare);
    await waitFor('the descriptors of before', () => openDescriptors(deployment.proxy.pid) <= descriptors + kept);
    await waitFor('the buffers of before', async () => (await bufferBytes(deployment)) <= buffers);
    const grown = residentBytes(deployment.proxy.pid) - memory;
    t.ok(grown < 64 * 2 ** 20, `the process has grown by ${grown} bytes`);
  });
}

/** So many clients come at once, of which a third is served, a third just goes, and a third watches and goes. */
async function crowd({ port }: Deployment, other: RespClient, lists: string[], count: number): Promise<void> {
  const clients = await Promise.all(Array.from({ length: count }, () => RespClient.connect(port)));
  const list = (index: number) => lists[index % lists.length] as string;
  const kind = (index: number) => Math.floor(index / 3) % 3;
  const served: Promise<Buffer>[] = [];
  const watching: Promise<Buffer>[] = [];
  let blocked = 0;
  for (const [index, client] of clients.entries()) {
    if (kind(index) === 2) {
      watching.push(client.raw('WATCH', list(index)));
      continue;
    }
    blocked++;
    if (kind(index) === 0) served.push(client.raw('BLPOP', list(index), '0'));
    else client.send(`*3\r\n$5\r\nBRPOP\r\n$${list(index).length + 1}\r\n${list(index)}x\r\n$1\r\n0\r\n`);
  }
  await blockedAre(other, blocked);
  for (const reply of await Promise.all(watching))
    if (reply.toString() !== '+OK\r\n') throw new Error(reply.toString());
  for (const [index] of clients.entries()) if (kind(index) === 0) await other.command('RPUSH', list(index), `${index}`);
  for (const reply of await Promise.all(served)) if (!/^\*2/.test(reply.toString())) throw new Error(reply.toString());
  for (const [index, client] of clients.entries()) {
    if (index % 2 === 0) client.close();
    else client.reset();
  }
  await blockedAre(other, 0);
}

/** Resolves when the proxy has no client but that one. */
async function idle({ proxy }: Deployment, other: RespClient): Promise<void> {
  await waitFor('an end of the many', async () =>
    `${await other.command('INFO', 'clients')}`.includes('connected_clients:1\r\n'),
  );
  if (proxy.logLines.some(({ msg }) => msg === 'worker-died')) throw new Error(proxy.output());
}

/** Bytes of the buffers of all workers, as they said last. */
async function bufferBytes({ proxy }: Deployment): Promise<number> {
  const status = (await (await fetch(`${proxy.adminUrl}/status`)).json()) as { counters: { memoryBytes: number } };
  return status.counters.memoryBytes;
}
