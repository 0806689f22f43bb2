/** nutcracker's configuration as ours: what is carried over, dropped or refused; and a real nutcracker as the judge. */
import t from 'tap';
import { passwordDigest } from '../../src/base/client-rules.js';
import { DEFAULT_LIMITS } from '../../src/base/limits.js';
import { type Config, parseConfig } from '../../src/config.js';
import { importNutcracker } from '../../src/control/nutcracker-import.js';
import { openPlacement, planPlacement } from '../../src/routing/route.js';
import { sampleKeys } from '../help/key-sample.js';
import { findNutcracker, Nutcracker } from '../help/nutcracker.js';
import { randomFromSeed } from '../help/random.js';
import { startRedisServers } from '../help/redis-server.js';

function yamlOf(text: string): string {
  const result = importNutcracker(text);
  if ('yaml' in result) return result.yaml;
  throw new Error(result.problems.map(({ line, text }) => `${line}: ${text}`).join('\n'));
}

function configOf(text: string): Config {
  const result = parseConfig(yamlOf(text), { workers: 1, environment: {} });
  if ('config' in result) return result.config;
  throw new Error(JSON.stringify(result.problems));
}

function problemsOf(text: string): string[] {
  const result = importNutcracker(text);
  return 'yaml' in result ? [] : result.problems.map(({ line, column, text }) => `${line}:${column}: ${text}`);
}

/** A pool whose options are `lines`, each with a server unless it has its own. */
function pool(...lines: string[]): string {
  const given = (key: string) => lines.some((line) => line.startsWith(`${key}:`));
  const all = [...lines];
  if (!given('listen')) all.push('listen: 127.0.0.1:22121');
  if (!given('redis')) all.push('redis: true');
  if (!given('servers')) all.push('servers:\n    - 127.0.0.1:6379:1');
  return `alpha:\n${all.map((line) => `  ${line}\n`).join('')}`;
}

t.test("the pools of nutcracker's own example become services with their ports, hashes and tags", async (t) => {
  const config = configOf(`
alpha:
  listen: 127.0.0.1:22121
  hash: fnv1a_64
  distribution: ketama
  auto_eject_hosts: true
  redis: true
  server_retry_timeout: 2000
  server_failure_limit: 1
  servers:
   - 127.0.0.1:6379:1

beta:
  listen: 127.0.0.1:22122
  hash: fnv1a_64
  hash_tag: "{}"
  distribution: modula
  auto_eject_hosts: false
  timeout: 400
  redis: true
  servers:
   - 127.0.0.1:6380:1 server1
   - 127.0.0.1:6381:2 server2
`);
  t.same(
    config.services.map(({ name, listen, keyspaces }) => ({ name, listen, keyspaces })),
    [
      {
        name: 'alpha',
        listen: [{ kind: 'tcp', host: '127.0.0.1', port: 22121 }],
        keyspaces: [
          {
            prefix: '',
            pool: 'alpha',
            mode: 'sharded',
            placement: { kind: 'ketama', hash: 'fnv1a_64', hashTag: null },
            multiKeyWrites: 'split',
          },
        ],
      },
      {
        name: 'beta',
        listen: [{ kind: 'tcp', host: '127.0.0.1', port: 22122 }],
        keyspaces: [
          {
            prefix: '',
            pool: 'beta',
            mode: 'sharded',
            placement: { kind: 'modula', hash: 'fnv1a_64', hashTag: '{}' },
            multiKeyWrites: 'split',
          },
        ],
      },
    ],
  );
  t.same(
    config.pools.map(({ nodes }) => nodes.map(({ name, weight }) => [name, weight])),
    [
      [['127.0.0.1:6379', 1]],
      [
        ['server1', 1],
        ['server2', 2],
      ],
    ],
  );
  t.same(
    config.pools.map(({ limits }) => [limits.requestTimeoutMs, limits.connectTimeoutMs]),
    [
      [DEFAULT_LIMITS.requestTimeoutMs, DEFAULT_LIMITS.connectTimeoutMs],
      [400, 400],
    ],
  );
});

t.test('what is not given is what nutcracker takes then', async (t) => {
  const [keyspace] = configOf(pool()).keyspaces;
  t.same(keyspace?.placement, { kind: 'ketama', hash: 'fnv1a_64', hashTag: null });
});

