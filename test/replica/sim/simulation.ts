/** A run of a schedule: the world is built, clients ask, troubles come and end, all is healed, and what was seen is judged. */

import { type Ballot, epochOf, largest, NEVER } from '../../../src/replica/ballot.js';
import type { Omission } from '../../help/acceptor.js';
import { byKey, checkCalls } from '../../help/linearizability.js';
import { Random } from '../../help/random.js';
import { disorders, inventions, irregularities } from '../../help/regularity.js';
import { Agenda } from './agenda.js';
import { Judge, short } from './judge.js';
import { operationOf, type Wish } from './language.js';
import { Network } from './network.js';
import { type Message, type Request, SimNode } from './node.js';
import { SimProxy } from './proxy.js';
import { registerCall } from './register-call.js';
import { isCalm, type Schedule, type Wanted } from './schedule.js';
import { describeWish, SEQUENTIAL, type SimCall } from './sequential.js';
import type { Appearance, Deed, Kept, Trouble } from './troubles.js';
import { EPOCH_KEY, type World } from './world.js';

export interface Result {
  /** What was wrong; null: nothing. */
  violation: string | null;
  /** Calls that were answered, whose outcome is unknown, that failed. */
  answered: number;
  unknown: number;
  failed: number;
  /** Final reads that were never answered. */
  silent: number;
  /** Too many unknown outcomes: the checker gave up. */
  isUndecided: boolean;
  trace: readonly string[];
}

/** Milliseconds after the last trouble in which all must come right again. */
const HEALING_MS = 60_000;
/** What the checker may take: few schedules take more. */
const CHECK = { configurationsMax: 20_000, stepsMax: 2_000_000 };
const CALM = { usualMs: 3, latePercent: 0, lateMs: 0 };
/** Milliseconds that the first start may take before clients ask. */
const SETTLING_MS = 1_000;
/** After all is healed, and nobody asks any more. */
const EQUAL_MS_MAX = 20_000;
const FINAL_TRIES = 40;
/** What failed is asked for again, so often and after so many milliseconds. */
const TRIES = 5;
const RETRY_MS = 30;

export class Simulation {
  private readonly schedule: Schedule;
  private readonly agenda = new Agenda();
  private readonly random: Random;
  private readonly judge: Judge;
  private readonly nodes: SimNode[];
  private readonly proxies: SimProxy[];
  private readonly lives: number[];
  private readonly world: World;
  private readonly calls: SimCall[] = [];
  private readonly versions = new Map<SimCall, Ballot>();
  /** Which life of a proxy was asked. */
  private readonly processes = new Map<SimCall, string>();
  /** Of consistency eventual: what was acknowledged, and lost by all who had it. */
  private readonly excused = new Set<SimCall>();
  private readonly network: Network<Request, Message>;
  private busyClients = 0;
  private silent = 0;
  private isUndecided = false;
  private isHealed = false;
  /** Things to do when a proxy's life ends: its clients learn nothing more. */
  private readonly widows: Set<() => void>[];

  constructor(schedule: Schedule, without: ReadonlySet<Omission> = new Set(), isTracing = false) {
    this.schedule = schedule;
    const random = new Random(schedule.seed ^ 0x5bd1e995);
    this.random = random;
    const { agenda } = this;
    const { quorums, copies } = schedule;
    this.judge = new Judge({
      quorum: quorums === null ? Math.floor(copies / 2) + 1 : null,
      // What is left out is not what shows that it is.
      hasPromises: !without.has('promise'),
      hasVersions: quorums !== null && !quorums.isEventual,
      now: () => agenda.nowMs,
      isTracing,
    });
    const { judge } = this;
    this.nodes = schedule.nodeSkewsMs.map(
      (skewMs, index) => new SimNode(index, { agenda, random, witness: judge, skewMs, without }),
    );
    this.network = new Network(agenda, random, this.nodes);
    const keys = [...new Set(schedule.clients.flatMap(({ wants }) => wants.map(({ key }) => key)))];
    this.world = {
      schedule,
      agenda,
      random,
      network: this.network,
      nodes: this.nodes,
      judge,
      keys,
      missed: schedule.proxySkewsMs.map(() => []),
      forgotten: new Map(),
      copiesOf: (key) => copiesOf(key, schedule),
    };
    this.proxies = schedule.proxySkewsMs.map((skewMs, index) => new SimProxy(this.world, index, 0, skewMs));
    this.lives = this.proxies.map(() => 0);
    this.widows = this.proxies.map(() => new Set());
  }

