/** Locks that the coordination store keeps, through two proxies, whatever store it is. */
import type { Test } from 'tap';
import type { FleetStore } from '../help/fleet-stores.js';
import { acquire, fieldsOf } from '../help/lock-client.js';
import { ProxyProcess } from '../help/proxy.js';
import { type RedisServer, startRedisServers } from '../help/redis-server.js';
import { connect, RespClient, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

const TTL_MAX_MS = 20_000;
const CONTENDERS = 10;
/** Acquisitions before each trouble, and after the last. */
const ROUND = 30;
/** Of who contends: so long a proxy that was killed keeps the lock. */
const TTL_MS = 2_000;
const WAIT_MS = 60_000;

type Start = (member: string, workers: number) => Promise<ProxyProcess>;

/** With all servers of the store at first. */
export async function testStoreLocks(t: Test, store: FleetStore): Promise<void> {
  const [node] = (await startRedisServers(1)) as [RedisServer];
  t.teardown(() => node.stop());
  const start: Start = async (member, workers) => {
    const layout = {
      pools: { main: { nodes: [{ name: 'a', url: node.url }] } },
      keyspaces: [
        { prefix: '', pool: 'main' },
        { prefix: 'lock:', pool: 'main', mode: 'lock', provider: 'store', ttlMaxMs: TTL_MAX_MS },
      ],
    };
    const proxy = await ProxyProcess.start({
      layout,
      workers,
      coordination: { ...store.section, cluster: 'locks', member },
    });
    t.teardown(() => proxy.kill9());
    return proxy;
  };
  const [first, second] = await Promise.all([start('one', 2), start('two', 1)]);
  await t.test('LOCK commands, and none but these', (t) => testCommands(t, first, second));
  await t.test('who waits is told when the lock is freed, in the order of asking', (t) =>
    testWaiting(t, first, second),
  );
  await t.test('one holder at a time, and fences that grow, whoever dies', (t) =>
    testContention(t, store, [first, second], () => start('two', 1)),
  );
}

async function testCommands(t: Test, first: ProxyProcess, second: ProxyProcess): Promise<void> {
  const [one, two] = [await connect(t, first.port), await connect(t, second.port)];
  await one.command('CLIENT', 'SETNAME', 'the-first');
  const got = await acquire(one, 'lock:a', 'TTL', '10000');
  if (got === null) throw new Error('nobody has it');
  t.ok(got.validity > 5_000 && got.validity <= 9_900, `${got.validity}`);
  t.equal(await acquire(two, 'lock:a', 'TTL', '1000'), null);
  const info = fieldsOf(await two.command('LOCK.INFO', 'lock:a'));
  t.equal(info.get('state'), 'held');
  t.equal(info.get('mode'), 'exclusive');
  t.equal(info.get('fence'), got.fence);
  const [holder] = (info.get('holders') as unknown[]).map(fieldsOf);
  t.equal(holder?.get('client'), 'the-first');
  t.equal(holder?.get('fence'), got.fence);
  t.ok(Number(holder?.get('ttl')) > 5_000);
  t.match(
    await say(two, 'LOCK.RELEASE', 'lock:a', 'wrong'),
    new RegExp(`^-NOTHELD .* by the-first with fence ${got.fence}, for \\d+ ms more`),
  );
  t.match(await say(two, 'LOCK.EXTEND', 'lock:a', 'wrong', 'TTL', '1000'), /^-NOTHELD/);
  const extended = fieldsOf(await two.command('LOCK.EXTEND', 'lock:a', got.token, 'TTL', '20000'));
  t.ok(Number(extended.get('validity')) > 15_000, 'by its token, from wherever');
  t.equal(await say(two, 'LOCK.RELEASE', 'lock:a', got.token), '+OK\r\n');
  t.match(await say(one, 'LOCK.RELEASE', 'lock:a', got.token), /^-NOTHELD .* it is free/);
  t.equal(fieldsOf(await one.command('LOCK.INFO', 'lock:a')).get('state'), 'free');
  const again = await acquire(two, 'lock:a', 'TTL', '10000', 'TOKEN', 'mine');
  t.ok(again !== null && again.fence > got.fence);
  const anew = await acquire(one, 'lock:a', 'TTL', '10000', 'TOKEN', 'mine');
  t.ok(anew !== null && again !== null && anew.fence > again.fence, 'who has it by that token has it anew');
  t.equal(await acquire(one, 'lock:a', 'TTL', '10000', 'WAIT', '50'), null);
  for (const name of ['lock:\x00\r\n\xff/..', `lock:${'x'.repeat(4000)}`]) {
    const other = await acquire(one, name, 'TTL', '10000');
    t.ok(other !== null);
    t.equal(fieldsOf(await two.command('LOCK.INFO', name)).get('state'), 'held');
    t.equal(await acquire(two, name, 'TTL', '1000'), null);
    t.equal(await say(two, 'LOCK.RELEASE', name, `${other?.token}`), '+OK\r\n');
  }
  for (const command of [
    ['GET', 'lock:a'],
    ['SET', 'lock:a', 'x', 'NX', 'PX', '9'],
    ['DEL', 'lock:a', 'b'],
    ['WATCH', 'lock:a'],
  ]) {
    t.match(
      await say(one, ...command),
      /^-ERR 'lock:a' is a lock that the coordination store keeps: LOCK commands are for it/,
    );
  }
  t.match(await say(one, 'LOCK.ACQUIRE', 'lock:a', 'TTL', '20001'), /^-ERR TTL must be/);
  for (const command of [
    ['LOCK.ACQUIRE', 'lock:a'],
    ['LOCK.MACQUIRE', '1', 'lock:a'],
  ])
    t.match(await say(one, ...command, 'TTL', '1000', 'LIMIT', '257'), /^-ERR LIMIT must be a number from 1 to 256/);
  t.match(
    await say(one, 'LOCK.LIST', 'x'.repeat(4097)),
    /^-ERR the pattern may have 4096 bytes, and this one has 4097/,
  );
  t.match(await say(one, 'LOCK.ACQUIRE', 'other', 'TTL', '1000'), /^-ERR no keyspace of mode lock/);
  t.equal(await say(one, 'RL.FENCED', 'lock:a', '7', 'SET', 'data', 'x'), '+OK\r\n');
  t.match(await say(one, 'RL.FENCED', 'lock:a', '6', 'SET', 'data', 'x'), /^-FENCED/);
  t.same(await one.command('KEYS', '*'), ['data']);
  t.equal(await say(one, 'FLUSHALL'), '+OK\r\n');
  t.equal(await acquire(two, 'lock:a', 'TTL', '1000'), null, 'that is about the nodes alone');
  // Held by several, and listed.
  const readers = [
    await acquire(one, 'lock:r', 'TTL', '9000', 'SHARED'),
    await acquire(two, 'lock:r', 'TTL', '9000', 'SHARED'),
  ];
  t.ok((readers[1]?.fence ?? 0) > (readers[0]?.fence ?? Number.NaN));
  t.equal(await acquire(two, 'lock:r', 'TTL', '1000'), null);
  for (const client of [one, two]) t.ok(await acquire(client, 'lock:slots', 'TTL', '9000', 'LIMIT', '2'));
  t.equal(await acquire(two, 'lock:slots', 'TTL', '9000', 'LIMIT', '2'), null);
  const names = async (...words: string[]) => {
    const list = (await two.command('LOCK.LIST', ...words)) as unknown[];
    return list.map(
      (found) => `${fieldsOf(found).get('name')} ${(fieldsOf(found).get('holders') as unknown[]).length}`,
    );
  };
  t.same(await names('lock:[r-s]*'), ['lock:r 2', 'lock:slots 2']);
  t.same(await names('*slots'), ['lock:slots 2']);
  t.ok((await names()).includes('lock:a 1'));
  t.equal(await one.command('LOCK.BREAK', 'lock:slots'), 2);
  t.equal(await one.command('LOCK.BREAK', 'lock:slots'), 0);
  t.same(await names('lock:slots'), []);
  const several = await two.command('LOCK.MACQUIRE', '2', 'lock:m1', 'lock:m2', 'TTL', '9000');
  t.equal((fieldsOf(several).get('token') as string).length, 32);
  t.equal(await one.command('LOCK.MACQUIRE', '2', 'lock:m3', 'lock:m2', 'TTL', '9000'), null);
  t.same(await names('lock:m*'), ['lock:m1 1', 'lock:m2 1'], 'all or none');
  // Held as long as connected.
  const holding = await RespClient.connect(second.port);
  t.ok(await acquire(holding, 'lock:session', 'TTL', '1000', 'SESSION'));
  const waiting = acquire(one, 'lock:session', 'TTL', '1000', 'WAIT', '30000');
  const sinceMs = performance.now();
  setTimeout(() => holding.close(), 2_500);
  t.ok(await waiting);
  t.ok(performance.now() - sinceMs > 2_400, 'not before it has gone');
}

async function testWaiting(t: Test, first: ProxyProcess, second: ProxyProcess): Promise<void> {
  const [holder, other] = [await connect(t, first.port), await connect(t, second.port)];
  const got = await acquire(holder, 'lock:w', 'TTL', '20000');
  const order: number[] = [];
  const waits: Promise<void>[] = [];
  for (let number = 0; number < 6; number++) {
    const client = await connect(t, first.port);
    waits.push(
      acquire(client, 'lock:w', 'TTL', '20000', 'WAIT', '30000').then(async (lock) => {
        order.push(number);
        if (lock === null) t.fail(`${number} waited for too long`);
        else await client.raw('LOCK.RELEASE', 'lock:w', lock.token);
      }),
    );
    // What was asked for before it is known there, of whichever worker.
    await waitFor('it to wait', async () => (await countOf(first, 'locksWaiting')) === number + 1);
  }
  t.equal(await acquire(holder, 'lock:w', 'TTL', '1000'), null, 'others wait');
  const startMs = performance.now();
  t.equal(await say(other, 'LOCK.RELEASE', 'lock:w', `${got?.token}`), '+OK\r\n');
  await Promise.all(waits);
  t.ok(performance.now() - startMs < 5_000, 'told, not by the end of a time');
  t.same(order, [0, 1, 2, 3, 4, 5]);
  // A client that has gone, or does not want it any more, has it no more.
  const held = await acquire(holder, 'lock:w', 'TTL', '20000');
  const [gone, unblocked] = [await RespClient.connect(first.port), await connect(t, first.port)];
  gone.send('LOCK.ACQUIRE lock:w TTL 20000 WAIT 30000\r\n');
  const id = String(await unblocked.command('CLIENT', 'ID'));
  const answer = acquire(unblocked, 'lock:w', 'TTL', '20000', 'WAIT', '30000');
  await waitFor('both to wait', async () => (await countOf(first, 'locksWaiting')) === 2);
  gone.close();
  await holder.command('CLIENT', 'UNBLOCK', id);
  t.equal(await answer, null);
  await waitFor('nobody to wait', async () => (await countOf(first, 'locksWaiting')) === 0);
  t.equal(await say(holder, 'LOCK.RELEASE', 'lock:w', `${held?.token}`), '+OK\r\n');
  t.ok(await acquire(other, 'lock:w', 'TTL', '1000'));
}

async function countOf({ adminUrl }: ProxyProcess, name: string): Promise<number> {
  const status = await (await fetch(`${adminUrl}/status`)).json();
  const { counters } = status as { counters: Record<string, number> };
  return counters[name] as number;
}

async function testContention(
  t: Test,
  { servers }: FleetStore,
  proxies: ProxyProcess[],
  startAgain: () => Promise<ProxyProcess>,
): Promise<void> {
  let [taken, lastFence, isOver] = [0, 0, false];
  /** Who has it, until when it says so. */
  let inside: { number: number; untilMs: number } | null = null;
  const contend = async (number: number) => {
    while (!isOver) {
      const { port } = proxies[number % 2] as ProxyProcess;
      const client = await RespClient.connect(port).catch(() => null);
      if (client === null) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        continue;
      }
      try {
        while (!isOver) {
          const lock = await acquire(client, 'lock:x', 'TTL', `${TTL_MS}`, 'WAIT', `${WAIT_MS}`);
          const nowMs = performance.now();
          if (lock === null) {
            t.fail('nobody waits so long');
            return;
          }
          if (inside !== null && nowMs < inside.untilMs) t.fail(`${inside.number} has it still`);
          if (lock.fence <= lastFence) t.fail(`fence ${lock.fence} after ${lastFence}`);
          lastFence = lock.fence;
          inside = { number, untilMs: nowMs + lock.validity };
          taken++;
          await new Promise((resolve) => setImmediate(resolve));
          if (inside?.number === number) inside = null;
          await client.raw('LOCK.RELEASE', 'lock:x', lock.token);
        }
      } catch (error) {
        // Its proxy was killed, or the store has no majority for a while.
        if (!/connection ended|NOQUORUM|UNKNOWN/.test(String(error))) throw error;
        if (/NOQUORUM/.test(String(error))) await new Promise((resolve) => setTimeout(resolve, 20));
      } finally {
        client.close();
      }
    }
  };
  const contending = Array.from({ length: CONTENDERS }, (_, number) => contend(number));
  const goOn = async (what: string) => {
    const before = taken;
    await waitFor(what, () => taken >= before + ROUND, WAIT_MS);
  };
  await goOn('acquisitions while all is well');
  const [, victim] = proxies as [ProxyProcess, ProxyProcess];
  await victim.kill9();
  await goOn('acquisitions without one proxy');
  proxies[1] = await startAgain();
  await goOn('acquisitions with a new one');
  if (servers.size > 1) {
    await servers.kill(0);
    await goOn('acquisitions without one server of the store');
    await servers.restart(0);
    await goOn('acquisitions with it again');
  }
  isOver = true;
  await Promise.all(contending);
  t.comment(`${taken} acquisitions`);
  if (servers.size > 1) await testNoMajority(t, servers, proxies);
}