t.test('servers have the names by which nutcracker hashes them', async (t) => {
  const config = configOf(
    pool(`servers:
    - 10.0.0.1:6379:1
    - 10.0.0.2:11211:1
    - cache.example.org:11211:2
    - /run/redis.sock:3
    - ::1:6379:4
    - 10.0.0.3:06380:1
    - 10.0.0.4:6379:100000 cache#1;(x)=2`),
  );
  t.same(
    config.pools[0]?.nodes.map(({ name, weight, address }) => [name, weight, address]),
    [
      ['10.0.0.1:6379', 1, { kind: 'tcp', host: '10.0.0.1', port: 6379 }],
      ['10.0.0.2', 1, { kind: 'tcp', host: '10.0.0.2', port: 11211 }],
      ['cache.example.org', 2, { kind: 'tcp', host: 'cache.example.org', port: 11211 }],
      ['/run/redis.sock:', 3, { kind: 'unix', path: '/run/redis.sock' }],
      ['::1:6379', 4, { kind: 'tcp', host: '::1', port: 6379 }],
      ['10.0.0.3:06380', 1, { kind: 'tcp', host: '10.0.0.3', port: 6380 }],
      ['cache#1;(x)=2', 100000, { kind: 'tcp', host: '10.0.0.4', port: 6379 }],
    ],
  );
});

