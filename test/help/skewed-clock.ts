/** Clocks that are wrong, by a library that is preloaded (skewed-clock.c). What a process measures with its monotonic clock stays right. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { scratchFolder } from './child.js';

/** Tests run in the checkout's folder. */
const SOURCE = join(process.cwd(), 'test', 'help', 'skewed-clock.c');
let library: Promise<string> | null = null;

/** Variables for a process whose clock is ahead by so many milliseconds; behind, if it is negative. */
export async function skewedClock(skewMs: number): Promise<Record<string, string>> {
  if (skewMs === 0) return {};
  library ??= compile();
  return { LD_PRELOAD: await library, SKEW_MS: `${skewMs}` };
}

async function compile(): Promise<string> {
  const script = pathToFileURL(join(process.cwd(), 'scripts', 'c-compiler.mjs')).href;
  const { cCompiler } = (await import(script)) as { cCompiler(): { program: string; env: Record<string, string> } };
  const { program, env } = cCompiler();
  const path = join(scratchFolder('skewed-clock'), 'skewed-clock.so');
  execFileSync(program, ['-shared', '-fPIC', '-nostdlib', '-o', path, SOURCE], { env: { ...process.env, ...env } });
  return path;
}
