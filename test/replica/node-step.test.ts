/**
 * The steps on a key, carried out by a real Redis server, against the model of a node: whatever is asked in whatever order, the
 * answers are the same. Times that are close together make expiries pass between steps.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleepMs } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import t from 'tap';
import { AcceptItem } from '../../src/replica/accept-item.js';
import { type Ballot, makeBallot, NEVER, proposerNumber } from '../../src/replica/ballot.js';
import type { Command, Commands, Value } from '../../src/replica/commands.js';
import { type Lineage, NO_LINEAGE } from '../../src/replica/lineage.js';
import type { MemberStep } from '../../src/replica/member-step.js';
import { nodeStepOf } from '../../src/replica/node-step.js';
import { bulkOf } from '../../src/replica/reply-shape.js';
import { ANY, type KeyFacts, type Step } from '../../src/replica/step.js';
import { encodeCommand } from '../../src/resp/reply.js';
import { Acceptor, type Meta } from '../help/acceptor.js';
import { type Random, randomFromSeed } from '../help/random.js';
import { memberRecord, startReplicaNode } from '../help/replica-node.js';
import { SMALL_REDIS, type SmallValue } from '../help/small-redis.js';

const STEPS = 4000;
const CALLS = 600;
const NO_PAIRS: Pair[] = [{ dump: null, value: null, live: false, expireAt: 0 }];
const KEYS = ['k', 'two words\r\n', '\0\xff{a}*?[x]', 'tag{k}'].map((text) => Buffer.from(text, 'latin1'));
const FAR_MS = 10_000_000;

/** A value as a node's file has it, and as the model does. */
interface Pair {
  dump: Value | null;
  value: SmallValue | null;
  live: boolean;
  expireAt: number;
}

/** A step for the server, and the same for the model. */
type Asked =
  | { kind: 'step'; real: Step<Commands, Value>; model: Step<Commands, SmallValue> }
  | { kind: 'member'; real: MemberStep<Uint8Array, Value>; model: MemberStep<string, SmallValue> };

t.test('a server answers any sequence of steps as the model of a node does, in whichever form', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  const [, node] = await startReplicaNode(t);
  const record = await node.admit();
  const { process } = (await node.performMember({ kind: 'look' }, '')) as {
    process: { runId: string; replId: string };
  };
  let clockMs = 0;
  let laterMs = 0;
  const model = new Acceptor({ engine: SMALL_REDIS, clock: () => clockMs, laterClock: () => laterMs, process });
  model.data.record = record;
  const pairs = [...NO_PAIRS];
  const seen = new Map<string, number>();
  let asked: Asked | null = null;
  let key = KEYS[0] as Buffer;
  for (let count = 0; count < STEPS; count++) {
    // The same again is answered, and changes nothing.
    if (asked === null || !random.chance(20)) {
      key = random.pick(KEYS);
      asked = randomStep(random, model, key, pairs);
    }
    if (random.chance(3)) await sleepMs(4);
    node.isFull = random.chance(50);
    // Promises only grow: sooner or later all that is left is refused.
    if (random.chance(2)) {
      await node.exchange(encodeCommand(['FLUSHALL']), 1);
      model.flush();
      if (random.chance(90)) {
        await node.admit();
        model.data.record = record;
      }
    }
    const expected = random.chance(95) ? record : memberRecord(process, { name: 'another' });
    const startMs = Date.now();
    const answer =
      asked.kind === 'step'
        ? await node.perform(asked.real, key, expected)
        : await node.performMember(asked.real, expected);
    const endMs = Date.now();
    const before = model.save();
    const found: unknown[] = [];
    // The server's clock stood somewhere in between.
    for (clockMs = startMs - 1; clockMs <= endMs + 1; clockMs++) {
      model.data = { ...before, metas: new Map(before.metas), values: new Map(before.values) };
      laterMs = asked.kind === 'step' ? askedAtMs(asked.real, answer, clockMs, endMs) : clockMs;
      const told =
        asked.kind === 'step'
          ? model.perform(asked.model, key.toString('latin1'), expected)
          : model.performMember(asked.model, expected);
      found.push(comparable(told));
      if (!isDeepStrictEqual(comparable(answer), found.at(-1))) continue;
      if (answer.kind === 'view' && answer.value !== null && told.kind === 'view') {
        const { live, expireAt } = answer;
        pairs.push({ dump: Buffer.from(answer.value), value: told.value as SmallValue, live, expireAt });
      }
      break;
    }
    const what = `${asked.model.kind}: ${'what' in answer ? answer.what : answer.kind}`;
    seen.set(what, (seen.get(what) ?? 0) + 1);
    // Between the looks of a full node a value may expire: then it says nothing.
    const hasPassed = found.some((each) => isExpiredIn(each) !== isExpiredIn(found[0]));
    if (clockMs > endMs + 1 && !(node.isFull && answer.kind === 'not-member' && hasPassed)) {
      t.fail(`step ${count} differs`, { asked: asked.model, key, answer: comparable(answer), found });
      return;
    }
  }
  t.comment(
    [...seen]
      .map(([what, times]) => `${what} ${times}`)
      .sort()
      .join(', '),
  );
  for (const what of EXPECTED) t.ok(seen.has(what), what);
});

