/**
 * One watch of a folder in etcd, from when it was read until something is wrong:
 *
 *   read the folder at revision r ─> watch from r + 1, event by event ─┬─> the member ends it, or falls silent
 *                                    each second: what is the newest?  ┴─> it has not told of a change that is there
 *
 * The look each second is linearizable: a member that is cut off from the others cannot answer it.
 */
import type { DriverWatcher } from './driver.js';
import type { EtcdGateway } from './etcd-gateway.js';
import type { EtcdKeys, FolderDraft, KeyValue, RangeReply } from './etcd-keys.js';
import { StoreError } from './store-error.js';

const LOOK_MS = 1_000;
/** A member that is silent for longer is left for another one. */
const LOOK_TIMEOUT_MS = 2_000;

interface WatchReply {
  canceled?: boolean;
  cancel_reason?: string;
  /** The watch began before what is left of the history. */
  compact_revision?: string;
  events?: { type?: 'DELETE'; kv: KeyValue }[];
}

export class EtcdWatch {
  private readonly gateway: EtcdGateway;
  private readonly keys: EtcdKeys;
  private readonly folder: string;
  private readonly watcher: DriverWatcher;
  private readonly ending = new AbortController();
  private draft: FolderDraft = { version: 0, mark: '', entries: new Map() };
  /** The newest change that was told. */
  private told = 0;
  /** One that was there at the last look, and had not been told then. */
  private awaited = 0;
  private failure: StoreError | null = null;

  constructor(gateway: EtcdGateway, keys: EtcdKeys, folder: string, watcher: DriverWatcher) {
    this.gateway = gateway;
    this.keys = keys;
    this.folder = folder;
    this.watcher = watcher;
  }

  /** Resolves when `signal` says to stop; rejects with a StoreError when something is wrong. */
  async run(signal: AbortSignal, onWell: () => void): Promise<void> {
    const { gateway, keys, folder, ending } = this;
    const range = keys.range(folder);
    const reply = (await gateway.ask('/v3/kv/range', range, LOOK_TIMEOUT_MS)) as RangeReply;
    if (signal.aborted) return;
    this.draft = keys.draft(folder, reply);
    this.told = Number(reply.header.revision);
    this.tell();
    onWell();
    const stop = () => ending.abort();
    signal.addEventListener('abort', stop, { once: true });
    this.lookLater();
    try {
      const create_request = { ...range, start_revision: `${this.told + 1}` };
      const onMessage = (message: unknown) => this.onMessage(message as WatchReply);
      await gateway.listen('/v3/watch', { create_request }, LOOK_TIMEOUT_MS, onMessage, ending.signal);
    } finally {
      ending.abort();
      signal.removeEventListener('abort', stop);
    }
    if (this.failure !== null) throw this.failure;
  }

  private onMessage({ events = [], canceled, cancel_reason, compact_revision }: WatchReply): void {
    if (this.ending.signal.aborted) return;
    if (canceled === true) {
      this.fail(`etcd ended the watch: ${cancel_reason ?? `its history begins at ${compact_revision}`}`);
      return;
    }
    if (events.length === 0) return;
    // All that one transaction changed comes in one message.
    for (const { type, kv } of events) {
      this.keys.take(this.folder, this.draft, kv, type === 'DELETE');
      this.told = Math.max(this.told, Number(kv.mod_revision));
    }
    this.tell();
  }

  private tell(): void {
    const { version, entries } = this.draft;
    this.watcher.onFolder({ version, entries: new Map(entries) });
  }

  private lookLater(): void {
    const timer = setTimeout(() => {
      this.ending.signal.removeEventListener('abort', stop);
      void this.look();
    }, LOOK_MS);
    const stop = () => clearTimeout(timer);
    this.ending.signal.addEventListener('abort', stop, { once: true });
  }

  private async look(): Promise<void> {
    const newest = { sort_order: 'DESCEND', sort_target: 'MOD', limit: '1', keys_only: true };
    const body = { ...this.keys.range(this.folder), ...newest };
    try {
      const { kvs = [] } = (await this.gateway.ask('/v3/kv/range', body, LOOK_TIMEOUT_MS)) as RangeReply;
      // What came a moment ago may be told a moment later.
      if (this.awaited > this.told) this.fail('etcd did not tell of a change');
      this.awaited = Number(kvs[0]?.mod_revision ?? 0);
      if (!this.ending.signal.aborted) this.lookLater();
    } catch (error) {
      this.fail(`etcd cannot be asked: ${(error as Error).message}`, error);
    }
  }

  private fail(reason: string, cause?: unknown): void {
    this.failure ??= new StoreError('unavailable', reason, cause);
    this.ending.abort();
  }
}
