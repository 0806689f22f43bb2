/**
 * A transport without a network: what the other side would do is said by calls. It keeps the contract of
 * transport/transport.ts that owners rely on (unread bytes are presented again, owners are never called re-entrantly), so
 * that sessions and node connections can be tested, and timed, by themselves.
 */
import type { Endpoint } from '../../src/base/endpoint.js';
import { Timers } from '../../src/base/timers.js';
import { Arena } from '../../src/transport/arena.js';
import { Output } from '../../src/transport/output.js';
import type {
  Acceptor,
  Connection,
  ConnectionOwner,
  ConnectOptions,
  Transport,
} from '../../src/transport/transport.js';

export class FakeConnection implements Connection {
  readonly output: Output;
  readonly endpoint: Endpoint | null;
  owner: ConnectionOwner | null = null;
  isPaused = false;
  isClosed = false;
  private readonly transport: FakeTransport;
  private kept = Buffer.alloc(0);

  constructor(transport: FakeTransport, endpoint: Endpoint | null, retaining: boolean) {
    this.transport = transport;
    this.endpoint = endpoint;
    this.output = new Output(transport.arena, retaining);
  }

  /** The peer sends these bytes, in one piece. */
  receive(bytes: Uint8Array | string): void {
    const received = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
    this.kept = Buffer.concat([this.kept, received]);
    this.present();
  }

  /** The peer sends arena bytes [start, end), all of which the owner must consume: no copy, for timing. */
  receiveArena(start: number, end: number): void {
    const consumed = (this.owner as ConnectionOwner).onBytes(start, end);
    if (consumed !== end) throw new Error(`only ${consumed - start} of ${end - start} bytes were consumed`);
    this.transport.arena.settle();
  }

  /** What was sent since the last call; the kernel has taken it. */
  take(): string {
    const pieces: Buffer[] = [];
    this.transport.arena.settle();
    while (this.output.unsentBytes > 0) {
      const start = this.output.unsentStart();
      const length = this.output.unsentLength();
      pieces.push(Buffer.from(this.transport.arena.bytes.slice(start, start + length)));
      this.output.advance(length);
    }
    return Buffer.concat(pieces).toString('latin1');
  }

  /** The kernel takes `count` bytes at the most. */
  takeSome(count: number): string {
    this.transport.arena.settle();
    const start = this.output.unsentStart();
    const length = Math.min(count, this.output.unsentLength());
    const text = Buffer.from(this.transport.arena.bytes.slice(start, start + length)).toString('latin1');
    this.output.advance(length);
    return text;
  }

  /** The connection stands. */
  open(): void {
    this.owner?.onOpen();
  }

  /** The connection breaks. */
  break(error: Error | null): void {
    if (this.isClosed) return;
    this.isClosed = true;
    if (this.endpoint === null) this.transport.sessionCount--;
    this.owner?.onClose(error);
    this.output.dispose();
  }

  remoteAddress(): string {
    return '127.0.0.1:50000';
  }

  localAddress(): string {
    return '127.0.0.1:6380';
  }

  flush(): void {}

  expect(): void {}

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    this.transport.later(() => this.present());
  }

  close(): void {
    this.transport.later(() => this.break(null));
  }

  destroy(error: Error | null): void {
    this.transport.later(() => this.break(error));
  }

  private present(): void {
    const { arena } = this.transport;
    if (this.isClosed || this.isPaused || this.owner === null || this.kept.length === 0) return;
    const block = arena.allocate(this.kept.length);
    if (block < 0) throw new Error('the fake transport is out of memory');
    arena.bytes.set(this.kept, block);
    const consumed = this.owner.onBytes(block, block + this.kept.length) - block;
    arena.settle();
    arena.release(block, this.kept.length);
    this.kept = this.kept.subarray(consumed);
  }
}

export class FakeTransport implements Transport {
  readonly kind = 'node' as const;
  readonly arena: Arena;
  readonly timers = new Timers();
  readonly connections: FakeConnection[] = [];
  now = 1_000;
  turns = 0;
  acceptor: Acceptor | null = null;
  sessionCount = 0;
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
  accept(): FakeConnection {
    const connection = new FakeConnection(this, null, false);
    if (this.acceptor === null) throw new Error('nobody accepts');
    this.sessionCount++;
    connection.owner = this.acceptor.onConnection(connection);
    return connection;
  }

  /** Does what was put off, until nothing is left. */
  turn(): void {
    for (let action = this.deferred.shift(); action !== undefined; action = this.deferred.shift()) action();
    this.timers.fire(this.now);
    for (let action = this.deferred.shift(); action !== undefined; action = this.deferred.shift()) action();
    this.onTurnEnd();
    this.arena.settle();
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
}
