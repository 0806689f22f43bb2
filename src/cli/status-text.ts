/** A status in words and tables, for a terminal. */
import type { NodeCare, PoolCare } from '../control/caretaker.js';
import type { ComparisonCare } from '../control/comparisons.js';
import type { FleetStatus, NodeStatus, Status, WorkerStatus } from '../control/status.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** As `describeStatus`, in at most `rowsMax` lines where leaving out nodes is enough for that: those that are up go first. */
export function fitStatus(status: Status, nowMs: number, rowsMax: number): string {
  const whole = describeStatus(status, nowMs);
  const excess = whole.trimEnd().split('\n').length - rowsMax;
  // One line says how many were left out.
  return excess <= 0 ? whole : describeStatus(status, nowMs, Math.max(0, status.nodes.length - excess - 1));
}

/** `nowMs`: milliseconds since 1970, for ages. */
export function describeStatus(status: Status, nowMs: number, nodesMax = Number.POSITIVE_INFINITY): string {
  const { version, pid, uptimeSeconds, ready, transport, listen, configuration, workers, nodes, replicatedPools } =
    status;
  const age = (time: string) => describeAge(nowMs - Date.parse(time));
  const { file, topologyVersion, lastReload } = configuration;
  const lines = [
    `Ringleader ${version}, process ${pid}, up ${describeAge(uptimeSeconds * SECOND)}: ${ready ? 'ready' : 'NOT READY'}`,
    `listens on ${listen.join(', ')} (${transport})`,
    `configuration ${file ?? 'of its own'}, topology version ${topologyVersion}`,
  ];
  if (lastReload !== null) {
    lines.push(`last reload ${age(lastReload.at)} ago: ${lastReload.outcome}`);
    lines.push(...lastReload.reasons.map((reason) => `  ${reason}`));
  }
  const deaths = status.workerDeaths === 0 ? '' : `workers that died since the start: ${status.workerDeaths}\n`;
  return `${lines.join('\n')}

${table([['worker', '', 'sessions', 'commands/s', 'memory'], ...workers.map(workerRow), totalRow(workers)], 'llrrr')}${deaths}
${fleetTable(status.fleet, age)}${nodeTable(nodes, nodesMax, age)}
${replicatedPools.map((pool) => careTable(pool, nowMs)).join('')}${counters(status)}`;
}

/** Nothing is said of a process that is alone, and whose store is well. */
function fleetTable(fleet: FleetStatus, age: (time: string) => string): string {
  const { store, cluster, member, isMember, leader, topologyVersion, members, trouble } = fleet;
  const bad = trouble === null ? '' : `COORDINATION STORE: ${trouble}\n`;
  if (store === 'file') return bad === '' ? '' : `${bad}\n`;
  const rows = members.map(({ name, version, since, topologyVersion: own, reason }) => {
    const lag = own < (topologyVersion ?? 0) ? 'LAGS' : '';
    const role = [leader?.name === name ? 'leader' : '', name === member ? 'this one' : ''].filter(
      (word) => word !== '',
    );
    return [
      name,
      role.join(', '),
      version,
      age(since),
      `${own}`,
      [lag, reason ?? ''].filter((word) => word !== '').join(': '),
    ];
  });
  const lead = leader === null ? 'NO LEADER' : `led by ${leader.name} in term ${leader.term ?? 'unknown'}`;
  const own = isMember ? '' : `${member} (this one) HAS NO LEASE: what needs agreement waits\n`;
  const head = `fleet ${cluster} (${store}), topology version ${topologyVersion ?? 'unknown'}, ${lead}\n`;
  return `${head}${table([['member', '', 'version', 'up', 'topology', ''], ...rows], 'lllrrl')}${own}${bad}\n`;
}

const NODE_HEAD = ['node', 'pool', 'address', '', 'for', 'queued', 'version', 'last error'];

/** Those that are not up are not the ones left out. */
function nodeTable(nodes: readonly NodeStatus[], nodesMax: number, age: (time: string) => string): string {
  const isCut = nodes.length > nodesMax;
  const ordered = isCut ? [...nodes].sort(downFirst) : nodes;
  const shown = table([NODE_HEAD, ...ordered.slice(0, nodesMax).map((node) => nodeRow(node, age))], 'lllllrll');
  if (!isCut) return shown;
  const rest = ordered.slice(nodesMax);
  const down = rest.filter(({ state }) => state !== 'up').length;
  return `${shown}and ${number(rest.length)} more, ${down === 0 ? 'all up' : `${number(down)} not up`}\n`;
}

function downFirst(one: NodeStatus, other: NodeStatus): number {
  return Number(one.state === 'up') - Number(other.state === 'up');
}

function workerRow({ index, alive, sessions, commandsPerSecond, memoryBytes }: WorkerStatus): string[] {
  return [`${index}`, alive ? 'up' : 'DOWN', number(sessions), number(commandsPerSecond), bytes(memoryBytes)];
}

