/**
 * What `ringleader ring` looks at: every keyspace of a configuration with the circle of its keys, as it is and, where nodes
 * are to be added or removed, as it would be. Circles are planned in the bulk pool.
 */
import { parseNodeAddress } from '../base/address.js';
import { formatEndpoint } from '../base/endpoint.js';
import { nearestWord } from '../base/nearest.js';
import type { PoolConfig } from '../base/pools-section.js';
import { UsageError } from '../base/usage-error.js';
import type { Config } from '../config.js';
import type { KeyspaceConfig } from '../routing/keyspace-section.js';
import { type Movement, movementBetween, type PlacedNodes } from '../routing/movement.js';
import type { RingNode } from '../routing/ring.js';
import type { BulkPool } from './bulk-pool.js';

export interface Change {
  /** Nodes to add: `NAME` or `NAME=WEIGHT`. */
  add: readonly string[];
  /** Names of nodes to remove. */
  remove: readonly string[];
}

export interface RingView {
  service: string;
  keyspace: KeyspaceConfig;
  pool: PoolConfig;
  present: PlacedNodes;
  /** After the change, or null where none was asked for. */
  planned: (PlacedNodes & { movement: Movement }) | null;
}

/** The nodes of a pool with a change carried out. Throws a UsageError for one that cannot be. */
export function changeNodes(pool: PoolConfig, { add, remove }: Change): RingNode[] {
  let nodes: RingNode[] = pool.nodes.map(({ name, weight }) => ({ name, weight }));
  for (const name of remove) {
    const names = nodes.map((node) => node.name);
    if (!names.includes(name)) {
      const nearest = nearestWord(name, names);
      throw new UsageError(
        `pool ${pool.name} has no node ${name}${nearest === null ? '' : `; did you mean ${nearest}?`}`,
      );
    }
    nodes = nodes.filter((node) => node.name !== name);
  }
  for (const text of add) {
    const node = parseAddition(text);
    if (nodes.some(({ name }) => name === node.name)) {
      throw new UsageError(`pool ${pool.name} has a node ${node.name} already`);
    }
    nodes.push(node);
  }
  if (nodes.length === 0) throw new UsageError(`pool ${pool.name} would have no node left`);
  return nodes;
}

/** `NAME`, or the URL that it would have in the configuration, with `=WEIGHT` after it unless that is 1. */
function parseAddition(text: string): RingNode {
  const [, given = text, weight = '1'] = /^(.*)=([^=]*)$/.exec(text) ?? [];
  if (!/^\d{1,8}$/.test(weight) || Number(weight) === 0) {
    throw new UsageError(`--add ${given}=${weight}: the weight must be a whole number above 0`);
  }
  if (!/^(?:[a-z]+:\/\/|unix:)/i.test(given)) {
    if (!/^[!-~]{1,128}$/.test(given)) throw new UsageError('--add needs the name of a node');
    return { name: given, weight: Number(weight) };
  }
  const parsed = parseNodeAddress(given);
  if ('fault' in parsed) throw new UsageError(`--add: expected the name of a node or its URL, found ${parsed.fault}`);
  return { name: formatEndpoint(parsed.address), weight: Number(weight) };
}

/**
 * The views of all keyspaces, or of those on one pool. Rejects with a UsageError for a pool that is not there, or a change
 * that does not say of which pool.
 */
export async function viewRings(
  config: Config,
  poolName: string | null,
  change: Change,
  bulk: Pick<BulkPool, 'planCircle'>,
): Promise<RingView[]> {
  const names = config.pools.map(({ name }) => name);
  if (poolName !== null && !names.includes(poolName)) {
    throw new UsageError(`there is no pool ${poolName}; there are ${names.join(', ')}`);
  }
  const isChange = change.add.length + change.remove.length > 0;
  const views = config.services.flatMap(({ name: service, keyspaces }) => {
    return keyspaces.flatMap((keyspace) => {
      const pool = config.pools.find(({ name }) => name === keyspace.pool);
      return pool === undefined || (poolName ?? pool.name) !== pool.name ? [] : [{ service, keyspace, pool }];
    });
  });
  if (isChange && new Set(views.map(({ pool }) => pool.name)).size > 1) {
    throw new UsageError(`--pool must say which pool changes: ${names.join(', ')}`);
  }
  return Promise.all(
    views.map(async ({ service, keyspace, pool }) => {
      const { placement } = keyspace;
      const nodes = pool.nodes.map(({ name, weight }) => ({ name, weight }));
      const nodesPlanned = isChange ? changeNodes(pool, change) : null;
      const [circle, circlePlanned] = await Promise.all([
        bulk.planCircle(nodes, placement),
        nodesPlanned && bulk.planCircle(nodesPlanned, placement),
      ]);
      const present = { nodes, circle };
      const planned = nodesPlanned && circlePlanned && { nodes: nodesPlanned, circle: circlePlanned };
      return {
        service,
        keyspace,
        pool,
        present,
        planned: planned && { ...planned, movement: movementBetween(present, planned) },
      };
    }),
  );
}
