/** Pub/Sub over three real nodes: as on one Redis, in order, and when nodes and clients go. */
import t, { type Test } from 'tap';
import { type Deployment, deploy } from '../help/deployment.js';
import { residentBytes } from '../help/process-facts.js';
import { type Random, randomFromSeed } from '../help/random.js';
import { startRedisServers } from '../help/redis-server.js';
import { connect, encodeWords, RespClient, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

/** What a client is told: a push, or in RESP2 an array. */
function told(protocol: 2 | 3, ...words: (string | number)[]): string {
  const parts = words.map((word) => (typeof word === 'number' ? `:${word}\r\n` : `$${word.length}\r\n${word}\r\n`));
  return `${protocol === 3 ? '>' : '*'}${words.length}\r\n${parts.join('')}`;
}

async function next(client: RespClient, count = 1): Promise<string> {
  let text = '';
  for (let left = count; left > 0; left--) text += (await client.next()).toString('latin1');
  return text;
}

/** A client that is subscribed to these channels. */
async function subscriber(t: Test, port: number, protocol: 2 | 3, ...words: string[]): Promise<RespClient> {
  const client = await connect(t, port);
  if (protocol === 3) await say(client, 'HELLO', '3');
  client.send(encodeWords(words));
  await next(client, words.length - 1);
  return client;
}

interface Gauges {
  privateConnectionsOpen: number;
  memoryBytes: number;
  sessionsOpen: number;
  nodeConnectFailures: number;
}

async function gauges({ proxy }: Deployment): Promise<Gauges> {
  const response = await fetch(`${proxy.adminUrl}/status`);
  return ((await response.json()) as { counters: Gauges }).counters;
}

/** How many clients each node has that subscribe to anything. */
async function nodeSubscribers(t: Test, { servers }: Deployment): Promise<number[]> {
  const counts: number[] = [];
  for (const { port } of servers) {
    const direct = await connect(t, port);
    const list = await say(direct, 'CLIENT', 'LIST', 'TYPE', 'pubsub');
    counts.push((list.match(/^id=/gm) ?? []).length);
    direct.close();
  }
  return counts;
}

/** Commands of one client that one Redis and the proxy answer alike: but for the order in which it forgets several at once. */
function script(random: Random, protocol: 2 | 3): string[][] {
  const subscribed = { '': new Set<string>(), P: new Set<string>(), S: new Set<string>() };
  const lines: string[][] = protocol === 3 ? [['HELLO', '3']] : [];
  for (let left = 30; left > 0; left--) {
    const letter = random.pick(['', '', 'P', 'S'] as const);
    const names = Array.from({ length: 1 + random.size(4) }, () =>
      random.pick(['a', 'b', 'c*', 'd?', '', 'x{t}', 'y{t}']),
    );
    const set = subscribed[letter];
    switch (random.pick(['on', 'off', 'all', 'other'] as const)) {
      case 'on':
        lines.push([`${letter}SUBSCRIBE`, ...names]);
        for (const name of names) set.add(name);
        break;
      case 'off':
        lines.push([`${letter}unsubscribe`, ...names]);
        for (const name of names) set.delete(name);
        break;
      case 'all':
        if (set.size > 1) break;
        lines.push([`${letter}UNSUBSCRIBE`]);
        set.clear();
        break;
      default:
        lines.push(
          random.pick([['PING'], ['PING', 'x'], ['GET', 'k'], ['SUBSCRIBE'], ['CLIENT', 'ID', 'x'], ['ECHO', 'x']]),
        );
    }
  }
  return lines;
}

for (const transport of ['io_uring', 'node'] as const) {
  t.test(`on ${transport}`, async (t) => {
    const deployment = await deploy(t, { transport, limits: { reconnectMaxMs: '200ms' } });
    const { port, servers } = deployment;

    t.test('subscribing is answered as by one Redis', async (t) => {
      const random = randomFromSeed((text) => t.comment(text));
      const [reference] = await startRedisServers(1);
      t.teardown(() => reference?.stop());
      for (let round = 0; round < 60; round++) {
        const protocol = round % 2 === 0 ? 2 : 3;
        const lines = script(random, protocol);
        const texts: string[] = [];
        for (const place of [port, reference?.port as number]) {
          const client = await RespClient.connect(place);
          client.send(Buffer.concat([...lines, ['RESET'], ['ECHO', 'the-end']].map(encodeWords)));
          let text = '';
          while (!text.endsWith('the-end\r\n')) text += await next(client);
          client.close();
          texts.push(text.replace(/^[%*](7|14)\r\n\$6\r\nserver[\s\S]*?modules\r\n\*0\r\n/, ''));
        }
        if (texts[0] !== texts[1]) t.equal(texts[0], texts[1], JSON.stringify(lines));
      }
      t.pass('60 scripts');
    });

    for (const protocol of [2, 3] as const) {
      t.test(`RESP${protocol}: messages keep the order of each publisher, and none is lost`, async (t) => {
        const channels = [0, 1, 2].map((node) => deployment.key(node, 'channel'));
        const reader = await subscriber(t, port, protocol, 'SUBSCRIBE', ...channels);
        reader.send(encodeWords(['PSUBSCRIBE', 'channel:*']));
        await next(reader);
        const publishers = await Promise.all([0, 1, 2, 3].map(() => connect(t, port)));
        const count = 500;
        for (const [number, publisher] of publishers.entries()) {
          const commands = Array.from({ length: count }, (_, place) =>
            encodeWords(['PUBLISH', channels[place % 3] as string, `${number} ${place}`]),
          );
          publisher.send(Buffer.concat(commands));
        }
        for (const publisher of publishers) {
          for (let left = count; left > 0; left--) t.equal((await publisher.next()).toString(), ':2\r\n');
        }
        const seen = new Map<string, number>();
        for (let left = count * publishers.length * 2; left > 0; left--) {
          const [head, kind, ...rest] = (await next(reader)).split('\r\n').filter((line) => !line.startsWith('$'));
          const [channel, text] = rest.slice(kind === 'pmessage' ? 1 : 0) as [string, string];
          if (head?.[0] !== (protocol === 3 ? '>' : '*')) t.fail(`${head}`);
          const [number, place] = text.split(' ').map(Number) as [number, number];
          const key = `${kind} ${channel} ${number}`;
          const before = seen.get(key) ?? channels.indexOf(channel) - 3;
          if (place !== before + 3) t.fail(`${key}: ${place} after ${before}`);
          seen.set(key, place);
        }
        t.equal(seen.size, 4 * 3 * 2);
      });
    }

    t.test('keyspace notifications come from all shards', async (t) => {
      const admin = await connect(t, port);
      t.equal(await say(admin, 'CONFIG', 'SET', 'notify-keyspace-events', 'KEA'), '+OK\r\n');
      const reader = await subscriber(t, port, 2, 'SUBSCRIBE', '__keyevent@0__:set', '__keyspace@0__:none');
      const byPattern = await subscriber(t, port, 3, 'PSUBSCRIBE', '__keyspace@0__:*');
      for (const node of [0, 1, 2]) {
        const key = deployment.key(node, 'notified');
        await say(admin, 'SET', key, 'value');
        t.equal(await next(reader), told(2, 'message', '__keyevent@0__:set', key));
        const channel = `__keyspace@0__:${key}`;
        t.equal(await next(byPattern), told(3, 'pmessage', '__keyspace@0__:*', channel, 'set'));
      }
      t.equal(await say(admin, 'PUBLISH', '__keyevent@0__:set', 'by hand'), ':1\r\n');
      t.equal(await next(reader), told(2, 'message', '__keyevent@0__:set', 'by hand'), 'once');
      t.equal(await say(admin, 'CONFIG', 'SET', 'notify-keyspace-events', ''), '+OK\r\n');
    });

    t.test('PUBLISH and PUBSUB count clients', async (t) => {
      const channel = deployment.key(1, 'counted');
      const publisher = await connect(t, port);
      const clients: RespClient[] = [];
      for (let count = 1; count <= 5; count++) {
        clients.push(await subscriber(t, port, 3, 'SUBSCRIBE', channel));
        t.equal(await say(publisher, 'PUBLISH', channel, 'x'), `:${count}\r\n`);
      }
      clients.push(await subscriber(t, port, 2, 'PSUBSCRIBE', 'counted*'));
      t.equal(await say(publisher, 'PUBLISH', channel, 'x'), ':6\r\n');
      const numsub = `*2\r\n$${channel.length}\r\n${channel}\r\n`;
      t.equal(await say(publisher, 'PUBSUB', 'NUMSUB', channel), `${numsub}:5\r\n`);
      t.equal(await say(publisher, 'PUBSUB', 'NUMPAT'), ':1\r\n');
      t.equal(await say(publisher, 'PUBSUB', 'CHANNELS', 'counted*'), `*1\r\n$${channel.length}\r\n${channel}\r\n`);
      t.match(await say(publisher, 'CLIENT', 'LIST', 'TYPE', 'pubsub'), / flags=P .* sub=1 psub=0 ssub=0 /);
      for (const client of clients) client.close();
      await waitFor(
        'the end of all subscriptions',
        async () => (await say(publisher, 'PUBLISH', channel, 'x')) === ':0\r\n',
      );
    });

    t.test('a subscriber whose node is killed hears what is published after its restart', async (t) => {
      const [lost, kept] = [deployment.key(0, 'lost'), deployment.key(1, 'kept')];
      const reader = await subscriber(t, port, 2, 'SUBSCRIBE', lost, kept);
      const byPattern = await subscriber(t, port, 3, 'PSUBSCRIBE', 'lost:*');
      const publisher = await connect(t, port);
      await servers[0]?.kill9();
      t.equal(await say(publisher, 'PUBLISH', kept, 'on'), ':1\r\n');
      t.equal(await next(reader), told(2, 'message', kept, 'on'), 'other shards go on');
      const late = await connect(t, port);
      t.match(await say(late, 'SUBSCRIBE', lost), /^-NODEDOWN /);
      t.equal(await say(late, 'PING'), '+PONG\r\n', 'it is not subscribed');
      await servers[0]?.restart();
      await waitFor('two subscribers', async () => (await say(publisher, 'PUBLISH', lost, 'again')) === ':2\r\n');
      const message = told(2, 'message', lost, 'again');
      t.equal(await next(reader), message);
      t.match(await next(byPattern), told(3, 'pmessage', 'lost:*', lost, 'again'));
      late.send(encodeWords(['SUBSCRIBE', lost]));
      t.equal(await next(late), told(2, 'subscribe', lost, 1));
    });

    t.test('a client that does not read is closed, and its neighbours go on', async (t) => {
      const channel = deployment.key(0, 'flood');
      const slow = await subscriber(t, port, 2, 'SUBSCRIBE', channel);
      const reader = await subscriber(t, port, 2, 'SUBSCRIBE', channel);
      const publisher = await connect(t, port);
      slow.stopReading();
      const text = 'x'.repeat(1_000_000);
      let receivers = ':2\r\n';
      for (let left = 100; receivers === ':2\r\n' && left > 0; left--) {
        receivers = await say(publisher, 'PUBLISH', channel, text);
        t.equal((await reader.next()).length, told(2, 'message', channel, text).length);
      }
      t.equal(receivers, ':1\r\n');
      const isIt = (line: { [field: string]: unknown }) => /subscriberOutputHardBytes/.test(String(line['reason']));
      await deployment.proxy.waitForLog('session-closed', isIt);
    });
  });
}

t.test(
  'when a node with 1,000 subscribers is restarted, all hear again, and the node is not stormed meanwhile',
  async (t) => {
    const deployment = await deploy(t, { workers: 1, limits: { reconnectMaxMs: '500ms' } });
    const { port, servers } = deployment;
    const channel = deployment.key(0, 'many');
    const clients: RespClient[] = [];
    for (let count = 0; count < 1_000; count += 50)
      clients.push(
        ...(await Promise.all(Array.from({ length: 50 }, () => subscriber(t, port, 2, 'SUBSCRIBE', channel)))),
      );
    const publisher = await connect(t, port);
    await servers[0]?.kill9();
    await waitFor('the loss', async () => (await say(publisher, 'PUBLISH', channel, 'x')).startsWith('-'));
    const nodeConnectFailures = await waitFor('some attempts to connect', async () => {
      const { nodeConnectFailures: count } = await gauges(deployment);
      return count > 3 && count;
    });
    t.ok(nodeConnectFailures < 100, `${nodeConnectFailures} attempts while it was down`);
    await servers[0]?.restart();
    await waitFor('all of them', async () => (await say(publisher, 'PUBSUB', 'NUMSUB', channel)).endsWith(':1000\r\n'));
    t.equal(await say(publisher, 'PUBLISH', channel, 'again'), ':1000\r\n');
    for (const client of clients) t.equal(await next(client), told(2, 'message', channel, 'again'));
    for (const client of clients) client.close();
  },
);

for (const pubsub of ['exact', 'shared'] as const) {
  t.test(`${pubsub}: 10,000 clients that subscribe and go, each in its way, leave nothing`, async (t) => {
    const deployment = await deploy(t, { pubsub, limits: { reconnectMaxMs: '200ms' } });
    const { port } = deployment;
    const resting = await subscriber(t, port, 2, 'SUBSCRIBE', 'resting');
    const waves = 50;
    let before: Gauges | null = null;
    let residentBefore = 0;
    for (let wave = 0; wave < waves; wave++) {
      const clients = await Promise.all(Array.from({ length: 200 }, () => RespClient.connect(port)));
      for (const [place, client] of clients.entries()) {
        client.send(encodeWords(place % 3 === 0 ? ['HELLO', '3'] : ['PING']));
        client.send(encodeWords([place % 2 === 0 ? 'SUBSCRIBE' : 'PSUBSCRIBE', `a:${place}`, `b:${place % 7}`]));
      }
      await Promise.all(
        clients.map(async (client, place) => {
          // Every fourth goes before it was told.
          if (place % 4 !== 3) await next(client, 3);
          if (place % 4 === 0) {
            client.send(encodeWords(['RESET']));
            while ((await next(client)) !== '+RESET\r\n');
          }
          if (place % 4 === 1) client.reset();
          else client.close();
        }),
      );
      if (wave !== 20) continue;
      before = await settled(t, deployment);
      residentBefore = residentBytes(deployment.proxy.pid);
    }
    const after = await settled(t, deployment);
    t.equal(after.sessionsOpen, 1);
    t.ok(after.privateConnectionsOpen <= 2 * 3 * 16 + 3, `${after.privateConnectionsOpen} private connections`);
    t.ok(
      after.memoryBytes <= (before as Gauges).memoryBytes + 64 * 1024,
      `${JSON.stringify(before)} ${JSON.stringify(after)}`,
    );
    // The collector takes its time; 10 KB for each client that has gone would show.
    const grownBytes = residentBytes(deployment.proxy.pid) - residentBefore;
    t.ok(grownBytes < 60 * 1024 * 1024, `${grownBytes} bytes more are resident`);
    const publisher = await connect(t, port);
    t.equal(await say(publisher, 'PUBLISH', 'resting', 'still here'), ':1\r\n');
    t.equal(await next(resting), told(2, 'message', 'resting', 'still here'));
  });
}

t.test('a subscriber whose node is paused hears all when it goes on', async (t) => {
  const limits = { connectTimeoutMs: '1s', requestTimeoutMs: '1s', stallTimeoutMs: '1m', idlePingMs: '200ms' };
  const deployment = await deploy(t, { workers: 1, limits });
  const { port, servers } = deployment;
  const [channel, other] = [deployment.key(2, 'paused'), deployment.key(1, 'other')];
  const reader = await subscriber(t, port, 2, 'SUBSCRIBE', channel, other);
  const [publisher, late] = [await connect(t, port), await connect(t, port)];
  servers[2]?.pause();
  try {
    publisher.send(encodeWords(['PUBLISH', channel, 'meanwhile']));
    late.send(encodeWords(['SUBSCRIBE', other, channel]));
    t.match(await next(publisher), /^-UNKNOWN /);
    t.match(await next(late), /^-NODEDOWN /);
    t.equal(await say(publisher, 'PUBLISH', other, 'on'), ':1\r\n', 'nobody is half subscribed');
    t.equal(await next(reader), told(2, 'message', other, 'on'));
  } finally {
    servers[2]?.resume();
  }
  t.equal(await next(reader), told(2, 'message', channel, 'meanwhile'));
  t.equal(
    await say(publisher, 'PUBLISH', channel, 'again'),
    ':1\r\n',
    'it was subscribed all the time, and late is not',
  );
  t.equal(await next(reader), told(2, 'message', channel, 'again'));
});

/** The gauges once all clients but one have gone, and no node has a subscriber but for it. */
async function settled(t: Test, deployment: Deployment): Promise<Gauges> {
  await waitFor('the last but one to go', async () => (await gauges(deployment)).sessionsOpen === 1);
  await waitFor('the last subscription but one', async () => {
    const counts = await nodeSubscribers(t, deployment);
    return counts.reduce((sum, count) => sum + count) === 1;
  });
  return gauges(deployment);
}

t.test('shared: one connection for each worker and node, to all clients the messages of theirs', async (t) => {
  const deployment = await deploy(t, { pubsub: 'shared', workers: 1 });
  const { port, servers } = deployment;
  const channels = [0, 1, 2].map((node) => deployment.key(node, 'shared'));
  const clients = await Promise.all(
    Array.from({ length: 30 }, (_, place) =>
      subscriber(t, port, place % 2 === 0 ? 2 : 3, 'SUBSCRIBE', channels[place % 3] as string, 'all'),
    ),
  );
  t.same(await nodeSubscribers(t, deployment), [1, 1, 1]);
  const publisher = await connect(t, port);
  for (const channel of channels)
    t.equal(await say(publisher, 'PUBLISH', channel, 'own'), ':1\r\n', 'the worker counts');
  await say(publisher, 'PUBLISH', 'all', 'for all');
  for (const [place, client] of clients.entries()) {
    const protocol = place % 2 === 0 ? 2 : 3;
    const [one, other] = [await next(client), await next(client)];
    const expected = [
      told(protocol, 'message', channels[place % 3] as string, 'own'),
      told(protocol, 'message', 'all', 'for all'),
    ];
    t.same([one, other].sort(), expected.sort());
  }
  const [first, ...others] = clients as [RespClient, ...RespClient[]];
  first.send(encodeWords(['UNSUBSCRIBE', 'all']));
  t.equal(await next(first), told(2, 'unsubscribe', 'all', 1));
  await say(publisher, 'PUBLISH', 'all', 'for the others');
  for (const client of others) t.match(await next(client), 'for the others');
  await servers[0]?.kill9();
  await servers[0]?.restart();
  const channel = channels[0] as string;
  await waitFor(
    'the worker to subscribe again',
    async () => (await say(publisher, 'PUBLISH', channel, 'back')) === ':1\r\n',
  );
  for (const client of clients.filter((_, place) => place % 3 === 0)) t.match(await next(client), 'back');
});

t.test('a reload that changes how connections are shared holds for who subscribes then', async (t) => {
  const deployment = await deploy(t, { workers: 1, nodes: 1 });
  const { port, proxy } = deployment;
  const exact = await subscriber(t, port, 2, 'SUBSCRIBE', 'c');
  proxy.reload((text) => text.replace('"workers"', '"pubsub": "shared", "workers"'));
  await proxy.waitForLog('reloaded');
  const shared = [await subscriber(t, port, 2, 'SUBSCRIBE', 'c'), await subscriber(t, port, 2, 'SUBSCRIBE', 'c')];
  const publisher = await connect(t, port);
  t.equal(await say(publisher, 'PUBLISH', 'c', 'x'), ':2\r\n');
  for (const client of [exact, ...shared]) t.equal(await next(client), told(2, 'message', 'c', 'x'));
});
