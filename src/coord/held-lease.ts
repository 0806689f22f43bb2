/**
 * A lease that this process holds: an entry that it writes anew until it lets go, or cannot any more.
 *
 *   taking ──done──> held ──a quarter to a third of the length──> renewing ──done──> held
 *                     │       <── unavailable, unknown: tried again ──────────┘
 *                     └─ release() | a conflict: others ended it | the time is up ──> ended: onEnd is called once, but for release()
 */
import { pause } from '../base/pause.js';
import type { Key } from './key.js';
import { checkLeaseMs, encodeLease, HeldTime, isLeaseOf } from './lease.js';
import type { Entry, Store } from './store.js';
import { StoreError } from './store-error.js';

/** Between two renewals of which the first was not done. */
const RETRY_MS = 50;

export interface LeaseTerms {
  readonly key: Key;
  readonly lengthMs: number;
  /** See LeaseBody. Who takes a lease of its own that is left over is the same holder. */
  readonly holder: string;
  /** It is not held any more, and why. */
  readonly onEnd: (reason: string) => void;
}

export class HeldLease {
  /** That it was taken with. It is that of no other lease under this key, and greater than those of all that were taken before. */
  readonly takenVersion: number;
  private readonly store: Store;
  private readonly terms: LeaseTerms;
  private readonly time: HeldTime;
  private readonly ending = new AbortController();
  private value: string;
  private version: number;
  /** One write after another. */
  private turn: Promise<void> = Promise.resolve();
  /** Why the last renewal was not done. */
  private failure: StoreError | null = null;
  private callOffEnd = () => {};

  private constructor(store: Store, terms: LeaseTerms, sentMs: number, version: number, value: string) {
    this.store = store;
    this.terms = terms;
    this.time = new HeldTime(terms.lengthMs);
    this.takenVersion = version;
    this.version = version;
    this.value = value;
    this.onDone(sentMs, version);
  }

  /**
   * Takes what has the version `expected`: nothing, or a lease that may be ended. Resolves with what is there instead where that is a
   * conflict. Rejects with a StoreError; where that is `unknown` it may be there, renewed by nobody.
   */
  static async take(store: Store, terms: LeaseTerms, expected: number, value: string): Promise<HeldLease | Entry> {
    const { key, lengthMs, holder } = terms;
    checkLeaseMs(lengthMs);
    const sentMs = store.clock.nowMs();
    const written = await store.compareAndSet(key, expected, encodeLease({ lengthMs, holder, value }));
    if (written.kind === 'conflict') return written.found;
    const lease = new HeldLease(store, terms, sentMs, written.version, value);
    void lease.keep();
    return lease;
  }

  /** To be asked right before something is done that only the holder may do. */
  get isHeld(): boolean {
    return !this.ending.signal.aborted && this.store.clock.nowMs() < this.time.untilMs;
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
      if (written.kind === 'done' || !isLeaseOf(terms.holder, written.found.value)) return;
      this.version = written.found.version;
    }
  }

  private get body(): string {
    const { lengthMs, holder } = this.terms;
    return encodeLease({ lengthMs, holder, value: this.value });
  }

  private async keep(): Promise<void> {
    const { time, ending } = this;
    const { clock, random } = this.store;
    while (!ending.signal.aborted) {
      await pause(Math.max(0, time.renewAtMs(random()) - clock.nowMs()), ending.signal, clock);
      if (ending.signal.aborted) return;
      try {
        await this.write();
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        this.failure = error;
        // The time will be up, if that goes on.
        await pause(RETRY_MS, ending.signal, clock);
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
    const { store, terms } = this;
    for (;;) {
      if (this.ending.signal.aborted) return;
      const sentMs = store.clock.nowMs();
      const written = await store.compareAndSet(terms.key, this.version, this.body);
      if (written.kind === 'done') {
        this.onDone(sentMs, written.version);
        return;
      }
      const { version, value } = written.found;
      if (!isLeaseOf(terms.holder, value)) {
        this.end(value === null ? 'others have ended it' : 'others have taken it');
        return;
      }
      // A renewal before was done without our knowing.
      this.version = version;
    }
  }

  private onDone(sentMs: number, version: number): void {
    this.version = version;
    this.failure = null;
    this.time.onRenewed(sentMs);
    if (!this.ending.signal.aborted) this.endLater();
  }

  private endLater(): void {
    const { clock } = this.store;
    this.callOffEnd();
    this.callOffEnd = clock.after(Math.max(0, this.time.untilMs - clock.nowMs()), () => {
      if (clock.nowMs() < this.time.untilMs) this.endLater();
      else this.end(`it could not be renewed in time${this.failure === null ? '' : `: ${this.failure.message}`}`);
    });
  }

  private end(reason: string): void {
    if (this.ending.signal.aborted) return;
    this.stop();
    this.terms.onEnd(reason);
  }

  private stop(): void {
    this.ending.abort();
    this.callOffEnd();
  }
}
