/**
 * A lease that somebody wants for good: taken as soon as nobody has it, and again after each loss, until it is given up.
 *
 *   waiting ──nobody has it, or it is our own that is left over──> taking ──done──> held ──lost──> waiting
 *      ^ <── a conflict: until the watch tells more ─────────────────┤
 *      └ <── unavailable, unknown, refused: for a while ─────────────┘            giveUp(), from any of them ──> over
 *
 * Its own is left over where the time was up before others have ended it, or where it is not known whether it was taken.
 */
import { HeldLease } from './held-lease.js';
import { checkKey, type Key } from './key.js';
import { checkLeaseMs, newHolder } from './lease.js';
import { LeaseWatch, type SeenLease } from './lease-watch.js';
import type { Store } from './store.js';
import { StoreError } from './store-error.js';

/** Until what could not be taken is tried again. */
const RETRY_MS = 200;

export interface ClaimEvents {
  onHeld(lease: HeldLease): void;
  /** It is wanted still. Not called for what is given up. */
  onLost(reason: string): void;
  /** All leases in the folder, as often as one of them is renewed; and the folder's version. */
  onLeases(leases: ReadonlyMap<string, SeenLease>, version: number): void;
  /** Why it cannot be taken, or what others have cannot be seen, now; the same one is told once. */
  onTrouble(reason: string): void;
}

type State =
  | { kind: 'waiting' }
  /** `done` resolves with what was taken, if it was. */
  | { kind: 'taking'; done: Promise<HeldLease | null> }
  | { kind: 'held'; lease: HeldLease }
  | { kind: 'over' };

export class Claim {
  /** That of all leases that it takes. */
  readonly holder = newHolder();
  private readonly store: Store;
  private readonly key: Key;
  private readonly lengthMs: number;
  private readonly events: ClaimEvents;
  private readonly watch: LeaseWatch;
  private state: State = { kind: 'waiting' };
  private value: string;
  private isShowing = false;
  /** What a change goes by that takes it; -1: somebody else has it, or nothing is known yet. */
  private free = -1;
  /** What it could not be taken by: something else is there by now. */
  private spent = -1;
  private isResting = false;
  private callOffRest = () => {};
  /** What was told last of writing, and of seeing; '': it has gone well since. */
  private readonly troubles = { write: '', watch: '' };

  /** Throws a StoreError, `refused`, for what is no key or no length. `value`: see `show`. */
  constructor(store: Store, key: Key, lengthMs: number, value: string, events: ClaimEvents) {
    checkKey(key);
    checkLeaseMs(lengthMs);
    this.store = store;
    this.key = key;
    this.lengthMs = lengthMs;
    this.value = value;
    this.events = events;
    this.watch = new LeaseWatch(store, key.folder, {
      onLeases: (leases, version) => this.onLeases(leases, version),
      onTrouble: (error) => this.onTrouble('watch', error),
    });
  }

  /** To be asked right before something is done that only the holder may do. */
  get isHeld(): boolean {
    return this.state.kind === 'held' && this.state.lease.isHeld;
  }

  /** Shows others that value as soon as can be, while it is held and whenever it is held again. */
  show(value: string): void {
    this.value = value;
    if (!this.isShowing) void this.showNow();
  }

  /** Lets go for good, for others to take at once. Nothing is told after that. Rejects with a StoreError: then it ends by itself. */
  async giveUp(): Promise<void> {
    const before = this.state;
    this.state = { kind: 'over' };
    this.watch.close();
    this.callOffRest();
    if (before.kind === 'held') await before.lease.release();
    else if (before.kind === 'taking') await (await before.done)?.release();
  }

  private onLeases(leases: ReadonlyMap<string, SeenLease>, version: number): void {
    if (this.state.kind === 'over') return;
    const lease = leases.get(this.key.name);
    if (lease === undefined) this.free = version;
    else this.free = lease.holder === this.holder ? lease.version : -1;
    this.troubles.watch = '';
    this.events.onLeases(leases, version);
    this.resume();
  }

  private resume(): void {
    const { free, spent, isResting, state } = this;
    if (state.kind !== 'waiting' || isResting || free === -1 || free === spent || this.store.isClosed) return;
    this.state = { kind: 'taking', done: this.take(free) };
  }

  /** Null: it is not taken. Never rejects with a StoreError. */
  private async take(expected: number): Promise<HeldLease | null> {
    const { store, key, lengthMs, holder, value } = this;
    const terms = { key, lengthMs, holder, onEnd: (reason: string) => this.onEnd(reason) };
    try {
      const lease = await HeldLease.take(store, terms, expected, value);
      this.troubles.write = '';
      if (!(lease instanceof HeldLease)) this.spent = expected;
      else {
        this.onTaken(lease, value);
        return lease;
      }
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.rest(error);
    }
    if (this.state.kind !== 'over') this.state = { kind: 'waiting' };
    this.resume();
    return null;
  }

  private onTaken(lease: HeldLease, shown: string): void {
    if (this.state.kind === 'over') return;
    this.state = { kind: 'held', lease };
    this.events.onHeld(lease);
    if (this.value !== shown) this.show(this.value);
  }

  private rest(error: StoreError): void {
    if (this.state.kind === 'over') return;
    this.isResting = true;
    this.callOffRest = this.store.clock.after(RETRY_MS, () => {
      this.isResting = false;
      this.resume();
    });
    this.onTrouble('write', error);
  }

  private onEnd(reason: string): void {
    if (this.state.kind !== 'held') return;
    this.state = { kind: 'waiting' };
    this.events.onLost(reason);
    this.resume();
  }

  /** One after another, the newest value alone. */
  private async showNow(): Promise<void> {
    this.isShowing = true;
    for (let shown: string | null = null; this.state.kind === 'held' && shown !== this.value; ) {
      shown = this.value;
      try {
        await this.state.lease.show(shown);
        this.troubles.write = '';
      } catch (error) {
        // It goes along with the next renewal that is done, or with what is taken next.
        if (!(error instanceof StoreError)) throw error;
        if (this.state.kind === 'held') this.onTrouble('write', error);
      }
    }
    this.isShowing = false;
  }

  private onTrouble(where: 'write' | 'watch', error: StoreError): void {
    if (this.state.kind === 'over' || error.message === this.troubles[where]) return;
    this.troubles[where] = error.message;
    this.events.onTrouble(error.message);
  }
}