t.test('a pool listens where it did', async (t) => {
  const listenOf = (text: string) => configOf(pool(`listen: ${text}`)).services[0]?.listen[0];
  t.same(listenOf('0.0.0.0:22121'), { kind: 'tcp', host: '0.0.0.0', port: 22121 });
  t.same(listenOf('::1:22121'), { kind: 'tcp', host: '::1', port: 22121 });
  t.same(listenOf('localhost:22121'), { kind: 'tcp', host: '127.0.0.1', port: 22121 });
  t.same(listenOf('/run/nutcracker.sock'), { kind: 'unix', path: '/run/nutcracker.sock' });
  t.same(listenOf('/run/nutcracker.sock 0666'), { kind: 'unix', path: '/run/nutcracker.sock' });
  t.match(yamlOf(pool('listen: /run/x 0666')), /# listen: the permissions 0666 .* dropped/);
  t.match(yamlOf(pool('listen: localhost:22121')), /# listen: localhost is taken for 127\.0\.0\.1/);
});

t.test('a password is for the nodes and for the clients, whatever its characters', async (t) => {
  for (const password of ['foobar', '007', 'p@ss:w/rd%§ #1', '{x}', '"', '${HOME}', '$${']) {
    const text = pool(`redis_auth: ${JSON.stringify(password)}`, 'servers:\n    - h:1:1\n    - /run/r.sock:1');
    t.same(
      configOf(text).pools[0]?.nodes.map((node) => node.password),
      [password, password],
    );
    t.same(configOf(text).auth, { mode: 'password', user: 'default', passwordDigests: [passwordDigest(password)] });
  }
  t.same(configOf(pool()).auth, { mode: 'none' });
  t.equal(configOf(pool('redis_auth: 0012')).pools[0]?.nodes[0]?.password, '0012', 'also one that looks like a number');
});

t.test('a pool that everybody could reach can be reached by everybody still, and it is said', async (t) => {
  const open = pool('listen: 0.0.0.0:22121');
  t.equal(configOf(open).protectedMode, false);
  t.match(yamlOf(open), /# nutcracker asks nobody for a password/);
  t.equal(configOf(pool()).protectedMode, true);
  t.equal(configOf(pool('listen: 0.0.0.0:22121', 'redis_auth: foobar')).protectedMode, true);
});

t.test('every option that is dropped is named with the reason', async (t) => {
  const dropped = {
    auto_eject_hosts: 'true',
    server_retry_timeout: '2000',
    server_failure_limit: '1',
    server_connections: '4',
    preconnect: 'true',
    tcpkeepalive: 'true',
    backlog: '1024',
    reuseport: 'true',
    client_connections: '7',
  };
  const yaml = yamlOf(pool(...Object.entries(dropped).map(([key, value]) => `${key}: ${value}`)));
  for (const [key, value] of Object.entries(dropped)) {
    t.match(yaml, new RegExp(`^  # ${key}: ${value} is dropped: .{10,}\\.$`, 'm'));
  }
  t.match(yaml, /# timeout: nutcracker waits for ever/);
});

t.test('each pool keeps its timeout', async (t) => {
  const two = `${pool('timeout: 400')}${pool('timeout: 20000', 'listen: 127.0.0.1:2').replace('alpha', 'beta')}`;
  const { limits, pools } = configOf(two);
  t.same(
    pools.map(({ limits }) => [limits.requestTimeoutMs, limits.connectTimeoutMs, limits.stallTimeoutMs]),
    [
      [400, 400, 10_000],
      [20_000, 20_000, 20_000],
    ],
  );
  t.same(limits, DEFAULT_LIMITS);
  t.equal(configOf(pool('timeout: 999999999')).pools[0]?.limits.requestTimeoutMs, 86_400_000);
  t.equal(configOf(pool('timeout: 0')).pools[0]?.limits.requestTimeoutMs, DEFAULT_LIMITS.requestTimeoutMs);
});

t.test('names that YAML or we would read otherwise are quoted or changed', async (t) => {
  for (const name of ['true', '123', 'null', 'a-b.c_d']) {
    t.equal(configOf(pool().replace('alpha', `"${name}"`)).services[0]?.name, name);
  }
  const changed = pool().replace('alpha', '"my pool/é"');
  t.equal(configOf(changed).services[0]?.name, 'my-pool--');
  t.match(yamlOf(changed), '# Its name was "my pool/é".');
});

/** A file, and what is said of it. */
const REFUSED: [string, ...RegExp[]][] = [
  ['', /^1:1: expected pools of nutcracker/],
  ['- a', /^1:1: expected pools/],
  ['{}', /^1:1: expected pools/],
  ['a: b: c', /^1:4: a second ": " in one value/],
  ['alpha: s3cret', /^1:8: alpha: expected the options of a pool, found a text/],
  ['alpha: [s3cret]', /^1:8: alpha: expected the options of a pool, found a list/],
  [
    pool('distribution: random'),
    /^2:17: alpha.distribution: random sends each request to any server, .* ketama or modula/,
  ],
  [pool('distribution: ketma'), /expected ketama \| modula, found "ketma"; did you mean ketama\?/],
  [pool('hash: md4'), /^2:9: alpha.hash: expected one_at_a_time \| .*, found "md4"; did you mean md5\?/],
  [pool('hash_tag: "{"'), /^2:13: alpha.hash_tag: expected two ASCII characters, found "\{"/],
  [pool('hash_tag: "éé"'), /expected two ASCII characters/],
  [pool('redis: false'), /^2:10: alpha.redis: this pool speaks memcached/],
  [pool('redis: yes'), /alpha.redis: expected true or false, found "yes"/],
  ['alpha:\n  listen: 127.0.0.1:1\n  servers: [127.0.0.1:2:1]', /^2:3: alpha.redis: this pool speaks memcached/],
  [pool('redis_db: 3'), /^2:13: alpha.redis_db: only database 0 is supported/],
  [pool('redis_db: x'), /alpha.redis_db: expected a number, found "x"/],
  [pool('redis_auth: { s3cret: 1 }'), /alpha.redis_auth: expected a text, found a map/],
  [pool(`redis_auth: ${'s3cret'.repeat(100)}`), /expected a password of at most 512 characters, found a longer one/],
  [
    `${pool('redis_auth: s3cret')}${pool('listen: 127.0.0.1:2').replace('alpha', 'beta')}`,
    /beta.redis_auth: another password, or none, than the pool before: .* a proxy for each/,
  ],
  [pool('redis_auth:'), /alpha.redis_auth: expected a text, found nothing/],
  [pool('timeout: 4s'), /^2:12: alpha.timeout: expected a number, found "4s"/],
  [pool('preconnect: 1'), /alpha.preconnect: expected true or false, found "1"/],
  [
    pool('auto_eject_host: true'),
    /^2:3: alpha: nutcracker has no option "auto_eject_host"; did you mean auto_eject_hosts/,
  ],
  [pool('constructor: true'), /nutcracker has no option "constructor"/],
  [pool('listen: 22121'), /^2:11: alpha.listen: expected host:port or \/path, found another form/],
  [pool('listen: cache.example.org:22121'), /found a host name: write the IP address/],
  [pool('listen: 127.0.0.1:70000'), /found a port outside 1 to 65535/],
  [pool('listen: /run/x rw'), /found permissions that are no octal number/],
  [pool(`listen: /${'x'.repeat(200)}`), /found a unix socket's path of 201 bytes/],
  ['alpha:\n  redis: true\n  servers:\n    - h:1:1', /^2:3: alpha.listen: is missing/],
  ['alpha:\n  redis: true\n  listen: 127.0.0.1:1', /^2:3: alpha.servers: expected a list of servers, found nothing/],
  [pool('servers: []'), /^2:12: alpha.servers: expected a list of servers, found none/],
  [
    pool('servers:\n    - 127.0.0.1:6379'),
    /^3:7: alpha.servers\[0\]: expected host:port:weight or .*, found another form/,
  ],
  [pool('servers:\n    - 127.0.0.1:6379:0'), /found a weight outside 1 to 16777216/],
  [pool('servers:\n    - 127.0.0.1:0:1'), /found a port outside 1 to 65535/],
  [pool('servers:\n    - 127.0.0.1:6379:1  a'), /found another form/],
  [pool('servers:\n    - 127.0.0.1:6379:1 é'), /its keys follow its name, which must be a name of 1 to 128 ASCII/],
  [pool('servers:\n    - [a]'), /expected host:port:weight or .*, found a list/],
  [pool('servers:\n    - h_ö:6379:1 a'), /its address cannot be taken over: a host that cannot be one/],
  [
    pool('servers:\n    - h:1:1 a\n    - h:2:1 a\n    - h:1:1 b'),
    /^4:7: alpha.servers\[1\]: another server of this pool has the name a too/,
    /^5:7: alpha.servers\[2\]: another server of this pool has the address h:1 too/,
  ],
  [pool('servers:\n    - h:1:16777216\n    - h:2:1'), /the weights add up to 16777217, above 16777216/],
  [`${pool()}${pool().replace('alpha', 'beta')}`, /^7:11: beta.listen: alpha listens on 127.0.0.1:22121 too/],
  [
    `${pool().replace('alpha', '"a b"')}${pool('listen: 127.0.0.1:2').replace('alpha', '"a/b"')}`,
    /a\/b: its name is too like a b: both would be a-b/,
  ],
  [
    pool('hash: x', 'distribution: random', 'redis: false'),
    /^2:9: alpha.hash/,
    /^3:17: alpha.distribution/,
    /^4:10: alpha.redis/,
  ],
];

for (const [text, ...expected] of REFUSED) {
  t.test(`what cannot be taken over of ${JSON.stringify(text)} is said with its place`, async (t) => {
    const problems = problemsOf(text);
    t.equal(problems.length, expected.length, problems.join('\n'));
    for (const [index, problem] of expected.entries()) t.match(problems[index], problem);
    t.notMatch(problems.join('\n'), 's3cret');
  });
}

const program = await findNutcracker();
const skip = 'reason' in program ? program.reason : false;

t.test('keys lie where the imported configuration of a running nutcracker says', { skip }, async (t) => {
  if ('reason' in program) return;
  const servers = await startRedisServers(3);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  const [a, b, c] = servers.map(({ name }) => name);
  const lines = [`${a}:1`, `${servers[1]?.socketPath}:2`, `${c}:5 a-name`];
  const nutcracker = await Nutcracker.start(program, [
    { distribution: 'ketama', hash: 'murmur', hashTag: '{}', servers: lines },
    { distribution: 'modula', hash: 'hsieh', servers: lines.toReversed() },
  ]);
  t.teardown(() => nutcracker.stop());
  const config = configOf(nutcracker.configText);
  const keys = sampleKeys(
    randomFromSeed((text) => t.comment(text)),
    3_000,
  );
  for (const [index, { keyspaces, listen }] of config.services.entries()) {
    t.match(listen[0], { kind: 'tcp', host: '127.0.0.1' });
    const nodes = config.pools[index]?.nodes ?? [];
    t.equal(nodes.length, 3);
    const homes = nodes.map(({ address }) => {
      return servers.findIndex(({ port }) => address.kind === 'tcp' && address.port === port);
    });
    // The one that is reached by its socket.
    const server = homes.map((home) => (home === -1 ? 1 : home));
    const rule = keyspaces[0]?.placement ?? { kind: 'slots', colocate: [] };
    const placement = openPlacement(planPlacement(nodes, rule));
    const places = await nutcracker.place(index, keys, servers);
    const wrong = keys.filter((key, i) => server[placement.nodeOf(key, 0, key.length)] !== places[i]);
    t.equal(wrong.length, 0, `${rule.kind}: ${b} by its socket`);
  }
});

t.test('a value or a name that has swallowed another line does not give away what that said', async (t) => {
  const pool = (lines: string) => `alpha:\n  listen: 127.0.0.1:22121\n${lines}`;
  const servers = '  servers:\n  - 127.0.0.1:6379:1\n';
  const texts: [string, RegExp][] = [
    [`  redis: true\n   redis_as3cret\n${servers}`, /redis: expected true or false, found "true" and more behind it/],
    [
      `  redis: true\n  servers: none\n   redis_as3cret\n`,
      /servers: expected a list of servers, found "none" and more/,
    ],
    [`  redis: true\n  redis_as3cret hash: md5\n${servers}`, /nutcracker has no option with a blank in its name/],
  ];
  for (const [lines, words] of texts) {
    const result = importNutcracker(pool(lines));
    const problems = 'problems' in result ? result.problems.map((problem) => problem.text) : [];
    t.match(problems[0], words);
    t.notMatch(problems.join(), /s3cret/);
  }
});
