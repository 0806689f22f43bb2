/** What a proposer asks of which copies, in how many round trips, and what it makes of what fails: one case after the other, by hand. */
import t from 'tap';
import { floorOf, NEVER, proposerNumber } from '../../src/replica/ballot.js';
import type { Operation } from '../../src/replica/operation.js';
import { Proposer, type ProposerEvent } from '../../src/replica/proposer.js';
import type { Asker, Outcome } from '../../src/replica/round.js';
import type { AcceptAnswer, Answer, Step } from '../../src/replica/step.js';
import { Acceptor, type Engine, type Stored } from '../help/acceptor.js';

const LINES_MAX = 10;
const QUEUE_MAX = 4;

/** `set x`, `append x`, `del`, `get`. */
type Commands = readonly string[];
type Replies = readonly string[];

const TEXTS: Engine<Commands, Replies, string> = {
  apply(commands, before) {
    let stored = before as Stored<string> | null;
    const replies = commands.map((command) => {
      const [name = '', argument = '', expireAt = '0'] = command.split(' ');
      if (name === 'get') return stored?.value ?? 'nil';
      if (name === 'del') stored = null;
      else if (name === 'set') stored = { value: argument, expireAt: Number(expireAt) };
      else stored = { value: (stored?.value ?? '') + argument, expireAt: stored?.expireAt ?? 0 };
      return `${name} gave ${stored?.value ?? 'nothing'}`;
    });
    return { stored, replies };
  },
  read: (commands, stored, now) => {
    const isThere = stored !== null && (stored.expireAt === 0 || stored.expireAt > now);
    return commands.map(() => (isThere ? stored.value : 'nil'));
  },
};

function write(command: string): Operation<Commands, Replies> {
  const reply = (replies: Replies) => replies;
  const setsExpiry = Number(command.split(' ')[2] ?? 0);
  return { reads: null, readReply: reply, plan: () => ({ kind: 'all', commands: [command], setsExpiry, reply }) };
}

const GET: Operation<Commands, Replies> = {
  reads: ['get'],
  readReply: (replies) => replies,
  plan: () => ({ kind: 'all', commands: ['get'], setsExpiry: 0, reply: (replies) => replies }),
};

/** Done by one copy alone. */
function single(command: string): Operation<Commands, Replies> {
  const reply = (replies: Replies) => replies;
  return { reads: null, readReply: reply, plan: () => ({ kind: 'one', commands: [command], reply }) };
}

/** Reads before it writes what it has read twice. */
const DOUBLE: Operation<Commands, Replies> = {
  reads: null,
  readReply: (replies) => replies,
  plan: (base, found) => {
    if (base.live && found === null) return { kind: 'read', commands: ['get'] };
    const command = `append ${found?.[0] ?? ''}`;
    return { kind: 'all', commands: [command], setsExpiry: 0, reply: (replies) => replies };
  },
};

interface Sent {
  asker: Asker<Replies, string>;
  copy: number;
  tag: number;
  step: Step<Commands, string>;
}

/** Some proposers before the same copies; steps are carried out when `turn` is called, in the order in which they were sent. */
class Bench {
  readonly copies: Acceptor<Commands, Replies, string>[];
  nowMs = 0;
  clockMs = 1_000_000;
  readonly events: ProposerEvent[] = [];
  readonly differences: string[] = [];
  /** Copies that do not answer, and those that cannot be reached. */
  readonly mute = new Set<number>();
  readonly gone = new Set<number>();
  /** Copies for which no step sets out. */
  readonly cut = new Set<number>();
  /** Steps that are on their way for longer than others. */
  isHeld: (sent: Sent) => boolean = () => false;
  private sent: Sent[] = [];
  private proposers: Proposer<Commands, Replies, string>[] = [];

  constructor(count: number) {
    this.copies = Array.from({ length: count }, (_, place) => {
      const process = { runId: `run${place}`, replId: `repl${place}` };
      const copy = new Acceptor({ engine: TEXTS, clock: () => this.clockMs, process });
      copy.data.record = 'member';
      return copy;
    });
  }

