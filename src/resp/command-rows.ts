/** Makes the rows of the command table out of Redis's own description and the routes. */
import { COMMAND_DATA } from './command-data.js';
import { routeRule, ruledNames } from './command-routes.js';
import { COMMAND_FLAG, type CommandSpec, type KeyBegin, type KeyFind, type KeySpec } from './command-spec.js';
import { OWN_COMMANDS } from './own-commands.js';

/** Commands of later versions that clients send unasked, and that the proxy answers itself. */
const LATER_DATA = 'client|setinfo; 4; loading noscript stale; connection slow;;;; connection; 7.2.0';

/** Not writes to Redis, but they change what a node holds or does: if one is lost, nobody may say that it had no effect. */
const OTHER_WRITES: ReadonlySet<string> = new Set([
  ...['script|flush', 'script|kill', 'script|load', 'function|kill', 'slowlog|reset', 'latency|reset'],
  ...['save', 'bgsave', 'bgrewriteaof'],
  ...['publish', 'spublish'],
  ...['config|set', 'config|resetstat', 'config|rewrite'],
]);

/** All commands and subcommands, sorted by name, each at its `index`. */
export function makeCommands(): readonly CommandSpec[] {
  const commands = parseCommands(
    [COMMAND_DATA.trim(), LATER_DATA, ...OWN_COMMANDS.map(({ name, row }) => `${name}; ${row}`)].join('\n'),
  );
  const names = new Set(commands.map((spec) => spec.name));
  for (const name of ruledNames()) {
    if (!names.has(name)) throw new Error(`command-routes.ts names ${name}, which is no command`);
  }
  return commands;
}

/** What every node answers with OK, of which Redis's description does not say so. */
const UNTOLD_OK: ReadonlySet<string> = new Set(['config|resetstat', 'config|rewrite', 'save', 'swapdb']);

function parseCommands(data: string): readonly CommandSpec[] {
  const rows = data
    .split('\n')
    .map((line) => line.split(';').map((column) => column.trim()))
    .sort((a, b) => ((a[0] as string) < (b[0] as string) ? -1 : 1));
  const subcommands = new Map<string, Map<string, CommandSpec>>();
  for (const [name] of rows as [string][]) {
    if (name.includes('|')) subcommands.set(name.slice(0, name.indexOf('|')), new Map());
  }
  return rows.map((columns, index) => {
    const spec = parseCommand(columns, index, subcommands);
    const [containerName, subName] = spec.name.split('|') as [string, string | undefined];
    if (subName !== undefined) subcommands.get(containerName)?.set(subName, spec);
    return spec;
  });
}

function parseCommand(
  columns: string[],
  index: number,
  containers: Map<string, Map<string, CommandSpec>>,
): CommandSpec {
  const [name, arity, flagWords, categories, range, specs, tips, group, since] = columns as FixedColumns;
  const flags = words(flagWords).reduce((mask, word) => mask | COMMAND_FLAG[word as keyof typeof COMMAND_FLAG], 0);
  const keySpecs = specs === '' ? [] : specs.split(', ').map(parseKeySpec);
  const [rangeFirst, lastKey, keyStep] = (range === '' ? [0, 0, 0] : range.split(' ').map(Number)) as [
    number,
    number,
    number,
  ];
  const keys = keysKind(flags, keySpecs, rangeFirst, lastKey);
  const subcommands = containers.get(name) ?? null;
  const rule = routeRule(name) ?? (keys === 'none' ? null : { route: 'one' as const, text: '' });
  // A container is routed by its subcommand; alone it has the wrong number of arguments (but for COMMAND, which has a rule).
  if (rule === null && subcommands === null) throw new Error(`command-routes.ts does not say what happens to ${name}`);
  const route = rule?.route ?? 'reject';
  const readonly = (flags & COMMAND_FLAG.readonly) !== 0;
  return {
    index,
    name,
    arity: Number(arity),
    flags,
    write:
      (flags & COMMAND_FLAG.write) !== 0 ||
      (group === 'scripting' && keys !== 'none' && !readonly) ||
      OTHER_WRITES.has(name),
    readonly,
    blocking: (flags & COMMAND_FLAG.blocking) !== 0,
    firstKey: keys === 'single' ? rangeFirst : 0,
    keys,
    askedKeys: [],
    rangeFirst,
    lastKey,
    keyStep,
    keySpecs,
    gathers: (route === 'one' || route === 'block') && gathers(readonly, keys, keySpecs),
    hasPatterns: keySpecs.some(({ begin, flags }) => begin.kind === 'unknown' && flags.includes('RO')),
    route,
    reason: route === 'reject' ? (rule?.text ?? `ERR wrong number of arguments for '${name}' command`) : '',
    remark: route === 'reject' ? '' : (rule?.text ?? ''),
    refusable: name === 'sort' || name === 'sort_ro' || name === 'config|set' || name === 'debug',
    requestPolicy: /request_policy:(\S+)/.exec(tips)?.[1] ?? null,
    responsePolicy: /response_policy:(\S+)/.exec(tips)?.[1] ?? (UNTOLD_OK.has(name) ? 'all_succeeded' : null),
    categories: words(categories),
    group,
    since,
    subcommands,
  };
}

type FixedColumns = [string, string, string, string, string, string, string, string, string];

function words(text: string): string[] {
  return text === '' ? [] : text.split(' ');
}

function keysKind(flags: number, specs: readonly KeySpec[], first: number, last: number): CommandSpec['keys'] {
  if (specs.every((spec) => spec.flags.includes('not_key'))) return 'none';
  if ((flags & COMMAND_FLAG.movablekeys) !== 0) return 'computed';
  return first === last ? 'single' : 'range';
}

/**
 * Whether all it does with several keys is to read them, but for one that it may write. PFCOUNT's keys are said to be written, for
 * what is remembered of one; of several it remembers nothing.
 */
function gathers(readonly: boolean, keys: CommandSpec['keys'], specs: readonly KeySpec[]): boolean {
  if (keys === 'none' || keys === 'single') return false;
  if (readonly) return true;
  const written = specs.filter(({ flags }) => !flags.includes('RO'));
  const fixed = written.filter(({ begin }) => begin.kind === 'index');
  // STORE and STOREDIST, which a word announces: one of them counts.
  const announced = written.length > fixed.length ? 1 : 0;
  const isOne = fixed.every(({ find }) => find.kind === 'range' && find.last === 0);
  return written.length < specs.length && isOne && fixed.length + announced === 1;
}

/** `index 1 range 0 1 0 RO access`, `keyword STREAMS 1 range -1 1 2 …`, `index 2 keynum 0 1 1 …`, `unknown unknown …`. */
function parseKeySpec(text: string): KeySpec {
  const rest = text.split(' ');
  const next = (): string => rest.shift() as string;
  const begin = parseKeyBegin(next);
  const find = parseKeyFind(next);
  return { begin, find, flags: rest };
}

function parseKeyBegin(next: () => string): KeyBegin {
  switch (next()) {
    case 'index':
      return { kind: 'index', index: Number(next()) };
    case 'keyword':
      return { kind: 'keyword', keyword: Buffer.from(next().toLowerCase(), 'latin1'), startFrom: Number(next()) };
    default:
      return { kind: 'unknown' };
  }
}

function parseKeyFind(next: () => string): KeyFind {
  switch (next()) {
    case 'range':
      return { kind: 'range', last: Number(next()), step: Number(next()), limit: Number(next()) };
    case 'keynum':
      return { kind: 'keynum', numIndex: Number(next()), first: Number(next()), step: Number(next()) };
    default:
      return { kind: 'unknown' };
  }
}
