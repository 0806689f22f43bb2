/** Who waits for a lock: how many may, and what ends a wait but the lock. */
import t from 'tap';
import { acquire, fieldsOf } from '../help/lock-client.js';
import { deployLocks } from '../help/lock-deployment.js';
import type { ProxyProcess } from '../help/proxy.js';
import { connect, encodeWords, type RespClient } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

const QUEUE_MAX = 2;
/** Nodes that stand still for a while are waited for. */
const PATIENCE_MS = 4_000;
const WAIT = ['TTL', '30000', 'WAIT', '60000'];
const NIL = '$-1\r\n';

async function countOf({ adminUrl }: ProxyProcess, name: string): Promise<number> {
  const status = await (await fetch(`${adminUrl}/status`)).json();
  const { counters } = status as { counters: Record<string, number> };
  return counters[name] as number;
}

async function stateOf(client: RespClient, name: string): Promise<string> {
  return `${fieldsOf(await client.command('LOCK.INFO', name)).get('state')}`;
}

t.test('waiting for a lock', async (t) => {
  const { servers, proxies } = await deployLocks(t, {
    nodes: 3,
    ttlMaxMs: 60_000,
    limits: { lockQueueMax: QUEUE_MAX, replicatedPatienceMs: PATIENCE_MS },
  });
  const [, proxy] = proxies;
  const holder = await connect(t, proxies[0].port);
  const waiting = (count: number) =>
    waitFor(`${count} to wait`, async () => (await countOf(proxy, 'locksWaiting')) === count);

  for (const how of ['QUIT', 'a half-close'] as const) {
    t.test(`${how} behind LOCK.ACQUIRE, before it has the lock: null, and no lock`, async (t) => {
      const [client, other] = [await connect(t, proxy.port), await connect(t, proxy.port)];
      for (const server of servers) server.pause();
      const quit = how === 'QUIT' ? [encodeWords(['QUIT'])] : [];
      client.send(Buffer.concat([encodeWords(['LOCK.ACQUIRE', 'lock:a', 'TTL', '30000']), ...quit]));
      if (how === 'a half-close') client.end();
      // What came before it has been read when it is answered.
      for (let time = 0; time < 3; time++) await other.command('PING');
      for (const server of servers) server.resume();
      t.equal((await client.next()).toString(), NIL);
      if (how === 'QUIT') t.equal((await client.next()).toString(), '+OK\r\n');
      await client.closed;
      await waitFor('it to be free', async () => (await stateOf(holder, 'lock:a')) === 'free');
    });
  }

  t.test('a half-close ends a wait: no lock is left, and nothing is answered any more', async (t) => {
    const held = await acquire(holder, 'lock:a', 'TTL', '30000');
    const client = await connect(t, proxy.port);
    client.send(encodeWords(['LOCK.ACQUIRE', 'lock:a', ...WAIT]));
    await waiting(1);
    client.end();
    await client.closed;
    t.equal(client.unread, '');
    await waiting(0);
    t.equal((await holder.raw('LOCK.RELEASE', 'lock:a', `${held?.token}`)).toString(), '+OK\r\n');
    t.equal(await stateOf(holder, 'lock:a'), 'free', 'nobody has got it');
  });

  t.test('QUIT behind a wait is read when that has been answered', async (t) => {
    const held = await acquire(holder, 'lock:a', 'TTL', '30000');
    const client = await connect(t, proxy.port);
    client.send(Buffer.concat([['LOCK.ACQUIRE', 'lock:a', ...WAIT], ['QUIT']].map((words) => encodeWords(words))));
    await waiting(1);
    await holder.command('LOCK.RELEASE', 'lock:a', `${held?.token}`);
    t.match((await client.next()).toString(), /token/);
    t.equal((await client.next()).toString(), '+OK\r\n');
    await client.closed;
    t.equal(await holder.command('LOCK.BREAK', 'lock:a'), 1, 'it has it, and was told so');
  });

  for (const [how, expected] of [
    ['TIMEOUT', NIL],
    ['ERROR', '-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n'],
  ] as const) {
    t.test(`CLIENT UNBLOCK ${how} ends a wait`, async (t) => {
      const held = await acquire(holder, 'lock:b', 'TTL', '30000');
      const [client, other] = [await connect(t, proxy.port), await connect(t, proxy.port)];
      const id = `${await client.command('CLIENT', 'ID')}`;
      t.equal(await other.command('CLIENT', 'UNBLOCK', id, how), 0, 'it does not wait yet');
      const reply = client.raw('LOCK.ACQUIRE', 'lock:b', ...WAIT);
      await waiting(1);
      t.equal(await other.command('CLIENT', 'UNBLOCK', id, how), 1);
      t.equal((await reply).toString(), expected);
      await waiting(0);
      t.equal((await holder.raw('LOCK.RELEASE', 'lock:b', `${held?.token}`)).toString(), '+OK\r\n');
      t.equal(await stateOf(holder, 'lock:b'), 'free');
      t.ok(await acquire(client, 'lock:b', 'TTL', '30000'), 'the connection goes on');
      await client.command('LOCK.BREAK', 'lock:b');
    });
  }

  t.test('lockQueueMax want one lock at a time, and who comes next is told so at once', async (t) => {
    const held = await acquire(holder, 'lock:c', 'TTL', '30000');
    const clients = await Promise.all([1, 2, 3].map(() => connect(t, proxy.port)));
    const [first, second, third] = clients as [RespClient, RespClient, RespClient];
    const waits: Promise<unknown>[] = [];
    for (const [index, client] of [first, second].entries()) {
      waits.push(acquire(client, 'lock:c', ...WAIT));
      await waiting(index + 1);
    }
    const before = await countOf(proxy, 'commandsOverloaded');
    t.equal(
      (await third.raw('LOCK.ACQUIRE', 'lock:c', ...WAIT)).toString(),
      `-OVERLOADED too many wait for the lock (lockQueueMax ${QUEUE_MAX}); repeat it later\r\n`,
    );
    await waitFor('the counters', async () => {
      const counts = [await countOf(proxy, 'locksCrowded'), await countOf(proxy, 'commandsOverloaded')];
      return counts.join() === `1,${before + 1}`;
    });
    t.ok(await acquire(third, 'lock:other', 'TTL', '30000'), 'another lock is not concerned');
    await holder.command('LOCK.RELEASE', 'lock:c', `${held?.token}`);
    t.ok(await waits[0], 'who waited has it');
    await holder.command('LOCK.BREAK', 'lock:c');
    t.ok(await waits[1]);
  });
});
