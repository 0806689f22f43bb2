/** INFO of real servers, each in another state, made one text. */
import t from 'tap';
import { mergeInfoTexts } from '../../src/proxy/info.js';
import { ruledFields } from '../../src/proxy/info-rules.js';
import { RedisServer } from '../help/redis-server.js';
import { RespClient } from '../help/resp-client.js';

type Fields = ReadonlyMap<string, string>;

/** Sections and fields as they stand. */
function parse(text: string): { titles: string[]; names: string[]; fields: Fields } {
  const lines = text.split('\r\n');
  const pairs = lines
    .filter((line) => /^[^#].*:/.test(line))
    .map((line): [string, string] => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1)];
    });
  const titles = lines.filter((line) => line.startsWith('# '));
  return { titles, names: pairs.map(([name]) => name), fields: new Map(pairs) };
}

function number(fields: Fields, name: string): number {
  return Number(fields.get(name) ?? 0);
}

/** The figure `part` of a field such as `calls=1,usec=2`. */
function entry(fields: Fields, name: string, part: string): number {
  return Number(new RegExp(`(?:^|,)${part}=([^,]*)`).exec(fields.get(name) ?? '')?.[1] ?? 0);
}

const persistent = await RedisServer.start({ args: ['--appendonly', 'yes', '--repl-diskless-sync-delay', '0'] });
const bounded = await RedisServer.start({ args: ['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru'] });
const plain = await RedisServer.start();
const replica = await RedisServer.start({ args: ['--replicaof', '127.0.0.1', `${persistent.port}`] });
const servers = [persistent, bounded, plain, replica];
t.teardown(() => Promise.all(servers.map((server) => server.stop())));
const clients = await Promise.all(servers.map((server) => RespClient.connect(server.port)));
t.teardown(() => clients.forEach((client) => void client.close()));

const [first, second, third] = clients as [RespClient, RespClient, RespClient];
for (let n = 0; n < 50; n++) {
  await first.raw('SET', `a${n}`, 'x'.repeat(1_000), 'EX', '100');
  await second.raw('RPUSH', `b${n}`, 'x');
  await third.raw('GET', `c${n}`);
}
await first.raw('SCRIPT', 'LOAD', 'return 1');
await second.raw('GET', 'b1');
await second.raw('NONSENSE');
await third.raw('HSET', 'h', 'f', 'v');
await third.raw('SET', 'h2', 'v', 'PX', '500000');
await third.raw('EVALSHA', 'x', '0');
while (!String(await first.command('INFO', 'replication')).includes('state=online')) {
  // Until the replica has caught up.
}

/** INFO of all servers, and what becomes of them. The last, a replica, is left out unless asked for. */
async function merge(count: number, ...sections: string[]) {
  const texts = await Promise.all(
    clients.slice(0, count).map(async (client) => String(await client.command('INFO', ...sections))),
  );
  return { texts, nodes: texts.map(parse), merged: parse(mergeInfoTexts(texts, {})) };
}

t.test('the table has a rule for every field of every section', async (t) => {
  const { nodes } = await merge(4, 'everything');
  const ruled = new Set(ruledFields());
  const lists = /^(cmdstat_|errorstat_|latency_percentiles_usec_|db\d+$|slave\d+$|module$)/;
  const names = new Set(nodes.flatMap(({ names }) => names));
  t.same(
    [...names].filter((name) => !ruled.has(name) && !lists.test(name)),
    [],
  );
  t.ok(names.size > 200, `${names.size} fields were looked at`);
});

t.test('the sections are those of one server, and every field of any node is there once', async (t) => {
  for (const sections of [[], ['all'], ['everything'], ['default'], ['server', 'keyspace'], ['memory']]) {
    const { nodes, merged } = await merge(4, ...sections);
    t.same(merged.titles, nodes[0]?.titles, sections.join(' '));
    t.equal(new Set(merged.names).size, merged.names.length);
    t.same([...merged.names].sort(), [...new Set(nodes.flatMap(({ names }) => names))].sort());
    const common = (nodes[2]?.names ?? []).filter((name) => !/^(cmdstat|errorstat|latency|db|slave)/.test(name));
    t.same(
      merged.names.filter((name) => common.includes(name)),
      common,
      'in the order of a server',
    );
  }
});

