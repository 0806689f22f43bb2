/**
 * Cares for the nodes of one pool with replicated keys: sees who is a member, admits who may be, repairs who may have
 * forgotten, one node at a time, and sweeps what is deleted or expired (REPLICATION.md, M1-M4, P1-P5, T1, X3).
 *
 *   a link changes, or a second passes -> look at all nodes -> planAdmission -> admit | repair | say why not
 *
 * Several proxies may care for the same pool. All that they write to nodes is compare-and-set; a repair that finds a later one begun gives
 * up, and waits twice as long before it begins anew.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { pause } from '../base/pause.js';
import { type NodeVerdict, planAdmission } from '../replica/admission.js';
import { clusterInForce } from '../replica/member.js';
import { encodeMemberStep } from '../replica/node-member-step.js';
import { parseNodeRecord } from '../replica/node-record.js';
import { fitVerdict, mixedVersions, nodeObstacles } from '../replica/node-requirements.js';
import { type RepairPlan, type RepairProgress, repairBackOffMs } from '../replica/repair.js';
import type { ComparisonOptions } from './comparison.js';
import { type ComparisonCare, Comparisons } from './comparisons.js';
import { replayHints } from './hint-replay.js';
import type { HintCare, Hints } from './hints.js';
import type { NameLookup } from './name-lookup.js';
import { NodeLink } from './node-link.js';
import { PoolRounds } from './pool-rounds.js';
import { runRepair } from './repair-run.js';
import { limitsOf, type ReplicatedPool, unservedSets } from './replicated-pools.js';
import { type Settling, type SweepCounts, sweepOnce } from './sweep.js';
import { ValuesUnderWay } from './values-under-way.js';

/** What is not told by a push is seen after so many milliseconds. */
const LOOK_MS = 1_000;
/** Who sees a stranger first repairs it: the others find it under repair. */
const FIRST_WAIT_MS_MAX = 500;
const LOG_PROGRESS_MS = 10_000;
/** Keys of one page of a repair. */
const PAGE_KEYS = 500;
/** Between two sweeps: a part of what keys are remembered for, which is exceeded by that at the most. */
const SWEEPS_PER_TTL = 20;
const SWEEP_PAUSE_MS_MIN = 1_000;
const SWEEP_PAUSE_MS_MAX = 3_600_000;

/** For so long what is under way when it ends may come to an end by itself, milliseconds. */
const STOP_MS_MAX = 500;
const QUORUM_ADVICE =
  'start the nodes that are missing; where their data are lost, see ringleader doctor --accept-loss';

/** A node of the pool, as it was seen last. */
export interface NodeCare {
  name: string;
  standing: NodeVerdict['kind'] | 'repairing';
  /** Why it is no member; null: it is one. */
  reason: string | null;
  /** Of its repair by this process, while it goes on. */
  repair: RepairProgress | null;
  /** What this process keeps for it of what it has missed. */
  hints: HintCare;
}

export interface PoolCare {
  pool: string;
  /** Null: the pool has none yet. */
  clusterId: string | null;
  /** Sets of nodes, by their names, that have too few members for any service: their keys are answered -NOQUORUM. */
  withoutQuorum: readonly (readonly string[])[];
  nodes: readonly NodeCare[];
  sweep: SweepCounts;
  /** Of its keys of consistency eventual; null: there are none, or this process has not compared them. */
  comparison: ComparisonCare | null;
}

/** `admit`: where it is not agreed yet which keys a node should have, nothing is repaired or swept. */
export type Duty = 'admit' | 'all';

export interface CaretakerOptions {
  duty: Duty;
  /** Whether this process does what one of the fleet is to do. */
  isLeader: () => boolean;
  bulk: ComparisonOptions['bulk'];
  hints: Hints;
  /** Whether a node that is started again has all that it had acknowledged. */
  keepsData: boolean;
  /** See AdmissionOptions. */
  wasBegun: boolean;
  /** What is known of the copies of these nodes since before; null: nothing. */
  compared: ComparisonCare | null;
}

