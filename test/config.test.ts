import t from 'tap';
import { passwordDigest } from '../src/base/client-rules.js';
import { DEFAULT_LIMITS, DEFAULT_NODE_LIMITS } from '../src/base/limits.js';
import { type Config, formatProblem, parseConfig } from '../src/config.js';
import { strongLevel } from '../src/routing/levels.js';

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
    enableDebugCommand: 'no',
    auth: { mode: 'none' },
    protectedMode: true,
    pubsub: 'exact',
    pools: [
      {
        name: 'main',
        nodes: [
          { name: '127.0.0.1:7001', weight: 1, ...node(7001) },
          { name: 'b', weight: 2, ...node(7002), username: 'user', password: 'pass' },
          { name: '127.0.0.1:7003', weight: 1, ...node(7003) },
        ],
        limits: { ...DEFAULT_NODE_LIMITS, requestTimeoutMs: 2_000 },
        restart: 'loses-data',
      },
    ],
    keyspaces: [ALL_KEYS],
    services: [
      { name: 'main', listen: [{ kind: 'tcp', host: '127.0.0.1', port: 6380 }], announced: [], keyspaces: [ALL_KEYS] },
    ],
    limits: DEFAULT_LIMITS,
    log: { level: 'info', format: 'auto' },
    drainTimeoutMs: 10_000,
    dataDir: null,
    coordination: { store: 'file', cluster: 'ringleader', member: null, leaseMs: 10_000 },
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
        text: /^listen: expected an address: .*, found .* \(in what \$\{INJECT\} stands for\)$/,
      },
    ],
  });
});

t.test('who listens on every interface listens on the addresses of the machine, too', async (t) => {
  const text = (listen: string) => `protectedMode: no
listen: "${listen}"
pools: { main: { nodes: [redis://10.0.0.5:6380, "redis://[fd00::5]:6380", redis://10.0.0.6:6380, redis://10.0.0.5] } }`;
  const refused = (listen: string) => {
    const result = parseConfig(text(listen), { ...DEFAULTS, ownAddresses: ['10.0.0.5', 'fd00:0::5', 'fe80::1'] });
    return 'config' in result ? [] : result.problems.map(({ text }) => text.replace(/: the proxy itself .*/, ''));
  };
  t.same(refused('0.0.0.0:6380'), ['pools.main.nodes[0]']);
  t.same(refused('[::]:6380'), ['pools.main.nodes[1]']);
  t.same(refused('[0::0]:6380'), ['pools.main.nodes[1]']);
  t.same(refused('10.0.0.6:6380'), ['pools.main.nodes[2]']);
  t.same(refused('127.0.0.1:6380'), []);
  t.same(refused('0.0.0.0:0'), []);
});