t.test('steps that go in one call are each answered as the model answers them, one after the other', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  const [, node] = await startReplicaNode(t);
  const record = await node.admit();
  const process = { runId: '', replId: '' };
  let clockMs = 0;
  let laterMs = 0;
  const model = new Acceptor<Commands, unknown, SmallValue>({
    engine: SMALL_REDIS,
    clock: () => clockMs,
    laterClock: () => laterMs,
    process,
  });
  model.data.record = record;
  const seen = new Map<string, number>();
  for (let count = 0; count < CALLS; count++) {
    if (random.chance(3)) await sleepMs(4);
    // Promises only grow.
    if (random.chance(25)) {
      await node.exchange(encodeCommand(['FLUSHALL']), 1);
      model.flush();
      await node.admit();
      model.data.record = record;
    }
    if (random.chance(4)) {
      const raise = { kind: 'raise', epoch: random.below(3) } as const;
      await node.performMember(raise, record);
      model.performMember(raise, record);
    }
    // Now and then one key twice, and the same step.
    const asked: { step: Step<Commands, never>; key: Buffer }[] = [];
    while (asked.length < 8) {
      const key = random.pick(KEYS);
      const step = randomItem(random, model, key);
      asked.push({ step, key });
      if (random.chance(10)) asked.push({ step, key });
    }
    const startMs = Date.now();
    const { answers } = await node.performTogether(asked, record);
    const endMs = Date.now();
    const before = model.save();
    const found: unknown[] = [];
    for (clockMs = startMs - 1; clockMs <= endMs + 1; clockMs++) {
      model.data = { ...before, metas: new Map(before.metas), values: new Map(before.values) };
      laterMs = clockMs;
      const told = asked.map(({ step, key }, place) => {
        laterMs = askedAtMs(step, answers?.[place], laterMs, endMs);
        return model.perform(step, key.toString('latin1'), record);
      });
      found.push(told.map(comparable));
      if (isDeepStrictEqual(answers?.map(comparable), found.at(-1))) break;
    }
    for (const answer of answers ?? []) {
      const what = 'what' in answer ? answer.what : answer.kind;
      seen.set(what, (seen.get(what) ?? 0) + 1);
    }
    if (clockMs > endMs + 1) {
      t.fail(`call ${count} differs`, { asked, answers: answers?.map(comparable), found });
      return;
    }
    // Each key has the meta of the last that was accepted.
    for (const key of KEYS) {
      const peek = { kind: 'peek' } as const;
      const told = comparable(model.perform(peek, key.toString('latin1'), record));
      const view = comparable(await node.perform(peek, key, record));
      if (!isDeepStrictEqual(view, told) && !isDeepStrictEqual(view, { ...(told as object), isExpired: true })) {
        t.fail(`call ${count} has left something else`, { asked, view, told });
        return;
      }
    }
  }
  t.comment([...seen].map(([what, times]) => `${what} ${times}`).join(', '));
  for (const what of ['ok', 'already', 'stale', 'base', 'own', 'refused']) t.ok(seen.has(what), what);
});

