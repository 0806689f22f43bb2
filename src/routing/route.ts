/**
 * From a key's bytes to its node, for each way of placing keys. The control plane makes a snapshot of what must be worked
 * out once (`planPlacement`); each worker opens it, and asks it for every key.
 *
 *   slots   one load after the slot: `owners[slotOf(key)]`         ketama   a search among the points of a circle
 *   slots with colocate rules: the slot of a part of the key       modula   a remainder, one load
 *
 * All answer one question, `nodeOf`, so that a worker may hold several. A caller that sees one kind only stays monomorphic,
 * and the engine puts `SlotPlacement.nodeOf` in its place: it costs what the load alone does (native-bench/micro/placement).
 */
import type { PlacementRule } from '../base/placement.js';
import type { PlacementSnapshot } from '../messages.js';
import { Colocation } from './colocate.js';
import { KetamaPlacement, planKetama } from './ketama.js';
import { ModulaPlacement, planModula } from './modula.js';
import { planRing, type RingNode } from './ring.js';
import { SLOT_COUNT, slotOf, slotOfAll } from './slot.js';

export interface Placement {
  /** The index of the node of the key bytes[start, end), which may be empty. Allocates nothing. */
  nodeOf(bytes: Uint8Array, start: number, end: number): number;
}

/**
 * Works out where the keys of a keyspace are. Node indices are places in `nodes`. Throws a RangeError for nodes that cannot
 * be placed on, and for rules that are none; configurations are checked for both before.
 */
export function planPlacement(nodes: readonly RingNode[], rule: PlacementRule): PlacementSnapshot {
  if (rule.kind === 'slots') {
    const memory = new SharedArrayBuffer(SLOT_COUNT * Uint16Array.BYTES_PER_ELEMENT);
    return Object.freeze({ kind: 'slots', owners: planRing(nodes, new Uint16Array(memory)), colocate: rule.colocate });
  }
  const { hash, hashTag } = rule;
  if (rule.kind === 'ketama') return Object.freeze({ kind: 'ketama', ...planKetama(nodes), hash, hashTag });
  return Object.freeze({ kind: 'modula', ...planModula(nodes), hash, hashTag });
}

export function openPlacement(snapshot: PlacementSnapshot): Placement {
  switch (snapshot.kind) {
    case 'slots':
      return snapshot.colocate.length === 0 ? new SlotPlacement(snapshot.owners) : new ColocatedPlacement(snapshot);
    case 'ketama':
      return new KetamaPlacement(snapshot);
    case 'modula':
      return new ModulaPlacement(snapshot);
  }
}

export class SlotPlacement implements Placement {
  private readonly owners: Uint16Array;

  constructor(owners: Uint16Array) {
    this.owners = owners;
  }

  nodeOf(bytes: Uint8Array, start: number, end: number): number {
    return this.owners[slotOf(bytes, start, end)] as number;
  }
}

export class ColocatedPlacement implements Placement {
  private readonly owners: Uint16Array;
  private readonly colocation: Colocation;

  constructor({ owners, colocate }: Extract<PlacementSnapshot, { kind: 'slots' }>) {
    this.owners = owners;
    this.colocation = new Colocation(colocate);
  }

  /** The slot of the key bytes[start, end), by the part of it that the rules say. */
  slotOf(bytes: Uint8Array, start: number, end: number): number {
    const { colocation } = this;
    if (colocation.capture(bytes, start, end)) return slotOfAll(bytes, colocation.start, colocation.end);
    return slotOf(bytes, start, end);
  }

  nodeOf(bytes: Uint8Array, start: number, end: number): number {
    return this.owners[this.slotOf(bytes, start, end)] as number;
  }
}
