/** Locks that a majority of Redis servers keeps: of a keyspace with `provider: redlock`. */
import type { LockTurns } from '../base/lock-turns.js';
import type { LockSets } from '../routing/copy-sets.js';
import type {
  AcquireOutcome,
  BreakOutcome,
  ExtendOutcome,
  GiveBack,
  InfoOutcome,
  Lock,
  LockOrder,
  ReleaseOutcome,
} from './lock.js';
import { LockLines, type LockLinesContext } from './lock-lines.js';
import { type NamesOutcome, type NamesQuery, walkNames } from './lock-names.js';
import { LockNodes, type LockNodesContext, type LockPlace } from './lock-nodes.js';
import { Retakes } from './retakes.js';
import { HOLDERS_MAX } from './share.js';
import { breakOutcome, extendOutcome, infoOutcome, releaseOutcome } from './verdicts.js';

export interface RedlockProviderContext extends LockNodesContext, Omit<LockLinesContext, 'nodes' | 'turns'> {
  lockTurns: LockTurns;
}

export class RedlockProvider {
  private readonly nodes: LockNodes;
  private readonly lines: LockLines;

  constructor(context: RedlockProviderContext) {
    this.nodes = new LockNodes(context);
    this.lines = new LockLines({ ...context, nodes: this.nodes, turns: context.lockTurns });
  }

  /** The lock bytes[start, end). */
  lockOf(sets: LockSets, bytes: Uint8Array, start: number, end: number): Lock {
    return new RedlockLock(this.nodes, this.lines, this.nodes.placeOf(sets, bytes, start, end));
  }

  /** Finds the names of locks. `sets`: each set of nodes that some lock is on, by their indices. */
  names(sets: readonly (readonly number[])[], wanted: NamesWanted, told: (outcome: NamesOutcome) => void): void {
    const { context } = this.nodes;
    const { replicas } = context;
    const places = sets.map((set) => ({ owners: Uint16Array.from(set), copies: set.length }));
    const timeouts = places.map((place) => replicas.limitsOf(replicas.poolOf(place)).requestTimeoutMs);
    const query = { ...wanted, sets: places.map((place) => replicas.numbersOf(place, 0)) };
    walkNames(context, Math.max(...timeouts), query, told);
  }
}

/** Which names are asked for: see NamesQuery. */
export type NamesWanted = Pick<NamesQuery, 'ttlMaxMs' | 'pattern' | 'max' | 'isLock' | 'isWanted'>;

class RedlockLock implements Lock {
  readonly holdersMax = HOLDERS_MAX;
  private readonly nodes: LockNodes;
  private readonly lines: LockLines;
  private readonly place: LockPlace;

  constructor(nodes: LockNodes, lines: LockLines, place: LockPlace) {
    this.nodes = nodes;
    this.lines = lines;
    this.place = place;
  }

  get name(): string {
    return this.place.name;
  }

  get ttlMaxMs(): number {
    return this.place.ttlMaxMs;
  }

  get home(): string {
    const { pool, nodes } = this.place;
    return `${pool} ${nodes.toSorted((one, other) => one - other)}`;
  }

  acquire(order: LockOrder, waitMs: number, told: (outcome: AcquireOutcome) => void): GiveBack {
    return this.lines.begin(this.place, order, waitMs, told);
  }

  extend(token: string, ttlMs: number, told: (outcome: ExtendOutcome) => void): void {
    const askedMs = performance.now();
    const retakes = new Retakes(token, ttlMs, askedMs);
    this.nodes.ask<ExtendOutcome>(
      this.place,
      { kind: 'extend', token, ttlMs },
      (replies) => extendOutcome(replies, ttlMs, askedMs, performance.now()),
      told,
      (replies) => retakes.next(replies, performance.now()),
    );
  }

  release(token: string, told: (outcome: ReleaseOutcome) => void): void {
    const mark = this.lines.wakes.nextMark();
    this.nodes.ask<ReleaseOutcome>(this.place, { kind: 'release', token, mark }, releaseOutcome, told);
  }

  break(told: (outcome: BreakOutcome) => void): void {
    const mark = this.lines.wakes.nextMark();
    this.nodes.ask<BreakOutcome>(this.place, { kind: 'break', mark }, breakOutcome, told);
  }

  look(told: (outcome: InfoOutcome) => void): void {
    this.nodes.ask<InfoOutcome>(this.place, { kind: 'look' }, infoOutcome, told);
  }
}
