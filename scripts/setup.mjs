/**
 * Makes a checkout ready to run: Node's version, installed packages, compiled sources. Uses nothing but Node itself,
 * because it runs before the packages are there, and does nothing (in a few milliseconds) when all is in place.
 *
 * Two runs in one checkout wait for each other: `npm ci` removes node_modules before it fills it again.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { build, buildIsStale } from './build.mjs';
import { ROOT } from './root.mjs';

const NODE_MAJOR_MIN = 20;
const LOCK = join(ROOT, '.setup.lock');
const TEST_CLIENTS = join(ROOT, 'test', 'e2e', 'clients');

/** Installs and builds what is missing or out of date. Throws a SetupError that says what to do when it cannot. */
export async function setUp() {
  checkNode();
  if (!packagesAreStale(ROOT) && !buildIsStale()) return;
  const release = await lock();
  try {
    if (packagesAreStale(ROOT)) installPackages(ROOT);
    if (buildIsStale()) {
      say('compiling');
      if (!build()) throw new SetupError('the sources do not compile; the compiler says why above');
    }
  } finally {
    release();
  }
}

/** Installs what only the end-to-end tests need: Redis clients, with a lock file of their own. Returns their folder. */
export async function setUpTestClients() {
  if (!packagesAreStale(TEST_CLIENTS)) return TEST_CLIENTS;
  const release = await lock();
  try {
    if (packagesAreStale(TEST_CLIENTS)) installPackages(TEST_CLIENTS);
  } finally {
    release();
  }
  return TEST_CLIENTS;
}

/** One line about what is being done, on standard error: standard output belongs to the program. */
export function say(text) {
  process.stderr.write(`ringleader: ${text}\n`);
}

/** What stops the preparation. Its message names what is missing and how to get it. */
export class SetupError extends Error {}

/** Does `work` and returns its result; where a SetupError stops it, prints the message and ends the process. */
export async function orExit(work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
    process.exit(1);
  }
}

function checkNode() {
  const major = Number.parseInt(process.versions.node, 10);
  if (major < NODE_MAJOR_MIN) {
    throw new SetupError(
      `Node ${NODE_MAJOR_MIN} or later is needed, this is ${process.version}. ` +
        `Install it from https://nodejs.org/en/download, or with a version manager: nvm install ${NODE_MAJOR_MIN}`,
    );
  }
}

/** npm writes node_modules/.package-lock.json last, so its time is that of the last whole installation. */
function packagesAreStale(folder) {
  const installed = join(folder, 'node_modules', '.package-lock.json');
  if (!existsSync(installed)) return true;
  return statSync(join(folder, 'package-lock.json')).mtimeMs > statSync(installed).mtimeMs;
}

function installPackages(folder) {
  const modules = join(folder, 'node_modules');
  // npm follows it and removes what is there: the packages of another checkout.
  if (lstatSync(modules, { throwIfNoEntry: false })?.isSymbolicLink()) {
    throw new SetupError(
      `${modules} is a link, and npm ci would empty the folder that it leads to: run npm ci there, or remove the link`,
    );
  }
  say(`installing packages (npm ci${folder === ROOT ? '' : ` in ${folder}`})`);
  const options = {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    shell: process.platform === 'win32',
  };
  const result = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], options);
  if (result.error !== undefined) {
    throw new SetupError(
      `npm is needed and could not be started (${result.error.message}). It comes with Node: reinstall Node with npm`,
    );
  }
  if (result.status !== 0) {
    process.stderr.write(result.stdout + result.stderr);
    throw new SetupError(
      'npm ci failed; npm says why above. Without network, copy node_modules from a checkout of the same version',
    );
  }
}

/** Waits until no other run of this script works on the checkout. Returns the function that lets the next one in. */
async function lock() {
  for (let attempt = 0; ; attempt++) {
    try {
      mkdirSync(LOCK);
      writeFileSync(join(LOCK, 'pid'), String(process.pid));
      return () => rmSync(LOCK, { recursive: true, force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    if (lockIsAbandoned()) {
      rmSync(LOCK, { recursive: true, force: true });
      continue;
    }
    if (attempt === 0) say('waiting for another run that prepares this checkout');
    await sleep(200);
  }
}

/** True when the process that holds the lock is gone, or never got to write its id. */
function lockIsAbandoned() {
  try {
    const pid = Number(readFileSync(join(LOCK, 'pid'), 'utf8'));
    if (pid === 0) return Date.now() - statSync(LOCK).mtimeMs > 5_000;
    process.kill(pid, 0);
    return false;
  } catch (error) {
    if (error.code === 'ESRCH') return true;
    if (error.code === 'ENOENT') return existsSync(LOCK) && Date.now() - statSync(LOCK).mtimeMs > 5_000;
    return false;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await orExit(setUp);
