/** What nodes say together, as tables. */
import t from 'tap';
import type { LockReply } from '../../src/lock/lock-step.js';
import { breakOutcome, extendOutcome, infoOutcome, Replies, releaseOutcome } from '../../src/lock/verdicts.js';
import { NEVER } from '../../src/replica/ballot.js';

const DONE: LockReply = { kind: 'done' };
const EXTENDED: LockReply = { kind: 'extended', share: 'x', hold: null, nowMs: null };
const FREE: LockReply = { kind: 'not-held', ttlMs: 0, nowMs: 9, registers: [] };
const THEIRS: LockReply = { kind: 'not-held', ttlMs: 500, nowMs: 9, registers: ['7 c theirs'] };
const GONE: LockReply = { kind: 'unsent' };
const SILENT: LockReply = null;
const OOM: LockReply = { kind: 'unable', error: Buffer.from('-OOM\r\n') };
const QUARANTINED: LockReply = { kind: 'quarantined', leftMs: 5 };

function of(copies: number, replies: readonly LockReply[]): Replies {
  const all = new Replies(copies);
  for (const [copy, reply] of replies.entries()) all.add(copy, reply);
  return all;
}

t.test('a release', async (t) => {
  for (const [copies, replies, expected] of [
    [3, [DONE, DONE], { kind: 'released' }],
    [3, [DONE], null],
    [3, [DONE, GONE], null],
    [3, [DONE, GONE, DONE], { kind: 'released' }],
    [3, [FREE], null],
    [3, [FREE, FREE], { kind: 'not-held', ttlMs: 0, holders: [] }],
    [3, [THEIRS, FREE, DONE], { kind: 'not-held', ttlMs: 500, holders: [{ fence: 7, client: 'c' }] }],
    [3, [DONE, SILENT, GONE], { kind: 'unknown' }],
    [3, [GONE, GONE, FREE], { kind: 'no-quorum', error: null }],
    [3, [GONE, GONE, OOM], { kind: 'no-quorum', error: Buffer.from('-OOM\r\n') }],
    [3, [SILENT, GONE, GONE], { kind: 'unknown' }],
    [4, [DONE, DONE], null],
    [4, [DONE, DONE, FREE, FREE], { kind: 'not-held' }],
    [4, [DONE, DONE, GONE, DONE], { kind: 'released' }],
    [5, [FREE, FREE, DONE, DONE], null],
    [5, [FREE, FREE, DONE, DONE, DONE], { kind: 'released' }],
  ] as const) {
    t.match(releaseOutcome(of(copies, replies)), expected, JSON.stringify([copies, replies]));
  }
});

t.test('a lock that is broken had those holders whom a majority knew', async (t) => {
  const of1 = (...tokens: string[]): LockReply => ({ kind: 'broken', tokens });
  for (const [copies, replies, expected] of [
    [3, [of1('a')], null],
    [3, [of1('a'), of1('a')], { kind: 'broken', holders: 1 }],
    [3, [of1(), of1()], { kind: 'broken', holders: 0 }],
    [3, [of1('a'), of1()], null],
    [3, [of1('a'), of1(), of1('a')], { kind: 'broken', holders: 1 }],
    [3, [of1('a'), of1('b'), of1()], { kind: 'broken', holders: 0 }],
    [3, [of1('a', 'b'), of1('b', 'a')], { kind: 'broken', holders: 2 }],
    [3, [of1('a', 'b'), of1('a'), of1('b', 'a')], { kind: 'broken', holders: 2 }],
    [3, [of1('a'), GONE, GONE], { kind: 'unknown' }],
    [3, [SILENT, GONE, GONE], { kind: 'unknown' }],
    [3, [GONE, GONE, GONE], { kind: 'no-quorum', error: null }],
    [3, [GONE, GONE, OOM], { kind: 'no-quorum', error: Buffer.from('-OOM\r\n') }],
    [5, [of1('a'), of1('a'), of1()], null],
  ] as const) {
    t.match(breakOutcome(of(copies, replies)), expected, JSON.stringify([copies, replies]));
  }
});

t.test('an extension counts from when it was asked for, less drift', async (t) => {
  t.same(extendOutcome(of(3, [EXTENDED, EXTENDED]), 1000, 100, 300), { kind: 'extended', validityMs: 788 });
  t.same(extendOutcome(of(3, [EXTENDED, EXTENDED]), 1000, 100, 1088), { kind: 'unknown' });
  t.equal(extendOutcome(of(3, [EXTENDED, QUARANTINED]), 1000, 0, 0), null);
  t.match(extendOutcome(of(3, [EXTENDED, QUARANTINED, THEIRS]), 1000, 0, 0), { kind: 'unknown' });
  t.match(extendOutcome(of(3, [THEIRS, THEIRS]), 1000, 0, 0), { kind: 'not-held', ttlMs: 500 });
});

t.test('who has different slots at different nodes has none', async (t) => {
  const slot = (share: string): LockReply => ({ kind: 'extended', share, hold: null, nowMs: null });
  t.equal(extendOutcome(of(3, [slot('0'), slot('1')]), 1000, 0, 0), null);
  t.match(extendOutcome(of(3, [slot('0'), slot('1'), slot('0')]), 1000, 0, 0), { kind: 'extended' });
  t.match(extendOutcome(of(3, [slot('0'), slot('1'), FREE]), 1000, 0, 0), { kind: 'unknown' });
});

