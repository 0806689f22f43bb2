/** Client tracking on real nodes: in the words of one Redis, and caches that are right whatever happens to the nodes. */
import t, { type Test } from 'tap';
import { type Deployment, deploy } from '../help/deployment.js';
import { openDescriptors, residentBytes } from '../help/process-facts.js';
import { startRedisServers } from '../help/redis-server.js';
import { connect, encodeWords, RespClient } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

/** `SELF` is the client's own number. */
const SCRIPTS: readonly (readonly string[])[] = [
  ['CLIENT TRACKINGINFO', 'CLIENT GETREDIR', 'CLIENT TRACKING ON', 'CLIENT TRACKINGINFO', 'CLIENT GETREDIR'],
  ['CLIENT TRACKING', 'CLIENT TRACKING maybe', 'CLIENT TRACKING ON what', 'CLIENT TRACKING OFF what'],
  ['CLIENT TRACKING ON REDIRECT', 'CLIENT TRACKING ON REDIRECT x', 'CLIENT TRACKING ON REDIRECT 99999999'],
  ['CLIENT TRACKING ON REDIRECT 0', 'CLIENT TRACKING ON REDIRECT -1', 'CLIENT TRACKING OFF REDIRECT 99999999'],
  ['CLIENT TRACKING ON REDIRECT SELF REDIRECT SELF', 'CLIENT TRACKING ON REDIRECT SELF', 'CLIENT GETREDIR'],
  ['CLIENT TRACKING ON PREFIX a', 'CLIENT TRACKING OFF PREFIX a', 'CLIENT TRACKING ON BCAST PREFIX'],
  ['CLIENT TRACKING ON BCAST OPTIN', 'CLIENT TRACKING ON BCAST OPTOUT', 'CLIENT TRACKING ON OPTIN OPTOUT'],
  ['CLIENT TRACKING ON BCAST', 'CLIENT TRACKING ON', 'CLIENT TRACKING ON BCAST PREFIX a', 'CLIENT TRACKINGINFO'],
  ['CLIENT TRACKING ON', 'CLIENT TRACKING ON BCAST', 'CLIENT TRACKING OFF', 'CLIENT TRACKING OFF'],
  ['CLIENT TRACKING ON OPTIN', 'CLIENT TRACKING ON OPTOUT', 'CLIENT TRACKING ON NOLOOP', 'CLIENT TRACKINGINFO'],
  ['CLIENT TRACKING ON BCAST PREFIX ab PREFIX a', 'CLIENT TRACKING ON BCAST PREFIX a PREFIX ab'],
  ['CLIENT TRACKING ON BCAST PREFIX b PREFIX a', 'CLIENT TRACKING ON BCAST PREFIX ab', 'CLIENT TRACKINGINFO'],
  ['CLIENT TRACKING ON BCAST PREFIX a', 'CLIENT TRACKING ON BCAST', 'CLIENT TRACKINGINFO'],
  ['CLIENT TRACKING ON BCAST PREFIX a', 'CLIENT TRACKING ON BCAST PREFIX b PREFIX c NOLOOP', 'CLIENT TRACKINGINFO'],
  ['CLIENT CACHING YES', 'CLIENT CACHING maybe', 'CLIENT TRACKING ON', 'CLIENT CACHING YES', 'CLIENT CACHING NO'],
  ['CLIENT TRACKING ON OPTIN', 'CLIENT CACHING NO', 'CLIENT CACHING what', 'CLIENT CACHING YES', 'CLIENT TRACKINGINFO'],
  ['CLIENT TRACKING ON OPTIN', 'CLIENT CACHING YES', 'PING', 'CLIENT TRACKINGINFO'],
  [
    'CLIENT TRACKING ON OPTIN',
    'CLIENT CACHING YES',
    'CLIENT ID',
    'CLIENT TRACKINGINFO',
    'GET a',
    'CLIENT TRACKINGINFO',
  ],
  [
    'CLIENT TRACKING ON OPTOUT',
    'CLIENT CACHING NO',
    'CLIENT TRACKINGINFO',
    'MULTI',
    'GET a',
    'EXEC',
    'CLIENT TRACKINGINFO',
  ],
  ['CLIENT TRACKING ON OPTIN', 'MULTI', 'CLIENT CACHING YES', 'CLIENT CACHING NO', 'GET a', 'EXEC'],
  ['MULTI', 'CLIENT CACHING YES', 'CLIENT GETREDIR', 'EXEC', 'CLIENT TRACKING ON', 'RESET', 'CLIENT TRACKINGINFO'],
];

