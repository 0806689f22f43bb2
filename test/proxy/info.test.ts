import t from 'tap';
import { mergeInfoTexts } from '../../src/proxy/info.js';

const OWN = { connected_clients: 42, maxclients: 10_000, tcp_port: 6380, run_id: 'd'.repeat(40), process_id: 7 };

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
    `used_memory_rss:${2 * node.memory}`,
    'used_memory_startup:100000',
    'used_memory_dataset:500000',
    'used_memory_dataset_perc:1.00%',
    `used_memory_peak:${2 * node.memory}`,
    `mem_fragmentation_ratio:${node.ratio}`,
    `allocator_frag_ratio:${node.ratio}`,
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
  const text = mergeInfoTexts(NODES.map(info), OWN);
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
    run_id: 'd'.repeat(40),
    tcp_port: '6380',
    process_id: '7',
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
    mem_fragmentation_ratio: '2.00',
    used_memory_peak_perc: '50.00%',
    used_memory_dataset_perc: '0.04%',
    allocator_frag_ratio: '6.10',
    mem_allocator: 'jemalloc-5.3.0',
    loading: '0',
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
  const fields = fieldsOf(mergeInfoTexts(NODES.map(info), OWN));
  t.equal(fields['db0'], 'keys=13,expires=4,avg_ttl=1750');
  t.equal(fields['db5'], 'keys=1,expires=0,avg_ttl=0', 'also one that the first node does not have');
  t.notOk(Object.hasOwn(fields, 'db1'));
});

t.test('a section alone, and none at all', async (t) => {
  t.equal(
    mergeInfoTexts(['# Keyspace\r\n', '# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n'], OWN),
    ['# Keyspace', 'db0:keys=1,expires=0,avg_ttl=0', ''].join('\r\n'),
  );
  t.equal(
    mergeInfoTexts(['# Replication\r\nrole:master\r\n', '# Replication\r\nrole:slave\r\n'], OWN),
    '# Replication\r\nrole:slave\r\n',
    'a node that refuses writes is seen',
  );
  t.equal(mergeInfoTexts(['', ''], OWN), '');
});

t.test('the text of one node is its own, but for what the proxy knows better', async (t) => {
  const node = NODES[1] as Node;
  const text = mergeInfoTexts([info(node)], OWN);
  const expected = info(node)
    .replace('connected_clients:3', 'connected_clients:42')
    .replace('maxclients:4064', 'maxclients:10000')
    .replace('process_id:15358', 'process_id:7')
    .replace('b'.repeat(40), 'd'.repeat(40))
    .replace('tcp_port:7000', 'tcp_port:6380');
  t.equal(text, expected);
});

t.test('where one node has no limit of memory, there is none', async (t) => {
  const texts = [info({ ...(NODES[0] as Node), maxmemory: 0 }), info({ ...(NODES[1] as Node), maxmemory: 100 })];
  const expected = { maxmemory: '0', maxmemory_human: '0B' };
  t.same(named(mergeInfoTexts(texts, OWN), expected), expected);
});

t.test('what failed on one node has failed', async (t) => {
  const failed = info(NODES[1] as Node).replace('rdb_last_bgsave_status:ok', 'rdb_last_bgsave_status:err');
  const expected = { rdb_last_bgsave_status: 'err' };
  t.same(named(mergeInfoTexts([info(NODES[0] as Node), failed], OWN), expected), expected);
});

t.test('what only some nodes have stands in its place', async (t) => {
  const persistence = (...fields: string[]) => `# Persistence\r\n${fields.join('\r\n')}\r\n`;
  const texts = [
    persistence('loading:1', 'aof_enabled:0', 'module_fork_in_progress:0'),
    persistence('loading:1', 'aof_enabled:1', 'aof_current_size:50', 'aof_base_size:5', 'module_fork_in_progress:0'),
    `${persistence('loading:1', 'loading_eta_seconds:9', 'aof_enabled:1', 'aof_current_size:7')}\r\n# Extra\r\nx:1\r\n`,
  ];
  const own = ['loading:1', 'loading_eta_seconds:9', 'aof_enabled:0', 'aof_current_size:57', 'aof_base_size:5'];
  t.equal(mergeInfoTexts(texts, OWN), `${persistence(...own, 'module_fork_in_progress:0')}\r\n# Extra\r\nx:1\r\n`);
});

