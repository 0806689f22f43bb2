/**
 * Mixed traffic for ten minutes, in waves: every reply is the right one, and the memory of the process does not grow. It is looked at while
 * the traffic rests, when workers have collected their garbage: how much of that is there at other times is the engine's choice.
 *
 * SOAK_MINUTES: for how long. An hour: SOAK_MINUTES=60 TAP_TIMEOUT=4000 node dist/test/slow/soak.test.js
 */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { type Deployment, deploy } from '../help/deployment.js';
import { openDescriptors, residentBytes } from '../help/process-facts.js';
import { randomFromSeed } from '../help/random.js';
import { encodeWords, RespClient } from '../help/resp-client.js';
import { robustSlope } from '../help/slope.js';

const { SOAK_MINUTES = '10' } = process.env;
const SOAK_MS = Number(SOAK_MINUTES) * 60_000;
const WAVE_MS = 15_000;
/** Twice what a quiet worker waits before it collects its garbage. */
const REST_MS = 5_000;
const LOOK_MS = 100;
/** Part of the time in which code is compiled, and pools grow to what this traffic needs. */
const WARM_UP_SHARE = 0.25;
/** By which the memory may have grown over the rest. */
const GROWTH_MAX = 8_000_000;
const CLIENTS = 10;
const PIPELINE = 16;
const PAUSE_MS = 10;
const LARGE_BYTES = 3_000_000;

const random = randomFromSeed((text) => t.comment(text));

t.test('memory that grows is told from memory that jumps about', async (t) => {
  const noise = () => random.below(20);
  const flat = Array.from({ length: 60 }, (_, at) => 100 + noise() + (at % 7 === 0 ? 500 : 0));
  const leaking = flat.map((value, at) => value + at);
  t.ok(Math.abs(robustSlope(flat)) < 0.3);
  t.ok(Math.abs(robustSlope(leaking) - 1) < 0.3);
});

t.test(`${SOAK_MINUTES} minutes of mixed traffic leave the memory of the process as it was`, async (t) => {
  const deployment = await deploy(t, { transport: 'auto', nodes: 3, workers: 2 });
  const { pid } = deployment.proxy;
  const endMs = performance.now() + SOAK_MS;
  const isOver = () => performance.now() >= endMs;
  let isResting = false;
  const counts = new Map<string, number>();
  const run = async (what: string, action: (round: number) => Promise<void>, pauseMs: number) => {
    for (let round = 0; !isOver(); round++) {
      while (isResting) await sleep(LOOK_MS);
      await action(round);
      counts.set(what, (counts.get(what) ?? 0) + 1);
      await sleep(pauseMs);
    }
  };
  const traffic = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, index) => {
      const client = await RespClient.connect(deployment.port);
      return () => run('pipelines', (round) => pipeline(client, index, round), PAUSE_MS);
    }),
  );
  const samples: number[] = [];
  const waves = async () => {
    while (!isOver()) {
      await sleep(WAVE_MS);
      isResting = true;
      let least = Number.POSITIVE_INFINITY;
      for (let restedMs = 0; restedMs < REST_MS; restedMs += LOOK_MS) {
        await sleep(LOOK_MS);
        least = Math.min(least, residentBytes(pid));
      }
      samples.push(least);
      isResting = false;
    }
  };
  const others = [
    () => run('connections', () => comeAndGo(deployment.port), 50),
    () => run('large values', (round) => largeValue(deployment, round), 500),
    () => run('clients that go in the middle', () => breakOff(deployment.port), 1_000),
    () => run('waits', (round) => waits(deployment.port, round), 200),
    () => run('trackers and subscribers', () => tracks(deployment.port), 300),
    waves,
  ];
  const descriptors = openDescriptors(pid);
  await Promise.all([...traffic, ...others].map((start) => start()));
  t.comment([...counts].map(([what, count]) => `${count} ${what}`).join(', '));
  const points = samples.slice(Math.floor(samples.length * WARM_UP_SHARE));
  const growth = robustSlope(points) * points.length;
  t.comment(`resident MB in each rest: ${points.map((bytes) => Math.round(bytes / 1e6)).join(' ')}`);
  t.ok(growth < GROWTH_MAX, `it grows by ${(growth / 1e6).toFixed(1)} MB in all`);
  t.ok(openDescriptors(pid) < descriptors + 50, 'nor do descriptors stay');
});

