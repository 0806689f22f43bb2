/**
 * All sessions of one worker: takes new connections, looks after time and memory, and lets them finish at the end.
 */
import type { ClientCount } from '../base/client-count.js';
import type { UsersSnapshot } from '../base/client-rules.js';
import type { LogLevel } from '../base/log-event.js';
import type { Answer, Question } from '../messages.js';
import { errorReply } from '../resp/reply.js';
import type { Acceptor, Connection, ConnectionOwner, TransportError } from '../transport/transport.js';
import { answer } from './answers.js';
import type { Pauses } from './pauses.js';
import type { Redirections } from './redirections.js';
import type { RefusalLog } from './refusal-log.js';
import type { ScriptCalls } from './script-calls.js';
import { Session, type SessionContext, SessionError } from './session.js';

export interface ListenerContext extends Omit<SessionContext, 'onSessionClosed'> {
  /** All clients of the process: who is admitted here and who is not. */
  clients: ClientCount;
  /** A number no other client of this process ever had. */
  nextClientId: () => number;
  /** Gives up what nodes send for clients that are gone. */
  dropAbandoned: () => boolean;
  /** Bytes of the heap that gathers take, beside the arena. */
  gatheredBytes: () => number;
  pauses: Pauses;
  refusals: RefusalLog;
  /** See AnswerContext. */
  lookForMonitors: () => void;
  scripts: ScriptCalls;
  redirections: Redirections;
  /** Whether there is a service of that number. */
  isOpen: (service: number) => boolean;
  log: (level: LogLevel, event: string, fields: Record<string, string | number | boolean | null>) => void;
}

/** Milliseconds between looks at the sessions' clocks. */
const SWEEP_MS = 1_000;
/** Milliseconds that a client has to take its last replies. */
const ENDING_MS_MAX = 30_000;
/** A session that holds less is not closed for memory: it is not the cause, and what it gives back is next to nothing. */
const WORTH_CLOSING_BYTES = 64 * 1024;
/** Milliseconds that what was closed has to give its memory back. The arena is larger than workerMemoryMax by what comes meanwhile. */
const MEMORY_GRACE_MS = 50;
/**
 * Turns that must have passed besides, in none of which anything was abandoned: what is dropped in one is given back at the end of the
 * next, or when the kernel has let go of it.
 */
const MEMORY_GRACE_TURNS = 3;
/** Of large values that are no more, before it goes back to the system at once and not within a second. */
const UNTRIMMED_BYTES_MAX = 32 * 1024 * 1024;
const TOO_MANY_CLIENTS = errorReply('ERR max number of clients reached');

export class Listener implements Acceptor {
  private readonly context: ListenerContext;
  private readonly sessionContext: SessionContext;
  /** By number. */
  private readonly sessions = new Map<number, Session>();
  private onDrained: (() => void) | null = null;
  /** Since when buffers hold more than they may, or -1. */
  private aboveMemorySinceMs = -1;
  private aboveMemoryTurns = 0;
  /** The one closed last because they did, until it is gone. */
  private closedForMemory: Session | null = null;

  constructor(context: ListenerContext) {
    this.context = context;
    this.sessionContext = { ...context, onSessionClosed: (session, error) => this.onSessionClosed(session, error) };
    this.sweepLater();
  }

  get sessionCount(): number {
    return this.sessions.size;
  }

  /** The session of that number, or null. */
  session(id: number): Session | null {
    return this.sessions.get(id) ?? null;
  }

  /** What this worker answers to what is asked of all of them, maybe by itself (`isOwn`). */
  answer(question: Question, isOwn: boolean, done: (answer: Answer) => void): void {
    const { transport, counts, pauses, refusals, scripts, redirections, lookForMonitors } = this.context;
    const goByUsers = (users: UsersSnapshot, asker: number) => this.goByUsers(users, asker);
    const { sessions } = this;
    const nowMs = transport.now;
    answer(
      question,
      isOwn,
      { sessions, nowMs, counts, pauses, refusals, scripts, redirections, goByUsers, lookForMonitors },
      done,
    );
  }

