/**
 * The configuration: its shape, its defaults, and what is wrong with a file, all of it at once and each with its line.
 * A file becomes a `Config`, which is complete and frozen, or a list of problems. No message repeats a password.
 */
import { z } from 'zod';
import { AUTH, type AuthSection, checkAuth, completeAuth, isOpen } from './acl/auth-section.js';
import { ANNOUNCE, checkAnnounce, completeAnnounce, type PlacedAnnounce } from './base/announce-section.js';
import type { Announced } from './base/announced.js';
import type { ClientAuth } from './base/client-rules.js';
import { OTHER_WORDS } from './base/config-words.js';
import {
  COORDINATION,
  type CoordinationConfig,
  type CoordinationSection,
  checkCoordination,
  completeCoordination,
  warnOfCoordination,
} from './base/coordination-section.js';
import type { Endpoint } from './base/endpoint.js';
import type { Environment } from './base/environment.js';
import { DEFAULT_LIMITS, type Limits } from './base/limits.js';
import { checkLimits, checkNodeLimits, completeLimits, LIMITS, type LimitsSection } from './base/limits-section.js';
import { ADDRESS, checkListen, checkProtected, LISTEN, type PlacedListen } from './base/listen-section.js';
import type { LogLevel } from './base/log-event.js';
import { checkOwnAddresses } from './base/own-address.js';
import { warnOfPools } from './base/pool-warnings.js';
import { checkPools, completePools, isMap, POOLS, type PoolConfig, readablePools } from './base/pools-section.js';
import { ReadableLists } from './base/readable-lists.js';
import {
  about,
  absolutePath,
  type Complain,
  expecting,
  formatPath,
  milliseconds,
  nameText,
  oneOf,
  oneOfWords,
  wholeNumber,
  yesOrNo,
} from './base/schema.js';
import { describeIssues, withoutVariables, writtenPath } from './base/schema-problem.js';
import { formatMilliseconds } from './base/units.js';
import { type Path, type Problem, YamlSource } from './base/yaml-source.js';
import {
  checkKeyspaces,
  checkSharedPools,
  checkWeights,
  completeKeyspaces,
  KEYSPACES,
  type KeyspaceConfig,
  onlyKeyspace,
  type PlacedSection,
  placedModes,
} from './routing/keyspace-section.js';
import { warnOfKeyspaces } from './routing/keyspace-warnings.js';
import { checkStoreLocks } from './routing/lock-section.js';
import { checkReplicatedPools } from './routing/replication-section.js';

/** One door: where clients come in, and which keyspaces they then see. */
export interface ServiceConfig {
  name: string;
  listen: readonly Endpoint[];
  /** Where its cluster clients are told to connect, where that is not the address by which they came. */
  announced: readonly Announced[];
  keyspaces: readonly KeyspaceConfig[];
}

export interface Config {
  /** At least one; a `listen` and `keyspaces` at the top of the file are the short form of a service named main. */
  services: readonly ServiceConfig[];
  /** Of all services. */
  listen: readonly Endpoint[];
  /** Where the admin server listens, null for nowhere. */
  admin: Endpoint | null;
  /** Data-plane threads. */
  workers: number;
  transport: 'auto' | 'io_uring' | 'epoll' | 'node';
  auth: ClientAuth;
  /** Whether each subscriber has connections of its own, or shares them with others. */
  pubsub: 'exact' | 'shared';
  /** Who may give DEBUG. */
  enableDebugCommand: 'no' | 'local' | 'yes';
  /** Whether other machines are kept from connecting while no password is asked for. */
  protectedMode: boolean;
  pools: readonly PoolConfig[];
  /** Of all services. */
  keyspaces: readonly KeyspaceConfig[];
  limits: Limits;
  log: { level: LogLevel; format: 'auto' | 'json' | 'pretty' };
  /** Milliseconds that a stopping proxy waits for commands in flight. */
  drainTimeoutMs: number;
  /** The folder for what must survive a restart, null for none. */
  dataDir: string | null;
  coordination: CoordinationConfig;
}

