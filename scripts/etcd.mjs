/**
 * etcd, to compare with and to coordinate by: the one that is installed, else Debian's package, unpacked into a cache. Run as a script it
 * prints what it found.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { hasDebianPackages, unpackedPackages } from './debian.mjs';
import { orExit, SetupError } from './setup.mjs';

const PATH_IN_PACKAGE = join('usr', 'bin', 'etcd');

/** As `nutcrackerProgram` of nutcracker.mjs. Throws a SetupError where there is none to be had. */
export function etcdProgram() {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/bin'];
  const installed = folders.map((folder) => join(folder, 'etcd')).find((path) => existsSync(path));
  if (installed !== undefined) return { program: installed, env: {}, version: versionOf(installed, {}) };
  if (!hasDebianPackages()) throw new SetupError('etcd is not installed, and this is no Debian or Ubuntu');
  const { root, env } = unpackedPackages('etcd', ['etcd-server'], [PATH_IN_PACKAGE]);
  const program = join(root, PATH_IN_PACKAGE);
  return { program, env, version: versionOf(program, env) };
}

/** It writes `etcd Version: 3.4.23`. */
function versionOf(program, env) {
  const { stdout } = spawnSync(program, ['--version'], { env: { ...process.env, ...env }, encoding: 'utf8' });
  const version = /etcd Version: (\S+)/.exec(stdout ?? '')?.[1];
  if (version === undefined) throw new SetupError(`${program} does not run`);
  return version;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  console.log(JSON.stringify(await orExit(etcdProgram), null, 2));
}
