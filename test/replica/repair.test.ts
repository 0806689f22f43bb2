import t from 'tap';
import { makeBallot, NEVER } from '../../src/replica/ballot.js';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import type { ProcessId } from '../../src/replica/member-step.js';
import { formatNodeRecord, parseNodeRecord } from '../../src/replica/node-record.js';
import {
  quorumOf,
  type RepairAction,
  type RepairAnswer,
  type RepairOutcome,
  type RepairPlan,
  type RepairProgress,
  type RepairReply,
  type RepairRequest,
  repairBackOffMs,
  repairNode,
} from '../../src/replica/repair.js';
import type { KeyState } from '../../src/replica/step.js';
import { Acceptor, type Engine } from '../help/acceptor.js';

const NO_ENGINE: Engine<null, null, string> = {
  apply: (_, stored) => ({ stored, replies: null }),
  read: () => null,
};

type Server = Acceptor<null, null, string>;

const PROPOSER = '7'.repeat(20);
const ballot = (epoch: number, counter: number) => makeBallot(epoch, counter, PROPOSER);

/** N members of one copy set, the last of which has forgotten everything. */
class Pool {
  readonly servers: Server[];
  lives = 0;
  epochs = 0;
  /** What happened, a word each. */
  readonly trace: string[] = [];
  readonly paces: RepairProgress[] = [];
  /** Called before a request reaches its node: for what happens meanwhile. Null: it is lost. */
  onRequest: (request: RepairRequest<string, string>) => 'lost' | undefined = () => undefined;
  onSettle: (key: string) => void = () => {};
  isStopped = false;

  constructor(count: number) {
    this.servers = Array.from({ length: count }, (_, node) => {
      const server: Server = new Acceptor({ engine: NO_ENGINE, clock: () => 1_000, process: this.life() });
      server.data.record = this.recordOf(node, server.process);
      return server;
    });
  }

  life(): ProcessId {
    this.lives++;
    return { runId: `run${this.lives}`, replId: `repl${this.lives}` };
  }

  recordOf(node: number, process: ProcessId): string {
    const admission = { epoch: 0, count: 1 };
    return formatNodeRecord({ clusterId: 'c1', name: `n${node}`, admission, process, status: { kind: 'member' } });
  }

  server(node: number): Server {
    return this.servers[node] as Server;
  }

  /** These nodes have accepted a value under that ballot; null: a deletion. */
  put(key: string, nodes: readonly number[], accepted: string, value: string | null = accepted.slice(0, 20)): void {
    for (const node of nodes) {
      const { data } = this.server(node);
      data.metas.set(key, { promised: accepted, accepted, lineage: NO_LINEAGE, live: value !== null, expireAt: 0 });
      if (value === null) data.values.delete(key);
      else data.values.set(key, { value, expireAt: 0 });
    }
  }

  plan(node: number, changes: Partial<RepairPlan<string>> = {}): RepairPlan<string> {
    const all = this.servers.map((_, index) => index);
    const members = new Map(all.filter((one) => one !== node).map((one) => [one, this.server(one).data.record]));
    return {
      node,
      name: `n${node}`,
      clusterId: 'c1',
      found: this.server(node).data.record,
      epochSeen: 0,
      members,
      copySets: [all],
      copiesOf: (key) => (key.startsWith('other:') ? null : all),
      isWeak: () => false,
      pageKeys: 100,
      bytesMax: 1_000_000,
      ...changes,
    };
  }

  repair(node: number, changes: Partial<RepairPlan<string>> = {}): RepairOutcome {
    const run = repairNode<string, string>(this.plan(node, changes));
    let step = run.next();
    while (step.done !== true) step = run.next(this.perform(step.value));
    return step.value;
  }

