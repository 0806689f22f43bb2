/** Steps that go together where a node cannot do all of them: what it has not done is not taken for done, nor the other way round. */
import t, { type Test } from 'tap';
import { makeBallot, NEVER, proposerNumber } from '../../src/replica/ballot.js';
import type { Commands } from '../../src/replica/commands.js';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import { isBrokenOff } from '../../src/replica/node-answer.js';
import { ANY, type Step } from '../../src/replica/step.js';
import { encodeCommand } from '../../src/resp/reply.js';
import { ReplicaNode, startReplicaNode } from '../help/replica-node.js';

const [FIRST, SECOND, THIRD] = [1, 2, 3].map((count) => makeBallot(0, count, proposerNumber(0, 1))) as [
  string,
  string,
  string,
];
const EMPTY = { accepted: NEVER, lineage: NO_LINEAGE, live: false, expireAt: 0 };

function accept(
  line: string,
  ballot = FIRST,
  base = NEVER,
  next = SECOND,
): { step: Step<Commands, never>; key: Buffer } {
  const words = line.split(' ').map((word) => Buffer.from(word));
  const expected = base === NEVER ? EMPTY : { accepted: base, lineage: NO_LINEAGE, live: true, expireAt: 0 };
  const commands: Commands = { list: [words], protocol: 3 };
  const step = { ballot, base, expected, lineage: NO_LINEAGE, expired: false, commands, setsExpiry: 0, next } as const;
  return { step: { kind: 'accept', ...step }, key: words[1] as Buffer };
}

/** A put. */
function put(line: string, ballot: string): { step: Step<Commands, never>; key: Buffer } {
  const { step, key } = accept(line, ballot, NEVER, ballot);
  return { step: { ...step, base: ANY, expected: null } as Step<Commands, never>, key };
}

async function ask(node: ReplicaNode, ...words: string[]): Promise<string> {
  return (await node.exchange(encodeCommand(words), 1)).join();
}

/** The same server, as a user who may do all but that. */
async function connectWithout(t: Test, port: number, admin: ReplicaNode, ...forbidden: string[]): Promise<ReplicaNode> {
  const rules = forbidden.map((name) => `-${name}`);
  await ask(admin, 'ACL', 'SETUSER', 'bound', 'on', 'nopass', '~*', '&*', '+@all', ...rules);
  const node = await ReplicaNode.connect(port);
  t.teardown(() => node.client.close());
  await ask(node, 'AUTH', 'bound', 'x');
  return node;
}

t.test('each has the reply that Redis gives it, and what fails leaves everything as it was', async (t) => {
  const [, node] = await startReplicaNode(t);
  const record = await node.admit();
  const first = await node.performTogether(
    [accept('SET a 1'), accept('RPUSH l x y'), accept('SADD s m'), accept('SET n 9007199254740990')],
    record,
  );
  t.same(
    first.answers?.map(({ kind }) => kind),
    ['ok', 'ok', 'ok', 'ok'],
  );
  const { answers } = await node.performTogether(
    [
      accept('INCR a', SECOND, FIRST, THIRD),
      accept('INCR l', SECOND, FIRST, THIRD),
      accept('LPOP l', SECOND, FIRST, THIRD),
      accept('GETSET s x', SECOND, FIRST, THIRD),
      accept('INCRBY n 10', SECOND, FIRST, THIRD),
      accept('GETDEL none'),
    ],
    record,
  );
  t.same(
    answers?.map((answer) => [
      answer.kind,
      'live' in answer ? answer.live : null,
      'replies' in answer ? answer.replies?.map((reply) => Buffer.from(reply).toString()) : null,
    ]),
    [
      ['ok', true, [':2\r\n']],
      ['ok', true, ['-WRONGTYPE Operation against a key holding the wrong kind of value\r\n']],
      // Of a key that is named twice the second finds what the first has left.
      ['already', true, null],
      ['ok', true, ['-WRONGTYPE Operation against a key holding the wrong kind of value\r\n']],
      ['ok', true, [':9007199254741000\r\n']],
      ['ok', false, ['_\r\n']],
    ],
  );
  t.equal(await ask(node, 'LRANGE', 'l', '0', '-1'), '*2\r\n$1\r\nx\r\n$1\r\ny\r\n');
});

