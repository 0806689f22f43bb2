/** Expiries that have passed (rule X2), and moments as they are sent. */
import t from 'tap';
import { NEVER } from '../../src/replica/ballot.js';
import { operationOf } from '../../src/replica/forms.js';
import type { KeyOperation } from '../../src/replica/key-operation.js';
import { findOnKey, makeState } from '../help/command-comparison.js';
import { digestOf } from '../help/key-digest.js';
import { OperationDriver } from '../help/operation-driver.js';
import { RedisServer } from '../help/redis-server.js';
import { RespClient } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

const NOW_MS = 1_700_000_000_000;

/** What is sent to all nodes for a command, and the expiry that it sets. */
function sent(line: string, { isOwnExpired = false, nowMs = NOW_MS } = {}): string {
  const plan = operation(line.split(' ')).plan({ accepted: NEVER, live: true, expireAt: 0, nowMs, isOwnExpired }, null);
  if (plan.kind !== 'all') return plan.kind;
  const commands = plan.commands.list.map((words) =>
    words.map((word) => Buffer.from(word).toString('latin1')).join(' '),
  );
  return `${commands.join('; ')} @${plan.setsExpiry}`;
}

function operation(words: readonly string[]): KeyOperation {
  const found = findOnKey(words);
  if (found === null) throw new Error(`no command on one key: ${words.join(' ')}`);
  const made = operationOf(found.spec, found.command, 2);
  if (made instanceof Uint8Array) throw new Error(Buffer.from(made).toString());
  return made;
}

t.test('what counts from now is sent as a moment', async (t) => {
  const minuteLater = NOW_MS + 60_000;
  t.equal(sent('set k v EX 60'), `SET k v PXAT ${minuteLater} @${minuteLater}`);
  t.equal(sent('set k v nx PX 60000 get'), `SET k v nx get PXAT ${minuteLater} @${minuteLater}`);
  t.equal(sent('set k v px 1 px 60000'), `SET k v PXAT ${minuteLater} @${minuteLater}`);
  t.equal(sent('set k v exat 1700000060'), `SET k v PXAT ${minuteLater} @${minuteLater}`);
  t.equal(sent('setex k 60 v'), `SET k v PXAT ${minuteLater} @${minuteLater}`);
  t.equal(sent('psetex k 60000 v'), `SET k v PXAT ${minuteLater} @${minuteLater}`);
  t.equal(sent('getex k ex 60'), `GETEX k PXAT ${minuteLater} @${minuteLater}`);
  t.equal(sent('expire k 60 xx gt'), `PEXPIREAT k ${minuteLater} xx gt @${minuteLater}`);
  t.equal(sent('pexpireat k 1700000060000 NX'), `PEXPIREAT k ${minuteLater} NX @${minuteLater}`);
  t.equal(sent('restore k 60000 payload replace'), `restore k ${minuteLater} payload replace ABSTTL @${minuteLater}`);
  t.equal(
    sent('expire k 60', { nowMs: NOW_MS + 0.9 }),
    `PEXPIREAT k ${minuteLater} @${minuteLater}`,
    'whole milliseconds',
  );
});

t.test('what has passed is sent as what deletes on every node, if the flags allow it', async (t) => {
  const past = (line: string) => sent(line, { isOwnExpired: true });
  t.equal(sent('expire k 0'), 'PEXPIREAT k 1 @0');
  t.equal(sent('expire k -1 nx'), 'PEXPIREAT k 1 nx @0');
  t.equal(sent('pexpireat k 1700000000000 lt'), 'PEXPIREAT k 1 lt @0', 'now is the past');
  t.equal(past('pexpire k 5 gt'), 'PEXPIREAT k 1 gt @0');
  t.equal(sent('set k v exat 1'), 'DEL k @0');
  t.equal(sent('set k v xx pxat 1'), 'DEL k @0');
  t.equal(sent('set k v nx pxat 1'), 'EXISTS k @0', 'nothing is there before, and nothing after');
  t.equal(past('set k v get ex 60'), 'GETDEL k @0');
  t.equal(past('set k v get nx ex 60'), 'GET k @0');
  t.equal(past('setex k 60 v'), 'DEL k @0');
  t.equal(past('getex k ex 60'), 'GETEX k PXAT 1 @0');
  t.equal(past('restore k 60 payload'), 'restore k 1 payload ABSTTL @0');
  t.equal(past('set k v'), 'set k v @0', 'what sets none is not concerned');
});

