/**
 * One connection to a node for the control plane: RESP3 on Node's own sockets, pipelined, a promise a question. (ioredis speaks
 * RESP2 alone, and a vote counts only on a connection that hears of changes before the next reply: rule M1.)
 *
 *   connecting --HELLO 3--> ready --destroy(), error, silence--> closed: what was asked is rejected, onClose is called once
 *
 * Invariant: pushes are told in the place where they came: before a reply that came after them is handed out.
 */
import { createConnection, type Socket } from 'node:net';
import type { Endpoint } from '../base/endpoint.js';
import { showBytes, withoutSecret } from '../base/errors.js';
import { Fifo } from '../base/fifo.js';
import { INVALID, ReplyProgress, scanReply, TYPE } from '../resp/frame.js';
import { encodeCommand, isError } from '../resp/reply.js';

export interface ClientOptions {
  /** Its host is an address. */
  endpoint: Endpoint;
  username: string | null;
  password: string | null;
  connectTimeoutMs: number;
  /** How long the node may be silent while it is asked something. */
  requestTimeoutMs: number;
  /** What the node sent unasked: a frame, valid during the call. */
  onPush: (frame: Uint8Array) => void;
  /** It was greeted, and is gone. */
  onClose: (error: Error) => void;
}

interface Question {
  /** Replies that are still to come, and those that came. */
  missing: number;
  readonly replies: Uint8Array[];
  readonly askedMs: number;
  readonly resolve: (replies: Uint8Array[]) => void;
  readonly reject: (error: Error) => void;
}

const BUFFER_BYTES_MIN = 64 * 1024;
/** What follows repeats the words of the command, of which the password is one. */
const ECHO = /, with args beginning with.*/is;

export class NodeClient {
  private readonly socket: Socket;
  private readonly options: ClientOptions;
  private readonly questions = new Fifo<Question>();
  private readonly progress = new ReplyProgress();
  private failure: Error | null = null;
  private isGreeted = false;
  private unsent: Uint8Array[] = [];
  private lastBytesMs = performance.now();
  private timer: NodeJS.Timeout | null = null;
  /** What came and is not yet read is buffer[start, end). */
  private buffer = new Uint8Array(BUFFER_BYTES_MIN);
  private start = 0;
  private end = 0;

  private constructor(options: ClientOptions) {
    const { endpoint } = options;
    this.options = options;
    const address = endpoint.kind === 'unix' ? { path: endpoint.path } : { host: endpoint.host, port: endpoint.port };
    this.socket = createConnection({ ...address, noDelay: true });
    this.socket.on('data', (bytes) => this.onBytes(bytes));
    this.socket.on('error', (error) => this.destroy(error));
    this.socket.on('close', () => this.destroy(new Error('the other side closed the connection')));
  }

  /** Connects and greets. Rejects with what went wrong. */
  static async connect(options: ClientOptions): Promise<NodeClient> {
    const client = new NodeClient(options);
    const { username, password, connectTimeoutMs } = options;
    const limit = setTimeout(() => {
      client.destroy(new Error(`no answer to connecting and greeting within ${connectTimeoutMs} ms`));
    }, connectTimeoutMs);
    try {
      const words = password === null ? [] : ['AUTH', username ?? 'default', password];
      const [reply] = await client.ask(encodeCommand(['HELLO', '3', ...words]), 1);
      if (reply === undefined || isError(reply, 0)) {
        const text = reply === undefined ? '' : Buffer.from(reply).toString('latin1').slice(1).trim();
        throw new Error(`HELLO 3 was answered: ${withoutSecret(text.replace(ECHO, ''), password)}`);
      }
      client.isGreeted = true;
      return client;
    } catch (error) {
      client.destroy(error instanceof Error ? error : new Error(String(error)));
      throw error;
    } finally {
      clearTimeout(limit);
    }
  }

