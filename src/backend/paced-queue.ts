/**
 * Spreads work over turns of the transport: what takes 50 µs for one node takes a tenth of a second for two thousand, and
 * sessions would wait for it. After a reload, or when a switch comes back, all nodes have something to be done at once.
 */
import { Fifo } from '../base/fifo.js';
import type { Transport } from '../transport/transport.js';

/** How fast what waits is done. */
export interface Pace {
  /** Between turns in which there is work, while some waits; milliseconds. */
  readonly intervalMs: number;
  /** Where more than `after` tasks wait together, all behind those wait for so many milliseconds more. */
  readonly rest: { readonly after: number; readonly ms: number };
}

const AT_ONCE: Pace = { intervalMs: 1, rest: { after: 0, ms: 1 } };

/** Where the tasks of a turn are soon done, it takes more of them: up to `max` in all, begun within so many milliseconds. */
export interface MoreTasks {
  readonly max: number;
  readonly ms: number;
}

export class PacedQueue {
  private readonly transport: Transport;
  private readonly tasksPerTurn: number;
  private readonly more: MoreTasks;
  private readonly pace: Pace;
  private readonly waiting = new Fifo<() => void>();
  private turn = -1;
  private tasksInTurn = 0;
  /** When the first task of the turn was begun. */
  private begunMs = 0;
  /** Of those that wait together, how many have been done. */
  private done = 0;
  private hasRested = false;

  constructor(
    transport: Transport,
    tasksPerTurn: number,
    more: MoreTasks = { max: tasksPerTurn, ms: 0 },
    pace = AT_ONCE,
  ) {
    this.transport = transport;
    this.tasksPerTurn = tasksPerTurn;
    this.more = more;
    this.pace = pace;
  }

  /** Calls `task` now, or in a later turn, after those that wait already. Its bound is the caller's business. */
  request(task: () => void): void {
    if (this.waiting.length === 0 && this.takesOne()) {
      task();
      return;
    }
    this.waiting.push(task);
    if (this.waiting.length > 1) return;
    this.done = 0;
    this.hasRested = false;
    this.goOnLater();
  }

  private goOnLater(): void {
    const { transport, pace } = this;
    const isRest = !this.hasRested && this.done >= pace.rest.after;
    this.hasRested ||= isRest;
    transport.timers.set(transport.now + (isRest ? pace.rest.ms : pace.intervalMs), () => {
      for (; this.waiting.length > 0 && this.takesOne(); this.done++) this.waiting.shift()?.();
      if (this.waiting.length > 0) this.goOnLater();
    });
  }

  private takesOne(): boolean {
    const { transport } = this;
    if (transport.turns !== this.turn) {
      this.turn = transport.turns;
      this.tasksInTurn = 0;
      this.begunMs = transport.exactNow();
    }
    const { tasksInTurn, tasksPerTurn, more } = this;
    if (tasksInTurn === more.max) return false;
    if (tasksInTurn >= tasksPerTurn && transport.exactNow() - this.begunMs >= more.ms) return false;
    this.tasksInTurn++;
    return true;
  }
}
