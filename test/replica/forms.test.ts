/**
 * Random invocations of every command on a key, valid ones and spoilt ones: on a plain key, and carried out on another in the
 * same state as its operation says. What the client gets is the same, and so is what is there after.
 */
import t from 'tap';
import { operationOf } from '../../src/replica/forms.js';
import { ask, type Found, findOnKey, isSameReply, isSameState, makeState } from '../help/command-comparison.js';
import { digestOf } from '../help/key-digest.js';
import { OperationDriver } from '../help/operation-driver.js';
import { randomFromSeed } from '../help/random.js';
import { PATTERNS, randomState, randomWords } from '../help/random-commands.js';
import { RedisServer } from '../help/redis-server.js';
import { RespClient } from '../help/resp-client.js';

/** Invocations of each pattern in each protocol. */
const ROUNDS = Number(process.env['ROUNDS'] ?? 12);
/** Databases of the same server: on one a key as any other, on the other the one that operations are carried out on. */
const PLAIN = 0;
const CARRIED = 1;
const FOREIGN_CURSOR = /^-ERR that cursor is of no node/;

for (const protocol of [2, 3] as const) {
  t.test(`on a replicated key every command answers and does what it does on any key, RESP${protocol}`, async (t) => {
    const server = await RedisServer.start();
    t.teardown(() => server.stop());
    const plain = await RespClient.connect(server.port);
    const looker = await RespClient.connect(server.port);
    const driver = await OperationDriver.connect(server.port, protocol, CARRIED);
    t.teardown(() => {
      for (const client of [plain, looker, driver]) client.close();
    });
    await plain.command('HELLO', `${protocol}`);
    const random = randomFromSeed((text) => t.comment(text));

    for (const pattern of PATTERNS) {
      let tried = 0;
      for (let attempt = 0; tried < ROUNDS && attempt < ROUNDS * 20; attempt++) {
        const words = randomWords(random, pattern);
        const found = findOnKey(words);
        if (found === null) continue;
        const operation = operationOf(found.spec, found.command, protocol);
        // Cursors are not those of one Redis: what is no cursor of ours is said so.
        if (operation instanceof Uint8Array && FOREIGN_CURSOR.test(Buffer.from(operation).toString())) continue;
        if (operation instanceof Uint8Array && (await isRefusal(plain, operation, words, found))) {
          tried++;
          continue;
        }
        const state = randomState(random);
        await makeState(plain, state);
        tried++;
        const said = `${JSON.stringify(words)} on ${JSON.stringify(state)}`;
        await plain.command('COPY', 'k', 'k', 'DB', `${CARRIED}`, 'REPLACE');
        if (state.length === 0) await driver.client.command('DEL', 'k');
        const expected = await ask(plain, found);
        const isError = operation instanceof Uint8Array;
        const carried = isError ? operation : (await driver.carryOut(operation, await driver.factsOf('k'))).reply;
        if (!isSameReply(found, !isError && operation.repliesAgree, expected, carried)) {
          t.equal(Buffer.from(carried).toString('latin1'), expected.toString('latin1'), said);
          return;
        }
        await looker.command('SELECT', `${PLAIN}`);
        const plainState = await digestOf(looker, 'k');
        await looker.command('SELECT', `${CARRIED}`);
        const carriedState = await digestOf(looker, 'k');
        if (!isSameState(found.spec, plainState, carriedState)) {
          t.same(carriedState, plainState, `the state after ${said}`);
          return;
        }
      }
      t.ok(tried > 0, `${pattern} was tried`);
    }
  });
}

/** What Redis does and a replicated key does not: then the proxy says so itself. Other errors are Redis's and are compared. */
async function isRefusal(
  plain: RespClient,
  error: Uint8Array,
  words: readonly string[],
  { command }: Found,
): Promise<boolean> {
  const isOurs = Buffer.from(error).toString().includes('database 0 only');
  if (isOurs) return words[0] === 'move' || words[0] === 'copy';
  await plain.command('DEL', 'k');
  return (await plain.raw(...command)).equals(error);
}
