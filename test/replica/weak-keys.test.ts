/** What is asked of which copies of weak keys, and what is made of what fails: by hand. */
import t from 'tap';
import type { Operation } from '../../src/replica/operation.js';
import type { KeyFacts } from '../../src/replica/step.js';
import {
  Bench,
  type Commands,
  change,
  GET,
  PATIENCE_MS,
  put,
  type Replies,
  reply,
  TIMEOUT_MS,
  WEAK,
} from '../help/version-bench.js';

const none = () => 0;

t.test('a write is sent to all, and is acknowledged by the home of its key', (t) => {
  const bench = new Bench();
  const written = bench.proposer(1, none, WEAK)(put('set a'));
  t.equal(bench.sent.length, 3);
  const home = bench.sent.filter(({ copy }) => copy === 0);
  bench.sent = bench.sent.filter(({ copy }) => copy !== 0);
  bench.turn();
  t.equal(written.outcome, null, 'others have it, and who reads at home would not see it');
  bench.sent = home;
  bench.turn();
  t.equal(reply(written), 'a');
  t.same(bench.values(), ['a', 'a', 'a']);
  t.end();
});

t.test('all who read ask the home, and nobody else', (t) => {
  const bench = new Bench();
  const [one, other] = [bench.proposer(1, none, WEAK), bench.proposer(2, none, WEAK)];
  one(put('set a'));
  bench.run();
  for (const ask of [one, other, one]) {
    const read = ask(GET);
    t.same(bench.turn(), ['0 read']);
    t.equal(reply(read), 'a');
  }
  t.end();
});

t.test('where the home cannot be reached the next copy is it; what a copy has missed it lacks', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1, none, WEAK);
  ask(put('set a'));
  bench.run();
  bench.gone.add(0);
  bench.mute.add(0);
  t.equal(reply(ran(bench, ask(put('set b')))), 'b');
  t.equal(reply(ran(bench, ask(GET))), 'b');
  bench.gone.clear();
  bench.mute.clear();
  bench.later(TIMEOUT_MS);
  t.equal(bench.run(), 0, 'nothing is repaired');
  t.same(bench.values(), ['a', 'b', 'b']);
  t.equal(reply(ran(bench, ask(GET))), 'a');
  t.equal(reply(ran(bench, ask(put('set c')))), 'c');
  t.same(bench.values(), ['c', 'c', 'c'], 'a write mends it');
  t.end();
});

t.test('a home that is silent, or cannot, is not waited for', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1, none, WEAK);
  bench.mute.add(0);
  const written = ran(bench, ask(put('set a')));
  t.equal(written.outcome, null);
  bench.later(PATIENCE_MS);
  t.equal(reply(written), 'a');
  bench.mute.clear();
  const lost = ask(put('set b'));
  bench.turn(({ copy }) => copy === 0);
  t.equal(reply(lost), 'b', 'its connection was lost');
  t.end();
});

t.test('a home that has a larger version is written under one above it, though others took the first', (t) => {
  const bench = new Bench();
  const [early, late] = [bench.proposer(1, () => 1000, WEAK), bench.proposer(2, none, WEAK)];
  early(put('set a'));
  bench.sent = bench.sent.filter(({ copy }) => copy === 0);
  bench.run();
  t.same(bench.values(), ['a', undefined, undefined]);
  const second = late(put('set b'));
  bench.turn();
  t.equal(second.outcome, null);
  bench.turn();
  t.equal(reply(second), 'b');
  t.same(bench.values(), ['b', 'b', 'b']);
  t.end();
});

t.test('a home that freezes is not waited for where the others have a larger version', (t) => {
  for (const others of [[1, 2], [1]]) {
    const bench = new Bench();
    const [early, late] = [bench.proposer(1, () => 100_000, WEAK), bench.proposer(2, none, WEAK)];
    early(put('set a'));
    bench.run();
    bench.mute.add(0);
    if (others.length === 1) {
      bench.gone.add(2);
      bench.mute.add(2);
    }
    const written = ran(bench, late(put('set b')));
    t.equal(written.outcome, null);
    bench.later(PATIENCE_MS);
    bench.run();
    t.equal(reply(written), 'b');
    for (const copy of others) t.equal(bench.values()[copy], 'b');
  }
  t.end();
});

t.test('nor where it freezes while others go on and on', (t) => {
  const bench = new Bench();
  let version = 100_000;
  const [early, late] = [bench.proposer(1, () => version, WEAK), bench.proposer(2, none, WEAK)];
  early(put('set a'));
  bench.run();
  // Each try is refused by what another has written meanwhile.
  const written = late(put('set b'));
  for (let tries = 0; tries < 6; tries++) {
    const tried = bench.sent;
    bench.sent = [];
    version += 100_000;
    early(put(`set a${tries}`));
    bench.run();
    bench.sent = tried;
    bench.turn();
    bench.later(64);
  }
  t.equal(written.outcome, null);
  bench.mute.add(0);
  for (let times = 0; times < 4 && written.outcome === null; times++) {
    bench.later(PATIENCE_MS);
    bench.run();
  }
  t.equal(reply(written), 'b');
  t.ok(bench.nowMs < TIMEOUT_MS, `${bench.nowMs}`);
  t.end();
});