t.test('what fails leaves the expiry as it was, too', async (t) => {
  const [, node] = await startReplicaNode(t);
  const record = await node.admit();
  const expireAt = Date.now() + 1_000_000;
  const dated = accept(`PEXPIREAT l ${expireAt}`, SECOND, FIRST, THIRD);
  const failing = accept('GETSET l x', THIRD, SECOND, THIRD);
  const expected = { accepted: SECOND, lineage: NO_LINEAGE, live: true, expireAt };
  await node.performTogether([accept('RPUSH l x')], record);
  await node.performTogether([dated], record);
  const { answers } = await node.performTogether(
    [{ ...failing, step: { ...failing.step, expected } as Step<Commands, never> }],
    record,
  );
  t.match(answers, [{ kind: 'ok', live: true, expireAt }]);
  t.match(await node.perform({ kind: 'peek' }, failing.key, record), { accepted: THIRD, live: true, expireAt });
});

t.test('what was promised before an epoch began is refused in it, though all else is as expected', async (t) => {
  const [, node] = await startReplicaNode(t);
  const record = await node.admit();
  const asked = accept('SET a 1');
  await node.perform({ kind: 'prepare', ballot: FIRST }, asked.key, record);
  await node.performMember({ kind: 'raise', epoch: 1 }, record);
  const { answers } = await node.performTogether([asked], record);
  t.match(answers, [{ kind: 'refused', epochFloor: 1 }]);
  t.equal(await ask(node, 'EXISTS', 'a'), ':0\r\n');
});

t.test('a node that is not the member does none of them', async (t) => {
  const [, node] = await startReplicaNode(t);
  const record = await node.admit();
  const { reply } = await node.performTogether([accept('SET a 1'), accept('SET b 1')], `${record} more`);
  t.equal(reply.toString(), '$1\r\nN\r\n');
  t.equal(await ask(node, 'EXISTS', 'a', 'b', '~rl:m:a', '~rl:m:b'), ':0\r\n');
});

t.test('what a node refuses for want of memory it has not accepted', async (t) => {
  const [, node] = await startReplicaNode(t);
  const record = await node.admit();
  await ask(node, 'CONFIG', 'SET', 'maxmemory', '1');
  const { answers } = await node.performTogether([accept('SET a 1'), accept('APPEND b 1')], record);
  t.match(answers, [{ kind: 'unable' }, { kind: 'unable' }]);
  await ask(node, 'CONFIG', 'SET', 'maxmemory', '0');
  t.equal(await ask(node, 'EXISTS', 'a', 'b', '~rl:m:a', '~rl:m:b'), ':0\r\n');
});

t.test('a command that is forbidden is refused alone', async (t) => {
  const [server, admin] = await startReplicaNode(t);
  const record = await admin.admit();
  const node = await connectWithout(t, server.port, admin, 'append');
  const asked = [accept('SET a 1'), accept('APPEND b 1'), accept('SET c 1')];
  const { answers } = await node.performTogether(asked, record);
  t.match(answers, [{ kind: 'ok' }, { kind: 'unable' }, { kind: 'ok' }]);
  t.equal(await ask(admin, 'EXISTS', 'b', '~rl:m:b'), ':0\r\n');
  t.equal(await ask(admin, 'EXISTS', 'a', '~rl:m:a', 'c', '~rl:m:c'), ':4\r\n');
});

