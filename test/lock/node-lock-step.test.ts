/** The scripts of locks on a real Redis, each step against the model of a node. */
import t, { type Test } from 'tap';
import { parseRegister } from '../../src/lock/fence.js';
import { LOCK_SCRIPTS } from '../../src/lock/lock-scripts.js';
import type { HolderView, LockReply, LockStep } from '../../src/lock/lock-step.js';
import { NodeLockStep } from '../../src/lock/node-lock-step.js';
import { HOLDERS_MAX } from '../../src/lock/share.js';
import { makeBallot, proposerNumber } from '../../src/replica/ballot.js';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import { encodeLoads } from '../../src/replica/scripts.js';
import { CommandWriter } from '../../src/resp/command-writer.js';
import { encodeCommand } from '../../src/resp/reply.js';
import { randomFromSeed } from '../help/random.js';
import { memberRecord, type ReplicaNode, startReplicaNode } from '../help/replica-node.js';
import { RespClient } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';
import { ModelNode } from './model-node.js';

const TTL_MAX_MS = 60_000;
/** Steps of a run, and what a lock's remaining time may differ by between two clocks that are read one after the other. */
const STEPS = 3000;
const LATE_MS = 2000;
const PROPOSERS = [1, 2].map((low) => proposerNumber(0, low));

async function perform(node: ReplicaNode, record: string, step: LockStep, name: string): Promise<LockReply> {
  const nodeStep = new NodeLockStep(step, name, TTL_MAX_MS);
  const bytes = Buffer.from(record);
  const room = Buffer.alloc(nodeStep.bytesMax(bytes.length));
  const writer = new CommandWriter();
  writer.aim(room, 0);
  const recordAt = nodeStep.write(writer, bytes);
  t.ok(room.subarray(recordAt).toString().startsWith(`$${bytes.length}\r\n${record}`));
  const replies = await node.exchange(room.subarray(0, writer.at), 1);
  const answer = nodeStep.decode(replies);
  // As it lies in a buffer with others around it.
  const [before, reply] = [Buffer.from('+OK\r\n'), replies[0] as Buffer];
  const all = Buffer.concat([before, reply, before]);
  const plain = nodeStep.plainAnswer(all, before.length, before.length + reply.length);
  const isPlain = answer?.kind === 'vote' || (answer?.kind === 'done' && reply.length === 7);
  t.same(plain, isPlain ? answer : null);
  return answer;
}

async function teach(node: ReplicaNode): Promise<void> {
  await node.exchange(encodeLoads(LOCK_SCRIPTS), LOCK_SCRIPTS.length);
}

async function ask(node: ReplicaNode, ...words: string[]): Promise<string> {
  return (await node.exchange(encodeCommand(words), 1)).join();
}

