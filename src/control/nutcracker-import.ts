/**
 * `ringleader check --import`: twemproxy's configuration as ours. Every key stays on its server: names, weights, hash and
 * hash tag are taken over as twemproxy uses them. Each option is carried over, dropped with the reason in a comment, or
 * refused where leaving it out would give other answers.
 */
import { stringify } from 'yaml';
import { isLocal as isLocalEndpoint, parseListenAddress, parseNodeAddress } from '../base/address.js';
import { PASSWORD_CHARACTERS_MAX } from '../base/client-rules.js';
import { formatEndpoint } from '../base/endpoint.js';
import { escapeVariables } from '../base/environment.js';
import { DEFAULT_LIMITS } from '../base/limits.js';
import { meant } from '../base/nearest.js';
import { HASH_DEFAULT, HASH_NAMES, type HashName, TWEMPROXY_WEIGHT_MAX } from '../base/placement.js';
import { NODE_NAME, NODE_NAME_FORM } from '../base/pools-section.js';
import { formatPath, show } from '../base/schema.js';
import { type Path, type Problem, YamlSource } from '../base/yaml-source.js';
import { type NutcrackerServer, parseListen, parseServer, serverUrl } from './nutcracker-server.js';

/** Returns our configuration as YAML text, or, sorted by line, what cannot be taken over. Passwords are in the text. */
export function importNutcracker(text: string): { yaml: string } | { problems: Problem[] } {
  const source = new YamlSource(text, 'failsafe');
  if (source.problems.length > 0) return { problems: [...source.problems] };
  const problems: Problem[] = [];
  const complain: Complain = (path, words) => problems.push(source.problem(path, `${formatPath(path)}: ${words}`));
  const root = source.value;
  if (!isMap(root) || Object.keys(root).length === 0) {
    return { problems: [source.problem([], 'expected pools of nutcracker: a map of names to options')] };
  }
  const pools = Object.entries(root).flatMap(([name, options]) => {
    if (!isMap(options)) {
      // What stands there may be a password that slipped out of its pool.
      complain([name], `expected the options of a pool, found ${Array.isArray(options) ? 'a list' : 'a text'}`);
      return [];
    }
    for (const key of Object.keys(options).filter((key) => !Object.hasOwn(OPTIONS, key))) {
      const words = /\s/.test(key)
        ? 'nutcracker has no option with a blank in its name'
        : `nutcracker has no option ${show(key)}${meant(key, Object.keys(OPTIONS))}`;
      problems.push(source.problemWithKey([name], key, `${formatPath([name])}: ${words}`));
    }
    return readPool(name, options, complain);
  });
  checkTogether(pools, complain);
  if (problems.length > 0) return { problems: problems.sort((a, b) => a.line - b.line || a.column - b.column) };
  return { yaml: writeConfig(pools) };
}

type Complain = (path: Path, words: string) => void;

interface Pool {
  /** In its file. */
  name: string;
  /** In ours: for names that ours does not take. */
  ourName: string;
  listen: string;
  /** Whether only this machine can reach it. */
  isLocal: boolean;
  servers: readonly NutcrackerServer[];
  distribution: 'ketama' | 'modula';
  hash: HashName;
  hashTag: string | null;
  password: string | null;
  /** Null for ever. */
  timeoutMs: number | null;
  /** What is dropped, each as a line. */
  notes: readonly string[];
}

/** What becomes of each option: null where `readPool` carries it over, else why it is dropped. */
const OPTIONS: Readonly<Record<string, string | null>> = {
  listen: null,
  servers: null,
  redis: null,
  distribution: null,
  hash: null,
  hash_tag: null,
  timeout: null,
  redis_auth: null,
  redis_db: null,
  auto_eject_hosts:
    'no node is taken out when it fails: commands for its keys get -NODEDOWN, and none is written to another node',
  server_retry_timeout:
    'no node is taken out; when to connect again is said by reconnectMinMs and reconnectMaxMs (limits)',
  server_failure_limit: 'no node is taken out when it fails',
  server_connections: 'each worker has one pipelined connection to a node, and more where they are of use',
  preconnect: 'nodes are always connected to at the start',
  tcpkeepalive: 'connections are always kept alive',
  backlog: 'the backlog is always 4096',
  reuseport: 'all workers accept from one socket',
  client_connections: 'nutcracker reads it and does not use it; limits.clientsMax is for all services together',
};

const NUMBERS = [
  'timeout',
  'backlog',
  'client_connections',
  'redis_db',
  'server_connections',
  'server_retry_timeout',
  'server_failure_limit',
];
const BOOLEANS = ['redis', 'tcpkeepalive', 'reuseport', 'preconnect', 'auto_eject_hosts'];

const SERVER_FORM = 'host:port:weight or /path:weight, with a name after a space if there is one';
const RANDOM_REASON =
  'random sends each request to any server, so that no key has a place to keep; take ketama or modula, and expect to find ' +
  'no key that was written before';

