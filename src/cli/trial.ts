/**
 * `ringleader start` without a configuration, for somebody who tries it: three Redis servers, the proxy in front, and words
 * about where all of it is.
 */
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import { UsageError } from '../base/usage-error.js';
import { type Config, formatProblem, parseConfig } from '../config.js';
import { FolderInUseError } from '../control/folder-lock.js';
import { freePort, isFreePort } from '../control/free-port.js';
import { defaultFolder, FolderUnusableError, type LocalNodes, startLocalNodes } from '../control/local-nodes.js';
import { portOwner } from '../control/port-owner.js';
import { machineDefaults } from './config-file.js';
import { serve, stopSignal } from './serve.js';

export interface Trial {
  /** Options as they were given. */
  port: string | undefined;
  adminPort: string | undefined;
  folder: string | undefined;
  fresh: boolean;
}

const HOST = '127.0.0.1';
const PORT = 6380;
const ADMIN_PORT = 9121;
const PORT_MAX = 65_535;
/** Apart from each other, so that who runs several can keep them apart. */
const PORT_STEP = 10;

/** Runs it until Ctrl-C; resolves with the exit code. */
export async function tryOut(trial: Trial): Promise<number> {
  const port = await takePort('port', trial.port, PORT);
  const adminPort = await takeAdminPort(trial.adminPort, port);
  // Before anything is started, so that a Ctrl-C now ends all of it too.
  const stopAsked = stopSignal('SIGINT', 'SIGTERM', 'SIGHUP');
  const folder = trial.folder === undefined ? defaultFolder() : resolve(trial.folder);
  const nodes = await startNodes(folder, trial.fresh, port);
  try {
    const config = configOf(nodes, port, adminPort);
    const onListening = () => void process.stderr.write(introduction(nodes, port, adminPort));
    return await serve({ config, warnings: [], source: null, onListening }, stopAsked);
  } finally {
    await nodes.stop();
  }
}

/** The port that was asked for, or `usual`. Rejects, with who has it and what to do, when it is taken. */
async function takePort(option: string, asked: string | undefined, usual: number): Promise<number> {
  const port = asked === undefined ? usual : parsePort(option, asked);
  if (await isFreePort(port)) return port;
  const owner = portOwner(port);
  const who =
    owner === null ? 'another process listens there' : `process ${owner.pid} listens there (${owner.command})`;
  const way = callWith(`--${option} ${await nextFreePort(port)}`);
  throw new Error(`cannot listen on ${HOST}:${port}: ${who}. Choose another port: ${way}`);
}

/** The usual one may be taken by another trial: then any will do. */
async function takeAdminPort(asked: string | undefined, port: number): Promise<number> {
  if (asked !== undefined) {
    const adminPort = await takePort('admin-port', asked, ADMIN_PORT);
    if (adminPort === port)
      throw new UsageError(`--admin-port ${asked} is the port of the proxy: it needs one of its own`);
    return adminPort;
  }
  if (port !== ADMIN_PORT && (await isFreePort(ADMIN_PORT))) return ADMIN_PORT;
  const adminPort = await freePort();
  process.stderr.write(
    `ringleader: port ${ADMIN_PORT} is taken; the admin port is ${adminPort} (--admin-port chooses it)\n`,
  );
  return adminPort;
}

function parsePort(option: string, text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= PORT_MAX) return port;
  throw new UsageError(`--${option}: expected a port, 1 to ${PORT_MAX}, found "${text}"`);
}

async function nextFreePort(taken: number): Promise<number> {
  for (let port = taken + PORT_STEP; port <= PORT_MAX; port += PORT_STEP) if (await isFreePort(port)) return port;
  return freePort();
}

async function startNodes(folder: string, fresh: boolean, port: number): Promise<LocalNodes> {
  try {
    return await startLocalNodes({ folder, fresh });
  } catch (error) {
    if (error instanceof FolderUnusableError) {
      const way = callWith('--folder FOLDER');
      throw new Error(`${error.message}. Choose another folder: ${way} (without it, $XDG_STATE_HOME/ringleader)`);
    }
    if (!(error instanceof FolderInUseError)) throw error;
    const way = callWith(`--port ${await nextFreePort(port)} --folder ${folder}-2`);
    throw new Error(
      `${error.message}: its Redis servers have their data there. End that one, or run a second beside it: ${way}`,
    );
  }
}

/** How to call this again with such options, by whom it was called. */
function callWith(options: string): string {
  return process.env['npm_lifecycle_event'] === 'start' ? `npm start -- ${options}` : `ringleader start ${options}`;
}

function configOf({ nodes }: LocalNodes, port: number, adminPort: number): Config {
  const main = { nodes: nodes.map(({ name, port }) => ({ name, url: `redis://${HOST}:${port}` })) };
  // JSON is YAML.
  const text = JSON.stringify({ listen: `${HOST}:${port}`, admin: `${HOST}:${adminPort}`, pools: { main } });
  const result = parseConfig(text, machineDefaults());
  if ('config' in result) return result.config;
  throw new Error(result.problems.map((problem) => formatProblem('own configuration', problem)).join('\n'));
}

function introduction({ folder, nodes, programs }: LocalNodes, port: number, adminPort: number): string {
  const variables = Object.entries(programs.env).map(([name, value]) => `${name}=${shellWord(value)}`);
  const cli = [...variables, shellWord(programs.cli)].join(' ');
  return `
Ringleader answers on ${HOST}:${port}, with three Redis servers of its own behind it.

  nodes    ${nodes.map(({ name, port }) => `${name} on ${HOST}:${port}`).join(', ')}
           (${programs.server} ${programs.version}, run from here: no service was installed or started)
  data     ${folder}
           (there again the next time; ${callWith('--fresh')} begins without them)
  admin    http://${HOST}:${adminPort}/status

Try, in another terminal:

  ${cli} -p ${port} mset hello world good morning
  ${cli} -p ${port} mget hello good

Ctrl-C ends all of it.

`;
}

/** A path as a shell takes it, as short as can be. */
function shellWord(path: string): string {
  if (!/^[\w./:@%+-]+$/.test(path)) return `'${path.replaceAll("'", "'\\''")}'`;
  const home = `${homedir()}/`;
  return path.startsWith(home) && !path.includes(':') ? `~/${path.slice(home.length)}` : path;
}