t.test('statistics of commands and errors are added up entry by entry', async (t) => {
  const texts = [
    '# Commandstats\r\n' +
      'cmdstat_get:calls=2,usec=10,usec_per_call=5.00,rejected_calls=1,failed_calls=0\r\n' +
      'cmdstat_set:calls=1,usec=3,usec_per_call=3.00,rejected_calls=0,failed_calls=1\r\n\r\n' +
      '# Errorstats\r\nerrorstat_ERR:count=2\r\nerrorstat_WRONGTYPE:count=1\r\n\r\n' +
      '# Latencystats\r\nlatency_percentiles_usec_get:p50=4.015,p99=6.015,p99.9=6.015\r\n',
    '# Commandstats\r\n' +
      'cmdstat_client|setname:calls=0,usec=0,usec_per_call=0.00,rejected_calls=3,failed_calls=0\r\n' +
      'cmdstat_get:calls=1,usec=10,usec_per_call=10.00,rejected_calls=0,failed_calls=2\r\n\r\n' +
      '# Errorstats\r\nerrorstat_BUSY:count=1\r\nerrorstat_OOM:count=5\r\nerrorstat_WRONGTYPE:count=4\r\n\r\n' +
      '# Latencystats\r\nlatency_percentiles_usec_get:p50=3.007,p99=60.415,p99.9=60.415\r\n' +
      'latency_percentiles_usec_set:p50=1.003,p99=1.003,p99.9=1.003\r\n',
  ];
  t.equal(
    mergeInfoTexts(texts, OWN),
    '# Commandstats\r\n' +
      'cmdstat_get:calls=3,usec=20,usec_per_call=6.67,rejected_calls=1,failed_calls=2\r\n' +
      'cmdstat_set:calls=1,usec=3,usec_per_call=3.00,rejected_calls=0,failed_calls=1\r\n' +
      'cmdstat_client|setname:calls=0,usec=0,usec_per_call=0.00,rejected_calls=3,failed_calls=0\r\n\r\n' +
      '# Errorstats\r\nerrorstat_BUSY:count=1\r\nerrorstat_ERR:count=2\r\nerrorstat_OOM:count=5\r\n' +
      'errorstat_WRONGTYPE:count=5\r\n\r\n' +
      '# Latencystats\r\nlatency_percentiles_usec_get:p50=4.015,p99=60.415,p99.9=60.415\r\n' +
      'latency_percentiles_usec_set:p50=1.003,p99=1.003,p99.9=1.003\r\n',
  );
});

t.test('a command that was never called on any node has no mean time', async (t) => {
  const text = '# Commandstats\r\ncmdstat_get:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0\r\n';
  t.match(mergeInfoTexts([text, text], OWN), 'usec_per_call=0.00,rejected_calls=2');
});

t.test('replicas of all nodes are numbered through', async (t) => {
  const node = (...ports: number[]) =>
    `# Replication\r\nrole:master\r\nconnected_slaves:${ports.length}\r\n` +
    ports.map((port, n) => `slave${n}:ip=::1,port=${port},state=online,offset=1,lag=0\r\n`).join('') +
    'master_repl_offset:5\r\n';
  t.equal(mergeInfoTexts([node(1, 2), node(), node(3)], OWN), node(1, 2, 3).replace('offset:5', 'offset:15'));
});

t.test('a module that all nodes have is one module', async (t) => {
  const texts = ['# Modules\r\nmodule:name=a,ver=1\r\nmodule:name=b,ver=1\r\n', '# Modules\r\nmodule:name=a,ver=1\r\n'];
  t.equal(mergeInfoTexts(texts, OWN), texts[0]);
});

t.test('databases of versions that say more of them', async (t) => {
  const text = '# Keyspace\r\ndb0:keys=4,expires=2,avg_ttl=10,subexpiry=3\r\n';
  t.equal(mergeInfoTexts([text, text], OWN), '# Keyspace\r\ndb0:keys=8,expires=4,avg_ttl=10,subexpiry=6\r\n');
});

t.test('a node that has not looked yet how long keys live says nothing of the average', async (t) => {
  const text = (expires: number, ttl: number) => `# Keyspace\r\ndb0:keys=9,expires=${expires},avg_ttl=${ttl}\r\n`;
  t.match(mergeInfoTexts([text(1, 0), text(2, 900), text(5, 0)], OWN), /expires=8,avg_ttl=900\r\n/);
  t.match(mergeInfoTexts([text(1, 0), text(2, 0)], OWN), /expires=3,avg_ttl=0\r\n/);
});

t.test('what is in no table is added up if its name says that it is a quantity', async (t) => {
  const text = '# Stats\r\ntotal_new_things:2\r\nnew_version:7\r\ntotal_text:x\r\n';
  t.equal(mergeInfoTexts([text, text], OWN), '# Stats\r\ntotal_new_things:4\r\nnew_version:7\r\ntotal_text:x\r\n');
});
