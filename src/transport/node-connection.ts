/**
 * One socket of the node driver.
 *
 *   net.Socket events -> noted here -> `takeEvents` in the next turn -> owner
 *
 * The states are those of the epoll driver: connecting -> open -> draining -> lingering -> closed. Unlike there, the
 * owner's memory stays until net says 'close': a write under way still reads from the arena.
 */
import { connect, isIP, type Socket } from 'node:net';
import { type Endpoint, formatEndpoint } from '../base/endpoint.js';
import type { Timer, Timers } from '../base/timers.js';
import type { Arena } from './arena.js';
import type { SessionCounts } from './handover.js';
import { Inbox, type ReceiveBlock } from './inbox.js';
import { Output } from './output.js';
import { CONNECT_TIMEOUT, type Connection, type ConnectionOwner, NO_MEMORY, TransportError } from './transport.js';
import type { TurnList } from './turn-list.js';

/** What the driver has for all its connections. */
export interface NodeHost {
  readonly worker: number;
  readonly arena: Arena;
  readonly receive: ReceiveBlock;
  readonly timers: Timers;
  readonly now: number;
  readonly sessions: SessionCounts;
  /** True once the driver is being stopped: no connection is opened any more. */
  readonly stopping: boolean;
  readonly ready: TurnList<NodeConnection>;
  readonly dirty: TurnList<NodeConnection>;
  readonly closing: TurnList<NodeConnection>;
  readonly resumed: TurnList<NodeConnection>;
  /** Every connection that is not concluded. */
  readonly connections: Set<NodeConnection>;
  /** Something was put on a list: a turn is due. */
  schedule(): void;
}

const CONNECTING = 0;
const OPEN = 1;
const DRAINING = 2;
const LINGERING = 3;
const CLOSED = 4;

/** Milliseconds that a peer has to end its side, after we have ended ours. */
const LINGER_MS = 1_000;
/** A paused socket reads on until so many bytes wait: a socket that does not read does not notice that its peer is gone. */
const PAUSED_BYTES_MAX = 256 * 1024;
const NODE_KEEPALIVE_MS = 30_000;

export class NodeConnection implements Connection {
  readonly output: Output;
  private readonly host: NodeHost;
  private readonly owner: ConnectionOwner;
  private readonly inbox: Inbox;
  private readonly socket: Socket | null;
  /** Where it was connected to; null for an accepted one. */
  private readonly endpoint: Endpoint | null;
  /** Where an accepted one was accepted, for unix sockets, whose clients have no name. */
  private readonly listenEndpoint: Endpoint | null;
  private state: number;
  private paused = false;
  private isReady = false;
  private isDirty = false;
  private isResumed = false;

  /** What the socket told since the last turn. */
  private readonly chunks: Buffer[] = [];
  private chunkBytes = 0;
  private isConnected = false;
  private hasEnded = false;
  private hasDrained = false;
  private isGone = false;
  private error: Error | null = null;

  /** The owner was told of the end; and, in this pause, that the socket is gone. */
  private ended = false;
  private toldBroken = false;
  /** A write is under way: its length, and how many writes were begun and have ended. */
  private writing = 0;
  private writesBegun = 0;
  private writesEnded = 0;
  /** What onClose is told. */
  private reason: Error | null = null;
  private timer: Timer | null = null;
  private addressText: string | null = null;

  private constructor(
    host: NodeHost,
    socket: Socket | null,
    endpoint: Endpoint | null,
    listenEndpoint: Endpoint | null,
    retaining: boolean,
    owner: ConnectionOwner | ((connection: Connection) => ConnectionOwner),
  ) {
    this.host = host;
    this.socket = socket;
    this.endpoint = endpoint;
    this.listenEndpoint = listenEndpoint;
    this.state = endpoint === null ? OPEN : CONNECTING;
    this.output = new Output(host.arena, retaining);
    this.inbox = new Inbox(host.arena, host.receive);
    host.connections.add(this);
    if (socket !== null) this.listenTo(socket);
    this.owner = typeof owner === 'function' ? owner(this) : owner;
  }

  /** Takes over an accepted socket. Called in a turn. */
  static accept(
    host: NodeHost,
    socket: Socket,
    listenEndpoint: Endpoint,
    findOwner: (connection: Connection) => ConnectionOwner,
  ): void {
    host.sessions.add(host.worker, 1);
    new NodeConnection(host, socket, null, listenEndpoint, false, findOwner);
  }

  /** Opens a connection to `endpoint`. */
  static connect(
    host: NodeHost,
    endpoint: Endpoint,
    timeoutMs: number,
    retaining: boolean,
    owner: ConnectionOwner,
  ): NodeConnection {
    const what = `connect ${formatEndpoint(endpoint)}`;
    let socket: Socket | null = null;
    let error: Error | null = null;
    if (host.stopping) {
      error = new TransportError('ECANCELED', `${what}: the worker is stopping`);
    } else {
      try {
        socket = openSocket(endpoint);
      } catch (reason) {
        error = reason as Error;
      }
    }
    const connection = new NodeConnection(host, socket, endpoint, null, retaining, owner);
    if (socket === null) {
      connection.state = CLOSED;
      connection.reason = error;
      host.closing.push(connection);
      host.schedule();
    } else {
      connection.timer = host.timers.set(host.now + timeoutMs, () => {
        connection.destroy(new TransportError(CONNECT_TIMEOUT, `${what}: no answer within ${timeoutMs} ms`));
      });
    }
    return connection;
  }

