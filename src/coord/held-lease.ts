/**
 * A lease that this process holds: an entry that it writes anew until it lets go, or cannot any more.
 *
 *   taking ──done──> held ──a third of the length──> renewing ──done──> held
 *                     │  <── unavailable, unknown: tried again ──┘
 *                     └─ release() | a conflict: others ended it | the time is up ──> ended: onEnd is called once, but for release()
 */
import { randomBytes } from 'node:crypto';
import { LEASE_MS_MAX, LEASE_MS_MIN } from '../base/lease-length.js';
import { pause } from '../base/pause.js';
import type { Key } from './key.js';
import { encodeLease, HeldTime } from './lease.js';
import type { Entry, Store } from './store.js';
import { StoreError } from './store-error.js';

/** Between two renewals of which the first was not done. */
const RETRY_MS = 50;

export interface LeaseTerms {
  readonly key: Key;
  readonly lengthMs: number;
  /** It is not held any more, and why. */
  readonly onEnd: (reason: string) => void;
}

export class HeldLease {
  private readonly store: Store;
  private readonly terms: LeaseTerms;
  private readonly holder = randomBytes(12).toString('base64url');
  private readonly time: HeldTime;
  private readonly ending = new AbortController();
  private value: string;
  private version: number;
  /** One write after another. */
  private turn: Promise<void> = Promise.resolve();
  private timer: NodeJS.Timeout | null = null;

  private constructor(store: Store, terms: LeaseTerms, version: number, value: string) {
    const { lengthMs } = terms;
    if (!(lengthMs >= LEASE_MS_MIN && lengthMs <= LEASE_MS_MAX)) {
      throw new StoreError('refused', `a lease has ${LEASE_MS_MIN} to ${LEASE_MS_MAX} ms, not ${lengthMs}`);
    }
    this.store = store;
    this.terms = terms;
    this.time = new HeldTime(lengthMs);
    this.version = version;
    this.value = value;
  }

  /**
   * Takes what has the version `expected`: nothing, or a lease that may be ended. Resolves with what is there instead where that is a
   * conflict. Rejects with a StoreError; where that is `unknown` it may be there, renewed by nobody.
   */
  static async take(store: Store, terms: LeaseTerms, expected: number, value: string): Promise<HeldLease | Entry> {
    const lease = new HeldLease(store, terms, expected, value);
    const sentMs = performance.now();
    const written = await store.compareAndSet(terms.key, expected, lease.body);
    if (written.kind === 'conflict') return written.found;
    lease.onDone(sentMs, written.version);
    void lease.keep();
    return lease;
  }

  /** To be asked right before something is done that only the holder may do. */
  get isHeld(): boolean {
    return !this.ending.signal.aborted && performance.now() < this.time.untilMs;
  }

  /**
   * Shows others another value. Resolves when it is there; rejects with a StoreError: `refused` when the lease is not held any more, else
   * it goes along with the next renewal that is done.
   */
  async show(value: string): Promise<void> {
    this.value = value;
    await this.write();
    if (!this.isHeld) throw new StoreError('refused', 'the lease is not held any more');
  }

  /** Lets go, for others to take at once. Rejects with a StoreError: then it ends by itself. */
  async release(): Promise<void> {
    const { store, terms } = this;
    if (this.ending.signal.aborted) return;
    this.stop();
    await this.turn;
    for (;;) {
      const written = await store.compareAndSet(terms.key, this.version, null);
      if (written.kind === 'done' || !isOf(this.holder, written.found.value)) return;
      this.version = written.found.version;
    }
  }

  private get body(): string {
    return encodeLease({ lengthMs: this.terms.lengthMs, holder: this.holder, value: this.value });
  }

  private async keep(): Promise<void> {
    const { time, ending } = this;
    while (!ending.signal.aborted) {
      await pause(Math.max(0, time.renewAtMs - performance.now()), ending.signal);
      if (ending.signal.aborted) return;
      try {
        await this.write();
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        // The time will be up, if that goes on.
        await pause(RETRY_MS, ending.signal);
      }
    }
  }

  /** Writes the entry anew, after what is being written. */
  private write(): Promise<void> {
    const own = this.turn.then(() => this.writeNow());
    // Who asked for it hears of its error.
    this.turn = own.catch(() => {});
    return own;
  }

  private async writeNow(): Promise<void> {
    for (;;) {
      if (this.ending.signal.aborted) return;
      const sentMs = performance.now();
      const written = await this.store.compareAndSet(this.terms.key, this.version, this.body);
      if (written.kind === 'done') {
        this.onDone(sentMs, written.version);
        return;
      }
      const { version, value } = written.found;
      if (!isOf(this.holder, value)) {
        this.end(value === null ? 'others have ended it' : 'others have taken it');
        return;
      }
      // A renewal before was done without our knowing.
      this.version = version;
    }
  }

  private onDone(sentMs: number, version: number): void {
    this.version = version;
    this.time.onRenewed(sentMs);
    if (this.ending.signal.aborted) return;
    if (this.timer !== null) clearTimeout(this.timer);
    const leftMs = Math.max(0, this.time.untilMs - performance.now());
    this.timer = setTimeout(() => this.end('it could not be renewed in time'), leftMs);
  }

  private end(reason: string): void {
    if (this.ending.signal.aborted) return;
    this.stop();
    this.terms.onEnd(reason);
  }

  private stop(): void {
    this.ending.abort();
    if (this.timer !== null) clearTimeout(this.timer);
  }
}

function isOf(holder: string, text: string | null): boolean {
  return text !== null && text.split(' ', 2)[1] === holder;
}