t.test('what is wrong with a variable is said by its place and its name, never by its value', async (t) => {
  const environment = { SECRET: 's3cret', POOL: 's3cret', DIGITS: '12345678' };
  const table: [string, RegExp][] = [
    [`${POOLS}\nworkers: \${SECERT}`, /^2:10: the environment has no variable SECERT; did you mean SECRET\?$/],
    [
      `${POOLS}\nworkers: \${SECRET}`,
      /^2:10: workers: expected a whole number from 1 to 128 .*, found what \$\{SECRET\} stands for$/,
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

t.test('what is too much of a list is said once', async (t) => {
  const colocate = Array.from({ length: 65 }, () => '"{a}:*"');
  t.same(problemsOf(`${POOLS}\nkeyspaces: [{ prefix: "", pool: main, colocate: [${colocate}] }]`), [
    '2:49: keyspaces[0].colocate: expected at most 64 patterns, found a list',
  ]);
  const nodes = Array.from({ length: 200 }, (_, index) => `{ url: "redis://h:${index + 1}", weight: 99 }`);
  t.same(problemsOf(`pools: { main: { nodes: [${nodes}] } }`), [
    '1:25: pools.main.nodes: the weights add up to 19800, above 16384',
  ]);
});

t.test('there are no more nodes than placements can tell apart', async (t) => {
  // Two to the 16th, of which most are written once; and one more.
  const nodes = Array.from({ length: 1_024 }, (_, index) => `redis://h:${index + 1}`);
  const pools = Array.from({ length: 63 }, (_, index) => `  pool-${index}: { nodes: *nodes }`);
  const most = [`pools:`, `  main: { nodes: &nodes [${nodes}] }`, ...pools];
  const keyspaces = 'keyspaces: [{ prefix: "", pool: main }]';
  t.same(problemsOf([...most, keyspaces].join('\n')), []);
  t.same(problemsOf([...most, '  more: { nodes: [redis://h] }', keyspaces].join('\n')), [
    '2:3: pools: expected at most 65536 nodes in all pools, found 65537',
  ]);
});

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

t.test('keys may be replicated, with three copies unless more are wanted', async (t) => {
  const nodes = [1, 2, 3, 4, 5].map((host) => `redis://h${host}`).join(', ');
  const config = (pool: string, rest: string) => {
    return configOf(`pools: { main: { nodes: [${nodes}]${pool} } }
keyspaces: [{ prefix: "acct:", pool: main, mode: replicated${rest} }]`);
  };
  t.same(config('', '').keyspaces, [
    {
      prefix: 'acct:',
      pool: 'main',
      placement: SLOTS,
      multiKeyWrites: 'split',
      mode: 'replicated',
      copies: 3,
      level: strongLevel(3),
      tombstoneTtlMs: 600_000,
    },
  ]);
  t.equal(config('', '').pools[0]?.restart, 'loses-data');
  const other = config(', restart: keeps-data', ', copies: 5, consistency: strong, tombstoneTtl: 0');
  t.match(other.keyspaces[0], { copies: 5, level: strongLevel(5), tombstoneTtlMs: 0 });
  t.equal(other.pools[0]?.restart, 'keeps-data');
});

t.test('keys may be locks, on all nodes of the pool unless fewer are wanted', async (t) => {
  const nodes = [1, 2, 3, 4, 5].map((host) => `redis://h${host}`).join(', ');
  const config = (rest: string) => {
    return configOf(`pools: { main: { nodes: [${nodes}], restart: keeps-data } }
keyspaces:
  - { prefix: "lock:", pool: main, mode: lock${rest} }
  - { prefix: "acct:", pool: main, mode: replicated }`);
  };
  t.same(config('').keyspaces[0], {
    prefix: 'lock:',
    pool: 'main',
    placement: SLOTS,
    multiKeyWrites: 'split',
    mode: 'lock',
    provider: 'redlock',
    copies: null,
    ttlMaxMs: 60_000,
    fenceTtlMs: 7 * 86_400_000,
  });
  const other = config(', provider: redlock, copies: 3, ttlMaxMs: 1500, fenceTtl: 2s');
  t.match(other.keyspaces[0], { copies: 3, ttlMaxMs: 1_500, fenceTtlMs: 2_000 });
});

t.test('locks may be kept by the coordination store, beside other keys in whatever pool', async (t) => {
  const { keyspaces } = configOf(`pools: { main: { nodes: [redis://h] } }
keyspaces:
  - { prefix: "", pool: main }
  - { prefix: "lock:", pool: main, mode: lock, provider: store }
coordination: { store: etcd, endpoints: [http://a] }`);
  t.match(keyspaces[1], { mode: 'lock', provider: 'store', copies: null, ttlMaxMs: 60_000 });
});

t.test('a coordination store is complete, whichever it is', async (t) => {
  const three = 'pools: { main: { nodes: [redis://h] }, agree: { nodes: [redis://i, redis://j, redis://k] } }';
  const coordination = (section: string) => {
    return configOf(`${three}\nkeyspaces: [{ prefix: "", pool: main }]\ncoordination: ${section}`).coordination;
  };
  const rest = { cluster: 'ringleader', member: null, leaseMs: 10_000 };
  const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port });
  const noTls = { ca: null, cert: null, key: null, serverName: null };
  const TABLE: [string, object][] = [
    ['{}', { store: 'file', ...rest }],
    ['{ store: redis, pool: agree, member: 7a }', { store: 'redis', pool: 'agree', ...rest, member: '7a' }],
    [
      '{ store: etcd, endpoints: [http://a, "http://[::1]:1/"], cluster: "1", lease: 500ms }',
      {
        ...{ ...rest, cluster: '1', leaseMs: 500 },
        ...{ store: 'etcd', endpoints: [tcp('a', 2379), tcp('::1', 1)], login: null, tls: null },
      },
    ],
    [
      '{ store: etcd, endpoints: [HTTPS://a:1], username: u, password: "p:@" }',
      {
        ...{ ...rest, store: 'etcd', endpoints: [tcp('a', 1)] },
        ...{ login: { username: 'u', password: 'p:@' }, tls: noTls },
      },
    ],
    [
      '{ store: zookeeper, endpoints: [a, b:1], tls: { ca: /ca, cert: /c, key: /k, serverName: n } }',
      {
        ...{ ...rest, store: 'zookeeper', endpoints: [tcp('a', 2181), tcp('b', 1)], login: null },
        tls: { ca: '/ca', cert: '/c', key: '/k', serverName: 'n' },
      },
    ],
    [
      '{ store: zookeeper, endpoints: [a], tls: {} }',
      { ...rest, store: 'zookeeper', endpoints: [tcp('a', 2181)], login: null, tls: noTls },
    ],
  ];
  for (const [section, expected] of TABLE) t.same(coordination(section), expected, section);
});
