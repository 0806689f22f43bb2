/** The command line: `ringleader start`, `ringleader check`, `ringleader ring`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Logger } from 'pino';
import { formatEndpoint } from './base/endpoint.js';
import { createLog } from './base/log.js';
import { nearestWord } from './base/nearest.js';
import { UsageError } from './base/usage-error.js';
import { packageVersion } from './base/version.js';
import { type Config, formatProblem, parseConfig } from './config.js';
import { defaultWorkers } from './control/cpus.js';
import type { LocalNodes } from './control/local-nodes.js';
import type { Ringleader } from './control/supervisor.js';

const HELP = `Ringleader: one address in front of many Redis servers.

  ringleader start [--config FILE]   run the proxy
  ringleader check --config FILE     say what is wrong with a configuration, and run nothing
  ringleader check --import FILE     turn a configuration of nutcracker (twemproxy) into one of Ringleader
  ringleader ring --config FILE      say who owns how much, and what would move if nodes came or went
  ringleader help [start | check | ring]    more about one of them
  ringleader --version
`;

const COMMAND_HELP: Record<string, string> = {
  start: `ringleader start [--config FILE]

Runs the proxy until SIGTERM or Ctrl-C: then it takes no new clients, finishes what is in flight (for drainTimeout at the
most), and exits with 0. The log goes to standard output: pretty on a terminal, else one JSON object a line.

SIGHUP has the file read again: a good one holds at once, without dropping a connection; a bad one is said in the log, and
the old one stays. A change that would have existing keys looked for on other nodes is refused, unless --accept-remap was given.

Without --config it starts three Redis servers of its own, which keep nothing, and listens on 127.0.0.1:6380: to try it.

A configuration needs no more than its nodes:

  listen: 127.0.0.1:6380
  pools:
    main:
      nodes:
        - { name: a, url: "redis://127.0.0.1:7001" }
        - { name: b, url: "redis://user:password@127.0.0.1:7002", weight: 2 }

A node's name decides which keys it has (its weight, how many). It is host:port unless given; a node that moves to
another address keeps its keys if it keeps its name.
`,
  check: `ringleader check --config FILE
ringleader check --import nutcracker.yml > ringleader.yml

Prints every problem of the file as FILE:LINE:COLUMN: what was expected, and what was found; then exits with 1. Exits with
0 when there is none. Connects to nothing. Passwords are not printed.

--import prints nutcracker's configuration as one of Ringleader: each pool keeps its address, each key its server. What
is dropped stands in comments with the reason; what cannot be taken over is said by its line, and nothing is printed.
Here passwords are printed: they are part of the configuration.
`,
  ring: `ringleader ring --config FILE [--pool NAME] [--add NODE[=WEIGHT]] [--remove NODE] [--key KEY] [--svg FILE]

Prints, for every keyspace, how much each node owns and how well that fits its weight. Connects to nothing.

  share       what the node owns, of all slots (or of all hashes, with ketama and modula)
  by weight   what it would own if keys could be divided exactly by the weights
  filled      the one against the other; the nearer all are to 100 %, the better the balance

--add and --remove, as often as needed, say what would move if nodes came or went, and how much of that is unavoidable: a
node that joins three others must get a quarter of the keys, and a good ring moves hardly more. Nodes are named as in the
file (host:port where they have no name); NODE=2 has weight 2. With several pools, --pool says which.

--key, as often as needed, says where a key is, and by which part of it.
--svg draws it all: the circle of the keys in the colours of their nodes. With a change, the inner circle is what is now.

  ringleader ring --config ringleader.yml --add 10.0.0.4:6379=2 --svg ring.svg
`,
};

/** Which options each command takes. */
const OPTIONS: Readonly<Record<string, readonly string[]>> = {
  start: ['config', 'accept-remap'],
  check: ['config', 'import'],
  ring: ['config', 'pool', 'add', 'remove', 'key', 'svg'],
};

/** The exit code tells a wrong call from a failure. */
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** Milliseconds within which a second signal counts as the same. */
const ECHO_MS = 1_000;