t.test('a node does what the model does, step by step', async (t) => {
  const [, node] = await startReplicaNode(t);
  await teach(node);
  const record = await node.admit();
  const model = new ModelNode();
  const random = randomFromSeed((text) => t.comment(text));
  const ballot = () => makeBallot(0, 1 + random.below(6), random.pick(PROPOSERS));
  const [kinds, answers] = [new Set<string>(), new Set<string>()];
  for (let count = 0; count < STEPS; count++) {
    const name = random.pick(['a', 'b {x}', 'shared']);
    const token = random.pick(['one', 'two', 'three \xff']);
    const ttlMs = 30_000 + random.below(20_000);
    const mode = random.pick(['s', '2', '3']);
    const share = mode === 's' ? 's' : `${random.below(Number(mode))}`;
    const confirmed = random.pick(['x', 's', '0', '1', share]);
    const register = `${1 + count} client ${token}`;
    const mayMove = random.below(2) === 0;
    const fence = random.pick([0, parseRegister(model.registers.get(name)?.text ?? '')?.fence ?? 0]);
    const hold = { ballot: ballot(), fence: 1 + random.below(count + 1), client: 'again' };
    const fromMs = Date.now() - random.pick([LATE_MS, LATE_MS * 10]);
    const times = { fromMs, untilMs: fromMs + LATE_MS * 5 };
    const step = random.pick<LockStep>([
      { kind: 'acquire', ballot: ballot(), token, ttlMs, waits: false },
      { kind: 'acquire', ballot: ballot(), token, ttlMs, waits: true },
      ...(['one', 'share', 'more'] as const).map((): LockStep => {
        return { kind: 'acquire-share', ballot: ballot(), token, ttlMs, mode, share, mayMove, waits: mayMove };
      }),
      { kind: 'confirm', ballot: ballot(), token, share: confirmed, lineage: NO_LINEAGE, register },
      { kind: 'confirm', ballot: ballot(), token, share: confirmed, lineage: NO_LINEAGE, register },
      { kind: 'take-back', ballot: ballot(), token, fence, mark: 'm' },
      { kind: 'release', token, mark: 'm' },
      { kind: 'release', token, mark: 'm' },
      { kind: 'extend', token, ttlMs },
      { kind: 'retake', token, ttlMs, share: 'x', hold: { ...hold, mode: 'x' }, ...times },
      { kind: 'retake', token, ttlMs, share, hold: { ...hold, mode }, ...times },
      { kind: 'break', mark: 'm' },
      { kind: 'look' },
    ]);
    kinds.add(`${step.kind} ${model.locks.get(name)?.mode ?? ''}`);
    const expected = model.perform(step, name, TTL_MAX_MS, Date.now());
    const found = await perform(node, record, step, name);
    answers.add(`${found?.kind}`);
    const [expectedMs, foundMs] = [msOf(expected), msOf(found)];
    t.same(withoutMs(found), withoutMs(expected), `step ${count}: ${JSON.stringify(step)}`);
    for (const [at, ms] of expectedMs.entries()) {
      const theirs = foundMs[at] as number;
      if (Math.abs(ms - theirs) > LATE_MS) t.fail(`step ${count}: ${theirs} ms are left, not ${ms}`);
    }
    // What expires with the last of those who hold it.
    const untilMs = Math.max(0, ...[...(model.locks.get(name)?.holders.values() ?? [])].map((held) => held.untilMs));
    const leftMs = Number(/^:(-?\d+)/.exec(await ask(node, 'PTTL', name))?.[1]);
    const wantedMs = untilMs === 0 ? -2 : untilMs - Date.now();
    if (Math.abs(wantedMs - leftMs) > LATE_MS) t.fail(`step ${count}: it expires in ${leftMs} ms, not in ${wantedMs}`);
    // Ballots are few: begin anew when all are promised.
    if (random.below(40) === 0) {
      model.registers.delete(name);
      model.locks.delete(name);
      await ask(node, 'DEL', name, `~rl:fence:${name}`, `~rl:m:~rl:fence:${name}`);
    }
  }
  t.same(
    [...kinds].sort(),
    ALL_KINDS.flatMap((kind) => ['', '2', '3', 's', 'x'].map((mode) => `${kind} ${mode}`)),
  );
  t.same([...answers].sort(), ALL_ANSWERS);
});

const ALL_KINDS = ['acquire', 'acquire-share', 'break', 'confirm', 'extend', 'look', 'release', 'retake', 'take-back'];
const ALL_ANSWERS = ['broken', 'done', 'elsewhere', 'extended', 'held', 'lost', 'not-held', 'refused', 'view', 'vote'];

function msOf(reply: LockReply): number[] {
  if (reply?.kind === 'view') return [...reply.holders].sort(byToken).map(({ ttlMs }) => ttlMs);
  if (reply?.kind === 'not-held') return [reply.ttlMs, reply.nowMs];
  if (reply?.kind === 'extended') return [reply.nowMs ?? 0];
  return reply !== null && 'ttlMs' in reply ? [reply.ttlMs] : [];
}

/** A hash has its fields in an order of its own. */
function withoutMs(reply: LockReply): unknown {
  if (reply?.kind === 'broken') return { ...reply, tokens: [...reply.tokens].sort() };
  if (reply?.kind !== 'view') return { ...reply, ttlMs: 0, nowMs: 0 };
  return { ...reply, holders: [...reply.holders].sort(byToken).map((holder) => ({ ...holder, ttlMs: 0 })) };
}

function byToken(one: HolderView, other: HolderView): number {
  return one.token < other.token ? -1 : 1;
}

