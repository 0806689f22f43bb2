/** Connections to all nodes of a pool of replicated keys, for a command that looks at it once and goes. */
import { NameLookup } from './name-lookup.js';
import { NodeLink } from './node-link.js';
import { PoolRounds } from './pool-rounds.js';
import { limitsOf, type ReplicatedPool } from './replicated-pools.js';

export interface PoolVisit {
  pool: ReplicatedPool;
  /** By the node's index. */
  links: ReadonlyMap<number, NodeLink>;
  rounds: PoolRounds;
}

/** Resolves when each node was reached, or could not be. */
export async function visitPool(pool: ReplicatedPool): Promise<PoolVisit> {
  let onChange = () => {};
  const names = new NameLookup();
  const links = new Map(
    pool.nodes.map((node) => [node.index, new NodeLink(node, pool.prefixes, names, () => onChange())]),
  );
  await new Promise<void>((resolve) => {
    onChange = () => {
      if ([...links.values()].every(({ isTried }) => isTried)) resolve();
    };
    for (const link of links.values()) link.start();
  });
  return { pool, links, rounds: new PoolRounds(links, pool.epochNodes, limitsOf(pool)) };
}

export function endVisit({ links }: PoolVisit): void {
  for (const link of links.values()) link.stop();
}

/** How a report names nodes. */
export function namesOf({ links }: PoolVisit, nodes: readonly number[]): string {
  return nodes.map((node) => links.get(node)?.node.name ?? `node ${node}`).join(', ');
}
