/**
 * This process as a member of its fleet: the coordination store with what lies in it, under one roof. What is said here of the store is
 * said once, when it changes.
 */
import { hostname } from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { LEASE_MS_MAX } from '../base/lease-length.js';
import { pause } from '../base/pause.js';
import { packageVersion } from '../base/version.js';
import type { Config } from '../config.js';
import { Election, LEADER_FOLDER, type Leader } from '../coord/election.js';
import type { Member } from '../coord/member-facts.js';
import { MEMBERS_FOLDER, Membership } from '../coord/membership.js';
import type { Store } from '../coord/store.js';
import { StoreError } from '../coord/store-error.js';
import type { Coordination } from './coordination.js';
import { followLayout } from './follow-layout.js';
import { Keeper } from './keeper.js';
import { memberName } from './member-name.js';
import { REMAP_ADVICE } from './remaps.js';
import type { SharedTopology } from './shared-topology.js';
import { type Planned, planReload, planStart, RemapError } from './topology-plan.js';

const LEASE_FOLDERS = [MEMBERS_FOLDER, LEADER_FOLDER];
/** Between two attempts to reach the store at the start. */
const START_PAUSE_MS = 500;
/** A store that has not answered by then is said to be waited for. */
const SILENT_MS = 1_000;
/** A change that not all members have acknowledged by then is said, and who has not. */
const LATE_MS = 5_000;

/** What is known of the fleet now. */
export interface FleetFacts {
  store: Config['coordination']['store'];
  cluster: string;
  /** What this process is called. */
  member: string;
  /** Whether it has its lease. */
  isMember: boolean;
  leader: Leader | null;
  /** The newest that was seen; null before the first. */
  topologyVersion: number | null;
  members: readonly Member[];
  /** Why the store is of no use now; null where nothing is known against it. */
  trouble: string | null;
}

/** What a reload comes to. */
export interface ReloadPlan extends Planned {
  /** What is gone by. */
  readonly config: Config;
}

export type ReloadPlanner = (there: SharedTopology | null) => ReloadPlan;

export interface FleetWatcher {
  /** A topology newer than all before is in the store. */
  onTopology(topology: SharedTopology): void;
}

export class Fleet {
  private readonly config: Config['coordination'];
  private readonly coordination: Coordination;
  private readonly store: Store;
  /** Where that is. */
  private readonly place: string;
  private readonly member: string;
  /** Nobody else has the store. */
  private readonly isAlone: boolean;
  private readonly log: Logger;
  private readonly keeper: Keeper;
  private readonly membership: Membership;
  private readonly election: Election;
  private readonly closing = new AbortController();
  /** What was written at the start, and when: who is a member already has to acknowledge it, too. */
  private begun: { version: number; startMs: number } | null = null;
  /** Ends the wait for the members to acknowledge what was written here last. */
  private awaiting = new AbortController();
  /** Why the topology cannot be seen now. */
  private unseen: string | null = null;
  /** Why it was last no member. */
  private outside: string | null = null;
  /** What could not be followed last, and why. */
  private cannot = '';
  /** What was said last in the log. */
  private trouble = '';

  constructor(coordination: Coordination, config: Config, log: Logger, watcher: FleetWatcher) {
    const { store, place } = coordination;
    const member = memberName(config, hostname());
    const { cluster } = config.coordination;
    const isAlone = config.coordination.store === 'file';
    this.config = config.coordination;
    this.coordination = coordination;
    this.store = store;
    this.place = place;
    this.member = member;
    this.isAlone = isAlone;
    // Of a fleet of one there is nothing to say while all is well.
    this.log = isAlone && log.isLevelEnabled('warn') ? log.child({}, { level: 'warn' }) : log;
    // Who is alone need not say often that it is there.
    const leaseMs = isAlone ? LEASE_MS_MAX : config.coordination.leaseMs;
    this.keeper = new Keeper(store, member, {
      onTopology: (topology) => watcher.onTopology(topology),
      onSeen: () => {
        this.unseen = null;
        this.trouble = '';
      },
      onTrouble: (error) => {
        this.unseen = error.message;
        this.onTrouble(error.message);
      },
    });
    this.membership = new Membership(store, {
      name: member,
      leaseMs,
      facts: { version: packageVersion(), sinceMs: Date.now(), topologyVersion: 0, reason: null },
      onMembers: (members) => this.log.info({ members: [...members.keys()] }, 'fleet-members'),
      onJoined: () => {
        this.log.info({ member, cluster }, 'fleet-joined');
        void this.lookAgain();
      },
      onLost: (reason) => {
        this.outside = reason;
        this.log.warn({ member, reason }, 'fleet-lease-lost');
      },
      onTrouble: (reason) => {
        this.outside = reason;
        this.onTrouble(reason);
      },
    });
    this.election = new Election(store, {
      name: member,
      leaseMs,
      onLeader: (leader) => this.log.info({ leader: leader?.name ?? null, term: leader?.term ?? null }, 'fleet-leader'),
      onElected: (term) => this.log.info({ term }, 'fleet-elected'),
      onDeposed: (reason) => this.log.warn({ reason }, 'fleet-deposed'),
      onTrouble: (reason) => this.onTrouble(reason),
    });
  }

