/**
 * CLIENT TRACKING and CLIENT CACHING, with Redis's checks and words (networking.c, tracking.c).
 *
 * A session with tracking has connections of its own to the nodes. It is switched on, off and over when all before has been answered.
 */
import type { TrackingMode } from '../backend/tracking-lane.js';
import { errorBytes } from '../base/errors.js';
import type { CommandSpec } from '../resp/commands.js';
import { parseInt64 } from '../resp/int64.js';
import { errorReply, REPLY_OK } from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';
import type { Target } from './invalidation.js';
import { Words } from './local.js';
import type { Session } from './session.js';
import { Tracking, type TrackingContext } from './tracking.js';
import type { TrackingState } from './tracking-state.js';

export interface TrackingCommandsContext extends TrackingContext {
  reader: RequestReader;
  /** The session of that number, where it is of this worker. */
  sessionOf: (id: number) => Session | null;
  /** How many workers there are. */
  workerCount: number;
}

/** What CLIENT TRACKING asks for. */
interface Request {
  isOn: boolean;
  /** 0: nobody. */
  redirect: number;
  mode: TrackingMode;
}

/** Of one session, all together. */
const PREFIXES_MAX = 1_024;
const PREFIX_BYTES_MAX = 64 * 1024;

const SYNTAX_ERROR = errorReply('ERR syntax error');
const NOT_AN_INTEGER = errorReply('ERR value is not an integer or out of range');
const ONE_REDIRECT = errorReply('ERR A client can only redirect to a single other client');
const NO_SUCH_CLIENT = errorReply('ERR The client ID you want redirect to does not exist');
const PREFIX_WITHOUT_BCAST = errorReply('ERR PREFIX option requires BCAST mode to be enabled');
const OTHER_BCAST = errorReply(
  "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.",
);
const OPT_WITH_BCAST = errorReply('ERR OPTIN and OPTOUT are not compatible with BCAST');
const BOTH_OPTS = errorReply("ERR You can't specify both OPTIN mode and OPTOUT mode");
const OTHER_OPT = errorReply(
  "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.",
);
const CACHING_WITHOUT_TRACKING = errorReply(
  'ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled',
);
const YES_WITHOUT_OPTIN = errorReply('ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.');
const NO_WITHOUT_OPTOUT = errorReply('ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.');
/** Of all keys. */
const NO_PREFIX = new Uint8Array();

export class TrackingCommands {
  private readonly context: TrackingCommandsContext;
  private readonly words: Words;

  constructor(context: TrackingCommandsContext) {
    this.context = context;
    this.words = new Words(context.reader, context.transport.arena.bytes);
  }

  /** Carries out the command last read, of so many bytes. False: not now, see SessionContext.dispatch; nothing was done. */
  carryOut(session: Session, spec: CommandSpec, requestBytes: number): boolean {
    if (!session.isIdle) return false;
    switch (spec.name) {
      case 'client|caching':
        session.reply(setCaching(session.tracking, this.words.text(2).toLowerCase()));
        return true;
      case 'client|tracking': {
        const request = parse(this.words);
        if (request instanceof Uint8Array) session.reply(request);
        else this.begin(session, request, requestBytes);
        return true;
      }
      default:
        throw new Error(`the command table says that ${spec.name} is about tracking; it is not`);
    }
  }

  /** Finds whom messages are to go to, if anyone. */
  private begin(session: Session, request: Request, requestBytes: number): void {
    const { redirect: id } = request;
    if (id === 0) {
      this.track(session, request, null, requestBytes);
      return;
    }
    const own = this.context.sessionOf(id);
    if (own !== null && own.service === session.service && !own.isLeaving) {
      this.track(session, request, { id, client: own }, requestBytes);
      return;
    }
    if (this.context.workerCount === 1) {
      session.reply(NO_SUCH_CLIENT);
      return;
    }
    const { pendings, transport, ask, redirections } = this.context;
    const pending = pendings.take(session, transport.now, false);
    session.track(pending, requestBytes);
    session.waitForReplies();
    const { service } = session;
    redirections.announce(id);
    ask({ kind: 'expect-redirected', service, id }, (answers, silent) => {
      const isThere = answers.some((answer) => answer.kind === 'expect-redirected' && answer.isThere);
      let reply: Uint8Array | null = NO_SUCH_CLIENT;
      if (isThere && !session.isClosed) reply = this.apply(session, request, { id, client: null });
      else if (silent.length > 0)
        reply = errorBytes('ERR', 'a worker that may have that client did not answer in time');
      redirections.endAnnounced(id);
      if (reply === null) session.tracking?.answerWhenSettled(pending);
      else session.onFailure(pending, reply);
    });
  }

  private track(session: Session, request: Request, target: Target | null, requestBytes: number): void {
    const reply = this.apply(session, request, target);
    const { tracking } = session;
    if (reply !== null || tracking === null || !tracking.lane.waits()) {
      session.reply(reply ?? REPLY_OK);
      return;
    }
    const pending = this.context.pendings.take(session, this.context.transport.now, false);
    session.track(pending, requestBytes);
    session.waitForReplies();
    tracking.answerWhenSettled(pending);
  }

  /** Switches on, off or over. Returns the reply; null: OK, when the nodes have what is wanted. */
  private apply(session: Session, { isOn, mode }: Request, target: Target | null): Uint8Array | null {
    const { tracking } = session;
    if (!isOn) {
      session.endTracking();
      return REPLY_OK;
    }
    const refusal = this.check(tracking?.mode ?? null, mode);
    if (refusal !== null) return refusal;
    if (tracking === null) return this.start(session, mode, target);
    const prefixes = union(tracking.mode.prefixes, mode.prefixes);
    const failure = tracking.change({ ...mode, prefixes }, mode.prefixes, target);
    if (failure !== null) session.endTracking();
    return failure;
  }

