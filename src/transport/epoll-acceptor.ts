/**
 * The accepting part of the epoll driver: takes connections from the listening descriptors that all workers share, keeps
 * or hands over each (handover.ts decides), and adopts what other workers hand over.
 */
import type { Timer } from '../base/timers.js';
import { EpollConnection, type EpollHost } from './epoll-connection.js';
import type { Handover } from './handover.js';
import {
  EAGAIN,
  EINTR,
  EMFILE,
  EPOLLEXCLUSIVE,
  EPOLLIN,
  quiet,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  systemError,
  wake,
} from './system.js';
import type { Acceptor } from './transport.js';

/** Connections taken from one listener in one turn: others are served in between. */
const ACCEPTS_PER_TURN = 64;
/** Milliseconds without accepting after the process ran out of descriptors. */
const PAUSE_MS = 100;
/** The client gave up before it was accepted. */
const ECONNABORTED = 103;
/** The descriptor listens no more. */
const EINVAL = 22;

export class EpollAcceptor {
  private readonly host: EpollHost;
  private readonly handover: Handover;
  private readonly listenDescriptors: readonly number[];
  private readonly wakeDescriptor: number;
  private acceptor: Acceptor | null = null;
  /** Set while accepting is paused. */
  private pause: Timer | null = null;

  constructor(host: EpollHost, handover: Handover, listenDescriptors: readonly number[], wakeDescriptor: number) {
    this.host = host;
    this.handover = handover;
    this.listenDescriptors = listenDescriptors;
    this.wakeDescriptor = wakeDescriptor;
    const error = host.poll.add(wakeDescriptor, EPOLLIN);
    if (error !== null) throw error;
  }

  start(acceptor: Acceptor): void {
    if (this.acceptor !== null) return;
    this.acceptor = acceptor;
    this.watch();
    this.handover.join(this.host.worker);
    // What waits for a worker that died before is adopted in the next turn.
    wake(this.wakeDescriptor);
  }

  stop(): void {
    if (this.acceptor === null) return;
    this.acceptor = null;
    if (this.pause === null) this.unwatch();
    this.host.timers.cancel(this.pause);
    this.pause = null;
    this.handover.leave(this.host.worker);
    wake(this.wakeDescriptor);
  }

  /** An event of a descriptor that is no connection's. */
  onEvent(descriptor: number): void {
    if (descriptor === this.wakeDescriptor) this.receive();
    else this.accept(descriptor);
  }

  private receive(): void {
    quiet(this.wakeDescriptor);
    this.handover.receive(this.host.worker, this.adopt);
  }

  private accept(listener: number): void {
    const { calls, worker } = this.host;
    for (let count = 0; count < ACCEPTS_PER_TURN && this.acceptor !== null; count++) {
      const descriptor = calls.accept4(listener, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (descriptor < 0) {
        const code = calls.errno();
        if (code === ECONNABORTED || code === EINTR) continue;
        if (code === EINVAL) {
          // The main thread has ended listening (`endListening`): the proxy stops.
          this.stop();
          break;
        }
        // Out of descriptors or memory, in the main: the connection stays with the kernel, which would report it for ever.
        if (code !== EAGAIN) this.startPause(code);
        break;
      }
      const place = this.handover.assign(descriptor, worker);
      if (place === 'kept') {
        this.adopt(descriptor);
      } else if (place === 'refused') {
        calls.close(descriptor);
        this.startPause(EMFILE);
        break;
      }
    }
    this.handover.wakeReceivers();
  }

  private readonly adopt = (descriptor: number): void => {
    const { acceptor, host } = this;
    if (acceptor !== null) {
      EpollConnection.accept(host, descriptor, (connection) => acceptor.onConnection(connection));
      return;
    }
    // It was handed over while accepting stopped: the client sees a close, before it was read from.
    host.descriptors.clear(descriptor);
    host.calls.close(descriptor);
    host.sessions.add(host.worker, -1);
  };

  private startPause(code: number): void {
    if (this.pause !== null || this.acceptor === null) return;
    this.unwatch();
    this.pause = this.host.timers.set(this.host.now + PAUSE_MS, () => {
      this.pause = null;
      this.watch();
    });
    this.acceptor.onAcceptPaused(systemError('accept', code), PAUSE_MS);
  }

  private watch(): void {
    for (const descriptor of this.listenDescriptors) {
      // EXCLUSIVE: a new connection wakes one waiting worker, not all.
      const error = this.host.poll.add(descriptor, EPOLLIN | EPOLLEXCLUSIVE);
      if (error !== null) throw error;
    }
  }

  private unwatch(): void {
    for (const descriptor of this.listenDescriptors) this.host.poll.remove(descriptor);
  }
}