/** What depends on the machine rather than on the file. */
export interface ConfigDefaults {
  workers: number;
  /** What ${NAME} in a value of the file stands for. */
  environment: Environment;
  /** The IP addresses of the machine; those of loopback go without saying. */
  ownAddresses?: readonly string[];
  /** What is in a file that the configuration names; throws an error that says why not. Without it such files are not looked at. */
  readFile?: (path: string) => string;
}

/** What a file comes to; `warnings` are what it may not have been meant to say. */
export type ParsedConfig = { config: Config; warnings: Problem[] } | { problems: Problem[] };

/** Parses the text of a configuration file. Problems and warnings are sorted by line; there is at least one problem. */
export function parseConfig(text: string, defaults: ConfigDefaults): ParsedConfig {
  if (isRedisConf(text))
    return { problems: [{ line: 1, column: 1, text: `this looks like redis.conf: expected YAML, at least ${LEAST}` }] };
  const source = new YamlSource(text, 'core', defaults.environment);
  if (source.problems.length > 0) return { problems: [...source.problems] };
  const stranger = whollyOther(source.value);
  if (stranger !== null) return { problems: [source.problem([], stranger)] };
  const root = source.value;
  const result = FILE.safeParse(root);
  const problems = [
    ...describeIssues(source, FILE, result.error?.issues ?? [], OTHER_WORDS),
    ...crossCheck(source, defaults),
  ];
  if (problems.length > 0 || !result.success) return { problems: problems.sort(byPlace) };
  return { config: deepFreeze(complete(result.data, defaults)), warnings: findWarnings(source).sort(byPlace) };
}

/** Whether every line is a directive and its values, and some directive is one of Redis's. */
function isRedisConf(text: string): boolean {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '' && !line.startsWith('#'));
  const known =
    /^(bind|port|requirepass|save|appendonly|maxmemory|daemonize|sentinel|replicaof|slaveof|dir|loglevel) /i;
  return lines.some((line) => known.test(line)) && lines.every((line) => /^[a-z][\w-]* [^:]/i.test(line));
}

/** What to say of a file that is not a configuration of ours at all, or null. */
function whollyOther(root: unknown): string | null {
  if (root === null || root === undefined) return `the file is empty: it needs at least ${LEAST}`;
  if (typeof root !== 'object' || 'pools' in root) return null;
  const isPool = (pool: unknown) => typeof pool === 'object' && pool !== null && 'servers' in pool;
  if (!Object.values(root).some(isPool)) return null;
  return 'this looks like a configuration of nutcracker (twemproxy): ringleader check --import FILE turns it into one of Ringleader';
}

/** `FILE:LINE:COLUMN: TEXT`, as compilers write it, so that editors find the place. */
export function formatProblem(fileName: string, problem: Problem): string {
  return `${fileName}:${problem.line}:${problem.column}: ${problem.text}`;
}

/** `FILE:LINE:COLUMN: warning: TEXT` */
export function formatWarning(fileName: string, warning: Problem): string {
  return formatProblem(fileName, { ...warning, text: `warning: ${warning.text}` });
}

const LEAST = 'pools: { main: { nodes: [redis://127.0.0.1:7001] } }';
const LISTEN_DEFAULT = '127.0.0.1:6380';
const DRAIN_TIMEOUT_MS = 10_000;
const WORKERS_MAX = 128;
/** Connections carry the number of their service along (transport/descriptors.ts). */
const SERVICES_MAX = 1_024;
const DAY_MS = 86_400_000;

const SERVICE_FORM = 'a service: { name: …, listen: …, keyspaces: […] }';
const SERVICE_NAME = nameText(
  'a name of 1 to 64 letters, digits and . _ -',
  (name) => (/^[\w.-]{1,64}$/.test(name) ? name : null),
  '^[\\w.-]{1,64}$',
);
const SERVICE = z.strictObject(
  {
    name: about(SERVICE_NAME, 'What logs call it. Unique.', { example: 'main' }),
    listen: about(LISTEN, 'Where its clients come in: an address, or a list.', { example: '127.0.0.1:6380' }),
    announce: about(ANNOUNCE.optional(), 'As `announce` of the file, for the addresses of the service.', {
      example: '127.0.0.1:6380',
    }),
    keyspaces: about(KEYSPACES.optional(), 'The keys that its clients see. As `keyspaces` of the file.'),
  },
  expecting(SERVICE_FORM),
);
const SERVICES = z
  .array(SERVICE, expecting('a list of services: - { name: …, listen: …, keyspaces: […] }'))
  .max(SERVICES_MAX, `at most ${SERVICES_MAX} services`);