t.test(
  'a plain SET that comes alone, and finds what it expects, is refused below the epoch of the floor',
  async (t) => {
    const [, node] = await startReplicaNode(t);
    const record = await node.admit();
    const [key, later] = [Buffer.from('k'), makeBallot(0, 9, proposerNumber(0, 1))];
    const set = commandOn(key, ['SET', 'v']);
    const first = { ...acceptOf(NEVER, [set], 0), next: later };
    t.match(await node.perform(first, key, record), { kind: 'ok' });
    const expected = { accepted: first.ballot, lineage: NO_LINEAGE, live: true, expireAt: 0 };
    const second = { ...acceptOf(first.ballot, [set], 0), ballot: later, next: later, expected };
    const put = { ...acceptOf(ANY, [set], 0), ballot: makeBallot(0, 10, proposerNumber(0, 1)) };
    await node.performMember({ kind: 'raise', epoch: 1 }, record);
    for (const step of [second, put])
      t.match(await node.perform(step, key, record), { kind: 'refused', epochFloor: 1, accepted: first.ballot });
    await node.exchange(encodeCommand(['DEL', '~rl:floor']), 1);
    for (const step of [second, put]) t.match(await node.perform(step, key, record), { kind: 'ok' });
    t.match(await node.perform({ kind: 'peek' }, key, record), { accepted: put.ballot, live: true });
  },
);

const LARGE_BYTES = 4 * 1024 * 1024;
const APPENDS = 3_000;
/** Expiries that pass between the check of a step and the command that sets them; and steps for that, of which most are too early or too late. */
const PASSED_BETWEEN = 3;
const TRIES_MAX = 500;

t.test(
  'an expiry that passes while its command is carried out leaves a key live, for a ballot to delete',
  async (t) => {
    const [, node] = await startReplicaNode(t);
    const record = await node.admit();
    await node.exchange(encodeCommand(['SET', 'large', randomBytes(LARGE_BYTES)]), 1);
    const dump = bulkOf((await node.exchange(encodeCommand(['DUMP', 'large']), 1))[0] as Buffer) as Value;
    const between = await passBetween(async (count, setsExpiry) => {
      const key = Buffer.from(`k${count}`);
      // Redis looks through what it is to restore, and then at its clock.
      const restore = [...commandOn(key, ['RESTORE', `${setsExpiry}`]), dump, Buffer.from('ABSTTL')];
      const answer = await node.perform(acceptOf(NEVER, [restore], setsExpiry), key, record);
      if (answer.kind === 'expired') return 'before';
      t.match(answer, { kind: 'ok', live: true, expireAt: setsExpiry });
      // Of what expires later the server says so.
      const isThere = `return redis.call('EXISTS', KEYS[1]) + string.match(redis.call('INFO', 'stats'), 'expired_keys:(%d+)')`;
      const [there] = await node.exchange(encodeCommand(['EVAL', isThere, '1', key]), 1);
      const view = await node.perform({ kind: 'peek' }, key, record);
      t.match(view, { kind: 'view', live: true, expireAt: setsExpiry });
      await node.exchange(encodeCommand(['DEL', key]), 1);
      await node.exchange(encodeCommand(['CONFIG', 'RESETSTAT']), 1);
      return `${there}` === ':0\r\n' ? 'between' : 'after';
    });
    t.equal(between, PASSED_BETWEEN);
  },
);

