/**
 * Brings copies that are behind up to a chosen state (REPLICATION.md, R2): one that has it is asked for it, and they are given it.
 * Nobody waits for that, and what fails is tried again with the next write.
 */
import type { Ballot } from './ballot.js';
import type { Register } from './register.js';
import type { Member } from './roster.js';
import type { Asker, RoundContext } from './round.js';
import type { AcceptAnswer, Answer, KeyState, Step } from './step.js';

export class Mend<C, R, V> implements Asker<R, V>, Member {
  readonly key: string;
  readonly nodes: readonly number[];
  dueMs: number;
  place = -1;
  readonly register: Register;
  private readonly context: RoundContext<C, R, V>;
  private readonly ballot: Ballot;
  /** The promise that the other copies have given already. */
  private readonly next: Ballot;
  private readonly behind: number;
  private out = 0;
  private isFinished = false;
  private readonly onDone: (mend: Mend<C, R, V>) => void;

  constructor(
    register: Register,
    dueMs: number,
    context: RoundContext<C, R, V>,
    onDone: (mend: Mend<C, R, V>) => void,
  ) {
    this.key = register.key;
    this.nodes = register.nodes;
    this.register = register;
    this.dueMs = dueMs;
    this.context = context;
    this.ballot = register.chosen;
    this.next = register.ride?.ballot ?? register.chosen;
    this.behind = register.behind;
    this.onDone = onDone;
  }

  begin(): void {
    const { holders } = this.register;
    this.context.send(this, 31 - Math.clz32(holders & -holders), SNAPSHOT_TAG, { kind: 'snapshot' });
  }

  onAnswer(copy: number, tag: number, answer: Answer<R, V> | null): void {
    if (this.isFinished) return;
    const bit = 1 << copy;
    if (tag === SNAPSHOT_TAG) {
      if (answer?.kind !== 'view' || answer.accepted !== this.ballot) {
        // Another proposer has gone on: the next write finds out who has what.
        this.register.ride = null;
        this.register.behind = 0;
        this.finish();
        return;
      }
      const { accepted, lineage, live, expireAt, value } = answer;
      this.install({ accepted, lineage, live, expireAt, value });
      return;
    }
    const installed = answer as AcceptAnswer<R> | null;
    this.out &= ~bit;
    if (installed?.kind === 'ok' || installed?.kind === 'already') {
      if (this.register.chosen === this.ballot) {
        this.register.holders |= bit;
        this.register.behind &= ~bit;
      }
    } else if (installed?.kind === 'refused') {
      this.register.onSeen(installed.promised, installed.epochFloor);
    }
    if (this.out === 0) this.finish();
  }

  onTime(): void {
    this.finish();
  }

  private install(state: KeyState<V>): void {
    const step: Step<C, V> = { kind: 'install', state, next: this.next };
    this.out = this.behind;
    for (let copy = 0; copy < this.nodes.length; copy++) {
      if ((this.behind & (1 << copy)) === 0) continue;
      this.context.count('install');
      this.context.send(this, copy, INSTALL_TAG, step);
    }
  }

  private finish(): void {
    this.isFinished = true;
    this.dueMs = Number.POSITIVE_INFINITY;
    this.onDone(this);
  }
}

const SNAPSHOT_TAG = 0;
const INSTALL_TAG = 1;
