/** `ringleader doctor` and `inspect`, on real Redis servers. */
import t, { type Test } from 'tap';
import { type Diagnosis, examine } from '../../src/control/doctor.js';
import { reportKey } from '../../src/control/key-report.js';
import { type PoolOptions, TestPool, untilCare, untilEvent, untilMembers } from '../help/replicated-pool.js';

function ask(pool: TestPool, repair = false): Promise<Diagnosis> {
  return examine(pool.pool, false, { repair, acceptLoss: false });
}

/** A pool whose nodes are members, and that nobody cares for. */
async function startMembers(t: Test, options: PoolOptions = {}): Promise<TestPool> {
  const pool = await TestPool.start(t, options);
  const care = pool.care();
  await untilMembers(care);
  await care.stop();
  return pool;
}

t.test('equal copies are well', async (t) => {
  const pool = await startMembers(t);
  await pool.put([0, 1, 2], 'a', 1, 'value');
  await pool.put([0, 1, 2], 'gone', 2, null);
  const { isWell, lines } = await ask(pool);
  t.ok(isWell);
  t.same(lines, ['pool main', '  n0: member', '  n1: member', '  n2: member', '  2 keys compared, 0 differ']);
});

t.test('keys are compared at a pace, and how far that is can be seen', async (t) => {
  const pool = await startMembers(t);
  await pool.fill([0, 1, 2], 1000);
  await pool.ask(2, 'SET', 'key:7', 'written past the proxies');
  const told: string[] = [];
  const startMs = performance.now();
  const orders = { repair: false, acceptLoss: false, keysPerSecond: 1000, tell: (text: string) => told.push(text) };
  const { lines } = await examine(pool.pool, false, orders);
  const tookMs = performance.now() - startMs;
  t.match(lines[4], '1000 keys compared, 1 differ');
  // Each is compared once; and looked at as one of the metas and of the values of three nodes, ten of which count as one.
  t.ok(tookMs > 1400, `1600 keys' worth of work took ${tookMs} ms`);
  const parts = told.map((text) => {
    const [, part, node, keys] = /^pool main: (\d+) %, at (n\d), (\d+) keys compared, [01] differ$/.exec(text) ?? [];
    return [Number(node?.slice(1)), Number(part), Number(keys)] as const;
  });
  t.ok(parts.length >= 30, `it was told ${parts.length} times`);
  for (const [at, [node, part, keys]] of parts.entries()) {
    const [nodeBefore, partBefore, keysBefore] = parts[at - 1] ?? [0, 0, 0];
    if (!(node >= nodeBefore && part >= partBefore && keys >= keysBefore)) t.fail(`it only grows: ${told.join()}`);
  }
  t.match(told.at(-1), /^pool main: 100 %, at n2, 1000 keys compared, 1 differ$/);
});

t.test('what members have in another order is equal', async (t) => {
  const pool = await startMembers(t);
  const members = Array.from({ length: 300 }, (_, index) => `member ${index}`);
  await pool.put([0, 1, 2], 'set', 1, null);
  for (const node of [0, 1, 2]) {
    await pool.ask(node, 'SADD', 'set', ...(node === 0 ? members : members.toReversed()));
    await pool.ask(node, 'SET', '~rl:m:set', ((await pool.text(node, 'GET', '~rl:m:set')) ?? '').replace(/00$/, '10'));
  }
  t.match((await ask(pool)).lines.at(-1), /1 keys compared, 0 differ/);
});

t.test('a copy that is behind is told, and brought up to date', async (t) => {
  const pool = await startMembers(t);
  await pool.put([0, 1, 2], 'a', 1, 'old');
  await pool.put([0, 1], 'a', 2, 'new');
  await pool.put([1, 2], 'b', 3, 'value');
  const { isWell, lines } = await ask(pool);
  t.notOk(isWell);
  t.same(lines.slice(4).sort(), ['  "a": n2 is behind', '  "b": n0 is behind', '  2 keys compared, 2 differ']);
  const mended = await ask(pool, true);
  t.ok(mended.isWell, mended.lines.join('\n'));
  t.match(mended.lines[4], /2 differ, 2 mended/);
  t.equal(await pool.text(2, 'GET', 'a'), 'new');
  t.equal(await pool.text(0, 'GET', 'b'), 'value');
  t.match((await ask(pool)).lines.at(-1), /2 keys compared, 0 differ/);
});

