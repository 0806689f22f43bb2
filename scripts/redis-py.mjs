/**
 * redis-py, to be tried with: Debian's package, unpacked into a cache, and what it needs. Run as a script it prints what it found, as JSON.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { hasDebianPackages, unpackedPackages } from './debian.mjs';
import { orExit, SetupError } from './setup.mjs';

const PACKAGES = [
  ...['python3-redis', 'python3-async-timeout', 'python3-deprecated', 'python3-wrapt', 'python3-packaging'],
  'python3-typing-extensions',
];

/**
 * Returns `{ program, env, version }`: python3 of this machine, the variables to add when running it, so that `import redis` finds
 * the library, and that one's version. Throws a SetupError where there is none to be had.
 */
export function redisPy() {
  const program = 'python3';
  if (spawnSync(program, ['--version']).status !== 0) throw new SetupError('there is no python3');
  if (!hasDebianPackages())
    throw new SetupError('redis-py comes from a package of Debian, and this is no Debian or Ubuntu');
  const { root } = unpackedPackages('redis-py', PACKAGES, []);
  const env = { PYTHONPATH: join(root, 'usr', 'lib', 'python3', 'dist-packages') };
  const { status, stdout, stderr } = spawnSync(program, ['-c', 'import redis; print(redis.__version__)'], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
  if (status !== 0) throw new SetupError(`redis-py does not run:\n${stderr}`);
  return { program, env, version: stdout.trim() };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  console.log(JSON.stringify(await orExit(redisPy), null, 2));
}
