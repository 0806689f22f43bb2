/** What is asked of which copies of keys of consistency eventual, what is kept for those that miss it, and who gets it in the end: by hand. */
import t from 'tap';
import { makeBallot, NEVER, proposerNumber } from '../../src/replica/ballot.js';
import type { Step } from '../../src/replica/step.js';
import { Bench, type Commands, change, EVENTUAL, GET, put, reply, TIMEOUT_MS } from '../help/version-bench.js';

const none = () => 0;
/** Than all that is written here. */
const LATER = makeBallot(0, 999_999_999_999, proposerNumber(0, 9));

/** Has the second copy carry that out. */
function ask({ copies }: Bench, step: Step<Commands, string>): void {
  copies[1]?.perform(step, 'k', 'member');
}

function forget({ copies }: Bench): void {
  const { data } = copies[1] as Bench['copies'][number];
  data.metas.delete('k');
  data.values.delete('k');
  data.collectFloor = LATER;
}

/** The versions that the copies have, without their epochs. */
function versions({ copies }: Bench): string[] {
  return copies.map(({ data }) => (data.metas.get('k')?.accepted ?? NEVER).slice(8));
}

/** Brings what is under way to an end, and what was found behind up to date. */
function settle(bench: Bench): void {
  for (let round = 0; round < 5; round++) {
    bench.run();
    bench.later(TIMEOUT_MS + 1);
  }
  bench.run();
}

t.test('a write goes to all at once, and is answered when one has it, whichever that is', (t) => {
  for (const first of [0, 1, 2]) {
    const bench = new Bench();
    const written = bench.proposer(1, none, EVENTUAL)(put('set a'));
    t.equal(bench.sent.length, 3);
    const late = bench.sent.filter(({ copy }) => copy !== first);
    bench.sent = bench.sent.filter(({ copy }) => copy === first);
    bench.turn();
    t.equal(reply(written), 'a');
    bench.sent = late;
    bench.run();
    t.same(bench.values(), ['a', 'a', 'a']);
    t.same(bench.missed, []);
  }
  t.end();
});

t.test('what a copy did not take of an acknowledged write is kept for it, once, with its version', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1, none, EVENTUAL);
  const written = ask(put('set a'));
  bench.turn(({ copy }) => copy !== 1);
  t.equal(reply(written), 'a');
  t.same(bench.missed.map(({ copies }) => copies).sort(), [1, 4]);
  const [version] = versions(bench).slice(1);
  for (const { step } of bench.missed) t.match(step, { kind: 'accept', ballot: `00000000${version}` });
  t.end();
});

t.test('one copy is enough, and none is too few', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1, none, EVENTUAL);
  for (const copy of [0, 1]) bench.gone.add(copy);
  const written = ask(put('set a'));
  bench.turn(({ copy }) => copy !== 2);
  t.equal(reply(written), 'a');
  const read = ask(GET);
  t.same(bench.turn(), ['2 read']);
  t.equal(reply(read), 'a');
  bench.gone.add(2);
  t.equal(reply(ask(put('set b'))), 'no-quorum');
  t.equal(reply(ask(GET)), 'no-quorum');
  t.end();
});

t.test('all who read ask the first copy', (t) => {
  const bench = new Bench();
  const [one, other] = [bench.proposer(1, none, EVENTUAL), bench.proposer(2, none, EVENTUAL)];
  one(put('set a'));
  bench.run();
  for (const ask of [one, other, one]) {
    const read = ask(GET);
    t.same(bench.turn(), ['0 read']);
    t.equal(reply(read), 'a');
  }
  t.end();
});

t.test('a copy with a larger version keeps it, and nothing is kept for it', (t) => {
  const bench = new Bench();
  const [fast, slow] = [bench.proposer(1, () => 5_000, EVENTUAL), bench.proposer(2, none, EVENTUAL)];
  fast(put('set later'));
  // The last copy has not had it yet.
  bench.turn(({ copy }) => copy === 2);
  bench.copies[2]?.flush();
  (bench.copies[2] as { data: { record: string } }).data.record = 'member';
  bench.missed.length = 0;
  const written = slow(put('set earlier'));
  bench.turn();
  t.equal(reply(written), 'earlier');
  t.same(bench.values(), ['later', 'later', 'earlier']);
  t.same(bench.missed, []);
  t.end();
});

