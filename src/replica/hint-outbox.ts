/**
 * The hints of one worker, until the main thread has them: it keeps them, and gives them to the nodes. They go in parcels, each of one node,
 * so that a worker waits for no disk; and no more at a time than a main thread is to hold that is behind.
 *
 *   add ──> (the last parcel of its node) ──> (full ones) ──post──> under way ──onTaken──> kept
 *                                                  └ the nodes take turns, while hintsInFlightBytesMax allows
 *
 * When a node freezes, all comes at once that it has not answered. That waits here, as long as its node may have so much kept for it.
 */
import { Fifo } from '../base/fifo.js';
import type { NodeLimits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import type { NodeSnapshot } from '../messages.js';
import type { Commands, Value } from './commands.js';
import { encodeHint } from './hint.js';
import type { Step } from './step.js';

/** Of which something is missed. */
export type HintedNode = Pick<NodeSnapshot, 'pool' | 'name'> & { readonly limits: Pick<NodeLimits, 'hintBytesMax'> };

export interface HintOutboxContext {
  readonly limits: { readonly hintsInFlightBytesMax: number };
  readonly counts: Pick<Counts, 'replicatedHints' | 'replicatedHintsDropped'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Hands a parcel on: so many hints of a node. It is told by `onTaken` when it is kept. */
  readonly post: (pool: string, node: string, hints: Uint8Array, count: number) => void;
  /** A hint of that node was dropped: so much waits for it already. */
  readonly onDropped: (node: HintedNode) => void;
}

interface Parcel {
  hints: Buffer[];
  bytes: number;
}

/** What waits for one node. */
interface Line {
  readonly pool: string;
  readonly node: string;
  readonly full: Fifo<Parcel>;
  last: Parcel;
  /** Of all these. */
  bytes: number;
}

/** Of a parcel: it goes before it is larger, unless one hint is. */
const PARCEL_BYTES = 64 * 1024;

export class HintOutbox {
  private readonly context: HintOutboxContext;
  /** By pool and node: those for which something waits, in the order of their turns. */
  private readonly lines = new Map<string, Line>();
  private underWay = 0;

  constructor(context: HintOutboxContext) {
    this.context = context;
  }

  /** `key`: a character a byte; `step`: what the node has not carried out. */
  add(hinted: HintedNode, key: string, step: Step<Commands, Value>): void {
    const { pool, name: node, limits } = hinted;
    const { counts, clock, onDropped } = this.context;
    const hint = encodeHint(key, step, clock());
    const id = `${pool}/${node}`;
    const line = this.lines.get(id) ?? { pool, node, full: new Fifo<Parcel>(), last: emptyParcel(), bytes: 0 };
    if (line.bytes + hint.length > limits.hintBytesMax) {
      counts.replicatedHintsDropped++;
      onDropped(hinted);
      return;
    }
    this.lines.set(id, line);
    counts.replicatedHints++;
    line.bytes += hint.length;
    line.last.hints.push(hint);
    line.last.bytes += hint.length;
    if (line.last.bytes < PARCEL_BYTES) return;
    line.full.push(line.last);
    line.last = emptyParcel();
    this.post(false, this.context.limits.hintsInFlightBytesMax);
  }

  /** Has all that waits handed on, as far as may be under way. */
  flush(): void {
    this.post(true, this.context.limits.hintsInFlightBytesMax);
  }

  /** Has all handed on, however much that is: nothing comes behind it. */
  end(): void {
    this.post(true, Number.POSITIVE_INFINITY);
  }

  /** So many bytes are kept. */
  onTaken(bytes: number): void {
    this.underWay -= bytes;
    this.flush();
  }

  /** `isWhole`: also what is no full parcel. One that is larger than may be under way goes alone. */
  private post(isWhole: boolean, underWayMax: number): void {
    for (;;) {
      const next = this.next(isWhole);
      if (next === null) return;
      const [id, line] = next;
      const parcel = line.full.peek() ?? line.last;
      if (this.underWay > 0 && this.underWay + parcel.bytes > underWayMax) return;
      if (line.full.shift() === undefined) line.last = emptyParcel();
      line.bytes -= parcel.bytes;
      this.underWay += parcel.bytes;
      // The others have their turns before it.
      this.lines.delete(id);
      if (line.bytes > 0) this.lines.set(id, line);
      // Memory of its own, which can change hands.
      this.context.post(line.pool, line.node, new Uint8Array(Buffer.concat(parcel.hints)), parcel.hints.length);
    }
  }

  private next(isWhole: boolean): [string, Line] | null {
    for (const entry of this.lines) if (isWhole || entry[1].full.length > 0) return entry;
    return null;
  }
}

function emptyParcel(): Parcel {
  return { hints: [], bytes: 0 };
}
