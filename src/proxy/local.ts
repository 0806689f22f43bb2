/** Commands that the proxy answers itself, in Redis's words: what concerns the session and not the data. */

import { COMMANDS, type CommandSpec } from '../resp/commands.js';
import { parseInt64 } from '../resp/int64.js';
import {
  bulkReply,
  encodeCommand,
  encodeMap,
  errorReply,
  integerReply,
  nullReply,
  REPLY_OK,
  REPLY_PONG,
  verbatimReply,
} from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';
import type { Admission } from './admission.js';
import { type Authentication, REPLY_HELLO_NOAUTH, REPLY_WRONGPASS } from './authentication.js';
import { clientLine } from './client-line.js';
import { CLUSTER_ANSWERS } from './cluster.js';
import type { Service } from './service.js';
import type { Session } from './session.js';
import { answerConsistency } from './session-consistency.js';
import { redirectReply, trackingInfo } from './tracking-info.js';

export interface LocalContext {
  /** The arguments of the command last read. */
  words: Words;
  /** The version that HELLO shows: that of the session's nodes. */
  version: (session: Session) => string;
  nowMs: () => number;
  serviceOf: (session: Session) => Service;
  /** How many databases it has: as many as all its nodes have. */
  databases: (session: Session) => number;
  authentication: Authentication;
  admission: Admission;
  /** Told of a wrong password, and for which user. */
  onAuthFailure: (session: Session, user: string | null) => void;
}

/** In place of a reply to a command that has none: CLIENT REPLY OFF and SKIP. */
export const NO_REPLY = new Uint8Array(0);

/** The reply, or null: not now, the replies before it must have gone out first. */
type Handler = (session: Session, words: Words, context: LocalContext) => Uint8Array | null;

/** The arguments of the command last read, as text or bytes. */
export class Words {
  private readonly reader: RequestReader;
  private readonly bytes: Uint8Array;

  constructor(reader: RequestReader, bytes: Uint8Array) {
    this.reader = reader;
    this.bytes = bytes;
  }

  get count(): number {
    return this.reader.argumentCount;
  }

  raw(index: number): Uint8Array {
    return this.bytes.slice(this.reader.argumentStart[index], this.reader.argumentEnd[index]);
  }

  /** Bytes as one character each, so that nothing is lost. */
  text(index: number): string {
    return Buffer.from(this.raw(index)).toString('latin1');
  }
}

const INT_MIN = -(2n ** 31n);
const INT_MAX = 2n ** 31n - 1n;
const SYNTAX_ERROR = errorReply('ERR syntax error');
const REPLY_RESET = Buffer.from('+RESET\r\n');

const HANDLERS: Readonly<Record<string, Handler>> = {
  ...Object.fromEntries(
    Object.entries(CLUSTER_ANSWERS).map(([name, answer]): [string, Handler] => [
      name,
      (session, words, { serviceOf }) => answer(session, words, serviceOf(session)),
    ]),
  ),
  ping: (session, words) => {
    if (words.count > 2) return errorReply("ERR wrong number of arguments for 'ping' command");
    if (session.isSubscribed && session.protocol === 2)
      return encodeCommand(['pong', words.count === 2 ? words.raw(1) : '']);
    return words.count === 2 ? bulkReply(words.raw(1)) : REPLY_PONG;
  },
  echo: (_session, words) => bulkReply(words.raw(1)),
  quit: () => REPLY_OK,
  select: (session, words, context) => {
    const database = parseInt64(words.text(1));
    if (database === null) return errorReply('ERR value is not an integer or out of range');
    if (database < INT_MIN || database > INT_MAX) {
      return errorReply(`ERR value is out of range, value must between ${INT_MIN} and ${INT_MAX}`);
    }
    if (database < 0n || database >= context.databases(session)) return errorReply('ERR DB index is out of range');
    return enter(session, session.protocol, Number(database)) ? REPLY_OK : null;
  },
  auth: (session, words, context) => {
    if (words.count > 3) return SYNTAX_ERROR;
    return authenticate(session, words.count === 3 ? words.text(1) : null, words.raw(words.count - 1), context);
  },
  hello,
  unwatch: (session) => {
    // Inside of MULTI it comes when EXEC has looked at the keys: it changes nothing.
    if (session.transaction === null) session.endWatch();
    return REPLY_OK;
  },
  reset: (session) => {
    const isPlain =
      session.protocol === 2 &&
      session.database === 0 &&
      session.tracking === null &&
      session.locks === null &&
      session.lane.identity === null;
    if (!isPlain && !session.isIdle) return null;
    session.reset();
    return REPLY_RESET;
  },
  'client|id': (session) => integerReply(session.id),
  'client|getname': (session) =>
    session.name === '' ? nullReply(session.protocol) : bulkReply(Buffer.from(session.name, 'latin1')),
  'client|setname': (session, words) => setName(session, words.text(2)) ?? REPLY_OK,
  'client|setinfo': (_session, words) => {
    if (!/^lib-(name|ver)$/i.test(words.text(2))) return errorReply(`ERR Unrecognized option '${words.text(2)}'`);
    return /[^!-~]/.test(words.text(3))
      ? errorReply(`ERR ${words.text(2)} cannot contain spaces, newlines or special characters.`)
      : REPLY_OK;
  },
  'client|info': (session, _words, context) =>
    verbatimReply(`${clientLine(session, context.nowMs())}\n`, session.protocol),
  'client|getredir': (session) => redirectReply(session),
  'client|trackinginfo': (session) => trackingInfo(session),
  'client|reply': (session, words) => {
    switch (words.text(2).toLowerCase()) {
      case 'on':
        session.muting.unmute();
        return REPLY_OK;
      case 'off':
        session.muting.mute(false);
        return NO_REPLY;
      case 'skip':
        session.muting.mute(true);
        return NO_REPLY;
      default:
        return SYNTAX_ERROR;
    }
  },
  'rl.consistency': (session, words) => {
    return answerConsistency(
      session,
      Array.from({ length: words.count - 1 }, (_, place) => words.text(place + 1)),
    );
  },
  'client|no-evict': (session, words) => {
    const choice = words.text(2).toLowerCase();
    if (choice !== 'on' && choice !== 'off') return SYNTAX_ERROR;
    session.isProtected = choice === 'on';
    return REPLY_OK;
  },
};

