/**
 * The node driver: the same turns on `net`, for systems where the epoll driver cannot run.
 *
 *   what sockets say in one round of Node's loop -> setImmediate -> events -> resumed -> timers -> onTurnEnd -> settle ->
 *   one write per connection -> onClose
 *
 * Its arena is ordinary memory. It hands nothing over: with several workers each listens itself (`reusePort`, Node 23.1
 * and later), and the kernel spreads the connections.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { type Endpoint, formatEndpoint } from '../base/endpoint.js';
import { type Timer, Timers } from '../base/timers.js';
import type { ListenerSnapshot } from '../messages.js';
import { Arena } from './arena.js';
import { SessionCounts } from './handover.js';
import { ReceiveBlock } from './inbox.js';
import { BACKLOG, KEEPALIVE_SECONDS } from './listener.js';
import { NodeConnection, type NodeHost } from './node-connection.js';
import {
  type Acceptor,
  type Connection,
  type ConnectionOwner,
  type ConnectOptions,
  type Transport,
  TransportError,
} from './transport.js';
import { TurnList } from './turn-list.js';

const ARENA_BYTES = 512 * 1024 * 1024;
/** Milliseconds in which failures to accept are told once. */
const PAUSE_MS = 100;

export interface NodeOptions {
  worker: number;
  listeners: readonly ListenerSnapshot[];
  /** From createHandover: the sessions of all workers are counted there. */
  handover: SharedArrayBuffer;
  arenaBytes?: number;
}

export class NodeTransport implements Transport, NodeHost {
  readonly kind = 'node';
  readonly arena: Arena;
  readonly timers: Timers;
  now = clock();
  onTurnEnd: () => void = doNothing;
  turns = 0;

  readonly worker: number;
  readonly receive: ReceiveBlock;
  readonly sessions: SessionCounts;
  readonly connections = new Set<NodeConnection>();
  stopping = false;
  ready = new TurnList<NodeConnection>();
  closing = new TurnList<NodeConnection>();
  resumed = new TurnList<NodeConnection>();
  readonly dirty = new TurnList<NodeConnection>();

  private spareReady = new TurnList<NodeConnection>();
  private spareClosing = new TurnList<NodeConnection>();
  private spareResumed = new TurnList<NodeConnection>();
  /** By the text of its endpoint. */
  private listeners: ReadonlyMap<string, ListenerSnapshot>;
  /** By the text of their endpoints. */
  private readonly servers = new Map<string, Server>();
  /** Those that end: some of their connections may still be open. */
  private readonly ending = new Set<Server>();
  /** Sockets accepted since the last turn, and why accepting failed. */
  private accepted: { socket: Socket; endpoint: Endpoint; door: number }[] = [];
  private acceptError: Error | null = null;
  private acceptPause: Timer | null = null;
  private acceptor: Acceptor | null = null;
  private started = false;
  private inTurn = false;
  private scheduled = false;
  private nodeTimer: NodeJS.Timeout | null = null;
  private nodeTimerDueMs = Number.POSITIVE_INFINITY;
  private onStopped: (() => void) | null = null;
  private stopped: Promise<void> | null = null;

  constructor(options: NodeOptions) {
    this.worker = options.worker;
    this.listeners = byEndpoint(options.listeners);
    this.sessions = new SessionCounts(options.handover);
    this.arena = new Arena(new ArrayBuffer(options.arenaBytes ?? ARENA_BYTES));
    this.receive = new ReceiveBlock(this.arena);
    this.timers = new WatchedTimers(() => {
      if (!this.inTurn) this.armTimer();
    });
  }

  totalSessions(): number {
    return this.sessions.total();
  }

  connect(options: ConnectOptions, owner: ConnectionOwner): Connection {
    return NodeConnection.connect(this, options.endpoint, options.timeoutMs, options.retaining, owner);
  }

  startAccepting(acceptor: Acceptor): void {
    if (this.acceptor !== null) return;
    this.acceptor = acceptor;
    for (const [text, { endpoint }] of this.listeners) this.listen(text, endpoint);
  }

  setListeners(listeners: readonly ListenerSnapshot[], onListening: () => void = doNothing): void {
    this.listeners = byEndpoint(listeners);
    if (this.acceptor !== null) {
      for (const [text, server] of this.servers) if (!this.listeners.has(text)) this.end(text, server);
      for (const [text, { endpoint }] of this.listeners) if (!this.servers.has(text)) this.listen(text, endpoint);
    }
    this.whenListening(onListening);
  }

  stopAccepting(): void {
    this.acceptor = null;
    for (const [text, server] of this.servers) this.end(text, server);
    for (const { socket } of this.accepted) socket.destroy();
    this.accepted = [];
  }

  exactNow(): number {
    return performance.now();
  }

  start(onListening: () => void = doNothing): void {
    if (this.started) return;
    this.started = true;
    this.now = clock();
    this.schedule();
    this.armTimer();
    this.whenListening(onListening);
  }

  stop(): Promise<void> {
    this.stopped ??= this.beginStopping();
    return this.stopped;
  }

  schedule(): void {
    if (this.scheduled || !this.started) return;
    this.scheduled = true;
    setImmediate(this.runTurn);
  }

