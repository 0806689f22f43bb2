/**
 * One socket of the io_uring or the epoll driver: its states, and what its owner and the drivers' loop ask of it. How bytes
 * are read and sent, and how the kernel is asked to tell of something, is the driver's (the abstract methods).
 *
 *   connecting -> open -> draining -> lingering -> closed
 *                  any of them -> closed, when the socket fails or the owner destroys it
 *
 * draining: the owner said close(), output is left. lingering: all is sent and FIN too; what the peer still sends is read
 * and dropped for a while, because closing with unread bytes makes the kernel send RST, which may overtake our last words.
 *
 * Invariant: the descriptor is closed in `conclude` or later, after all events of a turn were handled. So its number cannot
 * come back, as another connection, while an event for it may still wait.
 */
import { type Endpoint, formatEndpoint } from '../base/endpoint.js';
import type { Timer, Timers } from '../base/timers.js';
import type { Arena } from './arena.js';
import type { Descriptors } from './descriptors.js';
import { isSelfConnected, openSocket, startConnecting } from './dial.js';
import type { SessionCounts } from './handover.js';
import { Inbox, type ReceiveBlock } from './inbox.js';
import { Output } from './output.js';
import {
  EAGAIN,
  ECONNREFUSED,
  ECONNRESET,
  EINTR,
  EMFILE,
  EPIPE,
  pendingError,
  SHUT_WR,
  type System,
  socketAddress,
  systemError,
} from './system.js';
import {
  CONNECT_TIMEOUT,
  type Connection,
  type ConnectionOwner,
  type ConnectOptions,
  NO_MEMORY,
  TransportError,
} from './transport.js';
import type { TurnList } from './turn-list.js';

/** What the driver has for all its connections, of class C. */
export interface SocketHost<C> {
  readonly worker: number;
  readonly calls: System;
  readonly arena: Arena;
  /** Address of arena.bytes[0]. */
  readonly address: number;
  readonly receive: ReceiveBlock;
  readonly timers: Timers;
  readonly now: number;
  readonly descriptors: Descriptors;
  readonly sessions: SessionCounts;
  /** True once the driver is being stopped: no connection is opened any more. */
  readonly stopping: boolean;
  readonly dirty: TurnList<C>;
  readonly closing: TurnList<C>;
  readonly resumed: TurnList<C>;
}

export const CONNECTING = 0;
export const OPEN = 1;
export const DRAINING = 2;
export const LINGERING = 3;
export const CLOSED = 4;

/** Milliseconds that a peer has to end its side, after we have ended ours. */
const LINGER_MS = 1_000;
/** A unix socket whose backlog is full says EAGAIN, and does not tell when to try again: milliseconds to wait. */
const CONNECT_RETRY_MS = 10;

export abstract class SocketConnection implements Connection {
  readonly output: Output;
  protected readonly owner: ConnectionOwner;
  protected readonly inbox: Inbox;
  /** Where it was connected to; null for an accepted one. */
  protected readonly endpoint: Endpoint | null;
  /** -1 before it has one, and after it was closed. */
  protected descriptor: number;
  protected state: number;
  protected paused = false;
  /** The peer sends no more, and the owner knows. */
  protected ended = false;
  /** The kernel took not all: it will say when it takes more. */
  protected blocked = false;
  /** In the host's list of that name. */
  protected isDirty = false;
  protected isResumed = false;
  /** The end of the stream, or its failure, was read while kept bytes were to be shown first. */
  protected endWaits = false;
  /** Why the socket failed, while what the peer sent before is still shown. */
  protected failure: Error | null = null;
  /** The peer takes no more, which the kernel may not tell again. */
  protected isGone = false;
  /** The owner has heard of it in this pause. */
  private toldBroken = false;
  private readonly host: SocketHost<SocketConnection>;
  private hasDrained = false;
  /** What onClose is told. */
  private reason: Error | null = null;
  /** Of connecting, of lingering. */
  private timer: Timer | null = null;
  private addressText: string | null = null;
  private localText: string | null = null;

  protected constructor(
    host: SocketHost<SocketConnection>,
    descriptor: number,
    endpoint: Endpoint | null,
    retaining: boolean,
    owner: ConnectionOwner | ((connection: Connection) => ConnectionOwner),
  ) {
    this.host = host;
    this.descriptor = descriptor;
    this.endpoint = endpoint;
    this.state = endpoint === null ? OPEN : CONNECTING;
    this.output = new Output(host.arena, retaining);
    this.inbox = new Inbox(host.arena, host.receive);
    this.owner = typeof owner === 'function' ? owner(this) : owner;
  }