/** The words of Redis's loglevel for ours. */
const REDIS_LEVELS = { verbose: 'debug', notice: 'info', warning: 'warn' } as const;

const LOG = z.strictObject(
  {
    level: about(
      oneOfWords(['trace', 'debug', 'info', 'warn', 'error', 'fatal'], REDIS_LEVELS).default('info'),
      'The least important lines that are written. `info` has a line for each event that an operator would want, none per command.',
      { stated: 'info' },
    ),
    format: about(
      oneOf('auto', 'json', 'pretty').default('auto'),
      '`json` is an object a line, `pretty` is for people; `auto` is pretty on a terminal, else JSON.',
      { stated: 'auto' },
    ),
  },
  expecting('a map: { level: info }'),
);

/** The file as a whole. Docs, the full example and the schema for editors are made of it. */
export const FILE = z.strictObject(
  {
    listen: about(
      LISTEN.default(() => LISTEN.parse(LISTEN_DEFAULT)),
      'Where clients come in: an address, or a list of them; IPv4, IPv6 in brackets and quotes ("[::1]:6380"), or a unix socket. By ' +
        'default only from this machine: others need `auth`, or `protectedMode: no`.',
      { stated: LISTEN_DEFAULT },
    ),
    announce: about(
      ANNOUNCE.optional(),
      "Where cluster clients are told to connect (CLUSTER SLOTS and its like), as Redis's cluster-announce-ip and -port: one address, or a list " +
        'with one for each of `listen`. Needed behind NAT and port mappings of containers; unless given it is the address by ' +
        'which the client has come. See docs/CLIENTS.md.',
      { example: '127.0.0.1:6380' },
    ),
    admin: about(
      ADDRESS.optional(),
      'Where the admin server answers HTTP: GET /livez and /readyz, for an orchestrator, and /status. Nowhere unless given. It ' +
        'asks nobody for a password.',
      { example: '127.0.0.1:9121' },
    ),
    workers: about(
      wholeNumber(1, WORKERS_MAX, ' (leave it out for one per core)', { auto: 'leave the line out' }).optional(),
      'Threads that move the commands. One for each core that the process may use (of its cgroup, in a container), 4 at the ' +
        'most, unless given.',
      { example: '2' },
    ),
    transport: about(
      oneOf('auto', 'io_uring', 'epoll', 'node').default('auto'),
      'How it talks to the system: `io_uring` and `epoll` call it directly, which is fast, `io_uring` with the fewest calls; `node` is ' +
        "Node's own sockets, which are everywhere; `auto` takes the first of them that it can, and the log says why not another.",
      { stated: 'auto' },
    ),
    auth: about(
      AUTH.optional(),
      'Whether clients must give a password, and what they may then do. `none`, `passthrough`, or a map.',
      { stated: 'none' },
    ),
    protectedMode: about(
      yesOrNo().default(true),
      "As Redis's protected-mode: `yes` refuses to listen where other machines can connect while no password is asked for.",
      { stated: 'yes' },
    ),
    enableDebugCommand: about(
      oneOf('no', 'local', 'yes').default('no'),
      "As Redis's enable-debug-command: who may give DEBUG, which may hold up all nodes; `local` are clients that come from this machine. Nodes " +
        'have a setting of their own, and answer with their own error. docs/COMMANDS.md says which subcommands are served.',
      { stated: 'no' },
    ),
    pools: about(POOLS, 'Sets of Redis servers, by names of your own. At least one, and at most 65,536 nodes in all.'),
    keyspaces: about(
      KEYSPACES.optional(),
      'Which keys are in which pool, by what they begin with. With one pool it has all keys, unless this says otherwise. A key that ' +
        'no prefix fits is refused.',
    ),
    services: about(
      SERVICES.optional(),
      'Several doors in one process, each with its addresses and keyspaces: the long form, in place of `listen` and `keyspaces`.',
    ),
    limits: about(
      LIMITS.optional(),
      'Time-outs, and bounds of what may wait. Times and sizes are numbers (ms, bytes) or have a unit.',
    ),
    pubsub: about(
      oneOf('exact', 'shared').default('exact'),
      '`exact` gives each client with subscriptions connections of its own to the nodes of its channels, so that PUBLISH and PUBSUB ' +
        'NUMSUB count clients, as one Redis does. `shared` has one connection for each worker and node, for very many subscribers; ' +
        'then they count workers. A change holds for who subscribes from then on. See docs/PUBSUB.md.',
      { stated: 'exact' },
    ),
    log: about(LOG.optional(), 'What is written to standard output.'),
    drainTimeout: about(
      milliseconds(0, DAY_MS, ', 0 for at once').default(DRAIN_TIMEOUT_MS),
      'How long a proxy that is told to stop (SIGTERM) waits for commands that are under way. Less than what the ' +
        'orchestrator waits before it kills.',
      { stated: formatMilliseconds(DRAIN_TIMEOUT_MS) },
    ),
    dataDir: about(
      absolutePath('the absolute path of a folder').optional(),
      'The folder where the proxy keeps what must survive a restart. With it a start, too, refuses what would look for existing ' +
        'keys elsewhere than the last time, unless `--accept-remap` is given. It is made if need be; each proxy needs one of its ' +
        'own. None unless given, so that a read-only root file system will do.',
      { example: '/var/lib/ringleader' },
    ),
    coordination: about(
      COORDINATION.optional(),
      'Where several proxies that serve the same pools, a fleet, keep what they agree on. One proxy alone needs none of it. A change takes a ' +
        'restart.',
    ),
  },
  expecting(`a map, with at least ${LEAST}`),
);

