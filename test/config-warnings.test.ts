/** What `check` warns of: files that are good, and probably not what was meant. */
import t from 'tap';
import { formatWarning, parseConfig } from '../src/config.js';

/** The warnings as `LINE:COLUMN: TEXT`. */
function warningsOf(text: string): string[] {
  const result = parseConfig(text, { workers: 1, environment: { URL: 'redis://s3cret@h:7', PATTERN: 's3cret:{x}' } });
  if ('problems' in result) throw new Error(JSON.stringify(result.problems));
  return result.warnings.map(({ line, column, text }) => `${line}:${column}: ${text}`);
}

const NAMED = 'pools: { main: { nodes: [{ name: a, url: redis://h:1 }] } }';
const TWO = 'pools: { a: { nodes: [{ name: a, url: redis://h:1 }] }, b: { nodes: [{ name: b, url: redis://h:2 }] } }';
const NO_NAME = 'its keys follow host:port, and are not found when that changes';
const ADVICE = 'before it does, give it that as its name: { name: "host:port", url: … }';
const USER = 'a user without a password, who is not logged in; a password alone has a colon before it';
const ALONE = 'no two keys that it fits have the same part in braces, so it puts none together';
const TWICE = 'what counts or lists keys (DBSIZE, SCAN) may meet its keys twice';
const SHARED =
  'so that repairs take a quorum, and where proxies are cut off from each other while a node is repaired, a later write may lose to an earlier one';

function threeNodes(first: number): string {
  const nodes = [0, 1, 2].map((place) => `{ name: n${place}, url: redis://h:${first + place} }`);
  return `{ nodes: [${nodes.join(', ')}] }`;
}

function colocating(...patterns: string[]): string {
  return `${NAMED}\nkeyspaces: [{ prefix: "", pool: main, colocate: ${JSON.stringify(patterns)} }]`;
}

