/** What a configuration has otherwise than the topology of its fleet, where that gives no key another place: each as a sentence. */
import type { Layout } from './layout.js';

/** For a log: what holds is the fleet's. */
export function describeDifferences(shared: Layout, own: Layout): string[] {
  const found: string[] = [];
  for (const pool of own.pools) {
    const other = shared.pools.find(({ name }) => name === pool.name);
    for (const node of pool.nodes) {
      const known = other?.nodes.find(({ name }) => name === node.name);
      if (known === undefined || known.address === node.address) continue;
      const both = `it is at ${known.address} in the fleet's topology, and at ${node.address} in this configuration`;
      found.push(`pool ${pool.name}, node ${node.name}: ${both}`);
    }
    for (const { name } of other?.nodes ?? []) {
      if (pool.nodes.some((node) => node.name === name)) continue;
      found.push(`pool ${pool.name}: node ${name} is in the fleet's topology, and not in this configuration`);
    }
  }
  return found;
}
