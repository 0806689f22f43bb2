/** The log of a process that ends by process.exit: its last lines come last, and a reader that has stopped holds nothing up. */
import type { Logger } from 'pino';
import { createLog, type LogOptions } from '../base/log.js';
import { system } from '../transport/system.js';
import { TransportError } from '../transport/transport.js';

export interface OpenLog {
  log: Logger;
  /** To be awaited before process.exit, which may then be called whatever became of the lines. */
  end(): Promise<void>;
}

/** Opens the log on standard output. What the process does at its exit is to be registered before. */
export async function openLog(options: LogOptions): Promise<OpenLog> {
  const { log, end } = await createLog(options);
  let isOver = false;
  // An exit joins the threads that write, and one of them may write to a pipe that nobody reads.
  process.once('exit', (code) => {
    if (!isOver) leaveAtOnce(code);
  });
  return {
    log,
    end: async () => {
      isOver = await end();
    },
  };
}

/** Ends the process without waiting for its threads. */
function leaveAtOnce(code: number): void {
  try {
    system().exitNow(code);
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    // Without libc: better an exit code that is not the right one than no end.
    process.kill(process.pid, 'SIGKILL');
  }
}
