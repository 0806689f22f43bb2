/**
 * Free ports for servers that tests start. They lie below the range from which the system takes the ports of outgoing
 * connections: a server that was killed must get its port back, although thousands of connections were made meanwhile.
 */
import { createServer } from 'node:net';

const PORT_MIN = 10_000;
const PORT_END = 32_768;

/** A TCP port of 127.0.0.1 that nothing listens on, chosen at random, so that parallel tests do not meet. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_END - PORT_MIN));
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