  onConnection(connection: Connection, door: number): ConnectionOwner {
    const { context } = this;
    if (context.isOpen(door) === false) {
      // It waited to be accepted, or to be handed over, when its service went.
      connection.destroy(null);
      return REFUSED;
    }
    if (!context.clients.admit(context.limits.clientsMax)) {
      context.counts.sessionsRefused++;
      connection.output.appendBytes(TOO_MANY_CLIENTS);
      connection.close();
      return REFUSED;
    }
    context.counts.sessionsAccepted++;
    context.counts.sessionsOpen++;
    const session = new Session(this.sessionContext, connection, door, context.nextClientId());
    this.sessions.set(session.id, session);
    return session;
  }

  onAcceptPaused(error: TransportError, pausedMs: number): void {
    this.context.counts.acceptPauses++;
    this.context.log('error', 'accept-paused', { reason: error.message, code: error.code, pausedMs });
  }

  /**
   * Takes no more commands, lets those in flight finish, closes. `done` is called when no session is left: those that
   * are still there at `deadlineMs` (the transport's clock) are cut off.
   */
  drain(deadlineMs: number, done: () => void): void {
    const { transport, log } = this.context;
    transport.stopAccepting();
    this.onDrained = done;
    for (const session of [...this.sessions.values()]) session.finish();
    if (this.sessions.size === 0) {
      this.finishDrain();
      return;
    }
    transport.timers.set(deadlineMs, () => {
      if (this.sessions.size > 0) log('warn', 'drain-cut-off', { sessions: this.sessions.size });
      for (const session of [...this.sessions.values()]) session.cutOff(new SessionError('the proxy is stopping'));
    });
  }

  /** Services may have gone: their sessions are cut off. */
  onTopologyChanged(): void {
    for (const session of [...this.sessions.values()]) {
      if (this.context.isOpen(session.service)) session.onTopologyChanged();
      else session.cutOff(new SessionError('its service is no longer configured'));
    }
  }

  cutOffAll(reason: string): void {
    for (const session of [...this.sessions.values()]) session.cutOff(new SessionError(reason));
  }

  /** The users are these. The sessions of those who are no more are cut off; `asker` gets the reply to what it asked for first. */
  goByUsers(snapshot: UsersSnapshot, asker = -1): void {
    const { users } = this.context.authentication;
    if (!users.replace(snapshot)) return;
    for (const session of [...this.sessions.values()]) {
      if (session.goByUsers(users)) continue;
      if (session.id === asker) session.finish();
      else session.cutOff(new SessionError('its user is no more'));
    }
  }

  /**
   * Called at the end of each turn: hands back what large values have left, since another worker may have the next one; and closes
   * the largest session when buffers hold more than they may. What is closed gives its memory back some turns later, and what comes for
   * it from its node later still: the next one is closed only if they hold too much for a while although all that is gone.
   */
  watchMemory(): void {
    const { transport, limits, counts, log, dropAbandoned, gatheredBytes } = this.context;
    if (transport.arena.untrimmedBytes >= UNTRIMMED_BYTES_MAX) transport.arena.trim();
    if (transport.arena.usedBytes + gatheredBytes() <= limits.workerMemoryMax) {
      this.beginGrace();
      return;
    }
    if (this.aboveMemorySinceMs < 0) this.aboveMemorySinceMs = transport.now;
    if (dropAbandoned()) this.aboveMemoryTurns = 0;
    if (this.closedForMemory !== null) return;
    // A turn that copies a large value may itself take longer than the grace.
    if (++this.aboveMemoryTurns < MEMORY_GRACE_TURNS) return;
    if (transport.now - this.aboveMemorySinceMs < MEMORY_GRACE_MS) return;
    this.beginGrace();
    const largest = this.largest(false) ?? this.largest(true);
    if (largest === null) return;
    counts.sessionMemoryCloses++;
    const fields = { client: largest.connection.remoteAddress(), bytes: largest.bufferedBytes };
    log('warn', 'session-closed-for-memory', { ...fields, limit: limits.workerMemoryMax });
    this.closedForMemory = largest;
    largest.cutOff(new SessionError(`buffers exceed workerMemoryMax ${limits.workerMemoryMax}`));
  }