async function main(): Promise<number> {
  const { values, positionals } = parseCommandLine();
  const [command = 'help', topic, ...more] = positionals;
  if (values.version === true) return print(`ringleader ${packageVersion()}`);
  if (command === 'help') return print(COMMAND_HELP[topic ?? ''] ?? HELP);
  if (values.help === true) return print(COMMAND_HELP[command] ?? HELP);
  if (topic !== undefined)
    throw new UsageError(`"${[topic, ...more].join(' ')}" is one word too many after ${command}`);
  const stranger = Object.keys(values).find((option) => OPTIONS[command]?.includes(option) === false);
  if (stranger !== undefined) throw new UsageError(`${command} has no option --${stranger}`);
  if (command === 'check') return values.import === undefined ? check(values.config) : importFile(values.import);
  if (command === 'start') return start(values.config, values['accept-remap'] === true);
  if (command === 'ring') return ring(values);
  const nearest = nearestWord(command, [...Object.keys(OPTIONS), 'help']);
  throw new UsageError(`there is no command "${command}"${nearest === null ? '' : `; did you mean ${nearest}?`}`);
}

function parseCommandLine() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c' },
        'accept-remap': { type: 'boolean' },
        import: { type: 'string' },
        pool: { type: 'string' },
        add: { type: 'string', multiple: true },
        remove: { type: 'string', multiple: true },
        key: { type: 'string', multiple: true },
        svg: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean', short: 'v' },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function check(path: string | undefined): number {
  if (path === undefined) throw new UsageError('check needs --config FILE');
  const config = readConfig(path);
  if (config === null) return EXIT_FAILED;
  const nodes = config.pools.map((pool) => `${pool.nodes.length} in ${pool.name}`).join(', ');
  return print(`${path}: good; listens on ${config.listen.map(formatEndpoint).join(', ')}; nodes: ${nodes}`);
}

async function importFile(path: string): Promise<number> {
  const { importNutcracker } = await import('./control/nutcracker-import.js');
  const result = importNutcracker(readText(path));
  if ('yaml' in result) return print(result.yaml);
  for (const problem of result.problems) process.stderr.write(`${formatProblem(path, problem)}\n`);
  return EXIT_FAILED;
}

/** Says, and draws, who owns how much. */
async function ring(values: ReturnType<typeof parseCommandLine>['values']): Promise<number> {
  if (values.config === undefined) throw new UsageError('ring needs --config FILE');
  const config = readConfig(values.config, 'toPlan');
  if (config === null) return EXIT_FAILED;
  const [{ BulkPool }, { viewRings }, { reportRing }] = await Promise.all([
    import('./control/bulk-pool.js'),
    import('./control/ring-view.js'),
    import('./control/ring-report.js'),
  ]);
  const bulk = new BulkPool();
  try {
    const change = { add: values.add ?? [], remove: values.remove ?? [] };
    const views = await viewRings(config, values.pool ?? null, change, bulk);
    if (values.svg !== undefined) {
      const { drawRings } = await import('./control/ring-drawing.js');
      writeFileSync(values.svg, drawRings(views));
    }
    return print(views.map((view) => reportRing(view, values.key ?? [])).join('\n'));
  } finally {
    await bulk.destroy();
  }
}

async function start(path: string | undefined, acceptRemap: boolean): Promise<number> {
  const localNodes = path === undefined ? await (await import('./control/local-nodes.js')).startLocalNodes() : null;
  try {
    const config = localNodes === null ? readConfig(path as string) : parseOwn(localNodes.configText);
    if (config === null) return EXIT_FAILED;
    return await run(config, localNodes, path === undefined ? null : { path, acceptRemap });
  } finally {
    await localNodes?.stop();
  }
}

/** Where SIGHUP has the configuration read again, and whether keys may then be looked for elsewhere. */
interface Source {
  path: string;
  acceptRemap: boolean;
}

