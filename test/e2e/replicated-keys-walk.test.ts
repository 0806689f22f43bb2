/**
 * KEYS, SCAN, DBSIZE and RANDOMKEY over replicated keys on real servers whose copies differ as the test wants them: what nodes
 * have is written to them directly.
 */
import t, { type Test } from 'tap';
import { NEVER } from '../../src/replica/ballot.js';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import { formatNodeRecord } from '../../src/replica/node-record.js';
import { planCopies } from '../../src/routing/ring.js';
import { slotOf } from '../../src/routing/slot.js';
import { ProxyProcess } from '../help/proxy.js';
import { type RedisServer, startRedisServers } from '../help/redis-server.js';
import { ReplyError } from '../help/reference-parser.js';
import { connect, type RespClient, say } from '../help/resp-client.js';

const COPIES = 3;

/** Servers of one pool, members all, and a way to each. */
class Nodes {
  readonly servers: readonly RedisServer[];
  readonly clients: readonly RespClient[];
  private readonly owners: Uint16Array;

  private constructor(servers: readonly RedisServer[], clients: readonly RespClient[]) {
    this.servers = servers;
    this.clients = clients;
    this.owners = planCopies(
      servers.map((_, index) => ({ name: `n${index}`, weight: 1 })),
      COPIES,
    );
  }

  static async start(t: Test, count: number): Promise<Nodes> {
    const servers = await startRedisServers(count);
    t.teardown(() => Promise.all(servers.map((server) => server.stop())));
    const nodes = new Nodes(servers, await Promise.all(servers.map((server) => connect(t, server.port))));
    await Promise.all(servers.map((_, node) => nodes.admit(node)));
    return nodes;
  }

  async admit(node: number): Promise<void> {
    const client = this.clients[node] as RespClient;
    const info = String(await client.command('INFO', 'everything'));
    const field = (name: string) => new RegExp(`^${name}:(\\w+)`, 'm').exec(info)?.[1] as string;
    const process = { runId: field('run_id'), replId: field('master_replid') };
    const admission = { epoch: 0, count: 1 };
    const record = { clusterId: 'c', name: `n${node}`, admission, process, status: { kind: 'member' } as const };
    await client.command('SET', '~rl:node', formatNodeRecord(record));
  }

  copiesOf(key: string): number[] {
    const slot = slotOf(Buffer.from(key), 0, Buffer.byteLength(key));
    return Array.from(this.owners.subarray(slot * COPIES, (slot + 1) * COPIES));
  }

  /** What copy number `copy` of the key has: its state after ballot number `ballot`. */
  async put(key: string, copy: number, ballot: number, value: string | null, expireAt = 0): Promise<void> {
    const client = this.clients[this.copiesOf(key)[copy] as number] as RespClient;
    const accepted = `00000000${String(ballot).padStart(12, '0')}${'1'.repeat(20)}`;
    await client.command(
      'SET',
      `~rl:m:${key}`,
      `${accepted}${ballot === 0 ? NEVER : accepted}${NO_LINEAGE}${value === null ? 0 : 1}${expireAt}`,
    );
    if (value === null) await client.command('DEL', key);
    else await client.command('SET', key, value);
  }

  async putAll(key: string, ballot: number, value: string | null, expireAt = 0): Promise<void> {
    for (let copy = 0; copy < COPIES; copy++) await this.put(key, copy, ballot, value, expireAt);
  }
}

async function startProxy(t: Test, nodes: Nodes): Promise<ProxyProcess> {
  const proxy = await ProxyProcess.start({
    nodes: nodes.servers.map((server, index) => ({ name: `n${index}`, url: server.url })),
    keyspaces: [{ prefix: '', pool: 'main', mode: 'replicated', copies: COPIES, tombstoneTtl: '1h' }],
  });
  t.teardown(() => proxy.kill9());
  return proxy;
}

type Page = [string, string[]];