t.test('a sum that no clock makes fit is refused by every node', async (t) => {
  t.equal(sent('pexpire k 9223372036854775807'), 'pexpire k 9223372036854775807 @0');
  t.equal(sent('expire k 9223372036854775'), 'expire k 9223372036854775807 @0');
  t.equal(sent('set k v ex 9223372036854775'), 'set k v ex 9223372036854775807 @0');
});

for (const protocol of [2, 3] as const) {
  t.test(`who expired meanwhile answers, and leaves, what one Redis does, RESP${protocol}`, async (t) => {
    const server = await RedisServer.start();
    t.teardown(() => server.stop());
    const plain = await RespClient.connect(server.port);
    const plainLook = await RespClient.connect(server.port);
    const look = await RespClient.connect(server.port);
    const driver = await OperationDriver.connect(server.port, protocol, 1);
    await plain.command('HELLO', `${protocol}`);
    await look.command('SELECT', '1');
    t.teardown(() => {
      for (const client of [plain, plainLook, look, driver]) client.close();
    });
    for (const state of STATES) {
      await makeState(plain, ['rpush k 1'.split(' ')]);
      const payload = (await plain.command('DUMP', 'k')) as string;
      for (const line of SHORT_LIVED) {
        const words = line.split(' ').map((word) => (word === 'payload' ? payload : word));
        await makeState(plain, state);
        await look.command('DEL', 'k');
        await plain.command('COPY', 'k', 'k', 'DB', '1');
        const expected = await plain.raw(...words);
        // What it set is a moment from now: then it is gone, or it was not set.
        await waitFor('the expiry', async () => {
          const left = Number(await plain.command('PTTL', 'k'));
          return left < 0 || left > 1000;
        });
        const base = { ...(await driver.factsOf('k')), isOwnExpired: true };
        const { reply } = await driver.carryOut(operationIn(words, protocol), base);
        const said = `${line} on ${JSON.stringify(state)}`;
        t.equal(reply.toString('latin1'), expected.toString('latin1'), said);
        t.same(await digestOf(look, 'k'), await digestOf(plainLook, 'k'), `the state after ${said}`);
      }
    }
  });
}

const STATES = [
  [],
  ['set k a'],
  ['set k a', 'pexpireat k 4102444800000'],
  ['lpush k a'],
  ['lpush k a', 'pexpireat k 4102444800000'],
].map((lines) => lines.map((line) => line.split(' ')));

const SHORT_LIVED = [
  ...['', ' nx', ' xx', ' get', ' nx get', ' xx get'].map((flags) => `set k v px 2${flags}`),
  ...['', ' nx', ' xx', ' gt', ' lt', ' xx gt', ' xx lt', ' nx gt', ' zz'].map((flags) => `pexpire k 2${flags}`),
  ...['psetex k 2 v', 'getex k px 2', 'restore k 2 payload', 'restore k 2 payload replace', 'restore k 2 x replace'],
];

function operationIn(words: readonly string[], protocol: 2 | 3): KeyOperation {
  const { spec, command } = findOnKey(words) as NonNullable<ReturnType<typeof findOnKey>>;
  return operationOf(spec, command, protocol) as KeyOperation;
}

t.test('what makes the same of whatever is there is a put', async (t) => {
  const puts = [
    'set k v',
    'SET k v EX 5',
    'set k v pxat 1700000060000',
    'setex k 5 v',
    'psetex k 5 v',
    'mset k v',
    'del k',
    'unlink k',
    'restore k 0 x replace',
  ];
  for (const line of [...puts, 'restore k 5000 x REPLACE IDLETIME 5'])
    t.equal(operation(line.split(' ')).isPut, true, line);
  const others = [
    'set k v nx',
    'set k v xx',
    'set k v get',
    'set k v keepttl',
    'set k v nx ex 5',
    'set k v get px 5',
    'set k v wrong',
  ];
  for (const line of [
    ...others,
    'restore k 0 x',
    'getset k v',
    'getdel k',
    'setnx k v',
    'append k v',
    'incr k',
    'get k',
  ])
    t.not(operation(line.split(' ')).isPut, true, line);
});
