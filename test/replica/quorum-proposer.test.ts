/** What is asked of which copies of keys of consistency quorum, in how many round trips, and what is made of what fails: by hand. */
import t from 'tap';
import { floorOf, makeBallot, NEVER, proposerNumber } from '../../src/replica/ballot.js';
import type { Operation } from '../../src/replica/operation.js';
import type { AcceptAnswer } from '../../src/replica/step.js';
import {
  Bench,
  type Commands,
  change,
  GET,
  PATIENCE_MS,
  put,
  QUORUM,
  type Replies,
  reply,
  TIMEOUT_MS,
} from '../help/version-bench.js';

t.test('a put takes one round trip, and asks for nothing before', (t) => {
  const bench = new Bench();
  const written = bench.proposer(1)(put('set a'));
  t.same(bench.turn(), ['0 accept', '1 accept', '2 accept']);
  t.equal(reply(written), 'a');
  t.same(bench.values(), ['a', 'a', 'a']);
  t.end();
});

t.test('a read takes one: one copy reads, another says what it has, and they take turns', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1);
  ask(put('set a'));
  bench.run();
  const asked = [0, 1, 2].map(() => {
    const read = ask(GET);
    const kinds = bench.turn();
    t.equal(reply(read), 'a');
    return kinds;
  });
  t.same(asked, [
    ['0 read', '1 peek'],
    ['1 read', '2 peek'],
    ['2 read', '0 peek'],
  ]);
  t.end();
});

t.test('a write whose clock is behind gets a larger version, and two copies that refuse are none that took it', (t) => {
  const bench = new Bench();
  const [early, late] = [bench.proposer(1, () => 1000), bench.proposer(2, () => 0)];
  early(put('set a'));
  bench.run();
  const second = late(put('set b'));
  bench.turn();
  t.equal(second.outcome, null, 'it is not acknowledged');
  bench.turn();
  t.equal(reply(second), 'b');
  t.same(bench.values(), ['b', 'b', 'b']);
  late(put('set c'));
  t.equal(bench.run(), 1, 'what was seen is remembered');
  t.end();
});

t.test(
  'what too few copies took is unknown; where none can be reached it is said at once that nothing was done',
  (t) => {
    const bench = new Bench();
    const ask = bench.proposer(1);
    bench.mute.add(1).add(2);
    const written = ask(put('set a'));
    bench.run();
    bench.later(TIMEOUT_MS);
    t.equal(reply(written), 'unknown');
    bench.gone.add(1).add(2);
    t.equal(reply(ask(put('set b'))), 'no-quorum');
    t.equal(reply(ask(GET)), 'no-quorum');
    t.equal(reply(ask(change('append b'))), 'no-quorum');
    t.equal(bench.sent.length, 0);
    t.end();
  },
);

t.test('a copy that could not take a write is asked again while another one is silent', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1);
  const [, second] = bench.copies;
  // It is being admitted.
  if (second !== undefined) second.data.record = '';
  bench.mute.add(2);
  const written = ask(put('set a'));
  bench.run();
  t.equal(written.outcome, null);
  if (second !== undefined) second.data.record = 'member';
  bench.later(PATIENCE_MS);
  t.same(bench.turn(), ['1 accept']);
  t.equal(reply(written), 'a');
  t.end();
});

t.test('a copy that has a newer version is given one above it while another one is silent', (t) => {
  const bench = new Bench();
  const [early, late] = [bench.proposer(1, () => 1000), bench.proposer(2, () => 0)];
  early(put('set a'));
  // It has come to the second copy alone.
  bench.sent = bench.sent.filter(({ copy }) => copy === 1);
  bench.turn();
  bench.mute.add(2);
  const written = late(put('set b'));
  bench.run();
  t.equal(written.outcome, null);
  bench.later(PATIENCE_MS);
  bench.run();
  t.equal(reply(written), 'b');
  t.same(bench.values().slice(0, 2), ['b', 'b']);
  t.end();
});

