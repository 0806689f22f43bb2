/**
 * The coordination store on etcd (Raft): reads are linearizable (etcd's default), a change is one transaction, and a version is the
 * revision of that transaction. etcd's own leases are not used: see lease.ts.
 */
import type { Attempt, Driver, DriverWatcher, Stored, StoredFolder, Watch } from './driver.js';
import { EtcdGateway, type EtcdOptions } from './etcd-gateway.js';
import { EtcdKeys, type RangeReply, type TxnReply } from './etcd-keys.js';
import { EtcdWatch } from './etcd-watch.js';
import { FollowedWatches } from './followed-watches.js';
import { checkRoom, FOLDER_ENTRIES_MAX, type Key } from './key.js';
import { StoreError } from './store-error.js';

/** About those of three members in a day. Beyond, an etcd that has all of them still is one that never forgets. */
const REVISIONS_MAX = 100_000;
/** What etcd says of a revision that it has forgotten. */
const FORGOTTEN = /has been compacted/;

export class EtcdDriver implements Driver {
  private readonly gateway: EtcdGateway;
  private readonly keys: EtcdKeys;
  private readonly entriesMax: number;
  private readonly watches = new FollowedWatches();

  /** `prefix`: of all keys, without slashes around it. */
  constructor(options: EtcdOptions, prefix: string, entriesMax = FOLDER_ENTRIES_MAX) {
    this.entriesMax = entriesMax;
    this.gateway = new EtcdGateway(options);
    this.keys = new EtcdKeys(prefix);
  }

  async get(key: Key, timeoutMs: number): Promise<Stored> {
    return this.keys.found((await this.read('/v3/kv/txn', this.keys.read(key), timeoutMs)) as TxnReply);
  }

  async list(folder: string, timeoutMs: number): Promise<StoredFolder> {
    const { keys } = this;
    return keys.draft(folder, (await this.read('/v3/kv/range', keys.range(folder), timeoutMs)) as RangeReply);
  }

  async compareAndSet(
    key: Key,
    expected: number,
    mark: string,
    value: string | null,
    timeoutMs: number,
  ): Promise<Attempt> {
    const { keys } = this;
    const endsMs = performance.now() + timeoutMs;
    const reply = await this.transact(keys.change(key, expected, mark, value), timeoutMs);
    const changed = keys.outcome(reply);
    if (changed.kind === 'done' || value === null) return changed;
    const { found } = changed;
    // One transaction of both would have the value twice in it, which may be too much for etcd.
    if (found.value !== null || found.version !== expected) return changed;
    // Nobody adds another one meanwhile: the addition goes by the folder's version.
    checkRoom(keys.count(reply), this.entriesMax);
    return keys.outcome(await this.transact(keys.addition(key, expected, mark, value), endsMs - performance.now()));
  }

  watch(folder: string, watcher: DriverWatcher): Watch {
    const { gateway, keys } = this;
    const attempt = (onWell: () => void, signal: AbortSignal) =>
      new EtcdWatch(gateway, keys, folder, watcher).run(signal, onWell);
    return this.watches.begin(attempt, watcher);
  }

  /** What of etcd is not as it has to be, each in a sentence. Rejects with a StoreError. */
  async doubts(timeoutMs: number, revisionsMax = REVISIONS_MAX): Promise<string[]> {
    const first = { ...this.keys.range(''), revision: '1', count_only: true };
    try {
      const { header } = (await this.read('/v3/kv/range', first, timeoutMs)) as RangeReply;
      if (Number(header.revision) <= revisionsMax) return [];
    } catch (error) {
      if (error instanceof StoreError && FORGOTTEN.test(error.message)) return [];
      throw error;
    }
    const what = 'etcd forgets nothing, and each renewal of a lease is one more thing to remember';
    return [`${what}: run its members with --auto-compaction-mode periodic --auto-compaction-retention 1h`];
  }

  async close(): Promise<void> {
    this.watches.close();
    await this.gateway.close();
  }

  private async transact(body: object, timeoutMs: number): Promise<TxnReply> {
    return (await this.gateway.ask('/v3/kv/txn', body, timeoutMs)) as TxnReply;
  }

  /** What only reads has changed nothing, whatever became of it. */
  private async read(path: string, body: object, timeoutMs: number): Promise<unknown> {
    try {
      return await this.gateway.ask(path, body, timeoutMs);
    } catch (error) {
      if (error instanceof StoreError && error.fault === 'unknown')
        throw new StoreError('unavailable', error.message, error);
      throw error;
    }
  }
}
