/**
 * What becomes of a gather when a node dies, hangs or is full in the midst of it, when its client or the proxy goes, and when keys come
 * and go meanwhile: a clear error, nothing half done, and no node keeps a key that is not its own.
 */
import { randomBytes } from 'node:crypto';
import t, { type Test } from 'tap';
import { type Deployment, type DeploymentOptions, deploy } from '../help/deployment.js';
import { misplacedKeys } from '../help/misplaced-keys.js';
import { Relay } from '../help/relay.js';
import { connect, encodeWords, RespClient, say } from '../help/resp-client.js';
import { waitFor, within } from '../help/wait-for.js';

interface Relayed {
  deployment: Deployment;
  relays: readonly Relay[];
  client: RespClient;
  /** On node 0 the one that has most of the bytes, on node 1 another; the third is not there, on node 0. */
  big: string;
  small: string;
  dest: string;
}

const MEMBERS = Array.from({ length: 500 }, (_, number) => `member:${number}`);

/** Three nodes behind relays, with two sets. */
async function relayed(t: Test, options: DeploymentOptions = {}): Promise<Relayed> {
  const relays = await Promise.all([0, 1, 2].map(() => Relay.start()));
  t.teardown(() => Promise.all(relays.map((relay) => relay.stop())));
  const deployment = await deploy(t, {
    url: ({ port }, index) => (relays[index] as Relay).to(port),
    workers: 1,
    ...options,
    limits: { requestTimeoutMs: 1_000, connectTimeoutMs: 1_000, stallTimeoutMs: 1_500, ...options.limits },
  });
  const client = await connect(t, deployment.port);
  const [big, small, dest] = [deployment.key(0, 'big'), deployment.key(1, 'small'), deployment.key(0, 'dest')];
  for (const [key, members] of [
    [big, MEMBERS],
    [small, ['member:1', 'other']],
  ] as const) {
    // A busy machine may take longer to connect than the limits above allow.
    await waitFor(
      `${key} to be written`,
      async () => typeof (await client.command('SADD', key, ...members)) === 'number',
    );
  }
  return { deployment, relays, client, big, small, dest };
}

/** Resolves when the node behind the relay is sent a piece with that text, which it does not get until the relay is mended. */
function silenceAt(relay: Relay, text: string): Promise<void> {
  return within(
    `a piece with ${text}`,
    relay.silenceAt((bytes) => bytes.includes(text)),
  );
}

/** So little room that values are not brought before they are asked for. */
const LARGE = { gatherBytesMax: '100kb' };

/** The steps of a gather: what the node that is asked is sent, and which it is. */
const STEPS = [
  { step: 'asked for sizes', node: 1, text: "'USAGE'" },
  { step: 'asked for values', node: 1, text: 'return values(tonumber(' },
  { step: 'asked to carry it out', node: 0, text: "'RESTORE'" },
];

const COMMANDS = [
  { words: ({ big, small }: Relayed) => ['SINTER', big, small], isWrite: false, expected: '*1\r\n$8\r\nmember:1\r\n' },
  { words: ({ big, small, dest }: Relayed) => ['SINTERSTORE', dest, big, small], isWrite: true, expected: ':1\r\n' },
];

