import t from 'tap';
import { type Config, parseConfig } from '../../src/config.js';
import { LAYOUT, type Layout, layoutOf } from '../../src/control/layout.js';
import { planRemaps, planRestarts } from '../../src/control/remaps.js';

const BASE = `
listen: 127.0.0.1:6380
pools:
  main:
    nodes:
      - { name: a, url: "redis://127.0.0.1:7001" }
      - { name: b, url: "redis://127.0.0.1:7002", weight: 2 }
keyspaces:
  - { prefix: "", pool: main, mode: sharded }
`;

function config(text: string): Config {
  const result = parseConfig(text, { workers: 2, environment: {} });
  if ('config' in result) return result.config;
  throw new Error(JSON.stringify(result.problems));
}

const CASES: { name: string; from: string | RegExp; to: string; remaps: RegExp[]; restarts: RegExp[] }[] = [
  { name: 'nothing', from: '', to: '', remaps: [], restarts: [] },
  {
    name: "a node's address and password",
    from: 'redis://127.0.0.1:7001',
    to: 'redis://:secret@127.0.0.1:7009',
    remaps: [],
    restarts: [],
  },
  {
    name: 'where a node is, to where the keys of another are',
    from: /7001([\s\S]*)7002/,
    to: '7002$17009',
    remaps: [/^pool main: node a would be at 127.0.0.1:7002, where the keys of node b are$/],
    restarts: [],
  },
  {
    name: 'the addresses of two nodes, one for the other',
    from: /7001([\s\S]*)7002/,
    to: '7002$17001',
    remaps: [
      /node a would be at 127.0.0.1:7002, where .* node b/,
      /node b would be at 127.0.0.1:7001, where .* node a/,
    ],
    restarts: [],
  },
  {
    name: 'the name of a pool',
    from: /main/g,
    to: 'other',
    remaps: [],
    restarts: [],
  },
  {
    name: 'the name of a pool, and a node in it',
    from: /main([\s\S]*)weight: 2([\s\S]*)main/,
    to: 'other$1weight: 3$2other',
    remaps: [/keyspace "": its keys are in pool main, and would be looked for in other/],
    restarts: [],
  },
  {
    name: 'a weight',
    from: 'weight: 2',
    to: 'weight: 3',
    remaps: [/node b has weight 2, and would have 3/],
    restarts: [],
  },
  {
    name: 'a name',
    from: 'name: a',
    to: 'name: c',
    remaps: [/node c is new/, /node a is gone/],
    restarts: [],
  },
  {
    name: 'a new pool that no keyspace uses',
    from: 'keyspaces:',
    to: '  other: { nodes: ["redis://127.0.0.1:7005"] }\nkeyspaces:',
    remaps: [],
    restarts: [],
  },
  {
    name: 'another pool for the keys',
    from: 'keyspaces:\n  - { prefix: "", pool: main',
    to: '  other: { nodes: ["redis://127.0.0.1:7005"] }\nkeyspaces:\n  - { prefix: "", pool: other',
    remaps: [/keyspace "": its keys are in pool main, and would be looked for in other/],
    restarts: [],
  },
  {
    name: 'another placement of the keys',
    from: 'mode: sharded',
    to: 'mode: sharded, placement: ketama',
    remaps: [/keyspace "": its keys would be placed by other rules/],
    restarts: [],
  },
  {
    name: 'a colocate rule',
    from: 'mode: sharded',
    to: 'mode: sharded, colocate: ["bull:{queue}:*"]',
    remaps: [/keyspace "": its keys would be placed by other rules/],
    restarts: [],
  },
  { name: 'a password', from: 'pools:', to: 'auth: { password: secret }\npools:', remaps: [], restarts: [] },
  {
    name: 'multiKeyWrites',
    from: 'mode: sharded',
    to: 'mode: sharded, multiKeyWrites: reject',
    remaps: [],
    restarts: [],
  },
  { name: 'a limit', from: 'pools:', to: 'limits: { idleTimeoutMs: 5s }\npools:', remaps: [], restarts: [] },
  {
    name: 'workers and listeners',
    from: 'listen: 127.0.0.1:6380',
    to: 'listen: 127.0.0.1:6381\nworkers: 1',
    remaps: [],
    restarts: [/workers: 2 runs, 1 takes a restart/],
  },
  {
    name: 'the form, from one door to the service main',
    from: /listen: .*\n([\s\S]*)keyspaces:\n.*\n/,
    to: '$1services:\n  - { name: main, listen: 127.0.0.1:6380, keyspaces: [{ prefix: "", pool: main }] }\n',
    remaps: [],
    restarts: [],
  },
  {
    name: 'the name of a service, and adds another',
    from: /listen: .*\n([\s\S]*)keyspaces:\n.*\n/,
    to: `$1services:
  - { name: door, listen: 127.0.0.1:6380, keyspaces: [{ prefix: "", pool: main }] }
  - { name: back, listen: 127.0.0.1:6381, keyspaces: [{ prefix: "b:", pool: main }] }
`,
    remaps: [],
    restarts: [],
  },
  {
    name: 'a service into one that sees other keys',
    from: /listen: .*\n([\s\S]*)keyspaces:\n.*\n/,
    to: '$1services:\n  - { name: door, listen: 127.0.0.1:6380, keyspaces: [{ prefix: "b:", pool: main }] }\n',
    remaps: [
      /service main is gone: its keys would no longer be found/,
      /^127.0.0.1:6380 led to service main, and would lead to service door: keyspace "" is gone: /,
    ],
    restarts: [],
  },
  {
    name: 'the keys with a prefix to a pool of their own',
    from: /keyspaces:\n(.*\n)/,
    to: '  other: { nodes: ["redis://127.0.0.1:7005"] }\nkeyspaces:\n$1  - { prefix: "a:", pool: other }\n',
    remaps: [/^keyspace "a:": its keys are in pool main, and would be looked for in other$/],
    restarts: [],
  },
  {
    name: 'a keyspace of a prefix, which is where its keys are already',
    from: /keyspaces:\n(.*\n)/,
    to: 'keyspaces:\n$1  - { prefix: "a:", pool: main, multiKeyWrites: reject }\n',
    remaps: [],
    restarts: [],
  },
  {
    name: 'the coordination store',
    from: /\n$/,
    to: '\ncoordination: { store: etcd, endpoints: [https://h], member: a, lease: 5s, username: u, password: secret }\n',
    remaps: [],
    restarts: [
      /^coordination.store: file runs, etcd takes a restart$/,
      /^coordination.member: by address runs, a takes/,
      /^coordination.lease: 10s runs, 5s takes/,
      /^coordination.endpoints: none runs, h:2379 takes/,
      /^coordination.username: none runs, u takes/,
      /^coordination.tls: none runs, the system takes/,
      /^coordination.password: that of the start is used, another one takes a restart$/,
    ],
  },
];

