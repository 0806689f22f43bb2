/** One who would belong to a fleet, or lead it, and all that it was told. */
import { Election, type Leader } from '../../src/coord/election.js';
import type { Member } from '../../src/coord/member-facts.js';
import { Membership } from '../../src/coord/membership.js';
import type { Store } from '../../src/coord/store.js';
import { within } from '../help/wait-for.js';

/** So long that a machine that is slow for a moment ends none. */
export const LEASE_MS = 3_000;
/** Of those that are to end. */
export const SHORT_LEASE_MS = 1_000;
/** How long at most after a leader has gone somebody else leads, however slow the machine is. */
export const followedMsMax = (leaseMs: number) => 2 * leaseMs + 5_000;

/** What was told, and who waits for more. */
class Told {
  readonly events: string[] = [];
  private readonly looks = new Set<() => void>();

  tell(event: string): void {
    this.events.push(event);
    for (const look of [...this.looks]) look();
  }

  /** Resolves when `isSo` says yes, now or after what is told next. */
  until(what: string, isSo: () => boolean): Promise<void> {
    let look = () => {};
    const come = new Promise<void>((resolve) => {
      look = () => {
        if (isSo()) resolve();
      };
    });
    this.looks.add(look);
    look();
    return within(`${what} (told: ${this.events.slice(-5).join(', ')})`, come).finally(() => this.looks.delete(look));
  }
}

export class TestMember extends Told {
  readonly membership: Membership;
  private readonly store: Store;
  /** Each that was told. */
  readonly views: ReadonlyMap<string, Member>[] = [];
  readonly troubles: string[] = [];

  constructor(store: Store, name: string, leaseMs = LEASE_MS) {
    super();
    this.store = store;
    this.membership = new Membership(store, {
      name,
      leaseMs,
      facts: { version: '1.2.3', sinceMs: 1_000, topologyVersion: 1, reason: null },
      onMembers: (members) => {
        this.views.push(members);
        this.tell(`members ${[...members.keys()].sort()}`);
      },
      onTrouble: (reason) => {
        this.troubles.push(reason);
        this.tell(`trouble: ${reason}`);
      },
      onJoined: () => this.tell('joined'),
      onLost: (reason) => this.tell(`lost: ${reason}`),
    });
  }

  /** `name=topologyVersion`, sorted. */
  get view(): string {
    return [...this.membership.members.values()]
      .map((one) => `${one.name}=${one.topologyVersion}`)
      .sort()
      .join(' ');
  }

  /** It cannot say a word any more. */
  crash(): Promise<void> {
    return this.store.close();
  }
}

export class TestCandidate extends Told {
  readonly election: Election;
  private readonly store: Store;
  /** Its own, in order. */
  readonly terms: number[] = [];
  leader: Leader | null = null;
  electedMs = 0;
  deposedMs = 0;

  constructor(store: Store, name: string, leaseMs = LEASE_MS) {
    super();
    this.store = store;
    this.election = new Election(store, {
      name,
      leaseMs,
      onLeader: (leader) => {
        this.leader = leader;
        this.tell(`leader ${leader?.name} ${leader?.term}`);
      },
      onElected: (term) => {
        this.terms.push(term);
        this.electedMs = performance.now();
        this.tell(`elected ${term}`);
      },
      onDeposed: (reason) => {
        this.deposedMs = performance.now();
        this.tell(`deposed: ${reason}`);
      },
      onTrouble: (reason) => this.tell(`trouble: ${reason}`),
    });
    this.election.stand();
  }

  /** It cannot say a word any more. */
  crash(): Promise<void> {
    return this.store.close();
  }
}
