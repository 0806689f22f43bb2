/** MULTI and EXEC on one key as one operation: byte for byte what one Redis answers, and what it leaves. */
import t from 'tap';
import { NEVER } from '../../src/replica/ballot.js';
import { operationOf } from '../../src/replica/forms.js';
import type { KeyOperation, KeyPlan } from '../../src/replica/key-operation.js';
import { transactionOf } from '../../src/replica/transaction-form.js';
import { findOnKey, isSameState, makeState } from '../help/command-comparison.js';
import { digestOf } from '../help/key-digest.js';
import { OperationDriver } from '../help/operation-driver.js';
import { randomFromSeed } from '../help/random.js';
import { PATTERNS, randomState, randomWords } from '../help/random-commands.js';
import { RedisServer } from '../help/redis-server.js';
import { encodeWords, RespClient } from '../help/resp-client.js';

const BLOCKS = 600;
const COMMANDS_MAX = 4;
/** Two runs of these differ; cursors are refused inside MULTI. */
const DIFFERING =
  /^(spop|.randmember|hrandfield|dump|memory|object|p?ttl|xinfo|xpending|s(scan|diff|inter|union|members|ort)|h(getall|keys|vals|scan)|copy|move|pfcount|zscan|xadd .*\*|eval)/;

function operations(lines: readonly string[], protocol: 2 | 3): KeyOperation[] {
  return lines.map((line) => {
    const found = findOnKey(line.split(' '));
    if (found === null) throw new Error(line);
    return operationOf(found.spec, found.command, protocol) as KeyOperation;
  });
}

function planOf(lines: readonly string[], facts: { live?: boolean; isOwnExpired?: boolean } = {}): KeyPlan {
  const base = { accepted: NEVER, live: true, expireAt: 0, nowMs: 1_700_000_000_000, isOwnExpired: false, ...facts };
  return transactionOf(operations(lines, 2), 2).plan(base, null);
}

for (const protocol of [2, 3] as const) {
  t.test(`a transaction answers and does what it does on any key, RESP${protocol}`, async (t) => {
    const server = await RedisServer.start();
    t.teardown(() => server.stop());
    const plain = await RespClient.connect(server.port);
    const looks = [await RespClient.connect(server.port), await RespClient.connect(server.port)] as const;
    const driver = await OperationDriver.connect(server.port, protocol, 1);
    await plain.command('HELLO', `${protocol}`);
    await looks[1].command('SELECT', '1');
    t.teardown(() => {
      for (const client of [plain, ...looks, driver]) client.close();
    });
    const random = randomFromSeed((text) => t.comment(text));
    const kinds = { all: 0, one: 0, reads: 0 };
    for (let block = 0; block < BLOCKS; block++) {
      const founds = Array.from({ length: 1 + random.below(COMMANDS_MAX) }, () => {
        const words = randomWords(random, random.pick(PATTERNS));
        return DIFFERING.test(words.join(' ')) ? null : findOnKey(words);
      }).filter((found) => found !== null);
      const made = founds.map(({ spec, command }) => operationOf(spec, command, protocol));
      if (made.length === 0 || made.some((operation) => operation instanceof Uint8Array)) continue;
      const state = randomState(random);
      await makeState(plain, state);
      await driver.client.command('DEL', 'k');
      await plain.command('COPY', 'k', 'k', 'DB', '1');
      const frames = founds.map(({ command }) => encodeWords(command));
      plain.send(Buffer.concat([encodeWords(['MULTI']), ...frames, encodeWords(['EXEC'])]));
      for (let count = 0; count <= frames.length; count++) await plain.next();
      const expected = await plain.next();
      const transaction = transactionOf(made as KeyOperation[], protocol);
      const { reply, plan } = await driver.carryOut(transaction, await driver.factsOf('k'));
      if (plan === null) kinds.reads++;
      else if (plan.kind !== 'read') kinds[plan.kind]++;
      const said = `${founds.map(({ command }) => command.join(' ')).join('; ')} on ${JSON.stringify(state)}`;
      if (!reply.equals(expected)) {
        t.equal(reply.toString('latin1'), expected.toString('latin1'), said);
        return;
      }
      const [one, other] = [await digestOf(looks[0], 'k'), await digestOf(looks[1], 'k')];
      if (!isSameState((founds[0] as (typeof founds)[0]).spec, one, other)) {
        t.same(other, one, `the state after ${said}`);
        return;
      }
    }
    t.ok(kinds.all > 50 && kinds.one > 10 && kinds.reads > 10, JSON.stringify(kinds));
  });
}

t.test('all nodes carry it out, where nothing has to be read after a write', async (t) => {
  const plan = planOf(['set k 1', 'expire k 60', 'pexpire k 5000', 'incr k', 'get k']);
  t.equal(plan.kind, 'all');
  t.equal(
    plan.kind === 'all' && plan.setsExpiry,
    1_700_000_005_000,
    'the earliest expiry is the one that must not have passed',
  );
  t.equal(planOf(['get k', 'xadd k * f v']).kind, 'read', 'what is read first is read on the base');
  t.equal(planOf(['xadd k * f v'], { live: false }).kind, 'all', 'without a value there is nothing to read');
  t.equal(planOf(['del k', 'xadd k * f v'], { live: false }).kind, 'one', 'after a write the base says nothing');
  t.equal(planOf(['incr k', 'incrbyfloat k 1']).kind, 'one');
  t.equal(planOf(['xadd k * f v', 'xadd k * f v'], { live: false }).kind, 'one');
  t.equal(planOf(['get k', 'eval return_1 1 k']).kind, 'one');
  t.equal(transactionOf(operations(['get k', 'ttl k'], 2), 2).repliesAgree, false);
});

t.test('an expiry that has passed at a node deletes; of several nobody knows which: one node decides', async (t) => {
  t.equal(planOf(['set k v px 5', 'get k'], { isOwnExpired: true }).kind, 'all');
  t.equal(planOf(['set k v px 5', 'expire k 60'], { isOwnExpired: true }).kind, 'one');
  t.equal(planOf(['set k v px 5', 'expire k 0'], { isOwnExpired: true }).kind, 'all', 'one of them was over before');
  t.equal(planOf(['zscore k m', 'zadd k incr 1 m', 'expire k 60']).kind, 'all', 'a script is exact in RESP2');
  const three = transactionOf(operations(['zadd k incr 1 m', 'expire k 60'], 3), 3);
  const base = { accepted: NEVER, live: true, expireAt: 0, nowMs: 1, isOwnExpired: false };
  t.equal(three.plan(base, null).kind, 'one', 'not in RESP3, and between check and EXEC the moment may pass');
});
