/**
 * Unary gRPC calls, with no more of HTTP/2 than they need ("gRPC over HTTP2"; RFC 9113; RFC 7541): what a load costs itself is
 * taken from the servers on the same machine, and a library for either costs more than etcd's own work on a read.
 *
 *   preface, SETTINGS, WINDOW_UPDATE once
 *   a call     HEADERS (the same bytes each time: no table is used), DATA: 0, length, message
 *   an answer  HEADERS, DATA, HEADERS with the end of the stream; without a message in between it is an error
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { BenchmarkError } from '../compare/children.js';
import { writeLater } from './write-later.js';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const FRAME_HEADER_BYTES = 9;
const MESSAGE_HEADER_BYTES = 5;

const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const GOAWAY = 7;
const WINDOW_UPDATE = 8;

const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;

const SETTING_HEADER_TABLE_SIZE = 1;
const SETTING_INITIAL_WINDOW_SIZE = 4;
/** As large as can be: nobody has to open it wider while it is measured. */
const WINDOW_BYTES = 0x7fffffff;
const WINDOW_BYTES_AT_FIRST = 65_535;

interface Call {
  message: Buffer | null;
  resolve: (message: Buffer) => void;
  reject: (error: Error) => void;
}

export class GrpcConnection {
  private readonly socket: Socket;
  private readonly service: string;
  private readonly headers = new Map<string, Buffer>();
  private readonly calls = new Map<number, Call>();
  private nextStream = 1;
  private received: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket, service: string) {
    this.socket = socket;
    this.service = service;
    socket.on('data', (bytes) => this.onData(bytes));
    socket.on('error', (error) => this.fail(error.message));
    socket.on('close', () => this.fail('the connection was closed'));
  }

  /** `url`: `http://127.0.0.1:2379`; `service`: `etcdserverpb.KV`. */
  static async connect(url: string, service: string): Promise<GrpcConnection> {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await once(socket, 'connect');
    const settings = Buffer.alloc(12);
    settings.writeUInt16BE(SETTING_HEADER_TABLE_SIZE, 0);
    settings.writeUInt16BE(SETTING_INITIAL_WINDOW_SIZE, 6);
    settings.writeUInt32BE(WINDOW_BYTES, 8);
    const window = Buffer.alloc(4);
    window.writeUInt32BE(WINDOW_BYTES - WINDOW_BYTES_AT_FIRST, 0);
    socket.write(
      Buffer.concat([Buffer.from(PREFACE), frame(SETTINGS, 0, 0, settings), frame(WINDOW_UPDATE, 0, 0, window)]),
    );
    return new GrpcConnection(socket, service);
  }

  /** The message that is answered. Rejects where there is none. */
  call(method: string, message: Uint8Array): Promise<Buffer> {
    const stream = this.nextStream;
    this.nextStream += 2;
    const body = Buffer.allocUnsafe(MESSAGE_HEADER_BYTES + message.length);
    body[0] = 0;
    body.writeUInt32BE(message.length, 1);
    body.set(message, MESSAGE_HEADER_BYTES);
    const head = frame(HEADERS, END_HEADERS, stream, this.headersOf(method));
    writeLater(this.socket, Buffer.concat([head, frame(DATA, END_STREAM, stream, body)]));
    return new Promise((resolve, reject) => this.calls.set(stream, { message: null, resolve, reject }));
  }

  close(): void {
    this.socket.destroy();
  }

  private onData(bytes: Buffer): void {
    this.received = this.received.length === 0 ? bytes : Buffer.concat([this.received, bytes]);
    let at = 0;
    while (this.received.length - at >= FRAME_HEADER_BYTES) {
      const end = at + FRAME_HEADER_BYTES + this.received.readUIntBE(at, 3);
      if (end > this.received.length) break;
      const [type, flags] = [this.received[at + 3] as number, this.received[at + 4] as number];
      const stream = this.received.readUInt32BE(at + 5);
      this.onFrame(type, flags, stream, this.received.subarray(at + FRAME_HEADER_BYTES, end));
      at = end;
    }
    this.received = this.received.subarray(at);
  }

  private onFrame(type: number, flags: number, stream: number, payload: Buffer): void {
    const call = this.calls.get(stream);
    if (type === SETTINGS && (flags & ACK) === 0) this.socket.write(frame(SETTINGS, ACK, 0, Buffer.alloc(0)));
    else if (type === PING && (flags & ACK) === 0) this.socket.write(frame(PING, ACK, 0, payload));
    else if (type === GOAWAY) this.fail(`the server goes away: ${payload.subarray(8).toString()}`);
    else if (type === DATA && call !== undefined) {
      call.message = call.message === null ? payload : Buffer.concat([call.message, payload]);
    }
    const isEnd = type === RST_STREAM || ((type === HEADERS || type === DATA) && (flags & END_STREAM) !== 0);
    if (!isEnd || call === undefined) return;
    this.calls.delete(stream);
    if (type === RST_STREAM || call.message === null) call.reject(new BenchmarkError(`${this.service}: an error`));
    else call.resolve(call.message.subarray(MESSAGE_HEADER_BYTES));
  }

  private fail(reason: string): void {
    for (const call of this.calls.values()) call.reject(new BenchmarkError(`${this.service}: ${reason}`));
    this.calls.clear();
  }

  private headersOf(method: string): Buffer {
    let headers = this.headers.get(method);
    if (headers === undefined) {
      headers = Buffer.concat([
        // :method POST and :scheme http, of the static table; then names of that table (:path, :authority, content-type) and a
        // name of our own, each with a value that no table is to keep.
        Buffer.from([0x83, 0x86]),
        ...[Buffer.from([0x04]), text(`/${this.service}/${method}`)],
        ...[Buffer.from([0x01]), text('etcd')],
        ...[Buffer.from([0x0f, 0x10]), text('application/grpc')],
        ...[Buffer.from([0x00]), text('te'), text('trailers')],
      ]);
      this.headers.set(method, headers);
    }
    return headers;
  }
}

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

/** A string of HPACK, not compressed, below 127 characters. */
function text(value: string): Buffer {
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
}

/** A length-delimited field of a protobuf message (wire type 2): its number, below 16, its length, its bytes. */
export function field(number: number, bytes: Uint8Array): Buffer {
  const head = [(number << 3) | 2];
  let length = bytes.length;
  for (; length > 127; length >>>= 7) head.push((length & 127) | 128);
  head.push(length);
  return Buffer.concat([Buffer.from(head), bytes]);
}
