/** The messages of client tracking: what nodes send, and what a client is told, by its protocol. */
import type { TrackingLane } from '../backend/tracking-lane.js';
import { bulkReply, integerReply, REPLY_NULL, REPLY_NULL_BULK } from '../resp/reply.js';

/** Keys that are not what they were: an array as in RESP; null: all. */
export type InvalidKeys = Uint8Array | null;

/** A client that may be told. */
export interface Listening {
  readonly protocol: 2 | 3;
  readonly isLeaving: boolean;
  /** To any channel. */
  readonly isSubscribed: boolean;
  /** While it tracks keys itself. */
  readonly tracking: { readonly lane: TrackingLane } | null;
  /** Those by which others of this worker track, whose messages are for it; null: there are none. */
  redirectedLanes: Set<TrackingLane> | null;
  pushInOrder(frame: Uint8Array): void;
  pushOnce(frame: Uint8Array): void;
}

/** Whom a session's messages are to go to: a client's number, and the client where it is of this worker. */
export interface Target {
  id: number;
  client: Listening | null;
}

/** The lanes whose nodes may have sent what the client is to be told. */
export function lanesToldOf({ tracking, redirectedLanes, protocol, isSubscribed }: Listening): Set<TrackingLane> {
  const lanes = new Set<TrackingLane>(protocol === 3 || isSubscribed ? redirectedLanes : null);
  if (tracking !== null && protocol === 3) lanes.add(tracking.lane);
  return lanes;
}

/** From now on `lane` is one of the client's `redirectedLanes`. */
export function redirectLane(client: Listening, lane: TrackingLane): void {
  client.redirectedLanes ??= new Set();
  client.redirectedLanes.add(lane);
}

/** It is none any more. */
export function unredirectLane(client: Listening, lane: TrackingLane): void {
  client.redirectedLanes?.delete(lane);
  if (client.redirectedLanes?.size === 0) client.redirectedLanes = null;
}

/** How a node's message begins. */
const PUSH = Buffer.from('>2\r\n$10\r\ninvalidate\r\n');
/** What says the same to a client in RESP2: a message of Pub/Sub, whatever it has subscribed to. */
const MESSAGE = Buffer.from('*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n');
const ALL = Buffer.concat([PUSH, REPLY_NULL]);
const ALL_MESSAGE = Buffer.concat([MESSAGE, REPLY_NULL_BULK]);
const ARRAY = 0x2a;
const MINUS = 0x2d;

/** The keys of a node's message, bytes[start, end). False: it is about something else. */
export function readInvalidation(bytes: Uint8Array, start: number, end: number): InvalidKeys | false {
  const at = start + PUSH.length;
  if (at >= end || PUSH.compare(bytes, start, at) !== 0) return false;
  const isKeys = bytes[at] === ARRAY && bytes[at + 1] !== MINUS;
  return isKeys ? bytes.slice(at, end) : null;
}

/** Tells the client what it has read that is invalid now. If `isOnce`, that all is is not said again before it was told something else. */
export function tellInvalid(client: Listening, keys: InvalidKeys, isOnce: boolean): void {
  // Nothing can be pushed in RESP2.
  if (client.protocol !== 3) return;
  if (keys !== null) client.pushInOrder(Buffer.concat([PUSH, keys]));
  else if (isOnce) client.pushOnce(ALL);
  else client.pushInOrder(ALL);
}

/** Tells the client what another one has read, which asked for that. */
export function tellRedirected(client: Listening, keys: InvalidKeys): void {
  if (client.protocol === 3) tellInvalid(client, keys, false);
  else if (client.isSubscribed) client.pushInOrder(keys === null ? ALL_MESSAGE : Buffer.concat([MESSAGE, keys]));
}

/** Tells the client that whom it redirected its messages to is gone. */
export function tellBroken(client: Listening, redirect: number): void {
  if (client.protocol === 3)
    client.pushInOrder(
      Buffer.concat([Buffer.from('>2\r\n'), bulkReply('tracking-redir-broken'), integerReply(redirect)]),
    );
}
