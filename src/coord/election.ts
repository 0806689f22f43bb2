/**
 * Who leads a fleet: one lease for which all stand, and that one has at a time. Each time that it is taken a new term begins.
 *
 *   stand() ─> standing ──nobody leads──> leader, in a term of its own ──deposed──> standing ──> …        withdraw(), for good
 *
 * The term is the version that the lease was taken with: no two changes in one folder have the same version, and it only grows, whatever
 * is removed in between (driver.ts). So nothing but the one write that makes a leader has to be done before it leads.
 *
 * `isLeader` is right for two reasons: nobody ends a lease that its holder believes in (lease.ts), and who leads takes it by the version
 * that is there. What is done a moment after it was asked can be late all the same: it is fenced by the term (led-entry.ts).
 */
import { z } from 'zod';
import { Claim } from './claim.js';
import type { HeldLease } from './held-lease.js';
import type { SeenLease } from './lease-watch.js';
import type { Store } from './store.js';
import { StoreError } from './store-error.js';

export const LEADER_FOLDER = 'leader';

const KEY = { folder: LEADER_FOLDER, name: 'leader' };

const LEADER = z.object({ name: z.string(), term: z.int().nullable() });

export interface Leader {
  readonly name: string;
  /** Null: it has not said yet. */
  readonly term: number | null;
}

export interface ElectionOptions {
  /** By which others see it. */
  readonly name: string;
  readonly leaseMs: number;
  /** Another one leads, as last seen, or nobody. */
  onLeader(leader: Leader | null): void;
  onElected(term: number): void;
  /** It leads no more, and stands again. */
  onDeposed(reason: string): void;
  /** Why nobody can be elected, or who leads cannot be seen, now. It goes on trying. */
  onTrouble(reason: string): void;
}

export class Election {
  private readonly store: Store;
  private readonly options: ElectionOptions;
  private claim: Claim | null = null;
  /** Of this one, where it leads. */
  private ownTerm: number | null = null;
  /** Undefined: nothing was seen yet. */
  private seen: Leader | null | undefined;

  constructor(store: Store, options: ElectionOptions) {
    this.store = store;
    this.options = options;
  }

  /** Throws a StoreError, `refused`, for a length that cannot be. */
  stand(): void {
    const { store, options } = this;
    this.claim = new Claim(store, KEY, options.leaseMs, this.shown(null), {
      onHeld: (lease) => this.onHeld(lease),
      onLost: (reason) => {
        this.ownTerm = null;
        this.claim?.show(this.shown(null));
        options.onDeposed(reason);
      },
      onLeases: (leases) => this.onLeases(leases),
      onTrouble: (reason) => options.onTrouble(reason),
    });
  }

  /** To be asked right before something is done that only the leader may do. */
  get isLeader(): boolean {
    return this.claim?.isHeld ?? false;
  }

  /** Of this one, in which it leads, or did until a moment ago; null: it does not. */
  get term(): number | null {
    return this.ownTerm;
  }

  /** As last seen; null: nobody. */
  get leader(): Leader | null {
    return this.seen ?? null;
  }

  /** For good; another one is elected at once. Where the store does not let it, the lease ends by itself, and `onTrouble` says so. */
  async withdraw(): Promise<void> {
    const { claim } = this;
    if (claim === null) return;
    this.ownTerm = null;
    try {
      await claim.giveUp();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.options.onTrouble(`it could not withdraw, and leads until its lease is over: ${error.message}`);
    }
  }

  private onHeld({ takenVersion }: HeldLease): void {
    this.ownTerm = takenVersion;
    this.claim?.show(this.shown(takenVersion));
    this.options.onElected(takenVersion);
  }

  private onLeases(leases: ReadonlyMap<string, SeenLease>): void {
    const lease = leases.get(KEY.name);
    const leader = lease === undefined ? null : leaderOf(lease.value);
    if (this.seen !== undefined && isSame(leader, this.seen)) return;
    this.seen = leader;
    this.options.onLeader(leader);
  }

  private shown(term: number | null): string {
    return JSON.stringify({ name: this.options.name, term } satisfies Leader);
  }
}

/** What cannot be read is that of a leader all the same. */
function leaderOf(text: string): Leader {
  try {
    return LEADER.parse(JSON.parse(text));
  } catch {
    return { name: 'unknown', term: null };
  }
}

function isSame(leader: Leader | null, other: Leader | null): boolean {
  return leader?.name === other?.name && leader?.term === other?.term;
}
