/**
 * The configuration: its shape, its defaults, and what is wrong with a file, all of it at once and each with its line.
 * A file becomes a `Config`, which is complete and frozen, or a list of problems. No message repeats a password.
 */
import { z } from 'zod';
import { LISTEN_FORMS, NODE_FORMS, type NodeAddress, parseListenAddress, parseNodeAddress } from './base/address.js';
import { type Endpoint, formatEndpoint } from './base/endpoint.js';
import { DEFAULT_LIMITS, type Limits } from './base/limits.js';
import type { LogLevel } from './base/log-event.js';
import {
  bytes,
  describeIssue,
  formatPath,
  meant,
  milliseconds,
  oneOf,
  show,
  text,
  wholeNumber,
} from './base/schema.js';
import { type Path, type Problem, YamlSource } from './base/yaml-source.js';

export interface NodeConfig extends NodeAddress {
  /** What the ring hashes and what errors and logs show; `host:port` unless given. Unique in its pool. */
  name: string;
  /** Its share of the slots, relative to the other nodes'. A whole number, at least 1. */
  weight: number;
}

export interface PoolConfig {
  name: string;
  nodes: readonly NodeConfig[];
}

export interface KeyspaceConfig {
  prefix: string;
  pool: string;
  mode: 'sharded';
}

export interface Config {
  listen: readonly Endpoint[];
  /** Where the admin server listens, null for nowhere. */
  admin: Endpoint | null;
  /** Data-plane threads. */
  workers: number;
  transport: 'auto' | 'epoll' | 'node';
  pools: readonly PoolConfig[];
  keyspaces: readonly KeyspaceConfig[];
  limits: Limits;
  log: { level: LogLevel; format: 'auto' | 'json' | 'pretty' };
  /** Milliseconds that a stopping proxy waits for commands in flight. */
  drainTimeoutMs: number;
}

/** What depends on the machine rather than on the file. */
export interface ConfigDefaults {
  workers: number;
}

/** Parses the text of a configuration file. `problems` are sorted by line, and there is at least one. */
export function parseConfig(text: string, defaults: ConfigDefaults): { config: Config } | { problems: Problem[] } {
  const source = new YamlSource(text);
  if (source.problems.length > 0) return { problems: [...source.problems] };
  const root = source.value ?? {};
  const result = FILE.safeParse(root);
  const problems = [
    ...(result.error?.issues.flatMap((issue) => describeIssue(source, FILE, issue)) ?? []),
    ...crossCheck(source, sections(root)),
  ];
  if (problems.length > 0 || !result.success) return { problems: problems.sort(byPlace) };
  return { config: deepFreeze(complete(result.data, defaults)) };
}

/** `FILE:LINE:COLUMN: TEXT`, as compilers write it, so that editors find the place. */
export function formatProblem(fileName: string, problem: Problem): string {
  return `${fileName}:${problem.line}:${problem.column}: ${problem.text}`;
}

const LISTEN_DEFAULT = '127.0.0.1:6380';
const DRAIN_TIMEOUT_MS = 10_000;
const WORKERS_MAX = 128;
const WEIGHT_MAX = 100;
const DAY_MS = 86_400_000;

const MEBI = 2 ** 20;
const GIBI = 2 ** 30;
const COUNT_MAX = 100_000_000;

/** How each limit is written, and between which bounds it makes sense. */
const LIMITS = {
  clientsMax: wholeNumber(1, COUNT_MAX),
  // Redis takes no less either.
  bulkBytesMax: bytes(MEBI, GIBI),
  inlineBytesMax: bytes(64, MEBI),
  sessionCommandsMax: wholeNumber(1, COUNT_MAX),
  sessionRequestBytesMax: bytes(1, GIBI),
  sessionOutputSoftBytes: bytes(1, GIBI),
  sessionOutputHardBytes: bytes(1, 2 * GIBI),
  requestDeadlineMs: milliseconds(0, DAY_MS),
  idleTimeoutMs: milliseconds(0, 365 * DAY_MS),
  nodeQueueBytesMax: bytes(1, 2 * GIBI),
  nodeQueueCommandsMax: wholeNumber(1, COUNT_MAX),
  connectTimeoutMs: milliseconds(1, DAY_MS),
  queueTimeoutMs: milliseconds(1, DAY_MS),
  requestTimeoutMs: milliseconds(1, DAY_MS),
  stallTimeoutMs: milliseconds(1, DAY_MS),
  idlePingMs: milliseconds(1, DAY_MS),
  reconnectMinMs: milliseconds(1, DAY_MS),
  reconnectMaxMs: milliseconds(1, DAY_MS),
  largeValueBytes: bytes(1, GIBI),
  workerMemoryMax: bytes(16 * MEBI, 2 * GIBI),
} satisfies Record<keyof Limits, z.ZodType<number>>;

