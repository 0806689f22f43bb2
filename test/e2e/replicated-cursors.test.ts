/** HSCAN, SSCAN and ZSCAN on replicated keys: walks that miss nothing that is there all the time, or that say that they must begin again. */
import t, { type Test } from 'tap';
import { Cluster } from '../help/cluster.js';
import { ReplyError } from '../help/reference-parser.js';
import { connect, type RespClient } from '../help/resp-client.js';

const FIELDS = 2_000;

/** All that a walk shows; `step` is called before each page but the first. */
async function walk(client: RespClient, name: string, key: string, step: () => Promise<void> = async () => {}) {
  const seen: string[] = [];
  let cursor = '0';
  do {
    if (cursor !== '0') await step();
    const reply = await client.command(name, key, cursor, 'COUNT', '100');
    if (reply instanceof ReplyError) throw reply;
    const [next, elements] = reply as [string, string[]];
    seen.push(...elements);
    cursor = next;
  } while (cursor !== '0');
  return seen;
}

async function fill(client: RespClient): Promise<void> {
  const names = Array.from({ length: FIELDS }, (_, number) => `field:${number}`);
  await client.command('HSET', 'hash', ...names.flatMap((name) => [name, `value of ${name}`]));
  await client.command('SADD', 'set', ...names);
  await client.command('ZADD', 'zset', ...names.flatMap((name, score) => [`${score}`, name]));
}

async function begin(t: Test): Promise<{ cluster: Cluster; client: RespClient }> {
  const cluster = await Cluster.start(t, {
    nodes: 3,
    proxies: 1,
    keyspace: { mode: 'replicated', copies: 3, consistency: 'strong' },
    restart: 'loses-data',
  });
  const client = await connect(t, cluster.ports()[0] as number);
  await fill(client);
  return { cluster, client };
}

t.test('walks through replicated hashes, sets and sorted sets', async (t) => {
  const { cluster, client } = await begin(t);

  t.test('show all that is there', async (t) => {
    for (const [name, key, width] of [
      ['HSCAN', 'hash', 2],
      ['SSCAN', 'set', 1],
      ['ZSCAN', 'zset', 2],
    ] as const) {
      const seen = await walk(client, name, key);
      const names = new Set(seen.filter((_, place) => place % width === 0));
      t.equal(names.size, FIELDS, name);
    }
  });

  t.test('miss nothing while others write, and all copies change', async (t) => {
    const other = await connect(t, cluster.ports()[0] as number);
    let number = 0;
    const seen = await walk(client, 'HSCAN', 'hash', async () => {
      const names = Array.from({ length: 200 }, () => `more:${number++}`);
      await other.command('HSET', 'hash', ...names.flatMap((name) => [name, 'x']));
    });
    const names = new Set(seen.filter((_, place) => place % 2 === 0));
    for (let field = 0; field < FIELDS; field++) if (!names.has(`field:${field}`)) t.fail(`field:${field} is missing`);
    t.ok(names.size >= FIELDS);
  });

  t.test('say so where the cursor is none, or of no node', async (t) => {
    t.match(await client.command('HSCAN', 'hash', 'x'), { message: /^ERR invalid cursor/ });
    t.match(await client.command('HSCAN', 'hash', '12345678'), { message: /^ERR .* start again with cursor 0/ });
    for (const cursor of ['', '+0', '-0', '0']) t.match(await client.command('HSCAN', 'nothing', cursor), ['0', []]);
    t.match(await client.command('HSCAN', 'hash', '99999999999999999999'), { message: /^ERR invalid cursor/ });
    t.match(await client.command('SSCAN', 'hash', '0'), { message: /^WRONGTYPE/ });
    await client.command('MULTI');
    t.match(await client.command('HSCAN', 'hash', '0'), { message: /^ERR a cursor of a replicated key/ });
    t.match(await client.command('EXEC'), { message: /^EXECABORT/ });
  });

  t.test('must begin again when the node of the cursor is another process', async (t) => {
    const cursors = new Map<number, string>();
    while (cursors.size < 3) {
      const [cursor] = (await client.command('HSCAN', 'hash', '0', 'COUNT', '10')) as [string];
      cursors.set(Number(BigInt(cursor) & 7n) - 1, cursor);
    }
    await cluster.server(0).kill9();
    await cluster.server(0).restart();
    await cluster.isWhole();
    const replies = await Promise.all([...cursors.values()].map((cursor) => client.command('HSCAN', 'hash', cursor)));
    const lost = replies.filter((reply) => reply instanceof ReplyError);
    t.equal(lost.length, 1);
    t.match(lost[0], { message: /^ERR the node of this cursor is gone or behind: start again with cursor 0/ });
  });
});
