/** What a client is told that has locks for as long as it is connected, in a turn that took long. */
import t from 'tap';
import { PendingPool } from '../../src/backend/pending.js';
import { Timers } from '../../src/base/timers.js';
import { EARLY_MS } from '../../src/lock/kept-lock.js';
import { EXCLUSIVE } from '../../src/lock/lock.js';
import { LockAcquiring, type LockAcquiringContext } from '../../src/proxy/lock-acquiring.js';
import type { Session } from '../../src/proxy/session.js';
import { FakeLock } from '../help/fake-lock.js';

/** As much of a session as it is told. */
class FakeSession {
  locks = null;
  isIdle = true;
  isLeaving = false;
  name = 'c';
  protocol = 2;
  readonly answers: string[] = [];
  cutOffBy: string | null = null;

  track(): void {}

  answer(_pending: unknown, reply: Uint8Array): void {
    this.answers.push(Buffer.from(reply).toString());
  }

  cutOff(error: Error): void {
    this.cutOffBy = error.message;
  }
}

t.test('who was stopped within a turn cuts off whose lock is over, before anything is sent', async (t) => {
  const transport = { now: Math.floor(performance.now()), timers: new Timers() };
  const counts = { sessionLocksHeld: 0, sessionLocksLost: 0, commandsOverloaded: 0 };
  const acquiring = new LockAcquiring({
    transport,
    counts,
    pendings: new PendingPool(),
    limits: { sessionLocksMax: 10 },
    now: () => transport.now,
  } as unknown as LockAcquiringContext);
  const session = new FakeSession();
  const lock = new FakeLock('lock');
  const wanted = { ttlMs: 1000, waitMs: 0, token: 'mine', mode: EXCLUSIVE, isForSession: true };
  t.ok(acquiring.one(session as unknown as Session, lock, wanted, 10));
  lock.grant(EARLY_MS + 50);
  t.match(session.answers, [/token/]);
  acquiring.onTurnEnd();
  t.equal(session.cutOffBy, null);
  // No timer is due: the turn's own clock stands still.
  for (const end = performance.now() + 60; performance.now() < end; );
  acquiring.onTurnEnd();
  t.match(session.cutOffBy, /^it cannot be known any more to hold the lock 'lock'/);
  t.equal(counts.sessionLocksLost, 1);
});
