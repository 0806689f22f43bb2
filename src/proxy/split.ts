/**
 * Splits a command with many keys into one command per shard (not per key): MGET, DEL, EXISTS, TOUCH, UNLINK, MSET.
 *
 *   MGET a b c   ->   node 0: MGET a c     node 1: MGET b
 *
 * The parts are put together from pieces of the client's own frame: nothing is decoded.
 */
import { headerLength, writeHeader } from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';
import type { Arena } from '../transport/arena.js';

const STAR = 0x2a;
const CR = 0x0d;

export class Splitter {
  private readonly arena: Arena;
  private readonly reader: RequestReader;
  /** By node index: keys and bytes of its part; left at zero between uses. */
  private readonly keyCounts: Int32Array;
  private readonly pieceBytes: Int32Array;
  private readonly partStart: Int32Array;
  private readonly ends: Int32Array;
  /** The nodes that have a part, in the order of their first keys, and by node the number of its part. */
  readonly nodes: number[] = [];
  readonly partOfNode: Int32Array;

  constructor(arena: Arena, reader: RequestReader, nodeCount: number) {
    this.arena = arena;
    this.reader = reader;
    this.keyCounts = new Int32Array(nodeCount);
    this.pieceBytes = new Int32Array(nodeCount);
    this.partStart = new Int32Array(nodeCount);
    this.ends = new Int32Array(nodeCount);
    this.partOfNode = new Int32Array(nodeCount);
  }

  /** Groups the keys of the command last read: `keys[i]` is the argument of key i, `owners[i]` the node of key i, `step` the arguments from key to key. */
  group(keys: Int32Array, keyCount: number, owners: Int32Array, step: number): void {
    const { argumentEnd } = this.reader;
    this.nodes.length = 0;
    for (let index = 0; index < keyCount; index++) {
      const node = owners[index] as number;
      const argument = keys[index] as number;
      if (this.keyCounts[node] === 0) {
        this.partOfNode[node] = this.nodes.length;
        this.nodes.push(node);
      }
      this.keyCounts[node] = (this.keyCounts[node] as number) + 1;
      const piece = (argumentEnd[argument + step - 1] as number) - (argumentEnd[argument - 1] as number);
      this.pieceBytes[node] = (this.pieceBytes[node] as number) + piece;
    }
  }

  /**
   * Builds the parts in one arena block and calls `send(node, start, end)` for each, then releases the block: what is
   * sent is copied (and settled) by then. Returns false, and has sent nothing, when the arena has no room.
   */
  build(
    frameStart: number,
    keys: Int32Array,
    keyCount: number,
    owners: Int32Array,
    step: number,
    send: (node: number, start: number, end: number) => void,
  ): boolean {
    const { arena } = this;
    const { bytes } = arena;
    const { argumentEnd } = this.reader;
    // The piece with the command's name, `$4\r\nMGET\r\n`, and what else is before the first key, begins two bytes from the CR of the frame's first line: what follows
    // the CR need not be an LF, since Redis passes over it.
    const nameStart = bytes.indexOf(CR, frameStart) + 2;
    const before = keys[0] as number;
    const nameBytes = (argumentEnd[before - 1] as number) + 2 - nameStart;
    let total = 0;
    for (const node of this.nodes) {
      total +=
        headerLength(before + (this.keyCounts[node] as number) * step) + nameBytes + (this.pieceBytes[node] as number);
    }
    const block = this.arena.allocate(total);
    if (block >= 0) {
      let at = block;
      for (const node of this.nodes) {
        this.partStart[node] = at;
        const count = before + (this.keyCounts[node] as number) * step;
        const named = writeHeader(bytes, at, STAR, count);
        arena.copyNow(nameStart, nameStart + nameBytes, named);
        this.ends[node] = named + nameBytes;
        at = named + nameBytes + (this.pieceBytes[node] as number);
      }
      for (let index = 0; index < keyCount; index++) {
        const node = owners[index] as number;
        const argument = keys[index] as number;
        const from = (argumentEnd[argument - 1] as number) + 2;
        const to = (argumentEnd[argument + step - 1] as number) + 2;
        const target = this.ends[node] as number;
        arena.copyNow(from, to, target);
        this.ends[node] = target + (to - from);
      }
      for (const node of this.nodes) send(node, this.partStart[node] as number, this.ends[node] as number);
      this.arena.settle();
      this.arena.release(block, total);
    }
    for (const node of this.nodes) {
      this.keyCounts[node] = 0;
      this.pieceBytes[node] = 0;
    }
    return block >= 0;
  }
}
