/** Who wants a lock stands in line: who tries when, and what each is told. */
import t from 'tap';
import { LockTurns, lockTurnsMemory } from '../../src/base/lock-turns.js';
import { Timers } from '../../src/base/timers.js';
import { type AcquireOutcome, EXCLUSIVE, type GiveBack, type LockMode } from '../../src/lock/lock.js';
import { LockLines } from '../../src/lock/lock-lines.js';
import type { AttemptOrder, LockNodes, LockPlace } from '../../src/lock/lock-nodes.js';
import type { LockStep } from '../../src/lock/lock-step.js';
import type { AcquisitionOutcome } from '../../src/lock/redlock.js';
import { makeBallot, NEVER, proposerNumber } from '../../src/replica/ballot.js';

const PLACE: LockPlace = { name: 'lock', pool: 'main', nodes: [0, 1, 2], ttlMaxMs: 60_000 };
const GRANTED = { kind: 'granted', share: 'x', fence: 1, validityMs: 1000, ballot: NEVER } as const;

/** Attempts are answered as the test says. */
class World {
  readonly timers = new Timers();
  now = 0;
  readonly counts = { locksAcquired: 0, locksContended: 0, locksWaiting: 0, locksCrowded: 0 };
  readonly memory = lockTurnsMemory(2);
  /** Tokens of those that try. */
  tries: string[] = [];
  /** Which slots they try first. */
  readonly slots: number[] = [];
  /** Those of them that wait to be told. */
  readonly waiting = new Set<string>();
  readonly told: string[] = [];
  readonly givenUp: string[] = [];
  /** Tell that these are given back. */
  readonly onGivenUp: (() => void)[] = [];
  /** Tokens of clients that have gone. */
  readonly gone = new Set<string>();
  readonly asked: LockStep[] = [];
  private readonly answers = new Map<string, (outcome: AcquisitionOutcome) => void>();
  private readonly listeners: ((message: string | null) => void)[] = [];

  worker(index: number, lockQueueMax = 100): LockLines {
    const world = this;
    const transport = {
      timers: this.timers,
      get now() {
        return world.now;
      },
    };
    const replicas = {
      listen: () => {},
      whenWoken: (listener: (message: string | null) => void) => this.listeners.push(listener),
    };
    const nodes = {
      context: { transport, replicas },
      ask: (_place: LockPlace, step: LockStep) => this.asked.push(step),
      acquire: (
        _place: LockPlace,
        { token, slot, waits }: AttemptOrder,
        told: (outcome: AcquisitionOutcome) => void,
      ) => {
        this.tries.push(token);
        this.slots.push(slot);
        if (waits) this.waiting.add(token);
        this.answers.set(token, told);
        return (done = () => {}) => {
          this.answers.delete(token);
          this.givenUp.push(token);
          this.onGivenUp.push(done);
        };
      },
    };
    const { counts } = this;
    return new LockLines({
      nodes: nodes as unknown as LockNodes,
      turns: new LockTurns(this.memory, index),
      random: () => 0.5,
      limits: { lockQueueMax },
      counts,
    });
  }

  want(lines: LockLines, token: string, waitMs: number, mode: LockMode = EXCLUSIVE): GiveBack {
    const isWanted = () => !this.gone.has(token);
    return lines.begin(
      PLACE,
      { ttlMs: 1000, token, client: 'c', mode, isWanted },
      waitMs,
      ({ kind }: AcquireOutcome) => {
        this.told.push(`${token} ${kind}`);
      },
    );
  }

  answer(token: string, outcome: AcquisitionOutcome): void {
    const told = this.answers.get(token);
    this.answers.delete(token);
    if (told === undefined) throw new Error(`${token} does not try`);
    told(outcome);
  }

  /** A majority of nodes says that it was freed. */
  free(mark = 'm'.repeat(20)): void {
    for (const listener of this.listeners) for (let node = 0; node < 2; node++) listener(`${mark}lock`);
  }

  pass(ms: number): void {
    for (const end = this.now + ms; this.now < end; ) {
      this.now++;
      this.timers.fire(this.now);
    }
  }

  takeTries(): string[] {
    const { tries } = this;
    this.tries = [];
    return tries;
  }
}

