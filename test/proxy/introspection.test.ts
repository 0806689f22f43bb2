import t from 'tap';
import { mergeInfoTexts } from '../../src/proxy/introspection.js';
import { bulk, type NodeLink, Plane } from '../help/plane.js';

const FACTS = { connectedClients: 42, clientsMax: 10_000 };

/** What differs from node to node in a Redis 7.0's INFO. */
interface Node {
  runId: string;
  uptime: number;
  memory: number;
  human: string;
  maxmemory: number;
  loading: number;
  commands: number;
  kbps: string;
  ratio: string;
  cpu: string;
  databases: string[];
}

/** INFO as a Redis 7.0.15 gives it, shortened by lines of a kind that is there already. */
function info(node: Node): string {
  const lines = [
    '# Server',
    'redis_version:7.0.15',
    'redis_git_sha1:00000000',
    'redis_mode:standalone',
    'os:Linux 6.1.0 x86_64',
    'process_id:15358',
    `run_id:${node.runId}`,
    'tcp_port:7000',
    `uptime_in_seconds:${node.uptime}`,
    'hz:10',
    'executable:/usr/bin/redis-server',
    'config_file:',
    '',
    '# Clients',
    'connected_clients:3',
    'cluster_connections:0',
    'maxclients:4064',
    'blocked_clients:1',
    'tracking_clients:0',
    '',
    '# Memory',
    `used_memory:${node.memory}`,
    `used_memory_human:${node.human}`,
    'used_memory_peak_perc:101.48%',
    'total_system_memory:1073741824',
    'total_system_memory_human:1.00G',
    `maxmemory:${node.maxmemory}`,
    'maxmemory_human:0B',
    'maxmemory_policy:noeviction',
    `mem_fragmentation_ratio:${node.ratio}`,
    'mem_allocator:jemalloc-5.3.0',
    '',
    '# Persistence',
    `loading:${node.loading}`,
    'async_loading:0',
    'rdb_changes_since_last_save:5',
    'rdb_bgsave_in_progress:0',
    'rdb_last_bgsave_status:ok',
    '',
    '# Stats',
    `total_commands_processed:${node.commands}`,
    `instantaneous_input_kbps:${node.kbps}`,
    'keyspace_hits:7',
    'expired_stale_perc:0.50',
    '',
    '# Replication',
    'role:master',
    'connected_slaves:1',
    '',
    '# CPU',
    `used_cpu_sys:${node.cpu}`,
    '',
    '# Modules',
    '',
    '# Cluster',
    'cluster_enabled:0',
    '',
    '# Keyspace',
    ...node.databases,
    '',
  ];
  return lines.join('\r\n');
}

const NODES: Node[] = [
  {
    runId: 'a'.repeat(40),
    uptime: 500,
    memory: 1_000_000,
    human: '976.56K',
    maxmemory: 100,
    loading: 0,
    commands: 10,
    kbps: '0.97',
    ratio: '1.05',
    cpu: '0.000001',
    databases: ['db0:keys=3,expires=1,avg_ttl=1000'],
  },
  {
    runId: 'b'.repeat(40),
    uptime: 20,
    memory: 2_000_000,
    human: '1.91M',
    maxmemory: 200,
    loading: 1,
    commands: 200,
    kbps: '0.10',
    ratio: '6.10',
    cpu: '1.500000',
    databases: ['db0:keys=10,expires=3,avg_ttl=2000', 'db5:keys=1,expires=0,avg_ttl=0'],
  },
  {
    runId: 'c'.repeat(40),
    uptime: 70,
    memory: 4_000_000_000,
    human: '3.73G',
    maxmemory: 300,
    loading: 0,
    commands: 3_000,
    kbps: '10.00',
    ratio: '0.90',
    cpu: '2.000000',
    databases: [],
  },
];

/** The fields of `text` that `expected` names. */
function named(text: string, expected: Record<string, string>): Record<string, string | undefined> {
  const fields = fieldsOf(text);
  return Object.fromEntries(Object.keys(expected).map((name) => [name, fields[name]]));
}

function fieldsOf(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .split('\r\n')
      .filter((line) => line.includes(':'))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
}

