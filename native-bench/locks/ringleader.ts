/** LOCK.ACQUIRE and LOCK.RELEASE, a connection for each client. */
import { BenchmarkError } from '../compare/children.js';
import { RespConnection } from '../replicated/resp-connection.js';
import type { RingleaderTarget } from '../replicated/ringleader.js';
import type { LockClients, LockTarget } from './lock-client.js';

const TTL_MS = 10_000;
const WAIT_MS = 10_000;
/** LOCK.ACQUIRE is answered with three names and values. */
const GRANTED = '*6\r\n';

export function ringleaderLocks({ label, proxyPid, serverPids, port }: RingleaderTarget): LockTarget {
  return { label, proxyPid, serverPids, connect: (clients) => connectTo(port, clients) };
}

async function connectTo(port: number, clients: number): Promise<LockClients> {
  const connections = await Promise.all(Array.from({ length: clients }, () => RespConnection.connect(port)));
  let tokens = 0;
  return {
    acquire: async (client, name) => {
      const connection = connections[client] as RespConnection;
      const token = `token-${tokens++}`;
      const lock = `lock:${name}`;
      const answer = await connection.ask(
        command('LOCK.ACQUIRE', lock, 'TTL', `${TTL_MS}`, 'WAIT', `${WAIT_MS}`, 'TOKEN', token),
      );
      if (!answer.startsWith(GRANTED)) throw new BenchmarkError(`LOCK.ACQUIRE was answered ${answer}`);
      return async () => {
        const released = await connection.ask(command('LOCK.RELEASE', lock, token));
        if (released !== '+OK\r\n') throw new BenchmarkError(`LOCK.RELEASE was answered ${released}`);
      };
    },
    close: () => {
      for (const connection of connections) connection.close();
    },
  };
}

function command(...words: string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;
}
