/** redis-py, as its users run it: scripts of Python. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type ProgramResult, runProgram } from './run-program.js';

interface RedisPy {
  program: string;
  env: Record<string, string>;
  version: string;
}

/** Or why there is none on this machine. Tests run in the checkout's folder, wherever they were compiled to. */
export async function findRedisPy(): Promise<RedisPy | { reason: string }> {
  const script = pathToFileURL(join(process.cwd(), 'scripts', 'redis-py.mjs')).href;
  const { redisPy } = (await import(script)) as { redisPy(): RedisPy };
  try {
    return redisPy();
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}

/** Runs a script, which finds `args` in sys.argv. */
export function runPython({ program, env }: RedisPy, script: string, args: readonly string[]): Promise<ProgramResult> {
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return runProgram('env', [...variables, program, '-c', script, ...args]);
}