for (const { step, node, text } of STEPS) {
  for (const { words, isWrite, expected } of COMMANDS) {
    const name = isWrite ? 'a write' : 'a read';
    const fate =
      isWrite && node === 0
        ? /^-UNKNOWN node a .*may or may not have been done\r\n$/
        : /^-NODEDOWN node [ab] .*; the command had no effect\r\n$/;

    t.test(`${name}, while a node that is ${step} dies`, async (t) => {
      const all = await relayed(t, { limits: LARGE });
      const { deployment, relays, client } = all;
      const [relay, server] = [relays[node] as Relay, deployment.servers[node]];
      const asked = silenceAt(relay, text);
      const reply = say(client, ...words(all));
      const after = client.next();
      client.send(encodeWords(['PING']));
      await asked;
      await server?.kill9();
      relay.mend();
      t.match(await reply, fate);
      t.equal((await after).toString(), '+PONG\r\n', 'what came later is answered');
      await server?.restart();
      t.same(await misplacedKeys(deployment), []);
      await waitFor('the node', async () =>
        (await say(client, 'SADD', node === 0 ? all.big : all.small, 'member:1')).startsWith(':'),
      );
      await client.command('SADD', all.small, 'member:1');
      await waitFor('the answer', async () => (await say(client, ...words(all))) === expected);
    });

    t.test(`${name}, while a node that is ${step} is stopped, and goes on later`, async (t) => {
      const all = await relayed(t, { limits: LARGE });
      const { deployment, relays, client } = all;
      const [relay, server] = [relays[node] as Relay, deployment.servers[node]];
      const asked = silenceAt(relay, text);
      const reply = say(client, ...words(all));
      await asked;
      server?.pause();
      relay.mend();
      const startedMs = performance.now();
      t.match(await reply, fate);
      t.ok(performance.now() - startedMs < 5_000, 'not long after requestTimeoutMs');
      server?.resume();
      await waitFor('the node', async () => (await say(client, ...words(all))) === expected);
      t.same(await misplacedKeys(deployment), []);
    });
  }
}

t.test('the proxy is killed in the midst of many gathers, and no node keeps what it was brought', async (t) => {
  for (const repliesMin of [1, 30, 200]) {
    const deployment = await deploy(t, { workers: 1 });
    const keys = [0, 1, 2].map((node) => deployment.key(node, 'set'));
    const seeding = await connect(t, deployment.port);
    for (const key of keys) await seeding.command('SADD', key, ...MEMBERS, key);
    let replies = 0;
    const clients = await Promise.all(Array.from({ length: 12 }, () => RespClient.connect(deployment.port)));
    const gathering = clients.map(async (client, at) => {
      const commands = [
        ['SUNIONSTORE', deployment.key(at % 3, `dest${at}`), ...keys],
        ['SINTERCARD', '3', ...keys],
        ['ZINTER', '3', ...keys],
        ['SORT', keys[at % 3] as string, 'BY', 'w_*', 'LIMIT', '0', '1'],
      ];
      for (;;) {
        for (const words of commands) {
          await client.raw(...words);
          replies++;
        }
      }
    });
    const ends = Promise.allSettled(gathering);
    await waitFor('replies', () => replies >= repliesMin);
    await deployment.proxy.kill9();
    await ends;
    t.same(await misplacedKeys(deployment), [], `after ${replies} replies`);
  }
});

t.test('a node that has no memory left says so, and nothing is written', async (t) => {
  const deployment = await deploy(t);
  const client = await connect(t, deployment.port);
  const [big, small, dest] = [deployment.key(0, 'big'), deployment.key(1, 'small'), deployment.key(0, 'dest')];
  await client.command('SADD', big, ...MEMBERS);
  await client.command('SADD', small, 'member:1');
  await client.command('SET', dest, 'before');
  const node = await connect(t, deployment.servers[0]?.port as number);
  await node.command('CONFIG', 'SET', 'maxmemory', '1');
  const told =
    /^-OOM command not allowed when used memory > 'maxmemory'.* \(from node a, which was to have '.*' for this command; it had no effect\)\r\n$/;
  t.match(await say(client, 'SINTERSTORE', dest, big, small), told);
  // Of a transaction a node that is full queues nothing.
  const read =
    /^-OOM command not allowed when used memory > 'maxmemory'\. \(from node a; the command had no effect\)\r\n$/;
  t.match(await say(client, 'ZUNION', '2', big, small), read);
  t.equal(await say(client, 'SINTER', big, small), '*1\r\n$8\r\nmember:1\r\n', 'it is brought nothing for that');
  t.equal(await say(client, 'GET', dest), '$6\r\nbefore\r\n');
  await node.command('CONFIG', 'SET', 'maxmemory', '0');
  t.same(await misplacedKeys(deployment), []);
  t.equal(await say(client, 'SINTERSTORE', dest, big, small), ':1\r\n');
});

