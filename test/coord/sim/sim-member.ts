/**
 * A process of a fleet, on the product's store, membership and election. It changes the topology now and then and waits until all have
 * it; where it leads it seals the entry of the leader and writes there, and goes on a little when it does not lead any more: what is under
 * way cannot be called back.
 */
import { pause } from '../../../src/base/pause.js';
import { Election, type Leader } from '../../../src/coord/election.js';
import { LedEntry } from '../../../src/coord/led-entry.js';
import type { Member } from '../../../src/coord/member-facts.js';
import { Membership } from '../../../src/coord/membership.js';
import { Store, type StoreTimes, type Written } from '../../../src/coord/store.js';
import { StoreError } from '../../../src/coord/store-error.js';
import { Host } from './host.js';
import type { Judge } from './judge.js';
import { SimDriver } from './sim-driver.js';
import type { SimStore } from './sim-store.js';
import type { World } from './world.js';

export const TOPOLOGY_KEY = { folder: 'topology', name: 'current' };
export const LED_KEY = { folder: 'led', name: 'entry' };

/** What a leader writes when it does not lead any more. */
const LATE_WRITES = 3;
const RETRY_MS = 100;

export class SimMember {
  readonly host: Host;
  readonly driver: SimDriver;
  readonly membership: Membership;
  readonly election: Election;
  readonly name: string;
  /** The version of the topology. */
  goesBy = 0;
  /** Of those that it changed, those that others are waited for. */
  waits = 0;
  isLeaving = false;
  private readonly store: Store;
  private readonly world: World;
  private readonly judge: Judge;
  private readonly leaseMs: number;
  private readonly ending = new AbortController();
  private seen: ReadonlyMap<string, Member> = new Map();
  private seenTerm = 0;
  private joins = 0;
  /** As often as it joined it has read the topology afterwards. */
  private reads = 0;

  constructor(world: World, simStore: SimStore, judge: Judge, name: string, leaseMs: number, times: StoreTimes) {
    this.world = world;
    this.judge = judge;
    this.name = name;
    this.leaseMs = leaseMs;
    this.host = new Host(world, name);
    this.driver = new SimDriver(world, this.host, simStore);
    this.store = new Store(this.driver, times, this.host, () => world.random.below(1_000) / 1_000);
    const { store } = this;
    this.listen();
    const say = (text: string) => this.world.say(() => `${name} ${text}`);
    this.membership = new Membership(store, {
      name,
      leaseMs,
      facts: { version: '1', sinceMs: 0, topologyVersion: 0, reason: null },
      onMembers: (members) => this.onMembers(members),
      onTrouble: (reason) => say(`as member: ${reason}`),
      onJoined: () => {
        say('joined');
        void this.read(++this.joins);
      },
      onLost: (reason) => say(`is no member: ${reason}`),
    });
    this.election = new Election(store, {
      name,
      leaseMs,
      onLeader: (leader) => this.onLeader(leader),
      onElected: (term) => {
        say(`leads in term ${term}`);
        judge.onElected(term);
        void this.lead(term);
      },
      onDeposed: (reason) => say(`is deposed: ${reason}`),
      onTrouble: (reason) => say(`as candidate: ${reason}`),
    });
  }

  start(): void {
    void this.membership.start();
    this.election.stand();
    this.store.watch(TOPOLOGY_KEY.folder, {
      onFolder: ({ entries }) => this.goBy(Number(entries.get(TOPOLOGY_KEY.name)?.value ?? 0)),
      onTrouble: () => {},
    });
  }

  /** It may do what only a member may: it has joined, and knows what was there when it had. */
  get mayAct(): boolean {
    return this.membership.isMember && this.reads === this.joins;
  }

  /** It is there no more, from one moment to the next. */
  die(): void {
    this.host.isDead = true;
    this.ending.abort();
  }

  /** In order. */
  async leave(): Promise<void> {
    this.isLeaving = true;
    await Promise.all([this.membership.leave(), this.election.withdraw()]);
    this.world.say(() => `${this.name} has left`);
    this.die();
  }

