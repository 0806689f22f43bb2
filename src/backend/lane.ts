/** Connections of one kind to all nodes: of one protocol, working in one database. Sessions of that kind share them. */
import { encodeCommand } from '../resp/reply.js';
import type { Channel } from './channel.js';
import type { ConnectionKind } from './connection.js';

export class Lane implements ConnectionKind {
  readonly protocol: 2 | 3;
  readonly database: number;
  readonly setUp: readonly Uint8Array[];
  /** By node index. The hot path reads it. */
  channels: readonly Channel[] = [];

  constructor(protocol: 2 | 3, database: number) {
    this.protocol = protocol;
    this.database = database;
    this.setUp = database === 0 ? [] : [selectCommand(database)];
  }
}

export function selectCommand(database: number): Uint8Array {
  return encodeCommand(['SELECT', String(database)]);
}
