/**
 * The large request that one client is sending, of which each part goes on to its node when it has come (Upload): what of the bytes is part of
 * it, and when its client is read from.
 */
import type { Counts } from '../base/metrics.js';
import { INVALID } from '../resp/frame.js';
import { errorReply } from '../resp/reply.js';
import type { RequestProgress, RequestReader } from '../resp/request.js';
import type { Connection } from '../transport/transport.js';
import type { Activity } from './activity.js';
import { BLOCKED_BYTES_MAX } from './intake.js';
import type { Upload } from './upload.js';

/** Whose it is. */
export interface LargeRequestClient {
  readonly connection: Pick<Connection, 'pause'>;
  readonly activity: Activity;
  /** Answers what is no RESP, and reads no more. */
  onProtocolError(text: string): void;
  /** Reads no more. */
  finish(): void;
}

export class LargeRequest {
  /** Whether nothing of it is still to come. */
  isOver = false;
  private readonly client: LargeRequestClient;
  private readonly upload: Upload;
  private readonly progress: RequestProgress;
  private readonly reader: RequestReader;
  private readonly counts: Counts;

  /** `progress`: that of the client's connection, which is at the beginning of the request. */
  constructor(
    client: LargeRequestClient,
    upload: Upload,
    progress: RequestProgress,
    { reader, counts }: { reader: RequestReader; counts: Counts },
  ) {
    this.client = client;
    this.upload = upload;
    this.progress = progress;
    this.reader = reader;
    this.counts = counts;
    reader.begin(progress);
  }

  /** Bytes of the arena that hold what waits to be sent to its node. */
  get heldBytes(): number {
    return this.upload.heldBytes;
  }

  /** `bytes` [start, end), of the arena, begin with what comes next of it. Returns up to where they are done with. */
  take(bytes: Uint8Array, start: number, end: number): number {
    const { upload, progress, reader } = this;
    const { activity } = this.client;
    if (!upload.isTaking) {
      this.hold(end - start);
      return start;
    }
    let upTo = reader.passOn(bytes, start, end, progress);
    if (upTo === INVALID) {
      this.onInvalid(reader.error);
      return end;
    }
    if (progress.isAtEnd && !upload.mayEnd()) {
      upTo--;
      progress.left = 1;
    }
    const isWhole = progress.isAtEnd;
    upload.pass(start, upTo, isWhole);
    activity.passedBytes += upTo - start;
    activity.onUnfinished(end - upTo);
    if (!isWhole) {
      if (!upload.isTaking) this.hold(end - upTo);
      return upTo;
    }
    this.isOver = true;
    progress.reset();
    activity.passedBytes = 0;
    activity.unfinishedSinceMs = -1;
    return upTo;
  }

  /** Its client is gone. */
  cancel(): void {
    if (!this.isOver) this.upload.cancel();
  }

  onTopologyChanged(): void {
    this.upload.onTopologyChanged();
  }

  /** Leaves so many bytes unread until the upload resumes the connection. That the client goes is noticed while only a pause holds it up. */
  private hold(unreadBytes: number): void {
    const { activity, connection } = this.client;
    // What is not read for our sake is not late.
    activity.unfinishedSinceMs = -1;
    if (!this.upload.isHeld || unreadBytes > BLOCKED_BYTES_MAX) connection.pause();
  }

  /** What comes of it is not RESP. */
  private onInvalid(text: string): void {
    const { client, upload } = this;
    this.isOver = true;
    if (upload.isAnswered) {
      client.onProtocolError(text);
      return;
    }
    this.counts.protocolErrors++;
    upload.breakOff(errorReply(`ERR ${text}`));
    client.finish();
  }
}
