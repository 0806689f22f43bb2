/** Keys of consistency eventual on real servers, what copies have missed: it survives the end of the proxy, however that comes. */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { ProxyProcess } from '../help/proxy.js';
import { connect, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';
import { careOf, countsOf, PATIENT_MS, startProxy, startServers } from './eventual-pool.js';

t.setTimeout(180_000);

/** Of a's and b's writes, which are lost, what the next proxy finds in dataDir, as the last one left it. */
async function losesNothing(t: Test, limits: Record<string, number>, leave: Leaving): Promise<void> {
  const servers = await startServers(t);
  const dataDir = mkdtempSync(join(tmpdir(), 'ringleader-eventual-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const proxy = await startProxy(t, servers, { dataDir, limits });
  const client = await connect(t, proxy.port);
  servers[2]?.pause();
  for (let key = 0; key < 100; key++) t.equal(await say(client, 'SET', `kept:${key}`, `${key}`), '+OK\r\n');
  await leave(proxy, join(dataDir, 'hints', 'main', 'c'));
  for (const server of servers.slice(0, 2)) await server.kill9();
  servers[2]?.resume();
  const next = await startProxy(t, servers, { dataDir });
  const asking = await connect(t, next.port);
  const isThere = async () => (await say(asking, 'GET', 'kept:99')) === '$2\r\n99\r\n';
  await waitFor('the writes to be there', isThere, PATIENT_MS);
  for (let key = 0; key < 100; key++)
    t.equal(await say(asking, 'GET', `kept:${key}`), `$${`${key}`.length}\r\n${key}\r\n`);
}

type Leaving = (proxy: ProxyProcess, folder: string) => Promise<void>;

t.test('what was acknowledged by nodes that are lost survives the death of the proxy in its dataDir', async (t) => {
  await losesNothing(t, {}, async (proxy, folder) => {
    await waitFor('it is kept', async () => (await countsOf(proxy)).replicatedHints >= 100, PATIENT_MS);
    const isWritten = async () => {
      const { hints } = (await careOf(proxy)).nodes[2] ?? {};
      const sizes = readdirSync(folder).map((name) => statSync(join(folder, name)).size);
      return hints !== undefined && hints.bytes > 0 && sizes.reduce((sum, size) => sum + size, 0) === hints.bytes;
    };
    await waitFor('all of it is written', isWritten, PATIENT_MS);
    await proxy.kill9();
  });
});

t.test('a proxy that is stopped keeps what a node has not answered yet', async (t) => {
  // Nothing is given up before it ends.
  const limits = { requestTimeoutMs: 120_000, stallTimeoutMs: 120_000 };
  await losesNothing(t, limits, async (proxy) => {
    t.equal((await countsOf(proxy)).replicatedHints, 0);
    t.equal(await proxy.stop(), 0);
  });
});
