/** Keys of consistency eventual on real servers, as those who care for the nodes compare and mend them. */
import t from 'tap';
import { BulkPool } from '../../src/control/bulk-pool.js';
import { type Compared, compareNodes } from '../../src/control/comparison.js';
import type { NodeLink } from '../../src/control/node-link.js';
import { endVisit, type PoolVisit, visitPool } from '../../src/control/pool-visit.js';
import { limitsOf } from '../../src/control/replicated-pools.js';
import { parseNodeRecord } from '../../src/replica/node-record.js';
import { VERSIONS_BEGIN_MS } from '../../src/replica/version-clock.js';
import type { RangePlan } from '../../src/routing/key-ranges.js';
import { type PoolOptions, TestPool, untilCare, untilEvent, untilMembers } from '../help/replicated-pool.js';

// They wait for most of their time.
t.jobs = 2;

const EVENTUAL: PoolOptions = {
  level: { consistency: 'eventual', reads: 1, writes: 1, allowsChanges: true },
  limits: { compareIntervalMs: 200 },
};

/** What the nodes have of that key: its value, and what its meta says. */
function copiesOf(pool: TestPool, key: string): Promise<(string | null)[]> {
  return Promise.all(
    pool.servers.map(async (_, node) => {
      const meta = await pool.text(node, 'GET', `~rl:m:${key}`);
      return meta === null ? null : `${await pool.text(node, 'GET', key)} ${meta.slice(40)}`;
    }),
  );
}

/** Compares the nodes once; `limits` are those of the pool but for these. */
async function compareOnce(
  { pool, values }: PoolVisit,
  links: PoolVisit['links'],
  bulk: BulkPool,
  limits: { compareBytesMax?: number } = {},
): Promise<Compared> {
  return compareNodes({
    plan: pool.ranges as RangePlan,
    links,
    values,
    bulk,
    limits: { ...limitsOf(pool), ...limits },
    stopped: new AbortController().signal,
  });
}

/** The same, but one node does not answer what it is asked as the `nth`, or from then on. */
function linksWithout(links: PoolVisit['links'], node: number, nth: number, isForGood: boolean) {
  let count = 0;
  const link = links.get(node) as NodeLink;
  const askMember: NodeLink['askMember'] = async (record, asked) => {
    count++;
    return count === nth || (isForGood && count > nth) ? null : link.askMember(record, asked);
  };
  const mute = new Proxy(link, { get: (_, name) => (name === 'askMember' ? askMember : Reflect.get(link, name)) });
  return { links: new Map(links).set(node, mute), asked: () => count };
}

t.test('the larger version stays, wherever it is, and deletions are exchanged as values are', async (t) => {
  const pool = await TestPool.start(t, EVENTUAL);
  const care = pool.care();
  await untilMembers(care);
  await pool.fill([0, 1, 2], 3_000);
  await pool.put([0], 'alone', 5, 'of the first');
  await pool.put([2], 'other', 6, 'of the last');
  await pool.put([0, 1, 2], 'changed', 7, 'old');
  await pool.put([1], 'changed', 8, 'new');
  await pool.put([0, 1, 2], 'deleted', 9, 'still there');
  await pool.put([2], 'deleted', 10, null);
  const beganAt = new Date().toISOString();
  const { comparison } = await untilCare(
    care,
    'all to be equal',
    ({ comparison }) => (comparison?.equalAt ?? '') > beganAt && comparison?.behind === 0,
  );
  t.match(comparison, {
    copies: 'equal',
    isWhole: true,
    keys: 3_004,
    ranges: 0,
    behind: 0,
    mended: 0,
    latenessMs: null,
  });
  const told = care.events.filter(({ msg }) => msg === 'compared');
  for (const { isWhole, copies } of told)
    t.equal(copies, isWhole === true ? 'equal' : 'differ', 'what was behind is not any more');
  const mended = told.reduce((sum, { mended }) => sum + Number(mended), 0);
  t.ok(mended >= 4, `${mended} keys were mended`);
  for (const [key, value] of [
    ['alone', 'of the first'],
    ['other', 'of the last'],
    ['changed', 'new'],
    ['deleted', null],
    ['key:1234', 'value 1234'],
  ] as const) {
    const copies = await copiesOf(pool, key);
    t.equal(new Set(copies).size, 1, `${key} is the same on all`);
    t.match(copies[0], `${value} `);
  }
});