  private readonly runTurn = (): void => {
    this.scheduled = false;
    this.now = clock();
    this.turns++;
    this.inTurn = true;
    // Somebody may have appended outside of a turn.
    this.arena.settle();
    this.takeAccepted();
    this.takeReady();
    this.takeResumed();
    this.timers.fire(this.now);
    this.onTurnEnd();
    this.arena.settle();
    for (let index = 0; index < this.dirty.count; index++) this.dirty.take(index).sendTurn();
    this.dirty.count = 0;
    this.concludeClosing();
    this.inTurn = false;
    if (this.ready.count + this.resumed.count + this.dirty.count + this.closing.count > 0) this.schedule();
    this.armTimer();
    this.finishStopping();
  };

  private takeAccepted(): void {
    const { accepted, acceptor } = this;
    if (accepted.length > 0) this.accepted = [];
    for (const { socket, endpoint, door } of accepted) {
      if (acceptor === null) socket.destroy();
      else if (!socket.destroyed)
        NodeConnection.accept(this, socket, endpoint, (connection) => acceptor.onConnection(connection, door));
    }
    if (this.acceptError !== null && acceptor !== null) this.tellAcceptError(acceptor, this.acceptError);
    this.acceptError = null;
  }

  private tellAcceptError(acceptor: Acceptor, error: NodeJS.ErrnoException): void {
    // The main thread has tried to listen there just before. Thrown, it ends the thread, which nobody would ever reach.
    if (error.syscall === 'listen' || error.syscall === 'bind') throw error;
    if (this.acceptPause !== null) return;
    this.acceptPause = this.timers.set(this.now + PAUSE_MS, () => {
      this.acceptPause = null;
    });
    acceptor.onAcceptPaused(new TransportError(error.code ?? 'EIO', `accept: ${error.message}`), PAUSE_MS);
  }

  private takeReady(): void {
    const ready = this.ready;
    this.ready = this.spareReady;
    this.spareReady = ready;
    for (let index = 0; index < ready.count; index++) ready.take(index).takeEvents();
    ready.count = 0;
  }

  private takeResumed(): void {
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

  private listen(text: string, endpoint: Endpoint): void {
    const server = createServer({
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_SECONDS * 1000,
    });
    server.on('connection', (socket) => {
      // Until a turn has found its owner, nobody else listens for its errors.
      socket.on('error', doNothing);
      const listener = this.listeners.get(text);
      if (listener === undefined) {
        socket.destroy();
        return;
      }
      this.accepted.push({ socket, endpoint, door: listener.door });
      this.schedule();
    });
    server.on('error', (error) => {
      this.acceptError = error;
      this.schedule();
    });
    this.servers.set(text, server);
    if (endpoint.kind === 'unix') {
      server.listen({ path: endpoint.path, backlog: BACKLOG });
      return;
    }
    // `reusePort` is newer than the types of the oldest Node we run on.
    const options = { host: endpoint.host, port: endpoint.port, backlog: BACKLOG, exclusive: true, ipv6Only: true };
    server.listen(this.sessions.workers > 1 ? { ...options, reusePort: true } : options);
  }

  private whenListening(onListening: () => void): void {
    const awaited = new Set([...this.servers.values()].filter((server) => !server.listening));
    if (awaited.size === 0) onListening();
    for (const server of awaited) {
      server.once('listening', () => {
        awaited.delete(server);
        if (awaited.size === 0) onListening();
      });
    }
  }

  private end(text: string, server: Server): void {
    this.servers.delete(text);
    this.ending.add(server);
    server.close(() => {
      this.ending.delete(server);
      if (this.stopping) this.schedule();
    });
  }

  /** One Node timer, for the next of ours. */
  private armTimer(): void {
    const dueMs = this.timers.nextDueMs();
    if (dueMs === this.nodeTimerDueMs || !this.started) return;
    if (this.nodeTimer !== null) clearTimeout(this.nodeTimer);
    this.nodeTimer = null;
    this.nodeTimerDueMs = dueMs;
    if (dueMs === Number.POSITIVE_INFINITY) return;
    this.nodeTimer = setTimeout(this.onTimer, Math.min(Math.max(dueMs - clock(), 0), 2 ** 30));
  }

  private readonly onTimer = (): void => {
    this.nodeTimer = null;
    this.nodeTimerDueMs = Number.POSITIVE_INFINITY;
    this.schedule();
  };

  private beginStopping(): Promise<void> {
    this.stopAccepting();
    this.stopping = true;
    for (const connection of this.connections) connection.destroy(null);
    return new Promise((resolve) => {
      this.onStopped = resolve;
      this.start();
      this.schedule();
    });
  }

  private finishStopping(): void {
    if (this.onStopped === null || this.connections.size > 0 || this.ending.size > 0) return;
    if (this.nodeTimer !== null) clearTimeout(this.nodeTimer);
    this.started = false;
    this.onStopped();
    this.onStopped = null;
  }
}

function byEndpoint(listeners: readonly ListenerSnapshot[]): ReadonlyMap<string, ListenerSnapshot> {
  return new Map(listeners.map((listener) => [formatEndpoint(listener.endpoint), listener]));
}

/** Says when a deadline was added, which may be the next. */
class WatchedTimers extends Timers {
  private readonly onSet: () => void;

  constructor(onSet: () => void) {
    super();
    this.onSet = onSet;
  }

  override set(dueMs: number, callback: () => void): Timer {
    const timer = super.set(dueMs, callback);
    this.onSet();
    return timer;
  }
}

function clock(): number {
  return Math.floor(performance.now());
}

function doNothing(): void {}
