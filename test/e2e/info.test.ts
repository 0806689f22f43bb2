/** INFO through a proxy of several workers: its own section, and what remains when a node does not answer. */
import { Redis } from 'ioredis';
import t from 'tap';
import { deploy } from '../help/deployment.js';
import { connect, type RespClient } from '../help/resp-client.js';

async function info(client: RespClient, ...sections: string[]): Promise<Map<string, string>> {
  const text = String(await client.command('INFO', ...sections));
  const lines = text.split('\r\n').filter((line) => line.includes(':'));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]));
}

t.test('the section of the proxy adds up all workers', async (t) => {
  const { proxy, port } = await deploy(t, { workers: 2 });
  const clients = await Promise.all(Array.from({ length: 10 }, () => connect(t, port)));
  for (const client of clients) for (let n = 0; n < 10; n++) await client.raw('SET', `k${n}`, 'x');
  const [client] = clients as [RespClient];
  // What other workers have counted is up to half a second old.
  let fields = await info(client, 'ringleader');
  while (Number(fields.get('ringleader_sessions_open')) < 10 || Number(fields.get('ringleader_commands')) < 100) {
    fields = await info(client, 'ringleader');
  }
  t.equal(fields.get('ringleader_sessions_open'), '10');
  t.equal(fields.get('ringleader_sessions_accepted'), '10');
  t.equal(fields.get('ringleader_workers'), '2');
  t.equal(fields.get('ringleader_transport'), (await proxy.waitForLog('transport'))['transport']);
  t.equal(fields.get('ringleader_nodes_up'), '3');
  t.match(fields.get('ringleader_version'), /^\d+\.\d+\.\d+/);
  t.match(fields.get('ringleader_node2'), /^name=c,address=127\.0\.0\.1:\d+,state=up,version=7\.\d+\.\d+,queued=0$/);
  const all = await info(client);
  t.equal(all.get('process_id'), String(proxy.pid));
  t.equal(all.get('tcp_port'), String(port));
  t.equal(all.get('connected_clients'), '10');
  t.equal(all.get('total_connections_received'), '10');
  const ids = await Promise.all(clients.map(async (one) => (await info(one, 'server')).get('run_id')));
  t.match(ids[0], /^[0-9a-f]{40}$/);
  t.equal(new Set(ids).size, 1, 'all workers are one server');
});

t.test('what INFO counts of clients is as it is now, whichever worker is asked', async (t) => {
  const { port } = await deploy(t, { workers: 2 });
  const clients = await Promise.all(Array.from({ length: 4 }, () => connect(t, port)));
  for (let round = 0; round < 25; round++) {
    for (const [at, client] of clients.entries()) {
      await client.raw('CLIENT', 'TRACKING', 'ON', 'BCAST');
      const asked = clients[(at + 1) % clients.length] as RespClient;
      t.equal((await info(asked, 'clients')).get('tracking_clients'), String(at + 1));
    }
    for (const client of clients) await client.raw('CLIENT', 'TRACKING', 'OFF');
    t.equal((await info(clients[round % 4] as RespClient, 'clients')).get('tracking_clients'), '0');
  }
});

t.test('while a node is down, INFO names it, and clients that ask INFO first can connect', async (t) => {
  const deployment = await deploy(t);
  const { proxy, port, servers } = deployment;
  await servers[1]?.kill9();
  await proxy.waitForLog('node-down', (line) => line['node'] === 'b');
  const client = await connect(t, port);
  const fields = await info(client, 'keyspace');
  t.equal(fields.get('ringleader_nodes_missing'), 'b');
  t.equal(fields.get('ringleader_nodes_down'), '1');

  const redis = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: 1 });
  redis.on('error', () => {});
  t.teardown(() => redis.disconnect());
  t.equal(await redis.set(deployment.key(0), '1'), 'OK');
  await t.rejects(redis.get(deployment.key(1)), /NODEDOWN node b /);
});
