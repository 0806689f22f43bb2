/** The watches of a driver: each is attempted anew until it is closed, by itself or with all of them. */
import type { DriverWatcher, Watch } from './driver.js';
import { type Followed, follow } from './follow.js';

export class FollowedWatches {
  private readonly open = new Set<AbortController>();

  /** `attempt`: see Followed. */
  begin(attempt: Followed['attempt'], watcher: DriverWatcher): Watch {
    const closing = new AbortController();
    this.open.add(closing);
    void follow({ attempt, onTrouble: (error) => watcher.onTrouble(error) }, closing.signal);
    const close = () => {
      closing.abort();
      this.open.delete(closing);
    };
    return { close };
  }

  close(): void {
    for (const closing of this.open) closing.abort();
    this.open.clear();
  }
}
