/** One run of load against one endpoint: by redis-benchmark, or, where it cannot ask what is to be asked, by bench:load. */
import type { LoadReport } from '../load/load-run.js';
import { BenchmarkError, type Children } from './children.js';
import { type Programs, root } from './programs.js';
import { commandsOf, keyCount, type TestName } from './tests.js';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** What is loaded, and what it is called. */
export interface Target extends Address {
  readonly label: string;
}

export interface Load {
  readonly test: TestName;
  readonly requests: number;
  readonly clients: number;
  /** Commands a client sends before it waits for their replies (-P). */
  readonly depth: number;
  /** Bytes of a value. */
  readonly size: number;
  /** Keys are drawn from as many at random, so that the load spreads over the nodes; fewer where values are large. */
  readonly keys: number;
}

export interface LoadResult {
  readonly rps: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Runs `load` and returns what was measured. Throws a BenchmarkError when anything went wrong. */
export async function runLoad(
  children: Children,
  programs: Programs,
  endpoint: Target,
  load: Load,
  timeoutMs: number,
): Promise<LoadResult> {
  const { test, requests, clients, depth, size } = load;
  const what = `load on ${endpoint.label} (${test}, P=${depth}, ${clients} clients, ${size} bytes)`;
  const [words = [], ...others] = commandsOf(test, size);
  if (others.length > 0) return await runMixed(children, endpoint, load, what, timeoutMs);
  const args = ['-c', clients, '-n', requests, '-P', depth, '-r', keyCount(test, load.keys, size)];
  const { stdout } = await runBenchmark(children, programs, endpoint, [...args, ...words], what, timeoutMs);
  const rows = parseCsv(stdout);
  const row = rows[0];
  if (rows.length !== 1 || row === undefined) throw new BenchmarkError(`${what} printed no result: ${stdout}`);
  return { rps: row.rps, p50Ms: row.p50Ms, p99Ms: row.p99Ms };
}

/** Several commands in one run, which redis-benchmark does not have. */
async function runMixed(
  children: Children,
  { host, port }: Address,
  { test, requests, clients, depth, size, keys }: Load,
  what: string,
  timeoutMs: number,
): Promise<LoadResult> {
  const numbers = { requests, clients, depth, size, keys };
  const pairs = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  const args = ['--target', `${host}:${port}`, '--test', test, ...pairs];
  const { achievedRate, latencyUs, errors } = await runOwnLoad(children, args, what, timeoutMs);
  refuseErrors(errors, what);
  return { rps: achievedRate, p50Ms: latencyUs.p50 / 1_000, p99Ms: latencyUs.p99 / 1_000 };
}

/** Runs `bench:load` with any arguments. */
export async function runOwnLoad(children: Children, args: readonly string[], what: string, timeoutMs: number) {
  const all = [loadPath, ...args, '--no-fill', '--json'];
  const { code, stdout, stderr } = await children.run(what, process.execPath, all, timeoutMs);
  if (code !== 0) throw new BenchmarkError(`${what} failed (exit ${code}): ${stderr.trim()}`);
  return JSON.parse(stdout) as LoadReport & { readonly lateness: string | null };
}

/** Throws a BenchmarkError when there is any: a figure of error replies is none. */
export function refuseErrors(errors: LoadReport['errors'], what: string): void {
  const kinds = Object.entries(errors).map(([word, count]) => `${count} times ${word}`);
  if (kinds.length > 0) throw new BenchmarkError(`${what}: ${kinds.join(', ')}`);
}

const loadPath = new URL('dist/native-bench/load.js', root).pathname;

/**
 * Runs redis-benchmark with any arguments, as CSV. It must exit with 0 and write no error line: it goes on after some
 * errors, and then its figures are those of error replies.
 */
export async function runBenchmark(
  children: Children,
  programs: Programs,
  endpoint: Address,
  args: readonly (string | number)[],
  what: string,
  timeoutMs: number,
): Promise<{ stdout: string; stderr: string }> {
  const { benchmark, env } = programs.redis;
  const address = ['-h', endpoint.host, '-p', `${endpoint.port}`];
  const all = [...address, '--csv', ...args.map(String)];
  const { code, stdout, stderr } = await children.run(what, benchmark, all, timeoutMs, { env });
  const errors = `${stderr}\n${stdout}`.split('\n').filter((line) => isError(line));
  if (errors.length > 0 || code !== 0) {
    throw new BenchmarkError(
      `${what} failed (exit ${code}): ${[...new Set(errors)].slice(0, 5).join(' | ') || stderr}`,
    );
  }
  return { stdout, stderr };
}

/** The rows under the heading `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms",…`. */
export function parseCsv(stdout: string): (LoadResult & { readonly test: string })[] {
  const [heading, ...rows] = stdout
    .split('\n')
    .filter((line) => line.startsWith('"'))
    .map((line) => line.slice(1, -1).split('","'));
  const column = (name: string) => heading?.indexOf(name) ?? -1;
  return rows.map((row) => ({
    test: row[0] ?? '',
    rps: Number(row[column('rps')]),
    p50Ms: Number(row[column('p50_latency_ms')]),
    p99Ms: Number(row[column('p99_latency_ms')]),
  }));
}

/** Proxies without CONFIG only miss a note about persistence in redis-benchmark's report. */
function isError(line: string): boolean {
  return /err|could not|fail|closed/i.test(line) && line !== 'WARNING: Could not fetch server CONFIG';
}
