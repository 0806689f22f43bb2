/** The command line of the comparison. */
import { delimiter } from 'node:path';
import { parseArgs } from 'node:util';
import { BenchmarkError } from './children.js';
import { isSensible, MATRIX, type Point, pointsOf } from './points.js';
import { TEST_NAMES, type TestName } from './tests.js';

/** One way to start ringleader, so that two builds, Nodes or drivers can be compared in one run. */
export interface Variant {
  readonly label: string;
  /** Path of the Node that runs it. */
  readonly node: string;
  /** Path of the compiled main.js. */
  readonly main: string;
  readonly transport: string;
  readonly workers: number;
}

/** A proxy that somebody else started. Without process ids its CPU is not known. */
export interface RunningPeer {
  readonly label: string;
  readonly host: string;
  readonly port: number;
  readonly pids: readonly number[];
}

/** A proxy to start from a command, in which `{port}` is where to listen and `{nodes}` are the nodes' ports. */
export interface CommandPeer {
  readonly label: string;
  readonly command: string;
}

export interface Options {
  /** What is measured at each endpoint. */
  readonly points: readonly Point[];
  readonly keys: number;
  readonly rounds: number;
  /** Requests per run, or null: as many as take `seconds`. */
  readonly requests: number | null;
  readonly seconds: number;
  readonly nodePorts: readonly number[] | null;
  readonly variants: readonly Variant[];
  /** Folders in which peers are looked for before PATH. */
  readonly peerFolders: readonly string[];
  readonly peers: readonly RunningPeer[];
  readonly commandPeers: readonly CommandPeer[];
  /** Labels of the endpoints to measure, or null for all. */
  readonly only: readonly string[] | null;
  /** The endpoint that ratios are taken to. */
  readonly base: string;
  readonly clean: boolean;
  readonly save: boolean;
}

export const usage = `npm run bench:compare -- [options]

  --tests get,set        of get, set, mget and mset (10 keys), lrange (100 elements), mix (80 % GET, 20 % SET)
  --depths 1,16          commands that a client sends before it awaits their replies
  --clients 50           connections
  --sizes 64             bytes of a value
  --keys 100000          keys drawn from at random; fewer where their values would take more than 64 MiB
  --matrix               all tests, depths 1,4,16,64, clients 1,50,500,5000, sizes 64,1024,16384, where they tell something
                         (README.md); any of these lists may be shortened, --rounds is 3 and --seconds 1 unless given
  --rounds 5             runs of each endpoint; the table has their medians
  --seconds 3            length of a run
  --requests N           instead of --seconds: requests of a run
  --only LABEL,…         only these endpoints: direct, ringleader, nutcracker, predixy, codis-proxy, dynomite, envoy, or labels of
                         peers and variants; without it, all that are found
  --peer-path FOLDERS    where to look for peers before PATH, with colons between them; or $RINGLEADER_PEER_PATH
  --base nutcracker      the endpoint that ratios are taken to, besides direct
  --node PATH            the Node that runs ringleader
  --workers 1            ringleader's workers
  --transport auto       ringleader's transport: auto, io_uring, epoll, node
  --variant 'LABEL [node=PATH] [main=PATH] [transport=T] [workers=N]'   one more ringleader, started differently
  --peer LABEL=HOST:PORT[:PID]                                          one more endpoint, already running
  --peer-command 'LABEL=COMMAND {port} {nodes}'                         one more endpoint, to be started
  --node-ports P1,P2,P3  ports for the three Redis servers, for a --peer that must know them
  --no-save              do not write the results to native-bench/results/
  --clean                instead: redis-benchmark's default tests must run through ringleader without an error line`;

