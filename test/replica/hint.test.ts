/** Hints as they are kept: what comes out is what went in. */
import t from 'tap';
import { makeBallot, proposerNumber } from '../../src/replica/ballot.js';
import type { Commands, Value } from '../../src/replica/commands.js';
import { encodeHint, putStep, readHints } from '../../src/replica/hint.js';
import { HintOutbox } from '../../src/replica/hint-outbox.js';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import { ANY, type Step } from '../../src/replica/step.js';

const VERSION = makeBallot(3, 1_234_567, proposerNumber(1, 2));
const word = (text: string) => Buffer.from(text, 'latin1');

function put(...list: Buffer[][]): Extract<Step<Commands, Value>, { kind: 'accept' }> {
  const own = { ballot: VERSION, next: VERSION, base: ANY, expected: null, lineage: NO_LINEAGE, expired: false };
  return { kind: 'accept', ...own, commands: { list, protocol: 3 }, setsExpiry: 1_700_000_000_123 };
}

function state(value: Buffer | null, live: boolean, expireAt: number): Step<Commands, Value> {
  return { kind: 'merge', state: { accepted: VERSION, lineage: NO_LINEAGE, live, expireAt, value } };
}

t.test('puts and states come out as they went in, one behind the other', async (t) => {
  const steps = [
    put([word('SET'), word('k\xff'), word('')], [word('PEXPIREAT'), word('k\xff'), word('5')]),
    state(Buffer.from([0, 255, 13, 10]), true, 1_700_000_000_000),
    state(null, false, 0),
    state(null, true, 2 ** 53),
    {
      ...put([word('DEL'), word('k')]),
      commands: { list: [[word('DEL'), word('k')]], protocol: 3, isSmall: true },
    } as const,
  ];
  const bytes = Buffer.concat(steps.map((step, place) => encodeHint('k\xff', step, place)));
  const hints = [...readHints(bytes)];
  t.equal(hints.length, steps.length);
  for (const [place, { key, madeAtMs, version, put, state }] of hints.entries()) {
    t.equal(Buffer.from(key).toString('latin1'), 'k\xff');
    t.equal(madeAtMs, place);
    t.equal(version, VERSION);
    const step = put === null ? { kind: 'merge', state } : putStep(put, version);
    t.same(JSON.parse(JSON.stringify(step)), JSON.parse(JSON.stringify(steps[place])));
  }
});

t.test('what depends on what is there is no hint', async (t) => {
  t.throws(() => encodeHint('k', { ...put([word('INCR'), word('k')]), base: VERSION }, 0), TypeError);
  t.throws(() => encodeHint('k', { kind: 'peek' }, 0), TypeError);
});

/** An outbox before a main thread that takes nothing yet, and one hint's bytes. */
function boxed(hintsInFlight: number, hintBytesMax: number) {
  const counts = { replicatedHints: 0, replicatedHintsDropped: 0 };
  const posted: { node: string; bytes: number; count: number }[] = [];
  const dropped: string[] = [];
  const missed = put([word('SET'), word('k'), word('v')]);
  const one = encodeHint('k', missed, 0).length;
  const outbox = new HintOutbox({
    counts,
    clock: () => 0,
    limits: { hintsInFlightBytesMax: hintsInFlight * one },
    post: (pool, node, hints, count) => posted.push({ node: `${pool}/${node}`, bytes: hints.length, count }),
    onDropped: ({ name }) => dropped.push(name),
  });
  const limits = { hintBytesMax: hintBytesMax * one };
  const add = (...names: string[]) => {
    for (const name of names) outbox.add({ pool: 'main', name, limits }, 'k', missed);
  };
  return { counts, posted, dropped, one, outbox, add };
}

t.test('a worker hands on what nodes have missed in parcels, one node after the other', async (t) => {
  const { counts, posted, one, outbox, add } = boxed(100, 100);
  add('a', 'b', 'a', 'a');
  t.same(posted, []);
  outbox.flush();
  t.same(posted, [
    { node: 'main/a', bytes: 3 * one, count: 3 },
    { node: 'main/b', bytes: one, count: 1 },
  ]);
  t.same(counts, { replicatedHints: 4, replicatedHintsDropped: 0 });
});

t.test('what the main thread cannot take yet waits, and goes when it can', async (t) => {
  const { counts, posted, one, outbox, add } = boxed(3, 5);
  add('a', 'a');
  outbox.flush();
  add('a', 'b', 'a');
  outbox.flush();
  t.same(
    posted.map(({ node, count }) => [node, count]),
    [['main/a', 2]],
  );
  outbox.onTaken(2 * one);
  t.same(
    posted.slice(1).map(({ node, count }) => [node, count]),
    [
      ['main/a', 2],
      ['main/b', 1],
    ],
  );
  t.same(counts, { replicatedHints: 5, replicatedHintsDropped: 0 });
});

t.test('what is more than may be kept for a node is dropped, counted and told', async (t) => {
  const { counts, posted, dropped, outbox, add } = boxed(1, 2);
  add('a');
  outbox.flush();
  add('a', 'a', 'a', 'b');
  t.same(counts, { replicatedHints: 4, replicatedHintsDropped: 1 });
  t.same(dropped, ['a']);
  t.equal(posted.length, 1);
  outbox.end();
  t.same(
    posted.map(({ node, count }) => [node, count]),
    [
      ['main/a', 1],
      ['main/a', 2],
      ['main/b', 1],
    ],
    'at the end all goes',
  );
});

t.test('a burst that is many times what may be under way is kept', async (t) => {
  const { counts, posted, one, outbox, add } = boxed(1_000, 100_000);
  for (let turn = 0; turn < 50_000; turn++) add('a');
  for (let taken = 0; taken < posted.length; taken++) outbox.onTaken(posted[taken]?.bytes ?? 0);
  outbox.flush();
  t.equal(
    posted.reduce((sum, { count }) => sum + count, 0),
    50_000,
  );
  t.ok(posted.every(({ bytes }) => bytes <= 1_000 * one || bytes < 70_000));
  t.same(counts, { replicatedHints: 50_000, replicatedHintsDropped: 0 });
});
