/** What a proxy costs whose clients ask for nothing. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Crowd } from '../../test/help/crowd.js';
import { cpuTimeOf } from '../compare/cpu.js';
import { deployment } from './deployed.js';

export const CORE_SHARE_MAX = 0.01;
/** What connecting set off is over then. */
const SETTLE_MS = 5_000;

export interface Idle {
  readonly label: string;
  /** Of one core. */
  readonly share: number;
}

export async function measureIdle(clients: number, seconds: number): Promise<readonly Idle[]> {
  const results: Idle[] = [];
  results.push(
    ...(await deployment({ nodes: 3, workers: 2 }, async ({ port, pid, servers }) => {
      const bare = await coreShare(pid, seconds);
      const crowd = await Crowd.connect(port, clients);
      await crowd.ask(() => '*1\r\n$4\r\nPING\r\n', 7);
      const connected = await coreShare(pid, seconds);
      for (const server of servers) await server.stop();
      const alone = await coreShare(pid, seconds);
      crowd.close();
      return [
        { label: 'no client', share: bare },
        { label: `${clients} clients`, share: connected },
        { label: `${clients} clients, all three nodes down`, share: alone },
      ];
    })),
  );
  return results;
}

async function coreShare(pid: number, seconds: number): Promise<number> {
  await sleep(SETTLE_MS);
  const total = () => {
    const { user, kernel } = cpuTimeOf(pid);
    return user + kernel;
  };
  const [startMs, before] = [performance.now(), total()];
  await sleep(seconds * 1_000);
  return (total() - before) / ((performance.now() - startMs) / 1_000);
}
