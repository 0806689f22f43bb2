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
  const load = (path) => import(pathToFileURL(resolve(dist, 'src', path)).href);
  const { COMMANDS } = await load('resp/commands.js');
  // A container without a meaning of its own (CLIENT) is told by its subcommands.
  const told = COMMANDS.filter((spec) => spec.subcommands === null || spec.route !== 'reject');
  const { OWN_COMMANDS } = await load('resp/own-commands.js');
  const { responsePolicy } = await load('proxy/response-policy.js');
  const plan = planOf(await load('proxy/shard-plans.js'));
  const own = new Set(OWN_COMMANDS.map(({ name }) => name));
  const redis = told.filter(({ name }) => !own.has(name));
  const groups = [...new Set(told.map((spec) => spec.group))].sort();
  const served = redis.filter((spec) => spec.route !== 'reject').length;
  /** What becomes of the replies of several shards, by the policy that the proxy goes by. */
  const merged = (spec) => {
    const policy = spec.route === 'split' ? responsePolicy(spec.responsePolicy, true) : plan(spec).policy;
    if (policy.inWords === undefined && spec.remark === '')
      throw new Error(`nothing says how the replies to ${spec.name} are merged`);
    return policy.inWords === undefined ? 'replies merged' : `replies merged: ${policy.inWords}`;
  };
  const sections = groups.map((group) => {
    const rows = told.filter((spec) => spec.group === group).map((spec) => docsRow(spec, merged));
    return `## ${group}\n\n| command | since | through the proxy |\n| --- | --- | --- |\n${rows.join('\n')}\n`;
  });
  return `# Commands

<!-- Made by scripts/make-commands.mjs from src/resp/command-routes.ts: do not edit. -->

What the proxy does with each command of Redis 7.0 today: it serves ${served} of ${redis.length} commands and subcommands, and
answers the others with an error that says why. The group \`lock\` and \`RL.CONSISTENCY\` are the proxy's own (docs/LOCKS.md, docs/CONSISTENCY.md); their \`since\` counts the proxy's versions.

- A *shard* is the node that owns a key's slot: the CRC16 of the key, or of its \`{hash tag}\`, as in Redis Cluster.
- Keys of one command must lie on one shard, else the answer is \`-CROSSSLOT\` and names two of them; keys with the same hash
  tag always do. There are two exceptions:
- *Split* commands are cut into one command a shard. Their replies, and those of all shards to what goes to all, become one, as the tables say. An error of one shard is the whole reply,
  and names the shard unless all say the same; but one success is enough for SCRIPT KILL, FUNCTION KILL and INFO. Of a write that some shards have carried out nobody is told that it had no effect.
- *Gathered* commands do nothing with keys of other shards but read them, and write one key at the most. SINTER, SUNION, SDIFF, SINTERCARD and ZINTERCARD are put together by the proxy
  where the keys of each shard are small (128 KB), which takes one round trip (with \`auth: passthrough\` they are copied: nodes are to say whether the user may run them); so is XREAD, of which each shard reads its own streams (one round trip more for more than 128 KB of entries): no node is brought anything for them. Of SORT whose patterns name keys
  each shard is asked once for what these have (one round trip more for more than 128 KB), and the proxy puts plain numbers (\`-3\`, \`12.5\`; up to 15 digits) in order; by ALPHA and other weights the shard of what is sorted sorts a
  list of it by copies of the weights, and the reply must have room in \`gatherBytesMax\`. For all others the values are copied (DUMP) to the shard of the key that is written, or to the one that has most of them; there the command is carried out with them, under their own names, in one
  piece (RESTORE, the command, DEL), so that nobody sees them. What differs from one Redis: the keys of each shard are as they were at one
  moment, but not those of all shards at the same one; that shard's keyspace events, its replicas, its append-only file and clients that track by prefix
  (BCAST) see the copies come and go, and its memory must have room for them (a node that evicts keys may evict some for it); idle times and access counts of keys do not come with
  them. The limits are \`gatherBytesMax\`, \`gatherKeysMax\` and \`gatherWorkerBytesMax\`. Not gathered: what is inside MULTI, with RL.FENCED, or waits for data.
  The user by whom the proxy is known to nodes (with \`auth: passthrough\` the client's own) needs EVAL, MULTI, EXEC, MEMORY USAGE, DUMP, PEXPIRETIME, RESTORE, EXISTS, SET and
  DEL, for SORT whose patterns name keys also SORT_RO, SORT, TYPE, LLEN, SCARD, ZCARD, LRANGE, ZRANGE, SMEMBERS, MGET, HMGET, RPUSH and MSETNX, and keys that begin with ~rl:, of which a client must have none named ~rl:gather or
  ~rl:sorted, or with a name that begins with ~rl:sorted: (with its colon); values cannot be copied to a node of an older version (in a pool of 7.0 and 7.4 that is an error, \`DUMP payload version …\`),
  and nodes older than 7.0, which have no PEXPIRETIME, give none. A write that was begun
  before CLIENT PAUSE waits for its end; one whose key gets another node meanwhile, by a reload, is refused. Elements of a set may come in another order than from one Redis.
- *Statistics* (SLOWLOG, INFO's \`commandstats\`, \`latencystats\` and \`errorstats\`, LATENCY HISTOGRAM) are those that nodes keep of what they were sent, which is not always what clients sent. A gathered command is EVAL on each node that has
  keys of it, with the MEMORY USAGE, DUMP, PEXPIRETIME, XREAD, TYPE … that it calls counted too; where values are copied it is besides, on one node, MULTI, EVAL, the command, EVAL and EXEC, or one EVAL for a write and PFCOUNT, with EXISTS, SET, RESTORE and
  DEL; what the proxy puts together itself is not there under its own name. CONFIG SET is CONFIG GET and CONFIG SET on each node (and another CONFIG SET where it is set back); RANDOMKEY is DBSIZE besides; a split command is one on each shard that has
  keys of it; a transaction has the MULTI and EXEC of its one shard; an EVALSHA whose script a node has not got by that connection yet is EVAL there. The greeting of each connection of the proxy is HELLO, CONFIG GET and what it works by (SELECT, CLIENT …), and it sends PING to nodes that
  are idle. SLOWLOG shows these with the address of the proxy and, of scripts, with the proxy's text. What the proxy itself answers or refuses,
  as an unknown command, is in none of them.
- *Scripts* and functions are run on the shard of the keys that they are given, and see no others. Without keys (\`EVAL … 0\`) they are run on one node that is the same as long as none
  comes or goes, the owner of the empty key (\`ringleader ring --config FILE --key ''\` names it; where no keyspace has it, the first node), and get \`-NODEDOWN\` while that is down: another one would have other keys.
  What was sent to a node before its script had run for \`busy-reply-threshold\` (5 s at the node) waits there up to \`requestTimeoutMs\` (5 s), so that it gets \`-BUSY\`, or the error of a node that did not answer,
  whichever comes first; of a proxy with a longer \`requestTimeoutMs\` always \`-BUSY\`, as of one Redis. A key whose name a script makes up
  is written on the shard where the script runs, where nobody looks for it: KEYS, SCAN, DBSIZE and RANDOMKEY have it, GET and DEL do not find it, unless it happens to lie there; and what gathers a key of that
  name on that shard is refused. To find such keys, connect to each node (\`redis-cli -p PORT --scan\`) and compare with the node that \`ringleader ring --key\` names; delete them there.
  Give scripts all their keys, with one hash tag.
- A script or function that takes longer than \`requestTimeoutMs\` (5 s) is answered \`-UNKNOWN\` (EVAL_RO, FCALL_RO and their like \`-NODEDOWN\`) and goes on at its node. Meanwhile commands for that node are refused; SCRIPT KILL or
  FUNCTION KILL ends it, if it has written nothing.
- *Transactions* have their keys on one shard. Commands for all shards (FLUSHALL, CONFIG SET, DBSIZE, KEYS …) that shard carries out in their place among the others;
  when it has said that EXEC was carried out, the other shards carry them out, before anything that the client sends later, and also where it has gone. EXEC answers what all
  shards say together; a shard that fails then makes an error of that element alone. So it is one piece on its own shard, and others may see it there before
  it is on all of them. What fails at the own shard does not go to the others. Where EXEC is refused, or its answer is lost or there is no room for it (\`-UNKNOWN\`), the others
  got nothing; so does a shard that the service has lost, by a reload, since EXEC was sent (\`-NODEDOWN\`). What is refused without MULTI (SWAPDB while a node is down, CONFIG SET of a
  setting that replicated keys or locks depend on, FLUSHALL where services share nodes) is refused when it comes, and EXEC answers \`-EXECABORT\`. Behind SCRIPT FLUSH scripts are not
  there, as in one Redis. There may be \`sessionTransactionSpreadMax\` of these commands. Not in transactions are
  SCAN, and KEYS, DBSIZE and RANDOMKEY where the proxy keeps keys of its own on the nodes (replicated keys, locks, fences).
- Of *replicated* keys each is agreed upon by its nodes, whatever the table says of shards: a command has one of them, split commands are carried
  out key by key, and some are refused there (MIGRATE, MOVE, COPY and RENAME to another key): docs/CONSISTENCY.md.
- The group \`cluster\` is answered \`-ERR This instance has cluster support disabled\` by a service with keys that \`ketama\` or \`modula\` place.
- What is not known to Redis 7.0 is answered as Redis does, \`-ERR unknown command …\`, unless nodes know it: see below.

${sections.join('\n')}
## Modules, and later versions

A command that is not in these tables is looked up on the nodes (\`COMMAND INFO\`), once for all clients of a worker; who sent it waits for
that. What is found holds until nodes come or go, and for a minute at the most; that a name is none is remembered for a second.

| its description says | through the proxy |
| --- | --- |
| keys | goes to their shard, as others do; one that only reads (\`readonly\`) is gathered from several, others get \`-CROSSSLOT\` |
| movable keys that it does not settle (\`getkeys-api\`, incomplete specifications) | a node is asked each time which they are (\`COMMAND GETKEYS\`), after all before has been answered |
| keys, and \`request_policy:multi_shard\` | split per shard, where keys, with what belongs to each, are all its arguments |
| keys, and \`blocking\` | goes to their shard by a connection of the client's own |
| no keys, and \`request_policy:all_shards\` or \`all_nodes\` with a response policy that can be merged | goes to all shards, replies merged |
| no keys, neither \`readonly\` nor \`write\` | goes to any one node: it is about no data |
| no keys, \`readonly\` or \`write\` | refused while there are several nodes: each has other data |
| no keys, and \`blocking\`; \`admin\` without a request policy; \`pubsub\`, or of the category \`@connection\` | refused |

- What a command does with keys that it does not name happens on the shard of those that it names, as with scripts: FT.ADD of RediSearch 1 writes its
  document where the index is, so give both a common hash tag.
- What is not \`readonly\` counts as a write: it is never sent twice, and \`-UNKNOWN\` if its connection is lost.
- All nodes of a pool must know it, and describe it alike; else it is refused with an error that names a node that lacks it. So a pool of several versions has what
  its oldest node has. Keyspaces of another pool may do without; then what names no keys is refused.
- On replicated keys and locks it is refused: what it does is not known. RL.FENCED does not carry it out.
- In MULTI it is queued as others are. For users with rights of their own (\`auth: { users: … }\`) it is a command of no category: who has \`+@all\` may give it, with its keys.
- Subcommands that Redis 7.0 lacks of commands that it has (\`CLIENT NO-TOUCH\`) are unknown.
- COMMAND shows what one node of the lowest version knows, and of those one with the fewest modules of its pool, as they were when it was connected to: which others know as well, unless each of
  them lacks another module. Of several pools it is a node of the one that has most. A command of the tables that a node lacks (an older version, \`rename-command\`) gets the node's own error.
`;
}

