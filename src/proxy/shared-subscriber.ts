/**
 * `pubsub: shared`: one connection to each node for all sessions of a worker. A channel is subscribed to there while any session is
 * subscribed to it, and each message is handed to all of them.
 */
import type { PrivateConnections } from '../backend/private-connections.js';
import {
  type ChangeWaiter,
  type Names,
  noNames,
  Subscriber,
  type SubscriberContext,
  type SubscriberEvents,
} from '../backend/subscriber.js';
import { messageName, SUBSCRIPTION_KINDS, type SubscriptionKind } from '../resp/message-frame.js';
import type { Source } from './subscriptions.js';

/** Those of one worker. */
export class SharedSubscribers {
  private readonly context: SubscriberContext;
  private readonly subscribers = new WeakMap<PrivateConnections, SharedSubscriber>();

  constructor(context: SubscriberContext) {
    this.context = context;
  }

  /** What `events` hears of that node. */
  readonly open = (place: PrivateConnections, events: SubscriberEvents): Source => {
    let subscriber = this.subscribers.get(place);
    if (subscriber === undefined) {
      subscriber = new SharedSubscriber(this.context, place);
      this.subscribers.set(place, subscriber);
    }
    return new Share(subscriber, events);
  };
}

/** The one of one node. */
class SharedSubscriber implements SubscriberEvents {
  private readonly context: SubscriberContext;
  private readonly subscriber: Subscriber;
  /** Who hears of what. */
  private readonly listeners: Record<SubscriptionKind, Map<string, Set<SubscriberEvents>>> = {
    channel: new Map(),
    pattern: new Map(),
    shard: new Map(),
  };

  constructor(context: SubscriberContext, place: PrivateConnections) {
    this.context = context;
    this.subscriber = new Subscriber(context, place, this);
  }

  onMessage(kind: SubscriptionKind, start: number, end: number): void {
    const listeners = this.listeners[kind].get(messageName(this.context.transport.arena.bytes, start, kind));
    // One that is closed for what it does not read leaves meanwhile.
    if (listeners !== undefined) for (const listener of listeners) listener.onMessage(kind, start, end);
  }

  change(
    kind: SubscriptionKind,
    add: readonly string[],
    remove: readonly string[],
    listener: SubscriberEvents,
    waiter: ChangeWaiter | null,
  ): void {
    const all = this.listeners[kind];
    const first: string[] = [];
    const last: string[] = [];
    for (const name of add) {
      const listeners = all.get(name);
      if (listeners !== undefined) listeners.add(listener);
      else {
        all.set(name, new Set([listener]));
        first.push(name);
      }
    }
    for (const name of remove) {
      const listeners = all.get(name);
      if (listeners?.delete(listener) !== true || listeners.size > 0) continue;
      all.delete(name);
      last.push(name);
    }
    this.subscriber.change(kind, first, last, waiter);
  }
}

/** That of one session. */
class Share implements Source {
  readonly wanted: Names = noNames();
  private readonly subscriber: SharedSubscriber;
  private readonly events: SubscriberEvents;

  constructor(subscriber: SharedSubscriber, events: SubscriberEvents) {
    this.subscriber = subscriber;
    this.events = events;
  }

  change(kind: SubscriptionKind, add: readonly string[], remove: readonly string[], waiter: ChangeWaiter | null): void {
    for (const name of add) this.wanted[kind].add(name);
    for (const name of remove) this.wanted[kind].delete(name);
    this.subscriber.change(kind, add, remove, this.events, waiter);
  }

  end(): void {
    for (const kind of SUBSCRIPTION_KINDS) {
      const names = [...this.wanted[kind]];
      if (names.length > 0) this.change(kind, [], names, null);
    }
  }
}
