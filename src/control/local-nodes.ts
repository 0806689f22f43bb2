/**
 * Three Redis servers for somebody who has none at hand: `ringleader start` without a configuration. They listen on
 * loopback only, end with the proxy, and find their data again the next time.
 *
 *   FOLDER/lock                     who uses it
 *   FOLDER/redis-a/process.json     which process that server is, while it runs
 *   FOLDER/redis-a/appendonlydir/   its data
 */
import { existsSync, realpathSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { FolderInUseError, type FolderLock, lockFolder } from './folder-lock.js';
import { endLeftover, type LocalServer, type RedisPrograms, startLocalServer } from './local-server.js';
import { makeFolder } from './make-folder.js';

/** Names decide which node has a key; ports may be others each time. */
const NODE_NAMES = ['a', 'b', 'c'] as const;

export interface LocalNodes {
  /** Where the data are. */
  folder: string;
  nodes: readonly { name: string; port: number }[];
  programs: RedisPrograms;
  /** Ends the servers. Their data stay. */
  stop(): Promise<void>;
}

/** The folder cannot be made, or not be written. */
export class FolderUnusableError extends Error {
  constructor(path: string, cause: unknown) {
    super(`data cannot be kept in ${path}: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}

/** Where this user's servers keep their data, unless told otherwise: by the XDG base directory specification. */
export function defaultFolder(env: NodeJS.ProcessEnv = process.env): string {
  const given = env['XDG_STATE_HOME'] ?? '';
  // The specification has relative paths ignored.
  const base = isAbsolute(given) ? given : join(homedir(), '.local', 'state');
  return join(base, 'ringleader');
}

/**
 * Starts the servers in `folder`, which is made if need be; `fresh`: without the data that are there. Rejects with a
 * FolderInUseError when another process runs servers there, with a FolderUnusableError when it cannot be written, with an
 * error that says what to install when there is no Redis.
 */
export async function startLocalNodes(options: { folder: string; fresh: boolean }): Promise<LocalNodes> {
  const programs = await findPrograms();
  const { folder, lock } = takeFolder(options.folder);
  const servers: LocalServer[] = [];
  // Whatever ends this process, short of a SIGKILL, ends the servers.
  const onExit = () => {
    for (const server of servers) server.terminate();
    lock.release();
  };
  process.once('exit', onExit);
  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop()));
    process.removeListener('exit', onExit);
    lock.release();
  };
  const start = async (name: string) => {
    const home = join(folder, `redis-${name}`);
    await endLeftover(home);
    if (options.fresh) rmSync(home, { recursive: true, force: true });
    const server = await startLocalServer(programs, home);
    servers.push(server);
    return { name, port: server.port };
  };
  const started = await Promise.allSettled(NODE_NAMES.map(start));
  const failed = started.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) {
    await stop();
    throw failed.reason;
  }
  const nodes = started.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  return { folder, nodes, programs, stop };
}

/** Makes the folder if need be. Its path is returned as servers know it: they change to their folders, and are started from any. */
function takeFolder(path: string): { folder: string; lock: FolderLock } {
  try {
    makeFolder(path);
    const folder = realpathSync(path);
    return { folder, lock: lockFolder(folder) };
  } catch (error) {
    if (error instanceof FolderInUseError) throw error;
    throw new FolderUnusableError(path, error);
  }
}

/** The script is plain JavaScript outside the compiled sources, so its type is stated here. */
async function findPrograms(): Promise<RedisPrograms> {
  const script = new URL('../../../scripts/redis.mjs', import.meta.url);
  if (!existsSync(script))
    throw new Error('this installation (an image?) has no Redis to try: give start --config FILE');
  const { redisPrograms } = (await import(script.href)) as { redisPrograms(): RedisPrograms };
  return redisPrograms();
}
