/** The epoll driver: the loop of turns on epoll_wait, and a system call for each read and each send. */
import { EpollConnection, type EpollHost } from './epoll-connection.js';
import { Poll } from './poll.js';
import type { Connection, ConnectionOwner, ConnectOptions } from './transport.js';
import { type LoopOptions, openLoopBase, TurnLoop } from './turn-loop.js';

export class EpollTransport extends TurnLoop<EpollConnection> implements EpollHost {
  readonly kind = 'epoll';
  readonly poll: Poll;
  /** By descriptor. */
  private readonly connections: (EpollConnection | null)[] = [];
  private connectionCount = 0;

  /** Throws a TransportError where the system refuses. */
  constructor(options: LoopOptions) {
    const base = openLoopBase(options);
    const poll = new Poll(base.mapped, base.descriptors, options.worker);
    super(options, base, poll);
    this.poll = poll;
  }

  adopt(descriptor: number, findOwner: (connection: Connection) => ConnectionOwner): void {
    EpollConnection.accept(this, descriptor, findOwner);
  }

  connect(options: ConnectOptions, owner: ConnectionOwner): Connection {
    return EpollConnection.connect(this, options, owner);
  }

  route(descriptor: number, connection: EpollConnection | null): void {
    // Filled without holes: an array with holes is looked up slowly.
    while (this.connections.length <= descriptor) this.connections.push(null);
    const before = this.connections[descriptor];
    this.connectionCount += (connection === null ? 0 : 1) - (before === null ? 0 : 1);
    this.connections[descriptor] = connection;
  }

  protected wait(timeoutMs: number): number {
    return this.poll.wait(timeoutMs);
  }

  protected takeEvents(count: number): void {
    for (let index = 0; index < count; index++) {
      const descriptor = this.poll.descriptorOf(index);
      const connection = this.connections[descriptor];
      if (connection !== undefined && connection !== null) connection.onEvents(this.poll.eventsOf(index));
      else this.onWatched(descriptor);
    }
  }

  protected destroyAll(): void {
    for (const connection of this.connections) connection?.destroy(null);
  }

  protected isEmpty(): boolean {
    return this.connectionCount === 0;
  }

  protected closeDriver(): void {
    this.descriptors.clear(this.poll.descriptor);
    this.calls.close(this.poll.descriptor);
  }
}