t.test('only the first tries, and when it is freed the next does', async (t) => {
  const world = new World();
  const lines = world.worker(0);
  for (const token of ['one', 'two', 'three']) world.want(lines, token, 60_000);
  t.same(world.takeTries(), ['one']);
  t.equal(world.counts.locksWaiting, 3);
  world.answer('one', { kind: 'held', ttlMs: 50_000 });
  world.pass(500);
  t.same(world.takeTries(), [], 'without asking again and again');
  world.free();
  t.same(world.takeTries(), ['one']);
  world.answer('one', GRANTED);
  t.same(world.told, ['one granted']);
  world.pass(500);
  t.same(world.takeTries(), [], 'it is held');
  world.free('n'.repeat(20));
  t.same(world.takeTries(), ['two']);
  t.equal(world.counts.locksWaiting, 2);
});

t.test('who is first behind one that got it at once has its nodes know that somebody waits', async (t) => {
  const world = new World();
  const lines = world.worker(0);
  for (const token of ['one', 'two', 'three']) world.want(lines, token, 60_000);
  world.answer('one', GRANTED);
  t.same(world.takeTries(), ['one', 'two']);
  world.answer('two', { kind: 'held', ttlMs: 50_000 });
  world.free();
  world.answer('two', GRANTED);
  t.same(world.takeTries(), ['two'], 'the nodes know that somebody waits, until he looks');
  world.pass(1000);
  t.same(world.takeTries(), ['three']);
  world.want(lines, 'four', 0);
  t.same([...world.waiting], ['one', 'two', 'three'], 'who may not wait is not to be told');
});

t.test('what is freed while the first tries has it try again', async (t) => {
  const world = new World();
  world.want(world.worker(0), 'one', 60_000);
  world.takeTries();
  world.free();
  t.same(world.takeTries(), []);
  world.answer('one', { kind: 'held', ttlMs: 50_000 });
  t.same(world.takeTries(), ['one']);
});

t.test('a lock that just expires, and a message that is lost, are seen', async (t) => {
  const world = new World();
  world.want(world.worker(0), 'one', 60_000);
  world.answer('one', { kind: 'held', ttlMs: 200 });
  world.takeTries();
  world.pass(201);
  t.same(world.takeTries(), []);
  world.pass(1);
  t.same(world.takeTries(), ['one']);
  world.answer('one', { kind: 'held', ttlMs: 50_000 });
  world.pass(999);
  t.same(world.takeTries(), []);
  world.pass(1);
  t.same(world.takeTries(), ['one']);
});

t.test('a time limit holds, wherever one stands', async (t) => {
  const world = new World();
  const lines = world.worker(0);
  world.want(lines, 'one', 100);
  world.want(lines, 'two', 50);
  world.want(lines, 'three', 200);
  world.answer('one', { kind: 'held', ttlMs: 50_000 });
  world.takeTries();
  world.pass(50);
  t.same(world.told, ['two out-of-time']);
  world.pass(50);
  t.same(world.told, ['two out-of-time', 'one out-of-time']);
  t.same(world.takeTries(), ['three'], 'who is first now has not tried yet');
  world.pass(100);
  t.equal(world.told.length, 2, 'what is under way may get it');
  world.answer('three', { kind: 'contended' });
  t.same(world.told.slice(2), ['three out-of-time']);
  t.equal(world.counts.locksWaiting, 0);
});

t.test('who may not wait is told at once, where others wait or have it', async (t) => {
  const world = new World();
  const lines = world.worker(0);
  world.want(lines, 'one', 0);
  world.answer('one', { kind: 'held', ttlMs: 50_000 });
  world.want(lines, 'two', 60_000);
  world.want(lines, 'three', 0);
  t.same(world.told, ['one out-of-time', 'three out-of-time']);
});

t.test(
  'those who want it at the same moment try again after a while, and what they give back wakes nobody',
  async (t) => {
    const world = new World();
    const lines = world.worker(0);
    world.want(lines, 'one', 60_000);
    for (const waitMs of [5, 9, 17]) {
      t.same(world.takeTries(), ['one']);
      world.answer('one', { kind: 'contended' });
      world.free(`${waitMs}`.padStart(20));
      world.pass(waitMs - 1);
      t.same(world.takeTries(), []);
      world.pass(1);
    }
    t.equal(world.counts.locksContended, 3);
    const other = new World();
    other.want(other.worker(0), 'two', 0);
    for (let count = 0; count < 4; count++) {
      t.same(other.takeTries(), ['two']);
      other.answer('two', { kind: 'contended' });
      other.pass(100);
    }
    t.same(other.told, ['two out-of-time']);
  },
);

t.test('too few nodes are told at once to who does not wait, and at the end to who does', async (t) => {
  const world = new World();
  const lack = { kind: 'no-quorum', quarantinedMs: null, error: null } as const;
  const lines = world.worker(0);
  world.want(lines, 'one', 0);
  world.answer('one', lack);
  t.same(world.told, ['one no-quorum']);
  world.want(lines, 'two', 300);
  world.answer('two', lack);
  world.pass(256);
  world.answer('two', lack);
  world.pass(44);
  t.same(world.told, ['one no-quorum', 'two no-quorum']);
});