  perform(action: RepairAction<string, string>): RepairReply<string, string> {
    if (action.kind === 'draw') {
      this.trace.push('draw');
      this.epochs = Math.max(this.epochs, action.above) + 1;
      return { kind: 'epoch', epoch: this.epochs };
    }
    if (action.kind === 'settle') {
      this.onSettle(action.key);
      return { kind: 'settled', state: this.settle(action.key, action.epoch) };
    }
    if (action.kind === 'pace') {
      this.paces.push(action.progress);
      return { kind: 'go', isStopped: this.isStopped };
    }
    return { kind: 'answers', answers: action.requests.map((request) => this.ask(request)) };
  }

  private ask(request: RepairRequest<string, string>): RepairAnswer<string, string> {
    const { node, record, step } = request;
    this.trace.push(`${step.kind} ${node}`);
    if (this.onRequest(request) === 'lost') return { kind: 'lost' };
    if (step.kind === 'snapshot') {
      return this.server(node).perform({ kind: 'snapshot' }, step.key, record) as RepairAnswer<string, string>;
    }
    return this.server(node).performMember(step, record);
  }

  /** An identity round that all members hear. */
  private settle(key: string, epoch: number): KeyState<string> {
    const members = this.servers.filter(({ data }) => parseNodeRecord(data.record)?.status.kind === 'member');
    const metas = members.map(({ data }) => data.metas.get(key));
    const largest = metas.reduce((best, meta) => ((meta?.accepted ?? NEVER) > (best?.accepted ?? NEVER) ? meta : best));
    const holder = members[metas.indexOf(largest)] as Server;
    const value = holder.data.values.get(key)?.value ?? null;
    const accepted = ballot(epoch, 99);
    const state = { accepted, lineage: NO_LINEAGE, live: value !== null, expireAt: 0, value };
    for (const { data } of members) {
      data.metas.set(key, { promised: accepted, accepted, lineage: NO_LINEAGE, live: state.live, expireAt: 0 });
      if (value !== null) data.values.set(key, { value, expireAt: 0 });
    }
    return state;
  }
}

/** Where the last node was restarted without its data. */
function forgetful(count: number): Pool {
  const pool = new Pool(count);
  pool.server(count - 1).restart(pool.life());
  return pool;
}

for (const count of [3, 5]) {
  t.test(`of ${count} nodes, one that has forgotten everything is given what was chosen`, async (t) => {
    const pool = forgetful(count);
    const last = count - 1;
    const others = Array.from({ length: last }, (_, node) => node);
    pool.put('a', others, ballot(0, 1), 'value of a');
    pool.put('gone', others, ballot(0, 2), null);
    pool.put('other:key', others, ballot(0, 3), 'not replicated');
    const outcome = pool.repair(last);
    t.match(outcome, { kind: 'done', epoch: 1, progress: { keysReplaced: 2, keysDropped: 0, keysSettled: 0 } });
    const { data, process } = pool.server(last);
    t.same(parseNodeRecord(data.record), {
      clusterId: 'c1',
      name: `n${last}`,
      admission: { epoch: 1, count: 0 },
      process,
      status: { kind: 'member' },
    });
    t.equal(data.values.get('a')?.value, 'value of a');
    t.match(data.metas.get('a'), { accepted: ballot(0, 1), live: true });
    t.match(data.metas.get('gone'), { accepted: ballot(0, 2), live: false });
    t.notOk(data.metas.has('other:key'));
    for (const node of others) t.equal(pool.server(node).data.epochFloor, 1, 'members are raised');
  });
}

t.test(
  'the epoch is drawn after the look at the node, and members are raised before their keys are read',
  async (t) => {
    const pool = forgetful(3);
    pool.put('a', [0, 1], ballot(0, 1));
    pool.repair(2);
    const at = (word: string) => pool.trace.indexOf(word);
    t.ok(at('look 2') < at('draw'));
    t.ok(at('draw') < at('admit 2'));
    t.ok(at('admit 2') < at('raise 0'));
    t.ok(Math.max(at('raise 0'), at('raise 1')) < at('scan 0'));
  },
);