type File = z.infer<typeof FILE>;

function complete(file: File, defaults: ConfigDefaults): Config {
  const limits = completeLimits(file.limits);
  const pools = completePools(file.pools, limits);
  const main = { name: 'main', listen: file.listen, announce: file.announce, keyspaces: file.keyspaces };
  const services = (file.services ?? [main]).map(({ name, listen, announce, keyspaces }) => {
    return {
      name,
      listen,
      announced: completeAnnounce(listen, announce),
      keyspaces: keyspaces === undefined ? pools.map(({ name }) => onlyKeyspace(name)) : completeKeyspaces(keyspaces),
    };
  });
  return {
    services,
    listen: services.flatMap(({ listen }) => listen),
    admin: file.admin ?? null,
    workers: file.workers ?? defaults.workers,
    transport: file.transport,
    auth: completeAuth(file.auth),
    pubsub: file.pubsub,
    protectedMode: file.protectedMode,
    enableDebugCommand: file.enableDebugCommand,
    pools,
    keyspaces: services.flatMap(({ keyspaces }) => keyspaces),
    limits,
    log: file.log ?? { level: 'info', format: 'auto' },
    drainTimeoutMs: file.drainTimeout,
    dataDir: file.dataDir ?? null,
    coordination: completeCoordination(file.coordination),
  };
}

/** What something can be wrong between, each where it is right in itself. */
interface Sections {
  listens: PlacedListen[];
  announces: PlacedAnnounce[];
  admin: Endpoint | null;
  pools: File['pools'];
  /** Those of pools that are wrong in themselves, too. */
  poolNames: string[];
  keyspaces: PlacedSection[];
  /** Null for none. */
  services: { name: string | undefined }[] | null;
  /** Null where it is wrong in itself. */
  limits: LimitsSection | undefined | null;
  /** Null where it is wrong in itself. */
  auth: AuthSection | undefined | null;
  protectedMode: boolean;
  /** Null where it is wrong in itself. */
  coordination: CoordinationSection | undefined | null;
  hasDataDir: boolean;
}

