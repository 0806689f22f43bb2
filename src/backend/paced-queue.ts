/**
 * Spreads work over turns of the transport: what takes 50 µs for one node takes a tenth of a second for two thousand, and
 * sessions would wait for it. After a reload, or when a switch comes back, all nodes have something to be done at once.
 */
import { Fifo } from '../base/fifo.js';
import type { Transport } from '../transport/transport.js';

/** Milliseconds between turns in which there is work, while some waits. */
const INTERVAL_MS = 1;

export class PacedQueue {
  private readonly transport: Transport;
  private readonly tasksPerTurn: number;
  private readonly turnMs: number;
  private readonly waiting = new Fifo<() => void>();
  private turn = -1;
  private tasksInTurn = 0;
  /** When the first task of the turn was begun. */
  private begunMs = 0;

  /** `turnMs`: after so many milliseconds none more is begun in the same turn. */
  constructor(transport: Transport, tasksPerTurn: number, turnMs = Number.POSITIVE_INFINITY) {
    this.transport = transport;
    this.tasksPerTurn = tasksPerTurn;
    this.turnMs = turnMs;
  }

  /** Calls `task` now, or in a later turn, after those that wait already. Its bound is the caller's business. */
  request(task: () => void): void {
    if (this.waiting.length === 0 && this.takesOne()) {
      task();
      return;
    }
    this.waiting.push(task);
    if (this.waiting.length === 1) this.goOnLater();
  }

  private goOnLater(): void {
    const { transport } = this;
    transport.timers.set(transport.now + INTERVAL_MS, () => {
      while (this.waiting.length > 0 && this.takesOne()) this.waiting.shift()?.();
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
    if (this.tasksInTurn === this.tasksPerTurn) return false;
    if (this.tasksInTurn > 0 && transport.exactNow() - this.begunMs > this.turnMs) return false;
    this.tasksInTurn++;
    return true;
  }
}