t.test('a node that fails half-way through what it was brought keeps none of it', async (t) => {
  const { deployment, relays, client, big, dest } = await relayed(t);
  const [one, other] = [deployment.key(1, 'one'), deployment.key(2, 'other')];
  await client.command('SADD', one, 'member:1');
  await client.command('SADD', other, 'member:1');
  const relay = relays[0] as Relay;
  for (const words of [
    ['ZINTER', '3', big, one, other],
    ['SINTERSTORE', dest, big, one, other],
  ]) {
    const asked = silenceAt(relay, "'RESTORE'");
    const reply = say(client, ...words);
    await asked;
    // As a client of another layout would have put it there.
    const node = await connect(t, deployment.servers[0]?.port as number);
    await node.command('SET', other, 'of another layout');
    relay.mend();
    t.match(
      await reply,
      new RegExp(`^-ERR node a has a key '${other}' of another layout, .*the command had no effect`),
    );
    t.same(await misplacedKeys(deployment), [`${other} on node a`], 'what was not brought stays');
    t.equal(await say(node, 'GET', other), '$17\r\nof another layout\r\n');
    await node.command('DEL', other);
    t.equal(await say(client, 'EXISTS', dest), ':0\r\n');
  }
});

t.test('a stray that stands for a key that is nowhere is not read either', async (t) => {
  const { deployment, client, big } = await relayed(t);
  const missing = deployment.key(1, 'missing');
  const dest = deployment.key(0, 'dest');
  const node = await connect(t, deployment.servers[0]?.port as number);
  await node.command('SADD', missing, 'member:1');
  t.equal(await say(client, 'SINTER', big, missing), '*0\r\n', 'where it belongs there is none');
  t.match(await say(client, 'ZINTER', '2', big, missing), /^-ERR node a has a key 'missing:\d+' of another layout/);
  t.match(
    await say(client, 'SINTERSTORE', dest, big, missing),
    /^-ERR node a has a key 'missing:\d+' of another layout/,
  );
  t.equal(await say(node, 'SMEMBERS', missing), '*1\r\n$8\r\nmember:1\r\n');
});

t.test('a key that expires on its way is not there any more', async (t) => {
  const { deployment, relays, client, big, small, dest } = await relayed(t);
  const owner = await connect(t, deployment.servers[1]?.port as number);
  const relay = relays[0] as Relay;
  for (const words of [
    ['SUNIONSTORE', dest, small],
    ['EVAL_RO', "return redis.call('SINTERCARD', 2, KEYS[1], KEYS[2])", '2', big, small],
  ]) {
    await client.command('SADD', small, 'member:1', 'other');
    await client.command('PEXPIRE', small, '200');
    const asked = silenceAt(relay, "'RESTORE'");
    const reply = say(client, ...words);
    await asked;
    await waitFor('the end of the key', async () => (await owner.command('EXISTS', small)) === 0);
    relay.mend();
    t.equal(await reply, ':0\r\n', words.join(' '));
  }
  t.same(await misplacedKeys(deployment), []);
});

t.test('a client that goes in the midst of a gather gives up what it holds', async (t) => {
  const limits = {
    gatherBytesMax: '128kb',
    gatherWorkerBytesMax: '128kb',
    requestTimeoutMs: 20_000,
    stallTimeoutMs: 20_000,
  };
  const { deployment, relays, client, dest } = await relayed(t, { limits });
  const large = deployment.key(1, 'large');
  await client.command('SET', large, randomBytes(100_000));
  for (const { node, text } of STEPS) {
    const relay = relays[node] as Relay;
    const asked = silenceAt(relay, text);
    const leaving = await RespClient.connect(deployment.port);
    leaving.send(encodeWords(['COPY', large, dest, 'REPLACE']));
    await asked;
    leaving.close();
    relay.mend();
    await waitFor('room', async () => (await say(client, 'COPY', large, dest, 'REPLACE')) === ':1\r\n');
  }
  t.same(await misplacedKeys(deployment), []);
});

t.test(
  'a node that is taken out of the configuration in the midst of a gather is missed, and nothing hangs',
  async (t) => {
    const all = await relayed(t, { acceptRemap: true });
    const { deployment, relays, client, big, small } = all;
    const relay = relays[1] as Relay;
    const asked = silenceAt(relay, "'USAGE'");
    const reply = say(client, 'SINTER', big, small);
    await asked;
    deployment.proxy.reload((text) => {
      const config = JSON.parse(text);
      config.pools.main.nodes.splice(1, 1);
      return JSON.stringify(config);
    });
    await deployment.proxy.waitForLog('reloaded');
    relay.mend();
    t.match(await reply, /^(-NODEDOWN .*the command had no effect|\*1\r\n\$8\r\nmember:1)\r\n$/);
    t.equal(await say(client, 'PING'), '+PONG\r\n');
    t.same(await misplacedKeys(deployment), []);
  },
);