function readSections(root: unknown, lists: ReadableLists): Sections {
  const file = mapOrNothing(root);
  const { names, pools } = readablePools(file['pools'], lists);
  const services = Array.isArray(file['services']) ? file['services'].map(mapOrNothing) : null;
  const doors = [
    {
      path: [],
      listen: file['listen'],
      announce: file['announce'],
      keyspaces: file['services'] === undefined ? file['keyspaces'] : null,
    },
    ...(services ?? []).map(({ listen, announce, keyspaces }, index) => {
      return { path: ['services', index], listen, announce, keyspaces };
    }),
  ];
  return {
    listens: doors.flatMap(({ path, listen }) => readListen([...path, 'listen'], listen, lists)),
    announces: doors.flatMap(({ path, listen, announce }) => readAnnounce([...path, 'announce'], announce, listen)),
    admin: ADDRESS.safeParse(file['admin']).data ?? null,
    pools,
    poolNames: names,
    keyspaces: doors.flatMap(({ path, keyspaces }) => readKeyspaces([...path, 'keyspaces'], keyspaces, lists)),
    services: services === null ? null : services.map(({ name }) => ({ name: SERVICE_NAME.safeParse(name).data })),
    limits: file['limits'] === undefined ? undefined : (LIMITS.safeParse(file['limits']).data ?? null),
    auth: file['auth'] === undefined ? undefined : (AUTH.safeParse(file['auth']).data ?? null),
    protectedMode: yesOrNo().safeParse(file['protectedMode']).data ?? true,
    coordination: readCoordination(file['coordination']),
    hasDataDir: file['dataDir'] !== undefined,
  };
}

function readCoordination(written: unknown): Sections['coordination'] {
  return written === undefined ? undefined : (COORDINATION.safeParse(written).data ?? null);
}

function readListen(path: Path, written: unknown, lists: ReadableLists): PlacedListen[] {
  if (written === undefined) return [];
  const listen = lists.read(path, Array.isArray(written) ? written : [written], ADDRESS);
  return listen === null ? [] : [{ path, listen }];
}

function readAnnounce(path: Path, written: unknown, listen: unknown): PlacedAnnounce[] {
  const announce = ANNOUNCE.safeParse(written).data;
  return announce === undefined ? [] : [{ path, announce, listenCount: Array.isArray(listen) ? listen.length : 1 }];
}

function readKeyspaces(path: Path, written: unknown, lists: ReadableLists): PlacedSection[] {
  if (written === undefined) return [{ path, keyspaces: undefined }];
  const keyspaces = lists.read(path, written, KEYSPACES.element);
  return keyspaces === null ? [] : [{ path, keyspaces }];
}

function mapOrNothing(value: unknown): Record<string, unknown> {
  return isMap(value) ? (value as Record<string, unknown>) : {};
}

