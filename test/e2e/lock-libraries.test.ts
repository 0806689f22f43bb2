/**
 * Lock libraries written for one Redis, as they are, with keys that are locks: through two proxies, while a node is killed and comes back, no
 * two of those who want a lock have it at once, and all go on.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { ASKED, deployLocks, type LockDeployment } from '../help/lock-deployment.js';
import { findRedisPy, runPython } from '../help/redis-py.js';
import type { RedisServer } from '../help/redis-server.js';
import { RespClient } from '../help/resp-client.js';
import { testClient } from '../help/test-clients.js';
import { waitFor } from '../help/wait-for.js';

interface Ioredis {
  on(event: 'error', listener: () => void): this;
  set(...words: (string | number)[]): Promise<string | null>;
  get(key: string): Promise<string | null>;
  pttl(key: string): Promise<number>;
  eval(script: string, keys: number, ...words: (string | number)[]): Promise<unknown>;
  evalsha(sha: string, keys: number, ...words: (string | number)[]): Promise<unknown>;
  script(word: 'LOAD', script: string): Promise<string>;
  disconnect(): void;
}

/** What a library does with one lock, or several, by one client. */
interface Locker {
  /** Tries once; null: somebody else has it. */
  take(names: readonly string[], ttlMs: number): Promise<Taken | null>;
}

interface Taken {
  extend(ttlMs: number): Promise<unknown>;
  release(): Promise<unknown>;
}

interface Library {
  name: string;
  /** Whether one call takes several locks. */
  takesSeveral: boolean;
  /** What it throws where a lock could not be given back, if it does not tell why. */
  unreleased?: RegExp;
  /** What it throws where somebody else has the lock. */
  refusal: RegExp;
  open(client: Ioredis): Locker;
}

const ioredis = (await testClient('ioredis')).load() as { Redis: new (options: object) => Ioredis };

interface Redlock4 {
  lock(
    names: readonly string[],
    ttlMs: number,
  ): Promise<{ unlock(): Promise<unknown>; extend(ttlMs: number): Promise<unknown> }>;
}
const redlock4 = await testClient('redlock');
const Redlock4 = redlock4.load() as new (clients: Ioredis[], options: object) => Redlock4;

interface Redlock5 {
  acquire(
    names: readonly string[],
    ttlMs: number,
  ): Promise<{ release(): Promise<unknown>; extend(ttlMs: number): Promise<unknown> }>;
}
const redlock5 = await testClient('redlock-5');
const Redlock5 = (redlock5.load() as { default: new (clients: Ioredis[], options: object) => Redlock5 }).default;

interface UniversalLock {
  acquire(): Promise<object>;
  release(handle: object): Promise<unknown>;
  extend(handle: object, ttlMs: number): Promise<unknown>;
}
interface Adapter {
  setNX(key: string, value: string, ttlMs: number): Promise<string | null>;
  batchSetNX(keys: readonly string[], values: readonly string[], ttlMs: number): Promise<{ success: boolean }>;
  delIfMatch(key: string, value: string): Promise<boolean>;
  extendIfMatch(key: string, value: string, ttlMs: number): Promise<boolean>;
  atomicExtend(
    key: string,
    value: string,
    minTtlMs: number,
    ttlMs: number,
  ): Promise<{ resultCode: number; actualTTL: number }>;
  inspect(key: string): Promise<{ value: string; ttl: number } | null>;
  ping(): Promise<string>;
}
const universal = await testClient('redlock-universal');
// It asks for Node 22, and does with 20 what is asked of it here.
const { IoredisAdapter, createLock } = universal.load() as {
  IoredisAdapter: new (client: Ioredis) => Adapter;
  createLock: (options: object) => UniversalLock;
};

interface MicrofleetLock {
  acquire(name: string): Promise<unknown>;
  release(): Promise<unknown>;
  extend(ttlMs: number): Promise<unknown>;
}
const microfleet = await testClient('@microfleet/ioredis-lock');
const { createLock: createMicrofleetLock } = (await microfleet.import()) as {
  createLock: (client: Ioredis, options: object) => MicrofleetLock;
};

const RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end";
const EXTEND =
  "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) else return 0 end";
const LIBRARIES: Library[] = [
  {
    name: 'SET NX PX, and a script that compares and deletes',
    takesSeveral: false,
    refusal: /never/,
    open: (client) => ({
      async take([name = ''], ttlMs) {
        const token = randomUUID();
        if ((await client.set(name, token, 'PX', ttlMs, 'NX')) === null) return null;
        return {
          extend: (ttlMs) => client.eval(EXTEND, 1, name, token, ttlMs),
          release: () => client.eval(RELEASE, 1, name, token),
        };
      },
    }),
  },
  {
    name: `redlock ${redlock4.version}`,
    takesSeveral: true,
    unreleased: /Unable to fully release/,
    refusal: /attempts to lock the resource/,
    open: (client) => {
      const redlock = new Redlock4([client], { retryCount: 0 });
      return {
        async take(names, ttlMs) {
          const lock = await redlock.lock(names, ttlMs);
          return { extend: (ttlMs) => lock.extend(ttlMs), release: () => lock.unlock() };
        },
      };
    },
  },
  {
    name: `redlock ${redlock5.version}`,
    takesSeveral: true,
    refusal: /unable to achieve a quorum/,
    open: (client) => {
      const redlock = new Redlock5([client], { retryCount: 0 });
      return {
        async take(names, ttlMs) {
          let lock = await redlock.acquire(names, ttlMs);
          return {
            extend: async (ttlMs) => {
              lock = (await lock.extend(ttlMs)) as typeof lock;
            },
            release: () => lock.release(),
          };
        },
      };
    },
  },
  {
    name: `redlock-universal ${universal.version}`,
    takesSeveral: false,
    refusal: /Failed to acquire lock/,
    open: (client) => {
      const adapter = new IoredisAdapter(client);
      return {
        async take([name = ''], ttlMs) {
          const lock = createLock({ adapter, key: name, ttl: ttlMs, retryAttempts: 0 });
          const handle = await lock.acquire();
          return { extend: (ttlMs) => lock.extend(handle, ttlMs), release: () => lock.release(handle) };
        },
      };
    },
  },
  {
    name: `redlock-universal ${universal.version}, several at once`,
    takesSeveral: true,
    refusal: /never/,
    open: (client) => {
      const adapter = new IoredisAdapter(client);
      return {
        async take(names, ttlMs) {
          const values = names.map(() => randomUUID());
          if (!(await adapter.batchSetNX(names, values, ttlMs)).success) return null;
          const each = <T>(act: (name: string, value: string) => Promise<T>) =>
            Promise.all(names.map((name, index) => act(name, values[index] as string)));
          return {
            extend: (ttlMs) => each((name, value) => adapter.extendIfMatch(name, value, ttlMs)),
            release: () => each((name, value) => adapter.delIfMatch(name, value)),
          };
        },
      };
    },
  },
  {
    name: `@microfleet/ioredis-lock ${microfleet.version}`,
    takesSeveral: false,
    refusal: /Could not acquire lock/,
    open: (client) => ({
      async take([name = ''], ttlMs) {
        const lock = createMicrofleetLock(client, { timeout: ttlMs, retries: 0 });
        await lock.acquire(name);
        return { extend: (ttlMs) => lock.extend(ttlMs), release: () => lock.release() };
      },
    }),
  },
];

const CONTENDERS = 6;
/** Of all of them, before the node is killed, while it is away, and when it counts again. */
const TURNS = 12;
const TTL_MS = 4_000;
const TTL_MAX_MS = 8_000;

const isRefusal = (error: unknown, { refusal }: Library) => refusal.test(error instanceof Error ? error.message : '');

