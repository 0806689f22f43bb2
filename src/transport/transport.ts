/**
 * What moves bytes between sockets and the arena. Three drivers (io_uring, epoll, node) stand behind this one interface,
 * and one contract test holds them to it.
 *
 *   kernel -> inbox (arena) -> owner.onBytes(start, end) -> consumed up to
 *   kernel <- Output (arena) <- connection.output.append(...), connection.flush()
 *
 * A driver works in turns: it takes all that the kernel has, tells the owners, and only then sends: one send per
 * connection and turn. This batching decides the speed (DESIGN §13). A driver sees no RESP; an owner sees no descriptor.
 *
 * Rules that every driver keeps, and every owner may rely on:
 * - Owners are called from inside a turn only, never from inside a call that the owner itself makes.
 * - After `destroy` or `onClose` an owner hears nothing more of that connection; `onClose` comes exactly once for every
 *   connection that was ever opened or whose opening failed, also after `destroy` and `close`, in the same or a later turn.
 * - `arena.settle()` is called after every `onBytes`, and before anything is sent.
 */
import type { Endpoint } from '../base/endpoint.js';
import type { Timers } from '../base/timers.js';
import type { ListenerSnapshot, TransportKind } from '../messages.js';
import type { Arena } from './arena.js';
import type { Output } from './output.js';

/** A socket's failure. `code` is the errno name (ECONNREFUSED, ECONNRESET, EPIPE, …) or one of ours, below. */
export class TransportError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'TransportError';
    this.code = code;
  }
}
/** The arena had no room for what the connection received. */
export const NO_MEMORY = 'ENOMEM_ARENA';
/** Connecting took longer than asked for. */
export const CONNECT_TIMEOUT = 'ETIMEDOUT';
/** The worker's io_uring does not work any more. The thread dies of it. */
export const RING_FAILED = 'ERINGFAILED';

/** The decider behind a connection. */
export interface ConnectionOwner {
  /** An outgoing connection stands. Not called for accepted ones. */
  onOpen(): void;
  /**
   * Arena bytes [start, end) are unread: all that came and was not yet consumed. Returns the offset up to which they are
   * consumed now (start <= result <= end). The rest is kept and presented again, maybe at another offset, with what
   * follows it, or after `resume()`. While it waits for more than it has, the owner says so with `connection.expect`.
   */
  onBytes(start: number, end: number): number;
  /** The peer sends no more. What was not consumed is presented no more. The owner still may send, and must close. */
  onEnd(): void;
  /** The output is empty again after a send had left bytes behind, or after any send while the connection is paused. */
  onDrain(): void;
  /**
   * The connection has failed while it was paused, and nothing can be sent any more. What the peer had said before, as far as the kernel
   * has it, is shown after `resume()`; then comes onClose. Where this is left out, onClose comes at once. It is said once a pause.
   * (`node` has less: a send that fails makes net drop what it has not read yet.)
   */
  onBroken?(): void;
  /** The connection is gone, `error` is null if the peer or the owner closed it in order. The output is disposed after it. */
  onClose(error: Error | null): void;
}

export interface Connection {
  /** What is to be sent. Append, then call `flush()`. */
  readonly output: Output;
  /** Bytes that came and are not consumed. They grow without a call of `onBytes` while the owner waits for what it expects. */
  readonly unreadBytes: number;
  /** Bytes of the arena that hold them. */
  readonly unreadHeldBytes: number;
  /** The peer: `127.0.0.1:50123`, `[::1]:50123` or `unix:/path`. Made when asked for. */
  remoteAddress(): string;
  /** The own side, likewise. */
  localAddress(): string;
  /** Has the output sent at the end of this turn. Cheap to call often. */
  flush(): void;
  /**
   * The owner can do nothing before `bytes` unread bytes stand in one piece (from the start of the unread ones): the driver
   * makes room for them as they come and may leave out calls of `onBytes` until then. Holds until the next `onBytes`.
   */
  expect(bytes: number): void;
  /** Stops calling `onBytes` and, soon, reading from the socket; TCP then holds the peer back. */
  pause(): void;
  /** Ends `pause`: what is kept is presented again in this turn or the next, without waiting for new bytes. */
  resume(): void;
  /** Sends what the output has, then closes. Nothing more is presented. */
  close(): void;
  /** Closes now and drops the output. `onClose(error)` follows. */
  destroy(error: Error | null): void;
}

/** Takes the connections that a listener accepts. */
export interface Acceptor {
  /** A client has connected by a listener of that door (see ListenerSnapshot). Returns its owner. */
  onConnection(connection: Connection, door: number): ConnectionOwner;
  /** Accepting stopped for a while: the process has no descriptor left (EMFILE, ENFILE). Said once per pause. */
  onAcceptPaused(error: TransportError, pausedMs: number): void;
}

export interface ConnectOptions {
  /** Its host is an address: names are resolved by the control plane. */
  endpoint: Endpoint;
  /** Milliseconds until `onClose` with code ETIMEDOUT. */
  timeoutMs: number;
  /** The output keeps what it sent until `releaseTo` (see Output). */
  retaining: boolean;
}

export interface Transport {
  readonly kind: TransportKind;
  readonly arena: Arena;
  readonly timers: Timers;
  /** Monotonic milliseconds, an integer read once per turn. */
  readonly now: number;
  /** Milliseconds within the turn: `now` is the same through all of it. */
  exactNow(): number;
  /** Turns taken so far. */
  readonly turns: number;
  /** Called at the end of each turn, after all owners and before the sends. */
  onTurnEnd: () => void;
  /** Sessions of all workers: accepted connections, also those on their way from the worker that accepted them. */
  totalSessions(): number;
  /** Opens a connection. Fails through `onClose`, never by throwing. */
  connect(options: ConnectOptions, owner: ConnectionOwner): Connection;
  /** Takes part in accepting from all listeners, from the next turn on. */
  startAccepting(acceptor: Acceptor): void;
  /**
   * Accepts from these listeners from now on, and no longer from others. Those that stay are the same by their endpoint, and
   * may have another door. `onListening` is called once, when clients can connect to all of them.
   */
  setListeners(listeners: readonly ListenerSnapshot[], onListening?: () => void): void;
  /** Accepts no more. Connections stay. */
  stopAccepting(): void;
  /**
   * Starts the loop of turns. An error thrown by an owner leaves it: the thread dies and the supervisor takes over.
   * `onListening` is called once, when clients can connect to all that is accepted from.
   */
  start(onListening?: () => void): void;
  /** Destroys every connection, ends the loop, closes what the driver holds. Resolves when nothing of it is left. */
  stop(): Promise<void>;
}
