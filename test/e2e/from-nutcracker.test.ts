/** Moving over from twemproxy: its configuration is imported, it is stopped, and every key is found where it left it. */
import t from 'tap';
import { parse } from 'yaml';
import { HASH_NAMES } from '../../src/base/placement.js';
import { importNutcracker } from '../../src/control/nutcracker-import.js';
import { findNutcracker, Nutcracker, type NutcrackerPool } from '../help/nutcracker.js';
import { ProxyProcess } from '../help/proxy.js';
import { startRedisServers } from '../help/redis-server.js';
import { RespClient } from '../help/resp-client.js';

const KEYS = 50;

const program = await findNutcracker();
const skip = 'reason' in program ? program.reason : false;

t.test('a nutcracker is replaced, pool by pool, on its own ports', { skip }, async (t) => {
  if ('reason' in program) return;
  const servers = await startRedisServers(3);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  const lines = servers.map((server, index) => `127.0.0.1:${server.port}:${index + 1} cache-${index}`);
  const pools = (['ketama', 'modula'] as const).flatMap((distribution) => {
    return HASH_NAMES.map((hash): NutcrackerPool => {
      return { distribution, hash, servers: lines, ...(hash === 'murmur' ? { hashTag: '<>' } : {}) };
    });
  });
  const nutcracker = await Nutcracker.start(program, pools);
  const imported = importNutcracker(nutcracker.configText);
  if (!('yaml' in imported)) throw new Error(JSON.stringify(imported.problems));
  const layout = parse(imported.yaml) as { services: { listen: string }[] };
  const ports = layout.services.map(({ listen }) => Number(listen.split(':')[1]));
  t.equal(ports.length, pools.length);
  const pairs = (pool: number) =>
    Array.from({ length: KEYS }, (_, n) => [`key:${pool}:<${n % 7}>${n}`, `${pool}.${n}`]);
  const inPool = async (pool: number, words: string[]) => {
    const client = await RespClient.connect(ports[pool] as number);
    const reply = await client.command(...words);
    client.close();
    return reply;
  };
  // All pools lie on the same servers, as those of different applications may: they have keys of their own.
  for (const pool of ports.keys()) t.equal(await inPool(pool, ['MSET', ...pairs(pool).flat()]), 'OK');
  await nutcracker.stop();

  const proxy = await ProxyProcess.start({ layout });
  t.teardown(() => proxy.kill9());
  for (const [pool, { distribution, hash }] of pools.entries()) {
    const values = await inPool(pool, ['MGET', ...pairs(pool).map(([key]) => key as string)]);
    t.same(
      values,
      pairs(pool).map(([, value]) => value),
      `${distribution} with ${hash}`,
    );
  }
});
