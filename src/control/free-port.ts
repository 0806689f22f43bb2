/** Ports of loopback that nothing listens on now. Whether one is free when it is used, only using it can say. */
import { type AddressInfo, createServer } from 'node:net';

const HOST = '127.0.0.1';

/** Any free port, or rejects when there is none. */
export function freePort(): Promise<number> {
  return listenBriefly(0);
}

export async function isFreePort(port: number): Promise<boolean> {
  try {
    await listenBriefly(port);
    return true;
  } catch {
    return false;
  }
}

function listenBriefly(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, HOST, () => {
      const { port: found } = server.address() as AddressInfo;
      server.close(() => resolve(found));
    });
  });
}
