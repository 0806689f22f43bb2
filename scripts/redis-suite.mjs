/**
 * Redis's own test suite, and the Tcl that runs it, for test/conformance: Debian's (or Ubuntu's) source package of redis,
 * fetched with a private list of sources into a cache. Nothing of the system is changed, and no privilege is needed. Run
 * as a script it prints what it found, as JSON.
 *
 *   ~/.cache/ringleader/redis-suite-7.0.15/tests/test_helper.tcl …
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { cacheFolder, hasDebianPackages, renameOrYield, systemId, unpackedPackages } from './debian.mjs';
import { orExit, SetupError, say } from './setup.mjs';

/** What the lists of test/conformance are of. */
export const SUITE_VERSION = '7.0.15';

/** The releases that have this version, and the keys that their lists are signed with. */
const ARCHIVES = {
  debian: {
    uri: 'http://deb.debian.org/debian',
    suite: 'bookworm',
    component: 'main',
    keys: '/usr/share/keyrings/debian-archive-keyring.gpg',
  },
  ubuntu: {
    uri: 'http://archive.ubuntu.com/ubuntu',
    suite: 'noble',
    component: 'universe',
    keys: '/usr/share/keyrings/ubuntu-archive-keyring.gpg',
  },
};

/**
 * Returns `{ root, version, tclsh, env }`: the folder that `tests/` of Redis's source is in, its version, a Tcl shell (8.5 or
 * later), and the variables that the shell needs. Throws a SetupError that says why where they cannot be had.
 */
export function redisSuite() {
  return { root: suiteFolder(), version: SUITE_VERSION, ...tclShell() };
}

function suiteFolder() {
  const cache = cacheFolder();
  const root = join(cache, `redis-suite-${SUITE_VERSION}`);
  if (existsSync(root)) return root;
  const archive = ARCHIVES[systemId()];
  if (archive === undefined || !hasDebianPackages()) {
    throw new SetupError(
      `Redis's test suite comes from Debian's source package of redis, and this is no Debian or Ubuntu`,
    );
  }
  say(`fetching the source of redis ${SUITE_VERSION} for its tests into ${root} (nothing is installed)`);
  // Made aside and renamed, so that what has the final name is whole, whoever else does the same now.
  const draft = mkdtempSync(join(cache, '.draft-'));
  try {
    const tarball = downloadSource(draft, archive);
    const tree = join(draft, 'tree');
    mkdirSync(tree);
    const members = ['tests', 'runtest', 'COPYING'].map((name) => `redis-${SUITE_VERSION}/${name}`);
    const unpacked = run('tar', ['-xzf', tarball, '-C', tree, '--strip-components=1', ...members], draft);
    if (unpacked.status !== 0) throw new SetupError(`${tarball} cannot be unpacked: ${unpacked.stderr}`);
    renameOrYield(tree, root);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return root;
}

/** Downloads the source package into `folder`, with lists of its own. Returns the path of Redis's own archive in it. */
function downloadSource(folder, { uri, suite, component, keys }) {
  const list = join(folder, 'sources.list');
  writeFileSync(list, `deb-src [signed-by=${keys}] ${mirror(uri)} ${suite} ${component}\n`);
  for (const path of ['state/lists/partial', 'cache/archives/partial'])
    mkdirSync(join(folder, path), { recursive: true });
  const settings = [
    ...[`Dir::State=${folder}/state`, `Dir::Cache=${folder}/cache`],
    ...[`Dir::Etc::SourceList=${list}`, 'Dir::Etc::SourceParts=/dev/null', 'Debug::NoLocking=1', 'APT::Sandbox::User='],
    ...['APT::Update::Error-Mode=any', 'Acquire::http::Timeout=20', 'Acquire::Retries=1'],
  ].flatMap((setting) => ['-o', setting]);
  for (const command of [['update'], ['source', '--download-only', '--tar-only', 'redis']]) {
    const { status, stderr } = run('apt-get', [...settings, ...command], folder);
    if (status !== 0) throw new SetupError(`apt-get ${command.join(' ')} failed for ${suite}: ${stderr.trim()}`);
  }
  const name = `redis_${SUITE_VERSION}.orig.tar.gz`;
  if (existsSync(join(folder, name))) return join(folder, name);
  const found = readdirSync(folder).filter((file) => file.startsWith('redis_'));
  throw new SetupError(`${suite} has ${found.join(', ') || 'no source of redis'}, and ${name} is needed`);
}

/** Where this system gets the same archive from, if it says so; `uri` otherwise. */
function mirror(uri) {
  const path = new URL(uri).pathname;
  const { status, stdout } = run('apt-get', ['indextargets', '--no-release-info', '--format', '$(REPO_URI)'], '/');
  const uris = status === 0 ? stdout.split('\n').map((line) => line.replace(/\/$/, '')) : [];
  return uris.find((candidate) => candidate.endsWith(path)) ?? uri;
}

/** `{ tclsh, env }`: the one on PATH, or Debian's. */
function tclShell() {
  for (const tclsh of ['tclsh8.6', 'tclsh', 'tclsh8.5']) if (runs(tclsh, {})) return { tclsh, env: {} };
  if (!hasDebianPackages()) throw new SetupError(`tclsh (Tcl 8.5 or later) is needed and not on PATH`);
  const { root, env } = unpackedPackages('tcl', ['tcl8.6', 'libtcl8.6'], ['usr/bin/tclsh8.6']);
  const tclsh = join(root, 'usr', 'bin', 'tclsh8.6');
  const shell = { tclsh, env: { ...env, TCL_LIBRARY: join(root, 'usr', 'share', 'tcltk', 'tcl8.6') } };
  if (!runs(tclsh, shell.env)) throw new SetupError(`${tclsh} does not run: remove ${root}`);
  return shell;
}

function runs(tclsh, env) {
  const script = 'package require Tcl 8.5; puts works';
  const options = { env: { ...process.env, ...env }, encoding: 'utf8', input: script };
  return spawnSync(tclsh, [], options).stdout?.trim() === 'works';
}

function run(program, args, cwd) {
  return spawnSync(program, args, { cwd, env: { ...process.env, LC_ALL: 'C' }, encoding: 'utf8' });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  console.log(JSON.stringify(await orExit(redisSuite), null, 2));
}