/** Nodes are away: what could not be asked of a majority says so, and is tried again. */
const isOutage = async (error: unknown) => /NOQUORUM|UNKNOWN|NODEDOWN/.test(await messagesOf(error));

/** Its own, those of what it was made of, and of redlock 5 what each attempt was refused with. */
async function messagesOf(error: unknown): Promise<string> {
  if (!(error instanceof Error)) return String(error);
  const { attempts, cause } = error as Error & { attempts?: unknown; cause?: unknown };
  // Of others it is a number.
  const tried: { votesAgainst?: ReadonlyMap<unknown, Error> }[] = await Promise.all(
    Array.isArray(attempts) ? attempts : [],
  );
  const causes = tried.flatMap(({ votesAgainst }) => [...(votesAgainst?.values() ?? [])]);
  if (cause !== undefined) causes.push(cause as Error);
  return [error.message, ...(await Promise.all(causes.map(messagesOf)))].join('; ');
}

interface Contest {
  library: Library;
  clients: readonly Ioredis[];
  names: readonly string[];
  turns: number;
  /** Whether a library may be unable to give a lock back, and not say why. */
  isNodeDown: () => boolean;
}

/** Those who want the same locks, each by a client of its own, until as many have had them as are wanted. */
async function contend(t: Test, { library, clients, names, turns, isNodeDown }: Contest): Promise<void> {
  let inside = 0;
  let most = 0;
  let left = turns;
  const deadline = Date.now() + 60_000;
  const want = async (locker: Locker): Promise<void> => {
    while (left > 0 && Date.now() < deadline) {
      const taken = await locker.take(names, TTL_MS).catch(async (error) => {
        if (!isRefusal(error, library) && !(await isOutage(error))) throw error;
        return null;
      });
      if (taken === null) {
        await sleep(5 + Math.random() * 20);
        continue;
      }
      inside++;
      most = Math.max(most, inside);
      await sleep(2);
      inside--;
      left--;
      // Where that could not be asked of a majority the lock ends by itself.
      await taken.release().catch(async (error) => {
        const isForgiven = isNodeDown() && library.unreleased?.test(error.message);
        if (!isForgiven && !(await isOutage(error))) throw new Error(await messagesOf(error));
      });
      // So that it is not had by the same all the time.
      await sleep(Math.random() * 10);
    }
  };
  await Promise.all(clients.map((client) => want(library.open(client))));
  t.equal(most, 1, 'one at a time');
  t.ok(left <= 0, `${turns - left} turns`);
}

function connectTo(t: Test, { proxies }: LockDeployment, count: number): Ioredis[] {
  return Array.from({ length: count }, (_, index) => {
    const client = new ioredis.Redis({ port: proxies[index % 2]?.port, host: '127.0.0.1' }).on('error', () => {});
    t.teardown(() => client.disconnect());
    return client;
  });
}

/** Resolves when the node was admitted again, which it says itself. */
async function isMember(server: RedisServer | undefined): Promise<void> {
  const node = await RespClient.connect(server?.port ?? 0);
  try {
    await waitFor('the node to be a member', async () =>
      /^1 member /.test(String(await node.command('GET', '~rl:node'))),
    );
  } finally {
    node.close();
  }
}