t.test('what members do not agree on is settled first', async (t) => {
  const pool = forgetful(5);
  pool.put('a', [0, 1], ballot(0, 1), 'old');
  pool.put('a', [2], ballot(0, 2), 'new');
  t.match(pool.repair(4), { kind: 'done', progress: { keysSettled: 1 } });
  t.match(pool.server(4).data.metas.get('a'), { accepted: ballot(1, 99) });
});

t.test('of a weak key the largest version that a member has is taken, and none is settled', async (t) => {
  const pool = forgetful(5);
  pool.put('a', [0, 1], ballot(0, 1), 'old');
  pool.put('a', [2], ballot(0, 2), 'new');
  pool.put('half', [1], ballot(0, 3), 'half');
  const before = pool.server(0).data.metas.get('a')?.accepted;
  const done = pool.repair(4, { isWeak: () => true });
  t.match(done, { kind: 'done', progress: { keysSettled: 0, keysReplaced: 2 } });
  t.match(pool.server(4).data.metas.get('a'), { accepted: ballot(0, 2) });
  t.match(pool.server(4).data.values.get('a'), { value: 'new' });
  t.match(pool.server(4).data.values.get('half'), { value: 'half' });
  t.equal(pool.server(0).data.metas.get('a')?.accepted, before, 'members keep what they have');
  t.notOk(pool.server(0).data.metas.has('half'));
});

t.test('a weak key that is written to all the while is copied as it is found', async (t) => {
  const pool = forgetful(3);
  pool.put('hot', [0, 1], ballot(0, 1), 'v1');
  let writes = 1;
  pool.onRequest = ({ step }) => {
    if (step.kind === 'snapshot') pool.put('hot', [0], ballot(1, ++writes), `v${writes}`);
    return undefined;
  };
  t.match(pool.repair(2, { isWeak: () => true }), { kind: 'done', progress: { keysSettled: 0 } });
  t.match(pool.server(2).data.values.get('hot'), { value: `v${writes}` });
});

t.test('of merged keys the node is given the largest version of any member, and keeps what is larger', async (t) => {
  const pool = new Pool(5);
  pool.put('a', [0, 1], ballot(0, 1), 'old');
  // Three are a quorum, and the fourth is asked, too.
  pool.put('a', [3], ballot(0, 2), 'new');
  pool.put('own', [0, 1, 2, 3], ballot(0, 1), 'old');
  pool.put('own', [4], ballot(0, 2), 'own');
  pool.put('alone', [4], ballot(0, 3), 'alone');
  pool.server(4).restart(pool.life(), pool.server(4).save());
  const done = pool.repair(4, { isMerged: () => true });
  t.match(done, { kind: 'done', progress: { keysSettled: 0, keysReplaced: 1, keysDropped: 0 } });
  const { values } = pool.server(4).data;
  t.match([...values].map(([key, { value }]) => [key, value]).sort(), [
    ['a', 'new'],
    ['alone', 'alone'],
    ['own', 'own'],
  ]);
  t.match(pool.server(0).data.values.get('a'), { value: 'old' }, 'members keep what they have');
});

t.test('where all keys are eventual no floor is raised, and no quorum is needed', async (t) => {
  const pool = forgetful(3);
  pool.put('a', [0], ballot(0, 1), 'value of a');
  const members = new Map([[0, pool.server(0).data.record]]);
  const plan = { isMerged: () => true, isEventual: true, acceptsLoss: true, members };
  t.match(pool.repair(2, plan), { kind: 'done', epoch: 1, progress: { keysReplaced: 1 } });
  t.match(pool.server(2).data.values.get('a'), { value: 'value of a' });
  for (const node of [0, 1, 2]) t.equal(pool.server(node).data.epochFloor, 0);
  t.match(parseNodeRecord(pool.server(2).data.record), { admission: { epoch: 1 }, status: { kind: 'member' } });
});