  proposer(
    number: number,
  ): (operation: Operation<Commands, Replies>, key?: string) => { outcome: Outcome<Replies> | null } {
    const proposer = new Proposer<Commands, Replies, string>({
      quorum: (this.copies.length >> 1) + 1,
      none: [],
      proposer: proposerNumber(0, number),
      timeoutMs: 1000,
      patienceMs: 100,
      linesMax: LINES_MAX,
      keyQueueMax: QUEUE_MAX,
      now: () => this.nowMs,
      clock: () => this.clockMs,
      random: () => 0.5,
      isReachable: (node) => !this.gone.has(node),
      isSlow: () => false,
      processOf: () => 0,
      areEqual: (one, other) => one.join() === other.join(),
      onDifference: (key, _nodes, copies) => this.differences.push(`${key} ${copies}`),
      send: (asker, copy, tag, step) => this.sent.push({ asker, copy, tag, step }),
      count: (event) => this.events.push(event),
    });
    this.proposers.push(proposer);
    const nodes = this.copies.map((_, place) => place);
    return (operation, key = 'key') => {
      const asked: { outcome: Outcome<Replies> | null } = { outcome: null };
      proposer.submit(key, nodes, operation, {
        onOutcome: (outcome) => {
          asked.outcome = outcome;
        },
      });
      return asked;
    };
  }

  /** Carries out what was sent, and tells the answers. Returns what it was: `0 prepare`. `change` may have an answer lost (null). */
  turn(
    change: (copy: number, kind: string, answer: Answer<Replies, string>) => Answer<Replies, string> | null = same,
    instead: (sent: Sent) => Answer<Replies, string> | null = () => null,
  ): string[] {
    const sent = this.sent.filter((one) => !this.isHeld(one));
    this.sent = this.sent.filter(this.isHeld);
    const answers = sent.map((one) => {
      const { copy, step, asker } = one;
      const other = instead(one);
      if (other !== null) return other;
      if (this.gone.has(copy)) return null;
      if (this.cut.has(copy)) return { kind: 'unsent' } as const;
      if (this.mute.has(copy)) return undefined;
      const answer = (this.copies[copy] as Acceptor<Commands, Replies, string>).perform(step, asker.key, 'member');
      return change(copy, step.kind, answer);
    });
    for (const [index, { asker, copy, tag }] of sent.entries()) {
      const answer = answers[index];
      if (answer !== undefined) asker.onAnswer(copy, tag, answer);
    }
    return sent.map(({ copy, step }) => `${copy} ${step.kind}`);
  }

  /** Lets time pass. */
  pass(ms: number): void {
    this.nowMs += ms;
    for (const proposer of this.proposers) proposer.onTime();
  }

  /** Until nothing is on its way any more. */
  settle(): void {
    for (let turns = 0; turns < 50; turns++) {
      if (this.turn().length > 0) continue;
      this.pass(1);
      if (this.turn().length === 0) return;
    }
  }

  values(key = 'key'): (string | null)[] {
    return this.copies.map(({ data }) => data.values.get(key)?.value ?? null);
  }
}

function same<A>(_copy: number, _kind: string, answer: A): A {
  return answer;
}

function done(...reply: string[]): Partial<Outcome<Replies>> {
  return { kind: 'done', reply };
}

t.test('the first write takes two round trips, the next ones of the same proposer one', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  const first = submit(write('set a'));
  t.same(bench.turn(), ['0 prepare', '1 prepare', '2 prepare']);
  t.same(bench.turn(), ['0 accept', '1 accept', '2 accept']);
  t.match(first.outcome, done('set gave a'));
  for (const letter of 'bc') {
    const next = submit(write(`append ${letter}`));
    t.same(bench.turn(), ['0 accept', '1 accept', '2 accept']);
    t.match(next.outcome, { kind: 'done' });
  }
  t.same(bench.values(), ['abc', 'abc', 'abc']);
});