  /** The socket has its descriptor: events for it reach this connection from now on. */
  protected abstract route(): void;
  /** The kernel is to say when the socket has connected or failed to. */
  protected abstract awaitConnected(): void;
  /** What comes is to be read, from now on or still. */
  protected abstract startReading(): void;
  /** The peer has ended its side: the kernel is to say only whether the socket fails. */
  protected abstract stopReading(): void;
  /** Hands the kernel what the output has; says `onSent` when all is handed over. */
  protected abstract transmit(): void;
  /** Closes the descriptor and tells the owner, by `tellClosed`. */
  abstract conclude(): void;

  get unreadBytes(): number {
    return this.inbox.unreadBytes;
  }

  get unreadHeldBytes(): number {
    return this.inbox.heldBytes;
  }

  remoteAddress(): string {
    if (this.endpoint !== null) return formatEndpoint(this.endpoint);
    if (this.addressText === null && this.descriptor >= 0) {
      // A client of a unix socket has no name; Redis shows the server's path then.
      const endpoint = socketAddress(this.descriptor, 'remote') ?? socketAddress(this.descriptor, 'local');
      if (endpoint !== null) this.addressText = formatEndpoint(endpoint);
    }
    return this.addressText ?? 'unknown';
  }

  localAddress(): string {
    if (this.localText === null && this.descriptor >= 0) {
      const endpoint = socketAddress(this.descriptor, 'local');
      if (endpoint !== null) this.localText = formatEndpoint(endpoint);
    }
    return this.localText ?? 'unknown';
  }

  flush(): void {
    if (this.isDirty) return;
    this.isDirty = true;
    this.host.dirty.push(this);
  }

  expect(bytes: number): void {
    this.inbox.expect(bytes);
  }

  pause(): void {
    this.paused = true;
    if (this.isGone) this.takeUpLater();
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.toldBroken = false;
    this.takeUpLater();
  }

  close(): void {
    if (this.state === CONNECTING) this.finish(null);
    if (this.state !== OPEN) return;
    this.state = DRAINING;
    this.flush();
  }

  destroy(error: Error | null): void {
    this.finish(error);
  }

  /** After `resume`: shows what is kept, and reads again. In a pause: tells of a failure. Before that, tells of a drain that the turn before has brought. */
  takeUp(): void {
    this.isResumed = false;
    if (this.hasDrained && this.state === OPEN) {
      this.hasDrained = false;
      this.owner.onDrain();
      this.host.arena.settle();
    }
    if (this.state !== OPEN) return;
    if (this.paused) {
      if (this.isGone) this.breakOff();
      return;
    }
    if (this.inbox.end > this.inbox.start) this.present();
    if (this.endWaits && this.wantsBytes()) this.end();
    if (this.wantsBytes()) this.startReading();
  }

  /** At the end of a turn, when the arena is settled: one send for all that the turn appended. */
  sendTurn(): void {
    this.isDirty = false;
    if (this.state !== OPEN && this.state !== DRAINING) return;
    if (this.output.overflowed) {
      this.finish(noMemory());
      return;
    }
    if (this.failure !== null) {
      if (this.state === DRAINING) this.finish(this.failure);
    } else if (!this.blocked) {
      this.transmit();
    }
  }

  /** All that the output had is with the kernel. `wasBlocked`: some of it had to wait. */
  protected onSent(wasBlocked: boolean): void {
    if (this.state === DRAINING) {
      this.startLingering();
    } else if (wasBlocked) {
      this.owner.onDrain();
      this.host.arena.settle();
    } else if (this.paused) {
      // The owner may have paused because so much was unsent. It hears of it when kept bytes are shown again: it would
      // append more, and here bytes are being sent.
      this.hasDrained = true;
      this.takeUpLater();
    }
  }

  /** Takes the connection off the books and tells the owner; it is the last that the owner hears. */
  protected tellClosed(): void {
    const { host } = this;
    this.owner.onClose(this.reason);
    // The owner may have sent kept requests to elsewhere.
    host.arena.settle();
    this.output.dispose();
  }

  /** Nothing of what came is shown any more. */
  protected forget(): void {
    this.host.timers.cancel(this.timer);
    this.inbox.release();
  }

  protected closeDescriptor(descriptor: number): void {
    const { host } = this;
    host.descriptors.clear(descriptor);
    host.calls.close(descriptor);
  }

  /** True while what comes is shown to the owner at once. */
  protected wantsBytes(): boolean {
    return this.state === OPEN && !this.paused && !this.ended;
  }

  protected takeUpLater(): void {
    if (this.isResumed) return;
    this.isResumed = true;
    this.host.resumed.push(this);
  }

  protected dial({ timeoutMs }: ConnectOptions, endpoint: Endpoint): void {
    const { host } = this;
    if (host.stopping) {
      this.finish(new TransportError('ECANCELED', `connect ${formatEndpoint(endpoint)}: the worker is stopping`));
      return;
    }
    try {
      this.descriptor = openSocket(endpoint);
    } catch (error) {
      this.finish(error as Error);
      return;
    }
    if (!host.descriptors.note(this.descriptor, host.worker)) {
      host.calls.close(this.descriptor);
      this.descriptor = -1;
      this.finish(systemError(`connect ${formatEndpoint(endpoint)}`, EMFILE));
      return;
    }
    this.route();
    this.tryConnecting(endpoint, host.now + timeoutMs, timeoutMs);
  }

