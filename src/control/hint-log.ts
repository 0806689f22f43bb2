/**
 * The hints of one node, oldest first, bounded in bytes and in age: in files where there is a folder for them, else in memory.
 *
 *   append ──> (waiting) ──> the last segment        the first segment ──read──> replayed ──> removed
 *
 *   FOLDER/000001.hints: records of bytes (4), a checksum (8: of SHA-1), one parcel of hints as `replica/hint` writes them
 *
 * What is appended is written behind the back of who appends it, and synced every second: a crash of the machine may cost the last second, one
 * of the process what was still waiting. A record that is not whole ends its segment. A segment that was read only in part when the process
 * ended is read again from its beginning, which does no harm.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

interface Segment {
  readonly number: number;
  /** Null in files: there it is read when its turn comes. */
  readonly parcels: Uint8Array[] | null;
  bytes: number;
  /** When its first and its last were appended, milliseconds since 1970. */
  firstMs: number;
  lastMs: number;
  /** Nothing is appended to it any more. */
  isSealed: boolean;
}

export interface HintLogOptions {
  /** Null: in memory. */
  folder: string | null;
  /** The system's error, in words. */
  onTrouble: (reason: string) => void;
}

const SEGMENT_BYTES = 4 * 1024 * 1024;
const LENGTH_BYTES = 4;
const SUM_BYTES = 8;
const HEAD_BYTES = LENGTH_BYTES + SUM_BYTES;
const SYNC_MS = 1_000;
const SUFFIX = '.hints';

export class HintLog {
  private readonly options: HintLogOptions;
  private readonly segments: Segment[] = [];
  private last = 0;
  /** What is not in a file yet, with its segment. */
  private waiting: { segment: Segment; record: Buffer }[] = [];
  private writing: Promise<void> | null = null;
  private file: { number: number; handle: FileHandle } | null = null;
  private isDirty = false;
  private syncing: NodeJS.Timeout | null = null;

  constructor(options: HintLogOptions) {
    this.options = options;
  }

  /** With what is in the folder. Rejects with the system's error where that cannot be read. */
  static async open(options: HintLogOptions): Promise<HintLog> {
    const log = new HintLog(options);
    if (options.folder !== null) await log.find(options.folder);
    return log;
  }

