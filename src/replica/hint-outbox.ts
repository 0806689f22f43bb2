/**
 * The hints of one worker, until the main thread has them: it keeps them, and gives them to the nodes. They go in parcels, each of one node;
 * so that a worker waits for no disk, and a main thread that is behind is not buried: what is more than it is sent is dropped, and counted.
 */
import type { Counts } from '../base/metrics.js';
import type { NodeSnapshot } from '../messages.js';
import type { Commands, Value } from './commands.js';
import { encodeHint } from './hint.js';
import type { Step } from './step.js';

export interface HintOutboxContext {
  readonly limits: { readonly hintsInFlightBytesMax: number };
  readonly counts: Pick<Counts, 'replicatedHints' | 'replicatedHintsDropped'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Hands a parcel on: so many hints of a node. It is told by `onTaken` when the main thread has it. */
  readonly post: (pool: string, node: string, hints: Uint8Array, count: number) => void;
}

interface Parcel {
  readonly pool: string;
  readonly node: string;
  readonly hints: Buffer[];
  bytes: number;
}

/** Of a parcel: it goes before it is larger, unless one hint is. */
const PARCEL_BYTES = 64 * 1024;

export class HintOutbox {
  private readonly context: HintOutboxContext;
  /** By pool and node. */
  private readonly parcels = new Map<string, Parcel>();
  /** That were posted, and that wait. */
  private bytes = 0;

  constructor(context: HintOutboxContext) {
    this.context = context;
  }

  /** `key`: a character a byte; `step`: what the node has not carried out. */
  add({ pool, name }: Pick<NodeSnapshot, 'pool' | 'name'>, key: string, step: Step<Commands, Value>): void {
    const { counts, limits, clock } = this.context;
    const hint = encodeHint(key, step, clock());
    if (this.bytes + hint.length > limits.hintsInFlightBytesMax) {
      counts.replicatedHintsDropped++;
      return;
    }
    counts.replicatedHints++;
    this.bytes += hint.length;
    const id = `${pool}/${name}`;
    const parcel = this.parcels.get(id) ?? { pool, node: name, hints: [], bytes: 0 };
    this.parcels.set(id, parcel);
    parcel.hints.push(hint);
    parcel.bytes += hint.length;
    if (parcel.bytes >= PARCEL_BYTES) this.post(id, parcel);
  }

  get isEmpty(): boolean {
    return this.parcels.size === 0;
  }

  /** Has all that waits handed on. */
  flush(): void {
    for (const [id, parcel] of this.parcels) this.post(id, parcel);
  }

  /** The main thread has so many bytes, and had no room for so many hints. */
  onTaken(bytes: number, dropped: number): void {
    this.bytes -= bytes;
    this.context.counts.replicatedHintsDropped += dropped;
  }

  private post(id: string, { pool, node, hints }: Parcel): void {
    this.parcels.delete(id);
    // Memory of its own, which can change hands.
    const bytes = new Uint8Array(Buffer.concat(hints));
    this.context.post(pool, node, bytes, hints.length);
  }
}
