/**
 * Free ports for servers that tests start. They lie below the range from which the system takes the ports of outgoing
 * connections: a server that was killed must get its port back, although thousands of connections were made meanwhile.
 *
 * A port is found free a moment before its server listens there, and a server that was killed leaves its port free for a while.
 * So that no other test takes it in between, each process claims blocks of its own, by a file that names the process, and never
 * gives out a port twice.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PORT_MIN = 10_000;
const PORT_END = 32_768;
const BLOCK_PORTS = 64;
const BLOCKS = Math.floor((PORT_END - PORT_MIN) / BLOCK_PORTS);
const CLAIMS = join(tmpdir(), 'ringleader-test-ports');

let next = 0;
let blockEnd = 0;

/** A TCP port of 127.0.0.1 that nothing listens on. */
export async function freePort(): Promise<number> {
  for (;;) {
    if (next === blockEnd) {
      next = PORT_MIN + claimBlock() * BLOCK_PORTS;
      blockEnd = next + BLOCK_PORTS;
    }
    const port = next++;
    if (await isFree(port)) return port;
  }
}

/** The number of a block that is no other living process's. It is given back when this process ends. */
function claimBlock(): number {
  mkdirSync(CLAIMS, { recursive: true });
  for (let tried = 0; tried < BLOCKS; tried++) {
    const block = (process.pid + tried) % BLOCKS;
    const path = join(CLAIMS, `${block}`);
    if (!tryClaim(path)) continue;
    process.once('exit', () => rmSync(path, { force: true }));
    return block;
  }
  throw new Error(`all blocks of ports are claimed (${CLAIMS})`);
}

function tryClaim(path: string): boolean {
  if (writeClaim(path)) return true;
  // Of two who find the same dead one's, one may take what the other has just claimed: the next try would tell, but who
  // removes claims is rare, and what then happens is what happened without claims.
  if (isAlive(Number(readClaim(path)))) return false;
  rmSync(path, { force: true });
  return writeClaim(path);
}

/** False when somebody's is there. */
function writeClaim(path: string): boolean {
  try {
    writeFileSync(path, `${process.pid}`, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** '' while its owner is about to write it, or has just removed it. */
function readClaim(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

function isAlive(pid: number): boolean {
  if (pid === process.pid || pid === 0) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(error);
    });
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