t.test('the nodes of the coordination store are those of the start', async (t) => {
  const text = (nodes: string) => `
keyspaces: [{ prefix: "", pool: main }]
pools: { main: { nodes: [redis://h] }, agreeing: { nodes: [${nodes}] } }
coordination: { store: redis, pool: agreeing, member: a }
`;
  const [before, moved] = ['redis://a, redis://b, redis://c', 'redis://a, redis://b, redis://d'].map((nodes) =>
    config(text(nodes)),
  ) as [Config, Config];
  t.same(planRestarts(before, before), []);
  t.same(planRestarts(before, moved), [
    'coordination.nodes: a:6379 at a:6379, b:6379 at b:6379, c:6379 at c:6379 runs, ' +
      'a:6379 at a:6379, b:6379 at b:6379, d:6379 at d:6379 takes a restart',
  ]);
});

for (const { name, from, to, remaps, restarts } of CASES) {
  t.test(`a reload that changes ${name}`, async (t) => {
    t.not(BASE.replace(from, to), from === to ? '' : BASE, 'the case changes something that is there');
    const [before, after] = [config(BASE), config(BASE.replace(from, to))];
    const plan = { remaps: planRemaps(layoutOf(before), layoutOf(after)), restarts: planRestarts(before, after) };
    t.match(plan.remaps, remaps);
    t.equal(plan.remaps.length, remaps.length);
    t.match(plan.restarts, restarts);
    t.equal(plan.restarts.length, restarts.length);
    t.notMatch(JSON.stringify(plan), 'secret');
  });
}

t.test('two doors that are exchanged lead to other keys', async (t) => {
  const text = (first: number, second: number) => `
pools: { one: { nodes: [redis://h] }, two: { nodes: [redis://i] } }
services:
  - { name: first, listen: 127.0.0.1:${first}, keyspaces: [{ prefix: "", pool: one }] }
  - { name: second, listen: 127.0.0.1:${second}, keyspaces: [{ prefix: "", pool: two }] }
`;
  const layout = (first: number, second: number) => layoutOf(config(text(first, second)));
  t.same(planRemaps(layout(1, 2), layout(1, 3)), [], "a new address is nobody's");
  t.same(planRemaps(layout(1, 2), layout(2, 1)), [
    '127.0.0.1:1 led to service first, and would lead to service second: keyspace "": its keys are in pool one, and would be looked for in two',
    '127.0.0.1:2 led to service second, and would lead to service first: keyspace "": its keys are in pool two, and would be looked for in one',
  ]);
});

const REPLICATED = `
pools:
  main: { nodes: ["redis://h1", "redis://h2", "redis://h3", "redis://h4", "redis://h5"] }
keyspaces:
  - { prefix: "", pool: main, mode: replicated, copies: 3 }
`;