t.test('what was there stays if the expiry passes while several commands are carried out that set it', async (t) => {
  const [, node] = await startReplicaNode(t);
  const record = await node.admit();
  const between = await passBetween(async (count, setsExpiry) => {
    const key = Buffer.from(`k${count}`);
    const first = acceptOf(NEVER, [commandOn(key, ['SET', 'old'])], 0);
    // A key that was there, and one that was not.
    const base = count % 2 === 0 ? first.ballot : NEVER;
    if (base !== NEVER) t.match(await node.perform(first, key, record), { kind: 'ok' });
    const before = await node.perform({ kind: 'snapshot' }, key, record);
    await node.exchange(encodeCommand(['CONFIG', 'RESETSTAT']), 1);
    const appends = Array.from({ length: APPENDS }, () => commandOn(key, ['APPEND', 'x']));
    const expire = commandOn(key, ['PEXPIREAT', `${setsExpiry}`]);
    const step = acceptOf(base, [...appends, expire, commandOn(key, ['APPEND', 'y'])], setsExpiry);
    const answer = await node.perform(step, key, record);
    if (answer.kind !== 'expired') {
      t.match(answer, { kind: 'ok', live: true, expireAt: setsExpiry });
      return 'after';
    }
    t.same(answer, { kind: 'expired', what: 'own' });
    t.same(await node.perform({ kind: 'snapshot' }, key, record), before);
    const [stats] = (await node.exchange(encodeCommand(['INFO', 'commandstats']), 1)) as [Buffer];
    return stats.includes('cmdstat_append:') ? 'between' : 'before';
  });
  t.equal(between, PASSED_BETWEEN);
});

/** Has steps tried with expiries that are to pass in their midst. Returns how many did, at most PASSED_BETWEEN. */
async function passBetween(
  attempt: (count: number, setsExpiry: number) => Promise<'before' | 'between' | 'after'>,
): Promise<number> {
  let aheadMs = 1;
  let between = 0;
  for (let count = 0; count < TRIES_MAX && between < PASSED_BETWEEN; count++) {
    const found = await attempt(count, Date.now() + aheadMs);
    if (found === 'between') between++;
    else aheadMs = Math.max(1, aheadMs + (found === 'before' ? 1 : -1));
  }
  return between;
}

function acceptOf(
  base: Ballot,
  list: Command[],
  setsExpiry: number,
): Extract<Step<Commands, Value>, { kind: 'accept' }> {
  const ballot = makeBallot(0, base === NEVER ? 1 : 2, proposerNumber(0, 1));
  const commands: Commands = { list, protocol: 3 };
  return {
    kind: 'accept',
    ballot,
    base,
    expected: null,
    lineage: NO_LINEAGE,
    expired: false,
    commands,
    setsExpiry,
    next: ballot,
  };
}

/** When the server asked its clock whether the expiry that the step sets has passed: not before `fromMs`, and as early as its answer allows. */
function askedAtMs(step: Step<Commands, Value>, answer: object | undefined, fromMs: number, endMs: number): number {
  const isOwn = answer !== undefined && 'what' in answer && answer.what === 'own';
  return isOwn && step.kind === 'accept' && step.setsExpiry <= endMs ? Math.max(fromMs, step.setsExpiry) : fromMs;
}

function isExpiredIn(answer: unknown): boolean | undefined {
  return (answer as { isExpired?: boolean }).isExpired;
}

/** ACCEPT of one command: whichever may go with others. */
function randomItem(
  random: Random,
  model: Acceptor<Commands, unknown, SmallValue>,
  key: Buffer,
): Step<Commands, never> {
  for (;;) {
    const asked = randomStep(random, model, key, NO_PAIRS);
    if (asked.kind !== 'step') continue;
    const { real } = asked;
    if (real.kind !== 'accept' || !(nodeStepOf(real, key) instanceof AcceptItem)) continue;
    return real as Step<Commands, never>;
  }
}

/** What a run comes across. */
const EXPECTED = [
  ...['prepare: ok', 'prepare: refused', 'prepare: not-member'],
  ...['accept: ok', 'accept: already', 'accept: stale', 'accept: base', 'accept: own', 'accept: refused'],
  ...['accept: not-member', 'install: ok', 'install: already', 'install: refused', 'install: not-member'],
  ...['collect: collected', 'peek: view', 'read: view', 'snapshot: view', 'raise: raised', 'metas: metas'],
  ...['replace: done', 'drop: done', 'scan: page'],
];

