/** A node that was started again takes no part in locks for `ttlMaxMs`, also where the pool says that its nodes keep their data. */
import t from 'tap';
import { acquire } from '../help/lock-client.js';
import { deployLocks } from '../help/lock-deployment.js';
import { connect, RespClient } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

const TTL_MAX_MS = 4_000;

t.test('with restart: keeps-data', async (t) => {
  const { servers, proxies } = await deployLocks(t, { nodes: 3, restart: 'keeps-data', ttlMaxMs: TTL_MAX_MS });
  const client = await connect(t, proxies[1].port);
  const [, ...two] = servers;
  const restartMs = performance.now();
  for (const server of two) {
    await server.kill9();
    await server.restart();
  }
  const refusal =
    /^-NOQUORUM too few nodes of the lock count: one was started again and may have forgotten locks, for \d+ ms more/;
  await waitFor('what is said of it', async () =>
    refusal.test((await client.raw('LOCK.ACQUIRE', 'lock:a', 'TTL', '1000')).toString()),
  );
  for (const { port } of two) {
    const node = await RespClient.connect(port);
    t.match(String(await node.command('GET', '~rl:node')), /^1 member /, 'it is a member, with its data');
    node.close();
  }
  await waitFor('the lock', async () => {
    const reply = (await client.raw('LOCK.ACQUIRE', 'lock:a', 'TTL', '1000')).toString();
    if (reply.startsWith('-')) return false;
    t.match(reply, /token/);
    return true;
  });
  t.ok(performance.now() - restartMs >= TTL_MAX_MS, 'after ttlMaxMs');
  t.equal(await acquire(client, 'lock:a', 'TTL', '1000'), null);
});
