/**
 * Commands that the table lacks, of modules and of later versions of Redis: nodes are asked what they know of them, once, and the sessions
 * that sent them wait meanwhile.
 *
 *   name -> known: its row, or why it is refused          COMMAND INFO name …, of all nodes of the service
 *        -> not known yet: held -> asked, with others -> told -> goes on: the command is read again
 *   a row whose keys only a node can tell: held -> COMMAND GETKEYS of this command -> goes on
 *
 * What is known holds until nodes come or go, and for a minute at the most: modules can be loaded. That a name is none is remembered for a
 * second, and a worker has one question of at most 64 names under way for a service, and begins a hundred in a second at the most: nonsense
 * keeps no node busy.
 */
import type { BackendPool } from '../backend/pool.js';
import { errorBytes } from '../base/errors.js';
import type { Counts } from '../base/metrics.js';
import type { NodeSnapshot } from '../messages.js';
import { arityFits, type CommandSpec, unknownSubcommandText } from '../resp/commands.js';
import { keylessRefusal, type NodeCommandPlace, nodeCommand, routingFacts } from '../resp/node-command.js';
import { encodeCommand, errorReply, isError } from '../resp/reply.js';
import { type ReplyValue, readValue } from '../resp/reply-value.js';
import type { RequestReader } from '../resp/request.js';
import type { Transport } from '../transport/transport.js';
import { HeldSession } from './held-session.js';
import type { KeyLocator } from './key-locator.js';
import { requestWords } from './request-words.js';
import type { Service } from './service.js';
import type { Session } from './session.js';
import { type SurveyContext, survey } from './survey.js';

export interface NodeCommandsContext extends SurveyContext {
  reader: RequestReader;
  pool: BackendPool;
  locator: KeyLocator;
  transport: Pick<Transport, 'now' | 'timers'>;
  /** The service of that number as it is now, or null. */
  serviceAt: (number: number) => Service | null;
  counts: Counts;
}

/** What nodes said of a name: a row, the error why it is refused, or null: none knows it. */
interface Known {
  outcome: CommandSpec | Uint8Array | null;
  /** The nodes that know it. */
  nodes: readonly NodeSnapshot[];
  untilMs: number;
}

const NONE: ReadonlySet<string> = new Set();

/** Of one service. */
class Knowledge {
  /** By name, the oldest first. */
  readonly known = new Map<string, Known>();
  /** Names to be asked for. */
  readonly wanted = new Set<string>();
  /** Those that nodes are being asked for. */
  asked = NONE;
  /** The next question is begun no sooner, and whether a timer is set for it. */
  notBeforeMs = 0;
  isDue = false;
  readonly held = new Set<HeldSession>();
}

const NAMES_KNOWN_MAX = 1_024;
const NAMES_WANTED_MAX = 1_024;
const NAMES_PER_QUESTION = 64;
const QUESTION_INTERVAL_MS = 10;
const KNOWN_MS = 60_000;
/** Of a name that no node knows, and of what not all nodes have answered. */
const DOUBTFUL_MS = 1_000;
/** Of an answer that nobody gave. */
const FAILED_MS = 100;
/** What may be the name of a command. By `config|get` COMMAND INFO knows a subcommand, which nobody can call so. */
const NAME = /^[!-{}~]{2,128}$/;
const TOO_MANY = errorBytes(
  'OVERLOADED',
  `nodes are being asked for ${NAMES_WANTED_MAX} commands that the proxy does not know; this one had no effect`,
);

/** Redis's words for arguments that have no keys where they should. */
const INVALID = errorReply('ERR Invalid arguments specified for command');

export class NodeCommands {
  private readonly context: NodeCommandsContext;
  /** By the number of the service. */
  private knowledge = new Map<number, Knowledge>();
  /** What a node said of the keys of the command that a session is about to send again. */
  private readonly keysTold = new WeakMap<Session, Uint8Array>();
  /** What was asked before it grew may not hold any more. */
  private epoch = 0;

  constructor(context: NodeCommandsContext) {
    this.context = context;
  }

  /** Nodes have come or gone. */
  forget(): void {
    this.epoch++;
    for (const { known } of this.knowledge.values()) known.clear();
  }

  /**
   * The row for the command last read, which is not in the table; the error why it is not carried out; null where no node knows it.
   * `later`: it is to be put off; nodes are being asked, or what was read before must have been answered first.
   */
  find(session: Session, service: Service): CommandSpec | Uint8Array | 'later' | null {
    const found = this.look(session, service);
    // What comes next is another command.
    if (found !== 'later') this.keysTold.delete(session);
    return found;
  }

