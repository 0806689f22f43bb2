/** Pub/Sub as ioredis and node-redis have it: a client that only listens, in RESP2 and RESP3, over three shards and a restart. */
import { once } from 'node:events';
import { Redis } from 'ioredis';
import t from 'tap';
import { deploy } from '../help/deployment.js';
import { nodeRedis } from '../help/node-redis.js';
import { waitFor, within } from '../help/wait-for.js';

for (const protocol of [2, 3] as const) {
  t.test(`ioredis in RESP${protocol}`, async (t) => {
    const deployment = await deploy(t, { limits: { reconnectMaxMs: '200ms' } });
    const { port, servers } = deployment;
    const open = () => {
      const redis = new Redis(port, '127.0.0.1', { protocol });
      redis.on('error', () => {});
      t.teardown(() => redis.disconnect());
      return redis;
    };
    const [listener, publisher] = [open(), open()];
    const channels = [0, 1, 2].map((node) => deployment.key(node, 'news'));
    const heard: string[] = [];
    listener.on('message', (channel, text) => heard.push(`${channel} ${text}`));
    listener.on('pmessage', (pattern, channel, text) => heard.push(`${pattern} ${channel} ${text}`));
    t.equal(await listener.subscribe(...channels), 3);
    t.equal(await listener.psubscribe('news*'), 4);
    for (const channel of channels) t.equal(await publisher.publish(channel, 'hello'), 2);
    const expected = channels.flatMap((channel) => [`${channel} hello`, `news* ${channel} hello`]);
    await waitFor('all messages', () => heard.length === 6);
    t.same([...heard].sort(), expected.sort());
    t.same(
      await publisher.pubsub('NUMSUB', ...channels),
      channels.flatMap((channel) => [channel, 1]),
    );
    t.equal(await publisher.pubsub('NUMPAT'), 1);

    heard.length = 0;
    await servers[1]?.kill9();
    await servers[1]?.restart();
    const channel = channels[1] as string;
    await waitFor('both subscriptions', async () => (await publisher.publish(channel, 'back')) === 2);
    await waitFor('a message', () => heard.includes(`${channel} back`) && heard.includes(`news* ${channel} back`));
    t.equal(await listener.punsubscribe('news*'), 3);
    t.equal(await listener.unsubscribe(...channels), 0);
    t.equal(await listener.get('key'), null, 'it is like any other again');
    t.equal(await publisher.publish(channel, 'nobody'), 0);
  });
}

for (const name of ['redis-5', 'redis-6']) {
  const { version, obstacle, load } = await nodeRedis(name);
  for (const protocol of [2, 3] as const) {
    t.test(`node-redis ${version} in RESP${protocol}`, { skip: obstacle ?? false }, async (t) => {
      const deployment = await deploy(t, { limits: { reconnectMaxMs: '200ms' } });
      const { port, servers } = deployment;
      const open = async () => {
        const redis = await load()
          .createClient({ url: `redis://127.0.0.1:${port}`, RESP: protocol })
          .on('error', () => {})
          .connect();
        t.teardown(() => redis.destroy());
        return redis;
      };
      const [listener, publisher] = [await open(), await open()];
      const heard: string[] = [];
      const hear = (kind: string) => (text: string, channel: string) => heard.push(`${kind} ${channel} ${text}`);
      const channels = [0, 1, 2].map((node) => deployment.key(node, 'news'));
      await listener.subscribe(channels, hear('channel'));
      await listener.pSubscribe('news*', hear('pattern'));
      await listener.sSubscribe(channels[0] as string, hear('shard'));
      for (const channel of channels) t.equal(await publisher.publish(channel, 'hello'), 2);
      t.equal(await publisher.sPublish(channels[0] as string, 'hello'), 1);
      await waitFor('all messages', () => heard.length === 7);
      t.equal(new Set(heard).size, 7);

      heard.length = 0;
      await servers[0]?.kill9();
      await servers[0]?.restart();
      const channel = channels[0] as string;
      await waitFor('both subscriptions', async () => (await publisher.publish(channel, 'back')) === 2);
      await waitFor(
        'both messages',
        () => heard.includes(`channel ${channel} back`) && heard.includes(`pattern ${channel} back`),
      );
      await listener.unsubscribe(channels[1] as string);
      t.equal(await publisher.publish(channels[1] as string, 'by pattern only'), 1);
    });
  }
}

t.test('a proxy that stops does not wait for who only listens', async (t) => {
  const deployment = await deploy(t, { nodes: 1 });
  const listener = new Redis(deployment.port, '127.0.0.1', { retryStrategy: () => null });
  t.teardown(() => listener.disconnect());
  await listener.subscribe('c');
  const ended = once(listener, 'end');
  t.equal(await deployment.proxy.stop(), 0, 'a subscriber is nothing to wait for');
  await within('the end', ended);
});
