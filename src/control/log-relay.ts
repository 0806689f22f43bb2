/**
 * Writes what workers report to the log. A line that repeats is written once and then counted: a storm of equal lines
 * (a client that is refused a thousand times a second) costs one line every ten seconds.
 */
import type { Logger } from 'pino';
import type { LogLevel } from '../base/log-event.js';

type Fields = Record<string, string | number | boolean | null>;

/** Milliseconds within which equal lines are counted instead of written. */
const WINDOW_MS = 10_000;
/** Lines remembered at the most; beyond, new ones are written without being remembered. */
const REMEMBERED_MAX = 1_000;

interface Repeated {
  level: LogLevel;
  event: string;
  fields: Fields;
  count: number;
}

export class LogRelay {
  private readonly log: Logger;
  private readonly remembered = new Map<string, Repeated>();
  private readonly timer: NodeJS.Timeout;

  constructor(log: Logger) {
    this.log = log;
    this.timer = setInterval(() => this.flush(), WINDOW_MS);
    this.timer.unref();
  }

  write(level: LogLevel, event: string, fields: Fields): void {
    // Equal but for the client's port: the same trouble.
    const { client, ...same } = fields;
    const key = JSON.stringify([level, event, same]);
    const before = this.remembered.get(key);
    if (before !== undefined) {
      before.count++;
      return;
    }
    if (this.remembered.size < REMEMBERED_MAX) this.remembered.set(key, { level, event, fields, count: 0 });
    this.log[level](fields, event);
  }

  /** Writes what was counted, and begins anew. */
  flush(): void {
    for (const { level, event, fields, count } of this.remembered.values()) {
      if (count > 0) this.log[level]({ ...fields, repeated: count }, event);
    }
    this.remembered.clear();
  }

  stop(): void {
    clearInterval(this.timer);
    this.flush();
  }
}