t.test('what the node has and no member has is dropped, with or without a meta', async (t) => {
  const pool = new Pool(3);
  pool.put('kept', [0, 1, 2], ballot(0, 1), 'kept');
  pool.put('excess', [2], ballot(0, 2), 'excess');
  pool.server(2).data.values.set('stray', { value: 'stray', expireAt: 0 });
  pool.server(2).data.values.set('other:stray', { value: 'not ours', expireAt: 0 });
  pool.server(2).restart(pool.life(), pool.server(2).save());
  t.match(pool.repair(2), { kind: 'done', progress: { keysReplaced: 0, keysDropped: 2 } });
  t.same([...pool.server(2).data.values.keys()].sort(), ['kept', 'other:stray']);
  t.same([...pool.server(2).data.metas.keys()], ['kept']);
});

t.test('what the node remembers of a deleted key that no member remembers is dropped, too', async (t) => {
  const pool = new Pool(3);
  pool.put('collected', [2], ballot(0, 2), null);
  pool.server(2).restart(pool.life(), pool.server(2).save());
  t.match(pool.repair(2), { kind: 'done', progress: { keysDropped: 1 } });
  t.equal(pool.server(2).data.metas.size, 0);
});

t.test('a node that is not what it was found as is left alone', async (t) => {
  const pool = forgetful(3);
  t.match(pool.repair(2, { found: 'another record' }), { kind: 'failed', reason: /record has changed/ });
  t.equal(pool.server(2).data.record, '');
});

t.test('a key that is written to all the while is settled in the end', async (t) => {
  const pool = forgetful(3);
  pool.put('hot', [0, 1], ballot(0, 1), 'v1');
  let writes = 1;
  pool.onRequest = ({ step }) => {
    // A write comes between the metas and the value.
    if (step.kind === 'snapshot') pool.put('hot', [0, 1], ballot(1, ++writes), `v${writes}`);
    return undefined;
  };
  t.match(pool.repair(2), { kind: 'done', progress: { keysSettled: 1 } });
  t.match(pool.server(2).data.metas.get('hot'), { accepted: ballot(1, 99) });
});

t.test('without a quorum of members there is no repair', async (t) => {
  const pool = forgetful(3);
  const members = new Map([[0, pool.server(0).data.record]]);
  t.same(pool.repair(2, { members }), { kind: 'no-quorum', sets: [[0, 1, 2]] });
  t.same(pool.trace, []);
  pool.onRequest = ({ node, step }) => (step.kind === 'raise' && node === 1 ? 'lost' : undefined);
  t.same(pool.repair(2), { kind: 'no-quorum', sets: [[0, 1, 2]] }, 'nor without one that was raised');
});

t.test('who comes upon a later repair gives up', async (t) => {
  const pool = forgetful(3);
  pool.server(1).data.epochFloor = 7;
  t.match(pool.repair(2), { kind: 'failed', reason: /epoch 7/, epochSeen: 7 });
  t.match(pool.repair(2, { epochSeen: 7 }), { kind: 'done', epoch: 8 });
});

t.test('of two repairs at once the later one wins', async (t) => {
  const pool = forgetful(3);
  pool.put('a', [0, 1], ballot(0, 1), 'value');
  let second: RepairOutcome | null = null;
  pool.onRequest = ({ step }) => {
    if (step.kind !== 'scan' || second !== null) return undefined;
    second = { kind: 'stopped' };
    second = pool.repair(2);
    return undefined;
  };
  const first = pool.repair(2);
  t.match(second, { kind: 'done', epoch: 2 });
  t.match(first, { kind: 'failed' });
  t.match(parseNodeRecord(pool.server(2).data.record), { status: { kind: 'member' }, admission: { epoch: 2 } });
  t.equal(pool.server(2).data.values.get('a')?.value, 'value');
});

