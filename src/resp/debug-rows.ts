/**
 * DEBUG: Redis's table has one row for it, and nothing of its subcommands. Here each has a row of its own, made of that one, with what the
 * proxy does with it. `docs/COMMANDS.md` says the same.
 */
import type { CommandSpec } from './command-spec.js';
import { COMMANDS } from './commands.js';

/** What becomes of a subcommand: `key`, the shard of its first argument; `keys`, split; `setting`, something is done at all nodes; or why not. */
type Fate = 'key' | 'keys' | 'any' | 'setting' | 'asked' | { refusal: string };

const STOPS = { refusal: 'it stops the node' };
const OF_PROCESS = { refusal: 'it is about the memory of one process' };
const OF_CLUSTER = { refusal: 'the nodes are no cluster' };

const FATES: Readonly<Record<string, Fate>> = {
  object: 'key',
  'htstats-key': 'key',
  sdslen: 'key',
  listpack: 'key',
  quicklist: 'key',
  'digest-value': 'keys',
  error: 'any',
  help: 'any',
  structsize: 'any',
  protocol: 'any',
  digest: 'asked',
  htstats: 'asked',
  'aof-flush-sleep': 'setting',
  'change-repl-id': 'setting',
  'config-rewrite-force-all': 'setting',
  log: 'setting',
  'pause-cron': 'setting',
  'quicklist-packed-threshold': 'setting',
  reload: 'setting',
  replybuffer: 'setting',
  'set-active-expire': 'setting',
  'set-skip-checksum-validation': 'setting',
  sleep: 'setting',
  assert: STOPS,
  'crash-and-recover': STOPS,
  oom: STOPS,
  panic: STOPS,
  restart: STOPS,
  segfault: STOPS,
  leak: OF_PROCESS,
  mallctl: OF_PROCESS,
  'mallctl-str': OF_PROCESS,
  clusterlink: OF_CLUSTER,
  'drop-cluster-packet-filter': OF_CLUSTER,
  'client-eviction': { refusal: 'the clients of a node are the connections of the proxy' },
  loadaof: { refusal: 'a node whose append-only file is not whole would lose keys, or stop' },
  populate: { refusal: 'it would make keys on nodes where nobody looks for them' },
  replicate: { refusal: 'the replicas of a node would have other data than it has' },
  'stringmatch-test': { refusal: 'it is a test of Redis itself' },
};

/** With any of these DEBUG RELOAD may take keys away, or end the server. */
const RELOAD_OPTIONS = { refusal: 'with options a node may lose keys, or stop' };
/** What DEBUG PROTOCOL answers to these is no reply, or comes before one: it would be taken for that of another client. */
const NO_REPLY_TYPES: ReadonlySet<string> = new Set(['attrib', 'push']);
const NO_REPLY = { refusal: 'what it answers is no reply, and connections to nodes are shared' };

const DEBUG = COMMANDS.find(({ name }) => name === 'debug') as CommandSpec;

const ROWS: ReadonlyMap<string, CommandSpec> = new Map(
  Object.entries(FATES).map(([name, fate]) => [name, rowOf(name, fate)]),
);
const RELOAD_WITH_OPTIONS = rowOf('reload', RELOAD_OPTIONS);
const WITHOUT_REPLY = rowOf('protocol', NO_REPLY);

/** What is done at all nodes, and is not to be done twice. */
export const DEBUG_SETTINGS: ReadonlySet<string> = new Set(
  Object.entries(FATES).flatMap(([name, fate]) => (fate === 'setting' ? [`debug|${name}`] : [])),
);

/**
 * The row for `DEBUG name …` with so many arguments in all, `option` being the one behind the name, or ''; null where there is no such
 * subcommand. Letters in any case.
 */
export function debugRow(name: string, option: string, argumentCount: number): CommandSpec | null {
  const row = ROWS.get(name.toLowerCase()) ?? null;
  if (row === ROWS.get('reload') && argumentCount > 2) return RELOAD_WITH_OPTIONS;
  if (row === ROWS.get('protocol') && NO_REPLY_TYPES.has(option.toLowerCase())) return WITHOUT_REPLY;
  // Without its keys: a node has the right words for it.
  if (row !== null && row.keys !== 'none' && argumentCount <= row.rangeFirst) return ROWS.get('help') ?? null;
  return row;
}

/** Whether it is one of these rows. */
export function isDebugRow({ index }: CommandSpec): boolean {
  return index === DEBUG.index;
}

/** Redis's words for what is none. */
export function unknownDebugText(name: string): string {
  return `ERR unknown subcommand or wrong number of arguments for '${name.slice(0, 128)}'. Try DEBUG HELP.`;
}

function rowOf(name: string, fate: Fate): CommandSpec {
  const row: CommandSpec = { ...DEBUG, name: `debug|${name}` };
  if (typeof fate === 'object') {
    const reason = `ERR DEBUG ${name.toUpperCase()} is not supported by this proxy: ${fate.refusal}; connect to the node itself`;
    return { ...row, route: 'reject', reason };
  }
  switch (fate) {
    case 'key':
      return {
        ...row,
        route: 'one',
        readonly: true,
        firstKey: 2,
        keys: 'single',
        rangeFirst: 2,
        lastKey: 2,
        keyStep: 1,
      };
    case 'keys':
      return { ...row, route: 'split', readonly: true, keys: 'range', rangeFirst: 2, lastKey: -1, keyStep: 1 };
    case 'any':
      return { ...row, route: 'any' };
    case 'asked':
      return { ...row, route: 'all' };
    case 'setting':
      return { ...row, route: 'all', responsePolicy: 'all_succeeded' };
  }
}
