/**
 * Tells one worker of topologies without ever keeping it from its sessions for long: a thousand nodes in one message take it
 * several milliseconds to read. What it was told before is not told again, and what is new comes in parts, each of which it
 * answers before the next is sent, unless that is little.
 *
 *   learn 256 parts -> learned -> learn 256 parts -> learned -> configure (numbers of parts)
 *
 * Parts are the immutable nodes and services of topologies; a part is known by the number that `PartNumbers` gave it.
 */
import type { NodeSnapshot, ServiceSnapshot, TopologyParts, TopologySnapshot, ToWorker } from '../messages.js';

/** Parts in one message: a worker takes about a millisecond to read it and to make the channels of so many new nodes. */
const PARTS_PER_MESSAGE = 256;
/** Behind so few the worker is configured in the same turn: their answer is not waited for. */
const FEW_PARTS = 32;

type Part = NodeSnapshot | ServiceSnapshot;

/** Numbers nodes and services, by identity. */
export class PartNumbers {
  private readonly numbers = new WeakMap<Part, number>();
  private readonly parts = new WeakMap<TopologySnapshot, TopologyParts>();
  private last = 0;

  /** What a topology is made of: looked for once, for all workers. */
  partsOf(topology: TopologySnapshot): TopologyParts {
    const known = this.parts.get(topology);
    if (known !== undefined) return known;
    const { version, nodes, services } = topology;
    const parts = {
      version,
      nodes: Uint32Array.from(nodes, (node) => this.of(node)),
      services: services.map((service) => service && this.of(service)),
    };
    this.parts.set(topology, parts);
    return parts;
  }

  private of(part: Part): number {
    let number = this.numbers.get(part);
    if (number === undefined) {
      number = ++this.last;
      this.numbers.set(part, number);
    }
    return number;
  }
}

export class TopologyFeed {
  private readonly numbers: PartNumbers;
  private readonly post: (message: ToWorker) => void;
  /** What the worker knows. */
  private known: ReadonlySet<number>;
  private onLearned: () => void = () => {};

  /** For a worker that was started with `topology`. */
  constructor(numbers: PartNumbers, topology: TopologySnapshot, post: (message: ToWorker) => void) {
    this.numbers = numbers;
    this.post = post;
    this.known = allOf(numbers.partsOf(topology));
  }

  /** Resolves when the worker knows every part of `topology`, or will before what it is sent next. Never, if the worker dies. */
  async prepare(topology: TopologySnapshot): Promise<TopologyParts> {
    const all = this.numbers.partsOf(topology);
    const missing = this.missing(topology, all);
    for (let at = 0; at < missing.length; at += PARTS_PER_MESSAGE) {
      const parts = missing.slice(at, at + PARTS_PER_MESSAGE);
      const learned = new Promise<void>((resolve) => {
        this.onLearned = resolve;
      });
      this.post({ kind: 'learn', parts });
      if (parts.length > FEW_PARTS) await learned;
    }
    // The worker forgets, too, what the topology that it goes by has no use for.
    this.known = allOf(all);
    return all;
  }

  /** The worker has said that it has learned what it was sent. */
  learned(): void {
    this.onLearned();
  }

  private missing({ nodes, services }: TopologySnapshot, parts: TopologyParts): { number: number; part: Part }[] {
    const missing: { number: number; part: Part }[] = [];
    const look = (number: number, part: Part) => {
      if (!this.known.has(number)) missing.push({ number, part });
    };
    for (const [at, node] of nodes.entries()) look(parts.nodes[at] as number, node);
    for (const [at, service] of services.entries()) if (service !== null) look(parts.services[at] as number, service);
    return missing;
  }
}

function allOf({ nodes, services }: TopologyParts): Set<number> {
  const numbers = new Set<number>(nodes);
  for (const number of services) if (number !== null) numbers.add(number);
  return numbers;
}
