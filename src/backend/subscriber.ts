/**
 * What is subscribed to at one node, by one connection of its own, for one session or for all of a worker.
 *
 *   idle --change()--> connecting --greeted, all is asked for--> ready --nothing is wanted any more--> idle
 *                          |                                       |
 *                          +-- waiting (its place is kept) <-------+ lost
 *
 * The connection speaks RESP3: messages and confirmations are pushes, and the only replies are those to the PING that
 * follows each change, which says that the node has carried it out. A connection that is lost is made anew, after a wait
 * that doubles, and all is subscribed to again: what was published meanwhile is lost, as on one Redis.
 */
import { errorBytes } from '../base/errors.js';
import type { Timer } from '../base/timers.js';
import {
  messageKind,
  SUBSCRIPTION_KINDS,
  type SubscriptionKind,
  subscribeCommands,
  unsubscribeAll,
} from '../resp/message-frame.js';
import { encodeCommand, isError } from '../resp/reply.js';
import type { ChannelContext } from './channel.js';
import { BackendError } from './connection.js';
import type { Identity } from './identity.js';
import { SharedLane } from './lane.js';
import type { Pending, ReplyOwner } from './pending.js';
import type { Holder, PrivateConnection } from './private-connection.js';
import type { PrivateConnections } from './private-connections.js';

/** Names by kind, one character a byte. */
export type Names = Record<SubscriptionKind, Set<string>>;

export interface SubscriberEvents {
  /** A message of that kind: a push frame, arena bytes [start, end), to be kept until the arena is settled. */
  onMessage(kind: SubscriptionKind, start: number, end: number): void;
}

/** Who wants to know when the node has carried out a change. */
export interface ChangeWaiter {
  onDone(): void;
  /** It has not, or nobody knows; what was to be subscribed to is wanted still. */
  onRefused(error: Uint8Array): void;
}

const LANE = new SharedLane(3, 0);
const PING = encodeCommand(['PING']);
/** In its place, where the connection is of a user that may not be allowed to say PING: every user may say this. */
const HELLO = encodeCommand(['HELLO']);

export class Subscriber implements Holder, ReplyOwner {
  readonly wanted: Names = noNames();
  private readonly context: SubscriberContext;
  private readonly place: PrivateConnections;
  private readonly events: SubscriberEvents;
  private connection: PrivateConnection | null = null;
  /** Changes in flight, and who waits for each. */
  private readonly changes = new Map<Pending, readonly ChangeWaiter[]>();
  /** Who waits for the connection: what they want is asked for with all else when it was greeted. */
  private waiting: ChangeWaiter[] = [];
  private reconnectTimer: Timer | null = null;
  private reconnectMs = 0;
  /** While it waits to connect again it has a place of its own in the pool, if there was one. */
  private isPlaceKept = false;

  private readonly lane: SharedLane;

  /** `identity`: as whom; null: as the proxy. */
  constructor(
    context: SubscriberContext,
    place: PrivateConnections,
    events: SubscriberEvents,
    identity: Identity | null = null,
  ) {
    this.context = context;
    this.lane = identity === null ? LANE : new SharedLane(3, 0, identity);
    this.place = place;
    this.events = events;
  }

  /** Subscribes to the names `add`, which it does not want yet, and ends the subscriptions `remove`, which it has. */
  change(kind: SubscriptionKind, add: readonly string[], remove: readonly string[], waiter: ChangeWaiter | null): void {
    const wanted = this.wanted[kind];
    for (const name of add) wanted.add(name);
    for (const name of remove) wanted.delete(name);
    const { connection } = this;
    const waiters = waiter === null ? [] : [waiter];
    if (connection?.isReady === true) {
      this.send([...subscribeCommands(kind, false, add), ...subscribeCommands(kind, true, remove)], waiters);
      return;
    }
    this.waiting.push(...waiters);
    if (connection !== null) return;
    if (this.isNeeded()) this.connect();
    else {
      this.rest();
      this.tellWaiting(null);
    }
  }

  /** Ends all. Who waits for a change hears nothing more. */
  end(): void {
    const { connection } = this;
    const used = SUBSCRIPTION_KINDS.filter((kind) => this.wanted[kind].size > 0 || this.changes.size > 0);
    for (const kind of SUBSCRIPTION_KINDS) this.wanted[kind].clear();
    this.changes.clear();
    this.waiting = [];
    this.rest();
    this.connection = null;
    connection?.giveBack(used.length > 0 ? Buffer.concat([...used.map(unsubscribeAll), PING]) : null);
  }

  /** The connection was greeted: all is asked for that is wanted now. */
  onReady(): void {
    const { waiting } = this;
    this.waiting = [];
    const commands = SUBSCRIPTION_KINDS.flatMap((kind) => subscribeCommands(kind, false, [...this.wanted[kind]]));
    this.send(commands, waiting);
  }

