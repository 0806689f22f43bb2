/** Modules for Redis to be tried with: one that has a command of each kind (trial-module.c), compiled where there is a compiler; RediSearch. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { scratchFolder } from './child.js';

/** Tests run in the checkout's folder. */
const SOURCE = join(process.cwd(), 'test', 'help', 'trial-module.c');

/** The path of the compiled module, or why there is none. */
export async function trialModule(): Promise<{ path: string } | { reason: string }> {
  const script = pathToFileURL(join(process.cwd(), 'scripts', 'c-compiler.mjs')).href;
  const { cCompiler } = (await import(script)) as { cCompiler(): { program: string; env: Record<string, string> } };
  let compiler: ReturnType<typeof cCompiler>;
  try {
    compiler = cCompiler();
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
  const path = join(scratchFolder('trial-module'), 'trial.so');
  execFileSync(compiler.program, ['-shared', '-fPIC', '-o', path, SOURCE], {
    env: { ...process.env, ...compiler.env },
  });
  return { path };
}

/** The path of RediSearch as Debian's package has it, unpacked into a cache; or why there is none. */
export async function rediSearch(): Promise<{ path: string } | { reason: string }> {
  const script = pathToFileURL(join(process.cwd(), 'scripts', 'debian.mjs')).href;
  const { hasDebianPackages, unpackedPackages } = (await import(script)) as {
    hasDebianPackages(): boolean;
    unpackedPackages(name: string, packages: string[], programs: string[]): { root: string };
  };
  if (!hasDebianPackages())
    return { reason: 'RediSearch comes from a package of Debian, and this is no Debian or Ubuntu' };
  try {
    const { root } = unpackedPackages('redisearch', ['redis-redisearch'], []);
    return { path: join(root, 'usr', 'lib', 'redis', 'modules', 'redisearch.so') };
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}
