/** From single runs to medians, ratios and a table. */
import type { Point } from './points.js';
import { median } from './rounds.js';

export interface Run extends Point {
  readonly label: string;
  readonly round: number;
  readonly requests: number;
  readonly rps: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU µs per request of the endpoint's process; null when its process is not known. */
  readonly userUs: number | null;
  readonly kernelUs: number | null;
  /** CPU µs per request of the three Redis servers together. */
  readonly nodesUs: number;
}

/** Medians over the rounds. */
export interface Summary extends Point {
  readonly label: string;
  readonly rps: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly userUs: number | null;
  readonly kernelUs: number | null;
  readonly cpuUs: number | null;
  /** How far the rounds' CPU lies apart: (largest - smallest) / median. Above 0.1 or so the machine was not quiet. */
  readonly cpuSpread: number | null;
  readonly nodesUs: number;
  /** This endpoint's figure divided by the other's; null when the other was not measured, or has none. */
  readonly toBase: Ratios;
  readonly toDirect: Ratios;
}

export interface Ratios {
  readonly rps: number | null;
  readonly p99: number | null;
  readonly cpu: number | null;
  readonly user: number | null;
}

type Medians = Omit<Summary, 'toBase' | 'toDirect'>;

/** Summaries in the order in which points and labels first appear in `runs`. */
export function summarize(runs: readonly Run[], base: string): Summary[] {
  const groups = new Map<string, Run[]>();
  for (const run of runs) {
    const key = `${titleOf(run)} ${run.label}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [run]);
    else group.push(run);
  }
  const all = [...groups.values()].map(medians);
  return all.map((one) => {
    const same = all.filter((other) => titleOf(other) === titleOf(one));
    const to = (label: string) => ratios(one, same.find((other) => other.label === label) ?? null);
    return { ...one, toBase: to(base), toDirect: to('direct') };
  });
}

/** `GET  P=16  50 clients  64 bytes` */
export function titleOf({ test, depth, clients, size }: Point): string {
  return `${test.toUpperCase()}  P=${depth}  ${clients} client${clients === 1 ? '' : 's'}  ${size} bytes`;
}

/** One table per point. */
export function printSummaries(summaries: readonly Summary[], base: string): void {
  let heading = '';
  for (const row of summaries) {
    const title = titleOf(row);
    if (title !== heading) {
      const to = (label: string) => `${label} ×`;
      console.log(`\n${title.padEnd(60)}CPU µs per request${''.padEnd(20)}${to(base).padEnd(32)}${to('direct')}`);
      printCells('', 'rps', 'p50 ms', 'p99 ms', [
        ...['user', 'kernel', 'total', 'spread', 'nodes'],
        ...['rps', 'p99', 'cpu', 'user'],
        ...['rps', 'cpu'],
      ]);
      heading = title;
    }
    printCells(row.label, row.rps.toFixed(0), row.p50Ms.toFixed(3), row.p99Ms.toFixed(3), [
      ...[row.userUs, row.kernelUs, row.cpuUs, row.cpuSpread, row.nodesUs].map(cell),
      ...[row.toBase.rps, row.toBase.p99, row.toBase.cpu, row.toBase.user].map(cell),
      ...[row.toDirect.rps, row.toDirect.cpu].map(cell),
    ]);
  }
}

function printCells(label: string, rps: string, p50: string, p99: string, cells: readonly string[]): void {
  const head = label.padEnd(22) + rps.padStart(10) + p50.padStart(10) + p99.padStart(10);
  console.log(head + cells.map((text) => text.padStart(8)).join(''));
}

function cell(value: number | null): string {
  return value === null ? '–' : value.toFixed(2);
}

function medians(group: readonly Run[]): Medians {
  const [first] = group as readonly [Run];
  const cpu = group.map(({ userUs, kernelUs }) => (userUs === null || kernelUs === null ? null : userUs + kernelUs));
  const cpuUs = medianOrNull(cpu);
  return {
    label: first.label,
    test: first.test,
    depth: first.depth,
    clients: first.clients,
    size: first.size,
    rps: median(group.map((run) => run.rps)),
    p50Ms: median(group.map((run) => run.p50Ms)),
    p99Ms: median(group.map((run) => run.p99Ms)),
    userUs: medianOrNull(group.map((run) => run.userUs)),
    kernelUs: medianOrNull(group.map((run) => run.kernelUs)),
    cpuUs,
    cpuSpread: cpuUs === null ? null : (Math.max(...known(cpu)) - Math.min(...known(cpu))) / cpuUs,
    nodesUs: median(group.map((run) => run.nodesUs)),
  };
}

function ratios(one: Medians, other: Medians | null): Ratios {
  return {
    rps: ratio(one.rps, other?.rps ?? null),
    p99: ratio(one.p99Ms, other?.p99Ms ?? null),
    cpu: ratio(one.cpuUs, other?.cpuUs ?? null),
    user: ratio(one.userUs, other?.userUs ?? null),
  };
}

function ratio(one: number | null, other: number | null): number | null {
  return one === null || other === null || other === 0 ? null : one / other;
}

function medianOrNull(values: readonly (number | null)[]): number | null {
  return known(values).length < values.length ? null : median(known(values));
}

function known(values: readonly (number | null)[]): number[] {
  return values.filter((value) => value !== null);
}