t.test('a read of what is the same everywhere takes one round trip to as many as have to agree', async (t) => {
  const bench = new Bench(5);
  const submit = bench.proposer(1);
  submit(write('set a'));
  bench.settle();
  const read = submit(GET);
  t.same(bench.turn().length, 3);
  t.match(read.outcome, done('a'));
  t.equal(bench.events.at(-1), 'fast-read');
});

t.test('operations on one key are carried out in their order, also reads behind writes', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  const all = [submit(write('set a')), submit(GET), submit(write('append b')), submit(GET)];
  bench.settle();
  t.match(
    all.map(({ outcome }) => outcome),
    [done('set gave a'), done('a'), done('append gave ab'), done('ab')],
  );
});

t.test('a copy that missed a write gets the value, and a read meanwhile finishes what is half done', async (t) => {
  const { bench, submit } = benchWithCopyBehind();
  t.same(bench.values(), ['ab', 'ab', 'a']);
  bench.gone.clear();
  const reads = [submit(GET), submit(GET), submit(GET)];
  bench.settle();
  for (const { outcome } of reads) t.match(outcome, done('ab'));
  t.ok(bench.events.includes('slow-read'));
  t.ok(bench.events.includes('mend'));
  t.same(bench.values(), ['ab', 'ab', 'ab']);
});

t.test('a copy that is behind and freezes holds up each operation once at most', async (t) => {
  const { bench, submit } = benchWithCopyBehind();
  bench.gone.clear();
  const reads = [submit(GET), submit(GET), submit(GET)];
  bench.isHeld = ({ copy, step }) => copy === 2 && step.kind === 'install';
  bench.settle();
  for (const { outcome } of reads) t.match(outcome, done('ab'));
  t.ok(bench.events.includes('mend'));
  for (const argument of ['c', 'd', 'e']) {
    const asked = submit(write(`append ${argument}`));
    // A mend is given up after 100 ms.
    for (let ms = 0; ms <= 100; ms += 10) {
      bench.settle();
      bench.pass(10);
    }
    t.match(asked.outcome, { kind: 'done' }, argument);
  }
});

/** When attempts to bring copies up began, while somebody writes every few milliseconds. */
function mendsWhile(bench: Bench, submit: ReturnType<Bench['proposer']>, forMs: number): number[] {
  const times: number[] = [];
  for (const endMs = bench.nowMs + forMs; bench.nowMs < endMs; ) {
    const before = bench.events.filter((event) => event === 'mend').length;
    submit(write('set b'));
    bench.settle();
    bench.pass(10);
    const begun = bench.events.filter((event) => event === 'mend').length - before;
    for (let count = 0; count < begun; count++) times.push(bench.nowMs);
  }
  return times;
}

t.test('a copy that cannot be brought up is tried for more and more rarely, until it was', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  submit(write('set a'));
  bench.settle();
  const miss = () => {
    bench.gone.add(2);
    submit(write('set b'));
    bench.settle();
    bench.gone.clear();
    bench.isHeld = ({ copy, step }) => copy === 2 && step.kind === 'install';
  };
  miss();
  const times = mendsWhile(bench, submit, 20_000);
  const pauses = times.slice(1).map((time, place) => time - (times[place] as number));
  // Each attempt is given up after 100 ms.
  for (const [place, least] of [100, 200, 400, 800, 1_600, 3_200, 3_200].entries()) {
    const pause = pauses[place] as number;
    t.ok(pause >= least && pause <= least + 150, `${pause} ms after attempt ${place + 1}`);
  }
  t.ok(pauses.length <= 9, `${pauses.length} attempts`);
  bench.isHeld = () => false;
  mendsWhile(bench, submit, 4_000);
  t.same(bench.values(), ['b', 'b', 'b']);
  miss();
  const again = mendsWhile(bench, submit, 1_000);
  t.ok((again[1] as number) - (again[0] as number) <= 250, 'and then it is tried for often again');
});

