/** Locks that several hold at a time, over three and five nodes, through two proxies, as clients see them. */
import t, { type Test } from 'tap';
import { acquire, fieldsOf, type TakenLock } from '../help/lock-client.js';
import { deployLocks } from '../help/lock-deployment.js';
import type { RedisServer } from '../help/redis-server.js';
import { connect, RespClient } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

const TTL_MAX_MS = 60_000;
const LONG = ['TTL', '50000'] as const;
const WAIT = ['WAIT', '40000'] as const;
/** Of a hard run: clients of each proxy, and how often each takes the lock. */
const CONTENDERS = 8;
const TURNS = 12;

for (const nodes of [3, 5] as const) {
  t.test(`${nodes} nodes`, async (t) => {
    const { servers, proxies } = await deployLocks(t, { nodes, ttlMaxMs: TTL_MAX_MS });
    const one = await connect(t, proxies[0].port);
    const other = await connect(t, proxies[1].port);
    const release = async (name: string, lock: TakenLock | null) =>
      (await other.raw('LOCK.RELEASE', name, `${lock?.token}`)).toString();
    const holdersOf = async (name: string) => {
      const info = fieldsOf(await other.command('LOCK.INFO', name));
      const holders = (info.get('holders') as unknown[]).map(fieldsOf);
      const [state, mode, limit] = ['state', 'mode', 'limit'].map((field) => `${info.get(field)}`);
      return { words: `${state} ${mode} ${limit}`, fence: info.get('fence'), holders };
    };
    const clients = async (count: number) => {
      return Promise.all(Array.from({ length: count }, (_, at) => connect(t, proxies[at % 2 === 0 ? 0 : 1].port)));
    };
    const waitingAt = async (client: RespClient) =>
      Number(/blocked_clients:(\d+)/.exec(`${await client.command('INFO', 'clients')}`)?.[1]);

    t.test('readers have it together, a writer when the last of them leaves', async (t) => {
      const name = 'lock:readers';
      const [first, second] = [
        await acquire(one, name, ...LONG, 'SHARED'),
        await acquire(other, name, ...LONG, 'SHARED'),
      ];
      t.ok((second?.fence ?? 0) > (first?.fence ?? 0), 'each under a larger fence');
      for (const words of [[], ['LIMIT', '2']]) t.equal(await acquire(one, name, ...LONG, ...words), null);
      const { words, fence, holders } = await holdersOf(name);
      t.equal(words, 'held shared null');
      t.equal(fence, second?.fence);
      t.same(
        holders.map((holder) => holder.get('fence')),
        [first?.fence, second?.fence],
      );
      for (const holder of holders) t.ok(Number(holder.get('ttl')) > 45_000);
      const [writer, late] = [await connect(t, proxies[1].port), await connect(t, proxies[1].port)];
      const told: string[] = [];
      const writing = acquire(writer, name, ...LONG, ...WAIT);
      writing.then(() => told.push('writer'));
      await waitFor('the writer to wait', async () => (await waitingAt(other)) === 1);
      const reading = acquire(late, name, ...LONG, ...WAIT, 'SHARED');
      reading.then(() => told.push('reader'));
      await waitFor('the reader to wait behind him', async () => (await waitingAt(other)) === 2);
      t.equal(await acquire(other, name, ...LONG, 'SHARED'), null, 'who may not wait does not overtake him');
      t.equal(await release(name, first), '+OK\r\n');
      t.equal(await acquire(one, name, ...LONG), null, 'one is left');
      t.equal(await release(name, second), '+OK\r\n');
      const written = await writing;
      t.ok((written?.fence ?? 0) > (second?.fence ?? 0));
      t.equal(await release(name, written), '+OK\r\n');
      t.equal(await release(name, await reading), '+OK\r\n');
      t.same(told, ['writer', 'reader'], 'in the order of asking');
      t.equal((await holdersOf(name)).words, 'free null null');
    });

    t.test('no more than so many have it, who all say the same number', async (t) => {
      const name = 'lock:slots';
      const limit = [...LONG, 'LIMIT', '3'];
      const held: (TakenLock | null)[] = [];
      for (const client of [one, other, one]) held.push(await acquire(client, name, ...limit));
      t.equal(new Set(held.map((lock) => lock?.fence)).size, 3);
      for (const words of [limit, [...LONG, 'LIMIT', '4'], [...LONG, 'SHARED'], LONG])
        t.equal(await acquire(other, name, ...words), null, words.join(' '));
      const { words, holders } = await holdersOf(name);
      t.same([words, holders.length], ['held limit 3', 3]);
      const [first, second] = held as [TakenLock, TakenLock, TakenLock];
      const extended = fieldsOf(await other.command('LOCK.EXTEND', name, first.token, 'TTL', '40000'));
      t.ok(Number(extended.get('validity')) > 35_000);
      const waiting = acquire(other, name, ...limit, ...WAIT);
      t.equal((await one.raw('LOCK.RELEASE', name, second.token)).toString(), '+OK\r\n');
      const next = await waiting;
      t.ok((next?.fence ?? 0) > second.fence);
      t.match(
        (await one.raw('LOCK.RELEASE', name, second.token)).toString(),
        /^-NOTHELD the lock is not held by this token, but by \S+ with fence \d+ and \S+ with fence \d+ and \S+ with fence \d+, for \d+ ms more/,
      );
      const again = await acquire(other, name, ...limit, 'TOKEN', first.token);
      t.ok((again?.fence ?? 0) > (next?.fence ?? 0), 'who repeats has it again');
      t.equal((await holdersOf(name)).holders.length, 3);
      for (const lock of [again, next, held[2] ?? null]) t.equal(await release(name, lock), '+OK\r\n');
      t.ok(await acquire(one, name, ...LONG), 'and then it is as anybody wants it');
    });

    t.test('those who want it at the same moment without waiting have it, as many as may', async (t) => {
      const all = await clients(2 * CONTENDERS);
      const read = await Promise.all(all.map((client) => acquire(client, 'lock:at-once', ...LONG, 'SHARED')));
      t.equal(read.filter((lock) => lock !== null).length, all.length);
      t.equal(new Set(read.map((lock) => lock?.fence)).size, all.length);
      const { holders } = await holdersOf('lock:at-once');
      t.equal(holders.length, all.length);
    });

    for (const [what, max, modes] of [
      ['slots', 3, [['LIMIT', '3']]],
      ['readers and writers', CONTENDERS * 2, [['SHARED'], ['SHARED'], []]],
    ] as const) {
      t.test(`under many hands, ${what}`, async (t) => {
        const name = `lock:${what.slice(0, 5)}-hands`;
        const all = await clients(2 * CONTENDERS);
        const fences: number[] = [];
        let [inside, writers, most] = [0, 0, 0];
        const work = async (client: RespClient, at: number) => {
          for (let turn = 0; turn < TURNS; turn++) {
            const mode = modes[(at + turn) % modes.length] as readonly string[];
            const lock = await acquire(client, name, ...LONG, ...WAIT, ...mode);
            if (lock === null) throw new Error('it waited for too long');
            fences.push(lock.fence);
            inside++;
            if (mode.length === 0) writers++;
            most = Math.max(most, inside);
            if (inside > max || (writers > 0 && inside > 1))
              t.fail(`${inside} have it, and ${writers} of them all of it`);
            await client.command('PING');
            if (mode.length === 0) writers--;
            inside--;
            await client.raw('LOCK.RELEASE', name, lock.token);
          }
        };
        await Promise.all(all.map(work));
        t.equal(new Set(fences).size, 2 * CONTENDERS * TURNS, 'each has a fence of its own');
        t.comment(`${most} at a time at the most`);
        t.ok(most > 1);
        t.equal((await holdersOf(name)).words, 'free null null');
      });
    }

    t.test('a minority of the nodes may be silent', async (t) => {
      const name = 'lock:silent';
      const minority = servers.slice(0, (nodes - 1) / 2);
      for (const server of minority) server.pause();
      const held = [];
      for (const client of [one, other, one]) held.push(await acquire(client, name, ...LONG, ...WAIT, 'LIMIT', '3'));
      t.equal(new Set(held.map((lock) => lock?.fence)).size, 3);
      t.equal(await acquire(other, name, ...LONG, 'LIMIT', '3'), null);
      t.equal((await holdersOf(name)).holders.length, 3);
      for (const server of minority) server.resume();
      for (const lock of held) t.equal(await release(name, lock), '+OK\r\n');
      await waitFor('all of it to be free', async () => {
        const lock = await acquire(one, name, ...LONG);
        return lock !== null;
      });
    });

    t.test('the drop-in door finds it taken', async (t) => {
      const name = 'lock:door';
      await acquire(one, name, ...LONG, 'SHARED');
      t.equal(await other.command('SET', name, 'theirs', 'NX', 'PX', '9000'), null);
      t.match((await other.raw('GET', name)).toString(), /^-WRONGTYPE/);
      t.ok(Number(await other.command('PTTL', name)) > 45_000);
      t.equal(await other.command('EXISTS', name), 1);
      t.equal(await one.command('LOCK.BREAK', name), 1);
      t.equal(await other.command('SET', name, 'theirs', 'NX', 'PX', '9000'), 'OK');
      t.equal(await acquire(one, name, ...LONG, 'SHARED'), null);
    });

    t.test('several are taken in one mode by one command', async (t) => {
      const both = ['2', 'lock:m1', 'lock:m2', ...LONG, 'SHARED'];
      for (const client of [one, other]) t.ok(await client.command('LOCK.MACQUIRE', ...both));
      t.equal((await holdersOf('lock:m2')).holders.length, 2);
      t.equal(await acquire(one, 'lock:m1', ...LONG), null);
    });

    t.test('slots of a session are free when it ends', async (t) => {
      const name = 'lock:session';
      const gone = await RespClient.connect(proxies[0].port);
      t.ok(await acquire(gone, name, ...LONG, 'LIMIT', '1', 'SESSION'));
      t.equal(await acquire(other, name, ...LONG, 'LIMIT', '1'), null);
      gone.close();
      t.ok(await acquire(other, name, ...LONG, ...WAIT, 'LIMIT', '1'));
    });

    t.test('each node has as many fields as there are holders, and nothing when all have gone', async (t) => {
      const name = 'lock:fields';
      const held = [];
      for (const client of [one, other]) held.push(await acquire(client, name, ...LONG, 'LIMIT', '5'));
      for (const server of servers) t.equal(await fields(t, server, name), 3, 'and the mode');
      for (const lock of held) await release(name, lock);
      for (const server of servers) {
        await waitFor('nothing to be there', async () => (await fields(t, server, name)) === 0);
      }
    });
  });
}

async function fields(t: Test, server: RedisServer, name: string): Promise<number> {
  const node = await connect(t, server.port);
  return Number(await node.command('HLEN', name));
}
