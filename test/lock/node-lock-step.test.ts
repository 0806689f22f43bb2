/** The scripts of locks on a real Redis, each step against the model of a node. */
import t from 'tap';
import { LOCK_SCRIPTS } from '../../src/lock/lock-scripts.js';
import type { LockReply, LockStep } from '../../src/lock/lock-step.js';
import { NodeLockStep } from '../../src/lock/node-lock-step.js';
import { makeBallot, proposerNumber } from '../../src/replica/ballot.js';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import { encodeLoads } from '../../src/replica/scripts.js';
import { CommandWriter } from '../../src/resp/command-writer.js';
import { encodeCommand } from '../../src/resp/reply.js';
import { randomFromSeed } from '../help/random.js';
import { memberRecord, type ReplicaNode, startReplicaNode } from '../help/replica-node.js';
import { ModelNode } from './model-node.js';

const TTL_MAX_MS = 60_000;
/** Steps of a run, and what a lock's remaining time may differ by between two clocks that are read one after the other. */
const STEPS = 1500;
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
  return nodeStep.decode(await node.exchange(room.subarray(0, writer.at), 1));
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
  for (let count = 0; count < STEPS; count++) {
    const name = random.pick(['a', 'b {x}']);
    const token = random.pick(['one', 'two', 'three \xff']);
    const ttlMs = 30_000 + random.below(20_000);
    const step = random.pick<LockStep>([
      { kind: 'acquire', ballot: ballot(), token, ttlMs },
      { kind: 'acquire', ballot: ballot(), token, ttlMs },
      { kind: 'confirm', ballot: ballot(), token, lineage: NO_LINEAGE, register: `${1 + count} client ${token}` },
      { kind: 'take-back', ballot: ballot(), token, mark: 'm' },
      { kind: 'release', token, mark: 'm' },
      { kind: 'extend', token, ttlMs },
      { kind: 'look' },
    ]);
    const expected = model.perform(step, name, TTL_MAX_MS, Date.now());
    const found = await perform(node, record, step, name);
    const [expectedMs, foundMs] = [msOf(expected), msOf(found)];
    t.same({ ...found, ttlMs: 0 }, { ...expected, ttlMs: 0 }, `step ${count}: ${JSON.stringify(step)}`);
    if (Math.abs(expectedMs - foundMs) > LATE_MS) t.fail(`step ${count}: ${foundMs} ms are left, not ${expectedMs}`);
    // Ballots are few: begin anew when all are promised.
    if (random.below(40) === 0) {
      model.registers.delete(name);
      model.locks.delete(name);
      await ask(node, 'DEL', name, `~rl:fence:${name}`, `~rl:m:~rl:fence:${name}`);
    }
  }
});

function msOf(reply: LockReply): number {
  return reply !== null && 'ttlMs' in reply ? reply.ttlMs : 0;
}

t.test('a lock that the drop-in door has taken excludes this one, and the other way round', async (t) => {
  const [, node] = await startReplicaNode(t);
  await teach(node);
  const record = await node.admit();
  const ballot = makeBallot(0, 1, PROPOSERS[0] as string);
  t.equal(await ask(node, 'SET', 'k', 'theirs', 'NX', 'PX', '30000'), '+OK\r\n');
  t.match(await perform(node, record, { kind: 'acquire', ballot, token: 'ours', ttlMs: 1000 }, 'k'), { kind: 'held' });
  t.match(await perform(node, record, { kind: 'acquire', ballot, token: 'ours', ttlMs: 30_000 }, 'l'), {
    kind: 'vote',
  });
  t.equal(await ask(node, 'GET', 'l'), '$4\r\nours\r\n');
  t.equal(await ask(node, 'SET', 'l', 'theirs', 'NX', 'PX', '30000'), '_\r\n');
  t.equal(await ask(node, 'SET', 'm', 'theirs'), '+OK\r\n');
  t.same(await perform(node, record, { kind: 'acquire', ballot, token: 'ours', ttlMs: 1000 }, 'm'), {
    kind: 'held',
    ttlMs: -1,
  });
  await ask(node, 'RPUSH', 'list', 'x');
  const answer = await perform(node, record, { kind: 'acquire', ballot, token: 'ours', ttlMs: 1000 }, 'list');
  t.equal(answer?.kind, 'unable');
  t.match(answer?.kind === 'unable' && Buffer.from(answer.error).toString(), /^-WRONGTYPE/);
});

t.test('a release is told to those who wait', async (t) => {
  const [server, node] = await startReplicaNode(t);
  await teach(node);
  const record = await node.admit();
  const { RespClient } = await import('../help/resp-client.js');
  const listener = await RespClient.connect(server.port);
  t.teardown(() => listener.close());
  await listener.raw('SUBSCRIBE', '~rl:wake');
  const ballot = makeBallot(0, 1, PROPOSERS[0] as string);
  await perform(node, record, { kind: 'acquire', ballot, token: 'ours', ttlMs: 30_000 }, 'k');
  await perform(node, record, { kind: 'release', token: 'theirs', mark: 'first ' }, 'k');
  await perform(node, record, { kind: 'release', token: 'ours', mark: 'second ' }, 'k');
  t.match((await listener.next()).toString(), /second k\r\n$/);
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
    t.match(await perform(node, again, { kind: 'look' }, 'k'), { kind: 'view' });
    // As if it had begun long ago.
    await ask(node, 'SET', '~rl:locks', `${Date.now() - TTL_MAX_MS - 1} ${again}`);
    t.match(await perform(node, again, acquire(4), 'k'), { kind: 'vote' });
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
  await perform(node, record, { kind: 'acquire', ballot, token: 'ours', ttlMs: 30_000 }, 'k');
  const register = '7 client ours';
  await perform(node, record, { kind: 'confirm', ballot, token: 'ours', lineage: NO_LINEAGE, register }, 'k');
  await ask(node, 'DEL', '~rl:fence:k');
  const answer = await perform(node, record, { kind: 'acquire', ballot: next, token: 'ours', ttlMs: 30_000 }, 'k');
  t.equal(answer?.kind, 'unable');
});
