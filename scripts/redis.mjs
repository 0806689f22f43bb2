/**
 * A Redis for tests and for `npm start`: the one on PATH if it is recent enough, else Debian's packages, unpacked into a
 * cache. Run as a script it prints what it found, as JSON.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { hasDebianPackages, unpackedPackages } from './debian.mjs';
import { orExit, SetupError } from './setup.mjs';

const VERSION_MIN = [7, 0];
const NAMES = ['redis-server', 'redis-cli', 'redis-benchmark'];

/**
 * Returns `{ server, cli, benchmark, env, version }`: three commands, the environment variables to add when running them,
 * and the server's version. Throws a SetupError that says how to install Redis where there is none to be had.
 */
export function redisPrograms() {
  const onPath = programs((name) => name, {});
  if (onPath.version !== null && recentEnough(onPath.version)) return onPath;

  const found = onPath.version === null ? 'is not on PATH' : `on PATH is ${onPath.version}`;
  const needed = `redis-server ${VERSION_MIN.join('.')} or later is needed (with redis-cli and redis-benchmark) and ${found}`;
  if (!hasDebianPackages()) throw new SetupError(`${needed}. ${installAdvice()}`);
  const { root, env } = unpacked(needed);
  const debian = programs((name) => join(root, 'usr', 'bin', name), env);
  if (debian.version === null)
    throw new SetupError(`${needed}; the one unpacked in ${root} does not run: remove that folder`);
  if (recentEnough(debian.version)) return debian;
  throw new SetupError(
    `${needed}; this system's package has ${debian.version}. Take one from https://redis.io/downloads/`,
  );
}

function unpacked(needed) {
  try {
    return unpackedPackages(
      'redis',
      ['redis-server', 'redis-tools'],
      NAMES.map((name) => `usr/bin/${name}`),
    );
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    throw new SetupError(`${needed}. It could not be fetched: ${error.message}\n${installAdvice()}`);
  }
}

/** The programs at `path(name)`; `version` is null unless all of them run. */
function programs(path, env) {
  const versions = NAMES.map((name) => versionOf(path(name), env));
  const [server, cli, benchmark] = NAMES.map(path);
  return { server, cli, benchmark, env, version: versions.includes(null) ? null : versions[0] };
}

/** `7.0.15`, or null when the program does not run. */
function versionOf(program, env) {
  const result = spawnSync(program, ['--version'], { env: { ...process.env, ...env }, encoding: 'utf8' });
  if (result.status !== 0) return null;
  return /(?:v=|redis-cli |redis-benchmark )(\d+\.\d+\.\d+)/.exec(result.stdout)?.[1] ?? null;
}

function recentEnough(version) {
  const [major, minor] = version.split('.').map(Number);
  return major > VERSION_MIN[0] || (major === VERSION_MIN[0] && minor >= VERSION_MIN[1]);
}

function installAdvice() {
  const byPlatform = {
    darwin: 'Install it with: brew install redis',
    win32: 'Redis has no Windows version: work in WSL, https://learn.microsoft.com/windows/wsl/install',
    linux:
      'Install it and run this again: sudo apt-get install redis-server (Debian, Ubuntu), sudo dnf install redis (Fedora), ' +
      'sudo apk add redis (Alpine), sudo pacman -S redis (Arch)',
  };
  return byPlatform[process.platform] ?? 'Install it from https://redis.io/downloads/';
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  console.log(JSON.stringify(await orExit(redisPrograms), null, 2));
}