interface Patient {
  verdict: NodeVerdict;
  /** Repairs that came to nothing, one after another, and when the next may begin. */
  failures: number;
  retryAtMs: number;
  /** The largest epoch that they came upon. */
  epochSeen: number;
  repair: RepairProgress | null;
  /** Of a member: what it should not be like, as it was told last; '' for nothing. */
  obstacles: string;
}

export class Caretaker {
  readonly pool: ReplicatedPool;
  private readonly options: CaretakerOptions;
  private readonly log: Logger;
  private readonly links: ReadonlyMap<number, NodeLink>;
  private readonly patients: ReadonlyMap<number, Patient>;
  private readonly rounds: PoolRounds;
  /** Of consistency eventual, by comparing, replaying and sweeping. */
  private readonly values: ValuesUnderWay;
  private readonly newClusterId = randomUUID();
  private readonly stopping = new AbortController();
  private readonly sweepCounts: SweepCounts = {
    passes: 0,
    collected: 0,
    expired: 0,
    settled: 0,
    differing: 0,
    unburied: 0,
  };
  private readonly work = new Set<Promise<void>>();
  private timer: NodeJS.Timeout | null = null;
  private comparisons: Comparisons | null = null;
  private hasBegun: boolean;
  private isDue = false;
  private isCaring = false;
  /** What was said of its nodes' versions last. */
  private mixture = '';
  private isRepairing = false;
  /** Sets without a quorum now, and how many of them the log knows of. */
  private lacking: readonly (readonly number[])[] = [];
  private lackingTold = 0;

  constructor(pool: ReplicatedPool, options: CaretakerOptions, names: NameLookup, log: Logger) {
    this.pool = pool;
    this.options = options;
    this.hasBegun = options.wasBegun;
    this.log = log;
    this.links = new Map(
      pool.nodes.map((node) => [node.index, new NodeLink(node, pool.prefixes, names, () => this.look())]),
    );
    this.patients = new Map(pool.nodes.map((node) => [node.index, newPatient()]));
    this.rounds = new PoolRounds(this.links, pool.epochNodes, limitsOf(pool));
    this.values = new ValuesUnderWay(limitsOf(pool).repairBytesInFlightMax);
  }

  start(): void {
    for (const link of this.links.values()) link.start();
    this.timer = setInterval(() => {
      for (const link of this.links.values()) this.follow(link.look());
    }, LOOK_MS);
    if (this.options.duty === 'admit') return;
    for (const ttlMs of this.pool.idleTtlsMs) this.follow(this.sweep(ttlMs));
    const { ranges: plan } = this.pool;
    if (plan === null) return;
    const { isLeader, bulk, hints, compared } = this.options;
    const limits = limitsOf(this.pool);
    for (const link of this.links.values()) this.follow(this.replay(link, hints));
    this.comparisons = new Comparisons({
      plan,
      links: this.links,
      values: this.values,
      bulk,
      limits,
      before: compared,
      stopped: this.stopping.signal,
      isLeader,
      pool: this.pool.name,
      log: this.log,
    });
    this.follow(this.comparisons.run());
  }

  /** A repair that is under way stops where it is, to be begun again by whomever. */
  async stop(): Promise<void> {
    this.stopping.abort();
    if (this.timer !== null) clearInterval(this.timer);
    const done = Promise.all(this.work);
    await Promise.race([done, sleep(STOP_MS_MAX, undefined, { ref: false })]);
    for (const link of this.links.values()) link.stop();
    await done;
  }

  /** Whether there have been members. */
  get wasBegun(): boolean {
    return this.hasBegun;
  }

  /** Of its keys of consistency eventual; null: there are none, or this process has not compared them. */
  get comparison(): ComparisonCare | null {
    return this.comparisons?.care ?? null;
  }

  care(): PoolCare {
    const { pool, links, patients, sweepCounts: sweep } = this;
    const nodes = pool.nodes.map(({ index, name }): NodeCare => {
      const { verdict, repair } = patients.get(index) as Patient;
      const hints = this.options.hints.care(pool.name, name);
      if (repair !== null) return { name, standing: 'repairing', reason: reasonOf(verdict), repair, hints };
      const trouble = links.get(index)?.trouble ?? null;
      const reason = verdict.kind === 'silent' ? trouble : reasonOf(verdict);
      return { name, standing: verdict.kind, reason, repair, hints };
    });
    const { comparison } = this;
    const withoutQuorum = this.lacking.map(this.namesOf);
    return { pool: pool.name, clusterId: this.clusterId, withoutQuorum, nodes, sweep, comparison };
  }

