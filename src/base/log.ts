/**
 * The log: a line per event that an operator would want, as JSON, or pretty on a terminal. Only the main thread writes it;
 * workers send their lines by messages, so that a blocked pipe does not stop the data plane.
 */
import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';
import type { LogLevel } from './log-event.js';

export interface LogOptions {
  level: LogLevel;
  /** `auto` is pretty on a terminal, else JSON. */
  format: 'auto' | 'json' | 'pretty';
}

/** Bytes of lines that wait for a reader who does not read; beyond, lines are dropped. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

/** A logger on standard output, and `flush`, to be called before the process ends. */
export function createLog({ level, format }: LogOptions): { log: Logger; flush(): void } {
  const isPretty = format === 'pretty' || (format === 'auto' && process.stdout.isTTY === true);
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: label } };
  if (isPretty) {
    const stream = pretty({
      destination: 1,
      sync: true,
      translateTime: 'SYS:HH:MM:ss.l',
      colorize: process.stdout.isTTY,
    });
    return { log: pino(options, stream), flush: () => {} };
  }
  const stream = pino.destination({ dest: 1, sync: false, maxLength: WAITING_BYTES_MAX });
  // A reader that has gone away must not end the proxy.
  stream.on('error', () => {});
  return { log: pino(options, stream), flush: () => flush(stream) };
}

/** Levels as words: a reader of JSON need not know pino's numbers. */
function label(word: string): { level: string } {
  return { level: word };
}

function flush(stream: ReturnType<typeof pino.destination>): void {
  try {
    stream.flushSync();
  } catch {
    // Nobody reads any more, or the stream was never opened: the lines are lost, and there is nobody to tell.
  }
}