t.test('lock libraries', async (t) => {
  const deployment = await deployLocks(t, { nodes: 3, ttlMaxMs: TTL_MAX_MS });
  const { servers } = deployment;
  let hasNodeDown = false;
  const isNodeDown = () => hasNodeDown;

  for (const library of LIBRARIES) {
    t.test(`${library.name}: taken, kept and given back`, async (t) => {
      const [client, other] = connectTo(t, deployment, 2) as [Ioredis, Ioredis];
      const [one, two] = [library.open(client), library.open(other)];
      const names = library.takesSeveral ? ['lock:one', 'lock:two', 'lock:three'] : ['lock:one'];
      const taken = await one.take(names, 1_000);
      if (taken === null) throw new Error('nobody else has it');
      const refused = await two.take(names.slice(-1), 1_000).catch((error: unknown) => error);
      if (refused !== null) t.match(await messagesOf(refused), library.refusal);
      const value = await other.get(names[0] as string);
      t.ok(value, 'the other proxy sees who has it');
      await taken.extend(TTL_MS);
      for (const name of names) t.ok((await other.pttl(name)) > 1_000, 'it is kept for longer');
      await taken.release();
      t.equal(await other.get(names[0] as string), null);
      const next = await two.take(names, 1_000);
      await next?.release();
    });
  }

  t.test(`redlock-universal ${universal.version}: what it says of times that differ from node to node`, async (t) => {
    const [one, other] = connectTo(t, deployment, 2).map((client) => new IoredisAdapter(client)) as [Adapter, Adapter];
    t.same([await one.ping(), await other.ping()], ['PONG', 'PONG']);
    t.equal(await one.inspect('lock:one'), null);
    t.match(await one.atomicExtend('lock:one', 'mine', 1, TTL_MS), { resultCode: -1, actualTTL: -2 }, 'nobody has it');
    t.equal(await one.setNX('lock:one', 'mine', TTL_MAX_MS), 'OK');
    t.equal(await other.setNX('lock:one', 'thine', TTL_MAX_MS), null);
    // A majority has it for the second longest of these; of two nodes, where the third takes long to answer, both have it for the shorter time.
    const times = [TTL_MAX_MS / 4, TTL_MAX_MS / 2, TTL_MAX_MS] as const;
    const isHeld = (ms: number | undefined) => t.ok(ms !== undefined && ms > 0 && ms <= times[1], `${ms} ms`);
    const spread = async () => {
      for (const [index, { port }] of servers.entries()) {
        const node = await RespClient.connect(port);
        t.equal(await node.command('PEXPIRE', 'lock:one', `${times[index]}`), 1);
        node.close();
      }
    };
    for (const adapter of [one, other]) {
      await waitFor('the second longest', async () => {
        await spread();
        const found = await adapter.inspect('lock:one');
        t.equal(found?.value, 'mine');
        isHeld(found?.ttl);
        return (found?.ttl ?? 0) > times[0];
      });
    }
    const stolen = await other.atomicExtend('lock:one', 'thine', 1, TTL_MAX_MS);
    t.equal(stolen.resultCode, -1, 'somebody else has it');
    isHeld(stolen.actualTTL);
    const tooLate = await other.atomicExtend('lock:one', 'mine', TTL_MAX_MS + 1, TTL_MAX_MS);
    t.equal(tooLate.resultCode, 0, 'less is left than is asked for');
    isHeld(tooLate.actualTTL);
    await spread();
    const extended = await one.atomicExtend('lock:one', 'mine', 1, TTL_MAX_MS);
    t.equal(extended.resultCode, 1);
    isHeld(extended.actualTTL);
    t.ok(((await other.inspect('lock:one'))?.ttl ?? 0) > times[1], 'it is kept for longer');
    t.same([await other.delIfMatch('lock:one', 'thine'), await other.delIfMatch('lock:one', 'mine')], [false, true]);
    t.equal(await one.inspect('lock:one'), null);
  });

  const contest = async (t: Test, what: string) => {
    for (const library of LIBRARIES) {
      t.test(`${library.name}, ${what}`, async (t) => {
        const names = library.takesSeveral ? ['lock:a', 'lock:b'] : ['lock:a'];
        const clients = connectTo(t, deployment, CONTENDERS);
        await contend(t, { library, clients, names, turns: TURNS, isNodeDown });
      });
    }
  };
  await t.test('with all nodes', (t) => contest(t, 'with all nodes'));

  await t.test('a node is killed while they contend', async (t) => {
    const library = LIBRARIES[2] as Library;
    const clients = connectTo(t, deployment, CONTENDERS);
    const contest = contend(t, { library, clients, names: ['lock:a', 'lock:c'], turns: 3 * TURNS, isNodeDown });
    await sleep(50);
    hasNodeDown = true;
    await servers[1]?.kill9();
    await contest;
  });

  await t.test('without one of three', (t) => contest(t, 'without one of three'));

  await t.test(
    'nodes that come back take no part before all locks that they may have forgotten are over',
    async (t) => {
      const [client, other] = connectTo(t, deployment, 2) as [Ioredis, Ioredis];
      // Of three nodes two have it, and one of these forgets: with the one that was away there are two that know nothing of it.
      t.equal(await client.set('lock:held', 'token', 'PX', TTL_MAX_MS, 'NX'), 'OK');
      const heldUntil = Date.now() + TTL_MAX_MS;
      await servers[1]?.restart();
      await isMember(servers[1]);
      await servers[2]?.kill9();
      await servers[2]?.restart();
      await isMember(servers[2]);
      t.ok(Date.now() < heldUntil, 'they were members again in time');
      for (;;) {
        const reply = await other.set('lock:held', 'thief', 'PX', 1_000, 'NX').catch((error: unknown) => error);
        if (reply === 'OK') break;
        if (reply !== null) t.match(await messagesOf(reply), /^NOQUORUM|^UNKNOWN/);
        await sleep(50);
      }
      t.ok(Date.now() >= heldUntil - 100, 'nobody else had it in its time');
    },
  );

  await t.test('with all nodes again', async (t) => {
    // So many that no worker is left out.
    for (const client of connectTo(t, deployment, 2 * ASKED)) {
      await waitFor(
        'locks to be served',
        async () => (await client.set(`lock:${randomUUID()}`, 'x', 'PX', 100, 'NX').catch(() => null)) === 'OK',
      );
    }
    hasNodeDown = false;
    await contest(t, 'with all nodes again');
  });
});