  run(): Result {
    const { agenda, schedule, judge } = this;
    const isReady = () =>
      this.proxies.every(({ links }) => links.every(({ membership }) => membership.record !== null));
    while (!isReady() && agenda.step(SETTLING_MS)) {}
    this.network.delays = schedule.delays;
    const startMs = agenda.nowMs;
    for (const appearance of schedule.troubles) agenda.after(appearance.atMs, () => this.appear(appearance));
    for (const [index, { proxy, wants }] of schedule.clients.entries()) {
      this.busyClients++;
      this.ask(`c${index + 1}`, proxy, wants, 0);
    }
    const endMs = startMs + schedule.lengthMs;
    while (judge.violation === null && agenda.step(endMs)) {}
    this.heal();
    const patienceMs = endMs + HEALING_MS;
    while (judge.violation === null && this.busyClients > 0 && agenda.step(patienceMs)) {}
    if (this.busyClients > 0 && judge.violation === null) judge.complain('clients are never answered');
    if (schedule.quorums?.isEventual === true) this.settle(agenda.nowMs + EQUAL_MS_MAX);
    this.readAll();
    while (judge.violation === null && this.busyClients > 0 && agenda.step(patienceMs + HEALING_MS)) {}
    if (judge.violation === null) this.checkCalls();
    const count = (kind: string) => this.calls.filter(({ outcome }) => outcome.kind === kind).length;
    return {
      violation: judge.violation,
      answered: count('answered'),
      unknown: count('unknown'),
      failed: count('failed'),
      silent: this.silent,
      isUndecided: this.isUndecided,
      trace: judge.lines,
    };
  }

  /** Of consistency eventual: copies become equal, and have what was acknowledged, or something newer. */
  private settle(untilMs: number): void {
    const { agenda, judge, world } = this;
    const copies = (key: string) => world.copiesOf(key).map((node) => this.rememberedAt(node, key));
    const areEqual = () => {
      const isNothingKept = world.missed.every(({ length }) => length === 0);
      return isNothingKept && world.keys.every((key) => new Set(copies(key)).size === 1);
    };
    while (judge.violation === null && !areEqual() && agenda.step(untilMs)) {}
    for (const key of world.keys) {
      const versions = copies(key);
      if (new Set(versions).size > 1)
        judge.complain(`${key}: copies do not become equal: ${versions.map(short).join()}`);
      const forgotten = world.forgotten.get(key) ?? NEVER;
      if (versions.some((version) => version !== NEVER && version < forgotten))
        judge.complain(`${key}: a deletion that was forgotten is undone`);
      if (!this.schedule.isShared && versions.some((version) => epochOf(version) > 0))
        judge.complain(`${key}: a repair came before time`);
    }
    // Where repairs begin epochs, and proxies do not reach the same nodes, a later write can be lost.
    if (this.schedule.isShared) return;
    for (const [call, version] of this.versions) {
      if (call.input.wish.do === 'get' || this.excused.has(call)) continue;
      const found = this.versionAt(world.copiesOf(call.key)[0] as number, call.key);
      if (largest(found, world.forgotten.get(call.key) ?? NEVER) < version)
        judge.complain(`${call.key}: ${describeWish(call.input.wish)} was acknowledged, and is lost`);
    }
    this.compareOwn();
  }

