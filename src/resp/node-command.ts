/**
 * Commands that the table lacks, of modules and of later versions of Redis, as nodes describe them (COMMAND INFO): which keys they have,
 * and what the proxy may do with them. Nothing is known of what they do, so that what the description does not settle is refused.
 */
import type { Route } from './command-routes.js';
import { COMMAND_FLAG, type CommandSpec, type KeyBegin, type KeyFind, type KeySpec } from './command-spec.js';
import type { ReplyValue } from './reply-value.js';

/** What is behind the door by which the command came. */
export interface NodeCommandPlace {
  /** How many nodes. */
  nodes: number;
  /** Whether some keys are on several of them: replicated ones, or locks. */
  hasCopies: boolean;
}

/** Of all that nodes describe: it stands at no place of the table. */
export const NOT_IN_TABLE = -1;

/**
 * An element of the reply to COMMAND INFO, which is not null, in RESP2. `isKnownToAll`: and not only to the nodes of some pools.
 */
export function nodeCommand(
  described: readonly ReplyValue[],
  place: NodeCommandPlace,
  isKnownToAll: boolean,
): CommandSpec {
  const [name, arity, flagWords, first, last, step, categories = [], tips = [], specs = [], subcommands = []] =
    described as Description;
  const words = new Set(flagWords);
  const flags = flagWords.reduce((mask, word) => mask | (COMMAND_FLAG[word as keyof typeof COMMAND_FLAG] ?? 0), 0);
  const keySpecs = specs.map(keySpec);
  const keys = keysKind(words, keySpecs, first, last);
  const requestPolicy = tipOf(tips, 'request_policy');
  const responsePolicy = tipOf(tips, 'response_policy');
  const isAllKeys = first === 1 && last === -1;
  const facts: Facts = { words, categories, keys, isAllKeys, requestPolicy, responsePolicy };
  const { route, reason } = routeOf(facts, place, isKnownToAll);
  const inner = subcommands.map((sub) => nodeCommand(sub, place, isKnownToAll));
  const shown = name.toUpperCase().replace('|', ' ');
  return {
    index: NOT_IN_TABLE,
    name,
    arity: keys === 'single' || keys === 'range' ? arityWithKeys(arity, Math.max(first, last)) : arity,
    flags,
    write: !words.has('readonly'),
    readonly: words.has('readonly'),
    blocking: words.has('blocking'),
    firstKey: keys === 'single' ? first : 0,
    keys,
    askedKeys: [],
    rangeFirst: first,
    lastKey: last,
    keyStep: step,
    keySpecs,
    gathers: route === 'one' && words.has('readonly') && keys !== 'single',
    hasPatterns: false,
    route,
    reason: route === 'reject' ? `ERR ${shown} is not supported by this proxy: ${reason}` : '',
    remark: '',
    refusable: false,
    requestPolicy,
    responsePolicy,
    categories: categories.map((category) => category.replace(/^@/, '')),
    group: 'module',
    since: '',
    subcommands:
      inner.length === 0 ? null : new Map(inner.map((sub) => [(sub.name.split('|')[1] as string).toLowerCase(), sub])),
  };
}

/** What two nodes must say alike of a command that both are to carry out. */
export function routingFacts(described: readonly ReplyValue[]): string {
  const [name, arity, flagWords, first, last, step, , tips = [], specs = [], subcommands = []] =
    described as Description;
  const flags = flagWords.filter((word) => ROUTING_FLAGS.has(word)).sort();
  const inner = subcommands.map(routingFacts).sort();
  return JSON.stringify([name, arity, flags, first, last, step, [...tips].sort(), specs, inner]);
}

/** COMMAND's element in Redis 7.0; before there is nothing behind the categories. */
type Description = [
  name: string,
  arity: number,
  flags: readonly string[],
  first: number,
  last: number,
  step: number,
  categories?: readonly string[],
  tips?: readonly string[],
  specs?: readonly (readonly ReplyValue[])[],
  subcommands?: readonly (readonly ReplyValue[])[],
];

interface Facts {
  words: ReadonlySet<string>;
  categories: readonly string[];
  keys: CommandSpec['keys'];
  /** Whether keys, with what belongs to each, are all that stands behind its name: parts of it are made of nothing else. */
  isAllKeys: boolean;
  requestPolicy: string | null;
  responsePolicy: string | null;
}

const ROUTING_FLAGS: ReadonlySet<string> = new Set([
  ...['write', 'readonly', 'blocking', 'admin', 'pubsub', 'movablekeys', 'no_multi', 'no_mandatory_keys'],
]);

/** Those that replies can be merged by (proxy/response-policy.ts), null for Redis's own way. */
const MERGED: ReadonlySet<string | null> = new Set([
  ...[null, 'all_succeeded', 'one_succeeded', 'agg_sum', 'agg_min', 'agg_max', 'agg_logical_and', 'agg_logical_or'],
]);

const OF_CONNECTION = 'it may change the connection to the node, which clients share';
const ONE_NODE = 'it is about one node; connect to the node itself';
const WAITS = 'it may wait, and names no key by which its node is known';
const UNMERGED = 'its description does not say how several answers become one';
const OF_SOME = 'it names no keys, and nodes of another pool do not know it';
const KEYLESS = 'it names no keys, but the data of one node are not all; connect to the node itself';
const COPIED = 'it names no keys, and may change copies of keys past what nodes have agreed upon';