t.test('who goes gives up what is under way, and the next tries', async (t) => {
  const world = new World();
  const lines = world.worker(0);
  const leave = world.want(lines, 'one', 60_000);
  const leaveLater = world.want(lines, 'two', 60_000);
  world.want(lines, 'three', 60_000);
  leaveLater();
  leave();
  t.same(world.givenUp, ['one']);
  t.same(world.takeTries(), ['one', 'three']);
  world.answer('three', GRANTED);
  t.same(world.told, ['three granted']);
});

t.test('for who has gone nothing more is tried', async (t) => {
  const world = new World();
  const lines = world.worker(0);
  world.want(lines, 'one', 0);
  t.same(world.takeTries(), ['one']);
  world.gone.add('one');
  world.answer('one', { kind: 'contended' });
  world.pass(1_000);
  t.same(world.takeTries(), []);
  t.same(world.told, ['one out-of-time']);
});

t.test('what is given back is taken back by the ballot and the fence that it was granted by', async (t) => {
  const world = new World();
  const ballot = makeBallot(0, 7, proposerNumber(0, 1));
  world.worker(0).giveBack(PLACE, { token: 'one', ballot, fence: 7 }, () => {});
  t.match(world.asked, [{ kind: 'take-back', token: 'one', ballot, fence: 7 }]);
});

t.test('no more wait than may', async (t) => {
  const world = new World();
  const lines = world.worker(0, 2);
  for (const token of ['one', 'two', 'three']) world.want(lines, token, 60_000);
  t.same(world.told, ['three crowded']);
  t.equal(world.counts.locksCrowded, 1);
});

t.test('of two workers the one whose client came first tries first', async (t) => {
  const world = new World();
  const [one, two] = [world.worker(0), world.worker(1)];
  world.want(two, 'early', 60_000);
  world.answer('early', { kind: 'held', ttlMs: 50_000 });
  world.want(one, 'late', 60_000);
  t.same(world.takeTries(), ['early'], 'who comes later leaves it to him');
  world.free();
  t.same(world.takeTries(), ['early']);
  world.pass(500);
  t.same(world.takeTries(), [], 'however long that takes');
  world.want(one, 'hasty', 0);
  world.answer('early', GRANTED);
  world.pass(5);
  t.same(world.takeTries(), ['late'], 'and then comes his');
  world.answer('late', { kind: 'held', ttlMs: 50_000 });
  world.free('n'.repeat(20));
  t.same(world.takeTries(), ['late']);
  t.same(world.told, ['hasty out-of-time', 'early granted']);
});

t.test('a worker that does not take its turn is not waited for for good', async (t) => {
  const world = new World();
  const [one, two] = [world.worker(0), world.worker(1)];
  world.want(two, 'early', 60_000);
  world.want(one, 'late', 60_000);
  world.pass(999);
  t.same(world.takeTries(), ['early']);
  world.pass(1);
  t.same(world.takeTries(), ['late']);
  world.want(one, 'hasty', 0);
  t.same(world.told, ['hasty out-of-time']);
});

const SHARED: LockMode = { kind: 'shared' };
const THREE: LockMode = { kind: 'limit', max: 3 };

t.test('behind who has got a share of it the next tries at once if he wants one as well, and else waits', async (t) => {
  const world = new World();
  const lines = world.worker(0);
  for (const token of ['one', 'two']) world.want(lines, token, 60_000, SHARED);
  world.want(lines, 'writer', 60_000);
  world.want(lines, 'late', 60_000, SHARED);
  t.same(world.takeTries(), ['one'], 'one after the other');
  world.answer('one', { ...GRANTED, share: 's' });
  t.same(world.takeTries(), ['two']);
  world.answer('two', { ...GRANTED, share: 's' });
  t.same(world.takeTries(), ['writer'], 'so that its nodes know that somebody waits');
  world.answer('writer', { kind: 'held', ttlMs: 50_000 });
  world.pass(500);
  t.same(world.takeTries(), [], 'readers that come later do not overtake the writer');
  world.free();
  t.same(world.takeTries(), ['writer']);
  world.answer('writer', { kind: 'held', ttlMs: 50_000 });
  world.pass(500);
  t.same(world.takeTries(), []);
  world.free('n'.repeat(20));
  world.answer('writer', GRANTED);
  t.same(world.takeTries(), ['writer']);
  world.free('o'.repeat(20));
  t.same(world.takeTries(), ['late']);
  t.same(world.told, ['one granted', 'two granted', 'writer granted']);
});