t.test('of many who hold it those with the largest fences are told, and that there are others', async (t) => {
  const theirs = (ttlMs: number, ...fences: number[]): LockReply => {
    return { kind: 'not-held', nowMs: 9, ttlMs, registers: fences.map((fence) => `${fence} c${fence} t${fence}`) };
  };
  t.match(releaseOutcome(of(3, [theirs(5, 4, 3, 1), theirs(9, 5, 4, 3, 2)])), {
    kind: 'not-held',
    ttlMs: 9,
    holders: [5, 4, 3, 2].map((fence) => ({ fence, client: `c${fence}` })),
  });
});

/** All of it is one's, or nobody's. */
function view(token: string | null, ttlMs: number, register: string): LockReply {
  const holders = token === null ? [] : [{ token, share: 'x', ttlMs, fence: 0, client: '?' }];
  return { kind: 'view', mode: token === null ? '' : 'x', holders, accepted: NEVER, register };
}

t.test('who holds a lock is the word of a majority, and for how long that of its least lasting node', async (t) => {
  for (const [replies, expected] of [
    [
      [view('x', 500, '9 c x'), view('x', 300, '9 c x')],
      { fence: 9, holders: [{ ttlMs: 300, fence: 9, client: 'c' }] },
    ],
    [[view('x', 500, ''), view('x', -1, '9 c x'), view('y', 1, '')], { kind: 'held', holders: [{ ttlMs: 500 }] }],
    [
      [view('y', 5, '9 c x'), view('y', 5, '')],
      { kind: 'held', fence: 9, holders: [{ ttlMs: 5, fence: null, client: null }] },
    ],
    [
      [view('x', 500, '9 c x'), view('x', 400, '8 c x'), view('y', 1, '10 d y')],
      { kind: 'held', mode: { kind: 'exclusive' }, fence: 9, holders: [{ ttlMs: 400, fence: 9, client: 'c' }] },
    ],
    [[view(null, 0, '9 c x'), view(null, 0, '8 d y')], { kind: 'free', fence: 9 }],
    [[view('x', 5, ''), view('y', 5, '')], null],
    [[view('x', 5, ''), view('y', 5, ''), view(null, 0, '9 c x')], { kind: 'split', fence: 9 }],
    [[view('x', 5, ''), GONE, view('x', 4, '')], { kind: 'held' }],
    [[view('x', 5, ''), GONE, SILENT], { kind: 'no-quorum' }],
    [[view('x', 5, ''), QUARANTINED, QUARANTINED], { kind: 'no-quorum', quarantinedMs: 5 }],
  ] as const) {
    t.match(infoOutcome(of(3, replies)), expected, JSON.stringify(replies));
  }
});

/** `holders`: token, share, fence. */
function shares(mode: string, ...holders: readonly (readonly [string, string, number])[]): LockReply {
  return {
    kind: 'view',
    mode,
    holders: holders.map(([token, share, fence]) => ({
      token,
      share,
      ttlMs: 100,
      fence,
      client: fence === 0 ? '?' : 'c',
    })),
    accepted: NEVER,
    register: '9 d z',
  };
}

t.test('those who share a lock are those who have it at a majority, the latest last', async (t) => {
  const held = (max: number, ...fences: (number | null)[]) => ({
    kind: 'held',
    mode: max === 0 ? { kind: 'shared' } : { kind: 'limit', max },
    fence: 9,
    holders: fences.map((fence) => ({ fence, client: fence === null ? null : 'c', ttlMs: 100 })),
  });
  for (const [replies, expected] of [
    [[shares('s', ['a', 's', 3], ['b', 's', 2]), shares('s', ['b', 's', 0], ['a', 's', 3])], held(0, 2, 3)],
    [[shares('s', ['a', 's', 0]), shares('s', ['a', 's', 0])], held(0, null)],
    [[shares('5', ['a', '0', 3]), shares('5', ['a', '0', 3], ['b', '1', 4])], null],
    [[shares('5', ['a', '0', 3]), shares('5', ['a', '0', 3], ['b', '1', 4]), GONE], held(5, 3)],
    [[shares('5', ['a', '0', 3]), shares('5', ['a', '1', 3]), shares('')], { kind: 'split', fence: 9 }],
    [[shares('5', ['a', '0', 3]), shares('6', ['a', '0', 3]), shares('6', ['a', '0', 3])], held(6, 3)],
    [[shares(''), shares(''), shares('s', ['a', 's', 3])], { kind: 'free', fence: 9 }],
  ] as const) {
    t.same(infoOutcome(of(3, replies)), expected, JSON.stringify(replies));
  }
});

t.test('a node is heard once, and who has not answered when time is over will not', async (t) => {
  const replies = of(3, [DONE]);
  replies.add(0, DONE);
  t.equal(releaseOutcome(replies), null);
  replies.end();
  t.same(releaseOutcome(replies), { kind: 'unknown' });
});
