/**
 * The coordination store on ZooKeeper (Zab). A version is the zxid of the transaction that made it, which its whole ensemble counts:
 *
 *   /PREFIX/FOLDER         made with its first entry, and never removed; its data is written by each change that adds or removes a name
 *   /PREFIX/FOLDER/NAME    the entry; the zxid of its data is its version
 *
 * A change names ZooKeeper's own versions, which count from 0 in each node that is made: it is carried out only together with a check that the
 * folder's data are those that were read with it, so that no node was made in between.
 *
 * Reads of ZooKeeper are those of one server, which may be behind; `sync` alone does not ask a majority. What is to be linearizable is read behind
 * an empty transaction, which does. No ephemeral nodes are used: see lease.ts.
 */
import type { TlsConfig } from '../base/tls-section.js';
import { encodeBody } from './body.js';
import type { Attempt, Driver, DriverWatcher, Stored, StoredFolder, Watch } from './driver.js';
import { FollowedWatches } from './followed-watches.js';
import { checkRoom, FOLDER_ENTRIES_MAX, type Key } from './key.js';
import { ServerTurn } from './server-turn.js';
import { StoreError } from './store-error.js';
import { askMajority, readFolder, readNode, storedOf } from './zookeeper-reads.js';
import {
  CODE,
  checkPart,
  create,
  createPart,
  deletePart,
  EVERYBODY,
  getAcl,
  multi,
  type NodeData,
  type Owner,
  ownerOf,
  type Part,
  setDataPart,
} from './zookeeper-requests.js';
import { type ZooKeeperEndpoint, ZooKeeperError, type ZooKeeperLogin, ZooKeeperSession } from './zookeeper-session.js';
import { ZooKeeperWatch } from './zookeeper-watch.js';

export interface ZooKeeperOptions {
  /** At least one. */
  endpoints: readonly ZooKeeperEndpoint[];
  /** What it makes is then for who gives the same password, and nobody else. */
  login: ZooKeeperLogin | null;
  /** For the port that speaks TLS. */
  tls: TlsConfig | null;
}

/** Of a greeting. */
const CONNECT_MS = 1_000;

/** A folder and one entry of it, at one moment. */
interface View {
  folder: NodeData | null;
  entry: NodeData | null;
}

export class ZooKeeperDriver implements Driver {
  private readonly options: ZooKeeperOptions;
  private readonly prefix: string;
  private readonly entriesMax: number;
  /** Of what it makes. */
  private readonly owner: Owner;
  private readonly servers: ServerTurn<ZooKeeperEndpoint>;
  private readonly watches = new FollowedWatches();
  /** Those that run on the session of now: they are told of its events, and of its end. */
  private readonly told = new Set<ZooKeeperWatch>();
  private lastZxid = 0;
  private session: Promise<ZooKeeperSession> | null = null;
  private isClosed = false;

  /** `prefix`: of all paths, without slashes around it. */
  constructor(options: ZooKeeperOptions, prefix: string, entriesMax = FOLDER_ENTRIES_MAX) {
    this.entriesMax = entriesMax;
    this.options = options;
    this.prefix = prefix;
    this.servers = new ServerTurn(options.endpoints);
    const { login } = options;
    this.owner = login === null ? EVERYBODY : ownerOf(login.username, login.password);
  }

  async get(key: Key, timeoutMs: number): Promise<Stored> {
    const endsMs = performance.now() + timeoutMs;
    const session = await this.connect();
    return this.storedOf(key, await this.look(session, key, true, endsMs));
  }

  async list(folder: string, timeoutMs: number): Promise<StoredFolder> {
    const session = await this.connect();
    return readFolder(session, this.path(folder), timeoutMs);
  }

  async compareAndSet(
    key: Key,
    expected: number,
    mark: string,
    value: string | null,
    timeoutMs: number,
  ): Promise<Attempt> {
    const endsMs = performance.now() + timeoutMs;
    const session = await this.connect();
    // What is behind is found out when the change fails.
    for (let isFresh = false; ; isFresh = true) {
      const view = await this.look(session, key, isFresh, endsMs);
      const found = this.storedOf(key, view);
      const parts = found.version === expected ? this.change(key, view, mark, value) : null;
      if (parts === null) {
        if (isFresh) return { kind: 'conflict', found };
        continue;
      }
      if (view.folder === null) await this.makeParents(session, endsMs);
      const reply = await session.ask(multi(...parts), leftOf(endsMs), 'a change');
      if (reply.kind === 'done') {
        // Each has one part that writes data.
        return { kind: 'done', version: reply.stats.find((stat) => stat !== null)?.mzxid as number };
      }
      if (!RACES.includes(reply.code)) throw new ZooKeeperError(reply.code, 'a change');
    }
  }

  watch(folder: string, watcher: DriverWatcher): Watch {
    const attempt = async (onWell: () => void, signal: AbortSignal) => {
      const watch = new ZooKeeperWatch(await this.connect(), this.path(folder), watcher);
      this.told.add(watch);
      try {
        await watch.run(signal, onWell);
      } finally {
        this.told.delete(watch);
      }
    };
    return this.watches.begin(attempt, watcher);
  }