/** Parses the command line; throws a BenchmarkError with the usage when it makes no sense. */
export function parseOptions(args: readonly string[], defaultMain: string): Options {
  const values = parse(args);
  if (values.help) {
    console.log(usage);
    process.exit(0);
  }
  const variant = { node: values.node, main: defaultMain, transport: values.transport, workers: values.workers };
  const variants = ['ringleader', ...values.variant].map((text) => parseVariant(text, variant));
  const all = values.clean ? variants.map(({ label }) => label) : null;
  return {
    points: pointsAsked(values),
    keys: count('keys', values.keys),
    rounds: count('rounds', values.rounds ?? (values.matrix ? '3' : '5')),
    requests: values.requests === 'auto' ? null : count('requests', values.requests),
    seconds: positive('seconds', values.seconds ?? (values.matrix ? '1' : '3')),
    nodePorts: values['node-ports'] === undefined ? null : nodePorts(values['node-ports']),
    variants,
    peerFolders: values['peer-path'].split(delimiter).filter((folder) => folder !== ''),
    peers: values.peer.map(parsePeer),
    commandPeers: values['peer-command'].map(parseCommandPeer),
    only: values.only === undefined ? all : list(values.only),
    base: values.base,
    clean: values.clean,
    save: !values['no-save'],
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        tests: { type: 'string' },
        depths: { type: 'string' },
        clients: { type: 'string' },
        sizes: { type: 'string' },
        matrix: { type: 'boolean', default: false },
        keys: { type: 'string', default: '100000' },
        rounds: { type: 'string' },
        requests: { type: 'string', default: 'auto' },
        seconds: { type: 'string' },
        workers: { type: 'string', default: '1' },
        transport: { type: 'string', default: 'auto' },
        node: { type: 'string', default: process.execPath },
        base: { type: 'string', default: 'nutcracker' },
        only: { type: 'string' },
        'node-ports': { type: 'string' },
        variant: { type: 'string', multiple: true, default: [] },
        'peer-path': { type: 'string', default: process.env['RINGLEADER_PEER_PATH'] ?? '' },
        peer: { type: 'string', multiple: true, default: [] },
        'peer-command': { type: 'string', multiple: true, default: [] },
        clean: { type: 'boolean', default: false },
        'no-save': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    throw new BenchmarkError(`${error instanceof Error ? error.message : error}\n\n${usage}`);
  }
}

function pointsAsked(values: ReturnType<typeof parse>): Point[] {
  const numbers = (name: 'depths' | 'clients' | 'sizes', usual: readonly number[]) => {
    const text = values[name];
    if (text !== undefined) return list(text).map((one) => count(name, one));
    return values.matrix ? MATRIX[name] : usual;
  };
  const tests = values.tests === undefined ? null : list(values.tests).map(testName);
  const points = pointsOf({
    tests: tests ?? (values.matrix ? TEST_NAMES : ['get', 'set']),
    depths: numbers('depths', [1, 16]),
    clients: numbers('clients', [50]),
    sizes: numbers('sizes', [64]),
  });
  return values.matrix ? points.filter(isSensible) : points;
}

function testName(text: string): TestName {
  const found = TEST_NAMES.find((name) => name === text);
  if (found === undefined) throw new BenchmarkError(`--tests ${text}: one or more of ${TEST_NAMES.join(',')}`);
  return found;
}

/** `n26 node=/opt/node26/bin/node workers=2` */
function parseVariant(text: string, defaults: Record<'node' | 'main' | 'transport' | 'workers', string>): Variant {
  const [label = '', ...settings] = text.trim().split(/\s+/);
  const merged = new Map(Object.entries(defaults));
  for (const setting of settings) {
    const [name = '', value = ''] = setting.split('=', 2);
    if (!merged.has(name) || value === '') throw new BenchmarkError(`--variant ${text}: ${setting}?\n\n${usage}`);
    merged.set(name, value);
  }
  const of = (name: keyof typeof defaults) => merged.get(name) ?? defaults[name];
  const workers = count('workers', of('workers'));
  return { label, node: of('node'), main: of('main'), transport: of('transport'), workers };
}

function parsePeer(text: string): RunningPeer {
  const [, label, host, port, pid] = /^([^=]+)=([^:]+):(\d+)(?::(\d+))?$/.exec(text) ?? [];
  if (label === undefined || host === undefined || port === undefined) {
    throw new BenchmarkError(`--peer ${text}: expected LABEL=HOST:PORT[:PID]`);
  }
  return { label, host, port: Number(port), pids: pid === undefined ? [] : [Number(pid)] };
}

function parseCommandPeer(text: string): CommandPeer {
  const [, label, command] = /^([^=\s]+)=(.+)$/.exec(text) ?? [];
  if (label === undefined || command === undefined) {
    throw new BenchmarkError(`--peer-command ${text}: expected LABEL=COMMAND`);
  }
  return { label, command };
}

function nodePorts(text: string): number[] {
  const ports = list(text).map((port) => count('node-ports', port));
  if (ports.length !== 3) throw new BenchmarkError('--node-ports: three ports');
  return ports;
}

function list(text: string): string[] {
  return text.split(',').filter((part) => part !== '');
}

function count(name: string, text: string): number {
  const value = positive(name, text);
  if (!Number.isInteger(value)) throw new BenchmarkError(`--${name} ${text}: a whole number\n\n${usage}`);
  return value;
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new BenchmarkError(`--${name} ${text}: a number above 0\n\n${usage}`);
  return value;
}