function randomStep(random: Random, model: Acceptor<Commands, unknown, SmallValue>, key: Buffer, pairs: Pair[]): Asked {
  const ballot = randomBallot(random);
  const meta = model.data.metas.get(key.toString('latin1'));
  const accepted = meta?.accepted ?? NEVER;
  const next = random.chance(50) ? ballot : randomBallot(random);
  const both = <S extends Step<Commands, never>>(step: S): Asked => ({ kind: 'step', real: step, model: step });
  const dice = random.below(100);
  if (dice < 15) return both({ kind: 'prepare', ballot });
  if (dice < 55) {
    const expired = random.chance(15);
    const own = random.chance(60) ? largerBallot(random, model.promised(key.toString('latin1'))) : ballot;
    if (random.chance(25)) {
      const put = {
        base: ANY,
        expected: null,
        lineage: randomLineage(random),
        expired: false,
        ...randomPut(random, key),
      };
      return both({ kind: 'accept', ballot: own, next, ...put });
    }
    // No ballot has itself as its base.
    const base = random.chance(80) && accepted !== own ? accepted : NEVER;
    return both({
      kind: 'accept',
      ballot: own,
      base,
      expected: randomExpectation(random, meta, base),
      lineage: randomLineage(random),
      expired,
      ...randomWrites(random, key),
      next,
    });
  }
  if (dice < 65) return both({ kind: 'peek' });
  if (dice < 72) return both({ kind: 'read', commands: randomCommands(random, key, READS) });
  if (dice < 80) return both({ kind: 'snapshot' });
  if (dice < 88) {
    const [real, told] = randomState(random, pairs, ballot);
    if (random.chance(50)) {
      return { kind: 'step', real: { kind: 'merge', state: real }, model: { kind: 'merge', state: told } };
    }
    return {
      kind: 'step',
      real: { kind: 'install', state: real, next },
      model: { kind: 'install', state: told, next },
    };
  }
  if (dice < 93) return both({ kind: 'collect', ballot: random.chance(80) ? accepted : ballot });
  if (dice < 95) {
    const [real, told] = randomState(random, pairs, ballot);
    return {
      kind: 'member',
      real: { kind: 'replace', key, state: real },
      model: { kind: 'replace', key: key.toString('latin1'), state: told },
    };
  }
  if (dice < 96) {
    return { kind: 'member', real: { kind: 'drop', key }, model: { kind: 'drop', key: key.toString('latin1') } };
  }
  if (dice < 97) {
    const step = { kind: 'metas', sizes: false } as const;
    return {
      kind: 'member',
      real: { ...step, keys: KEYS },
      model: { ...step, keys: KEYS.map((name) => name.toString('latin1')) },
    };
  }
  if (dice < 99) {
    const what = random.pick(['metas', 'values'] as const);
    const step = { kind: 'scan', what, cursor: '0', count: 1000, idleSecondsMin: 0 } as const;
    return { kind: 'member', real: step, model: step };
  }
  const step = { kind: 'raise', epoch: random.chance(90) ? 0 : random.below(3) } as const;
  return { kind: 'member', real: step, model: step };
}

/** Mostly what is there. */
function randomExpectation(random: Random, meta: Meta | undefined, base: Ballot): KeyFacts | null {
  if (random.chance(20)) return null;
  if (meta !== undefined && random.chance(70)) return meta;
  return { accepted: base, lineage: randomLineage(random), live: random.chance(50), expireAt: random.below(2) };
}

/** Few, so that they meet again. */
function randomBallot(random: Random): Ballot {
  return makeBallot(random.below(3), 1 + random.below(6), proposerNumber(0, 1 + random.below(2)));
}

/** Any: a node keeps it, and reads nothing in it. */
function randomLineage(random: Random): Lineage {
  const count = random.below(6);
  return `${count}${random.below(2)}${Array.from({ length: count }, () => randomBallot(random)).join('')}`;
}