t.test('who counts otherwise waits for those who count', async (t) => {
  const world = new World();
  const lines = world.worker(0);
  world.want(lines, 'one', 60_000, THREE);
  world.want(lines, 'two', 60_000, { kind: 'limit', max: 4 });
  world.want(lines, 'three', 60_000, { kind: 'limit', max: 5 });
  world.answer('one', { ...GRANTED, share: '0' });
  t.same(world.takeTries(), ['one', 'two']);
  world.answer('two', { kind: 'held', ttlMs: 50_000 });
  world.free();
  world.answer('two', { ...GRANTED, share: '0' });
  t.same(world.takeTries(), ['two']);
});

t.test('of a counted lock any slot is tried first, and then the one behind that which was got last', async (t) => {
  const world = new World();
  const lines = world.worker(0);
  for (const token of ['one', 'two', 'three', 'four']) world.want(lines, token, 60_000, THREE);
  world.answer('one', { ...GRANTED, share: '1' });
  world.answer('two', { ...GRANTED, share: '2' });
  world.answer('three', { ...GRANTED, share: '1' });
  t.same(world.slots, [1, 2, 0, 2]);
});

t.test(
  'who may not wait and wants a share stands behind others who try for one, but not behind those who wait',
  async (t) => {
    const world = new World();
    const lines = world.worker(0);
    world.want(lines, 'one', 60_000, SHARED);
    world.want(lines, 'two', 0, SHARED);
    world.want(lines, 'other', 0, THREE);
    world.want(lines, 'writer', 0);
    t.same(world.told, ['other out-of-time', 'writer out-of-time']);
    world.answer('one', { ...GRANTED, share: 's' });
    t.same(world.takeTries(), ['one', 'two']);
    world.want(lines, 'three', 0, SHARED);
    world.answer('two', { kind: 'held', ttlMs: 50_000 });
    t.same(world.takeTries(), ['three'], 'he asks for himself');
    world.answer('three', { kind: 'held', ttlMs: 50_000 });
    t.same(world.told.slice(2), ['one granted', 'two out-of-time', 'three out-of-time']);
    world.want(lines, 'waits', 60_000, SHARED);
    world.want(lines, 'hasty', 0, SHARED);
    world.answer('waits', { kind: 'held', ttlMs: 50_000 });
    world.want(lines, 'late', 0, SHARED);
    t.same(world.told.slice(5), ['hasty out-of-time', 'late out-of-time']);
  },
);

t.test('too few nodes are told also to who does not wait behind who does', async (t) => {
  const world = new World();
  const lines = world.worker(0);
  world.want(lines, 'one', 60_000, SHARED);
  world.want(lines, 'two', 0, SHARED);
  world.answer('one', { kind: 'no-quorum', quarantinedMs: null, error: null });
  t.same(world.told, ['two no-quorum']);
});

t.test(
  'who may not wait is not kept by who waits for those of other workers, or backs off again and again',
  async (t) => {
    const world = new World();
    const [one, two] = [world.worker(0), world.worker(1)];
    world.want(two, 'writer', 60_000);
    world.want(one, 'reader', 60_000, SHARED);
    world.want(one, 'hasty', 0, SHARED);
    world.pass(5);
    t.same(world.told, ['hasty out-of-time']);
    const other = new World();
    const lines = other.worker(0);
    other.want(lines, 'first', 60_000, SHARED);
    other.want(lines, 'behind', 0, SHARED);
    for (let count = 0; count < 4; count++) {
      t.same(other.told, []);
      other.answer('first', { kind: 'contended' });
      other.pass(100);
    }
    t.same(other.told, ['behind out-of-time']);
  },
);

t.test('who may not wait leaves it for a while to those of other workers who want a share, too', async (t) => {
  const world = new World();
  const [one, two] = [world.worker(0), world.worker(1)];
  world.want(two, 'early', 60_000, SHARED);
  world.want(one, 'late', 0, SHARED);
  world.pass(19);
  t.same(world.takeTries(), ['early']);
  world.pass(1);
  t.same(world.takeTries(), ['late']);
  world.want(two, 'writer', 60_000);
  world.answer('early', { ...GRANTED, share: 's' });
  world.answer('late', { ...GRANTED, share: 's' });
  world.want(one, 'later', 0, SHARED);
  t.same(world.told, ['early granted', 'late granted', 'later out-of-time']);
});