t.test(
  'where a script breaks off in the midst it is not known what was done, and what was begun is nobody’s',
  async (t) => {
    const [server, admin] = await startReplicaNode(t);
    const record = await admin.admit();
    await admin.performTogether([accept('SET a 0'), accept('RPUSH l x y')], record);
    // What LPOP leaves is asked for after it was carried out.
    const node = await connectWithout(t, server.port, admin, 'pexpiretime');
    const asked = [accept('SET a 1', SECOND, FIRST, THIRD), accept('LPOP l', SECOND, FIRST, THIRD), accept('SET c 1')];
    const { answers, reply } = await node.performTogether(asked, record);
    t.equal(answers, null);
    t.ok(isBrokenOff(reply), reply.toString());
    t.match(await admin.perform({ kind: 'peek' }, Buffer.from('a'), record), { kind: 'not-member' });
    t.match(await ask(admin, 'GET', '~rl:node'), / repairing:0 /);
    t.match(await ask(admin, 'GET', '~rl:m:a'), THIRD + SECOND, 'what was carried out has its meta');
    t.equal(await ask(admin, 'EXISTS', '~rl:m:l', 'c', '~rl:m:c'), ':0\r\n');
  },
);

t.test('where metas cannot be written all that was carried out is nobody’s', async (t) => {
  const [server, admin] = await startReplicaNode(t);
  const record = await admin.admit();
  await admin.performTogether([accept('SET a 1'), accept('SET b 1')], record);
  const node = await connectWithout(t, server.port, admin, 'mset');
  const asked = [accept('SET a 2', SECOND, FIRST, THIRD), accept('INCR b', SECOND, FIRST, THIRD)];
  const { answers, reply } = await node.performTogether(asked, record);
  t.equal(answers, null);
  t.ok(isBrokenOff(reply), reply.toString());
  t.match(await ask(admin, 'GET', '~rl:node'), / repairing:0 /);
  t.equal(await ask(admin, 'EXISTS', '~rl:m:a', '~rl:m:b'), ':0\r\n');
});

t.test('where nothing but values cannot be set nothing has changed', async (t) => {
  const [server, admin] = await startReplicaNode(t);
  const record = await admin.admit();
  await admin.performTogether([accept('SET a 1')], record);
  const node = await connectWithout(t, server.port, admin, 'mset');
  const set = accept('SET a 2', SECOND, FIRST, THIRD);
  const asked = [set, accept('SET b 1'), set, accept('INCR c', THIRD, FIRST)];
  const { answers } = await node.performTogether(asked, record);
  t.match(answers, [{ kind: 'unable' }, { kind: 'unable' }, { kind: 'unable' }, { kind: 'stale' }]);
  t.match(await admin.perform({ kind: 'peek' }, Buffer.from('a'), record), { accepted: FIRST, live: true });
  t.equal(await ask(admin, 'GET', 'a'), '$1\r\n1\r\n');
});

t.test('of values that all are set it is said once; of none, where they cannot be', async (t) => {
  const [server, admin] = await startReplicaNode(t);
  const record = await admin.admit();
  const first = await admin.performTogether([accept('SET a 1'), accept('SET b 1')], record);
  t.equal(first.reply.toString(), '$1\r\nK\r\n');
  t.match(first.answers, [{ kind: 'ok' }, { kind: 'ok' }]);
  const asked = [accept('SET a 2', SECOND, FIRST, THIRD), accept('SET b 2', SECOND, FIRST, THIRD)];
  const unable = [{ kind: 'unable' }, { kind: 'unable' }];
  await ask(admin, 'CONFIG', 'SET', 'maxmemory', '1');
  t.match((await admin.performTogether(asked, record)).answers, unable);
  await ask(admin, 'CONFIG', 'SET', 'maxmemory', '0');
  const node = await connectWithout(t, server.port, admin, 'mset');
  t.match((await node.performTogether(asked, record)).answers, unable);
  t.equal(await ask(admin, 'MGET', 'a', 'b'), '*2\r\n$1\r\n1\r\n$1\r\n1\r\n');
  t.equal((await admin.performTogether(asked, record)).reply.toString(), '$1\r\nK\r\n');
  t.equal(await ask(admin, 'MGET', 'a', 'b'), '*2\r\n$1\r\n2\r\n$1\r\n2\r\n');
  t.match(await ask(admin, 'GET', '~rl:m:a'), THIRD + SECOND);
  const stale = await admin.performTogether([...asked, accept('SET c 1')], record);
  t.match(stale.answers, [{ kind: 'already' }, { kind: 'already' }, { kind: 'ok' }]);
});

