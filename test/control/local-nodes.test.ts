import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { defaultFolder, startLocalNodes } from '../../src/control/local-nodes.js';
import { removeFolder, scratchFolder } from '../help/child.js';
import { RespClient } from '../help/resp-client.js';

t.test('three Redis servers keep their data in the folder, and are gone when stopped', async (t) => {
  const folder = scratchFolder('nodes');
  t.teardown(() => removeFolder(folder));
  const nodes = await startLocalNodes({ folder: join(folder, 'made'), fresh: false });
  t.same(
    nodes.nodes.map(({ name }) => name),
    ['a', 'b', 'c'],
  );
  for (const { name, port } of nodes.nodes) {
    const client = await RespClient.connect(port);
    t.equal(await client.command('PING'), 'PONG');
    t.same(await client.command('CONFIG', 'GET', 'bind'), ['bind', '127.0.0.1'], 'on loopback only');
    t.same(await client.command('CONFIG', 'GET', 'dir'), ['dir', join(nodes.folder, `redis-${name}`)]);
    client.close();
  }
  await nodes.stop();
  for (const { port } of nodes.nodes) await t.rejects(RespClient.connect(port), { code: 'ECONNREFUSED' });
  t.notOk(existsSync(join(nodes.folder, 'lock')));
});

t.test('data that a server cannot read are an error with its words, and the other servers end', async (t) => {
  const folder = scratchFolder('nodes');
  t.teardown(() => removeFolder(folder));
  const bad = join(folder, 'redis-b', 'appendonlydir');
  mkdirSync(bad, { recursive: true });
  writeFileSync(join(bad, 'appendonly.aof.manifest'), 'nonsense\n');
  await t.rejects(startLocalNodes({ folder, fresh: false }), { message: /redis-b.*Invalid AOF manifest/s });
  t.notOk(existsSync(join(folder, 'redis-a', 'process.json')));
  t.notOk(existsSync(join(folder, 'lock')));
  const nodes = await startLocalNodes({ folder, fresh: true });
  await nodes.stop();
});

t.test('the folder is that of the XDG specification', async (t) => {
  t.equal(defaultFolder({ XDG_STATE_HOME: '/state' }), '/state/ringleader');
  for (const env of [{}, { XDG_STATE_HOME: '' }, { XDG_STATE_HOME: 'relative' }]) {
    t.equal(defaultFolder(env), join(homedir(), '.local/state/ringleader'));
  }
});
