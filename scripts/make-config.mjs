/**
 * Writes what is derived from the configuration's schema (src/config.ts and the sections that it is made of):
 *
 *     npx tsc && node scripts/make-config.mjs     conf/full.yaml, conf/ringleader.schema.json, docs/CONFIGURATION.md
 *
 * With `--check` nothing is written: the exit code is 1 when a file differs from what would be written. `--dist DIR` names
 * the folder of the compiled project (default: dist).
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { z } from 'zod';
import { putDerived } from './derived-file.mjs';
import { ROOT } from './root.mjs';

const { values } = parseArgs({
  options: { dist: { type: 'string', default: resolve(ROOT, 'dist') }, check: { type: 'boolean', default: false } },
});

const load = (path) => import(pathToFileURL(resolve(values.dist, 'src', path)).href);
const [{ FILE }, { AUTH_MAP }] = await Promise.all([load('config.js'), load('acl/auth-section.js')]);

/** JSON Schema, with what is said of each key beside it: `stated`, `example`, `expected`, and `shortForm` for a map or a list. */
const schema = jsonSchema(FILE);
schema.properties.auth = {
  ...schema.properties.auth,
  ...jsonSchema(AUTH_MAP),
  shortForm: { enum: ['none', 'passthrough'] },
};
delete schema.properties.auth.$schema;

putDerived(
  'conf/ringleader.schema.json',
  `${JSON.stringify({ title: 'Ringleader', ...forEditors(schema) }, null, 2)}\n`,
  values.check,
);
putDerived('conf/full.yaml', fullExample(), values.check);
putDerived('docs/CONFIGURATION.md', docs(), values.check);

function jsonSchema(type) {
  return z.toJSONSchema(type, { io: 'input', unrepresentable: 'any', target: 'draft-7' });
}

/** The same in words that JSON Schema knows. */
function forEditors(node) {
  if (typeof node !== 'object' || node === null) return node;
  if (Array.isArray(node)) return node.map(forEditors);
  const { stated, example, expected, shortForm, description, ...rest } = node;
  const inner = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, forEditors(value)]));
  const words = [description, expected && `Expected: ${expected}.`].filter((text) => text !== undefined).join('\n\n');
  return {
    ...(words === '' ? {} : { description: words }),
    ...(stated === undefined ? {} : { default: stated }),
    ...(example === undefined ? {} : { examples: [parse(example)] }),
    ...(shortForm === undefined ? inner : { anyOf: [forEditors(shortForm), inner] }),
  };
}

/** Every key with what it is, its values, and its default, or an example where it has none. */
function fullExample() {
  const { listen, announce, admin, workers, transport, auth, protectedMode, pools, ...more } = schema.properties;
  const { keyspaces, services, limits, log, coordination, ...last } = more;
  const pool = pools.additionalProperties.properties;
  const node = pool.nodes.items.properties;
  const keyspace = keyspaces.items.properties;
  const { hash, hashTag, copies, consistency, tombstoneTtl, provider, ttlMaxMs, fenceTtl, ...others } = keyspace;
  const { readQuorum, writeQuorum, readModifyWrite, ...bySlots } = others;
  const values = { placement: 'ketama', hash, hashTag };
  const { users, ...ofPassword } = auth.properties;
  const { store, cluster, member, lease, pool: agreeing, tls, ...server } = coordination.properties;
  return [
    '# yaml-language-server: $schema=./ringleader.schema.json',
    ...comment(
      'Every key of the configuration, with its default; where it has none, with an example. Only pools is needed: minimal.yaml. ' +
        'Made by scripts/make-config.mjs from the schema in src/: do not edit, but copy what you need.',
    ),
    '',
    ...entries({ listen, announce, admin, workers, transport, auth, protectedMode }),
    ...comment('In full:'),
    '#auth:',
    ...entries(ofPassword, '  ').map(disabled),
    '',
    ...comment('With users:'),
    '#auth:',
    ...entries({ users }, '  ').map(disabled),
    '',
    ...comment(pools.description),
    'pools:',
    '  main:',
    ...comment(pool.nodes.description, '    '),
    '    nodes:',
    ...item(entries(node, '        ')),
    '      - { name: b, url: "redis://127.0.0.1:7002" }',
    ...comment(pool.limits.description, '    '),
    '    limits:',
    ...Object.entries(pool.limits.properties).map(([key, { stated }]) => `      ${key}: ${stated}`),
    '  legacy:',
    '    nodes: [{ name: legacy-1, url: "redis://127.0.0.1:7003" }]',
    '  accounts:',
    '    nodes: ["redis://127.0.0.1:7004", "redis://127.0.0.1:7005", "redis://127.0.0.1:7006"]',
    ...entries({ restart: pool.restart }, '    '),
    '',
    ...comment(keyspaces.description),
    'keyspaces:',
    ...item(entries(bySlots, '    ')),
    '  - prefix: "legacy:"',
    '    pool: legacy',
    ...entries({ placement: { stated: values.placement }, hash: values.hash, hashTag: values.hashTag }, '    '),
    '  - prefix: "acct:"',
    '    pool: accounts',
    ...entries({ mode: { stated: 'replicated' }, copies, consistency, tombstoneTtl }, '    '),
    '  - prefix: "lock:"',
    '    pool: accounts',
    ...entries({ mode: { stated: 'lock' }, provider, ttlMaxMs, fenceTtl }, '    '),
    '  - prefix: "cart:"',
    '    pool: accounts',
    ...entries({ mode: { stated: 'replicated' }, consistency: { stated: 'quorum' } }, '    '),
    ...entries({ readQuorum, writeQuorum, readModifyWrite }, '    '),
    '',
    ...comment(services.description),
    '#services:',
    ...item(entries({ ...services.items.properties, keyspaces: null }, '    ')).map(disabled),
    ...comment(services.items.properties.keyspaces.description, '    ').map(disabled),
    disabled('    keyspaces: [{ prefix: "", pool: main }, { prefix: "acct:", pool: accounts, mode: replicated }]'),
    '',
    ...comment(limits.description),
    'limits:',
    ...entries(limits.properties, '  '),
    '',
    ...comment(log.description),
    'log:',
    ...entries(log.properties, '  '),
    '',
    ...entries(last),
    ...comment(coordination.description),
    'coordination:',
    ...entries(
      { store: { description: store.description, stated: 'redis' }, pool: agreeing, cluster, member, lease },
      '  ',
    ),
    '',
    ...comment('On etcd, or ZooKeeper:'),
    '#coordination:',
    ...entries({ store: { stated: 'etcd' }, ...server }, '  ').map(disabled),
    ...comment(tls.description, '  ').map(disabled),
    '#  tls:',
    ...entries(tls.properties, '    ').map(disabled),
    '',
  ]
    .join('\n')
    .replaceAll(/\n{3,}/g, '\n\n')
    .replace(/\n+$/, '\n');
}