t.test('a lock that the drop-in door has taken excludes this one, and the other way round', async (t) => {
  const [, node] = await startReplicaNode(t);
  await teach(node);
  const record = await node.admit();
  const ballot = makeBallot(0, 1, PROPOSERS[0] as string);
  t.equal(await ask(node, 'SET', 'k', 'theirs', 'NX', 'PX', '30000'), '+OK\r\n');
  t.match(await perform(node, record, { kind: 'acquire', ballot, token: 'ours', ttlMs: 1000, waits: false }, 'k'), {
    kind: 'held',
  });
  t.match(await perform(node, record, { kind: 'acquire', ballot, token: 'ours', ttlMs: 30_000, waits: false }, 'l'), {
    kind: 'vote',
  });
  t.equal(await ask(node, 'GET', 'l'), '$4\r\nours\r\n');
  t.equal(await ask(node, 'SET', 'l', 'theirs', 'NX', 'PX', '30000'), '_\r\n');
  t.equal(await ask(node, 'SET', 'm', 'theirs'), '+OK\r\n');
  t.same(await perform(node, record, { kind: 'acquire', ballot, token: 'ours', ttlMs: 1000, waits: false }, 'm'), {
    kind: 'held',
    ttlMs: -1,
    taken: '',
  });
  await ask(node, 'RPUSH', 'list', 'x');
  const answer = await perform(
    node,
    record,
    { kind: 'acquire', ballot, token: 'ours', ttlMs: 1000, waits: false },
    'list',
  );
  t.equal(answer?.kind, 'unable');
  t.match(answer?.kind === 'unable' && Buffer.from(answer.error).toString(), /^-WRONGTYPE/);
});

/** Takes a share, or tries to. */
class Shares {
  private readonly node: ReplicaNode;
  private readonly record: string;
  private counter = 0;

  constructor(node: ReplicaNode, record: string) {
    this.node = node;
    this.record = record;
  }

  take(name: string, token: string, mode: string, share: string, ttlMs = 30_000): Promise<LockReply> {
    const ballot = makeBallot(0, ++this.counter, PROPOSERS[0] as string);
    return this.perform(name, {
      kind: 'acquire-share',
      ballot,
      token,
      ttlMs,
      mode,
      share,
      mayMove: true,
      waits: false,
    });
  }

  takeAll(name: string, token: string, ttlMs = 30_000, waits = false): Promise<LockReply> {
    const ballot = makeBallot(0, ++this.counter, PROPOSERS[0] as string);
    return this.perform(name, { kind: 'acquire', ballot, token, ttlMs, waits });
  }

  perform(name: string, step: LockStep): Promise<LockReply> {
    return perform(this.node, this.record, step, name);
  }
}

async function startShares(t: Test): Promise<{ node: ReplicaNode; shares: Shares; port: number }> {
  const [server, node] = await startReplicaNode(t);
  await teach(node);
  return { node, shares: new Shares(node, await node.admit()), port: server.port };
}

t.test('what several hold excludes those who want all of it by either door, and the other way round', async (t) => {
  const { node, shares } = await startShares(t);
  t.match(await shares.take('k', 'one', 's', 's'), { kind: 'vote' });
  t.equal(await ask(node, 'SET', 'k', 'theirs', 'NX', 'PX', '30000'), '_\r\n');
  t.match(await shares.takeAll('k', 'other'), { kind: 'held', taken: '' });
  t.match(await shares.takeAll('k', 'one'), { kind: 'held' }, 'also for its own token');
  t.equal(await ask(node, 'SET', 'l', 'theirs', 'NX', 'PX', '30000'), '+OK\r\n');
  t.match(await shares.take('l', 'one', 's', 's'), { kind: 'held' });
  t.match(await shares.take('l', 'one', '2', '0'), { kind: 'held', taken: '' });
  t.match(await shares.takeAll('l', 'theirs'), { kind: 'vote' });
  t.match(await shares.take('l', 'theirs', 's', 's'), { kind: 'held' });
});

