/** Connections to all nodes of a pool of replicated keys, for a command that looks at it once and goes. */
import type { KeyExchange } from './key-exchange.js';
import { NameLookup } from './name-lookup.js';
import { NodeLink } from './node-link.js';
import { PoolRounds } from './pool-rounds.js';
import { limitsOf, type ReplicatedPool } from './replicated-pools.js';
import { ValuesUnderWay } from './values-under-way.js';

export interface PoolVisit extends KeyExchange {
  pool: ReplicatedPool;
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
  const limits = limitsOf(pool);
  const values = new ValuesUnderWay(limits.repairBytesInFlightMax);
  return { pool, links, values, rounds: new PoolRounds(links, pool.epochNodes, limits) };
}

export function endVisit({ links }: PoolVisit): void {
  for (const link of links.values()) link.stop();
}

/** How a report names nodes. */
export function namesOf({ links }: PoolVisit, nodes: readonly number[]): string {
  return nodes.map((node) => links.get(node)?.node.name ?? `node ${node}`).join(', ');
}