/** All that a whole SCAN shows, each as often as it came. It is begun again when nodes came or went. */
async function scan(client: RespClient, ...options: string[]): Promise<string[]> {
  const found: string[] = [];
  let cursor = '0';
  do {
    const reply = await client.command('SCAN', cursor, ...options);
    if (reply instanceof ReplyError && /begin again with 0/.test(reply.message)) return scan(client, ...options);
    const [next, keys] = reply as unknown as Page;
    found.push(...keys);
    cursor = next;
  } while (cursor !== '0');
  return found.sort();
}

async function keysOf(client: RespClient, pattern: string): Promise<string[]> {
  return [...((await client.command('KEYS', pattern)) as string[])].sort();
}

async function see(t: Test, client: RespClient, keys: readonly string[], why: string): Promise<void> {
  t.same(await keysOf(client, '*'), keys, `KEYS, ${why}`);
  const scanned = await scan(client);
  t.same([...new Set(scanned)], keys, `SCAN, ${why}`);
  const twice = scanned.filter((key, place) => scanned[place - 1] === key);
  t.ok(
    twice.every((key) => key.startsWith('made-again')),
    `SCAN shows others once, ${why}: ${twice.join()}`,
  );
  t.equal(await client.command('DBSIZE'), keys.length, `DBSIZE, ${why}`);
}

t.test('each replicated key is seen once, whatever its copies have, and the keys of the proxy never', async (t) => {
  const nodes = await Nodes.start(t, 4);
  const future = Date.now() + 3_600_000;
  const names = Array.from({ length: 60 }, (_, n) => `key:${String(n).padStart(2, '0')}`);
  for (const key of names) await nodes.putAll(key, 1, 'v');
  const there: string[] = [...names];
  for (let behind = 0; behind < COPIES; behind++) {
    const others = [0, 1, 2].filter((copy) => copy !== behind);
    const is = async (name: string, isThere: boolean, put: (key: string) => Promise<void>) => {
      const key = `${name}:${behind}`;
      await put(key);
      if (isThere) there.push(key);
    };
    await is('missing-on-one', true, async (key) => {
      for (const copy of others) await nodes.put(key, copy, 1, 'v');
    });
    await is('deleted-but-on-one', false, async (key) => {
      for (const copy of others) await nodes.put(key, copy, 2, null);
      await nodes.put(key, behind, 1, 'v');
    });
    await is('made-again-but-on-one', true, async (key) => {
      for (const copy of others) await nodes.put(key, copy, 3, 'v');
      await nodes.put(key, behind, 2, null);
    });
    await is('older-on-one', true, async (key) => {
      for (const copy of others) await nodes.put(key, copy, 5, 'v', future);
      await nodes.put(key, behind, 4, 'w');
    });
  }
  await nodes.putAll('expires', 1, 'v', future);
  await nodes.putAll('promised', 0, null);
  // No ballot ever made it: it is nobody's.
  await nodes.clients[0]?.command('SET', 'stray', '1');
  there.push('expires');
  there.sort();
  const proxy = await startProxy(t, nodes);
  const client = await connect(t, proxy.port);
  await see(t, client, there, 'with all nodes');
  t.same(await keysOf(client, 'key:1?'), names.slice(10, 20));
  t.same(await scan(client, 'MATCH', 'key:1?', 'COUNT', '1000'), names.slice(10, 20));
  t.same(await keysOf(client, '~rl:*'), []);
  t.equal(
    await say(client, 'GET', '~rl:node'),
    "-ERR the key '~rl:node' is the proxy's own: those that begin with ~rl: are not for clients\r\n",
  );
  t.match(await say(client, 'DEL', '~rl:m:key:01'), /^-ERR the key/);
  for (let draw = 0; draw < 20; draw++) t.ok(there.includes(String(await client.command('RANDOMKEY'))));
  t.equal(await say(client, 'SCAN', 'x'), '-ERR invalid cursor\r\n');
  t.equal(await say(client, 'SCAN', '0', 'COUNT', '0'), '-ERR syntax error\r\n');
  t.equal(await say(client, 'SCAN', '0', 'COUNT', 'x'), '-ERR value is not an integer or out of range\r\n');
  t.equal(await say(client, 'SCAN', '0', 'MATCH'), '-ERR syntax error\r\n');

  await nodes.servers[1]?.kill9();
  await see(t, client, there, 'without a node');
  await nodes.servers[1]?.restart();
  await see(t, client, there, 'with a node that has lost everything');
});