/** How the proxy carries out a command for all shards, without further arguments, where every key is of one shard. */
function planOf({ ShardPlans }) {
  const session = { protocol: 2 };
  const service = { hidesKeys: false, hasLocks: false, nodes: [] };
  const context = {
    reader: { argumentCount: 1, argumentStart: [0], argumentEnd: [0] },
    arena: { bytes: new Uint8Array() },
  };
  const plans = new ShardPlans(context, { loading: () => null });
  return (spec) => plans.plan(session, service, spec);
}

function docsRow(spec, merged) {
  return `| ${spec.name.toUpperCase().replace('|', ' ')} | ${spec.since} | ${docsWords(spec, merged)} |`;
}

function docsWords(spec, merged) {
  const remark = spec.remark === '' ? '' : `; ${spec.remark}`;
  switch (spec.route) {
    case 'one':
      return `goes to the shard of its key${spec.keys === 'single' ? '' : 's'}${gathered(spec)}${remark}`;
    case 'split':
      return `split per shard, ${merged(spec)}${remark}`;
    case 'all':
      return `goes to all shards, ${merged(spec)}${remark}`;
    case 'debug':
      return spec.remark;
    case 'scan':
      return `goes to one shard after the other: the cursor says to which${remark}`;
    case 'slot':
      return `goes to the node of the slot, or to all where other rules than slots place keys${remark}`;
    case 'block':
      return `goes to the shard of its keys, by a connection of the client's own where it may wait for data${gathered(spec)}${remark}`;
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
    case 'monitor':
      return `answered with what all workers carry out, and with what scripts do at all nodes${remark}`;
    case 'local':
    case 'clients':
      return `answered by the proxy${remark}`;
    case 'tracking':
      return `answered by the proxy, which nodes tell of keys that change${remark}`;
    case 'reject':
      return `refused: ${spec.reason.replace(/^ERR .* is not supported by this proxy: /, '').replace(/^ERR /, '')}`;
    default:
      throw new Error(`${spec.name} has the route ${spec.route}, of which nothing is said here`);
  }
}

function gathered(spec) {
  if (!spec.gathers) return '';
  const writes = spec.keySpecs.some(({ flags }) => flags.some((flag) => flag === 'OW' || flag === 'RW'));
  return writes && !spec.readonly
    ? '; keys of other shards that it reads are gathered there'
    : '; keys of several shards are gathered';
}
