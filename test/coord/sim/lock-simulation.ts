/**
 * One run of processes that want the same locks of a store, drawn from a seed: they are stopped, die and come again, their clocks are wrong, messages
 * are late or lost, and the store is away; in the end all is well for a while, and who wants a lock has it.
 */
import type { LockMode } from '../../../src/base/lock-mode.js';
import type { GrantedLock, Told } from '../../../src/coord/lock-outcomes.js';
import { Store, type StoreTimes } from '../../../src/coord/store.js';
import { StoreLocks } from '../../../src/coord/store-locks.js';
import { Random } from '../../help/random.js';
import { Host } from './host.js';
import { SimDriver } from './sim-driver.js';
import { SimStore } from './sim-store.js';
import { World } from './world.js';

const TTL_MS = 2_000;
const TROUBLE_MS = 15_000;
/** What was left over by who died is over by then, and the store has answered whoever waits for it. */
const CALM_MS = 4 * TTL_MS + 4_000;
const TROUBLES_MAX = 12;
const PROCESSES = 3;
const CLIENTS = 3;
const NAMES = ['lock:a', 'lock:b'];
const QUEUE_MAX = 10;
/** Hasty ones, and those that wait for longer than a lock lasts. */
const STORE_TIMES: readonly StoreTimes[] = [
  { timeoutMs: TTL_MS / 8, attemptMs: TTL_MS / 20 },
  { timeoutMs: 2 * TTL_MS, attemptMs: TTL_MS },
];
const MODES: readonly LockMode[] = [
  { kind: 'exclusive' },
  { kind: 'exclusive' },
  { kind: 'exclusive' },
  { kind: 'shared' },
  { kind: 'limit', max: 2 },
];

/** Somebody who believes to have a lock. */
interface Belief {
  readonly who: string;
  readonly host: Host;
  readonly name: string;
  readonly mode: LockMode;
  /** By the clock of its process. */
  untilMs: number;
}

export interface LockRun {
  violation: string | null;
  trace: readonly string[];
  granted: number;
  refused: number;
  troubles: number;
}

interface Process {
  readonly host: Host;
  readonly driver: SimDriver;
  readonly locks: StoreLocks;
}

export class LockSimulation {
  private readonly world: World;
  private readonly store: SimStore;
  private readonly times: StoreTimes;
  private processes: Process[] = [];
  private readonly beliefs = new Set<Belief>();
  /** By name, the largest that was granted. */
  private readonly fences = new Map<string, number>();
  private readonly run = { granted: 0, refused: 0, troubles: 0 };
  private count = 0;
  /** Acquired since all was well. */
  private readonly served = new Set<string>();

  constructor(seed: number, isTracing = false) {
    const random = new Random(seed);
    this.world = new World(random, { delayMsMax: random.pick([2, 10, 60]), lateMsMax: 2 * TTL_MS }, isTracing);
    this.times = random.pick(STORE_TIMES);
    this.store = new SimStore(this.world, () => {});
  }

  async carryOut(): Promise<LockRun> {
    const { world, store } = this;
    const { agenda, random } = world;
    for (let number = 0; number < PROCESSES; number++) this.begin();
    for (let count = random.below(TROUBLES_MAX); count >= 0; count--) {
      agenda.after(random.below(TROUBLE_MS), () => this.trouble());
    }
    agenda.after(TROUBLE_MS, () => {
      world.say(() => 'all is well');
      world.isCalm = true;
      store.isAway = false;
      for (const { host, driver } of this.processes) {
        driver.isCut = false;
        driver.isDeaf = false;
        host.wake();
      }
    });
    while (world.violation === null && agenda.step(TROUBLE_MS + CALM_MS)) await new Promise(setImmediate);
    for (const name of NAMES) {
      if (world.violation === null && !this.served.has(name)) world.violate(`nobody gets ${name} although all is well`);
    }
    for (const process of this.processes) this.die(process);
    return { violation: world.violation, trace: world.trace, ...this.run };
  }

  private begin(): void {
    const { world, store } = this;
    const host = new Host(world, `p${++this.count}`);
    const driver = new SimDriver(world, host, store);
    const random = () => world.random.below(1_000) / 1_000;
    const locks = new StoreLocks(new Store(driver, this.times, host, random), random, () => {});
    const process = { host, driver, locks };
    this.processes.push(process);
    for (let client = 0; client < CLIENTS; client++) this.live(process, `${host.name}.${client}`);
  }

  private die(process: Process): void {
    process.host.isDead = true;
    process.locks.close();
    void process.driver.close();
    this.processes = this.processes.filter((one) => one !== process);
    for (const belief of this.beliefs) if (belief.host === process.host) this.beliefs.delete(belief);
  }