t.test('what is too much is refused, names its limit, and has no effect', async (t) => {
  const limits = { gatherBytesMax: '64kb', gatherKeysMax: 10, gatherWorkerBytesMax: '64kb' };
  const { deployment, relays, client, big, small, dest } = await relayed(t, { limits });
  const large = deployment.key(1, 'large');
  await client.command('SET', large, 'x'.repeat(70_000));
  const bytes =
    /^-OVERLOADED the keys that this command reads on other nodes take \d+ bytes \(gatherBytesMax 65536\); the command had no effect\r\n$/;
  t.match(await say(client, 'COPY', large, dest), bytes);
  const keys = Array.from({ length: 11 }, (_, number) => deployment.key(number % 3, `k${number}`));
  const tooMany =
    /^-OVERLOADED the keys that this command reads are more than gatherKeysMax 10; the command had no effect\r\n$/;
  t.match(await say(client, 'SUNION', ...keys), tooMany);
  const elements = /^-OVERLOADED what this command sorts has more elements that name keys than gatherKeysMax 10; /;
  t.match(await say(client, 'SORT', big, 'BY', 'w_*'), elements);
  const few = deployment.key(1, 'few');
  await client.command('SADD', few, ...MEMBERS.slice(0, 6));
  t.match(await say(client, 'SORT', few, 'BY', 'w_*', 'GET', 'x_*'), tooMany);
  // Where nothing is sorted, what LIMIT leaves out is not asked for.
  const long = deployment.key(1, 'long');
  await client.command('RPUSH', long, ...MEMBERS);
  await client.command('SET', 'w_member:498', 'weight');
  const page = ['SORT', long, 'BY', 'nosort', 'GET', 'w_*'];
  t.equal(await say(client, ...page, 'LIMIT', '1', '2', 'DESC'), '*2\r\n$6\r\nweight\r\n$-1\r\n');
  t.match(await say(client, ...page, 'LIMIT', '0', '11'), elements);
  t.match(await say(client, ...page), elements);
  // Its value is small, as what is alike is compressed, and its elements are not.
  const alike = deployment.key(1, 'alike');
  await client.command('RPUSH', alike, ...['a', 'b', 'c'].map((letter) => letter.repeat(30_000)));
  t.match(await say(client, 'SORT', alike, 'BY', 'w_*'), bytes);
  // A few small ones beside a large one: what Redis estimates by a look at some elements is too little.
  const uneven = deployment.key(1, 'uneven');
  await client.command('RPUSH', uneven, ...MEMBERS.slice(0, 100));
  await client.command('HSET', deployment.key(1, 'h'), 'a', '1', 'b', '2', 'c', 'x'.repeat(90_000));
  t.match(await say(client, 'COPY', deployment.key(1, 'h'), dest), bytes);
  // While one is on its way, another has no room.
  const relay = relays[0] as Relay;
  await client.command('SET', large, randomBytes(50_000));
  const asked = silenceAt(relay, "'RESTORE'");
  const first = say(client, 'COPY', large, dest);
  await asked;
  const other = await connect(t, deployment.port);
  const elsewhere = deployment.key(2, 'dest');
  t.match(
    await say(other, 'COPY', large, elsewhere),
    /^-OVERLOADED other commands hold \d+ bytes .*\(gatherWorkerBytesMax 65536\); the command had no effect\r\n$/,
  );
  relay.mend();
  t.equal(await first, ':1\r\n');
  t.equal(await say(other, 'COPY', large, elsewhere), ':1\r\n');
  t.equal(await say(client, 'SINTERCARD', '2', big, small), ':1\r\n');
  const info = await say(client, 'INFO', 'ringleader');
  t.match(info, /ringleader_gathers:\d+/);
  t.same(await misplacedKeys(deployment), []);
});
