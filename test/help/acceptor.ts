/**
 * The model of a node of replicated keys: what every step of REPLICATION.md ("Steps on a node", and those of members and of
 * repair) does there, in a few lines each. The steps on a real Redis are compared with it, and the simulation's nodes are it.
 * It knows nothing of what values and commands are, of sockets or of time: an engine and a clock are given.
 *
 *   perform, performMember     a step, atomically
 *   restart, resync, flush     what befalls a server; `onRecord` tells who tracks `~rl:node`, as a push does (M1)
 */
import { isDeepStrictEqual } from 'node:util';
import { type Ballot, floorOf, largest, NEVER } from '../../src/replica/ballot.js';
import { type Lineage, NO_LINEAGE } from '../../src/replica/lineage.js';
import type { MemberAnswer, MemberStep, ProcessId } from '../../src/replica/member-step.js';
import { formatNodeRecord, parseNodeRecord } from '../../src/replica/node-record.js';
import {
  type AcceptAnswer,
  ANY,
  type Answer,
  type CollectAnswer,
  type KeyState,
  type PrepareAnswer,
  type Refusal,
  type Step,
  type ViewAnswer,
} from '../../src/replica/step.js';
import { timeOf } from '../../src/replica/version-clock.js';

/** A value as Redis keeps it. `expireAt`: milliseconds since 1970, 0 for none. Never changed in place. */
export interface Stored<V> {
  readonly value: V;
  readonly expireAt: number;
}

/** What commands do. Pure. */
export interface Engine<C, R, V> {
  /** Carries them out on a value (null: none) at a time by the node's clock. Null: they leave no value. */
  apply(commands: C, stored: Stored<V> | null, nowMs: number): { stored: Stored<V> | null; replies: R };
  /** Replies to commands that only read. */
  read(commands: C, stored: Stored<V> | null, nowMs: number): R;
}

export interface Meta {
  promised: Ballot;
  accepted: Ballot;
  lineage: Lineage;
  live: boolean;
  expireAt: number;
}

/** All that a server's file holds. */
export interface NodeData<V> {
  /** The text of `~rl:node`, '' for none. */
  record: string;
  epochFloor: number;
  collectFloor: Ballot;
  collected: Ballot;
  metas: Map<string, Meta>;
  values: Map<string, Stored<V>>;
}

/** A rule that a mutant leaves out, to be caught by whoever checks histories. */
export type Omission =
  /** ACCEPT and INSTALL whatever was promised. */
  | 'promise'
  /** MERGE whatever version is there. */
  | 'newer'
  /** A key without meta has promised nothing, whatever was collected. */
  | 'collect-floor'
  /** PREPARE does not say what was collected. */
  | 'collected'
  /** The epoch's floor refuses nobody. */
  | 'epoch-floor'
  /** A base whose expiry has passed is written on as if it had none. */
  | 'expired-base'
  /** An expiry that has passed by this node's clock is carried out. */
  | 'expired-own'
  /** X2: a state whose expiry has passed is installed as one without a value. */
  | 'passed-expiry'
  /** Votes are given whatever `~rl:node` says. */
  | 'record'
  /** P3: replace and drop are carried out whatever `~rl:node` says. */
  | 'repair-record'
  /** P2, P4: records are written whatever was there. */
  | 'admit-record'
  /** P4: records are written whatever process runs, and name that which does. */
  | 'admit-process';

const NOT_MEMBER = { kind: 'not-member' } as const;
const NO_META: Meta = { promised: NEVER, accepted: NEVER, lineage: NO_LINEAGE, live: false, expireAt: 0 };

export interface AcceptorOptions<C, R, V> {
  engine: Engine<C, R, V>;
  /** The node's clock: milliseconds since 1970. */
  clock: () => number;
  /** The same when it is asked whether an expiry that commands set has passed: Redis decides a little before what has expired. */
  laterClock?: () => number;
  process: ProcessId;
  /** Called after each change of `~rl:node`, written, flushed or loaded. */
  onRecord?: () => void;
  without?: ReadonlySet<Omission>;
}

