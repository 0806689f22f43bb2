/** The steps of members and repair, carried out by a real Redis server, each beside the model of a node. */
import t, { type Test } from 'tap';
import { makeBallot, NEVER, proposerNumber } from '../../src/replica/ballot.js';
import type { Commands } from '../../src/replica/commands.js';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import type { MemberStep, NodeFacts, ProcessId } from '../../src/replica/member-step.js';
import type { Step } from '../../src/replica/step.js';
import { timeOf } from '../../src/replica/version-clock.js';
import { encodeCommand } from '../../src/resp/reply.js';
import { Acceptor } from '../help/acceptor.js';
import { DURABLE_ARGS } from '../help/redis-store.js';
import { memberRecord, ReplicaNode, startReplicaNode } from '../help/replica-node.js';
import { SMALL_REDIS, type SmallValue } from '../help/small-redis.js';

const KEYS = ['a', 'b\r\n', '\xff*'].map((text) => Buffer.from(text, 'latin1'));
const [KEY] = KEYS as [Buffer];

type KeylessStep = Exclude<MemberStep<never, never>, { kind: 'replace' | 'drop' | 'metas' }>;

/** A node and its model, which are asked the same and answer alike. */
class Twins {
  private readonly t: Test;
  readonly node: ReplicaNode;
  readonly model: Acceptor<Commands, unknown, SmallValue>;
  readonly process: ProcessId;

  private constructor(t: Test, node: ReplicaNode, { process }: NodeFacts) {
    this.t = t;
    this.node = node;
    this.process = process;
    this.model = new Acceptor({ engine: SMALL_REDIS, clock: Date.now, process });
  }

  static async start(t: Test): Promise<Twins> {
    const [, node] = await startReplicaNode(t);
    const facts = await node.performMember({ kind: 'look' }, '');
    if (facts.kind !== 'facts') throw new Error(`look: ${facts.kind}`);
    return new Twins(t, node, facts);
  }

  async member(step: KeylessStep, record = ''): Promise<string> {
    const answer = await this.node.performMember(step, record);
    this.t.same(answer, this.model.performMember(step, record), step.kind);
    return answer.kind;
  }

  async key(step: Step<Commands, never>, record: string, key = KEY): Promise<string> {
    const answer = await this.node.perform(step, key, record);
    this.t.same(answer, this.model.perform(step, key.toString('latin1'), record), step.kind);
    return answer.kind;
  }

  admitting(record: string, expected: string, epoch: number | null = null, process = this.process): KeylessStep {
    return { kind: 'admit', expected, process, record, epoch };
  }

  /** SET x, under a ballot of that epoch. */
  write(record: string, epoch: number, key = KEY): Promise<string> {
    const ballot = makeBallot(epoch, 1, proposerNumber(0, 7));
    const commands: Commands = { list: [[Buffer.from('SET'), key, Buffer.from('x')]], protocol: 2 };
    const step = {
      kind: 'accept',
      ballot,
      base: NEVER,
      expected: null,
      lineage: NO_LINEAGE,
      expired: false,
      commands,
      setsExpiry: 0,
      next: ballot,
    } as const;
    return this.key(step, record, key);
  }
}

t.test('a new server shows what it is, and becomes a member by compare-and-set', async (t) => {
  const twins = await Twins.start(t);
  const { process } = twins;
  t.match(process, { runId: /^[0-9a-f]{40}$/, replId: /^[0-9a-f]{40}$/ });
  const joining = memberRecord(process, { status: { kind: 'joining' }, name: 'größer als' });
  const member = memberRecord(process, { name: 'größer als' });
  await twins.member({ kind: 'look' });
  t.equal(await twins.member(twins.admitting(joining, '')), 'admitted');
  t.equal(await twins.member(twins.admitting(joining, '')), 'admitted', 'the same again');
  t.equal(await twins.member(twins.admitting(member, '')), 'changed', 'on what is no longer there');
  const others = [
    { ...process, runId: 'f'.repeat(40) },
    { ...process, replId: 'f'.repeat(40) },
  ];
  for (const other of others) {
    t.equal(await twins.member(twins.admitting(member, joining, null, other)), 'changed', 'another process');
  }
  t.equal(await twins.member(twins.admitting(member, joining)), 'admitted');
  for (const other of others) {
    t.equal(await twins.member(twins.admitting(member, joining, null, other)), 'changed', 'again, of another process');
  }
  await twins.member({ kind: 'look' });
});

