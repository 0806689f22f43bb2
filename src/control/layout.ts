/**
 * Where keys are, as far as a configuration says it: what must be the same for a key to be found again. A node is known by its
 * name and may move; its address is there so that it is not moved to where another one's keys are. No passwords.
 */
import { z } from 'zod';
import { formatEndpoint } from '../base/endpoint.js';
import { HASH_NAMES } from '../base/placement.js';
import type { NodeConfig } from '../base/pools-section.js';
import type { Config, ServiceConfig } from '../config.js';
import type { KeyspaceConfig } from '../routing/keyspace-section.js';
import type { LockProvider } from '../routing/lock-section.js';

export type LayoutKeyspace = Pick<KeyspaceConfig, 'prefix' | 'pool' | 'placement'> &
  (
    | { mode: 'sharded' }
    /** `quorum`: R and W, of consistency quorum; `consistency`: that of others, but for strong. */
    | {
        mode: 'replicated';
        copies: number;
        quorum?: LayoutQuorum | undefined;
        consistency?: 'eventual' | 'weak' | undefined;
      }
    /** Null: all nodes of the pool. */
    | { mode: 'lock'; provider: LockProvider; copies: number | null }
  );

export interface LayoutQuorum {
  reads: number;
  writes: number;
}

export interface LayoutNode extends Pick<NodeConfig, 'name' | 'weight'> {
  /** As `formatEndpoint` writes it. */
  address: string;
}

export interface LayoutPool {
  name: string;
  nodes: readonly LayoutNode[];
}

export interface LayoutService {
  name: string;
  /** Its addresses, as `formatEndpoint` writes them. */
  listen: readonly string[];
  keyspaces: readonly LayoutKeyspace[];
}

export interface Layout {
  services: readonly LayoutService[];
  pools: readonly LayoutPool[];
}

const BASICS = { prefix: z.string(), pool: z.string() };
const PLACEMENT = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('slots'), colocate: z.array(z.string()) }),
  z.strictObject({ kind: z.enum(['ketama', 'modula']), hash: z.enum(HASH_NAMES), hashTag: z.string().nullable() }),
]);

/** A layout as it was written down. The order of keys is that of `layoutOf`: equal layouts are equal texts. */
export const LAYOUT: z.ZodType<Layout> = z.strictObject({
  services: z.array(
    z.strictObject({
      name: z.string(),
      listen: z.array(z.string()),
      keyspaces: z.array(
        z.discriminatedUnion('mode', [
          z.strictObject({ ...BASICS, mode: z.literal('sharded'), placement: PLACEMENT }),
          z.strictObject({
            ...BASICS,
            mode: z.literal('replicated'),
            placement: PLACEMENT,
            copies: z.int().positive(),
            quorum: z.strictObject({ reads: z.int().positive(), writes: z.int().positive() }).optional(),
            consistency: z.enum(['eventual', 'weak']).optional(),
          }),
          z.strictObject({
            ...BASICS,
            mode: z.literal('lock'),
            // Before there were others.
            provider: z.enum(['redlock', 'store']).default('redlock'),
            placement: PLACEMENT,
            copies: z.int().positive().nullable(),
          }),
        ]),
      ),
    }),
  ),
  pools: z.array(
    z.strictObject({
      name: z.string(),
      nodes: z.custom<LayoutNode[]>((list) => Array.isArray(list) && list.every(isNode), 'a list of nodes'),
    }),
  ),
});

/** There are thousands of them: zod takes several times as long, the first times above all. */
function isNode(value: unknown): value is LayoutNode {
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== 3) return false;
  const { name, weight, address } = value as Partial<Record<keyof LayoutNode, unknown>>;
  return (
    typeof name === 'string' && Number.isSafeInteger(weight) && (weight as number) > 0 && typeof address === 'string'
  );
}

export function layoutOf(config: Config): Layout {
  return {
    services: config.services.map(layoutOfService),
    pools: config.pools.map(({ name, nodes }) => ({
      name,
      nodes: nodes.map(({ name, weight, address }) => ({ name, weight, address: formatEndpoint(address) })),
    })),
  };
}

export function layoutOfService({ name, listen, keyspaces }: ServiceConfig): LayoutService {
  return { name, listen: listen.map(formatEndpoint), keyspaces: keyspaces.map(keyspaceOf) };
}

function keyspaceOf(config: KeyspaceConfig): LayoutKeyspace {
  const { prefix, pool, placement } = config;
  switch (config.mode) {
    case 'sharded':
      return { prefix, pool, mode: config.mode, placement };
    case 'replicated': {
      const { mode, copies, level } = config;
      const own = { prefix, pool, mode, placement, copies };
      const { consistency, reads, writes } = level;
      if (consistency === 'quorum') return { ...own, quorum: { reads, writes } };
      return consistency === 'strong' ? own : { ...own, consistency };
    }
    case 'lock':
      return { prefix, pool, mode: config.mode, provider: config.provider, placement, copies: config.copies };
  }
}
