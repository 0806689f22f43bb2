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

/** Numbers nodes and services, by identity. */
export class PartNumbers {
  private readonly numbers = new WeakMap<object, number>();
  private last = 0;

  of(part: NodeSnapshot | ServiceSnapshot): number {
    let number = this.numbers.get(part);
    if (number === undefined) {
      number = ++this.last;
      this.numbers.set(part, number);
    }
    return number;
  }

  /** What a topology is made of. */
  partsOf({ version, nodes, services }: TopologySnapshot): TopologyParts {
    return {
      version,
      nodes: Uint32Array.from(nodes, (node) => this.of(node)),
      services: services.map((service) => service && this.of(service)),
    };
  }
}

export class TopologyFeed {
  private readonly numbers: PartNumbers;
  private readonly post: (message: ToWorker) => void;
  /** What the worker knows. */
  private known: Set<number>;
  private onLearned: () => void = () => {};

  /** For a worker that was started with `topology`. */
  constructor(numbers: PartNumbers, topology: TopologySnapshot, post: (message: ToWorker) => void) {
    this.numbers = numbers;
    this.post = post;
    this.known = this.allOf(topology);
  }

  /** Resolves when the worker knows every part of `topology`, or will before what it is sent next. Never, if the worker dies. */
  async prepare(topology: TopologySnapshot): Promise<TopologyParts> {
    const all = [...topology.nodes, ...topology.services.flatMap((service) => service ?? [])];
    const missing = all.filter((part) => !this.known.has(this.numbers.of(part)));
    for (let at = 0; at < missing.length; at += PARTS_PER_MESSAGE) {
      const parts = missing.slice(at, at + PARTS_PER_MESSAGE).map((part) => ({ number: this.numbers.of(part), part }));
      const learned = new Promise<void>((resolve) => {
        this.onLearned = resolve;
      });
      this.post({ kind: 'learn', parts });
      if (parts.length > FEW_PARTS) await learned;
    }
    // The worker forgets, too, what the topology that it goes by has no use for.
    this.known = this.allOf(topology);
    return this.numbers.partsOf(topology);
  }

  /** The worker has said that it has learned what it was sent. */
  learned(): void {
    this.onLearned();
  }

  private allOf({ nodes, services }: TopologySnapshot): Set<number> {
    const numbers = new Set<number>();
    for (const part of [...nodes, ...services]) if (part !== null) numbers.add(this.numbers.of(part));
    return numbers;
  }
}
