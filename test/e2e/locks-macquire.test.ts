/** Several locks at once over three nodes, through two proxies: all or none, in whatever order they are named, and nobody waits for good. */
import t from 'tap';
import { acquire, fieldsOf } from '../help/lock-client.js';
import { deployLocks } from '../help/lock-deployment.js';
import { ReplyError } from '../help/reference-parser.js';
import { connect, type RespClient } from '../help/resp-client.js';
import { waitFor, within } from '../help/wait-for.js';

const NAMES = ['lock:a', 'lock:b', 'lock:c'];
const ORDERS = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
] as const;
const TURNS = 12;
const SOON_MS = 10_000;

interface TakenLocks {
  token: string;
  fences: number[];
  validity: number;
}

async function acquireAll(
  client: RespClient,
  names: readonly string[],
  ...options: string[]
): Promise<TakenLocks | null> {
  const value = await client.command('LOCK.MACQUIRE', `${names.length}`, ...names, ...options);
  if (value === null) return null;
  if (value instanceof ReplyError) throw new Error(value.message);
  const fields = fieldsOf(value);
  const fences = (fields.get('fences') as unknown[]).map(Number);
  return { token: `${fields.get('token')}`, fences, validity: Number(fields.get('validity')) };
}

t.test('several locks', async (t) => {
  const { proxies, servers } = await deployLocks(t, { nodes: 3, ttlMaxMs: 60_000, limits: { sessionLocksMax: 3 } });
  const [one, other] = [await connect(t, proxies[0].port), await connect(t, proxies[1].port)];
  const release = async (client: RespClient, names: readonly string[], token: string) => {
    for (const name of names) t.equal((await client.raw('LOCK.RELEASE', name, token)).toString(), '+OK\r\n');
  };

  t.test('all are taken by one token, each with its fence', async (t) => {
    const first = await acquire(one, 'lock:b', 'TTL', '50000');
    await one.raw('LOCK.RELEASE', 'lock:b', first?.token as string);
    const all = await acquireAll(one, ['lock:c', 'lock:a', 'lock:b'], 'TTL', '50000', 'TOKEN', 'mine');
    t.equal(all?.token, 'mine');
    t.ok((all?.validity ?? 0) > 45_000 && (all?.validity ?? 0) < 50_000);
    for (const [at, name] of ['lock:c', 'lock:a', 'lock:b'].entries()) {
      t.equal(Number(fieldsOf(await other.command('LOCK.INFO', name)).get('fence')), all?.fences[at], name);
    }
    t.ok((all?.fences[2] ?? 0) > (first?.fence ?? 0));
    await release(other, NAMES, 'mine');
    t.match((await one.raw('LOCK.MACQUIRE', '1', 'lock:a', 'TTL', '50000', 'TOKEN', 't')).toString(), /^\*6\r\n/);
    await release(one, ['lock:a'], 't');
    await one.raw('HELLO', '3');
    t.match(
      (await one.raw('LOCK.MACQUIRE', '2', 'lock:a', 'lock:b', 'TTL', '50000', 'TOKEN', 't')).toString(),
      /^%3\r\n\$5\r\ntoken\r\n\$1\r\nt\r\n\$6\r\nfences\r\n\*2\r\n:\d+\r\n:\d+\r\n\$8\r\nvalidity\r\n:\d+\r\n$/,
    );
    await one.raw('HELLO', '2');
    await release(one, ['lock:a', 'lock:b'], 't');
  });

  t.test('none is taken where one is somebody else’s', async (t) => {
    const held = await acquire(other, 'lock:b', 'TTL', '50000');
    t.equal(await acquireAll(one, NAMES, 'TTL', '50000'), null);
    t.equal(await acquireAll(one, NAMES, 'TTL', '50000', 'WAIT', '300'), null);
    const nodes = await Promise.all(servers.map(({ port }) => connect(t, port)));
    await waitFor('them to be given back', async () => {
      const found = await Promise.all(nodes.map((node) => node.command('EXISTS', 'lock:a', 'lock:c')));
      return found.join() === '0,0,0';
    });
    const waiting = acquireAll(one, NAMES, 'TTL', '2000', 'WAIT', '40000');
    await waitFor('the first to be taken', async () => (await nodes[0]?.command('EXISTS', 'lock:a')) === 1);
    // Longer than the ttl of what it keeps meanwhile.
    t.equal(await acquire(other, 'lock:a', 'TTL', '1000', 'WAIT', '3000'), null);
    await other.raw('LOCK.RELEASE', 'lock:b', held?.token as string);
    const all = await within('all of them', waiting, SOON_MS);
    t.ok((all?.validity ?? 0) > 1000, `${all?.validity} ms`);
    await release(one, NAMES, all?.token as string);
  });

  t.test('who goes while he waits has none', async (t) => {
    const held = await acquire(other, 'lock:c', 'TTL', '50000');
    const gone = await connect(t, proxies[0].port);
    const lost = acquireAll(gone, NAMES, 'TTL', '50000', 'WAIT', '40000').catch((error: Error) => error);
    await waitFor('the second to be taken', async () => {
      return (
        fieldsOf(await other.command('LOCK.INFO', 'lock:b'))
          .get('state')
          ?.toString() === 'held'
      );
    });
    gone.close();
    t.ok((await lost) instanceof Error);
    t.ok(
      await within('what was got', acquireAll(other, ['lock:a', 'lock:b'], 'TTL', '1000', 'WAIT', '40000'), SOON_MS),
    );
    await other.raw('LOCK.RELEASE', 'lock:c', held?.token as string);
  });

  t.test('with SESSION all are held until the client goes', async (t) => {
    const holder = await connect(t, proxies[0].port);
    t.ok(await acquireAll(holder, NAMES, 'TTL', '50000', 'WAIT', '40000', 'SESSION', 'TOKEN', 's'));
    t.match((await holder.raw('LOCK.ACQUIRE', 'lock:d', 'TTL', '50000', 'SESSION')).toString(), /^-OVERLOADED/);
    t.match(
      (await holder.raw('LOCK.MACQUIRE', '1', 'lock:a', 'TTL', '50000', 'TOKEN', 's')).toString(),
      /^-ERR the connection has one of the locks by this TOKEN already/,
    );
    const waiting = acquireAll(other, NAMES, 'TTL', '50000', 'WAIT', '40000');
    holder.close();
    const all = await within('all of them', waiting, SOON_MS);
    await release(other, NAMES, all?.token as string);
  });

  t.test('what makes no sense is refused in words', async (t) => {
    for (const [words, expected] of [
      ['LOCK.MACQUIRE 0 lock:a TTL 1000', /^-ERR numkeys should be greater than 0/],
      ['LOCK.MACQUIRE x lock:a TTL 1000', /^-ERR numkeys should be/],
      ['LOCK.MACQUIRE 65 lock:a TTL 1000', /^-ERR LOCK.MACQUIRE takes 64 locks at the most/],
      ['LOCK.MACQUIRE 4 lock:a TTL 1000', /^-ERR Number of keys can't be greater than number of args/],
      ['LOCK.MACQUIRE 2 lock:a lock:a TTL 1000', /^-ERR a lock stands twice/],
      ['LOCK.MACQUIRE 2 lock:a plain TTL 1000', /^-ERR no keyspace of mode lock/],
      ['LOCK.MACQUIRE 2 lock:a lock:b WAIT 1', /^-ERR TTL is missing/],
      ['LOCK.MACQUIRE 2 lock:a lock:b TTL 60001', /^-ERR TTL must be/],
      ['LOCK.MACQUIRE 2 lock:a lock:b TTL 1000 NOW', /^-ERR syntax error/],
    ] as const) {
      t.match((await one.raw(...words.split(' '))).toString(), expected, words);
    }
    t.same(await one.command('COMMAND', 'GETKEYS', 'LOCK.MACQUIRE', '2', 'x', 'y', 'TTL', '1'), ['x', 'y']);
    t.match(
      (await one.raw('COMMAND', 'GETKEYS', 'LOCK.MACQUIRE', '9', 'x', 'y', 'TTL', '1')).toString(),
      /^-ERR Invalid arg/,
    );
  });

  t.test(
    'clients that name them in all orders are never in each other’s way for good, nor inside at once',
    async (t) => {
      let [inside, most, done] = [0, 0, 0];
      const want = async (order: (typeof ORDERS)[number], port: number) => {
        const client = await connect(t, port);
        const names = order.map((at) => NAMES[at] as string);
        for (let turn = 0; turn < TURNS; turn++) {
          const all = await acquireAll(client, names, 'TTL', '20000', 'WAIT', '50000');
          if (all === null) continue;
          inside++;
          most = Math.max(most, inside);
          await client.command('PING');
          inside--;
          done++;
          for (const name of names) await client.raw('LOCK.RELEASE', name, all.token);
        }
      };
      await Promise.all(ORDERS.flatMap((order) => proxies.map(({ port }) => want(order, port))));
      t.equal(most, 1);
      t.equal(done, ORDERS.length * proxies.length * TURNS, 'each had its turns');
    },
  );
});