async function testNoMajority(
  t: Test,
  servers: FleetStore['servers'],
  proxies: readonly ProxyProcess[],
): Promise<void> {
  const [one, two] = (await Promise.all(proxies.map(({ port }) => connect(t, port)))) as [RespClient, RespClient];
  const held = await acquire(one, 'lock:n', 'TTL', '20000');
  await Promise.all([servers.kill(0), servers.kill(1)]);
  const waiting = acquire(two, 'lock:other', 'TTL', '10000', 'WAIT', `${WAIT_MS}`);
  const asked = await connect(t, (proxies[0] as ProxyProcess).port);
  // All at once: a store is waited for.
  const [refused, unseen, unextended] = await Promise.all([
    say(asked, 'LOCK.ACQUIRE', 'lock:n', 'TTL', '1000'),
    say(asked, 'LOCK.INFO', 'lock:n'),
    say(one, 'LOCK.EXTEND', 'lock:n', `${held?.token}`, 'TTL', '20000'),
  ]);
  t.match(refused, /^-NOQUORUM the coordination store: .*; it is not held/);
  t.match(unseen, /^-NOQUORUM the coordination store: .*; it had no effect/);
  t.match(unextended, /^-(NOQUORUM|UNKNOWN) /);
  await Promise.all([servers.restart(0), servers.restart(1)]);
  t.ok(await waiting, 'who waits goes on to');
  await waitFor('the store to answer', async () => !(await say(asked, 'LOCK.INFO', 'lock:n')).startsWith('-'));
  t.match(await say(one, 'LOCK.RELEASE', 'lock:n', `${held?.token}`), /^(\+OK|-NOTHELD)/);
}