const NODE = z.preprocess(
  (input) => (typeof input === 'string' ? { url: input } : input),
  z.strictObject({
    name: text('a name of 1 to 128 letters, digits and . _ : / [ ] -', (name) => {
      return /^[\w.:/[\]-]{1,128}$/.test(name) ? name : null;
    }).optional(),
    url: text(NODE_FORMS, parseNodeAddress),
    weight: wholeNumber(1, WEIGHT_MAX).default(1),
  }),
);

const POOL_NAME = z.string().regex(/^[\w.-]{1,64}$/, 'a name of 1 to 64 letters, digits and . _ -');
const POOLS = z.record(POOL_NAME, z.strictObject({ nodes: z.array(NODE) }));
const LISTEN = z.preprocess(
  (input) => (Array.isArray(input) ? input : [input]),
  z.array(text(LISTEN_FORMS, parseListenAddress)),
);
const KEYSPACES = z.array(
  z.strictObject({
    prefix: text('"", the prefix of all keys (other prefixes are not supported yet)', (prefix) => {
      return prefix === '' ? prefix : null;
    }),
    pool: text('the name of a pool', (name) => name),
    mode: oneOf('sharded').default('sharded'),
  }),
);
const PARTIAL_LIMITS = z.strictObject(LIMITS).partial();

const FILE = z.strictObject({
  listen: LISTEN.default(() => LISTEN.parse(LISTEN_DEFAULT)),
  admin: text(LISTEN_FORMS, parseListenAddress).optional(),
  workers: wholeNumber(1, WORKERS_MAX).optional(),
  transport: oneOf('auto', 'epoll', 'node').default('auto'),
  pools: POOLS,
  keyspaces: KEYSPACES.optional(),
  limits: PARTIAL_LIMITS.optional(),
  log: z
    .strictObject({
      level: oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal').default('info'),
      format: oneOf('auto', 'json', 'pretty').default('auto'),
    })
    .optional(),
  drainTimeout: milliseconds(0, DAY_MS).default(DRAIN_TIMEOUT_MS),
});

type File = z.infer<typeof FILE>;

function complete(file: File, defaults: ConfigDefaults): Config {
  const pools = Object.entries(file.pools).map(([name, { nodes }]) => ({ name, nodes: nodes.map(completeNode) }));
  return {
    listen: file.listen,
    admin: file.admin ?? null,
    workers: file.workers ?? defaults.workers,
    transport: file.transport,
    pools,
    keyspaces: file.keyspaces ?? pools.map(({ name }) => ({ prefix: '', pool: name, mode: 'sharded' })),
    limits: completeLimits(file.limits),
    log: file.log ?? { level: 'info', format: 'auto' },
    drainTimeoutMs: file.drainTimeout,
  };
}

function completeNode({ name, url, weight }: z.infer<typeof NODE>): NodeConfig {
  return { name: name ?? formatEndpoint(url.address), weight, ...url };
}

function completeLimits(limits: File['limits']): Limits {
  const given = Object.entries(limits ?? {}).filter(([, limit]) => limit !== undefined);
  return { ...DEFAULT_LIMITS, ...Object.fromEntries(given) };
}

/** The sections between which something can be wrong, each where it is right in itself. */
interface Sections {
  listen: readonly Endpoint[] | undefined;
  pools: File['pools'] | undefined;
  keyspaces: File['keyspaces'];
  limits: File['limits'];
}