export class Acceptor<C, R, V> {
  /** That runs: INFO's run_id and master_replid. */
  process: ProcessId;
  data: NodeData<V> = emptyData();
  private wasReplica = false;
  private readonly engine: Engine<C, R, V>;
  private readonly clock: () => number;
  private readonly laterClock: () => number;
  private readonly onRecord: () => void;
  private readonly without: ReadonlySet<Omission>;

  constructor(options: AcceptorOptions<C, R, V>) {
    const { engine, clock, laterClock = clock, process, onRecord = () => {}, without = new Set() } = options;
    this.engine = engine;
    this.clock = clock;
    this.laterClock = laterClock;
    this.process = process;
    this.onRecord = onRecord;
    this.without = without;
  }

  /** A step on a key, asked by who takes the node for the member of that record. */
  perform(step: Step<C, V>, key: string, record: string): Answer<R, V> {
    if (this.data.record !== record && !this.without.has('record')) return NOT_MEMBER;
    switch (step.kind) {
      case 'prepare':
        return this.prepare(key, step.ballot);
      case 'accept':
        return this.accept(key, step);
      case 'install':
        return this.install(key, step.state, step.next);
      case 'merge':
        return this.merge(key, step.state);
      case 'collect':
        return this.collect(key, step.ballot);
      case 'peek':
        return this.view(key, null, null);
      case 'read':
        return this.view(key, null, this.engine.read(step.commands, this.stored(key), this.clock()));
      case 'snapshot':
        return this.view(key, this.stored(key)?.value ?? null, null);
    }
  }

  /** A step of members and repair, asked by who has read that record. `look` and `admit` do not depend on it. */
  performMember(step: MemberStep<string, V>, record: string): MemberAnswer<string> {
    const { data } = this;
    if (step.kind === 'look') {
      const { process } = this;
      const { wasReplica } = this;
      return {
        kind: 'facts',
        process,
        role: 'master',
        wasReplica,
        replicas: 0,
        debugCommand: 'no',
        record: data.record,
      };
    }
    if (step.kind === 'admit') return this.admit(step);
    const isRepair = step.kind === 'replace' || step.kind === 'drop';
    if (data.record !== record && !this.without.has(isRepair ? 'repair-record' : 'record')) return NOT_MEMBER;
    switch (step.kind) {
      case 'raise':
        data.epochFloor = Math.max(data.epochFloor, step.epoch);
        return { kind: 'raised', epochFloor: data.epochFloor };
      case 'scan': {
        if (step.what === 'gone') return { kind: 'page', cursor: '0', keys: this.keysGone(step.beforeMs) };
        const keys = step.what === 'metas' ? data.metas.keys() : this.liveKeys();
        return { kind: 'page', cursor: '0', keys: [...keys] };
      }
      case 'metas': {
        const facts = step.keys.map((key) => {
          const { accepted, lineage, live, expireAt } = this.meta(key);
          return { accepted, lineage, live, expireAt };
        });
        return { kind: 'metas', facts, sizes: step.sizes ? step.keys.map((key) => (this.stored(key) ? 1 : 0)) : null };
      }
      case 'replace':
        if (this.meta(step.key).accepted !== step.state.accepted)
          this.replace(step.key, step.state, step.state.accepted);
        return { kind: 'done' };
      case 'drop':
        data.metas.delete(step.key);
        data.values.delete(step.key);
        return { kind: 'done' };
    }
  }

  /** Another process, with these data (of a file; of nothing). */
  restart(process: ProcessId, data: NodeData<V> = emptyData()): void {
    this.process = process;
    this.wasReplica = false;
    this.load(data);
  }

  /** Data as they once were, here or on another node, in the same process: by a resync with another `replId`, by a reload with the same. */
  resync(data: NodeData<V>, replId: string): void {
    this.wasReplica ||= replId !== this.process.replId;
    this.process = { ...this.process, replId };
    this.load(data);
  }

