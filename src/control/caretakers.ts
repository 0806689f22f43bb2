/** A caretaker for each pool with replicated keys, as topologies come and go. */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { PoolConfig } from '../base/pools-section.js';
import type { NodeSnapshot, ServiceSnapshot, TopologySnapshot } from '../messages.js';
import { Caretaker, type CaretakerOptions, type Duty, type PoolCare } from './caretaker.js';
import type { ComparisonCare } from './comparisons.js';
import type { NameLookup } from './name-lookup.js';
import { type ReplicatedPool, replicatedPools } from './replicated-pools.js';

interface Parts {
  /** See Caretaker. */
  duty: Duty;
  restart: PoolConfig['restart'];
  nodes: readonly NodeSnapshot[];
  services: readonly (ServiceSnapshot | null)[];
}

type Shared = Pick<CaretakerOptions, 'isLeader' | 'bulk' | 'hints'>;

interface Cared {
  caretaker: Caretaker;
  /** What it was made of: while these are the same, it stays. */
  parts: Parts;
}

export class Caretakers {
  private readonly names: NameLookup;
  private readonly log: Logger;
  private readonly shared: Shared;
  /** By pool. */
  private cared = new Map<string, Cared>();
  /** Pools that have had members: who comes after a caretaker knows what it knew. */
  private readonly begun = new Set<string>();
  /** Those that are no longer wanted, until they have ended. */
  private readonly ending = new Set<Promise<void>>();

  constructor(names: NameLookup, log: Logger, shared: Shared) {
    this.names = names;
    this.log = log;
    this.shared = shared;
  }

  /** Before there is a topology: has a coordination store on that pool found its nodes. */
  admit(store: PoolConfig): void {
    const before = { version: 0, nodes: [], services: [] };
    for (const pool of replicatedPools(before, store))
      this.begin(pool, { duty: 'admit', ...partsOf(pool, store, before) }, null);
  }

  /**
   * Cares by this topology from now on; `pools` are those of the configuration that it was planned by, `store` is the one that the coordination
   * store lies on, as the store itself has it.
   */
  setTopology(topology: TopologySnapshot, pools: readonly PoolConfig[], store: PoolConfig | null): void {
    const before = this.cared;
    this.cared = new Map();
    for (const pool of replicatedPools(topology, store)) {
      const config = pools.find(({ name }) => name === pool.name) ?? store;
      const parts: Parts = { duty: 'all', ...partsOf(pool, config, topology) };
      const old = before.get(pool.name);
      if (old !== undefined && isSame(old.parts, parts)) {
        before.delete(pool.name);
        this.cared.set(pool.name, old);
        continue;
      }
      if (old !== undefined) this.end(old.caretaker);
      before.delete(pool.name);
      // Where the copies are what they were, they have what they had.
      const isKnown = old !== undefined && areSameCopies(old.parts, parts);
      this.begin(pool, parts, isKnown ? old.caretaker.comparison : null);
    }
    for (const { caretaker } of before.values()) this.end(caretaker);
  }

  private begin(pool: ReplicatedPool, parts: Parts, compared: ComparisonCare | null): void {
    const { duty, restart } = parts;
    const wasBegun = this.begun.has(pool.name);
    const options = { ...this.shared, duty, keepsData: restart === 'keeps-data', wasBegun, compared };
    const caretaker = new Caretaker(pool, options, this.names, this.log);
    caretaker.start();
    this.cared.set(pool.name, { caretaker, parts });
  }

  care(): PoolCare[] {
    return [...this.cared.values()].map(({ caretaker }) => caretaker.care());
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    for (const { caretaker } of this.cared.values()) this.end(caretaker);
    this.cared.clear();
    await Promise.all(this.ending);
  }

  private end(caretaker: Caretaker): void {
    if (caretaker.wasBegun) this.begun.add(caretaker.pool.name);
    const ended = caretaker.stop();
    this.ending.add(ended);
    void ended.finally(() => this.ending.delete(ended));
  }
}

function partsOf(
  { nodes }: ReplicatedPool,
  config: PoolConfig | null,
  { services }: TopologySnapshot,
): Omit<Parts, 'duty'> {
  return { restart: config?.restart ?? 'loses-data', nodes, services };
}

function isSame(one: Parts, other: Parts): boolean {
  return (
    one.duty === other.duty &&
    one.restart === other.restart &&
    areSameServices(one, other) &&
    isDeepStrictEqual(one.nodes, other.nodes)
  );
}

/** All but how they are dealt with. */
function areSameCopies(one: Parts, other: Parts): boolean {
  const places = ({ nodes }: Parts) => nodes.map(({ name, address, index }) => ({ name, address, index }));
  return areSameServices(one, other) && isDeepStrictEqual(places(one), places(other));
}

/** Placements are large, and the same object where they are the same; nodes are few. */
function areSameServices(one: Parts, other: Parts): boolean {
  return (
    one.services.length === other.services.length && one.services.every((service, at) => service === other.services[at])
  );
}
