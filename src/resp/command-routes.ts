/**
 * What the proxy does with each command today: one table, from which the command table, the clients' errors and
 * docs/COMMANDS.md are made. A command that has keys and is not named here goes to the shard of its keys.
 */

export type Route =
  /**
   * To the shard of its key or keys; keys of different shards are answered -CROSSSLOT, unless its key specifications say that they can be
   * gathered (CommandSpec.gathers). Without keys: to any one node.
   */
  | 'one'
  /** Split per shard, and the replies merged. */
  | 'split'
  /** To all shards, and the replies merged. */
  | 'all'
  /** To any one node, since all nodes answer alike. */
  | 'any'
  /** To the nodes that may have keys of a slot, in pages, by one command of the session at a time. */
  | 'slot'
  /** To one shard after the other: the cursor says to which. */
  | 'scan'
  /** To the shard of its keys, as `one`, by a connection of the session's own: it may wait there for data. */
  | 'block'
  /** WAIT: to all shards that the session has written to. */
  | 'wait'
  /** To the shard of its channel. */
  | 'publish'
  /** To the shards of its channels, by connections that messages come by. */
  | 'subscribe'
  /** MONITOR: what the clients of all workers ask, and what scripts do at the nodes. */
  | 'monitor'
  /** MULTI, EXEC, DISCARD, WATCH. */
  | 'transaction'
  /** Answered by the proxy itself. */
  | 'local'
  /** Answered by the proxy, from what all its workers know of their clients. */
  | 'clients'
  /** CLIENT TRACKING, CLIENT CACHING: what the session's nodes are to remember for it. */
  | 'tracking'
  /** LOCK.*: to the nodes of the lock. */
  | 'lock'
  /** RL.FENCED: to the shard of the keys of the command within it. */
  | 'fenced'
  /** DEBUG: its subcommands have rows of their own (debug-rows.ts). */
  | 'debug'
  /** COMMAND: to any one node, whose answer gets the proxy's own commands added. */
  | 'describe'
  /** Answered with an error that gives the reason. */
  | 'reject';

export interface RouteRule {
  readonly route: Route;
  /** For `reject`: all of the error line, without the leading minus. For the others: a remark for the docs, or empty. */
  readonly text: string;
}

/** The rule of the table for a command, `client|id` for a subcommand; null where nothing is said of it. */
export function routeRule(name: string): RouteRule | null {
  return RULES.get(name) ?? null;
}

/** All names that the table has a rule for. */
export function ruledNames(): Iterable<string> {
  return RULES.keys();
}

const MULTI_SHARD = 'not atomic when the keys lie on several shards, and refused there with `multiKeyWrites: reject`';
const SUBSCRIBE = 'not inside MULTI; see docs/PUBSUB.md';
const SCRIPT =
  'without keys to the owner of the empty key; a script that touches keys it does not name sees only those of its own shard';

const BLOCKED = 'keys of one shard: what two shards hand out at once could not be given back unseen';
const NODES_OF_NOW =
  'on the nodes of now; one that is added later, or comes back empty, has none. While one of them is known to be down it is refused, and none is changed';
const USERS = 'the users of this process; docs/USERS.md';
const EACH_NODE = 'the text of each node under its name, unless all say the same';
const BUSY =
  'a node answers when its script has run for `busy-reply-threshold` (5 s), as one Redis: it is waited for up to `requestTimeoutMs`';
const NOT_AT_ONCE = 'on all nodes, and not of one moment';
const DEBUG =
  'refused, unless `enableDebugCommand` allows it here and `enable-debug-command` at the nodes: OBJECT, SDSLEN, HTSTATS-KEY, LISTPACK and QUICKLIST go to the ' +
  'shard of their key, DIGEST-VALUE is split, ERROR, HELP, PROTOCOL, STRUCTSIZE go to any one node; SLEEP, RELOAD, LOG, SET-ACTIVE-EXPIRE, CHANGE-REPL-ID ' +
  'and other settings to all, DIGEST and HTSTATS too, DIGEST only while keys are in one database. What stops a node, makes keys (POPULATE) or may lose some ' +
  '(LOADAOF, RELOAD with options), LEAK, MALLCTL and CLIENT-EVICTION are refused; where some keys are replicated or locks, so is all that goes to all nodes';