function readPool(name: string, options: Record<string, unknown>, complain: Complain): Pool[] {
  let isGood = true;
  const refuse = (key: string, words: string): void => {
    isGood = false;
    complain([name, key], words);
  };
  const textOf = (key: string): string | null => {
    const value = options[key];
    if (value === undefined) return null;
    if (typeof value === 'string' && value !== '') return value;
    refuse(key, `expected a text, found ${value === '' ? 'nothing' : show(value)}`);
    return null;
  };
  for (const key of NUMBERS) {
    const value = textOf(key);
    if (value !== null && !/^\d{1,9}$/.test(value)) refuse(key, `expected a number, found ${firstWord(value)}`);
  }
  for (const key of BOOLEANS) {
    const value = textOf(key);
    if (value !== null && value !== 'true' && value !== 'false')
      refuse(key, `expected true or false, found ${firstWord(value)}`);
  }
  if (options['redis'] === undefined || options['redis'] === 'false') {
    refuse(
      'redis',
      'this pool speaks memcached, which Ringleader does not: redis: true is missing; take it out of the file to import the others',
    );
  }
  if (Number(textOf('redis_db') ?? 0) > 0)
    refuse('redis_db', 'only database 0 is supported; its keys would not be found');

  const distribution = textOf('distribution') ?? 'ketama';
  if (distribution === 'random') refuse('distribution', RANDOM_REASON);
  else if (distribution !== 'ketama' && distribution !== 'modula') {
    refuse(
      'distribution',
      `expected ketama | modula, found ${firstWord(distribution)}${meant(distribution, ['ketama', 'modula'])}`,
    );
  }
  const hashName = textOf('hash') ?? HASH_DEFAULT;
  const hash = HASH_NAMES.find((known) => known === hashName);
  if (hash === undefined) {
    refuse('hash', `expected ${HASH_NAMES.join(' | ')}, found ${firstWord(hashName)}${meant(hashName, HASH_NAMES)}`);
  }
  const hashTag = textOf('hash_tag');
  if (hashTag !== null && !/^[ -~]{2}$/.test(hashTag))
    refuse('hash_tag', `expected two ASCII characters, found ${firstWord(hashTag)}`);

  const notes = Object.entries(OPTIONS).flatMap(([key, reason]) => {
    return reason === null || options[key] === undefined ? [] : [`${key}: ${options[key]} is dropped: ${reason}.`];
  });
  let listen = '';
  let isLocal = true;
  const listenText = textOf('listen');
  if (options['listen'] === undefined) refuse('listen', 'is missing');
  if (listenText !== null) {
    const parsed = parseListen(listenText);
    const own = 'fault' in parsed ? parsed : parseListenAddress(formatEndpoint(parsed.address));
    if ('fault' in parsed || 'fault' in own) {
      refuse('listen', `expected host:port or /path, found ${'fault' in own ? own.fault : ''}`);
    } else {
      listen = formatEndpoint(parsed.address);
      isLocal = isLocalEndpoint(parsed.address);
      if (listenText.startsWith('localhost:')) notes.push('listen: localhost is taken for 127.0.0.1.');
      if (parsed.permissions !== null) {
        notes.push(`listen: the permissions ${parsed.permissions} of the socket are dropped: they follow the umask.`);
      }
    }
  }
  const password = textOf('redis_auth');
  if (password !== null && password.length > PASSWORD_CHARACTERS_MAX) {
    refuse('redis_auth', `expected a password of at most ${PASSWORD_CHARACTERS_MAX} characters, found a longer one`);
  }
  const timeout = Number(textOf('timeout') ?? 0);
  if (timeout === 0) {
    notes.push('timeout: nutcracker waits for ever where there is none; here requestTimeoutMs holds (limits).');
  }
  const servers = readServers(name, options['servers'], (path, words) => {
    isGood = false;
    complain(path, words);
  });
  if (!isGood || hash === undefined || (distribution !== 'ketama' && distribution !== 'modula')) return [];
  const ourName = name.replaceAll(/[^\w.-]/g, '-').slice(0, 64);
  if (ourName !== name) notes.push(`Its name was ${JSON.stringify(name)}.`);
  const timeoutMs = timeout === 0 ? null : timeout;
  return [{ name, ourName, listen, isLocal, servers, distribution, hash, hashTag, password, timeoutMs, notes }];
}

