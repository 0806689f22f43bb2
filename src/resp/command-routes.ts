/**
 * What the proxy does with each command today: one table, from which the command table, the clients' errors and
 * docs/COMMANDS.md are made. A command that has keys and is not named here goes to the shard of its keys.
 */

export type Route =
  /** To the shard of its key or keys; keys of different shards are answered -CROSSSLOT. Without keys: to any one node. */
  | 'one'
  /** Split per shard, and the replies merged. */
  | 'split'
  /** To all shards, and the replies merged. */
  | 'all'
  /** To any one node, since all nodes answer alike. */
  | 'any'
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
const SCRIPT = 'a script that touches keys it does not name sees only those of its own shard';

const MERGED = 'one answer from several nodes is still to come';
const BLOCKED = 'keys of one shard: what two shards hand out at once could not be given back unseen';
const NODES_OF_NOW = 'on the nodes of now; one that is added later, or comes back empty, has none';
const USERS = 'users other than the one of the configuration are still to come';
const ONE_NODE = 'it is about one node; connect to the node itself';
const DATABASE = 'it would have to happen on every node at the same moment';
/** What a Redis that is not part of a cluster says; clients know it. */
const NO_CLUSTER = 'ERR This instance has cluster support disabled';

const RULES: ReadonlyMap<string, RouteRule> = new Map([
  ...rules('split', MULTI_SHARD, 'mset del unlink'),
  ...rules('split', '', 'mget exists touch'),
  ...rules('all', '', 'dbsize flushall flushdb keys script|exists script|flush script|load'),
  ...rules(
    'all',
    'with a section `Ringleader` about the proxy; without the nodes that are down, which it names',
    'info',
  ),
  ...rules(
    'all',
    'on the nodes of now; one that starts anew, or is added later, has its own. Not what two nodes cannot share: port, bind, dir …',
    'config|set',
  ),
  ...rules('all', NODES_OF_NOW, 'function|delete function|flush function|load function|restore'),
  ...rules('all', '', 'config|resetstat config|rewrite memory|purge slowlog|len slowlog|reset'),
  ...rules('all', 'any key of any shard is as likely as on one Redis', 'randomkey'),
  ...rules('all', 'killed wherever one runs', 'script|kill function|kill'),
  ...rules('any', 'all nodes have the same', 'function|dump function|list'),
  ...rules('scan', 'a cursor from before nodes were added or taken out is refused as invalid', 'scan'),

  ...rules(
    'describe',
    'where some keys are locks, the proxy adds its own commands, but inside MULTI',
    'command command|count command|docs command|getkeys command|getkeysandflags command|info command|list',
  ),
  ...rules('any', '', 'command|help config|get config|help lolwut time'),
  ...rules(
    'any',
    '',
    'acl|help client|help function|help latency|help memory|help module|help object|help pubsub|help',
  ),
  ...rules('any', '', 'script|help slowlog|help xgroup|help xinfo|help'),

  ...rules(
    'local',
    '',
    'ping echo quit reset unwatch client|id client|setname client|getname client|setinfo client|info',
  ),
  ...rules('local', 'not inside MULTI', 'hello auth'),
  ...rules('local', '', 'client|getredir client|trackinginfo'),
  ...rules('tracking', 'by connections of its own to the nodes; not inside MULTI', 'client|tracking'),
  ...rules('tracking', '', 'client|caching'),
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

  ...rules('one', SCRIPT, 'eval evalsha eval_ro evalsha_ro fcall fcall_ro'),
  ...rules('one', 'not with patterns of BY and GET that read other keys', 'sort sort_ro'),

  ...rules('block', BLOCKED, 'blpop brpop blmove brpoplpush blmpop bzmpop bzpopmin bzpopmax xreadgroup'),
  ...rules('block', 'streams of one shard', 'xread'),
  ...rules('wait', 'the smallest number of replicas of those shards', 'wait'),
  ...rules('transaction', 'all keys on one shard; without commands that concern all shards', 'multi exec discard'),
  ...rules(
    'transaction',
    'all keys on one shard, which is that of the transaction too; CLIENT TRACKING in between has EXEC answer nil',
    'watch',
  ),
  ...rules('publish', 'in a transaction the channel counts as a key', 'publish spublish'),
  ...rules('subscribe', SUBSCRIBE, 'subscribe psubscribe ssubscribe unsubscribe punsubscribe sunsubscribe'),
  ...rules('all', '', 'pubsub|channels pubsub|shardchannels pubsub|numpat'),
  ...rules('all', 'with `pubsub: shared` workers count, not clients', 'pubsub|numsub pubsub|shardnumsub'),
  ...rules(
    'lock',
    'only in keyspaces of `mode: lock`; not inside MULTI',
    'lock.acquire lock.break lock.extend lock.info lock.list lock.macquire lock.release',
  ),
  ...rules('fenced', 'docs/LOCKS.md says which commands it carries out; not inside MULTI', 'rl.fenced'),
  ...rejects(MERGED, 'function|stats'),
  ...rejects(USERS, 'acl|cat acl|deluser acl|dryrun acl|genpass acl|getuser acl|list acl|load acl|log acl|save'),
  ...rejects(USERS, 'acl|setuser acl|users acl|whoami'),
  ...rejects(MERGED, 'role lastsave monitor slowlog|get memory|doctor'),
  ...rejects(MERGED, 'memory|malloc-stats memory|stats latency|doctor latency|graph latency|histogram'),
  ...rejects(MERGED, 'latency|history latency|latest latency|reset'),
  ...rejects(ONE_NODE, 'shutdown replicaof slaveof failover debug save bgsave bgrewriteaof sync psync replconf'),
  ...rejects(
    ONE_NODE,
    'script|debug module|list module|load module|loadex module|unload pfdebug pfselftest restore-asking',
  ),
  ...rejects('it would take keys away from where the proxy looks for them', 'migrate'),
  ...rejects(DATABASE, 'swapdb'),

  ...rules('reject', NO_CLUSTER, 'readonly readwrite asking cluster|addslots cluster|addslotsrange cluster|bumpepoch'),
  ...rules(
    'reject',
    NO_CLUSTER,
    'cluster|count-failure-reports cluster|countkeysinslot cluster|delslots cluster|links',
  ),
  ...rules(
    'reject',
    NO_CLUSTER,
    'cluster|delslotsrange cluster|failover cluster|flushslots cluster|forget cluster|help',
  ),
  ...rules('reject', NO_CLUSTER, 'cluster|getkeysinslot cluster|info cluster|keyslot cluster|meet cluster|myid'),
  ...rules('reject', NO_CLUSTER, 'cluster|nodes cluster|replicas cluster|replicate cluster|reset cluster|saveconfig'),
  ...rules(
    'reject',
    NO_CLUSTER,
    'cluster|set-config-epoch cluster|setslot cluster|shards cluster|slaves cluster|slots',
  ),
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
