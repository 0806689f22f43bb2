/** One unit of Redis's suite, run in external mode against one address. */
import { startChild } from '../help/child.js';
import { freePort } from '../help/free-port.js';
import type { Mode } from './run-kind.js';
import type { SuiteFolder } from './suite-folder.js';
import { parseSuiteOutput, type SuiteOutput, type TestResult } from './suite-output.js';

/** What one server that is not the suite's own can be asked: not to stop, to replicate, or to forget its statistics. */
const TAGS =
  '-slow -needs:debug -needs:repl -needs:save -needs:config-maxmemory -needs:config-resetstat -needs:pfdebug';
/** So long nothing may come before a test counts as hung. */
const SILENCE_S = 120;
const UNIT_TIMEOUT_MS = 900_000;
/** So many tests of a unit may hang before the rest is not run: each costs `SILENCE_S`. */
const HUNG_MAX = 4;
/** Below its `--baseport` the suite looks for a port of its own. */
const SUITE_PORTS = 32;

export interface UnitRun extends SuiteOutput {
  unit: string;
  /** Whether tests that need more databases than 0 were left out, since the target has no others. */
  leftOutDatabases: boolean;
  /** Why the unit has not all results, beside `exception` and `endedBlocks`; or null. */
  problem: string | null;
  durationMs: number;
}

/** What the suite is run against: a server that nobody has used before. */
export interface Target {
  port: number;
  /** Whether it takes SELECT 9, in which the suite works in plain mode. */
  hasDatabases: boolean;
  stop(): Promise<void>;
}

/**
 * Runs `unit` and resolves with what became of it. When a test hangs, the unit is run again without it, against another
 * target that `serve` makes. Tests of the names `leftOut` are not run; nor, where the target has one database, those that need more
 * (`--singledb`).
 */
export async function runUnit(
  folder: SuiteFolder,
  unit: string,
  mode: Mode,
  serve: () => Promise<Target>,
  leftOut: readonly string[] = [],
): Promise<UnitRun> {
  const startMs = performance.now();
  /** Names of tests that are left out since they hung, and what came of tests of these names until then. */
  const hung = new Set<string>();
  const ofHung: TestResult[] = [];
  for (;;) {
    const target = await serve();
    let ended: { text: string; isLate: boolean };
    try {
      ended = await runSuite(folder, await argumentsOf(unit, mode, target, [...leftOut, ...hung]));
    } finally {
      await target.stop();
    }
    const output = parseSuiteOutput(ended.text);
    const newlyHung = output.results.find(({ outcome }) => outcome === 'hung');
    if (newlyHung !== undefined && hung.size + 1 < HUNG_MAX) {
      hung.add(newlyHung.name);
      ofHung.push(...output.results.filter(({ name }) => name === newlyHung.name));
      continue;
    }
    let problem: string | null = null;
    if (ended.isLate) problem = `it was not at its end after ${UNIT_TIMEOUT_MS / 1000} s`;
    else if (newlyHung !== undefined) problem = `${HUNG_MAX} tests hung, and the rest was not run`;
    else if (!output.isComplete && output.exception === null) problem = `the suite ended early: ${ended.text.trim()}`;
    return {
      ...output,
      results: [...output.results, ...ofHung],
      unit,
      leftOutDatabases: mode === 'plain' && !target.hasDatabases,
      problem,
      durationMs: performance.now() - startMs,
    };
  }
}

async function argumentsOf(unit: string, mode: Mode, target: Target, leftOut: Iterable<string>): Promise<string[]> {
  const args = ['tests/test_helper.tcl', '--host', '127.0.0.1', '--port', `${target.port}`, '--single', unit];
  args.push('--tags', TAGS, '--durable', '--dont-clean', '--timeout', `${SILENCE_S}`);
  args.push('--baseport', `${(await freePort()) + SUITE_PORTS}`);
  if (mode === 'cluster') args.push('--cluster-mode');
  else if (!target.hasDatabases) args.push('--singledb');
  for (const name of leftOut) args.push('--skiptest', name);
  return args;
}

/** Resolves with what the suite wrote, when it has ended or was ended. */
async function runSuite(folder: SuiteFolder, args: readonly string[]): Promise<{ text: string; isLate: boolean }> {
  // On a dumb terminal it writes no colours. It starts processes of its own, so it gets a group of its own to be ended with.
  const env = { ...folder.env, TERM: 'dumb' };
  const child = await startChild('setsid', [folder.tclsh, ...args], { env, cwd: folder.path });
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    process.kill(-child.pid, 'SIGKILL');
  }, UNIT_TIMEOUT_MS);
  await child.ended;
  clearTimeout(timer);
  return { text: child.output(), isLate };
}
