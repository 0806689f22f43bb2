/** Clients made for Redis Cluster: each takes the proxy over three shards for a cluster of one node, and does what its README shows. */
import { once } from 'node:events';
import type { Cluster, ClusterOptions } from 'ioredis';
import t, { type Test } from 'tap';
import { deploy } from '../help/deployment.js';
import { freePort } from '../help/free-port.js';
import { type NodeRedisClient, type NodeRedisClusterOptions, nodeRedis } from '../help/node-redis.js';
import { ProxyProcess } from '../help/proxy.js';
import { redisPrograms } from '../help/redis-programs.js';
import { findRedisPy, runPython } from '../help/redis-py.js';
import { type RedisServer, startRedisServers } from '../help/redis-server.js';
import { runProgram } from '../help/run-program.js';
import { testClient } from '../help/test-clients.js';
import { waitFor, within } from '../help/wait-for.js';

const KEYS = Array.from({ length: 300 }, (_, number) => `key:${number}`);
const PAIRS = Object.fromEntries(KEYS.map((key) => [key, key]));

/** Servers behind a proxy that can be started again at its address. */
class Restarting {
  readonly port: number;
  private readonly servers: readonly RedisServer[];
  private proxy: ProxyProcess | null = null;

  private constructor(port: number, servers: readonly RedisServer[]) {
    this.port = port;
    this.servers = servers;
  }

  static async start(t: Test): Promise<Restarting> {
    const servers = await startRedisServers(3);
    t.teardown(() => Promise.all(servers.map((server) => server.stop())));
    const own = new Restarting(await freePort(), servers);
    t.teardown(() => own.proxy?.kill9());
    await own.restart();
    return own;
  }

  async restart(): Promise<void> {
    await this.proxy?.kill9();
    this.proxy = await ProxyProcess.start({
      nodes: this.servers.map(({ url }, index) => ({ name: `${index}`, url })),
      listen: [`127.0.0.1:${this.port}`],
    });
  }
}

/** What `defineCommand` adds. */
interface OwnCommands {
  swap(key: string, value: string): Promise<string | null>;
  pair(one: string, other: string): Promise<string[]>;
}

for (const name of ['ioredis', 'ioredis-5']) {
  const { version, obstacle, load } = await testClient(name);
  t.test(`ioredis ${version}, Cluster`, { skip: obstacle ?? false }, async (t) => {
    const { Cluster } = load() as typeof import('ioredis');
    const open = (t: Test, port: number, options: Omit<ClusterOptions, 'redisOptions'> = {}) => {
      const cluster = new Cluster([{ host: '127.0.0.1', port }], {
        clusterRetryStrategy: () => 50,
        ...options,
      });
      cluster.on('error', () => {});
      t.teardown(() => cluster.disconnect());
      return cluster as Cluster & OwnCommands;
    };
    const deployment = await deploy(t);
    const cluster = open(t, deployment.port);

    t.test('commands and pipelines', async (t) => {
      t.equal(await cluster.set('foo', 'bar'), 'OK');
      t.equal(await cluster.get('foo'), 'bar');
      t.same(
        cluster.nodes('all').map(({ options }) => options.port),
        [deployment.port],
      );
      t.equal(await cluster.mset(PAIRS), 'OK');
      t.same(await cluster.mget(KEYS), KEYS);
      const pipeline = cluster.pipeline();
      for (const key of KEYS) pipeline.get(key);
      t.same(
        await pipeline.exec(),
        KEYS.map((key) => [null, key]),
      );
      await t.rejects(cluster.hget('foo', 'field'), /^WRONGTYPE/);
    });

    t.test('replicas are asked where there are some; here all goes to the one node', async (t) => {
      const scaling = open(t, deployment.port, { scaleReads: 'slave' });
      t.equal(await scaling.set('read', 'written'), 'OK');
      t.equal(await scaling.get('read'), 'written');
    });

    t.test('transactions of one shard; others are refused', async (t) => {
      const done = await cluster.multi().set('{t}1', 'a').set('{t}2', 'b').get('{t}1').exec();
      t.same(done, [
        [null, 'OK'],
        [null, 'OK'],
        [null, 'a'],
      ]);
      const [one, other] = [deployment.key(0), deployment.key(1)];
      await t.rejects(cluster.multi().set(one, 'x').set(other, 'x').exec());
      await t.rejects(cluster.rename(one, other), /^CROSSSLOT/);
    });

    t.test('commands made of scripts', async (t) => {
      cluster.defineCommand('swap', { numberOfKeys: 1, lua: 'return redis.call("set", KEYS[1], ARGV[1], "GET")' });
      cluster.defineCommand('pair', { numberOfKeys: 2, lua: 'return { KEYS[1], KEYS[2] }' });
      for (let node = 0; node < 3; node++) {
        const key = deployment.key(node, 'swapped');
        t.equal(await cluster.swap(key, 'one'), null);
        t.equal(await cluster.swap(key, 'two'), 'one');
        const done = await cluster
          .pipeline([
            ['swap', key, 'three'],
            ['get', key],
          ])
          .exec();
        t.same(done, [
          [null, 'two'],
          [null, 'three'],
        ]);
      }
      t.same(await cluster.pair('{k}1', '{k}2'), ['{k}1', '{k}2']);
      await t.rejects(cluster.pair(deployment.key(0), deployment.key(1)), /^CROSSSLOT/);
      // ioredis thinks that they are there.
      await cluster.nodes('master')[0]?.script('FLUSH');
      t.equal(await cluster.swap(deployment.key(1, 'swapped'), 'four'), 'three');
    });

    t.test('Pub/Sub, also sharded', async (t) => {
      const sub = open(t, deployment.port, { shardedSubscribers: true });
      const heard = once(sub, 'message');
      t.equal(await sub.subscribe('news'), 1);
      t.equal(await cluster.publish('news', 'one'), 1);
      t.same(await within('a message', heard), ['news', 'one']);
      const channels = [0, 1, 2].map((node) => deployment.key(node, 'channel'));
      const messages: string[] = [];
      sub.on('smessage', (channel, message) => messages.push(`${channel} ${message}`));
      for (const channel of channels) await sub.ssubscribe(channel);
      for (const channel of channels) t.equal(await cluster.spublish(channel, 'hello'), 1);
      await waitFor('all messages', () => messages.length === channels.length);
      // Channels of different nodes come by different connections.
      t.same(messages.toSorted(), channels.map((channel) => `${channel} hello`).toSorted());
    });

    t.test('the keys of all nodes, by SCAN', async (t) => {
      await cluster.flushall();
      await cluster.mset(PAIRS);
      const found: string[] = [];
      for (const node of cluster.nodes('master')) {
        for await (const batch of node.scanStream({ match: 'key:*' })) found.push(...(batch as string[]));
      }
      t.same(found.toSorted(), KEYS.toSorted());
    });

    t.test('a restart of the proxy: it connects again, with its subscriptions', async (t) => {
      const place = await Restarting.start(t);
      const own = open(t, place.port);
      const sub = open(t, place.port);
      const heard: string[] = [];
      sub.on('message', (_, message) => heard.push(message));
      await sub.subscribe('news');
      await own.set('before', 'there');
      await place.restart();
      await waitFor('the connection', async () => (await own.get('before').catch(() => null)) === 'there');
      await waitFor('the subscription', async () => {
        await own.publish('news', 'again').catch(() => {});
        return heard.includes('again');
      });
    });
  });
}

