/** When a client last did anything, and since when it owes the rest of a command: what its time-outs go by. */
import type { Connection, Transport } from '../transport/transport.js';

/** Who sends so much of an unfinished command has new time for the rest. */
const STEP_BYTES = 1024 * 1024;

export class Activity {
  /** When bytes last came, or were last taken by the client or made ready for it. */
  lastBytesMs: number;
  /** Since when a command is half there (-1: none is). */
  unfinishedSinceMs = -1;
  /** Bytes of it that have gone on to its node already. */
  passedBytes = 0;
  private unfinishedBytes = 0;
  /** As `look` saw them last: the connection's unread bytes, and its output's positions. */
  private seenUnreadBytes = 0;
  private seenSent = 0;
  private seenAppended = 0;
  private readonly transport: Transport;
  private readonly connection: Connection;

  constructor(transport: Transport, connection: Connection) {
    this.transport = transport;
    this.connection = connection;
    this.lastBytesMs = transport.now;
  }

  /**
   * Looks at what came and went: nobody is told of the bytes of a large command before the last has come, nor of those of a
   * large reply that the client takes. A reply that came just now has not been sent yet: it goes at the end of the turn.
   * Called about once a second.
   */
  look(): void {
    const { unreadBytes, output } = this.connection;
    const isMoving = output.sent !== this.seenSent || output.appended !== this.seenAppended;
    if (unreadBytes > this.seenUnreadBytes || isMoving) this.lastBytesMs = this.transport.now;
    this.seenUnreadBytes = unreadBytes;
    this.seenSent = output.sent;
    this.seenAppended = output.appended;
    if (this.unfinishedSinceMs >= 0) this.onUnfinished(unreadBytes);
  }

  /** A command is half there with so many unread bytes of it. Each step gives it new time: who sends a byte a minute has his end, too. */
  onUnfinished(unreadBytes: number): void {
    const bytes = this.passedBytes + unreadBytes;
    if (this.unfinishedSinceMs >= 0 && bytes < this.unfinishedBytes + STEP_BYTES) return;
    this.unfinishedSinceMs = this.transport.now;
    this.unfinishedBytes = bytes;
  }
}
