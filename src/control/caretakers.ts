/** A caretaker for each pool with replicated keys, as topologies come and go. */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { PoolConfig } from '../base/pools-section.js';
import type { NodeSnapshot, ServiceSnapshot, TopologySnapshot } from '../messages.js';
import { Caretaker, type PoolCare } from './caretaker.js';
import type { NameLookup } from './name-lookup.js';
import { replicatedPools } from './replicated-pools.js';

interface Parts {
  restart: PoolConfig['restart'];
  nodes: readonly NodeSnapshot[];
  services: readonly (ServiceSnapshot | null)[];
}

interface Cared {
  caretaker: Caretaker;
  /** What it was made of: while these are the same, it stays. */
  parts: Parts;
}

export class Caretakers {
  private readonly names: NameLookup;
  private readonly log: Logger;
  /** By pool. */
  private cared = new Map<string, Cared>();
  /** Those that are no longer wanted, until they have ended. */
  private readonly ending = new Set<Promise<void>>();

  constructor(names: NameLookup, log: Logger) {
    this.names = names;
    this.log = log;
  }

  /**
   * Cares by this topology from now on; `pools` are those of the configuration that it was planned by, `store` is the one that the coordination
   * store lies on, as the store itself has it.
   */
  setTopology(topology: TopologySnapshot, pools: readonly PoolConfig[], store: PoolConfig | null): void {
    const before = this.cared;
    this.cared = new Map();
    for (const pool of replicatedPools(topology, store)) {
      const restart = (pools.find(({ name }) => name === pool.name) ?? store)?.restart ?? 'loses-data';
      const parts = { restart, nodes: pool.nodes, services: topology.services };
      const old = before.get(pool.name);
      if (old !== undefined && isSame(old.parts, parts)) {
        before.delete(pool.name);
        this.cared.set(pool.name, old);
        continue;
      }
      const caretaker = new Caretaker(pool, restart === 'keeps-data', this.names, this.log);
      caretaker.start();
      this.cared.set(pool.name, { caretaker, parts });
    }
    for (const { caretaker } of before.values()) this.end(caretaker);
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
    const ended = caretaker.stop();
    this.ending.add(ended);
    void ended.finally(() => this.ending.delete(ended));
  }
}

/** Placements are large, and the same object where they are the same; nodes are few. */
function isSame(one: Parts, other: Parts): boolean {
  return (
    one.restart === other.restart &&
    one.services.length === other.services.length &&
    one.services.every((service, at) => service === other.services[at]) &&
    isDeepStrictEqual(one.nodes, other.nodes)
  );
}
