/** Locks that are held for as long as their client is connected, over three nodes, through two proxies. */
import t from 'tap';
import { acquire, fieldsOf } from '../help/lock-client.js';
import { deployLocks } from '../help/lock-deployment.js';
import { isStopped } from '../help/process-facts.js';
import type { ProxyProcess } from '../help/proxy.js';
import { connect, encodeWords, RespClient } from '../help/resp-client.js';
import { waitFor, within } from '../help/wait-for.js';

/** The proxy extends the lock three times in that. */
const TTL_MS = 1500;
const LONG_MS = 50_000;
const SESSION = ['TTL', `${TTL_MS}`, 'SESSION'];
const LONG_SESSION = ['TTL', `${LONG_MS}`, 'SESSION'];
/** For what comes at once, and not when some time is over. */
const SOON_MS = 10_000;
/** By so much a busy machine may wake a proxy late; who waited for nodes that do not answer would be later still (requestTimeoutMs). */
const LATE_MS = 1_000;

const lockOptions = { nodes: 3, ttlMaxMs: 60_000 } as const;

t.test('locks of a session', async (t) => {
  const { proxies, servers } = await deployLocks(t, { ...lockOptions, limits: { sessionLocksMax: 2 } });
  const other = await connect(t, proxies[1].port);

  t.test('one is held for many times its ttl, and freed as soon as its client goes', async (t) => {
    for (const { port } of proxies) {
      for (const [how, leave] of [
        ['close', async (client: RespClient) => client.close()],
        ['QUIT', async (client: RespClient) => client.raw('QUIT')],
        ['RESET', async (client: RespClient) => client.raw('RESET')],
        [
          'CLIENT KILL',
          async (client: RespClient) => {
            const id = await client.command('CLIENT', 'ID');
            const killer = await connect(t, port);
            await killer.command('CLIENT', 'KILL', 'ID', `${id}`);
          },
        ],
      ] as const) {
        const holder = await RespClient.connect(port);
        t.teardown(() => holder.close());
        const held = await acquire(holder, 'lock:a', ...LONG_SESSION);
        t.ok(held, how);
        const taking = acquire(other, 'lock:a', 'TTL', '1000', 'WAIT', '40000');
        await isAwaited(proxies[1]);
        await leave(holder);
        const next = await within(`the lock after ${how}`, taking, SOON_MS);
        t.ok((next?.fence ?? 0) > (held?.fence ?? 0), how);
        await other.raw('LOCK.RELEASE', 'lock:a', next?.token as string);
      }
    }
    const holder = await connect(t, proxies[0].port);
    t.ok(await acquire(holder, 'lock:a', ...SESSION));
    t.equal(await acquire(other, 'lock:a', 'TTL', '1000', 'WAIT', `${3 * TTL_MS}`), null);
    t.equal((await holder.raw('PING')).toString(), '+PONG\r\n');
    await waitFor('it to be counted', async () => (await counter(holder, 'session_locks_held')) === 1);
    holder.close();
  });

  t.test('it is released and extended by its holder as any other', async (t) => {
    const holder = await connect(t, proxies[0].port);
    const held = await acquire(holder, 'lock:b', ...LONG_SESSION);
    const token = held?.token as string;
    t.match(
      (await holder.raw('LOCK.EXTEND', 'lock:b', token, 'TTL', '999')).toString(),
      /^-ERR TTL of a SESSION lock must be 1000/,
    );
    t.ok(fieldsOf(await holder.command('LOCK.EXTEND', 'lock:b', token, 'TTL', `${TTL_MS}`)).get('validity'));
    t.equal(await acquire(other, 'lock:b', 'TTL', '1000', 'WAIT', `${2 * TTL_MS}`), null, 'it is kept for that time');
    t.equal((await holder.raw('LOCK.RELEASE', 'lock:b', token)).toString(), '+OK\r\n');
    const next = await acquire(other, 'lock:b', ...LONG_SESSION);
    t.ok(next);
    t.equal((await holder.raw('PING')).toString(), '+PONG\r\n');
    await other.raw('LOCK.RELEASE', 'lock:b', next?.token as string);
  });

  t.test('a token that was granted to another connection since stays held when the first one goes', async (t) => {
    const first = await connect(t, proxies[0].port);
    t.ok(await acquire(first, 'lock:c', ...LONG_SESSION, 'TOKEN', 'same'));
    const second = await connect(t, proxies[1].port);
    const again = await acquire(second, 'lock:c', ...LONG_SESSION, 'TOKEN', 'same');
    t.ok(again);
    first.close();
    await waitFor(
      'the first to be gone',
      async () => (await counter(await connect(t, proxies[0].port), 'session_locks_held')) === 0,
    );
    t.equal(await acquire(other, 'lock:c', 'TTL', '1000', 'WAIT', '500'), null);
    t.equal(String(fieldsOf(await other.command('LOCK.INFO', 'lock:c')).get('fence')), `${again?.fence}`);
    second.close();
  });

  t.test('who loses it is disconnected, and the log says which and why', async (t) => {
    const holder = await connect(t, proxies[0].port);
    const held = await acquire(holder, 'lock:d', ...SESSION);
    await other.raw('LOCK.RELEASE', 'lock:d', held?.token as string);
    await within('the end of the connection', holder.closed, SOON_MS);
    await proxies[0].waitForLog('session-closed', ({ reason }) =>
      /'lock:d': it is not held by its token/.test(`${reason}`),
    );
    const asked = await connect(t, proxies[0].port);
    await waitFor('it to be counted', async () => (await counter(asked, 'session_locks_lost')) === 1);
  });

  t.test('one client has no more of them than sessionLocksMax', async (t) => {
    const holder = await connect(t, proxies[0].port);
    for (const name of ['lock:e', 'lock:f']) t.ok(await acquire(holder, name, ...SESSION));
    t.match(
      (await holder.raw('LOCK.ACQUIRE', 'lock:g', ...SESSION)).toString(),
      /^-OVERLOADED the client would have more than sessionLocksMax 2 locks/,
    );
    t.match((await holder.raw('LOCK.ACQUIRE', 'lock:g', 'TTL', '999', 'SESSION')).toString(), /^-ERR TTL of a SESSION/);
    holder.close();
    t.ok(await acquire(other, 'lock:e', 'TTL', '1000', 'WAIT', '40000'));
  });

  t.test('of those who share a lock each has it until he goes', async (t) => {
    const shared = ['TTL', `${LONG_MS}`, 'SHARED', 'SESSION'];
    const readers = await Promise.all(proxies.map(({ port }) => connect(t, port)));
    for (const reader of readers) t.ok(await acquire(reader, 'lock:r', ...shared));
    const writing = acquire(other, 'lock:r', 'TTL', '1000', 'WAIT', '40000');
    await isAwaited(proxies[1]);
    readers[0]?.close();
    await waitFor('one to be left', async () => {
      const info = fieldsOf(await (readers[1] as RespClient).command('LOCK.INFO', 'lock:r'));
      return (info.get('holders') as unknown[]).length === 1;
    });
    t.equal((await readers[1]?.raw('PING'))?.toString(), '+PONG\r\n');
    readers[1]?.close();
    t.ok(await within('the lock', writing, SOON_MS));
    const slots = await Promise.all(proxies.map(({ port }) => connect(t, port)));
    for (const holder of slots) t.ok(await acquire(holder, 'lock:slots', 'TTL', '1500', 'LIMIT', '2', 'SESSION'));
    t.equal(await acquire(other, 'lock:slots', 'TTL', '1000', 'LIMIT', '2', 'WAIT', `${2 * TTL_MS}`), null);
    t.equal(await other.command('LOCK.BREAK', 'lock:slots'), 2);
    await within('both to be disconnected', Promise.all(slots.map((holder) => holder.closed)), SOON_MS);
  });

  t.test('RESET behind the command that takes it frees it, too', async (t) => {
    const holder = await connect(t, proxies[1].port);
    holder.send(Buffer.concat([encodeWords(['LOCK.ACQUIRE', 'lock:h', ...LONG_SESSION]), encodeWords(['RESET'])]));
    t.match((await holder.next()).toString(), /^\*6\r\n/);
    t.equal((await holder.next()).toString(), '+RESET\r\n');
    t.ok(await within('the lock', acquire(other, 'lock:h', 'TTL', '1000', 'WAIT', '40000'), SOON_MS));
  });

  t.test('where the nodes cannot be reached until its time is over, the client is disconnected', async (t) => {
    const holder = await connect(t, proxies[0].port);
    t.ok(await acquire(holder, 'lock:i', ...SESSION));
    for (const server of servers.slice(1)) server.pause();
    const since = performance.now();
    t.equal((await holder.raw('PING')).toString(), '+PONG\r\n', 'it is held still');
    await within('the end of the connection', holder.closed, SOON_MS);
    const tookMs = performance.now() - since;
    for (const server of servers.slice(1)) server.resume();
    t.ok(tookMs < TTL_MS + LATE_MS, `${tookMs} ms`);
    await proxies[0].waitForLog('session-closed', ({ reason }) => /'lock:i': its time was over/.test(`${reason}`));
    t.ok(await acquire(other, 'lock:i', 'TTL', '1000', 'WAIT', '40000'));
  });
});

