/** What the driver and the watch of ZooKeeper read. */
import { decodeBody } from './body.js';
import type { Stored, StoredFolder } from './driver.js';
import { StoreError } from './store-error.js';
import { ANY_VERSION, CODE, checkPart, getChildren, getData, multi, type NodeData } from './zookeeper-requests.js';
import { ZooKeeperError, type ZooKeeperSession } from './zookeeper-session.js';

/** What is read behind it on this session is not older than this call: an empty transaction, which a majority agrees to. */
export async function askMajority(session: ZooKeeperSession, timeoutMs: number): Promise<void> {
  try {
    await session.ask(multi(checkPart('/', ANY_VERSION)), timeoutMs, 'what a majority has');
  } catch (error) {
    if (error instanceof StoreError && error.fault === 'unknown') {
      throw new StoreError('unavailable', error.message, error);
    }
    throw error;
  }
}

/** Null: there is no such node. */
export async function readNode(
  session: ZooKeeperSession,
  path: string,
  timeoutMs: number,
  isWatched = false,
): Promise<NodeData | null> {
  try {
    return await session.ask(getData(path, isWatched), timeoutMs, path);
  } catch (error) {
    if (error instanceof ZooKeeperError && error.code === CODE.noNode) return null;
    throw error;
  }
}

/** The names of the nodes in one; none where there is no such node. */
export async function readNames(
  session: ZooKeeperSession,
  path: string,
  timeoutMs: number,
  isWatched = false,
): Promise<string[]> {
  try {
    return await session.ask(getChildren(path, isWatched), timeoutMs, path);
  } catch (error) {
    if (error instanceof ZooKeeperError && error.code === CODE.noNode) return [];
    throw error;
  }
}

/** Not older than this call. */
export async function readFolder(session: ZooKeeperSession, path: string, timeoutMs: number): Promise<StoredFolder> {
  const endsMs = performance.now() + timeoutMs;
  const barrier = askMajority(session, timeoutMs);
  // The folder before its names: it is not newer than they are.
  const [folder, names] = await Promise.all([
    readNode(session, path, timeoutMs),
    readNames(session, path, timeoutMs),
    barrier,
  ]);
  const leftMs = Math.max(1, endsMs - performance.now());
  const nodes = await Promise.all(names.map((name) => readNode(session, `${path}/${name}`, leftMs)));
  const entries = new Map<string, Stored>();
  for (const [at, node] of nodes.entries()) {
    const name = names[at] as string;
    if (node !== null) entries.set(name, storedOf(node, `${path}/${name}`));
  }
  return { version: folder?.mzxid ?? 0, entries };
}

export function storedOf({ mzxid, data }: NodeData, path: string): Stored {
  return { version: mzxid, ...decodeBody(data, `the node ${path} of ZooKeeper`) };
}
