/**
 * CLIENT LIST and CLIENT KILL: what a session asks of the clients of all workers (each answers for its own: answers.ts). The clients
 * are those of the session's service, which is one Redis.
 */
import type { PendingPool } from '../backend/pending.js';
import { errorBytes } from '../base/errors.js';
import type { Counts } from '../base/metrics.js';
import type { CommandSpec } from '../resp/commands.js';
import { errorReply, integerReply, REPLY_OK, verbatimReply } from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';
import type { Arena } from '../transport/arena.js';
import type { Authentication } from './authentication.js';
import { matcher, parseKill, parseList } from './client-filter.js';
import { clientLine } from './client-line.js';
import { Words } from './local.js';
import { Questions, type QuestionsContext } from './questions.js';
import type { Session } from './session.js';

export interface ClientsContext extends QuestionsContext {
  arena: Arena;
  reader: RequestReader;
  pendings: PendingPool;
  authentication: Authentication;
  counts: Counts;
  now: () => number;
}

const NO_SUCH_CLIENT = errorReply('ERR No such client');
/** A text must fit into what the engine takes for one. */
const LIST_BYTES_MAX = 256 * 1024 * 1024;

export class Clients {
  private readonly context: ClientsContext;
  private readonly questions: Questions;
  private readonly words: Words;

  constructor(context: ClientsContext) {
    this.context = context;
    this.questions = new Questions(context);
    this.words = new Words(context.reader, context.arena.bytes);
  }

  /** Carries out the command last read, of so many bytes. */
  carryOut(session: Session, spec: CommandSpec, requestBytes: number): void {
    switch (spec.name) {
      case 'client|list':
        this.list(session, requestBytes);
        return;
      case 'client|kill':
        this.kill(session, requestBytes);
        return;
      default:
        throw new Error(`the command table says that ${spec.name} is about clients; it is not`);
    }
  }

  private list(session: Session, requestBytes: number): void {
    const filter = parseList(this.words);
    if (filter instanceof Uint8Array) {
      session.reply(filter);
      return;
    }
    const { id, service, protocol } = session;
    // As it is now: it may ask more before the answers are there.
    const own = matcher(filter)(session) ? [{ id, line: clientLine(session, this.context.now()) }] : [];
    const question = { kind: 'list-clients', service, filter: { ...filter, exceptId: id } } as const;
    this.questions.ask(session, requestBytes, question, (answers, silent) => {
      if (silent !== '') return errorBytes('ERR', `${silent}: its clients are not known`);
      const lines = new Map([...own, ...answers.flatMap(({ clients }) => clients)].map((one) => [one.id, one.line]));
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
  }

  private kill(session: Session, requestBytes: number): void {
    const order = parseKill(this.words, (name) => this.context.authentication.hasUser(name));
    if (order instanceof Uint8Array) {
      session.reply(order);
      return;
    }
    const { filter, skipsMe, isOldForm } = order;
    const killsMe = !skipsMe && matcher(filter)(session);
    const question = {
      kind: 'kill-clients',
      service: session.service,
      filter: { ...filter, exceptId: session.id },
    } as const;
    this.questions.ask(session, requestBytes, question, (answers, silent) => {
      const killed = answers.reduce((sum, answer) => sum + answer.killed, killsMe ? 1 : 0);
      if (silent !== '') return errorBytes('UNKNOWN', `${silent}: of the other clients ${killed} are killed`);
      if (!isOldForm) return integerReply(killed);
      return killed > 0 ? REPLY_OK : NO_SUCH_CLIENT;
    });
    // It gets this reply, and nothing that it sent after it is carried out.
    if (killsMe) session.finish();
  }
}