function entries(properties, indent = '') {
  return Object.entries(properties).flatMap(([key, about]) => {
    if (about === null) return [];
    const { description, expected, stated, example } = about;
    const value = stated ?? example;
    const origin = stated === undefined ? 'No default.' : `Default: ${stated}.`;
    const words = description === undefined ? [] : comment(description, indent);
    const forms = expected === undefined ? [] : comment(`Expected: ${expected}. ${origin}`, indent);
    return [...words, ...forms, `${indent}${key}: ${value}`, ...(indent === '' ? [''] : [])];
  });
}

/** The first key of an item of a list has a - before it. */
function item(lines) {
  const first = lines.findIndex((line) => !line.trimStart().startsWith('#'));
  return lines.map((line, index) => (index === first ? line.replace(/ {2}(?=\S)/, '- ') : line));
}

/** A line that takes part when its first # is taken away. */
function disabled(line) {
  return `#${line}`;
}

function comment(text, indent = '') {
  const width = 120 - indent.length - 2;
  const lines = [''];
  for (const word of text.replaceAll('`', '').split(' ')) {
    const line = lines.at(-1);
    if (line === '') lines[lines.length - 1] = word;
    else if (line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] += ` ${word}`;
  }
  return lines.map((line) => `${indent}# ${line}`);
}

function docs() {
  const { pools, keyspaces, services, limits, log, auth, coordination } = schema.properties;
  const pool = pools.additionalProperties;
  const sections = [
    ['The file', '', schema],
    ['`auth`', auth.description, auth],
    ['`pools.NAME`', pools.description, pool],
    ['`pools.NAME.nodes`, each', pool.properties.nodes.description, pool.properties.nodes.items],
    ['`keyspaces`, each', keyspaces.description, keyspaces.items],
    ['`services`, each', services.description, services.items],
    ['`limits`', limits.description, limits],
    ['`pools.NAME.limits`', pool.properties.limits.description, null],
    ['`log`', log.description, log],
    ['`coordination`', coordination.description, coordination],
    ['`coordination.tls`', coordination.properties.tls.description, coordination.properties.tls],
  ];
  const nodeLimits = Object.keys(pool.properties.limits.properties).map((key) => `\`${key}\``);
  const texts = sections.map(([title, description, section]) => {
    const body = section === null ? `${nodeLimits.join(', ')}: as in \`limits\`.\n` : table(section);
    return `## ${title}\n\n${description === '' ? '' : `${description}\n\n`}${body}`;
  });
  return `# Configuration

<!-- Made by scripts/make-config.mjs from the schema in src/config.ts: do not edit. -->

The proxy is told what to do by one file in YAML (JSON is YAML, too): \`ringleader start --config FILE\`. The least is
[conf/minimal.yaml](../conf/minimal.yaml); [conf/full.yaml](../conf/full.yaml) has every key.

- \`ringleader check --config FILE\` names every mistake with its line, and what to write instead; and warns of what
  is right, but probably not meant.
- \`# yaml-language-server: $schema=…/conf/ringleader.schema.json\` in the first line has editors know the keys.
- \`\${NAME}\` in a value is a variable of the environment as it was at the start, \`\${NAME:-default}\` has a default, \`$\${\` is a plain
  \`\${\`. It is filled in when the YAML has been parsed: nothing in it becomes structure. In braces and brackets it takes quotes.
- SIGHUP has the file read again: a good one holds at once, a bad one is said in the log and the old one stays. What takes a restart
  is said, too. What would have existing keys looked for elsewhere is refused, unless the proxy was started with \`--accept-remap\`.
- Times are milliseconds or have a unit: \`500ms\`, \`2s\`, \`5m\`, \`1h\`. Sizes are bytes or have a unit as in redis.conf: \`1k\` is 1000,
  \`1kb\` is 1024, \`64mb\`, \`1gb\`.

${texts.join('\n')}`;
}

function table({ properties, required = [] }) {
  const rows = Object.entries(properties).map(([key, { description, stated, expected }]) => {
    const fallback = stated !== undefined ? `\`${stated}\`` : required.includes(key) ? '(needed)' : '–';
    const forms = expected === undefined ? 'see below' : expected.replaceAll('|', '\\|');
    return `| \`${key}\` | ${fallback} | ${forms} | ${description.replaceAll('|', '\\|')} |\n`;
  });
  return `| key | default | expected | what it is |\n| --- | --- | --- | --- |\n${rows.join('')}`;
}
