import t from 'tap';
import { passwordDigest } from '../src/base/client-rules.js';
import { DEFAULT_LIMITS, DEFAULT_NODE_LIMITS } from '../src/base/limits.js';
import { type Config, formatProblem, parseConfig } from '../src/config.js';

const DEFAULTS = { workers: 3, environment: {} };
const POOLS = 'pools: { main: { nodes: [redis://127.0.0.1:7001] } }';
const SLOTS = { kind: 'slots', colocate: [] };
/** The keyspace of a file that has none. */
const ALL_KEYS = { prefix: '', pool: 'main', mode: 'sharded', placement: SLOTS, multiKeyWrites: 'split' };

function configOf(text: string): Config {
  const result = parseConfig(text, DEFAULTS);
  if ('config' in result) return result.config;
  throw new Error(result.problems.map((problem) => formatProblem('test.yml', problem)).join('\n'));
}

/** The problems as `LINE:COLUMN: TEXT`. */
function problemsOf(text: string): string[] {
  const result = parseConfig(text, DEFAULTS);
  return 'config' in result ? [] : result.problems.map(({ line, column, text }) => `${line}:${column}: ${text}`);
}

t.test('the example of the README means what it says', async (t) => {
  const config = configOf(`
listen: 127.0.0.1:6380        # or a list; unix sockets too: unix:/run/ringleader.sock
admin: 127.0.0.1:9121         # GET /livez and /readyz
workers: 2
transport: auto
auth: none                    # or { password: "…" }; a list of two while it is changed
protectedMode: yes            # no: may listen on other addresses than this machine's without a password
pools:
  main:
    nodes:
      - redis://127.0.0.1:7001
      - { name: b, url: "redis://user:pass@127.0.0.1:7002", weight: 2 }
      - redis://127.0.0.1:7003
    limits: { requestTimeoutMs: 2s }    # for the nodes of this pool; \`limits\` of the file are for all
keyspaces:
  - { prefix: "", pool: main, mode: sharded, multiKeyWrites: split }   # reject: no MSET, DEL over several nodes
`);
  const node = (port: number) => ({
    address: { kind: 'tcp', host: '127.0.0.1', port },
    username: null,
    password: null,
  });
  t.same(config, {
    listen: [{ kind: 'tcp', host: '127.0.0.1', port: 6380 }],
    admin: { kind: 'tcp', host: '127.0.0.1', port: 9121 },
    workers: 2,
    transport: 'auto',
    auth: { mode: 'none' },
    protectedMode: true,
    pools: [
      {
        name: 'main',
        nodes: [
          { name: '127.0.0.1:7001', weight: 1, ...node(7001) },
          { name: 'b', weight: 2, ...node(7002), username: 'user', password: 'pass' },
          { name: '127.0.0.1:7003', weight: 1, ...node(7003) },
        ],
        limits: { ...DEFAULT_NODE_LIMITS, requestTimeoutMs: 2_000 },
      },
    ],
    keyspaces: [ALL_KEYS],
    services: [{ name: 'main', listen: [{ kind: 'tcp', host: '127.0.0.1', port: 6380 }], keyspaces: [ALL_KEYS] }],
    limits: DEFAULT_LIMITS,
    log: { level: 'info', format: 'auto' },
    drainTimeoutMs: 10_000,
  });
});

t.test('a pool with a node is enough: the rest has defaults', async (t) => {
  const config = configOf(POOLS);
  t.same(config.listen, [{ kind: 'tcp', host: '127.0.0.1', port: 6380 }]);
  t.equal(config.admin, null);
  t.equal(config.workers, DEFAULTS.workers);
  t.same(config.keyspaces, [ALL_KEYS]);
});

t.test('variables of the environment may stand in any value', async (t) => {
  const environment = {
    PORT: '7009',
    DIGITS: '0042',
    URL: 'redis://:p%40ss@h:1',
    OFF: 'no',
    WAIT: '3s',
    INJECT: 'a: [b]\n- c',
  };
  const text = `
workers: \${NONE:-5}
listen: 127.0.0.1:\${PORT}
auth: { password: "\${DIGITS}", user: "$\${x}" }
protectedMode: \${OFF}
limits: { requestTimeoutMs: "\${WAIT}", idlePingMs: "\${DIGITS}" }
drainTimeout: \${DIGITS}
pools:
  main: { nodes: ["\${URL}", { name: "\${DIGITS}", url: "redis://h:\${PORT}", weight: "\${NONE:-3}" }] }
`;
  const result = parseConfig(text, { workers: 1, environment });
  if (!('config' in result)) throw new Error(JSON.stringify(result));
  const { config } = result;
  t.equal(config.workers, 5);
  t.same(config.listen, [{ kind: 'tcp', host: '127.0.0.1', port: 7009 }]);
  t.same(
    config.auth,
    { mode: 'password', user: '${x}', passwordDigests: [passwordDigest('0042')] },
    'digits stay a text',
  );
  t.equal(config.protectedMode, false);
  t.equal(config.limits.requestTimeoutMs, 3_000);
  t.equal(config.limits.idlePingMs, 42);
  t.equal(config.drainTimeoutMs, 42);
  t.match(config.pools[0]?.nodes, [
    { password: 'p@ss', address: { port: 1 } },
    { name: '0042', weight: 3, address: { port: 7009 } },
  ]);
  const injected = parseConfig(`${POOLS}\nlisten: \${INJECT}`, { workers: 1, environment });
  t.match(injected, {
    problems: [
      {
        line: 2,
        column: 9,
        text: /^listen: expected an address: .*, found no port, .* \(in what \$\{INJECT\} stands for\)$/,
      },
    ],
  });
});

