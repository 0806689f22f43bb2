/**
 * A node: a server process around the model of an acceptor. It starts and dies, keeps or loses its data, stands still, is made a
 * replica and a master again, and tells those who track `~rl:node`.
 */
import type { MemberAnswer, MemberStep, ProcessId } from '../../../src/replica/member-step.js';
import type { Answer, Step } from '../../../src/replica/step.js';
import { Acceptor, emptyData, type NodeData, type Omission } from '../../help/acceptor.js';
import type { Random } from '../../help/random.js';
import type { Agenda } from './agenda.js';
import { type Acts, type Content, type Outcome, perform } from './language.js';
import type { Line, Server } from './network.js';
import { START_MS } from './schedule.js';
import { DRAWN_END } from './sequential.js';
import type { Deed } from './troubles.js';

export type Value = string;

export type Request =
  /** HELLO and CLIENT TRACKING. */
  | { kind: 'track' }
  | { kind: 'step'; key: string; step: Step<Acts, Value>; record: string }
  | { kind: 'member'; step: MemberStep<string, Value>; record: string };

export type Message =
  | { kind: 'tracking' }
  | { kind: 'push' }
  | { kind: 'step'; answer: Answer<Outcome, Value> }
  | { kind: 'member'; answer: MemberAnswer<string> | { kind: 'unable'; error: Uint8Array } };

export type NodeLine = Line<Request, Message>;

/** Who looks on and knows all. */
export interface Witness {
  /** A node has carried out a step, or refused to. */
  onStep(node: SimNode, key: string, step: Step<Acts, Value>, answer: Answer<Outcome, Value>): void;
  onMemberStep(node: SimNode, step: MemberStep<string, Value>, answer: MemberAnswer<string>): void;
  onClock(timeMs: number): void;
  trace(text: () => string): void;
}

const FULL = Buffer.from("-OOM command not allowed when used memory > 'maxmemory'.\r\n");
const READ_ONLY = Buffer.from("-READONLY You can't write against a read only replica.\r\n");

export class SimNode implements Server<Request, Message> {
  readonly index: number;
  readonly name: string;
  readonly acceptor: Acceptor<Acts, Outcome, Value>;
  isPaused = false;
  /** It takes no writes (-OOM). */
  isFull = false;
  /**
   * Since it was last admitted, something happened to its data behind everyone's back: what it answers may not count, and what it
   * voted for may be forgotten.
   */
  isTainted = true;
  /** Its data are older than what it has accepted, and nobody has repaired it yet. */
  isRolledBack = false;
  /** Told of what it does, and for whom. */
  readonly watchers = new Set<(from: string, deed: Deed) => void>();
  private readonly agenda: Agenda;
  private readonly random: Random;
  private readonly witness: Witness;
  private isRunning = true;
  private isReplica = false;
  private debugCommand = 'no';
  private skewMs: number;
  private lives = 0;
  private readonly trackers = new Set<NodeLine>();
  private saved: NodeData<Value> = emptyData();

  constructor(
    index: number,
    options: { agenda: Agenda; random: Random; witness: Witness; skewMs: number; without: ReadonlySet<Omission> },
  ) {
    this.index = index;
    this.name = `n${index + 1}`;
    this.agenda = options.agenda;
    this.random = options.random;
    this.witness = options.witness;
    this.skewMs = options.skewMs;
    this.acceptor = new Acceptor<Acts, Outcome, Value>({
      engine: {
        apply: (commands, stored, nowMs) => this.apply(commands, stored, nowMs),
        read: (commands, stored, nowMs) => this.apply(commands, stored, nowMs).replies,
      },
      clock: () => this.clock(),
      process: this.newProcess(),
      onRecord: () => this.push(),
      without: options.without,
    });
  }

  get processId(): string | null {
    return this.isRunning ? this.acceptor.process.runId : null;
  }

  clock(): number {
    const timeMs = START_MS + this.agenda.nowMs + this.skewMs;
    this.witness.onClock(timeMs);
    return timeMs;
  }

  serve(request: Request, line: NodeLine): Message {
    switch (request.kind) {
      case 'track':
        this.trackers.add(line);
        return { kind: 'tracking' };
      case 'step':
        return { kind: 'step', answer: this.serveStep(line.from, request.key, request.step, request.record) };
      case 'member':
        return { kind: 'member', answer: this.serveMember(line.from, request.step, request.record) };
    }
  }

  onOpened(): void {}

  onClosed(line: NodeLine): void {
    this.trackers.delete(line);
  }

  // What befalls it.

  save(): void {
    this.saved = this.acceptor.save();
  }

  die(): void {
    this.isRunning = false;
    this.isReplica = false;
    this.isTainted = true;
    this.trackers.clear();
  }

