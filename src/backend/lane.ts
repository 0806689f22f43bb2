/** Ways to all nodes, of one protocol and one database: those that sessions of that kind share, or that one session has for itself. */
import { encodeCommand } from '../resp/reply.js';
import type { Channel } from './channel.js';
import type { ConnectionKind } from './connection.js';
import type { Identity } from './identity.js';
import type { Carrier, Sender } from './pending.js';

/** The way to one node. */
export interface LaneChannel extends Sender {
  /** Whether commands are taken now, other than to wait for a connection. */
  readonly isReady: boolean;
  /** Whether commands fail at once. */
  readonly isDown: boolean;
  /** When the oldest command came that its connection owes an answer to, in the transport's milliseconds; Infinity for none. */
  readonly oldestMs: number;
  /** The connection that a command goes by which is sent now; null where that is not known. */
  readonly carrier: Carrier | null;
}

export interface Lane {
  readonly protocol: 2 | 3;
  readonly database: number;
  /** By node index. The hot path reads it. */
  readonly channels: readonly LaneChannel[];
  /** As whom; null: as the proxy itself. */
  readonly identity: Identity | null;
}

/** Connections that sessions share. */
export class SharedLane implements Lane, ConnectionKind {
  readonly protocol: 2 | 3;
  readonly database: number;
  readonly setUp: readonly Uint8Array[];
  readonly identity: Identity | null;
  /** For what must not wait behind a script. */
  readonly isUrgent: boolean;
  channels: readonly Channel[] = [];

  constructor(protocol: 2 | 3, database: number, identity: Identity | null = null, isUrgent = false) {
    this.protocol = protocol;
    this.database = database;
    this.identity = identity;
    this.isUrgent = isUrgent;
    this.setUp = database === 0 ? [] : [selectCommand(database)];
  }
}

export function selectCommand(database: number): Uint8Array {
  return encodeCommand(['SELECT', String(database)]);
}
