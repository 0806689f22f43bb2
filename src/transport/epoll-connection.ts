/**
 * One socket of the epoll driver. Its states are those of socket-connection.ts.
 *
 * epoll is level-triggered: whatever is reported and not wanted is taken out of `interest` when it is reported (not
 * before: most pauses end before the next byte, and cost no system call). HUP and ERR cannot be taken out: where it is not
 * read from they end the connection at once, or it is taken out whole until it is.
 */
import type { Endpoint } from '../base/endpoint.js';
import type { Poll } from './poll.js';
import { CLOSED, CONNECTING, LINGERING, OPEN, SocketConnection, type SocketHost } from './socket-connection.js';
import { EAGAIN, EINTR, EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, MSG_NOSIGNAL } from './system.js';
import type { Connection, ConnectionOwner, ConnectOptions } from './transport.js';

const NONE = -1;

/** What the driver has for all its connections. */
export interface EpollHost extends SocketHost<EpollConnection> {
  readonly poll: Poll;
  /** Events for `descriptor` go to `connection` from now on, or to nobody. */
  route(descriptor: number, connection: EpollConnection | null): void;
}

export class EpollConnection extends SocketConnection {
  private readonly driver: EpollHost;
  /** What epoll watches for; NONE: it is not registered. */
  private interest = NONE;

  private constructor(
    driver: EpollHost,
    descriptor: number,
    endpoint: Endpoint | null,
    retaining: boolean,
    owner: ConnectionOwner | ((connection: Connection) => ConnectionOwner),
  ) {
    super(driver, descriptor, endpoint, retaining, owner);
    this.driver = driver;
  }

  /** Takes over an accepted `descriptor`, which is noted and counted already. */
  static accept(driver: EpollHost, descriptor: number, findOwner: (connection: Connection) => ConnectionOwner): void {
    const connection = new EpollConnection(driver, descriptor, null, false, findOwner);
    connection.route();
    connection.register(EPOLLIN);
  }

  /** Opens a connection. */
  static connect(driver: EpollHost, options: ConnectOptions, owner: ConnectionOwner): EpollConnection {
    const connection = new EpollConnection(driver, -1, options.endpoint, options.retaining, owner);
    connection.dial(options, options.endpoint);
    return connection;
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
    if (this.wantsBytes()) this.read();
    else if ((events & (EPOLLHUP | EPOLLERR)) !== 0) this.breakOff();
    else this.watch(this.interest & ~EPOLLIN);
  }

  conclude(): void {
    const { driver, descriptor } = this;
    this.forget();
    if (descriptor >= 0) {
      driver.route(descriptor, null);
      this.descriptor = -1;
      this.closeDescriptor(descriptor);
      if (this.endpoint === null) driver.sessions.add(driver.worker, -1);
    }
    this.tellClosed();
  }

  protected override breakOff(): void {
    super.breakOff();
    if (this.wantsBytes() || this.state !== OPEN || this.interest === NONE) return;
    this.interest = NONE;
    this.driver.poll.remove(this.descriptor);
  }

  protected route(): void {
    this.driver.route(this.descriptor, this);
  }

  protected awaitConnected(): void {
    this.register(EPOLLOUT);
  }

  protected startReading(): void {
    this.watch(this.blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }

  protected stopReading(): void {
    this.watch(this.interest & ~EPOLLIN);
  }

  protected transmit(): void {
    if (this.send()) this.onSent(false);
  }

  /** Hands the kernel what it takes. True when nothing is left. */
  private send(): boolean {
    const { output, driver } = this;
    while (output.unsentBytes > 0) {
      const length = output.unsentLength();
      const count = driver.calls.send(this.descriptor, driver.address + output.unsentStart(), length, MSG_NOSIGNAL);
      if (count === length) {
        output.advance(count);
        continue;
      }
      if (count >= 0) {
        output.advance(count);
      } else {
        const code = driver.calls.errno();
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
    this.driver.arena.settle();
    if (!this.blocked || !this.send()) return;
    this.blocked = false;
    this.watch(this.interest & ~EPOLLOUT);
    this.onSent(true);
  }

  private discard(): void {
    const { calls, address } = this.driver;
    const target = this.inbox.prepare();
    const count = calls.recv(this.descriptor, address + target, this.inbox.room, 0);
    if (count > 0) return;
    const code = count === 0 ? 0 : calls.errno();
    if (code !== EAGAIN && code !== EINTR) this.finish(null);
  }

  private register(events: number): void {
    this.interest = events;
    const error = this.driver.poll.add(this.descriptor, events);
    if (error !== null) this.finish(error);
  }

  private watch(events: number): void {
    if (events === this.interest) return;
    if (this.interest === NONE) {
      this.register(events);
      return;
    }
    this.interest = events;
    this.driver.poll.modify(this.descriptor, events);
  }
}
