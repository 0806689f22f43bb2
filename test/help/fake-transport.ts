/**
 * A transport without a network: what the other side would do is said by calls. It keeps the contract of
 * transport/transport.ts that owners rely on, and where the contract leaves a choice it does what the epoll driver does
 * (`onBytes` is left out until what was expected is there, `onDrain` comes when a send left bytes behind or the owner paused, the end of
 * the peer's bytes is noticed only by who reads). So sessions and node connections can be tested, and timed, by themselves.
 */
import type { Endpoint } from '../../src/base/endpoint.js';
import { Timers } from '../../src/base/timers.js';
import type { ListenerSnapshot } from '../../src/messages.js';
import { Arena } from '../../src/transport/arena.js';
import { Output } from '../../src/transport/output.js';
import {
  type Acceptor,
  type Connection,
  type ConnectionOwner,
  type ConnectOptions,
  NO_MEMORY,
  type Transport,
  TransportError,
} from '../../src/transport/transport.js';

export class FakeConnection implements Connection {
  readonly output: Output;
  readonly endpoint: Endpoint | null;
  owner: ConnectionOwner | null = null;
  isPaused = false;
  /** `onClose` was called. */
  isClosed = false;
  /** What onClose was told. */
  closeError: Error | null = null;
  /** The owner has called `close` or `destroy`. */
  isFinished = false;
  private readonly transport: FakeTransport;
  private kept = Buffer.alloc(0);
  private expected = 0;
  private isClosing = false;
  private hasEnded = false;
  /** After `resume`, until what is kept was presented again. */
  private isResuming = false;
  /** The kernel took not all that there was. */
  private isBlocked = false;
  /** It broke while it was paused: what onClose will be told. */
  private broken: { error: Error | null } | null = null;

  constructor(transport: FakeTransport, endpoint: Endpoint | null, retaining: boolean) {
    this.transport = transport;
    this.endpoint = endpoint;
    this.output = new Output(transport.arena, retaining);
  }

  /** The peer sends these bytes, in one piece. */
  receive(bytes: Uint8Array | string): void {
    const received = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
    this.kept = Buffer.concat([this.kept, received]);
    if (this.kept.length >= this.expected) this.present();
  }

  /** The peer sends arena bytes [start, end), all of which the owner must consume: no copy, for timing. */
  receiveArena(start: number, end: number): void {
    const consumed = (this.owner as ConnectionOwner).onBytes(start, end);
    if (consumed !== end) throw new Error(`only ${consumed - start} of ${end - start} bytes were consumed`);
    this.transport.arena.settle();
  }

  /** The peer sends no more; it still reads. */
  end(): void {
    this.hasEnded = true;
    this.tellEnd();
  }

  /** What was sent since the last call; the kernel has taken it. */
  take(): string {
    return this.takeSome(Number.POSITIVE_INFINITY);
  }

  /** The kernel takes `count` bytes at the most. */
  takeSome(count: number): string {
    const { output, transport } = this;
    const pieces: Buffer[] = [];
    transport.arena.settle();
    for (let room = count; room > 0 && output.unsentBytes > 0; ) {
      const start = output.unsentStart();
      const length = Math.min(room, output.unsentLength());
      pieces.push(Buffer.from(transport.arena.bytes.slice(start, start + length)));
      output.advance(length);
      room -= length;
    }
    if (output.unsentBytes > 0) this.isBlocked = true;
    else this.onSent();
    return Buffer.concat(pieces).toString('latin1');
  }

  /** The connection stands. */
  open(): void {
    if (!this.isFinished && !this.isClosed) this.owner?.onOpen();
  }

  /** The connection breaks. What came before is shown first, after a pause, to an owner who wants that. */
  break(error: Error | null): void {
    if (this.isClosed) return;
    if (this.isPaused && !this.isFinished && this.owner?.onBroken !== undefined) {
      this.broken = { error };
      this.owner.onBroken();
      return;
    }
    this.isClosed = true;
    this.isFinished = true;
    this.closeError = error;
    if (this.endpoint === null) this.transport.sessionCount--;
    this.owner?.onClose(error);
    this.transport.arena.settle();
    this.output.dispose();
  }

  get unreadBytes(): number {
    return this.kept.length;
  }

  get unreadHeldBytes(): number {
    return this.kept.length;
  }

  remoteAddress(): string {
    return '127.0.0.1:50000';
  }

  localAddress(): string {
    return '127.0.0.1:6380';
  }

  flush(): void {}

