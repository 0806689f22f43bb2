/**
 * Keeps one topology for a whole fleet: the one that lies in the coordination store. Here it is read, changed, and known to have arrived.
 *
 *   change(plan) ── compare-and-set: version N ──> every member's watch ──> its workers ──> it shows N in its lease
 *                                                                                 │
 *   acknowledged(N) resolves <── nobody is a member any more who does not show N or later
 *
 * This is the barrier that whoever moves keys stands on. Who had no lease when it resolved is not waited for: such a process may go by an
 * older topology, and must not do what the change forbids without asking whether it is a member (`Membership.isMember`) that goes by what
 * it has read since it joined: a lease alone says nothing about versions that were acknowledged before. And commands that were sent before are
 * not waited for: nodes may still carry them out. A session that awaits replies from where a node was sends there until it has them all.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Watch } from '../coord/driver.js';
import type { MemberFacts } from '../coord/member-facts.js';
import type { Membership } from '../coord/membership.js';
import type { Entry, Store } from '../coord/store.js';
import { StoreError } from '../coord/store-error.js';
import type { Layout } from './layout.js';
import { decodeTopology, encodeTopology, newOrigin, type SharedTopology, TOPOLOGY_KEY } from './shared-topology.js';

/** Others that may be faster, one after another, before a change is given up. */
const ATTEMPTS_MAX = 20;

export interface KeeperWatcher {
  /** A newer one is there than was told before. What comes close together may be told as one. */
  onTopology(topology: SharedTopology): void;
  /** What is there is seen. */
  onSeen(): void;
  /** What is there cannot be seen, or not be understood, now. */
  onTrouble(error: StoreError): void;
}

export class Keeper {
  private readonly store: Store;
  private readonly member: string;
  private readonly watcher: KeeperWatcher;
  private newest: SharedTopology | null = null;
  /** As it lies in the store. */
  private newestEntry: Entry | null = null;
  /** The version that the watch told last: it never goes back. */
  private told = 0;
  private watch: Watch | null = null;

  /** `member`: the writer of what is written here. */
  constructor(store: Store, member: string, watcher: KeeperWatcher) {
    this.store = store;
    this.member = member;
    this.watcher = watcher;
  }

  /** As last seen: another one may be there by now. Null: none was seen. */
  get topology(): SharedTopology | null {
    return this.newest;
  }

  /** Tells of each that comes from now on. */
  start(): void {
    const { watcher } = this;
    this.watch = this.store.watch(TOPOLOGY_KEY.folder, {
      onFolder: ({ entries }) => {
        try {
          this.told = this.see(entries.get(TOPOLOGY_KEY.name), this.told)?.version ?? 0;
          watcher.onSeen();
        } catch (error) {
          if (!(error instanceof StoreError)) throw error;
          watcher.onTrouble(error);
        }
      },
      onTrouble: (error) => watcher.onTrouble(error),
    });
  }

  /** Linearizable: the one that is there at some moment of the call. Throws a StoreError. */
  async read(): Promise<SharedTopology | null> {
    const known = this.knownVersion;
    return this.see(await this.store.get(TOPOLOGY_KEY), known);
  }

  /**
   * Writes what `plan` makes of what is there as the next version, unless that is the same. What was seen last is taken for what is there, as the
   * store takes no change of anything else. `plan` is asked again where somebody was faster; what it throws is thrown. Throws a StoreError: after
   * `unknown`, the watch tells what came of it.
   */
  async change(plan: (there: SharedTopology | null) => Layout): Promise<SharedTopology> {
    const known = this.knownVersion;
    let isCurrent = this.newestEntry === null;
    let entry = this.newestEntry ?? (await this.store.get(TOPOLOGY_KEY));
    for (let attempts = 0; attempts < ATTEMPTS_MAX; attempts++) {
      const there = this.see(entry, known);
      const layout = plan(there);
      if (there !== null && isDeepStrictEqual(layout, there.layout)) {
        if (isCurrent) return there;
        isCurrent = true;
        entry = await this.store.get(TOPOLOGY_KEY);
        continue;
      }
      const origin = there?.origin ?? newOrigin();
      const next = { version: (there?.version ?? 0) + 1, writer: this.member, origin, layout };
      const text = encodeTopology(next);
      const written = await this.store.compareAndSet(TOPOLOGY_KEY, entry.version, text);
      if (written.kind === 'done') {
        this.note(next, { version: written.version, value: text });
        return next;
      }
      isCurrent = true;
      entry = written.found;
    }
    throw new StoreError('unavailable', `others have changed the topology ${ATTEMPTS_MAX} times meanwhile`);
  }

  /** Whether that member goes by `version` or a later one of these: under a store that was emptied some go by versions that have other contents. */
  isGoneBy(version: number, { topologyVersion, origin = '' }: MemberFacts): boolean {
    return topologyVersion >= version && origin === (this.newest?.origin ?? '');
  }

  /** Resolves when every member goes by `version` or a later one, or has lost its lease. Rejects when `stopped` says so. */
  acknowledged(version: number, membership: Membership, stopped: AbortSignal): Promise<void> {
    return membership.until(
      (members) => [...members.values()].every((member) => this.isGoneBy(version, member)),
      stopped,
    );
  }

  stop(): void {
    this.watch?.close();
  }

  private get knownVersion(): number {
    return this.newest?.version ?? 0;
  }

  /** `known`: a version that was there before. Throws a StoreError for an older one, and for one that cannot be understood. */
  private see(entry: Entry | undefined, known: number): SharedTopology | null {
    const text = entry?.value ?? null;
    const topology = text === null ? null : this.decode(text);
    const version = topology?.version ?? 0;
    if (version < known) {
      const found = topology === null ? 'gone' : `version ${version}`;
      throw new StoreError(
        'refused',
        `the topology in the coordination store was version ${known}, and is ${found}: if the store was emptied, stop all members and start them again`,
      );
    }
    if (topology === null || entry === undefined) return null;
    this.checkOrigin(topology);
    this.note(topology, entry);
    return topology;
  }

  /** Throws a StoreError where that is none of those that the newest one is of. */
  private checkOrigin({ version, writer, origin, layout }: SharedTopology): void {
    const { newest } = this;
    if (newest === null) return;
    const advice = 'stop all members and start them again';
    if (origin !== newest.origin) {
      const both = `it is version ${version}, written by ${writer}, and not of those that had version ${newest.version}`;
      throw new StoreError('refused', `the topology in the coordination store was begun anew: ${both}: ${advice}`);
    }
    if (version !== newest.version || layout === newest.layout || isDeepStrictEqual(layout, newest.layout)) return;
    const what = `version ${version} of the topology in the coordination store has another content than it had`;
    throw new StoreError('refused', `${what}: if the store was put back from an old copy, ${advice}`);
  }

  /** The object that was made of that text before, if it is the newest: whoever has planned by it need not plan again. */
  private decode(text: string): SharedTopology {
    return this.newest !== null && text === this.newestEntry?.value ? this.newest : decodeTopology(text);
  }

  /** What is seen may be older than what was seen before. */
  private note(topology: SharedTopology, entry: Entry): void {
    if (topology.version <= this.knownVersion) return;
    this.newest = topology;
    this.newestEntry = entry;
    this.watcher.onTopology(topology);
  }
}
