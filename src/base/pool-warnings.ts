/** What is right in the section `pools` of the configuration, but probably not what was meant. */
import type { NodeAddress } from './address.js';
import { formatEndpoint } from './endpoint.js';
import type { PoolsSection } from './pools-section.js';
import type { Complain } from './schema.js';

/** `pools` are those of a file that is good. No warning shows what stands in a value. */
export function warnOfPools(pools: PoolsSection, warn: Complain): void {
  /** By the address of each server, the pool that has it. */
  const homes = new Map<string, string>();
  for (const [name, { nodes }] of Object.entries(pools)) {
    const path = ['pools', name, 'nodes'];
    warnOfNames(path, nodes, warn);
    for (const [index, { url }] of nodes.entries()) {
      if (!isUserAlone(url)) continue;
      const form = url.address.kind === 'unix' ? 'unix::PASSWORD@/path' : 'redis://:PASSWORD@HOST';
      warn(
        [...path, index, 'url'],
        `: a user without a password, who is not logged in; a password alone has a colon before it: ${form}`,
      );
    }
    const addresses = nodes.map(({ url }) => formatEndpoint(url.address));
    const shared = addresses.flatMap((address, index) => (homes.has(address) ? [index] : []));
    const [first] = shared;
    if (first !== undefined) {
      const other = homes.get(addresses[first] as string);
      const what = `this server${more(shared.length - 1)} is in pool ${other}, too`;
      warn([...path, first], `: ${what}: what counts or lists keys (DBSIZE, SCAN) may meet its keys twice`);
    }
    for (const address of addresses) if (!homes.has(address)) homes.set(address, name);
  }
}

function warnOfNames(path: readonly string[], nodes: readonly { name?: string | undefined }[], warn: Complain): void {
  const unnamed = nodes.flatMap(({ name }, index) => (name === undefined ? [index] : []));
  const [first] = unnamed;
  if (first === undefined) return;
  const what = `without a name${more(unnamed.length - 1)}: its keys follow host:port, and are not found when that changes`;
  warn([...path, first], `: ${what}; before it does, give it that as its name: { name: "host:port", url: … }`);
}

/** Then nothing of it is said to the node: AUTH and HELLO take a password. */
function isUserAlone({ username, password }: NodeAddress): boolean {
  return username !== null && password === null;
}

function more(count: number): string {
  return count === 0 ? '' : ` (and ${count} more of this pool)`;
}