t.test('where all have a larger version the write is made larger', (t) => {
  const bench = new Bench();
  bench.proposer(1, () => 5_000, EVENTUAL)(put('set a'));
  bench.run();
  const written = bench.proposer(2, none, EVENTUAL)(put('set b'));
  bench.run();
  t.equal(reply(written), 'b');
  t.same(bench.values(), ['b', 'b', 'b']);
  t.end();
});

t.test('what a client has read is below what it writes next, wherever clocks are', (t) => {
  const bench = new Bench();
  bench.proposer(1, () => 5_000, EVENTUAL)(put('set a'));
  bench.run();
  const ask = bench.proposer(2, none, EVENTUAL);
  ask(GET);
  bench.run();
  ask(put('set b'));
  t.equal(bench.run(), 1, 'nobody refuses it');
  t.same(bench.values(), ['b', 'b', 'b']);
  t.end();
});

t.test('a clock that goes back makes no smaller version', (t) => {
  const bench = new Bench();
  let nowMs = 5_000;
  const ask = bench.proposer(1, () => nowMs, EVENTUAL);
  for (const text of ['a', 'b', 'c']) {
    ask(put(`set ${text}`));
    t.equal(bench.run(), 1);
    nowMs -= 2_000;
  }
  t.same(bench.values(), ['c', 'c', 'c']);
  t.end();
});

/** None of the copies takes versions of an older epoch from now on. */
function raise({ copies }: Bench, epoch: number): void {
  for (const copy of copies) (copy as { data: { epochFloor: number } }).data.epochFloor = epoch;
}

t.test('where no versions of an epoch are taken any more a write is begun again in the next', (t) => {
  const bench = new Bench();
  const written = bench.proposer(1, none, EVENTUAL)(put('set a'));
  raise(bench, 3);
  bench.turn();
  t.equal(reply(written), 'undefined');
  bench.run();
  t.equal(reply(written), 'a');
  t.same(bench.values(), ['a', 'a', 'a']);
  for (const { data } of bench.copies) t.match(data.metas.get('k')?.accepted, /^00000003/);
  t.same(bench.missed, []);
  t.end();
});

t.test('a write that was acknowledged overtakes nothing newer, whatever epoch has begun since', (t) => {
  const bench = new Bench();
  const [slow, fast] = [bench.proposer(1, none, EVENTUAL), bench.proposer(2, () => 5_000, EVENTUAL)];
  const earlier = slow(put('set earlier'));
  const late = bench.sent.filter(({ copy }) => copy !== 0);
  bench.sent = bench.sent.filter(({ copy }) => copy === 0);
  bench.turn();
  t.equal(reply(earlier), 'earlier');
  const later = fast(put('set later'));
  bench.turn();
  t.equal(reply(later), 'later');
  raise(bench, 3);
  bench.sent.push(...late);
  settle(bench);
  t.same(bench.values(), ['later', 'later', 'later']);
  t.same(bench.missed, [], 'who has refused had something newer');
  t.end();
});

t.test('who refuses, and has nothing newer, misses the write', (t) => {
  for (const [what, spoil] of [
    ['it has promised somebody more', (bench: Bench) => ask(bench, { kind: 'prepare', ballot: LATER })],
    ['it has forgotten something newer', (bench: Bench) => forget(bench)],
  ] as const) {
    const bench = new Bench();
    const write = bench.proposer(1, none, EVENTUAL);
    write(put('set before'));
    bench.run();
    spoil(bench);
    const written = write(put('set a'));
    bench.turn();
    t.equal(reply(written), 'a');
    t.same(
      bench.missed.map(({ copies }) => copies),
      [2],
      what,
    );
  }
  t.end();
});

