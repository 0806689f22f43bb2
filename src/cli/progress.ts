/**
 * How far a command has come, on standard error: on a terminal one line that is written over, else a line every few seconds. What the
 * command has to say in the end goes to standard output, as if this were not there.
 */

/** Between two lines where there is no terminal. */
const LINE_MS = 5_000;
/** Between two looks of one line. */
const DRAW_MS = 200;
/** To the beginning of the line, and the rest of it empty. */
const CLEAR = '\r\x1b[K';

export type ProgressStream = Pick<NodeJS.WriteStream, 'isTTY' | 'columns' | 'write'>;

export class Progress {
  private readonly stream: ProgressStream;
  private readonly now: () => number;
  /** Nothing is said of what is done sooner than anybody asks. */
  private saidMs: number;
  private isDrawn = false;

  /** `now`: milliseconds that never go back. */
  constructor(stream: ProgressStream = process.stderr, now: () => number = () => performance.now()) {
    this.stream = stream;
    this.now = now;
    this.saidMs = now();
  }

  /** `text` is a line, without its end. */
  readonly say = (text: string): void => {
    const { stream } = this;
    const nowMs = this.now();
    if (nowMs - this.saidMs < (stream.isTTY ? DRAW_MS : LINE_MS)) return;
    this.saidMs = nowMs;
    this.isDrawn = stream.isTTY;
    // A line that is broken could not be written over.
    stream.write(stream.isTTY ? `${CLEAR}${text.slice(0, stream.columns - 1)}` : `${text}\n`);
  };

  /** Leaves nothing of the line behind. */
  end(): void {
    if (this.isDrawn) this.stream.write(CLEAR);
    this.isDrawn = false;
  }
}
