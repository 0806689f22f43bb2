/**
 * How it goes with many clients: what they cost while they do nothing, and what a burst of theirs leaves behind.
 *
 *   npm run bench:scale -- [--only memory,bursts,idle,beside] [--idle-clients 10000] [--burst-clients 1000] [--quiet-clients 1000] [--seconds 20]
 *
 * The exit code is 1 where more is used than may be.
 */
import { BenchmarkError, run } from './compare/children.js';
import { readPartOptions } from './compare/part-options.js';
import { measureBeside } from './scale/beside.js';
import { CORE_SHARE_MAX, measureIdle } from './scale/idle.js';
import { IDLE_BYTES_MAX, LEFT_BYTES_MAX, measureBursts, measureIdleMemory } from './scale/memory.js';

const PARTS = ['memory', 'bursts', 'idle', 'beside'] as const;
const DEFAULTS = {
  'idle-clients': 10_000,
  'burst-clients': 1_000,
  'quiet-clients': 1_000,
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