t.test('who takes a write for one that has expired misses it: what was there before would stay', (t) => {
  const bench = new Bench();
  const write = bench.proposer(1, none, EVENTUAL);
  write(put('set before'));
  bench.run();
  const operation = {
    ...put('set a'),
    plan: () =>
      ({ kind: 'all', commands: ['set a'], setsExpiry: 500, reply: (replies: readonly string[]) => replies }) as const,
  };
  bench.fast.add(1);
  const written = write(operation);
  bench.turn();
  t.equal(reply(written), 'a');
  t.same(
    bench.missed.map(({ copies }) => copies),
    [2],
  );
  t.end();
});

t.test('what one copy has carried out overtakes nothing newer either', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1, none, EVENTUAL);
  ask(put('set a'));
  bench.run();
  ask(change('append b'));
  bench.turn();
  bench.turn();
  const late = bench.sent;
  bench.sent = [];
  bench.proposer(2, () => 5_000, EVENTUAL)(put('set later'));
  bench.turn();
  raise(bench, 3);
  bench.sent.push(...late);
  settle(bench);
  t.same(bench.values(), ['later', 'later', 'later']);
  t.same(bench.missed, []);
  t.end();
});

t.test('what one copy carries out the others are given, and keep what is newer', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1, none, EVENTUAL);
  ask(put('set a'));
  bench.run();
  const changed = ask(change('append b'));
  t.same(bench.turn(), ['0 peek']);
  t.same(bench.turn(), ['0 accept', '0 snapshot']);
  t.equal(reply(changed), 'ab', 'it is answered before the others have it');
  t.same(
    bench.sent.map(({ step }) => step.kind),
    ['merge', 'merge'],
  );
  // Meanwhile somebody else has written at one of them.
  const other = bench.proposer(2, () => 5_000, EVENTUAL);
  const before = bench.sent;
  bench.sent = [];
  other(put('set newer'));
  bench.turn(({ copy }) => copy !== 2);
  bench.sent.push(...before);
  bench.run();
  t.equal(bench.values()[2], 'newer');
  t.end();
});

t.test('a change that may be at one copy alone is brought to all, though nobody knows it', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1, none, EVENTUAL);
  ask(put('set a'));
  bench.run();
  const changed = ask(change('append b'));
  bench.turn();
  bench.turn(({ copy }) => copy === 0);
  bench.later(TIMEOUT_MS);
  t.equal(reply(changed), 'unknown');
  t.same(bench.values(), ['ab', 'a', 'a']);
  settle(bench);
  t.same(bench.values(), ['ab', 'ab', 'ab']);
  t.equal(new Set(versions(bench)).size, 1);
  t.end();
});

t.test('so it is where the one that has it does not say what it is when it is asked first', (t) => {
  const bench = new Bench();
  const write = bench.proposer(1, none, EVENTUAL);
  write(put('set a'));
  bench.run();
  write(change('append b'));
  bench.turn();
  bench.turn(({ copy }) => copy === 0);
  bench.later(TIMEOUT_MS);
  for (let round = 0; round < 5; round++) {
    while (bench.sent.length > 0) bench.turn(({ step }) => step.kind === 'snapshot');
    bench.later(TIMEOUT_MS + 1);
  }
  t.same(bench.values(), ['ab', 'a', 'a']);
  settle(bench);
  t.same(bench.values(), ['ab', 'ab', 'ab']);
  t.end();
});

t.test('copies that were away when that was tried get it when they are back', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1, none, EVENTUAL);
  ask(put('set a'));
  bench.run();
  const changed = ask(change('append b'));
  bench.turn();
  bench.turn(({ copy }) => copy === 0);
  for (const copy of [1, 2]) {
    bench.gone.add(copy);
    bench.mute.add(copy);
  }
  bench.later(TIMEOUT_MS);
  t.equal(reply(changed), 'unknown');
  settle(bench);
  for (const copy of [1, 2]) {
    bench.gone.delete(copy);
    bench.mute.delete(copy);
    settle(bench);
  }
  t.same(bench.values(), ['ab', 'ab', 'ab']);
  t.end();
});
