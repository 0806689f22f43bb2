/** What is made of the configuration's schema: the examples, the documentation, and the JSON Schema for editors. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';
import t from 'tap';
import { parse } from 'yaml';
import { DEFAULT_LIMITS, DEFAULT_NODE_LIMITS } from '../src/base/limits.js';
import { knownMaps } from '../src/base/schema-problem.js';
import { type Config, FILE, parseConfig } from '../src/config.js';

const MINIMAL = readFileSync('conf/minimal.yaml', 'utf8');
const FULL = readFileSync('conf/full.yaml', 'utf8');
const BULLMQ = readFileSync('conf/bullmq.yaml', 'utf8');
const FLEET = readFileSync('conf/fleet.yaml', 'utf8');

function configOf(text: string): Config {
  const result = parseConfig(text, { workers: 3, environment: {} });
  if ('config' in result) return result.config;
  throw new Error(JSON.stringify(result.problems, null, 1));
}

/** The full example with its other half: services in place of listen and keyspaces, and auth as a map, of a password or of users. */
function otherHalf(auth: 'password' | 'users' = 'password'): string {
  const maps = FULL.match(/^#auth:\n(?:#.*\n)*/gm) ?? [];
  const enabled = FULL.replace(maps[auth === 'users' ? 0 : 1] as string, '').replaceAll(
    /^#\w+:\n(?:#.*\n)*/gm,
    (block) => block.replaceAll(/^#/gm, ''),
  );
  return enabled
    .replace(/^auth: none$/m, '')
    .replace(/^(listen|announce): .*$/gm, '')
    .replace(/^keyspaces:\n(?: .*\n)*/m, '')
    .replace(/^coordination:\n(?: .*\n)*/m, '');
}

/** The example of a fleet with each other store. */
function otherFleets(): string[] {
  const blocks = FLEET.match(/^#coordination:\n(?:#.*\n)*/gm) ?? [];
  const alone = FLEET.replace(/^ {2}# What the fleet agrees on[\s\S]*?(?=^keyspaces:)/m, '');
  return blocks.map((block) => alone.replace(/^coordination:\n(?: .*\n)*/m, block.replaceAll(/^#/gm, '')));
}

/** `pools.*.nodes.*.url` for each key that a map of the schema knows and that `value` has. */
function keysIn(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => keysIn(item, `${path}.*`));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const place = path === 'pools' ? 'pools.*' : `${path}${path === '' ? '' : '.'}${key}`;
    return [...(path === 'pools' ? [] : [place]), ...keysIn(inner, place)];
  });
}

t.test('the files are what the schema says', async (t) => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/make-config.mjs', '--check'], { encoding: 'utf8' });
  t.equal(status, 0, `make them anew with npm run generate\n${stderr}`);
});

t.test('the least and the fullest configuration are good, in both its halves', async (t) => {
  t.equal(configOf(MINIMAL).pools[0]?.nodes.length, 3);
  t.equal(configOf(FULL).keyspaces.length, 5);
  const other = configOf(otherHalf());
  t.equal(other.services[0]?.keyspaces.length, 2);
  t.equal(other.auth.mode, 'password');
  t.equal(configOf(otherHalf('users')).auth.mode, 'users');
});

t.test('no example is warned of', async (t) => {
  for (const text of [MINIMAL, FULL, BULLMQ, otherHalf(), otherHalf('users'), FLEET, ...otherFleets()]) {
    t.match(parseConfig(text, { workers: 3, environment: {} }), { warnings: [] });
  }
});

t.test('the example of a fleet has one for each store', async (t) => {
  t.same(
    [FLEET, ...otherFleets()].map((text) => configOf(text).coordination.store),
    ['redis', 'etcd', 'zookeeper'],
  );
  for (const text of otherFleets()) t.same(configOf(text).pools.length, 1);
});

t.test('the full example has every key, and no other', async (t) => {
  const known = knownMaps(FILE).flatMap(({ path, keys }) => keys.map((key) => (path === '' ? key : `${path}.${key}`)));
  const written = new Set([
    ...keysIn(parse(FULL)),
    ...keysIn(parse(otherHalf())),
    ...keysIn(parse(otherHalf('users'))),
  ]);
  // A keyspace of a service is one of the file's.
  const expected = known.filter((key) => !key.startsWith('services.*.keyspaces.*.'));
  const found = [...written].filter((key) => !key.startsWith('services.*.keyspaces.*.'));
  t.same(found.sort(), expected.sort());
  t.ok(expected.length > 60, `${expected.length} keys`);
});

t.test('every default that is stated is the real one', async (t) => {
  const full = configOf(FULL);
  const least = configOf(MINIMAL);
  t.same(full.limits, DEFAULT_LIMITS);
  t.same(full.pools[0]?.limits, DEFAULT_NODE_LIMITS);
  for (const key of ['listen', 'transport', 'auth', 'protectedMode', 'log', 'drainTimeoutMs'] as const) {
    t.same(full[key], least[key], key);
  }
  const bare = configOf(
    'pools: { a: { nodes: [redis://h] }, b: { nodes: [redis://i] }, c: { nodes: [redis://j, redis://k, redis://l] } }\n' +
      'keyspaces: [{ prefix: "", pool: a }, { prefix: "b:", pool: b, placement: ketama }, { prefix: "c:", pool: c, mode: replicated }, { prefix: "d:", pool: c, mode: lock }, ' +
      '{ prefix: "e:", pool: c, mode: replicated, consistency: quorum }]',
  ).keyspaces;
  t.equal(full.pools[0]?.nodes[0]?.weight, 1);
  t.equal(full.pools[2]?.restart, full.pools[0]?.restart);
  const [replicated, bareReplicated] = [full.keyspaces[2], bare[2]];
  t.same({ ...replicated, prefix: 'c:', pool: 'c' }, bareReplicated);
  t.same({ ...full.keyspaces[3], prefix: 'd:', pool: 'c' }, bare[3]);
  t.same({ ...full.keyspaces[4], prefix: 'e:', pool: 'c' }, bare[4]);
  t.same(
    full.keyspaces.map(({ mode, multiKeyWrites, placement }) => [mode, multiKeyWrites, placement.kind]),
    bare.map(({ mode, multiKeyWrites, placement }) => [mode, multiKeyWrites, placement.kind]),
  );
  const hashes = [full, { keyspaces: bare }].map(({ keyspaces }) => keyspaces[1]?.placement);
  t.match(hashes[0], { hash: (hashes[1] as { hash: string }).hash });
  const { store: _store, ...rest } = configOf(
    'pools: { a: { nodes: [redis://h] } }\ncoordination: { member: a }',
  ).coordination;
  t.match(full.coordination, rest);
  const named = configOf('pools: { a: { nodes: [redis://h] } }\nauth: { password: x }').auth;
  t.match(configOf(otherHalf()).auth, { user: (named as { user: string }).user });
});

const validate: ValidateFunction = new Ajv({ allErrors: true, strict: true, allowUnionTypes: true }).compile(
  JSON.parse(readFileSync('conf/ringleader.schema.json', 'utf8')),
);

t.test('an editor takes what the proxy takes', async (t) => {
  const good = [
    MINIMAL,
    FULL,
    BULLMQ,
    otherHalf(),
    otherHalf('users'),
    FLEET,
    ...otherFleets(),
    'pools: { main: { nodes: [{ url: "unix:/run/redis.sock", weight: "3" }] } }\nlisten: ["[::1]:1", "unix:/x"]',
    'pools: { main: { nodes: ["${URL}"] } }\nworkers: ${WORKERS:-2}\nlimits: { idleTimeoutMs: "1.5 h", bulkBytesMax: 64MB }',
    'pools: { main: { nodes: [redis://h] } }\nauth: { password: ["new", "old"] }\nprotectedMode: "${OPEN:-no}"',
    'pools: { main: { nodes: [redis://h] } }\ncoordination: { store: zookeeper, endpoints: [h], tls: {}, lease: 5s }',
  ];
  const environment = { URL: 'redis://h', WORKERS: '1' };
  for (const text of good) {
    t.ok('config' in parseConfig(text, { workers: 1, environment }), text);
    t.ok(validate(parse(text)), `${JSON.stringify(validate.errors)}\n${text}`);
  }
});

/** Files that people get wrong, of those that are YAML. */
function mistakes(): unknown[] {
  const blocks = readFileSync('test/golden/config-mistakes.txt', 'utf8')
    .split(/^=== ?.*\n/m)
    .slice(1);
  const texts = blocks
    .map((block) => block.split(/^--- says:$/m)[0] as string)
    .filter((text) => !/\\$|\\u|\\t/m.test(text));
  return texts.flatMap((text) => {
    try {
      return [parse(text, { logLevel: 'silent' }) as unknown];
    } catch {
      return [];
    }
  });
}

t.test(
  'an editor sees keys that are unknown or missing, and maps, lists and values in place of each other',
  async (t) => {
    let seen = 0;
    for (const value of mistakes()) {
      const issues = FILE.safeParse(value).error?.issues ?? [];
      if (!issues.some(({ code }) => code === 'unrecognized_keys' || code === 'invalid_type')) continue;
      seen++;
      t.notOk(validate(value), JSON.stringify(value));
    }
    t.ok(seen > 60, `${seen} of them`);
  },
);

t.test('an editor sees most values that do not fit', async (t) => {
  const values = mistakes().filter((value) =>
    FILE.safeParse(value).error?.issues.every(({ code }) => code === 'custom'),
  );
  const missed = values.filter((value) => validate(value));
  t.ok(values.length > 60, `${values.length} of them`);
  t.ok(missed.length < values.length / 4, JSON.stringify(missed, null, 1));
});
