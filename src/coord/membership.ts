/**
 * Who belongs to the fleet: each member has a lease of its name, and shows in it what others have to know of it. A member that
 * loses its lease takes it again as soon as it can; one that is started again waits until the lease of its former process is over.
 *
 *   start() ─> joining ──> member ──lost──> joining ──> …        leave(), from any of them, for good
 *
 * What a change has to reach is asked by `until`, after the change: who joined before the question is in the answer, and who joins later
 * reads what is there after it has joined.
 */
import { EventEmitter, once } from 'node:events';
import { pause } from '../base/pause.js';
import { Claim } from './claim.js';
import { decodeLease } from './lease.js';
import type { SeenLease } from './lease-watch.js';
import { decodeFacts, encodeFacts, type Member, type MemberFacts } from './member-facts.js';
import type { Store } from './store.js';
import { StoreError } from './store-error.js';

export const MEMBERS_FOLDER = 'members';

/** Until who is there is asked again, where the store could not say. */
const RETRY_MS = 200;

export interface MembershipOptions {
  readonly name: string;
  readonly leaseMs: number;
  /** Shown from the beginning. */
  readonly facts: MemberFacts;
  /** Who is there, and what they show, is not what it was. First called before `start` resolves. */
  onMembers(members: ReadonlyMap<string, Member>): void;
  /** Why it cannot join, or does not see the others, now. It goes on trying. */
  onTrouble(reason: string): void;
  onJoined(): void;
  /** It is no member now, and tries to be one again. */
  onLost(reason: string): void;
}

export class Membership {
  private readonly store: Store;
  private readonly options: MembershipOptions;
  private facts: MemberFacts;
  private claim: Claim | null = null;
  private seen: ReadonlyMap<string, Member> = new Map();
  /** How often it changed: 'change' is emitted then. */
  private changes = 0;
  private readonly changed = new EventEmitter();
  /** The lease of another process that has this name: its holder and its versions, as far as they were told. */
  private rival: { holder: string; version: number; isAlive: boolean } | null = null;

  constructor(store: Store, options: MembershipOptions) {
    this.store = store;
    this.options = options;
    this.facts = options.facts;
    // Each of those who wait in `until`.
    this.changed.setMaxListeners(0);
  }

  /** Resolves when it has joined for the first time. Rejects with a StoreError, `refused`, for a name or a length that cannot be. */
  start(): Promise<void> {
    const { store, options } = this;
    return new Promise((resolve, reject) => {
      try {
        const key = { folder: MEMBERS_FOLDER, name: options.name };
        this.claim = new Claim(store, key, options.leaseMs, encodeFacts(this.facts), {
          onHeld: () => {
            this.rival = null;
            options.onJoined();
            resolve();
          },
          onLost: (reason) => options.onLost(reason),
          onLeases: (leases) => this.onLeases(leases),
          onTrouble: (reason) => options.onTrouble(reason),
        });
      } catch (error) {
        reject(error);
      }
    });
  }

  /** To be asked right before something is done that only a member may do. */
  get isMember(): boolean {
    return this.claim?.isHeld ?? false;
  }

  /** As last seen: see `until`. */
  get members(): ReadonlyMap<string, Member> {
    return this.seen;
  }

  /** As soon as can be, if only after it has joined again. */
  show(facts: Partial<MemberFacts>): void {
    this.facts = { ...this.facts, ...facts };
    this.claim?.show(encodeFacts(this.facts));
  }

  /**
   * Resolves when `isSo` says yes of who is there at some moment of the call, by the store itself: it is asked now, and after each change
   * that is seen. Rejects when `stopped` says so.
   */
  async until(isSo: (members: ReadonlyMap<string, Member>) => boolean, stopped: AbortSignal): Promise<void> {
    for (let trouble = ''; ; ) {
      stopped.throwIfAborted();
      const before = this.changes;
      try {
        if (isSo(await this.ask())) return;
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        if (error.message !== trouble) this.options.onTrouble(error.message);
        trouble = error.message;
        await pause(RETRY_MS, stopped, this.store.clock);
        continue;
      }
      if (this.changes === before) await once(this.changed, 'change', { signal: stopped });
    }
  }

  /** For good; nothing is told after that. Where the store does not let it, its lease ends by itself, and `onTrouble` says so. */
  async leave(): Promise<void> {
    const { claim } = this;
    if (claim === null) return;
    try {
      await claim.giveUp();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.options.onTrouble(`it could not leave, and is missed when its lease is over: ${error.message}`);
    }
  }

  private async ask(): Promise<ReadonlyMap<string, Member>> {
    const { entries } = await this.store.list(MEMBERS_FOLDER);
    return new Map([...entries].map(([name, { value }]) => [name, memberOf(name, decodeLease(value ?? ''))]));
  }

  private onLeases(leases: ReadonlyMap<string, SeenLease>): void {
    this.lookForRival(leases.get(this.options.name));
    const members = new Map([...leases].map(([name, lease]) => [name, memberOf(name, lease)]));
    if (this.changes > 0 && isSame(members, this.seen)) return;
    this.seen = members;
    this.changes++;
    this.options.onMembers(members);
    this.changed.emit('change');
  }

  /** Who has the name of this one is said, and whether it goes on. */
  private lookForRival(lease: SeenLease | undefined): void {
    if (lease === undefined || lease.holder === this.claim?.holder) {
      this.rival = null;
      return;
    }
    const { holder, version, lengthMs } = lease;
    const { name, onTrouble } = this.options;
    const { version: software, sinceMs } = decodeFacts(lease.value);
    const who = `another process is the member ${name} (${software}, since ${new Date(sinceMs).toISOString()})`;
    if (this.rival?.holder !== holder) {
      this.rival = { holder, version, isAlive: false };
      onTrouble(`${who}: it is waited for until it leaves, or for ${lengthMs} ms after it was heard of last`);
    } else if (this.rival.version !== version && !this.rival.isAlive) {
      this.rival.isAlive = true;
      onTrouble(`${who} and goes on to be: two processes cannot have one name, and this one waits`);
    }
  }
}

function memberOf(name: string, { holder, value }: { holder: string; value: string }): Member {
  return { name, holder, ...decodeFacts(value) };
}

function isSame(members: ReadonlyMap<string, Member>, others: ReadonlyMap<string, Member>): boolean {
  if (members.size !== others.size) return false;
  return [...members].every(([name, member]) => {
    const other = others.get(name);
    return other !== undefined && other.holder === member.holder && encodeFacts(other) === encodeFacts(member);
  });
}