t.test('a command finds the value that was set before it in the same call', async (t) => {
  const [, node] = await startReplicaNode(t);
  const record = await node.admit();
  await node.performTogether([accept('RPUSH a x')], record);
  const asked = [accept('SET a 5', SECOND, FIRST, THIRD), accept('INCR a', THIRD, SECOND, THIRD)];
  const { answers } = await node.performTogether(asked, record);
  t.match(answers, [{ kind: 'ok' }, { kind: 'ok' }]);
  t.equal(await ask(node, 'GET', 'a'), '$1\r\n6\r\n');
  t.match(await ask(node, 'GET', '~rl:m:a'), THIRD + THIRD);
});

t.test('errors that come before a script runs are not taken for one that broke off', async (t) => {
  for (const error of [
    '-NOSCRIPT No matching script. Please use EVAL.\r\n',
    '-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n',
    "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    "-NOPERM this user has no permissions to run the 'evalsha' command\r\n",
  ])
    t.notOk(isBrokenOff(Buffer.from(error)), error);
});

t.test('a put makes the same of whatever is there, unless that is newer', async (t) => {
  const [, node] = await startReplicaNode(t);
  const record = await node.admit();
  const expireAt = Date.now() + 1_000_000;
  await node.performTogether([put('SET old 1', FIRST), put(`SET dated 1 PXAT ${expireAt}`, FIRST)], record);
  await node.performTogether([put('SET new 3', THIRD)], record);
  const { answers } = await node.performTogether(
    [put('SET old 2', SECOND), put('SET dated 2', SECOND), put('SET new 2', SECOND), put('SET absent 2', SECOND)],
    record,
  );
  t.same(
    answers?.map(({ kind }) => kind),
    ['ok', 'ok', 'refused', 'ok'],
  );
  t.match(answers?.[2], { promised: THIRD });
  t.equal(
    await ask(node, 'MGET', 'old', 'dated', 'new', 'absent'),
    '*4\r\n$1\r\n2\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n2\r\n',
  );
  t.match(await node.perform({ kind: 'peek' }, Buffer.from('dated'), record), { live: true, expireAt: 0 });
  const { answers: deleted } = await node.performTogether([put('DEL old', THIRD), put('DEL none', FIRST)], record);
  t.match(deleted, [
    { kind: 'ok', live: false, replies: [Buffer.from(':1\r\n')] },
    { kind: 'ok', live: false, replies: [Buffer.from(':0\r\n')] },
  ]);
});

t.test('a put that fails leaves what was there under the ballot that it had', async (t) => {
  const [, node] = await startReplicaNode(t);
  const record = await node.admit();
  await node.performTogether([put('SET a 1', FIRST)], record);
  const failing = put('RESTORE a 0 nonsense REPLACE', SECOND);
  const alone = await node.performTogether([failing], record);
  t.match(alone.answers, [{ kind: 'unable' }]);
  const commands = { ...(failing.step as { commands: Commands }).commands };
  const list = [...commands.list, ['PUBLISH', 'channel', 'text'].map((word) => Buffer.from(word))];
  const both = { ...failing.step, commands: { ...commands, list } } as Step<Commands, never>;
  t.match(await node.perform(both, failing.key, record), { kind: 'unable' });
  t.match(await node.perform({ kind: 'peek' }, failing.key, record), { accepted: FIRST, live: true });
  t.equal(await ask(node, 'GET', 'a'), '$1\r\n1\r\n');
});