  flush(): void {
    this.load(emptyData());
  }

  /** What a file would hold now. */
  save(): NodeData<V> {
    return copyData(this.data);
  }

  /** The node's effective promise for a key. */
  promised(key: string): Ballot {
    const meta = this.data.metas.get(key);
    const floor = this.without.has('collect-floor') ? NEVER : this.data.collectFloor;
    const own = meta === undefined ? floor : meta.promised;
    return this.without.has('epoch-floor') ? own : largest(own, floorOf(this.data.epochFloor));
  }

  private prepare(key: string, ballot: Ballot): PrepareAnswer {
    if (this.promised(key) > ballot) return this.refusal(key);
    const meta = this.meta(key);
    this.data.metas.set(key, { ...meta, promised: ballot });
    const { accepted, lineage, live, expireAt } = meta;
    const collected = this.without.has('collected') ? NEVER : this.data.collected;
    return { kind: 'ok', accepted, lineage, live, expireAt, collected, epochFloor: this.data.epochFloor };
  }

  private accept(key: string, step: Extract<Step<C, V>, { kind: 'accept' }>): AcceptAnswer<R> {
    const { ballot, base, lineage, expired, commands, setsExpiry, next } = step;
    const early = this.refuseBallot(key, ballot);
    if (early !== null) return early;
    const meta = this.meta(key);
    if (base !== ANY && meta.accepted !== base) return { kind: 'stale' };
    const found = this.stored(key);
    if (base !== ANY && meta.live && found === null && !expired && !this.without.has('expired-base')) {
      return { kind: 'expired', what: 'base' };
    }
    if (setsExpiry !== 0 && setsExpiry <= this.laterClock() && !this.without.has('expired-own')) {
      return { kind: 'expired', what: 'own' };
    }
    const { stored, replies } = this.engine.apply(commands, expired ? null : found, this.clock());
    if (step.keepsSame === true && isDeepStrictEqual(stored, found)) return { kind: 'same', replies };
    this.put(key, stored);
    const [live, expireAt] = [stored !== null, stored?.expireAt ?? 0];
    const promised = largest(ballot, next);
    this.data.metas.set(key, { promised, accepted: ballot, lineage, live, expireAt });
    return { kind: 'ok', promised, live, expireAt, replies };
  }

  private install(key: string, state: KeyState<V>, next: Ballot): AcceptAnswer<R> {
    const early = this.refuseBallot(key, state.accepted);
    if (early !== null) return early;
    const promised = largest(state.accepted, next);
    const { live, expireAt } = this.replace(key, state, promised);
    return { kind: 'ok', promised, live, expireAt, replies: null };
  }

  private merge(key: string, state: KeyState<V>): AcceptAnswer<R> {
    const { promised, accepted, live, expireAt } = this.meta(key);
    if (accepted === state.accepted) return { kind: 'already', promised, live, expireAt };
    if (accepted > state.accepted && !this.without.has('newer')) return { ...this.refusal(key), promised: accepted };
    const had = this.data.metas.has(key) ? promised : NEVER;
    const merged = this.replace(key, state, largest(had, state.accepted));
    return { kind: 'ok', promised: state.accepted, live: merged.live, expireAt: merged.expireAt, replies: null };
  }

  private collect(key: string, ballot: Ballot): CollectAnswer {
    const { data } = this;
    const meta = data.metas.get(key);
    if (meta === undefined) return { kind: 'collected', isCollected: true };
    if (meta.accepted !== ballot || meta.live) return { kind: 'collected', isCollected: false };
    data.collectFloor = largest(data.collectFloor, meta.promised);
    data.collected = largest(data.collected, meta.accepted);
    data.metas.delete(key);
    return { kind: 'collected', isCollected: true };
  }

  private view(key: string, value: V | null, replies: R | null): ViewAnswer<R, V> {
    const { accepted, lineage, live, expireAt } = this.meta(key);
    return {
      kind: 'view',
      accepted,
      lineage,
      live,
      expireAt,
      isExpired: live && this.stored(key) === null,
      value,
      replies,
    };
  }