  private get clusterId(): string | null {
    for (const link of this.links.values()) {
      if (link.standing?.kind === 'member') return link.standing.clusterId;
    }
    return null;
  }

  /** Which the nodes that can be reached were members of. */
  private get clusterOnce(): string | null {
    const ids = Array.from(
      this.links.values(),
      ({ view }) => parseNodeRecord(view?.facts.record ?? '')?.clusterId ?? null,
    );
    return clusterInForce(ids);
  }

  /** Soon, and once for all that happens until then. */
  private look(): void {
    this.isDue = true;
    if (!this.isCaring) this.follow(this.careForAll());
  }

  private follow(work: Promise<void>): void {
    this.work.add(work);
    void work.finally(() => this.work.delete(work));
  }

  private async careForAll(): Promise<void> {
    this.isCaring = true;
    while (this.isDue && !this.stopping.signal.aborted) {
      this.isDue = false;
      // At the start nobody is missed who has not been asked yet.
      if ([...this.links.values()].some(({ isTried }) => !isTried)) break;
      const verdicts = this.judge();
      this.noteQuorum([...verdicts.values()]);
      await Promise.all(
        [...this.links].map(([index, link]) => this.carryOut(link, verdicts.get(index) as NodeVerdict)),
      );
      this.beginRepair();
    }
    this.isCaring = false;
  }

  private judge(): ReadonlyMap<number, NodeVerdict> {
    const { pool, links, newClusterId } = this;
    const { keepsData } = this.options;
    const views = pool.nodes.map(({ index }) => (links.get(index) as NodeLink).nodeView);
    this.hasBegun ||= this.clusterId !== null;
    const verdicts = planAdmission(views, { keepsData, newClusterId, wasBegun: this.hasBegun });
    this.noteVersions();
    return new Map(
      pool.nodes.map((node, at) => {
        const conditions = links.get(node.index)?.view?.conditions;
        const obstacles = conditions === undefined ? [] : nodeObstacles(conditions);
        const verdict = fitVerdict(verdicts[at] as NodeVerdict, obstacles);
        this.note(node.index, node.name, verdict);
        this.noteObstacles(node.index, node.name, verdict, obstacles);
        return [node.index, verdict];
      }),
    );
  }

  /** A member with obstacles stays one: it has what it acknowledged. But what may come of them is to be known. */
  private noteObstacles(index: number, name: string, verdict: NodeVerdict, obstacles: readonly string[]): void {
    const patient = this.patients.get(index) as Patient;
    const reason = verdict.kind === 'member' ? obstacles.join('; ') : '';
    if (patient.obstacles === reason) return;
    patient.obstacles = reason;
    if (reason !== '') this.log.error({ pool: this.pool.name, node: name, reason }, 'replica-unfit');
  }

  private noteVersions(): void {
    const versions = this.pool.nodes.flatMap(({ index, name }) => {
      const view = this.links.get(index)?.view;
      return view ? [{ name, version: view.conditions.version }] : [];
    });
    const reason = mixedVersions(versions) ?? '';
    if (reason === this.mixture) return;
    this.mixture = reason;
    if (reason !== '') this.log.warn({ pool: this.pool.name, reason }, 'replica-versions');
  }

  private note(index: number, name: string, verdict: NodeVerdict): void {
    const patient = this.patients.get(index) as Patient;
    const before = patient.verdict;
    patient.verdict = verdict;
    if (before.kind === verdict.kind && reasonOf(before) === reasonOf(verdict)) return;
    const fields = { pool: this.pool.name, node: name, reason: reasonOf(verdict) };
    if (verdict.kind === 'stranger') {
      patient.retryAtMs = performance.now() + Math.random() * FIRST_WAIT_MS_MAX;
      this.log.warn(fields, 'replica-stranger');
    } else if (verdict.kind === 'refused') this.log.error(fields, 'replica-refused');
    else if (verdict.kind === 'waiting') this.log.warn(fields, 'replica-waits');
    else if (verdict.kind === 'member') {
      this.log.info({ pool: this.pool.name, node: name }, 'replica-member');
      // It may have missed something.
      this.comparisons?.soon();
    }
  }

