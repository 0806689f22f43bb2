/**
 * One connection of the load. Requests stand in its queue as the times when they were due; the replies come in that order.
 */
import { Fifo } from '../../src/base/fifo.js';
import { INVALID, ReplyProgress, scanReply } from '../../src/resp/frame.js';
import type { Connection, ConnectionOwner, Transport } from '../../src/transport/transport.js';
import type { Measurement } from './measurement.js';
import type { Requests } from './requests.js';

const MINUS = 0x2d;
const DOLLAR = 0x24;
const STAR = 0x2a;
const BLANK = 0x20;
const CR = 0x0d;
/** A server that reads no more must not fill the arena. */
const UNSENT_BYTES_MAX = 16 * 1024 * 1024;

export interface LoadEvents {
  onOpen(): void;
  /** The reply to the last request that was in flight on it has come. */
  onIdle(connection: LoadConnection): void;
  /** It is gone for good. */
  onGone(connection: LoadConnection, reason: string): void;
}

export class LoadConnection implements ConnectionOwner {
  measurement: Measurement;
  private readonly transport: Transport;
  private readonly clockUs: () => number;
  private readonly requests: Requests;
  private readonly events: LoadEvents;
  private readonly progress = new ReplyProgress();
  private readonly waiting = new Fifo<number>();
  private connection: Connection | null = null;
  private isOpen = false;

  constructor(
    transport: Transport,
    clockUs: () => number,
    requests: Requests,
    measurement: Measurement,
    events: LoadEvents,
  ) {
    this.transport = transport;
    this.clockUs = clockUs;
    this.requests = requests;
    this.measurement = measurement;
    this.events = events;
  }

  open(host: string, port: number, timeoutMs: number): void {
    const endpoint = { kind: 'tcp', host, port } as const;
    this.connection = this.transport.connect({ endpoint, timeoutMs, retaining: false }, this);
  }

  /** Sends a request that was due at `dueUs`, in this turn. */
  ask(dueUs: number, nowUs: number): void {
    const { connection, measurement } = this;
    if (!this.isOpen || connection === null) {
      measurement.onUnsent(dueUs, 'no-connection');
      return;
    }
    if (connection.output.unsentBytes > UNSENT_BYTES_MAX) {
      measurement.onUnsent(dueUs, 'too-much-unsent');
      return;
    }
    measurement.onAsked(dueUs, nowUs);
    this.waiting.push(dueUs);
    this.requests.appendTo(connection.output);
    connection.flush();
  }

  /** What has no reply by now gets none. */
  giveUp(nowUs: number, reason: string): void {
    for (let dueUs = this.waiting.shift(); dueUs !== undefined; dueUs = this.waiting.shift()) {
      this.measurement.onLost(dueUs, nowUs, reason);
    }
  }

  onOpen(): void {
    this.isOpen = true;
    this.events.onOpen();
  }

  onBytes(start: number, end: number): number {
    const { bytes } = this.transport.arena;
    const nowUs = this.clockUs();
    let at = start;
    while (at < end) {
      const frameEnd = scanReply(bytes, at, end, this.progress);
      if (frameEnd < 0) {
        if (frameEnd === INVALID) return this.refuse(at, 'what came is not RESP');
        this.connection?.expect(this.progress.need);
        break;
      }
      const dueUs = this.waiting.shift();
      if (dueUs === undefined) return this.refuse(at, 'a reply came that nobody asked for');
      const type = bytes[at] as number;
      const error = type === MINUS ? firstWord(bytes, at + 1) : null;
      const isNull = (type === DOLLAR || type === STAR) && bytes[at + 1] === MINUS;
      this.measurement.onReply(dueUs, nowUs, error, isNull);
      at = frameEnd;
    }
    if (this.waiting.length === 0) this.events.onIdle(this);
    return at;
  }

  onEnd(): void {
    this.connection?.destroy(new Error('the server closed the connection'));
  }

  onDrain(): void {}

  onClose(error: Error | null): void {
    this.isOpen = false;
    this.connection = null;
    this.giveUp(this.clockUs(), 'connection-lost');
    this.events.onGone(this, error?.message ?? 'closed');
  }

  private refuse(at: number, reason: string): number {
    this.connection?.destroy(new Error(reason));
    return at;
  }
}

function firstWord(bytes: Uint8Array, start: number): string {
  let end = start;
  while (bytes[end] !== BLANK && bytes[end] !== CR) end++;
  return Buffer.from(bytes.subarray(start, end)).toString('latin1');
}
