/** One acquisition, message by message. */
import t from 'tap';
import { EXCLUSIVE, type LockMode } from '../../src/lock/lock.js';
import type { LockStep } from '../../src/lock/lock-step.js';
import { Acquisition, type AcquisitionOutcome, type LockAction } from '../../src/lock/redlock.js';
import { counterOf, makeBallot, NEVER, proposerNumber } from '../../src/replica/ballot.js';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import { ModelNode, type Register } from './model-node.js';

const NAME = 'k';
const TTL_MS = 1000;
const TTL_MAX_MS = 60_000;

/** Nodes that answer at once, in the order of their numbers. */
class Trial {
  readonly nodes: ModelNode[];
  nowMs = 0;
  /** Steps, as they were asked for: kind and copies. */
  readonly asked: string[] = [];
  outcome: AcquisitionOutcome | null = null;
  isWanted = true;
  private counter: number;
  private readonly acquisition: Acquisition;

  /** `counter`: of the last ballot; `slot`: see AcquisitionPlan. */
  constructor(
    copies: number,
    token = 'token',
    counter = 0,
    nodes: ModelNode[] | null = null,
    mode: LockMode = EXCLUSIVE,
    slot = 0,
  ) {
    this.counter = counter;
    this.nodes = nodes ?? Array.from({ length: copies }, () => new ModelNode());
    this.acquisition = new Acquisition({
      copies,
      ttlMs: TTL_MS,
      token,
      client: 'c',
      mode,
      slot,
      mark: 'm',
      waits: false,
      timeoutMs: 100,
      isWanted: () => this.isWanted,
      freshBallot: () => makeBallot(0, ++this.counter, proposerNumber(0, 1)),
      onSeen: (promised) => {
        this.counter = Math.max(this.counter, counterOf(promised));
      },
      random: () => 0,
    });
  }

  run(silent: readonly number[] = []): AcquisitionOutcome | null {
    this.obey(this.acquisition.begin(this.nowMs), silent);
    return this.outcome;
  }

  cancel(): void {
    this.obey(this.acquisition.cancel(), []);
  }

  /** Those that are silent will not answer. */
  runOut(): AcquisitionOutcome | null {
    this.nowMs = this.acquisition.dueMs;
    this.obey(this.acquisition.onTime(this.nowMs), []);
    return this.outcome;
  }

  perform(copy: number, step: LockStep) {
    return (this.nodes[copy] as ModelNode).perform(step, NAME, TTL_MAX_MS, this.nowMs);
  }

  private obey(actions: readonly LockAction[], silent: readonly number[]): void {
    for (const action of actions) {
      if (action.kind === 'end') {
        this.outcome = action.outcome;
        continue;
      }
      if (action.kind === 'wait') continue;
      const copies = this.nodes.map((_, copy) => copy).filter((copy) => (action.copies & (1 << copy)) !== 0);
      this.asked.push(`${action.step.kind} ${copies.join('')}`);
      this.nowMs += 10;
      const replies = copies.map((copy) => [copy, this.perform(copy, action.step)] as const);
      for (const [copy, reply] of replies) {
        if (silent.includes(copy)) continue;
        this.obey(this.acquisition.onAnswer(copy, action.tag, reply, this.nowMs), silent);
      }
    }
  }
}

function take(trial: Trial, copy: number, ttlMs: number): void {
  const ballot = makeBallot(0, 1, proposerNumber(0, 2));
  trial.perform(copy, { kind: 'acquire', ballot, token: 'theirs', ttlMs, waits: false });
}

t.test('where nobody else wants it it takes two round trips', async (t) => {
  const trial = new Trial(3);
  t.same(trial.run(), {
    kind: 'granted',
    share: 'x',
    fence: 1,
    validityMs: 1000 - 20 - 10 - 2,
    ballot: makeBallot(0, 1, proposerNumber(0, 1)),
  });
  t.same(trial.asked, ['acquire 012', 'confirm 012']);
});

t.test('nodes that are silent are not waited for where a majority is not', async (t) => {
  const trial = new Trial(5);
  t.match(trial.run([1, 3]), { kind: 'granted' });
  const other = new Trial(5);
  t.equal(other.run([1, 3, 4]), null);
  t.same(other.runOut(), { kind: 'no-quorum', quarantinedMs: null, error: null });
  t.same(other.asked, ['acquire 01234', 'take-back 01234'], 'what they may have taken is taken back');
});