const COPY_CASES: { name: string; from: string | RegExp; to: string; remaps: RegExp[] }[] = [
  { name: 'nothing', from: '', to: '', remaps: [] },
  { name: 'when deleted keys are forgotten', from: 'copies: 3', to: 'copies: 3, tombstoneTtl: 1h', remaps: [] },
  { name: 'what a node has after a restart', from: '"] }', to: '"], restart: keeps-data }', remaps: [] },
  {
    name: 'what is promised',
    from: 'copies: 3',
    to: 'copies: 3, consistency: quorum',
    remaps: [
      /^keyspace "": its keys had consistency strong, and would have consistency quorum \(readQuorum 2, writeQuorum 2\): who goes by the other misses writes$/,
    ],
  },
  {
    name: 'the copies',
    from: 'copies: 3',
    to: 'copies: 5',
    remaps: [/^keyspace "": its keys had 3 copies, and would have 5$/],
  },
  {
    name: 'the copies of some keys',
    from: /\n$/,
    to: '\n  - { prefix: "a:", pool: main, mode: replicated, copies: 5 }\n',
    remaps: [/^keyspace "a:": its keys had 3 copies, and would have 5$/],
  },
  {
    name: 'the mode',
    from: 'mode: replicated, copies: 3',
    to: 'mode: sharded',
    remaps: [/^keyspace "": its keys had mode replicated, and would have sharded$/],
  },
  {
    name: 'the nodes',
    from: ', "redis://h5"',
    to: '',
    remaps: [/^pool main: node h5:6379 is gone/],
  },
];

for (const { name, from, to, remaps } of COPY_CASES) {
  t.test(`a reload that changes ${name} of replicated keys`, async (t) => {
    t.not(REPLICATED.replace(from, to), from === to ? '' : REPLICATED, 'the case changes something that is there');
    const [before, after] = [config(REPLICATED), config(REPLICATED.replace(from, to))].map(layoutOf);
    const found = planRemaps(before as Layout, after as Layout);
    t.match(found, remaps);
    t.equal(found.length, remaps.length);
  });
}

const LOCKS = REPLICATED.replace('mode: replicated, copies: 3', 'mode: lock');

t.test('a reload may change how long locks are held, and nothing of where they are', async (t) => {
  const remaps = (before: string, after: string) => planRemaps(layoutOf(config(before)), layoutOf(config(after)));
  t.same(remaps(LOCKS, LOCKS.replace('mode: lock', 'mode: lock, ttlMaxMs: 1s')), []);
  t.same(remaps(LOCKS, LOCKS.replace('mode: lock', 'mode: lock, copies: 3')), [
    'keyspace "": its keys had as many copies as nodes, and would have 3',
  ]);
  t.same(remaps(LOCKS, REPLICATED), ['keyspace "": its keys had mode lock, and would have replicated']);
  const both = LOCKS.concat('  - { prefix: "a:", pool: main, mode: replicated }\n');
  t.match(remaps(both, LOCKS), [/^keyspace "a:" is gone: its keys would be placed by the rules of keyspace ""$/]);
  const layout = layoutOf(config(LOCKS));
  t.same(LAYOUT.parse(JSON.parse(JSON.stringify(layout))), layout, 'it is the same when it was written down');
});

t.test('the copies of a keyspace that another takes over count, too', async (t) => {
  const both = REPLICATED.concat('  - { prefix: "a:", pool: main, mode: replicated, copies: 5 }\n');
  const found = planRemaps(layoutOf(config(both)), layoutOf(config(REPLICATED)));
  t.match(found, [/^keyspace "a:" is gone: its keys would be placed by the rules of keyspace ""$/]);
  t.equal(found.length, 1);
});

t.test('a layout of replicated keys is the same when it was written down', async (t) => {
  const layout = layoutOf(config(REPLICATED));
  t.same(LAYOUT.parse(JSON.parse(JSON.stringify(layout))), layout);
});

t.test(
  'a reload says that other servers would keep the locks, and nothing of a pool that has none of them',
  async (t) => {
    const pools = 'pools: { main: { nodes: [redis://a, redis://b, redis://c] }, other: { nodes: [redis://d] } }';
    const etcd = 'coordination: { store: etcd, endpoints: [http://e] }';
    const locks = (pool: string, provider: string) =>
      `${pools}\nkeyspaces: [{ prefix: "lock:", pool: ${pool}, mode: lock, provider: ${provider} }]\n${etcd}`;
    const remaps = (before: string, after: string) => planRemaps(layoutOf(config(before)), layoutOf(config(after)));
    t.same(remaps(locks('main', 'redlock'), locks('main', 'store')), [
      'keyspace "lock:": its locks were kept by provider redlock, and would be by store',
    ]);
    t.same(remaps(locks('main', 'store'), locks('other', 'store')), []);
  },
);