t.test('a node that was emptied is filled though no other is a member, and keeps what is newer', async (t) => {
  const pool = await TestPool.start(t, EVENTUAL);
  const care = pool.care();
  await untilMembers(care);
  await pool.put([0, 1, 2], 'a', 5, 'on all');
  await pool.put([0], 'b', 6, 'on the first alone');
  for (const node of [1, 2]) await pool.server(node).kill9();
  await untilCare(
    care,
    'they are missed',
    ({ nodes }) => nodes.filter(({ standing }) => standing === 'silent').length === 2,
  );
  t.same(care.caretaker.care().withoutQuorum, [], 'who is left serves');
  for (const node of [1, 2]) await pool.server(node).restart();
  await untilMembers(care);
  for (const key of ['a', 'b']) {
    const copies = await copiesOf(pool, key);
    t.equal(new Set(copies).size, 1, `${key}: ${copies}`);
  }
});

t.test('nodes that all were restarted with what they had come back with all of it', async (t) => {
  const pool = await TestPool.start(t, { ...EVENTUAL, server: { args: ['--appendonly', 'yes'] } });
  const care = pool.care();
  await untilMembers(care);
  await pool.put([0], 'a', 5, 'on the first');
  await pool.put([1], 'b', 6, 'on the second');
  await care.stop();
  for (const server of pool.servers) await server.kill9();
  for (const server of pool.servers) await server.restart();
  const later = pool.care();
  await untilMembers(later);
  const beganAt = new Date().toISOString();
  await untilCare(later, 'all to be equal', ({ comparison }) => (comparison?.equalAt ?? '') > beganAt);
  for (const [key, value] of [
    ['a', 'on the first'],
    ['b', 'on the second'],
  ] as const) {
    const copies = await copiesOf(pool, key);
    t.equal(new Set(copies).size, 1, `${key}: ${copies}`);
    t.match(copies[0], `${value} `);
  }
  const record = parseNodeRecord((await pool.text(0, 'GET', '~rl:node')) ?? '');
  t.equal(record?.status.kind, 'member');
});

t.test('what is deleted is forgotten, and what has expired deleted, however often nodes are compared', async (t) => {
  const pool = await TestPool.start(t, { ...EVENTUAL, tombstoneTtlMs: 2_000 });
  const care = pool.care();
  await untilMembers(care);
  await pool.put([0, 1], 'deleted', 5, 'x');
  await pool.put([2], 'deleted', 6, null);
  const expiredMs = Date.now() - 2_000;
  for (const node of [0, 1, 2]) {
    await pool.put([node], 'expired', 7, null);
    const meta = (await pool.text(node, 'GET', '~rl:m:expired')) ?? '';
    await pool.ask(node, 'SET', '~rl:m:expired', `${meta.slice(0, -2)}1${expiredMs}`);
  }
  await untilCare(care, 'they are forgotten', ({ sweep }) => sweep.collected >= 2 && sweep.expired >= 1);
  for (const key of ['deleted', 'expired']) t.same(await copiesOf(pool, key), [null, null, null]);
  t.same(
    care.events.filter(({ level }) => level >= 50),
    [],
  );
});

t.test('of a fleet the leader alone compares', async (t) => {
  const pool = await TestPool.start(t, EVENTUAL);
  const leading = pool.care();
  const following = pool.care({ isLeader: false });
  await untilMembers(leading);
  await untilMembers(following);
  await pool.put([0], 'a', 5, 'x');
  await untilEvent(leading, 'compared', ({ mended }) => Number(mended) > 0);
  t.equal(following.caretaker.care().comparison, null);
});

t.test('while a node is away nobody knows whether all are equal, and what the others have is compared', async (t) => {
  const limits = { ...EVENTUAL.limits, requestTimeoutMs: 500, connectTimeoutMs: 500 };
  const pool = await TestPool.start(t, { ...EVENTUAL, limits });
  const care = pool.care();
  await untilMembers(care);
  await pool.put([0, 1, 2], 'a', 5, 'x');
  const { comparison } = await untilCare(care, 'all to be equal', ({ comparison }) => comparison?.copies === 'equal');
  pool.server(2).pause();
  await untilCare(care, 'it is missed', ({ nodes }) => nodes[2]?.standing === 'silent');
  const unknown = await untilCare(care, 'that to be said', ({ comparison }) => comparison?.copies === 'not known');
  t.match(unknown.comparison, { isWhole: false, behind: 0 });
  t.ok((unknown.comparison?.equalAt ?? '') >= (comparison?.equalAt as string), 'it is known still when they were');
  await pool.put([0], 'b', 6, 'of the first');
  const mended = await untilEvent(care, 'compared', ({ behind }) => Number(behind) > 0);
  t.match(mended, { copies: 'differ', isWhole: false, mended: 0 }, 'the third may have anything');
  t.equal(await pool.text(1, 'GET', 'b'), 'of the first');
  pool.server(2).resume();
  await untilCare(care, 'all to be equal again', ({ comparison }) => comparison?.copies === 'equal');
  t.equal(await pool.text(2, 'GET', 'b'), 'of the first');
});

