/**
 * What an operation has all nodes do makes equal states of equal states: on two servers, whose hash tables, layouts of streams
 * and moments differ. And replies that are said to agree do.
 */
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { operationOf } from '../../src/replica/forms.js';
import type { KeyOperation, KeyPlan } from '../../src/replica/key-operation.js';
import { type Found, findOnKey, makeState } from '../help/command-comparison.js';
import { digestOf } from '../help/key-digest.js';
import { OperationDriver } from '../help/operation-driver.js';
import { randomFromSeed } from '../help/random.js';
import { PATTERNS, randomState, randomWords } from '../help/random-commands.js';
import { RedisServer } from '../help/redis-server.js';
import { RespClient } from '../help/resp-client.js';

const ROUNDS = 8;
/** The proposer's clock is not the nodes'. */
const SKEWS_MS = [-7000, 0, 3_600_000];
/** So much later the second node does what the first has done. */
const LATER_MS = 2;
/** How much `~` takes away depends on the layout. */
const APPROXIMATE = [
  'xadd k maxlen ~ $few $newid f v',
  'xadd k minid ~ $entry limit $few * f v',
  'xtrim k maxlen ~ $few [|limit 0|limit 1]',
];
/** What nothing but one node can do, or another form of what is to be kept from all. */
const AT_ONE = new Set([
  'eval',
  'evalsha',
  'fcall',
  'sort',
  'incrbyfloat',
  'hincrbyfloat',
  'xclaim',
  'xreadgroup',
  'xautoclaim',
]);

t.test('equal states stay equal, whatever differs between the nodes', async (t) => {
  const coarse = await RedisServer.start();
  const fine = await RedisServer.start({ args: ['--stream-node-max-entries', '2'] });
  t.teardown(() => Promise.all([coarse.stop(), fine.stop()]));
  const looks = [await RespClient.connect(coarse.port), await RespClient.connect(fine.port)] as const;
  t.teardown(() => {
    for (const look of looks) look.close();
  });
  const random = randomFromSeed((text) => t.comment(text));
  for (const protocol of [2, 3] as const) {
    const [first, second] = [
      await OperationDriver.connect(coarse.port, protocol),
      await OperationDriver.connect(fine.port, protocol),
    ];
    t.teardown(() => {
      first.close();
      second.close();
    });
    let atOne = 0;
    let tried = 0;
    for (const pattern of [...PATTERNS, ...APPROXIMATE]) {
      for (let attempt = 0; attempt < ROUNDS; attempt++) {
        const words = randomWords(random, pattern);
        const found = findOnKey(words);
        const operation = found === null ? null : operationOf(found.spec, found.command, protocol);
        if (found === null || operation === null || operation instanceof Uint8Array) continue;
        const state = randomState(random);
        const said = `${JSON.stringify(words)} on ${JSON.stringify(state)}`;
        await makeState(looks[0], state);
        await moveTo(looks[1], await dumpOf(looks[0]));
        const skew = random.pick(SKEWS_MS);
        const base = await first.factsOf('k', Date.now() + skew);
        const plan: KeyPlan =
          operation.reads === null
            ? await first.plan(operation, base)
            : { kind: 'all', commands: operation.reads, setsExpiry: 0, reply: operation.readReply };
        tried++;
        if (plan.kind === 'one') {
          t.ok(mayBeAtOne(found), `one node carries out ${said}`);
          atOne++;
          continue;
        }
        const one = await first.perform(plan);
        // What reads changes nothing where it is read; that it was read nowhere else must not show.
        let other = one;
        if (operation.reads === null) {
          await delay(LATER_MS);
          other = await second.perform(plan);
        }
        const [digest, otherDigest] = [await digestOf(looks[0], 'k'), await digestOf(looks[1], 'k')];
        if (JSON.stringify(digest) !== JSON.stringify(otherDigest)) {
          t.same(otherDigest, digest, `the states after ${said}, skew ${skew}`);
          return;
        }
        // SORT and GEORADIUS give a sorted set another encoding where they read it.
        if (operation.reads === null && (digest.type === 'zset' || digest.type === 'list')) {
          const [dump, otherDump] = [await looks[0].raw('DUMP', 'k'), await looks[1].raw('DUMP', 'k')];
          if (!dump.equals(otherDump)) t.fail(`DUMP differs after ${said}`);
        }
        if (operation.reads !== null) other = await second.perform(plan);
        if (operation.repliesAgree && !one.equals(other)) {
          t.equal(other.toString('latin1'), one.toString('latin1'), `the replies to ${said}`);
          return;
        }
      }
    }
    t.ok(tried > PATTERNS.length, `RESP${protocol}: ${tried} operations, ${atOne} of them at one node`);
  }
});

t.test('PFCOUNT counts what it would, and writes nothing into the key', async (t) => {
  const server = await RedisServer.start();
  t.teardown(() => server.stop());
  const driver = await OperationDriver.connect(server.port, 2);
  t.teardown(() => driver.close());
  await makeState(driver.client, ['pfadd k a b c'.split(' ')]);
  const before = await digestOf(driver.client, 'k');
  const { spec, command } = findOnKey(['pfcount', 'k']) as Found;
  const operation = operationOf(spec, command, 2) as KeyOperation;
  t.equal((await driver.carryOut(operation, await driver.factsOf('k'))).reply.toString(), ':3\r\n');
  t.same(await digestOf(driver.client, 'k'), before);
  await driver.client.command(...command);
  t.notSame(await digestOf(driver.client, 'k'), before, 'Redis itself does');
});

function mayBeAtOne({ spec }: Found): boolean {
  return AT_ONE.has(spec.name);
}

async function dumpOf(client: RespClient): Promise<{ dump: Buffer; expireAt: number } | null> {
  const reply = await client.raw('DUMP', 'k');
  if (reply[1] === 0x2d) return null;
  const expireAt = Number(await client.command('PEXPIRETIME', 'k'));
  return { dump: reply.subarray(reply.indexOf('\n') + 1, -2), expireAt: Math.max(expireAt, 0) };
}

async function moveTo(client: RespClient, found: { dump: Buffer; expireAt: number } | null): Promise<void> {
  if (found === null) await client.command('DEL', 'k');
  else await client.command('RESTORE', 'k', `${found.expireAt}`, found.dump, 'REPLACE', 'ABSTTL');
}