t.test('without enough copies nothing is done, and it is said at once', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  bench.gone.add(0).add(1);
  const [wrote, read] = [submit(write('set a')), submit(GET)];
  bench.settle();
  t.same([wrote.outcome, read.outcome], [{ kind: 'no-quorum' }, { kind: 'no-quorum' }]);
});

t.test('who has lost most of the copies since its last write does not write to what is left', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  submit(write('set a'));
  bench.settle();
  bench.gone.add(1).add(2);
  const asked = submit(write('append b'));
  bench.settle();
  t.same(asked.outcome, { kind: 'no-quorum' });
  t.same(bench.values(), ['a', 'a', 'a']);
  bench.gone.clear();
  const again = submit(write('append c'));
  bench.settle();
  t.match(again.outcome, done('append gave ac'));
});

t.test('what reached one copy alone is finished, and done once', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  submit(write('set a'));
  bench.settle();
  const asked = submit(write('append b'));
  // Copy 0 carries it out; the connections to the others are lost with it.
  bench.gone.add(1).add(2);
  bench.turn();
  bench.gone.clear();
  bench.settle();
  t.match(asked.outcome, done('append gave ab'));
  t.ok(bench.events.includes('settle'));
  t.same(bench.values().filter((value) => value === 'ab').length >= 2, true);
});

t.test('what reached no copy is done again', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  submit(write('set a'));
  bench.settle();
  const asked = submit(write('append b'));
  bench.gone.add(0).add(1).add(2);
  bench.turn();
  bench.gone.clear();
  bench.settle();
  t.match(asked.outcome, done('append gave ab'));
});

t.test('what may be there, and cannot be found out about, is unknown when the time is up', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  submit(write('set a'));
  bench.settle();
  const asked = submit(write('append b'));
  bench.mute.add(1).add(2);
  bench.turn();
  for (let ms = 0; ms < 1000; ms += 50) {
    t.equal(asked.outcome, null);
    bench.pass(50);
    bench.turn();
  }
  t.match(asked.outcome, { kind: 'unknown' });
});

t.test('a write whose base another has overtaken is done on what is there now', async (t) => {
  const bench = new Bench(3);
  const [one, other] = [bench.proposer(1), bench.proposer(2)];
  one(write('set a'));
  bench.settle();
  other(write('append b'));
  bench.settle();
  const asked = one(write('append c'));
  bench.settle();
  bench.pass(100);
  bench.settle();
  t.match(asked.outcome, done('append gave abc'));
  t.ok(bench.events.includes('refused'));
});

t.test('what was refused where it came to, and did not set out for the copy that is gone, is done again', async (t) => {
  const bench = new Bench(3);
  const [one, other] = [bench.proposer(1), bench.proposer(2)];
  one(write('set a'));
  bench.settle();
  bench.cut.add(0);
  other(write('append b'));
  bench.settle();
  const asked = one(write('append c'));
  bench.settle();
  bench.pass(100);
  bench.settle();
  t.match(asked.outcome, done('append gave abc'));
});

t.test('so many operations may wait for one key, and no more', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  const all = Array.from({ length: QUEUE_MAX + 1 }, () => submit(write('append x')));
  const refused = [submit(write('append y')), submit(GET)];
  for (const { outcome } of refused) t.same(outcome, { kind: 'crowded', max: QUEUE_MAX });
  const other = submit(write('set a'), 'other');
  bench.settle();
  for (const { outcome } of all) t.match(outcome, { kind: 'done' });
  t.match(other.outcome, done('set gave a'), 'other keys are not concerned');
  t.equal(bench.values()[0], 'x'.repeat(QUEUE_MAX + 1));
  t.equal(bench.events.filter((event) => event === 'crowded').length, 2);
  const after = submit(GET);
  bench.settle();
  t.match(after.outcome, { kind: 'done' });
});

