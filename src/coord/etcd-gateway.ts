/**
 * The gateway that every etcd has beside gRPC: its v3 API as JSON over HTTP (etcd's documentation, "gRPC gateway"), here on Node's
 * own client. Bytes are base64, 64-bit numbers are texts, and what is zero or empty is left out.
 *
 * One member is asked at a time, until it fails; then the next one.
 */
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http';
import { StoreError } from './store-error.js';

export interface EtcdLogin {
  username: string;
  password: string;
}

export interface EtcdOptions {
  /** At least one: `http://127.0.0.1:2379`. */
  endpoints: readonly string[];
  login: EtcdLogin | null;
}

/** Of one reply or message: a folder with large values has to fit, in base64. */
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

/** Codes of gRPC that say: nothing was changed, and asking again changes nothing about that. */
const REFUSALS: readonly number[] = [
  3, // INVALID_ARGUMENT: a wrong password, no password, a request that is too large
  7, // PERMISSION_DENIED
  8, // RESOURCE_EXHAUSTED: no space is left
  9, // FAILED_PRECONDITION: it asks for no passwords
  12, // UNIMPLEMENTED: this etcd is too old
];
/** A token is too old, or of before the member was started. */
const UNAUTHENTICATED = 16;

/** Errors of a connection that was never made: nothing was sent. */
const NOT_CONNECTED: readonly string[] = [
  ...['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN'],
];

interface Failure {
  code?: number;
  grpc_code?: number;
  message?: string;
  error?: string;
}

export class EtcdGateway {
  private readonly options: EtcdOptions;
  private readonly agent = new Agent({ keepAlive: true });
  private readonly active = new Set<ClientRequest>();
  private isClosed = false;
  /** Which one is asked. */
  private member = 0;
  /** Of the login; null: it is to be had first, if there is one. */
  private token: string | null = null;

  constructor(options: EtcdOptions) {
    this.options = options;
  }

  /** Rejects with a StoreError; then it is another member that is asked next. */
  async ask(path: string, body: object, timeoutMs: number): Promise<unknown> {
    const { member } = this;
    const endsMs = performance.now() + timeoutMs;
    try {
      await this.logIn(member, timeoutMs);
      return await this.post(member, path, body, endsMs - performance.now());
    } catch (error) {
      this.leave(member);
      throw error;
    }
  }

  /** Calls `onMessage` with what comes. Resolves when `signal` says to stop; rejects with a StoreError, as `ask`, when it ends before. */
  async listen(
    path: string,
    body: object,
    timeoutMs: number,
    onMessage: (message: unknown) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { member } = this;
    try {
      await this.logIn(member, timeoutMs);
      const response = await this.open(member, path, body, timeoutMs);
      const stop = () => response.destroy();
      signal.addEventListener('abort', stop, { once: true });
      try {
        if (signal.aborted) stop();
        await readLines(response, onMessage);
      } finally {
        signal.removeEventListener('abort', stop);
        response.destroy();
      }
    } catch (error) {
      if (signal.aborted) return;
      this.leave(member);
      throw error;
    }
  }

  /** Ends what is under way. Resolves when no connection is left. */
  async close(): Promise<void> {
    this.isClosed = true;
    const ends = [...this.active].map((request) => new Promise((resolve) => request.once('close', resolve)));
    for (const request of this.active) request.destroy(new Error('the store is being closed'));
    this.agent.destroy();
    await Promise.all(ends);
  }

  /** It has failed: others are asked. */
  private leave(member: number): void {
    if (this.member === member) this.member = (member + 1) % this.options.endpoints.length;
  }

  private async logIn(member: number, timeoutMs: number): Promise<void> {
    const { login } = this.options;
    if (login === null || this.token !== null) return;
    const body = { name: login.username, password: login.password };
    try {
      const { token } = (await this.post(member, '/v3/auth/authenticate', body, timeoutMs)) as { token: string };
      this.token = token;
    } catch (error) {
      // Nothing was asked yet that changes anything.
      if (error instanceof StoreError && error.fault === 'unknown')
        throw new StoreError('unavailable', error.message, error);
      throw error;
    }
  }

