/** The words for how a keyspace's keys are placed on its pool's nodes, as the configuration and the topology say it. */

/** The hash functions of twemproxy, by its names for them. */
export const HASH_NAMES = [
  'one_at_a_time',
  'md5',
  'crc16',
  'crc32',
  'crc32a',
  'fnv1_64',
  'fnv1a_64',
  'fnv1_32',
  'fnv1a_32',
  'hsieh',
  'murmur',
  'jenkins',
] as const;

export type HashName = (typeof HASH_NAMES)[number];

/** What twemproxy takes where its configuration names none. */
export const HASH_DEFAULT: HashName = 'fnv1a_64';

/**
 * The most that the weights of nodes placed as twemproxy places them may add up to. Up to here C's `float` holds every whole number, so that twemproxy's shares are what they should be,
 * and modula's table stays below 32 MiB.
 */
export const TWEMPROXY_WEIGHT_MAX = 2 ** 24;

/** Nodes of all pools: placements name a node by its number among them, in 16 bits (PlacementSnapshot). */
export const NODES_MAX = 2 ** 16;

export type PlacementRule =
  /** By Redis Cluster's slots on our own ring. `colocate` are patterns: see routing/colocate.ts. */
  | { readonly kind: 'slots'; readonly colocate: readonly string[] }
  /** As twemproxy's distribution of that name. `hashTag` is two characters, what opens and what closes a tag, or null. */
  | { readonly kind: 'ketama' | 'modula'; readonly hash: HashName; readonly hashTag: string | null };
