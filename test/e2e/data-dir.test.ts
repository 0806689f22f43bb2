/** What survives a restart: a configuration that would look for existing keys elsewhere is refused then, too. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { decodeTopology } from '../../src/control/shared-topology.js';
import { startChild } from '../help/child.js';
import { freePort } from '../help/free-port.js';
import { type ProxyOptions, ProxyProcess } from '../help/proxy.js';
import { randomFromSeed } from '../help/random.js';
import { type RedisServer, startRedisServers } from '../help/redis-server.js';
import { RespClient } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));

async function servers(t: Test, count: number): Promise<RedisServer[]> {
  const started = await startRedisServers(count);
  t.teardown(() => Promise.all(started.map((server) => server.stop())));
  return started;
}

/** Starts a proxy; whatever becomes of it is stopped when the test ends. */
async function start(t: Test, options: ProxyOptions): Promise<ProxyProcess> {
  const proxy = await ProxyProcess.start(options);
  t.teardown(() => proxy.kill9());
  return proxy;
}

/** What lies in the folder, as control/shared-topology writes it. */
function keptTopology(dataDir: string): string {
  const { entries } = JSON.parse(readFileSync(join(dataDir, 'coordination', 'topology.json'), 'utf8'));
  return entries[0][3];
}

function named(nodes: readonly RedisServer[], names: string): { name: string; url: string }[] {
  return nodes.map(({ url }, index) => ({ name: names[index] as string, url }));
}

t.test('a restart goes on where keys are, and refuses to look for them elsewhere', async (t) => {
  const dataDir = join(t.testdir({}), 'data');
  const nodes = await servers(t, 2);
  const first = await start(t, { nodes: named(nodes, 'ab'), dataDir });
  const client = await RespClient.connect(first.port);
  for (let n = 0; n < 20; n++) t.equal(await client.command('SET', `key:${n}`, `${n}`), 'OK');
  t.equal(await first.stop(), 0);
  t.notOk(existsSync(join(dataDir, 'lock')), 'the folder is left to others');

  await t.rejects(start(t, { nodes: named(nodes, 'ac'), dataDir }), {
    message: new RegExp(
      `keys would be looked for elsewhere than the last time \\(${dataDir}/coordination\\):\n` +
        '  pool main: node c is new, .*\n  pool main: node b is gone, .*\nkeys are not moved yet: .*--accept-remap',
    ),
  });
  const again = await start(t, { nodes: named([...nodes], 'ab').reverse(), dataDir });
  const other = await RespClient.connect(again.port);
  for (let n = 0; n < 20; n++) t.equal(await other.command('GET', `key:${n}`), `${n}`);
  t.equal(await again.stop(), 0);

  const moved = await start(t, { nodes: named(nodes, 'ac'), dataDir, acceptRemap: true });
  t.match(await moved.waitForLog('start-remaps'), { level: 'warn', remaps: [/node c is new/, /node b is gone/] });
  t.equal(await moved.stop(), 0);
  t.equal(await (await start(t, { nodes: named(nodes, 'ac'), dataDir })).stop(), 0, 'and then that is the last time');
});

