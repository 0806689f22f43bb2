/** Leases of members of a fleet, each with a client of its own. */
import type { Test } from 'tap';
import { HeldLease } from '../../src/coord/held-lease.js';
import { newHolder } from '../../src/coord/lease.js';
import type { Store } from '../../src/coord/store.js';
import { within } from '../help/wait-for.js';
import type { Case } from './case.js';
import { LEASE, LEASE_KEY } from './seen-by.js';

export const LEASE_CASES: Record<string, (t: Test, own: Case) => Promise<void>> = {
  'a lease is held while its holder goes on, and others see what it shows': async (t, own) => {
    const ended: string[] = [];
    const lease = await takeLease(own.store(), (reason) => ended.push(reason));
    const seen = own.seenBy(own.store());
    await seen.until('the lease', () => seen.value === 'first');
    const renewed = new Set<number>();
    await seen.until('two renewals', () => renewed.add(seen.version).size > 2);
    t.equal(lease.isHeld, true);
    await lease.show('second');
    await seen.until('what it shows', () => seen.value === 'second');
    await lease.release();
    await seen.until('the end', () => seen.value === null);
    t.equal(lease.isHeld, false);
    await t.rejects(lease.show('third'), { fault: 'refused', message: 'the lease is not held any more' });
    t.same(ended, [], 'who lets go knows');
    await (await takeLease(own.store(), () => {})).release();
  },

  'a lease that is not renewed ends for its holder, and then for the others, who may take it': async (t, own) => {
    const store = own.store();
    let endedMs = 0;
    const onEnd = () => {
      endedMs = performance.now();
    };
    const lease = await takeLease(store, onEnd, 1_000);
    const other = own.store();
    const seen = own.seenBy(other);
    await seen.until('the lease', () => seen.value === 'first');
    await store.close();
    const { version } = await other.get(LEASE_KEY);
    await seen.until('its end', () => seen.value === null);
    const goneMs = performance.now();
    t.equal(lease.isHeld, false);
    t.ok(0 < endedMs && endedMs < goneMs, 'its holder knew before');
    const next = await takeLease(other, () => {});
    await seen.until('the next', () => seen.value === 'first' && seen.version > version);
    await next.release();
  },

  'a lease that others have ended is not held, and does not come back': async (t, own) => {
    let reason = '';
    const ended = new Promise<void>((resolve) => {
      void takeLease(own.store(), (why) => {
        reason = why;
        resolve();
      });
    });
    const other = own.store();
    for (let isGone = false; !isGone; ) {
      const { version, value } = await other.get(LEASE_KEY);
      isGone = value !== null && (await other.compareAndSet(LEASE_KEY, version, null)).kind === 'done';
    }
    await within('the end of the lease', ended);
    t.equal(reason, 'others have ended it');
    t.equal((await other.get(LEASE_KEY)).value, null);
  },

  'of two who take one lease one has it': async (t, own) => {
    const taken = await Promise.all(
      [own.store(), own.store()].map((store) =>
        HeldLease.take(store, { ...LEASE, holder: newHolder(), onEnd: () => {} }, 0, 'mine'),
      ),
    );
    const held = taken.filter((one) => one instanceof HeldLease);
    t.equal(held.length, 1);
    await (held[0] as HeldLease).release();
  },
};

async function takeLease(store: Store, onEnd: (reason: string) => void, lengthMs = LEASE.lengthMs): Promise<HeldLease> {
  const { version } = await store.get(LEASE_KEY);
  const lease = await HeldLease.take(store, { ...LEASE, lengthMs, holder: newHolder(), onEnd }, version, 'first');
  if (lease instanceof HeldLease) return lease;
  throw new Error(`the lease is somebody else's: ${JSON.stringify(lease)}`);
}
