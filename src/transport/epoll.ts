/**
 * The epoll driver: a loop of turns in one worker thread.
 *
 *   epoll_wait -> events -> resumed -> timers -> onTurnEnd -> settle -> one send per connection -> onClose -> again
 *
 * The thread waits in the kernel, where Node cannot reach it. So libuv's own descriptor is in the epoll set, and libuv's
 * own time-out bounds the wait: a message, terminate(), the end of the process, a timer or setImmediate end it, and the
 * loop returns to Node. It does so as well after an empty wait, and at least every 64 turns or millisecond.
 * What it cannot see are promises: one that is resolved inside a turn may go on only after the next event. Owners use none.
 */
import { Timers } from '../base/timers.js';
import type { ListenerSnapshot } from '../messages.js';
import type { Arena } from './arena.js';
import { Descriptors } from './descriptors.js';
import { EpollAcceptor } from './epoll-acceptor.js';
import { EpollConnection, type EpollHost } from './epoll-connection.js';
import { Handover } from './handover.js';
import { ReceiveBlock } from './inbox.js';
import { Poll } from './poll.js';
import { EPOLLIN, mapArena, type NodeLoop, type System, system } from './system.js';
import type { Acceptor, Connection, ConnectionOwner, ConnectOptions, Transport } from './transport.js';
import { TurnList } from './turn-list.js';

const TURNS_MAX = 64;
/** Milliseconds of turns without a look at Node. */
const TURNS_MS = 1;
/** Milliseconds to wait in the kernel where libuv's loop cannot be seen. */
const BLIND_WAIT_MS = 50;
/** Longest wait in the kernel (its parameter is an int), in milliseconds. */
const WAIT_MAX_MS = 2 ** 30;

export interface EpollOptions {
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

export class EpollTransport implements Transport, EpollHost {
  readonly kind = 'epoll';
  readonly arena: Arena;
  readonly timers = new Timers();
  now = clock();
  onTurnEnd: () => void = doNothing;
  turns = 0;

  readonly worker: number;
  readonly calls: System;
  readonly address: number;
  readonly receive: ReceiveBlock;
  readonly poll: Poll;
  readonly descriptors: Descriptors;
  readonly sessions: Handover;
  stopping = false;
  dirty = new TurnList<EpollConnection>();
  closing = new TurnList<EpollConnection>();
  resumed = new TurnList<EpollConnection>();

  /** Lists of the turn before, empty: a turn works one list off while the next one fills. */
  private spareClosing = new TurnList<EpollConnection>();
  private spareResumed = new TurnList<EpollConnection>();
  /** By descriptor. */
  private readonly connections: (EpollConnection | null)[] = [];
  private connectionCount = 0;
  private readonly accepting: EpollAcceptor;
  private readonly nodeLoop: NodeLoop | null;
  private nodeWaits = false;
  private started = false;
  /** A timer that never fires: libuv tells how long it can wait only while something keeps it alive. */
  private keepAlive: NodeJS.Timeout | null = null;
  private onStopped: (() => void) | null = null;
  private stopped: Promise<void> | null = null;

  /** Throws a TransportError where the system refuses. */
  constructor(options: EpollOptions) {
    this.worker = options.worker;
    this.calls = system();
    this.descriptors = new Descriptors(options.descriptors);
    this.sessions = new Handover(options.handover, this.descriptors, options.wakeDescriptors);
    const mapped = mapArena(options.arenaBytes);
    this.descriptors.noteArena(options.worker, mapped.address, mapped.bytes);
    this.arena = mapped.arena;
    this.address = mapped.address;
    this.receive = new ReceiveBlock(mapped.arena);
    this.poll = new Poll(mapped, this.descriptors, options.worker);
    const wakeDescriptor = options.wakeDescriptors[options.worker] as number;
    this.accepting = new EpollAcceptor(this, this.sessions, options.listeners, wakeDescriptor);
    const nodeLoop = this.calls.nodeLoop();
    this.nodeLoop = nodeLoop !== null && this.poll.add(nodeLoop.descriptor, EPOLLIN) === null ? nodeLoop : null;
  }

  totalSessions(): number {
    return this.sessions.total();
  }

  connect(options: ConnectOptions, owner: ConnectionOwner): Connection {
    return EpollConnection.connect(this, options.endpoint, options.timeoutMs, options.retaining, owner);
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

  route(descriptor: number, connection: EpollConnection | null): void {
    // Filled without holes: an array with holes is looked up slowly.
    while (this.connections.length <= descriptor) this.connections.push(null);
    const before = this.connections[descriptor];
    this.connectionCount += (connection === null ? 0 : 1) - (before === null ? 0 : 1);
    this.connections[descriptor] = connection;
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
    if (!this.stopping || this.connectionCount > 0 || this.closing.count > 0) return;
    clearImmediate(next);
    this.finishStopping();
  };

  private runTurns(): void {
    let endMs = 0;
    for (let turn = 1; ; turn++) {
      const count = this.poll.wait(this.waitMs());
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
    for (let index = 0; index < count; index++) {
      const descriptor = this.poll.descriptorOf(index);
      const connection = this.connections[descriptor];
      if (connection !== undefined && connection !== null) connection.onEvents(this.poll.eventsOf(index));
      else if (descriptor === this.nodeLoop?.descriptor) this.nodeWaits = true;
      else this.accepting.onEvent(descriptor);
    }
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
    for (const connection of this.connections) connection?.destroy(null);
    return new Promise((resolve) => {
      this.onStopped = resolve;
      this.start();
    });
  }

  private finishStopping(): void {
    if (this.keepAlive !== null) clearInterval(this.keepAlive);
    this.sessions.closeWaiting(this.worker);
    this.descriptors.clear(this.poll.descriptor);
    this.calls.close(this.poll.descriptor);
    this.onStopped?.();
  }
}

function clock(): number {
  return Math.floor(performance.now());
}

function doNothing(): void {}