  /** What a process writes is larger than what it has written before, or read, whatever its clock shows. */
  private compareOwn(): void {
    for (const [first, version] of this.versions) {
      for (const [second, other] of this.versions) {
        if (second.key !== first.key || second.input.wish.do === 'get' || first.endedAt >= second.askedAt) continue;
        if (other > version || this.processes.get(second) !== this.processes.get(first)) continue;
        this.judge.complain(
          `${first.key}: ${describeWish(second.input.wish)} is below ${describeWish(first.input.wish)}`,
        );
      }
    }
  }

  /** What others have forgotten is nothing. */
  private rememberedAt(node: number, key: string): Ballot {
    const meta = this.nodeAt(node).acceptor.data.metas.get(key);
    const isForgotten = meta?.live === false && meta.accepted <= (this.world.forgotten.get(key) ?? NEVER);
    return meta === undefined || isForgotten ? NEVER : meta.accepted;
  }

  private versionAt(node: number, key: string): Ballot {
    return this.nodeAt(node).acceptor.data.metas.get(key)?.accepted ?? NEVER;
  }

  /** What no copy and no proxy has any more, now that a node has lost something, is lost: it was acknowledged by who has lost it. */
  private excuse(): void {
    for (const [call, version] of this.versions) {
      const { copiesOf, missed } = this.world;
      const isThere = copiesOf(call.key).some((node) => this.versionAt(node, call.key) >= version);
      const isKept = missed.some((own) => own.some((one) => one.key === call.key && one.version >= version));
      if (!isThere && !isKept) this.excused.add(call);
    }
  }

  private checkCalls(): void {
    const { quorums, copies } = this.schedule;
    if (quorums !== null) {
      for (const [key, calls] of byKey(this.calls)) {
        const told = calls.map((call) => registerCall(call, this.versions.get(call)));
        const faults =
          quorums.repairs && !quorums.isEventual
            ? [...irregularities(told), ...disorders(told, NEVER, 2 * quorums.reads > copies)]
            : [...inventions(told), ...(quorums.isHomed && isCalm(this.schedule) ? irregularities(told) : [])];
        if (faults[0] !== undefined) this.judge.complain(`${key}: ${faults[0]}`);
      }
      return;
    }
    for (const [key, calls] of byKey(this.calls)) {
      const verdict = checkCalls(calls, SEQUENTIAL, CHECK);
      if (verdict.kind === 'linearizable') continue;
      if (verdict.kind === 'undecided') {
        this.isUndecided = true;
        continue;
      }
      const { culprit } = verdict;
      this.judge.complain(
        `${key}: not linearizable: ${culprit.client}, ${SEQUENTIAL.describe(culprit)} [${culprit.askedAt}-${culprit.endedAt}]`,
      );
    }
  }

  // Clients

  private ask(client: string, proxy: number, wants: readonly Wanted[], at: number): void {
    const wanted = wants[at];
    if (wanted === undefined) {
      this.busyClients--;
      return;
    }
    const again = (tries: number, waitMs: number) => {
      this.agenda.after(waitMs, () => {
        this.call(client, proxy, wanted.key, wanted.wish, ({ outcome }) => {
          if (outcome.kind === 'failed' && tries > 1) again(tries - 1, RETRY_MS);
          else this.ask(client, proxy, wants, at + 1);
        });
      });
    };
    again(TRIES, wanted.waitMs);
  }

