/** What is kept for a node is given to it, on real servers, and overtakes nothing that is newer. */
import t, { type Test } from 'tap';
import { DEFAULT_NODE_LIMITS } from '../../src/base/limits.js';
import type { HintLog } from '../../src/control/hint-log.js';
import { proposerNumber } from '../../src/replica/ballot.js';
import { encodeHint, putStep } from '../../src/replica/hint.js';
import { VERSIONS_BEGIN_MS } from '../../src/replica/version-clock.js';
import {
  type CareProcess,
  type PoolOptions,
  TestPool,
  untilCare,
  untilEvent,
  untilMembers,
} from '../help/replicated-pool.js';

// They wait for most of their time.
t.jobs = 4;

const EVENTUAL: PoolOptions = {
  level: { consistency: 'eventual', reads: 1, writes: 1, allowsChanges: true },
  // Comparing nodes is not to hide that hints do nothing.
  limits: { compareIntervalMs: 3_600_000, requestTimeoutMs: 500, connectTimeoutMs: 500 },
};

/** Of epoch 0. */
async function keepPut(
  care: CareProcess,
  node: string,
  key: string,
  counter: number,
  ...words: readonly string[]
): Promise<void> {
  await keepPutOf(care, node, key, counter, Date.now(), ...words);
}

/** Made then, milliseconds since 1970. */
async function keepPutOf(
  care: CareProcess,
  node: string,
  key: string,
  counter: number,
  madeAtMs: number,
  ...words: readonly string[]
): Promise<void> {
  const version = `${'0'.repeat(8)}${String(counter).padStart(12, '0')}${proposerNumber(0, 1)}`;
  const list = [['SET', key, ...words].map((word) => Buffer.from(word))];
  const step = putStep({ commands: { list, protocol: 3 }, setsExpiry: 0 }, version);
  t.ok(await care.hints.take('main', node, encodeHint(key, step, madeAtMs), 1));
}

async function untilGiven(care: CareProcess): Promise<void> {
  await untilCare(care, 'nothing is kept', ({ nodes }) => nodes.every(({ hints }) => hints.bytes === 0));
}

/** A repair has begun that epoch at all nodes. */
async function beginEpoch(pool: TestPool, epoch: number): Promise<void> {
  const floor = `${String(epoch).padStart(8, '0')}${'0'.repeat(80)}`;
  for (const node of [0, 1, 2]) await pool.ask(node, 'SET', '~rl:floor', floor);
}

async function begin(t: Test): Promise<[TestPool, CareProcess]> {
  const pool = await TestPool.start(t, EVENTUAL);
  const care = pool.care();
  await untilMembers(care);
  return [pool, care];
}

function valuesOf(pool: TestPool, key: string): Promise<(string | null)[]> {
  return Promise.all([0, 1, 2].map((node) => pool.text(node, 'GET', key)));
}

t.test('hints are given in any order, and the newest stays', async (t) => {
  const [pool, care] = await begin(t);
  for (const [counter, value] of [
    [7, 'third'],
    [5, 'first'],
    [6, 'second'],
  ] as const)
    await keepPut(care, 'n1', 'k', counter, value);
  await untilGiven(care);
  t.same(await valuesOf(pool, 'k'), [null, 'third', null]);
});

t.test('how long before a write came it was written is told of the node that missed it, and of no other', async (t) => {
  const [, care] = await begin(t);
  const latenesses = () => care.caretaker.care().nodes.map(({ hints }) => hints.latenessMs);
  t.same(latenesses(), [null, null, null]);
  const anHour = 3_600_000;
  await keepPut(care, 'n1', 'k', Date.now() - anHour - VERSIONS_BEGIN_MS, 'x');
  await untilGiven(care);
  const [first, late, third] = latenesses();
  t.same([first, third], [null, null]);
  t.ok(late !== null && late !== undefined && late >= anHour && late < anHour + 60_000, `${late} ms`);
});

t.test('of an epoch that has ended a hint overtakes nothing newer, whichever copy has that', async (t) => {
  const [pool, care] = await begin(t);
  await pool.put([1], 'here', 9, 'newer');
  await pool.put([0], 'elsewhere', 9, 'newer');
  await beginEpoch(pool, 1);
  for (const key of ['here', 'elsewhere']) await keepPut(care, 'n1', key, 5, 'older');
  await untilGiven(care);
  t.same(await valuesOf(pool, 'here'), [null, 'newer', null]);
  t.same(await valuesOf(pool, 'elsewhere'), ['newer', 'newer', 'newer']);
});

