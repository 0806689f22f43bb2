/**
 * The io_uring driver: the loop of turns on io_uring_enter, which carries out all sends of the turn before, and all else that
 * was asked for, and waits, in one call.
 *
 *   enter -> results of the sends -> completions -> … (turn-loop.ts) … -> sends and receives are pushed -> enter
 *
 * Sends are carried out inside of the call or not at all (uring-connection.ts), and only those have a completion that did
 * not go wholly. So a wait is not ended by them, and when the call returns all others are known to be with the kernel.
 */

import { BufferQueue } from './buffer-queue.js';
import { CLIENT_BUFFERS, NODE_BUFFERS, ProvidedBuffers } from './provided-buffers.js';
import { Ring } from './ring.js';
import { RingWatches } from './ring-watches.js';
import { SendMessages } from './send-messages.js';
import type { Connection, ConnectionOwner, ConnectOptions } from './transport.js';
import { TurnList } from './turn-list.js';
import { type LoopOptions, openLoopBase, TurnLoop } from './turn-loop.js';
import { UringConnection, type UringHost } from './uring-connection.js';
import { CONNECTION_KINDS, kindOf, placeOf, SEND, WATCH } from './uring-keys.js';
import { CQE_BUFFER, CQE_BUFFER_SHIFT } from './uring-numbers.js';

export class UringTransport extends TurnLoop<UringConnection> implements UringHost {
  readonly kind = 'io_uring';
  readonly ring: Ring;
  readonly clientBuffers: ProvidedBuffers;
  readonly nodeBuffers: ProvidedBuffers;
  readonly messages: SendMessages;
  /** Something follows from how the sends went: the next `enter` is not to wait. */
  hurries = false;

  private readonly watches: RingWatches;
  /** By place. */
  private readonly connections: (UringConnection | null)[] = [];
  private readonly generations: number[] = [];
  private readonly freePlaces: number[] = [];
  /** Connections whose send was pushed, and how it went is not known; in the order of their entries. */
  private sending = new TurnList<UringConnection>();
  private spareSending = new TurnList<UringConnection>();
  private readonly hungryClients = new BufferQueue<UringConnection>(CLIENT_BUFFERS.count);
  private readonly hungryNodes = new BufferQueue<UringConnection>(NODE_BUFFERS.count);

  /** Throws a TransportError where the system refuses. */
  constructor(options: LoopOptions) {
    const base = openLoopBase(options);
    const ring = new Ring(base.mapped, base.descriptors, options.worker);
    const clientBuffers = new ProvidedBuffers(base.mapped, ring, CLIENT_BUFFERS);
    const nodeBuffers = new ProvidedBuffers(base.mapped, ring, NODE_BUFFERS);
    const watches = new RingWatches(ring);
    super(options, base, watches);
    this.ring = ring;
    this.clientBuffers = clientBuffers;
    this.nodeBuffers = nodeBuffers;
    this.watches = watches;
    this.messages = new SendMessages(base.mapped);
  }

  adopt(descriptor: number, findOwner: (connection: Connection) => ConnectionOwner): void {
    UringConnection.accept(this, descriptor, findOwner);
  }

  connect(options: ConnectOptions, owner: ConnectionOwner): Connection {
    return UringConnection.connect(this, options, owner);
  }

  enroll(connection: UringConnection): void {
    const place = this.freePlaces.pop() ?? this.connections.push(null) - 1;
    if (place === this.generations.length) this.generations.push(0);
    this.connections[place] = connection;
    connection.place = place;
    connection.generation = this.generations[place] as number;
  }

  retire(connection: UringConnection): void {
    const { place } = connection;
    this.connections[place] = null;
    this.generations[place] = ((this.generations[place] as number) + 1) | 0;
    this.freePlaces.push(place);
  }

  /** The connection whose completions come with `place`, or null: for tests. */
  connectionAt(place: number): Connection | null {
    return this.connections[place] ?? null;
  }

  awaitSent(connection: UringConnection): void {
    this.sending.push(connection);
  }

  starve(connection: UringConnection, hadSome: boolean): void {
    (connection.bufferGroup === NODE_BUFFERS ? this.hungryNodes : this.hungryClients).push(connection, hadSome);
  }

  protected wait(timeoutMs: number): number {
    const waitMs = this.hurries ? 0 : timeoutMs;
    this.hurries = false;
    return this.ring.enter(waitMs);
  }

  protected takeEvents(count: number): void {
    if (this.sending.count > 0) this.concludeSends(count);
    const { ring } = this;
    for (let index = 0; index < count; index++) this.takeCompletion(ring.at(index));
    ring.release();
    this.clientBuffers.lend();
    this.nodeBuffers.lend();
    if (!this.hungryClients.isEmpty) this.feed(this.hungryClients);
    if (!this.hungryNodes.isEmpty) this.feed(this.hungryNodes);
  }

  protected destroyAll(): void {
    for (const connection of this.connections) connection?.destroy(null);
  }

  protected isEmpty(): boolean {
    return this.freePlaces.length === this.connections.length;
  }

  protected closeDriver(): void {
    this.ring.close();
  }

  /** All entries that the kernel took are carried out; those that were not so wholly have a completion. */
  private concludeSends(count: number): void {
    const { ring, sending } = this;
    for (let index = 0; index < count; index++) {
      const completion = ring.at(index);
      const key = ring.keyAt(completion);
      if (kindOf(key) === SEND) this.connections[placeOf(key)]?.noteSend(ring.resultAt(completion));
    }
    // Where completions are still in the kernel, one of them may be a send's.
    const { taken } = ring;
    const isAllSeen = !ring.hasOverflowed();
    this.sending = this.spareSending;
    this.spareSending = sending;
    for (let index = 0; index < sending.count; index++) {
      const connection = sending.take(index);
      if (isAllSeen && ((connection.sendEntry - taken) | 0) < 0) connection.concludeSend();
      else this.sending.push(connection);
    }
    sending.count = 0;
    if (this.sending.count > 0) this.hurries = true;
  }

  private takeCompletion(completion: number): void {
    const { ring } = this;
    const key = ring.keyAt(completion);
    const generation = ring.generationAt(completion);
    const result = ring.resultAt(completion);
    const flags = ring.flagsAt(completion);
    const kind = kindOf(key);
    const place = placeOf(key);
    if (kind < CONNECTION_KINDS) {
      // How sends went is known already.
      if (kind === SEND) return;
      const connection = this.connections[place];
      const isItsOwn = connection !== null && connection !== undefined && connection.generation === generation;
      if ((flags & CQE_BUFFER) === 0) {
        if (isItsOwn) connection.onCompletion(kind, result, flags, 0);
        return;
      }
      const buffer = flags >>> CQE_BUFFER_SHIFT;
      const buffers = buffer < NODE_BUFFERS.first ? this.clientBuffers : this.nodeBuffers;
      if (isItsOwn) connection.onCompletion(kind, result, flags, buffers.offsetOf(buffer));
      buffers.giveBack(buffer);
    } else if (kind === WATCH && this.watches.onCompletion(place, generation, result)) {
      this.onWatched(place);
    }
  }

  private feed(hungry: BufferQueue<UringConnection>): void {
    hungry.feed();
    if (!hungry.isEmpty) this.hurries = true;
  }
}