const OF_NODE = 'a node is made a replica, or a master, by a connection to the node itself';
const MODULES = 'each node has its modules from its own configuration, or by a connection to the node itself';
const CLUSTER = 'the proxy shows itself as a cluster of one node that has all slots (docs/CLIENTS.md)';
const CLUSTER_AS_IT_IS =
  'it shows itself as a cluster of one node; which nodes are behind it, and which keys they have, its configuration says: change `pools` there, and reload it';

const RULES: ReadonlyMap<string, RouteRule> = new Map([
  ...rules('split', MULTI_SHARD, 'mset del unlink'),
  ...rules('split', '', 'mget exists touch'),
  ...rules('all', '', 'dbsize flushall flushdb keys script|flush script|load'),
  ...rules('all', 'see EVALSHA for what it knows', 'script|exists'),
  ...rules(
    'all',
    'with a section `Ringleader` about the proxy; without the nodes that are down, which it names; of `commandstats`, `latencystats` and `errorstats` see *statistics* above',
    'info',
  ),
  ...rules(
    'all',
    'on the nodes of now; one that starts anew, or is added later, has its own. While one of them is known to be down it is refused, and none is changed. Not what two nodes cannot share (port, bind, dir …), nor by what the proxy would be locked out (requirepass and other users and passwords, maxclients, timeout, protected-mode, tls-…). Where a node refuses what others have set these are set back, but inside MULTI (CONFIG GET goes to the nodes with it, which their user needs to be allowed for that). Clients that set the same at once, where a node refuses it, may undo what the others have set',
    'config|set',
  ),
  ...rules('all', NODES_OF_NOW, 'function|delete function|flush function|restore'),
  ...rules(
    'all',
    `${NODES_OF_NOW}. Without REPLACE, where some nodes have the library and some have lost it, these take it, and the error that it already exists names those that have it`,
    'function|load',
  ),
  ...rules('all', '', 'config|resetstat config|rewrite memory|purge slowlog|reset'),
  ...rules(
    'all',
    'each node keeps `slowlog-max-len` entries of its own; what the proxy answers itself is in none',
    'slowlog|len',
  ),
  ...rules(
    'all',
    "newest first; an entry shows the address of the proxy, and the node in place of the client's name; not where services share nodes; with what the proxy asks nodes for others, see *statistics* above",
    'slowlog|get',
  ),
  ...rules(
    'all',
    'an event that several nodes had in one second counts once, with the worst',
    'latency|history latency|latest',
  ),
  ...rules(
    'all',
    'what goes to all nodes counts once, what is split once a node; with what the proxy answers itself, and what it asks nodes for others, see *statistics* above',
    'latency|histogram',
  ),
  ...rules('all', '', 'latency|reset'),
  ...rules('all', EACH_NODE, 'latency|doctor latency|graph memory|doctor memory|malloc-stats'),
  ...rules('all', 'quantities added up, ratios worked out again', 'memory|stats'),
  ...rules('all', `a function that runs on any node; ${BUSY}`, 'function|stats'),
  ...rules('all', 'what all nodes have, in the lowest version of any', 'module|list'),
  ...rules('all', 'offsets added up, the replicas of all nodes; where a node is a replica, what it says', 'role'),
  ...rules('all', 'when the last of them has saved', 'lastsave'),
  ...rules('all', NOT_AT_ONCE, 'save bgsave bgrewriteaof'),
  ...rules('all', 'so that any key is as likely as on one Redis', 'randomkey'),
  ...rules('all', `killed wherever one runs; ${BUSY}`, 'script|kill function|kill'),
  ...rules('any', 'all nodes have the same', 'function|dump function|list'),
  ...rules('scan', 'a cursor from before nodes were added or taken out is refused as invalid', 'scan'),

  ...rules(
    'describe',
    'a node of the lowest version, with no module that others of its pool lack; where some keys are locks, the proxy adds its own commands, but inside MULTI',
    'command command|count command|docs command|getkeys command|getkeysandflags command|info command|list',
  ),
  ...rules(
    'any',
    "but for what is the proxy's: port, cluster-enabled and maxclients are as INFO says; users and passwords of the nodes (requirepass, masterauth, masteruser …) are shown as '', but with `auth: passthrough`. What is of one node (bind, dir …) is of the node that answers",
    'config|get',
  ),
  ...rules('any', '', 'command|help config|help lolwut time'),
  ...rules(
    'any',
    '',
    'acl|help client|help function|help latency|help memory|help module|help object|help pubsub|help',
  ),
  ...rules('any', '', 'script|help slowlog|help xgroup|help xinfo|help'),

  ...rules('local', '', 'echo quit reset unwatch client|id client|setname client|getname client|setinfo client|info'),
  ...rules('local', 'not inside MULTI', 'hello auth'),
  ...rules('local', '', 'client|getredir client|trackinginfo'),
  ...rules('tracking', 'by connections of its own to the nodes; not inside MULTI', 'client|tracking'),
  ...rules('tracking', '', 'client|caching'),
  ...rules(
    'local',
    'behind what nodes tell a client of keys (CLIENT TRACKING); BUSY, while a script runs for too long at any node: commands for other shards are carried out',
    'ping',
  ),
  ...rules('local', 'not inside MULTI', 'client|reply'),
  ...rules('local', 'a client is closed for memory last of all, not never', 'client|no-evict'),
  ...rules('local', 'all databases that every node has; inside MULTI only the one that is selected already', 'select'),
  ...rules(
    'clients',
    'the clients of this service that this process serves, of all its workers',
    'client|list client|kill',
  ),
  ...rules(
    'clients',
    'commands of the clients of this service that this process serves; the nodes go on, and so do other proxies',
    'client|pause client|unpause',
  ),
  ...rules('clients', 'a client of this service that this process serves, of any of its workers', 'client|unblock'),

  ...rules('one', SCRIPT, 'eval eval_ro'),
  ...rules(
    'one',
    `${SCRIPT}; where the node lacks a function that others have (it was started again without its data, or was away when it was loaded) the error, \`-ERR Function not found …\`, names it, but inside MULTI, where keys are gathered and with \`auth: passthrough\`: FUNCTION LOAD REPLACE brings the library to all nodes. The proxy brings none by itself, since it cannot tell what was lost from what somebody is deleting`,
    'fcall fcall_ro',
  ),
  ...rules(
    'one',
    `${SCRIPT}; a script that a client of this process has shown once (EVAL, SCRIPT LOAD) is found on every shard, also where a node has lost it: it is sent whole. Where the node has lost the script on a connection that it keeps (SCRIPT FLUSH by other ways than this process), the reply is -NOSCRIPT if something else than such calls stands behind one in a pipeline for the same shard, or a command for several shards does, or the nodes have changed by a reload meanwhile. A script that itself answers with -NOSCRIPT, in the words of Redis, may be run twice. What one worker of the process was shown is found at all others as soon as EVAL is answered; other processes pass on what a node that lacks it says, -NOSCRIPT (SCRIPT LOAD brings it to all nodes)`,
    'evalsha evalsha_ro',
  ),
  ...rules(
    'one',
    'patterns of BY and GET that name keys: as the elements are when it begins, but in one piece where a hash tag before the `*` of each puts their keys on the shard of what is sorted; not inside MULTI, nor where some keys of the service are replicated or locks',
    'sort sort_ro',
  ),

  ...rules('block', BLOCKED, 'blpop brpop blmove brpoplpush blmpop bzmpop bzpopmin bzpopmax xreadgroup'),
  ...rules('block', 'with BLOCK streams of one shard', 'xread'),
  ...rules('wait', 'the smallest number of replicas of those shards', 'wait'),
  ...rules(
    'transaction',
    'all keys on one shard; what is for all shards the others carry out behind it',
    'multi exec discard',
  ),
  ...rules(
    'transaction',
    'all keys on one shard, which is that of the transaction too; CLIENT TRACKING in between has EXEC answer nil',
    'watch',
  ),
  ...rules(
    'monitor',
    'the clients of this service that this process serves, with their own addresses; where services share nodes not what scripts do; not inside MULTI; docs/OPERATIONS.md',
    'monitor',
  ),
  ...rules('publish', 'in a transaction the channel counts as a key', 'publish spublish'),
  ...rules('subscribe', SUBSCRIBE, 'subscribe psubscribe ssubscribe unsubscribe punsubscribe sunsubscribe'),
  ...rules('all', '', 'pubsub|channels pubsub|shardchannels'),
  ...rules('all', 'all shards know all patterns', 'pubsub|numpat'),
  ...rules('all', 'with `pubsub: shared` workers count, not clients', 'pubsub|numsub pubsub|shardnumsub'),
  ...rules(
    'lock',
    'only in keyspaces of `mode: lock`; not inside MULTI',
    'lock.acquire lock.break lock.extend lock.info lock.list lock.macquire lock.release',
  ),
  ...rules('local', 'docs/CONSISTENCY.md says what it changes; not inside MULTI', 'rl.consistency'),
  ...rules('fenced', 'docs/LOCKS.md says which commands it carries out; not inside MULTI', 'rl.fenced'),
  ...rules('clients', USERS, 'acl|deluser acl|dryrun acl|getuser acl|list acl|users'),
  ...rules('clients', `${USERS}. What is changed is not kept over a restart`, 'acl|setuser'),
  ...rules('clients', 'what all workers of this process refused', 'acl|log'),
  ...rules('clients', 'with the commands of the proxy', 'acl|cat'),
  ...rules('clients', '', 'acl|genpass acl|whoami'),
  ...rules(
    'clients',
    'refused, but with `auth: passthrough`: the users are those of the configuration',
    'acl|load acl|save',
  ),
  ...rejects('a node is stopped by a connection to the node itself, and the proxy by SIGTERM', 'shutdown'),
  ...rejects(OF_NODE, 'replicaof slaveof failover'),
  ...rejects('replicas are connected to the node itself', 'sync psync replconf'),
  ...rejects('the debugger stops a node; connect to the node itself', 'script|debug'),
  ...rules('debug', DEBUG, 'debug'),
  ...rejects(MODULES, 'module|load module|loadex module|unload'),
  ...rejects('it is for tests of Redis itself; connect to the node itself', 'pfdebug pfselftest'),
  ...rejects('it is what nodes of a Redis Cluster say to each other; use RESTORE', 'restore-asking'),
  ...rejects(
    'it would take keys away from where the proxy looks for them; use DUMP here, and RESTORE there',
    'migrate',
  ),
  ...rules(
    'all',
    'on each node, not at one moment: not begun while one is down; if one fails meanwhile, the error names it, and the others have swapped',
    'swapdb',
  ),

  ...rules('local', CLUSTER, 'cluster|info cluster|myid cluster|nodes cluster|shards cluster|slots'),
  ...rules('local', '', 'cluster|count-failure-reports cluster|help cluster|keyslot cluster|links'),
  ...rules('local', '', 'cluster|replicas cluster|slaves'),
  ...rules('local', 'there is one node, and nobody is sent elsewhere', 'asking readonly readwrite'),
  ...rules(
    'slot',
    "the slot's node goes through its keys, unlike one Redis; not inside MULTI",
    'cluster|countkeysinslot cluster|getkeysinslot',
  ),
  ...rejects(CLUSTER_AS_IT_IS, 'cluster|addslots cluster|addslotsrange cluster|bumpepoch cluster|delslots'),
  ...rejects(CLUSTER_AS_IT_IS, 'cluster|delslotsrange cluster|failover cluster|flushslots cluster|forget'),
  ...rejects(CLUSTER_AS_IT_IS, 'cluster|meet cluster|replicate cluster|reset cluster|saveconfig'),
  ...rejects(CLUSTER_AS_IT_IS, 'cluster|set-config-epoch cluster|setslot'),
]);

function rules(route: Route, text: string, names: string): [string, RouteRule][] {
  return names.split(' ').map((name) => [name, { route, text }]);
}

function rejects(reason: string, names: string): [string, RouteRule][] {
  return names.split(' ').map((name) => {
    const words = name.toUpperCase().replace('|', ' ');
    return [name, { route: 'reject', text: `ERR ${words} is not supported by this proxy: ${reason}` }];
  });
}
