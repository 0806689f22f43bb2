/**
 * One session with ZooKeeper, which is one connection to one server here: nothing is bound to a session, so none is moved to another
 * connection. What was asked is answered in its order; what a watch tells comes before the reply that has what it tells of.
 *
 *   connecting --handshake--> open --close(), loss, silence--> closed: what was asked is rejected, onClose is called once
 *
 * A request that is not answered in its time ends the session: all others wait for the same server.
 */
import { createConnection, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { TlsConfig } from '../base/tls-section.js';
import { JuteReader, JuteWriter } from './jute.js';
import { StoreError } from './store-error.js';
import { distrust, tlsOptions } from './tls.js';
import { CODE, OP, type Request, safeNumber } from './zookeeper-requests.js';

export interface ZooKeeperLogin {
  username: string;
  password: string;
}

export interface ZooKeeperEndpoint {
  readonly host: string;
  readonly port: number;
}

export interface SessionOptions {
  endpoint: ZooKeeperEndpoint;
  login: ZooKeeperLogin | null;
  /** Null: none is spoken. */
  tls: TlsConfig | null;
  /** The newest that was ever seen: a server that has less refuses the session. */
  lastZxid: number;
  timeoutMs: number;
  /** The node at `path`, or its children, may have changed. */
  onEvent: (path: string) => void;
  onClose: () => void;
}

/** A server's answer that something could not be done: nothing was changed. */
export class ZooKeeperError extends StoreError {
  readonly code: number;

  constructor(code: number, what: string) {
    const words = MEANINGS[code];
    const text = `ZooKeeper refused ${what}: code ${code}${words === undefined ? '' : `: ${words}`}`;
    super(REFUSALS.includes(code) ? 'refused' : 'unavailable', text);
    this.code = code;
  }
}

const REFUSALS: readonly number[] = [
  ...[CODE.noAuth, CODE.authFailed, CODE.passwordNeeded, CODE.badArguments, CODE.unimplemented],
];
const MEANINGS: Readonly<Record<number, string>> = {
  [CODE.noAuth]: 'it is for another username and password than these',
  [CODE.authFailed]: 'it takes no username and password, or not these',
  [CODE.passwordNeeded]: 'it asks for a username and a password',
  [CODE.unimplemented]: 'it is older than 3.5',
};
/** After so long without a word the server forgets the session. It may choose another time. */
const SESSION_MS = 6_000;
/** A third of the time that the server has chosen, at most. */
const PING_MS_MAX = 2_000;
const PACKET_BYTES_MAX = 16 * 1024 * 1024;
const CLOSE_MS_MAX = 500;

const XID_EVENT = -1;
const XID_PING = -2;
const XID_AUTH = -4;
/** It has none: it is the first. */
const XID_GREETING = 0;
const LENGTH_BYTES = 4;

interface Question {
  readonly xid: number;
  readonly isWrite: boolean;
  readonly what: string;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (reply: JuteReader) => void;
  readonly reject: (error: StoreError) => void;
}

export class ZooKeeperSession {
  /** The newest that was seen. */
  lastZxid: number;
  private readonly options: SessionOptions;
  private readonly server: string;
  private readonly socket: Socket;
  private readonly packets = new PacketReader();
  /** In the order in which they are answered. */
  private readonly questions: Question[] = [];
  private xid = 0;
  private pinging: NodeJS.Timeout | null = null;
  private heardMs = performance.now();
  private failure: StoreError | null = null;

  private constructor(options: SessionOptions) {
    const { endpoint, lastZxid } = options;
    this.options = options;
    this.lastZxid = lastZxid;
    this.server = `${endpoint.host}:${endpoint.port}`;
    this.socket = connect(options);
    this.socket.setNoDelay(true);
    this.socket.on('data', (bytes) => this.onBytes(bytes));
    this.socket.on('error', (error) => {
      const reason = distrust(error);
      this.destroy(reason ?? error.message, reason === null ? 'unavailable' : 'refused');
    });
    this.socket.on('close', () => this.destroy('it closed the connection'));
  }

  /** Rejects with a StoreError: `unavailable`, or `refused` where the two do not trust each other. */
  static async open(options: SessionOptions): Promise<ZooKeeperSession> {
    const session = new ZooKeeperSession(options);
    const { login, lastZxid, timeoutMs } = options;
    const greeting = new JuteWriter().int(0).long(BigInt(lastZxid)).int(SESSION_MS).long(0n).bytes(Buffer.alloc(16));
    try {
      const answer = await session.send(XID_GREETING, greeting.bool(false), false, timeoutMs, 'the greeting');
      const chosenMs = [answer.int(), answer.int()][1] as number;
      session.keepAlive(Math.min(PING_MS_MAX, chosenMs / 3));
      if (login === null) return session;
      const words = new JuteWriter().int(XID_AUTH).int(OP.auth).int(0);
      words.text('digest').text(`${login.username}:${login.password}`);
      await session.send(XID_AUTH, words, false, timeoutMs, 'the password');
      return session;
    } catch (error) {
      session.destroy('it could not be begun');
      throw error;
    }
  }

  get isOpen(): boolean {
    return this.failure === null;
  }

  /** Rejects with a ZooKeeperError, or a StoreError when the session ends before the reply. `what` is for its words. */
  async ask<A>({ op, body, isWrite, read }: Request<A>, timeoutMs: number, what: string): Promise<A> {
    const xid = ++this.xid;
    const reply = await this.send(xid, new JuteWriter().int(xid).int(op).append(body), isWrite, timeoutMs, what);
    try {
      return read(reply);
    } catch (error) {
      this.destroy(`what it answered to ${what} is no reply: ${(error as Error).message}`);
      throw new StoreError(isWrite ? 'unknown' : 'unavailable', `${this.server}: no reply to ${what}`, error);
    }
  }

  /** Tells the server, so that it forgets the session at once. Resolves when the connection is closed. */
  async close(): Promise<void> {
    if (this.socket.closed) return;
    const closed = new Promise((resolve) => this.socket.once('close', resolve));
    const end = { op: OP.closeSession, body: new JuteWriter(), isWrite: false, read: () => null };
    // Whatever comes of it, nothing of the session is needed any more.
    await this.ask(end, CLOSE_MS_MAX, 'its end').catch(() => {});
    this.destroy('the store is closed');
    await closed;
  }

  /** What was asked is rejected; unless nobody was listened to, what may change something is unknown. */
  destroy(reason: string, fault: 'unavailable' | 'refused' = 'unavailable'): void {
    if (this.failure !== null) return;
    this.failure = new StoreError(fault, `${this.server}: ${reason}`);
    if (this.pinging !== null) clearInterval(this.pinging);
    this.socket.destroy();
    for (const { isWrite, what, timer, reject } of this.questions.splice(0)) {
      clearTimeout(timer);
      reject(new StoreError(isWrite ? 'unknown' : fault, `${this.server}, asked for ${what}: ${reason}`));
    }
    this.options.onClose();
  }

  private send(
    xid: number,
    packet: JuteWriter,
    isWrite: boolean,
    timeoutMs: number,
    what: string,
  ): Promise<JuteReader> {
    return new Promise((resolve, reject) => {
      if (this.failure !== null) {
        reject(this.failure);
        return;
      }
      const late = () => this.destroy(`no answer to ${what} within ${Math.round(timeoutMs)} ms`);
      this.questions.push({ xid, isWrite, what, timer: setTimeout(late, timeoutMs), resolve, reject });
      this.socket.write(packet.packet());
    });
  }

  /** What only keeps the session is answered out of the order of the others. */
  private keepAlive(ms: number): void {
    this.pinging = setInterval(() => {
      if (performance.now() - this.heardMs > 2 * ms) this.destroy(`no word for ${Math.round(2 * ms)} ms`);
      else this.socket.write(new JuteWriter().int(XID_PING).int(OP.ping).packet());
    }, ms);
  }

  private onBytes(bytes: Buffer): void {
    this.heardMs = performance.now();
    try {
      this.packets.add(bytes);
      for (let packet = this.packets.next(); packet !== null && this.isOpen; packet = this.packets.next()) {
        this.onPacket(new JuteReader(packet));
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.destroy(`what it sent is no packet: ${error.message}`);
    }
  }

  private onPacket(packet: JuteReader): void {
    if (this.questions[0]?.xid === XID_GREETING) {
      this.answer(packet, CODE.ok);
      return;
    }
    const [xid, zxid, code] = [packet.int(), packet.long(), packet.int()];
    if (xid === XID_EVENT) {
      // Its kind, and the state of the session.
      packet.int();
      packet.int();
      this.options.onEvent(packet.text());
      return;
    }
    if (zxid > 0n) this.lastZxid = Math.max(this.lastZxid, safeNumber(zxid));
    if (xid === XID_PING) return;
    if (this.questions[0]?.xid !== xid) throw new RangeError(`it answers question ${xid}, which is not the next`);
    this.answer(packet, code);
  }

  private answer(reply: JuteReader, code: number): void {
    const { timer, what, resolve, reject } = this.questions.shift() as Question;
    clearTimeout(timer);
    if (code === CODE.ok) resolve(reply);
    else reject(new ZooKeeperError(code, what));
  }
}

function connect({ endpoint: { host, port }, tls }: SessionOptions): Socket {
  return tls === null ? createConnection({ host, port }) : connectTls({ ...tlsOptions(tls), host, port });
}

/** Packets out of bytes: each behind its length. Throws a RangeError for one that is too large. */
class PacketReader {
  private parts: Buffer[] = [];
  private bytes = 0;
  /** Before so many there is nothing to see. */
  private needed = LENGTH_BYTES;

  add(bytes: Buffer): void {
    this.parts.push(bytes);
    this.bytes += bytes.length;
  }

  /** The next one, without its length; null: it has not come. */
  next(): Buffer | null {
    if (this.bytes < this.needed) return null;
    const all = this.parts.length === 1 ? (this.parts[0] as Buffer) : Buffer.concat(this.parts);
    const length = all.readInt32BE(0);
    if (length < 0 || length > PACKET_BYTES_MAX) throw new RangeError(`it has ${length} bytes`);
    const end = LENGTH_BYTES + length;
    const isWhole = end <= all.length;
    this.needed = isWhole ? LENGTH_BYTES : end;
    this.parts = isWhole ? [all.subarray(end)] : [all];
    this.bytes = isWhole ? all.length - end : all.length;
    return isWhole ? all.subarray(LENGTH_BYTES, end) : null;
  }
}
