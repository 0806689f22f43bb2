/**
 * How a command that concerns all shards is carried out: what goes to each node of the service, and how the replies become one; or why it is
 * refused. On its own (all-shards.ts) and as part of a transaction (transactions.ts) it is the same.
 */
import type { BackendPool } from '../backend/pool.js';
import { showNode } from '../backend/refusals.js';
import type { CommandTimes } from '../base/command-times.js';
import { errorBytes } from '../base/errors.js';
import { DURABLE } from '../replica/admission.js';
import { COMMAND_FLAG } from '../resp/command-spec.js';
import type { CommandSpec } from '../resp/commands.js';
import { DEBUG_SETTINGS, isDebugRow } from '../resp/debug-rows.js';
import { parseInt64 } from '../resp/int64.js';
import { errorReply } from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';
import type { Arena } from '../transport/arena.js';
import { AfterSuccessPolicy } from './after-success-policy.js';
import { ASK_KEYSPACE, DIGEST } from './debug-digest.js';
import { asksForOurs, InfoPolicy, type ProxyFacts } from './introspection.js';
import { ASK_LATEST } from './latency-policies.js';
import { MajorityPolicy } from './majority-policy.js';
import { OwnKeysPolicy } from './own-keys.js';
import { DBSIZE, RandomKeyPolicy } from './random-key.js';
import { requestWords } from './request-words.js';
import { type ResponsePolicy, responsePolicy } from './response-policy.js';
import type { ScriptCalls } from './script-calls.js';
import { ScriptsExistPolicy } from './scripts-exist-policy.js';
import { serverPolicy } from './server-policies.js';
import type { Service } from './service.js';
import type { Session } from './session.js';

/** Every node gets the same frame. */
export interface ShardPlan {
  readonly policy: ResponsePolicy;
  /** What goes before it in the same piece: then there are two parts of each node, in that order. */
  readonly before: Uint8Array | null;
  /** It is not sent twice, and may be half done. */
  readonly isWrite: boolean;
  /** What a node does while a script runs cannot wait for the script to end. */
  readonly isUrgent: boolean;
}

export interface ShardPlansContext {
  arena: Arena;
  reader: RequestReader;
  pool: BackendPool;
  /** A number in [0, 1). */
  random: () => number;
  facts: (service: Service) => ProxyFacts;
  /** Of what the proxy answers itself. */
  times: CommandTimes;
}

/** What is of all keys of a pool, or of all who use them, also of those of other services: what it would do. */
const OF_ALL_SERVICES: ReadonlyMap<string, string> = new Map([
  ['dbsize', 'count keys'],
  ['randomkey', 'draw keys'],
  ['flushall', 'delete keys'],
  ['flushdb', 'delete keys'],
  ['swapdb', 'swap keys'],
  ['slowlog|get', 'show commands'],
  ['debug|digest', 'sum up keys'],
]);

/** What changes something at nodes, though it is no write by Redis's flags: it is not sent twice, and may be half done. */
const CHANGES: ReadonlySet<string> = new Set([
  ...['config|set', 'config|rewrite', 'config|resetstat', 'slowlog|reset', 'latency|reset', 'memory|purge'],
  ...['save', 'bgsave', 'bgrewriteaof'],
]);
/** What all nodes are to have alike: what is told where one of them is known to be away. */
const ALIKE_ON_ALL: ReadonlyMap<string, string> = new Map([
  ['config|set', 'no node has changed a setting'],
  ['function|load', 'no node has loaded the library'],
  ['function|restore', 'no node has restored libraries'],
  ['function|delete', 'no node has deleted the library'],
  ['function|flush', 'no node has deleted libraries'],
]);
/** What nodes of replicated keys must have set as it is. */
const HELD_SETTINGS: ReadonlySet<string> = new Set(['maxmemory-policy', ...DURABLE.map(([setting]) => setting)]);
const OF_KEYS: ReadonlySet<string> = new Set([
  ...['keys', 'scan', 'dbsize', 'randomkey'],
  ...['cluster|countkeysinslot', 'cluster|getkeysinslot'],
]);
const OUT_OF_RANGE = errorReply('ERR DB index is out of range');

