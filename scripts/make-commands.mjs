/**
 * Writes what is derived from Redis's own description of its commands:
 *
 *     node scripts/make-commands.mjs data --server 127.0.0.1:6379    src/resp/command-data.ts, from a live Redis 7.0
 *     npx tsc && node scripts/make-commands.mjs docs                  docs/COMMANDS.md, from the compiled command table
 *
 * With `--check` nothing is written: the exit code is 1 when the file differs from what would be written. `--dist DIR`
 * names the folder of the compiled project (default: dist); `--server` may be the path of a unix socket.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { putDerived } from './derived-file.mjs';
import { ROOT } from './root.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    server: { type: 'string', default: '127.0.0.1:6379' },
    dist: { type: 'string', default: resolve(ROOT, 'dist') },
    check: { type: 'boolean', default: false },
  },
});

switch (positionals[0]) {
  case 'data':
    putDerived('src/resp/command-data.ts', await commandData(values.server), values.check);
    break;
  case 'docs':
    putDerived('docs/COMMANDS.md', await commandDocs(values.dist), values.check);
    break;
  default:
    console.error('usage: make-commands.mjs data --server HOST:PORT|PATH | docs [--dist DIR]   [--check]');
    process.exitCode = 2;
}

/** The text of src/resp/command-data.ts. One line a command, sorted by name: the server's own order is random. */
async function commandData(server) {
  const [host, port] = server.split(/:(?=\d+$)/);
  const address = port === undefined ? { path: server } : { host, port: Number(port) };
  const redis = new Redis({ ...address, lazyConnect: true, retryStrategy: null });
  try {
    await redis.connect();
    const version = /^redis_version:(7\.0)\.\d+/m.exec(await redis.call('INFO', 'server'))?.[1];
    if (version === undefined) throw new Error(`The table is made from Redis 7.0; ${server} runs another version.`);
    const commands = await redis.call('COMMAND');
    const docs = fields(await redis.call('COMMAND', 'DOCS'));
    const lines = commands.flatMap((command) => {
      const doc = fields(docs[command[0]]);
      const subdocs = fields(doc.subcommands ?? []);
      return [
        dataLine(command, doc),
        ...command[9].map((sub) => dataLine(sub, { group: doc.group, ...fields(subdocs[sub[0]]) })),
      ];
    });
    lines.sort((a, b) => (a < b ? -1 : 1));
    return `/**
 * Every command and subcommand of Redis ${version}, as the server describes them. Made by scripts/make-commands.mjs: do not edit.
 *
 * One line a command, its columns between semicolons: name; arity; flags; ACL categories; first, last and step of its keys
 * (of COMMAND); key specifications, separated by commas; tips; group; since. Read by commands.ts.
 */
export const COMMAND_DATA = \`
${lines.join('\n')}
\`;
`;
  } finally {
    redis.disconnect();
  }
}

/** RESP2 gives maps as flat lists. */
function fields(list) {
  const object = {};
  for (let i = 0; i < list.length; i += 2) object[list[i]] = list[i + 1];
  return object;
}

function dataLine(command, doc) {
  const [name, arity, flags, first, last, step, categories, tips, specs] = command;
  const columns = [
    name,
    arity,
    [...flags].sort().join(' '),
    categories
      .map((category) => category.slice(1))
      .sort()
      .join(' '),
    first === 0 ? '' : `${first} ${last} ${step}`,
    specs.map(specWords).join(', '),
    tips.join(' '),
    doc.group,
    doc.since,
  ];
  return columns.join('; ').replaceAll(/; (?=;)/g, ';');
}

/** `index 1 range 0 1 0 RO access`: where the search begins, how keys follow, and what is done with them. */
function specWords(list) {
  const { flags, begin_search, find_keys } = fields(list);
  const begin = fields(begin_search);
  const find = fields(find_keys);
  return [
    begin.type,
    ...Object.values(fields(begin.spec)),
    find.type,
    ...Object.values(fields(find.spec)),
    ...flags,
  ].join(' ');
}