for (const name of ['redis-5', 'redis-6']) {
  const { version, obstacle, load } = await nodeRedis(name);
  for (const protocol of [2, 3] as const) {
    t.test(`node-redis ${version}, createCluster in RESP${protocol}`, { skip: obstacle ?? false }, async (t) => {
      const { createCluster, defineScript } = load();
      const open = async (t: Test, port: number, options: Partial<NodeRedisClusterOptions> = {}) => {
        const cluster = createCluster({
          rootNodes: [{ url: `redis://127.0.0.1:${port}` }],
          RESP: protocol,
          ...options,
        });
        cluster.on('error', () => {});
        await cluster.connect();
        t.teardown(() => cluster.destroy());
        return cluster;
      };
      const deployment = await deploy(t);
      const cluster = await open(t, deployment.port);

      t.test('commands', async (t) => {
        t.equal(await cluster.set('key', 'value'), 'OK');
        t.equal(await cluster.get('key'), 'value');
        t.same(
          cluster.masters.map(({ port }) => port),
          [deployment.port],
        );
        t.equal(await cluster.mSet(PAIRS), 'OK');
        t.same(await cluster.mGet(KEYS), KEYS);
        t.same(await Promise.all(KEYS.map((key) => cluster.get(key))), KEYS);
      });

      t.test('transactions of one shard; others are refused', async (t) => {
        t.same(await cluster.multi().set('{t}1', 'a').get('{t}1').exec(), ['OK', 'a']);
        const [one, other] = [deployment.key(0), deployment.key(1)];
        await t.rejects(cluster.multi().set(one, 'x').set(other, 'x').exec());
        await t.rejects(cluster.rename(one, other), /CROSSSLOT/);
      });

      t.test('scripts', async (t) => {
        const swap = defineScript({
          SCRIPT: 'return redis.call("SET", KEYS[1], ARGV[1], "GET")',
          NUMBER_OF_KEYS: 1,
          parseCommand: (parser, key = '', value = '') => {
            parser.pushKey(key);
            parser.push(value);
          },
          transformReply: (reply) => reply,
        });
        const scripted = (await open(t, deployment.port, { scripts: { swap } })) as unknown as OwnCommands;
        for (let node = 0; node < 3; node++) {
          const key = deployment.key(node, `swapped${protocol}${version}`);
          t.equal(await scripted.swap(key, 'one'), null);
          t.equal(await scripted.swap(key, 'two'), 'one');
        }
      });

      t.test('Pub/Sub, also sharded', async (t) => {
        const sub = await open(t, deployment.port);
        const heard: string[] = [];
        await sub.subscribe('news', (message, channel) => heard.push(`${channel} ${message}`));
        await cluster.publish('news', 'one');
        const channels = [0, 1, 2].map((node) => deployment.key(node, 'channel'));
        for (const channel of channels)
          await sub.sSubscribe(channel, (message, channel) => heard.push(`${channel} ${message}`));
        for (const channel of channels) await cluster.sPublish(channel, 'hello');
        await waitFor('all messages', () => heard.length === 1 + channels.length);
        t.same(heard.toSorted(), ['news one', ...channels.map((channel) => `${channel} hello`)].toSorted());
      });

      t.test('the keys of all nodes, by SCAN', async (t) => {
        const found: string[] = [];
        for (const node of cluster.masters) {
          const client = (await cluster.nodeClient(node)) as NodeRedisClient;
          await client.flushAll();
          await cluster.mSet(PAIRS);
          for await (const batch of client.scanIterator({ MATCH: 'key:*' })) found.push(...batch);
        }
        t.same(found.toSorted(), KEYS.toSorted());
      });

      t.test('a restart of the proxy', async (t) => {
        const place = await Restarting.start(t);
        const own = await open(t, place.port);
        await own.set('before', 'there');
        await place.restart();
        await waitFor('the connection', async () => {
          const reply = own.get('before').catch(() => null);
          return (await within('a reply', reply)) === 'there';
        });
      });
    });
  }
}

