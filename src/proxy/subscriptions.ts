/**
 * What one session is subscribed to, and where: a channel, and a shard channel, at the node of its name; a pattern at every
 * node of the service; channels by which nodes tell what happens to their own keys at every node too.
 *
 *   SUBSCRIBE -> Change -> sources (one a node) -> all have confirmed -> confirmations, then what came meanwhile
 *   node -> message -> source -> session
 *
 * One change is under way at a time: the session reads nothing until it has been confirmed. Where a node cannot be reached the
 * command is an error, and nothing of it holds; what was subscribed to before stays, and is made anew with the connection.
 */
import type { Pending, PendingPool, ReplyOwner, ReplySource } from '../backend/pending.js';
import type { PrivateConnections } from '../backend/private-connections.js';
import { type ChangeWaiter, type Names, noNames, type SubscriberEvents } from '../backend/subscriber.js';
import type { Timer } from '../base/timers.js';
import { confirmation, messageName, SUBSCRIPTION_KINDS, type SubscriptionKind } from '../resp/message-frame.js';
import type { Arena } from '../transport/arena.js';
import type { Output } from '../transport/output.js';
import type { Transport } from '../transport/transport.js';

/** What a session is subscribed to at one node. */
export interface Source {
  readonly wanted: Names;
  /** See Subscriber.change. */
  change(kind: SubscriptionKind, add: readonly string[], remove: readonly string[], waiter: ChangeWaiter | null): void;
  end(): void;
}

/** Whose subscriptions they are. */
export interface SubscribedClient extends ReplyOwner {
  readonly protocol: 2 | 3;
  track(pending: Pending, requestBytes: number): void;
  waitForReplies(): void;
  complete(pending: Pending): void;
  /** A message for it: arena bytes [start, end), to be kept until the arena is settled. */
  push(start: number, end: number): void;
  /** More is kept for it now. */
  watchOutput(): void;
  cutOffForMemory(): void;
  endSubscriptions(): void;
}

export interface SubscriptionsContext {
  transport: Transport;
  pendings: PendingPool;
  /** What `placesOf` goes by: the same object while nothing of it changes. */
  service: () => object;
  /** Where `name` is to be subscribed to. */
  placesOf: (kind: SubscriptionKind, name: string) => readonly PrivateConnections[];
  /** A source at that node for who hears messages by `events`. */
  open: (place: PrivateConnections, events: SubscriberEvents) => Source;
}

/** How long a subscription is kept where its channel was before the topology changed: others may still publish there. */
const MOVE_MS = 2_000;
const ARRAY = Buffer.from('*');

export class Subscriptions implements SubscriberEvents {
  /** Since when its client's output has stood above subscriberOutputSoftBytes; -1: it does not. */
  slowSinceMs = -1;
  private readonly context: SubscriptionsContext;
  private readonly client: SubscribedClient;
  private readonly names: Names = noNames();
  private readonly sources = new Map<PrivateConnections, Source>();
  private change: Change | null = null;
  /** Rollbacks that the nodes have not carried out: until then messages may come that are not for the client. */
  private rollbacks = 0;
  private moveTimer: Timer | null = null;
  private isClosed = false;
  private placedBy: object;

  constructor(context: SubscriptionsContext, client: SubscribedClient) {
    this.context = context;
    this.placedBy = context.service();
    this.client = client;
  }

  /** How many subscriptions of that kind there are. */
  count(kind: SubscriptionKind): number {
    return this.names[kind].size;
  }

  /** Whether `holds` of all of them, and of those that are to come. */
  all(holds: (name: string, kind: SubscriptionKind) => boolean): boolean {
    return SUBSCRIPTION_KINDS.every((kind) => {
      return [...this.names[kind], ...this.coming(kind)].every((name) => holds(name, kind));
    });
  }

  /** Those of that kind that the change under way brings. */
  private coming(kind: SubscriptionKind): Iterable<string> {
    const { change } = this;
    return change?.kind === kind && !change.isEnd ? change.names : [];
  }

  get total(): number {
    return this.count('channel') + this.count('pattern') + this.count('shard');
  }

  /** Bytes of the arena that hold what came for a subscription which is not confirmed yet. */
  get parkedBytes(): number {
    return this.change?.heldBytes ?? 0;
  }

  /** Those of `names` that it is not subscribed to, each once. */
  fresh(kind: SubscriptionKind, names: readonly string[]): Set<string> {
    return new Set(names.filter((name) => !this.names[kind].has(name)));
  }