  /** What of ZooKeeper is not as it has to be, each in a sentence. Rejects with a StoreError. */
  async doubts(timeoutMs: number): Promise<string[]> {
    const { login } = this.options;
    if (login === null) return [];
    const path = this.path();
    const owners = await (await this.connect()).ask(getAcl(path), timeoutMs, path);
    const { scheme, id } = this.owner;
    if (owners.every((owner) => owner.scheme === scheme && owner.id === id)) return [];
    return [
      `${path} of ZooKeeper was made by another username and password, or none: others may change what lies below it`,
    ];
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.watches.close();
    const session = await this.session?.catch(() => null);
    await session?.close();
  }

  /** The session of now, or the next one with another server. */
  private connect(): Promise<ZooKeeperSession> {
    if (this.isClosed) return Promise.reject(new StoreError('unavailable', 'the store is closed'));
    if (this.session !== null) return this.session;
    const own = this.open().catch((error: unknown) => {
      if (this.session === own) this.session = null;
      throw error;
    });
    this.session = own;
    return own;
  }

  private async open(): Promise<ZooKeeperSession> {
    const { servers, lastZxid } = this;
    const { login, tls } = this.options;
    const index = servers.current;
    let session: ZooKeeperSession | null = null;
    const onEvent = (path: string) => {
      for (const watch of this.told) watch.onEvent(path);
    };
    const onClose = () => {
      this.session = null;
      servers.leave(index);
      this.lastZxid = Math.max(this.lastZxid, session?.lastZxid ?? 0);
      for (const watch of this.told) watch.onLost();
    };
    try {
      const endpoint = servers.at(index);
      session = await ZooKeeperSession.open({
        endpoint,
        login,
        tls,
        lastZxid,
        timeoutMs: CONNECT_MS,
        onEvent,
        onClose,
      });
    } catch (error) {
      if (!(error instanceof StoreError) || error.fault !== 'refused') throw error;
      throw servers.stranger(index, error.message, error);
    }
    servers.onWell(index);
    return session;
  }

  /** The parts of a transaction; null: there is nothing to remove. */
  private change(key: Key, { folder, entry }: View, mark: string, value: string | null): Part[] | null {
    const [folderPath, path] = [this.path(key.folder), this.path(key.folder, key.name)];
    const { owner } = this;
    if (value === null) {
      if (entry === null || folder === null) return null;
      return [setDataPart(folderPath, mark, folder.version), deletePart(path, entry.version)];
    }
    const body = encodeBody(mark, value);
    const addition = [setDataPart(folderPath, mark, folder?.version ?? 0), createPart(path, body, owner)];
    // A transaction sees what it did before: the new folder's data have the version 0.
    if (folder === null) return [createPart(folderPath, mark, owner), ...addition];
    if (entry === null) {
      // Nobody adds another one meanwhile: the folder's version is checked.
      checkRoom(folder.children, this.entriesMax);
      return addition;
    }
    return [checkPart(folderPath, folder.version), setDataPart(path, body, entry.version)];
  }

  /** `isFresh`: not older than this call. */
  private async look(
    session: ZooKeeperSession,
    { folder, name }: Key,
    isFresh: boolean,
    endsMs: number,
  ): Promise<View> {
    const [folderPath, path] = [this.path(folder), this.path(folder, name)];
    for (;;) {
      const leftMs = leftOf(endsMs);
      const read = (path: string) => readNode(session, path, leftMs);
      const barrier = isFresh ? askMajority(session, leftMs) : null;
      // Asked in one go, carried out in this order.
      const [before, entry, after] = await Promise.all([read(folderPath), read(path), read(folderPath), barrier]);
      // No name came or went in between.
      if (before?.mzxid === after?.mzxid) return { folder: after, entry };
    }
  }

  private storedOf({ folder, name }: Key, view: View): Stored {
    if (view.entry !== null) return storedOf(view.entry, this.path(folder, name));
    return { version: view.folder?.mzxid ?? 0, mark: view.folder?.data ?? '', value: null };
  }

  /** The nodes above a folder. That of the fleet is its own, as all below it; other fleets may have theirs beside it. */
  private async makeParents(session: ZooKeeperSession, endsMs: number): Promise<void> {
    const names = this.prefix.split('/');
    for (const depth of names.keys()) {
      const owner = depth === names.length - 1 ? this.owner : EVERYBODY;
      const path = `/${names.slice(0, depth + 1).join('/')}`;
      try {
        await session.ask(create(path, '', owner), leftOf(endsMs), path);
      } catch (error) {
        if (!(error instanceof ZooKeeperError) || error.code !== CODE.nodeExists) throw unchanged(error);
      }
    }
  }

  private path(...names: string[]): string {
    return `/${[this.prefix, ...names].join('/')}`;
  }
}

/** Somebody was faster: what is there has to be read again. */
const RACES: readonly number[] = [CODE.noNode, CODE.badVersion, CODE.nodeExists];

/** Whatever became of a node that nobody else makes otherwise, no entry was changed. */
function unchanged(error: unknown): unknown {
  return error instanceof StoreError && error.fault === 'unknown'
    ? new StoreError('unavailable', error.message, error)
    : error;
}

/** Throws a StoreError where the time is up: nothing more is asked, and nothing was changed. */
function leftOf(endsMs: number): number {
  const leftMs = endsMs - performance.now();
  if (leftMs > 0) return leftMs;
  throw new StoreError('unavailable', 'others changed it again and again');
}
