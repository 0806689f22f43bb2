/** node-redis in the versions that the tests try. */
import { type TestClient, testClient } from './test-clients.js';

/** What the tests use of a client. */
export interface NodeRedisClient {
  on(event: string, listener: (...args: unknown[]) => void): this;
  connect(): Promise<this>;
  duplicate(): NodeRedisClient;
  destroy(): void;
  withTypeMapping(mapping: Record<number, unknown>): NodeRedisClient;
  sendCommand(words: string[]): Promise<unknown>;
  ping(): Promise<unknown>;
  set(key: string, value: string | Buffer, options?: object): Promise<unknown>;
  get(key: string): Promise<unknown>;
  mSet(pairs: Record<string, string>): Promise<unknown>;
  mGet(keys: string[]): Promise<unknown>;
  del(keys: string[]): Promise<unknown>;
  ttl(key: string): Promise<number>;
  hSet(key: string, fields: Record<string, string>): Promise<unknown>;
  hGetAll(key: string): Promise<Record<string, string>>;
  hVals(key: string): Promise<unknown>;
  zAdd(key: string, members: { score: number; value: string }[]): Promise<unknown>;
  zRangeWithScores(key: string, from: number, to: number): Promise<unknown>;
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  info(section: string): Promise<string>;
  dump(key: string): Promise<Buffer>;
  restore(key: string, ttl: number, dump: Buffer): Promise<unknown>;
  flushAll(): Promise<unknown>;
  scanIterator(options?: object): AsyncIterable<string[]>;
  hScanIterator(key: string): AsyncIterable<{ field: string; value: string }[]>;
  multi(): NodeRedisMulti;
  watch(key: string): Promise<unknown>;
  select(database: number): Promise<unknown>;
  lPush(key: string, value: string): Promise<unknown>;
  publish(channel: string, message: string): Promise<unknown>;
  sPublish(channel: string, message: string): Promise<unknown>;
  subscribe(channels: string | string[], listener: NodeRedisListener): Promise<void>;
  pSubscribe(patterns: string | string[], listener: NodeRedisListener): Promise<void>;
  sSubscribe(channels: string | string[], listener: NodeRedisListener): Promise<void>;
  unsubscribe(channel: string): Promise<void>;
  pubSubNumSub(channels: string[]): Promise<Record<string, number>>;
}

type NodeRedisListener = (message: string, channel: string) => void;

export interface NodeRedisMulti {
  set(key: string, value: string): NodeRedisMulti;
  get(key: string): NodeRedisMulti;
  exec(): Promise<unknown[]>;
  execAsPipeline(): Promise<unknown[]>;
}

export interface NodeRedisOptions {
  url: string;
  RESP?: 2 | 3;
  /** By name: what `defineScript` has made, which is called as a method of that name. */
  scripts?: Record<string, unknown>;
  database?: number;
  clientSideCache?: { ttl: number; maxEntries: number; evictPolicy: string };
}

/** Its methods are those of a client; it has one for each node. */
export interface NodeRedisCluster extends Omit<NodeRedisClient, 'on' | 'connect' | 'duplicate'> {
  on(event: string, listener: (...args: unknown[]) => void): this;
  connect(): Promise<unknown>;
  rename(key: string, other: string): Promise<unknown>;
  masters: readonly { port: number }[];
  nodeClient(node: unknown): unknown;
}

export interface NodeRedisClusterOptions {
  rootNodes: { url: string }[];
  RESP?: 2 | 3;
  scripts?: Record<string, unknown>;
}

export interface NodeRedis {
  createCluster(options: NodeRedisClusterOptions): NodeRedisCluster;
  RESP_TYPES: { BLOB_STRING: number };
  createClient(options: NodeRedisOptions): NodeRedisClient;
  createClientPool(options: NodeRedisOptions): NodeRedisPool;
  defineScript(script: {
    SCRIPT: string;
    NUMBER_OF_KEYS: number;
    parseCommand(parser: { pushKey(key: string): void; push(...words: string[]): void }, ...args: string[]): void;
    transformReply(reply: unknown): unknown;
  }): unknown;
}

/** Its methods are those of a client: each call has a connection of its own. */
export interface NodeRedisPool {
  on(event: string, listener: (...args: unknown[]) => void): this;
  connect(): Promise<this>;
  destroy(): void;
  get(key: string): Promise<unknown>;
  set(key: string, value: string): Promise<unknown>;
  blPop(key: string | string[], timeoutSeconds: number): Promise<{ key: string; element: string } | null>;
  execute<T>(work: (client: NodeRedisClient) => Promise<T>): Promise<T>;
}

/** `name` is that of test/e2e/clients/package.json. */
export async function nodeRedis(name: string): Promise<Omit<TestClient, 'load'> & { load(): NodeRedis }> {
  return (await testClient(name)) as Awaited<ReturnType<typeof nodeRedis>>;
}