const TABLE: [string, string, string[]][] = [
  ['names for all nodes', NAMED, []],
  [
    'nodes without names: once for a pool',
    'pools: { main: { nodes: [{ name: a, url: redis://h:1 }, redis://h:2, { url: redis://h:3 }] } }',
    [`1:57: pools.main.nodes[1]: without a name (and 1 more of this pool): ${NO_NAME}; ${ADVICE}`],
  ],
  [
    'nodes without names in two pools',
    'pools:\n  a: { nodes: [redis://h:1] }\n  b: { nodes: [redis://h:2] }\nkeyspaces: [{ prefix: "", pool: a }, { prefix: x, pool: b }]',
    [
      `2:16: pools.a.nodes[0]: without a name: ${NO_NAME}; ${ADVICE}`,
      `3:16: pools.b.nodes[0]: without a name: ${NO_NAME}; ${ADVICE}`,
    ],
  ],
  [
    'a pool that no keyspace uses',
    `${TWO}\nkeyspaces: [{ prefix: "", pool: a }]`,
    ['1:60: pools.b: no keyspace uses this pool: nobody reaches its nodes'],
  ],
  [
    'a pool that one of the services uses',
    `${TWO}\nservices:
  - { name: one, listen: 127.0.0.1:1, keyspaces: [{ prefix: "", pool: a }] }
  - { name: two, listen: 127.0.0.1:2, keyspaces: [{ prefix: "", pool: b }] }`,
    [],
  ],
  ['services that all have the only pool', `${NAMED}\nservices: [{ name: one, listen: 127.0.0.1:1 }]`, []],
  [
    'keyspaces that leave keys to none, of one of two services',
    `${TWO}\nservices:
  - { name: one, listen: 127.0.0.1:1, keyspaces: [{ prefix: "", pool: a }, { prefix: "y:", pool: a }] }
  - { name: two, listen: 127.0.0.1:2, keyspaces: [{ prefix: "x:", pool: b }, { prefix: "y:", pool: b }] }`,
    ['4:50: services[1].keyspaces: none has the prefix "": a key that begins with none of these prefixes is refused'],
  ],
  [
    'keys of consistency eventual in a pool of their own, and in one with locks',
    `pools: { a: ${threeNodes(1)}, b: ${threeNodes(4)} }
keyspaces:
  - { prefix: "", pool: a, mode: replicated, consistency: eventual }
  - { prefix: "x:", pool: b, mode: replicated, consistency: eventual }
  - { prefix: "l:", pool: b, mode: lock }`,
    [`4:27: keyspaces[1].pool: pool b has more than keys of consistency eventual, ${SHARED}`],
  ],
  [
    'keys of two levels in one pool',
    `pools: { a: ${threeNodes(1)} }
keyspaces:
  - { prefix: "", pool: a, mode: replicated }
  - { prefix: "x:", pool: a, mode: replicated, consistency: eventual }`,
    [`4:27: keyspaces[1].pool: pool a has more than keys of consistency eventual, ${SHARED}`],
  ],
  ['a single keyspace with a prefix', `${NAMED}\nkeyspaces: [{ prefix: "x:", pool: main }]`, []],
  [
    'one server in two pools',
    `pools:
  a: { nodes: [{ name: a, url: redis://h:1 }, { name: b, url: redis://h:2 }] }
  b: { nodes: [{ name: c, url: redis://h:3 }, { name: b, url: redis://u:s3cret@h:2 }, { name: a, url: redis://h:1 }] }
keyspaces: [{ prefix: "", pool: a }, { prefix: "x:", pool: b }]`,
    [`3:47: pools.b.nodes[1]: this server (and 1 more of this pool) is in pool a, too: ${TWICE}`],
  ],
  [
    'a word before the host that may be a password',
    'pools: { main: { nodes: [{ name: a, url: redis://s3cret@h:1 }, { name: b, url: "unix:s3cret@/path" }] } }',
    [
      `1:42: pools.main.nodes[0].url: ${USER}: redis://:PASSWORD@HOST`,
      `1:80: pools.main.nodes[1].url: ${USER}: unix::PASSWORD@/path`,
    ],
  ],
  [
    'user and password, and a password alone',
    'pools: { main: { nodes: [{ name: a, url: redis://u:s3cret@h:1 }, { name: b, url: "redis://:s3cret@h:2" }] } }',
    [],
  ],
  [
    'what a variable stands for',
    'pools: { main: { nodes: ["${URL}"] } }\nkeyspaces: [{ prefix: "", pool: main, colocate: ["${PATTERN}"] }]',
    [
      `1:26: pools.main.nodes[0]: without a name: ${NO_NAME}; ${ADVICE}`,
      `1:26: pools.main.nodes[0]: ${USER}: redis://:PASSWORD@HOST`,
      `2:50: keyspaces[0].colocate[0]: ${ALONE}; add what differs between them, as in "bull:{queue}:*"`,
    ],
  ],
  [
    'a rule that fits one key for each name',
    colocating('a{b}'),
    [`2:50: keyspaces[0].colocate[0]: ${ALONE}; add what differs between them, as in "bull:{queue}:*"`],
  ],
  [
    'a rule that fits one key, also beside others',
    colocating('{bull}:*', '{bull}'),
    [`2:61: keyspaces[0].colocate[1]: ${ALONE}; add what differs between them, as in "bull:{queue}:*"`],
  ],
  ['a rule that has its name in common with another', colocating('user:{id}', 'user:{id}:*'), []],
  ['rules that put keys together', colocating('{*}:*'), []],
  ['a store of files without a folder for them, that was not asked for', NAMED, []],
  [
    'a store of files without a folder for them',
    `${NAMED}\ncoordination: { lease: 5s }`,
    [
      '2:15: coordination: store file without dataDir is in memory: a restart begins anew; add dataDir: /var/lib/ringleader',
    ],
  ],
  ['a store of files with a folder for them', `${NAMED}\ncoordination: {}\ndataDir: /x`, []],
  [
    'a pool that is for coordination alone',
    'pools: { a: { nodes: [{ name: a, url: redis://h:1 }] }, b: { nodes: [{ name: a, url: redis://i }, { name: b, url: redis://j }, { name: c, url: redis://k }] } }\n' +
      'keyspaces: [{ prefix: "", pool: a }]\ncoordination: { store: redis, pool: b }',
    [],
  ],
];

for (const [what, text, expected] of TABLE) {
  t.test(`what is said of ${what}`, async (t) => {
    t.same(warningsOf(text), expected);
    t.notMatch(warningsOf(text).join('\n'), 's3cret');
  });
}

t.test('a warning is one line, as compilers write it', async (t) => {
  t.equal(formatWarning('x.yml', { line: 2, column: 3, text: 'pools: odd' }), 'x.yml:2:3: warning: pools: odd');
});