t.test('what is no lock is left as it is', async (t) => {
  const { node, shares } = await startShares(t);
  for (const [name, ...words] of [
    ['hash', 'HSET', 'hash', 'field', 'value'],
    ['list', 'RPUSH', 'list', 'x'],
  ] as const) {
    await ask(node, ...words);
    for (const reply of [
      await shares.take(name, 'one', 's', 's'),
      await shares.take(name, 'one', '2', '0'),
      await shares.takeAll(name, 'one'),
      await shares.perform(name, { kind: 'look' }),
      await shares.perform(name, { kind: 'release', token: 'one', mark: 'm' }),
      await shares.perform(name, { kind: 'extend', token: 'one', ttlMs: 1000 }),
      await shares.perform(name, { kind: 'break', mark: 'm' }),
    ]) {
      t.match(reply?.kind === 'unable' && Buffer.from(reply.error).toString(), /^-WRONGTYPE/, name);
    }
    t.equal(await ask(node, 'EXISTS', name), ':1\r\n');
  }
});

t.test('a slot that is taken again takes the place of another one by a smaller ballot alone', async (t) => {
  const { shares } = await startShares(t);
  const retake = async (token: string, share: string, counter: number) => {
    const extended = await shares.perform('k', { kind: 'extend', token, ttlMs: 30_000 });
    if (extended?.kind !== 'extended' || extended.nowMs === null) throw new Error('it has a slot');
    const hold = { mode: '2', ballot: makeBallot(0, counter, PROPOSERS[0] as string), fence: 7, client: 'c' };
    const times = { fromMs: extended.nowMs, untilMs: extended.nowMs + 20_000 };
    return await shares.perform('k', { kind: 'retake', token, ttlMs: 30_000, share, hold, ...times });
  };
  for (let count = 0; count < 3; count++) await shares.take('k', 'long', '2', '0');
  t.same(await retake('long', '1', 2), { kind: 'lost' });
  t.match(await retake('long', '0', 2), { kind: 'extended', share: '0' });
  t.match(await retake('long', '1', 4), { kind: 'extended', share: '1' });
  t.match(await shares.perform('k', { kind: 'look' }), {
    holders: [{ token: 'long', share: '1', fence: 7, client: 'c' }],
  });
  t.match(await shares.take('k', 'other', '2', '0'), { kind: 'vote' }, 'the other one is free');
  t.match(await retake('other', '1', 9), { kind: 'held' });
});

t.test('who has expired is taken out by whoever looks, and leaves his slot', async (t) => {
  const { node, shares } = await startShares(t);
  await shares.take('k', 'short', '2', '0', 30);
  await shares.take('k', 'long', '2', '1');
  t.match(await shares.take('k', 'late', '2', '1'), { kind: 'held', taken: '22' });
  await waitFor('it to be over', async () => {
    const view = await shares.perform('k', { kind: 'look' });
    return view?.kind === 'view' && view.holders.length === 1;
  });
  t.equal(await ask(node, 'HLEN', 'k'), ':2\r\n');
  t.match(await shares.take('k', 'late', '2', '0', 30), { kind: 'vote' });
  t.match(await shares.perform('k', { kind: 'extend', token: 'short', ttlMs: 1000 }), { kind: 'not-held' });
  await shares.perform('k', { kind: 'release', token: 'long', mark: 'm' });
  await waitFor('nobody to be there', async () => (await ask(node, 'EXISTS', 'k')) === ':0\r\n');
  t.match(await shares.take('k', 'other', 's', 's', 30), { kind: 'vote' }, 'it has no mode any more');
});

t.test('who has expired holds nothing, also where nobody has looked yet', async (t) => {
  const { node, shares } = await startShares(t);
  const timeMs = async () => {
    const [, seconds, micros] = /\$\d+\r\n(\d+)\r\n\$\d+\r\n(\d+)/.exec(await ask(node, 'TIME')) ?? [];
    return Number(seconds) * 1000 + Number(micros) / 1000;
  };
  const fromMs = await timeMs();
  await shares.take('k', 'long', 's', 's');
  await shares.take('k', 'short', 's', 's', 20);
  const ballot = makeBallot(0, 99, PROPOSERS[0] as string);
  await waitFor('it to be over', async () => (await timeMs()) > fromMs + 100);
  t.equal(await ask(node, 'HLEN', 'k'), ':3\r\n');
  const register = '9 c short';
  for (const [step, kind] of [
    [{ kind: 'confirm', ballot, token: 'short', share: 's', lineage: NO_LINEAGE, register }, 'lost'],
    [{ kind: 'extend', token: 'short', ttlMs: 1000 }, 'not-held'],
    [{ kind: 'release', token: 'short', mark: 'm' }, 'not-held'],
  ] as const) {
    t.equal((await shares.perform('k', step))?.kind, kind);
  }
});