  private noteQuorum(verdicts: readonly NodeVerdict[]): void {
    const { pool, links, log } = this;
    const lacking = unservedSets(pool, (node) => (links.get(node)?.record ?? null) !== null);
    this.lacking = lacking;
    // What is about to be admitted lacks nothing; what a first start waits for is said of each node.
    if (verdicts.some(({ kind }) => kind === 'admit' || kind === 'waiting')) return;
    const before = this.lackingTold;
    this.lackingTold = lacking.length;
    if (lacking.length > 0 && lacking.length !== before) {
      const example = this.namesOf(lacking[0] ?? []);
      log.error({ pool: pool.name, sets: lacking.length, example, advice: QUORUM_ADVICE }, 'no-quorum');
    }
    if (lacking.length === 0 && before > 0) log.info({ pool: pool.name }, 'quorum');
  }

  /** What a verdict asks for at once. */
  private async carryOut(link: NodeLink, verdict: NodeVerdict): Promise<void> {
    const { view } = link;
    if (verdict.kind !== 'admit' || view === null) return;
    const { expected, record, as } = verdict;
    const step = { kind: 'admit', expected, process: view.facts.process, record, epoch: null } as const;
    const answer = await link.ask(encodeMemberStep(step, Buffer.from(expected)));
    const fields = { pool: this.pool.name, node: link.node.name, as };
    // Else somebody was faster, or the node has changed, as the next look shows.
    if (answer?.kind !== 'admitted') return;
    this.log.info(fields, 'replica-admitted');
    await link.look();
  }

  private beginRepair(): void {
    if (this.isRepairing || this.options.duty === 'admit') return;
    const nowMs = performance.now();
    for (const [index, link] of this.links) {
      const patient = this.patients.get(index) as Patient;
      if (patient.verdict.kind !== 'stranger' || patient.retryAtMs > nowMs || isUnderRepair(link)) continue;
      this.isRepairing = true;
      this.follow(this.repair(link, patient));
      return;
    }
  }

  private async repair(link: NodeLink, patient: Patient): Promise<void> {
    const { pool, links, rounds, log, stopping } = this;
    const { node } = link;
    const plan = this.planRepair(link, patient);
    const fields = { pool: pool.name, node: node.name };
    const startMs = performance.now();
    let toldMs = startMs;
    const outcome =
      plan &&
      (await runRepair({
        plan,
        links,
        rounds: {
          // The register of epochs takes a quorum, and nothing else may.
          drawEpoch: async (above) => (await rounds.drawEpoch(above)) ?? (pool.isEventual ? above + 1 : null),
          settle: (key, nodes, epoch) => rounds.settle(key, nodes, epoch),
        },
        keysPerSecond: node.limits.repairKeysPerSecond,
        stopped: stopping.signal,
        onProgress: (progress) => {
          patient.repair = progress;
          const nowMs = performance.now();
          if (nowMs - toldMs < LOG_PROGRESS_MS) return;
          toldMs = nowMs;
          log.info({ ...fields, ...progress, source: this.namesOf([progress.source])[0] }, 'repair-progress');
        },
      }));
    const tookMs = Math.round(performance.now() - startMs);
    patient.repair = null;
    this.isRepairing = false;
    if (outcome === null || outcome.kind === 'no-quorum') {
      // Said of the pool: see noteQuorum.
      patient.retryAtMs = performance.now() + LOOK_MS;
    } else if (outcome.kind === 'done') {
      patient.failures = 0;
      const { keysCompared, keysReplaced, keysDropped, keysSettled } = outcome.progress;
      log.info(
        { ...fields, epoch: outcome.epoch, keysCompared, keysReplaced, keysDropped, keysSettled, tookMs },
        'repaired',
      );
    } else if (outcome.kind === 'failed') {
      patient.failures++;
      patient.epochSeen = Math.max(patient.epochSeen, outcome.epochSeen);
      const waitMs = repairBackOffMs(patient.failures, Math.random());
      patient.retryAtMs = performance.now() + waitMs;
      log.warn({ ...fields, reason: outcome.reason, retryMs: Math.round(waitMs) }, 'repair-failed');
    } else log.info(fields, 'repair-stopped');
    await link.look();
  }