t.test('a restart at any moment ends the repair, and another one finishes', async (t) => {
  const whole = forgetful(3);
  for (let index = 0; index < 3; index++) whole.put(`key ${index}`, [0, 1], ballot(0, 1), 'value');
  whole.repair(2);
  const count = whole.trace.length;
  t.ok(count > 10);
  for (const isEmptied of [true, false]) {
    for (let moment = 0; moment < count; moment++) {
      if (whole.trace[moment] === 'draw') continue;
      const pool = forgetful(3);
      for (let index = 0; index < 3; index++) pool.put(`key ${index}`, [0, 1], ballot(0, 1), 'value');
      const server = pool.server(2);
      pool.onRequest = () => {
        if (pool.trace.length === moment + 1) server.restart(pool.life(), isEmptied ? undefined : server.save());
        return undefined;
      };
      const first = pool.repair(2);
      // Before it has looked there is nothing that could have changed.
      t.equal(first.kind, moment === 0 ? 'done' : 'failed', `restarted before ${pool.trace[moment]}`);
      pool.onRequest = () => undefined;
      if (first.kind !== 'done') t.match(pool.repair(2), { kind: 'done' });
      t.equal(server.data.metas.size, 3);
    }
  }
});

t.test('a lost answer at any moment ends the repair, and another one finishes with less to send', async (t) => {
  const whole = forgetful(3);
  whole.put('key', [0, 1], ballot(0, 1), 'value');
  whole.repair(2);
  for (let moment = 0; moment < whole.trace.length; moment++) {
    if (whole.trace[moment] === 'draw') continue;
    const pool = forgetful(3);
    pool.put('key', [0, 1], ballot(0, 1), 'value');
    pool.onRequest = () => (pool.trace.length === moment + 1 ? 'lost' : undefined);
    t.match(pool.repair(2).kind, /failed|no-quorum/, `lost: ${pool.trace[moment]}`);
    t.match(pool.repair(2), { kind: 'done' });
    t.equal(pool.server(2).data.values.get('key')?.value, 'value');
  }
});

t.test('values go out in batches of bounded size', async (t) => {
  const pool = forgetful(3);
  for (let index = 0; index < 10; index++) pool.put(`key ${index}`, [0, 1], ballot(0, 1), 'value');
  const sizes: number[] = [];
  const run = repairNode<string, string>(pool.plan(2, { bytesMax: 4 }));
  for (let step = run.next(); step.done !== true; step = run.next(pool.perform(step.value))) {
    const { value: action } = step;
    if (action.kind !== 'ask' || action.requests[0]?.step.kind !== 'replace') continue;
    sizes.push(action.requests.length);
  }
  t.same(sizes, [4, 4, 2]);
});

t.test('it says what it does, and stops when it is told to', async (t) => {
  const pool = forgetful(3);
  pool.put('key', [0, 1], ballot(0, 1), 'value');
  pool.isStopped = true;
  t.same(pool.repair(2), { kind: 'stopped' });
  t.match(pool.paces, [{ epoch: 1, source: 0, keysCompared: 1, keysReplaced: 1 }]);
});

t.test('what A holds by now is not sent again', async (t) => {
  const pool = forgetful(3);
  for (let index = 0; index < 5; index++) pool.put(`key ${index}`, [0, 1], ballot(0, 1), 'value');
  pool.onRequest = ({ step }) => (step.kind === 'scan' && pool.trace.includes('replace 2') ? 'lost' : undefined);
  t.match(pool.repair(2), { kind: 'failed' });
  pool.onRequest = () => undefined;
  t.match(pool.repair(2), { kind: 'done', progress: { keysReplaced: 0 } });
});

t.test('the wait before another attempt doubles, and chance cuts it by up to a half', async (t) => {
  t.equal(repairBackOffMs(1, 0), 500);
  t.equal(repairBackOffMs(2, 0), 1_000);
  t.equal(repairBackOffMs(2, 1), 500);
  t.equal(repairBackOffMs(100, 0), 60_000);
  t.same([1, 3, 5].map(quorumOf), [1, 2, 3]);
});
