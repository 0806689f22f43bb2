/** Redis clients, and libraries built on them, that only tests use: from a folder of packages of its own. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export interface TestClient {
  version: string;
  /** Why it does not run here, or null. */
  obstacle: string | null;
  /** What it exports. */
  load(): unknown;
  /** The same of one that cannot be required. */
  import(): Promise<unknown>;
}

/** Installs the packages if need be. Tests run in the checkout's folder, wherever they were compiled to. */
export async function testClientsFolder(): Promise<string> {
  const setup = pathToFileURL(join(process.cwd(), 'scripts', 'setup.mjs')).href;
  const { setUpTestClients } = (await import(setup)) as { setUpTestClients(): Promise<string> };
  return setUpTestClients();
}

/** `name` is that of test/e2e/clients/package.json. */
export async function testClient(name: string): Promise<TestClient> {
  const folder = await testClientsFolder();
  const require = createRequire(join(folder, 'package.json'));
  const path = join(folder, 'node_modules', name, 'package.json');
  const { version, engines } = JSON.parse(readFileSync(path, 'utf8')) as {
    version: string;
    engines?: { node?: string };
  };
  const wanted = Number(/^>=\s*(\d+)/.exec(engines?.node ?? '>=0')?.[1]);
  const runs = Number.parseInt(process.versions.node, 10) >= wanted;
  return {
    version,
    obstacle: runs ? null : `it wants Node ${engines?.node}, and this is ${process.version}`,
    load: () => require(name) as unknown,
    import: () => import(pathToFileURL(require.resolve(name)).href) as Promise<unknown>,
  };
}