  private async post(member: number, path: string, body: object, timeoutMs: number): Promise<unknown> {
    const endsMs = performance.now() + timeoutMs;
    const response = await this.open(member, path, body, timeoutMs);
    return parse(await readText(response, endsMs - performance.now()));
  }

  /** Resolves with a reply that is no failure, of which the body is still to come. */
  private async open(member: number, path: string, body: object, timeoutMs: number): Promise<IncomingMessage> {
    if (this.isClosed) throw new StoreError('unavailable', 'the store is closed');
    const endpoint = this.options.endpoints[member] as string;
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (this.token !== null) headers['authorization'] = this.token;
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = request(`${endpoint}${path}`, { method: 'POST', agent: this.agent, headers });
      this.active.add(sent);
      const timer = setTimeout(() => sent.destroy(new Error(silence(timeoutMs))), timeoutMs);
      sent.once('response', (response) => {
        clearTimeout(timer);
        resolve(response);
      });
      sent.on('error', (error) => reject(lost(endpoint, error)));
      sent.once('close', () => {
        clearTimeout(timer);
        this.active.delete(sent);
      });
      sent.end(JSON.stringify(body));
    });
    if (response.statusCode === 200) return response;
    throw this.failure(endpoint, response.statusCode ?? 0, await readText(response, timeoutMs));
  }

  private failure(endpoint: string, status: number, text: string): StoreError {
    const { code = 0, message = text } = parse(text) as Failure;
    if (code === UNAUTHENTICATED) {
      this.token = null;
      return new StoreError('unavailable', `${endpoint}: ${message}`);
    }
    return new StoreError(REFUSALS.includes(code) ? 'refused' : 'unknown', `${endpoint}: ${message} (HTTP ${status})`);
  }
}

function silence(timeoutMs: number): string {
  return `no answer within ${Math.round(timeoutMs)} ms`;
}

function lost(endpoint: string, error: NodeJS.ErrnoException): StoreError {
  const fault = NOT_CONNECTED.includes(error.code ?? '') ? 'unavailable' : 'unknown';
  return new StoreError(fault, `${endpoint}: ${error.message}`, error);
}

async function readText(response: IncomingMessage, timeoutMs: number): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  const timer = setTimeout(() => response.destroy(new Error(silence(timeoutMs))), timeoutMs);
  try {
    for await (const part of response as AsyncIterable<Uint8Array>) {
      bytes += part.length;
      if (bytes > MESSAGE_BYTES_MAX) throw new Error(`a reply has more than ${MESSAGE_BYTES_MAX} bytes`);
      parts.push(part);
    }
  } catch (error) {
    throw new StoreError('unknown', `the reply broke off: ${(error as Error).message}`, error);
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(parts).toString();
}

/** Each line is `{"result": …}`, or `{"error": …}`, which is the last. Never resolves before the reply ends. */
async function readLines(response: IncomingMessage, onMessage: (message: unknown) => void): Promise<void> {
  let parts: Buffer[] = [];
  let bytes = 0;
  let isTelling = false;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      let start = 0;
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
        parts.push(chunk.subarray(start, end));
        const { result, error } = parse(Buffer.concat(parts).toString()) as { result?: unknown; error?: Failure };
        if (error !== undefined) throw new Error(error.message ?? 'an error without a text');
        isTelling = true;
        onMessage(result);
        isTelling = false;
        parts = [];
        bytes = 0;
        start = end + 1;
      }
      bytes += chunk.length - start;
      if (bytes > MESSAGE_BYTES_MAX) throw new Error(`a message has more than ${MESSAGE_BYTES_MAX} bytes`);
      parts.push(chunk.subarray(start));
    }
  } catch (error) {
    // What is wrong with who listens is not the member's.
    if (isTelling || error instanceof StoreError) throw error;
    throw new StoreError('unavailable', `the watch broke off: ${(error as Error).message}`, error);
  }
  throw new StoreError('unavailable', 'etcd ended the watch');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new StoreError('unknown', 'what answers is no etcd: it sent no JSON', error);
  }
}