t.test('large values are exchanged one by one, and keys with long names in small pages', async (t) => {
  const limits = { ...EVENTUAL.limits, repairBytesInFlightMax: 1_000_000 };
  const pool = await TestPool.start(t, { ...EVENTUAL, limits });
  const care = pool.care();
  await untilMembers(care);
  const keys = Array.from({ length: 12 }, (_, place) => `${place}`.padStart(100_000, 'x'));
  for (const [place, key] of keys.entries()) await pool.put([place % 3], key, 5, 'v'.repeat(500_000));
  const beganAt = new Date().toISOString();
  await untilCare(care, 'all to be equal', ({ comparison }) => (comparison?.equalAt ?? '') > beganAt);
  for (const key of keys) {
    const lengths = await Promise.all([0, 1, 2].map((node) => pool.ask(node, 'STRLEN', key)));
    t.same(lengths, [':500000\r\n', ':500000\r\n', ':500000\r\n']);
  }
});

t.test('of many keys those pages alone are read again that have keys which differ', async (t) => {
  const pool = await TestPool.start(t, EVENTUAL);
  const care = pool.care({ isLeader: false });
  await untilMembers(care);
  await pool.fill([0, 1, 2], 40_000);
  const bulk = new BulkPool();
  const visit = await visitPool(pool.pool);
  t.teardown(async () => {
    endVisit(visit);
    await bulk.destroy();
  });
  for (const [version, compareBytesMax, pagesMax] of [
    [10, 3 * 40_010 * 12, 10],
    [20, 3 * 40_000 * 12, Number.POSITIVE_INFINITY],
  ] as const) {
    for (const [place, key] of ['key:17', 'key:33333', 'another'].entries())
      await pool.put([place], key, version + place, `new ${version}`);
    const compared = await compareOnce(visit, visit.links, bulk, { compareBytesMax });
    t.match(compared, { copies: 'equal', isWhole: true, keys: 40_001, ranges: 3, behind: 3, mended: 3 });
    const ageMs = Date.now() - VERSIONS_BEGIN_MS - version;
    t.ok(Math.abs((compared.latenessMs ?? 0) - ageMs) < 60_000, 'they were written long ago');
    if (pagesMax < Number.POSITIVE_INFINITY)
      t.ok(compared.pagesAgain <= pagesMax, `${compared.pagesAgain} pages again`);
    else t.ok(compared.pagesAgain > 100, `all ${compared.pagesAgain} pages again`);
    for (const key of ['key:17', 'key:33333', 'another']) {
      const copies = await copiesOf(pool, key);
      t.equal(new Set(copies).size, 1, key);
      t.match(copies[0], `new ${version} `);
    }
  }
  const compared = await compareOnce(visit, visit.links, bulk);
  t.match(compared, { copies: 'equal', ranges: 0, pagesAgain: 0, behind: 0 });
});

t.test('whichever answer is missing, copies are not said to be equal that are not', async (t) => {
  const pool = await TestPool.start(t, EVENTUAL);
  const care = pool.care({ isLeader: false });
  await untilMembers(care);
  const bulk = new BulkPool();
  const visit = await visitPool(pool.pool);
  t.teardown(async () => {
    endVisit(visit);
    await bulk.destroy();
  });
  let version = 1;
  /** Whether no answer was missing: then there are not so many. */
  const compareWithout = async (node: number, nth: number, holders: readonly number[], isForGood: boolean) => {
    version += 2;
    await pool.put([0, 1, 2], 'a', version, 'old');
    await pool.put(holders, 'a', version + 1, 'new');
    const { links, asked } = linksWithout(visit.links, node, nth, isForGood);
    const { copies, isWhole, behind, mended } = await compareOnce(visit, links, bulk);
    const isEqual = new Set(await copiesOf(pool, 'a')).size === 1;
    const shown = `of n${node} answer ${nth}${isForGood ? ' …' : ''}: ${copies}, ${behind} behind, ${mended} mended`;
    if (asked() < nth) {
      t.ok(copies === 'equal' && isEqual && mended > 0, shown);
      return true;
    }
    t.ok(isEqual || copies !== 'equal', shown);
    t.ok(isEqual || mended === 0, 'what was not mended is not counted');
    t.ok(!isWhole || behind > mended || isEqual, 'and what is not known is said');
    return false;
  };
  for (const [holders, isForGood] of [
    [[1], false],
    [[1, 2], true],
  ] as const) {
    for (const node of [0, 1, 2]) {
      let nth = 1;
      while (!(await compareWithout(node, nth, holders, isForGood))) nth++;
    }
  }
});
