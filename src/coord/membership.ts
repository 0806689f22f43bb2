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
import type { Folder, Store } from './store.js';
import { StoreError } from './store-error.js';

export const MEMBERS_FOLDER = 'members';

const NOBODY: ReadonlyMap<string, Member> = new Map();

/** Until who is there is asked again, where the store could not say. */
const RETRY_MS = 200;
/** Until it is asked again, where it has not told of all for whom is waited. */
const ASK_AGAIN_MS = 1_000;

/** See Folder. */
interface VersionedFolder {
  readonly version: number;
  readonly entries: ReadonlyMap<string, { readonly version: number }>;
}

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
  private seen: ReadonlyMap<string, Member> | null = null;
  /** What the store told last: 'told' is emitted with it. */
  private told: VersionedFolder = { version: 0, entries: new Map() };
  private readonly telling = new EventEmitter();
  /** The lease of another process that has this name: its holder and its versions, as far as they were told. */
  private rival: { holder: string; version: number; isAlive: boolean } | null = null;

  constructor(store: Store, options: MembershipOptions) {
    this.store = store;
    this.options = options;
    this.facts = options.facts;
    // Each of those who wait in `until`.
    this.telling.setMaxListeners(0);
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
          onLeases: (leases, version) => this.onLeases(leases, version),
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
    return this.seen ?? NOBODY;
  }

  /** As soon as can be, if only after it has joined again. */
  show(facts: Partial<MemberFacts>): void {
    this.facts = { ...this.facts, ...facts };
    this.claim?.show(encodeFacts(this.facts));
  }

  /**
   * Resolves when `isSo` says yes of all who are members at some moment of the call, by the store itself: it is asked, and tells of what comes
   * then. What is so of a member has to stay so. Rejects when `stopped` says so.
   */
  async until(isSo: (members: ReadonlyMap<string, Member>) => boolean, stopped: AbortSignal): Promise<void> {
    for (;;) {
      const { folder: asked, members } = await this.ask(stopped);
      if (isSo(members)) return;
      if (await this.isTold(isSo, asked, stopped)) return;
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

  /**
   * Whether that is told in time of all who were there when they were asked for. Not, where somebody has deleted an entry past this program: no
   * version says then that it is gone.
   */
  private async isTold(
    isSo: (members: ReadonlyMap<string, Member>) => boolean,
    asked: Folder,
    stopped: AbortSignal,
  ): Promise<boolean> {
    let isLate = false;
    const callOff = this.store.clock.after(ASK_AGAIN_MS, () => {
      isLate = true;
      this.telling.emit('told');
    });
    try {
      // What is told may be older than what was asked for: who is there need not be in it yet.
      while (!(isAsNewAs(this.told, asked) && isSo(this.members))) {
        if (isLate) return false;
        await once(this.telling, 'told', { signal: stopped });
      }
      return true;
    } finally {
      callOff();
    }
  }

  /** Tries until the store has answered. */
  private async ask(stopped: AbortSignal): Promise<{ folder: Folder; members: ReadonlyMap<string, Member> }> {
    for (let trouble = ''; ; ) {
      stopped.throwIfAborted();
      try {
        const folder = await this.store.list(MEMBERS_FOLDER);
        const leases = [...folder.entries].map(([name, { value }]) => [name, decodeLease(value ?? '')] as const);
        return { folder, members: new Map(leases.map(([name, lease]) => [name, memberOf(name, lease)])) };
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        if (error.message !== trouble) this.options.onTrouble(error.message);
        trouble = error.message;
        await pause(RETRY_MS, stopped, this.store.clock);
      }
    }
  }

  private onLeases(leases: ReadonlyMap<string, SeenLease>, version: number): void {
    this.lookForRival(leases.get(this.options.name));
    const members = new Map([...leases].map(([name, lease]) => [name, memberOf(name, lease)]));
    this.told = { version, entries: leases };
    if (this.seen === null || !isSame(members, this.seen)) {
      this.seen = members;
      this.options.onMembers(members);
    }
    this.telling.emit('told');
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

/** Whether what was told has of all that was asked for something as new, or knows that it is gone. */
function isAsNewAs(told: VersionedFolder, asked: VersionedFolder): boolean {
  return [...asked.entries].every(([name, { version }]) => {
    const own = told.entries.get(name);
    // Versions of a folder only grow, also where names leave it.
    return own === undefined ? told.version > version : own.version >= version;
  });
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
