/**
 * One socket of the epoll driver.
 *
 *   connecting -> open -> draining -> lingering -> closed
 *                  any of them -> closed, when the socket fails or the owner destroys it
 *
 * draining: the owner said close(), output is left. lingering: all is sent and FIN too; what the peer still sends is read
 * and dropped for a while, because closing with unread bytes makes the kernel send RST, which may overtake our last words.
 *
 * Invariant: the descriptor is closed in `conclude` only, after all events of a turn were handled. So its number cannot
 * come back, as another connection, while an event for it may still wait in this turn's list.
 *
 * epoll is level-triggered: whatever is reported and not wanted is taken out of `interest` when it is reported (not
 * before: most pauses end before the next byte, and cost no system call). HUP and ERR cannot be taken out; they end the
 * connection at once where it is not read from.
 */
import { type Endpoint, formatEndpoint } from '../base/endpoint.js';
import type { Timer, Timers } from '../base/timers.js';
import type { Arena } from './arena.js';
import type { Descriptors } from './descriptors.js';
import { isSelfConnected, openSocket, startConnecting } from './dial.js';
import type { SessionCounts } from './handover.js';
import { Inbox, type ReceiveBlock } from './inbox.js';
import { Output } from './output.js';
import type { Poll } from './poll.js';
import {
  EAGAIN,
  ECONNREFUSED,
  ECONNRESET,
  EINTR,
  EMFILE,
  EPIPE,
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  MSG_NOSIGNAL,
  pendingError,
  SHUT_WR,
  type System,
  socketAddress,
  systemError,
} from './system.js';
import { CONNECT_TIMEOUT, type Connection, type ConnectionOwner, NO_MEMORY, TransportError } from './transport.js';
import type { TurnList } from './turn-list.js';

/** What the driver has for all its connections. */
export interface EpollHost {
  readonly worker: number;
  readonly calls: System;
  readonly arena: Arena;
  /** Address of arena.bytes[0]. */
  readonly address: number;
  readonly receive: ReceiveBlock;
  readonly poll: Poll;
  readonly timers: Timers;
  readonly now: number;
  readonly descriptors: Descriptors;
  readonly sessions: SessionCounts;
  /** True once the driver is being stopped: no connection is opened any more. */
  readonly stopping: boolean;
  readonly dirty: TurnList<EpollConnection>;
  readonly closing: TurnList<EpollConnection>;
  readonly resumed: TurnList<EpollConnection>;
  /** Events for `descriptor` go to `connection` from now on, or to nobody. */
  route(descriptor: number, connection: EpollConnection | null): void;
}

const CONNECTING = 0;
const OPEN = 1;
const DRAINING = 2;
const LINGERING = 3;
const CLOSED = 4;

/** Milliseconds that a peer has to end its side, after we have ended ours. */
const LINGER_MS = 1_000;
/** A unix socket whose backlog is full says EAGAIN, and does not tell when to try again: milliseconds to wait. */
const CONNECT_RETRY_MS = 10;

export class EpollConnection implements Connection {
  readonly output: Output;
  private readonly host: EpollHost;
  private readonly owner: ConnectionOwner;
  private readonly inbox: Inbox;
  /** Where it was connected to; null for an accepted one. */
  private readonly endpoint: Endpoint | null;
  private descriptor: number;
  private state: number;
  /** What epoll watches for. */
  private interest = 0;
  private paused = false;
  /** The peer sends no more. */
  private ended = false;
  /** The kernel took not all: EPOLLOUT says when it takes more. */
  private blocked = false;
  /** In the host's list of that name. */
  private isDirty = false;
  private isResumed = false;
  private hasDrained = false;
  /** Why sending failed, while what the peer sent before is still read. */
  private failure: Error | null = null;
  /** What onClose is told. */
  private reason: Error | null = null;
  /** Of connecting, of lingering. */
  private timer: Timer | null = null;
  private addressText: string | null = null;
  private localText: string | null = null;

