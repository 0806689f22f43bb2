/** One lease, as a member of the fleet sees it that does not hold it. */
import type { Key } from '../../src/coord/key.js';
import { LeaseWatch } from '../../src/coord/lease-watch.js';
import type { Store } from '../../src/coord/store.js';
import { within } from '../help/wait-for.js';

export const LEASE_KEY = { folder: 'members', name: 'a' };
/** So long that a machine that is slow for a moment ends none. */
export const LEASE = { key: LEASE_KEY, lengthMs: 3_000 };

export class SeenBy {
  value: string | null = null;
  version = 0;
  private readonly watch: LeaseWatch;
  private onTold = () => {};

  constructor(store: Store, key: Key) {
    this.watch = new LeaseWatch(store, key.folder, {
      onLeases: (leases, version) => {
        const lease = leases.get(key.name);
        this.value = lease?.value ?? null;
        this.version = lease?.version ?? version;
        this.onTold();
      },
      onTrouble: () => {},
    });
  }

  until(what: string, isSo: () => boolean): Promise<void> {
    return within(
      what,
      new Promise((resolve) => {
        this.onTold = () => {
          if (isSo()) resolve();
        };
        this.onTold();
      }),
    );
  }

  close(): void {
    this.watch.close();
  }
}