  get unreadBytes(): number {
    return this.inbox.unreadBytes;
  }

  get unreadHeldBytes(): number {
    return this.inbox.heldBytes;
  }

  remoteAddress(): string {
    if (this.endpoint !== null) return formatEndpoint(this.endpoint);
    const host = this.socket?.remoteAddress;
    if (host !== undefined) {
      this.addressText = formatEndpoint({ kind: 'tcp', host, port: this.socket?.remotePort ?? 0 });
    } else if (this.listenEndpoint?.kind === 'unix') {
      this.addressText = formatEndpoint(this.listenEndpoint);
    }
    return this.addressText ?? 'unknown';
  }

  localAddress(): string {
    if (this.listenEndpoint?.kind === 'unix') return formatEndpoint(this.listenEndpoint);
    const host = this.socket?.localAddress;
    if (host === undefined) return 'unknown';
    return formatEndpoint({ kind: 'tcp', host, port: this.socket?.localPort ?? 0 });
  }

  flush(): void {
    if (this.isDirty) return;
    this.isDirty = true;
    this.host.dirty.push(this);
    this.host.schedule();
  }

  expect(bytes: number): void {
    this.inbox.expect(bytes);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.toldBroken = false;
    if (this.isResumed) return;
    this.isResumed = true;
    this.host.resumed.push(this);
    this.host.schedule();
  }

  close(): void {
    if (this.state === CONNECTING) this.destroy(null);
    if (this.state !== OPEN) return;
    this.state = DRAINING;
    this.flush();
  }

  destroy(error: Error | null): void {
    if (this.state === CLOSED) return;
    this.reason = error;
    if (this.isGone) {
      this.retire();
      return;
    }
    this.state = CLOSED;
    // 'close' follows, and with it `conclude`.
    this.socket?.destroy();
  }

  /** In a turn: tells the owner what has happened. */
  takeEvents(): void {
    this.isReady = false;
    if (this.isConnected && this.state === CONNECTING) this.open();
    // What was kept is shown first, later in this turn: an end of the stream that is told before would drop it.
    if (!this.isResumed) this.readChunks();
    if (this.hasDrained && this.state === OPEN) {
      this.hasDrained = false;
      this.owner.onDrain();
      this.host.arena.settle();
    }
    if (this.isResumed) return;
    this.tellEnd();
    this.tellGone();
  }

  /** In a turn, after `resume`: shows what is kept, and reads again. */
  takeUp(): void {
    this.isResumed = false;
    if (this.state === OPEN && !this.paused) {
      if (this.inbox.end > this.inbox.start) this.present();
      this.readChunks();
      this.tellEnd();
      if (!this.paused && this.socket?.isPaused()) this.socket.resume();
    }
    this.tellGone();
  }

  /** At the end of a turn, when the arena is settled. */
  sendTurn(): void {
    this.isDirty = false;
    if (this.state !== OPEN && this.state !== DRAINING) return;
    if (this.output.overflowed) {
      this.destroy(noMemory());
      return;
    }
    if (this.isGone) {
      // Nothing can be sent any more. What came may yet be shown, unless the owner has closed.
      if (this.state === DRAINING) this.tellGone();
      return;
    }
    if (this.writing > 0 || !this.send()) return;
    if (this.state === DRAINING) {
      this.startLingering();
    } else if (this.paused) {
      // The owner may have paused because so much was unsent. It hears of it in the next turn: it would append more, and
      // here bytes are being sent.
      this.hasDrained = true;
      this.becomeReady();
    }
  }

  /** At the end of a turn, when the socket is gone: tells the owner. */
  conclude(): void {
    const { host } = this;
    host.timers.cancel(this.timer);
    host.connections.delete(this);
    this.inbox.release();
    this.chunks.length = 0;
    if (this.endpoint === null) host.sessions.add(host.worker, -1);
    this.owner.onClose(this.reason);
    // The owner may have sent kept requests to elsewhere.
    host.arena.settle();
    this.output.dispose();
  }

  private listenTo(socket: Socket): void {
    socket.on('connect', () => {
      this.isConnected = true;
      this.becomeReady();
    });
    socket.on('data', (chunk: Buffer) => {
      if (this.state > OPEN) return;
      this.chunks.push(chunk);
      this.chunkBytes += chunk.length;
      if (this.paused && this.chunkBytes >= PAUSED_BYTES_MAX) socket.pause();
      this.becomeReady();
    });
    socket.on('end', () => {
      this.hasEnded = true;
      this.becomeReady();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.error = new TransportError(error.code ?? 'EIO', error.message);
    });
    socket.on('close', () => {
      this.isGone = true;
      if (this.state === CLOSED) this.retire();
      else this.becomeReady();
    });
  }