  private start(session: Session, mode: TrackingMode, target: Target | null): Uint8Array | null {
    const tracking = new Tracking(this.context, session, mode, target);
    const failure = tracking.lane.open();
    if (failure !== null) {
      tracking.close();
      return failure;
    }
    // What it watches is known to another connection than the one that EXEC will go by.
    if (session.watch !== null) session.watch.isBroken = true;
    session.tracking = tracking;
    session.lane = tracking.lane;
    return null;
  }

  /** Whether the options fit together, and with those that hold. Returns the error when they do not. */
  private check(before: TrackingMode | null, mode: TrackingMode): Uint8Array | null {
    const { isBroadcast, isOptIn, isOptOut, prefixes } = mode;
    if (before !== null && before.isBroadcast !== isBroadcast) return OTHER_BCAST;
    if (isBroadcast && (isOptIn || isOptOut)) return OPT_WITH_BCAST;
    if (isOptIn && isOptOut) return BOTH_OPTS;
    if (before !== null && ((isOptIn && before.isOptOut) || (isOptOut && before.isOptIn))) return OTHER_OPT;
    if (!isBroadcast || isAll(prefixes)) return null;
    const held = before?.prefixes ?? [];
    const bytes = [...held, ...prefixes].reduce((sum, { length }) => sum + length, 0);
    if (held.length + prefixes.length <= PREFIXES_MAX && bytes <= PREFIX_BYTES_MAX) return collisionIn(prefixes, held);
    this.context.counts.commandsOverloaded++;
    const text = `one client may have ${PREFIXES_MAX} prefixes, of ${PREFIX_BYTES_MAX} bytes together`;
    return errorBytes('OVERLOADED', `${text}; nothing has changed`);
  }
}

function setCaching(tracking: TrackingState | null, choice: string): Uint8Array {
  if (tracking === null) return CACHING_WITHOUT_TRACKING;
  if (choice !== 'yes' && choice !== 'no') return SYNTAX_ERROR;
  if (choice === 'yes' && !tracking.mode.isOptIn) return YES_WITHOUT_OPTIN;
  if (choice === 'no' && !tracking.mode.isOptOut) return NO_WITHOUT_OPTOUT;
  tracking.cacheNext();
  return REPLY_OK;
}

/** CLIENT TRACKING ON|OFF [REDIRECT id] [PREFIX prefix …] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]. Or the error. */
function parse(words: Words): Request | Uint8Array {
  let redirect = 0;
  const prefixes: Uint8Array[] = [];
  const options = new Set<string>();
  for (let index = 3; index < words.count; index++) {
    const option = words.text(index).toLowerCase();
    const hasMore = index + 1 < words.count;
    if (option === 'redirect' && hasMore) {
      if (redirect !== 0) return ONE_REDIRECT;
      const id = parseInt64(words.text(++index));
      if (id === null) return NOT_AN_INTEGER;
      if (id <= 0n || id > Number.MAX_SAFE_INTEGER) return NO_SUCH_CLIENT;
      redirect = Number(id);
    } else if (option === 'prefix' && hasMore) {
      prefixes.push(words.raw(++index));
    } else if (/^(bcast|optin|optout|noloop)$/.test(option)) {
      options.add(option);
    } else {
      return SYNTAX_ERROR;
    }
  }
  const choice = words.text(2).toLowerCase();
  if (choice !== 'on' && choice !== 'off') return SYNTAX_ERROR;
  const isBroadcast = options.has('bcast');
  if (choice === 'on' && !isBroadcast && prefixes.length > 0) return PREFIX_WITHOUT_BCAST;
  if (isBroadcast && prefixes.length === 0) prefixes.push(NO_PREFIX);
  const mode = {
    isBroadcast,
    isOptIn: options.has('optin'),
    isOptOut: options.has('optout'),
    isNoLoop: options.has('noloop'),
    isRedirected: redirect !== 0,
    prefixes,
  };
  return { isOn: choice === 'on', redirect, mode };
}

/** Whether no prefix was named. Redis takes that also beside others. */
function isAll(prefixes: readonly Uint8Array[]): boolean {
  return prefixes.length === 1 && prefixes[0] === NO_PREFIX;
}

/** The error where a key could have two of the prefixes. */
function collisionIn(prefixes: readonly Uint8Array[], held: readonly Uint8Array[]): Uint8Array | null {
  for (const [place, prefix] of prefixes.entries()) {
    const existing = held.find((other) => overlaps(other, prefix));
    if (existing !== undefined) return collision(prefix, 'an existing prefix', existing);
    const other = prefixes.slice(place + 1).find((later) => overlaps(prefix, later));
    if (other !== undefined) return collision(prefix, 'another provided prefix', other);
  }
  return null;
}

function collision(prefix: Uint8Array, what: string, other: Uint8Array): Uint8Array {
  const text = `ERR Prefix '${shown(prefix)}' overlaps with ${what} '${shown(other)}'.`;
  return errorReply(`${text} Prefixes for a single client must not overlap.`);
}

/** As C shows it: up to a zero. */
function shown(prefix: Uint8Array): string {
  return Buffer.from(prefix).toString('latin1').split('\0', 1)[0] as string;
}

function overlaps(one: Uint8Array, other: Uint8Array): boolean {
  const bytes = Math.min(one.length, other.length);
  return Buffer.compare(one.subarray(0, bytes), other.subarray(0, bytes)) === 0;
}

function union(held: readonly Uint8Array[], added: readonly Uint8Array[]): readonly Uint8Array[] {
  const fresh = added.filter((prefix) => !held.some((other) => Buffer.compare(other, prefix) === 0));
  return [...held, ...fresh];
}
