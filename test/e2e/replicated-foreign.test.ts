/** A server that is a member of another cluster, in the configuration by mistake: its votes count for nothing. */
import t from 'tap';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import { formatNodeRecord } from '../../src/replica/node-record.js';
import { ProxyProcess } from '../help/proxy.js';
import { startRedisServers } from '../help/redis-server.js';
import { connect } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

t.test('what another cluster has written is neither read nor written', async (t) => {
  const servers = await startRedisServers(3);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  const nodes = await Promise.all(servers.map(({ port }) => connect(t, port)));
  for (const [place, node] of nodes.entries()) {
    const info = `${await node.command('INFO', 'everything')}`;
    const field = (name: string) => new RegExp(`^${name}:(\\w+)`, 'm').exec(info)?.[1] as string;
    const process = { runId: field('run_id'), replId: field('master_replid') };
    const clusterId = place === 2 ? 'theirs' : 'ours';
    const admission = { epoch: 0, count: 1 };
    const record = { clusterId, name: `n${place}`, admission, process, status: { kind: 'member' } as const };
    await node.command('SET', '~rl:node', formatNodeRecord(record));
  }
  // Under a ballot that would win.
  const ballot = `00000000${'9'.repeat(12)}${'1'.repeat(20)}`;
  await nodes[2]?.command('MSET', 'key', 'theirs', '~rl:m:key', `${ballot}${ballot}${NO_LINEAGE}10`);
  const proxy = await ProxyProcess.start({
    nodes: servers.map(({ url }, place) => ({ name: `n${place}`, url })),
    keyspaces: [{ prefix: '', pool: 'main', mode: 'replicated', copies: 3 }],
  });
  t.teardown(() => proxy.kill9());
  const client = await connect(t, proxy.port);
  await waitFor('a quorum', async () => (await client.command('SET', 'other', 'x')) === 'OK');
  t.equal(await client.command('GET', 'key'), null);
  t.equal(await client.command('SET', 'key', 'ours'), 'OK');
  for (let time = 0; time < 20; time++) t.equal(await client.command('GET', 'key'), 'ours');
  t.equal(await nodes[2]?.command('GET', 'key'), 'theirs');
  t.equal(await nodes[2]?.command('EXISTS', 'other'), 0);
});