export class ShardPlans {
  private readonly context: ShardPlansContext;
  private readonly scripts: ScriptCalls;
  private readonly randomKey: RandomKeyPolicy;

  constructor(context: ShardPlansContext, scripts: ScriptCalls) {
    this.context = context;
    this.scripts = scripts;
    this.randomKey = new RandomKeyPolicy(context.random);
  }

  /** Why the command last read is refused, or null. */
  refusal(session: Session, service: Service, spec: CommandSpec): Uint8Array | null {
    const { shared } = service;
    const effect = OF_ALL_SERVICES.get(spec.name);
    if (shared !== null && effect !== undefined) {
      const why = `it would ${effect} of service ${shared.service} too, which shares pool ${shared.pool} with this one`;
      return errorReply(`ERR ${shownName(spec)} is refused: ${why}`);
    }
    const ofCopied = service.hasCopies ? this.refusalOfCopied(session, service, spec) : null;
    if (ofCopied !== null) return errorReply(ofCopied);
    if (spec.name === 'debug|digest' && service.hasOwnKeys)
      return errorReply('ERR DEBUG DIGEST is refused: the proxy keeps keys of its own on the nodes of this service');
    if (spec.name === 'swapdb') return this.refusalOfSwap(service);
    const untouched = ALIKE_ON_ALL.get(spec.name);
    return untouched === undefined ? null : this.refusalOfHalf(service, untouched);
  }

  /** The plan for the command last read, which is not refused. */
  plan(session: Session, service: Service, spec: CommandSpec): ShardPlan {
    return {
      policy: this.policy(session, service, spec),
      before: BEFORE.get(spec.name) ?? null,
      isWrite: changesNodes(spec),
      isUrgent: (spec.flags & COMMAND_FLAG.allow_busy) !== 0,
    };
  }

  private policy(session: Session, service: Service, spec: CommandSpec): ResponsePolicy {
    switch (spec.name) {
      case 'info': {
        const sections = this.words.slice(1);
        return new InfoPolicy(() => this.context.facts(service), asksForOurs(sections) !== 'no');
      }
      case 'randomkey':
        return this.randomKey;
      case 'keys':
        return service.hidesKeys ? new OwnKeysPolicy(service) : responsePolicy(spec.responsePolicy, false);
      case 'config|resetstat':
        return new AfterSuccessPolicy(this.serverPolicy(session, spec), () => {
          this.context.times.reset();
          return null;
        });
      case 'script|flush':
        return new AfterSuccessPolicy(this.serverPolicy(session, spec), () => this.scripts.flushed(service.number));
      case 'script|load':
        return new AfterSuccessPolicy(this.scriptPolicy(service, spec), this.scripts.loading(service.number));
      case 'script|exists':
        return this.scriptPolicy(service, spec);
      case 'debug|digest':
        return DIGEST;
      default:
        return this.serverPolicy(session, spec);
    }
  }

  private refusalOfCopied(session: Session, { isReplicated }: Service, spec: CommandSpec): string | null {
    const { name } = spec;
    const copied = isReplicated ? 'replicated keys' : 'locks';
    if (name === 'flushall' || name === 'flushdb') {
      const what = isReplicated ? 'replicated' : 'locks';
      const why = `some keys of this service are ${what}, and a node that is emptied has to be repaired`;
      return `ERR ${name.toUpperCase()} is refused: ${why}; delete keys by their names`;
    }
    if (isDebugRow(spec))
      return `ERR ${shownName(spec)} is refused: some keys of this service are ${isReplicated ? 'replicated' : 'locks'}, whose nodes do not allow DEBUG`;
    if (name === 'config|set') {
      const { words } = this;
      for (let index = 2; index < words.length; index += 2) {
        const setting = (words[index] as string).toLowerCase();
        if (!HELD_SETTINGS.has(setting)) continue;
        return `ERR CONFIG SET ${setting} is refused: the ${copied} of this service depend on it; connect to the node itself`;
      }
    }
    if (isReplicated && session.database !== 0 && OF_KEYS.has(name))
      return 'ERR replicated keys are in database 0 only';
    return null;
  }