/** Above what was promised, while there is room. */
function largerBallot(random: Random, promised: Ballot): Ballot {
  for (let tries = 0; tries < 20; tries++) {
    const ballot = randomBallot(random);
    if (ballot >= promised) return ballot;
  }
  return promised;
}

const READS: readonly string[][] = [['GET'], ['LRANGE', '0', '-1'], ['PEXPIRETIME'], ['BITFIELD_RO', 'GET', 'u8', '0']];
const WRITES: readonly string[][] = [
  ...[
    ['SET', '5'],
    ['SET', 'a\r\nb'],
    ['SET', '9223372036854775806'],
    ['SET', '9007199254740990'],
  ],
  ...[
    ['APPEND', '7'],
    ['INCR'],
    ['INCR'],
    ['DEL'],
    ['RPUSH', 'x'],
    ['RPUSH', '_\r\n'],
    ['LPOP'],
    ['LPOP', '2'],
    ['PERSIST'],
  ],
];

function randomCommands(random: Random, key: Buffer, choice: readonly string[][]): Commands {
  const list = Array.from({ length: 1 + random.below(2) }, () => commandOn(key, random.pick(choice)));
  return { list, protocol: random.pick([2, 3] as const) };
}

/** None is an identity. What sets an expiry is not for the watch form. */
function randomWrites(random: Random, key: Buffer): { commands: Commands; setsExpiry: number } {
  if (random.chance(10)) return { commands: { list: [], protocol: 3 }, setsExpiry: 0 };
  const plain = randomCommands(random, key, random.chance(20) ? [...WRITES, ...READS] : WRITES);
  if (random.chance(70)) return { commands: plain, setsExpiry: 0 };
  const setsExpiry = Date.now() + random.pick([-10, 2, 4, 8, FAR_MS]);
  const dated = commandOn(
    key,
    random.pick([
      ['SET', '5', 'PXAT', `${setsExpiry}`],
      ['PEXPIREAT', `${setsExpiry}`],
    ]),
  );
  const others = randomCommands(random, key, WRITES).list.slice(1);
  return { commands: { list: random.chance(50) ? [dated] : [...others, dated], protocol: plain.protocol }, setsExpiry };
}

/** What makes the same state of any other. */
function randomPut(random: Random, key: Buffer): { commands: Commands; setsExpiry: number } {
  const protocol = random.pick([2, 3] as const);
  const setsExpiry = random.chance(40) ? Date.now() + random.pick([-10, 2, 4, 8, FAR_MS]) : 0;
  const plain = random.pick([['SET', '5'], ['SET', 'a\r\nb'], ['DEL']]);
  const command = commandOn(key, setsExpiry === 0 ? plain : ['SET', '5', 'PXAT', `${setsExpiry}`]);
  return { commands: { list: random.chance(20) ? [command, command] : [command], protocol }, setsExpiry };
}

function commandOn(key: Buffer, [name, ...words]: readonly string[]): Command {
  return [Buffer.from(name as string), key, ...words.map((word) => Buffer.from(word, 'latin1'))];
}

function randomState(random: Random, pairs: Pair[], accepted: Ballot) {
  const { dump, value, live, expireAt } = random.pick(pairs);
  // X2: a live one whose expiry has passed comes without its value.
  const isGone = live && expireAt !== 0 && random.chance(10);
  const facts = { accepted, lineage: randomLineage(random), live, expireAt };
  return [
    { ...facts, value: isGone ? null : dump },
    { ...facts, value: isGone ? null : value },
  ] as const;
}

/** Keys in order and as text, and of a value only whether there is one. */
function comparable(answer: object): unknown {
  const { keys, value, replies, ...rest } = answer as Record<string, unknown>;
  return {
    ...rest,
    keys: (keys as readonly (Uint8Array | string)[] | undefined)
      ?.map((key) => Buffer.from(key as string, 'latin1').toString('latin1'))
      .sort(),
    hasValue: value !== null && value !== undefined,
    replies: (replies as readonly Uint8Array[] | null | undefined)?.map((reply) =>
      Buffer.from(reply).toString('latin1'),
    ),
  };
}
