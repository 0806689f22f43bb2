/** What a configuration has otherwise than the topology of its fleet, where that gives no key another place: each as a sentence. */
import type { Layout } from './layout.js';

/** For a log: what holds is the fleet's. */
export function describeDifferences(shared: Layout, own: Layout): string[] {
  const found: string[] = [];
  for (const pool of own.pools) {
    const other = shared.pools.find(({ name }) => name === pool.name);
    const sharedNodes = new Map((other?.nodes ?? []).map((node) => [node.name, node]));
    const ownNames = new Set(pool.nodes.map(({ name }) => name));
    for (const node of pool.nodes) {
      const known = sharedNodes.get(node.name);
      if (known === undefined || known.address === node.address) continue;
      const both = `it is at ${known.address} in the fleet's topology, and at ${node.address} in this configuration`;
      found.push(`pool ${pool.name}, node ${node.name}: ${both}`);
    }
    for (const name of sharedNodes.keys()) {
      if (ownNames.has(name)) continue;
      found.push(`pool ${pool.name}: node ${name} is in the fleet's topology, and not in this configuration`);
    }
  }
  return found;
}
