/**
 * A client that says exactly what a test tells it, byte for byte, and shows every reply as the bytes that came. Replies are
 * bounded by the slow reference parser, so it is not for large ones.
 */
import { once } from 'node:events';
import { createConnection, type NetConnectOpts, type Socket } from 'node:net';
import type { Test } from 'tap';
import { parseReply, type Value } from './reference-parser.js';
import { within } from './wait-for.js';

interface Waiter {
  /** Wants so many bytes; 0: one reply. */
  length: number;
  resolve: (bytes: Buffer) => void;
  reject: (error: Error) => void;
}

export class RespClient {
  /** Resolves when the connection is gone, by whomever. */
  readonly closed: Promise<void>;
  private readonly socket: Socket;
  private chunks: Buffer[] = [];
  private receivedBytes = 0;
  private hasEnded = false;
  private readonly waiters: Waiter[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('data', (bytes) => {
      this.chunks.push(bytes);
      this.receivedBytes += bytes.length;
      this.serve();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.hasEnded = true;
      this.serve();
    });
  }

  /** Connects to a port of 127.0.0.1, to the path of a unix socket, or to what `net.connect` takes. */
  static async connect(target: number | string | NetConnectOpts): Promise<RespClient> {
    let options: NetConnectOpts;
    if (typeof target === 'number') options = { host: '127.0.0.1', port: target };
    else if (typeof target === 'string') options = { path: target };
    else options = target;
    const socket = createConnection({ noDelay: true, ...options } as NetConnectOpts);
    await within('a connection', once(socket, 'connect'));
    return new RespClient(socket);
  }

  /** Sends bytes, or text with one character a byte. */
  send(bytes: Uint8Array | string): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** Sends bytes; resolves when the kernel has taken all of them, rejects when the connection ends before. */
  sent(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** The bytes of the next reply. Rejects when the connection ends before, or after `timeoutMs`. */
  next(timeoutMs = 20_000): Promise<Buffer> {
    return within('a reply', this.wait(0), timeoutMs);
  }

  /** The next `length` bytes, whatever they are. Rejects as `next` does. */
  nextBytes(length: number, timeoutMs = 60_000): Promise<Buffer> {
    return within(`${length} bytes`, this.wait(length), timeoutMs);
  }

  /** Sends a command and resolves with the bytes of its reply. */
  raw(...words: readonly (string | Uint8Array)[]): Promise<Buffer> {
    this.send(encodeWords(words));
    return this.next();
  }

  /** Sends a command and resolves with the value of its reply; an error reply is a value too (ReplyError). */
  async command(...words: readonly (string | Uint8Array)[]): Promise<Value> {
    const frame = await this.raw(...words);
    return parseReply(frame)?.value as Value;
  }

  /** What came and nobody has asked for, as text. */
  get unread(): string {
    return this.received().toString('latin1');
  }

  /** Reads no more: what the server sends stays with the kernel, and then with the server. */
  stopReading(): void {
    this.socket.pause();
  }

  readOn(): void {
    this.socket.resume();
  }

  /** Says that no more commands will come; replies still may. */
  end(): void {
    this.socket.end();
  }

  /** Disconnects at once. */
  close(): void {
    this.socket.destroy();
  }

  /** Disconnects with a reset, as a crashed machine's kernel does. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  private wait(length: number): Promise<Buffer> {
    const coming = new Promise<Buffer>((resolve, reject) => this.waiters.push({ length, resolve, reject }));
    this.serve();
    return coming;
  }

  private serve(): void {
    for (let waiter = this.waiters[0]; waiter !== undefined; waiter = this.waiters[0]) {
      const end = this.endOf(waiter);
      if (end !== null) {
        const received = this.received();
        this.chunks = [received.subarray(end)];
        this.receivedBytes -= end;
        waiter.resolve(received.subarray(0, end));
      } else if (this.hasEnded) {
        waiter.reject(new Error(`the connection ended; unread: ${JSON.stringify(this.unread.slice(0, 1000))}`));
      } else {
        return;
      }
      this.waiters.shift();
    }
  }

  /** Where what `waiter` wants ends; null while it is not all there. */
  private endOf({ length }: Waiter): number | null {
    if (length > 0) return this.receivedBytes >= length ? length : null;
    return parseReply(this.received())?.end ?? null;
  }

  private received(): Buffer {
    if (this.chunks.length !== 1) this.chunks = [Buffer.concat(this.chunks)];
    return this.chunks[0] as Buffer;
  }
}

/** A client of that port of 127.0.0.1 until the test ends. */
export async function connect(t: Test, port: number): Promise<RespClient> {
  const client = await RespClient.connect(port);
  t.teardown(() => client.close());
  return client;
}

/** Sends a command and resolves with its reply as text, one character a byte. */
export async function say(client: RespClient, ...words: string[]): Promise<string> {
  return (await client.raw(...words)).toString('latin1');
}

/** A command's frame. Text has one character a byte. */
export function encodeWords(words: readonly (string | Uint8Array)[]): Buffer {
  const pieces: Uint8Array[] = [Buffer.from(`*${words.length}\r\n`)];
  for (const word of words) {
    const bytes = typeof word === 'string' ? Buffer.from(word, 'latin1') : word;
    pieces.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(pieces);
}
