/**
 * What really happened at the nodes of a simulation, and what clients were told: the judge.
 *
 * Every write carries an id of its own, `client.sequence.part`, in its value or in a key made for it. So the judge knows of
 * each whether it was carried out, when, how often, and what it did, and can compare that with what the client was told:
 *   - a write is carried out once at the most;
 *   - one that was said to have had no effect was not, and never will be, carried out;
 *   - one that was acknowledged was carried out;
 *   - it was carried out in the database, and by a connection of the protocol, that its session had then;
 *   - on one node a client's writes are carried out in their order, but for those that it was told to be unknown.
 * A pop is a write, too, and what it takes is what its client gets.
 */

/** One change of a key, by the write of that id. What a pop takes is its value. */
export interface Change {
  readonly id: string;
  readonly client: number;
  readonly sequence: number;
  readonly place: string;
  readonly value: string | null;
  /** The step in which it happened, and its place among all changes of all keys. */
  readonly step: number;
  readonly order: number;
  /** What the node replied of it: `DEL` 0 or 1, `APPEND` the length. */
  readonly result: number;
}

/** The key of `id`, beside `key` on its node: what a command that carries no value is known by. */
export function idKey(key: string, id: string): string {
  return `${key}#${id}`;
}

/** Where a key is, for the judge: in which database. */
export function placeOf(database: number, key: string): string {
  return `${database}/${key}`;
}

/** How a connection must be that the command of an id goes by. */
interface Kind {
  readonly database: number;
  readonly protocol: 2 | 3;
}

/** The id in a value or in the key of an id, or null. Of APPEND's pieces the last. */
export function idIn(text: string): string | null {
  return /<(\d+\.\d+\.\d+)>[^<]*$/.exec(text)?.[1] ?? null;
}

/** One CLIENT UNBLOCK: until when it may still happen. */
export interface Unblock {
  readonly client: number;
  readonly isError: boolean;
  endStep: number;
}

export class History {
  step = 0;
  /** What has happened, how often. */
  readonly tally = { transactions: 0, transactionsRefused: 0, waits: 0, waitsServed: 0, waitsUnblocked: 0 };
  private order = 0;
  private readonly changes = new Map<string, Change[]>();
  private readonly byId = new Map<string, Change>();
  /** Ids of writes that came whole to a node. */
  private readonly received = new Set<string>();
  private readonly disowned = new Set<string>();
  private readonly overtaken = new Set<string>();
  /** By node and client: the latest of its writes there. */
  private readonly latest = new Map<string, number>();
  private readonly expected = new Map<string, Kind>();
  /** By database and node: how many keys it had, and from which step on. */
  private readonly sizes: { step: number; size: number }[][][] = [];
  /** By client: how many of its waits nodes have ended because of CLIENT UNBLOCK, less those that somebody was told of. */
  private readonly unblocked = new Map<number, number>();
  private readonly unblocks: Unblock[] = [];

  /** The command of that id was asked by a session of that protocol and database. */
  expect(id: string, { database, protocol }: Kind): void {
    this.expected.set(id, { database, protocol });
  }

  /** A node carries out the command of that id, by a connection of that protocol and database. */
  onBegun(id: string, { database, protocol }: Kind): void {
    const kind = this.expected.get(id);
    if (kind?.database === database && kind.protocol === protocol) return;
    const wanted = `RESP${kind?.protocol} and database ${kind?.database}`;
    throw new Error(`${id} is for ${wanted}, and was carried out by RESP${protocol} in database ${database}`);
  }

  /** The node has all of the write of that id. */
  onReceived(id: string): void {
    this.received.add(id);
  }

  /**
   * The node has carried out the write of that id, which made `value` of `key`. `isLive`: on a connection that the proxy has
   * not given up.
   */
  onExecuted(node: number, id: string, place: string, value: string | null, result: number, isLive: boolean): void {
    const [client, sequence] = id.split('.').map(Number) as [number, number];
    if (this.byId.has(id)) throw new Error(`the write ${id} of ${place} was carried out twice`);
    if (this.disowned.has(id)) throw new Error(`the write ${id} of ${place} was said to have had no effect`);
    const change = { id, client, sequence, place, value, step: this.step, order: ++this.order, result };
    this.byId.set(id, change);
    const changes = this.changes.get(place);
    if (changes === undefined) this.changes.set(place, [change]);
    else changes.push(change);
    if (!isLive) return;
    const writer = `${node}.${client}`;
    const latest = this.latest.get(writer) ?? -1;
    if (sequence < latest) this.overtaken.add(id);
    this.latest.set(writer, Math.max(latest, sequence));
  }

  onSize(node: number, database: number, size: number): void {
    this.sizes[database] ??= [];
    const sizes = this.sizes[database];
    sizes[node] ??= [{ step: -1, size: 0 }];
    sizes[node].push({ step: this.step, size });
  }