  private admit(step: Extract<MemberStep<string, V>, { kind: 'admit' }>): MemberAnswer<string> {
    const { data, process } = this;
    const isOther = data.record !== step.expected && data.record !== step.record && !this.without.has('admit-record');
    const isGone = process.runId !== step.process.runId || process.replId !== step.process.replId;
    const isLate = step.epoch !== null && data.epochFloor > step.epoch;
    if (isOther || (isGone && !this.without.has('admit-process')) || isLate) {
      return { kind: 'changed', record: data.record, process, epochFloor: data.epochFloor };
    }
    if (step.epoch !== null) data.epochFloor = step.epoch;
    const mutant = isGone ? parseNodeRecord(step.record) : null;
    const record = mutant === null ? step.record : formatNodeRecord({ ...mutant, process });
    if (data.record !== record) {
      data.record = record;
      this.onRecord();
    }
    return { kind: 'admitted' };
  }

  /** The first two checks of ACCEPT and INSTALL. */
  private refuseBallot(key: string, ballot: Ballot): AcceptAnswer<R> | null {
    const { promised, accepted, live, expireAt } = this.meta(key);
    if (accepted === ballot) return { kind: 'already', promised, live, expireAt };
    if (this.promised(key) > ballot && !this.without.has('promise')) return this.refusal(key);
    return null;
  }

  private replace(key: string, state: KeyState<V>, promised: Ballot): Meta {
    const { accepted, lineage, live, expireAt, value } = state;
    const isGone = value === null || (expireAt !== 0 && expireAt <= this.clock());
    this.put(key, isGone ? null : { value, expireAt });
    const isForgotten = isGone && this.without.has('passed-expiry');
    const tail = isForgotten ? { live: false, expireAt: 0 } : { live, expireAt };
    const meta: Meta = { promised, accepted, lineage, ...tail };
    this.data.metas.set(key, meta);
    return meta;
  }

  private refusal(key: string): Refusal {
    const { epochFloor, collectFloor } = this.data;
    return {
      kind: 'refused',
      promised: this.promised(key),
      accepted: this.meta(key).accepted,
      epochFloor,
      collectFloor,
    };
  }

  /** Of a key without one: `promised` is what it would be. */
  private meta(key: string): Meta {
    return this.data.metas.get(key) ?? { ...NO_META, promised: this.promised(key) };
  }

  /** The value, unless its expiry has passed. */
  private stored(key: string): Stored<V> | null {
    const stored = this.data.values.get(key);
    return stored === undefined || (stored.expireAt !== 0 && stored.expireAt < this.clock()) ? null : stored;
  }

  private put(key: string, stored: Stored<V> | null): void {
    if (stored === null) this.data.values.delete(key);
    else this.data.values.set(key, stored);
  }

  private liveKeys(): string[] {
    return [...this.data.values.keys()].filter((key) => this.stored(key) !== null);
  }

  /** What was deleted, by the time that is its version, or has expired before that moment. */
  private keysGone(beforeMs: number): string[] {
    const gone = [...this.data.metas].filter(([, { accepted, live, expireAt }]) => {
      const sinceMs = live ? expireAt : timeOf(accepted);
      return sinceMs > 0 && sinceMs < beforeMs;
    });
    return gone.map(([key]) => key);
  }

  private load(data: NodeData<V>): void {
    this.data = copyData(data);
    this.onRecord();
  }
}

/** Of a server that was never written to. */
export function emptyData<V>(): NodeData<V> {
  return { record: '', epochFloor: 0, collectFloor: NEVER, collected: NEVER, metas: new Map(), values: new Map() };
}

function copyData<V>(data: NodeData<V>): NodeData<V> {
  const metas = new Map([...data.metas].map(([key, meta]) => [key, { ...meta }]));
  return { ...data, metas, values: new Map(data.values) };
}
