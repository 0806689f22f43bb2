/**
 * How it goes with many clients, large values and several workers: README.md says what is measured.
 *
 *   npm run bench:scale -- [--only memory,bursts,idle,beside,workers,busy] [--idle-clients 10000] [--burst-clients 1000] [--quiet-clients 1000]
 *     [--clients-per-worker 50] [--mib 512] [--rounds 3] [--seconds 20] [--no-save]
 *
 * The exit code is 1 where more is used than may be.
 */
import { BenchmarkError, run } from './compare/children.js';
import { readPartOptions } from './compare/part-options.js';
import { findPrograms } from './compare/programs.js';
import { saveResults } from './compare/results.js';
import { measureBeside } from './scale/beside.js';
import { measureBesideBusy } from './scale/busy-worker.js';
import { CORE_SHARE_MAX, measureIdle } from './scale/idle.js';
import { IDLE_BYTES_MAX, LEFT_BYTES_MAX, measureBursts, measureIdleMemory } from './scale/memory.js';
import { measureWorkers, WORKERS_RATIO_MAX } from './scale/workers.js';

const PARTS = ['memory', 'bursts', 'idle', 'beside', 'workers', 'busy'] as const;
const DEFAULTS = {
  'idle-clients': 10_000,
  'burst-clients': 1_000,
  'quiet-clients': 1_000,
  'clients-per-worker': 50,
  seconds: 20,
  mib: 512,
  rounds: 3,
};

await run(main);

async function main(): Promise<void> {
  const options = readPartOptions(process.argv.slice(2), PARTS, DEFAULTS);
  const { rounds, seconds } = options;
  const tellers: Record<(typeof PARTS)[number], () => Promise<Told>> = {
    memory: () => tellMemory(options['idle-clients']),
    bursts: () => tellBursts(options['burst-clients']),
    idle: () => tellIdle(options['quiet-clients'], seconds),
    beside: () => tellBeside(options.mib, rounds, seconds),
    workers: () => tellWorkers(options['clients-per-worker'], rounds, seconds),
    busy: () => tellBusy(rounds, seconds),
  };
  const told = new Map<string, Told>();
  for (const part of PARTS) if (options.parts.includes(part)) told.set(part, await tellers[part]());
  if (options.isSaved) {
    const results = Object.fromEntries([...told].map(([part, { result }]) => [part, result]));
    const programs = await findPrograms();
    saveResults(
      { suffix: '-scale', raisedPriority: false, programs, nodeOf: new Map([['ringleader', process.execPath]]) },
      { options, results },
    );
  }
  if ([...told.values()].some(({ isKept }) => !isKept)) throw new BenchmarkError('more is used than may be');
}

/** What a part has measured, and whether that is within what is asked. */
interface Told {
  readonly result: unknown;
  readonly isKept: boolean;
}

async function tellMemory(count: number): Promise<Told> {
  const result = await measureIdleMemory(count);
  const { clients, empty, connected, used, left } = result;
  console.log(`resident MB: ${mb(empty)} without clients, ${mb(connected)} with ${clients}, ${mb(used)} when each`);
  console.log(`  has asked twice (at most ${mb(IDLE_BYTES_MAX)}), ${mb(left)} when they have gone`);
  console.log(`  ${((used - empty) / clients).toFixed(0)} bytes a client`);
  return { result, isKept: used <= IDLE_BYTES_MAX };
}

async function tellBursts(clients: number): Promise<Told> {
  const result = await measureBursts(clients);
  for (const { label, before, peak, after, givenBackMs } of result) {
    const given = Number.isNaN(givenBackMs)
      ? 'not given back'
      : `given back after ${(givenBackMs / 1_000).toFixed(1)} s`;
    console.log(`${clients} × ${label}: ${mb(before)} MB before, ${mb(peak)} at most, ${mb(after)} after it, ${given}`);
  }
  console.log(`  given back: within ${mb(LEFT_BYTES_MAX)} MB of before`);
  return { result, isKept: result.every(({ givenBackMs }) => !Number.isNaN(givenBackMs)) };
}

async function tellBeside(mib: number, rounds: number, seconds: number): Promise<Told> {
  const result = await measureBeside(mib, rounds, seconds);
  for (const { label, aloneMs, besideMs, transfers } of result) {
    const times = `p99 of GET ${aloneMs.toFixed(2)} ms alone, ${besideMs.toFixed(2)} ms`;
    console.log(`${label}: ${times} while ${mib} MiB are written and read (${transfers} times)`);
  }
  return { result, isKept: true };
}

async function tellWorkers(clientsPerWorker: number, rounds: number, seconds: number): Promise<Told> {
  const result = await measureWorkers(clientsPerWorker, rounds, seconds);
  for (const row of result) {
    const own = `${row.proxyUs.toFixed(2)} µs of CPU a request (kernel ${row.kernelUs.toFixed(2)})`;
    const ratio = `${row.ratio.toFixed(2)} times one worker's (at most ${WORKERS_RATIO_MAX})`;
    console.log(`${row.label}, ${row.clients} clients (${row.sessions.join(' + ')}): ${own}, ${ratio};`);
    console.log(`  nodes ${row.nodesUs.toFixed(2)} µs`);
  }
  return { result, isKept: result.every(({ ratio }) => ratio <= WORKERS_RATIO_MAX) };
}

async function tellBusy(rounds: number, seconds: number): Promise<Told> {
  const result = await measureBesideBusy(rounds, seconds);
  for (const { place, p50Ms, p99Ms, cores } of result) {
    const busy = place === 'nowhere' ? 'no pipelines' : `pipelines to ${place} (${cores.toFixed(2)} cores)`;
    console.log(`${busy}: GET p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms`);
  }
  return { result, isKept: true };
}

async function tellIdle(clients: number, seconds: number): Promise<Told> {
  const result = await measureIdle(clients, seconds);
  for (const { label, share } of result) {
    console.log(`idle, ${label}: ${(share * 100).toFixed(2)} % of a core (at most ${CORE_SHARE_MAX * 100} %)`);
  }
  return { result, isKept: result.every(({ share }) => share <= CORE_SHARE_MAX) };
}

function mb(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}
