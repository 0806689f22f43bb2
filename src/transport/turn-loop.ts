/**
 * The loop of turns in one worker thread, as the io_uring and the epoll driver take them.
 *
 *   wait in the kernel -> events -> resumed -> timers -> onTurnEnd -> settle -> one send per connection -> onClose -> again
 *
 * The thread waits in the kernel, where Node cannot reach it. So libuv's own descriptor is watched with the others, and
 * libuv's own time-out bounds the wait: a message, terminate(), the end of the process, a timer or setImmediate end it, and
 * the loop returns to Node. It does so as well after an empty wait, and at least every 64 turns or millisecond.
 * What it cannot see are promises: one that is resolved inside a turn may go on only after the next event. Owners use none.
 */
import { Timers } from '../base/timers.js';
import type { ListenerSnapshot } from '../messages.js';
import { Acceptors, type Watches } from './acceptors.js';
import type { Arena } from './arena.js';
import { Descriptors } from './descriptors.js';
import { Handover } from './handover.js';
import { ReceiveBlock } from './inbox.js';
import type { SocketConnection } from './socket-connection.js';
import { EPOLLIN, type MappedArena, mapArena, type NodeLoop, type System, system } from './system.js';
import type { Acceptor, Connection, ConnectionOwner, ConnectOptions, Transport } from './transport.js';
import { TurnList } from './turn-list.js';

const TURNS_MAX = 64;
/** Milliseconds of turns without a look at Node. */
const TURNS_MS = 1;
/** Milliseconds to wait in the kernel where libuv's loop cannot be seen. */
const BLIND_WAIT_MS = 50;
/** Longest wait in the kernel (epoll's parameter is an int), in milliseconds. */
const WAIT_MAX_MS = 2 ** 30;

export interface LoopOptions {
  /** Index of the worker in the shared tables. */
  worker: number;
  listeners: readonly ListenerSnapshot[];
  /** From createDescriptors and createHandover. */
  descriptors: SharedArrayBuffer;
  handover: SharedArrayBuffer;
  /** One eventfd per worker. */
  wakeDescriptors: readonly number[];
  /** Memory to map: 2 GiB, or less where the system refuses. It is unmapped by `buryWorker`. */
  arenaBytes?: number;
}

/** What the driver's own parts stand on: opened before the loop is made of all. */
export interface LoopBase {
  readonly descriptors: Descriptors;
  readonly sessions: Handover;
  readonly mapped: MappedArena;
}

/** Maps the worker's arena and notes it. Throws a TransportError where the system refuses. */
export function openLoopBase(options: LoopOptions): LoopBase {
  const descriptors = new Descriptors(options.descriptors);
  const sessions = new Handover(options.handover, descriptors, options.wakeDescriptors);
  const mapped = mapArena(options.arenaBytes);
  descriptors.noteArena(options.worker, mapped.address, mapped.bytes);
  return { descriptors, sessions, mapped };
}

export abstract class TurnLoop<C extends SocketConnection> implements Transport {
  abstract readonly kind: 'io_uring' | 'epoll';
  readonly arena: Arena;
  readonly timers = new Timers();
  now = clock();
  onTurnEnd: () => void = doNothing;
  turns = 0;

  readonly worker: number;
  readonly calls: System;
  /** Address of arena.bytes[0]. */
  readonly address: number;
  readonly receive: ReceiveBlock;
  readonly descriptors: Descriptors;
  readonly sessions: Handover;
  /** True once the driver is being stopped: no connection is opened any more. */
  stopping = false;
  dirty = new TurnList<C>();
  closing = new TurnList<C>();
  resumed = new TurnList<C>();

  private readonly nodeLoop: NodeLoop | null;
  /** Set by an event of libuv's descriptor. */
  private nodeWaits = false;
  /** Lists of the turn before, empty: a turn works one list off while the next one fills. */
  private spareClosing = new TurnList<C>();
  private spareResumed = new TurnList<C>();
  private readonly accepting: Acceptors;
  private started = false;
  /** A timer that never fires: libuv tells how long it can wait only while something keeps it alive. */
  private keepAlive: NodeJS.Timeout | null = null;
  private onStopped: (() => void) | null = null;
  private stopped: Promise<void> | null = null;

  /** Throws a TransportError where the system refuses. */
  protected constructor(options: LoopOptions, base: LoopBase, watches: Watches) {
    this.worker = options.worker;
    this.calls = system();
    this.descriptors = base.descriptors;
    this.sessions = base.sessions;
    this.arena = base.mapped.arena;
    this.address = base.mapped.address;
    this.receive = new ReceiveBlock(base.mapped.arena);
    const wakeDescriptor = options.wakeDescriptors[options.worker] as number;
    this.accepting = new Acceptors(this, watches, this.sessions, options.listeners, wakeDescriptor);
    const nodeLoop = this.calls.nodeLoop();
    this.nodeLoop = nodeLoop !== null && watches.add(nodeLoop.descriptor, EPOLLIN) === null ? nodeLoop : null;
  }