t.test('who has it at a majority has it for as long as they say, and the rest is given back', async (t) => {
  const trial = new Trial(5);
  for (const [copy, ttlMs] of [
    [0, 300],
    [1, 100],
    [2, 200],
  ] as const)
    take(trial, copy, ttlMs);
  t.same(trial.run(), { kind: 'held', ttlMs: 100 - 10 }, 'when one more is free there are three');
  t.same(trial.asked, ['acquire 01234', 'take-back 34']);
  t.equal((trial.nodes[3] as ModelNode).locks.size, 0);
});

t.test('where several want it, and none has a majority, it is contended', async (t) => {
  const trial = new Trial(3);
  take(trial, 0, 500);
  trial.nodes[1] = new ModelNode();
  trial.nodes[1].isMember = false;
  t.same(trial.run(), { kind: 'contended' });
});

t.test('a ballot that is too small is drawn anew, above the one that refused it', async (t) => {
  const trial = new Trial(3);
  for (const copy of [0, 1]) {
    const ballot = makeBallot(0, 41, proposerNumber(0, 2));
    trial.perform(copy, { kind: 'acquire', ballot, token: 'theirs', ttlMs: 5, waits: false });
    trial.perform(copy, {
      kind: 'confirm',
      ballot,
      token: 'theirs',
      share: 'x',
      lineage: NO_LINEAGE,
      register: '6 c theirs',
    });
  }
  trial.nowMs = 10;
  t.match(trial.run(), { kind: 'granted', fence: 42 });
  t.same(trial.asked, ['acquire 012', 'acquire 012', 'confirm 012']);
});

t.test(
  'a fence is larger than the last one, and not below the ballot, by which it goes on where all is forgotten',
  async (t) => {
    for (const [last, expected] of [
      ['', 30],
      ['6 c theirs', 30],
      ['29 c theirs', 30],
      ['30 c theirs', 31],
      ['99 c theirs', 100],
    ] as const) {
      const trial = new Trial(3, 'token', 29);
      const accepted = makeBallot(0, 1, proposerNumber(0, 2));
      for (const { registers } of trial.nodes)
        registers.set(NAME, { promised: accepted, accepted, lineage: NO_LINEAGE, text: last });
      t.match(trial.run(), { kind: 'granted', fence: expected }, last);
    }
  },
);

t.test('what is given back after the same token was granted again stays', async (t) => {
  const first = new Trial(3);
  const second = new Trial(3, 'token', 10, first.nodes);
  const [early, late] = [first.run(), second.run()];
  if (early?.kind !== 'granted' || late?.kind !== 'granted') throw new Error('both are granted');
  for (const [{ ballot, fence }, left] of [
    [early, 3],
    [late, 0],
  ] as const) {
    for (const copy of [0, 1, 2]) first.perform(copy, { kind: 'take-back', ballot, token: 'token', fence, mark: 'm' });
    t.equal(first.nodes.filter(({ locks }) => locks.size > 0).length, left);
  }
});

t.test(
  'what is given back is free also where others have settled the register since, and not where they have voted',
  async (t) => {
    for (const [what, left] of [
      ['settled', 0],
      ['voted', 3],
      ['another grant', 3],
    ] as const) {
      const trial = new Trial(3);
      const outcome = trial.run();
      if (outcome?.kind !== 'granted') throw new Error('it is granted');
      const { ballot, fence } = outcome;
      const theirs = makeBallot(1, 1, proposerNumber(0, 2));
      for (const { registers } of trial.nodes) {
        const register = registers.get(NAME) as Register;
        const accepted = what === 'voted' ? register.accepted : theirs;
        const text = what === 'another grant' ? `${fence + 1} c token` : register.text;
        registers.set(NAME, { ...register, promised: theirs, accepted, text });
      }
      for (const copy of [0, 1, 2])
        trial.perform(copy, { kind: 'take-back', ballot, token: 'token', fence, mark: 'm' });
      t.equal(trial.nodes.filter(({ locks }) => locks.size > 0).length, left, what);
    }
  },
);

t.test('who has gone uses no further ballot, so that what the same token has got elsewhere stays', async (t) => {
  for (const isWanted of [true, false]) {
    const first = new Trial(3);
    const second = new Trial(3, 'token', 10, first.nodes);
    const [node] = first.nodes as [ModelNode];
    const { perform } = node;
    let hasAsked = false;
    // Between the votes and their confirmation the same client asks elsewhere, and goes.
    node.perform = (step, ...rest) => {
      if (step.kind === 'confirm' && !hasAsked) {
        hasAsked = true;
        second.run();
        first.isWanted = isWanted;
      }
      return perform.call(node, step, ...rest);
    };
    const outcome = first.run();
    t.equal(second.outcome?.kind, 'granted');
    t.equal(outcome?.kind, isWanted ? 'granted' : 'contended');
    t.equal(first.nodes.filter(({ locks }) => locks.size > 0).length, 3);
  }
});

