/** Members of a pool of replicated keys, and their repair, on real Redis servers. */
import t, { type Test } from 'tap';
import { examine } from '../../src/control/doctor.js';
import { BALLOT_DIGITS } from '../../src/replica/ballot.js';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import { parseNodeRecord } from '../../src/replica/node-record.js';
import { type CareProcess, isMember, TestPool, untilCare, untilEvent, untilMembers } from '../help/replicated-pool.js';
import { RespClient } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

// They wait for most of their time.
t.jobs = 4;

t.test('empty servers become the members of a pool without being told to', async (t) => {
  const pool = await TestPool.start(t);
  const care = pool.care();
  await untilMembers(care);
  const records = await Promise.all([0, 1, 2].map((node) => pool.text(node, 'GET', '~rl:node')));
  for (const [node, record] of records.entries()) {
    t.match(parseNodeRecord(record ?? ''), {
      name: `n${node}`,
      clusterId: care.caretaker.care().clusterId,
      admission: { epoch: 0, count: 1 },
      status: { kind: 'member' },
    });
  }
});

t.test('a member that was restarted empty gets back what the others have', async (t) => {
  const pool = await TestPool.start(t);
  const care = pool.care();
  await untilMembers(care);
  await pool.put([0, 1, 2], 'a', 1, 'value of a');
  await pool.put([0, 1], 'b', 2, 'value of b');
  await pool.put([0, 1, 2], 'gone', 3, null);
  await pool.put([0], 'half', 4, 'accepted by one');
  await pool.server(2).kill9();
  await untilCare(care, 'it is missed', ({ nodes }) => nodes[2]?.standing === 'silent');
  await pool.server(2).restart();
  const { epoch } = await untilEvent(care, 'repaired');
  await untilMembers(care);
  t.equal(epoch, 1);
  t.equal(await pool.text(2, 'GET', 'a'), 'value of a');
  t.equal(await pool.text(2, 'GET', 'b'), 'value of b');
  t.equal(await pool.text(2, 'GET', 'gone'), null);
  t.match(await pool.text(2, 'GET', '~rl:m:gone'), /00$/);
  t.equal(await pool.text(2, 'GET', 'half'), 'accepted by one', 'what one member had was settled');
  t.equal(await pool.text(1, 'GET', 'half'), 'accepted by one');
  const [settled, given] = await Promise.all([1, 2].map((node) => pool.text(node, 'GET', '~rl:m:half')));
  t.match(settled?.slice(BALLOT_DIGITS * 2), /^10\d{40}10$/, 'it stands on what that member had');
  t.equal(given?.slice(BALLOT_DIGITS), settled?.slice(BALLOT_DIGITS), 'and the repaired node says so, too');
  for (const node of [0, 1, 2]) t.match(await pool.text(node, 'GET', '~rl:floor'), /^00000001/, 'all are raised');
  t.match(parseNodeRecord((await pool.text(2, 'GET', '~rl:node')) ?? ''), { admission: { epoch: 1, count: 0 } });
});

t.test('servers with data of their own become members when they are emptied, and not before', async (t) => {
  const pool = await TestPool.start(t);
  await pool.ask(0, 'SET', 'stray', 'value');
  const other = await RespClient.connect(pool.server(2).port);
  t.teardown(() => other.close());
  await other.raw('SELECT', '3');
  await other.raw('MSET', 'a', 'value', 'b', 'value');
  const care = pool.care();
  const { reason } = await untilEvent(care, 'replica-waits');
  t.match(reason, /all nodes must be empty; n0 has 1 keys, n2 has 2 keys: empty them/);
  const { lines } = await examine(pool.pool, false, { repair: false, acceptLoss: false });
  t.match(lines.join('\n'), /n1: no member: .*n0 has 1 keys/);
  for (const node of [0, 1, 2]) t.equal(await pool.text(node, 'GET', '~rl:node'), null);
  t.equal(await pool.text(0, 'GET', 'stray'), 'value', 'nothing was touched');
  await pool.ask(0, 'DEL', 'stray');
  await pool.ask(2, 'FLUSHALL');
  await untilMembers(care);
});

const WITH_FILE = { args: ['--appendonly', 'yes', '--appendfsync', 'always'] };

