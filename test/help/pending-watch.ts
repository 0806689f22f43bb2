/**
 * Watches every Pending that any test takes: one that is given back twice would later stand for two commands at once, and
 * one that is never given back is a leak. Loaded for its effect.
 */
import { type Pending, PendingPool } from '../../src/backend/pending.js';

const taken = new Set<Pending>();
const { take, release } = PendingPool.prototype;

PendingPool.prototype.take = function (this: PendingPool, ...args: Parameters<typeof take>): Pending {
  const pending = take.apply(this, args);
  taken.add(pending);
  return pending;
};

PendingPool.prototype.release = function (this: PendingPool, pending: Pending): void {
  if (!taken.delete(pending)) throw new Error('a pending was given back twice');
  release.call(this, pending);
};

/** How many are in use now. */
export function pendingsInUse(): number {
  return taken.size;
}