t.test('what was lost before it was confirmed is not handed out', async (t) => {
  const trial = new Trial(3);
  const [first, second] = trial.nodes as [ModelNode, ModelNode];
  const lose = (node: ModelNode) => {
    const { perform } = node;
    node.perform = (step, ...rest) => {
      if (step.kind === 'confirm') node.locks.clear();
      return perform.call(node, step, ...rest);
    };
  };
  lose(first);
  lose(second);
  t.same(trial.run(), { kind: 'contended' });
  t.equal(first.registers.get(NAME)?.accepted, NEVER);
});

t.test('a quarantine, and what a node could not do, are told', async (t) => {
  const trial = new Trial(3);
  for (const node of trial.nodes.slice(0, 2)) node.mayHaveForgotten = true;
  t.same(trial.run(), { kind: 'no-quorum', quarantinedMs: TTL_MAX_MS, error: null });
  const full = new Trial(3);
  const error = Buffer.from('-OOM\r\n');
  for (const node of full.nodes.slice(0, 2)) node.perform = () => ({ kind: 'unable', error });
  t.match(full.run(), { kind: 'no-quorum', error });
});

t.test('what comes when it would be over already is not handed out', async (t) => {
  const trial = new Trial(3);
  const { nodes } = trial;
  for (const node of nodes) {
    const { perform } = node;
    node.perform = (step, ...rest) => {
      if (step.kind === 'confirm') trial.nowMs += 400;
      return perform.call(node, step, ...rest);
    };
  }
  t.match(trial.run(), { kind: 'late' });
  t.same(trial.asked.at(-1), 'take-back 012');
});

/** One who wants a slot of a lock with two, that one first. */
function counted(nodes: ModelNode[], token: string, slot: number, counter: number): Trial {
  return new Trial(nodes.length, token, counter, nodes, { kind: 'limit', max: 2 }, slot);
}

function slotsOf(nodes: readonly ModelNode[], token: string): string {
  return nodes.map(({ locks }) => locks.get(NAME)?.holders.get(token)?.share ?? '-').join('');
}

t.test('readers have it together, each under a larger fence, and nobody else has', async (t) => {
  const nodes = Array.from({ length: 3 }, () => new ModelNode());
  const fences = ['one', 'two', 'three'].map((token, index) => {
    const outcome = new Trial(3, token, index, nodes, { kind: 'shared' }).run();
    return outcome?.kind === 'granted' && outcome.fence;
  });
  t.same(fences, [1, 2, 3]);
  t.match(new Trial(3, 'writer', 3, nodes).run(), { kind: 'held' });
  t.match(counted(nodes, 'other', 0, 3).run(), { kind: 'held' });
  t.match(nodes[0]?.locks.get(NAME)?.mode, 's');
});

t.test('who finds a slot taken takes one that is free, as long as there is one', async (t) => {
  const nodes = Array.from({ length: 3 }, () => new ModelNode());
  const trials = ['one', 'two', 'three'].map((token, index) => counted(nodes, token, 0, 10 * index));
  t.match(trials[0]?.run(), { kind: 'granted', share: '0', fence: 1 });
  t.match(trials[1]?.run(), { kind: 'granted', share: '1', fence: 12 });
  t.same(trials[1]?.asked, ['acquire-share 012', 'acquire-share 012', 'confirm 012']);
  t.match(trials[2]?.run(), { kind: 'held', ttlMs: TTL_MS });
  t.same(trials[2]?.asked, ['acquire-share 012', 'take-back 2'], 'two of three have no slot left');
});

t.test('two of each node’s slots are not two of all nodes, and each is asked for once', async (t) => {
  for (const isConfirmed of [true, false]) {
    const nodes = Array.from({ length: 3 }, () => new ModelNode());
    counted(nodes.slice(0, 2), 'one', 0, 0).run();
    counted(nodes.slice(1, 3), 'two', 1, 20).run();
    for (const { locks } of isConfirmed ? [] : nodes) {
      for (const held of locks.get(NAME)?.holders.values() ?? []) held.fence = 0;
    }
    const third = counted(nodes, 'three', 0, 40);
    const kind = isConfirmed ? 'held' : 'contended';
    t.match(
      third.run(),
      { kind },
      'a slot is free at two of them, and not the same; of who has votes alone it is not known',
    );
    t.equal(third.asked.length, isConfirmed ? 3 : 9, 'who has voted may have given back');
    t.same([slotsOf(nodes, 'three'), slotsOf(nodes, 'one'), slotsOf(nodes, 'two')], ['---', '00-', '-11']);
  }
});

