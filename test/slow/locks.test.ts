/** A minute of faults of nodes, proxies and the ways between them, while fifty want the same few locks. */
import t from 'tap';
import { Cluster } from '../help/cluster.js';
import { fieldsOf } from '../help/lock-client.js';
import { Contenders, type Hold } from '../help/lock-contenders.js';
import { Nemesis } from '../help/nemesis.js';
import { randomFromSeed } from '../help/random.js';
import { RedisServer } from '../help/redis-server.js';
import { RespClient } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

const RAGE_MS = Number(process.env['RAGE_MS'] ?? 60_000);
const CLIENTS = 50;
const LOCKS = ['a', 'b', 'c'];
const TTL_MS = 3_000;
const WAIT_MS = 1_000;
const START_MS_MAX = 60_000;
/** To ask whether a lock is free. */
const SLACK_MS = 2_000;
const LINES_SHOWN = 40;

t.test('one holder at a time, by the clock and by the fences, and every lock is free in the end', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  const cluster = await Cluster.start(t, { nodes: 5, proxies: 2, keyspace: { mode: 'lock', ttlMaxMs: TTL_MS } });
  const counters = await RedisServer.start();
  t.teardown(() => counters.stop());
  const contenders = new Contenders({
    clients: CLIENTS,
    locks: LOCKS,
    ttlMs: TTL_MS,
    waitMs: WAIT_MS,
    ports: () => cluster.ports(),
    counterPort: counters.port,
    random,
  });
  const nemesis = new Nemesis(cluster, contenders, random);
  contenders.start();
  try {
    await contenders.goesOn('at the start', START_MS_MAX);
    await nemesis.rage(RAGE_MS);
  } catch (error) {
    for (const line of cluster.lastLines(LINES_SHOWN)) t.comment(line);
    throw error;
  } finally {
    for (const phase of nemesis.phases) t.comment(phase);
    for (const [word, count] of contenders.errors) t.comment(`${count} times ${word}`);
    await contenders.halt();
  }
  await allFree(cluster);
  for (const lock of LOCKS) {
    const holds = contenders.holds.filter((hold) => hold.lock === lock).sort((one, other) => one.fence - other.fence);
    const counted = holds.flatMap(({ count }) => (count === null ? [] : [count]));
    t.comment(`${lock}: ${holds.length} holds, ${holds.length - counted.length} refused by their fence`);
    t.ok(counted.length > 0);
    t.same(
      counted,
      counted.map((_, index) => index + 1),
      'the counter follows the fences, and has one for each',
    );
    t.same(overlaps(holds), [], 'nobody has it while somebody else does');
    t.same(
      holds.filter(({ count, countedMs, untilMs }) => count === null && countedMs < untilMs),
      [],
      'no fence is overtaken while its lock is held',
    );
    t.equal(new Set(holds.map(({ fence }) => fence)).size, holds.length, 'each fence is given once');
  }
  t.same(cluster.deaths(), [], 'no worker died');
});

/** Of holds by their fences, those that began before an earlier one was over. What was told late says nothing. */
function overlaps(all: readonly Hold[]): string[] {
  const holds = all.filter(({ fromMs, untilMs }) => fromMs < untilMs);
  return holds.flatMap((hold, index) => {
    const others = holds.slice(Math.max(0, index - CLIENTS), index);
    const inside = others.filter(({ fromMs, untilMs }) => fromMs < hold.untilMs && hold.fromMs < untilMs);
    return inside.map((other) => `${JSON.stringify(hold)} while ${JSON.stringify(other)}`);
  });
}

/** With all nodes there, within the ttl of what was not given back. */
async function allFree(cluster: Cluster): Promise<void> {
  const deadlineMs = performance.now() + TTL_MS + SLACK_MS;
  for (const port of cluster.ports()) {
    const client = await RespClient.connect(port);
    for (const lock of LOCKS) {
      await waitFor(
        `${lock} to be free`,
        async () => fieldsOf(await client.command('LOCK.INFO', lock)).get('state') === 'free',
        Math.max(1, deadlineMs - performance.now()),
      );
    }
    client.close();
  }
}
