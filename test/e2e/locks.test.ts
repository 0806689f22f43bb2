/** LOCK commands over three nodes, through two proxies, as clients see them. */
import t, { type Test } from 'tap';
import { OWN_COMMANDS } from '../../src/resp/own-commands.js';
import { acquire, fieldsOf, type TakenLock } from '../help/lock-client.js';
import { deployLocks } from '../help/lock-deployment.js';
import { redisPrograms } from '../help/redis-programs.js';
import type { RedisServer } from '../help/redis-server.js';
import { connect, encodeWords, RespClient } from '../help/resp-client.js';
import { Terminal, terminalObstacle } from '../help/terminal.js';
import { waitFor } from '../help/wait-for.js';

const TTL_MAX_MS = 60_000;
/** Each of them would be late by as much as who is told nothing looks by himself after (lock/lock-lines). */
const WAITERS = 15;
const LOOK_MS = 1_000;
/** Nodes that stand still for a while are waited for. */
const PATIENCE_MS = 4000;
/** Of a fence that is remembered for a second. */
const FORGOTTEN_MS_MAX = 30_000;

t.test('LOCK commands', async (t) => {
  const { servers, proxies } = await deployLocks(t, {
    nodes: 3,
    ttlMaxMs: TTL_MAX_MS,
    limits: { replicatedPatienceMs: PATIENCE_MS },
  });
  const [one, other] = [await connect(t, proxies[0].port), await connect(t, proxies[1].port)];

  t.test('a lock is taken, extended, and released', async (t) => {
    const lock = await acquire(one, 'lock:a', 'TTL', '30000');
    t.match(lock, { token: /^[0-9a-f]{32}$/, fence: Number });
    const fence = lock?.fence as number;
    t.ok((lock?.validity ?? 0) > 25_000 && (lock?.validity ?? 0) < 30_000, `${lock?.validity} ms`);
    const token = lock?.token as string;
    t.equal(await acquire(other, 'lock:a', 'TTL', '30000'), null);
    for (const server of servers) {
      const node = await connect(t, server.port);
      t.equal(await node.command('GET', 'lock:a'), token, 'the token is on every node');
    }
    t.match(
      `${fieldsOf(await other.command('LOCK.EXTEND', 'lock:a', token, 'TTL', '50000')).get('validity')}`,
      /^49\d{3}$/,
    );
    t.match(
      (await other.raw('LOCK.EXTEND', 'lock:a', 'wrong', 'TTL', '1000')).toString(),
      new RegExp(
        `^-NOTHELD the lock is not held by this token, but by 127\\.0\\.0\\.1:\\d+ with fence ${fence}, for \\d+ ms more`,
      ),
    );
    t.match(
      (await other.raw('LOCK.RELEASE', 'lock:a', 'wrong')).toString(),
      new RegExp(`^-NOTHELD .* fence ${fence}, for \\d+ ms more`),
    );
    t.equal((await other.raw('LOCK.RELEASE', 'lock:a', token)).toString(), '+OK\r\n');
    t.equal(
      (await other.raw('LOCK.RELEASE', 'lock:a', token)).toString(),
      '-NOTHELD the lock is not held by this token: it is free\r\n',
    );
    isLater(t, await acquire(other, 'lock:a', 'TTL', '30000'), lock);
  });

  t.test('replies are maps in RESP3 and flat arrays in RESP2, and null is null', async (t) => {
    const modern = await connect(t, proxies[0].port);
    await modern.raw('HELLO', '3');
    t.match((await modern.raw('LOCK.ACQUIRE', 'lock:b', 'TTL', '30000')).toString(), /^%3\r\n\$5\r\ntoken\r\n\$32\r\n/);
    t.equal((await modern.raw('LOCK.ACQUIRE', 'lock:b', 'TTL', '30000')).toString(), '_\r\n');
    t.equal((await one.raw('LOCK.ACQUIRE', 'lock:b', 'TTL', '30000')).toString(), '$-1\r\n');
    t.match((await one.raw('LOCK.ACQUIRE', 'lock:c', 'TTL', '30000')).toString(), /^\*6\r\n/);
  });

  t.test('LOCK.INFO says who has it, and who had it last', async (t) => {
    const client = await connect(t, proxies[1].port);
    await client.raw('CLIENT', 'SETNAME', 'worker-7');
    const free = fieldsOf(await one.command('LOCK.INFO', 'lock:d'));
    t.same([free.get('state'), free.get('mode'), free.get('fence')].map(String), ['free', 'null', 'null']);
    t.same(free.get('holders'), []);
    const lock = await acquire(client, 'lock:d', 'TTL', '30000', 'TOKEN', 'mine');
    t.equal(lock?.token, 'mine');
    const held = fieldsOf(await one.command('LOCK.INFO', 'lock:d'));
    const fence = `${lock?.fence}`;
    const words = ['name', 'state', 'mode', 'limit', 'fence'].map((field) => `${held.get(field)}`);
    t.same(words, ['lock:d', 'held', 'exclusive', 'null', fence]);
    const [holder] = (held.get('holders') as unknown[]).map(fieldsOf);
    t.same([holder?.get('client'), holder?.get('fence')].map(String), ['worker-7', fence]);
    t.ok(Number(holder?.get('ttl')) > 25_000);
    await client.raw('LOCK.RELEASE', 'lock:d', 'mine');
    t.equal(String(fieldsOf(await one.command('LOCK.INFO', 'lock:d')).get('fence')), `${lock?.fence}`);
  });

  t.test('who repeats with the same token has it again, under a larger fence', async (t) => {
    const first = await acquire(one, 'lock:e', 'TTL', '30000', 'TOKEN', 'same');
    const again = await acquire(other, 'lock:e', 'TTL', '30000', 'TOKEN', 'same');
    isLater(t, again, first);
  });

  t.test('what is sent behind the command that takes a lock is about what that took', async (t) => {
    const taking = ['TTL', '30000', 'TOKEN', 'mine'];
    for (const takes of [
      ['LOCK.ACQUIRE', 'lock:p', ...taking],
      ['LOCK.MACQUIRE', '2', 'lock:p', 'lock:q', ...taking],
    ]) {
      for (const frees of [
        ['LOCK.RELEASE', 'lock:p', 'mine'],
        ['LOCK.BREAK', 'lock:p'],
      ]) {
        one.send(Buffer.concat([takes, frees].map((words) => encodeWords(words))));
        t.match((await one.next()).toString(), /mine/);
        t.match((await one.next()).toString(), /^(\+OK|:1)\r\n/, `${takes[0]} ${frees[0]}`);
        const free = fieldsOf(await one.command('LOCK.INFO', 'lock:p'));
        t.equal(`${free.get('state')}`, 'free', `${takes[0]} ${frees[0]}`);
      }
    }
    const extended = ['LOCK.EXTEND', 'lock:p', 'mine', 'TTL', '60000'];
    const commands = [['LOCK.ACQUIRE', 'lock:p', ...taking], extended, ['LOCK.INFO', 'lock:p']];
    one.send(Buffer.concat(commands.map((words) => encodeWords(words))));
    t.match((await one.next()).toString(), /mine/);
    t.match((await one.next()).toString(), /validity/);
    t.match((await one.next()).toString(), /ttl\r\n:(60000|5\d{4})\r\n/);
    t.equal((await one.raw('LOCK.RELEASE', 'lock:p', 'mine')).toString(), '+OK\r\n');
    t.equal((await one.raw('LOCK.RELEASE', 'lock:q', 'mine')).toString(), '+OK\r\n');
  });

  t.test('what makes no sense is refused in words', async (t) => {
    for (const [words, expected] of [
      ['LOCK.ACQUIRE lock:x', /^-ERR wrong number of arguments for 'lock.acquire' command/],
      ['LOCK.ACQUIRE lock:x WAIT 5', /^-ERR TTL is missing/],
      ['LOCK.ACQUIRE lock:x TTL 9', /^-ERR TTL must be milliseconds from 10 to ttlMaxMs, which is 60000/],
      ['LOCK.ACQUIRE lock:x TTL 60001', /^-ERR TTL must be/],
      ['LOCK.ACQUIRE lock:x TTL 1000 WAIT x', /^-ERR WAIT must be milliseconds/],
      ['LOCK.ACQUIRE lock:x TTL 1000 LIMIT', /^-ERR syntax error/],
      ['LOCK.ACQUIRE lock:x TTL 1000 LIMIT 0', /^-ERR LIMIT must be a number from 1 to 1000/],
      ['LOCK.ACQUIRE lock:x TTL 1000 LIMIT 1001', /^-ERR LIMIT must be/],
      ['LOCK.ACQUIRE lock:x TTL 1000 SHARED LIMIT 2', /^-ERR syntax error/],
      ['LOCK.ACQUIRE lock:x TTL 1000 LIMIT 2 SHARED', /^-ERR syntax error/],
      ['LOCK.ACQUIRE lock:x TTL 1000 NOW 1', /^-ERR syntax error/],
      ['LOCK.EXTEND lock:x t PX 1', /^-ERR syntax error/],
      ['LOCK.ACQUIRE other TTL 1000', /^-ERR no keyspace of mode lock has this name/],
      ['LOCK.SHOW lock:x', /^-ERR unknown command 'LOCK.SHOW'/],
    ] as const) {
      t.match((await one.raw(...words.split(' '))).toString(), expected, words);
    }
    await one.raw('MULTI');
    t.match((await one.raw('LOCK.INFO', 'lock:x')).toString(), /^-ERR LOCK.INFO inside MULTI is not supported/);
    t.match((await one.raw('EXEC')).toString(), /^-EXECABORT/);
    await one.raw('SELECT', '1');
    t.equal((await one.raw('LOCK.INFO', 'lock:x')).toString(), '-ERR locks are in database 0 only\r\n');
    await one.raw('SELECT', '0');
  });

  for (const [workers, proxy] of [
    [2, proxies[0]],
    [1, proxies[1]],
  ] as const) {
    t.test(
      `who waits at ${workers} workers is told by a release, in the order of asking, without asking again and again`,
      async (t) => {
        const name = `lock:f${workers}`;
        const asked = await connect(t, proxy.port);
        const lock = await acquire(one, name, 'TTL', '50000');
        const order: number[] = [];
        let last = lock;
        const waiters = await Promise.all(Array.from({ length: WAITERS }, () => connect(t, proxy.port)));
        const waiting: Promise<void>[] = [];
        for (const [number, waiter] of waiters.entries()) {
          const wait = async () => {
            const taken = await acquire(waiter, name, 'TTL', '50000', 'WAIT', '40000');
            order.push(number);
            isLater(t, taken, last);
            last = taken;
            await waiter.raw('LOCK.RELEASE', name, taken?.token as string);
          };
          waiting.push(wait());
          await waitFor(
            'it to wait',
            async () =>
              /blocked_clients:(\d+)/.exec(`${await asked.command('INFO', 'clients')}`)?.[1] === `${number + 1}`,
          );
        }
        const startMs = performance.now();
        await one.raw('LOCK.RELEASE', name, lock?.token as string);
        await Promise.all(waiting);
        t.same(
          order,
          waiters.map((_, number) => number),
        );
        t.comment(`${Math.round(performance.now() - startMs)} ms for ${WAITERS} hand-overs`);
        t.ok(performance.now() - startMs < WAITERS * LOOK_MS * 0.5, 'nobody waited until he looked himself');
      },
    );
  }

  t.test('a wait ends in time, and where the holder just expires it ends with the lock', async (t) => {
    const first = await acquire(one, 'lock:g', 'TTL', '700');
    const startMs = performance.now();
    t.equal(await acquire(other, 'lock:g', 'TTL', '1000', 'WAIT', '100'), null);
    t.ok(performance.now() - startMs < 600, 'WAIT ran out before');
    isLater(t, await acquire(other, 'lock:g', 'TTL', '1000', 'WAIT', '20000'), first);
    const tookMs = performance.now() - startMs;
    t.ok(tookMs > 500 && tookMs < 5000, `${tookMs} ms`);
  });

  t.test('what a client waits for that has gone is nobody’s', async (t) => {
    const lock = await acquire(one, 'lock:h', 'TTL', '50000');
    const gone = await RespClient.connect(proxies[1].port);
    gone.send('*6\r\n$12\r\nLOCK.ACQUIRE\r\n$6\r\nlock:h\r\n$3\r\nTTL\r\n$5\r\n50000\r\n$4\r\nWAIT\r\n$5\r\n40000\r\n');
    const waitingNow = async () => /blocked_clients:(\d+)/.exec(`${await other.command('INFO', 'clients')}`)?.[1];
    await waitFor('it to wait', async () => (await waitingNow()) === '1');
    gone.close();
    await waitFor('it to be gone', async () => (await waitingNow()) === '0');
    await one.raw('LOCK.RELEASE', 'lock:h', lock?.token as string);
    isLater(t, await acquire(one, 'lock:h', 'TTL', '1000', 'WAIT', '10000'), lock);
  });

  t.test('what is granted to a client that has gone meanwhile is given back', async (t) => {
    const [first, second, third] = servers as [RedisServer, RedisServer, RedisServer];
    const node = await connect(t, third.port);
    const gone = await RespClient.connect(proxies[1].port);
    await gone.raw('CLIENT', 'SETNAME', 'gone');
    first.pause();
    second.pause();
    gone.send('*4\r\n$12\r\nLOCK.ACQUIRE\r\n$6\r\nlock:i\r\n$3\r\nTTL\r\n$5\r\n50000\r\n');
    await waitFor('a node to have been asked', async () => (await node.command('EXISTS', 'lock:i')) === 1);
    gone.close();
    await gone.closed;
    // What a connection is told comes with what others are, or before.
    for (let count = 0; count < 10; count++) await other.command('PING');
    first.resume();
    second.resume();
    await waitFor('it to be free', async () => {
      const info = fieldsOf(await one.command('LOCK.INFO', 'lock:i'));
      return info.get('state') === 'free' && info.get('fence') !== null;
    });
  });

  t.test('COMMAND knows them as it knows those of Redis', async (t) => {
    const node = await connect(t, (servers[0] as (typeof servers)[0]).port);
    for (const protocol of ['2', '3']) {
      await one.raw('HELLO', protocol);
      await node.raw('HELLO', protocol);
      const count = Number(await node.command('COMMAND', 'COUNT'));
      t.equal(await one.command('COMMAND', 'COUNT'), count + OWN_COMMANDS.length);
      t.equal(((await one.command('COMMAND')) as unknown[]).length, count + OWN_COMMANDS.length);
      t.equal(((await one.command('COMMAND', 'INFO')) as unknown[]).length, count + OWN_COMMANDS.length);
      const listedThere = (await node.command('COMMAND', 'LIST')) as unknown[];
      t.equal(((await one.command('COMMAND', 'LIST')) as unknown[]).length, listedThere.length + OWN_COMMANDS.length);
      t.equal(fieldsOf(await one.command('COMMAND', 'DOCS')).size, count + OWN_COMMANDS.length);
      const [get, none, acquired] = (await one.command(
        'COMMAND',
        'INFO',
        'get',
        'none',
        'LOCK.acquire',
      )) as unknown[][];
      t.same([get], await node.command('COMMAND', 'INFO', 'get'));
      t.equal(none, null);
      // The same shape as that of one of Redis: with a key as the first argument, one range of keys, no tips.
      const [set] = (await node.command('COMMAND', 'INFO', 'setrange')) as unknown[][];
      t.same(acquired?.map(shapeOf), set?.map(shapeOf));
      t.same(acquired?.slice(0, 2).map(String), ['lock.acquire', '-4']);
      const docs = fieldsOf(await one.command('COMMAND', 'DOCS', 'get', 'none', 'lock.info'));
      t.same([...docs.keys()], ['get', 'lock.info']);
      t.equal(String(fieldsOf(docs.get('lock.info')).get('group')), 'lock');
      t.same(await one.command('COMMAND', 'GETKEYS', 'LOCK.RELEASE', 'lock:a', 'x'), ['lock:a']);
      t.match((await one.raw('COMMAND', 'GETKEYS', 'LOCK.RELEASE', 'x')).toString(), /^-ERR Invalid number/);
      t.match(
        (await one.raw('COMMAND', 'GETKEYS', 'LOCK.LIST', '*')).toString(),
        /^-ERR The command has no key arguments/,
      );
      t.same(await one.command('COMMAND', 'GETKEYS', 'GET', 'k'), ['k']);
      const listed = async (...words: string[]) => one.command('COMMAND', 'LIST', 'FILTERBY', ...words);
      t.same(await listed('PATTERN', 'lock.[ei]*'), ['lock.extend', 'lock.info']);
      t.same(await listed('MODULE', 'lock'), []);
      t.ok(((await listed('ACLCAT', 'write')) as string[]).includes('lock.release'));
      t.notOk(((await listed('ACLCAT', 'write')) as string[]).includes('lock.info'));
      t.match((await one.raw('COMMAND', 'LIST', 'FILTERBY', 'x', 'y')).toString(), /^-ERR syntax error/);
    }
    await one.raw('HELLO', '2');
  });

  t.test('redis-cli helps with them', { skip: terminalObstacle() ?? false }, async (t) => {
    const { cli, env } = await redisPrograms();
    const terminal = Terminal.open(t, [cli, '-p', `${proxies[0].port}`], env);
    await terminal.until(/> $/);
    terminal.enter('help lock.acquire');
    t.match(
      await terminal.until(/group: lock/),
      /LOCK\.ACQUIRE name TTL milliseconds \[WAIT milliseconds\] \[SHARED\|LIMIT holders\] \[SESSION\] \[TOKEN token\]\n *summary: Take a lock/i,
    );
  });
});

