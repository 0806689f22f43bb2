/** Where the keys of the command last read are, and the errors for those that are nowhere, or not together. */
import { errorBytes, showBytes } from '../base/errors.js';
import type { TopologySnapshot } from '../messages.js';
import { findKeys, KeyList } from '../resp/command-keys.js';
import type { CommandSpec } from '../resp/commands.js';
import { errorReply } from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';
import { OWN_PREFIX } from '../routing/own-prefix.js';
import type { Service } from './service.js';

/** Of commands whose arguments may be keys that are not sharded: WATCH is the one of `transaction`. */
export const ROUTES_WITH_KEYS: ReadonlySet<CommandSpec['route']> = new Set(['one', 'split', 'block', 'transaction']);

export class KeyLocator {
  /** Of the first keys, as many as `locate` returned: which argument each is, and the index of its node (-1: no keyspace has it). */
  readonly keys = new KeyList();
  owners = new Int32Array(64);
  private readonly bytes: Uint8Array;
  private readonly reader: RequestReader;
  private topology: TopologySnapshot;

  constructor(bytes: Uint8Array, reader: RequestReader, topology: TopologySnapshot) {
    this.bytes = bytes;
    this.reader = reader;
    this.topology = topology;
  }

  setTopology(topology: TopologySnapshot): void {
    this.topology = topology;
  }

  /** Returns how many keys there are, or -1 when the arguments are malformed. The channel of PUBLISH counts as one. */
  locate(service: Service, spec: CommandSpec): number {
    const { bytes, reader, keys } = this;
    const { argumentStart, argumentEnd } = reader;
    if (spec.route === 'publish') {
      keys.reserve(1)[0] = 1;
      this.owners[0] = service.nodeOfChannel(bytes, argumentStart[1] as number, argumentEnd[1] as number);
      return 1;
    }
    const count = findKeys(spec, bytes, argumentStart, argumentEnd, reader.argumentCount, keys);
    if (count > this.owners.length) this.owners = new Int32Array(count * 2);
    for (let index = 0; index < count; index++) {
      const argument = keys.positions[index] as number;
      this.owners[index] = service.nodeOf(bytes, argumentStart[argument] as number, argumentEnd[argument] as number);
    }
    return count;
  }

  /** The error for a command of which one of the `count` keys belongs to no keyspace, or null. */
  stray(service: Service, count: number): Uint8Array | null {
    for (let index = 0; index < count; index++) {
      if ((this.owners[index] as number) >= 0) continue;
      return this.noKeyspace(service, this.keys.positions[index] as number);
    }
    return null;
  }

  /** The first key from the second on that is not where the first is, or `count`. */
  firstElsewhere(count: number): number {
    const owner = this.owners[0];
    let index = 1;
    while (index < count && this.owners[index] === owner) index++;
    return index;
  }

  /** The error for a command whose `count` keys do not lie together in keyspaces of the service, or null. */
  misplaced(service: Service, count: number): Uint8Array | null {
    const elsewhere = this.firstElsewhere(count);
    return this.stray(service, count) ?? (elsewhere < count ? this.crossSlot(0, elsewhere) : null);
  }

  /** Whether the keyspaces of all `count` keys let a write be split. */
  splitsWrite(service: Service, count: number): boolean {
    const { argumentStart, argumentEnd } = this.reader;
    for (let index = 0; index < count; index++) {
      const argument = this.keys.positions[index] as number;
      const [start, end] = [argumentStart[argument] as number, argumentEnd[argument] as number];
      if (!service.splitsWriteOf(this.bytes, start, end)) return false;
    }
    return true;
  }

  noKeyspace(service: Service, argument: number): Uint8Array {
    const key = this.showArgument(argument);
    if (service.hasOwnKeys && key.startsWith(`'${OWN_PREFIX}`)) {
      return errorReply(
        `ERR the key ${key} is the proxy's own: those that begin with ${OWN_PREFIX} are not for clients`,
      );
    }
    const [start, end] = [this.reader.argumentStart[argument] as number, this.reader.argumentEnd[argument] as number];
    if (service.storeLocksOf(this.bytes, start, end) !== null)
      return errorReply(
        `ERR ${key} is a lock that the coordination store keeps: LOCK commands are for it, and no others`,
      );
    return errorReply(`ERR no keyspace has the key ${key}; there are keyspaces for the prefixes ${service.prefixes}`);
  }

  crossSlot(first: number, second: number): Uint8Array {
    return crossSlotError(this.show(first), this.show(second), 'request');
  }

  /** `'key' on node name`, for key `index`. */
  show(index: number): string {
    const key = this.showArgument(this.keys.positions[index] as number);
    return `${key} on node ${this.nodeName(this.owners[index] as number)}`;
  }

  nodeName(node: number): string {
    return this.topology.nodes[node]?.label ?? String(node);
  }

  private showArgument(argument: number): string {
    const { argumentStart, argumentEnd } = this.reader;
    return showBytes(this.bytes, argumentStart[argument] as number, argumentEnd[argument] as number);
  }
}

/** `first` and `second` as `KeyLocator.show` shows them; `where`: of what they are the keys. */
export function crossSlotError(first: string, second: string, where: 'request' | 'transaction'): Uint8Array {
  const text = `Keys in ${where} don't hash to the same shard: ${first}, ${second}; a {hash tag} keeps keys together`;
  return errorBytes('CROSSSLOT', text);
}