  private becomeReady(): void {
    if (this.isReady) return;
    this.isReady = true;
    this.host.ready.push(this);
    this.host.schedule();
  }

  private open(): void {
    const { host, socket } = this;
    host.timers.cancel(this.timer);
    if (socket?.localPort !== undefined && socket.localPort === socket.remotePort) {
      if (socket.localAddress === socket.remoteAddress) {
        // Nobody listens there: the kernel connected a port to itself (see dial.ts).
        this.destroy(new TransportError('ECONNREFUSED', `connect ${this.remoteAddress()}: Connection refused`));
        return;
      }
    }
    this.state = OPEN;
    this.owner.onOpen();
    host.arena.settle();
    if (this.output.unsentBytes > 0) this.flush();
  }

  private readChunks(): void {
    const { inbox, chunks } = this;
    while (this.state === OPEN && !this.paused) {
      const chunk = chunks[0];
      if (chunk === undefined) return;
      const target = inbox.prepare();
      if (target < 0) {
        this.destroy(noMemory());
        return;
      }
      const count = Math.min(inbox.room, chunk.length);
      this.host.arena.bytes.set(count === chunk.length ? chunk : chunk.subarray(0, count), target);
      if (count === chunk.length) chunks.shift();
      else chunks[0] = chunk.subarray(count);
      this.chunkBytes -= count;
      inbox.filled(count);
      if (inbox.isComplete()) this.present();
      else if (!inbox.keep()) this.destroy(noMemory());
    }
  }

  private present(): void {
    const { inbox } = this;
    inbox.expect(0);
    const consumed = this.owner.onBytes(inbox.start, inbox.end);
    this.host.arena.settle();
    if (this.state !== OPEN) inbox.release();
    else if (!inbox.consume(consumed)) this.destroy(noMemory());
  }

  private tellEnd(): void {
    if (!this.hasEnded || this.ended || this.state !== OPEN || this.paused) return;
    this.ended = true;
    this.inbox.release();
    this.owner.onEnd();
    this.host.arena.settle();
  }

  private tellGone(): void {
    if (!this.isGone || this.state === CLOSED) return;
    if (this.paused && this.state === OPEN && !this.ended && this.owner.onBroken !== undefined) {
      if (this.toldBroken) return;
      this.toldBroken = true;
      this.owner.onBroken();
      this.host.arena.settle();
      return;
    }
    // While lingering the peer may end as it likes.
    this.reason = this.state === LINGERING ? null : this.error;
    this.retire();
  }

  /** The socket is gone: `conclude` follows. */
  private retire(): void {
    this.state = CLOSED;
    this.host.closing.push(this);
    this.host.schedule();
  }

  /** Hands net what is unsent. True when the kernel has taken all of it. */
  private send(): boolean {
    const { output, socket, host } = this;
    while (output.unsentBytes > 0 && socket !== null) {
      const start = output.unsentStart();
      const length = output.unsentLength();
      this.writesBegun++;
      socket.write(host.arena.bytes.subarray(start, start + length), this.onWritten);
      if (socket.writableLength > 0) {
        this.writing = length;
        return false;
      }
      output.advance(length);
    }
    return true;
  }

  /** A write has ended; `writing` is the last one's. */
  private readonly onWritten = (error?: Error | null): void => {
    this.writesEnded++;
    if (this.writing === 0 || this.writesEnded !== this.writesBegun) return;
    if (error !== undefined && error !== null) return;
    const length = this.writing;
    this.writing = 0;
    if (this.state !== OPEN && this.state !== DRAINING) return;
    this.output.advance(length);
    this.host.arena.settle();
    if (!this.send()) return;
    if (this.state === DRAINING) {
      this.startLingering();
    } else {
      this.hasDrained = true;
      this.becomeReady();
    }
  };

  private startLingering(): void {
    const { host, socket } = this;
    this.state = LINGERING;
    this.inbox.release();
    this.chunks.length = 0;
    socket?.end();
    // Read on, until the peer has ended too: net closes the socket then.
    socket?.resume();
    this.timer = host.timers.set(host.now + LINGER_MS, () => this.destroy(null));
  }
}

function openSocket(endpoint: Endpoint): Socket {
  if (endpoint.kind === 'unix') return connect({ path: endpoint.path, allowHalfOpen: true });
  if (isIP(endpoint.host) === 0) {
    throw new TransportError('EADDRNOTAVAIL', `${formatEndpoint(endpoint)}: ${endpoint.host} is not an IP address`);
  }
  return connect({
    host: endpoint.host,
    port: endpoint.port,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: NODE_KEEPALIVE_MS,
  });
}

function noMemory(): TransportError {
  return new TransportError(NO_MEMORY, 'the worker has no memory left for the bytes of this connection');
}