t.test('a member that was restarted with its data, and missed something meanwhile, gets what it missed', async (t) => {
  const pool = await TestPool.start(t, { server: WITH_FILE });
  const care = pool.care();
  await untilMembers(care);
  await pool.put([0, 1, 2], 'kept', 1, 'value');
  await pool.put([0, 1, 2], 'changed', 2, 'old');
  await pool.put([2], 'never chosen', 3, 'value');
  await pool.server(2).kill9();
  await pool.put([0, 1], 'changed', 4, 'new');
  await pool.put([0, 1], 'added', 5, 'value');
  await pool.server(2).restart();
  const repaired = await untilEvent(care, 'repaired');
  // The two, and the register that the epoch was drawn from.
  t.match(repaired, { keysReplaced: 3, keysDropped: 1 });
  t.equal(await pool.text(2, 'GET', 'kept'), 'value');
  t.equal(await pool.text(2, 'GET', 'changed'), 'new');
  t.equal(await pool.text(2, 'GET', 'added'), 'value');
  t.equal(await pool.text(2, 'GET', 'never chosen'), null);
  t.equal(await pool.text(2, 'GET', '~rl:m:never chosen'), null);
});

t.test('where restarts keep the data, a member comes back without a repair', async (t) => {
  const pool = await TestPool.start(t, { server: WITH_FILE });
  const care = pool.care({ keepsData: true });
  await untilMembers(care);
  await pool.server(2).kill9();
  await untilCare(care, 'it is missed', ({ nodes }) => nodes[2]?.standing === 'silent');
  await pool.server(2).restart();
  await untilEvent(care, 'replica-admitted', ({ as }) => as === 'restarted');
  await untilMembers(care);
  t.match(parseNodeRecord((await pool.text(2, 'GET', '~rl:node')) ?? ''), { admission: { epoch: 0, count: 2 } });
  t.notOk(care.events.some(({ msg }) => msg === 'repaired'));
});

t.test('where restarts are said to keep the data, settings that could lose some are not believed', async (t) => {
  const pool = await TestPool.start(t, { server: { args: ['--appendonly', 'yes', '--appendfsync', 'everysec'] } });
  const care = pool.care({ keepsData: true });
  await untilMembers(care);
  await pool.server(2).kill9();
  await pool.server(2).restart();
  await untilEvent(care, 'replica-stranger', ({ reason }) => /appendfsync is everysec/.test(String(reason)));
  await untilEvent(care, 'repaired');
  await untilMembers(care);
});

t.test('a member that was a replica in between is repaired: it has what another server had', async (t) => {
  const pool = await TestPool.start(t);
  const other = await TestPool.start(t, { server: { args: ['--repl-diskless-sync-delay', '0'] } });
  const care = pool.care();
  await untilMembers(care);
  await pool.put([0, 1, 2], 'a', 1, 'value');
  await other.put([0], 'b', 2, 'of another server');
  // Even with the node's own record, as a replica of it has that: the replid is another.
  await other.ask(0, 'SET', '~rl:node', (await pool.text(2, 'GET', '~rl:node')) ?? '');
  await pool.ask(2, 'REPLICAOF', '127.0.0.1', String(other.server(0).port));
  await untilCare(care, 'it is a replica', ({ nodes }) => nodes[2]?.standing === 'refused');
  await waitFor('its data are copied', async () => (await pool.text(2, 'GET', 'b')) !== null);
  await pool.ask(2, 'REPLICAOF', 'NO', 'ONE');
  await untilEvent(care, 'replica-stranger', ({ reason }) => reason === 'it was a replica in between');
  await untilEvent(care, 'repaired', ({ node }) => node === 'n2');
  await untilMembers(care);
  t.match(parseNodeRecord((await pool.text(2, 'GET', '~rl:node')) ?? ''), { name: 'n2', admission: { epoch: 1 } });
  t.equal(await pool.text(2, 'GET', 'a'), 'value');
  t.equal(await pool.text(2, 'GET', 'b'), null);
});