t.test('a copy that could not take what another has made of a change is asked again while a third is silent', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1);
  ask(put('set a'));
  bench.run();
  const changed = ask(change('append b'));
  // Until it has been carried out all are there.
  for (let turns = 0; bench.values().every((value) => value === 'a'); turns++) {
    if (turns > 10) throw new Error('nobody carries it out');
    bench.turn();
  }
  const carriedOutBy = bench.values().indexOf('ab');
  const [second, third] = [0, 1, 2].filter((copy) => copy !== carriedOutBy) as [number, number];
  const other = bench.copies[second];
  if (other !== undefined) other.data.record = '';
  bench.mute.add(third);
  bench.run();
  t.equal(changed.outcome, null);
  if (other !== undefined) other.data.record = 'member';
  bench.later(PATIENCE_MS);
  bench.run();
  t.equal(reply(changed), 'ab');
  t.end();
});

t.test('a read that finds a half-done write gives it to who was asked before it tells', (t) => {
  const bench = new Bench();
  const [one, other] = [bench.proposer(1), bench.proposer(2, () => 5)];
  one(put('set a'));
  bench.run();
  // It has come to the first copy alone.
  other(put('set b'));
  bench.sent = bench.sent.slice(0, 1);
  bench.turn();
  t.same(bench.values(), ['b', 'a', 'a']);
  const read = one(GET);
  t.same(bench.turn(), ['0 read', '1 peek']);
  t.equal(read.outcome, null, 'nothing is told yet');
  bench.turn();
  t.same(bench.turn(), ['1 install']);
  t.equal(reply(read), 'b');
  t.same(bench.values(), ['b', 'b', 'a']);
  for (let count = 0; count < 3; count++) {
    const next = one(GET);
    bench.run();
    t.equal(reply(next), 'b', 'whoever reads later is told the same');
  }
  t.end();
});

t.test('a copy that has promised more than it is to be given keeps nobody from reading', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1);
  ask(put('set a'));
  bench.run();
  ask(put('set b'));
  bench.sent = bench.sent.slice(0, 1);
  bench.turn();
  bench.later(TIMEOUT_MS);
  // Who repairs has asked for promises, and was never seen again.
  const promise = { kind: 'prepare', ballot: makeBallot(1, 1, proposerNumber(7, 7)) } as const;
  for (const copy of bench.copies) copy.perform(promise, 'k', 'member');
  bench.gone.add(2);
  const read = ask(GET);
  bench.run();
  bench.later(1);
  bench.run();
  t.equal(reply(read), 'b');
  t.same(bench.values().slice(0, 2), ['b', 'b']);
  t.end();
});

t.test('a silent copy is not waited for', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1);
  ask(put('set a'));
  bench.run();
  bench.mute.add(0);
  const read = ask(GET);
  bench.turn();
  t.equal(read.outcome, null);
  bench.later(PATIENCE_MS);
  bench.run();
  t.equal(reply(read), 'a');
  t.end();
});

/** A bench where copies 0 and 1 have `a`, and copy 2 the newer `b`; the next read asks 1 and 2. */
function withNewestAtOne() {
  const bench = new Bench();
  const ask = bench.proposer(1);
  ask(put('set a'));
  bench.run();
  ask(GET);
  bench.run();
  const half = ask(put('set b'));
  bench.sent = bench.sent.filter(({ copy }) => copy === 2);
  bench.turn();
  bench.later(TIMEOUT_MS);
  t.equal(reply(half), 'unknown');
  return { bench, ask };
}

t.test('where the only one that has the newest is lost before it gives that, the others are enough', (t) => {
  for (const isSilent of [true, false]) {
    const { bench, ask } = withNewestAtOne();
    const read = ask(GET);
    t.same(bench.turn(), ['1 read', '2 peek']);
    if (isSilent) bench.mute.add(2);
    t.same(
      bench.turn(({ copy }) => copy === 2),
      ['2 read', '2 snapshot'],
    );
    bench.later(PATIENCE_MS);
    bench.run();
    t.equal(reply(read), 'a', isSilent ? 'it is silent' : 'its connection is lost');
  }
  t.end();
});