t.test('a server with a new replication id is not the process that was looked at (H7)', async (t) => {
  const twins = await Twins.start(t);
  for (const words of [
    ['REPLICAOF', '127.0.0.1', '1'],
    ['REPLICAOF', 'NO', 'ONE'],
  ]) {
    await twins.node.exchange(encodeCommand(words), 1);
  }
  const facts = (await twins.node.performMember({ kind: 'look' }, '')) as NodeFacts;
  t.equal(facts.process.runId, twins.process.runId);
  t.not(facts.process.replId, twins.process.replId);
  t.ok(facts.wasReplica);
  twins.model.process = facts.process;
  t.equal(await twins.member(twins.admitting(memberRecord(twins.process), '')), 'changed');
});

t.test('who has been a replica says so, also as a master again, until it is restarted with its data', async (t) => {
  const [server, node] = await startReplicaNode(t, { args: DURABLE_ARGS });
  const wasReplica = async (of: ReplicaNode) =>
    ((await of.performMember({ kind: 'look' }, '')) as NodeFacts).wasReplica;
  t.notOk(await wasReplica(node));
  for (const words of [
    ['REPLICAOF', '127.0.0.1', '1'],
    ['REPLICAOF', 'NO', 'ONE'],
    ['SET', 'x', 'y'],
  ]) {
    await node.exchange(encodeCommand(words), 1);
  }
  t.ok(await wasReplica(node));
  await server.kill9();
  await server.restart();
  const again = await ReplicaNode.connect(server.port);
  t.teardown(() => again.client.close());
  t.notOk(await wasReplica(again));
});

t.test('repair: only the node under repair, and only in its epoch, is written to without a ballot', async (t) => {
  const twins = await Twins.start(t);
  const { process } = twins;
  const member = memberRecord(process);
  const repairing = (epoch: number) => memberRecord(process, { status: { kind: 'repairing', epoch } });
  await twins.member(twins.admitting(member, ''));
  t.equal(await twins.write(member, 0), 'ok');
  t.equal(await twins.member(twins.admitting(repairing(2), member, 2)), 'admitted');
  t.equal(await twins.member(twins.admitting(repairing(2), member, 2)), 'admitted', 'the same again');
  t.equal(await twins.member(twins.admitting(repairing(1), repairing(2), 1)), 'changed', 'an older epoch');
  t.equal(await twins.write(member, 3), 'not-member');

  const dump = Buffer.from((await twins.node.exchange(encodeCommand(['DUMP', 'a']), 1))[0] as Buffer).subarray(5, -2);
  const accepted = makeBallot(2, 5, proposerNumber(0, 9));
  const states = [
    { accepted, lineage: NO_LINEAGE, live: true, expireAt: 4_000_000_000_000 },
    { accepted: makeBallot(2, 6, proposerNumber(0, 9)), lineage: `10${accepted}`, live: true, expireAt: 1000 },
    { accepted: makeBallot(0, 1, proposerNumber(0, 9)), lineage: NO_LINEAGE, live: false, expireAt: 0 },
  ];
  for (const record of [member, repairing(1), repairing(2)]) {
    for (const state of [...states, ...states]) {
      const value = state.live ? dump : null;
      const answer = await twins.node.performMember({ kind: 'replace', key: KEY, state: { ...state, value } }, record);
      const told = { ...state, value: state.live ? 'x' : null };
      t.same(answer, twins.model.performMember({ kind: 'replace', key: 'a', state: told }, record));
      await twins.key({ kind: 'peek' }, repairing(2));
      await twins.key({ kind: 'read', commands: { list: [[Buffer.from('GET'), KEY]], protocol: 2 } }, repairing(2));
    }
    const dropped = await twins.node.performMember({ kind: 'drop', key: KEY }, record);
    t.same(dropped, twins.model.performMember({ kind: 'drop', key: 'a' }, record));
    await twins.key({ kind: 'peek' }, repairing(2));
  }

  const readmitted = memberRecord(process, { admission: { epoch: 2, count: 0 } });
  t.equal(await twins.member(twins.admitting(readmitted, repairing(2))), 'admitted');
  t.equal(await twins.write(readmitted, 1), 'refused', 'an epoch before the repair');
  t.equal(await twins.write(readmitted, 2), 'ok');
  t.equal(await twins.member(twins.admitting(repairing(2), member, 2)), 'changed', 'a late copy (H3)');
});