  async changeTopology(): Promise<void> {
    const written = await this.attempt(async () => {
      const { version, value } = await this.store.get(TOPOLOGY_KEY);
      const next = Number(value ?? 0) + 1;
      const written = await this.store.compareAndSet(TOPOLOGY_KEY, version, `${next}`);
      return written.kind === 'done' ? next : null;
    });
    if (written === null) return;
    this.goBy(written);
    this.waits++;
    const haveAll = (members: ReadonlyMap<string, Member>) =>
      [...members.values()].every(({ topologyVersion }) => topologyVersion >= written);
    try {
      await this.membership.until(haveAll, this.ending.signal);
    } catch (error) {
      if (this.ending.signal.aborted) return;
      throw error;
    }
    this.waits--;
    this.judge.onReached(written);
  }

  /** What others show only grows, as long as they are the same. */
  private onMembers(members: ReadonlyMap<string, Member>): void {
    for (const [name, { holder, topologyVersion }] of members) {
      const before = this.seen.get(name);
      if (before?.holder !== holder || topologyVersion >= before.topologyVersion) continue;
      this.world.violate(`${this.name} saw ${name} go back from ${before.topologyVersion} to ${topologyVersion}`);
    }
    this.seen = members;
  }

  private onLeader(leader: Leader | null): void {
    const term = leader?.term ?? this.seenTerm;
    if (term < this.seenTerm) this.world.violate(`${this.name} saw the term go back from ${this.seenTerm} to ${term}`);
    this.seenTerm = term;
  }

  private goBy(version: number): void {
    if (version <= this.goesBy) return;
    this.goesBy = version;
    this.membership.show({ topologyVersion: version });
  }

  private async read(join: number): Promise<void> {
    while (!this.ending.signal.aborted) {
      const version = await this.attempt(async () => Number((await this.store.get(TOPOLOGY_KEY)).value ?? 0));
      if (version !== null) {
        this.goBy(version);
        this.reads = join;
        return;
      }
      await pause(RETRY_MS, this.ending.signal, this.host);
    }
  }

  private async lead(term: number): Promise<void> {
    let sealed: Awaited<ReturnType<typeof LedEntry.seal>> | null = null;
    for (let late = 0, count = 0; late < LATE_WRITES && !this.ending.signal.aborted; count++) {
      if (this.election.term !== term) late++;
      try {
        if (sealed === null) {
          sealed = await LedEntry.seal(this.store, LED_KEY, term);
          this.judge.onSealed(term, sealed.value);
        } else {
          await sealed.entry.write(`${this.name}.${count}`);
        }
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        this.world.say(() => `${this.name} as leader of ${term}: ${error.message}`);
        if (error.fault === 'refused') return;
      }
      await pause(this.world.random.below(this.leaseMs), this.ending.signal, this.host);
    }
  }

  /** Null: a conflict, or the store could not. */
  private async attempt<A>(work: () => Promise<A | null>): Promise<A | null> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return null;
    }
  }

  /** All that the store is told to do, and what it says of it, is heard by the judge. */
  private listen(): void {
    const { store, judge, host } = this;
    const compareAndSet = store.compareAndSet.bind(store);
    let mark = '';
    const drive = this.driver.compareAndSet.bind(this.driver);
    this.driver.compareAndSet = (key, expected, own, value, timeoutMs) => {
      mark = own;
      judge.onSent(this, value);
      return drive(key, expected, own, value, timeoutMs);
    };
    store.compareAndSet = async (key, expected, value) => {
      const answer = compareAndSet(key, expected, value);
      // It was sent within the call.
      const own = mark;
      let written: Written;
      try {
        written = await answer;
      } catch (error) {
        if (error instanceof StoreError && error.fault !== 'unknown' && !host.isDead) judge.onNotDone(own, error.fault);
        throw error;
      }
      if (written.kind === 'done') judge.onDone(own, key, value, written.version);
      else judge.onNotDone(own, written.kind);
      return written;
    };
  }
}