  private look(session: Session, service: Service): CommandSpec | Uint8Array | 'later' | null {
    const { reader, locator, now, counts } = this.context;
    const name = this.text(0).toLowerCase();
    if (!NAME.test(name)) return null;
    const of = this.of(service);
    let known = of.known.get(name);
    if ((known === undefined || known.untilMs <= now()) && !of.asked.has(name)) {
      if (of.wanted.size >= NAMES_WANTED_MAX) {
        counts.commandsOverloaded++;
        return TOO_MANY;
      }
      of.known.delete(name);
      of.wanted.add(name);
      this.ask(service.number, of);
      known = of.known.get(name);
    }
    if (known === undefined) {
      if (session.isIdle) this.hold(session, of.held);
      return 'later';
    }
    const spec = this.rowOf(known.outcome);
    if (spec === null || spec instanceof Uint8Array) return spec;
    if (spec.route === 'reject' || !arityFits(spec, reader.argumentCount)) return spec;
    // Who knows whether its module would carry it out all the same.
    if ((spec.keys === 'range' || spec.keys === 'computed') && locator.locate(service, spec) < 0) return INVALID;
    if (spec.keys !== 'asked') return spec;
    return this.withKeys(session, service, spec, known.nodes);
  }

  /** The row for the command last read, if nodes have told of it; else null. Asks nobody. */
  told(service: Service): CommandSpec | null {
    const known = this.of(service).known.get(this.text(0).toLowerCase());
    const spec = known === undefined || known.untilMs <= this.context.now() ? null : this.rowOf(known.outcome);
    return spec instanceof Uint8Array ? null : spec;
  }

  /** That of the subcommand last read, where `outcome` has some. */
  private rowOf(outcome: Known['outcome']): Known['outcome'] {
    const { reader, arena } = this.context;
    if (outcome === null || outcome instanceof Uint8Array) return outcome;
    if (outcome.subcommands === null || reader.argumentCount === 1) return outcome;
    const [start, end] = [reader.argumentStart[1] as number, reader.argumentEnd[1] as number];
    const inner = outcome.subcommands.get(this.text(1).toLowerCase());
    return inner ?? errorReply(unknownSubcommandText(outcome, arena.bytes, start, end));
  }

  /** `spec` with the keys that the command last read has, when a node has said which. */
  private withKeys(
    session: Session,
    service: Service,
    spec: CommandSpec,
    nodes: readonly NodeSnapshot[],
  ): CommandSpec | Uint8Array | 'later' {
    const { reader, arena, pool } = this.context;
    const told = this.keysTold.get(session);
    const words = requestWords(reader, arena.bytes);
    if (told !== undefined) {
      if (isError(told, 0)) return told;
      const positions = positionsOf(readValue(told), words);
      if (positions === null)
        return errorReply(`ERR a node says that ${spec.name} has keys which are none of its words`);
      const refusal = positions.length === 0 ? keylessRefusal(spec, placeOf(service)) : null;
      return refusal === null ? { ...spec, askedKeys: positions } : errorReply(refusal);
    }
    if (!session.isIdle) return 'later';
    const held = new Set<HeldSession>();
    const { channels } = pool.common;
    const node = nodes.find(({ index }) => channels[index]?.isReady) ?? (nodes[0] as NodeSnapshot);
    const frame = encodeCommand(['COMMAND', 'GETKEYS', ...words]);
    survey(this.context, this.waysTo([node]), frame, ([reply]) => {
      this.keysTold.set(session, reply as Uint8Array);
      goOn(held);
    });
    const refusal = this.keysTold.get(session);
    // It was not even sent.
    if (refusal !== undefined) return refusal;
    this.hold(session, held);
    return 'later';
  }

  private hold(session: Session, held: Set<HeldSession>): void {
    const one = new HeldSession(session, true, () => held.delete(one));
    held.add(one);
    session.putOff(one);
  }

  /** Asks all nodes for what is wanted: not before those that are being asked have answered, and not too often. */
  private ask(number: number, of: Knowledge): void {
    const { transport, serviceAt } = this.context;
    const service = serviceAt(number);
    const names = [...of.wanted].slice(0, NAMES_PER_QUESTION);
    // A service that has gone has no clients any more.
    if (service === null || of.asked.size > 0 || of.isDue || names.length === 0) return;
    if (transport.now < of.notBeforeMs) {
      of.isDue = true;
      transport.timers.set(of.notBeforeMs, () => {
        of.isDue = false;
        this.ask(number, of);
      });
      return;
    }
    of.notBeforeMs = transport.now + QUESTION_INTERVAL_MS;
    of.asked = new Set(names);
    for (const name of names) of.wanted.delete(name);
    const { epoch } = this;
    survey(this.context, this.waysTo(service.nodes), encodeCommand(['COMMAND', 'INFO', ...names]), (replies) => {
      of.asked = NONE;
      if (epoch === this.epoch) this.learn(service, of, names, replies);
      goOn(of.held);
      this.ask(number, of);
    });
  }