  /**
   * What is gone by at the start, and written if need be: waits for the store, and says so. Rejects with plain words, or when `stopped` says
   * so.
   */
  async settle(config: Config, acceptRemap: boolean, stopped: AbortSignal): Promise<SharedTopology & Planned> {
    const { isAlone } = this;
    const options = { isAlone, acceptRemap };
    let remaps: readonly string[] = [];
    let said = '';
    const say = (reason: string) => {
      if (reason !== said) this.log.warn({ store: this.place, reason }, 'coordination-awaited');
      said = reason;
    };
    const silent = setTimeout(() => say('it has not answered yet'), SILENT_MS);
    try {
      for (;;) {
        try {
          if (isAlone) await this.forgetLeases();
          const startMs = performance.now();
          let before = 0;
          const topology = await this.keeper.change((there) => {
            before = there?.version ?? 0;
            const planned = planStart(there?.layout ?? null, config, options);
            followLayout(config, planned.layout);
            // An attempt before may have written it already, though nobody knew.
            if (planned.remaps.length > 0) ({ remaps } = planned);
            return planned.layout;
          });
          if (topology.version !== before) this.begun = { version: topology.version, startMs };
          return { ...topology, remaps };
        } catch (error) {
          if (error instanceof RemapError) throw this.refusal(error);
          // A file of one's own is not waited for.
          if (!(error instanceof StoreError) || error.fault === 'refused' || isAlone) throw error;
          say(error.message);
        }
        await pause(START_PAUSE_MS, stopped);
        stopped.throwIfAborted();
      }
    } finally {
      clearTimeout(silent);
    }
  }

  /** Who has the store alone knows that the process is gone that held them. */
  private async forgetLeases(): Promise<void> {
    for (const folder of LEASE_FOLDERS) {
      for (const [name, { version }] of (await this.store.list(folder)).entries) {
        await this.store.compareAndSet({ folder, name }, version, null);
      }
    }
  }

  private refusal({ remaps }: RemapError): Error {
    const { topology } = this.keeper;
    const { cluster } = this.config;
    this.log.error({ remaps, advice: REMAP_ADVICE }, 'start-refused');
    const others = this.isAlone
      ? `the last time (${this.place})`
      : `the fleet ${cluster} does (topology version ${topology?.version}, written by ${topology?.writer})`;
    const list = remaps.map((remap) => `  ${remap}\n`).join('');
    return new Error(`keys would be looked for elsewhere than ${others}:\n${list}${REMAP_ADVICE}`);
  }

  /** Joins, stands for leader and follows from now on. */
  start(): void {
    this.keeper.start();
    this.election.stand();
    // It goes on trying, and says why it cannot; what it rejects with was found out when the store was opened.
    void this.membership.start();
    void this.sayDoubts();
  }

  /** Whether this process leads the fleet, for all that it knows. */
  get isLeader(): boolean {
    return this.election.leader?.name === this.member;
  }

  get topology(): SharedTopology | null {
    return this.keeper.topology;
  }

