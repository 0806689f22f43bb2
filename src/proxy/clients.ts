/**
 * CLIENT LIST, KILL, PAUSE, UNPAUSE and UNBLOCK, and ACL (acl-commands.ts): what a session asks of the clients of all workers (each answers for its own: answers.ts). The
 * clients are those of the session's service, which is one Redis.
 */
import type { Pending, PendingPool } from '../backend/pending.js';
import { errorBytes } from '../base/errors.js';
import type { Counts } from '../base/metrics.js';
import type { CommandSpec } from '../resp/commands.js';
import { parseInt64 } from '../resp/int64.js';
import { errorReply, integerReply, REPLY_OK, verbatimReply } from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';
import type { Arena } from '../transport/arena.js';
import { AclCommands } from './acl-commands.js';
import type { Authentication } from './authentication.js';
import { matcher, parseKill, parseList } from './client-filter.js';
import { clientLine } from './client-line.js';
import { Words } from './local.js';
import { type ClientInquiry, inquiry, Questions, type QuestionsContext } from './questions.js';
import type { Session } from './session.js';

export interface ClientsContext extends QuestionsContext {
  arena: Arena;
  reader: RequestReader;
  pendings: PendingPool;
  authentication: Authentication;
  counts: Counts;
  now: () => number;
  /** Milliseconds since 1970. */
  clock: () => number;
}

const NO_SUCH_CLIENT = errorReply('ERR No such client');
const WRONG_PAUSE = errorReply('ERR CLIENT PAUSE mode must be WRITE or ALL');
const WRONG_UNBLOCK = errorReply('ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR');
const NOT_INTEGER = errorReply('ERR value is not an integer or out of range');
const TIMEOUT_NOT_INTEGER = errorReply('ERR timeout is not an integer or out of range');
const TIMEOUT_OUT_OF_RANGE = errorReply('ERR timeout is out of range');
const TIMEOUT_NEGATIVE = errorReply('ERR timeout is negative');
const INT64_MAX = 2n ** 63n - 1n;
/** A text must fit into what the engine takes for one. */
const LIST_BYTES_MAX = 256 * 1024 * 1024;

export class Clients {
  private readonly context: ClientsContext;
  private readonly questions: Questions;
  private readonly words: Words;
  private readonly aclCommands: AclCommands;

  constructor(context: ClientsContext) {
    this.context = context;
    this.questions = new Questions(context);
    this.words = new Words(context.reader, context.arena.bytes);
    this.aclCommands = new AclCommands({ ...context, words: this.words });
  }

  /** Carries out the command last read, of so many bytes. */
  carryOut(session: Session, spec: CommandSpec, requestBytes: number): void {
    const inquiry = this.inquire(session, spec);
    if (inquiry instanceof Uint8Array) {
      session.reply(inquiry);
      return;
    }
    const pending = this.context.pendings.take(session, this.context.now(), false);
    session.track(pending, requestBytes);
    this.ask(session, pending, inquiry);
  }

  /** What the command last read asks of all workers; or what is wrong with it. */
  inquire(session: Session, { name }: CommandSpec): ClientInquiry | Uint8Array {
    switch (name) {
      case 'client|list':
        return this.list(session);
      case 'client|kill':
        return this.kill(session);
      case 'client|pause':
        return this.pause(session);
      case 'client|unpause':
        return {
          ...inquiry({ kind: 'unpause-clients', service: session.service }, (_answers, silent) =>
            silent === '' ? REPLY_OK : errorBytes('UNKNOWN', `${silent}: its clients may still be paused`),
          ),
          sequel: 'wait',
        };
      case 'client|unblock':
        return this.unblock(session);
      default:
        return this.aclCommands.inquire(session, name);
    }
  }

  /** Asks it, for `pending` of that session. */
  ask(session: Session, pending: Pending, inquiry: ClientInquiry): void {
    if (!this.questions.ask(pending, inquiry)) return;
    if (inquiry.sequel === 'close') session.finish();
    else if (inquiry.sequel === 'wait') session.waitForReplies();
  }

  /** Answers `pending`, for which nobody need be asked. */
  reply(pending: Pending, bytes: Uint8Array): void {
    this.questions.reply(pending, bytes);
  }