t.test('a proxy that stands still believes nothing that is over', async (t) => {
  const { proxies } = await deployLocks(t, lockOptions);
  const other = await connect(t, proxies[1].port);
  const holder = await connect(t, proxies[0].port);
  const held = await acquire(holder, 'lock:a', ...SESSION);
  proxies[0].signal('SIGSTOP');
  // What a thread reads before it hears of that it may answer.
  await waitFor('all threads to stand still', () => isStopped(proxies[0].pid));
  holder.send(encodeWords(['PING']));
  const next = await within(
    'the lock, when its time is over',
    acquire(other, 'lock:a', ...LONG_SESSION, 'WAIT', '40000'),
    SOON_MS,
  );
  t.ok((next?.fence ?? 0) > (held?.fence ?? 0));
  const answered = holder.next().then(
    (reply) => reply.toString(),
    () => 'nothing',
  );
  proxies[0].signal('SIGCONT');
  t.equal(await answered, 'nothing');
  await within('the end of the connection', holder.closed, SOON_MS);
});

t.test('a proxy that stops frees them at once, and one that is killed leaves them to their time', async (t) => {
  const { proxies, servers } = await deployLocks(t, lockOptions);
  const [first, second] = proxies;
  const other = await connect(t, second.port);
  t.ok(await acquire(await connect(t, first.port), 'lock:a', ...SESSION));
  const [lookedAt] = fieldsOf(await other.command('LOCK.INFO', 'lock:a')).get('holders') as unknown[];
  const ttlMs = Number(fieldsOf(lookedAt).get('ttl'));
  const since = performance.now();
  await first.kill9();
  t.ok(await within('the lock of who was killed', acquire(other, 'lock:a', 'TTL', '1000', 'WAIT', '40000'), SOON_MS));
  const tookMs = performance.now() - since;
  t.ok(tookMs > ttlMs - 50, `${tookMs} ms, of ${ttlMs}`);
  const holder = await connect(t, second.port);
  t.ok(await acquire(holder, 'lock:c', ...LONG_SESSION));
  const nodes = await Promise.all(servers.map(({ port }) => connect(t, port)));
  t.equal(await second.stop(), 0);
  for (const node of nodes) t.equal(await node.command('EXISTS', 'lock:c'), 0, 'a proxy that is gone has left nothing');
});

