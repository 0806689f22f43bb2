/** One connection of the proxy to a node of a simulation, with what the node keeps of it. */
import type { FakeConnection } from '../../help/fake-transport.js';

/** A command that waits for an element of a list. */
export interface Wait {
  readonly id: string;
  readonly keys: readonly string[];
  readonly hasTimeout: boolean;
  /** Who has waited longest is served first. */
  readonly order: number;
  /** Since when. */
  readonly step: number;
}

export class Link {
  readonly connection: FakeConnection;
  /** The node's number for it. */
  readonly id: number;
  isOpen = false;
  hasAnswered = false;
  inbound = '';
  /** What the kernel has taken since the node stopped reading. */
  unreadBytes = 0;
  queue: string[][] = [];
  outbound = '';
  protocol: 2 | 3 = 2;
  database = 0;
  /** Between MULTI and EXEC: what was queued. */
  block: string[][] | null = null;
  /** Places of the keys that are watched, by which client, and whether one of them has changed. */
  readonly watched = new Set<string>();
  watcher = 0;
  isTouched = false;
  wait: Wait | null = null;

  constructor(connection: FakeConnection, id: number) {
    this.connection = connection;
    this.id = id;
  }

  /** Whether the proxy still counts on it. */
  get isLive(): boolean {
    return !this.connection.isClosed && !this.connection.isFinished;
  }

  /** Whether nothing is on its way. */
  get isQuiet(): boolean {
    return this.isOpen && this.connection.output.unsentBytes === 0 && this.queue.length === 0 && this.outbound === '';
  }

  get nullArray(): string {
    return this.protocol === 3 ? '_\r\n' : '*-1\r\n';
  }
}