  /** Takes over an accepted `descriptor`, which is noted and counted already. */
  abstract adopt(descriptor: number, findOwner: (connection: Connection) => ConnectionOwner): void;
  abstract connect(options: ConnectOptions, owner: ConnectionOwner): Connection;
  /** Waits for at most so many milliseconds (0: not at all). Returns how many events came. */
  protected abstract wait(timeoutMs: number): number;
  /** Hands the events of the last wait to those whom they concern. */
  protected abstract takeEvents(count: number): void;
  protected abstract destroyAll(): void;
  /** True when no connection is left. */
  protected abstract isEmpty(): boolean;
  /** Closes what the driver waits with. */
  protected abstract closeDriver(): void;

  totalSessions(): number {
    return this.sessions.total();
  }

  startAccepting(acceptor: Acceptor): void {
    this.accepting.start(acceptor);
  }

  setListeners(listeners: readonly ListenerSnapshot[], onListening: () => void = doNothing): void {
    this.accepting.setListeners(listeners);
    onListening();
  }

  stopAccepting(): void {
    this.accepting.stop();
  }

  exactNow(): number {
    return performance.now();
  }

  start(onListening: () => void = doNothing): void {
    if (this.started) return;
    this.started = true;
    this.now = clock();
    this.keepAlive = setInterval(doNothing, 2 ** 31 - 1);
    setImmediate(this.tick);
    // The main thread listens, and has long begun to.
    onListening();
  }

  stop(): Promise<void> {
    this.stopped ??= this.beginStopping();
    return this.stopped;
  }

  /** An event of a descriptor that is no connection's. */
  protected onWatched(descriptor: number): void {
    if (descriptor === this.nodeLoop?.descriptor) this.nodeWaits = true;
    else this.accepting.onEvent(descriptor);
  }

  /** What setImmediate runs: turns, until Node's own loop is due. */
  private readonly tick = (): void => {
    // While an immediate is referenced, libuv says that it must not wait; so ours is not, for the length of the turns.
    const next = setImmediate(this.tick).unref();
    try {
      this.runTurns();
    } catch (error) {
      // The thread dies of it. Until it is buried nobody must hand it connections.
      clearImmediate(next);
      this.sessions.leave(this.worker);
      throw error;
    }
    next.ref();
    if (!this.stopping || !this.isEmpty() || this.closing.count > 0) return;
    clearImmediate(next);
    this.finishStopping();
  };

  private runTurns(): void {
    let endMs = 0;
    for (let turn = 1; ; turn++) {
      const count = this.wait(this.waitMs());
      this.now = clock();
      if (turn === 1) endMs = this.now + TURNS_MS;
      this.turn(count);
      if (count === 0 || this.nodeWaits || turn === TURNS_MAX || this.now >= endMs || this.stopping) break;
    }
    this.nodeWaits = false;
  }

  private turn(count: number): void {
    this.turns++;
    // Somebody may have appended outside of a turn.
    this.arena.settle();
    this.takeEvents(count);
    if (this.resumed.count > 0) this.takeUpResumed();
    this.timers.fire(this.now);
    this.onTurnEnd();
    this.arena.settle();
    const dirty = this.dirty;
    for (let index = 0; index < dirty.count; index++) dirty.take(index).sendTurn();
    dirty.count = 0;
    if (this.closing.count > 0) this.concludeClosing();
  }

  private takeUpResumed(): void {
    const resumed = this.resumed;
    this.resumed = this.spareResumed;
    this.spareResumed = resumed;
    for (let index = 0; index < resumed.count; index++) resumed.take(index).takeUp();
    resumed.count = 0;
  }

  private concludeClosing(): void {
    const closing = this.closing;
    this.closing = this.spareClosing;
    this.spareClosing = closing;
    for (let index = 0; index < closing.count; index++) closing.take(index).conclude();
    closing.count = 0;
  }

  /** Milliseconds that the kernel may keep us: none while something is due that no event will tell of. */
  private waitMs(): number {
    if (this.dirty.count > 0 || this.closing.count > 0 || this.resumed.count > 0) return 0;
    const waitMs = this.timers.nextDueMs() - this.now;
    if (waitMs <= 0) return 0;
    return Math.min(waitMs, this.nodeLoop === null ? BLIND_WAIT_MS : this.nodeLoop.waitMs(), WAIT_MAX_MS);
  }

  private beginStopping(): Promise<void> {
    this.stopAccepting();
    this.stopping = true;
    this.destroyAll();
    return new Promise((resolve) => {
      this.onStopped = resolve;
      this.start();
    });
  }

  private finishStopping(): void {
    if (this.keepAlive !== null) clearInterval(this.keepAlive);
    this.sessions.closeWaiting(this.worker);
    this.closeDriver();
    this.onStopped?.();
  }
}

function clock(): number {
  return Math.floor(performance.now());
}

function doNothing(): void {}