t.test('while it is not known who the home is, nothing is asked', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1, none, WEAK);
  bench.awaited.add(0);
  for (const operation of [put('set a'), change('append b'), GET]) t.equal(reply(ask(operation)), 'no-quorum');
  t.equal(bench.sent.length, 0);
  bench.awaited.clear();
  bench.awaited.add(2);
  t.equal(reply(ran(bench, ask(put('set a')))), 'a', 'the first of the copies is there');
  bench.awaited.add(1);
  bench.gone.add(0);
  t.equal(reply(ask(GET)), 'no-quorum');
  bench.awaited.clear();
  t.equal(reply(ran(bench, ask(GET))), 'a');
  t.end();
});

t.test('one copy is enough, and none is told at once', (t) => {
  const bench = new Bench();
  const ask = bench.proposer(1, none, WEAK);
  bench.gone.add(0).add(1);
  bench.mute.add(0).add(1);
  t.equal(reply(ran(bench, ask(put('set a')))), 'a');
  t.equal(reply(ran(bench, ask(change('append b')))), 'ab');
  t.equal(reply(ran(bench, ask(GET))), 'ab');
  bench.gone.add(2);
  for (const operation of [put('set c'), change('append c'), GET]) t.equal(reply(ask(operation)), 'no-quorum');
  t.equal(bench.sent.length, 0);
  t.end();
});

t.test('changes by two at the same time are made at home, one after the other: none is lost there', (t) => {
  const bench = new Bench();
  const [one, other] = [bench.proposer(1, none, WEAK), bench.proposer(2, () => 5, WEAK)];
  one(put('set a'));
  bench.run();
  const changed = [one(change('append b')), other(change('append c'))];
  for (let tries = 0; tries < 5; tries++) {
    bench.run();
    bench.later(10);
  }
  t.same(changed.map(reply).sort(), ['ab', 'abc']);
  t.equal(bench.values()[0], 'abc');
  t.end();
});

/** Copy 0 has a change to carry out, and is silent; behind that comes what was asked by the way. */
function withFrozenHome(...behind: Operation<Commands, Replies>[]) {
  const bench = new Bench();
  const ask = bench.proposer(1, none, WEAK);
  ran(bench, ask(put('set a')));
  const changed = ask(change('append b'));
  bench.turn();
  const held = bench.sent;
  bench.sent = [];
  bench.mute.add(0);
  const asked = behind.map(ask);
  bench.later(PATIENCE_MS - 1);
  t.equal(bench.sent.length, 0, 'it is waited for');
  bench.later(1);
  for (let times = 0; times < 4; times++) {
    bench.run();
    bench.later(PATIENCE_MS);
  }
  t.ok(bench.nowMs < TIMEOUT_MS);
  return { bench, ask, changed, asked, thaw: () => bench.thaw(held) };
}

t.test('what comes behind a change at a home that freezes waits for it no longer than for a silent copy', (t) => {
  const { bench, ask, changed, asked } = withFrozenHome(put('set c'), GET, change('append d'));
  t.same(asked.map(reply), ['c', 'c', 'cd']);
  t.equal(changed.outcome, null, 'its own client may hear of it yet');
  t.same(bench.values().slice(1), ['cd', 'cd']);
  bench.later(TIMEOUT_MS);
  t.equal(reply(changed), 'unknown');
  bench.mute.clear();
  t.equal(reply(ran(bench, ask(put('set e')))), 'e', 'and the key goes on');
  t.end();
});

t.test('a change that a frozen home carries out late is told, and stays below what came behind it', (t) => {
  const { bench, changed, thaw } = withFrozenHome(put('set c'));
  thaw();
  t.equal(reply(changed), 'ab');
  t.same(bench.values().slice(1), ['c', 'c']);
  t.end();
});

t.test('a change that a frozen home could not carry out is not tried again behind what came later', (t) => {
  const { bench, changed, thaw } = withFrozenHome(put('set c'));
  // It was given a newer state before.
  const [state] = bench.copies.slice(1).map(({ data }) => data.metas.get('k'));
  const other = { ...(state as KeyFacts), value: 'c' };
  bench.copies[0]?.perform({ kind: 'install', state: other, next: other.accepted }, 'k', 'member');
  thaw();
  bench.later(PATIENCE_MS);
  bench.run();
  t.equal(reply(changed), 'overtaken');
  t.same(bench.values(), ['c', 'c', 'c']);
  t.end();
});

/** What was asked, when all that was sent has been answered. */
function ran<A>(bench: Bench, asked: A): A {
  bench.run();
  return asked;
}
