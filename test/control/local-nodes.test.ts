import { existsSync } from 'node:fs';
import t from 'tap';
import { parseConfig } from '../../src/config.js';
import { startLocalNodes } from '../../src/control/local-nodes.js';
import { RespClient } from '../help/resp-client.js';

t.test('three Redis servers run behind a good configuration, and are gone when stopped', async (t) => {
  const nodes = await startLocalNodes();
  const result = parseConfig(nodes.configText, { workers: 1, environment: {} });
  if (!('config' in result)) throw new Error(JSON.stringify(result.problems));
  const addresses = result.config.pools.flatMap((pool) => pool.nodes.map(({ address }) => address));
  t.equal(addresses.length, 3);
  t.same(result.config.listen, [{ kind: 'tcp', host: '127.0.0.1', port: 6380 }]);

  const folders = new Set<unknown>();
  for (const address of addresses) {
    if (address.kind !== 'tcp') throw new Error('expected a port');
    t.equal(address.host, '127.0.0.1');
    const client = await RespClient.connect(address.port);
    t.equal(await client.command('PING'), 'PONG');
    t.same(await client.command('CONFIG', 'GET', 'save'), ['save', ''], 'it keeps nothing');
    folders.add(((await client.command('CONFIG', 'GET', 'dir')) as unknown[])[1]);
    client.close();
  }
  await nodes.stop();
  for (const address of addresses) {
    if (address.kind === 'tcp') await t.rejects(RespClient.connect(address.port), { code: 'ECONNREFUSED' });
  }
  for (const folder of folders) t.notOk(existsSync(String(folder)), 'its folder is removed');
});
