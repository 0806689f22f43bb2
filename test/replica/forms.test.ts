import t, { type Test } from 'tap';
import type { Command } from '../../src/replica/commands.js';
import { operationOf } from '../../src/replica/forms.js';
import type { KeyOperation } from '../../src/replica/key-operation.js';
import { findKeys, KeyList } from '../../src/resp/command-keys.js';
import { arityFits, type CommandSpec, findCommand, findSubcommand } from '../../src/resp/commands.js';
import { digestOf } from '../help/key-digest.js';
import { OperationDriver } from '../help/operation-driver.js';
import { randomFromSeed } from '../help/random.js';
import { PATTERNS, randomState, randomWords } from '../help/random-commands.js';
import { RedisServer } from '../help/redis-server.js';
import { parseReply, type Value } from '../help/reference-parser.js';
import { encodeWords, RespClient } from '../help/resp-client.js';

/** Invocations of each pattern in each protocol. */
const ROUNDS = Number(process.env['ROUNDS'] ?? 12);
/** Databases of the same server: on one a key as any other, on the other the one that operations are carried out on. */
const PLAIN = 0;
const CARRIED = 1;
/** What the machine may take for one invocation. */
const CLOCK_TOLERANCE_MS = 60_000;

interface Found {
  spec: CommandSpec;
  command: Command;
}

/** Null for what never comes to a replicated key: the proxy answers it before, or its keys are others. */
function find(words: readonly string[]): Found | null {
  const command = words.map((word) => Buffer.from(word, 'latin1'));
  const bytes = Buffer.concat(command);
  const start = new Int32Array(command.length);
  const end = new Int32Array(command.length);
  for (let at = 0, place = 0; place < command.length; place++) {
    start[place] = at;
    at += (command[place] as Buffer).length;
    end[place] = at;
  }
  let spec = findCommand(bytes, 0, end[0] as number);
  if (spec !== null && spec.subcommands !== null) {
    spec = findSubcommand(spec, bytes, start[1] as number, end[1] as number);
  }
  if (spec === null || !arityFits(spec, words.length)) return null;
  const keys = new KeyList();
  const count = findKeys(spec, bytes, start, end, words.length, keys);
  if (count <= 0) return null;
  for (const at of keys.positions.subarray(0, count)) if (words[at] !== 'k') return null;
  return { spec, command };
}

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
        const found = find(words);
        if (found === null) continue;
        const operation = operationOf(found.spec, found.command, protocol);
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
        const carried =
          operation instanceof Uint8Array
            ? Buffer.from(operation)
            : (await driver.carryOut(operation, await driver.factsOf('k'))).reply;
        if (!sameReply(t, found.spec, words, operation, expected, carried, said)) return;
        if (!(await sameState(t, looker, found.spec, said))) return;
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

async function makeState(client: RespClient, state: readonly string[][]): Promise<void> {
  client.send(Buffer.concat([encodeWords(['DEL', 'k']), ...state.map((words) => encodeWords(words))]));
  for (let count = 0; count <= state.length; count++) await client.next();
}

/** As one Redis answers. What would wait is asked inside MULTI. */
async function ask(client: RespClient, { spec, command }: Found): Promise<Buffer> {
  if (!spec.blocking) return client.raw(...command);
  client.send(Buffer.concat([encodeWords(['MULTI']), encodeWords(command), encodeWords(['EXEC'])]));
  await client.next();
  await client.next();
  const reply = await client.next();
  return reply.subarray(reply.indexOf('\n') + 1);
}

const RANDOM = new Set(['spop', 'srandmember', 'hrandfield', 'zrandmember']);
const CLOCKED = new Set(['ttl', 'pttl', 'xpending', 'object|idletime', 'xinfo|consumers', 'xinfo|stream']);
/** Said of the memory, which the scripts of the other side may have touched, or of how a copy is laid out. */
const LAYOUT = new Set(['memory|usage', 'object|refcount', 'dump']);

function sameReply(
  t: Test,
  spec: CommandSpec,
  words: readonly string[],
  operation: KeyOperation | Uint8Array,
  expected: Buffer,
  carried: Buffer,
  said: string,
): boolean {
  if (carried.equals(expected)) return true;
  const [one, other] = [parseReply(expected)?.value as Value, parseReply(carried)?.value as Value];
  if (expected[0] === carried[0]) {
    if (LAYOUT.has(spec.name)) return true;
    if (RANDOM.has(spec.name) && shapeOf(one) === shapeOf(other)) return true;
    if (CLOCKED.has(spec.name) && withoutClock(one) === withoutClock(other)) return true;
    if (spec.name === 'xadd' && words.includes('*') && /^\d{13}-\d+$/.test(String(other))) return true;
    const isLoose = operation instanceof Uint8Array || !operation.repliesAgree;
    if (isLoose && sorted(one) === sorted(other)) return true;
  }
  t.equal(carried.toString('latin1'), expected.toString('latin1'), said);
  return false;
}

async function sameState(t: Test, looker: RespClient, spec: CommandSpec, said: string): Promise<boolean> {
  await looker.command('SELECT', `${PLAIN}`);
  const expected = await digestOf(looker, 'k');
  await looker.command('SELECT', `${CARRIED}`);
  const carried = await digestOf(looker, 'k');
  if (Math.abs(expected.expireAt - carried.expireAt) < CLOCK_TOLERANCE_MS && expected.expireAt > 0) {
    carried.expireAt = expected.expireAt;
  }
  if (expected.type === 'stream') {
    expected.content = withoutMoments(expected.content);
    carried.content = withoutMoments(carried.content);
  }
  if (RANDOM.has(spec.name)) {
    expected.content = shapeOf(JSON.parse(expected.content || 'null'));
    carried.content = shapeOf(JSON.parse(carried.content || 'null'));
  }
  if (JSON.stringify(expected) === JSON.stringify(carried)) return true;
  t.same(carried, expected, `the state after ${said}`);
  return false;
}

/** Of sets and maps JSON knows nothing. */
function plainOf(value: Value): unknown {
  if (value instanceof Error) return `-${value.message}`;
  if (value instanceof Set) return ['~', ...[...value].map(plainOf)];
  if (value instanceof Map) return ['%', ...[...value].map((pair) => pair.map(plainOf))];
  if (Array.isArray(value)) return value.map(plainOf);
  return typeof value === 'bigint' ? `${value}` : value;
}

function shapeOf(value: Value): string {
  return JSON.stringify(plainOf(value), (_key, part) => (Array.isArray(part) || part === null ? part : typeof part));
}

function withoutClock(value: Value): string {
  return JSON.stringify(plainOf(value), (_key, part) => {
    if (typeof part === 'number' && part >= 0) return 'number';
    return typeof part === 'string' ? part.replace(/^\d{13}(?=-|$)/, 'now') : part;
  });
}

/** Of a stream's digest: moments of now are taken out. */
function withoutMoments(content: string): string {
  return content.replace(/(?<=[[,"])1[6-9]\d{11}(?=[-,\]])/g, '0');
}

function sorted(value: Value): string {
  return (JSON.stringify(plainOf(value)) ?? '').split('').sort().join('');
}