  /** A client: wants a lock, has it for a while, and lets go; again and again. */
  private live(process: Process, who: string): void {
    const { random } = this.world;
    const { host, locks } = process;
    host.after(random.below(300), () => {
      const name = random.pick(NAMES);
      const mode = random.pick(MODES);
      const token = `${who}-${++this.count}`;
      const waitMs = random.chance(70) ? random.below(6_000) : 0;
      const wish = { token, client: who, ttlMs: TTL_MS, mode, waitMs, queueMax: QUEUE_MAX, ticket: this.count };
      let isOver = false;
      const leave = locks.acquire(name, wish, (told) => {
        if (isOver) this.world.violate(`${who} is told what it does not want to hear`);
        isOver = true;
        this.onTold(process, who, name, mode, token, told);
      });
      // Its connection is lost.
      if (random.chance(10)) {
        host.after(random.below(1_000), () => {
          if (isOver) return;
          isOver = true;
          leave(() => {});
          this.live(process, who);
        });
      }
    });
  }

  private onTold(process: Process, who: string, name: string, mode: LockMode, token: string, told: Told): void {
    if (told.kind !== 'granted') {
      this.run[told.kind === 'out-of-time' ? 'refused' : 'troubles']++;
      this.live(process, who);
      return;
    }
    const { host } = process;
    const belief = { who, host, name, mode, untilMs: told.untilMs };
    this.onGranted(belief, told);
    void this.hold(process, belief, token);
  }

  private onGranted(belief: Belief, { fence }: GrantedLock): void {
    const { world } = this;
    const { name, who, mode } = belief;
    this.run.granted++;
    world.say(() => `${who} has ${name}, ${mode.kind}, fence ${fence}`);
    for (const other of this.beliefs) {
      if (other.host.nowMs() >= other.untilMs) this.beliefs.delete(other);
    }
    const others = [...this.beliefs].filter((other) => other.name === name);
    if (!mayShare(mode, others)) {
      const list = others.map((other) => `${other.who} (${other.mode.kind})`).join(', ');
      world.violate(`${who} has ${name} (${mode.kind}), and so has ${list}`);
    }
    // What is told late need not be the last one; but who shares it with nobody has the largest.
    if (mode.kind === 'exclusive' && fence <= (this.fences.get(name) ?? 0))
      world.violate(`${who} has ${name} with fence ${fence}, after ${this.fences.get(name)}`);
    this.fences.set(name, Math.max(fence, this.fences.get(name) ?? 0));
    this.beliefs.add(belief);
    if (world.isCalm) this.served.add(name);
  }

  private async hold(process: Process, belief: Belief, token: string): Promise<void> {
    const { random } = this.world;
    const { host, locks } = process;
    const { name } = belief;
    await this.sleep(host, random.below(TTL_MS));
    if (random.chance(40)) {
      const outcome = await locks.extend(name, token, TTL_MS);
      if (outcome.kind === 'extended' && this.beliefs.has(belief)) belief.untilMs = outcome.untilMs;
      // One whose time was over before it was extended has it all the same.
      if (outcome.kind === 'extended' && !this.beliefs.has(belief)) {
        belief.untilMs = outcome.untilMs;
        const others = [...this.beliefs].filter((other) => other.name === name && isHeld(other));
        if (!mayShare(belief.mode, others)) this.world.violate(`${belief.who} has extended ${name}, which others have`);
        this.beliefs.add(belief);
      }
      await this.sleep(host, random.below(TTL_MS));
    }
    // Some forget to.
    if (random.chance(80)) {
      this.beliefs.delete(belief);
      await locks.release(name, token);
    }
    this.live(process, belief.who);
  }

  private sleep(host: Host, ms: number): Promise<void> {
    return new Promise((resolve) => host.after(ms, resolve));
  }

  private trouble(): void {
    const { world, store } = this;
    const { agenda, random } = world;
    if (world.isCalm || this.processes.length === 0) return;
    const victim = random.pick(this.processes);
    const forMs = random.size(3 * TTL_MS);
    const kind = random.pick(['stop', 'stop', 'die', 'cut', 'cut', 'away', 'drift', 'drift']);
    world.say(() => `trouble: ${kind} ${victim.host.name} ${forMs} ms`);
    if (kind === 'stop') victim.host.stop(forMs);
    else if (kind === 'drift') victim.host.drift();
    else if (kind === 'cut') {
      victim.driver.isCut = true;
      victim.driver.isDeaf = random.chance(50);
      agenda.after(forMs, () => {
        victim.driver.isCut = false;
        victim.driver.isDeaf = false;
      });
    } else if (kind === 'away') {
      store.isAway = true;
      agenda.after(forMs, () => {
        store.isAway = false;
      });
    } else {
      this.die(victim);
      agenda.after(forMs, () => this.begin());
    }
  }
}

function isHeld({ host, untilMs }: Belief): boolean {
  return host.nowMs() < untilMs;
}

function mayShare(mode: LockMode, others: readonly Belief[]): boolean {
  if (others.length === 0) return true;
  if (others.some((other) => other.mode.kind !== mode.kind)) return false;
  if (mode.kind === 'exclusive') return false;
  return mode.kind === 'shared' || others.length < mode.max;
}