  expect(bytes: number): void {
    this.expected = bytes;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    this.isResuming = true;
    this.transport.later(() => {
      this.isResuming = false;
      this.present();
      this.tellEnd();
      if (this.broken !== null) this.break(this.broken.error);
    });
  }

  close(): void {
    if (this.isFinished) return;
    this.isFinished = true;
    this.isClosing = true;
    this.transport.later(() => this.onSent());
  }

  destroy(error: Error | null): void {
    this.isFinished = true;
    this.transport.later(() => this.break(error));
  }

  /** What every driver does at the end of a turn with an output for which the arena had no room. */
  checkOverflow(): void {
    if (this.output.overflowed && !this.isFinished) this.destroy(noMemory());
  }

  private onSent(): void {
    if (this.isClosing && this.output.unsentBytes === 0) {
      this.transport.later(() => this.break(null));
      return;
    }
    if ((!this.isBlocked && !this.isPaused) || this.isFinished) return;
    this.isBlocked = false;
    this.transport.later(() => {
      if (!this.isFinished) this.owner?.onDrain();
    });
  }

  private tellEnd(): void {
    if (!this.hasEnded || this.isPaused || this.isResuming || this.isFinished) return;
    this.hasEnded = false;
    this.kept = Buffer.alloc(0);
    this.owner?.onEnd();
  }

  private present(): void {
    const { arena } = this.transport;
    if (this.isFinished || this.isPaused || this.owner === null || this.kept.length === 0) return;
    const block = arena.allocate(this.kept.length);
    if (block < 0) {
      this.destroy(noMemory());
      return;
    }
    this.expected = 0;
    arena.bytes.set(this.kept, block);
    const consumed = this.owner.onBytes(block, block + this.kept.length) - block;
    arena.settle();
    arena.release(block, this.kept.length);
    if (!(consumed >= 0 && consumed <= this.kept.length)) throw new RangeError(`it consumed ${consumed} bytes`);
    this.kept = this.kept.subarray(consumed);
  }
}

export class FakeTransport implements Transport {
  readonly kind = 'node' as const;
  readonly arena: Arena;
  readonly timers = new Timers();
  /** Those opened by `connect`, and those accepted, with the closed ones. */
  readonly connections: FakeConnection[] = [];
  readonly clients: FakeConnection[] = [];
  now = 1_000;
  turns = 0;
  acceptor: Acceptor | null = null;
  sessionCount = 0;
  listeners: readonly ListenerSnapshot[] = [];
  onTurnEnd: () => void = () => {};
  private readonly deferred: (() => void)[] = [];

  constructor(arenaBytes = 64 * 1024 * 1024) {
    this.arena = new Arena(new ArrayBuffer(arenaBytes));
  }

  connect(options: ConnectOptions, owner: ConnectionOwner): FakeConnection {
    const connection = new FakeConnection(this, options.endpoint, options.retaining);
    connection.owner = owner;
    this.connections.push(connection);
    return connection;
  }

  /** A client connects. */
  accept(door = 0): FakeConnection {
    const connection = new FakeConnection(this, null, false);
    if (this.acceptor === null) throw new Error('nobody accepts');
    this.sessionCount++;
    this.clients.push(connection);
    connection.owner = this.acceptor.onConnection(connection, door);
    return connection;
  }

  setListeners(listeners: readonly ListenerSnapshot[], onListening: () => void = () => {}): void {
    this.listeners = listeners;
    onListening();
  }

  /** Does what was put off, until nothing is left. */
  exactNow(): number {
    return this.now;
  }

  turn(): void {
    this.turns++;
    this.doDeferred();
    this.timers.fire(this.now);
    this.doDeferred();
    this.onTurnEnd();
    this.arena.settle();
    for (const connection of this.connections) connection.checkOverflow();
    for (const connection of this.clients) connection.checkOverflow();
  }

  /** Lets time pass, then takes a turn. */
  pass(ms: number): void {
    this.now += ms;
    this.turn();
  }

  later(action: () => void): void {
    this.deferred.push(action);
  }

  totalSessions(): number {
    return this.sessionCount;
  }

  startAccepting(acceptor: Acceptor): void {
    this.acceptor = acceptor;
  }

  stopAccepting(): void {
    this.acceptor = null;
  }

  start(): void {}

  async stop(): Promise<void> {}

  private doDeferred(): void {
    for (let action = this.deferred.shift(); action !== undefined; action = this.deferred.shift()) {
      action();
      this.arena.settle();
    }
  }
}

function noMemory(): TransportError {
  return new TransportError(NO_MEMORY, 'the worker has no memory left for the bytes of this connection');
}