t.test('locks are not compared, where they belong', async (t) => {
  const pool = await startMembers(t, { nodes: 4, locks: 'lock:' });
  await pool.put([0, 1, 2], 'a', 1, 'value');
  const keys = Array.from({ length: 20 }, (_, index) => `lock:${index}`);
  const stray: string[] = [];
  for (const key of keys) {
    const nodes = [0, 1, 2, 3].filter((node) => pool.pool.isLockOn(node, Buffer.from(key)));
    t.equal(nodes.length, 3);
    await pool.ask(nodes[0] as number, 'SET', key, 'token');
    if (nodes.includes(3)) continue;
    await pool.ask(3, 'SET', key, 'token');
    stray.push(`  "${key}": n3 has it, and should not`);
  }
  t.ok(stray.length > 0 && stray.length < keys.length);
  const { lines } = await ask(pool);
  t.same(lines.filter((line) => line.includes('lock:')).sort(), stray.sort());
});

t.test('equal ballots with different values are told, and all get what most have', async (t) => {
  const pool = await startMembers(t);
  await pool.put([0, 1, 2], 'a', 1, 'value');
  await pool.ask(0, 'SET', 'a', 'written past the proxies');
  const { lines } = await ask(pool);
  t.equal(lines.at(-1), '  "a": n0 has another value under the same ballot');
  const mended = await ask(pool, true);
  t.ok(mended.isWell, mended.lines.join('\n'));
  t.equal(await pool.text(0, 'GET', 'a'), 'value');
});

t.test('a value that no proxy wrote is told, and left alone', async (t) => {
  const pool = await startMembers(t);
  await pool.ask(1, 'SET', 'stray', 'value');
  const { isWell, lines } = await ask(pool, true);
  t.notOk(isWell);
  t.equal(lines.at(-1), '  "stray": n1 has a value that no proxy wrote');
  t.equal(await pool.text(1, 'GET', 'stray'), 'value');
});

t.test('a node that does not answer is told, and that a quorum is missing', async (t) => {
  const pool = await startMembers(t);
  await pool.server(1).kill9();
  const one = await ask(pool);
  t.notOk(one.isWell);
  t.match(one.lines, ['pool main', '  n0: member', /n1: does not answer: .*ECONNREFUSED/]);
  await pool.server(2).kill9();
  await pool.server(2).restart();
  const two = await ask(pool);
  t.match(two.lines.join('\n'), /n2: no member: it was never admitted\n {2}1 of 1 sets of nodes have too few members/);
});

t.test('where two of three are lost, the operator may go on with what the third has', async (t) => {
  const pool = await startMembers(t);
  await pool.put([0, 1, 2], 'a', 1, 'value');
  await pool.put([1], 'only there', 2, 'value');
  await Promise.all([1, 2].map((node) => pool.server(node).kill9()));
  await pool.server(2).restart();
  const { isWell, lines } = await examine(pool.pool, false, { repair: false, acceptLoss: true });
  t.notOk(isWell, 'n1 does not answer');
  t.match(
    lines.join('\n'),
    /lost may be what only these had, which do not answer: n1\n {2}n2 is a member, with 1 keys/,
  );
  t.equal(await pool.text(2, 'GET', 'a'), 'value');
  await pool.server(1).restart();
  const care = pool.care();
  await untilEvent(care, 'repaired', ({ node }) => node === 'n1');
  await untilMembers(care);
  t.equal(await pool.text(1, 'GET', 'a'), 'value');
});

t.test('where all were restarted with their data, the operator may go on with these', async (t) => {
  const pool = await startMembers(t, { server: { args: ['--appendonly', 'yes', '--appendfsync', 'always'] } });
  await pool.put([0, 1, 2], 'a', 1, 'value');
  await Promise.all([0, 1, 2].map((node) => pool.server(node).kill9()));
  await Promise.all([0, 1, 2].map((node) => pool.server(node).restart()));
  const care = pool.care();
  await untilCare(care, 'all are strangers', ({ nodes }) => nodes.every(({ standing }) => standing === 'stranger'));
  await untilEvent(care, 'no-quorum');
  const { isWell, lines } = await examine(pool.pool, false, { repair: false, acceptLoss: true });
  t.ok(isWell, lines.join('\n'));
  t.match(lines[1], 'n0 is a member as it is, with the data that it has');
  await untilMembers(care);
  t.equal(await pool.text(1, 'GET', 'a'), 'value');
  // And repairs go on, with epochs above the one that the operator made.
  await pool.ask(2, 'FLUSHALL');
  await untilEvent(care, 'repaired', ({ node, epoch }) => node === 'n2' && Number(epoch) > 1);
});