  /** Waits while the proxy is down. */
  private call(client: string, index: number, key: string, wish: Wish, next: (call: SimCall) => void): void {
    const { agenda, judge } = this;
    const proxy = this.proxies[index] as SimProxy;
    if (!proxy.isAlive) {
      agenda.after(10, () => this.call(client, index, key, wish, next));
      return;
    }
    const call: SimCall = {
      client,
      key,
      input: { wish, latestMs: Number.POSITIVE_INFINITY },
      outcome: { kind: 'unknown' },
      askedAt: agenda.nowMs,
      endedAt: agenda.nowMs,
    };
    this.calls.push(call);
    this.processes.set(call, proxy.name);
    judge.trace(() => `${client} asks ${proxy.name}: ${key} ${describeWish(wish)}`);
    const widow = () => {
      call.endedAt = agenda.nowMs;
      judge.trace(() => `${client} ${key} ${describeWish(wish)} -> its proxy was killed`);
      agenda.after(0, () => next(call));
    };
    this.widows[index]?.add(widow);
    proxy.submit(key, operationOf(wish), (fate) => {
      this.widows[index]?.delete(widow);
      call.endedAt = agenda.nowMs;
      if (fate.kind === 'done') {
        call.outcome = { kind: 'answered', output: fate.reply[0] ?? null };
        call.input.latestMs = judge.latestMs;
        this.versions.set(call, fate.ballot);
      } else if (fate.kind !== 'unknown') {
        call.outcome = { kind: 'failed' };
      }
      judge.trace(() => `${client} ${key} ${describeWish(wish)} -> ${JSON.stringify(fate)}`);
      agenda.after(0, () => next(call));
    });
  }

  /** Each proxy reads each key until it is answered. */
  private readAll(): void {
    for (const [index, proxy] of this.proxies.entries()) {
      for (const key of this.world.keys) {
        this.busyClients++;
        this.readUntilAnswered(`${proxy.name}'s last`, index, key, FINAL_TRIES);
      }
    }
  }

  private readUntilAnswered(client: string, index: number, key: string, tries: number): void {
    this.call(client, index, key, { do: 'get' }, ({ outcome }) => {
      if (outcome.kind !== 'answered' && tries > 0) {
        this.agenda.after(200, () => this.readUntilAnswered(client, index, key, tries - 1));
        return;
      }
      if (outcome.kind !== 'answered') this.silent++;
      this.busyClients--;
    });
  }

  // Troubles

  private appear({ after, trouble }: Appearance): void {
    if (after === null || !('node' in trouble)) {
      this.befall(trouble);
      return;
    }
    const { what, by } = after;
    const node = this.nodeAt(trouble.node);
    const watcher = (from: string, deed: Deed) => {
      if (deed !== what || (by !== 'anyone' && from !== `p${by}`)) return;
      node.watchers.delete(watcher);
      this.agenda.after(this.random.chance(70) ? 0 : this.random.below(6), () => {
        if (!this.isHealed) this.befall(trouble);
      });
    };
    node.watchers.add(watcher);
  }

  private befall(trouble: Trouble): void {
    const { agenda, network, random, judge } = this;
    if (losesData(trouble) && !this.mayLose(trouble.node)) return;
    judge.trace(
      () =>
        `*** ${Object.entries(trouble)
          .map(([name, value]) => (name === 'kind' ? value : `${name} ${JSON.stringify(value)}`))
          .join(' ')}`,
    );
    switch (trouble.kind) {
      case 'crash': {
        const node = this.nodeAt(trouble.node);
        node.die();
        this.breakLines(trouble.node);
        agenda.after(trouble.forMs, () => {
          node.start(this.kept(node, trouble.keeps), trouble.isDebug);
          this.excuse();
        });
        return;
      }
      case 'save':
        this.nodeAt(trouble.node).save();
        return;
      case 'resync': {
        const node = this.nodeAt(trouble.node);
        node.becomeReplica();
        this.excuse();
        agenda.after(trouble.forMs, () => node.becomeMaster());
        return;
      }
      case 'flush':
        this.nodeAt(trouble.node).flush();
        this.excuse();
        return;
      case 'reload':
        this.nodeAt(trouble.node).reload();
        this.excuse();
        return;
      case 'pause': {
        const node = this.nodeAt(trouble.node);
        node.isPaused = true;
        agenda.after(trouble.forMs, () => {
          node.isPaused = false;
          network.pumpAll();
        });
        return;
      }
      case 'full': {
        const node = this.nodeAt(trouble.node);
        node.isFull = true;
        agenda.after(trouble.forMs, () => {
          node.isFull = false;
        });
        return;
      }
      case 'clock':
        this.nodeAt(trouble.node).turnClock(trouble.byMs);
        return;
      case 'proxy-clock':
        (this.proxies[trouble.proxy] as SimProxy).skewMs += trouble.byMs;
        return;
      case 'partition': {
        const from = `p${trouble.proxy}`;
        network.block(from, trouble.node);
        agenda.after(trouble.forMs, () => network.unblock(from, trouble.node));
        return;
      }
      case 'slow': {
        const from = `p${trouble.proxy}`;
        network.slow(from, trouble.node, trouble.byMs);
        agenda.after(trouble.forMs, () => network.slow(from, trouble.node, 0));
        return;
      }
      case 'cut':
        this.proxies[trouble.proxy]?.links[trouble.node]?.[random.chance(50) ? 'cut' : 'reconnect']();
        return;
      case 'kill': {
        const proxy = this.proxies[trouble.proxy] as SimProxy;
        if (!proxy.isAlive) return;
        this.kill(proxy);
        agenda.after(trouble.forMs, () => this.revive(trouble.proxy));
        return;
      }
      case 'weather':
        network.delays = trouble.delays;
    }
  }