function routeOf(facts: Facts, place: NodeCommandPlace, isKnownToAll: boolean): { route: Route; reason: string } {
  const { words, categories, keys, isAllKeys, requestPolicy, responsePolicy } = facts;
  const reject = (reason: string) => ({ route: 'reject' as const, reason });
  const take = (route: Route) => ({ route, reason: '' });
  if (words.has('pubsub') || categories.includes('@connection')) return reject(OF_CONNECTION);
  const isForAll = requestPolicy === 'all_shards' || requestPolicy === 'all_nodes';
  if (words.has('admin') && !isForAll) return reject(ONE_NODE);
  if (keys !== 'none') {
    if (words.has('blocking')) return take('block');
    const isSplit = requestPolicy === 'multi_shard' && keys === 'range' && isAllKeys && MERGED.has(responsePolicy);
    return take(isSplit ? 'split' : 'one');
  }
  if (words.has('blocking')) return reject(WAITS);
  if (!isKnownToAll) return reject(OF_SOME);
  if (place.hasCopies && !words.has('readonly')) return reject(COPIED);
  if (requestPolicy !== null) return isForAll && MERGED.has(responsePolicy) ? take('all') : reject(UNMERGED);
  return isKeylessRefused(words, place) ? reject(KEYLESS) : take('any');
}

/** Why a command is refused of which a node says that these arguments name no keys; null: any node may have it. */
export function keylessRefusal({ name, flags }: CommandSpec, place: NodeCommandPlace): string | null {
  const words = new Set(['write', 'readonly'].filter((word) => (flags & COMMAND_FLAG[word as 'write']) !== 0));
  const reason = place.hasCopies && !words.has('readonly') ? COPIED : isKeylessRefused(words, place) ? KEYLESS : null;
  return reason && `ERR ${name.toUpperCase().replace('|', ' ')} is not supported by this proxy: ${reason}`;
}

/** What says that it reads or writes data, of which each node has its own. */
function isKeylessRefused(words: ReadonlySet<string>, { nodes }: NodeCommandPlace): boolean {
  return nodes > 1 && (words.has('readonly') || words.has('write'));
}

/**
 * Keys that a description does not settle are asked of a node each time: those that a module finds itself (getkeys-api), which show as
 * movable, and what the proxy cannot follow.
 */
function keysKind(
  words: ReadonlySet<string>,
  specs: readonly KeySpec[],
  first: number,
  last: number,
): CommandSpec['keys'] {
  const named = specs.filter(({ flags }) => !flags.includes('not_key'));
  if (words.has('movablekeys')) {
    const isFollowed = named.every(
      ({ begin, find, flags }) =>
        begin.kind === 'index' &&
        (find.kind === 'keynum' || (find.kind === 'range' && find.limit === 0)) &&
        !flags.includes('incomplete'),
    );
    const isWhyMovable = named.some(({ find }) => find.kind === 'keynum');
    return isFollowed && isWhyMovable && named.length === specs.length ? 'computed' : 'asked';
  }
  if (first === 0 || (specs.length > 0 && named.length === 0)) return 'none';
  return first === last ? 'single' : 'range';
}

/** Modules say of most commands that any number of arguments will do: they have at least as many as their keys need. */
function arityWithKeys(arity: number, last: number): number {
  return arity > 0 ? arity : Math.min(arity, -(last + 1));
}

function tipOf(tips: readonly string[], name: string): string | null {
  const tip = tips.find((tip) => tip.startsWith(`${name}:`));
  return tip === undefined ? null : tip.slice(name.length + 1);
}

function keySpec(value: readonly ReplyValue[]): KeySpec {
  const { flags, begin_search, find_keys } = fields(value);
  return { begin: keyBegin(fields(begin_search)), find: keyFind(fields(find_keys)), flags: flags as string[] };
}

function keyBegin({ type, spec }: Fields): KeyBegin {
  const { index, keyword, startfrom } = fields(spec);
  if (type === 'index') return { kind: 'index', index: Number(index) };
  if (type !== 'keyword') return { kind: 'unknown' };
  return {
    kind: 'keyword',
    keyword: Buffer.from(String(keyword).toLowerCase(), 'latin1'),
    startFrom: Number(startfrom),
  };
}

function keyFind({ type, spec }: Fields): KeyFind {
  const { lastkey, keystep, limit, keynumidx, firstkey } = fields(spec);
  if (type === 'range') return { kind: 'range', last: Number(lastkey), step: Number(keystep), limit: Number(limit) };
  if (type !== 'keynum') return { kind: 'unknown' };
  return { kind: 'keynum', numIndex: Number(keynumidx), first: Number(firstkey), step: Number(keystep) };
}

type Fields = Readonly<Record<string, ReplyValue>>;

/** RESP2 gives maps as flat lists. */
function fields(value: ReplyValue | undefined): Fields {
  const list = Array.isArray(value) ? (value as readonly ReplyValue[]) : [];
  const pairs: [string, ReplyValue][] = [];
  for (let at = 0; at + 1 < list.length; at += 2) pairs.push([String(list[at]), list[at + 1] as ReplyValue]);
  return Object.fromEntries(pairs);
}