const python = await findRedisPy();
t.test('redis-py, RedisCluster', { skip: 'reason' in python ? python.reason : false }, async (t) => {
  if ('reason' in python) return;
  const deployment = await deploy(t);
  const keys = [0, 1, 2].map((node) => deployment.key(node));
  const result = await runPython(python, PYTHON_SCRIPT, [`${deployment.port}`, ...keys]);
  t.equal(result.output, PYTHON_OUTPUT.replace('PORT', `${deployment.port}`));
  t.equal(result.code, 0);
});

const PYTHON_SCRIPT = `
import sys
from redis.cluster import RedisCluster, ClusterNode
from redis.exceptions import ResponseError
port, keys = int(sys.argv[1]), sys.argv[2:]
r = RedisCluster(startup_nodes=[ClusterNode('127.0.0.1', port)], decode_responses=True)
print([node.port for node in r.get_primaries()], r.get_replicas())
print(r.set('foo', 'bar'), r.get('foo'))
print(r.mset_nonatomic({key: key for key in keys}), r.mget_nonatomic(keys) == keys)
with r.pipeline() as pipe:
    for key in keys:
        pipe.set(key, key).get(key)
    print(pipe.execute() == [answer for key in keys for answer in (True, key)])
print(sorted(r.keys('*')) == sorted(keys + ['foo']), r.dbsize(), sorted(r.scan_iter('*')) == sorted(keys + ['foo']))
print(r.eval('return redis.call("GET", KEYS[1])', 1, 'foo'))
print(r.cluster_keyslot('foo'), r.cluster_countkeysinslot(12182), r.cluster_get_keys_in_slot(12182, 10))
print(r.cluster_info()['cluster_state'], r.delete(*keys[:1]), r.exists(keys[0]))
try:
    r.get_default_node().redis_connection.rename(keys[1], keys[2])
except ResponseError as error:
    print(type(error).__name__)
sub = r.pubsub(node=r.get_default_node())
sub.subscribe('news')
print(sub.get_message(timeout=10)['type'], r.publish('news', 'hello'), sub.get_message(timeout=10)['data'])

import asyncio
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster

async def main():
    async with AsyncRedisCluster(host='127.0.0.1', port=port, decode_responses=True) as r:
        print(await r.set('foo', 'async'), await r.get('foo'))

asyncio.run(main())
`;

const PYTHON_OUTPUT = `[PORT] []
True bar
[True, True, True] True
True
True 4 True
bar
12182 1 ['foo']
ok 1 0
ClusterCrossSlotError
subscribe 1 hello
True async
`;

t.test('redis-cli -c, and --cluster as far as it only looks', async (t) => {
  const deployment = await deploy(t);
  const { cli } = await redisPrograms();
  const address = `127.0.0.1:${deployment.port}`;
  const run = (...words: string[]) => runProgram(cli, ['-p', `${deployment.port}`, ...words]);
  for (const key of KEYS.slice(0, 20)) t.same(await run('-c', 'SET', key, key), { code: 0, output: 'OK\n' });
  t.same(await run('-c', 'GET', KEYS[3] as string), { code: 0, output: `${KEYS[3]}\n` });
  const info = await run('--cluster', 'info', address);
  t.equal(info.code, 0, info.output);
  t.match(info.output, '20 keys | 16384 slots | 0 slaves.');
  const check = await run('--cluster', 'check', address);
  t.equal(check.code, 0, check.output);
  t.match(check.output, '[OK] All nodes agree about slots configuration.');
  t.match(check.output, '[OK] All 16384 slots covered.');
  const call = await run('--cluster', 'call', address, 'DBSIZE');
  t.match(call.output, `${address}: 20`);
  const refused = await run('CLUSTER', 'FAILOVER');
  t.match(refused.output, 'ERR CLUSTER FAILOVER is not supported by this proxy');
});
