/** Runs the proxy with its admin server until a signal, for `ringleader start` with and without a configuration. */
import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { type Config, formatProblem, formatWarning, type ParsedConfig, parseConfig } from '../config.js';
import type { StatusReport } from '../control/status.js';
import type { Ringleader } from '../control/supervisor.js';
import { EXIT_FAILED } from './command.js';
import { machineDefaults } from './config-file.js';
import { Hangups } from './hangups.js';
import { openLog } from './open-log.js';

/** Where SIGHUP has the configuration read again, and whether keys may then be looked for elsewhere. */
export interface Source {
  path: string;
  acceptRemap: boolean;
}

export interface Serving {
  config: Config;
  /** What it may not have been meant to say: for the log. */
  warnings: readonly string[];
  /** Null: SIGHUP ends the proxy, as a closed terminal does. */
  source: Source | null;
  /** Called when clients are taken. */
  onListening?: () => void;
}

/** Milliseconds within which a second signal counts as the same. */
const ECHO_MS = 1_000;

/** Resolves with the first of these signals. From now on none of them ends the process at once. */
export function stopSignal(...signals: readonly NodeJS.Signals[]): Promise<NodeJS.Signals> {
  const asked = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of signals) process.on(signal, resolve);
  });
  void asked.then(hurryWhenAskedAgain);
  return asked;
}

/** Resolves with the exit code when `stopAsked` has come and the proxy has ended. */
export async function serve(
  { config, warnings, source, onListening }: Serving,
  stopAsked: Promise<NodeJS.Signals>,
): Promise<number> {
  // Here, so that what only prints need not load them.
  const { admin } = config;
  const [adminPort, { startRingleader }, { StatusReport }, { log, end }] = await Promise.all([
    admin && import('../admin/server.js'),
    import('../control/supervisor.js'),
    import('../control/status.js'),
    openLog(config.log),
  ]);
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'uncaught-error');
    void end().then(() => process.exit(EXIT_FAILED));
  });
  const hangups = source && new Hangups();
  let ringleader: Ringleader | null = null;
  let report: StatusReport | null = null;
  const subject = { ready: () => ringleader?.ready() ?? false, status: () => report?.status() ?? null };
  const adminServer = adminPort && admin && (await adminPort.startAdminServer(admin, subject));
  try {
    logWarnings(log, warnings);
    const stopping = new AbortController();
    void stopAsked.then((signal) => stopping.abort(signal));
    const { signal: stopped } = stopping;
    try {
      ringleader = await startRingleader({ config, log, acceptRemap: source?.acceptRemap ?? false, stopped });
    } catch (error) {
      if (!stopped.aborted || error !== stopped.reason) throw error;
      // It still waited for the coordination store.
      log.info({ signal: stopped.reason }, 'signal');
      return 0;
    }
    report = new StatusReport(ringleader, source?.path ?? null);
    const hooks = process.env['RINGLEADER_TEST_HOOKS'];
    if (hooks === '1' || hooks === 'hang') breakOnSignal(ringleader, hooks === '1' ? 'crash' : 'hang');
    if (source !== null) hangups?.handle(reloader(ringleader, source, report, log));
    onListening?.();
    const signal = await stopAsked;
    log.info({ signal }, 'signal');
    return await ringleader.stop();
  } finally {
    report?.stop();
    await adminServer?.stop();
    await end();
  }
}

/** npm and the terminal both pass a Ctrl-C on, so that it comes twice; who asks again later does not want to wait. */
function hurryWhenAskedAgain(): void {
  setTimeout(() => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(EXIT_FAILED));
  }, ECHO_MS).unref();
}

/** SIGHUP: the file is read again. What is wrong with it goes to the log, and the configuration that runs stays. */
function reloader(
  ringleader: Ringleader,
  { path, acceptRemap }: Source,
  report: StatusReport,
  log: Logger,
): () => Promise<void> {
  return async () => {
    let result: ParsedConfig;
    try {
      result = parseConfig(readFileSync(path, 'utf8'), machineDefaults());
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.error({ file: path, reason }, 'reload-failed');
      report.onReload('failed', [reason]);
      return;
    }
    if ('config' in result) {
      logWarnings(
        log,
        result.warnings.map((warning) => formatWarning(path, warning)),
      );
      const { outcome, reasons } = await ringleader.reload(result.config, acceptRemap);
      report.onReload(outcome, reasons);
      return;
    }
    const problems = result.problems.map((problem) => formatProblem(path, problem));
    log.error({ problems }, 'reload-failed');
    report.onReload('invalid', problems);
  };
}

function logWarnings(log: Logger, warnings: readonly string[]): void {
  if (warnings.length > 0) log.warn({ warnings }, 'config-warnings');
}

/** For tests of a worker's death: each SIGUSR2 is an uncaught error, or an endless loop, in the next of the workers. */
function breakOnSignal(ringleader: Ringleader, how: 'crash' | 'hang'): void {
  let next = 0;
  process.on('SIGUSR2', () => ringleader.breakWorker(next++ % ringleader.workerCount, how));
}
