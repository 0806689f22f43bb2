/**
 * The section `pools` of the configuration: the Redis servers, by the name of the pool that they belong to.
 *
 *   pools:
 *     main:
 *       nodes:
 *         - redis://127.0.0.1:7001
 *         - { name: b, url: "redis://user:password@127.0.0.1:7002", weight: 2 }
 *       limits: { requestTimeoutMs: 2s }        # what the file's `limits` say otherwise
 */
import { z } from 'zod';
import { NODE_FORMS, type NodeAddress, nodeAddress } from './address.js';
import { formatEndpoint } from './endpoint.js';
import type { Limits, NodeLimits } from './limits.js';
import { completeNodeLimits, NODE_LIMITS_SECTION } from './limits-section.js';
import { NODES_MAX, TWEMPROXY_WEIGHT_MAX } from './placement.js';
import type { ReadableLists } from './readable-lists.js';
import { about, type Complain, duplicates, expecting, nameText, oneOf, value, wholeNumber } from './schema.js';

export interface NodeConfig extends NodeAddress {
  /** What the ring hashes and what errors and logs show; `host:port` unless given. Unique in its pool. */
  name: string;
  /** Its share of the keys, relative to the other nodes'. A whole number, at least 1. */
  weight: number;
}

export interface PoolConfig {
  name: string;
  nodes: readonly NodeConfig[];
  /** Of each of its nodes. */
  limits: NodeLimits;
  /** Whether a node that is started again has all that it had acknowledged: asked of pools with replicated keys. */
  restart: 'keeps-data' | 'loses-data';
}

export const NODE_NAME = /^[!#-&(-?A-[\]-_a-~]{1,128}$/;
export const NODE_NAME_FORM = 'a name of 1 to 128 ASCII characters, none of them a space, a quote, @ or \\';

export const isMap = (input: unknown) => typeof input === 'object' && input !== null && !Array.isArray(input);

const NODE = z
  .preprocess(
    (input) => (isMap(input) ? input : { url: input }),
    z.strictObject({
      name: about(
        nameText(NODE_NAME_FORM, (name) => (NODE_NAME.test(name) ? name : null), NODE_NAME.source),
        'What its keys follow, and what logs and errors show. It is host:port unless given; a node that moves to another ' +
          'address keeps its keys if it keeps its name. Unique in its pool.',
        { example: 'a' },
      ).optional(),
      url: about(
        value(NODE_FORMS, nodeAddress, { type: 'string', pattern: '^(redis://|unix:)|\\$\\{' }),
        'Where it is. A host name is resolved again at every reconnect. User and password are those of Redis; a special character ' +
          'in them is written %40 for @, %2F for /, %25 for %.',
        { example: 'redis://127.0.0.1:7001' },
      ),
      weight: about(
        weight().default(1),
        'Its share of the keys, in relation to the others of its pool: a node of weight 2 has twice as many as one of weight 1.',
        { stated: 1 },
      ),
    }),
  )
  .meta({ shortForm: { type: 'string', pattern: '^(redis://|unix:)|\\$\\{' } });

const POOL_NAME = z.string().regex(/^[\w.-]{1,64}$/, 'a name of 1 to 64 letters, digits and . _ -');

const POOL = z.strictObject(
  {
    nodes: about(
      z.array(NODE, expecting('a list of nodes: - redis://127.0.0.1:7001')),
      'The Redis servers of the pool. The order does not matter. A URL alone is short for a node without a name.',
    ),
    limits: about(
      NODE_LIMITS_SECTION.optional(),
      "For the nodes of this pool, in place of the file's limits of the same names.",
    ),
    restart: about(
      oneOf('keeps-data', 'loses-data').optional(),
      'For pools with replicated keys: what a node has when it was started again. `keeps-data`: all that it acknowledged, so that it goes ' +
        'on at once; then its appendonly must be yes, its appendfsync always and its no-appendfsync-on-rewrite no, which is checked, and its ' +
        'disk must never be put back to an old state. `loses-data`: maybe less, so that it takes no part before it was repaired.',
      { stated: 'loses-data' },
    ),
  },
  expecting('a pool: a map with the key nodes'),
);

export const POOLS = z.record(
  POOL_NAME,
  POOL,
  expecting('a map of pools by their names: { main: { nodes: [redis://127.0.0.1:7001] } }'),
);

export type PoolsSection = z.infer<typeof POOLS>;

/** `limits` are the file's. */
export function completePools(pools: PoolsSection, limits: Limits): PoolConfig[] {
  return Object.entries(pools).map(([name, pool]) => {
    const { nodes, restart } = pool;
    return {
      name,
      nodes: nodes.map(completeNode),
      limits: completeNodeLimits(pool.limits, limits),
      restart: restart ?? 'loses-data',
    };
  });
}

/** What of the pools in `section`, that of the file, is right in itself; and the names of all. */
export function readablePools(section: unknown, lists: ReadableLists): { names: string[]; pools: PoolsSection } {
  const entries = isMap(section) ? Object.entries(section as Record<string, unknown>) : [];
  const pools = entries.flatMap(([name, pool]) => {
    if (!isMap(pool)) return [];
    const { nodes: written, limits, restart } = pool as Record<string, unknown>;
    const nodes = lists.read(['pools', name, 'nodes'], written, NODE);
    if (nodes === null) return [];
    const read = {
      nodes,
      limits: NODE_LIMITS_SECTION.safeParse(limits).data,
      restart: POOL.shape.restart.safeParse(restart).data,
    };
    return [[name, read] as const];
  });
  return { names: entries.map(([name]) => name), pools: Object.fromEntries(pools) };
}

/** What is there twice, not at all, or too often, in the pools that are right in themselves. */
export function checkPools(pools: PoolsSection, complain: Complain): void {
  const count = Object.values(pools).reduce((sum, { nodes }) => sum + nodes.length, 0);
  if (count > NODES_MAX) complain(['pools'], `: expected at most ${NODES_MAX} nodes in all pools, found ${count}`);
  for (const [name, pool] of Object.entries(pools)) checkNodes(name, pool.nodes.map(completeNode), complain);
}

/** The most for slots is checked where it is known what the nodes are for: keyspace-section.ts. */
function weight() {
  return wholeNumber(1, TWEMPROXY_WEIGHT_MAX, ', at most 100 for placement slots');
}

function completeNode({ name, url, weight }: z.infer<typeof NODE>): NodeConfig {
  return { name: name ?? formatEndpoint(url.address), weight, ...url };
}

function checkNodes(pool: string, nodes: readonly NodeConfig[], complain: Complain): void {
  if (nodes.length === 0) complain(['pools', pool, 'nodes'], ': expected at least one node, found none');
  const sameName = new Map(duplicates(nodes.map(({ name }) => `name ${name}`)));
  const sameAddress = new Map(duplicates(nodes.map(({ address }) => `address ${formatEndpoint(address)}`)));
  // Where both are the same, the name comes from the address, and one line is enough.
  for (const [index, what] of new Map([...sameAddress, ...sameName])) {
    complain(['pools', pool, 'nodes', index], `: another node of this pool has the ${what} too`);
  }
}
