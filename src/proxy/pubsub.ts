/**
 * SUBSCRIBE and its like. `pubsub: exact` has a connection for each session and node, so that PUBLISH and PUBSUB count as on one
 * Redis; `shared` has one for each worker and node (shared-subscriber.ts), which is for very many subscribers.
 */
import type { PendingPool } from '../backend/pending.js';
import type { BackendPool } from '../backend/pool.js';
import type { PrivateConnections } from '../backend/private-connections.js';
import { Subscriber, type SubscriberEvents } from '../backend/subscriber.js';
import type { ClientRules } from '../base/client-rules.js';
import { errorBytes } from '../base/errors.js';
import type { Limits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import type { CommandSpec } from '../resp/commands.js';
import type { SubscriptionKind } from '../resp/message-frame.js';
import type { RequestReader } from '../resp/request.js';
import type { Transport } from '../transport/transport.js';
import type { Service } from './service.js';
import type { Session } from './session.js';
import { SharedSubscribers } from './shared-subscriber.js';
import { type Source, Subscriptions, type SubscriptionsContext } from './subscriptions.js';

export interface PubSubContext {
  transport: Transport;
  reader: RequestReader;
  pendings: PendingPool;
  pool: BackendPool;
  limits: Limits;
  counts: Counts;
  random: () => number;
  rules: Pick<ClientRules, 'pubsub'>;
  serviceOf: (session: Session) => Service;
}

const COMMANDS: ReadonlyMap<string, { kind: SubscriptionKind; isEnd: boolean }> = new Map([
  ['subscribe', { kind: 'channel', isEnd: false }],
  ['unsubscribe', { kind: 'channel', isEnd: true }],
  ['psubscribe', { kind: 'pattern', isEnd: false }],
  ['punsubscribe', { kind: 'pattern', isEnd: true }],
  ['ssubscribe', { kind: 'shard', isEnd: false }],
  ['sunsubscribe', { kind: 'shard', isEnd: true }],
]);

/** By these each node tells what happens to its own keys. */
const OF_EACH_NODE = /^__key(space|event)@/;

export class PubSub {
  /** For those who subscribe from now on. */
  mode: ClientRules['pubsub'];
  private readonly context: PubSubContext;
  private readonly shared: SharedSubscribers;

  constructor(context: PubSubContext) {
    this.context = context;
    this.mode = context.rules.pubsub;
    this.shared = new SharedSubscribers(context);
  }

  /** Carries out the command last read, of a session to which all before it has been answered. */
  send(session: Session, spec: CommandSpec, start: number, end: number): void {
    const command = COMMANDS.get(spec.name);
    if (command === undefined) throw new Error(`${spec.name} does not subscribe`);
    const { kind, isEnd } = command;
    const names = this.names();
    session.subscriptions ??= new Subscriptions(this.contextOf(session), session);
    const { subscriptions } = session;
    if (isEnd) {
      subscriptions.unsubscribe(kind, names.length === 0 ? null : names, end - start);
      return;
    }
    const { sessionSubscriptionsMax } = this.context.limits;
    if (subscriptions.total + subscriptions.fresh(kind, names).size > sessionSubscriptionsMax) {
      this.context.counts.commandsOverloaded++;
      const limit = `sessionSubscriptionsMax ${sessionSubscriptionsMax}`;
      session.reply(errorBytes('OVERLOADED', `more subscriptions than one client may have (${limit})`));
      return;
    }
    subscriptions.subscribe(kind, names, end - start);
  }

  private contextOf(session: Session): SubscriptionsContext {
    const { transport, pendings } = this.context;
    return {
      transport,
      pendings,
      service: () => this.context.serviceOf(session),
      placesOf: (kind, name) => this.placesOf(session, kind, name),
      open: this.mode === 'exact' || session.lane.identity !== null ? this.openExact(session) : this.shared.open,
    };
  }

  private openExact(session: Session): (place: PrivateConnections, events: SubscriberEvents) => Source {
    return (place, events) => new Subscriber(this.context, place, events, session.lane.identity);
  }

  private placesOf(session: Session, kind: SubscriptionKind, name: string): readonly PrivateConnections[] {
    const { pool, serviceOf } = this.context;
    const service = serviceOf(session);
    if (kind === 'pattern' || (kind === 'channel' && OF_EACH_NODE.test(name)))
      return service.nodes.map(({ index }) => pool.privates(index));
    const bytes = Buffer.from(name, 'latin1');
    return [pool.privates(service.nodeOfChannel(bytes, 0, bytes.length))];
  }

  /** The arguments of the command last read, one character a byte. */
  private names(): string[] {
    const { reader, transport } = this.context;
    const { bytes } = transport.arena;
    const names: string[] = [];
    for (let index = 1; index < reader.argumentCount; index++) {
      const name = bytes.subarray(reader.argumentStart[index], reader.argumentEnd[index]);
      names.push(Buffer.from(name.buffer, name.byteOffset, name.length).toString('latin1'));
    }
    return names;
  }
}
