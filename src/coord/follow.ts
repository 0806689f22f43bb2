/** What is to go on although the store fails now and then: a watch, a connection. */
import { pause } from '../base/pause.js';
import { StoreError } from './store-error.js';

const PAUSE_MS_MIN = 20;
const PAUSE_MS_MAX = 1_000;

export interface Followed {
  /** Calls `onWell` when it goes on; resolves when nothing is left to do, or `signal` says so; else it is begun anew. */
  attempt(onWell: () => void, signal: AbortSignal): Promise<void>;
  onTrouble(error: StoreError): void;
}

/** Attempts again and again, with longer and longer pauses while all fail. Resolves when an attempt resolves, or `signal` says so. */
export async function follow({ attempt, onTrouble }: Followed, signal: AbortSignal): Promise<void> {
  let pauseMs = PAUSE_MS_MIN;
  const onWell = () => {
    pauseMs = PAUSE_MS_MIN;
  };
  while (!signal.aborted) {
    try {
      await attempt(onWell, signal);
      return;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof StoreError)) throw error;
      onTrouble(error);
    }
    // Members of a fleet that lost the same server do not all come back at once.
    await pause(pauseMs * (1 - Math.random() / 2), signal);
    pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX);
  }
}