t.test('whose turn has not come when the time is up is told so, and was not begun', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  submit(write('set a'));
  bench.settle();
  for (const copy of [0, 1, 2]) bench.mute.add(copy);
  const [first, second] = [submit(write('append b')), submit(write('append c'))];
  bench.turn();
  bench.pass(600);
  const third = submit(write('append d'));
  bench.mute.clear();
  bench.pass(401);
  t.match(first.outcome, { kind: 'unknown' });
  t.same(second.outcome, { kind: 'overdue' });
  t.equal(third.outcome, null, 'its own time is not up');
  bench.settle();
  t.match(third.outcome, { kind: 'done' });
  t.notMatch(bench.values()[0], /c/);
});

t.test('a key that was not used for long is forgotten for another', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  for (let key = 0; key <= LINES_MAX * 2; key++) {
    submit(write('set a'), `key ${key}`);
    bench.settle();
  }
  t.ok(bench.events.filter((event) => event === 'forgotten').length >= LINES_MAX);
});

t.test('who does not answer for long is not waited for, and that is counted', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  submit(write('set a'));
  bench.settle();
  for (const copy of [0, 1, 2]) bench.mute.add(copy);
  const read = submit(GET);
  bench.turn();
  bench.pass(99);
  t.notOk(bench.events.includes('impatient'));
  bench.pass(1);
  t.equal(bench.events.filter((event) => event === 'impatient').length, 1);
  bench.mute.clear();
  bench.settle();
  t.match(read.outcome, done('a'));
});

t.test('what is for one copy is carried out there, and installed on the others', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  const asked = submit(single('set a'));
  bench.turn();
  t.same(bench.turn(), ['0 accept']);
  t.same(bench.turn(), ['0 snapshot']);
  t.same(bench.turn(), ['1 install', '2 install']);
  t.match(asked.outcome, done('set gave a'));
  t.equal(bench.events.filter((event) => event === 'alone').length, 1);
  const next = submit(write('append b'));
  t.same(bench.turn(), ['0 accept', '1 accept', '2 accept'], 'the promise for the next came with the value');
  t.match(next.outcome, done('append gave ab'));
});

t.test('where no copy can read what it depends on, their error is the answer', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  submit(write('set a'));
  bench.settle();
  const asked = submit(DOUBLE);
  const error = Buffer.from('-OOM no\r\n');
  for (let turns = 0; turns < 10; turns++) {
    bench.turn((_, kind, answer) => (kind === 'read' ? { kind: 'unable', error } : answer));
    bench.pass(1);
  }
  t.match(asked.outcome, { kind: 'unable', error });
  t.equal(bench.values()[0], 'a');
});

t.test('what depends on the value reads it first, where the base is', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  submit(write('set a'));
  bench.settle();
  const asked = submit(DOUBLE);
  t.same(bench.turn(), ['0 read']);
  t.same(bench.turn(), ['0 accept', '1 accept', '2 accept']);
  t.match(asked.outcome, done('append gave aa'));
});

t.test('what has expired is written off before anybody is told that it is gone', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  submit(write(`set a ${bench.clockMs + 10}`));
  bench.settle();
  bench.clockMs += 20;
  for (const copy of bench.copies) copy.data.values.clear();
  const read = submit(GET);
  bench.settle();
  t.match(read.outcome, done('nil'));
  t.same(
    bench.copies.map(({ data }) => data.metas.get('key')?.live),
    [false, false, false],
  );
  const asked = submit(write('append b'));
  bench.settle();
  t.match(asked.outcome, done('append gave b'));
});

t.test('the error of nodes that cannot is the answer, where the others are too few', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  const error = Buffer.from('-OOM no\r\n');
  const asked = submit(write('set a'));
  bench.turn();
  bench.turn((_copy, kind, answer) => (kind === 'accept' ? { kind: 'unable', error } : answer));
  bench.settle();
  t.same(asked.outcome, { kind: 'unable', error });
});