t.test('copies that are slow are waited for until time is up, where there are no others to ask', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1);
  ask(put('set a'));
  bench.run();
  bench.gone.add(2);
  const read = ask(GET);
  const late = bench.sent.filter(({ copy }) => copy === 1);
  bench.sent = bench.sent.filter(({ copy }) => copy === 0);
  bench.turn();
  bench.later(PATIENCE_MS);
  bench.later(PATIENCE_MS);
  t.equal(read.outcome, null, 'nothing is told yet');
  bench.sent = late;
  bench.run();
  t.equal(reply(read), 'a');
  const never = ask(GET);
  bench.mute.add(0);
  bench.run();
  for (let ms = 0; ms < TIMEOUT_MS; ms += PATIENCE_MS) bench.later(PATIENCE_MS);
  t.equal(reply(never), 'no-quorum');
  t.end();
});

/** All three are asked by who reads, two by who writes; one of them has been silent for as long as it is waited for. */
function withReaderHeldUp(...behind: Operation<Commands, Replies>[]) {
  const bench = new Bench();
  const ask = bench.proposer(1, () => 0, { ...QUORUM, reads: 3 });
  ask(put('set a'));
  bench.run();
  const read = ask(GET);
  const late = bench.sent.filter(({ copy }) => copy === 2);
  bench.sent = bench.sent.filter(({ copy }) => copy !== 2);
  bench.run();
  bench.mute.add(2);
  const asked = behind.map(ask);
  bench.later(PATIENCE_MS - 1);
  t.equal(bench.run(), 0, 'it is waited for');
  bench.later(1);
  bench.run();
  return { bench, ask, read, asked, thaw: () => bench.thaw(late) };
}

t.test('a write does not wait for a read that a silent copy holds up', (t) => {
  const { bench, read, asked, thaw } = withReaderHeldUp(put('set b'), put('set c'));
  t.same(asked.map(reply), ['b', 'c']);
  t.equal(bench.nowMs, PATIENCE_MS);
  t.equal(read.outcome, null);
  thaw();
  t.equal(reply(read), 'a', 'what it has asked for before');
  t.end();
});

t.test('a read that was held up does not tell what its client has written behind it', (t) => {
  const { bench, ask, read, asked, thaw } = withReaderHeldUp(put('set b'));
  t.same(asked.map(reply), ['b']);
  // The copy that was silent has a newer state than the reader was told of by the others: it would have to be read again.
  const other = bench.proposer(2, () => 5);
  bench.mute.delete(2);
  other(put('set c'));
  bench.run();
  thaw();
  t.equal(reply(read), 'no-quorum');
  const next = ask(GET);
  bench.run();
  t.equal(reply(next), 'c');
  t.end();
});

t.test('a read that was held up reads on where nothing was written behind it', (t) => {
  const { bench, read, thaw } = withReaderHeldUp();
  const other = bench.proposer(2, () => 5);
  bench.mute.delete(2);
  other(put('set c'));
  bench.run();
  thaw();
  t.equal(reply(read), 'c');
  t.end();
});

t.test('a change is made by one copy that has the newest, and its state is sent on', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1);
  ask(put('set a'));
  bench.run();
  const changed = ask(change('append b'));
  t.same(bench.turn(), ['0 peek', '1 peek']);
  t.same(bench.turn(), ['0 accept', '0 snapshot']);
  t.same(bench.turn(), ['1 install', '2 install']);
  t.equal(reply(changed), 'ab');
  t.same(bench.values(), ['ab', 'ab', 'ab']);
  t.end();
});

t.test('a change that changes nothing writes nothing, so that it undoes nobody’s write', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1);
  ask(put('set a'));
  bench.run();
  const before = bench.copies.map(({ data }) => data.metas.get('k')?.accepted);
  const changed = ask(change('set a'));
  bench.run();
  t.equal(reply(changed), 'a');
  t.same(
    bench.copies.map(({ data }) => data.metas.get('k')?.accepted),
    before,
  );
  t.end();
});

