/**
 * Calls of functions that their node does not have. Where no other node has it either, the reply is Redis's own; else it says which node lacks it, as
 * one that was started again without its data, and what brings it back. The reply waits for what the nodes say, in its place in line.
 */
import type { Pending, ReplySource } from '../backend/pending.js';
import type { BackendPool } from '../backend/pool.js';
import type { NodeSnapshot } from '../messages.js';
import { encodeCommand, errorReply, isError } from '../resp/reply.js';
import { functionsIn } from './function-list.js';
import { type CallRoute, SessionReply } from './script-replies.js';
import { type SurveyContext, survey } from './survey.js';

export interface MissingFunctionsContext extends SurveyContext {
  pool: BackendPool;
}

const NOT_FOUND = Buffer.from('-ERR Function not found');
const LIST = encodeCommand(['FUNCTION', 'LIST']);
/** Of a frame: more than a function's name and what stands before it take. */
const HEAD_BYTES_MAX = 1_024;

/** A call of which the node has said that it lacks the function. */
class MissingCall implements ReplySource {
  readonly heldBytes = 0;
  readonly hasParts = false;
  readonly route: CallRoute;
  readonly pending: Pending;
  readonly name: string;
  /** What the node said. */
  readonly reply: Uint8Array;

  constructor(route: CallRoute, pending: Pending, name: string, reply: Uint8Array) {
    this.route = route;
    this.pending = pending;
    this.name = name;
    this.reply = reply;
  }

  /** Nobody waits for it any more: its session's queue has given it up. */
  abandon(): void {}

  writeReply(): void {
    throw new Error('a call that waits has no reply');
  }

  awaitsPart(): boolean {
    return false;
  }
}

/** Of one service. */
interface Asked {
  /** Those that wait for the nodes' answers to what is asked next. */
  waiting: MissingCall[];
  isAsking: boolean;
}

export class MissingFunctions {
  private readonly context: MissingFunctionsContext;
  private readonly asked = new Map<number, Asked>();

  constructor(context: MissingFunctionsContext) {
    this.context = context;
  }

  /** Who waits for the reply to a call that goes there. */
  owner(route: CallRoute): FunctionCall {
    return new FunctionCall(this, route);
  }

  /** Whether the reply to `pending`, arena bytes [start, end), says that the node lacks the function: then nobody is told of it for now. */
  keeps(route: CallRoute, pending: Pending, start: number, end: number): boolean {
    const { bytes } = this.context.arena;
    const { session, service } = route;
    if (bytes[start] !== NOT_FOUND[0] || !NOT_FOUND.equals(bytes.subarray(start, start + NOT_FOUND.length)))
      return false;
    if (session.isClosed || service === null || service.nodes.length === 1) return false;
    const name = this.calledIn(pending);
    const call = new MissingCall(route, pending, name, bytes.slice(start, end));
    pending.owner = session;
    pending.connection = null;
    pending.source = call;
    const asked = this.asked.get(service.number) ?? { waiting: [], isAsking: false };
    this.asked.set(service.number, asked);
    asked.waiting.push(call);
    this.ask(asked, service.nodes);
    return true;
  }

  /** The function that the frame of `pending` calls. */
  private calledIn({ frameStart, frameBytes }: Pending): string {
    const { bytes } = this.context.arena;
    const head = bytes.subarray(frameStart, frameStart + Math.min(frameBytes, HEAD_BYTES_MAX));
    // `*N`, `$5`, `FCALL`, `$4`, `name`.
    return Buffer.from(head).toString('latin1').split('\r\n', 5)[4] ?? '';
  }

  /** One question at a time: whoever comes meanwhile waits for the next one. */
  private ask(asked: Asked, nodes: readonly NodeSnapshot[]): void {
    if (asked.isAsking || asked.waiting.length === 0) return;
    const calls = asked.waiting;
    asked.waiting = [];
    asked.isAsking = true;
    const { channels } = this.context.pool.common;
    const ways = nodes.flatMap(({ index }) => channels[index] ?? []);
    survey(this.context, ways, LIST, (replies) => {
      asked.isAsking = false;
      const functions = replies.map(
        (reply) => new Set(isError(reply, 0) ? [] : functionsIn(reply).map(({ name }) => name)),
      );
      for (const call of calls) {
        const { route, pending, name, reply } = call;
        const having = nodes.filter((_, place) => functions[place]?.has(name) === true);
        const text = textFor(route, having);
        if (route.session.isClosed) continue;
        pending.source = null;
        route.session.answer(pending, text === null ? reply : errorReply(text));
      }
      this.ask(asked, asked.waiting[0]?.route.service?.nodes ?? []);
    });
  }
}

/** Stands before the session that calls a function. */
class FunctionCall extends SessionReply {
  private readonly functions: MissingFunctions;
  private readonly route: CallRoute;

  constructor(functions: MissingFunctions, route: CallRoute) {
    super(route.session);
    this.functions = functions;
    this.route = route;
  }

  override onReply(pending: Pending, start: number, end: number): void {
    if (!this.functions.keeps(this.route, pending, start, end)) super.onReply(pending, start, end);
  }
}

/** What is told where these nodes have the function; null: what the node said. */
function textFor({ service, node }: CallRoute, having: readonly NodeSnapshot[]): string | null {
  const [first] = having;
  const lacking = service?.nodes.find(({ index }) => index === node);
  // It has it by now, or nobody has.
  if (first === undefined || lacking === undefined || having.includes(lacking)) return null;
  const others = having.length === 1 ? '' : ` and ${having.length - 1} more`;
  return `ERR Function not found on node ${lacking.label}, which lacks its library: node ${first.label}${others} ${having.length === 1 ? 'has' : 'have'} it. FUNCTION LOAD REPLACE brings it to all nodes`;
}