  onPush(start: number, end: number): void {
    const kind = messageKind(this.context.transport.arena.bytes, start);
    if (kind !== null) this.events.onMessage(kind, start, end);
  }

  onLost(_connection: PrivateConnection, error: Error): void {
    this.connection = null;
    if (this.waiting.length > 0) this.tellWaiting(this.place.nodeDown(error.message));
    // Who was told may have changed what is wanted, or tried at once.
    if (!this.isNeeded() || this.connection !== null) return;
    this.isPlaceKept = this.place.reserve() === null;
    this.connectLater();
  }

  onReply(pending: Pending, start: number, end: number): void {
    const waiters = this.takeWaiters(pending);
    if (waiters === undefined) return;
    const { bytes } = this.context.transport.arena;
    if (isError(bytes, start)) {
      // The node refused the change, and its answer to PING is still to come, which nobody expects.
      const error = bytes.slice(start, end);
      this.connection?.breakOff(new BackendError('it refused a subscription'));
      for (const waiter of waiters) waiter.onRefused(error);
      return;
    }
    this.reconnectMs = 0;
    for (const waiter of waiters) waiter.onDone();
    if (this.isNeeded() || this.changes.size > 0) return;
    const { connection } = this;
    this.connection = null;
    connection?.giveBack(null);
  }

  onFailure(pending: Pending, error: Uint8Array): void {
    for (const waiter of this.takeWaiters(pending) ?? []) waiter.onRefused(error);
  }

  onPrelude(): void {}

  awaits(): boolean {
    return false;
  }

  askers(): readonly object[] {
    return [];
  }

  get isGone(): boolean {
    return false;
  }

  private isNeeded(): boolean {
    return SUBSCRIPTION_KINDS.some((kind) => this.wanted[kind].size > 0);
  }

  private connect(): void {
    this.rest();
    const connection = this.place.lend(this.lane, this);
    if (connection instanceof Uint8Array) {
      this.connectLater();
      this.tellWaiting(connection);
      return;
    }
    this.connection = connection;
    connection.listens = true;
    if (connection.isReady) this.onReady();
  }

  /** `error` is null where there is nothing to be done. */
  private tellWaiting(error: Uint8Array | null): void {
    const { waiting } = this;
    this.waiting = [];
    for (const waiter of waiting) {
      if (error === null) waiter.onDone();
      else waiter.onRefused(error);
    }
  }

  /** The node may be down, and others wait for it as well: until its shared connection stands nobody need try. */
  private connectLater(): void {
    const { transport, random } = this.context;
    const { reconnectMinMs, reconnectMaxMs } = this.place.node.limits;
    this.reconnectMs = Math.min(Math.max(this.reconnectMs * 2, reconnectMinMs), reconnectMaxMs);
    const waitMs = Math.round(this.reconnectMs * (0.5 + random() / 2));
    const timer = transport.timers.set(transport.now + waitMs, () => {
      this.place.inTurn(() => {
        if (this.reconnectTimer !== timer) return;
        if (this.place.isReached) this.connect();
        else this.connectLater();
      });
    });
    this.reconnectTimer = timer;
  }

  /** Waits no more to connect again. */
  private rest(): void {
    this.context.transport.timers.cancel(this.reconnectTimer);
    this.reconnectTimer = null;
    if (this.isPlaceKept) this.place.free();
    this.isPlaceKept = false;
  }

  /** Sends these commands and PING, whose reply tells `waiters`. */
  private send(commands: readonly Uint8Array[], waiters: readonly ChangeWaiter[]): void {
    const { transport, pendings } = this.context;
    const { arena } = transport;
    const connection = this.connection as PrivateConnection;
    const frame = Buffer.concat([...commands, this.lane.identity === null ? PING : HELLO]);
    const block = arena.allocate(frame.length);
    if (block < 0) {
      connection.breakOff(new BackendError('no buffer memory is left for its requests'));
      for (const waiter of waiters)
        waiter.onRefused(errorBytes('OVERLOADED', 'no buffer memory is left for this command'));
      return;
    }
    arena.bytes.set(frame, block);
    const pending = pendings.take(this, transport.now, false);
    this.changes.set(pending, waiters);
    const refusal = connection.send(pending, block, block + frame.length);
    arena.settle();
    arena.release(block, frame.length);
    if (refusal === null) return;
    // What nobody is told of is seen to by a connection made anew.
    if (waiters.length === 0) connection.breakOff(new BackendError('a subscription could not be sent'));
    this.onFailure(pending, refusal);
  }

  /** Undefined where it was ended since. */
  private takeWaiters(pending: Pending): readonly ChangeWaiter[] | undefined {
    const waiters = this.changes.get(pending);
    this.changes.delete(pending);
    this.context.pendings.release(pending);
    return waiters;
  }
}

export type SubscriberContext = Pick<ChannelContext, 'transport' | 'pendings' | 'random'>;

export function noNames(): Names {
  return { channel: new Set(), pattern: new Set(), shard: new Set() };
}
