/**
 * How it goes with many clients, large values and several workers: README.md says what is measured.
 *
 *   npm run bench:scale -- [--only memory,bursts,idle,beside,workers,busy] [--idle-clients 10000] [--burst-clients 1000] [--quiet-clients 1000]
 *     [--clients-per-worker 50] [--mib 512] [--rounds 3] [--seconds 20]
 *
 * The exit code is 1 where more is used than may be.
 */
import { BenchmarkError, run } from './compare/children.js';
import { readPartOptions } from './compare/part-options.js';
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
  let isKept = true;
  if (options.parts.includes('memory')) isKept = (await tellMemory(options['idle-clients'])) && isKept;
  if (options.parts.includes('bursts')) isKept = (await tellBursts(options['burst-clients'])) && isKept;
  if (options.parts.includes('idle')) isKept = (await tellIdle(options['quiet-clients'], options.seconds)) && isKept;
  if (options.parts.includes('beside')) await tellBeside(options.mib, options.rounds, options.seconds);
  if (options.parts.includes('workers')) {
    const { rounds, seconds } = options;
    isKept = (await tellWorkers(options['clients-per-worker'], rounds, seconds)) && isKept;
  }
  if (options.parts.includes('busy')) await tellBusy(options.rounds, options.seconds);
  if (!isKept) throw new BenchmarkError('more is used than may be');
}

async function tellMemory(count: number): Promise<boolean> {
  const { clients, empty, connected, used, left } = await measureIdleMemory(count);
  console.log(`resident MB: ${mb(empty)} without clients, ${mb(connected)} with ${clients}, ${mb(used)} when each`);
  console.log(`  has asked twice (at most ${mb(IDLE_BYTES_MAX)}), ${mb(left)} when they have gone`);
  console.log(`  ${((used - empty) / clients).toFixed(0)} bytes a client`);
  return used <= IDLE_BYTES_MAX;
}

async function tellBursts(clients: number): Promise<boolean> {
  let isKept = true;
  for (const { label, before, peak, after, givenBackMs } of await measureBursts(clients)) {
    const given = Number.isNaN(givenBackMs)
      ? 'not given back'
      : `given back after ${(givenBackMs / 1_000).toFixed(1)} s`;
    console.log(`${clients} × ${label}: ${mb(before)} MB before, ${mb(peak)} at most, ${mb(after)} after it, ${given}`);
    isKept &&= !Number.isNaN(givenBackMs);
  }
  console.log(`  given back: within ${mb(LEFT_BYTES_MAX)} MB of before`);
  return isKept;
}

async function tellBeside(mib: number, rounds: number, seconds: number): Promise<void> {
  for (const { label, aloneMs, besideMs, transfers } of await measureBeside(mib, rounds, seconds)) {
    const times = `p99 of GET ${aloneMs.toFixed(2)} ms alone, ${besideMs.toFixed(2)} ms`;
    console.log(`${label}: ${times} while ${mib} MiB are written and read (${transfers} times)`);
  }
}

async function tellWorkers(clientsPerWorker: number, rounds: number, seconds: number): Promise<boolean> {
  let isKept = true;
  for (const row of await measureWorkers(clientsPerWorker, rounds, seconds)) {
    const own = `${row.proxyUs.toFixed(2)} µs of CPU a request (kernel ${row.kernelUs.toFixed(2)})`;
    const ratio = `${row.ratio.toFixed(2)} times one worker's (at most ${WORKERS_RATIO_MAX})`;
    console.log(`${row.label}, ${row.clients} clients (${row.sessions.join(' + ')}): ${own}, ${ratio};`);
    console.log(`  nodes ${row.nodesUs.toFixed(2)} µs`);
    isKept &&= row.ratio <= WORKERS_RATIO_MAX;
  }
  return isKept;
}

async function tellBusy(rounds: number, seconds: number): Promise<void> {
  for (const { place, p50Ms, p99Ms, cores } of await measureBesideBusy(rounds, seconds)) {
    const busy = place === 'nowhere' ? 'no pipelines' : `pipelines to ${place} (${cores.toFixed(2)} cores)`;
    console.log(`${busy}: GET p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms`);
  }
}

async function tellIdle(clients: number, seconds: number): Promise<boolean> {
  let isKept = true;
  for (const { label, share } of await measureIdle(clients, seconds)) {
    console.log(`idle, ${label}: ${(share * 100).toFixed(2)} % of a core (at most ${CORE_SHARE_MAX * 100} %)`);
    isKept &&= share <= CORE_SHARE_MAX;
  }
  return isKept;
}

function mb(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}