t.test('types are those of the newest copy', async (t) => {
  const nodes = await Nodes.start(t, 3);
  await nodes.putAll('text', 1, 'v');
  for (const [node, client] of nodes.clients.entries()) {
    await client.command('RPUSH', 'list', 'a');
    const place = nodes.copiesOf('list').indexOf(node);
    const accepted = `00000000${'0'.repeat(11)}2${'1'.repeat(20)}`;
    if (place > 0) await client.command('SET', '~rl:m:list', `${accepted}${accepted}${NO_LINEAGE}10`);
  }
  await nodes.clients[nodes.copiesOf('list')[0] as number]?.command('DEL', 'list');
  await nodes.put('list', 0, 1, 'once a text');
  const proxy = await startProxy(t, nodes);
  const client = await connect(t, proxy.port);
  t.same(await scan(client, 'TYPE', 'list'), ['list']);
  t.same(await scan(client, 'TYPE', 'STRING'), ['text']);
});

t.test('a scan that nodes come to or leave is to begin again, and without a quorum there is none', async (t) => {
  const nodes = await Nodes.start(t, 3);
  for (let n = 0; n < 50; n++) await nodes.putAll(`key:${n}`, 1, 'v');
  const proxy = await startProxy(t, nodes);
  const client = await connect(t, proxy.port);
  const [cursor] = (await client.command('SCAN', '0', 'COUNT', '10')) as unknown as Page;
  t.not(cursor, '0');
  t.match(await say(client, 'SCAN', cursor, 'COUNT', '10'), /^\*2\r\n/);
  await nodes.servers[2]?.kill9();
  t.match(await say(client, 'SCAN', cursor, 'COUNT', '10'), /^-ERR invalid cursor: .*begin again with 0/);
  t.equal((await scan(client)).length, 50);
  await nodes.servers[1]?.kill9();
  for (const words of [['SCAN', '0'], ['KEYS', '*'], ['DBSIZE'], ['RANDOMKEY']]) {
    t.match(await say(client, ...words), /^-NOQUORUM /, words.join(' '));
  }
});

t.test('what would empty nodes, or take from them what replicated keys depend on, is refused', async (t) => {
  const nodes = await Nodes.start(t, 3);
  const proxy = await startProxy(t, nodes);
  const client = await connect(t, proxy.port);
  for (const words of [
    ['FLUSHALL'],
    ['FLUSHDB', 'ASYNC'],
    ['CONFIG', 'SET', 'hz', '10', 'MAXMEMORY-POLICY', 'allkeys-lru'],
  ]) {
    t.match(await say(client, ...words), /^-ERR .* is refused: /, words.join(' '));
  }
  t.match(await say(client, 'EVAL', "return redis.call('set', 'k', 'v')", '0'), /^-ERR a script without keys /);
  t.equal(await say(client, 'EVAL_RO', 'return 1', '0'), ':1\r\n');
  t.equal(await say(client, 'CONFIG', 'SET', 'hz', '10'), '+OK\r\n');
  t.match(await say(client, 'SWAPDB', '0', '1'), /^-ERR /);
  t.equal(await say(client, 'SELECT', '1'), '+OK\r\n');
  t.equal(await say(client, 'DBSIZE'), '-ERR replicated keys are in database 0 only\r\n');
  await client.command('SELECT', '0');
  const subscriber = await connect(t, proxy.port);
  await subscriber.command('SUBSCRIBE', 'channel');
  t.equal(await say(client, 'PUBLISH', 'channel', 'x'), ':1\r\n');
});
