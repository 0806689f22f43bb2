/** LOCK.LIST and LOCK.BREAK over three nodes, through two proxies. */
import t from 'tap';
import { LISTS_MAX } from '../../src/proxy/lock-commands.js';
import { acquire, fieldsOf } from '../help/lock-client.js';
import { deployLocks } from '../help/lock-deployment.js';
import type { RedisServer } from '../help/redis-server.js';
import { connect, encodeWords, type RespClient } from '../help/resp-client.js';
import { waitFor, within } from '../help/wait-for.js';

const LIST_MAX = 300;
const SOON_MS = 10_000;

t.test('LOCK.LIST and LOCK.BREAK', async (t) => {
  const { servers, proxies } = await deployLocks(t, {
    nodes: 3,
    ttlMaxMs: 60_000,
    limits: { lockListMax: LIST_MAX, requestTimeoutMs: 1_000 },
  });
  const [one, other] = [await connect(t, proxies[0].port), await connect(t, proxies[1].port)];
  const nodes = await Promise.all(servers.map(({ port }) => connect(t, port)));
  const names = async (client: RespClient, ...pattern: string[]) => {
    const list = (await client.command('LOCK.LIST', ...pattern)) as unknown[];
    return list.map((facts) => `${fieldsOf(facts).get('name')}`);
  };

  t.test('those are listed that somebody holds, as LOCK.INFO says it', async (t) => {
    t.same(await names(one), []);
    for (const name of ['lock:b', 'lock:a', 'lock:[x]']) t.ok(await acquire(one, name, 'TTL', '50000'));
    const released = await acquire(one, 'lock:gone', 'TTL', '50000');
    await one.command('LOCK.RELEASE', 'lock:gone', released?.token as string);
    t.equal(await one.command('SET', 'lock:drop-in', 'x', 'NX', 'PX', '50000'), 'OK');
    await one.command('SET', 'plain', 'x');
    const all = ['lock:[x]', 'lock:a', 'lock:b', 'lock:drop-in'];
    for (const client of [one, other]) {
      t.same(await names(client), all);
      t.same(await names(client, '*'), all);
      t.same(await names(client, 'lock:?'), ['lock:a', 'lock:b']);
      t.same(await names(client, 'lock:\\[x]'), ['lock:[x]']);
      t.same(await names(client, '~rl:*'), []);
      t.same(await names(client, 'none'), []);
    }
    await other.raw('HELLO', '3');
    const [listed] = (await other.command('LOCK.LIST', 'lock:a')) as unknown[];
    const info = await other.command('LOCK.INFO', 'lock:a');
    t.same(withoutTtl(listed), withoutTtl(info));
    await other.raw('HELLO', '2');
    t.match((await one.raw('LOCK.LIST', 'a', 'b')).toString(), /^-ERR syntax error/);
  });

  t.test('what nobody has a majority of is split, and what a stopped node lacks is listed all the same', async (t) => {
    const [first, second, third] = servers as [RedisServer, RedisServer, RedisServer];
    for (const [at, node] of nodes.slice(0, 2).entries())
      await node.command('SET', 'lock:half', `${at}`, 'PX', '50000');
    const [half] = (await one.command('LOCK.LIST', 'lock:half')) as unknown[];
    t.equal(`${fieldsOf(half).get('state')}`, 'split');
    for (const node of nodes) await node.command('DEL', 'lock:half');
    third.pause();
    t.same(await names(one, 'lock:?'), ['lock:a', 'lock:b']);
    second.pause();
    for (const pattern of ['*', 'none'])
      t.match((await one.raw('LOCK.LIST', pattern)).toString(), /^-NOQUORUM/, 'it cannot be known that there is none');
    for (const server of [first, second, third]) server.resume();
    await waitFor('the nodes to answer', async () => (await names(one, 'lock:?')).length === 2);
  });

  t.test('a lock is broken whoever holds it, and who waits gets it', async (t) => {
    const waiting = acquire(other, 'lock:a', 'TTL', '50000', 'WAIT', '40000');
    await waitFor('it to wait', async () => {
      const asked = await connect(t, proxies[1].port);
      return /blocked_clients:1\r/.test(`${await asked.command('INFO', 'clients')}`);
    });
    t.equal(await one.command('LOCK.BREAK', 'lock:a'), 1);
    const next = await within('the lock', waiting, SOON_MS);
    t.ok(next);
    t.equal(await other.command('LOCK.BREAK', 'lock:a'), 1);
    t.equal(await other.command('LOCK.BREAK', 'lock:a'), 0);
    t.equal(await other.command('LOCK.BREAK', 'lock:drop-in'), 1);
    t.match((await other.raw('LOCK.RELEASE', 'lock:a', next?.token as string)).toString(), /^-NOTHELD/);
    await nodes[0]?.command('SET', 'lock:half', 'x', 'PX', '50000');
    t.equal(await one.command('LOCK.BREAK', 'lock:half'), 0, 'no majority knew it');
    t.equal(await nodes[0]?.command('EXISTS', 'lock:half'), 0, 'it is gone all the same');
    const holder = await connect(t, proxies[1].port);
    t.ok(await acquire(holder, 'lock:s', 'TTL', '1500', 'SESSION'));
    t.equal(await one.command('LOCK.BREAK', 'lock:s'), 1);
    await within('who believed to have it to be disconnected', holder.closed, SOON_MS);
    t.match((await one.raw('LOCK.BREAK', 'plain')).toString(), /^-ERR no keyspace of mode lock/);
  });

  t.test('a worker lists for so many at a time', async (t) => {
    const client = await connect(t, proxies[1].port);
    for (let time = 0; time < 2; time++) {
      client.send(Buffer.concat(Array<Buffer>(LISTS_MAX + 1).fill(encodeWords(['LOCK.LIST', 'lock:none*']))));
      for (let list = 0; list < LISTS_MAX; list++) t.equal((await client.next()).toString(), '*0\r\n');
      t.match((await client.next()).toString(), /^-OVERLOADED 4 LOCK.LIST are under way already/);
    }
  });

  t.test('locks of several pages are listed, and so many at the most', async (t) => {
    for (let at = 0; at < LIST_MAX; at++)
      for (const node of nodes.slice(0, 2)) node.send(`SET lock:many:${`${at}`.padStart(3, '0')} x PX 60000\r\n`);
    for (let at = 0; at < LIST_MAX; at++) for (const node of nodes.slice(0, 2)) await node.next();
    for (let at = 0; at < 3000; at++) for (const node of nodes) node.send(`SET filler:${at} x\r\n`);
    for (let at = 0; at < 3000; at++) for (const node of nodes) await node.next();
    const many = await names(one, 'lock:many:*');
    t.equal(many.length, LIST_MAX);
    t.same(many, many.toSorted());
    t.match((await one.raw('LOCK.LIST')).toString(), /^-OVERLOADED more than lockListMax 300 locks fit the pattern/);
  });
});

function withoutTtl(value: unknown): unknown {
  if (!(value instanceof Map)) return `${value}`;
  const fields = [...fieldsOf(value)].filter(([name]) => name !== 'ttl');
  return fields.map(([name, field]) => [name, Array.isArray(field) ? field.map(withoutTtl) : `${field}`]);
}