  /** `replies`: of the nodes of the service, to COMMAND INFO of these names. */
  private learn(service: Service, of: Knowledge, names: readonly string[], replies: readonly Uint8Array[]): void {
    const nowMs = this.context.now();
    const told = replies.map((reply) => (isError(reply, 0) ? null : readValue(reply)));
    for (const [at, name] of names.entries()) {
      const heard: Heard[] = service.nodes.flatMap((node, place) => {
        const list = told[place] as readonly (readonly ReplyValue[] | null)[] | null;
        return list === null ? [] : [{ node, described: list[at] ?? null }];
      });
      const isWhole = heard.length === service.nodes.length;
      const outcome = heard.length === 0 ? (replies[0] as Uint8Array) : judge(name, heard, placeOf(service));
      const isFound = outcome !== null && !(outcome instanceof Uint8Array);
      const lastsMs = heard.length === 0 ? FAILED_MS : isFound && isWhole ? KNOWN_MS : DOUBTFUL_MS;
      const nodes = heard.flatMap(({ node, described }) => (described === null ? [] : [node]));
      of.known.set(name, { outcome, nodes, untilMs: nowMs + lastsMs });
    }
    for (const name of of.known.keys()) {
      if (of.known.size <= NAMES_KNOWN_MAX) break;
      of.known.delete(name);
    }
  }

  private waysTo(nodes: readonly NodeSnapshot[]) {
    const { channels } = this.context.pool.common;
    return nodes.flatMap(({ index }) => channels[index] ?? []);
  }

  private of({ number }: Service): Knowledge {
    let found = this.knowledge.get(number);
    if (found === undefined) {
      found = new Knowledge();
      this.knowledge.set(number, found);
    }
    return found;
  }

  private text(argument: number): string {
    const { reader, arena } = this.context;
    const bytes = arena.bytes.subarray(reader.argumentStart[argument], reader.argumentEnd[argument]);
    return Buffer.from(bytes).toString('latin1');
  }
}

/** What a node answered: null where it does not know the name. */
interface Heard {
  node: NodeSnapshot;
  described: readonly ReplyValue[] | null;
}

/** What becomes of the name by what nodes say, of which at least one did. Nodes of one pool must say the same. */
function judge(name: string, heard: readonly Heard[], place: NodeCommandPlace): CommandSpec | Uint8Array | null {
  const known = heard.filter(({ described }) => described !== null);
  const [first] = known;
  if (first === undefined || first.described === null) return null;
  const shown = name.toUpperCase();
  const pools = new Set(known.map(({ node }) => node.pool));
  const lacking = heard.find(({ node, described }) => described === null && pools.has(node.pool));
  if (lacking !== undefined) {
    const others = `other nodes of pool ${lacking.node.pool}, such as ${first.node.label}, do`;
    return errorReply(
      `ERR node ${lacking.node.label} does not know ${shown}; ${others}: have all load the same modules`,
    );
  }
  const facts = routingFacts(first.described);
  const other = known.find(({ described }) => described !== null && routingFacts(described) !== facts);
  if (other !== undefined) {
    const both = `nodes ${first.node.label} and ${other.node.label}`;
    return errorReply(`ERR ${both} describe ${shown} differently: have all load the same version of its module`);
  }
  return nodeCommand(first.described, place, known.length === heard.length);
}

function placeOf({ nodes, hasCopies }: Service): NodeCommandPlace {
  return { nodes: nodes.length, hasCopies };
}

/** Which of `words`, of which the first is no key, are these keys; null where one of them is none. */
function positionsOf(keys: ReplyValue, words: readonly Uint8Array[]): number[] | null {
  const places = new Map<string, number>();
  for (let at = words.length - 1; at > 0; at--) places.set(Buffer.from(words[at] as Uint8Array).toString('latin1'), at);
  const positions = (keys as readonly string[]).map((key) => places.get(key) ?? -1);
  return positions.includes(-1) ? null : positions;
}

function goOn(held: ReadonlySet<HeldSession>): void {
  for (const { session } of [...held]) session.goOn();
}
