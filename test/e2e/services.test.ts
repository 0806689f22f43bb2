/** Several keyspaces and several services on real servers, and how they come and go while the proxy runs. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import t, { type Test } from 'tap';
import { freePort } from '../help/free-port.js';
import { ProxyProcess } from '../help/proxy.js';
import { type RedisServer, startRedisServers } from '../help/redis-server.js';
import { connect, RespClient, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

type Config = Record<string, unknown> & {
  pools: Record<string, unknown>;
  services: { name: string; listen: string; keyspaces: unknown[] }[];
};

async function startServers(t: Test): Promise<RedisServer[]> {
  const servers = await startRedisServers(4);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  return servers;
}

/** Two servers a pool, named as their place in the list. */
function pool(servers: readonly RedisServer[], first: number): unknown {
  const nodes = [first, first + 1].map((index) => ({ name: `n${index}`, url: servers[index]?.url }));
  return { nodes };
}

function bulks(...texts: string[]): string {
  return `*${texts.length}\r\n${texts.map((text) => `$${text.length}\r\n${text}\r\n`).join('')}`;
}

for (const transport of ['io_uring', 'node'] as const) {
  t.test(`on ${transport}, the keys of each prefix are in its pool, and a client sees one Redis`, async (t) => {
    const servers = await startServers(t);
    const port = await freePort();
    const layout = {
      listen: [`127.0.0.1:${port}`],
      pools: { main: pool(servers, 0), cache: pool(servers, 2) },
      keyspaces: [
        { prefix: '', pool: 'main' },
        { prefix: 'cache:', pool: 'cache', placement: 'ketama', hash: 'murmur' },
      ],
    };
    const proxy = await ProxyProcess.start({ layout, transport });
    t.teardown(() => proxy.kill9());
    const client = await connect(t, port);
    const keys = Array.from({ length: 100 }, (_, n) => (n % 2 === 0 ? `user:${n}` : `cache:${n}`));
    t.equal(await say(client, 'MSET', ...keys.flatMap((key) => [key, key.toUpperCase()])), '+OK\r\n');
    t.equal(await say(client, 'MGET', ...keys), bulks(...keys.map((key) => key.toUpperCase())));
    t.equal(await say(client, 'DBSIZE'), ':100\r\n');
    const found: string[] = [];
    for (const [index, server] of servers.entries()) {
      const direct = await connect(t, server.port);
      const own = (await direct.command('KEYS', '*')) as string[];
      const prefix = index < 2 ? 'user:' : 'cache:';
      t.ok(own.length > 0 && own.every((key) => key.startsWith(prefix)), `node ${index} has ${own.length} keys`);
      found.push(...own);
      // What lies where no route leads is not shown: GET would not find it.
      await direct.command('SET', index < 2 ? 'cache:astray' : 'user:astray', '1');
    }
    t.same(found.toSorted(), keys.toSorted());
    t.same(((await client.command('KEYS', '*')) as string[]).toSorted(), keys.toSorted());
    const scanned: string[] = [];
    for (let cursor = '0'; ; ) {
      const [next, page] = (await client.command('SCAN', cursor)) as [string, string[]];
      scanned.push(...page);
      cursor = next;
      if (cursor === '0') break;
    }
    t.same([...new Set(scanned)].toSorted(), keys.toSorted());
    t.match(await say(client, 'RENAME', 'user:0', 'cache:0'), /^-CROSSSLOT /);
    t.equal(await say(client, 'DEL', ...keys), ':100\r\n');
  });

  t.test(`on ${transport}, SIGHUP adds, moves and takes away services under load`, async (t) => {
    const servers = await startServers(t);
    const ports = [await freePort(), await freePort(), await freePort()] as const;
    const door = (name: string, port: number, pool: string) => {
      return { name, listen: `127.0.0.1:${port}`, keyspaces: [{ prefix: '', pool }] };
    };
    const layout = { pools: { main: pool(servers, 0) }, services: [door('main', ports[0], 'main')] };
    // The node driver shares ports among workers in newer versions of Node only.
    const workers = transport === 'node' ? 1 : 2;
    const proxy = await ProxyProcess.start({ layout, transport, workers, acceptRemap: true });
    t.teardown(() => proxy.kill9());
    const change = async (edit: (config: Config) => void, event = 'reloaded') => {
      const before = proxy.logLines.filter(({ msg }) => msg === event).length;
      proxy.reload((text) => {
        const config = JSON.parse(text) as Config;
        edit(config);
        return JSON.stringify(config);
      });
      const counted = () => proxy.logLines.filter(({ msg }) => msg === event).length > before;
      await proxy.waitForLog(event, counted);
    };
    const load = new Load(await Promise.all(Array.from({ length: 10 }, () => connect(t, ports[0]))));

    await change((config) => {
      config.pools['other'] = pool(servers, 2);
      config.services.push(door('second', ports[1], 'other'));
    });
    const second = await connect(t, ports[1]);
    t.equal(await say(second, 'SET', 'key', 'of the second'), '+OK\r\n');
    const first = await connect(t, ports[0]);
    t.equal(await say(first, 'GET', 'key'), '$-1\r\n');
    t.match(await say(second, 'INFO', 'server'), `tcp_port:${ports[1]}\r\n`);

    await change((config) => {
      (config.services[1] as { listen: string }).listen = `127.0.0.1:${ports[2]}`;
    });
    t.equal(await say(second, 'GET', 'key'), '$13\r\nof the second\r\n', 'a connection by the old address stays');
    const moved = await connect(t, ports[2]);
    t.equal(await say(moved, 'GET', 'key'), '$13\r\nof the second\r\n');
    await waitFor('an end of listening at the old address', () =>
      RespClient.connect(ports[1]).then(
        (late) => late.close(),
        (error: NodeJS.ErrnoException) => error.code === 'ECONNREFUSED',
      ),
    );

    await change((config) => {
      (config.services[1] as { name: string }).name = 'renamed';
    });
    t.equal(await say(moved, 'GET', 'key'), '$13\r\nof the second\r\n', 'its connections stay');
    await change((config) => {
      (config.services[1] as { name: string }).name = 'second';
    });

    // An address that is taken: nothing changes, also not what stands beside it.
    const stranger = createServer().listen(0, '127.0.0.1');
    t.teardown(() => stranger.close());
    await once(stranger, 'listening');
    const taken = `127.0.0.1:${(stranger.address() as AddressInfo).port}`;
    await change((config) => {
      (config.services[1] as { listen: string }).listen = taken;
      config.services.push(door('third', ports[1], 'other'));
    }, 'reload-failed');
    t.match(
      proxy.logLines.findLast(({ msg }) => msg === 'reload-failed'),
      {
        reason: `cannot listen on ${taken}: another process listens there`,
      },
    );
    await t.rejects(RespClient.connect(ports[1]), { code: 'ECONNREFUSED' });
    await change((config) => {
      config.services = config.services.slice(0, 2);
      (config.services[1] as { listen: string }).listen = `127.0.0.1:${ports[2]}`;
      (config.services[0] as { listen: string }).listen = `0.0.0.0:${ports[0]}`;
      config['protectedMode'] = 'no';
    }, 'reload-failed');
    const own = `this proxy listens on 127.0.0.1:${ports[0]} until the new configuration holds; a restart can change it`;
    t.match(
      proxy.logLines.findLast(({ msg }) => msg === 'reload-failed'),
      { reason: new RegExp(own) },
    );
    t.equal(await say(moved, 'GET', 'key'), '$13\r\nof the second\r\n');

    await change((config) => {
      config.services = config.services.slice(0, 1);
      (config.services[0] as { listen: string }).listen = `127.0.0.1:${ports[0]}`;
    });
    await moved.closed;
    await second.closed;
    const reason = 'its service is no longer configured';
    await proxy.waitForLog('session-closed', (line) => line['reason'] === reason);
    await waitFor('an end of listening', () =>
      RespClient.connect(ports[2]).then(
        (late) => late.close(),
        (error: NodeJS.ErrnoException) => error.code === 'ECONNREFUSED',
      ),
    );
    t.ok((await load.stop()) > 0, 'no command was lost');
  });
}

/** Clients that count, each on its own key, and believe only the next number. */
class Load {
  private isDone = false;
  private readonly running: Promise<number[]>;

  constructor(clients: readonly RespClient[]) {
    this.running = Promise.all(clients.map((client, index) => this.count(client, `counter:${index}`)));
    this.running.catch(() => {});
  }

  /** Resolves with how many commands there were. */
  async stop(): Promise<number> {
    this.isDone = true;
    return (await this.running).reduce((sum, count) => sum + count, 0);
  }

  private async count(client: RespClient, key: string): Promise<number> {
    let count = 0;
    for (; !this.isDone; count++) {
      const reply = await say(client, 'INCR', key);
      if (reply !== `:${count + 1}\r\n`) throw new Error(`INCR number ${count + 1} was answered ${reply}`);
    }
    return count;
  }
}