  private tryConnecting(endpoint: Endpoint, deadlineMs: number, timeoutMs: number): void {
    if (this.state !== CONNECTING) return;
    const { timers, now } = this.host;
    const code = startConnecting(this.descriptor, endpoint);
    if (code !== 0 && code !== EAGAIN) {
      this.finish(systemError(`connect ${formatEndpoint(endpoint)}`, code));
      return;
    }
    if (code === EAGAIN && now + CONNECT_RETRY_MS < deadlineMs) {
      this.timer = timers.set(now + CONNECT_RETRY_MS, () => this.tryConnecting(endpoint, deadlineMs, timeoutMs));
      return;
    }
    this.timer = timers.set(deadlineMs, () => {
      const text = `connect ${formatEndpoint(endpoint)}: no answer within ${timeoutMs} ms`;
      this.finish(new TransportError(CONNECT_TIMEOUT, text));
    });
    if (code === 0) this.awaitConnected();
  }

  protected finishConnecting(): void {
    const { host } = this;
    const what = `connect ${this.remoteAddress()}`;
    const error = isSelfConnected(this.descriptor) ? systemError(what, ECONNREFUSED) : this.socketError(what);
    if (error !== null) {
      this.finish(error);
      return;
    }
    host.timers.cancel(this.timer);
    this.state = OPEN;
    this.startReading();
    this.owner.onOpen();
    host.arena.settle();
    if (this.output.unsentBytes > 0) this.flush();
  }

  protected read(): void {
    const { host, inbox } = this;
    const target = inbox.prepare();
    if (target < 0) {
      this.finish(noMemory());
      return;
    }
    const count = host.calls.recv(this.descriptor, host.address + target, inbox.room, 0);
    if (count > 0) {
      inbox.filled(count);
      if (inbox.isComplete()) this.present();
      else if (!inbox.keep()) this.finish(noMemory());
      return;
    }
    if (count === 0) {
      this.end();
      return;
    }
    const code = host.calls.errno();
    if (code !== EAGAIN && code !== EINTR) this.finish(this.failure ?? systemError('recv', code));
  }

  protected present(): void {
    const { inbox } = this;
    inbox.expect(0);
    const consumed = this.owner.onBytes(inbox.start, inbox.end);
    this.host.arena.settle();
    if (this.state !== OPEN) inbox.release();
    else if (!inbox.consume(consumed)) this.finish(noMemory());
  }

  protected end(): void {
    this.ended = true;
    this.inbox.release();
    if (this.failure !== null) {
      this.finish(this.failure);
      return;
    }
    this.stopReading();
    this.owner.onEnd();
    this.host.arena.settle();
  }

  /** The peer is gone; but its last words (`-ERR max number of clients reached`) may wait to be read, so they are. */
  protected failSending(code: number): void {
    this.failure = systemError('send', code);
    this.isGone = true;
    if (!this.mayShow() || (code !== EPIPE && code !== ECONNRESET)) this.finish(this.failure);
    else if (this.paused) this.takeUpLater();
  }

  /** The socket has failed while nothing is read from it. */
  protected breakOff(): void {
    this.failure ??= this.socketError('recv');
    this.isGone = true;
    if (!this.mayShow()) {
      this.finish(this.failure);
    } else if (!this.toldBroken) {
      this.toldBroken = true;
      this.owner.onBroken?.();
      this.host.arena.settle();
    }
  }

  /** True while the owner may be shown what came, be it after a pause. */
  private mayShow(): boolean {
    return this.wantsBytes() || (this.state === OPEN && !this.ended && this.owner.onBroken !== undefined);
  }

  private startLingering(): void {
    const { host } = this;
    this.inbox.release();
    if (this.ended) {
      this.finish(null);
      return;
    }
    this.state = LINGERING;
    host.calls.shutdown(this.descriptor, SHUT_WR);
    this.startReading();
    this.timer = host.timers.set(host.now + LINGER_MS, () => this.finish(null));
  }

  /** From here on the owner hears onClose only; the turn's end brings it. */
  protected finish(error: Error | null): void {
    if (this.state === CLOSED) return;
    this.state = CLOSED;
    this.reason = error;
    this.host.closing.push(this);
  }

  protected socketError(what: string): Error | null {
    const code = pendingError(this.descriptor);
    return code === 0 ? null : systemError(what, code);
  }
}

export function noMemory(): TransportError {
  return new TransportError(NO_MEMORY, 'the worker has no memory left for the bytes of this connection');
}