t.test('a raised floor stays, and refuses older ballots', async (t) => {
  const twins = await Twins.start(t);
  const member = memberRecord(twins.process);
  await twins.member(twins.admitting(member, ''));
  for (const epoch of [3, 3, 1, 10, 9]) t.equal(await twins.member({ kind: 'raise', epoch }, member), 'raised');
  t.equal(await twins.member({ kind: 'raise', epoch: 99_999_998 }, 'another'), 'not-member');
  t.equal(await twins.write(member, 9), 'refused');
  const [ride, base] = [makeBallot(12, 1, proposerNumber(0, 7)), makeBallot(11, 1, proposerNumber(0, 7))];
  const state = { accepted: base, lineage: NO_LINEAGE, live: false, expireAt: 0, value: null };
  const other = KEYS[1] as Buffer;
  t.equal(await twins.key({ kind: 'install', state, next: ride }, member, other), 'ok');
  await twins.member({ kind: 'raise', epoch: 13 }, member);
  const accept = {
    kind: 'accept',
    expected: null,
    lineage: NO_LINEAGE,
    expired: false,
    setsExpiry: 0,
    next: ride,
  } as const;
  const commands: Commands = { list: [[Buffer.from('SET'), other, Buffer.from('x')]], protocol: 2 };
  t.equal(
    await twins.key({ ...accept, ballot: ride, base, commands }, member, other),
    'refused',
    'what was promised, too',
  );
  t.equal(await twins.write(member, 13), 'ok');
  const repairing = memberRecord(twins.process, { status: { kind: 'repairing', epoch: 9 } });
  t.equal(await twins.member(twins.admitting(repairing, member, 9)), 'changed', 'a repair of an older epoch');
});

t.test('scans find keys that have a meta, and keys that have a value; ours are not among them', async (t) => {
  const twins = await Twins.start(t);
  const { node, model } = twins;
  const member = memberRecord(twins.process);
  await twins.member(twins.admitting(member, ''));
  await twins.member({ kind: 'raise', epoch: 0 }, member);
  for (const key of KEYS) t.equal(await twins.write(member, 1, key), 'ok');
  await node.exchange(encodeCommand(['SET', 'stray', 'x']), 1);
  await node.exchange(encodeCommand(['DEL', 'a']), 1);
  model.data.values.delete('a');
  model.data.values.set('stray', { value: 'x', expireAt: 0 });

  const scan = async (what: 'metas' | 'values', idleSecondsMin = 0, record = member): Promise<string[] | string> => {
    const found = new Set<string>();
    let cursor = '0';
    do {
      const page = await node.performMember({ kind: 'scan', what, cursor, count: 1, idleSecondsMin }, record);
      if (page.kind !== 'page') return page.kind;
      for (const key of page.keys) found.add(Buffer.from(key).toString('latin1'));
      cursor = page.cursor;
    } while (cursor !== '0');
    return [...found].sort();
  };
  t.same(await scan('metas'), KEYS.map((key) => key.toString('latin1')).sort());
  t.same(await scan('values'), ['b\r\n', 'stray', '\xff*']);
  t.same(await scan('metas', 3600), [], 'all were touched within the hour');
  t.same(await scan('metas', 0, 'another'), 'not-member');

  const keys = [...KEYS, Buffer.from('nothing')];
  const metas = await node.performMember({ kind: 'metas', keys, sizes: false }, member);
  t.same(
    metas,
    model.performMember({ kind: 'metas', keys: keys.map((key) => key.toString('latin1')), sizes: false }, member),
  );
  const sized = await node.performMember({ kind: 'metas', keys, sizes: true }, member);
  t.match(sized, { facts: metas.kind === 'metas' ? metas.facts : null });
  const sizes = sized.kind === 'metas' ? sized.sizes : null;
  t.same(
    sizes?.map((size) => size > 0),
    [false, true, true, false],
  );
  t.same(await node.performMember({ kind: 'metas', keys, sizes: true }, 'another'), { kind: 'not-member' });
});