  /** Gives back what sessions keep only to use it again. */
  dropSpares(): void {
    for (const session of this.sessions.values()) session.dropSpares();
  }

  /** Time and turns count from the next turn on whose end finds too much held. */
  private beginGrace(): void {
    this.aboveMemorySinceMs = -1;
    this.aboveMemoryTurns = 0;
  }

  /** The session that holds most, of those that asked to stay (CLIENT NO-EVICT) or of the others, if that is worth closing. */
  private largest(isProtected: boolean): Session | null {
    let largest: Session | null = null;
    let bytesMax = WORTH_CLOSING_BYTES - 1;
    for (const session of this.sessions.values()) {
      if (session.isProtected !== isProtected || session.bufferedBytes <= bytesMax) continue;
      largest = session;
      bytesMax = session.bufferedBytes;
    }
    return largest;
  }

  private onSessionClosed(session: Session, error: Error | null): void {
    this.context.counts.sessionsOpen--;
    this.context.clients.leave();
    this.sessions.delete(session.id);
    if (session === this.closedForMemory) {
      this.closedForMemory = null;
      this.beginGrace();
    }
    if (error instanceof SessionError) {
      this.context.log('warn', 'session-closed', { client: session.connection.remoteAddress(), reason: error.message });
    }
    if (this.onDrained !== null && this.sessions.size === 0) this.finishDrain();
  }

  private finishDrain(): void {
    const done = this.onDrained;
    this.onDrained = null;
    done?.();
  }

  private sweepLater(): void {
    const { transport } = this.context;
    transport.timers.set(transport.now + SWEEP_MS, () => {
      this.sweep(transport.now);
      transport.arena.trim();
      this.sweepLater();
    });
  }

  private owesPassword({ unauthenticatedSinceMs, isLetIn }: Session, now: number): boolean {
    const { authDeadlineMs } = this.context.limits;
    return (
      authDeadlineMs > 0 && !isLetIn && unauthenticatedSinceMs >= 0 && now - unauthenticatedSinceMs > authDeadlineMs
    );
  }

  private sweep(now: number): void {
    const { limits, counts } = this.context;
    for (const session of this.sessions.values()) {
      session.sweep();
      let reason: string | null = null;
      if (session.endingSinceMs >= 0) {
        if (now - session.endingSinceMs > ENDING_MS_MAX) reason = 'it did not take its last replies';
      } else if (this.owesPassword(session, now)) {
        reason = `it gave no password (authDeadlineMs ${limits.authDeadlineMs})`;
      } else if (limits.requestDeadlineMs > 0 && session.activity.unfinishedSinceMs >= 0) {
        const sinceMs = now - session.activity.unfinishedSinceMs;
        if (sinceMs > limits.requestDeadlineMs)
          reason = `a command stayed unfinished (requestDeadlineMs ${limits.requestDeadlineMs})`;
      } else if (
        limits.idleTimeoutMs > 0 &&
        session.isIdle &&
        session.blocked === null &&
        !session.isSubscribed &&
        now - session.activity.lastBytesMs > limits.idleTimeoutMs
      ) {
        reason = `idle (idleTimeoutMs ${limits.idleTimeoutMs})`;
      }
      if (reason === null) continue;
      counts.sessionDeadlineCloses++;
      session.cutOff(new SessionError(reason));
    }
  }
}

/** Owns the connections that were told that there are too many. */
const REFUSED: ConnectionOwner = {
  onOpen: () => {},
  onBytes: (_start, end) => end,
  onEnd: () => {},
  onDrain: () => {},
  onClose: () => {},
};