t.test('a change of which nobody knows whether it was carried out is not carried out elsewhere', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1);
  const changed = ask(change('append b'));
  bench.turn();
  bench.turn(({ step }) => step.kind === 'accept');
  t.equal(reply(changed), 'unknown');
  t.equal(bench.run(), 0);
  t.same(bench.values(), ['b', undefined, undefined]);
  t.end();
});

t.test('a change whose copy was written meanwhile is made on what is there now', (t) => {
  const bench = new Bench();
  const [one, other] = [bench.proposer(1), bench.proposer(2, () => 5)];
  const changed = one(change('append b'));
  bench.turn();
  const held = bench.sent;
  bench.sent = [];
  other(put('set a'));
  bench.run();
  bench.sent = held;
  bench.turn();
  bench.later(1);
  bench.run();
  t.equal(reply(changed), 'ab');
  t.same(bench.values(), ['ab', 'ab', 'ab']);
  t.end();
});

t.test('operations on one key are carried out in the order in which they came, and no more than so many wait', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1);
  const asked = [put('set a'), change('append b'), GET, put('set c'), GET].map(ask);
  t.equal(reply(ask(GET)), 'crowded');
  bench.run();
  t.same(asked.map(reply), ['a', 'ab', 'ab', 'c', 'c']);
  t.end();
});

t.test('what has waited for too long is told so, and what came behind it goes on', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1);
  bench.mute.add(0).add(1).add(2);
  const first = ask(put('set a'));
  bench.turn();
  const second = ask(put('set b'));
  bench.nowMs = TIMEOUT_MS / 2;
  const third = ask(put('set c'));
  bench.mute.clear();
  bench.later(TIMEOUT_MS / 2 + 1);
  bench.run();
  t.same([first, second, third].map(reply), ['unknown', 'overdue', 'c']);
  t.end();
});

t.test('a deletion says that something was there where one of the copies had it', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1);
  ask(put('set a'));
  bench.sent = bench.sent.filter(({ copy }) => copy === 2);
  bench.turn();
  bench.later(TIMEOUT_MS);
  const deleted = ask(put('del'));
  bench.sent.sort((one, other) => other.copy - one.copy);
  bench.run();
  t.equal(reply(deleted), '1');
  t.end();
});

t.test('a copy that has missed a write is given it when it is there again', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1);
  bench.gone.add(2);
  const written = ask(put('set a'));
  bench.turn(({ copy }) => copy === 2);
  t.equal(reply(written), 'a');
  bench.copies[2]?.data.values.clear();
  bench.copies[2]?.data.metas.clear();
  bench.later(1000);
  t.equal(bench.run(), 0, 'while it is away it is not asked');
  bench.looks = 0;
  bench.later(1);
  t.equal(bench.looks, 1, 'and one key is looked at once');
  bench.gone.clear();
  bench.later(1000);
  bench.run();
  t.same(bench.values(), ['a', 'a', 'a']);
  t.ok(bench.events.includes('mend'));
  t.end();
});

t.test('an epoch that has begun is that of the next version', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1);
  for (const { data } of bench.copies) data.epochFloor = 7;
  const written = ask(put('set a'));
  t.equal(bench.run(), 2);
  t.equal(reply(written), 'a');
  t.ok((bench.copies[0]?.data.metas.get('k')?.accepted ?? NEVER) > floorOf(7));
  t.end();
});

t.test('what nodes cannot do is told in their words, and is unknown where one could', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1);
  const oom: AcceptAnswer<Replies> = { kind: 'unable', error: Buffer.from('-OOM full\r\n') };
  const answer = (copies: readonly number[]) => {
    const { sent } = bench;
    bench.sent = sent.filter(({ copy }) => !copies.includes(copy));
    bench.turn();
    for (const { asker, copy, tag } of sent) if (copies.includes(copy)) asker.onAnswer(copy, tag, oom);
  };
  const all = ask(put('set a'));
  answer([0, 1, 2]);
  t.equal(reply(all), 'unable');
  const most = ask(put('set b'));
  answer([1, 2]);
  t.equal(reply(most), 'unknown');
  const one = ask(put('set c'));
  answer([1]);
  t.equal(reply(one), 'c');
  t.end();
});
