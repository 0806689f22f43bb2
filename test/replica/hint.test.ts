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

t.test(
  'a worker hands on what nodes have missed in parcels, and drops what is more than it may have under way',
  async (t) => {
    const counts = { replicatedHints: 0, replicatedHintsDropped: 0 };
    const posted: { node: string; bytes: number; count: number }[] = [];
    const one = encodeHint('k', put([word('SET'), word('k'), word('v')]), 0).length;
    const outbox = new HintOutbox({
      counts,
      clock: () => 0,
      limits: { hintsInFlightBytesMax: 3 * one },
      post: (pool, node, hints, count) => posted.push({ node: `${pool}/${node}`, bytes: hints.length, count }),
    });
    const [a, b] = [
      { pool: 'main', name: 'a' },
      { pool: 'main', name: 'b' },
    ] as const;
    const missed = put([word('SET'), word('k'), word('v')]);
    for (const node of [a, b, a, a]) outbox.add(node, 'k', missed);
    t.same(posted, []);
    outbox.flush();
    t.same(posted, [
      { node: 'main/a', bytes: 2 * one, count: 2 },
      { node: 'main/b', bytes: one, count: 1 },
    ]);
    t.same(counts, { replicatedHints: 3, replicatedHintsDropped: 1 });
    outbox.add(a, 'k', missed);
    t.equal(counts.replicatedHintsDropped, 2, 'they are under way still');
    outbox.onTaken(2 * one, 1);
    t.equal(counts.replicatedHintsDropped, 3, 'the main thread had no room for one');
    outbox.add(a, 'k', missed);
    outbox.flush();
    t.equal(posted.length, 3);
    t.ok(outbox.isEmpty);
  },
);