  /** Null: the node, or the members, are not what they were a moment ago. */
  private planRepair({ node, view }: NodeLink, { epochSeen }: Patient): RepairPlan<Uint8Array> | null {
    const { pool, links } = this;
    // Where nobody is a member any more, what the nodes say that they were has to do, if nothing takes a quorum.
    const clusterId = this.clusterId ?? (pool.isEventual ? this.clusterOnce : null);
    if (clusterId === null || view === null) return null;
    const members = new Map<number, string>();
    // Also above those that an operator made while the register could not be asked (accept-loss).
    let largestEpoch = epochSeen;
    for (const [index, { record, standing, view }] of links) {
      largestEpoch = Math.max(largestEpoch, parseNodeRecord(view?.facts.record ?? '')?.admission.epoch ?? 0);
      if (record === null || standing?.kind !== 'member' || standing.clusterId !== clusterId) continue;
      if (index !== node.index) members.set(index, record);
    }
    return {
      node: node.index,
      name: node.name,
      clusterId,
      found: view.facts.record,
      epochSeen: largestEpoch,
      members,
      copySets: pool.copySets.filter((set) => set.includes(node.index)),
      copiesOf: (key) => pool.placeOf(key)?.nodes ?? null,
      isWeak: (key) => pool.placeOf(key)?.level.consistency === 'weak',
      ...(pool.ranges === null
        ? {}
        : { isMerged: pool.isMerged, isEventual: pool.isEventual, acceptsLoss: pool.isEventual }),
      pageKeys: PAGE_KEYS,
      bytesMax: node.limits.repairBytesInFlightMax,
    };
  }

  private replay(link: NodeLink, hints: Hints): Promise<void> {
    const { pool, links, values, stopping } = this;
    const { pool: poolName, name, limits } = link.node;
    return replayHints({
      links,
      values,
      link,
      copiesOf: (key) => (pool.isMerged(key) ? (pool.placeOf(key)?.nodes ?? null) : null),
      hints: () => hints.of(poolName, name),
      oldestMs: () => hints.oldestOf(poolName),
      keysPerSecond: limits.repairKeysPerSecond,
      bytesMax: limits.repairBytesInFlightMax,
      onGiven: (writtenAtMs) => hints.onGiven(poolName, name, writtenAtMs),
      onOld: () => hints.onOld(poolName, name),
      onSetAside: (count, why) => hints.onSetAside(poolName, name, count, why),
      stopped: stopping.signal,
    });
  }

  private async sweep(ttlMs: number): Promise<void> {
    const { pool, links, values, rounds, sweepCounts: counts, stopping } = this;
    const waitMs = Math.min(SWEEP_PAUSE_MS_MAX, Math.max(SWEEP_PAUSE_MS_MIN, ttlMs / SWEEPS_PER_TTL));
    const settling: Settling = new Map();
    while (!stopping.signal.aborted) {
      await pause(waitMs * (1 - Math.random() / 2), stopping.signal);
      await sweepOnce({ pool, links, values, rounds, counts, settling, stopped: stopping.signal }, ttlMs);
      counts.passes++;
    }
  }

  private readonly namesOf = (set: readonly number[]): string[] =>
    set.map((node) => this.links.get(node)?.node.name ?? '');
}

function newPatient(): Patient {
  return { verdict: { kind: 'silent' }, failures: 0, retryAtMs: 0, epochSeen: 0, repair: null, obstacles: '' };
}

function reasonOf(verdict: NodeVerdict): string | null {
  return 'reason' in verdict ? verdict.reason : null;
}

/** Somebody else is at work there, and said so not long ago. */
function isUnderRepair({ view }: NodeLink): boolean {
  const status = parseNodeRecord(view?.facts.record ?? '')?.status;
  return status?.kind === 'repairing' && view?.repairer === String(status.epoch);
}
