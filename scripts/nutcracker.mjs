/**
 * nutcracker (twemproxy), to compare with: the one that is installed, else Debian's package, unpacked into a cache. Run as a
 * script it prints what it found, as JSON.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { hasDebianPackages, unpackedPackages } from './debian.mjs';
import { orExit, SetupError } from './setup.mjs';

const PATH_IN_PACKAGE = join('usr', 'sbin', 'nutcracker');

/**
 * Returns `{ program, env, version }`: the command, the environment variables to add when running it, and its version.
 * Throws a SetupError where there is none to be had.
 */
export function nutcrackerProgram() {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  const installed = folders.map((folder) => join(folder, 'nutcracker')).find((path) => existsSync(path));
  if (installed !== undefined) return { program: installed, env: {}, version: versionOf(installed, {}) };
  if (!hasDebianPackages()) throw new SetupError('nutcracker is not installed, and this is no Debian or Ubuntu');
  const { root, env } = unpackedPackages('nutcracker', ['nutcracker'], [PATH_IN_PACKAGE]);
  const program = join(root, PATH_IN_PACKAGE);
  return { program, env, version: versionOf(program, env) };
}

/** It writes `This is nutcracker-0.5.0` to standard error. */
function versionOf(program, env) {
  const { stdout, stderr } = spawnSync(program, ['-V'], { env: { ...process.env, ...env }, encoding: 'utf8' });
  const version = /nutcracker-(\S+)/.exec(`${stdout}${stderr}`)?.[1];
  if (version === undefined) throw new SetupError(`${program} does not run`);
  return version;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  console.log(JSON.stringify(await orExit(nutcrackerProgram), null, 2));
}