/** Commands of every simple kind in one piece, over all shards; every reply is looked at. */
async function pipeline(client: RespClient, index: number, round: number): Promise<void> {
  const key = (name: string) => `soak:${index}:${name}:${round % 100}`;
  const value = `${index}:${round}:${'v'.repeat(random.below(500))}`;
  const exchanges: [words: string[], reply: string][] = [];
  for (let part = 0; part < PIPELINE; part++) {
    const [one, other] = [key(`a${part}`), key(`b${part}`)];
    exchanges.push([['MSET', one, value, other, value], '+OK\r\n']);
    exchanges.push([['MGET', one, other], `*2\r\n${bulk(value)}${bulk(value)}`]);
    exchanges.push([['DEL', other], ':1\r\n']);
  }
  const list = key('list');
  exchanges.push([['DEL', list], '']);
  exchanges.push([['RPUSH', list, '1', '2', '3'], ':3\r\n']);
  exchanges.push([['MULTI'], '+OK\r\n']);
  exchanges.push([['LPOP', list], '+QUEUED\r\n']);
  exchanges.push([['EXEC'], `*1\r\n${bulk('1')}`]);
  exchanges.push([['EVAL', 'return redis.call("LLEN", KEYS[1])', '1', list], ':2\r\n']);
  exchanges.push([['PFADD', key('log')], '']);
  exchanges.push([['NOCOMMAND'], '']);
  client.send(Buffer.concat(exchanges.map(([words]) => encodeWords(words))));
  for (const [words, reply] of exchanges) {
    const said = `${await client.next(60_000)}`;
    if (reply !== '' && said !== reply) throw new Error(`${words.join(' ')}: ${said} instead of ${reply}`);
  }
}

async function comeAndGo(port: number): Promise<void> {
  const clients = await Promise.all(Array.from({ length: 5 }, () => RespClient.connect(port)));
  await Promise.all(clients.map((client) => client.command('PING')));
  for (const client of clients) client.close();
}

async function largeValue({ port }: Deployment, round: number): Promise<void> {
  const client = await RespClient.connect(port);
  const value = Buffer.alloc(LARGE_BYTES, `${round}`);
  const set = await client.command('SET', `large:${round % 5}`, value);
  if (set !== 'OK') throw new Error(`SET: ${set}`);
  client.send(encodeWords(['GET', `large:${round % 5}`]));
  const reply = await client.nextBytes(`$${LARGE_BYTES}\r\n`.length + LARGE_BYTES + 2);
  if (!reply.subarray(-2 - LARGE_BYTES, -2).equals(value)) throw new Error('GET: another value');
  client.close();
}

async function breakOff(port: number): Promise<void> {
  const [writer, reader] = [await RespClient.connect(port), await RespClient.connect(port)];
  writer.send(`*3\r\n$3\r\nSET\r\n$6\r\nbroken\r\n$${LARGE_BYTES}\r\n`);
  writer.send(Buffer.alloc(LARGE_BYTES / 2));
  reader.send(encodeWords(['GET', 'large:0']));
  await reader.nextBytes(3);
  writer.reset();
  reader.reset();
}

async function waits(port: number, round: number): Promise<void> {
  const [waiter, pusher] = [await RespClient.connect(port), await RespClient.connect(port)];
  const popped = waiter.raw('BLPOP', 'waited', '30');
  await pusher.command('RPUSH', 'waited', `${round}`);
  const reply = `${await popped}`;
  if (reply !== `*2\r\n${bulk('waited')}${bulk(`${round}`)}`) throw new Error(`BLPOP: ${reply}`);
  waiter.close();
  pusher.close();
}

async function tracks(port: number): Promise<void> {
  const client = await RespClient.connect(port);
  await client.command('HELLO', '3');
  await client.command('CLIENT', 'TRACKING', 'ON');
  await client.command('GET', 'soak:0:a0:0');
  client.close();
  const [subscriber, publisher] = [await RespClient.connect(port), await RespClient.connect(port)];
  await subscriber.raw('SUBSCRIBE', 'channel');
  await publisher.command('PUBLISH', 'channel', 'message');
  await subscriber.next();
  subscriber.close();
  publisher.close();
}

function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}