t.test('a member that somebody flushed is repaired at once', async (t) => {
  const pool = await TestPool.start(t);
  const care = pool.care();
  await untilMembers(care);
  await pool.put([0, 1, 2], 'a', 1, 'value');
  await pool.ask(1, 'FLUSHALL');
  await untilEvent(care, 'repaired', ({ node }) => node === 'n1');
  await untilMembers(care);
  t.equal(await pool.text(1, 'GET', 'a'), 'value');
});

t.test('a flush of another database voids connections, and no data', async (t) => {
  const pool = await TestPool.start(t);
  const care = pool.care();
  await untilMembers(care);
  const before = care.events.length;
  await pool.ask(1, 'FLUSHDB');
  await untilEvent(care, 'repaired', ({ node }) => node === 'n1');
  await untilMembers(care);
  const record = await pool.text(0, 'GET', '~rl:node');
  const client = await RespClient.connect(pool.server(0).port);
  t.teardown(() => client.close());
  await client.raw('SELECT', '1');
  await client.raw('FLUSHDB');
  await untilMembers(care);
  t.equal(await pool.text(0, 'GET', '~rl:node'), record);
  t.notOk(care.events.slice(before).some(({ msg, node }) => msg === 'replica-stranger' && node === 'n0'));
});

t.test('a node that allows DEBUG has no part in a pool', async (t) => {
  const pool = await TestPool.start(t, { server: { args: ['--enable-debug-command', 'local'] } });
  const care = pool.care();
  const { reason } = await untilEvent(care, 'replica-waits', ({ reason }) => /DEBUG/.test(String(reason)));
  t.match(reason, /n0: its enable-debug-command is not no/);
  t.equal(await pool.text(0, 'GET', '~rl:node'), null);
});