t.test('the text of a single server is its own, byte for byte', async (t) => {
  for (const client of clients) {
    const text = String(await client.command('INFO', 'everything'));
    t.equal(mergeInfoTexts([text], {}), text);
  }
});

t.test('quantities add up, exactly', async (t) => {
  const { nodes, merged } = await merge(3, 'everything');
  for (const name of [
    ...['used_memory', 'used_memory_dataset', 'used_memory_startup', 'total_system_memory', 'mem_fragmentation_bytes'],
    ...['keyspace_hits', 'keyspace_misses', 'total_commands_processed', 'total_error_replies', 'expired_keys'],
    ...[
      'rdb_changes_since_last_save',
      'aof_current_size',
      'connected_slaves',
      'master_repl_offset',
      'tracking_clients',
    ],
  ]) {
    const sum = nodes.reduce((sum, { fields }) => sum + number(fields, name), 0);
    t.equal(number(merged.fields, name), sum, name);
  }
  t.ok(number(merged.fields, 'keyspace_misses') >= 50);
  t.match(merged.fields.get('used_cpu_user'), /^\d+\.\d{6}$/);
  t.match(merged.fields.get('instantaneous_input_kbps'), /^\d+\.\d{2}$/);
});

t.test('lists add up entry by entry', async (t) => {
  const { nodes, merged } = await merge(3, 'everything');
  for (const [name, part] of [
    ['cmdstat_set', 'calls'],
    ['cmdstat_set', 'usec'],
    ['cmdstat_get', 'calls'],
    ['cmdstat_get', 'failed_calls'],
    ['errorstat_ERR', 'count'],
    ['errorstat_NOSCRIPT', 'count'],
    ['db0', 'keys'],
    ['db0', 'expires'],
  ] as const) {
    const sum = nodes.reduce((sum, { fields }) => sum + entry(fields, name, part), 0);
    t.equal(entry(merged.fields, name, part), sum, `${name} ${part}`);
    t.ok(sum > 0);
  }
  t.equal(entry(merged.fields, 'cmdstat_set', 'calls'), 51);
  t.match(merged.fields.get('db0'), /^keys=102,expires=51,avg_ttl=\d+$/);
  const mean = entry(merged.fields, 'cmdstat_set', 'usec') / 51;
  t.equal(entry(merged.fields, 'cmdstat_set', 'usec_per_call'), Number(mean.toFixed(2)));
  const p99 = nodes.map(({ fields }) => entry(fields, 'latency_percentiles_usec_set', 'p99'));
  t.equal(entry(merged.fields, 'latency_percentiles_usec_set', 'p99'), Math.max(...p99));
});

t.test('what is worked out from other figures is worked out anew', async (t) => {
  const { merged } = await merge(3, 'memory');
  const figure = (name: string) => number(merged.fields, name);
  const peak = ((100 * figure('used_memory')) / figure('used_memory_peak')).toFixed(2);
  t.equal(merged.fields.get('used_memory_peak_perc'), `${peak}%`);
  const ratio = (figure('used_memory_rss') / figure('used_memory')).toFixed(2);
  t.equal(merged.fields.get('mem_fragmentation_ratio'), ratio);
  t.equal(merged.fields.get('used_memory_human'), `${(figure('used_memory') / 2 ** 20).toFixed(2)}M`);
  t.equal(merged.fields.get('maxmemory'), '0', 'one node has no bound, so there is none');
  t.equal(merged.fields.get('maxmemory_human'), '0B');
});

t.test('states are those of the node that should be looked at', async (t) => {
  const { merged } = await merge(4, 'everything');
  t.equal(merged.fields.get('role'), 'slave');
  t.equal(merged.fields.get('aof_enabled'), '0', 'not all that there is is in an append-only file');
  t.equal(merged.fields.get('aof_last_write_status'), 'ok');
  t.equal(merged.fields.get('loading'), '0');
  t.equal(merged.fields.get('number_of_cached_scripts'), '1');
  t.equal(merged.fields.get('connected_slaves'), '1');
  t.match(merged.fields.get('slave0'), /^ip=127\.0\.0\.1,port=\d+,state=online,/);
});
