/**
 * The hints of one node, oldest first, bounded in bytes and in age: in files where there is a folder for them, else in memory.
 *
 *   append ──> (waiting) ──> the last segment        the first segment ──read──> replayed ──> removed, by its number
 *
 *   FOLDER/000001.hints: see hint-file.ts
 *
 * What is appended is written behind the back of who appends it, who is told when it is in the file, and synced every second: a crash of the
 * machine may cost the last second, one of the process what was still waiting. A segment that was read only in part when the process ended is read
 * again from its beginning, which does no harm.
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  checkForm,
  HEADER_BYTES,
  HintFile,
  type HintRecord,
  RECORD_BYTES,
  readRecords,
  recordOf,
} from './hint-file.js';

interface Segment {
  readonly number: number;
  /** Null in files: there it is read when its turn comes. */
  readonly records: HintRecord[] | null;
  bytes: number;
  /** When its first and its last were made, milliseconds since 1970. */
  firstMs: number;
  lastMs: number;
  /** Nothing is appended to it any more. */
  isSealed: boolean;
  /** So many replay it now. */
  readers: number;
}

interface Waiting {
  readonly segment: Segment;
  readonly record: Buffer;
  readonly onWritten: (isKept: boolean) => void;
}

/** What is replayed, and removed by its number when it was. */
export interface HintSegment {
  readonly number: number;
  readonly records: readonly HintRecord[];
}

export interface HintLogOptions {
  /** Null: in memory. */
  folder: string | null;
  /** The system's error, in words. */
  onTrouble: (reason: string) => void;
}

const SEGMENT_BYTES = 4 * 1024 * 1024;
const SYNC_MS = 1_000;
const SUFFIX = '.hints';

export class HintLog {
  private readonly options: HintLogOptions;
  private segments: Segment[] = [];
  private last = 0;
  private waiting: Waiting[] = [];
  private writing: Promise<void> | null = null;
  private file: { number: number; file: HintFile } | null = null;
  private isDirty = false;
  private syncing: NodeJS.Timeout | null = null;

  constructor(options: HintLogOptions) {
    this.options = options;
  }

  /** With what is in the folder. Rejects with the system's error where that cannot be read, and in words where it is of another form. */
  static async open(options: HintLogOptions): Promise<HintLog> {
    const log = new HintLog(options);
    if (options.folder !== null) await log.find(options.folder);
    return log;
  }

