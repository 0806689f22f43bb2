/**
 * What the user that the proxy logs in with must be allowed on a node of replicated keys: every command that may be sent there, on every
 * form of key. A refusal in the midst of a step would leave half of it done (rule W8), so a node is asked before:
 * ACL DRYRUN, for each of these.
 */
import { COMMANDS, type CommandSpec } from '../resp/commands.js';
import {
  EPOCH_KEY,
  FENCE_PREFIX,
  FLOOR_KEY,
  GUARD_PREFIX,
  LOCKS_KEY,
  META_PREFIX,
  NODE_KEY,
  PASS_PREFIX,
  REGISTER_PREFIX,
  WAIT_PREFIX,
  WAKE_CHANNEL,
} from './meta.js';

/** Of the commands, what the steps and those who care for nodes need besides. */
const WITHOUT_KEYS: readonly (readonly string[])[] = [
  ['hello', '3'],
  ['client', 'tracking', 'on'],
  ['info'],
  ['config', 'get', 'maxmemory-policy'],
  ['ping'],
  ['time'],
  ['multi'],
  ['exec'],
  ['unwatch'],
  ['script', 'load', 'return 1'],
  ['script', 'exists', 'x'],
  ['scan', '0'],
  ['publish', WAKE_CHANNEL, 'x'],
  ['subscribe', WAKE_CHANNEL],
];

/** On each key of the proxy's own. */
const ON_OWN_KEYS: readonly (readonly [string, ...string[]])[] = [
  ['get'],
  ['mget'],
  ['incr'],
  ['set', 'x'],
  ['mset', 'x'],
  ['del'],
  ['watch'],
  ['object', 'idletime'],
  ['exists'],
];

/** Without a prefix of the clients'. */
const OWN_KEYS = [
  NODE_KEY,
  FLOOR_KEY,
  LOCKS_KEY,
  `${GUARD_PREFIX}x`,
  `${PASS_PREFIX}x`,
  `${WAIT_PREFIX}x`,
  '~rl:repairer',
];
/** Replicated keys of the proxy's own, and what is done with each of them; their metas are as those of others. */
const OWN_REPLICATED = [EPOCH_KEY, `${REGISTER_PREFIX}x/x`, `${FENCE_PREFIX}x`];
const ON_OWN_REPLICATED: readonly (readonly [string, ...string[]])[] = [
  ['exists'],
  ['del'],
  ['dump'],
  ['restore', '0', 'x'],
  ['pexpiretime'],
  ['watch'],
  ['memory', 'usage'],
  ['type'],
  ['get'],
  ['mget'],
  ['set', 'x'],
  ['hmget', 'x'],
  ['hgetall'],
  ['hset', 'x', 'x'],
  ['hdel', 'x'],
];
/** Prefixes of those that stand beside a client's key. */
const OWN_PREFIXES = [META_PREFIX];

/** The commands that ACL DRYRUN is to be asked about, without the user's name; `prefixes`: of the keyspaces of its pool. */
export function neededPermissions(prefixes: readonly string[]): string[][] {
  const keys = prefixes.map((prefix) => `${prefix}x`);
  const own = [
    ...OWN_KEYS,
    ...OWN_PREFIXES.flatMap((before) => [...keys, ...OWN_REPLICATED].map((key) => before + key)),
  ];
  const commands = COMMANDS.filter(mayBeSent);
  return [
    ...WITHOUT_KEYS.map((words) => [...words]),
    ...own.flatMap((key) => ON_OWN_KEYS.map((words) => onKey(words, key))),
    ...OWN_REPLICATED.flatMap((key) => [
      ...ON_OWN_REPLICATED.map((words) => onKey(words, key)),
      ['evalsha', 'x', '1', key],
    ]),
    ...keys.flatMap((key) => [...commands.map((spec) => sample(spec, key)), ['watch', key]]),
  ];
}

/** `object idletime KEY`, `set KEY x`: the key comes after the name, and after a container's subcommand. */
function onKey([name, ...rest]: readonly [string, ...string[]], key: string): string[] {
  return name === 'object' || name === 'memory' ? [name, ...rest, key] : [name, key, ...rest];
}

/** What the proxy refuses to clients is not among it. */
function mayBeSent({ keys, route, subcommands }: CommandSpec): boolean {
  return keys !== 'none' && subcommands === null && (route === 'one' || route === 'split' || route === 'block');
}

/** The shortest form of the command in which it has this key; nothing is carried out, so that any other word will do. */
function sample(spec: CommandSpec, key: string): string[] {
  const [name = '', sub] = spec.name.split('|');
  const words = sub === undefined ? [name] : [name, sub];
  const length = Math.abs(spec.arity);
  if (name === 'xread' || name === 'xreadgroup') return streams(name, key);
  for (const { begin, find } of spec.keySpecs) {
    if (begin.kind !== 'index' || find.kind !== 'keynum') continue;
    words[begin.index + find.numIndex] = '1';
    words[begin.index + find.first] = key;
  }
  return Array.from({ length: Math.max(length, words.length) }, (_, index) => words[index] ?? key);
}

function streams(name: string, key: string): string[] {
  const group = name === 'xreadgroup' ? ['group', 'x', 'x'] : [];
  return [name, ...group, 'streams', key, '0'];
}
