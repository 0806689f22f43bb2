/** How many clients each worker has, as `/status` tells: half a second old. */
import type { ProxyProcess } from './proxy.js';

export async function sessionsOf({ adminUrl }: ProxyProcess): Promise<readonly number[]> {
  const status = await (await fetch(`${adminUrl}/status`)).json();
  return (status as { workers: readonly { sessions: number }[] }).workers.map(({ sessions }) => sessions);
}
