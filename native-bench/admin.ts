/**
 * The admin port under load, and what that costs the data plane: README.md says how.
 *
 *   for each round: /readyz and /status of an idle proxy; then redis-benchmark alone, and with each of them asked meanwhile
 *
 *   npm run bench:admin -- [--rounds 4] [--seconds 3] [--depths 1] and more of compare's options
 */
import autocannon, { type Result } from 'autocannon';
import { BenchmarkError, Children, run } from './compare/children.js';
import { type Endpoint, mainPath, startEndpoints, startNodes } from './compare/endpoints.js';
import { awaitAnswer, fill } from './compare/fill.js';
import { type Load, runLoad } from './compare/load.js';
import { parseOptions } from './compare/options.js';
import type { Point } from './compare/points.js';
import { findPrograms, type Programs } from './compare/programs.js';
import { median } from './compare/rounds.js';

interface Asking {
  label: string;
  path: '/readyz' | '/status';
  /** Requests per second; null is as many as can be. */
  rate: number | null;
}

interface Run {
  label: string;
  /** Null where the admin port was not asked. */
  admin: { rps: number; p50Ms: number; p99Ms: number } | null;
  /** Null where there was no load. */
  commandsPerSecond: number | null;
}

const DEFAULTS = ['--rounds', '4', '--depths', '1', '--tests', 'get', '--only', 'ringleader'];
const CONNECTIONS = 4;
/** More than an orchestrator, a monitor and a person together. */
const CALM_RATE = 10;
const ALONE = 'load alone';
const RUN_TIMEOUT_MS = 120_000;
const WARM_UP_REQUESTS = 100_000;

const ASKINGS: readonly Asking[] = [
  { label: '/readyz, as fast as can be', path: '/readyz', rate: null },
  { label: '/status, as fast as can be', path: '/status', rate: null },
  { label: `/status, ${CALM_RATE} a second`, path: '/status', rate: CALM_RATE },
];

await run(main);

async function main(): Promise<void> {
  const options = parseOptions([...DEFAULTS, ...process.argv.slice(2)], mainPath);
  const programs = await findPrograms();
  const children = new Children();
  const nodes = await startNodes(children, programs, options.nodePorts);
  const [endpoint] = await startEndpoints(children, programs, nodes, options);
  if (endpoint?.adminPort === undefined)
    throw new BenchmarkError('the first endpoint has no admin port: --only ringleader');
  await awaitAnswer(endpoint);
  const [point] = options.points as [Point];
  await fill(endpoint, point.test, options.keys, point.size);
  const load = (requests: number) =>
    runLoadOnce(children, programs, endpoint, { ...point, keys: options.keys, requests });
  const warmUp = await load(WARM_UP_REQUESTS);
  const requests = options.requests ?? Math.ceil((warmUp * options.seconds) / 1_000) * 1_000;

  const runs: Run[] = [];
  for (let round = 0; round < options.rounds; round++) {
    for (const asking of ASKINGS.filter(({ rate }) => rate === null)) {
      const admin = await ask(endpoint, asking, options.seconds);
      runs.push({ label: `idle: ${asking.label}`, admin, commandsPerSecond: null });
    }
    const alone = async () => ({ label: ALONE, admin: null, commandsPerSecond: await load(requests) });
    const asked = ASKINGS.map((asking) => async () => {
      const { admin, rps } = await askUnderLoad(endpoint, asking, () => load(requests));
      return { label: `load, ${asking.label}`, admin, commandsPerSecond: rps };
    });
    // Another one first each time: the speed of a shared machine drifts.
    const turns = [alone, ...asked];
    for (let turn = 0; turn < turns.length; turn++) {
      const run = await turns[(round + turn) % turns.length]?.();
      if (run !== undefined) runs.push(run);
    }
    console.error(`round ${round + 1} of ${options.rounds}`);
  }
  await children.close();
  print(runs);
}

async function runLoadOnce(children: Children, programs: Programs, endpoint: Endpoint, load: Load): Promise<number> {
  return (await runLoad(children, programs, endpoint, load, RUN_TIMEOUT_MS)).rps;
}

async function ask(endpoint: Endpoint, asking: Asking, seconds: number) {
  return summary(await cannon(endpoint, asking, seconds), asking);
}

/** Asks from before the load begins until it has ended. */
async function askUnderLoad(endpoint: Endpoint, asking: Asking, load: () => Promise<number>) {
  const running = cannon(endpoint, asking, RUN_TIMEOUT_MS / 1_000);
  try {
    const rps = await load();
    running.stop();
    return { rps, admin: summary(await running, asking) };
  } finally {
    running.stop();
  }
}

function cannon({ host, adminPort }: Endpoint, { path, rate }: Asking, duration: number) {
  const url = `http://${host}:${adminPort}${path}`;
  return autocannon({ url, connections: CONNECTIONS, duration, ...(rate === null ? {} : { overallRate: rate }) });
}

/** Anything but 200 would be no measurement. */
function summary({ requests, latency, errors, timeouts, non2xx, duration }: Result, asking: Asking) {
  const bad = errors + timeouts + non2xx;
  if (bad > 0 || requests.total === 0) {
    throw new BenchmarkError(
      `${asking.label}: ${errors} errors, ${timeouts} time-outs, ${non2xx} answers other than 200`,
    );
  }
  return { rps: requests.total / duration, p50Ms: latency.p50, p99Ms: latency.p99 };
}

/** Medians of the rounds; throughput of the data plane in relation to that of the load alone. */
function print(runs: readonly Run[]): void {
  const of = (label: string) => runs.filter((run) => run.label === label);
  const alone = median(of(ALONE).map(({ commandsPerSecond }) => commandsPerSecond ?? 0));
  const labels = [
    ...ASKINGS.map(({ label }) => `idle: ${label}`),
    ALONE,
    ...ASKINGS.map(({ label }) => `load, ${label}`),
  ];
  const rows = labels
    .filter((label) => of(label).length > 0)
    .map((label) => {
      const admin = of(label).flatMap((run) => (run.admin === null ? [] : [run.admin]));
      const commands = of(label).flatMap(({ commandsPerSecond }) => commandsPerSecond ?? []);
      const cell = (values: readonly number[], digits: number) =>
        values.length === 0 ? '' : median(values).toFixed(digits);
      const ratio = commands.length === 0 ? '' : (median(commands) / alone).toFixed(2);
      const asked = [
        cell(
          admin.map(({ rps }) => rps),
          0,
        ),
        cell(
          admin.map(({ p50Ms }) => p50Ms),
          0,
        ),
        cell(
          admin.map(({ p99Ms }) => p99Ms),
          0,
        ),
      ];
      return [label, ...asked, cell(commands, 0), ratio];
    });
  const head = ['', 'admin/s', 'p50 ms', 'p99 ms', 'commands/s', 'to alone'];
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0)));
  for (const row of [head, ...rows]) {
    console.log(
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join('  '),
    );
  }
}
