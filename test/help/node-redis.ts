/** node-redis in the versions that the tests try, loaded from a folder of packages of its own. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What the tests use of a client. */
export interface NodeRedisClient {
  on(event: string, listener: (...args: unknown[]) => void): this;
  connect(): Promise<unknown>;
  destroy(): void;
  ping(): Promise<unknown>;
  set(key: string, value: string): Promise<unknown>;
  get(key: string): Promise<unknown>;
  mGet(keys: string[]): Promise<unknown>;
  del(keys: string[]): Promise<unknown>;
  hSet(key: string, fields: Record<string, string>): Promise<unknown>;
  hGetAll(key: string): Promise<Record<string, string>>;
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  info(section: string): Promise<string>;
  multi(): {
    set(key: string, value: string): unknown;
    get(key: string): unknown;
    execAsPipeline(): Promise<unknown[]>;
  };
}

export interface NodeRedis {
  version: string;
  /** Why it does not run here, or null. */
  obstacle: string | null;
  createClient(options: { url: string; RESP: 2 | 3 }): Promise<NodeRedisClient>;
}

/** `name` is that of test/e2e/clients/package.json. Tests run in the checkout's folder, wherever they were compiled to. */
export async function nodeRedis(name: string): Promise<NodeRedis> {
  const setup = pathToFileURL(join(process.cwd(), 'scripts', 'setup.mjs')).href;
  const { setUpTestClients } = (await import(setup)) as { setUpTestClients(): Promise<string> };
  const folder = await setUpTestClients();
  const description = JSON.parse(readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8')) as {
    version: string;
    engines: { node: string };
  };
  const wanted = Number(/^>=\s*(\d+)/.exec(description.engines.node)?.[1]);
  const runs = Number.parseInt(process.versions.node, 10) >= wanted;
  return {
    version: description.version,
    obstacle: runs ? null : `it wants Node ${description.engines.node}, and this is ${process.version}`,
    createClient: async (options) => {
      const load = createRequire(join(folder, 'package.json'));
      return (load(name) as { createClient(options: object): NodeRedisClient }).createClient(options);
    },
  };
}