  private list(session: Session): ClientInquiry | Uint8Array {
    const filter = parseList(this.words);
    if (filter instanceof Uint8Array) return filter;
    const { id, service, protocol } = session;
    // As it is now: it may ask more before the answers are there.
    const own = matcher(filter)(session) ? clientLine(session, this.context.now()) : null;
    const question = { kind: 'list-clients', service, filter: { ...filter, exceptId: id } } as const;
    const { question: asked, makeReply } = inquiry(question, (answers, silent) => {
      if (silent !== '') return errorBytes('ERR', `${silent}: its clients are not known`);
      const lines = new Map<number, string>();
      if (own !== null) lines.set(id, own);
      for (const { ids, lines: theirs } of answers) {
        for (const [index, each] of ids.entries()) lines.set(each, theirs[index] as string);
      }
      // Redis shows the clients in the order in which they came, or in which they were asked for.
      const ids = filter.ids ?? [...lines.keys()].sort((a, b) => a - b);
      let length = 0;
      const text: string[] = [];
      for (const each of ids) {
        const line = lines.get(each);
        if (line === undefined) continue;
        length += line.length + 1;
        if (length > LIST_BYTES_MAX) return errorBytes('OVERLOADED', `the list has more than ${LIST_BYTES_MAX} bytes`);
        text.push(line, '\n');
      }
      return verbatimReply(text.join(''), protocol);
    });
    return { question: asked, makeReply, sequel: 'go-on' };
  }

  private kill(session: Session): ClientInquiry | Uint8Array {
    // Where the nodes know the users, nobody need have said that name here.
    const isKnownToNodes = session.lane.identity !== null;
    const isUser = (name: string) => isKnownToNodes || this.context.authentication.users.get(name) !== undefined;
    const order = parseKill(this.words, isUser);
    if (order instanceof Uint8Array) return order;
    const { filter, skipsMe, isOldForm } = order;
    const killsMe = !skipsMe && matcher(filter)(session);
    const { id, service } = session;
    const asked = inquiry({ kind: 'kill-clients', service, filter: { ...filter, exceptId: id } }, (answers, silent) => {
      const killed = answers.reduce((sum, answer) => sum + answer.killed, killsMe ? 1 : 0);
      if (silent !== '') return errorBytes('UNKNOWN', `${silent}: of the other clients ${killed} are killed`);
      if (!isOldForm) return integerReply(killed);
      return killed > 0 ? REPLY_OK : NO_SUCH_CLIENT;
    });
    return { ...asked, sequel: killsMe ? 'close' : 'go-on' };
  }

  /** CLIENT UNBLOCK id [TIMEOUT|ERROR] */
  private unblock({ service }: Session): ClientInquiry | Uint8Array {
    const { words } = this;
    if (words.count > 4) return wrongForm(words);
    const how = words.count === 4 ? words.text(3).toLowerCase() : 'timeout';
    if (how !== 'timeout' && how !== 'error') return WRONG_UNBLOCK;
    const id = parseInt64(words.text(2));
    if (id === null) return NOT_INTEGER;
    const question = { kind: 'unblock-client', service, id: Number(id), isError: how === 'error' } as const;
    const asked = inquiry(question, (answers, silent) => {
      const count = answers.filter(({ isUnblocked }) => isUnblocked).length;
      if (count === 0 && silent !== '') return errorBytes('UNKNOWN', `${silent}: the client may wait there`);
      return integerReply(count);
    });
    return { ...asked, sequel: 'go-on' };
  }

  /** CLIENT PAUSE milliseconds [WRITE|ALL] */
  private pause({ service }: Session): ClientInquiry | Uint8Array {
    const { words } = this;
    if (words.count > 4) return wrongForm(words);
    const kind = words.count === 4 ? words.text(3).toLowerCase() : 'all';
    if (kind !== 'all' && kind !== 'write') return WRONG_PAUSE;
    const forMs = parseInt64(words.text(2));
    if (forMs === null) return TIMEOUT_NOT_INTEGER;
    if (forMs < 0n) return TIMEOUT_NEGATIVE;
    // Redis adds it to the time of day, and from 7.2 on says so where that is too much; before, it did not pause at all.
    if (forMs > INT64_MAX - BigInt(Date.now())) return TIMEOUT_OUT_OF_RANGE;
    const question = { kind: 'pause-clients', service, isAll: kind === 'all', forMs: Number(forMs) } as const;
    const asked = inquiry(question, (_answers, silent) =>
      silent === '' ? REPLY_OK : errorBytes('UNKNOWN', `${silent}: its clients may not be paused`),
    );
    return { ...asked, sequel: 'wait' };
  }
}

/** How Redis refuses a subcommand with more arguments than it has. */
function wrongForm(words: Words): Uint8Array {
  const text = `unknown subcommand or wrong number of arguments for '${words.text(1).slice(0, 128)}'`;
  return errorReply(`ERR ${text}. Try CLIENT HELP.`);
}