for (const transport of ['io_uring', 'node'] as const) {
  for (const protocol of [2, 3] as const) {
    t.test(`on ${transport} in RESP${protocol}, CLIENT answers as one Redis does`, async (t) => {
      const { port } = await deploy(t, { transport });
      const [reference] = await startRedisServers(1);
      t.teardown(() => reference?.stop());
      for (const script of SCRIPTS) {
        const replies: string[][] = [];
        for (const target of [port, reference?.port as number]) {
          const client = await connect(t, target);
          const id = `${await client.command('CLIENT', 'ID')}`;
          if (protocol === 3) await client.raw('HELLO', '3');
          const got: string[] = [];
          for (const line of script) {
            const reply = await client.raw(...line.replaceAll('SELF', id).split(' '));
            got.push(line === 'CLIENT ID' ? '' : reply.toString('latin1').replace(`:${id}\r\n`, ':SELF\r\n'));
          }
          replies.push(got);
          client.close();
        }
        t.same(replies[0], replies[1], script.join('; '));
      }
    });
  }

  t.test(`on ${transport}, caches are right, whatever happens to the nodes`, async (t) => {
    const limits = { idlePingMs: 200, requestTimeoutMs: 500, stallTimeoutMs: 700, reconnectMaxMs: 200 };
    const deployment = await deploy(t, { transport, limits });
    const keys = Array.from({ length: 30 }, (_, n) => deployment.key(n % 3, `c${n}`));
    const [writer, other] = [await connect(t, deployment.port), await connect(t, deployment.port)];
    const modes = [[], [], ['OPTIN'], ['NOLOOP'], ['BCAST', 'PREFIX', 'c']];
    const caches = await Promise.all(modes.map((options) => cacheOf(t, deployment.port, keys, options)));
    let [isWritten, isOver] = [false, false];
    const readers = caches.map((cache) => cache.run(() => isOver));
    const writing = (async () => {
      for (let n = 0; !isWritten; n++) await other.raw('SET', keys[n % keys.length] as string, `${n}`);
    })();
    const isFilled = () =>
      caches.every(({ values }) => new Set([...values.keys()].map((key) => deployment.nodeOf(key))).size === 3);
    const [, server] = deployment.servers;
    if (server === undefined) throw new Error('there is no server');
    const faults: Readonly<Record<string, () => Promise<unknown>>> = {
      flush: () => writer.raw('FLUSHALL'),
      kill: async () => {
        await server.kill9();
        await server.restart();
      },
      disconnect: async () => (await connect(t, server.port)).raw('CLIENT', 'KILL', 'TYPE', 'normal'),
      pause: async () => server.pause(),
    };
    for (const [fault, strike] of Object.entries(faults)) {
      for (const cache of caches) cache.forgotten = 0;
      await waitFor('the caches to have keys of all nodes', isFilled);
      await strike();
      await waitFor(`${fault} to be told`, () => caches.slice(0, -1).every(({ forgotten }) => forgotten > 0));
      // Who only listens may not even have noticed, and has missed nothing then.
      if (fault === 'pause') server.resume();
      else await waitFor(`${fault} to be told to all`, () => caches.every(({ forgotten }) => forgotten > 0));
    }
    isWritten = true;
    await writing;
    // Readers go on: a message of the last fault may still empty a cache, which then fills with what is there.
    for (const [number, cache] of caches.entries()) {
      await waitFor(`cache ${number} to be right, and not empty`, async () => {
        for (const [key, value] of cache.values) if (`${await writer.command('GET', key)}` !== value) return false;
        return cache.values.size > 0;
      });
    }
    isOver = true;
    await Promise.all(readers);
  });

  t.test(`on ${transport}, messages for a client of another worker`, async (t) => {
    const deployment = await deploy(t, { transport, workers: 3 });
    const writer = await connect(t, deployment.port);
    const targets = await Promise.all(Array.from({ length: 6 }, () => connect(t, deployment.port)));
    for (const [number, target] of targets.entries()) {
      const id = `${await target.command('CLIENT', 'ID')}`;
      const isPushed = number % 2 === 0;
      if (isPushed) await target.raw('HELLO', '3');
      else await target.raw('SUBSCRIBE', '__redis__:invalidate');
      const head = isPushed ? '>2\r\n$10\r\ninvalidate\r\n' : '*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n';
      const reader = await connect(t, deployment.port);
      t.equal((await reader.raw('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id)).toString(), '+OK\r\n');
      const keys = [0, 1, 2].map((node) => deployment.key(node, `k${number}`));
      for (const key of keys) await reader.raw('GET', key);
      for (const key of keys) {
        await writer.raw('SET', key, '1');
        t.equal((await target.next()).toString(), `${head}*1\r\n$${key.length}\r\n${key}\r\n`);
      }
      await writer.raw('FLUSHALL');
      t.equal((await target.next()).toString(), `${head}${isPushed ? '_' : '$-1'}\r\n`);
      await reader.raw('HELLO', '3');
      await reader.raw('GET', keys[0] as string);
      target.close();
      await waitFor('its end', async () => `${await writer.command('CLIENT', 'LIST', 'ID', id)}` === '');
      await writer.raw('SET', keys[0] as string, '2');
      t.equal((await reader.next()).toString(), `>2\r\n$21\r\ntracking-redir-broken\r\n:${id}\r\n`);
      t.match(await reader.command('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id), { message: /does not exist/ });
      t.match((await reader.raw('CLIENT', 'INFO')).toString(), new RegExp(` flags=tR .* redir=${id} `));
      reader.close();
    }
  });

  t.test(`on ${transport}, PONG comes behind messages about writes that were answered before`, async (t) => {
    const deployment = await deploy(t, { transport, workers: 3 });
    const open = (count: number) => Promise.all(Array.from({ length: count }, () => connect(t, deployment.port)));
    const [writer, ...owns] = await open(3);
    for (const own of owns) {
      await own.raw('HELLO', '3');
      await own.raw('CLIENT', 'TRACKING', 'ON');
    }
    // Connections go to the workers by turns: some of these pairs are of one worker, and some are not.
    const [sources, targets] = [await open(3), await open(6)];
    const pairs = targets.map((target, index) => ({ target, source: sources[index % 3] as RespClient }));
    const ids = await Promise.all(targets.map(async (target) => `${await target.command('CLIENT', 'ID')}`));
    for (const { target } of pairs) await target.raw('SUBSCRIBE', '__redis__:invalidate');
    for (let round = 0; round < 150; round++) {
      const { target, source } = pairs[round % pairs.length] as (typeof pairs)[number];
      const own = owns[round % owns.length] as RespClient;
      const key = deployment.key(round % 3, `p${round}`);
      await source.raw('CLIENT', 'TRACKING', 'OFF');
      await source.raw('CLIENT', 'TRACKING', 'ON', 'REDIRECT', ids[round % pairs.length] as string);
      await Promise.all([own.raw('GET', key), source.raw('GET', key)]);
      await writer?.raw('SET', key, '1');
      const told = `*1\r\n$${key.length}\r\n${key}\r\n`;
      own.send(encodeWords(['PING']));
      target.send(encodeWords(['PING']));
      t.equal((await own.next()).toString(), `>2\r\n$10\r\ninvalidate\r\n${told}`);
      t.equal((await own.next()).toString(), '+PONG\r\n');
      const head = '*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n';
      t.equal((await target.next()).toString(), head + told);
      t.equal((await target.next()).toString(), '*2\r\n$4\r\npong\r\n$0\r\n\r\n');
    }
  });

  t.test(`on ${transport}, 10,000 clients that track, and go, leave nothing behind`, async (t) => {
    const [wave, waves] = [500, 20];
    const deployment = await deploy(t, { transport, limits: { privateConnectionsSpareMax: 0 } });
    const other = await connect(t, deployment.port);
    const keys = [0, 1, 2].map((node) => deployment.key(node));
    const descriptors = openDescriptors(deployment.proxy.pid);
    let memory = 0;
    for (let count = 0; count < waves; count++) {
      await crowd(deployment, keys, wave);
      if (count === waves / 2) {
        await idle(deployment, other);
        memory = residentBytes(deployment.proxy.pid);
      }
    }
    await idle(deployment, other);
    await waitFor('the counters of before', async () => (await counter(deployment, 'privateConnectionsOpen')) === 0);
    // What all share, of each worker to each node and protocol.
    await waitFor('the descriptors of before', () => openDescriptors(deployment.proxy.pid) <= descriptors + 2 * 3 * 2);
    const grown = residentBytes(deployment.proxy.pid) - memory;
    t.ok(grown < 64 * 2 ** 20, `the process has grown by ${grown} bytes`);
    for (const server of deployment.servers) {
      const direct = await connect(t, server.port);
      await waitFor('the nodes to have forgotten them', async () =>
        `${await direct.command('INFO', 'clients')}`.includes('tracking_clients:0\r\n'),
      );
    }
  });
}

/** A client with a cache of what it reads. */
class Cache {
  readonly values = new Map<string, string>();
  /** How often it was told that all keys are invalid. */
  forgotten = 0;
  private readonly client: RespClient;
  /** Reads, where that is another one. */
  private readonly reader: RespClient;
  private readonly keys: readonly string[];
  private readonly isOptIn: boolean;
  /** Keys that were asked for, and not invalid since. */
  private readonly asked = new Set<string>();

  constructor(client: RespClient, reader: RespClient, keys: readonly string[], isOptIn: boolean) {
    this.client = client;
    this.reader = reader;
    this.keys = keys;
    this.isOptIn = isOptIn;
  }

  /** Asks for what it does not have, again and again, and drops what it is told to, until `isOver` and its client is closed. */
  async run(isOver: () => boolean): Promise<void> {
    const replies = listen(this.client, (push) => this.onPush(push));
    const answers = this.reader === this.client ? replies : listen(this.reader, () => {});
    while (!isOver()) {
      const missing = this.keys.filter((key) => !this.values.has(key));
      const asked = missing.length > 0 ? missing : this.keys.slice(0, 1);
      for (const key of asked) this.asked.add(key);
      const lines = asked.map((key) =>
        this.isOptIn
          ? [
              ['CLIENT', 'CACHING', 'YES'],
              ['GET', key],
            ]
          : [['GET', key]],
      );
      const waiting = asked.map(
        (key) =>
          new Promise<void>((resolve) => {
            if (this.isOptIn) answers.push(() => {});
            answers.push((reply) => {
              this.onReply(key, reply);
              resolve();
            });
          }),
      );
      this.reader.send(Buffer.concat(lines.flat().map(encodeWords)));
      await Promise.all(waiting);
    }
  }

  private onReply(key: string, reply: string): void {
    const [, value] = /^\$\d+\r\n(.*)\r\n$/.exec(reply) ?? [];
    if (value !== undefined && this.asked.has(key)) this.values.set(key, value);
    this.asked.delete(key);
  }

  private onPush(push: string): void {
    const [, list] = /^>2\r\n\$10\r\ninvalidate\r\n(.*)$/s.exec(push) ?? [];
    if (list === undefined) throw new Error(push);
    const words = list.split('\r\n');
    const isAll = words[0] === '_';
    if (isAll) this.forgotten++;
    for (const key of isAll ? this.keys : words) {
      this.values.delete(key);
      this.asked.delete(key);
    }
  }
}

/** Hands each push to `onPush`, and each reply to the first of the functions returned, to which those who ask add their own. */
function listen(client: RespClient, onPush: (push: string) => void): ((reply: string) => void)[] {
  const waiting: ((reply: string) => void)[] = [];
  const hear = (): void => {
    const onFrame = (bytes: Buffer) => {
      const frame = bytes.toString('latin1');
      if (frame.startsWith('>')) onPush(frame);
      else waiting.shift()?.(frame);
      hear();
    };
    // What ends it is the end of the connection.
    client.next(600_000).then(onFrame, () => {});
  };
  hear();
  return waiting;
}

async function cacheOf(t: Test, port: number, keys: readonly string[], options: readonly string[]): Promise<Cache> {
  const client = await connect(t, port);
  await client.raw('HELLO', '3');
  const reply = await client.raw('CLIENT', 'TRACKING', 'ON', ...options);
  if (reply.toString() !== '+OK\r\n') throw new Error(reply.toString());
  const reader = options.includes('BCAST') ? await connect(t, port) : client;
  return new Cache(client, reader, keys, options.includes('OPTIN'));
}

/** So many clients come at once, track in every way, and go in the middle of it. */
async function crowd({ port }: Deployment, keys: readonly string[], count: number): Promise<void> {
  const clients = await Promise.all(Array.from({ length: count }, () => RespClient.connect(port)));
  await Promise.all(
    clients.map(async (client, index) => {
      const kind = index % 4;
      if (kind > 0) await client.raw('HELLO', '3');
      const id = `${await client.command('CLIENT', 'ID')}`;
      const options = [[], ['OPTIN'], ['REDIRECT', id], ['BCAST', 'PREFIX', `${index}:`]][kind] as string[];
      const reply = await client.raw('CLIENT', 'TRACKING', 'ON', ...options);
      if (reply.toString() !== '+OK\r\n') throw new Error(reply.toString());
      if (kind === 1) client.send('CLIENT CACHING YES\r\n');
      for (const key of keys) client.send(encodeWords(['GET', key]));
      client.send(encodeWords(['SET', keys[0] as string, `${index}`]));
      if (index % 3 > 0) await client.next();
      if (index % 2 === 0) client.close();
      else client.reset();
    }),
  );
}

/** Resolves when the proxy has no client but that one. */
async function idle({ proxy }: Deployment, other: RespClient): Promise<void> {
  await waitFor('an end of the many', async () =>
    `${await other.command('INFO', 'clients')}`.includes('connected_clients:1\r\n'),
  );
  if (proxy.logLines.some(({ msg }) => msg === 'worker-died')) throw new Error(proxy.output());
}

async function counter({ proxy }: Deployment, name: string): Promise<number | undefined> {
  const status = (await (await fetch(`${proxy.adminUrl}/status`)).json()) as { counters: Record<string, number> };
  return status.counters[name];
}