t.test('a proxy that stops gives back what those have got who wait', async (t) => {
  const { proxies, servers } = await deployLocks(t, { ...lockOptions, limits: { replicatedPatienceMs: SOON_MS } });
  const nodes = await Promise.all(servers.map(({ port }) => connect(t, port)));
  t.ok(await acquire(await connect(t, proxies[0].port), 'lock:z', 'TTL', `${LONG_MS}`));
  const wait = ['TTL', `${LONG_MS}`, 'WAIT', '60000'];
  const [several, one] = [await connect(t, proxies[1].port), await connect(t, proxies[0].port)];
  several.send(encodeWords(['LOCK.MACQUIRE', '3', 'lock:x', 'lock:y', 'lock:z', ...wait]));
  await waitFor('two to be had', async () => {
    const had = await Promise.all(nodes.map((node) => node.command('EXISTS', 'lock:x', 'lock:y')));
    return had.every((count) => count === 2);
  });
  t.equal(await proxies[1].stop(), 0);
  for (const node of nodes) t.equal(await node.command('EXISTS', 'lock:x', 'lock:y'), 0, 'what was had of several');
  // What is asked for now the nodes carry out when the proxy is gone.
  for (const server of servers) server.pause();
  one.send(encodeWords(['LOCK.ACQUIRE', 'lock:w', ...wait]));
  await isAwaited(proxies[0]);
  t.equal(await proxies[0].stop(), 0);
  for (const server of servers) server.resume();
  for (const node of nodes) t.equal(await node.command('EXISTS', 'lock:w'), 0, 'what was asked for');
});