t.test('a floor that was raised is known after it refused once', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  submit(write('set a'));
  bench.settle();
  for (const copy of bench.copies) copy.performMember({ kind: 'raise', epoch: 3 }, 'member');
  const asked = submit(write('append b'));
  t.same(bench.turn(), ['0 accept', '1 accept', '2 accept']);
  bench.pass(100);
  bench.settle();
  t.match(asked.outcome, done('append gave ab'));
  const { accepted } = bench.copies[0]?.data.metas.get('key') ?? { accepted: '' };
  t.ok(accepted > floorOf(3));
});

t.test('a key that was forgotten is written under ballots that were never used for it', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  const ballots = new Set<string>();
  for (let round = 0; round < 3; round++) {
    for (let key = 0; key < 30; key++) {
      submit(write('append x'), `key${key}`);
      bench.settle();
      ballots.add(`key${key} ${bench.copies[0]?.data.metas.get(`key${key}`)?.accepted}`);
    }
  }
  t.equal(ballots.size, 90);
  t.same(bench.values('key7'), ['xxx', 'xxx', 'xxx']);
});

t.test('an answer that comes after the end changes nothing', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  submit(write('set a'));
  bench.turn();
  let late: AcceptAnswer<Replies> | null = null;
  bench.turn((copy, kind, answer) => {
    if (copy !== 2 || kind !== 'accept') return answer;
    late = answer as AcceptAnswer<Replies>;
    return answer;
  });
  t.match(late, { kind: 'ok' });
  const read = submit(GET);
  bench.settle();
  t.match(read.outcome, done('a'));
});

t.test(
  'a read that came first is answered as before the write behind it, though the nodes did not agree on it',
  async (t) => {
    const { bench, submit } = benchWithCopyBehind();
    bench.gone.clear();
    for (let time = 0; time < 3; time++) {
      const read = submit(GET);
      const wrote = submit(write('append c'));
      const again = submit(GET);
      bench.settle();
      const before = `ab${'c'.repeat(time)}`;
      t.match(
        [read.outcome, wrote.outcome, again.outcome],
        [done(before), done(`append gave ${before}c`), done(`${before}c`)],
      );
      bench.gone.add(2);
      submit(write('append '));
      bench.settle();
      bench.gone.clear();
    }
  },
);

t.test('a copy that replies differently is given the state of the others, under a new ballot', async (t) => {
  for (const odd of [0, 1, 2]) {
    const bench = new Bench(3);
    const submit = bench.proposer(1);
    submit(write('set a'));
    bench.settle();
    // Behind everyone's back.
    bench.copies[odd]?.data.values.set('key', { value: 'x', expireAt: 0 });
    submit({ ...write('append b'), repliesAgree: true });
    bench.settle();
    t.same(bench.differences.at(-1), `key ${1 << odd}`);
    t.same(bench.values(), ['ab', 'ab', 'ab'], `copy ${odd}`);
    t.ok(bench.events.includes('difference'));
  }
});

t.test('what one copy cannot do another does; where too few can, their error is the answer', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  submit(write('set a'));
  bench.settle();
  const error = Buffer.from('-OOM no\r\n');
  const unable = new Set([0]);
  const run = () => {
    for (let turns = 0; turns < 60; turns++) {
      bench.turn(same, ({ copy, step }) =>
        step.kind === 'accept' && unable.has(copy) ? { kind: 'unable', error } : null,
      );
      bench.pass(1);
    }
  };
  const first = submit(single('append b'));
  run();
  t.match(first.outcome, done('append gave ab'));
  unable.add(1).add(2);
  const second = submit(single('append c'));
  run();
  t.match(second.outcome, { kind: 'unable' });
  t.same(bench.values(), ['ab', 'ab', 'ab']);
});

