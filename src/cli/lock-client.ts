/** LOCK commands, asked of a running proxy. What it refuses is a LockRefusal; what is lost on the way any other error. */
import { hostname } from 'node:os';
import { NodeClient } from '../backend/client.js';
import { formatEndpoint } from '../base/endpoint.js';
import { elementsOf, isNull, textOf } from '../replica/reply-shape.js';
import { TYPE } from '../resp/frame.js';
import { encodeCommand, isError, parseInteger } from '../resp/reply.js';
import type { Door } from './proxy-door.js';

/** As LOCK.INFO says it. */
export interface LockFacts {
  name: string;
  state: string;
  /** Null where nobody holds it; and the limit in other modes. */
  mode: string | null;
  limit: number | null;
  /** The last one; null: there is none. */
  fence: number | null;
  holders: readonly LockHolder[];
}

/** Null is what is not known of who took it by other commands. */
export interface LockHolder {
  client: string | null;
  fence: number | null;
  /** Milliseconds; -1: without end. */
  ttl: number;
}

export interface TakenLock {
  token: string;
  fence: number;
}

/** The proxy's error reply: `code` is its first word. */
export class LockRefusal extends Error {
  override name = 'LockRefusal';
  readonly code: string;

  constructor(text: string) {
    super(text);
    this.code = text.split(' ', 1)[0] as string;
  }
}

const CONNECT_TIMEOUT_MS = 5_000;
/** A proxy answers that its nodes do not before that. */
const ANSWER_TIMEOUT_MS = 15_000;

export class LockClient {
  private readonly client: NodeClient;

  private constructor(client: NodeClient) {
    this.client = client;
  }

  /** `waitMsMax`: for how long a reply may be waited for besides. `onLost` is told once when the connection is gone. */
  static async connect(door: Door, waitMsMax = 0, onLost: (error: Error) => void = () => {}): Promise<LockClient> {
    const { endpoint, user, password } = door;
    try {
      const client = await NodeClient.connect({
        endpoint,
        username: user,
        password,
        connectTimeoutMs: CONNECT_TIMEOUT_MS,
        requestTimeoutMs: ANSWER_TIMEOUT_MS + waitMsMax,
        onPush: () => {},
        onClose: onLost,
      });
      return new LockClient(client);
    } catch (error) {
      throw new Error(`no answer from ${formatEndpoint(endpoint)}: ${error instanceof Error ? error.message : error}`);
    }
  }

  /** What LOCK.INFO calls the holder. */
  async introduce(): Promise<void> {
    await this.ask(['CLIENT', 'SETNAME', `ringleader:${hostname()}:${process.pid}`]);
  }

  /** Null: others have it. */
  async acquire(name: string, words: readonly string[]): Promise<TakenLock | null> {
    const reply = await this.ask(['LOCK.ACQUIRE', name, ...words]);
    if (isNull(reply)) return null;
    return plainOf(reply) as unknown as TakenLock;
  }

  /** Resolves with the validity, in milliseconds from when it was asked for at the least. */
  async extend(name: string, token: string, ttlMs: number): Promise<number> {
    const reply = plainOf(await this.ask(['LOCK.EXTEND', name, token, 'TTL', `${ttlMs}`]));
    return (reply as { validity: number }).validity;
  }

  async release(name: string, token: string): Promise<void> {
    await this.ask(['LOCK.RELEASE', name, token]);
  }

  /** Frees it whoever holds it; resolves with how many did. */
  async break(name: string): Promise<number> {
    const reply = await this.ask(['LOCK.BREAK', name]);
    return parseInteger(reply, 0, reply.length);
  }

  async info(name: string): Promise<LockFacts> {
    return plainOf(await this.ask(['LOCK.INFO', name])) as unknown as LockFacts;
  }

  /** Those that somebody holds, by name. */
  async list(pattern: string | undefined): Promise<LockFacts[]> {
    const reply = await this.ask(['LOCK.LIST', ...(pattern === undefined ? [] : [pattern])]);
    return plainOf(reply) as unknown as LockFacts[];
  }

  private async ask(words: readonly string[]): Promise<Uint8Array> {
    const [reply] = (await this.client.ask(encodeCommand(words), 1)) as [Uint8Array];
    if (isError(reply, 0)) throw new LockRefusal(Buffer.from(reply).toString().slice(1).trim());
    return reply;
  }
}

/** A map as an object, an array as a list, a text in UTF-8, an integer, or null. */
type Plain = string | number | null | readonly Plain[] | { readonly [name: string]: Plain };

function plainOf(frame: Uint8Array): Plain {
  if (isNull(frame)) return null;
  switch (frame[0]) {
    case TYPE.integer:
      return parseInteger(frame, 0, frame.length);
    case TYPE.array:
      return elementsOf(frame).map(plainOf);
    case TYPE.map: {
      const elements = elementsOf(frame).map(plainOf);
      const pairs = Array.from({ length: elements.length / 2 }, (_, at) => [elements[2 * at], elements[2 * at + 1]]);
      return Object.fromEntries(pairs) as Plain;
    }
    default:
      return Buffer.from(textOf(frame), 'latin1').toString();
  }
}
