/**
 * What a member does about the topology in the coordination store when it starts and when its configuration is read again, decided purely:
 * what is there and what the configuration says in, what is to be there out.
 */
import type { Config } from '../config.js';
import { type Layout, layoutOf } from './layout.js';
import { mergeLayouts, NO_LAYOUT } from './layout-merge.js';
import { planRemaps } from './remaps.js';

/** Keys that may exist would be looked for elsewhere. Nothing is to be changed. */
export class RemapError extends Error {
  override name = 'RemapError';
  /** At least one, each a sentence. */
  readonly remaps: readonly string[];

  constructor(remaps: readonly string[]) {
    super(remaps.join('; '));
    this.remaps = remaps;
  }
}

export interface Planned {
  readonly layout: Layout;
  /** What is looked for elsewhere from now on, since that was accepted; each a sentence. */
  readonly remaps: readonly string[];
}

export interface PlanOptions {
  /** Nobody else has the store: all that is there was written by this process, or by one before it. */
  readonly isAlone: boolean;
  /** The operator's word that keys may be looked for elsewhere. */
  readonly acceptRemap: boolean;
}

/** What a configuration says that all members must agree on: addresses to listen on are each one's own. */
export function sharedLayoutOf(config: Config, isAlone: boolean): Layout {
  const { services, pools } = layoutOf(config);
  return isAlone ? { services, pools } : { services: services.map((service) => ({ ...service, listen: [] })), pools };
}

/** At a start. Throws a RemapError. */
export function planStart(there: Layout | null, config: Config, options: PlanOptions): Planned {
  const { isAlone, acceptRemap } = options;
  const own = sharedLayoutOf(config, isAlone);
  if (there === null) return { layout: own, remaps: [] };
  // A member need not serve all services of its fleet.
  const before = isAlone ? there : partOf(there, own);
  const remaps = planRemaps(before, own);
  if (remaps.length > 0 && !acceptRemap) throw new RemapError(remaps);
  if (isAlone) return { layout: own, remaps };
  // Where it is this configuration that is meant, all holds that it says.
  return { layout: mergeLayouts(there, remaps.length === 0 ? NO_LAYOUT : before, own), remaps };
}

/** When the configuration that said `before` says `after`. Throws a RemapError. */
export function planReload(there: Layout, before: Config, after: Config, options: PlanOptions): Planned {
  const { isAlone, acceptRemap } = options;
  const own = sharedLayoutOf(after, isAlone);
  const layout = isAlone ? own : mergeLayouts(there, sharedLayoutOf(before, isAlone), own);
  // Where clients come in is not in the store of a fleet.
  const remaps = [...new Set([...planRemaps(layoutOf(before), layoutOf(after)), ...planRemaps(there, layout)])];
  if (remaps.length > 0 && !acceptRemap) throw new RemapError(remaps);
  return { layout, remaps };
}

/** Those of what is there that have the names of `own`. */
function partOf(there: Layout, own: Layout): Layout {
  const has = (list: readonly { name: string }[], name: string) => list.some((item) => item.name === name);
  return {
    services: there.services.filter(({ name }) => has(own.services, name)),
    pools: there.pools.filter(({ name }) => has(own.pools, name)),
  };
}