/** Runs the proxy until a signal; resolves with the exit code. Without a source SIGHUP ends it, as a closed terminal does. */
async function run(config: Config, localNodes: LocalNodes | null, source: Source | null): Promise<number> {
  // Here, so that what only prints need not load them.
  const [{ startAdminServer }, { startRingleader }] = await Promise.all([
    import('./admin/server.js'),
    import('./control/supervisor.js'),
  ]);
  const { log, flush } = createLog(config.log);
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'uncaught-error');
    flush();
    process.exit(EXIT_FAILED);
  });
  const stopAsked = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, resolve);
    if (source === null) process.on('SIGHUP', resolve);
  });
  void stopAsked.then(hurryWhenAskedAgain);
  let ringleader: Ringleader | null = null;
  const { admin } = config;
  const adminServer = admin && (await startAdminServer(admin, { ready: () => ringleader?.ready() ?? false }));
  try {
    ringleader = await startRingleader({ config, log });
    if (process.env['RINGLEADER_TEST_HOOKS'] === '1') crashOnSignal(ringleader);
    if (localNodes !== null) tellWhatToTry(localNodes);
    if (source !== null) reloadOnSignal(ringleader, source, log);
    const signal = await stopAsked;
    log.info({ signal }, 'signal');
    return await ringleader.stop();
  } finally {
    await adminServer?.stop();
    flush();
  }
}

/** npm and the terminal both pass a Ctrl-C on, so that it comes twice; who asks again later does not want to wait. */
function hurryWhenAskedAgain(): void {
  setTimeout(() => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(EXIT_FAILED));
  }, ECHO_MS).unref();
}

/** SIGHUP: the file is read again. What is wrong with it goes to the log, and the configuration that runs stays. */
function reloadOnSignal(ringleader: Ringleader, { path, acceptRemap }: Source, log: Logger): void {
  process.on('SIGHUP', () => {
    let result: ReturnType<typeof parseConfig>;
    try {
      result = parseConfig(readFileSync(path, 'utf8'), { workers: defaultWorkers() });
    } catch (error) {
      log.error({ file: path, reason: error instanceof Error ? error.message : String(error) }, 'reload-failed');
      return;
    }
    if ('config' in result) ringleader.reload(result.config, acceptRemap);
    else log.error({ problems: result.problems.map((problem) => formatProblem(path, problem)) }, 'reload-failed');
  });
}

/** For tests of a worker's death: each SIGUSR2 is an uncaught error in the next of the workers. */
function crashOnSignal(ringleader: Ringleader): void {
  let next = 0;
  process.on('SIGUSR2', () => ringleader.crashWorker(next++ % ringleader.workerCount));
}

function tellWhatToTry({ cli }: LocalNodes): void {
  process.stderr.write(`
Three Redis servers of its own stand behind 127.0.0.1:6380. Try, in another terminal:

  ${cli} -p 6380 mset hello world good morning
  ${cli} -p 6380 mget hello good
  curl http://127.0.0.1:9121/readyz

Ctrl-C ends it all, and nothing is kept.

`);
}

/** The configuration in that file; prints what is wrong with it and returns null when it is not good. */
function readConfig(path: string, purpose: 'toServe' | 'toPlan' = 'toServe'): Config | null {
  const result = parseConfig(readText(path), { workers: defaultWorkers() }, purpose);
  if ('config' in result) return result.config;
  for (const problem of result.problems) process.stderr.write(`${formatProblem(path, problem)}\n`);
  return null;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new Error(`${path} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}

function parseOwn(text: string): Config {
  const result = parseConfig(text, { workers: defaultWorkers() });
  if ('config' in result) return result.config;
  throw new Error(result.problems.map((problem) => formatProblem('own configuration', problem)).join('\n'));
}

function print(text: string): number {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  return 0;
}

try {
  process.exit(await main());
} catch (error) {
  const isUsage = error instanceof UsageError;
  process.stderr.write(`ringleader: ${error instanceof Error ? error.message : error}\n`);
  if (isUsage) process.stderr.write('ringleader help says what there is\n');
  process.exit(isUsage ? EXIT_USAGE : EXIT_FAILED);
}
