/** A worker's memory of the parts that topologies are made of: see control/topology-feed.ts. */
import type { NodeSnapshot, ServiceSnapshot, TopologyParts, TopologySnapshot } from '../messages.js';

export class KnownParts {
  private parts = new Map<number, NodeSnapshot | ServiceSnapshot>();

  /** `topology` is what the worker was started with, made of `parts`. */
  constructor(topology: TopologySnapshot, { nodes, services }: TopologyParts) {
    for (const [index, number] of nodes.entries()) this.parts.set(number, topology.nodes[index] as NodeSnapshot);
    for (const [index, number] of services.entries()) {
      if (number !== null) this.parts.set(number, topology.services[index] as ServiceSnapshot);
    }
  }

  /** Returns the nodes among `parts`. */
  learn(parts: readonly { number: number; part: NodeSnapshot | ServiceSnapshot }[]): NodeSnapshot[] {
    for (const { number, part } of parts) this.parts.set(number, part);
    return parts.flatMap(({ part }) => ('address' in part ? [part] : []));
  }

  /** The topology of these parts, all of which are known. All others are forgotten. */
  assemble({ version, nodes, services }: TopologyParts): TopologySnapshot {
    const kept = new Map<number, NodeSnapshot | ServiceSnapshot>();
    const take = (number: number) => {
      const part = this.parts.get(number);
      if (part === undefined) throw new Error(`part ${number} of topology ${version} is not known`);
      kept.set(number, part);
      return part;
    };
    const topology = {
      version,
      nodes: Array.from(nodes, (number) => take(number) as NodeSnapshot),
      services: services.map((number) => (number === null ? null : (take(number) as ServiceSnapshot))),
    };
    this.parts = kept;
    return topology;
  }
}