  /** Answers the command just read, which subscribes to `names`. All before it has been answered. */
  subscribe(kind: SubscriptionKind, names: readonly string[], requestBytes: number): void {
    const change = this.begin(kind, false, names, this.fresh(kind, names), requestBytes);
    for (const [place, some] of this.placed(kind, change.names)) {
      change.awaited++;
      this.source(place).change(kind, some, [], {
        onDone: () => this.onPartDone(change, null),
        onRefused: (error) => this.onPartDone(change, error),
      });
    }
    this.onPartDone(change, null);
  }

  /** As `subscribe`, for a command that ends subscriptions: to `names`, or to all there are of that kind where it is null. */
  unsubscribe(kind: SubscriptionKind, names: readonly string[] | null, requestBytes: number): void {
    const asked = names ?? [...this.names[kind]];
    const gone = new Set(asked.filter((name) => this.names[kind].has(name)));
    const change = this.begin(kind, true, asked, gone, requestBytes);
    for (const name of asked) {
      this.names[kind].delete(name);
      change.confirm(name, this.countShown(kind));
    }
    if (asked.length === 0) change.confirm(null, this.countShown(kind));
    // What is lost is subscribed to no more, either.
    const onDone = () => this.onPartDone(change, null);
    this.endAt(kind, gone, { onDone, onRefused: onDone }, () => change.awaited++);
    this.onPartDone(change, null);
  }

  onMessage(kind: SubscriptionKind, start: number, end: number): void {
    const { change } = this;
    if (change !== null || this.rollbacks > 0) {
      const name = messageName(this.context.transport.arena.bytes, start, kind);
      const isChanging = change?.kind === kind && change.names.has(name);
      if (isChanging && !change.isEnd) {
        if (change.park(start, end)) this.client.watchOutput();
        else this.client.cutOffForMemory();
        return;
      }
      if (!isChanging && !this.names[kind].has(name)) return;
    }
    this.client.push(start, end);
  }

  /** Channels may live elsewhere now: they are subscribed to there at once, and a little later no more where they were. */
  onTopologyChanged(): void {
    const service = this.context.service();
    if (service === this.placedBy) return;
    this.placedBy = service;
    const wanted = this.wantedNow();
    let hasLeft = false;
    for (const [place, names] of wanted) {
      const source = this.source(place);
      for (const kind of SUBSCRIPTION_KINDS) {
        const add = [...names[kind]].filter((name) => !source.wanted[kind].has(name));
        if (add.length > 0) source.change(kind, add, [], null);
      }
    }
    for (const [place, source] of this.sources) {
      const names = wanted.get(place);
      hasLeft ||= SUBSCRIPTION_KINDS.some((kind) => source.wanted[kind].size > (names?.[kind].size ?? 0));
    }
    if (!hasLeft || this.moveTimer !== null) return;
    const { timers, now } = this.context.transport;
    this.moveTimer = timers.set(now + MOVE_MS, () => this.leaveOld());
  }

  /** The session is subscribed to nothing any more, and is not told so. */
  close(): void {
    this.isClosed = true;
    this.context.transport.timers.cancel(this.moveTimer);
    for (const source of this.sources.values()) source.end();
  }

  private begin(
    kind: SubscriptionKind,
    isEnd: boolean,
    asked: readonly string[],
    names: Set<string>,
    requestBytes: number,
  ): Change {
    const { transport, pendings } = this.context;
    const { client } = this;
    const pending = pendings.take(client, transport.now, false);
    client.track(pending, requestBytes);
    client.waitForReplies();
    const change = new Change(transport.arena, client.protocol, pending, kind, isEnd, asked, names);
    pending.source = change;
    this.change = change;
    return change;
  }

  private onPartDone(change: Change, error: Uint8Array | null): void {
    change.error ??= error;
    change.awaited--;
    if (change.awaited > 0 || this.isClosed) return;
    this.change = null;
    const { kind, names, pending } = change;
    if (change.error !== null) this.rollBack(kind, names);
    else {
      // Whatever CLIENT REPLY says: it is no reply.
      pending.isMuted = false;
      if (!change.isEnd) {
        for (const name of change.asked) {
          this.names[kind].add(name);
          change.confirm(name, this.countShown(kind));
        }
      }
    }
    this.client.complete(pending);
    this.endIfOver();
  }

  private rollBack(kind: SubscriptionKind, names: ReadonlySet<string>): void {
    const onDone = () => {
      this.rollbacks--;
      this.endIfOver();
    };
    this.endAt(kind, names, { onDone, onRefused: onDone }, () => this.rollbacks++);
  }

  /** Ends the subscriptions to `names` wherever there are any: calls `onAsk` for each node that is asked, which then tells `waiter`. */
  private endAt(kind: SubscriptionKind, names: ReadonlySet<string>, waiter: ChangeWaiter, onAsk: () => void): void {
    for (const source of this.sources.values()) {
      const some = [...names].filter((name) => source.wanted[kind].has(name));
      if (some.length === 0) continue;
      onAsk();
      source.change(kind, [], some, waiter);
    }
  }