t.test('a node that may evict keys is not admitted, and a member that may is told of', async (t) => {
  const pool = await TestPool.start(t);
  await pool.ask(1, 'CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
  const first = pool.care();
  const { nodes } = await untilCare(first, 'the others wait', ({ nodes }) => nodes[0]?.standing === 'waiting');
  t.match(nodes[1], { standing: 'refused', reason: /^its maxmemory-policy is allkeys-lru, not noeviction/ });
  await first.stop();
  await pool.ask(1, 'CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
  const second = pool.care();
  await untilMembers(second);
  await second.stop();
  await pool.ask(2, 'CONFIG', 'SET', 'maxmemory-policy', 'volatile-lru');
  const third = pool.care();
  t.match(await untilEvent(third, 'replica-unfit'), { node: 'n2', reason: /volatile-lru/ });
  await untilMembers(third);
});

t.test('nodes without memory stay members, and what they have is copied to one that has memory', async (t) => {
  const pool = await TestPool.start(t);
  const care = pool.care();
  await untilMembers(care);
  await pool.put([0, 1, 2], 'a', 1, 'value');
  for (const node of [0, 1]) await pool.ask(node, 'CONFIG', 'SET', 'maxmemory', '1');
  t.match(await pool.ask(0, 'SET', 'x', 'y'), /^-OOM /);
  await pool.server(2).kill9();
  await pool.server(2).restart();
  await untilEvent(care, 'repaired', ({ node }) => node === 'n2');
  t.equal(await pool.text(2, 'GET', 'a'), 'value');
  // Who comes anew can look at them, too.
  await care.stop();
  await pool.ask(2, 'CONFIG', 'SET', 'maxmemory', '1');
  await untilMembers(pool.care());
});

t.test('two who care for a pool repair a node together', async (t) => {
  const pool = await TestPool.start(t, { limits: { repairKeysPerSecond: 2_000 } });
  const one = pool.care();
  const other = pool.care();
  await Promise.all([untilMembers(one), untilMembers(other)]);
  await pool.fill([0, 1, 2], 3_000);
  await pool.server(2).kill9();
  await pool.server(2).restart();
  await Promise.race([untilEvent(one, 'repaired'), untilEvent(other, 'repaired')]);
  await Promise.all([untilMembers(one), untilMembers(other)]);
  t.equal(await pool.ask(2, 'DBSIZE'), await pool.ask(1, 'DBSIZE'));
  const repaired = [...one.events, ...other.events].filter(({ msg }) => msg === 'repaired');
  t.equal(repaired.length, 1, 'and only one of them');
});

t.test('a repair that was interrupted is begun again, and what was copied is not copied again', async (t) => {
  const pool = await TestPool.start(t, { limits: { repairKeysPerSecond: 1_000 } });
  const first = pool.care();
  await untilMembers(first);
  await pool.fill([0, 1, 2], 3_000);
  await pool.server(2).kill9();
  await pool.server(2).restart();
  const halfway = await untilCare(
    first,
    'it has copied some',
    ({ nodes }) => (nodes[2]?.repair?.keysReplaced ?? 0) >= 1_000,
  );
  t.equal(halfway.nodes[2]?.standing, 'repairing');
  t.match(halfway.nodes[2]?.repair, { epoch: 1 });
  await first.stop();
  t.ok(first.events.some(({ msg }) => msg === 'repair-stopped'));
  const copied = Number((await pool.ask(2, 'DBSIZE')).slice(1)) / 2;
  t.ok(copied >= 1_000 && copied < 2_900, `${copied} were copied`);
  t.match(parseNodeRecord((await pool.text(2, 'GET', '~rl:node')) ?? ''), { status: { kind: 'repairing', epoch: 1 } });
  const second = pool.care();
  const { keysReplaced, epoch } = await untilEvent(second, 'repaired');
  t.ok(Number(keysReplaced) <= 3_002 - copied + 1, `${keysReplaced} were copied then`);
  t.equal(epoch, 2);
  await untilMembers(second);
  t.equal(await pool.text(2, 'GET', 'key:2999'), 'value 2999');
});

t.test('a node under repair is left to who repairs it', async (t) => {
  const pool = await TestPool.start(t, { limits: { repairKeysPerSecond: 1_000 } });
  const first = pool.care();
  await untilMembers(first);
  await pool.fill([0, 1, 2], 2_000);
  await pool.server(2).kill9();
  await pool.server(2).restart();
  await untilCare(first, 'it is at work', ({ nodes }) => (nodes[2]?.repair?.keysReplaced ?? 0) > 0);
  const second = pool.care();
  await untilEvent(first, 'repaired');
  await untilMembers(second);
  t.notOk(second.events.some(({ msg }) => msg === 'repaired' || msg === 'repair-failed'));
});

t.test('a node of another cluster has no say in the repairs of a pool, and is told nothing of them', async (t) => {
  const pool = await TestPool.start(t, { nodes: 5, copies: 5 });
  const care = pool.care();
  await untilMembers(care);
  await pool.put([0], 'half', 1, 'accepted by one');
  await care.stop();
  const other = await TestPool.start(t, { nodes: 5, copies: 5 });
  const otherCare = other.care();
  await untilMembers(otherCare);
  await otherCare.stop();
  // Its own record is that of n3, too.
  const mixed = await TestPool.of(t, [...pool.servers.slice(0, 3), other.server(3), pool.server(4)], {
    nodes: 5,
    copies: 5,
  });
  await pool.server(4).kill9();
  await pool.server(4).restart();
  const mixedCare = mixed.care();
  await untilEvent(mixedCare, 'repaired', ({ node }) => node === 'n4');
  t.equal(await mixed.text(4, 'GET', 'half'), 'accepted by one');
  t.match(await mixed.text(2, 'GET', '~rl:m:~rl:epoch'), /10$/);
  for (const key of ['~rl:m:half', '~rl:m:~rl:epoch', '~rl:epoch']) t.equal(await mixed.text(3, 'GET', key), null, key);
});

t.test('a node of another cluster is refused by name, and not touched', async (t) => {
  const pool = await TestPool.start(t);
  const other = await TestPool.start(t);
  const cares = [pool.care(), other.care()];
  for (const care of cares) await untilMembers(care);
  for (const care of cares) await care.stop();
  await other.put([2], 'theirs', 1, 'value');
  const mixed = await TestPool.of(t, [pool.server(0), pool.server(1), other.server(2)]);
  const care = mixed.care();
  const { node, reason } = await untilEvent(care, 'replica-refused');
  t.equal(node, 'n2');
  t.match(reason, /node n2 belongs to cluster \S+, and this pool is cluster \S+/);
  await untilCare(care, 'the others are members', ({ nodes }) => nodes.filter(isMember).length === 2);
  t.equal(await other.text(2, 'GET', 'theirs'), 'value');
});

t.test('without a quorum nothing is repaired, and that is said; with one it is', async (t) => {
  const pool = await TestPool.start(t, { limits: { requestTimeoutMs: 500, connectTimeoutMs: 500 } });
  const care = pool.care();
  await untilMembers(care);
  await pool.put([0, 1], 'a', 1, 'value');
  pool.server(1).pause();
  await pool.server(2).kill9();
  await pool.server(2).restart();
  const { sets, example } = await untilEvent(care, 'no-quorum');
  t.equal(sets, 1);
  t.same([...(example as string[])].sort(), ['n0', 'n1', 'n2']);
  t.equal(care.caretaker.care().withoutQuorum.length, 1);
  t.equal(await pool.text(2, 'GET', '~rl:node'), null);
  pool.server(1).resume();
  await untilEvent(care, 'repaired');
  await untilMembers(care);
  await untilEvent(care, 'quorum');
  t.equal(await pool.text(2, 'GET', 'a'), 'value');
});

t.test('of five copies two may be lost, and both get them back', async (t) => {
  const pool = await TestPool.start(t, { nodes: 5, copies: 5 });
  const care = pool.care();
  await untilMembers(care);
  await pool.put([0, 1, 2], 'a', 1, 'value');
  await Promise.all([3, 4].map((node) => pool.server(node).kill9()));
  await Promise.all([3, 4].map((node) => pool.server(node).restart()));
  for (const name of ['n3', 'n4']) await untilEvent(care, 'repaired', ({ node }) => node === name);
  await untilMembers(care);
  for (const node of [3, 4]) t.equal(await pool.text(node, 'GET', 'a'), 'value');
});

t.test('a repair copies every type, and expiries', async (t) => {
  const pool = await TestPool.start(t);
  const care = pool.care();
  await untilMembers(care);
  const expireAt = Date.now() + 3_600_000;
  const makers: Record<string, string[]> = {
    hash: ['HSET', 'hash', 'a', '1'],
    list: ['RPUSH', 'list', 'a', 'b'],
    set: ['SADD', 'set', 'a', 'b'],
    zset: ['ZADD', 'zset', '1', 'a'],
    stream: ['XADD', 'stream', '1-1', 'a', '1'],
  };
  for (const [key, words] of Object.entries(makers)) {
    await pool.put([0, 1], key, 1, null);
    for (const node of [0, 1]) {
      await pool.ask(node, ...words);
      await pool.ask(node, 'PEXPIREAT', key, String(expireAt));
      const accepted = `${'0'.repeat(8)}${'1'.padStart(12, '0')}${'7'.repeat(20)}`;
      await pool.ask(node, 'SET', `~rl:m:${key}`, `${accepted}${accepted}${NO_LINEAGE}1${expireAt}`);
    }
  }
  await pool.ask(2, 'FLUSHALL');
  await untilEvent(care, 'repaired', ({ node }) => node === 'n2');
  for (const key of Object.keys(makers)) {
    t.equal(await pool.ask(2, 'TYPE', key), `+${key}\r\n`);
    t.equal(await pool.ask(2, 'PEXPIRETIME', key), `:${expireAt}\r\n`);
    t.equal(await pool.ask(2, 'GET', `~rl:m:${key}`), await pool.ask(0, 'GET', `~rl:m:${key}`));
  }
});

t.test('an expiry that members had to settle first is kept', async (t) => {
  const pool = await TestPool.start(t);
  const care = pool.care();
  await untilMembers(care);
  const expireAt = Date.now() + 3_600_000;
  await pool.put([0], 'half', 4, 'value');
  await pool.ask(0, 'PEXPIREAT', 'half', String(expireAt));
  const accepted = `${'0'.repeat(8)}${'4'.padStart(12, '0')}${'7'.repeat(20)}`;
  await pool.ask(0, 'SET', '~rl:m:half', `${accepted}${accepted}${NO_LINEAGE}1${expireAt}`);
  await pool.ask(2, 'FLUSHALL');
  await untilEvent(care, 'repaired', ({ node, keysSettled }) => node === 'n2' && keysSettled === 1);
  for (const node of [0, 1, 2]) {
    t.equal(await pool.ask(node, 'PEXPIRETIME', 'half'), `:${expireAt}\r\n`);
    t.match(await pool.text(node, 'GET', '~rl:m:half'), new RegExp(`1${expireAt}$`));
  }
});

t.test('what is deleted is forgotten, and what expired is deleted, when nobody has touched it for long', async (t) => {
  const pool = await TestPool.start(t, { tombstoneTtlMs: 1_000 });
  const care = pool.care();
  await untilMembers(care);
  await pool.put([0, 1, 2], 'gone', 7, null);
  await pool.put([0, 1, 2], 'kept', 8, 'value');
  const accepted = `${'0'.repeat(8)}${'9'.padStart(12, '0')}${'7'.repeat(20)}`;
  for (const node of [0, 1, 2]) {
    // Long ago: the value is gone by itself.
    await pool.ask(node, 'SET', '~rl:m:expired', `${accepted}${accepted}${NO_LINEAGE}11000`);
  }
  await untilCare(care, 'the sweep', ({ sweep }) => sweep.collected >= 2 && sweep.expired >= 1);
  for (const node of [0, 1, 2]) {
    t.equal(await pool.text(node, 'GET', '~rl:m:gone'), null);
    t.equal(await pool.text(node, 'GET', '~rl:m:expired'), null);
    t.equal(await pool.text(node, 'GET', 'kept'), 'value');
    const floor = (await pool.text(node, 'GET', '~rl:floor')) ?? '';
    t.ok(floor.slice(48) >= accepted, 'what was collected is remembered as a whole');
  }
});

t.test('fences of a lock are forgotten when nobody has asked for it for long', async (t) => {
  const pool = await TestPool.start(t, { locks: 'lock:', fenceTtlMs: 2_000 });
  const care = pool.care();
  await untilMembers(care);
  const [register, meta] = ['~rl:fence:lock:x', '~rl:m:~rl:fence:lock:x'];
  await pool.put([0, 1, 2], register, 7, '7 client token');
  await untilCare(care, 'it is deleted', ({ sweep }) => sweep.expired >= 1);
  await untilCare(care, 'it is collected', ({ sweep }) => sweep.collected >= 1);
  for (const node of [0, 1, 2]) {
    t.equal(await pool.text(node, 'GET', register), null);
    t.equal(await pool.text(node, 'GET', meta), null);
    const floor = (await pool.text(node, 'GET', '~rl:floor')) ?? '';
    t.ok(floor.slice(8, 48) > `${'0'.repeat(8)}${'7'.padStart(12, '0')}`, 'the next ballot is above it');
  }
});

t.test('what one copy has not deleted yet is not forgotten by the others', async (t) => {
  const pool = await TestPool.start(t, { tombstoneTtlMs: 1_000 });
  const care = pool.care();
  await untilMembers(care);
  await pool.server(2).kill9();
  await pool.put([0, 1], 'gone', 7, null);
  await untilCare(care, 'it is missed', ({ nodes }) => nodes[2]?.standing === 'silent');
  const { sweep } = care.caretaker.care();
  const passes = sweep.passes + 4;
  await untilCare(care, 'sweeps', ({ sweep }) => sweep.passes >= passes);
  t.equal(care.caretaker.care().sweep.collected, 0);
  t.ok(await pool.text(0, 'GET', '~rl:m:gone'));
});

const WEAK = { consistency: 'weak', reads: 1, writes: 1, allowsChanges: true } as const;

/** A pool of weak keys, of which one copy has acknowledged what the others have not got: `a`, and the deletion of `gone`. */
async function weakPool(t: Test): Promise<[TestPool, CareProcess]> {
  const pool = await TestPool.start(t, { tombstoneTtlMs: 1_000, level: WEAK });
  const care = pool.care();
  await untilMembers(care);
  await pool.put([1, 2], 'a', 7, 'old');
  await pool.put([0], 'a', 8, 'new');
  await pool.put([1, 2], 'gone', 7, 'old');
  await pool.put([0], 'gone', 8, null);
  return [pool, care];
}

/** What is at the three of them. */
function copiesOf(pool: TestPool, key: string): Promise<(string | null)[]> {
  return Promise.all([0, 1, 2].map((node) => pool.text(node, 'GET', key)));
}

/** A meta of which the value has expired, of that version, at these. */
async function expireAt(pool: TestPool, nodes: readonly number[], key: string, counter: number): Promise<void> {
  const accepted = `${'0'.repeat(8)}${String(counter).padStart(12, '0')}${'7'.repeat(20)}`;
  for (const node of nodes) await pool.ask(node, 'SET', `~rl:m:${key}`, `${accepted}${accepted}${NO_LINEAGE}11000`);
}

t.test('the sweep leaves weak keys whose copies differ as they are, and forgets what all have deleted', async (t) => {
  const [pool, care] = await weakPool(t);
  await pool.put([0, 1, 2], 'deleted', 9, null);
  await expireAt(pool, [0, 1, 2], 'expired', 9);
  const before = await Promise.all(['~rl:m:a', '~rl:m:gone'].map((meta) => copiesOf(pool, meta)));
  await untilCare(care, 'the sweep', ({ sweep }) => sweep.collected >= 2 && sweep.expired >= 1);
  const { passes } = care.caretaker.care().sweep;
  // What is looked at is touched by no sweep: after so many each key was old enough in one of them.
  await untilCare(care, 'sweeps', ({ sweep }) => sweep.passes >= passes + 4);
  for (const meta of ['~rl:m:deleted', '~rl:m:expired']) t.same(await copiesOf(pool, meta), [null, null, null], meta);
  t.same(await copiesOf(pool, 'a'), ['new', 'old', 'old']);
  t.same(await copiesOf(pool, 'gone'), [null, 'old', 'old']);
  t.same(await Promise.all(['~rl:m:a', '~rl:m:gone'].map((meta) => copiesOf(pool, meta))), before);
  t.match(care.caretaker.care().sweep, { settled: 0, unburied: 0 });
  t.ok(care.caretaker.care().sweep.differing >= 2);
});

t.test('expired weak keys are forgotten also when a repair has begun an epoch since they were written', async (t) => {
  const [pool, care] = await weakPool(t);
  await expireAt(pool, [0, 1, 2], 'expired', 9);
  await pool.ask(2, 'FLUSHALL');
  await untilEvent(care, 'repaired', ({ node }) => node === 'n2');
  await untilCare(care, 'the sweep', ({ sweep }) => sweep.collected >= 1 && sweep.expired >= 1);
  t.same(await copiesOf(pool, '~rl:m:expired'), [null, null, null]);
});

t.test('weak keys without a value are forgotten, whatever versions their copies have of that', async (t) => {
  const [pool, care] = await weakPool(t);
  await pool.put([0, 1], 'deleted', 9, null);
  await pool.put([2], 'deleted', 7, null);
  // Who would look first has not heard of it at all.
  await expireAt(pool, [1, 2], 'missed', 9);
  await expireAt(pool, [0], 'both', 8);
  await pool.put([1, 2], 'both', 7, null);
  await untilCare(care, 'the sweep', ({ sweep }) => sweep.collected >= 3);
  for (const meta of ['~rl:m:deleted', '~rl:m:missed', '~rl:m:both']) {
    t.same(await copiesOf(pool, meta), [null, null, null], meta);
  }
  t.same(await copiesOf(pool, 'a'), ['new', 'old', 'old']);
});

t.test('doctor --repair leaves weak keys as they are, and says so', async (t) => {
  const [pool, care] = await weakPool(t);
  await care.stop();
  const { isWell, lines } = await examine(pool.pool, false, { repair: true, acceptLoss: false });
  t.ok(isWell);
  t.match(lines.join('\n'), /2 weak keys are behind at some copies, as they may be, and were left as they are/);
  t.same(await copiesOf(pool, 'a'), ['new', 'old', 'old']);
  t.same(await copiesOf(pool, 'gone'), [null, 'old', 'old']);
});

t.test('a member that has forgotten weak keys is given the newest that one of the others has', async (t) => {
  const [pool, care] = await weakPool(t);
  await pool.ask(2, 'FLUSHALL');
  await untilEvent(care, 'repaired', ({ node }) => node === 'n2');
  t.same(await copiesOf(pool, 'a'), ['new', 'old', 'new']);
  t.same(await copiesOf(pool, 'gone'), [null, 'old', null]);
});
