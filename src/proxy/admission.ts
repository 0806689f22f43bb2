/**
 * `auth: passthrough`: the nodes say who a client is, and what it may do. Its commands go by connections that are made in its name; what
 * the proxy answers itself it asks a node about first.
 *
 *   AUTH user password -> AUTH to every node, by the connections of that user -> all that are there take it -> the session is that user
 */
import { DEFAULT_USER, unlimitedUser } from '../acl/user.js';
import { type Identity, identityKey } from '../backend/identity.js';
import type { Sender } from '../backend/pending.js';
import type { BackendPool } from '../backend/pool.js';
import { errorBytes } from '../base/errors.js';
import type { Limits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import { encodeCommand, errorReply, REPLY_OK } from '../resp/reply.js';
import { REPLY_NOAUTH } from './authentication.js';
import { HeldSession } from './held-session.js';
import type { Service } from './service.js';
import type { Session } from './session.js';
import { type SurveyContext, survey } from './survey.js';
import type { Verdict } from './verdict.js';

export interface AdmissionContext extends SurveyContext {
  pool: BackendPool;
  limits: Limits;
  counts: Counts;
  serviceOf: (session: Session) => Service;
}

const MINUS = 0x2d;
/** Errors of ours: what the node would say is not known. */
const NOT_SAID = /^-(NODEDOWN|UNKNOWN|OVERLOADED) /;

const SUBSCRIBED = errorReply(
  'ERR AUTH as another user is refused while there are subscriptions, which are those of the user before: UNSUBSCRIBE, or RESET',
);

export class Admission {
  isPassthrough: boolean;
  private readonly context: AdmissionContext;

  constructor(context: AdmissionContext, isPassthrough: boolean) {
    this.context = context;
    this.isPassthrough = isPassthrough;
  }

  /** Whether the session, of which nothing is known, may go on as whom nodes take such clients for. As `logIn`. */
  admit(session: Session): Uint8Array | null {
    const reply = this.logIn(session, null, null);
    if (reply !== null && reply !== REPLY_OK) session.owePassword();
    return reply;
  }

  /**
   * Asks the nodes whether they take the name (null: none was given) and the password (null: nothing was said). REPLY_OK: they do, and the
   * session is that user; an error: they do not; null: not now, the command is put off.
   */
  logIn(session: Session, username: Uint8Array | null, password: Uint8Array | null): Uint8Array | null {
    const { pool, limits, counts, serviceOf } = this.context;
    const isOther = session.lane.identity?.key !== identityKey(username, password);
    if (session.subscriptions !== null && isOther) return SUBSCRIBED;
    const identity = password === null ? pool.stranger : pool.identify(username, password);
    if (identity === null) {
      counts.commandsOverloaded++;
      const limit = `passthroughUsersMax ${limits.passthroughUsersMax}`;
      return errorBytes('OVERLOADED', `clients are as many users as they may be (${limit}); nobody was asked`);
    }
    const { nodes } = serviceOf(session);
    const { channels } = pool.lane(2, 0, identity);
    const asked = nodes.map(({ index }) => channels[index] as (typeof channels)[number]);
    const told = this.poll(session, `log in ${identity.key}`, asked, identity.question, (answers) => {
      const reply = verdictOf(
        password === null ? answers.map(asToStranger) : answers,
        nodes.map(({ label }) => label),
      );
      identity.isTaken = reply === REPLY_OK;
      if (identity.isTaken) session.become(identity, unlimitedUser(nameOf(identity)));
      return reply;
    });
    // It need not be kept for a minute: whoever tries passwords would have connections for each of them.
    const isRefused = told !== null && told !== REPLY_OK && !isNotSaid(told);
    if (isRefused) identity.unusedSinceMs = Number.NEGATIVE_INFINITY;
    return told;
  }

  /** Asks a node whether the user may give the command, of these words, which the proxy carries out. As `logIn`. */
  mayRun(session: Session, node: number, words: readonly Uint8Array[]): Uint8Array | null {
    const frame = mayRunQuestion(session, words);
    // The command that is read next is this one.
    return this.poll(session, 'run', [this.commonTo(node)], frame, ([answer]) => permission(answer as Uint8Array));
  }

  /** Calls `denied` where the node says that the user may not give the command, or is no more; later, if at all. */
  lookAgain(session: Session, node: number, words: readonly string[], denied: () => void): void {
    survey(this.context, [this.commonTo(node)], mayRunQuestion(session, words), ([answer]) => {
      if (!isNotSaid(answer as Uint8Array) && permission(answer as Uint8Array) !== REPLY_OK) denied();
    });
  }

  private commonTo(node: number): Sender {
    const channel = this.context.pool.common.channels[node];
    if (channel === undefined) throw new Error(`there is no node ${node}`);
    return channel;
  }

  private poll(
    session: Session,
    of: string,
    channels: readonly Sender[],
    frame: Uint8Array,
    judge: (answers: readonly Uint8Array[]) => Uint8Array,
  ): Uint8Array | null {
    const { verdict } = session;
    session.verdict = null;
    if (verdict?.of === of) return verdict.reply;
    if (!session.isIdle) return null;
    let held: HeldSession | null = null;
    let isGone = false;
    survey(this.context, channels, frame, (answers) => {
      // What nobody waits for any more changes nothing.
      if (isGone) return;
      session.verdict = { of, reply: judge(answers) };
      if (held !== null) session.goOn();
    });
    // Where nothing could be sent it has been told by now.
    const told = session.verdict as Verdict | null;
    session.verdict = null;
    if (told !== null) return told.reply;
    held = new HeldSession(session, true, () => {
      isGone = session.isClosed;
    });
    session.putOff(held);
    return null;
  }
}

function mayRunQuestion({ user }: Session, words: readonly (string | Uint8Array)[]): Uint8Array {
  return encodeCommand(['ACL', 'DRYRUN', Buffer.from(user.name, 'latin1'), ...words]);
}

/** What the node's answer to it means: REPLY_OK, or the error. */
function permission(answer: Uint8Array): Uint8Array {
  const text = Buffer.from(answer).toString();
  if (text.startsWith('+OK')) return REPLY_OK;
  const denial = /^\$\d+\r\nThis (.*)\r\n$/s.exec(text)?.[1];
  if (denial !== undefined) return errorReply(`NOPERM this ${denial}`);
  return errorReply(`NOPERM whether this user may is not known: ${text.replace(/^[-+$]/, '')}`);
}

/** What a node says to the question for a stranger, as it says it to one. */
function asToStranger(answer: Uint8Array): Uint8Array {
  return /^-WRONGPASS /.test(startOf(answer)) ? REPLY_NOAUTH : answer;
}

function isNotSaid(answer: Uint8Array): boolean {
  return NOT_SAID.test(startOf(answer));
}

function startOf(answer: Uint8Array): string {
  return Buffer.from(answer.subarray(0, 16)).toString('latin1');
}

/** What a client is told: that all nodes that are there take it, or what one of them says against it. */
function verdictOf(answers: readonly Uint8Array[], nodes: readonly string[]): Uint8Array {
  const errors = answers.flatMap((answer, index) => {
    return answer[0] === MINUS ? [{ text: Buffer.from(answer).toString('latin1'), node: nodes[index] as string }] : [];
  });
  const refusals = errors.filter(({ text }) => !NOT_SAID.test(text));
  const taken = answers.length - errors.length;
  const [refusal] = refusals;
  if (refusal === undefined) return taken > 0 ? REPLY_OK : Buffer.from(errors[0]?.text ?? '', 'latin1');
  const text = refusal.text.slice(1, -2).replace(/ \(node \S+ said so\)$/, '');
  if (taken === 0) return errorReply(text);
  const who = refusals.map(({ node }) => node).join(', ');
  return errorReply(`${text} (node ${who} said so; ${taken} of ${answers.length} took it)`);
}

function nameOf({ username }: Identity): string {
  return username === null ? DEFAULT_USER : Buffer.from(username).toString('latin1');
}
