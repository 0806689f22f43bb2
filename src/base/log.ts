/**
 * The log: a line per event that an operator would want, as JSON, or pretty on a terminal. Only the main thread writes it;
 * workers send their lines by messages, so that a blocked pipe does not stop the data plane.
 */
import { type Logger, pino } from 'pino';
import type { LogLevel } from './log-event.js';

export interface LogOptions {
  level: LogLevel;
  /** `auto` is pretty on a terminal, else JSON. */
  format: 'auto' | 'json' | 'pretty';
}

/** Bytes of lines that wait for a reader who does not read; beyond, lines are dropped. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

/** Milliseconds that the last lines may take; whoever does not read for so long does not get them. */
const END_MS_MAX = 1_000;

export interface Log {
  log: Logger;
  /**
   * To be called before the process ends: lines after that are not written. Resolves with true when all lines are where they belong, in
   * their order, or nobody can read them any more; with false, after a second, when a reader has stopped reading: then a
   * write is under way still, which an ordinary exit would wait for.
   */
  end(): Promise<boolean>;
}

/** A logger on standard output. */
export async function createLog({ level, format }: LogOptions): Promise<Log> {
  const isTerminal = process.stdout.isTTY === true;
  const isPretty = format === 'pretty' || (format === 'auto' && isTerminal);
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: label } };
  // On a terminal the lines stand between those of standard error, so they are written at once.
  const stream = pino.destination({ dest: 1, sync: isPretty && isTerminal, maxLength: WAITING_BYTES_MAX });
  // Overtakes a write that is under way, and waits for a reader for ever. pino calls it at an exit, also after `end`.
  stream.flushSync = () => {};
  let isBroken = false;
  // A reader that has gone away must not end the proxy.
  stream.on('error', () => {
    isBroken = true;
  });
  stream.on('write', () => {
    isBroken = false;
  });
  const toText = isPretty ? await prettifier(isTerminal) : (line: string) => line;
  let ending: Promise<boolean> | null = null;
  const write = (line: string) => {
    if (ending === null) stream.write(toText(line));
  };
  const end = () => {
    ending ??= isBroken ? Promise.resolve(true) : endOf(stream);
    return ending;
  };
  return { log: pino(options, { write }), end };
}

/** What makes a line of JSON one for people. Most logs are read by programs, whose proxy need not load it. */
async function prettifier(colorize: boolean): Promise<(line: string) => string> {
  const { default: pretty } = await import('pino-pretty');
  return pretty.prettyFactory({ translateTime: 'SYS:HH:MM:ss.l', colorize });
}

/** Levels as words: a reader of JSON need not know pino's numbers. */
function label(word: string): { level: string } {
  return { level: word };
}

/** True when everything was written or cannot be, false when that takes too long. */
async function endOf(stream: ReturnType<typeof pino.destination>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<boolean>((resolve) => {
    stream.once('close', () => resolve(true));
    stream.once('error', () => resolve(true));
    timer = setTimeout(() => resolve(false), END_MS_MAX);
  });
  stream.end();
  try {
    return await over;
  } finally {
    clearTimeout(timer);
  }
}