t.test('who is slow is waited for while too few others have answered', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  submit(write('set a'));
  bench.settle();
  const asked = submit(write('append b'));
  bench.isHeld = ({ copy }) => copy !== 0;
  t.same(bench.turn(), ['0 accept']);
  bench.pass(300);
  t.same(bench.turn(), [], 'nothing else is tried');
  bench.isHeld = ({ copy }) => copy === 2;
  bench.turn();
  t.match(asked.outcome, done('append gave ab'));
  t.notOk(bench.events.includes('settle'));
});

t.test('what enough have accepted is done, though something else was tried meanwhile', async (t) => {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  submit(write('set a'));
  bench.settle();
  const asked = submit(write('append b'));
  bench.isHeld = ({ copy }) => copy === 1;
  const refusal = {
    kind: 'refused',
    promised: floorOf(0),
    accepted: NEVER,
    epochFloor: 0,
    collectFloor: floorOf(0),
  } as const;
  bench.turn(same, ({ copy }) => (copy === 2 ? refusal : null));
  // The slow one is given up, and all are asked for promises.
  bench.pass(100);
  bench.pass(5);
  t.equal(asked.outcome, null);
  bench.isHeld = () => false;
  t.same(bench.turn(), ['1 accept', '0 prepare', '1 prepare', '2 prepare']);
  t.match(asked.outcome, done('append gave ab'));
  t.notOk(bench.events.includes('settle'));
  bench.settle();
  t.match(submit(GET), { outcome: null });
  bench.settle();
  t.same(bench.values().filter((value) => value === 'ab').length >= 2, true);
});

t.test('a read that comes upon a write on its way does not bar it', async (t) => {
  const bench = new Bench(3);
  const [one, other] = [bench.proposer(1), bench.proposer(2)];
  one(write('set a'));
  bench.settle();
  const wrote = other(write('append b'));
  bench.turn();
  bench.turn();
  bench.settle();
  t.match(wrote.outcome, done('append gave ab'));
  const again = other(write('append c'));
  bench.isHeld = ({ step, copy }) => step.kind === 'accept' && copy !== 0;
  bench.turn();
  const read = one(GET);
  t.same(bench.turn(), ['0 read', '1 peek']);
  t.same(bench.turn(), ['2 read']);
  t.match(read.outcome, done('ab'));
  t.equal(bench.events.at(-1), 'slow-read');
  bench.isHeld = () => false;
  bench.turn();
  t.match(again.outcome, done('append gave abc'));
});

t.test('a copy that a read finds behind is given what the others have', async (t) => {
  const bench = new Bench(3);
  const [one, other] = [bench.proposer(1), bench.proposer(2)];
  one(write('set a'));
  bench.settle();
  bench.cut.add(1);
  one(write('append b'));
  bench.settle();
  bench.cut.clear();
  t.same(bench.values(), ['ab', 'a', 'ab']);
  const read = other(GET);
  bench.settle();
  t.match(read.outcome, done('ab'));
  t.same(bench.values(), ['ab', 'ab', 'ab']);
  t.notOk(bench.events.slice(-5).includes('prepare'));
});

t.test('who has read what another wrote does not write by a promise that is past', async (t) => {
  const bench = new Bench(3);
  const [one, other] = [bench.proposer(1), bench.proposer(2)];
  one(write('set a'));
  bench.settle();
  other(write('append b'));
  bench.settle();
  one(GET);
  bench.settle();
  const before = bench.events.filter((event) => event === 'refused').length;
  const wrote = one(write('append c'));
  t.same(bench.turn(), ['0 prepare', '1 prepare', '2 prepare']);
  bench.turn();
  t.match(wrote.outcome, done('append gave abc'));
  t.equal(bench.events.filter((event) => event === 'refused').length, before);
});

/** Copy 2 is away, and has missed the last of two writes: ab, ab, a. */
function benchWithCopyBehind() {
  const bench = new Bench(3);
  const submit = bench.proposer(1);
  submit(write('set a'));
  bench.settle();
  bench.gone.add(2);
  submit(write('append b'));
  bench.settle();
  return { bench, submit };
}