  /** Sends frames in one piece. Resolves with the `count` replies to them, pushes aside; rejects when the connection is lost before. */
  ask(frames: Uint8Array, count: number): Promise<Uint8Array[]> {
    return new Promise((resolve, reject) => {
      if (this.failure !== null) {
        reject(this.failure);
        return;
      }
      this.questions.push({ missing: count, replies: [], askedMs: performance.now(), resolve, reject });
      // What is asked within one turn goes out in one piece.
      if (this.unsent.length === 0) process.nextTick(() => this.flush());
      this.unsent.push(frames);
      if (this.timer === null) this.watch(this.options.requestTimeoutMs);
    });
  }

  /** Closes now: what was asked is rejected with `error`. */
  destroy(error: Error): void {
    if (this.failure !== null) return;
    this.failure = error;
    if (this.timer !== null) clearTimeout(this.timer);
    this.socket.destroy();
    for (let question = this.questions.shift(); question !== undefined; question = this.questions.shift()) {
      question.reject(error);
    }
    if (this.isGreeted) this.options.onClose(error);
  }

  private flush(): void {
    const { unsent } = this;
    this.unsent = [];
    if (this.failure === null)
      this.socket.write(unsent.length === 1 ? (unsent[0] as Uint8Array) : Buffer.concat(unsent));
  }

  /** Looks in so many milliseconds whether the node has gone silent. */
  private watch(ms: number): void {
    this.timer = setTimeout(() => {
      this.timer = null;
      const oldest = this.questions.peek();
      if (oldest === undefined) return;
      const { requestTimeoutMs } = this.options;
      const silentMs = performance.now() - Math.max(this.lastBytesMs, oldest.askedMs);
      if (silentMs < requestTimeoutMs) this.watch(requestTimeoutMs - silentMs);
      else this.destroy(new Error(`it did not answer within ${requestTimeoutMs} ms`));
    }, ms);
  }

  private onBytes(bytes: Uint8Array): void {
    this.lastBytesMs = performance.now();
    this.append(bytes);
    while (this.start < this.end && this.failure === null) {
      const { need } = this.progress;
      if (this.end - this.start < need) return;
      const end = scanReply(this.buffer, this.start, this.end, this.progress);
      if (end === INVALID) {
        this.destroy(new Error(`the node sent what is no reply: ${showBytes(this.buffer, this.start, this.end)}`));
        return;
      }
      if (end < 0) return;
      const isPush = this.buffer[this.start] === TYPE.push;
      // Whoever gets a reply keeps it: it is a copy.
      const frame = this.buffer.slice(this.start, end);
      this.start = end;
      if (isPush) this.options.onPush(frame);
      else this.onReply(frame);
    }
  }

  private onReply(frame: Uint8Array): void {
    const question = this.questions.peek();
    if (question === undefined) {
      this.destroy(new Error('the node answered what it was not asked'));
      return;
    }
    question.replies.push(frame);
    question.missing--;
    if (question.missing > 0) return;
    this.questions.shift();
    question.resolve(question.replies);
  }

  /** Makes room by moving what is unread to the front, or into twice the space. */
  private append(bytes: Uint8Array): void {
    const unread = this.end - this.start;
    const needed = unread + bytes.length;
    if (this.end + bytes.length > this.buffer.length) {
      const isLarge = this.buffer.length > BUFFER_BYTES_MIN && needed * 4 < this.buffer.length;
      const target = needed > this.buffer.length || isLarge ? new Uint8Array(roomFor(needed)) : this.buffer;
      if (target === this.buffer) target.copyWithin(0, this.start, this.end);
      else target.set(this.buffer.subarray(this.start, this.end));
      this.buffer = target;
      this.start = 0;
      this.end = unread;
    }
    this.buffer.set(bytes, this.end);
    this.end = this.start + needed;
  }
}

function roomFor(bytes: number): number {
  return Math.max(BUFFER_BYTES_MIN, 2 ** Math.ceil(Math.log2(bytes)));
}
