/**
 * Leases: who holds something, for as long as it goes on saying so. No common clock is needed (DESIGN §9), and nothing of the store but
 * compare-and-set and watches: a lease is an entry that its holder writes anew before it ends. Here is who may believe what, and when.
 *
 *   holder    counts the length, less drift, from when it *sent* the last renewal that was done
 *   others    count the full length from when they first *saw* the version that is there now
 *
 * Invariant: whoever ends a lease removes the version that it has seen for a whole length. The renewal that made this version was sent
 * before it was seen, so the holder has stopped by itself before. Where the holder renews after all, one of the two is a conflict.
 *
 * Clocks are monotonic, and the rate of each is right within DRIFT. A machine that is suspended while its clock stands still is beyond that:
 * what must hold even then goes by versions.
 *
 * The leases of etcd and the sessions of ZooKeeper are not used: one server says that they are renewed. A leader of etcd 3.4 that was
 * paused and deposed says so when it wakes, and a server of ZooKeeper that is cut off from its leader says so until it notices.
 */
import { randomBytes } from 'node:crypto';
import { LEASE_MS_MAX, LEASE_MS_MIN } from '../base/lease-length.js';
import { StoreError } from './store-error.js';

/** By how much a clock may be too fast or too slow, as a part of the time that passes. */
export const DRIFT = 0.01;
/** Of a length: two renewals may be lost before a lease ends. */
const RENEW_AFTER = 1 / 3;
/** Of a length: by how much sooner a renewal may come, so that those who began together do not all renew together. */
const RENEW_SOONER = 1 / 12;

/** Throws a StoreError, `refused`, for what is no length of a lease. */
export function checkLeaseMs(lengthMs: number): void {
  if (lengthMs >= LEASE_MS_MIN && lengthMs <= LEASE_MS_MAX) return;
  throw new StoreError('refused', `a lease has ${LEASE_MS_MIN} to ${LEASE_MS_MAX} ms, not ${lengthMs}`);
}

/** What the holder may believe. A renewal that is unknown, or a conflict, is none. */
export class HeldTime {
  private readonly lengthMs: number;
  private startMs = Number.NEGATIVE_INFINITY;

  constructor(lengthMs: number) {
    // (1 - 2d) / (1 - d) <= 1 / (1 + d): the slow clock of the holder is over before the fast one of another.
    this.lengthMs = lengthMs * (1 - 2 * DRIFT);
  }

  /** `sentMs`: when that was sent which is now known to be done. */
  onRenewed(sentMs: number): void {
    this.startMs = Math.max(this.startMs, sentMs);
  }

  get untilMs(): number {
    return this.startMs + this.lengthMs;
  }

  /** `random`: in [0, 1), another one for each renewal. */
  renewAtMs(random: number): number {
    return this.startMs + this.lengthMs * (RENEW_AFTER - RENEW_SOONER * random);
  }
}

/** What somebody else may believe of the leases in one folder. */
export class SeenLeases {
  /** By name. */
  private readonly seen = new Map<string, { version: number; untilMs: number }>();

  /** These are there now, and no others. */
  onSeen(leases: Iterable<readonly [name: string, lease: { version: number; lengthMs: number }]>, nowMs: number): void {
    const gone = new Set(this.seen.keys());
    for (const [name, { version, lengthMs }] of leases) {
      gone.delete(name);
      if (this.seen.get(name)?.version !== version) this.seen.set(name, { version, untilMs: nowMs + lengthMs });
    }
    for (const name of gone) this.seen.delete(name);
  }

  /** Those that may be ended, each by the version that was seen. */
  overdue(nowMs: number): { name: string; version: number }[] {
    const due = [...this.seen].filter(([, { untilMs }]) => untilMs <= nowMs);
    return due.map(([name, { version }]) => ({ name, version }));
  }

  /** When the next may be ended; infinite where there is none. */
  get nextMs(): number {
    return Math.min(...[...this.seen.values()].map(({ untilMs }) => untilMs));
  }
}

/** What lies in the store for a lease. */
export interface LeaseBody {
  readonly lengthMs: number;
  /** Of its holder, and of nobody else ever. */
  readonly holder: string;
  readonly value: string;
}

/** Nobody else's ever. */
export function newHolder(): string {
  return randomBytes(12).toString('base64url');
}

export function encodeLease({ lengthMs, holder, value }: LeaseBody): string {
  return `${lengthMs} ${holder} ${value}`;
}

/** Throws a StoreError, `refused`, for what is none. */
export function decodeLease(text: string): LeaseBody {
  const [, length, holder, value] = /^(\d{1,9}) ([\w-]{1,64}) (.*)$/s.exec(text) ?? [];
  if (length === undefined || holder === undefined || value === undefined) {
    throw new StoreError('refused', `"${text.slice(0, 100)}" is no lease`);
  }
  return { lengthMs: Number(length), holder, value };
}

/** Whether that holder wrote what lies there for a lease. */
export function isLeaseOf(holder: string, text: string | null): boolean {
  return text !== null && text.split(' ', 2)[1] === holder;
}