  /**
   * What a configuration that is read again makes of a topology, and what is gone by then: decided once for one and the same topology. What it
   * returns throws a RemapError or a CannotFollowError.
   */
  planner(before: Config, after: Config, acceptRemap: boolean): ReloadPlanner {
    const options = { isAlone: this.isAlone, acceptRemap };
    let last: { there: SharedTopology | null; plan: ReloadPlan } | null = null;
    return (there) => {
      if (last?.there !== there) {
        const base = there?.layout ?? planStart(null, before, options).layout;
        const planned = planReload(base, before, after, options);
        last = { there, plan: { ...planned, config: followLayout(after, planned.layout) } };
      }
      return last.plan;
    };
  }

  /**
   * Has what `plan` makes of the topology in the store, where that differs, when this resolves. The store is not asked where nothing changes of
   * what was seen last. Rejects with what `plan` throws, or a StoreError.
   */
  async change(plan: ReloadPlanner): Promise<SharedTopology> {
    const seen = this.keeper.topology;
    if (seen !== null && isDeepStrictEqual(plan(seen).layout, seen.layout)) return seen;
    const startMs = performance.now();
    const changed = await this.keeper.change((there) => plan(there).layout);
    if (changed.version !== seen?.version) void this.awaitAll(changed.version, startMs);
    return changed;
  }

  /** All workers go by that version. */
  goesBy(topologyVersion: number): void {
    this.membership.show({ topologyVersion, origin: this.keeper.topology?.origin, reason: null });
    const { begun } = this;
    this.begun = null;
    if (begun !== null && begun.version === topologyVersion) void this.awaitAll(begun.version, begun.startMs);
  }

  /** It stays with what it goes by. */
  cannotFollow(version: number, reason: string): void {
    // What is tried again is said once.
    if (this.cannot !== `${version} ${reason}`) this.log.error({ topology: version, reason }, 'topology-not-followed');
    this.cannot = `${version} ${reason}`;
    this.membership.show({ reason });
  }

  facts(): FleetFacts {
    const { config, keeper, membership, election, unseen, outside } = this;
    return {
      store: config.store,
      cluster: config.cluster,
      member: this.member,
      isMember: membership.isMember,
      leader: election.leader,
      topologyVersion: keeper.topology?.version ?? null,
      members: [...membership.members.values()],
      trouble: unseen ?? (membership.isMember ? null : outside),
    };
  }

  /** Leaves the fleet, so that nobody waits for this process. */
  async stop(): Promise<void> {
    this.closing.abort();
    this.awaiting.abort();
    this.keeper.stop();
    await Promise.all([this.election.withdraw(), this.membership.leave()]);
    await this.store.close();
  }

  /** Says when every member goes by that version, unless a newer one is written here before; and who is late. */
  private async awaitAll(version: number, startMs: number): Promise<void> {
    this.awaiting.abort();
    const awaiting = new AbortController();
    this.awaiting = awaiting;
    const late = setTimeout(() => {
      const members = [...this.membership.members.values()].filter((member) => !this.keeper.isGoneBy(version, member));
      this.log.warn(
        { topology: version, late: members.map(({ name, reason }) => ({ name, reason })) },
        'topology-late',
      );
    }, LATE_MS);
    try {
      await this.keeper.acknowledged(version, this.membership, awaiting.signal);
      const tookMs = Math.round(performance.now() - startMs);
      const members = this.membership.members.size;
      this.log.info({ topology: version, members, tookMs }, 'topology-acknowledged');
    } catch (error) {
      if (!awaiting.signal.aborted) throw error;
    } finally {
      clearTimeout(late);
    }
  }

  /** What of the store goes well today, and will not for ever. */
  private async sayDoubts(): Promise<void> {
    try {
      for (const reason of await this.coordination.doubts()) this.log.warn({ reason }, 'coordination-doubt');
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.onTrouble(error.message);
    }
  }

  /** Who has just joined must know what was written before. */
  private async lookAgain(): Promise<void> {
    try {
      await this.keeper.read();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.onTrouble(error.message);
    }
  }

  /** Watches that fail for one reason say it once. */
  private onTrouble(reason: string): void {
    if (this.closing.signal.aborted || this.trouble === reason) return;
    this.trouble = reason;
    this.log.warn({ reason }, 'coordination-trouble');
  }
}
