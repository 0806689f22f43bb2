/**
 * Carries out commands while somebody monitors: as always, and writes down for the monitors what one server would show.
 *
 *   shown   a command that is carried out, behind it; those of a transaction with EXEC; what is refused by a rule of keys, too
 *   not     administrative commands, as in Redis; what is refused for its form, or to its user
 *
 * What EXEC carries out is shown also where a watched key has changed, which only the node knows.
 */
import type { MonitorFeed } from '../base/monitor-feed.js';
import { COMMAND_FLAG } from '../resp/command-spec.js';
import { arityFits, type CommandSpec, findCommand, findSubcommand } from '../resp/commands.js';
import { mayReplicate } from '../resp/may-replicate.js';
import { errorReply } from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';
import { monitorAddress } from './client-line.js';
import { monitorLine, redacted, showWords } from './monitor-line.js';
import { requestWords } from './request-words.js';
import type { Session } from './session.js';
import type { Transaction } from './transaction.js';

/** See SessionContext.dispatch. */
export interface Dispatching {
  dispatch(session: Session, start: number, end: number): boolean;
}

export interface MonitoredDispatchContext {
  feed: MonitorFeed;
  reader: RequestReader;
  /** The arena. */
  bytes: Uint8Array;
  /** `refusedCount`: commands that were nothing for their users. `nodeCommand`: the command last read, if it is one that only nodes know. */
  inner: Dispatching & { readonly refusedCount: number; nodeCommand(session: Session): CommandSpec | null };
  /** Nobody monitors any more: commands go to `inner` alone from now on. */
  onUnwanted: () => void;
  /** Milliseconds since 1970, with fractions. */
  clock: () => number;
}

/** What a session has queued since MULTI, as it is shown. */
interface Queued {
  transaction: Transaction;
  shown: string[];
}

const REPLICA = errorReply("ERR Replica can't interact with the keyspace");
const KEYSPACE = COMMAND_FLAG.write | COMMAND_FLAG.readonly;
/** EVAL and its like are flagged as not shown, since Redis shows them itself, before what they do. */
const HIDDEN = COMMAND_FLAG.admin | COMMAND_FLAG.skip_monitor;

export class MonitoredDispatch implements Dispatching {
  private readonly context: MonitoredDispatchContext;
  private readonly queued = new WeakMap<Session, Queued>();

  constructor(context: MonitoredDispatchContext) {
    this.context = context;
  }

  dispatch(session: Session, start: number, end: number): boolean {
    const { feed, inner, reader, bytes } = this.context;
    if (!feed.isWanted) {
      this.context.onUnwanted();
      return inner.dispatch(session, start, end);
    }
    const spec = this.carriedOut(session);
    if (spec === null) return inner.dispatch(session, start, end);
    if (session.monitoring !== null && this.isOfKeys(spec)) {
      session.refuse(REPLICA);
      return true;
    }
    const { transaction } = session;
    const shown = isShown(spec) ? showWords(redacted(spec.name, requestWords(reader, bytes))) : null;
    const address = monitorAddress(session);
    const before = transaction?.commandCount ?? 0;
    const block = transaction !== null && spec.name === 'exec' && !transaction.isDirty ? this.takeQueued(session) : [];
    const { refusedCount } = inner;
    if (!inner.dispatch(session, start, end)) return false;
    if (inner.refusedCount > refusedCount) return true;
    if (transaction !== null && session.transaction === transaction) {
      // After MULTI, and not what ends it.
      if (transaction.commandCount > before && shown !== null) this.noteQueued(session, transaction, shown);
      if (transaction.commandCount > before || transaction.isDirty) return true;
    }
    for (const each of block) this.write(session, address, each);
    if (shown !== null) this.write(session, address, shown);
    return true;
  }

  /** The command last read, if it will be carried out, or queued, unless its keys or their nodes do not allow it; else null. */
  private carriedOut(session: Session): CommandSpec | null {
    const { bytes, inner } = this.context;
    const { argumentStart, argumentEnd, argumentCount } = this.context.reader;
    let spec = findCommand(bytes, argumentStart[0] as number, argumentEnd[0] as number);
    if (spec === null) spec = inner.nodeCommand(session);
    else if (spec.subcommands !== null && argumentCount > 1)
      spec = findSubcommand(spec, bytes, argumentStart[1] as number, argumentEnd[1] as number);
    if (spec === null || spec.route === 'reject' || !arityFits(spec, argumentCount)) return null;
    if (!session.isAuthenticated && (spec.flags & COMMAND_FLAG.no_auth) === 0) return null;
    return session.subscriptions !== null && !session.mayCarryOut(spec.name) ? null : spec;
  }

  private isOfKeys(spec: CommandSpec): boolean {
    const { argumentStart, argumentEnd } = this.context.reader;
    return (spec.flags & KEYSPACE) !== 0 || mayReplicate(spec, this.context.bytes, argumentStart, argumentEnd);
  }

  private noteQueued(session: Session, transaction: Transaction, shown: string): void {
    const queued = this.queued.get(session);
    if (queued?.transaction === transaction) queued.shown.push(shown);
    else this.queued.set(session, { transaction, shown: [shown] });
  }

  /** What EXEC is about to carry out. Put off, it comes again. */
  private takeQueued(session: Session): readonly string[] {
    const queued = this.queued.get(session);
    return queued?.transaction === session.transaction ? queued.shown : [];
  }

  private write(session: Session, address: string, shown: string): void {
    const timeMs = this.context.clock();
    const line = monitorLine(timeMs, session.database, address, shown);
    this.context.feed.write({ service: session.service, timeMs, line });
  }
}

function isShown({ flags, group }: CommandSpec): boolean {
  return (flags & HIDDEN) === 0 || (group === 'scripting' && (flags & COMMAND_FLAG.admin) === 0);
}
