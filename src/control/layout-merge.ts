/**
 * What a configuration makes of the topology that its fleet has agreed on: the store's holds, but for what the configuration itself
 * has changed since it was read before. So a member whose file is old takes nothing back.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Layout, LayoutKeyspace, LayoutNode, LayoutPool, LayoutService } from './layout.js';

/** Before a configuration was read for the first time. */
export const NO_LAYOUT: Layout = { services: [], pools: [] };

/** `there`, with what differs between two readings of one configuration: what is new in it, changed, or gone. */
export function mergeLayouts(there: Layout, before: Layout, after: Layout): Layout {
  const services = mergeByName(there.services, before.services, after.services, ({ name }) => name, mergeService);
  const pools = mergeByName(there.pools, before.pools, after.pools, ({ name }) => name, mergePool);
  const has = (name: string) => pools.some((pool) => pool.name === name);
  const used = new Set(services.flatMap(({ keyspaces }) => keyspaces.map(({ pool }) => pool)));
  // Who has no use for a pool does not take it from others.
  return { services, pools: [...pools, ...there.pools.filter(({ name }) => used.has(name) && !has(name))] };
}

/** Three lists of items that have names; `merge` is for one that is in the first and in the last. */
function mergeByName<A>(
  there: readonly A[],
  before: readonly A[],
  after: readonly A[],
  nameOf: (item: A) => string,
  merge: (there: A, before: A | undefined, after: A) => A,
): A[] {
  const byName = (list: readonly A[]) => new Map(list.map((item) => [nameOf(item), item]));
  // Pools have thousands of nodes.
  const [known, old, next] = [byName(there), byName(before), byName(after)];
  const merged: A[] = [];
  for (const item of there) {
    const name = nameOf(item);
    const now = next.get(name);
    if (now !== undefined) merged.push(merge(item, old.get(name), now));
    else if (!old.has(name)) merged.push(item);
  }
  for (const item of after) {
    const name = nameOf(item);
    // What others took out stays out.
    if (!known.has(name) && !old.has(name)) merged.push(item);
  }
  return merged;
}

function mergeWhole<A>(there: A, before: A | undefined, after: A): A {
  return before === undefined || isDeepStrictEqual(before, after) ? there : after;
}

function mergePool(there: LayoutPool, before: LayoutPool | undefined, after: LayoutPool): LayoutPool {
  if (before === undefined) return there;
  return {
    name: there.name,
    nodes: mergeByName(there.nodes, before.nodes, after.nodes, ({ name }) => name, mergeNode),
  };
}

function mergeNode(there: LayoutNode, before: LayoutNode | undefined, after: LayoutNode): LayoutNode {
  if (before === undefined) return there;
  const weight = before.weight === after.weight ? there.weight : after.weight;
  const address = before.address === after.address ? there.address : after.address;
  // Most are as they were, and the same object then: that is soon seen.
  return weight === there.weight && address === there.address ? there : { name: there.name, weight, address };
}

function mergeService(there: LayoutService, before: LayoutService | undefined, after: LayoutService): LayoutService {
  const keyspaces = mergeByName(
    there.keyspaces,
    before?.keyspaces ?? [],
    after.keyspaces,
    ({ prefix }) => prefix,
    mergeWhole<LayoutKeyspace>,
  );
  return { name: there.name, listen: after.listen, keyspaces };
}