/** By the index of their commands. */
const BY_INDEX: readonly (Handler | null)[] = COMMANDS.map(({ name }) => HANDLERS[name] ?? null);

/** Answers the command last read, whose arity was checked. Null: not now (see Handler). */
export function answerLocally(spec: CommandSpec, session: Session, context: LocalContext): Uint8Array | null {
  const handler = BY_INDEX[spec.index] as Handler | null;
  if (handler === null)
    throw new Error(`the command table says that the proxy answers ${spec.name} itself; it does not`);
  return handler(session, context.words, context);
}

/** HELLO [version [AUTH user password] [SETNAME name]]: checked whole before anything but AUTH changes, as Redis does. */
function hello(session: Session, words: Words, context: LocalContext): Uint8Array | null {
  let protocol: 2 | 3 = session.protocol;
  let name: string | null = null;
  let hasAuth = false;
  if (words.count > 1) {
    const asked = parseInt64(words.text(1));
    if (asked === null) return errorReply('ERR Protocol version is not an integer or out of range');
    if (asked !== 2n && asked !== 3n) return errorReply('NOPROTO unsupported protocol version');
    protocol = asked === 3n ? 3 : 2;
    for (let index = 2; index < words.count; ) {
      const option = words.text(index).toLowerCase();
      // Nodes are asked for one.
      const mayAuth = !hasAuth || !context.admission.isPassthrough;
      if (option === 'auth' && index + 2 < words.count && mayAuth) {
        hasAuth = true;
        const refusal = authenticate(session, words.text(index + 1), words.raw(index + 2), context);
        if (refusal !== REPLY_OK) return refusal;
        index += 3;
      } else if (option === 'setname' && index + 1 < words.count) {
        name = words.text(index + 1);
        const refusal = checkName(name);
        if (refusal !== null) return refusal;
        index += 2;
      } else {
        return errorReply(`ERR Syntax error in HELLO option '${words.text(index)}'`);
      }
    }
  }
  if (!session.isAuthenticated) {
    const admitted = context.admission.isPassthrough ? context.admission.admit(session) : REPLY_HELLO_NOAUTH;
    if (admitted !== REPLY_OK) return admitted === null ? null : REPLY_HELLO_NOAUTH;
  }
  if (!enter(session, protocol, session.database)) return null;
  if (name !== null) session.name = name;
  const fields: [string, string | number | string[]][] = [
    ['server', 'redis'],
    ['version', context.version(session)],
    ['proto', protocol],
    ['id', session.id],
    ['mode', 'standalone'],
    ['role', 'master'],
    ['modules', []],
  ];
  return encodeMap(fields, protocol);
}

/**
 * Has the session speak that protocol and work in that database. False: not now. Another lane has other connections to the nodes: its
 * commands must not overtake those before it.
 */
function enter(session: Session, protocol: 2 | 3, database: number): boolean {
  if (protocol === session.protocol && database === session.database) return true;
  if (!session.isIdle) return false;
  session.enter(protocol, database);
  return true;
}

/** Null: not now. */
function authenticate(
  session: Session,
  user: string | null,
  password: Uint8Array,
  context: LocalContext,
): Uint8Array | null {
  const { admission } = context;
  if (admission.isPassthrough) {
    const username = user === null ? null : Buffer.from(user, 'latin1');
    const reply = admission.logIn(session, username, password);
    if (reply !== null && isWrongPassword(reply)) context.onAuthFailure(session, user);
    return reply;
  }
  const outcome = context.authentication.answer(user, password);
  if (outcome instanceof Uint8Array) {
    if (outcome === REPLY_WRONGPASS) context.onAuthFailure(session, user);
    return outcome;
  }
  session.authenticate(outcome);
  return REPLY_OK;
}

/** Of a node, with what is added to say which. */
function isWrongPassword(reply: Uint8Array): boolean {
  return Buffer.from(reply.subarray(0, 11)).toString('latin1') === '-WRONGPASS ';
}

function setName(session: Session, name: string): Uint8Array | null {
  const refusal = checkName(name);
  if (refusal === null) session.name = name;
  return refusal;
}

function checkName(name: string): Uint8Array | null {
  return /[^!-~]/.test(name)
    ? errorReply('ERR Client names cannot contain spaces, newlines or special characters.')
    : null;
}