t.test('the explanation stands in the log, too, and the exit code is 1', async (t) => {
  const folder = t.testdir({});
  const dataDir = join(folder, 'data');
  const nodes = await servers(t, 1);
  await (await start(t, { nodes: named(nodes, 'a'), dataDir })).stop();
  const config = join(folder, 'r.yml');
  writeFileSync(
    config,
    JSON.stringify({ dataDir, pools: { main: { nodes: named(nodes, 'b') } }, listen: `127.0.0.1:${await freePort()}` }),
  );
  const child = await startChild(process.execPath, [MAIN, 'start', '--config', config]);
  t.equal((await child.ended).code, 1);
  t.match(child.output(), /"remaps":\["pool main: node b is new, .*"msg":"start-refused"/);
});

t.test('a reload is kept when it is applied, and not when it is refused', async (t) => {
  const dataDir = t.testdir({});
  const nodes = await servers(t, 2);
  const proxy = await start(t, { nodes: named(nodes, 'ab'), dataDir });
  const kept = () => keptTopology(dataDir);
  const before = kept();
  proxy.reload((text) => text.replace('"name": "a"', '"name": "z"'));
  await proxy.waitForLog('reload-refused');
  t.equal(kept(), before);
  proxy.reload((text) =>
    text.replace('"name": "z"', '"name": "a"').replace('"prefix": ""', '"prefix": "", "placement": "slots"'),
  );
  await proxy.waitForLog('reloaded');
  t.equal(kept(), before, 'nothing else, nothing else is kept');
  proxy.reload((text) => text.replace('"pools": {', '"pools": { "more": { "nodes": ["redis://127.0.0.1:1"] },'));
  await waitFor('the new pool to be kept', () => kept().includes('"more"'));
  t.equal(await proxy.stop(), 0);
});

t.test('what cannot be used is said at the start, and at a reload what cannot be kept', async (t) => {
  const nodes = named(await servers(t, 1), 'a');
  const folder = t.testdir({ data: { coordination: { 'topology.json': '{"format":1,' } } });
  const dataDir = join(folder, 'data');
  await t.rejects(start(t, { nodes, dataDir }), {
    message: /topology\.json is damaged, .*remove the file and start again/,
  });
  await t.rejects(start(t, { nodes, dataDir: '/proc/none' }), { message: /dataDir \/proc\/none cannot be made: / });
  t.same(readdirSync(dataDir), ['coordination'], 'no lock stays');

  const own = join(folder, 'own');
  const taken = await servers(t, 1);
  await t.rejects(start(t, { nodes, dataDir: own, listen: [`127.0.0.1:${taken[0]?.port}`] }), {
    message: new RegExp(`127\\.0\\.0\\.1:${taken[0]?.port}`),
  });
  const proxy = await start(t, { nodes, dataDir: own });
  await t.rejects(start(t, { nodes, dataDir: own }), {
    message: new RegExp(
      `dataDir ${own} is used by another process \\(${proxy.pid}\\): each proxy needs a dataDir of its own`,
    ),
  });
  const client = await RespClient.connect(proxy.port);
  t.equal(await client.command('PING'), 'PONG', 'the first goes on');
  client.close();
  t.equal(await proxy.stop(), 0);
});

t.test('check leaves the folder alone', async (t) => {
  const folder = t.testdir({});
  const dataDir = join(folder, 'data');
  writeFileSync(join(folder, 'r.yml'), JSON.stringify({ dataDir, pools: { main: { nodes: ['redis://h'] } } }));
  const child = await startChild(process.execPath, [MAIN, 'check', '--config', join(folder, 'r.yml')]);
  t.equal((await child.ended).code, 0);
  t.notOk(existsSync(dataDir));
});

t.test('a proxy that is killed while it writes finds the layout of before or the new one', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  const dataDir = t.testdir({});
  const nodes = named(await servers(t, 1), 'a');
  /** The configuration with so many pools that no key is in: each number of them is a layout of its own. */
  const pools = (text: string, count: number) => {
    const config = JSON.parse(text);
    const { main } = config.pools;
    config.pools = { main };
    for (let n = 0; n < count; n++) config.pools[`spare-${n}`] = { nodes: [`redis://127.0.0.1:${n + 1}`] };
    return JSON.stringify(config);
  };
  let writtenMax = 0;
  for (let round = 0; round < 6; round++) {
    const proxy = await start(t, { nodes, dataDir, keyspaces: [{ prefix: '', pool: 'main' }] });
    const killAfterMs = 20 + random.below(250);
    let count = 0;
    const endMs = performance.now() + killAfterMs;
    while (performance.now() < endMs) {
      proxy.reload((text) => pools(text, ++count % 50));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await proxy.kill9();
    const { layout } = decodeTopology(keptTopology(dataDir));
    const spares = layout.pools.length - 1;
    writtenMax = Math.max(writtenMax, spares);
    t.ok(
      spares >= 0 && spares < 50,
      `round ${round}: ${count} reloads in ${Math.round(killAfterMs)} ms, ${spares} pools`,
    );
  }
  t.ok(writtenMax > 0, 'some were written before the end');
  const last = await start(t, { nodes, dataDir, keyspaces: [{ prefix: '', pool: 'main' }] });
  t.same(readdirSync(dataDir).sort(), ['coordination', 'lock']);
  t.equal(await last.stop(), 0);
});
