/**
 * Programs from Debian's (and Ubuntu's) packages, unpacked into a cache and run from there: nothing is installed, no
 * service is started, and no privilege is needed. For tests and trials, not for production.
 *
 *   ~/.cache/ringleader/redis-debian12-x64/usr/bin/redis-server …
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { SetupError, say } from './setup.mjs';

/** Packages whose name does not follow from that of the library in them. */
const PACKAGE_OF_LIBRARY = {
  'libcrypto.so.3': ['libssl3', 'libssl3t64'],
  'liblua5.1-cjson.so.0': ['lua-cjson'],
  'liblua5.1-bitop.so.0': ['lua-bitop'],
};

/** True where Debian's packages can be had. */
export function hasDebianPackages() {
  return finds('apt-get') && finds('dpkg');
}

/**
 * Returns `{ root, env }`: where `packages`, and the libraries that `programs` (paths inside the packages) lack on this
 * system, are unpacked, and the variables that the programs need. Downloads them at the first call on a machine.
 */
export function unpackedPackages(name, packages, programs) {
  const cache = cacheFolder();
  const root = join(cache, `${name}-${systemName()}-${process.arch}`);
  if (!existsSync(root)) {
    say(`fetching Debian's ${packages.join(', ')} into ${root} (nothing is installed or started)`);
    // Made aside and renamed, so that what has the final name is whole, whoever else does the same now.
    const draft = mkdtempSync(join(cache, '.draft-'));
    try {
      unpack(draft, packages);
      unpackLibraries(draft, programs);
      renameOrYield(draft, root);
    } finally {
      rmSync(draft, { recursive: true, force: true });
    }
  }
  const libraries = libraryFolders(root);
  return { root, env: libraries.length > 0 ? { LD_LIBRARY_PATH: libraries.join(':') } : {} };
}

/** The folder that what is fetched lies in. Makes it. */
export function cacheFolder() {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ringleader');
  try {
    makeFolder(cache);
  } catch (error) {
    throw new SetupError(`${cache} cannot be made (${error.code}); set XDG_CACHE_HOME to a folder that can be written`);
  }
  return cache;
}

/**
 * As `mkdir -p`. Node 20's own way never comes back where the system lets nobody make a folder, as in /proc. What is compiled
 * has the same in src/control/make-folder.ts, which is not there yet when this runs.
 */
function makeFolder(path) {
  const parent = dirname(path);
  if (!existsSync(parent)) makeFolder(parent);
  try {
    mkdirSync(path);
  } catch (error) {
    if (error.code !== 'EEXIST' || !statSync(path).isDirectory()) throw error;
  }
}

/** Downloads `packages` and unpacks them into `root`. */
function unpack(root, packages) {
  const downloads = mkdtempSync(join(root, '..', '.draft-'));
  try {
    let result = run('apt-get', ['download', ...packages], downloads);
    if (result.status !== 0) {
      // The lists of packages may be missing, as in most containers, or so old that the server has only newer versions.
      const update = run('apt-get', ['update'], downloads);
      result = run('apt-get', ['download', ...packages], downloads);
      if (result.status !== 0) {
        const advice = update.status === 0 ? '' : '; `sudo apt-get update` may help, if this machine is online';
        throw new SetupError(
          `apt-get download ${packages.join(' ')} failed${advice}:\n${update.stderr}${result.stderr}`,
        );
      }
    }
    for (const file of readdirSync(downloads)) {
      const unpacked = run('dpkg', ['-x', join(downloads, file), root], downloads);
      if (unpacked.status !== 0) throw new SetupError(`dpkg -x ${file} failed: ${unpacked.stderr}`);
    }
  } finally {
    rmSync(downloads, { recursive: true, force: true });
  }
}

/** Adds the packages of libraries that the system's loader does not find, and of those that these lack in turn. */
function unpackLibraries(root, programs) {
  const tried = new Set();
  for (;;) {
    const missing = missingLibraries(root, programs);
    if (missing.length === 0) return;
    const packages = missing.map((library) => {
      const known = packageOf(library);
      if (known === null || tried.has(library)) throw new SetupError(`no package of this system has ${library}`);
      tried.add(library);
      return known;
    });
    unpack(root, [...new Set(packages)]);
  }
}

function missingLibraries(root, programs) {
  const env = { ...process.env, LC_ALL: 'C', LD_LIBRARY_PATH: libraryFolders(root).join(':') };
  const missing = new Set();
  for (const program of programs) {
    const listing = spawnSync('ldd', [join(root, program)], { env, encoding: 'utf8' });
    for (const match of listing.stdout.matchAll(/^\s*(\S+) => not found/gm)) missing.add(match[1]);
  }
  return [...missing];
}

/** `libjemalloc.so.2` is in libjemalloc2, `liblua5.1.so.0` in liblua5.1-0; with 64-bit time, names may end in t64. */
function packageOf(library) {
  const [, stem, version] = /^(.+)\.so\.(.+)$/.exec(library) ?? [];
  const regular = [`${stem}${version}`, `${stem}-${version}`, `${stem}${version}t64`];
  const candidates = PACKAGE_OF_LIBRARY[library] ?? regular;
  return candidates.find((candidate) => run('apt-cache', ['show', candidate], '/').status === 0) ?? null;
}

/** Folders under `root` that hold shared libraries. */
function libraryFolders(root) {
  const folders = [];
  for (const base of ['usr/lib', 'lib']) {
    const folder = join(root, base);
    if (!existsSync(folder)) continue;
    const nested = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    for (const candidate of [folder, ...nested.map((entry) => join(folder, entry.name))]) {
      if (readdirSync(candidate).some((name) => /\.so(\.|$)/.test(name))) folders.push(candidate);
    }
  }
  return folders;
}

/** Gives `draft` the name `root`, unless another process was faster: then its work is as good. */
export function renameOrYield(draft, root) {
  try {
    renameSync(draft, root);
  } catch (error) {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  }
}

/** `debian12`, `ubuntu24.04`: packages of one system need not run on another that shares the home directory. */
function systemName() {
  return `${systemId()}${systemFact('VERSION_ID')}` || 'unknown';
}

/** `debian`, `ubuntu`; empty where it is not known. */
export function systemId() {
  return systemFact('ID');
}

function systemFact(key) {
  const text = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  return new RegExp(`^${key}="?([^"\n]*)`, 'm').exec(text)?.[1] ?? '';
}

function finds(program) {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
}

function run(program, args, cwd) {
  const env = { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' };
  return spawnSync(program, args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