t.test('the fences of a lock that nobody asks for are forgotten, and the next one is larger', async (t) => {
  const { servers, proxies } = await deployLocks(t, { nodes: 3, ttlMaxMs: 1000, fenceTtl: '1s' });
  const [one, other] = await Promise.all(proxies.map(({ port }) => connect(t, port)));
  const last = await acquire(one as RespClient, 'lock:a', 'TTL', '1000');
  await (one as RespClient).command('LOCK.RELEASE', 'lock:a', last?.token ?? '');
  const nodes = await Promise.all(servers.map(({ port }) => connect(t, port)));
  const left = async () => (await Promise.all(nodes.map((node) => node.command('KEYS', '*lock:a')))).flat();
  t.equal((await left()).length, 6, 'a register and its ballots on each node');
  await waitFor('all of it to be gone', async () => (await left()).length === 0, FORGOTTEN_MS_MAX);
  const info = fieldsOf(await (one as RespClient).command('LOCK.INFO', 'lock:a'));
  t.equal(info.get('state'), 'free');
  t.equal(info.get('fence'), null);
  isLater(t, await acquire(other as RespClient, 'lock:a', 'TTL', '1000'), last);
});

function isLater(t: Test, next: TakenLock | null, last: TakenLock | null): void {
  const [fence, lastFence] = [next?.fence ?? Number.NaN, last?.fence ?? Number.NaN];
  t.ok(fence > lastFence, `fence ${fence} after ${lastFence}`);
}

/** Types, of an array that of its first element. */
function shapeOf(value: unknown): string {
  if (value instanceof Map) return `{${[...value].map(([name, field]) => `${name}:${shapeOf(field)}`).join()}}`;
  if (value instanceof Set) return `<${shapeOf([...value][0])}>`;
  if (Array.isArray(value)) return `[${shapeOf(value[0])}]`;
  return typeof value;
}
