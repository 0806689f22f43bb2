/**
 * One run of a fleet, drawn from a seed: processes that are stopped, die, leave and come again, clocks that are wrong, messages that are
 * late or lost, and a store that is away; in the end all is well for a while, and has to be so for everyone.
 */

import type { StoreTimes } from '../../../src/coord/store.js';
import { Random } from '../../help/random.js';
import { Judge } from './judge.js';
import { SimMember } from './sim-member.js';
import { SimStore } from './sim-store.js';
import { World } from './world.js';

export const LEASE_MS = 3_000;
/** Of trouble, and then of peace. */
const TROUBLE_MS = 20_000;
const CALM_MS = 4 * LEASE_MS;
const TROUBLES_MAX = 14;
/** In relation to the lease: hasty ones, and those that wait for longer than it lasts. */
const STORE_TIMES: readonly StoreTimes[] = [
  { timeoutMs: LEASE_MS / 2, attemptMs: LEASE_MS / 8 },
  { timeoutMs: 2 * LEASE_MS, attemptMs: LEASE_MS },
];
const NAMES = ['a', 'b', 'c'];

export interface Run {
  violation: string | null;
  trace: readonly string[];
  tally: Judge['tally'];
}

export class Simulation {
  private readonly world: World;
  private readonly times: StoreTimes;
  private readonly judge: Judge;
  private readonly store: SimStore;
  private members: SimMember[] = [];
  /** Those that come again. */
  private readonly absent = new Set<string>();

  constructor(seed: number, isTracing = false) {
    const random = new Random(seed);
    const times = { delayMsMax: random.pick([2, 10, 60]), lateMsMax: 2 * LEASE_MS };
    this.times = random.pick(STORE_TIMES);
    this.world = new World(random, times, isTracing);
    this.judge = new Judge(this.world);
    this.store = new SimStore(this.world, (change) => this.judge.onChange(change));
  }

  async run(): Promise<Run> {
    const { world, judge, store } = this;
    for (const name of NAMES) this.beginAfter(name, world.random.below(2_000));
    for (let count = world.random.below(TROUBLES_MAX); count >= 0; count--) {
      this.plan(world.random.below(TROUBLE_MS), () => this.trouble());
    }
    for (let timeMs = 0; timeMs < TROUBLE_MS; timeMs += world.random.below(LEASE_MS)) {
      this.plan(timeMs, () => this.change());
    }
    world.agenda.after(TROUBLE_MS, () => this.calm());
    if (world.random.chance(50)) world.agenda.after(TROUBLE_MS + LEASE_MS, () => this.change());
    await this.until(TROUBLE_MS + CALM_MS);
    if (world.violation === null) judge.conclude(store);
    const { violation, trace } = world;
    for (const member of this.members) member.die();
    return { violation, trace, tally: judge.tally };
  }

  /** How long nobody leads after the leader is gone in that way, while all else is well, in true milliseconds. Infinite: for too long. */
  async replaceLeader(how: 'die' | 'stop' | 'leave'): Promise<number> {
    const { world } = this;
    const { agenda, random } = world;
    world.isCalm = true;
    for (const name of NAMES) this.beginAfter(name, 0);
    await this.until(LEASE_MS + random.below(LEASE_MS));
    const goneMs = agenda.nowMs;
    const leader = this.members.find(({ election }) => election.isLeader);
    if (leader === undefined) return Number.POSITIVE_INFINITY;
    if (how === 'die') leader.die();
    else if (how === 'stop') leader.host.stop(3 * LEASE_MS);
    else void leader.leave();
    const isFollowed = () => this.members.some(({ election }) => election !== leader.election && election.isLeader);
    await this.until(goneMs + 3 * LEASE_MS, isFollowed);
    for (const member of this.members) member.die();
    return isFollowed() && world.violation === null ? agenda.nowMs - goneMs : Number.POSITIVE_INFINITY;
  }

  private async until(endMs: number, isOver: () => boolean = () => false): Promise<void> {
    const { world, judge } = this;
    while (world.violation === null && !isOver() && world.agenda.step(endMs)) {
      // What a process makes of it, it makes at once.
      await new Promise(setImmediate);
      judge.look();
    }
  }

  private plan(timeMs: number, work: () => void): void {
    this.world.agenda.after(timeMs, () => {
      if (!this.world.isCalm) work();
    });
  }

  private begin(name: string): void {
    if (!this.absent.delete(name)) return;
    const member = new SimMember(this.world, this.store, this.judge, name, LEASE_MS, this.times);
    this.world.say(() => `${name} begins`);
    this.members.push(member);
    this.judge.members = this.members;
    member.start();
  }

  private beginAfter(name: string, delayMs: number): void {
    this.absent.add(name);
    this.world.agenda.after(delayMs, () => this.begin(name));
  }

  private end(member: SimMember): void {
    this.members = this.members.filter((one) => one !== member);
    this.judge.members = this.members;
  }

  private change(): void {
    const { members, world } = this;
    if (members.length > 0) void world.random.pick(members).changeTopology();
  }

  private trouble(): void {
    const { world, store } = this;
    const { agenda, random } = world;
    const members = this.members.filter(({ isLeaving }) => !isLeaving);
    const forMs = random.size(3 * LEASE_MS);
    if (members.length === 0) return;
    // Leaders have more to lose.
    const leader = members.find(({ election }) => election.isLeader);
    const victim = leader !== undefined && random.chance(50) ? leader : random.pick(members);
    const kind = random.pick(['stop', 'stop', 'die', 'leave', 'cut', 'cut', 'away', 'drift', 'drift']);
    world.say(() => `trouble: ${kind} ${victim.name} ${forMs} ms`);
    if (kind === 'stop') victim.host.stop(forMs);
    else if (kind === 'drift') victim.host.drift();
    else if (kind === 'cut') {
      const { driver } = victim;
      driver.isDeaf = true;
      agenda.after(random.below(forMs), () => {
        driver.isCut = !world.isCalm;
      });
      agenda.after(forMs, () => {
        driver.isCut = false;
        driver.isDeaf = false;
      });
    } else if (kind === 'away') {
      store.isAway = true;
      agenda.after(forMs, () => {
        store.isAway = false;
      });
    } else if (kind === 'die') {
      victim.die();
      this.end(victim);
      this.beginAfter(victim.name, random.size(forMs));
    } else if (kind === 'leave') {
      void victim.leave().then(() => this.end(victim));
      this.beginAfter(victim.name, random.size(forMs));
    }
  }

  private calm(): void {
    const { world, store, members } = this;
    world.say(() => 'all is well');
    world.isCalm = true;
    store.isAway = false;
    for (const { driver, host } of members) {
      driver.isCut = false;
      driver.isDeaf = false;
      host.wake();
    }
    for (const name of this.absent) this.begin(name);
  }
}