const python = await findRedisPy();
t.test("redis-py's Lock, through two proxies", { skip: 'reason' in python ? python.reason : false }, async (t) => {
  if ('reason' in python) return;
  const { proxies } = await deployLocks(t, { nodes: 3, ttlMaxMs: TTL_MAX_MS });
  const ports = proxies.map(({ port }) => `${port}`);
  const { code, output } = await runPython(python, PYTHON_LOCKS, ports);
  t.equal(output, PYTHON_OUTPUT);
  t.equal(code, 0);
});

const PYTHON_LOCKS = `
import sys, threading, time
from redis import Redis
from redis.exceptions import LockError, LockNotOwnedError
one, two = [Redis('127.0.0.1', int(port)) for port in sys.argv[1:3]]

lock = one.lock('lock:one', timeout=4)
print(lock.acquire(), lock.locked(), lock.owned())
print(two.lock('lock:one', timeout=4).acquire(blocking_timeout=0.2), two.lock('lock:one', timeout=4).locked())
print(lock.extend(2), lock.extend(3, replace_ttl=True), 0 < one.pttl('lock:one') <= 3000, lock.reacquire())
lock.release()
print(two.lock('lock:one', timeout=4).locked())

lost = one.lock('lock:one', timeout=4)
lost.acquire()
two.delete('lock:one')
try:
    lost.release()
except LockNotOwnedError as error:
    print(type(error).__name__)
try:
    one.lock('lock:one').acquire(blocking=False)
except Exception as error:
    print(error)

inside, most, turns = 0, 0, 0
def work(client):
    global inside, most, turns
    for _ in range(8):
        with client.lock('lock:many', timeout=4, sleep=0.01):
            inside += 1
            most = max(most, inside)
            time.sleep(0.002)
            inside -= 1
            turns += 1
threads = [threading.Thread(target=work, args=(client,)) for client in (one, two, one, two)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(most, turns)
`;

const PYTHON_OUTPUT = `True True True
False True
True True True True
False
LockNotOwnedError
SET of a lock needs PX or EX: a lock without an end would be held for good once its holder is gone
1 32
`;