t.test('who takes it again has no fence until that is confirmed', async (t) => {
  const { shares } = await startShares(t);
  const seen = async () => {
    const view = await shares.perform('k', { kind: 'look' });
    return view?.kind === 'view' && view.holders.map(({ fence, client }) => `${fence} ${client}`).join();
  };
  await shares.take('k', 'one', '3', '2');
  const ballot = makeBallot(0, 1, PROPOSERS[0] as string);
  const confirm = { kind: 'confirm', ballot, token: 'one', share: '2', lineage: NO_LINEAGE } as const;
  await shares.perform('k', { ...confirm, register: '7 client one' });
  t.equal(await seen(), '7 client');
  await shares.take('k', 'one', '3', '2');
  t.equal(await seen(), '0 ?');
});

t.test('no more than may read a lock at a time', async (t) => {
  const { shares } = await startShares(t);
  await shares.take('k', 'first', 's', 's', 20_000);
  for (let count = 1; count < HOLDERS_MAX; count++) await shares.take('k', `${count}`, 's', 's');
  const answer = await shares.take('k', 'more', 's', 's');
  t.match(answer, { kind: 'held', taken: '' });
  const leftMs = answer?.kind === 'held' ? answer.ttlMs : 0;
  t.ok(leftMs > 20_000 - LATE_MS * 5 && leftMs <= 20_000, 'when the first of them goes');
  t.match(await shares.take('k', 'first', 's', 's'), { kind: 'vote' });
  await shares.perform('k', { kind: 'release', token: '7', mark: 'm' });
  t.match(await shares.take('k', 'more', 's', 's'), { kind: 'vote' });
});

t.test('an extension that comes late cuts nothing off', async (t) => {
  const { shares } = await startShares(t);
  await shares.takeAll('all', 'ours');
  for (const slot of ['0', '1']) await shares.take('slots', slot, '2', slot);
  for (const [name, token] of [
    ['all', 'ours'],
    ['slots', '0'],
  ] as const) {
    await shares.perform(name, { kind: 'extend', token, ttlMs: 1 });
    const view = await shares.perform(name, { kind: 'look' });
    for (const { ttlMs } of view?.kind === 'view' ? view.holders : []) t.ok(ttlMs > 20_000, name);
    t.match(view, { kind: 'view', holders: [{ token }] });
  }
});

t.test('a release is told where somebody waits, of readers that of the last', async (t) => {
  const { shares, port } = await startShares(t);
  const listener = await RespClient.connect(port);
  t.teardown(() => listener.close());
  await listener.raw('SUBSCRIBE', '~rl:wake');
  const release = (name: string, token: string, mark: string) => shares.perform(name, { kind: 'release', token, mark });
  await shares.takeAll('k', 'ours');
  await shares.takeAll('k', 'theirs');
  await release('k', 'ours', 'no ');
  await shares.takeAll('k', 'ours');
  await shares.takeAll('k', 'theirs', 30_000, true);
  await release('k', 'theirs', 'no ');
  await release('k', 'ours', 'exclusive ');
  for (const token of ['one', 'two']) await shares.take('k', token, 's', 's');
  await release('k', 'one', 'no ');
  await release('k', 'two', 'reader ');
  for (const slot of ['0', '1']) await shares.take('k', `t${slot}`, '2', slot);
  await release('k', 't0', 'slot ');
  await release('k', 't1', 'slot ');
  for (const mark of ['exclusive', 'reader', 'slot', 'slot']) {
    t.match((await listener.next()).toString(), new RegExp(`${mark} k\r\n$`));
  }
});