t.test("the texts of three nodes become one that reads as one server's", async (t) => {
  const text = mergeInfoTexts(NODES.map(info), FACTS);
  const lines = text.split('\r\n');
  const expected = info(NODES[0] as Node).split('\r\n');
  const names = (all: string[]) => all.map((line) => line.split(':')[0]);
  t.same(
    names(lines).filter((name) => name !== 'db5'),
    names(expected),
    'the same lines in the same order',
  );
  const figures = {
    redis_version: '7.0.15',
    redis_mode: 'standalone',
    run_id: 'a'.repeat(40),
    uptime_in_seconds: '20',
    executable: '/usr/bin/redis-server',
    config_file: '',
    connected_clients: '42',
    maxclients: '10000',
    blocked_clients: '3',
    used_memory: '4003000000',
    used_memory_human: '3.73G',
    total_system_memory: String(3 * 1073741824),
    total_system_memory_human: '3.00G',
    maxmemory: '600',
    maxmemory_human: '600B',
    maxmemory_policy: 'noeviction',
    mem_fragmentation_ratio: '6.10',
    mem_allocator: 'jemalloc-5.3.0',
    loading: '1',
    async_loading: '0',
    rdb_changes_since_last_save: '15',
    rdb_last_bgsave_status: 'ok',
    total_commands_processed: '3210',
    instantaneous_input_kbps: '11.07',
    keyspace_hits: '21',
    expired_stale_perc: '0.50',
    role: 'master',
    connected_slaves: '3',
    used_cpu_sys: '3.500001',
    cluster_enabled: '0',
  };
  t.same(named(text, figures), figures);
});

t.test('databases add up, the mean time to live is weighted by the keys that have one', async (t) => {
  const fields = fieldsOf(mergeInfoTexts(NODES.map(info), FACTS));
  t.equal(fields['db0'], 'keys=13,expires=4,avg_ttl=1750');
  t.equal(fields['db5'], 'keys=1,expires=0,avg_ttl=0', 'also one that the first node does not have');
  t.notOk(Object.hasOwn(fields, 'db1'));
});

t.test('a section alone, and none at all', async (t) => {
  t.equal(
    mergeInfoTexts(['# Keyspace\r\n', '# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n'], FACTS),
    ['# Keyspace', 'db0:keys=1,expires=0,avg_ttl=0', ''].join('\r\n'),
  );
  t.equal(
    mergeInfoTexts(['# Replication\r\nrole:master\r\n', '# Replication\r\nrole:slave\r\n'], FACTS),
    '# Replication\r\nrole:master\r\n',
  );
  t.equal(mergeInfoTexts(['', ''], FACTS), '');
});

t.test('the text of one node is its own, but for what the proxy knows better', async (t) => {
  const node = NODES[1] as Node;
  const text = mergeInfoTexts([info(node)], FACTS);
  const expected = info(node)
    .replace('connected_clients:3', 'connected_clients:42')
    .replace('maxclients:4064', 'maxclients:10000')
    .replace('maxmemory_human:0B', 'maxmemory_human:200B');
  t.equal(text, expected);
});

t.test('where one node has no limit of memory, there is none', async (t) => {
  const texts = [info({ ...(NODES[0] as Node), maxmemory: 0 }), info({ ...(NODES[1] as Node), maxmemory: 100 })];
  const expected = { maxmemory: '0', maxmemory_human: '0B' };
  t.same(named(mergeInfoTexts(texts, FACTS), expected), expected);
});

t.test('what failed on one node has failed', async (t) => {
  const failed = info(NODES[1] as Node).replace('rdb_last_bgsave_status:ok', 'rdb_last_bgsave_status:err');
  const expected = { rdb_last_bgsave_status: 'err' };
  t.same(named(mergeInfoTexts([info(NODES[0] as Node), failed], FACTS), expected), expected);
});

t.test('in RESP3 the reply is verbatim, and its length is in bytes', async (t) => {
  const text = '# Server\r\nconfig_file:/etc/r\xc3\xa9dis.conf\r\n';
  const verbatim = `=${text.length + 4}\r\ntxt:${text}\r\n`;
  for (const [protocol, reply] of [
    [2, bulk(text)],
    [3, verbatim],
  ] as const) {
    const world = new Plane({ nodes: 2 }).greetAll();
    const client = world.client().send(['HELLO', `${protocol}`]);
    client.take();
    client.send(['INFO']);
    for (const node of [0, 1]) {
      const link = world.links(node, protocol).at(-1) as NodeLink;
      if (protocol === 3) link.greet();
      link.take();
      link.answer(reply);
    }
    t.equal(client.take(), reply);
    t.equal(world.usedBytes, 0);
  }
});