  /** What all nodes are to have alike is not begun where it is known that one would not get it, and why. */
  private refusalOfHalf({ nodes }: Service, untouched: string): Uint8Array | null {
    for (const node of nodes) {
      const trouble = this.context.pool.commonOf(node)?.trouble ?? null;
      if (trouble !== null) return errorBytes('NODEDOWN', `${showNode(node)}: ${trouble}; ${untouched}`);
    }
    return null;
  }

  /**
   * Nodes swap one after the other, and what some of them have done is not taken back. So it is not begun where it is known that one
   * would not do it.
   */
  private refusalOfSwap({ nodes, hasOwnKeys, hasStoreLocks }: Service): Uint8Array | null {
    const { pool } = this.context;
    if (hasOwnKeys || hasStoreLocks) {
      const why = 'some keys of this service, or what the proxy keeps beside them, are to stay in database 0';
      return errorReply(`ERR SWAPDB is refused: ${why}`);
    }
    const away = nodes.find((node) => pool.commonOf(node)?.isReady !== true);
    if (away !== undefined) {
      const why = pool.commonOf(away)?.trouble ?? 'it is not connected yet';
      return errorBytes('NODEDOWN', `${showNode(away)}: ${why}; no node has swapped its databases`);
    }
    // What is no number, or beyond all of them, they refuse alike.
    const { words } = this;
    const [one, other] = [parseInt64(words[1] as string), parseInt64(words[2] as string)];
    const databases = pool.databases(nodes);
    const isBeyond = (database: bigint | null) => database !== null && database >= BigInt(databases);
    return one !== null && other !== null && (isBeyond(one) || isBeyond(other)) ? OUT_OF_RANGE : null;
  }

  private serverPolicy({ protocol }: Session, spec: CommandSpec): ResponsePolicy {
    const special = serverPolicy(spec.name, this.words, protocol, this.context.times);
    return special ?? responsePolicy(spec.responsePolicy, false);
  }

  private scriptPolicy(service: Service, { name, responsePolicy: tip }: CommandSpec): ResponsePolicy {
    const { nodes, hasLocks, lockSetsOfNodes } = service;
    if (hasLocks) return new MajorityPolicy(tip, nodes, lockSetsOfNodes);
    if (name !== 'script|exists') return responsePolicy(tip, false);
    const asked = this.words.slice(2).map((sha) => sha.toLowerCase());
    const { number } = service;
    return new ScriptsExistPolicy(
      asked,
      () => this.scripts.seek(number, asked),
      (sha) => this.scripts.known.find(number, sha) !== null,
    );
  }

  /** Those of the command last read, one character a byte. */
  private get words(): readonly string[] {
    const { reader, arena } = this.context;
    return requestWords(reader, arena.bytes).map((word) => Buffer.from(word).toString('latin1'));
  }
}

const BEFORE: ReadonlyMap<string, Uint8Array> = new Map([
  ['randomkey', DBSIZE],
  ['latency|reset', ASK_LATEST],
  ['debug|digest', ASK_KEYSPACE],
]);

/** Whether it changes something at the nodes that it goes to. */
export function changesNodes({ name, write }: CommandSpec): boolean {
  return write || CHANGES.has(name) || DEBUG_SETTINGS.has(name);
}

function shownName({ name }: CommandSpec): string {
  return name.toUpperCase().replace('|', ' ');
}
