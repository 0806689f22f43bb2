/** The words of LOCK commands, and what is wrong with them. */
import { randomBytes } from 'node:crypto';
import { EXCLUSIVE, type Lock, type LockMode } from '../lock/lock.js';
import { errorReply } from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';

/** What LOCK.ACQUIRE says behind the name, and LOCK.MACQUIRE behind the names. */
export interface Wanted {
  readonly ttlMs: number;
  readonly waitMs: number;
  /** A character a byte. */
  readonly token: string;
  readonly mode: LockMode;
  /** It is to be held until the client has gone. */
  readonly isForSession: boolean;
}

export const SYNTAX_ERROR = errorReply('ERR syntax error');
/** Of less not enough is left when it is granted. */
const TTL_MS_MIN = 10;
/** What is extended by the proxy is extended three times in that, of each client. */
export const SESSION_TTL_MS_MIN = 1000;
export const SESSION_TTL_ERROR = errorReply(
  `ERR TTL of a SESSION lock must be ${SESSION_TTL_MS_MIN} milliseconds at the least`,
);
const WAIT_MS_MAX = 86_400_000;
const TOKEN_BYTES = 16;
const TOKEN_BYTES_MAX = 256;

/** Those of the command last read; argument 0 is its name. */
export class LockWords {
  private readonly bytes: Uint8Array;
  private readonly reader: RequestReader;

  constructor(bytes: Uint8Array, reader: RequestReader) {
    this.bytes = bytes;
    this.reader = reader;
  }

  get count(): number {
    return this.reader.argumentCount;
  }

  /** A character a byte. */
  text(argument: number): string {
    const { bytes, reader } = this;
    const start = reader.argumentStart[argument] as number;
    const length = (reader.argumentEnd[argument] as number) - start;
    return Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString('latin1');
  }

  /** The options that begin with that argument, of locks with these bounds; or an error. */
  wanted(first: number, { ttlMaxMs, holdersMax }: Pick<Lock, 'ttlMaxMs' | 'holdersMax'>): Wanted | Uint8Array {
    let [ttlMs, waitMs, token, isForSession] = [-1, 0, '', false];
    let mode: LockMode = EXCLUSIVE;
    for (let at = first; at < this.count; at += 2) {
      const option = this.word(at);
      if (option === 'session' || option === 'shared') {
        if (option === 'session') isForSession = true;
        else if (mode !== EXCLUSIVE) return SYNTAX_ERROR;
        else mode = { kind: 'shared' };
        at--;
        continue;
      }
      if (at + 1 >= this.count) return SYNTAX_ERROR;
      if (option === 'ttl') {
        const found = this.ttlAt(at + 1, ttlMaxMs);
        if (found instanceof Uint8Array) return found;
        ttlMs = found;
      } else if (option === 'wait') {
        const found = readNumber(this.text(at + 1), 0, WAIT_MS_MAX);
        if (found === null) return errorReply(`ERR WAIT must be milliseconds from 0 to ${WAIT_MS_MAX}`);
        waitMs = found;
      } else if (option === 'limit') {
        if (mode !== EXCLUSIVE) return SYNTAX_ERROR;
        const max = readNumber(this.text(at + 1), 1, holdersMax);
        if (max === null) return errorReply(`ERR LIMIT must be a number from 1 to ${holdersMax}`);
        mode = { kind: 'limit', max };
      } else if (option === 'token') {
        token = this.text(at + 1);
        if (token === '' || token.length > TOKEN_BYTES_MAX)
          return errorReply(`ERR TOKEN must have 1 to ${TOKEN_BYTES_MAX} bytes`);
      } else return SYNTAX_ERROR;
    }
    if (ttlMs < 0) return errorReply('ERR TTL is missing: TTL milliseconds');
    if (token === '') token = randomBytes(TOKEN_BYTES).toString('hex');
    return { ttlMs, waitMs, token, mode, isForSession };
  }

  /** The milliseconds of `TTL milliseconds`, which begins with that argument, and with which the command ends; or an error. */
  ttl(first: number, ttlMaxMs: number): number | Uint8Array {
    if (this.count !== first + 2 || this.word(first) !== 'ttl') return SYNTAX_ERROR;
    return this.ttlAt(first + 1, ttlMaxMs);
  }

  private ttlAt(argument: number, ttlMaxMs: number): number | Uint8Array {
    const ttlMs = readNumber(this.text(argument), TTL_MS_MIN, ttlMaxMs);
    return ttlMs ?? errorReply(`ERR TTL must be milliseconds from ${TTL_MS_MIN} to ttlMaxMs, which is ${ttlMaxMs}`);
  }

  private word(argument: number): string {
    return this.text(argument).toLowerCase();
  }
}

/** Null for what is no number between these. */
function readNumber(text: string, min: number, max: number): number | null {
  if (!/^\d{1,12}$/.test(text)) return null;
  const number = Number(text);
  return number >= min && number <= max ? number : null;
}