/** The text of docs/COMMANDS.md, a table a group. */
async function commandDocs(dist) {
  const { COMMANDS } = await import(pathToFileURL(resolve(dist, 'src/resp/commands.js')).href);
  // A container without a meaning of its own (CLIENT) is told by its subcommands.
  const told = COMMANDS.filter((spec) => spec.subcommands === null || spec.route !== 'reject');
  const redis = told.filter((spec) => spec.route !== 'lock' && spec.route !== 'fenced');
  const groups = [...new Set(told.map((spec) => spec.group))].sort();
  const served = redis.filter((spec) => spec.route !== 'reject').length;
  const sections = groups.map((group) => {
    const rows = told.filter((spec) => spec.group === group).map(docsRow);
    return `## ${group}\n\n| command | since | through the proxy |\n| --- | --- | --- |\n${rows.join('\n')}\n`;
  });
  return `# Commands

<!-- Made by scripts/make-commands.mjs from src/resp/command-routes.ts: do not edit. -->

What the proxy does with each command of Redis 7.0 today: it serves ${served} of ${redis.length} commands and subcommands, and
answers the others with an error that says why. The group \`lock\` is the proxy's own (docs/LOCKS.md); its \`since\` counts the proxy's versions.

- A *shard* is the node that owns a key's slot: the CRC16 of the key, or of its \`{hash tag}\`, as in Redis Cluster.
- Keys of one command must lie on one shard, else the answer is \`-CROSSSLOT\` and names two of them; keys with the same hash
  tag always do. *Split* commands are the exception: they are cut into one command a shard and their replies are merged.
- Scripts and functions are run where their keys are. A key that a script makes up itself is looked for on that shard only.
- Of *replicated* keys each is agreed upon by its nodes, whatever the table says of shards: a command has one of them, split commands are carried
  out key by key, and some are refused there (MIGRATE, MOVE, COPY and RENAME to another key): docs/CONSISTENCY.md.
- What is not known to Redis 7.0 is answered as Redis does: \`-ERR unknown command …\`.

${sections.join('\n')}`;
}

function docsRow(spec) {
  return `| ${spec.name.toUpperCase().replace('|', ' ')} | ${spec.since} | ${docsWords(spec)} |`;
}

function docsWords(spec) {
  const remark = spec.remark === '' ? '' : `; ${spec.remark}`;
  switch (spec.route) {
    case 'one':
      return `goes to the shard of its key${spec.keys === 'single' ? '' : 's'}${remark}`;
    case 'split':
      return `split per shard, replies merged${remark}`;
    case 'all':
      return `goes to all shards, replies merged${remark}`;
    case 'scan':
      return `goes to one shard after the other: the cursor says to which${remark}`;
    case 'block':
      return `goes to the shard of its keys, by a connection of the client's own where it may wait for data${remark}`;
    case 'wait':
      return `goes to all shards that the client has written to${remark}`;
    case 'publish':
      return `goes to the shard of its channel${remark}`;
    case 'subscribe':
      return `goes to the shards of its channels, patterns to all${remark}`;
    case 'transaction':
      return `transactions of one shard${remark}`;
    case 'any':
    case 'describe':
      return `goes to any one node: all answer alike${remark}`;
    case 'lock':
      if (spec.name === 'lock.list')
        return `goes to the nodes of all locks, and to the coordination store where it keeps some${remark}`;
      return `goes to the nodes of the lock, or to the coordination store that keeps it${remark}`;
    case 'fenced':
      return `goes to the shard of the keys of the command within it${remark}`;
    case 'local':
    case 'clients':
      return `answered by the proxy${remark}`;
    default:
      return `refused: ${spec.reason.replace(/^ERR .* is not supported by this proxy: /, '').replace(/^ERR /, '')}`;
  }
}