function totalRow(workers: readonly WorkerStatus[]): string[] {
  const sum = (value: (worker: WorkerStatus) => number) => workers.reduce((total, worker) => total + value(worker), 0);
  const [sessions, rate, memory] = [sum((w) => w.sessions), sum((w) => w.commandsPerSecond), sum((w) => w.memoryBytes)];
  return ['all', '', number(sessions), number(rate), bytes(memory)];
}

function nodeRow(node: NodeStatus, age: (time: string) => string): string[] {
  const { name, pool, address, state, since, version, lastError, commandsQueued } = node;
  const error = lastError === null ? '' : `${lastError.reason} (${age(lastError.at)} ago)`;
  const word = state === 'down' ? 'DOWN' : state;
  return [name, pool, address, word, age(since), number(commandsQueued), version ?? '', error];
}

/** Of a pool with replicated keys: whose votes count, and why those of the others do not. */
function careTable({ pool, withoutQuorum, nodes, comparison }: PoolCare, nowMs: number): string {
  const rows = nodes.map((node) => [
    node.name,
    node.standing === 'member' ? 'member' : node.standing.toUpperCase(),
    careOf(node, nowMs),
  ]);
  const sets = withoutQuorum.length;
  const equal = comparison === null ? '' : `${comparisonOf(comparison, nowMs)}\n`;
  const lack =
    sets === 0 ? '' : `NO QUORUM in ${number(sets)} set${sets === 1 ? '' : 's'} of nodes: their keys are not served\n`;
  return `${table([[`replicas in ${pool}`, '', ''], ...rows], 'lll')}${equal}${lack}\n`;
}

/** Of keys of consistency eventual. */
function comparisonOf(
  { copies, beganAt, tookMs, equalAt, isWhole, keys, behind, mended, latenessMs }: ComparisonCare,
  nowMs: number,
): string {
  const lag = equalAt === null ? '' : describeAge(nowMs - Date.parse(equalAt));
  const state = { equal: 'copies are equal', differ: 'COPIES DIFFER', 'not known': 'copies are NOT KNOWN to be equal' };
  const all =
    equalAt === null ? 'never known to be equal' : `all were with what was written before ${equalAt}, ${lag} ago`;
  const since = `${state[copies]}: ${all}`;
  const last = `${number(keys)} keys compared at ${beganAt}, in ${(tookMs / 1000).toFixed(1)} s`;
  const late = latenessMs === null ? '' : ` (${describeAge(latenessMs)} after it was written, at most)`;
  const found = behind === 0 ? 'none behind' : `${number(behind)} behind, ${number(mended)} mended${late}`;
  return `${since}; ${last}: ${found}${isWhole ? '' : '; NOT ALL NODES could be asked'}`;
}

function careOf({ reason, repair, hints }: NodeCare, nowMs: number): string {
  const { bytes: size, oldestMs, latenessMs } = hints;
  const kept =
    oldestMs === null ? null : `${bytes(size)} of writes kept for it, the oldest for ${describeAge(nowMs - oldestMs)}`;
  const late =
    latenessMs === null ? null : `what it was given last came ${describeAge(latenessMs)} after it was written`;
  if (repair === null) return [reason, kept, late].filter((text) => text !== null).join('; ');
  const { keysCompared, keysReplaced, keysDropped, epoch } = repair;
  const done = `${number(keysCompared)} compared, ${number(keysReplaced)} copied, ${number(keysDropped)} dropped`;
  return `${reason}; in epoch ${epoch}, keys: ${done}`;
}

/** Gauges stand in the tables above. */
function counters({ counters }: Status): string {
  const rows = Object.entries(counters)
    .filter(([name, value]) => value !== 0 && name !== 'sessionsOpen' && name !== 'memoryBytes')
    .map(([name, value]) => [name, number(value)]);
  return rows.length === 0 ? 'no command has come yet\n' : table([['counter', ''], ...rows], 'lr');
}

/** Columns as wide as their widest cell; `alignment` has a letter for each, l or r. */
function table(rows: readonly string[][], alignment: string): string {
  const widths = [...alignment].map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => {
    const cells = row.map((cell, column) => {
      const width = widths[column] as number;
      return alignment[column] === 'r' ? cell.padStart(width) : cell.padEnd(width);
    });
    return `${cells.join('  ').trimEnd()}\n`;
  });
  return lines.join('');
}

/** The two largest units: `3 d 4 h`. */
export function describeAge(ms: number): string {
  const units: [number, string][] = [
    [DAY, 'd'],
    [HOUR, 'h'],
    [MINUTE, 'min'],
    [SECOND, 's'],
  ];
  const whole = Math.max(0, ms);
  const first = units.findIndex(([size]) => whole >= size);
  if (first === -1) return '0 s';
  let rest = whole;
  const parts: string[] = [];
  for (const [size, name] of units.slice(first, first + 2)) {
    const count = Math.floor(rest / size);
    if (count > 0) parts.push(`${count} ${name}`);
    rest -= count * size;
  }
  return parts.join(' ');
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}

function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  const unit = Math.min(units.length - 1, count < 1 ? 0 : Math.floor(Math.log2(count) / 10));
  const value = count / 1024 ** unit;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
