/**
 * Free ports for servers that tests start. They lie below the range from which the system takes the ports of outgoing
 * connections: a server that was killed must get its port back, although thousands of connections were made meanwhile.
 *
 * A port is found free a moment before its server listens there. So that no other test takes it in between, each process
 * begins at a block of its own, by its number, and never gives out a port twice.
 */
import { createServer } from 'node:net';

const PORT_MIN = 10_000;
const PORT_END = 32_768;
const BLOCK_PORTS = 32;
const BLOCKS = Math.floor((PORT_END - PORT_MIN) / BLOCK_PORTS);

let next = (process.pid % BLOCKS) * BLOCK_PORTS;

/** A TCP port of 127.0.0.1 that nothing listens on. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = PORT_MIN + next;
    next = (next + 1) % (BLOCKS * BLOCK_PORTS);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
