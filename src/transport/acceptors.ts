/**
 * The accepting part of the io_uring and the epoll driver: takes connections from the listening descriptors that all
 * workers share, keeps or hands over each (handover.ts decides), and adopts what other workers hand over.
 *
 * Both drivers only watch listeners, and accept with a call of its own. An accept that io_uring carries out makes a
 * descriptor that nobody has noted before its completion is read; where the thread dies first, the client would hang for
 * ever. Connections come rarely enough that the call does not matter.
 */
import type { Timer, Timers } from '../base/timers.js';
import type { ListenerSnapshot } from '../messages.js';
import type { Descriptors } from './descriptors.js';
import type { Handover } from './handover.js';
import {
  EAGAIN,
  EINTR,
  EINVAL,
  EMFILE,
  EPOLLEXCLUSIVE,
  EPOLLIN,
  quiet,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  type System,
  systemError,
  wake,
} from './system.js';
import type { Acceptor, Connection, ConnectionOwner, TransportError } from './transport.js';

/** Connections taken from one listener in one turn: others are served in between. */
const ACCEPTS_PER_TURN = 64;
/** Milliseconds without accepting after the process ran out of descriptors. */
const PAUSE_MS = 100;
/** The client gave up before it was accepted. */
const ECONNABORTED = 103;

/** Descriptors whose events are asked for, for as long as they last (level-triggered). */
export interface Watches {
  /** Null, or the reason why the kernel refuses. */
  add(descriptor: number, events: number): TransportError | null;
  remove(descriptor: number): void;
}

/** What the driver has for accepting. */
export interface AcceptingHost {
  readonly worker: number;
  readonly calls: System;
  readonly timers: Timers;
  readonly now: number;
  readonly descriptors: Descriptors;
  /** Takes over an accepted `descriptor`, which is noted and counted already. */
  adopt(descriptor: number, findOwner: (connection: Connection) => ConnectionOwner): void;
}

export class Acceptors {
  private readonly host: AcceptingHost;
  private readonly watches: Watches;
  private readonly handover: Handover;
  /** Listening descriptors and the door of each. */
  private readonly doors = new Map<number, number>();
  private readonly wakeDescriptor: number;
  private acceptor: Acceptor | null = null;
  /** Set while accepting is paused. */
  private pause: Timer | null = null;

  constructor(
    host: AcceptingHost,
    watches: Watches,
    handover: Handover,
    listeners: readonly ListenerSnapshot[],
    wakeDescriptor: number,
  ) {
    this.host = host;
    this.watches = watches;
    this.handover = handover;
    for (const { descriptor, door } of listeners) this.doors.set(descriptor, door);
    this.wakeDescriptor = wakeDescriptor;
    const error = watches.add(wakeDescriptor, EPOLLIN);
    if (error !== null) throw error;
  }

  start(acceptor: Acceptor): void {
    if (this.acceptor !== null) return;
    this.acceptor = acceptor;
    this.watchAll();
    this.handover.join(this.host.worker);
    // What waits for a worker that died before is adopted in the next turn.
    wake(this.wakeDescriptor);
  }

  setListeners(listeners: readonly ListenerSnapshot[]): void {
    const isWatching = this.acceptor !== null && this.pause === null;
    const gone = new Set(this.doors.keys());
    for (const { descriptor, door } of listeners) {
      gone.delete(descriptor);
      if (isWatching && !this.doors.has(descriptor)) this.watch(descriptor);
      this.doors.set(descriptor, door);
    }
    for (const descriptor of gone) {
      this.doors.delete(descriptor);
      if (isWatching) this.watches.remove(descriptor);
    }
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
    if (descriptor === this.wakeDescriptor) {
      this.receive();
      return;
    }
    // An event of a listener that went in this very turn is of none.
    const door = this.doors.get(descriptor);
    if (door !== undefined) this.accept(descriptor, door);
  }

  private receive(): void {
    quiet(this.wakeDescriptor);
    this.handover.receive(this.host.worker, this.adopt);
  }

  private accept(listener: number, door: number): void {
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
      const place = this.handover.assign(descriptor, worker, door);
      if (place === 'kept') {
        this.adopt(descriptor, door);
      } else if (place === 'refused') {
        calls.close(descriptor);
        this.startPause(EMFILE);
        break;
      }
    }
    this.handover.wakeReceivers();
  }

  private readonly adopt = (descriptor: number, door: number): void => {
    const { acceptor, host } = this;
    if (acceptor !== null) {
      host.adopt(descriptor, (connection) => acceptor.onConnection(connection, door));
      return;
    }
    // It was handed over while accepting stopped: the client sees a close, before it was read from.
    host.descriptors.clear(descriptor);
    host.calls.close(descriptor);
    this.handover.add(host.worker, -1);
  };

  private startPause(code: number): void {
    if (this.pause !== null || this.acceptor === null) return;
    this.unwatch();
    this.pause = this.host.timers.set(this.host.now + PAUSE_MS, () => {
      this.pause = null;
      this.watchAll();
    });
    this.acceptor.onAcceptPaused(systemError('accept', code), PAUSE_MS);
  }

  private watchAll(): void {
    for (const descriptor of this.doors.keys()) this.watch(descriptor);
  }

  private watch(descriptor: number): void {
    // EXCLUSIVE: a new connection wakes one waiting worker, not all.
    const error = this.watches.add(descriptor, EPOLLIN | EPOLLEXCLUSIVE);
    if (error !== null) throw error;
  }

  private unwatch(): void {
    for (const descriptor of this.doors.keys()) this.watches.remove(descriptor);
  }
}