t.test('what is taken back is what was taken by that ballot, whoever else has voted since', async (t) => {
  const { node, shares } = await startShares(t);
  const [first, later, foreign] = [
    makeBallot(0, 5, PROPOSERS[0] as string),
    makeBallot(0, 7, PROPOSERS[0] as string),
    makeBallot(0, 9, PROPOSERS[1] as string),
  ];
  const step = { kind: 'acquire-share', ttlMs: 30_000, mode: 's', share: 's', mayMove: false, waits: false } as const;
  await shares.perform('k', { ...step, token: 'one', ballot: later });
  await shares.perform('k', { ...step, token: 'two', ballot: foreign });
  const back = { kind: 'take-back', token: 'one', fence: 0, mark: 'm' } as const;
  t.same(await shares.perform('k', { ...back, ballot: first }), { kind: 'lost' });
  t.same(await shares.perform('k', { ...back, ballot: foreign }), { kind: 'lost' });
  t.equal(await ask(node, 'HLEN', 'k'), ':3\r\n');
  t.same(await shares.perform('k', { ...back, ballot: later }), { kind: 'done' });
  t.equal(await ask(node, 'HLEN', 'k'), ':2\r\n');
});

t.test(
  'a node that was admitted again is in quarantine from its first lock on, in each process that it is',
  async (t) => {
    const [, node] = await startReplicaNode(t);
    await teach(node);
    const first = await node.admit();
    const process = { runId: '', replId: '' };
    const info = await ask(node, 'INFO');
    process.runId = /run_id:(\w+)/.exec(info)?.[1] ?? '';
    process.replId = /master_replid:(\w+)/.exec(info)?.[1] ?? '';
    const acquire = (counter: number): LockStep => ({
      kind: 'acquire',
      ballot: makeBallot(9, counter, PROPOSERS[0] as string),
      token: `${counter}`,
      ttlMs: 1,
      waits: false,
    });
    t.match(await perform(node, first, acquire(1), 'k'), { kind: 'vote' });
    const again = memberRecord(process, { admission: { epoch: 3, count: 0 } });
    await ask(node, 'SET', '~rl:node', again);
    t.same(await perform(node, first, acquire(2), 'k'), { kind: 'not-member' });
    const answer = await perform(node, again, acquire(3), 'k');
    t.equal(answer?.kind, 'quarantined');
    const leftMs = answer?.kind === 'quarantined' ? answer.leftMs : 0;
    t.ok(leftMs > TTL_MAX_MS - LATE_MS && leftMs <= TTL_MAX_MS);
    t.match(await perform(node, again, { kind: 'extend', token: 'x', ttlMs: 1 }, 'k'), { kind: 'quarantined' });
    t.match(await perform(node, again, { kind: 'look' }, 'k'), { kind: 'quarantined' });
    // As if it had begun long ago.
    await ask(node, 'SET', '~rl:locks', `${Date.now() - TTL_MAX_MS - 1} ${again}`);
    t.match(await perform(node, again, acquire(4), 'l'), { kind: 'vote' }, 'of a lock that nobody has');
    // Another process, which has the old one's file.
    const third = memberRecord(process, { admission: { epoch: 4, count: 0 } });
    await ask(node, 'SET', '~rl:node', third);
    t.match(await perform(node, third, acquire(5), 'k'), { kind: 'quarantined' });
  },
);

t.test('where the register is gone and its ballots are not, a node does not vote', async (t) => {
  const [, node] = await startReplicaNode(t);
  await teach(node);
  const record = await node.admit();
  const [ballot, next] = [1, 2].map((counter) => makeBallot(0, counter, PROPOSERS[0] as string)) as [string, string];
  await perform(node, record, { kind: 'acquire', ballot, token: 'ours', ttlMs: 30_000, waits: false }, 'k');
  const register = '7 client ours';
  await perform(
    node,
    record,
    { kind: 'confirm', ballot, token: 'ours', share: 'x', lineage: NO_LINEAGE, register },
    'k',
  );
  await ask(node, 'DEL', '~rl:fence:k');
  const answer = await perform(
    node,
    record,
    { kind: 'acquire', ballot: next, token: 'ours', ttlMs: 30_000, waits: false },
    'k',
  );
  t.equal(answer?.kind, 'unable');
});