/** What no single value shows: names that lead nowhere, things given twice, bounds in the wrong order. */
function crossCheck(source: YamlSource, { ownAddresses = [], readFile }: ConfigDefaults): Problem[] {
  const lists = new ReadableLists();
  const { listens, announces, admin, pools, poolNames, ...more } = readSections(source.value, lists);
  const { keyspaces, services, limits, auth, protectedMode, coordination } = more;
  const problems: Problem[] = [];
  const complain = complainer(source, lists, problems);
  if (services !== null) checkServices(source, services, complain);
  checkListen(listens, admin, complain);
  checkAnnounce(announces, complain);
  const isByDefault = services === null && source.valueAt(['listen']) === undefined;
  const doors = isByDefault ? [{ path: ['listen'], listen: LISTEN.parse(LISTEN_DEFAULT) }] : listens;
  checkOwnAddresses(pools, doors, admin, ownAddresses, complain);
  if (poolNames.length === 0 && isMap(source.valueAt(['pools']))) {
    complain(['pools'], ': expected at least one pool, found none');
  }
  checkPools(pools, complain);
  if (poolNames.length > 0) {
    for (const section of keyspaces) {
      // A pool that is wrong in itself may not have been meant to be one.
      const isUnclear = section.keyspaces === undefined && Object.keys(pools).length < poolNames.length;
      if (!isUnclear) checkKeyspaces(section, poolNames, pools, complain);
    }
    checkSharedPools(keyspaces, complain);
    const agreeing = coordination?.store === 'redis' ? (coordination.pool ?? null) : null;
    checkReplicatedPools(placedModes(keyspaces, poolNames), agreeing, pools, complain);
    checkWeights(completePools(pools, DEFAULT_LIMITS), keyspaces, complain);
  }
  if (coordination !== null) {
    const { store } = coordination ?? COORDINATION.parse({});
    for (const { path, keyspaces: own = [] } of keyspaces) {
      for (const [index, { mode, provider }] of own.entries()) {
        if (mode === 'lock' && provider === 'store')
          checkStoreLocks([...path, index], store, more.hasDataDir, complain);
      }
    }
  }
  if (limits !== null) {
    checkLimits(limits, complain);
    for (const [name, pool] of Object.entries(pools)) checkNodeLimits(name, pool.limits, limits, complain);
  }
  if (auth !== null) {
    if (auth !== undefined) checkAuth(auth, complain);
    if (auth?.mode === 'passthrough') checkPassthrough(keyspaces, source.valueAt(['pubsub']), complain);
    if (protectedMode && isOpen(completeAuth(auth))) checkProtected(listens, complain);
  }
  if (coordination !== null && coordination !== undefined) {
    const place = { pools, poolNames, listen: doors[0]?.listen[0], readFile };
    checkCoordination(coordination, place, complain);
  }
  return problems;
}

/** What goes by connections that all clients share, or of which no node can say who may do it. */
function checkPassthrough(keyspaces: readonly PlacedSection[], pubsub: unknown, complain: Complain): void {
  const why = 'goes by connections of the proxy, and auth: passthrough has clients do nothing by these';
  if (pubsub === 'shared') complain(['pubsub'], `: shared ${why}; leave the line out`);
  for (const { path, keyspaces: own = [] } of keyspaces) {
    for (const [index, { mode }] of own.entries()) {
      if (mode !== undefined && mode !== 'sharded')
        complain([...path, index, 'mode'], `: ${mode} ${why}; write auth: { users: [ … ] }`);
    }
  }
}

/** Says what is wrong at a path of what was read, by its place in the file, and adds it to `problems`. */
function complainer(source: YamlSource, lists: ReadableLists, problems: Problem[]): Complain {
  return (path, text) => {
    const place = writtenPath(source, lists.inFile(path));
    problems.push(source.problem(place, `${formatPath(place)}${withoutVariables(source, place, text)}`));
  };
}

/** Of a file that is good. */
function findWarnings(source: YamlSource): Problem[] {
  const lists = new ReadableLists();
  const { pools, poolNames, keyspaces, coordination, hasDataDir } = readSections(source.value, lists);
  const warnings: Problem[] = [];
  const warn = complainer(source, lists, warnings);
  warnOfPools(pools, warn);
  const used = coordination?.store === 'redis' ? coordination.pool : undefined;
  warnOfKeyspaces(
    keyspaces,
    poolNames.filter((name) => name !== used),
    warn,
  );
  if (coordination !== null && coordination !== undefined) warnOfCoordination(coordination, hasDataDir, warn);
  return warnings;
}

function checkServices(source: YamlSource, services: NonNullable<Sections['services']>, complain: Complain): void {
  for (const key of ['listen', 'announce', 'keyspaces']) {
    if (source.valueAt([key]) !== undefined) complain([key], ': stands in each service where there are services');
  }
  if (services.length === 0) complain(['services'], ': expected at least one service, found none');
  for (const [index, { name }] of services.entries()) {
    const isFirst = services.findIndex((other) => other.name === name) === index;
    if (name !== undefined && !isFirst)
      complain(['services', index, 'name'], `: another service has the name ${name} too`);
  }
}

function byPlace(one: Problem, other: Problem): number {
  return one.line - other.line || one.column - other.column;
}

function deepFreeze<T>(tree: T): T {
  if (typeof tree === 'object' && tree !== null) for (const child of Object.values(tree)) deepFreeze(child);
  return Object.freeze(tree);
}