  private kill(proxy: SimProxy): void {
    proxy.kill();
    const widows = this.widows[proxy.index] as Set<() => void>;
    const those = [...widows];
    widows.clear();
    for (const widow of those) widow();
  }

  private revive(index: number): void {
    const old = this.proxies[index] as SimProxy;
    if (old.isAlive) return;
    const life = (this.lives[index] as number) + 1;
    this.lives[index] = life;
    this.proxies[index] = new SimProxy(this.world, index, life, old.skewMs);
  }

  /** More than a minority that forgets at a time is not to be survived. */
  private mayLose(node: number): boolean {
    const tainted = this.nodes.filter(({ isTainted, index }) => isTainted && index !== node).length;
    return tainted < this.schedule.copies - (Math.floor(this.schedule.copies / 2) + 1);
  }

  /** With what a node may start. Where restarts are said to keep the data (M3), they do: what it has is all that it had accepted. */
  private kept(node: SimNode, keeps: Kept): Kept {
    if (!this.schedule.keepsData) return keeps;
    return keeps === 'saved' || node.isRolledBack ? 'nothing' : keeps;
  }

  private heal(): void {
    const { network, agenda, judge } = this;
    judge.trace(() => '*** all is well again');
    this.isHealed = true;
    network.delays = CALM;
    network.healAll();
    for (const node of this.nodes) {
      node.isPaused = false;
      node.isFull = false;
      node.becomeMaster();
      if (node.processId === null) node.start(this.kept(node, 'all'), false);
    }
    network.pumpAll();
    for (const index of this.proxies.keys()) agenda.after(1, () => this.revive(index));
  }

  private breakLines(node: number): void {
    for (const line of [...this.network.lines]) if (line.to === node) line.break();
  }

  private nodeAt(index: number): SimNode {
    return this.nodes[index] as SimNode;
  }
}

/** Keys lie on different nodes where there are more of them than copies; the register of epochs lies on the first. */
export function copiesOf(key: string, { copies, nodes }: Pick<Schedule, 'copies' | 'nodes'>): readonly number[] {
  if (key === EPOCH_KEY)
    return Array.from({ length: Math.min(nodes, nodes >= 5 ? 5 : 3) }, (_, node) => node).slice(0, copies);
  const first = key.charCodeAt(0) % nodes;
  return Array.from({ length: copies }, (_, place) => (first + place) % nodes);
}

function losesData(trouble: Trouble): trouble is Extract<Trouble, { kind: 'crash' | 'flush' | 'resync' | 'reload' }> {
  return trouble.kind === 'crash' || trouble.kind === 'flush' || trouble.kind === 'resync' || trouble.kind === 'reload';
}
