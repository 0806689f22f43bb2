/**
 * The gateway that every etcd has beside gRPC: its v3 API as JSON over HTTP (etcd's documentation, "gRPC gateway"), here on Node's
 * own client. Bytes are base64, 64-bit numbers are texts, and what is zero or empty is left out.
 *
 * A token is what etcd gives for a password; it is had anew when it is not taken any more.
 */
import { type ClientRequest, Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import type { ConnectionOptions } from 'node:tls';
import type { TlsConfig } from '../base/tls-section.js';
import { failureOf, parse, readLines, readText, silence } from './etcd-reply.js';
import { ServerTurn } from './server-turn.js';
import { StoreError } from './store-error.js';
import { BEFORE_TLS, distrust, isBeforeTls, tlsOptions } from './tls.js';

export interface EtcdLogin {
  username: string;
  password: string;
}

export interface EtcdOptions {
  /** At least one: `http://127.0.0.1:2379`, or all with https. */
  endpoints: readonly string[];
  login: EtcdLogin | null;
  /** For https. */
  tls: TlsConfig | null;
}

/** Codes of gRPC that say: nothing was changed, and asking again changes nothing about that. */
const REFUSALS: readonly number[] = [
  3, // INVALID_ARGUMENT: a wrong password, no password, a request that is too large
  7, // PERMISSION_DENIED
  8, // RESOURCE_EXHAUSTED: no space is left
  9, // FAILED_PRECONDITION: it asks for no passwords
  11, // OUT_OF_RANGE: a revision that it has forgotten
  12, // UNIMPLEMENTED: this etcd is too old
];
/** A token is too old, or of before the member was started. */
const UNAUTHENTICATED = 16;
/** A token that is signed (JWT) is of before users or roles were changed: etcd has no code of its own for it. */
const OLD_TOKEN = /revision of auth store is old/;

/** etcd that asks for certificates and for passwords has its gateway serve nobody whose certificate may be taken for a user. */
const NAMED = /CommonName of client sending a request against gateway/;

/** What is said to who gives no password where one is asked for; the second where certificates are asked for, too. */
const NOBODY = /user name is empty|permission denied/;
const NOBODY_ADVICE = 'it asks for a username and a password';
/** What to do about what etcd says. */
const ADVICE: readonly [RegExp, string][] = [
  [/authentication is not enabled/, 'leave out username and password, or enable it'],
  [/permission denied/, 'the user needs a role that may read and write what begins with the prefix of the fleet'],
  [/database space exceeded/, 'etcd takes no more until it was compacted, defragmented, and its alarm disarmed'],
  [NAMED, 'beside a password tls.cert must be one without a common name (CN)'],
];

/** Errors of a connection that was never made: nothing was sent. */
const NOT_CONNECTED: readonly string[] = [
  ...['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN'],
];

export class EtcdGateway {
  private readonly options: EtcdOptions;
  private readonly members: ServerTurn<string>;
  private readonly agent: HttpAgent | HttpsAgent;
  private readonly active = new Set<ClientRequest>();
  private isClosed = false;
  /** Of the login; null: it is to be had first, if there is one. */
  private token: string | null = null;
  private loggingIn: Promise<string> | null = null;
  /** Null: to be read first. */
  private tls: ConnectionOptions | null = null;

  constructor(options: EtcdOptions) {
    this.options = options;
    this.members = new ServerTurn(options.endpoints);
    this.agent = options.tls === null ? new HttpAgent({ keepAlive: true }) : new HttpsAgent({ keepAlive: true });
  }

  /** Rejects with a StoreError; then it is another member that is asked next. */
  async ask(path: string, body: object, timeoutMs: number): Promise<unknown> {
    const member = this.members.current;
    const endsMs = performance.now() + timeoutMs;
    try {
      const token = await this.logIn(member, timeoutMs);
      return await this.post(member, path, token, body, endsMs - performance.now());
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
    const member = this.members.current;
    try {
      const token = await this.logIn(member, timeoutMs);
      const response = await this.open(member, path, token, body, timeoutMs);
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

  private leave(member: number): void {
    this.members.leave(member);
    // They may have been renewed.
    this.tls = null;
  }

  /** Null: nobody asks for one. All that need one wait for the same. */
  private async logIn(member: number, timeoutMs: number): Promise<string | null> {
    const { login } = this.options;
    if (login === null || this.token !== null) return this.token;
    this.loggingIn ??= this.fetchToken(login, member, timeoutMs).finally(() => {
      this.loggingIn = null;
    });
    this.token = await this.loggingIn;
    return this.token;
  }

  private async fetchToken({ username, password }: EtcdLogin, member: number, timeoutMs: number): Promise<string> {
    const body = { name: username, password };
    try {
      return ((await this.post(member, '/v3/auth/authenticate', null, body, timeoutMs)) as { token: string }).token;
    } catch (error) {
      // Nothing was asked yet that changes anything.
      if (error instanceof StoreError && error.fault === 'unknown')
        throw new StoreError('unavailable', error.message, error);
      throw error;
    }
  }

  private async post(
    member: number,
    path: string,
    token: string | null,
    body: object,
    timeoutMs: number,
  ): Promise<unknown> {
    const endsMs = performance.now() + timeoutMs;
    const response = await this.open(member, path, token, body, timeoutMs);
    return parse(await readText(response, endsMs - performance.now()));
  }

  /** Resolves with a reply that is no failure, of which the body is still to come. */
  private async open(
    member: number,
    path: string,
    token: string | null,
    body: object,
    timeoutMs: number,
  ): Promise<IncomingMessage> {
    if (this.isClosed) throw new StoreError('unavailable', 'the store is closed');
    const { tls } = this.options;
    if (tls !== null) this.tls ??= tlsOptions(tls);
    const request = tls === null ? requestHttp : requestHttps;
    const endpoint = this.members.at(member);
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (token !== null) headers['authorization'] = token;
    const options = { ...this.tls, method: 'POST', agent: this.agent, headers };
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = request(`${endpoint}${path}`, options);
      this.active.add(sent);
      const timer = setTimeout(() => sent.destroy(new Error(silence(timeoutMs))), timeoutMs);
      sent.once('response', (response) => {
        clearTimeout(timer);
        resolve(response);
      });
      sent.on('error', (error) => reject(this.lost(member, error)));
      sent.once('close', () => {
        clearTimeout(timer);
        this.active.delete(sent);
      });
      sent.end(JSON.stringify(body));
    });
    this.members.onWell(member);
    if (response.statusCode === 200) return response;
    throw this.refusal(endpoint, token, response.statusCode ?? 0, await readText(response, timeoutMs));
  }

  private refusal(endpoint: string, token: string | null, status: number, text: string): StoreError {
    const { code = 0, message = '' } = failureOf(text);
    const isNobody = this.options.login === null && NOBODY.test(message);
    const advice = isNobody ? NOBODY_ADVICE : ADVICE.find(([pattern]) => pattern.test(message))?.[1];
    const words = `${endpoint}: ${message} (HTTP ${status})${advice === undefined ? '' : `: ${advice}`}`;
    if (code === UNAUTHENTICATED || OLD_TOKEN.test(message)) {
      if (this.token === token) this.token = null;
      return new StoreError('unavailable', words);
    }
    const isRefusal = REFUSALS.includes(code) || NAMED.test(message);
    return new StoreError(isRefusal ? 'refused' : 'unknown', words);
  }

  private lost(member: number, error: NodeJS.ErrnoException): StoreError {
    const endpoint = this.members.at(member);
    const reason = distrust(error);
    if (reason !== null) return this.members.stranger(member, `${endpoint}: ${reason}`, error);
    if (isBeforeTls(error)) return new StoreError('unavailable', `${endpoint}: ${BEFORE_TLS}`, error);
    const fault = NOT_CONNECTED.includes(error.code ?? '') ? 'unavailable' : 'unknown';
    return new StoreError(fault, `${endpoint}: ${error.message}`, error);
  }
}
