/**
 * How one member goes by the topology of its fleet: its own configuration, with the nodes of the fleet's. What nobody but the member can
 * know (addresses to listen on, passwords, limits) is its own; what all must agree on has to be as the fleet has it, or the
 * member cannot go on to it, and says why.
 */
import { isDeepStrictEqual } from 'node:util';
import { isSameEndpoint, readEndpoint } from '../base/endpoint.js';
import type { NodeConfig, PoolConfig } from '../base/pools-section.js';
import type { Config, ServiceConfig } from '../config.js';
import { type Layout, type LayoutPool, layoutOfService } from './layout.js';

type Login = Pick<NodeConfig, 'username' | 'password'>;

/** A member cannot go by the topology of its fleet. */
export class CannotFollowError extends Error {
  override name = 'CannotFollowError';

  /** `reasons`: at least one, each a sentence. */
  constructor(reasons: readonly string[]) {
    super(reasons.join('; '));
  }
}

/** What the member goes by. Services and pools of the fleet that the member lacks are not its business. Throws a CannotFollowError. */
export function followLayout(config: Config, layout: Layout): Config {
  const reasons: string[] = [];
  for (const service of config.services) reasons.push(...serviceFaults(service, layout));
  const used = new Set(config.keyspaces.map(({ pool }) => pool));
  const pools = config.pools.map((pool) => {
    const shared = layout.pools.find(({ name }) => name === pool.name);
    if (shared !== undefined) return followPool(pool, shared, reasons);
    if (used.has(pool.name)) reasons.push(`pool ${pool.name} is not in the fleet's topology`);
    return pool;
  });
  if (reasons.length > 0) throw new CannotFollowError(reasons);
  return { ...config, pools };
}

function serviceFaults(service: ServiceConfig, layout: Layout): string[] {
  const { name, keyspaces: own } = layoutOfService(service);
  const shared = layout.services.find((other) => other.name === name);
  if (shared === undefined) return [`service ${name} is not in the fleet's topology`];
  const faults: string[] = [];
  for (const keyspace of own) {
    const other = shared.keyspaces.find(({ prefix }) => prefix === keyspace.prefix);
    const label = `service ${name}, keyspace "${keyspace.prefix}"`;
    if (other === undefined) faults.push(`${label} is not in the fleet's topology`);
    else if (!isDeepStrictEqual(keyspace, other)) {
      const both = `the fleet's is ${JSON.stringify(other)}, this configuration's ${JSON.stringify(keyspace)}`;
      faults.push(`${label}: ${both}`);
    }
  }
  for (const { prefix } of shared.keyspaces) {
    if (own.some((keyspace) => keyspace.prefix === prefix)) continue;
    faults.push(`service ${name}, keyspace "${prefix}" of the fleet's topology is not in this configuration`);
  }
  return faults;
}

function followPool(own: PoolConfig, { nodes }: LayoutPool, reasons: string[]): PoolConfig {
  // Most stand where the configuration has them: of thousands, no map is made for the others until there is one.
  let byName: ReadonlyMap<string, NodeConfig> | null = null;
  let login: Login | null | undefined;
  const followed: NodeConfig[] = [];
  let isAsConfigured = nodes.length === own.nodes.length;
  for (const [at, { name, weight, address: written }] of nodes.entries()) {
    let configured = own.nodes[at];
    if (configured?.name !== name) {
      byName ??= new Map(own.nodes.map((node) => [node.name, node]));
      configured = byName.get(name);
      isAsConfigured = false;
    }
    const address = readEndpoint(written);
    if (configured === undefined && login === undefined) login = commonLogin(own);
    const known = configured ?? login ?? null;
    if (address === null) reasons.push(`pool ${own.name}, node ${name}: "${written}" is no address`);
    else if (known === null) {
      const why = 'is not in this configuration, whose nodes do not all have the same user and password';
      reasons.push(`pool ${own.name}: node ${name} ${why}`);
    } else if (configured?.weight === weight && isSameEndpoint(configured.address, address)) followed.push(configured);
    else {
      isAsConfigured = false;
      followed.push({ name, weight, address, username: known.username, password: known.password });
    }
  }
  return isAsConfigured ? own : { ...own, nodes: followed };
}

/** What a node that the configuration does not name is logged in to with: what all have that it names. */
function commonLogin({ nodes }: PoolConfig): Login | null {
  const [first] = nodes;
  if (first === undefined) return null;
  const { username, password } = first;
  return nodes.every((node) => node.username === username && node.password === password)
    ? { username, password }
    : null;
}
