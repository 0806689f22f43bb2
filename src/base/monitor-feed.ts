/**
 * What MONITOR shows, from the workers that carry out commands to those whose clients watch, in memory that all share: each worker writes
 * into a ring of its own, and each that has monitors reads all rings.
 *
 *   worker 0  |.... record record record|      written, a record at a time; nobody waits for a reader
 *   reader          ^ its position              positions count all bytes ever written: one that is behind by more than the ring has lost some
 *
 * A record is written before its command goes out to a node: who has heard of the command's effect finds the record here.
 *
 * Invariant: begun >= written >= any position; record bytes at p are valid while begun - p <= RING_BYTES.
 */

/** For what comes between two looks of a reader. */
const RING_BYTES = 4 * 1024 * 1024;
/** Of a record, of which more is cut off. */
export const RECORD_BYTES_MAX = RING_BYTES / 4;
/** Bytes of a line, the service, and the time (a double). Records begin at multiples of 8. */
const HEADER_BYTES = 16;
/** Of each worker: bytes begun, bytes written, and how many monitors it has. */
const WORDS = 3;
const [BEGUN, WRITTEN, MONITORS] = [0, 1, 2];

/** A line as MONITOR shows it, of a command of a client of that service. */
export interface MonitorRecord {
  service: number;
  /** Milliseconds since 1970, with fractions. */
  timeMs: number;
  line: Uint8Array;
}

/** Memory for `workers` workers. What is not written takes none. */
export function monitorFeedMemory(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * (WORDS * BigInt64Array.BYTES_PER_ELEMENT + RING_BYTES));
}

/** The feed as one worker sees it. */
export class MonitorFeed {
  private readonly words: BigInt64Array;
  private readonly rings: readonly Uint8Array[];
  private readonly worker: number;
  /** Of each ring, up to where it has been read. */
  private readonly positions: bigint[];
  private readonly header = new DataView(new ArrayBuffer(HEADER_BYTES));
  private readonly headerBytes = new Uint8Array(this.header.buffer);

  constructor(memory: SharedArrayBuffer, worker: number) {
    const workers = memory.byteLength / (WORDS * BigInt64Array.BYTES_PER_ELEMENT + RING_BYTES);
    this.worker = worker;
    this.words = new BigInt64Array(memory, 0, workers * WORDS);
    const ringsAt = this.words.byteLength;
    this.rings = Array.from(
      { length: workers },
      (_, n) => new Uint8Array(memory, ringsAt + n * RING_BYTES, RING_BYTES),
    );
    this.positions = this.rings.map(() => 0n);
  }

  /** Whether any worker has monitors. */
  get isWanted(): boolean {
    for (let worker = 0; worker < this.rings.length; worker++) if (this.word(worker, MONITORS) > 0n) return true;
    return false;
  }

  /** This worker has so many monitors. */
  want(monitors: number): void {
    Atomics.store(this.words, this.worker * WORDS + MONITORS, BigInt(monitors));
  }

  /** Adds a record; a line longer than RECORD_BYTES_MAX was cut before. */
  write({ service, timeMs, line }: MonitorRecord): void {
    const { words, worker, header } = this;
    const start = this.word(worker, WRITTEN);
    const end = start + BigInt(sizeOf(line.length));
    // Who reads what is overwritten finds, when it has read it, that it was.
    Atomics.store(words, worker * WORDS + BEGUN, end);
    header.setUint32(0, line.length);
    header.setUint32(4, service);
    header.setFloat64(8, timeMs);
    this.copyIn(start, this.headerBytes);
    this.copyIn(start + BigInt(HEADER_BYTES), line);
    Atomics.store(words, worker * WORDS + WRITTEN, end);
  }

  /** Reads from here on. */
  skip(): void {
    for (let worker = 0; worker < this.rings.length; worker++) this.positions[worker] = this.word(worker, WRITTEN);
  }

  /** What all workers have written since it was called last, by time; null where some of it was lost. */
  read(): MonitorRecord[] | null {
    const records: MonitorRecord[] = [];
    let rings = 0;
    for (let worker = 0; worker < this.rings.length; worker++) {
      const before = records.length;
      if (!this.readRing(worker, records)) {
        this.skip();
        return null;
      }
      if (records.length > before) rings++;
    }
    // One worker's are in its order.
    if (rings > 1) records.sort((one, other) => one.timeMs - other.timeMs);
    return records;
  }

  /** False: some of it was overwritten. */
  private readRing(worker: number, records: MonitorRecord[]): boolean {
    const end = this.word(worker, WRITTEN);
    let position = this.positions[worker] as bigint;
    const start = position;
    // Before a length is believed, and again when all has been copied.
    if (!this.isThere(worker, start)) return false;
    while (position < end) {
      this.copyOut(worker, position, this.headerBytes);
      const length = this.header.getUint32(0);
      if (length > RECORD_BYTES_MAX) return false;
      const line = new Uint8Array(length);
      this.copyOut(worker, position + BigInt(HEADER_BYTES), line);
      records.push({ service: this.header.getUint32(4), timeMs: this.header.getFloat64(8), line });
      position += BigInt(sizeOf(length));
    }
    this.positions[worker] = position;
    return this.isThere(worker, start);
  }

  private isThere(worker: number, position: bigint): boolean {
    return this.word(worker, BEGUN) - position <= BigInt(RING_BYTES);
  }

  private word(worker: number, word: number): bigint {
    return Atomics.load(this.words, worker * WORDS + word);
  }

  private copyIn(position: bigint, bytes: Uint8Array): void {
    const ring = this.rings[this.worker] as Uint8Array;
    const at = Number(position % BigInt(RING_BYTES));
    const first = Math.min(bytes.length, RING_BYTES - at);
    ring.set(bytes.subarray(0, first), at);
    ring.set(bytes.subarray(first), 0);
  }

  private copyOut(worker: number, position: bigint, bytes: Uint8Array): void {
    const ring = this.rings[worker] as Uint8Array;
    const at = Number(position % BigInt(RING_BYTES));
    const first = Math.min(bytes.length, RING_BYTES - at);
    bytes.set(ring.subarray(at, at + first), 0);
    bytes.set(ring.subarray(0, bytes.length - first), first);
  }
}

function sizeOf(lineBytes: number): number {
  return (HEADER_BYTES + lineBytes + 7) & ~7;
}