t.test('what is wrong with a variable is said by its place and its name, never by its value', async (t) => {
  const environment = { SECRET: 's3cret', POOL: 's3cret', DIGITS: '12345678' };
  const table: [string, RegExp][] = [
    [`${POOLS}\nworkers: \${SECERT}`, /^2:10: the environment has no variable SECERT; did you mean SECRET\?$/],
    [
      `${POOLS}\nworkers: \${SECRET}`,
      /^2:10: workers: expected a whole number from 1 to 128, found what \$\{SECRET\} stands for$/,
    ],
    [`${POOLS}\nworkers: \${DIGITS}`, /^2:10: workers: .*, found what \$\{DIGITS\} stands for$/],
    [`${POOLS}\nworkers: x\${SECRET}\${POOL}`, /found what \$\{SECRET\} and \$\{POOL\} stand for$/],
    [`${POOLS}\nlog: { level: "\${SECRET}" }`, /^2:15: log.level: .* found what \$\{SECRET\} stands for/],
    [`${POOLS}\nlisten: [127.0.0.1:1, "\${SECRET}"]`, /^2:23: listen\[1\]: expected .*stands for/],
    [
      `pools: { main: { nodes: ["redis://:\${SECRET}@h:x"] } }`,
      /^1:26: pools.main.nodes\[0\]: .*a port that is no number.*\(in what/,
    ],
    [
      `${POOLS}\nkeyspaces: [{ prefix: "", pool: "\${POOL}" }]`,
      /^2:33: keyspaces\[0\].pool: there is no pool \$\{POOL\}$/,
    ],
    [`a: &x \${SECRET}\n${POOLS}\nworkers: *x`, /^1:1: unknown key "a"/],
    [
      `${POOLS}\nlimits: { idlePingMs: \${WAIT} }`,
      /^2:24: inside braces or brackets a value with \$\{NAME\} must be quoted$/,
    ],
    [`${POOLS}\nlisten: [127.0.0.1:\${PORT}]`, /^2:21: inside braces or brackets a value with/],
  ];
  for (const [text, says] of table) {
    const result = parseConfig(text, { workers: 1, environment });
    if ('config' in result) throw new Error(`taken: ${text}`);
    const problems = result.problems.map(({ line, column, text }) => `${line}:${column}: ${text}`);
    t.match(problems[0], says, text);
    t.notMatch(problems.join('\n'), /s3cret|12345678/, text);
  }
});

t.test('JSON is taken as well, being YAML', async (t) => {
  t.equal(configOf(JSON.stringify({ pools: { main: { nodes: ['redis://h'] } }, workers: 5 })).workers, 5);
});

t.test('several listeners: IPv4, IPv6 and unix', async (t) => {
  t.same(configOf(`${POOLS}\nlisten: [127.0.0.1:1, "[::1]:2", unix:/run/r.sock]`).listen, [
    { kind: 'tcp', host: '127.0.0.1', port: 1 },
    { kind: 'tcp', host: '::1', port: 2 },
    { kind: 'unix', path: '/run/r.sock' },
  ]);
});

t.test('limits are numbers, or have units; what is not given keeps its default', async (t) => {
  const { limits } = configOf(
    `${POOLS}\nlimits: { bulkBytesMax: 64mb, requestTimeoutMs: 2s, idlePingMs: 7, clientsMax: 5 }`,
  );
  t.same(limits, { ...DEFAULT_LIMITS, bulkBytesMax: 2 ** 26, requestTimeoutMs: 2_000, idlePingMs: 7, clientsMax: 5 });
});

t.test('every limit can be set to its default', async (t) => {
  t.same(configOf(`${POOLS}\nlimits: ${JSON.stringify(DEFAULT_LIMITS)}`).limits, DEFAULT_LIMITS);
});

t.test("a pool's nodes have its limits, and where it has none the file's, and then the defaults", async (t) => {
  const { limits, pools } = configOf(`
limits: { requestTimeoutMs: 2s, idlePingMs: 1s, clientsMax: 5 }
pools:
  near: { nodes: [redis://h] }
  far:
    nodes: [redis://i]
    limits: { requestTimeoutMs: 8s, connectTimeoutMs: 5s, nodeQueueBytesMax: 1mb }
keyspaces: [{ prefix: "", pool: near }]
`);
  t.equal(limits.clientsMax, 5);
  t.same(pools[0]?.limits, { ...DEFAULT_NODE_LIMITS, requestTimeoutMs: 2_000, idlePingMs: 1_000 });
  t.same(pools[1]?.limits, {
    ...{ ...DEFAULT_NODE_LIMITS, requestTimeoutMs: 8_000, idlePingMs: 1_000 },
    ...{ connectTimeoutMs: 5_000, nodeQueueBytesMax: 2 ** 20 },
  });
});

t.test('every limit of a node can be set for a pool', async (t) => {
  const own = { ...DEFAULT_NODE_LIMITS, requestTimeoutMs: 9_000 };
  t.same(configOf(`pools: { main: { nodes: [redis://h], limits: ${JSON.stringify(own)} } }`).pools[0]?.limits, own);
});

t.test('the log and the drain limit can be set', async (t) => {
  const config = configOf(`${POOLS}\nlog: { level: debug }\ndrainTimeout: 500ms`);
  t.same(config.log, { level: 'debug', format: 'auto' });
  t.equal(config.drainTimeoutMs, 500);
});

t.test('clients may be asked for a password, of which only the digest is kept', async (t) => {
  const authOf = (text: string) => configOf(`${POOLS}\n${text}`).auth;
  t.same(authOf('auth: none'), { mode: 'none' });
  t.same(authOf('auth: { mode: none }'), { mode: 'none' });
  const passwordDigests = [passwordDigest('s3cret')];
  t.same(authOf('auth: { password: s3cret }'), { mode: 'password', user: 'default', passwordDigests });
  t.same(authOf('auth: { mode: password, password: [s3cret], user: app }'), {
    mode: 'password',
    user: 'app',
    passwordDigests,
  });
  t.same(authOf('auth: { password: ["s3cret", "näxt"] }'), {
    mode: 'password',
    user: 'default',
    passwordDigests: [...passwordDigests, passwordDigest(Buffer.from('näxt'))],
  });
  t.notMatch(JSON.stringify(configOf(`${POOLS}\nauth: { password: s3cret }`)), 's3cret');
});

t.test('who can be reached from other machines asks for a password, unless protected mode is off', async (t) => {
  const open = `${POOLS}\nlisten: [127.0.0.1:1, "0.0.0.0:2", "[::1]:3", unix:/r, "[::ffff:127.0.0.1]:4"]`;
  t.same(problemsOf(open), [
    '2:23: listen[1]: 0.0.0.0:2 can be reached from other machines, and clients need no password: ' +
      'set auth: { password: … }, or listen on 127.0.0.1 or a unix socket, ' +
      'or say protectedMode: no where the network keeps others out',
  ]);
  t.equal(configOf(`${open}\nauth: { password: x }`).protectedMode, true);
  for (const no of ['no', 'false']) t.equal(configOf(`${open}\nprotectedMode: ${no}`).protectedMode, false);
  for (const yes of ['yes', 'true']) t.equal(problemsOf(`${open}\nprotectedMode: ${yes}`).length, 1);
  t.match(problemsOf(`${POOLS}\nlisten: "[::]:1"`), [/^2:9: listen(\[0\])?: \[::\]:1 can be reached/]);
  t.match(problemsOf(`${POOLS}\nservices: [{ name: a, listen: 10.0.0.1:1 }]`), [
    /services\[0\].listen(\[0\])?: 10.0.0.1:1/,
  ]);
  t.match(problemsOf(`${POOLS}\nlisten: 0.0.0.0:1\nauth: { password: 5 }`), [/^3:19: auth.password: /], 'one mistake');
});

t.test('a keyspace may refuse writes of several shards', async (t) => {
  const keyspace = (words: string) =>
    configOf(`${POOLS}\nkeyspaces: [{ prefix: "", pool: main${words} }]`).keyspaces[0];
  t.equal(keyspace('')?.multiKeyWrites, 'split');
  t.equal(keyspace(', multiKeyWrites: reject')?.multiKeyWrites, 'reject');
});

t.test('anchors and aliases work', async (t) => {
  const { pools } = configOf('pools: { a: &a { nodes: [redis://h] }, b: *a }\nkeyspaces: [{ prefix: "", pool: b }]');
  t.same(pools[0]?.nodes, pools[1]?.nodes);
});

/** What `toPlan` takes, and the data plane not yet. */
function planOf(text: string): Config {
  const result = parseConfig(text, DEFAULTS);
  if ('config' in result) return result.config;
  throw new Error(result.problems.map((problem) => formatProblem('test.yml', problem)).join('\n'));
}

t.test('keys are placed by slots, or as twemproxy places them', async (t) => {
  const placementOf = (words: string) => {
    return planOf(`${POOLS}\nkeyspaces: [{ prefix: "", pool: main${words} }]`).keyspaces[0]?.placement;
  };
  t.same(placementOf(''), SLOTS);
  t.same(placementOf(', placement: slots, colocate: ["bull:{queue}:*", "{app}:*"]'), {
    kind: 'slots',
    colocate: ['bull:{queue}:*', '{app}:*'],
  });
  t.same(placementOf(', placement: ketama'), { kind: 'ketama', hash: 'fnv1a_64', hashTag: null });
  t.same(placementOf(', placement: modula, hash: crc32a, hashTag: "{}"'), {
    kind: 'modula',
    hash: 'crc32a',
    hashTag: '{}',
  });
});

t.test('a name may be whatever twemproxy hashed, and a weight too', async (t) => {
  const config = planOf(
    `pools: { main: { nodes: [{ url: redis://h, name: "h#1;x=(2)", weight: 100000 }] } }
keyspaces: [{ prefix: "", pool: main, placement: ketama }]`,
  );
  t.equal(config.pools[0]?.nodes[0]?.name, 'h#1;x=(2)');
  t.equal(config.pools[0]?.nodes[0]?.weight, 100_000);
});

t.test('several services are doors to keyspaces of their own', async (t) => {
  const config = planOf(`
pools: { a: { nodes: [redis://h] }, b: { nodes: [redis://i] } }
services:
  - { name: one, listen: 127.0.0.1:1, keyspaces: [{ prefix: "", pool: a }] }
  - { name: two, listen: [127.0.0.1:2, unix:/two], keyspaces: [{ prefix: "", pool: b, placement: modula }] }
`);
  t.same(
    config.services.map(({ name, listen }) => [name, listen.length]),
    [
      ['one', 1],
      ['two', 2],
    ],
  );
  t.equal(config.listen.length, 3);
  t.same(
    config.keyspaces.map(({ pool }) => pool),
    ['a', 'b'],
  );
  t.same(configOf(`${POOLS}\nservices: [{ name: x, listen: 127.0.0.1:1 }]`).services[0]?.keyspaces, [ALL_KEYS]);
});

t.test('the configuration is frozen to its leaves', async (t) => {
  const config = configOf(POOLS);
  t.throws(() => Object.assign(config, { workers: 9 }), TypeError);
  t.throws(() => Object.assign(config.limits, { clientsMax: 9 }), TypeError);
  t.throws(() => Object.assign(config.pools[0]?.nodes[0]?.address ?? {}, { port: 9 }), TypeError);
});

/** A file, and what is said of it: every problem, in the order of the lines. */
const MISTAKES: [string, ...RegExp[]][] = [
  ['', /^1:1: pools is missing: expected a map/],
  ['# nothing but a comment', /pools is missing/],
  ['just a text', /^1:1: expected a map \(key: value\), found "just a text"/],
  ['- a\n- b', /^1:1: expected a map \(key: value\), found a list/],
  ['pools:', /^1:7: pools: expected a map \(name: value\), found nothing/],
  ['pools: {}', /^1:8: pools: expected at least one pool, found none/],
  ['pools: [redis://h]', /^1:8: pools: expected a map \(name: value\), found a list/],
  ['pools:\n  main: redis://h', /^2:9: pools.main: expected a map \(key: value\), found "redis:\/\/h"/],
  ['pools: { main: {} }', /^1:16: pools.main.nodes is missing: expected a list/],
  ['pools: { main: { nodes: [] } }', /^1:25: pools.main.nodes: expected at least one node, found none/],
  ['pools: { main: { nodes: redis://h } }', /^1:25: pools.main.nodes: expected a list, found "redis:\/\/h"/],
  ['pools: { main: { nodes: [{ name: a }] } }', /^1:26: pools.main.nodes\[0\].url is missing: expected redis:/],
  ['pools: { main: { nodes: [7001] } }', /^1:26: pools.main.nodes\[0\]: expected .*, found 7001/],
  ['pools: { main: { nodes: [{ url: 7001 }] } }', /^1:33: pools.main.nodes\[0\].url: expected .*, found 7001/],
  [
    'pools: { main: { nodes: [redis://h:x] } }',
    /^1:26: pools.main.nodes\[0\]: expected .*, found a port that is no number/,
  ],
  ['pools: { "ma in": { nodes: [redis://h] } }', /^1:10: pools.ma in: expected a name of .*, found "ma in"/],
  [
    'pools:\n  main:\n    nodes:\n      - { url: redis://h, wieght: 2 }',
    /^4:27: unknown key "wieght" in pools.main.nodes\[0\]; did you mean weight\?/,
  ],
  [
    'pools: { main: { nodes: [{ url: redis://h, weight: 0 }, { url: redis://i, weight: 1.5 }] } }',
    /^1:52: pools.main.nodes\[0\].weight: expected a whole number from 1 to 16777216, found 0/,
    /^1:83: pools.main.nodes\[1\].weight: .*, found 1.5/,
  ],
  [
    'pools: { main: { nodes: [{ url: redis://h, name: "a b" }] } }',
    /^1:50: .*name: expected a name of .*, found "a b"/,
  ],
  [
    'pools: { main: { nodes: [redis://h, { url: redis://i, name: h:6379 }] } }',
    /^1:37: pools.main.nodes\[1\]: another node of this pool has the name h:6379 too/,
  ],
  [
    'pools: { main: { nodes: [redis://h:1, { url: redis://h:1, name: b }] } }',
    /^1:39: pools.main.nodes\[1\]: another node of this pool has the address h:1 too/,
  ],
  ['pools: { main: { nodes: [redis://h, redis://h] } }', /^1:37: .*has the name h:6379 too/],
  [`${POOLS}\nlisten: 6380`, /^2:9: listen: expected an address: .*, found 6380/],
  [`${POOLS}\nlisten: localhost:6380`, /^2:9: listen: expected an address: .*, found a host that is not an IP address/],
  [`${POOLS}\nlisten: [127.0.0.1:1, ::1:2]`, /^2:23: listen\[1\]: expected an address: .*without brackets/],
  [`${POOLS}\nlisten: [127.0.0.1:1, "127.0.0.1:1"]`, /^2:23: listen\[1\]: 127.0.0.1:1 is listed twice/],
  [`${POOLS}\nlisten: []`, /^2:9: listen: expected at least one address, found none/],
  [`${POOLS}\nadmin: 9121`, /^2:8: admin: expected an address: .*, found 9121/],
  [`${POOLS}\nworkers: two`, /^2:10: workers: expected a whole number from 1 to 128, found "two"/],
  [`${POOLS}\nworkers: 0`, /^2:10: workers: .*, found 0/],
  [`${POOLS}\nworkers:`, /^2:9: workers: .*, found nothing/],
  [`${POOLS}\ntransport: io_uring`, /^2:12: transport: expected auto \| epoll \| node, found "io_uring"/],
  [`${POOLS}\nlistn: 1`, /^2:1: unknown key "listn" in the file; did you mean listen\?/],
  [`${POOLS}\nvolume: 11`, /^2:1: unknown key "volume" in the file; known are listen, admin, workers/],
  [
    `${POOLS}\nlimits: { requestTimeout: 2s }`,
    /^2:11: unknown key "requestTimeout" in limits; did you mean requestTimeoutMs\?/,
  ],
  [
    `${POOLS}\nlimits: { requestTimeoutMs: 2 seconds }`,
    /^2:29: limits.requestTimeoutMs: expected milliseconds, or a time/,
  ],
  [`${POOLS}\nlimits: { bulkBytesMax: 9tb }`, /^2:25: limits.bulkBytesMax: expected bytes, or a size such as 64mb/],
  [`${POOLS}\nlimits: { workerMemoryMax: 1kb }`, /^2:28: limits.workerMemoryMax: .* from 16777216 to .*, found "1kb"/],
  [`${POOLS}\nlimits: { clientsMax: 10k }`, /^2:23: limits.clientsMax: expected a whole number/],
  [
    `${POOLS}\nlimits: { reconnectMinMs: 5s }`,
    /^2:27: limits.reconnectMinMs: is above reconnectMaxMs \(2000 by default\)$/,
  ],
  [
    `${POOLS}\nlimits: { requestTimeoutMs: 30s, stallTimeoutMs: 20s }`,
    /^2:29: limits.requestTimeoutMs: is above stallTimeoutMs \(20000\)$/,
  ],
  [
    `${POOLS}\nlimits: { sessionOutputHardBytes: 1kb }`,
    /^2:35: limits.sessionOutputHardBytes: is below sessionOutputSoftBytes \(1048576 by default\)$/,
  ],
  [
    `pools: { main: { nodes: [redis://h], limits: { reconnectMaxMs: 30 } } }\nlimits: { reconnectMinMs: 40 }`,
    /^1:64: pools.main.limits.reconnectMaxMs: is below reconnectMinMs \(40 in limits\)$/,
  ],
  [
    'pools: { main: { nodes: [redis://h], limits: { requestTimeoutMs: 20s } } }',
    /^1:66: pools.main.limits.requestTimeoutMs: is above stallTimeoutMs \(10000 by default\)$/,
  ],
  // A mistake of the file's is not said again for each pool.
  [
    'limits: { requestTimeoutMs: 20s }\npools: { main: { nodes: [redis://h], limits: { idlePingMs: 1 } } }',
    /^1:29: limits.requestTimeoutMs: is above stallTimeoutMs/,
  ],
  [
    'limits: { reconnectMinMs: x }\npools: { main: { nodes: [redis://h], limits: { reconnectMaxMs: 1 } } }',
    /^1:27: limits.reconnectMinMs: expected milliseconds/,
  ],
  [
    'pools: { main: { nodes: [redis://h], limits: { conectTimeoutMs: 1, clientsMax: 5 } } }',
    /^1:48: unknown key "conectTimeoutMs" in pools.main.limits; did you mean connectTimeoutMs\?$/,
    /^1:68: unknown key "clientsMax" in pools.main.limits; known are nodeQueueBytesMax, .*, reconnectMaxMs$/,
  ],
  [`${POOLS}\nlimits: 5`, /^2:9: limits: expected a map \(key: value\), found 5/],
  [`${POOLS}\nlog: { level: loud }`, /^2:15: log.level: expected trace \| debug \| .*, found "loud"/],
  [`${POOLS}\nlog: { fromat: json }`, /^2:8: unknown key "fromat" in log; did you mean format\?/],
  [`${POOLS}\ndrainTimeout: -1`, /^2:15: drainTimeout: expected milliseconds, .*, found -1/],
  [`${POOLS}\nkeyspaces: []`, /^2:12: keyspaces: expected at least one keyspace, found none/],
  [`${POOLS}\nkeyspaces: [{ pool: main }]`, /^2:13: keyspaces\[0\].prefix is missing/],
  [
    `${POOLS}\nkeyspaces: [{ prefix: "${'é'.repeat(65)}", pool: main }]`,
    /^2:23: keyspaces\[0\].prefix: expected what its keys begin with.*, found 130 bytes, above 128/,
  ],
  [
    `${POOLS}\nkeyspaces: [{ prefix: "", pool: mian }]`,
    /^2:33: keyspaces\[0\].pool: there is no pool "mian"; did you mean main\?/,
  ],
  [
    `${POOLS}\nkeyspaces: [{ prefix: "", pool: main, mode: replicated }]`,
    /^2:45: keyspaces\[0\].mode: expected sharded, found "replicated"/,
  ],
  [
    `${POOLS}\nkeyspaces: [{ prefix: "", pool: main }, { prefix: "", pool: main }]`,
    /^2:51: keyspaces\[1\].prefix: another keyspace has the prefix "" too/,
  ],
  [
    'pools: { a: { nodes: [redis://h] }, b: { nodes: [redis://i] } }',
    /^1:1: keyspaces is missing, and there is more than one pool: .*\(a, b\)/,
  ],
  // Where keys are placed.
  [
    `${POOLS}\nkeyspaces: [{ prefix: "", pool: main, placement: ketma }]`,
    /^2:50: keyspaces\[0\].placement: expected slots \| ketama \| modula, found "ketma"/,
  ],
  [
    `${POOLS}\nservices:
  - { name: a, listen: 127.0.0.1:1, keyspaces: [{ prefix: "", pool: main }] }
  - { name: b, listen: 127.0.0.1:2, keyspaces: [{ prefix: "b:", pool: main, placement: ketama }] }`,
    /^4:49: services\[1\].keyspaces\[0\]: another service has keys that begin with "" in pool main, placed by other rules/,
  ],
  [
    `${POOLS}\nkeyspaces: [{ prefix: "", pool: main, placement: modula, hash: md4 }]`,
    /^2:64: keyspaces\[0\].hash: expected one_at_a_time \| md5 \| .*, found "md4"/,
  ],
  [
    `${POOLS}\nkeyspaces: [{ prefix: "", pool: main, hash: md5, hashTag: "{}" }]`,
    /^2:45: keyspaces\[0\].hash: is for placement ketama and modula; slots are those of Redis Cluster/,
    /^2:59: keyspaces\[0\].hashTag: is for placement ketama and modula; .*, with \{\} as its hash tag/,
  ],
  [
    `${POOLS}\nkeyspaces: [{ prefix: "", pool: main, placement: ketama, hashTag: "{" }]`,
    /^2:67: keyspaces\[0\].hashTag: expected two characters, .*, found "\{"/,
  ],
  [
    `${POOLS}\nkeyspaces: [{ prefix: "", pool: main, placement: ketama, colocate: ["{a}:*"] }]`,
    /^2:68: keyspaces\[0\].colocate: is for placement slots; ketama places keys where twemproxy does/,
  ],
  [
    `${POOLS}\nkeyspaces: [{ prefix: "", pool: main, colocate: ["bull:*", "a:{b}:*", 7] }]`,
    /^2:50: keyspaces\[0\].colocate\[0\]: expected a pattern such as "bull:\{queue\}:\*", found no part in braces/,
    /^2:71: keyspaces\[0\].colocate\[2\]: expected a pattern .*, found 7/,
  ],
  [
    `${POOLS}\nkeyspaces: [{ prefix: "", pool: main, colocate: "bull:{queue}:*" }]`,
    /^2:49: keyspaces\[0\].colocate: expected a list, found "bull:/,
  ],
  [
    `${POOLS}\nkeyspaces: [{ prefix: "", pool: main, colocate: [${'"{a}:*",'.repeat(65)}] }]`,
    /^2:49: keyspaces\[0\].colocate: expected at most 64 patterns, found a list/,
  ],
  [
    'pools: { main: { nodes: [{ url: redis://h, weight: 101 }] } }',
    /^1:52: pools.main.nodes\[0\].weight: is above 100, the most for placement slots/,
  ],
  [
    `pools: { main: { nodes: [${Array.from({ length: 200 }, (_, i) => `{ url: "redis://h:${i + 1}", weight: 99 }`)}] } }`,
    /^1:25: pools.main.nodes: the weights add up to 19800, above 16384/,
  ],
  // Services.
  [`${POOLS}\nservices: []`, /^2:11: services: expected at least one service, found none/],
  [`${POOLS}\nservices: [{ name: a }]`, /^2:12: services\[0\].listen\[0\] is missing: expected an address/],
  [`${POOLS}\nservices: [{ listen: 127.0.0.1:1 }]`, /^2:12: services\[0\].name is missing: expected a name/],
  [
    `${POOLS}\nservices: [{ name: a, listn: 127.0.0.1:1, listen: 127.0.0.1:1 }]`,
    /^2:23: unknown key "listn" in services\[0\]; did you mean listen\?/,
  ],
  [
    `${POOLS}\nlisten: 127.0.0.1:1\nservices: [{ name: a, listen: 127.0.0.1:2 }]`,
    /^2:9: listen: stands in each service where there are services/,
  ],
  [
    `${POOLS}\nkeyspaces: [{ prefix: "", pool: main }]\nservices: [{ name: a, listen: 127.0.0.1:2 }]`,
    /^2:12: keyspaces: stands in each service where there are services/,
  ],
  [
    `${POOLS}\nservices: [{ name: a, listen: 127.0.0.1:1 }, { name: a, listen: 127.0.0.1:1 }]`,
    /^2:54: services\[1\].name: another service has the name a too/,
    /^2:65: services\[1\].listen\[0\]: 127.0.0.1:1 is listed twice/,
  ],
  [
    `${POOLS}\nservices: [{ name: a, listen: 127.0.0.1:1, keyspaces: [{ prefix: "", pool: mian, placement: ketama }] }]`,
    /^2:76: services\[0\].keyspaces\[0\].pool: there is no pool "mian"; did you mean main\?/,
  ],
  [
    'pools: { a: { nodes: [redis://h] }, b: { nodes: [redis://i] } }\nservices: [{ name: a, listen: 127.0.0.1:1 }]',
    /^2:12: services\[0\].keyspaces is missing, and there is more than one pool: .*\(a, b\)/,
  ],
  [`${POOLS}\nauth: password`, /^2:7: auth: expected none, or \{ password: … \}, found something else$/],
  [`${POOLS}\nauth: [none]`, /^2:7: auth: expected none, or .*, found something else$/],
  [`${POOLS}\nauth:`, /^2:6: auth: expected none, or .*, found something else$/],
  [`${POOLS}\nauth: {}`, /^2:7: auth: password is missing \(or write auth: none\)$/],
  [`${POOLS}\nauth: { mode: password }`, /^2:7: auth: password is missing/],
  [
    `${POOLS}\nauth: { mode: passwort, password: a }`,
    /^2:15: auth.mode: expected none \| password, found something else/,
  ],
  [`${POOLS}\nauth: { pasword: a }`, /^2:7: auth: expected .*, found an unknown key; did you mean password\?$/],
  [
    `${POOLS}\nauth: { password: 1234 }`,
    /^2:19: auth.password: expected a password in quotes.*, found a number \(put it in/,
  ],
  [`${POOLS}\nauth: { password: "" }`, /^2:19: auth.password: .*, found an empty password/],
  [`${POOLS}\nauth: { password: [] }`, /^2:19: auth.password: .*, found an empty list/],
  [`${POOLS}\nauth: { password: [a, b, c] }`, /^2:19: auth.password: .*, found a list of 3/],
  [`${POOLS}\nauth: { password: { a: b } }`, /^2:19: auth.password: .*, found something else/],
  [
    `${POOLS}\nauth: { password: a, user: "x y" }`,
    /^2:28: auth.user: expected a user name of .*, found something else/,
  ],
  [
    `${POOLS}\nauth: { mode: none, password: a, user: b }`,
    /^2:31: auth.password: .* none/,
    /^2:40: auth.user: .* none/,
  ],
  [`${POOLS}\nprotectedMode: maybe`, /^2:16: protectedMode: expected yes \| no, found "maybe"/],
  [
    `${POOLS}\nkeyspaces: [{ prefix: "", pool: main, multiKeyWrites: atomic }]`,
    /^2:55: keyspaces\[0\].multiKeyWrites: expected split \| reject, found "atomic"/,
  ],
  // What is not even YAML.
  ['pools: {', /^1:9: .*is missing|not closed/],
  ['pools: "x', /^1:10: a quote or a bracket is missing/],
  ['workers: 1\nworkers: 2', /^2:1: this key stands twice in the same map/],
  ['pools:\n\tmain: 1', /^2:1: indent with spaces/],
  ['listen: @x', /^1:9: a value that starts with this character must be quoted/],
  ['listen: *x', /^1:9: a value that starts with \* is a YAML alias/],
  ['listen: !x y', /^1:9: a value that starts with ! is a YAML tag/],
  ['listen: a: b', /^1:9: a second ": " on one line/],
  ['workers: 1\n---\nworkers: 2', /^2:1: one document is expected/],
];

for (const [text, ...expected] of MISTAKES) {
  t.test(`what is wrong with ${JSON.stringify(text)} is said with its place`, async (t) => {
    const problems = problemsOf(text);
    t.equal(problems.length, expected.length, problems.join('\n'));
    for (const [index, problem] of expected.entries()) t.match(problems[index], problem);
  });
}

t.test('all problems of a file are said at once, in the order of its lines', async (t) => {
  const problems = problemsOf(`
listen: 6380
wrokers: 2
transport: fast
pools:
  main:
    nodes:
      - { url: redis://h, weight: 0 }
      - http://h
limits: { clientsMax: -1, stallTimeoutMs: soon }
keyspaces:
  - { prefix: a, pool: main, mode: shraded }
`);
  t.same(
    problems.map((problem) => Number(problem.split(':')[0])),
    [2, 3, 4, 8, 9, 10, 10, 12],
  );
});

t.test('a reference between sections is checked although another section is wrong', async (t) => {
  const problems = problemsOf(`${POOLS}\nworkers: 0\nkeyspaces: [{ prefix: "", pool: other }]`);
  t.equal(problems.length, 2);
  t.match(problems[1], /there is no pool "other"/);
});

t.test('a problem is written as compilers write it', async (t) => {
  t.equal(formatProblem('conf/r.yml', { line: 3, column: 7, text: 'no' }), 'conf/r.yml:3:7: no');
});

t.test('no message repeats a password, wherever it stands', async (t) => {
  const files = [
    'pools: { main: { nodes: ["redis://u:s3cret@h:x"] } }',
    'pools: { main: { nodes: ["redis://u:s3cret"] } }',
    'pools: { main: { nodes: ["redis://u:s3c%ret@h", "http://u:s3cret@h", "rediss://:s3cret@h", "redis://:s3cret@"] } }',
    'pools: { main: { nodes: [{ url: "redis://u:s3cret@h", weight: 0, name: "u:s3cret@h" }] } }',
    'pools: { main: { nodes: [{ url: "redis://h", password: s3cret, "redis://u:s3cret@h": 1 }] } }',
    'pools: { main: { nodes: "redis://u:s3cret@h" } }',
    'pools: "redis://u:s3cret@h"',
    'pools: { "redis://u:s3cret@h": { nodes: [] } }',
    'pools: { main: { nodes: ["redis://u:s3cret@h", "redis://v:s3cret@h"] } }',
    `${POOLS}\nlisten: "redis://u:s3cret@h"`,
    `${POOLS}\nkeyspaces: [{ prefix: "", pool: "redis://u:s3cret@h" }]`,
    `${POOLS}\ntransport: "redis://u:s3cret@h"`,
    'redis://u:s3cret@h',
    ...['s3cret', '[s3cret]', '{ s3cret }', '{ password: { s3cret } }', '{ password: [s3cret, ""] }'].map(
      (auth) => `${POOLS}\nauth: ${auth}`,
    ),
    ...['mode: s3cret', 'user: "s3cret "', 'mode: none, password: s3cret', 's3cret: password'].map(
      (auth) => `${POOLS}\nauth: { ${auth} }`,
    ),
    'pools: !s3cret x',
    'pools: *s3cret',
    'pools: |s3cret\n x',
    '%s3cret\n---\npools: 1',
    '- a\nb: s3cret',
    'pools: { "s3cret\n: [ }',
    'pools: "\\s3cret"',
    'pools: { main: { nodes: [redis://u:s3cret@h] } } s3cret',
  ];
  for (const file of files) {
    const problems = problemsOf(file);
    t.not(problems.length, 0, file.replaceAll('s3cret', '…'));
    t.notMatch(problems.join('\n'), /s3c/);
  }
});
