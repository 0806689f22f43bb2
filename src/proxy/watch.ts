/**
 * The keys that a session watches: all on one node, which knows them by a connection that the session has for itself.
 *
 * Where the connection is lost, or keys may have come to lie elsewhere, nobody knows whether they have changed: EXEC is then not
 * carried out, as if they had.
 */
import type { PrivateConnection } from '../backend/private-connection.js';
import { encodeCommand } from '../resp/reply.js';

const UNWATCH = encodeCommand(['UNWATCH']);

export class Watch {
  connection: PrivateConnection | null = null;
  /** Index of the node, in the topology of that version. */
  readonly node: number;
  readonly topologyVersion: number;
  /** The first of the keys, as an error shows it. */
  readonly firstKey: string;
  isBroken = false;
  private readonly onNeverMade: () => void;

  /** `onNeverMade`: the connection could not be made, so that nothing is watched. */
  constructor(node: number, firstKey: string, topologyVersion: number, onNeverMade: () => void) {
    this.node = node;
    this.firstKey = firstKey;
    this.topologyVersion = topologyVersion;
    this.onNeverMade = onNeverMade;
  }

  /** The connection was lost. */
  onLost({ isReady }: PrivateConnection): void {
    this.isBroken = true;
    if (!isReady) this.onNeverMade();
  }

  /** The session watches nothing any more. What is in flight is finished. */
  end(): void {
    this.connection?.giveBack(UNWATCH);
  }
}