  private constructor(
    host: EpollHost,
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

  /** Takes over an accepted `descriptor`, which is noted and counted already. */
  static accept(host: EpollHost, descriptor: number, findOwner: (connection: Connection) => ConnectionOwner): void {
    const connection = new EpollConnection(host, descriptor, null, false, findOwner);
    host.route(descriptor, connection);
    connection.register(EPOLLIN);
  }

  /** Opens a connection to `endpoint`. */
  static connect(
    host: EpollHost,
    endpoint: Endpoint,
    timeoutMs: number,
    retaining: boolean,
    owner: ConnectionOwner,
  ): EpollConnection {
    const connection = new EpollConnection(host, -1, endpoint, retaining, owner);
    connection.dial(endpoint, timeoutMs);
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
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
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

  /** What epoll reported. */
  onEvents(events: number): void {
    if (this.state === CONNECTING) {
      this.finishConnecting();
      return;
    }
    if (this.state === LINGERING) {
      this.discard();
      return;
    }
    if ((events & EPOLLOUT) !== 0 && this.state !== CLOSED) this.sendMore();
    if ((events & ~EPOLLOUT) === 0 || this.state === CLOSED) return;
    // What was kept is shown first, later in this turn: an end of the stream that is read before would drop it.
    if (this.isResumed) return;
    if (this.state === OPEN && !this.paused && !this.ended) this.read();
    else if ((events & (EPOLLHUP | EPOLLERR)) !== 0) this.finish(this.failure ?? this.socketError('recv'));
    else this.watch(this.interest & ~EPOLLIN);
  }

  /** After `resume`: shows what is kept, and reads again. Before that, tells of a drain that the turn before has brought. */
  takeUp(): void {
    this.isResumed = false;
    if (this.hasDrained && this.state === OPEN) {
      this.hasDrained = false;
      this.owner.onDrain();
      this.host.arena.settle();
    }
    if (this.state !== OPEN || this.paused) return;
    if (this.inbox.end > this.inbox.start) this.present();
    if (this.state === OPEN && !this.paused && !this.ended) this.watch(this.interest | EPOLLIN);
  }

  /** At the end of a turn, when the arena is settled: one send for all that the turn appended. */
  sendTurn(): void {
    this.isDirty = false;
    if (this.state !== OPEN && this.state !== DRAINING) return;
    if (this.output.overflowed) {
      this.finish(noMemory());
      return;
    }
    if (this.blocked || this.failure !== null) return;
    if (!this.send()) return;
    if (this.state === DRAINING) {
      this.startLingering();
    } else if (this.paused) {
      // The owner may have paused because so much was unsent. It hears of it in the next turn: it would append more, and
      // here bytes are being sent.
      this.hasDrained = true;
      this.takeUpLater();
    }
  }

  /** Closes the descriptor and tells the owner. The last that is heard of the connection. */
  conclude(): void {
    const { host, descriptor } = this;
    host.timers.cancel(this.timer);
    this.inbox.release();
    if (descriptor >= 0) {
      host.route(descriptor, null);
      this.descriptor = -1;
      host.descriptors.clear(descriptor);
      host.calls.close(descriptor);
      if (this.endpoint === null) host.sessions.add(host.worker, -1);
    }
    this.owner.onClose(this.reason);
    // The owner may have sent kept requests to elsewhere.
    host.arena.settle();
    this.output.dispose();
  }

  private takeUpLater(): void {
    if (this.isResumed) return;
    this.isResumed = true;
    this.host.resumed.push(this);
  }

  private dial(endpoint: Endpoint, timeoutMs: number): void {
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
    host.route(this.descriptor, this);
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
    if (code === 0) this.register(EPOLLOUT);
  }

  private finishConnecting(): void {
    const { host } = this;
    const what = `connect ${this.remoteAddress()}`;
    const error = isSelfConnected(this.descriptor) ? systemError(what, ECONNREFUSED) : this.socketError(what);
    if (error !== null) {
      this.finish(error);
      return;
    }
    host.timers.cancel(this.timer);
    this.state = OPEN;
    this.watch(EPOLLIN);
    this.owner.onOpen();
    host.arena.settle();
    if (this.output.unsentBytes > 0) this.flush();
  }

  private read(): void {
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

  private present(): void {
    const { inbox } = this;
    inbox.expect(0);
    const consumed = this.owner.onBytes(inbox.start, inbox.end);
    this.host.arena.settle();
    if (this.state !== OPEN) inbox.release();
    else if (!inbox.consume(consumed)) this.finish(noMemory());
  }

  private end(): void {
    this.ended = true;
    this.inbox.release();
    if (this.failure !== null) {
      this.finish(this.failure);
      return;
    }
    this.watch(this.interest & ~EPOLLIN);
    this.owner.onEnd();
    this.host.arena.settle();
  }

  /** Hands the kernel what it takes. True when nothing is left. */
  private send(): boolean {
    const { output, host } = this;
    while (output.unsentBytes > 0) {
      const length = output.unsentLength();
      const count = host.calls.send(this.descriptor, host.address + output.unsentStart(), length, MSG_NOSIGNAL);
      if (count === length) {
        output.advance(count);
        continue;
      }
      if (count >= 0) {
        output.advance(count);
      } else {
        const code = host.calls.errno();
        if (code !== EAGAIN && code !== EINTR) {
          this.failSending(code);
          return false;
        }
      }
      this.blocked = true;
      this.watch(this.interest | EPOLLOUT);
      return false;
    }
    return true;
  }

  private sendMore(): void {
    this.host.arena.settle();
    if (!this.blocked || !this.send()) return;
    this.blocked = false;
    this.watch(this.interest & ~EPOLLOUT);
    if (this.state === DRAINING) {
      this.startLingering();
      return;
    }
    this.owner.onDrain();
    this.host.arena.settle();
  }

  /** The peer is gone; but its last words (`-ERR max number of clients reached`) may wait to be read, so they are. */
  private failSending(code: number): void {
    this.failure = systemError('send', code);
    const isReading = this.state === OPEN && !this.paused && !this.ended;
    if (!isReading || (code !== EPIPE && code !== ECONNRESET)) this.finish(this.failure);
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
    this.watch(EPOLLIN);
    this.timer = host.timers.set(host.now + LINGER_MS, () => this.finish(null));
  }

  private discard(): void {
    const { calls, address } = this.host;
    const target = this.inbox.prepare();
    const count = calls.recv(this.descriptor, address + target, this.inbox.room, 0);
    if (count > 0) return;
    const code = count === 0 ? 0 : calls.errno();
    if (code !== EAGAIN && code !== EINTR) this.finish(null);
  }

  /** From here on the owner hears onClose only; the turn's end brings it. */
  private finish(error: Error | null): void {
    if (this.state === CLOSED) return;
    this.state = CLOSED;
    this.reason = error;
    this.host.closing.push(this);
  }

  private register(events: number): void {
    this.interest = events;
    const error = this.host.poll.add(this.descriptor, events);
    if (error !== null) this.finish(error);
  }

  private watch(events: number): void {
    if (events === this.interest) return;
    this.interest = events;
    this.host.poll.modify(this.descriptor, events);
  }

  private socketError(what: string): Error | null {
    const code = pendingError(this.descriptor);
    return code === 0 ? null : systemError(what, code);
  }
}

function noMemory(): TransportError {
  return new TransportError(NO_MEMORY, 'the worker has no memory left for the bytes of this connection');
}