t.test('it is given where all copies have something older, or nothing', async (t) => {
  const [pool, care] = await begin(t);
  await pool.put([0, 1, 2], 'old', 3, 'older');
  await beginEpoch(pool, 1);
  for (const key of ['old', 'none']) await keepPut(care, 'n1', key, 5, 'newer');
  await untilGiven(care);
  t.same(await valuesOf(pool, 'old'), ['older', 'newer', 'older']);
  t.same(await valuesOf(pool, 'none'), [null, 'newer', null]);
});

t.test('while a copy cannot be asked it waits, for that may have something newer', async (t) => {
  const [pool, care] = await begin(t);
  await pool.put([2], 'k', 9, 'newer');
  await beginEpoch(pool, 1);
  pool.server(2).pause();
  await untilCare(care, 'it is missed', ({ nodes }) => nodes[2]?.standing === 'silent');
  await keepPut(care, 'n1', 'k', 5, 'older');
  await untilEvent(care, 'hints-set-aside', ({ node, reason }) => node === 'n1' && /another copy/.test(`${reason}`));
  t.equal(await pool.text(1, 'GET', 'k'), null);
  pool.server(2).resume();
  await untilGiven(care);
  t.same(await valuesOf(pool, 'k'), ['newer', 'newer', 'newer']);
});

t.test('what the node refuses does not keep it from what stands behind, and is kept on', async (t) => {
  const [pool, care] = await begin(t);
  await keepPut(care, 'n1', 'refused', 5, 'x', 'NO SUCH OPTION');
  for (let key = 0; key < 200; key++) await keepPut(care, 'n1', `key:${key}`, 6, `${key}`);
  await untilEvent(care, 'hints-set-aside', ({ node, hints, reason }) => {
    return node === 'n1' && hints === 1 && /syntax error/.test(`${reason}`);
  });
  for (const key of [0, 1, 100, 199]) t.equal(await pool.text(1, 'GET', `key:${key}`), `${key}`);
  t.equal(await pool.text(1, 'GET', 'refused'), null);
  t.ok((care.caretaker.care().nodes[1]?.hints.bytes ?? 0) > 0);
  t.ok(care.hints.counts.replicatedHintsSetAside > 0);
  t.equal(care.hints.counts.replicatedHintsDropped, 0);
});

t.test('what is set aside together is not too old while one of it is not', async (t) => {
  const [, care] = await begin(t);
  const nowMs = Date.now();
  await keepPutOf(care, 'n1', 'old', 5, nowMs - 60_000, 'x', 'NO SUCH OPTION');
  await keepPutOf(care, 'n1', 'new', 6, nowMs, 'x', 'NO SUCH OPTION');
  const log = care.hints.of('main', 'n1') as HintLog;
  // Whichever was read first alone: the second time they go together.
  await untilEvent(care, 'hints-set-aside', () => care.hints.counts.replicatedHintsSetAside >= 2);
  await care.stop();
  t.equal(await log.dropOlder(nowMs - 120_000), 0);
  t.equal(await log.dropOlder(nowMs - 30_000), 0);
  t.notOk(log.isEmpty);
  t.equal(await log.dropOlder(Date.now()), 2);
  t.ok(log.isEmpty);
});

t.test('a node without memory gets all of it when it has some again', async (t) => {
  const [pool, care] = await begin(t);
  await pool.ask(1, 'CONFIG', 'SET', 'maxmemory', '1');
  for (let key = 0; key < 3; key++) await keepPut(care, 'n1', `key:${key}`, 6, `${key}`);
  await untilEvent(care, 'hints-set-aside', ({ reason }) => /OOM/.test(`${reason}`));
  await pool.ask(1, 'CONFIG', 'SET', 'maxmemory', '0');
  await untilGiven(care);
  for (let key = 0; key < 3; key++) t.equal(await pool.text(1, 'GET', `key:${key}`), `${key}`);
});

t.test('what is too old is left out, and counted', async (t) => {
  const pool = await TestPool.start(t, EVENTUAL);
  pool.server(1).pause();
  const care = pool.care();
  await untilCare(care, 'it is missed', ({ nodes }) => nodes[1]?.standing === 'silent');
  care.hints.configure([{ pool: 'main', limits: { ...DEFAULT_NODE_LIMITS, hintAgeMaxMs: 1_000 } }]);
  await keepPut(care, 'n1', 'k', 5, 'x');
  await untilCare(care, 'it is dropped', ({ nodes }) => nodes[1]?.hints.bytes === 0);
  t.equal(care.hints.counts.replicatedHintsDropped, 1);
  await untilEvent(care, 'hints-dropped', ({ limit }) => limit === 'hintAgeMaxMs 1000');
  pool.server(1).resume();
});
