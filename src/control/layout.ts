/**
 * Where keys are, as far as a configuration says it: what must be the same for a key to be found again. No addresses and no
 * passwords: a node is known by its name.
 */
import { z } from 'zod';
import { HASH_NAMES } from '../base/placement.js';
import type { NodeConfig } from '../base/pools-section.js';
import type { Config } from '../config.js';
import type { KeyspaceConfig } from '../routing/keyspace-section.js';

export type LayoutKeyspace = Pick<KeyspaceConfig, 'prefix' | 'pool' | 'mode' | 'placement'>;

export interface LayoutPool {
  name: string;
  nodes: readonly Pick<NodeConfig, 'name' | 'weight'>[];
}

export interface LayoutService {
  name: string;
  keyspaces: readonly LayoutKeyspace[];
}

/** A `Config` is one, too. */
export interface Layout {
  services: readonly LayoutService[];
  pools: readonly LayoutPool[];
}

/** A layout as it was written down. The order of keys is that of `layoutOf`: equal layouts are equal texts. */
export const LAYOUT: z.ZodType<Layout> = z.strictObject({
  services: z.array(
    z.strictObject({
      name: z.string(),
      keyspaces: z.array(
        z.strictObject({
          prefix: z.string(),
          pool: z.string(),
          mode: z.enum(['sharded']),
          placement: z.discriminatedUnion('kind', [
            z.strictObject({ kind: z.literal('slots'), colocate: z.array(z.string()) }),
            z.strictObject({
              kind: z.enum(['ketama', 'modula']),
              hash: z.enum(HASH_NAMES),
              hashTag: z.string().nullable(),
            }),
          ]),
        }),
      ),
    }),
  ),
  pools: z.array(
    z.strictObject({
      name: z.string(),
      nodes: z.array(z.strictObject({ name: z.string(), weight: z.int().positive() })),
    }),
  ),
});

export function layoutOf(config: Config): Layout {
  return {
    services: config.services.map(({ name, keyspaces }) => ({
      name,
      keyspaces: keyspaces.map(({ prefix, pool, mode, placement }) => ({ prefix, pool, mode, placement })),
    })),
    pools: config.pools.map(({ name, nodes }) => ({
      name,
      nodes: nodes.map(({ name, weight }) => ({ name, weight })),
    })),
  };
}
