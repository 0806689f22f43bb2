/** `ringleader start`: runs the proxy until a signal. */
import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { createLog } from '../base/log.js';
import { type Config, formatProblem, parseConfig } from '../config.js';
import type { LocalNodes } from '../control/local-nodes.js';
import type { Ringleader } from '../control/supervisor.js';
import { defineCommand, EXIT_FAILED } from './command.js';
import { CONFIG_OPTION, machineDefaults, readConfig } from './config-file.js';

export const start = defineCommand({
  name: 'start',
  about: 'run the proxy',
  usage: ['[--config FILE]'],
  text: `Runs the proxy until SIGTERM or Ctrl-C: then it takes no new clients, finishes what is in flight (for drainTimeout at the
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
  options: {
    config: CONFIG_OPTION,
    'accept-remap': { about: 'a reload may have existing keys looked for on other nodes' },
  },
  async run(values) {
    const path = values.config;
    const localNodes = path === undefined ? await (await import('../control/local-nodes.js')).startLocalNodes() : null;
    try {
      const config = localNodes === null ? readConfig(path as string) : parseOwn(localNodes.configText);
      if (config === null) return EXIT_FAILED;
      const acceptRemap = values['accept-remap'] === true;
      return await serve(config, localNodes, path === undefined ? null : { path, acceptRemap });
    } finally {
      await localNodes?.stop();
    }
  },
});

/** Where SIGHUP has the configuration read again, and whether keys may then be looked for elsewhere. */
interface Source {
  path: string;
  acceptRemap: boolean;
}

/** Milliseconds within which a second signal counts as the same. */
const ECHO_MS = 1_000;

/** Runs the proxy until a signal; resolves with the exit code. Without a source SIGHUP ends it, as a closed terminal does. */
async function serve(config: Config, localNodes: LocalNodes | null, source: Source | null): Promise<number> {
  // Here, so that what only prints need not load them.
  const [{ startAdminServer }, { startRingleader }] = await Promise.all([
    import('../admin/server.js'),
    import('../control/supervisor.js'),
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
  const reload = async () => {
    let result: ReturnType<typeof parseConfig>;
    try {
      result = parseConfig(readFileSync(path, 'utf8'), machineDefaults());
    } catch (error) {
      log.error({ file: path, reason: error instanceof Error ? error.message : String(error) }, 'reload-failed');
      return;
    }
    if ('config' in result) await ringleader.reload(result.config, acceptRemap);
    else log.error({ problems: result.problems.map((problem) => formatProblem(path, problem)) }, 'reload-failed');
  };
  // One at a time. However many signals come meanwhile, the file is read once more for all of them.
  let state: 'idle' | 'busy' | 'again' = 'idle';
  process.on('SIGHUP', async () => {
    const wasIdle = state === 'idle';
    state = wasIdle ? 'busy' : 'again';
    if (!wasIdle) return;
    for (;;) {
      await reload();
      if (state === 'busy') break;
      state = 'busy';
    }
    state = 'idle';
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

function parseOwn(text: string): Config {
  const result = parseConfig(text, machineDefaults());
  if ('config' in result) return result.config;
  throw new Error(result.problems.map((problem) => formatProblem('own configuration', problem)).join('\n'));
}
