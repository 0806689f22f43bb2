/**
 * One watch of a folder in ZooKeeper, on one session, until that is lost. A watch of ZooKeeper is told once: what it was of is read again,
 * with the next watch.
 *
 *   read what may have changed, with watches ─> tell ─> wait for an event, or for a second to pass ─┐
 *        ^──────────────────────────────────────────────────────────────────────────────────────────┘ then: sync
 *
 * The sync asks the leader, so that a server that is cut off from it is left.
 */
import type { DriverWatcher, Stored } from './driver.js';
import { StoreError } from './store-error.js';
import { askMajority, readNames, readNode, storedOf } from './zookeeper-reads.js';
import { CODE, exists, sync } from './zookeeper-requests.js';
import { ZooKeeperError, type ZooKeeperSession } from './zookeeper-session.js';

const LOOK_MS = 1_000;
/** A server that is silent for longer is left for another one. */
const LOOK_TIMEOUT_MS = 2_000;

export class ZooKeeperWatch {
  private readonly session: ZooKeeperSession;
  private readonly path: string;
  private readonly watcher: DriverWatcher;
  private readonly entries = new Map<string, Stored>();
  private version = 0;
  /** What has to be read. */
  private isFolderDue = true;
  private readonly due = new Set<string>();
  private wake: () => void = () => {};

  constructor(session: ZooKeeperSession, path: string, watcher: DriverWatcher) {
    this.session = session;
    this.path = path;
    this.watcher = watcher;
  }

  /** Resolves when `signal` says to stop; rejects with a StoreError when the session does not do any more. */
  async run(signal: AbortSignal, onWell: () => void): Promise<void> {
    const { session, path, watcher } = this;
    await askMajority(session, LOOK_TIMEOUT_MS);
    while (!signal.aborted) {
      if (this.isFolderDue || this.due.size > 0) {
        await this.read();
        if (signal.aborted) return;
        // More may have changed meanwhile; it is told next.
        watcher.onFolder({ version: this.version, entries: new Map(this.entries) });
        onWell();
        continue;
      }
      if (await this.isStill(signal)) await session.ask(sync(path), LOOK_TIMEOUT_MS, 'its state');
      if (!session.isOpen) throw new StoreError('unavailable', 'the session with ZooKeeper was lost');
    }
  }

  /** The node at `path`, or what is in it, may have changed. */
  onEvent(path: string): void {
    if (path === this.path) this.isFolderDue = true;
    else if (path.startsWith(`${this.path}/`)) this.due.add(path.slice(this.path.length + 1));
    else return;
    this.wake();
  }

  onLost(): void {
    this.wake();
  }

  /** Resolves when something happens (false), or nothing has for a while (true). */
  private isStill(signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (isStill: boolean) => {
        clearTimeout(timer);
        signal.removeEventListener('abort', stop);
        this.wake = () => {};
        resolve(isStill);
      };
      const stop = () => end(false);
      const timer = setTimeout(() => end(true), LOOK_MS);
      signal.addEventListener('abort', stop, { once: true });
      this.wake = stop;
    });
  }

  private async read(): Promise<void> {
    const { session, path } = this;
    if (this.isFolderDue) {
      this.isFolderDue = false;
      await this.readFolder();
    }
    const names = [...this.due];
    this.due.clear();
    const nodes = await Promise.all(names.map((name) => readNode(session, `${path}/${name}`, LOOK_TIMEOUT_MS, true)));
    for (const [at, node] of nodes.entries()) {
      const name = names[at] as string;
      // Its folder's names say that it came, or that it is gone.
      if (node === null) this.entries.delete(name);
      else this.entries.set(name, storedOf(node, `${path}/${name}`));
    }
  }

  private async readFolder(): Promise<void> {
    const { session, path } = this;
    // The folder before its names: its version is not newer than they are.
    const [folder, names] = await Promise.all([
      readNode(session, path, LOOK_TIMEOUT_MS, true),
      readNames(session, path, LOOK_TIMEOUT_MS, true),
    ]);
    if (folder === null) {
      await this.awaitFolder();
      return;
    }
    this.version = folder.mzxid;
    for (const name of names) if (!this.entries.has(name)) this.due.add(name);
    const there = new Set(names);
    for (const name of this.entries.keys()) if (!there.has(name)) this.entries.delete(name);
  }

  /** What is not there can be waited for alone. */
  private async awaitFolder(): Promise<void> {
    try {
      await this.session.ask(exists(this.path, true), LOOK_TIMEOUT_MS, this.path);
      this.isFolderDue = true;
    } catch (error) {
      if (!(error instanceof ZooKeeperError) || error.code !== CODE.noNode) throw error;
    }
  }
}