  private endIfOver(): void {
    const isOver = this.total === 0 && this.rollbacks === 0 && this.change === null;
    if (isOver && !this.isClosed) this.client.endSubscriptions();
  }

  /** What CLIENT is told: channels and patterns together, shard channels for themselves. */
  private countShown(kind: SubscriptionKind): number {
    return kind === 'shard' ? this.count('shard') : this.count('channel') + this.count('pattern');
  }

  private placed(kind: SubscriptionKind, names: Iterable<string>): Map<PrivateConnections, string[]> {
    const placed = new Map<PrivateConnections, string[]>();
    for (const name of names) {
      for (const place of this.context.placesOf(kind, name)) {
        const some = placed.get(place);
        if (some === undefined) placed.set(place, [name]);
        else some.push(name);
      }
    }
    return placed;
  }

  private source(place: PrivateConnections): Source {
    let source = this.sources.get(place);
    if (source === undefined) {
      source = this.context.open(place, this);
      this.sources.set(place, source);
    }
    return source;
  }

  /** What is to be subscribed to at each node, by the topology of now. */
  private wantedNow(): Map<PrivateConnections, Names> {
    const wanted = new Map<PrivateConnections, Names>();
    for (const kind of SUBSCRIPTION_KINDS) {
      for (const [place, names] of this.placed(kind, [...this.names[kind], ...this.coming(kind)])) {
        const there = wanted.get(place) ?? noNames();
        there[kind] = new Set(names);
        wanted.set(place, there);
      }
    }
    return wanted;
  }

  private leaveOld(): void {
    this.moveTimer = null;
    const wanted = this.wantedNow();
    for (const [place, source] of this.sources) {
      const names = wanted.get(place);
      for (const kind of SUBSCRIPTION_KINDS) {
        const remove = [...source.wanted[kind]].filter((name) => names?.[kind].has(name) !== true);
        if (remove.length > 0) source.change(kind, [], remove, null);
      }
      if (names === undefined) this.sources.delete(place);
    }
  }
}

/** A command that makes subscriptions, or ends some, until all nodes concerned have carried it out: then it is its own reply. */
class Change implements ReplySource {
  readonly pending: Pending;
  readonly kind: SubscriptionKind;
  readonly isEnd: boolean;
  /** As the client asked, in that order; and those that change. */
  readonly asked: readonly string[];
  readonly names: ReadonlySet<string>;
  /** Nodes that have not carried it out, and one more until all were asked. */
  awaited = 1;
  error: Uint8Array | null = null;
  heldBytes = 0;
  private readonly arena: Arena;
  private readonly protocol: 2 | 3;
  private readonly confirmations: Uint8Array[] = [];
  /** Messages that came for what is not confirmed yet, each in a block of the arena. */
  private readonly parked: { start: number; bytes: number }[] = [];

  constructor(
    arena: Arena,
    protocol: 2 | 3,
    pending: Pending,
    kind: SubscriptionKind,
    isEnd: boolean,
    asked: readonly string[],
    names: ReadonlySet<string>,
  ) {
    this.arena = arena;
    this.protocol = protocol;
    this.pending = pending;
    this.kind = kind;
    this.isEnd = isEnd;
    this.asked = asked;
    this.names = names;
  }

  /** The line for `name` (null: none), after which there are `count`. */
  confirm(name: string | null, count: number): void {
    this.confirmations.push(confirmation(this.kind, this.isEnd, name, count, this.protocol));
  }

  /** Keeps the message that is arena bytes [start, end). False when there is no room. */
  park(start: number, end: number): boolean {
    const block = this.arena.allocate(end - start);
    if (block < 0) return false;
    this.arena.bytes.copyWithin(block, start, end);
    this.parked.push({ start: block, bytes: end - start });
    this.heldBytes += end - start;
    return true;
  }

  writeReply(output: Output): void {
    if (this.error !== null) output.appendBytes(this.error);
    else {
      for (const line of this.confirmations) output.appendBytes(line);
      for (const { start, bytes } of this.parked) {
        if (this.protocol === 2) output.appendBytes(ARRAY);
        output.appendNow(this.protocol === 2 ? start + 1 : start, start + bytes);
      }
    }
    this.abandon();
  }

  abandon(): void {
    for (const { start, bytes } of this.parked) this.arena.release(start, bytes);
    this.parked.length = 0;
    this.heldBytes = 0;
  }

  awaitsPart(): boolean {
    return false;
  }

  get hasParts(): boolean {
    return this.heldBytes > 0;
  }
}