t.test('a lock that is on other nodes after a reload is nobody’s, and nobody waits for it', async (t) => {
  const { proxies } = await deployLocks(t, { nodes: 5, copies: 3, ttlMaxMs: 60_000 });
  const reload = async (from: string, to: string) => {
    // The holder's is last: what he loses nobody is to get where it was.
    for (const proxy of proxies.toReversed()) {
      const reloads = () => proxy.logLines.filter(({ msg }) => msg === 'reloaded').length;
      const before = reloads();
      t.ok(proxy.configText().includes(from));
      proxy.reload((text) => text.replace(from, to));
      await waitFor('the reload', () => reloads() > before);
    }
  };
  const holder = await connect(t, proxies[0].port);
  t.ok(await acquire(holder, 'lock:b', ...LONG_SESSION));
  const waiting = await connect(t, proxies[1].port);
  const wait = ['TTL', `${LONG_MS}`, 'WAIT', '60000'];
  waiting.send(encodeWords(['LOCK.MACQUIRE', '2', 'lock:a', 'lock:b', ...wait]));
  await isAwaited(proxies[1]);
  await reload('"ttlMaxMs": 60000', '"ttlMaxMs": 59000');
  t.equal((await holder.raw('PING')).toString(), '+PONG\r\n', 'another reload leaves it');
  await isAwaited(proxies[1]);
  await reload('"copies": 3', '"copies": 5');
  await within('the end of the connection', holder.closed, SOON_MS);
  await proxies[0].waitForLog('session-closed', ({ reason }) => /'lock:b': it is on other nodes/.test(`${reason}`));
  t.match((await waiting.next()).toString(), /^-NOQUORUM the lock is on other nodes/);
  for (const name of ['lock:a', 'lock:b'])
    t.ok(await within(name, acquire(waiting, name, 'TTL', '1000', 'WAIT', '40000'), SOON_MS), 'what was had is free');
});

/** Of the whole proxy, whose workers tell each other what they have counted a little later. */
async function counter(client: RespClient, name: string): Promise<number> {
  const text = String(await client.command('INFO', 'ringleader'));
  return Number(new RegExp(`^ringleader_${name}:(\\d+)`, 'm').exec(text)?.[1]);
}

async function isAwaited({ port }: ProxyProcess): Promise<void> {
  const client = await RespClient.connect(port);
  await waitFor('a client to wait', async () =>
    /blocked_clients:1\r/.test(`${await client.command('INFO', 'clients')}`),
  );
  client.close();
}