  /** A node has ended the wait of the pop of that id. */
  onUnblocked(id: string): void {
    const client = Number(id.split('.')[0]);
    this.unblocked.set(client, (this.unblocked.get(client) ?? 0) + 1);
  }

  /** Somebody was told that a wait of `client` was ended. */
  claimUnblocked(client: number): void {
    const count = this.unblocked.get(client) ?? 0;
    if (count === 0) throw new Error(`no node has ended a wait of client ${client}`);
    this.unblocked.set(client, count - 1);
  }

  /** Somebody asks for the end of the wait of `client`. */
  onUnblock(client: number, isError: boolean): Unblock {
    const unblock = { client, isError, endStep: Number.POSITIVE_INFINITY };
    this.unblocks.push(unblock);
    return unblock;
  }

  /** Whether a wait of `client`, since step `since`, may have been ended so. */
  mayBeUnblocked(client: number, isError: boolean, since: number): boolean {
    return this.unblocks.some((one) => one.client === client && one.isError === isError && one.endStep >= since);
  }

  /** The client was told that these writes were done. What they did. */
  acknowledge(ids: readonly string[]): number {
    let result = 0;
    for (const id of ids) {
      const change = this.byId.get(id);
      if (change === undefined) throw new Error(`the write ${id} was acknowledged, and not carried out`);
      if (this.overtaken.has(id)) throw new Error(`the write ${id} was carried out after a later one of its client`);
      result += change.result;
    }
    return result;
  }

  /** The client was told that these writes had no effect. */
  disown(ids: readonly string[]): void {
    for (const id of ids) {
      if (this.byId.has(id)) throw new Error(`the write ${id} was carried out, and said to have had no effect`);
      this.disowned.add(id);
    }
  }

  /** The client was told that it is not known whether these writes were done. */
  admitUnknown(ids: readonly string[]): void {
    if (ids.some((id) => this.received.has(id))) return;
    throw new Error(`the writes ${ids.join(' ')} are said to be unknown, and no node ever had one of them`);
  }

  /** What the write of that id did. */
  changeOf(id: string): Change | undefined {
    return this.byId.get(id);
  }

  /** What the key had right before the write of that id. */
  valueBefore(id: string): string | null {
    const { place, order } = this.byId.get(id) as Change;
    const before = (this.changes.get(place) as Change[]).findLast((change) => change.order < order);
    return before?.value ?? null;
  }

  /** Whether anybody has written there since `step`, but for what `client` had asked before its `sequence`th command. */
  hasChangedSince(place: string, step: number, client: number, sequence: number): boolean {
    const changes = this.changes.get(place) ?? [];
    return changes.some((one) => one.step >= step && (one.client !== client || one.sequence > sequence));
  }

  /** These writes, all done, must have been done in this order, and nothing between them. */
  checkBlock(ids: readonly string[]): void {
    const first = this.byId.get(ids[0] as string)?.order ?? 0;
    for (const [place, id] of ids.entries()) {
      if (this.byId.get(id)?.order !== first + place) throw new Error(`the writes ${ids.join(' ')} are no block`);
    }
  }

  /**
   * What a read of `place` may have seen that `client` sent as its `sequence`th command in step `since`: not what a later
   * command of the client did, not what was gone before `since`, and nothing from before `settled`, the latest of its own
   * writes that it knows to have been done.
   */
  visible(place: string, client: number, sequence: number, since: number, settled: string | null): Set<string | null> {
    const values = new Set<string | null>();
    const changes = this.changes.get(place) ?? [];
    const from = settled === null ? 0 : (this.byId.get(settled) as Change).order;
    if (settled === null && (changes[0] === undefined || changes[0].step >= since)) values.add(null);
    for (let index = changes.length - 1; index >= 0; index--) {
      const change = changes[index] as Change;
      const end = changes[index + 1]?.step ?? Number.POSITIVE_INFINITY;
      if (end < since || change.order < from) break;
      if (change.client !== client || change.sequence < sequence) values.add(change.value);
    }
    return values;
  }

  /** Of these writes, all done, the one that was done last. */
  lastOf(ids: readonly string[]): string {
    return ids.reduce((last, id) => {
      return (this.byId.get(id) as Change).order > (this.byId.get(last) as Change).order ? id : last;
    });
  }

  /** The least and the most keys that all nodes together may have been seen to have in that database since step `since`. */
  sizeRange(database: number, since: number): [number, number] {
    let [least, most] = [0, 0];
    for (const sizes of this.sizes[database] ?? []) {
      if (sizes === undefined) continue;
      let [low, high] = [Number.POSITIVE_INFINITY, 0];
      for (let index = sizes.length - 1; index >= 0; index--) {
        const { step, size } = sizes[index] as { step: number; size: number };
        low = Math.min(low, size);
        high = Math.max(high, size);
        if (step < since) break;
      }
      least += low;
      most += high;
    }
    return [least, most];
  }
}
