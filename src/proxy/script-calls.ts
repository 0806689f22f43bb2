/**
 * Calls of scripts, as one Redis would have them: a script that a client has shown once (EVAL, SCRIPT LOAD) can be called by its SHA1 on every
 * shard, also on a node that has lost it, or is new. What is not known to be there is sent whole in place of its SHA1, so that nothing has to
 * wait for a NOSCRIPT, and commands keep their order.
 *
 *   EVALSHA, known here ──> the connection's server has it ──> EVALSHA ──NOSCRIPT──> EVAL, if that changes no order (lost-calls.ts)
 *                └──────> not known to ──────────────────────> EVAL
 *   not known here ──> the other workers are asked, if one may know it (script-search.ts), before anything else is done with the command
 *
 * A connection is one server process from its beginning to its end: what it was sent by one, it has, unless its scripts were flushed.
 */
import type { LaneChannel } from '../backend/lane.js';
import type { Carrier, Pending, PendingPool, ReplyOwner } from '../backend/pending.js';
import type { BackendPool } from '../backend/pool.js';
import { errorBytes } from '../base/errors.js';
import type { Limits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import type { ShownScripts } from '../base/shown-scripts.js';
import type { Timer } from '../base/timers.js';
import type { CommandSpec } from '../resp/commands.js';
import type { RequestReader } from '../resp/request.js';
import type { Arena } from '../transport/arena.js';
import type { Transport } from '../transport/transport.js';
import type { BusyScripts } from './busy-scripts.js';
import { HeldSession } from './held-session.js';
import { isTaken, type KnownScript, KnownScripts } from './known-scripts.js';
import { LostCalls } from './lost-calls.js';
import { MissingFunctions } from './missing-functions.js';
import type { Wait } from './node-steps.js';
import type { Pauses } from './pauses.js';
import type { QuestionsContext } from './questions.js';
import { type Call, CallBySha, type CallRoute, FirstShowing, type ReplyReader } from './script-replies.js';
import { ScriptSearch } from './script-search.js';
import type { Service } from './service.js';
import type { Session } from './session.js';

export interface ScriptCallsContext {
  arena: Arena;
  reader: RequestReader;
  pendings: PendingPool;
  limits: Limits;
  counts: Counts;
  ask: QuestionsContext['ask'];
  shown: ShownScripts;
  workerCount: number;
  pauses: Pauses;
  pool: BackendPool;
  /** As it is laid out now; null: it is gone. */
  serviceOf: (session: Session) => Service | null;
  transport: Transport;
  now: () => number;
}

/** What is sent in place of a call by SHA1. */
const WHOLE: Readonly<Record<string, string>> = { evalsha: 'EVAL', evalsha_ro: 'EVAL_RO' };
const NOSCRIPT = Buffer.from('-NOSCRIPT No matching script.');
const NO_ROOM = errorBytes('OVERLOADED', 'no buffer memory is left for this command; it was not sent');
/** How Redis refuses a script that it does not take. */
const REFUSALS = ['-ERR Error compiling script', '-NOPERM ', '-NOAUTH ', '-OOM '].map((text) => Buffer.from(text));
/** Milliseconds between two messages to the other workers; and scripts in one: of one more they hear when they ask for it. */
const TELL_MS = 50;
const UNTOLD_MAX = 64;
/** Milliseconds after which they are told again of what is called still: one may have been started since. */
const TELL_AGAIN_MS = 60_000;

/** Behind each word of a frame. */
const LINE_END_BYTES = 2;

export class ScriptCalls implements ReplyReader {
  readonly known: KnownScripts;
  private readonly lost: LostCalls;
  private readonly search: ScriptSearch;
  private readonly functions: MissingFunctions;
  private readonly context: ScriptCallsContext;
  private readonly busyScripts: BusyScripts;
  /** By connection: those that its server has. */
  private sent = new WeakMap<Carrier, WeakSet<KnownScript>>();
  /** Texts of scripts as they are sent, while they are in use. */
  private readonly sources = new WeakMap<KnownScript, Uint8Array>();
  /** Those that the other workers are to be told of next. */
  private untold: KnownScript[] = [];
  private tellTimer: Timer | null = null;

  constructor(context: ScriptCallsContext, busyScripts: BusyScripts) {
    this.context = context;
    this.busyScripts = busyScripts;
    this.known = new KnownScripts(context.limits, context.counts);
    this.functions = new MissingFunctions(context);
    this.search = new ScriptSearch({ ...context, learn: (service, source) => this.hear(service, [source]) });
    const { arena, counts, pauses, serviceOf } = context;
    this.lost = new LostCalls({
      arena,
      counts,
      writeWait: (service) => pauses.writeWait(service),
      isAsBefore: ({ session, service }) => serviceOf(session) === service,
      sendAgain: (owner, pending, start, end) => this.sendAgain(owner, pending, start, end),
    });
  }

  /**
   * The command last read is one on scripts. True: it is to be put off, as it calls one by its SHA1 that another worker may know; once all before it
   * has been answered they are asked, and it is read again.
   */
  mustAsk(session: Session, spec: CommandSpec): boolean {
    if (WHOLE[spec.name] === undefined || session.transaction?.flushesScripts === true) return false;
    const { service } = session;
    const sha = this.text(1).toLowerCase();
    if (this.known.find(service, sha) !== null || !this.search.mayFind(service, sha)) return false;
    if (!session.isIdle) return true;
    let isHeld = true;
    const endHold = () => {
      isHeld = false;
    };
    session.putOff(new HeldSession(session, true, endHold));
    this.search.find(service, [sha], () => {
      if (isHeld) session.goOn();
    });
    return true;
  }

  /** To be waited for until this worker knows which of these, by their SHA1s in lower case, any worker knows; null: it does. */
  seek(service: number, shas: readonly string[]): Wait | null {
    const sought = shas.filter((sha) => this.known.find(service, sha) === null && this.search.mayFind(service, sha));
    if (sought.length === 0) return null;
    return (then) => this.search.find(service, sought, then);
  }

  /** Another worker asks for these. */
  show(scripts: readonly { service: number; sha: string }[]): { service: number; sha: string; source: string }[] {
    return scripts.flatMap(({ service, sha }) => {
      const script = this.known.find(service, sha);
      return script === null || !isTaken(script) ? [] : [{ service, sha, source: script.source }];
    });
  }

  /** Sends the command last read, which may call a script, to that node: arena bytes [start, end). */
  send(session: Session, spec: CommandSpec, node: number, start: number, end: number): void {
    const { counts, serviceOf } = this.context;
    const { identity, channels } = session.lane;
    const channel = channels[node] as LaneChannel;
    const service = serviceOf(session);
    const route = { session, service, node, channel, isWrite: spec.write, requestBytes: end - start };
    if (hasSource(spec)) {
      this.sendShown(route, start, end);
      return;
    }
    const call = this.callOf(session.service, spec);
    if (call === null) {
      // Whom the nodes know may not see what others call.
      const isOfProxy = spec.name.startsWith('fcall') && identity === null;
      this.forward(route, isOfProxy ? this.functions.owner(route) : session, start, end);
      return;
    }
    const { carrier } = channel;
    // Whom the nodes know may be allowed the one, and not the other.
    if (identity !== null || (carrier !== null && this.sent.get(carrier)?.has(call.script) === true)) {
      this.forward(route, new CallBySha(this, route, call, end - call.restStart), start, end);
      return;
    }
    counts.scriptsSentWhole++;
    this.whole(call, call.restStart, end, (from, to) => {
      if (from === to) session.reply(NO_ROOM);
      else this.sendWhole(route, call, from, to);
    });
  }

  /** Has `use` called with the frame of the command last read, arena bytes [start, end), or with one that calls the same script whole. */
  asWhole(
    { service, lane }: Session,
    spec: CommandSpec,
    start: number,
    end: number,
    use: (start: number, end: number) => void,
  ): void {
    if (hasSource(spec)) this.learn(service, 1);
    const call = lane.identity === null ? this.callOf(service, spec) : null;
    if (call === null) use(start, end);
    else this.whole(call, call.restStart, end, (from, to) => (from === to ? use(start, end) : use(from, to)));
  }

  /** The same of its words; the text is one for all who ask. */
  wholeWords({ service, lane }: Session, spec: CommandSpec, words: Uint8Array[]): Uint8Array[] {
    if (lane.identity !== null) return words;
    if (hasSource(spec)) this.learn(service, 1);
    const call = this.callOf(service, spec);
    if (call === null) return words;
    return [Buffer.from(call.name), this.sourceOf(call.script), ...words.slice(2)];
  }

  private sourceOf(script: KnownScript): Uint8Array {
    let source = this.sources.get(script);
    if (source === undefined) {
      source = Buffer.from(script.source, 'latin1');
      this.sources.set(script, source);
    }
    return source;
  }

  /** SCRIPT LOAD was read: what is to be done when the nodes have it. */
  loading(service: number): () => null {
    const learn = this.learning(service, this.text(2));
    return () => {
      learn();
      return null;
    };
  }

  /** EVAL was read: what is to be done with the reply that begins there, where it is to be remembered only then. */
  showing(service: number): (start: number) => void {
    const learn = this.learning(service, this.text(1));
    return (start) => {
      if (!this.isRefusal(start)) learn();
    };
  }

  private learning(service: number, source: string): () => void {
    return () => this.shown(service, source);
  }

  /**
   * Of this worker's client the nodes have carried out SCRIPT FLUSH. To be waited for until no worker knows any more what it flushed: they are told
   * twice, since what one has told of before it heard the first time another may hear behind that. What clients have shown in between is asked of the
   * nodes, as is any script that nobody knows.
   */
  flushed(service: number): Wait {
    const { ask } = this.context;
    const question = { kind: 'forget-scripts', service } as const;
    return (then) => ask(question, () => ask(question, () => then()));
  }

  /** Another worker was shown these. */
  hear(service: number, sources: readonly string[]): void {
    for (const source of sources) {
      const script = this.known.learn(service, source);
      if (script !== null) script.toldMs = this.context.now();
    }
  }

  /** Of some worker's client the nodes have carried out SCRIPT FLUSH. */
  forget(service: number): void {
    this.untold = this.untold.filter((script) => script.service !== service);
    this.known.forget(service);
    this.search.forget(service);
    // Nodes may be those of other services, too.
    this.sent = new WeakMap();
  }

  keeps(owner: CallBySha, pending: Pending, start: number, end: number): boolean {
    const { route, call } = owner;
    const { session } = route;
    if (!this.isNoScript(start)) {
      this.lost.tell(route);
      return false;
    }
    // The server has lost it.
    if (pending.connection !== null) this.sent.delete(pending.connection);
    if (session.isClosed) return false;
    // It was flushed meanwhile.
    if (this.known.find(call.script.service, call.script.sha) !== call.script) {
      this.lost.tell(route);
      return false;
    }
    return this.lost.add(owner, pending, start, end);
  }

  onShown(script: KnownScript, start: number): void {
    if (!this.isRefusal(start)) this.shown(script.service, script.source);
    else if (!isTaken(script)) this.known.drop(script);
  }

  onCallFailed({ route }: CallBySha): void {
    this.lost.tell(route);
  }

  /**
   * Sends a call again, whose frame is arena bytes [start, end), in its place in the session's queue: with the script, unless it goes where that was
   * sent just now.
   */
  private sendAgain({ route, call, restBytes }: CallBySha, pending: Pending, start: number, end: number): void {
    const { session, channel } = route;
    const { carrier } = channel;
    pending.owner = session;
    if (carrier !== null && this.sent.get(carrier)?.has(call.script) === true) {
      this.hand(route, pending, start, end);
      return;
    }
    this.whole(call, end - restBytes, end, (from, to) => {
      if (from === to) {
        session.onFailure(pending, NO_ROOM);
        return;
      }
      this.context.counts.scriptsSentWhole++;
      const by = this.hand(route, pending, from, to);
      if (by !== null) this.noteSent(by, call.script);
    });
  }

  /** Sends a command that has the script itself. */
  private sendShown(route: CallRoute, start: number, end: number): void {
    const { session } = route;
    const source = this.text(1);
    const script = this.known.learn(session.service, source);
    if (script === null || isTaken(script)) {
      const carrier = this.forward(route, session, start, end);
      if (script !== null && carrier !== null) this.noteSent(carrier, script);
      return;
    }
    const carrier = this.forward(route, new FirstShowing(this, session, script), start, end);
    if (carrier !== null) this.noteSent(carrier, script);
  }

  /** Remembers the script that the command last read has at that argument. */
  private learn(service: number, argument: number): void {
    this.shown(service, this.text(argument));
  }

  private shown(service: number, source: string): void {
    const script = this.known.learn(service, source);
    if (script !== null) this.tell(script);
  }

  private sendWhole(route: CallRoute, { script }: Call, start: number, end: number): void {
    const carrier = this.forward(route, route.session, start, end);
    if (carrier !== null) this.noteSent(carrier, script);
  }

  private forward(route: CallRoute, owner: ReplyOwner, start: number, end: number): Carrier | null {
    const { session, node, isWrite, requestBytes } = route;
    const pending = this.context.pendings.take(owner, this.context.now(), isWrite);
    session.track(pending, requestBytes);
    if (isWrite) session.noteWrite(node);
    return this.hand(route, pending, start, end);
  }

  /** By which connection it went; null while it waits for one. */
  private hand({ session, node, channel }: CallRoute, pending: Pending, start: number, end: number): Carrier | null {
    const refusal = channel.send(pending, start, end);
    if (refusal !== null) {
      session.onFailure(pending, refusal);
      return null;
    }
    this.busyScripts.note(channel, node, pending);
    return pending.connection;
  }

  /** Whether the reply that begins there says that the server lacks the script. */
  isNoScript(start: number): boolean {
    const { bytes } = this.context.arena;
    return bytes[start] === NOSCRIPT[0] && NOSCRIPT.equals(bytes.subarray(start, start + NOSCRIPT.length));
  }

  /** Whether the reply that begins there says that the server has not taken the script. */
  isRefusal(start: number): boolean {
    const { bytes } = this.context.arena;
    return REFUSALS.some((refusal) => refusal.equals(bytes.subarray(start, start + refusal.length)));
  }

  /** Has `use` called with a frame that has the script, and then arena bytes [restStart, end); with nothing where there is no room for it. */
  private whole(
    { name, script, argumentCount }: Call,
    restStart: number,
    end: number,
    use: (start: number, end: number) => void,
  ): void {
    const { arena } = this.context;
    const { source } = script;
    const words = `*${argumentCount}\r\n$${name.length}\r\n${name}\r\n$${source.length}\r\n${source}\r\n`;
    const head = Buffer.from(words, 'latin1');
    const bytes = head.length + end - restStart;
    const block = arena.allocate(bytes);
    if (block < 0) {
      use(0, 0);
      return;
    }
    arena.bytes.set(head, block);
    arena.bytes.copyWithin(block + head.length, restStart, end);
    use(block, block + bytes);
    arena.settle();
    arena.release(block, bytes);
  }

  /** Of the command last read; null: it calls no script by its SHA1, or none that is known. */
  private callOf(service: number, spec: CommandSpec): Call | null {
    const name = WHOLE[spec.name];
    if (name === undefined) return null;
    const script = this.known.find(service, this.text(1));
    if (script === null) return null;
    if (isTaken(script)) this.tell(script);
    const { argumentCount, argumentEnd } = this.context.reader;
    return { name, script, argumentCount, restStart: (argumentEnd[1] as number) + LINE_END_BYTES };
  }

  /** The other workers are to know what may be called by its SHA1: at once, or with others a moment later; before that they can ask for it. */
  tell(script: KnownScript): void {
    const { now, shown } = this.context;
    if (now() - script.toldMs < TELL_AGAIN_MS) return;
    if (!isTaken(script)) shown.add(script.sha);
    script.toldMs = now();
    if (this.untold.length >= UNTOLD_MAX) return;
    this.untold.push(script);
    if (this.tellTimer === null) this.tellUntold();
  }

  private tellUntold(): void {
    const { ask, now, transport } = this.context;
    const untold = this.untold.splice(0);
    for (const service of new Set(untold.map((script) => script.service))) {
      const sources = untold.filter((script) => script.service === service).map(({ source }) => source);
      ask({ kind: 'learn-scripts', service, sources }, () => {});
    }
    this.tellTimer = transport.timers.set(now() + TELL_MS, () => {
      this.tellTimer = null;
      if (this.untold.length > 0) this.tellUntold();
    });
  }

  private noteSent(carrier: Carrier, script: KnownScript): void {
    const scripts = this.sent.get(carrier);
    if (scripts === undefined) this.sent.set(carrier, new WeakSet([script]));
    else scripts.add(script);
  }

  private text(argument: number): string {
    const { arena, reader } = this.context;
    const start = reader.argumentStart[argument] as number;
    return Buffer.from(
      arena.bytes.buffer,
      arena.bytes.byteOffset + start,
      (reader.argumentEnd[argument] as number) - start,
    ).toString('latin1');
  }
}

export function hasSource({ name }: CommandSpec): boolean {
  return name === 'eval' || name === 'eval_ro';
}
