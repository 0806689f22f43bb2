/** A proxy as a member of a fleet, for tests: what it says of the others, and what its configuration is made to say. */
import type { FleetStatus, Status } from '../../src/control/status.js';
import type { ProxyProcess } from './proxy.js';
import { waitFor } from './wait-for.js';

export async function statusOf(proxy: ProxyProcess): Promise<Status> {
  const response = await fetch(`${proxy.adminUrl}/status`);
  if (response.status !== 200) throw new Error(`${response.status}`);
  return (await response.json()) as Status;
}

/** Resolves with the first status of the fleet that is so, as that member sees it. */
export async function waitForFleet(
  proxy: ProxyProcess,
  what: string,
  isSo: (fleet: FleetStatus) => boolean,
  timeoutMs?: number,
): Promise<FleetStatus> {
  return waitFor(
    what,
    async () => {
      const { fleet } = await statusOf(proxy);
      return isSo(fleet) && fleet;
    },
    timeoutMs,
  );
}

/** In the text of a configuration (JSON). */
export function withNode(text: string, name: string, url: string): string {
  const config = JSON.parse(text);
  for (const node of config.pools.main.nodes) if (node.name === name) node.url = url;
  return JSON.stringify(config, null, 2);
}