/** As a node says that gives up its state, or as a repair leaves it that comes to no end. */
async function leaveUnfinished(pool: TestPool, node: number): Promise<void> {
  const record = (await pool.text(node, 'GET', '~rl:node')) ?? '';
  await pool.ask(node, 'SET', '~rl:node', record.replace('1 member', '1 repairing:0'));
}

t.test('where all are under repair, the operator may go on with the largest that is left', async (t) => {
  const pool = await startMembers(t);
  await pool.put([0, 1, 2], 'a', 1, 'old');
  await pool.put([1], 'a', 2, 'new');
  await pool.put([0], 'first', 3, 'only there');
  await pool.put([1], 'second', 4, 'only there');
  await pool.put([2], 'third', 5, 'only there');
  await pool.ask(0, 'SET', 'stray', "a state that is nobody's");
  for (const node of [0, 1, 2]) await leaveUnfinished(pool, node);
  const { lines } = await examine(pool.pool, false, { repair: false, acceptLoss: true });
  t.match(lines.join('\n'), /n0 is a member, with what it had, and 0 keys/);
  t.match(lines.join('\n'), /n1 is a member, with what it had, and 1 keys/);
  t.match(lines.join('\n'), /n2 is not needed, and is to be repaired: what only it has is given up/);
  t.equal(await pool.text(0, 'GET', 'stray'), null);
  const care = pool.care();
  await untilEvent(care, 'repaired', ({ node }) => node === 'n2');
  await untilMembers(care);
  t.equal(await pool.text(2, 'GET', 'a'), 'new');
  t.equal(await pool.text(2, 'GET', 'first'), 'only there');
  t.equal(await pool.text(2, 'GET', 'second'), 'only there');
  t.equal(await pool.text(2, 'GET', 'third'), null);
});

t.test('what an unfinished repair has left is not outvoted by nodes that are empty', async (t) => {
  const pool = await startMembers(t);
  await pool.put([2], 'a', 1, 'value');
  await leaveUnfinished(pool, 2);
  await Promise.all([0, 1].map((node) => pool.server(node).kill9()));
  await Promise.all([0, 1].map((node) => pool.server(node).restart()));
  await pool.ask(1, 'SET', 'stray', 'value');
  const { lines } = await examine(pool.pool, false, { repair: false, acceptLoss: true });
  t.match(lines.join('\n'), /n2 is a member, with what it had/);
  t.match(lines.join('\n'), /n0 is a member, with 1 keys/);
  t.equal(await pool.text(0, 'GET', 'a'), 'value');
  const care = pool.care();
  await untilMembers(care);
  t.equal(await pool.text(1, 'GET', 'a'), 'value');
  t.equal(await pool.text(1, 'GET', 'stray'), null);
});

t.test('where a quorum is left there is no loss to accept', async (t) => {
  const pool = await startMembers(t);
  await pool.server(2).kill9();
  await pool.server(2).restart();
  const { lines } = await examine(pool.pool, false, { repair: false, acceptLoss: true });
  t.match(lines[1], /there is no loss to accept/);
  t.equal(await pool.text(2, 'GET', '~rl:node'), null);
});

t.test('inspect shows the copies of a key, and who would answer', async (t) => {
  const pool = await startMembers(t);
  await pool.put([0, 1], 'a', 5, 'value');
  await pool.put([2], 'a', 4, 'old');
  const report = (await reportKey(pool.pool, Buffer.from('a'))) ?? '';
  t.match(report, /3 copies in pool main, 2 decide/);
  t.match(report, / n0: accepted 0\.5\.7{20}; has a value\n/);
  t.match(report, / n2: accepted 0\.4\.7{20}; has a value\n/);
  t.match(report, /answered in one round trip by (n0, n1|n1, n0)$/);
  await pool.put([0, 1, 2], 'far', 1, 'value');
  await pool.ask(0, 'APPEND', '~rl:m:far', '9223372036854775807');
  await pool.ask(1, 'APPEND', '~rl:m:far', '4102444800000');
  const far = (await reportKey(pool.pool, Buffer.from('far'))) ?? '';
  t.match(far, / n0: .*, expires 9223372036854775807 ms after 1970 began\n/);
  t.match(far, / n1: .*, expires 2100-01-01T00:00:00\.000Z\n/);
  await pool.put([1], 'a', 6, 'newer');
  t.match(await reportKey(pool.pool, Buffer.from('a')), /answered after a round/);
  await Promise.all([0, 1].map((node) => pool.server(node).kill9()));
  t.match(await reportKey(pool.pool, Buffer.from('a')), /n0: .*DOES NOT COUNT: [\s\S]*too few count: -NOQUORUM$/);
});
