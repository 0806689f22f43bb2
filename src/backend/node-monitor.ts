/**
 * MONITOR at one node, by a connection of its own: what the node's scripts do, which nobody else can tell. Of all that the node shows only
 * the lines of scripts are handed on.
 *
 *   connecting --greeted, MONITOR--> watching --lost--> waiting --> connecting …      until `close`
 */
import type { Timer } from '../base/timers.js';
import { encodeCommand, isError } from '../resp/reply.js';
import { BackendError } from './connection.js';
import { SharedLane } from './lane.js';
import type { Pending, ReplyOwner } from './pending.js';
import type { Holder, PrivateConnection } from './private-connection.js';
import type { PrivateConnections } from './private-connections.js';
import type { SubscriberContext } from './subscriber.js';

const LANE = new SharedLane(2, 0);
const MONITOR = encodeCommand(['MONITOR']);
/** Milliseconds until a lost connection is tried again, and between looks at whether the node is there at all: nothing may come for long. */
const RETRY_MS = 1_000;
/** `+1700000000.000001 [0 lua] "set" …` */
const OF_SCRIPT = /^\+[\d.]+ \[\d+ lua\] /;
/** What stands behind the time and the client: a script that is begun, by its digest or its text. */
const BEGINS_SCRIPT = /^\+[\d.]+ \[[^\]]*\] "(?:eval|evalsha)(?:_ro)?" "([^"]{0,120})/i;
/** What begins a text as BEGINS_SCRIPT finds it. */
const TEXT_BEGIN = /^[^"]{0,120}/;
/** So much of a line is looked at. */
const HEAD_BYTES = 256;

/** How the text of a script begins in a line of MONITOR, where it is quoted as `shown`. */
export function scriptBegin(shown: string): string {
  return TEXT_BEGIN.exec(shown)?.[0] ?? '';
}

export interface NodeMonitorEvents {
  /** A script has called a command: a line as MONITOR shows it, to be kept by who wants it. */
  onScriptLine(line: Uint8Array): void;
  /** It watches, or tries to: the first attempt has ended. `error`: an error reply of the proxy's why the node is not watched, for now. */
  onTried(error: Uint8Array | null): void;
  /** Whether that is a script of the proxy's own, of which nobody is to see anything: its digest, or how its text begins as MONITOR shows it. */
  isOwnScript(begin: string): boolean;
}

export class NodeMonitor implements Holder, ReplyOwner {
  private readonly context: SubscriberContext;
  private readonly place: PrivateConnections;
  private readonly events: NodeMonitorEvents;
  private connection: PrivateConnection | null = null;
  private timer: Timer | null = null;
  private isClosed = false;
  private wasTried = false;
  /** The lines of scripts that come now are those of one of the proxy's own. */
  private isOwn = false;

  constructor(context: SubscriberContext, place: PrivateConnections, events: NodeMonitorEvents) {
    this.context = context;
    this.place = place;
    this.events = events;
  }

  open(): void {
    this.connect();
    this.lookLater();
  }

  close(): void {
    this.isClosed = true;
    this.context.transport.timers.cancel(this.timer);
    this.connection?.destroy('nobody monitors any more');
    this.connection = null;
  }

  onReady(): void {
    const { transport, pendings } = this.context;
    const { arena } = transport;
    const connection = this.connection as PrivateConnection;
    const block = arena.allocate(MONITOR.length);
    if (block < 0) {
      connection.breakOff(new BackendError('no buffer memory is left for its requests'));
      return;
    }
    arena.bytes.set(MONITOR, block);
    const pending = pendings.take(this, transport.now, false);
    const refusal = connection.send(pending, block, block + MONITOR.length);
    arena.settle();
    arena.release(block, MONITOR.length);
    if (refusal !== null) this.onFailure(pending, refusal);
  }

  onReply(pending: Pending, start: number, end: number): void {
    this.context.pendings.release(pending);
    const { bytes } = this.context.transport.arena;
    if (!isError(bytes, start)) {
      this.tried(null);
      return;
    }
    // It may be allowed later.
    const error = bytes.slice(start, end);
    this.tried(error);
    this.connection?.breakOff(new BackendError('it refused MONITOR'));
  }

  onFailure(pending: Pending, error: Uint8Array): void {
    this.context.pendings.release(pending);
    this.tried(error);
  }

  onStray(start: number, end: number): void {
    const { bytes } = this.context.transport.arena;
    const head = Buffer.from(bytes.subarray(start, Math.min(end, start + HEAD_BYTES))).toString('latin1');
    if (OF_SCRIPT.test(head)) {
      if (!this.isOwn) this.events.onScriptLine(bytes.slice(start, end));
      return;
    }
    // The lines of a script follow that of the command which has it run.
    const begin = BEGINS_SCRIPT.exec(head)?.[1];
    this.isOwn = begin !== undefined && this.events.isOwnScript(begin);
  }

  onLost(_connection: PrivateConnection, error: Error): void {
    this.connection = null;
    this.tried(this.place.nodeDown(error.message));
  }

  onPrelude(): void {}

  awaits(): boolean {
    return false;
  }

  askers(): readonly object[] {
    return [];
  }

  get isGone(): boolean {
    return this.isClosed;
  }

  private connect(): void {
    const connection = this.place.lend(LANE, this);
    if (connection instanceof Uint8Array) {
      this.tried(connection);
      return;
    }
    this.connection = connection;
    this.isOwn = false;
    if (connection.isReady) this.onReady();
  }

  /** Tries again where it does not watch, and gives up a connection whose node is not there. */
  private lookLater(): void {
    const { transport } = this.context;
    this.timer = transport.timers.set(transport.now + RETRY_MS, () => {
      if (this.connection === null) {
        if (this.place.isReached) this.connect();
      } else if (this.connection.isReady && !this.place.isNodeThere) {
        this.connection.breakOff(new BackendError('its node does not answer'));
      }
      this.lookLater();
    });
  }

  private tried(error: Uint8Array | null): void {
    if (this.wasTried || this.isClosed) return;
    this.wasTried = true;
    this.events.onTried(error);
  }
}