  /** Bytes of all that is there. */
  get bytes(): number {
    return this.segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** When the oldest was made, milliseconds since 1970; null: there is none. */
  get oldestMs(): number | null {
    const times = this.segments.flatMap((segment) => (isEmptySegment(segment) ? [] : [segment.firstMs]));
    return times.length === 0 ? null : Math.min(...times);
  }

  get isEmpty(): boolean {
    return this.segments.every(isEmptySegment);
  }

  /** So many hints, the oldest of which was made then, and the newest. Resolves when they are kept; false: they cannot be. */
  append(parcel: Uint8Array, count: number, oldestMs: number, newestMs = oldestMs): Promise<boolean> {
    const segment = this.lastSegment(oldestMs);
    segment.bytes += RECORD_BYTES + parcel.length;
    segment.firstMs = Math.min(segment.firstMs, oldestMs);
    segment.lastMs = Math.max(segment.lastMs, newestMs);
    if (segment.records !== null) {
      segment.records.push({ parcel, count });
      return Promise.resolve(true);
    }
    return new Promise((onWritten) => {
      this.waiting.push({ segment, record: recordOf({ parcel, count }), onWritten });
      this.writing ??= this.write();
    });
  }

  /** The first segment, which nothing is added to from now on; null: there is none. Who has it says so when it has it no longer: `leave`, `remove`. */
  async first(): Promise<HintSegment | null> {
    const [segment] = this.segments;
    if (segment === undefined) return null;
    segment.isSealed = true;
    segment.readers++;
    return { number: segment.number, records: await this.recordsOf(segment) };
  }

  /** It was not replayed to its end. */
  leave({ number }: HintSegment): void {
    const segment = this.segments.find((one) => one.number === number);
    if (segment !== undefined) segment.readers--;
  }

  /** It was replayed. Does nothing where it is gone. */
  async remove({ number }: Pick<HintSegment, 'number'>): Promise<void> {
    const segment = this.segments.find((one) => one.number === number);
    if (segment === undefined) return;
    this.segments = this.segments.filter((one) => one !== segment);
    segment.isSealed = true;
    if (segment.records !== null) return;
    await this.writing;
    try {
      if (this.file?.number === number) await this.closeFile();
      await rm(this.pathOf(segment), { force: true });
    } catch (error) {
      this.tell(error);
    }
  }

  /** Removes the segments of which all is older, and that nobody replays: who does looks at each. Resolves with how many hints these had. */
  async dropOlder(thanMs: number): Promise<number> {
    let count = 0;
    for (const segment of this.segments) {
      if (segment.lastMs >= thanMs || segment.readers > 0) continue;
      segment.isSealed = true;
      segment.readers++;
      for (const record of await this.recordsOf(segment)) count += record.count;
      await this.remove(segment);
    }
    return count;
  }

  /** Resolves when all is on the disk. */
  async close(): Promise<void> {
    await this.writing;
    await this.sync();
    if (this.file !== null) await this.closeFile();
    if (this.syncing !== null) clearTimeout(this.syncing);
  }

  private lastSegment(madeMs: number): Segment {
    const last = this.segments.at(-1);
    if (last !== undefined && !last.isSealed && last.bytes < SEGMENT_BYTES) return last;
    const [records, bytes] = this.options.folder === null ? [[], 0] : [null, HEADER_BYTES];
    const times = { firstMs: madeMs, lastMs: madeMs };
    const segment = { number: ++this.last, records, bytes, ...times, isSealed: false, readers: 0 };
    this.segments.push(segment);
    return segment;
  }

  private async recordsOf(segment: Segment): Promise<readonly HintRecord[]> {
    if (segment.records !== null) return segment.records;
    await this.writing;
    if (isEmptySegment(segment)) return [];
    try {
      return await readRecords(this.pathOf(segment));
    } catch (error) {
      this.tell(error);
      return [];
    }
  }

  private async find(folder: string): Promise<void> {
    const names = (await readdir(folder)).filter((name) => name.endsWith(SUFFIX));
    names.sort((one, other) => numberOf(one) - numberOf(other));
    for (const name of names) {
      const path = join(folder, name);
      await checkForm(path);
      const { size: bytes, birthtimeMs, mtimeMs } = await stat(path);
      const number = numberOf(name);
      // Not all systems know when a file was made.
      const firstMs = birthtimeMs > 0 ? Math.min(birthtimeMs, mtimeMs) : mtimeMs;
      this.segments.push({ number, records: null, bytes, firstMs, lastMs: mtimeMs, isSealed: true, readers: 0 });
      this.last = number;
    }
  }

  /** Ends when nothing waits any more. What cannot be written is not kept: comparing the nodes brings it. */
  private async write(): Promise<void> {
    while (this.waiting.length > 0) {
      const { segment } = this.waiting[0] as Waiting;
      const next = this.waiting.findIndex((one) => one.segment !== segment);
      const batch = this.waiting.splice(0, next < 0 ? this.waiting.length : next);
      let isKept = true;
      try {
        const file = await this.fileOf(segment);
        await file.append(Buffer.concat(batch.map(({ record }) => record)));
        this.isDirty = true;
      } catch (error) {
        isKept = false;
        for (const { record } of batch) segment.bytes -= record.length;
        this.tell(error);
      }
      for (const { onWritten } of batch) onWritten(isKept);
    }
    this.writing = null;
    this.syncing ??= setTimeout(() => {
      this.syncing = null;
      void this.sync();
    }, SYNC_MS);
  }

  private async fileOf(segment: Segment): Promise<HintFile> {
    if (this.file?.number === segment.number) return this.file.file;
    if (this.file !== null) await this.closeFile();
    await mkdir(this.options.folder as string, { recursive: true, mode: 0o700 });
    const file = await HintFile.create(this.pathOf(segment));
    this.file = { number: segment.number, file };
    return file;
  }

  /** Another one may be written meanwhile. */
  private async closeFile(): Promise<void> {
    const { file } = this;
    const synced = this.sync();
    this.file = null;
    await synced;
    await file?.file.close();
  }

  private async sync(): Promise<void> {
    if (!this.isDirty || this.file === null) return;
    this.isDirty = false;
    try {
      await this.file.file.sync();
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

function numberOf(name: string): number {
  return Number.parseInt(name, 10);
}

/** Nothing that was to be in it could be written. */
function isEmptySegment({ records, bytes }: Segment): boolean {
  return bytes <= (records === null ? HEADER_BYTES : 0);
}