  /** Bytes of all that is there. */
  get bytes(): number {
    return this.segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** When the oldest was appended, milliseconds since 1970; null: there is none. */
  get oldestMs(): number | null {
    return this.segments[0]?.firstMs ?? null;
  }

  get isEmpty(): boolean {
    return this.segments.length === 0;
  }

  append(parcel: Uint8Array, nowMs: number): void {
    let segment = this.segments.at(-1);
    if (segment === undefined || segment.isSealed || segment.bytes >= SEGMENT_BYTES) {
      const parcels = this.options.folder === null ? [] : null;
      segment = { number: ++this.last, parcels, bytes: 0, firstMs: nowMs, lastMs: nowMs, isSealed: false };
      this.segments.push(segment);
    }
    segment.bytes += HEAD_BYTES + parcel.length;
    segment.lastMs = nowMs;
    if (segment.parcels !== null) {
      segment.parcels.push(parcel);
      return;
    }
    this.waiting.push({ segment, record: recordOf(parcel) });
    this.writing ??= this.write().finally(() => {
      this.writing = null;
    });
  }

  /** The parcels of the first segment, which nothing is added to from now on. */
  async first(): Promise<Uint8Array[]> {
    const [segment] = this.segments;
    if (segment === undefined) return [];
    segment.isSealed = true;
    if (segment.parcels !== null) return segment.parcels;
    await this.writing;
    try {
      return parcelsOf(await readFile(this.pathOf(segment)));
    } catch (error) {
      this.tell(error);
      return [];
    }
  }

  /** The first segment is not needed any more. */
  async removeFirst(): Promise<void> {
    const segment = this.segments.shift();
    if (segment === undefined || segment.parcels !== null) return;
    segment.isSealed = true;
    await this.writing;
    try {
      if (this.file?.number === segment.number) await this.closeFile();
      await rm(this.pathOf(segment), { force: true });
    } catch (error) {
      this.tell(error);
    }
  }

  /** Of the first segment: when the last of it was appended; null: there is none. */
  get firstEndsMs(): number | null {
    return this.segments[0]?.lastMs ?? null;
  }

  /** Resolves when all is on the disk. */
  async close(): Promise<void> {
    await this.writing;
    await this.sync();
    if (this.file !== null) await this.closeFile();
    if (this.syncing !== null) clearTimeout(this.syncing);
  }

  private async find(folder: string): Promise<void> {
    const names = (await readdir(folder)).filter((name) => name.endsWith(SUFFIX)).sort();
    for (const name of names) {
      const { size, birthtimeMs, mtimeMs } = await stat(join(folder, name));
      const number = Number.parseInt(name, 10);
      const firstMs = Math.min(birthtimeMs, mtimeMs);
      this.segments.push({ number, parcels: null, bytes: size, firstMs, lastMs: mtimeMs, isSealed: true });
      this.last = number;
    }
  }

  private async write(): Promise<void> {
    try {
      while (this.waiting.length > 0) {
        const { segment } = this.waiting[0] as { segment: Segment };
        const next = this.waiting.findIndex((one) => one.segment !== segment);
        const batch = this.waiting.splice(0, next < 0 ? this.waiting.length : next);
        if (this.file?.number !== segment.number) await this.openFile(segment);
        const { handle } = this.file as { handle: FileHandle };
        await handle.appendFile(Buffer.concat(batch.map(({ record }) => record)));
        this.isDirty = true;
      }
      this.syncing ??= setTimeout(() => {
        this.syncing = null;
        void this.sync();
      }, SYNC_MS);
    } catch (error) {
      // What cannot be written is not kept: the comparison of nodes brings it.
      this.waiting = [];
      this.tell(error);
    }
  }

  private async openFile(segment: Segment): Promise<void> {
    if (this.file !== null) await this.closeFile();
    await mkdir(this.options.folder as string, { recursive: true, mode: 0o700 });
    this.file = { number: segment.number, handle: await open(this.pathOf(segment), 'a', 0o600) };
  }

  private async closeFile(): Promise<void> {
    await this.sync();
    const { file } = this;
    this.file = null;
    await file?.handle.close();
  }

  private async sync(): Promise<void> {
    if (!this.isDirty || this.file === null) return;
    this.isDirty = false;
    try {
      await this.file.handle.datasync();
    } catch (error) {
      this.tell(error);
    }
  }

  private tell(error: unknown): void {
    this.options.onTrouble(error instanceof Error ? error.message : String(error));
  }

  private pathOf({ number }: Segment): string {
    return join(this.options.folder as string, `${String(number).padStart(6, '0')}${SUFFIX}`);
  }
}

function recordOf(parcel: Uint8Array): Buffer {
  const record = Buffer.allocUnsafe(HEAD_BYTES + parcel.length);
  record.writeUInt32LE(parcel.length, 0);
  sumOf(parcel).copy(record, LENGTH_BYTES);
  record.set(parcel, HEAD_BYTES);
  return record;
}

/** Up to the first that is not whole. */
function parcelsOf(bytes: Buffer): Uint8Array[] {
  const parcels: Uint8Array[] = [];
  for (let at = 0; at + HEAD_BYTES <= bytes.length; ) {
    const start = at + HEAD_BYTES;
    const end = start + bytes.readUInt32LE(at);
    const parcel = bytes.subarray(start, end);
    if (end > bytes.length || !sumOf(parcel).equals(bytes.subarray(at + LENGTH_BYTES, start))) break;
    parcels.push(parcel);
    at = end;
  }
  return parcels;
}

function sumOf(parcel: Uint8Array): Buffer {
  return createHash('sha1').update(parcel).digest().subarray(0, SUM_BYTES);
}
