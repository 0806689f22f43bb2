/**
 * One file of hints, records one behind the other:
 *
 *   ringleader hints 1\n          the version of this form
 *   bytes (4), hints (4), checksum (8: of SHA-1), one parcel of hints as `replica/hint` writes them
 *
 * Each record begins where the last one ended that is whole: what could not be written to its end, on a disk that is full, is cut off and written
 * over, so that nothing stands behind it that could not be read. Numbers are little-endian.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, open, readFile } from 'node:fs/promises';

export interface HintRecord {
  parcel: Uint8Array;
  /** Hints in it. */
  count: number;
}

const FAMILY = 'ringleader hints ';
const HEADER = Buffer.from(`${FAMILY}1\n`);
export const HEADER_BYTES = HEADER.length;
const LENGTH_BYTES = 4;
const COUNT_BYTES = 4;
const SUM_BYTES = 8;
const SUM_AT = LENGTH_BYTES + COUNT_BYTES;
/** Of a record, besides the parcel. */
export const RECORD_BYTES = SUM_AT + SUM_BYTES;

export class HintFile {
  private readonly handle: FileHandle;
  /** Up to there it is whole. */
  private end = 0;

  private constructor(handle: FileHandle) {
    this.handle = handle;
  }

  /** A new one. Rejects with the system's error. */
  static async create(path: string): Promise<HintFile> {
    const file = new HintFile(await open(path, 'w', 0o600));
    try {
      await file.append(HEADER);
    } catch (error) {
      await file.close();
      throw error;
    }
    return file;
  }

  /** Rejects with the system's error; then nothing of it is there. */
  async append(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await this.handle.write(bytes, at, bytes.length - at, this.end + at);
        at += bytesWritten;
      }
    } catch (error) {
      await this.handle.truncate(this.end);
      throw error;
    }
    this.end += bytes.length;
  }

  /** Resolves when all of it is on the disk. */
  sync(): Promise<void> {
    return this.handle.datasync();
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

export function recordOf({ parcel, count }: HintRecord): Buffer {
  const record = Buffer.allocUnsafe(RECORD_BYTES + parcel.length);
  record.writeUInt32LE(parcel.length, 0);
  record.writeUInt32LE(count, LENGTH_BYTES);
  sumOf(parcel).copy(record, SUM_AT);
  record.set(parcel, RECORD_BYTES);
  return record;
}

/** Up to the first that is not whole; of a file whose beginning is torn, none. Rejects with the system's error. */
export async function readRecords(path: string): Promise<HintRecord[]> {
  const bytes = await readFile(path);
  const records: HintRecord[] = [];
  if (!bytes.subarray(0, HEADER_BYTES).equals(HEADER)) return records;
  for (let at = HEADER_BYTES; at + RECORD_BYTES <= bytes.length; ) {
    const start = at + RECORD_BYTES;
    const end = start + bytes.readUInt32LE(at);
    const parcel = bytes.subarray(start, end);
    if (end > bytes.length || !sumOf(parcel).equals(bytes.subarray(at + SUM_AT, start))) break;
    records.push({ parcel, count: bytes.readUInt32LE(at + LENGTH_BYTES) });
    at = end;
  }
  return records;
}

/** Rejects with an error in words for a file of another form than this one, and with the system's where it cannot be read. */
export async function checkForm(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, 0);
    const beginning = buffer.toString('latin1', 0, bytesRead);
    if (bytesRead < HEADER_BYTES || !beginning.startsWith(FAMILY) || HEADER.equals(buffer)) return;
    throw new Error(
      `${path} was written by another version of Ringleader, which has to give the nodes what is in it; or delete it`,
    );
  } finally {
    await handle.close();
  }
}

function sumOf(parcel: Uint8Array): Buffer {
  return createHash('sha1').update(parcel).digest().subarray(0, SUM_BYTES);
}