t.test('who has a slot has it again, whichever he asks for, and where he had another one it is moved', async (t) => {
  const nodes = Array.from({ length: 3 }, () => new ModelNode());
  counted(nodes, 'one', 1, 0).run([]);
  nodes[2]?.locks.clear();
  const again = counted(nodes, 'one', 0, 9);
  t.match(again.run(), { kind: 'granted', share: '1' });
  t.equal(slotsOf(nodes, 'one'), '111');
  t.same(again.asked, ['acquire-share 012', 'acquire-share 012', 'confirm 012']);
});

t.test('what was said of slots before is not what is said of what was lost', async (t) => {
  for (const token of ['other', 'one']) {
    const nodes = Array.from({ length: 3 }, () => new ModelNode());
    // At one node another one has it, or this one has another slot.
    const slot = token === 'other' ? 0 : 1;
    counted(nodes.slice(0, 1), token, slot, 0).run();
    for (const node of nodes.slice(1)) {
      const { perform } = node;
      node.perform = (step, ...rest) => {
        if (step.kind === 'confirm') node.locks.clear();
        return perform.call(node, step, ...rest);
      };
    }
    const trial = counted(nodes, 'one', 0, 9);
    t.match(trial.run(), { kind: 'contended' }, token);
    t.same(trial.asked.slice(0, 2), ['acquire-share 012', 'confirm 12']);
    t.equal(trial.asked.filter((text) => text.startsWith('acquire')).length, 1);
  }
});

t.test('a node that is silent does not keep who wants a slot from another one', async (t) => {
  const nodes = Array.from({ length: 3 }, () => new ModelNode());
  counted(nodes, 'one', 0, 0).run();
  const second = counted(nodes, 'two', 0, 9);
  t.match(second.run([2]), { kind: 'granted', share: '1' });
  const third = counted(nodes, 'three', 0, 19);
  t.match(third.run([2]), { kind: 'held' }, 'nor waiting for it where there is none');
});

t.test('who is barred by others who take a share leaves them time, and takes his after that', async (t) => {
  const nodes = Array.from({ length: 3 }, () => new ModelNode());
  const first = new Trial(3, 'one', 0, nodes, { kind: 'shared' });
  const second = new Trial(3, 'two', 10, nodes, { kind: 'shared' });
  const [node] = nodes as [ModelNode];
  const { perform } = node;
  let hasAsked = false;
  node.perform = (step, ...rest) => {
    if (step.kind === 'confirm' && !hasAsked) {
      hasAsked = true;
      second.run();
    }
    return perform.call(node, step, ...rest);
  };
  t.equal(first.run(), null, 'it waits');
  t.equal(nodes.filter(({ locks }) => locks.get(NAME)?.holders.has('one')).length, 3);
  t.match(second.outcome, { kind: 'granted', fence: 11 });
  t.match(first.runOut(), { kind: 'granted', fence: 12 });
  t.same(first.asked, ['acquire-share 012', 'confirm 012', 'acquire-share 012', 'confirm 012']);
});

t.test('who goes while he leaves others time gives back what he has', async (t) => {
  const nodes = Array.from({ length: 3 }, () => new ModelNode());
  const first = new Trial(3, 'one', 0, nodes, { kind: 'shared' });
  for (const node of nodes) {
    const { perform } = node;
    node.perform = (step, ...rest) => {
      const ballot = makeBallot(0, 50, proposerNumber(0, 2));
      const register = node.registers.get(NAME);
      if (step.kind === 'confirm' && register !== undefined) register.promised = ballot;
      return perform.call(node, step, ...rest);
    };
  }
  t.equal(first.run(), null);
  first.cancel();
  t.same(first.asked, ['acquire-share 012', 'confirm 012', 'take-back 012']);
  t.equal(nodes.filter(({ locks }) => locks.size > 0).length, 0);
});

t.test('where only the ballot was too small there is no pause', async (t) => {
  const nodes = Array.from({ length: 3 }, () => new ModelNode());
  new Trial(3, 'one', 10, nodes, { kind: 'shared' }).run();
  t.match(new Trial(3, 'two', 0, nodes, { kind: 'shared' }).run(), { kind: 'granted', fence: 12 });
});