function sections(root: unknown): Sections {
  const raw = typeof root === 'object' && root !== null ? (root as Record<string, unknown>) : {};
  return {
    listen: LISTEN.safeParse(raw['listen']).data,
    pools: POOLS.safeParse(raw['pools']).data,
    keyspaces: KEYSPACES.safeParse(raw['keyspaces']).data,
    limits: PARTIAL_LIMITS.safeParse(raw['limits']).data,
  };
}

type Complain = (path: Path, text: string) => void;

/** What no single value shows: names that lead nowhere, things given twice, bounds in the wrong order. */
function crossCheck(source: YamlSource, { listen, pools, keyspaces, limits }: Sections): Problem[] {
  const problems: Problem[] = [];
  const complain: Complain = (path, text) => problems.push(source.problem(path, `${formatPath(path)}${text}`));
  if (listen !== undefined) checkListen(listen, complain);
  if (pools !== undefined) {
    if (Object.keys(pools).length === 0) complain(['pools'], ': expected at least one pool, found none');
    for (const [name, pool] of Object.entries(pools)) checkPool(name, pool.nodes.map(completeNode), complain);
    const isGiven = source.valueAt(['keyspaces']) !== undefined;
    if (keyspaces !== undefined || !isGiven) checkKeyspaces(keyspaces, Object.keys(pools), complain);
  }
  checkLimits(completeLimits(limits), complain);
  return problems;
}

function checkListen(listen: readonly Endpoint[], complain: Complain): void {
  if (listen.length === 0) complain(['listen'], ': expected at least one address, found none');
  for (const [index, address] of duplicates(listen.map(formatEndpoint))) {
    complain(['listen', index], `: ${address} is listed twice`);
  }
}

function checkPool(pool: string, nodes: readonly NodeConfig[], complain: Complain): void {
  if (nodes.length === 0) complain(['pools', pool, 'nodes'], ': expected at least one node, found none');
  const sameName = new Map(duplicates(nodes.map(({ name }) => `name ${name}`)));
  const sameAddress = new Map(duplicates(nodes.map(({ address }) => `address ${formatEndpoint(address)}`)));
  // Where both are the same, the name comes from the address, and one line is enough.
  for (const [index, what] of new Map([...sameAddress, ...sameName])) {
    complain(['pools', pool, 'nodes', index], `: another node of this pool has the ${what} too`);
  }
}

function checkKeyspaces(keyspaces: File['keyspaces'], pools: readonly string[], complain: Complain): void {
  if (keyspaces === undefined && pools.length > 1) {
    const text = 'is missing, and there is more than one pool: say which has the keys';
    complain(['keyspaces'], ` ${text} (${pools.join(', ')})`);
  }
  if (keyspaces?.length === 0) complain(['keyspaces'], ': expected one keyspace, found none');
  for (const [index, { pool }] of (keyspaces ?? []).entries()) {
    if (index > 0) complain(['keyspaces', index], ': only one keyspace is supported yet');
    if (pools.includes(pool)) continue;
    complain(['keyspaces', index, 'pool'], `: there is no pool ${show(pool)}${meant(pool, pools)}`);
  }
}

function checkLimits(limits: Limits, complain: Complain): void {
  const { sessionOutputSoftBytes, sessionOutputHardBytes, reconnectMinMs, reconnectMaxMs } = limits;
  if (sessionOutputSoftBytes > sessionOutputHardBytes) {
    complain(['limits', 'sessionOutputSoftBytes'], `: is above sessionOutputHardBytes (${sessionOutputHardBytes})`);
  }
  if (reconnectMinMs > reconnectMaxMs) {
    complain(['limits', 'reconnectMinMs'], `: is above reconnectMaxMs (${reconnectMaxMs})`);
  }
}

/** Index and text of each text that stands before, too. */
function duplicates(texts: readonly string[]): [number, string][] {
  return [...texts.entries()].filter(([index, text]) => texts.indexOf(text) < index);
}

function byPlace(one: Problem, other: Problem): number {
  return one.line - other.line || one.column - other.column;
}

function deepFreeze<T>(tree: T): T {
  if (typeof tree === 'object' && tree !== null) for (const child of Object.values(tree)) deepFreeze(child);
  return Object.freeze(tree);
}
