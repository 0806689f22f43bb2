/**
 * One service as a worker sees it: what a session that came in by its door sees as one Redis. Made anew with each topology.
 */
import type { KeyspaceSnapshot, NodeSnapshot, ServiceSnapshot, TopologySnapshot } from '../messages.js';
import { Router } from '../routing/router.js';
import { slotOf } from '../routing/slot.js';
import type { KeyTest } from './own-keys.js';
import { Scan } from './scan.js';

export class Service {
  readonly number: number;
  readonly name: string;
  /** The first TCP port that it listens on, or 0. */
  readonly port: number;
  /** Those of its pools, in the topology's order. */
  readonly nodes: readonly NodeSnapshot[];
  readonly scan: Scan;
  /** Where commands without keys go. */
  readonly homeNode: number;
  readonly shared: ServiceSnapshot['shared'];
  /**
   * Whether its nodes may hold keys that it does not see: those of another service, or what lies where no route of this
   * service leads. They are left out of KEYS and SCAN.
   */
  readonly hidesKeys: boolean;
  private readonly keyspaces: readonly KeyspaceSnapshot[];
  private readonly router: Router;
  /** Where one keyspace has all keys, placed by slots alone: what `Router` would find, in one load. */
  private readonly slotOwners: Uint16Array | null;

  constructor({ name, port, keyspaces, shared }: ServiceSnapshot, number: number, topology: TopologySnapshot) {
    const pools = new Set(keyspaces.map(({ pool }) => pool));
    this.number = number;
    this.name = name;
    this.port = port;
    this.nodes = topology.nodes.filter(({ pool }) => pools.has(pool));
    this.shared = shared;
    this.keyspaces = keyspaces;
    this.router = new Router(keyspaces);
    const [only, ...others] = keyspaces;
    const hasAll = only?.prefix === '' && others.length === 0;
    this.hidesKeys = !hasAll;
    this.scan = new Scan(this.nodes, this.hidesKeys ? this.isOwn : null);
    const placement = only?.placement;
    const isPlain = hasAll && placement?.kind === 'slots' && placement.colocate.length === 0;
    this.slotOwners = isPlain ? placement.owners : null;
    const home = this.nodeOf(new Uint8Array(0), 0, 0);
    this.homeNode = home >= 0 ? home : (this.nodes[0]?.index ?? 0);
  }

  /** The index of the node of the key bytes[start, end), or -1 where no keyspace has it. Allocates nothing. */
  nodeOf(bytes: Uint8Array, start: number, end: number): number {
    const { slotOwners } = this;
    if (slotOwners !== null) return slotOwners[slotOf(bytes, start, end)] as number;
    return this.router.nodeOf(bytes, start, end);
  }

  /** Whether the key bytes[start, end), which `node` has, is one that this service sees. */
  readonly isOwn: KeyTest = (bytes, start, end, node) => this.nodeOf(bytes, start, end) === node;

  /** Whether a write of several keys, of which this is one, may be split. */
  splitsWriteOf(bytes: Uint8Array, start: number, end: number): boolean {
    return this.keyspaces[this.router.keyspaceOf(bytes, start, end)]?.splitsWrites ?? true;
  }

  /** The prefixes of its keys, as an error shows them. */
  get prefixes(): string {
    return this.keyspaces.map(({ prefix }) => JSON.stringify(prefix)).join(', ');
  }
}
