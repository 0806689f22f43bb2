/**
 * A session's CLIENT TRACKING: its nodes remember what it reads, by connections of its own (backend/tracking-lane.ts), and what they
 * say goes to the client, or to the one that it names.
 *
 * Nothing is missed: where a connection was lost, or keys may have come to lie elsewhere, the client is told that all keys are
 * invalid. A message never overtakes a reply that the node gave before it.
 */
import type { Pending, PendingPool } from '../backend/pending.js';
import type { BackendPool } from '../backend/pool.js';
import { TrackingLane, type TrackingMode } from '../backend/tracking-lane.js';
import type { Counts } from '../base/metrics.js';
import { skipValue } from '../resp/frame.js';
import { arrayHeader, encodeCommand, REPLY_OK } from '../resp/reply.js';
import type { Transport } from '../transport/transport.js';
import {
  type InvalidKeys,
  readInvalidation,
  redirectLane,
  type Target,
  tellBroken,
  tellInvalid,
  unredirectLane,
} from './invalidation.js';
import type { QuestionsContext } from './questions.js';
import { Redirection } from './redirection.js';
import type { Redirected, Redirections } from './redirections.js';
import type { Service } from './service.js';
import type { Session } from './session.js';
import type { TrackingState } from './tracking-state.js';

export interface TrackingContext {
  transport: Transport;
  pendings: PendingPool;
  pool: BackendPool;
  counts: Counts;
  /** Null where it is no more. */
  serviceOf: (session: Session) => Service | null;
  ask: QuestionsContext['ask'];
  redirections: Redirections;
}

const CACHING_YES = encodeCommand(['CLIENT', 'CACHING', 'YES']);
const CACHING_NO = encodeCommand(['CLIENT', 'CACHING', 'NO']);

export class Tracking implements TrackingState {
  readonly lane: TrackingLane;
  mode: TrackingMode;
  private redirection: Redirection | null = null;
  /** Where that is to a client of another worker. */
  private redirected: Redirected | null = null;
  isBroken = false;
  private readonly session: Session;
  private readonly context: TrackingContext;
  /** What says where keys lie: the same object while nothing of it changes. */
  private placedBy: Service | null;
  /** Whether CLIENT CACHING was said for the next command, or for the one now carried out (a transaction is one). */
  private caching: 'no' | 'next' | 'now' = 'no';
  /** How much the client had got when the other was told that all is invalid; null: it may not have got all that was there. */
  private toldAllPosition: number | null = null;
  /** CLIENT TRACKING, while it waits for the nodes. */
  private waiting: Pending | null = null;

  constructor(context: TrackingContext, session: Session, mode: TrackingMode, target: Target | null) {
    this.context = context;
    context.counts.sessionsTracking++;
    this.session = session;
    this.mode = mode;
    this.placedBy = context.serviceOf(session);
    this.lane = new TrackingLane(
      {
        transport: context.transport,
        pendings: context.pendings,
        nodes: () => context.pool.indexed,
        served: () => context.serviceOf(session)?.nodes ?? [],
        onSettled: () => this.onSettled(),
        onForgotten: () => this.tell(null),
        onPush: (start, end) => this.onPush(start, end),
      },
      session.lane,
      mode,
    );
    this.redirectTo(target);
  }

  change(mode: TrackingMode, addedPrefixes: readonly Uint8Array[], target: Target | null): Uint8Array | null {
    this.mode = mode;
    this.redirectTo(target);
    this.toldAllPosition = null;
    this.isBroken = false;
    return this.lane.track(mode, addedPrefixes);
  }

  answerWhenSettled(pending: Pending): void {
    this.waiting = pending;
    if (!this.lane.waits()) this.onSettled();
  }

  cacheNext(): void {
    if (this.caching === 'no') this.caching = 'next';
  }

  get redirect(): number {
    return this.redirection?.id ?? 0;
  }

  get isCaching(): boolean {
    return this.caching !== 'no';
  }

  onCommand(name: string): void {
    if (this.caching === 'no') return;
    if (this.caching === 'now') {
      if (this.session.transaction === null) this.setCaching('no');
      // What comes between is not the next command.
    } else if (!name.startsWith('client')) {
      this.setCaching('now');
    }
  }

  onPutOff(): void {
    if (this.caching === 'now' && this.session.transaction === null) this.setCaching('next');
  }

  onTopologyChanged(): void {
    this.lane.onTopologyChanged();
    const service = this.context.serviceOf(this.session);
    if (service === this.placedBy) return;
    this.placedBy = service;
    this.tell(null);
    // What comes of what is in flight is of where the keys were.
    if (!this.session.isIdle) this.session.whenAnswered(() => this.tell(null));
  }

  close(): void {
    this.context.counts.sessionsTracking--;
    this.leaveTarget();
    this.lane.close();
    this.onSettled();
  }

  private setCaching(caching: 'no' | 'next' | 'now'): void {
    this.caching = caching;
    if (caching !== 'now') this.lane.caching = null;
    else this.lane.caching = this.mode.isOptIn ? CACHING_YES : CACHING_NO;
  }

  private redirectTo(target: Target | null): void {
    this.leaveTarget();
    this.redirection = null;
    if (target === null) return;
    if (target.client !== null) redirectLane(target.client, this.lane);
    const { ask, redirections } = this.context;
    this.redirection = new Redirection(target, this.session.service, ask, () => {
      this.isBroken = true;
      tellBroken(this.session, target.id);
    });
    if (target.client !== null) return;
    this.redirected = { lane: this.lane, redirection: this.redirection };
    redirections.add(this.redirected);
  }

  private leaveTarget(): void {
    const client = this.redirection?.client ?? null;
    if (client !== null) unredirectLane(client, this.lane);
    if (this.redirected !== null) this.context.redirections.remove(this.redirected);
    this.redirected = null;
  }

  private onSettled(): void {
    const { waiting } = this;
    this.waiting = null;
    if (waiting !== null) this.session.onFailure(waiting, REPLY_OK);
  }

  private onPush(start: number, end: number): void {
    const keys = readInvalidation(this.context.transport.arena.bytes, start, end);
    if (keys === false) return;
    const service = this.context.serviceOf(this.session);
    const seen = keys !== null && service?.hidesKeys === true ? seenKeys(keys, service) : keys;
    if (seen === null || seen.length > 0) this.tell(seen);
  }

  /** Where only this client reads, all that it has read is invalid once: until it has read more. */
  private tell(keys: InvalidKeys): void {
    const { session, redirection } = this;
    const { isBroadcast } = this.mode;
    if (redirection === null) {
      tellInvalid(session, keys, !isBroadcast);
      return;
    }
    if (keys === null) {
      const position = session.quietPosition;
      if (position !== null && position === this.toldAllPosition && !isBroadcast) return;
      this.toldAllPosition = position;
    }
    redirection.tell(keys);
  }
}

/** Those of `keys` that the service sees; nothing where it sees none. */
function seenKeys(keys: Uint8Array, service: Service): Uint8Array {
  const seen: Uint8Array[] = [];
  for (let at = keys.indexOf(0x0a) + 1; at < keys.length; ) {
    const end = skipValue(keys, at);
    if (service.nodeOf(keys, keys.indexOf(0x0a, at) + 1, end - 2) >= 0) seen.push(keys.subarray(at, end));
    at = end;
  }
  return seen.length === 0 ? new Uint8Array() : Buffer.concat([arrayHeader(seen.length), ...seen]);
}