  /** `isDebug`: its configuration allows DEBUG now. */
  start(keeps: 'all' | 'saved' | 'nothing', isDebug: boolean): void {
    if (this.isRunning) return;
    const data = { all: () => this.acceptor.save(), saved: () => this.saved, nothing: () => emptyData<Value>() }[
      keeps
    ]();
    this.isRunning = true;
    this.debugCommand = isDebug ? 'yes' : 'no';
    this.acceptor.restart(this.newProcess(), data);
    this.saved = this.acceptor.save();
  }

  /** Of another server that has what this one had saved. */
  becomeReplica(): void {
    if (!this.isRunning) return;
    this.isReplica = true;
    this.isTainted = true;
    this.isRolledBack = true;
    this.pushAtOnce();
    this.acceptor.resync(this.saved, `m${++this.lives}`);
  }

  becomeMaster(): void {
    if (!this.isRunning || !this.isReplica) return;
    this.isReplica = false;
    this.acceptor.process = { ...this.acceptor.process, replId: `m${++this.lives}` };
  }

  flush(): void {
    if (!this.isRunning) return;
    this.isTainted = true;
    this.pushAtOnce();
    this.acceptor.flush();
  }

  reload(): void {
    if (!this.isRunning || this.debugCommand === 'no') return;
    this.isTainted = true;
    this.isRolledBack = true;
    this.pushAtOnce();
    this.acceptor.resync(this.saved, this.acceptor.process.replId);
  }

  turnClock(byMs: number): void {
    this.skewMs += byMs;
  }

  /** Removes what has expired by its clock, as a server does when it likes. */
  sweep(): void {
    const { values } = this.acceptor.data;
    const nowMs = this.clock();
    for (const [key, { expireAt }] of values) if (expireAt !== 0 && expireAt <= nowMs) values.delete(key);
  }

  private serveStep(from: string, key: string, step: Step<Acts, Value>, record: string): Answer<Outcome, Value> {
    // An access removes what has expired.
    this.sweep();
    const isWrite = step.kind !== 'peek' && step.kind !== 'read' && step.kind !== 'snapshot';
    if (this.isReplica && isWrite) return { kind: 'unable', error: READ_ONLY };
    if (this.isFull && (step.kind === 'accept' || step.kind === 'install' || step.kind === 'merge'))
      return { kind: 'unable', error: FULL };
    const answer = this.acceptor.perform(step, key, record);
    this.witness.onStep(this, key, step, answer);
    if ((step.kind === 'accept' || step.kind === 'install') && answer.kind === 'ok') {
      this.tell(from, 'vote');
    }
    return answer;
  }

  private serveMember(
    from: string,
    step: MemberStep<string, Value>,
    record: string,
  ): MemberAnswer<string> | { kind: 'unable'; error: Uint8Array } {
    this.sweep();
    if (step.kind === 'look') {
      const facts = this.acceptor.performMember(step, record) as Extract<MemberAnswer<string>, { kind: 'facts' }>;
      return { ...facts, role: this.isReplica ? 'slave' : 'master', debugCommand: this.debugCommand };
    }
    if (this.isReplica && step.kind !== 'scan') return { kind: 'unable', error: READ_ONLY };
    const answer = this.acceptor.performMember(step, record);
    this.witness.onMemberStep(this, step, answer);
    if (answer.kind === 'metas') this.tell(from, 'metas');
    return answer;
  }

  private tell(from: string, deed: Deed): void {
    for (const watcher of this.watchers) watcher(from, deed);
  }

  private apply(
    commands: Acts,
    content: { value: string; expireAt: number } | null,
    nowMs: number,
  ): { stored: { value: string; expireAt: number } | null; replies: Outcome } {
    let now: Content | null = content === null ? null : { text: content.value, expireAt: content.expireAt };
    const replies: (string | null)[] = [];
    for (const act of commands) {
      const [after, reply] = perform(now, act, () => this.random.below(DRAWN_END));
      // An expiry that has passed deletes at once.
      now = after !== null && after.expireAt !== 0 && after.expireAt <= nowMs ? null : after;
      replies.push(reply);
    }
    return { stored: now === null ? null : { value: now.text, expireAt: now.expireAt }, replies };
  }

  /** To who tracks. A change is told when the turn ends in which it was made; others may be answered before. */
  private push(): void {
    for (const line of this.trackers) this.agenda.after(0, () => line.answer({ kind: 'push' }));
  }

  /** A server that drops all it has tells who tracks before it answers anybody (Redis's trackingInvalidateKeysOnFlush). */
  private pushAtOnce(): void {
    for (const line of this.trackers) line.answer({ kind: 'push' });
  }

  private newProcess(): ProcessId {
    this.lives++;
    return { runId: `${this.name}.${this.lives}`, replId: `m${this.lives}` };
  }
}