function readServers(pool: string, lines: unknown, complain: Complain): NutcrackerServer[] {
  if (!Array.isArray(lines) || lines.length === 0) {
    const found = typeof lines === 'string' ? firstWord(lines) : Array.isArray(lines) ? 'none' : show(lines);
    complain([pool, 'servers'], `expected a list of servers, found ${found}`);
    return [];
  }
  const names = new Set<string>();
  const addresses = new Set<string>();
  const servers = lines.flatMap((line: unknown, index) => {
    const path = [pool, 'servers', index];
    const server = typeof line === 'string' ? parseServer(line) : { fault: show(line) };
    if ('fault' in server) {
      complain(path, `expected ${SERVER_FORM}, found ${server.fault}`);
      return [];
    }
    const address = formatEndpoint(server.address);
    if (names.has(server.name)) complain(path, `another server of this pool has the name ${server.name} too`);
    else if (addresses.has(address)) complain(path, `another server of this pool has the address ${address} too`);
    if (!NODE_NAME.test(server.name)) {
      complain(path, `its keys follow its name, which must be ${NODE_NAME_FORM}`);
    }
    const parsed = parseNodeAddress(serverUrl(server, null));
    if ('fault' in parsed) complain(path, `its address cannot be taken over: ${parsed.fault}`);
    names.add(server.name);
    addresses.add(address);
    return [server];
  });
  const total = servers.reduce((sum, { weight }) => sum + weight, 0);
  if (total > TWEMPROXY_WEIGHT_MAX) {
    complain([pool, 'servers'], `the weights add up to ${total}, above ${TWEMPROXY_WEIGHT_MAX}`);
  }
  return servers;
}

function checkTogether(pools: readonly Pool[], complain: Complain): void {
  for (const [index, pool] of pools.entries()) {
    const before = pools.slice(0, index);
    const sameListen = before.find(({ listen }) => listen === pool.listen);
    if (sameListen !== undefined) complain([pool.name, 'listen'], `${sameListen.name} listens on ${pool.listen} too`);
    if ((pools[0] as Pool).password !== pool.password) {
      const reason =
        'another password, or none, than the pool before: Ringleader asks the clients of all services for one';
      complain([pool.name, 'redis_auth'], `${reason}; import the pools from a file each, and run a proxy for each`);
    }
    const sameName = before.find(({ ourName }) => ourName === pool.ourName);
    if (sameName !== undefined)
      complain([pool.name], `its name is too like ${sameName.name}: both would be ${pool.ourName}`);
  }
}

function writeConfig(pools: readonly Pool[]): string {
  const services = pools.map(({ ourName, listen, distribution, hash, hashTag, notes }) => {
    const tag = hashTag === null ? '' : `, hashTag: ${quoted(hashTag)}`;
    return `${notes.map((note) => `  # ${note}\n`).join('')}  - name: ${key(ourName)}
    listen: ${key(listen)}
    keyspaces:
      - { prefix: "", pool: ${JSON.stringify(ourName)}, placement: ${distribution}, hash: ${hash}${tag} }
`;
  });
  const nodes = pools.map(({ ourName, servers, password, timeoutMs }) => {
    const lines = servers.map((server) => {
      const { name, weight } = server;
      return `      - { name: ${quoted(name)}, url: ${quoted(serverUrl(server, password))}, weight: ${weight} }\n`;
    });
    return `  ${key(ourName)}:\n    nodes:\n${lines.join('')}${writeLimits(timeoutMs)}`;
  });
  return `# Made by "ringleader check --import" of a configuration of nutcracker: each key is looked for where nutcracker put it.
# A node's keys follow its name, its weight, and, for modula, the names of the others: leave them as they are.

${writeAccess(pools)}services:
${services.join('\n')}
pools:
${nodes.join('\n')}`;
}

/** Whom the listeners let in: by default ours refuses to listen for everybody. */
function writeAccess(pools: readonly Pool[]): string {
  const password = pools[0]?.password ?? null;
  if (password !== null) return `auth: { password: ${quoted(password)} }\n\n`;
  if (pools.every(({ isLocal }) => isLocal)) return '';
  return `# nutcracker asks nobody for a password. Without this line Ringleader refuses to listen where other machines can connect.
protectedMode: no

`;
}

/** The longest that ours takes: a day. */
const TIMEOUT_MAX_MS = 86_400_000;

function writeLimits(timeoutMs: number | null): string {
  if (timeoutMs === null) return '';
  const ms = Math.min(timeoutMs, TIMEOUT_MAX_MS);
  const stall = ms > DEFAULT_LIMITS.stallTimeoutMs ? `, stallTimeoutMs: ${ms}` : '';
  return `    limits: { connectTimeoutMs: ${ms}, requestTimeoutMs: ${ms}${stall} }\n`;
}

/** A text as YAML writes it outside of braces. */
function key(text: string): string {
  return stringify(escapeVariables(text), { lineWidth: 0 }).trimEnd();
}

function quoted(text: string): string {
  return JSON.stringify(escapeVariables(text));
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * An option's value as a message shows it. No good one has blanks: one that has goes on over the lines that follow, and one of these
 * may have been to say the password.
 */
function firstWord(value: string): string {
  const [first = '', ...others] = value.split(/\s+/);
  return others.length === 0 ? show(value) : `${show(first)} and more behind it`;
}
