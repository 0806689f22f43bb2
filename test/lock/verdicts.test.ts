/** What nodes say together, as tables. */
import t from 'tap';
import type { LockReply } from '../../src/lock/lock-step.js';
import { extendOutcome, infoOutcome, Replies, releaseOutcome } from '../../src/lock/verdicts.js';
import { NEVER } from '../../src/replica/ballot.js';

const DONE: LockReply = { kind: 'done' };
const FREE: LockReply = { kind: 'not-held', ttlMs: 0, register: '' };
const THEIRS: LockReply = { kind: 'not-held', ttlMs: 500, register: '7 c theirs' };
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
    [3, [FREE, FREE], { kind: 'not-held', holder: { ttlMs: 0, register: null } }],
    [3, [THEIRS, FREE, DONE], { kind: 'not-held', holder: { ttlMs: 500, register: { fence: 7, client: 'c' } } }],
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

t.test('an extension counts from when it was asked for, less drift', async (t) => {
  t.same(extendOutcome(of(3, [DONE, DONE]), 1000, 100, 300), { kind: 'extended', validityMs: 788 });
  t.same(extendOutcome(of(3, [DONE, DONE]), 1000, 100, 1088), { kind: 'unknown' });
  t.equal(extendOutcome(of(3, [DONE, QUARANTINED]), 1000, 0, 0), null);
  t.match(extendOutcome(of(3, [DONE, QUARANTINED, THEIRS]), 1000, 0, 0), { kind: 'unknown' });
  t.match(extendOutcome(of(3, [THEIRS, THEIRS]), 1000, 0, 0), { kind: 'not-held', holder: { ttlMs: 500 } });
});

function view(token: string | null, ttlMs: number, register: string): LockReply {
  return { kind: 'view', token, ttlMs, accepted: NEVER, register };
}

t.test('who holds a lock is the word of a majority, and for how long that of its least lasting node', async (t) => {
  const last = { fence: 9, client: 'c', token: 'x' };
  for (const [replies, expected] of [
    [[view('x', 500, '9 c x'), view('x', 300, '9 c x')], { kind: 'held', holder: { ttlMs: 300, register: last } }],
    [[view('x', 500, ''), view('x', -1, '9 c x'), view('y', 1, '')], { kind: 'held', holder: { ttlMs: 500 } }],
    [[view('y', 5, '9 c x'), view('y', 5, '')], { kind: 'held', holder: { ttlMs: 5, register: null } }],
    [
      [view('x', 500, '9 c x'), view('x', 400, '8 c x'), view('y', 1, '10 d y')],
      { kind: 'held', holder: { ttlMs: 400, register: last } },
    ],
    [[view(null, 0, '9 c x'), view(null, 0, '8 d y')], { kind: 'free', last }],
    [[view('x', 5, ''), view('y', 5, '')], null],
    [[view('x', 5, ''), view('y', 5, ''), view(null, 0, '9 c x')], { kind: 'split', last }],
    [[view('x', 5, ''), GONE, view('x', 4, '')], { kind: 'held' }],
    [[view('x', 5, ''), GONE, SILENT], { kind: 'no-quorum' }],
  ] as const) {
    t.match(infoOutcome(of(3, replies)), expected, JSON.stringify(replies));
  }
});

t.test('a node is heard once, and who has not answered when time is over will not', async (t) => {
  const replies = of(3, [DONE]);
  replies.add(0, DONE);
  t.equal(releaseOutcome(replies), null);
  replies.end();
  t.same(releaseOutcome(replies), { kind: 'unknown' });
});
