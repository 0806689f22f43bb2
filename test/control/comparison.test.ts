/** Keys of consistency eventual on real servers, as those who care for the nodes compare and mend them. */
import t from 'tap';
import { parseNodeRecord } from '../../src/replica/node-record.js';
import { type PoolOptions, TestPool, untilCare, untilEvent, untilMembers } from '../help/replicated-pool.js';

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
    ({ comparison }) => (comparison?.equalAt ?? '') > beganAt,
  );
  t.match(comparison, { isWhole: true, keys: 3_004, ranges: 0, behind: 0, mended: 0 });
  const told = care.events.filter(({ msg }) => msg === 'compared');
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

t.test('what is deleted is forgotten, and what has expired deleted, without a round', async (t) => {
  const pool = await TestPool.start(t, { ...EVENTUAL, tombstoneTtlMs: 1_000 });
  const care = pool.care();
  await untilMembers(care);
  await pool.put([0, 1], 'deleted', 5, 'x');
  await pool.put([2], 'deleted', 6, null);
  const beganMs = Date.now();
  for (const node of [0, 1, 2]) {
    await pool.put([node], 'expiring', 7, 'x');
    await pool.ask(node, 'PEXPIREAT', 'expiring', `${beganMs + 500}`);
    const meta = (await pool.text(node, 'GET', '~rl:m:expiring')) ?? '';
    await pool.ask(node, 'SET', '~rl:m:expiring', `${meta.slice(0, -1)}${beganMs + 500}`);
  }
  await untilCare(care, 'they are forgotten', ({ sweep }) => sweep.collected >= 2 && sweep.expired >= 1);
  for (const key of ['deleted', 'expiring']) t.same(await copiesOf(pool, key), [null, null, null]);
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