t.test(
  'of keys whose versions are times a scan finds those that were deleted, or have expired, before a moment',
  async (t) => {
    const twins = await Twins.start(t);
    const { node, model } = twins;
    const member = memberRecord(twins.process);
    await twins.member(twins.admitting(member, ''));
    const beginMs = timeOf(NEVER);
    const put = async (key: string, atMs: number, tail: string) => {
      const accepted = makeBallot(0, atMs - beginMs, proposerNumber(0, 7));
      await node.exchange(encodeCommand(['SET', `~rl:m:${key}`, `${accepted}${accepted}${NO_LINEAGE}${tail}`]), 1);
      const meta = { promised: accepted, accepted, lineage: NO_LINEAGE };
      model.data.metas.set(key, { ...meta, live: tail.startsWith('1'), expireAt: Number(tail.slice(1)) });
    };
    const [oldMs, newMs] = [Date.UTC(2026, 0, 1), Date.UTC(2026, 5, 1)];
    await put('deleted', oldMs, '00');
    await put('deleted lately', newMs, '00');
    await put('there', oldMs, '10');
    await put('expired', oldMs, `1${oldMs + 1}`);
    await put('expired lately', oldMs, `1${newMs}`);
    const scan = { kind: 'scan', what: 'gone', cursor: '0', count: 100 } as const;
    for (const [beforeMs, gone] of [
      [oldMs, []],
      [oldMs + 1, ['deleted']],
      [newMs, ['deleted', 'expired']],
      [newMs + 1, ['deleted', 'deleted lately', 'expired', 'expired lately']],
    ] as const) {
      const step = { ...scan, beforeMs };
      for (const page of [await node.performMember(step, member), model.performMember(step, member)]) {
        if (page.kind !== 'page') throw new Error(page.kind);
        t.same(page.keys.map((key) => Buffer.from(key).toString('latin1')).sort(), gone);
      }
    }
    t.same(await node.performMember({ ...scan, beforeMs: newMs }, 'another'), { kind: 'not-member' });
  },
);

t.test('the metas of tens of thousands of keys are told at once', async (t) => {
  const twins = await Twins.start(t);
  const member = memberRecord(twins.process);
  await twins.member(twins.admitting(member, ''));
  const last = Buffer.from('k19999');
  await twins.write(member, 1, last);
  const keys = Array.from({ length: 20_000 }, (_, index) => Buffer.from(`k${index}`));
  const metas = await twins.node.performMember({ kind: 'metas', keys, sizes: false }, member);
  if (metas.kind !== 'metas') throw new Error(metas.kind);
  t.equal(metas.facts.length, keys.length);
  t.match(metas.facts[0], { accepted: NEVER, live: false });
  t.match(metas.facts.at(-1), { accepted: makeBallot(1, 1, proposerNumber(0, 7)), live: true });
});
