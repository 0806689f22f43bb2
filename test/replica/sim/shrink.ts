/** Makes a schedule that breaks something smaller, and says what is left of it, so that people can follow. */

import type { Omission } from '../../help/acceptor.js';
import type { Schedule } from './schedule.js';
import type { Simulation } from './simulation.js';

/** Runs that it may take. */
const RUNS_MAX = 400;
/** Lines of the trace that are shown, the last ones. */
const TRACE_LINES = 120;

type Sim = new (schedule: Schedule, without?: ReadonlySet<Omission>, isTracing?: boolean) => Simulation;

/** Leaves out clients, calls and troubles, one at a time, as long as something stays broken. */
export function shrink(schedule: Schedule, breaks: (schedule: Schedule) => boolean): Schedule {
  let smallest = schedule;
  let runs = 0;
  let isSmaller = true;
  while (isSmaller && runs < RUNS_MAX) {
    isSmaller = false;
    for (const candidate of smallerOnes(smallest)) {
      if (++runs > RUNS_MAX) break;
      if (!breaks(candidate)) continue;
      smallest = candidate;
      isSmaller = true;
      break;
    }
  }
  return smallest;
}

/** What went wrong, in the smallest schedule that was found, as text. */
export function explain(schedule: Schedule, sim: Sim, without: ReadonlySet<Omission> = new Set()): string {
  const smallest = shrink(schedule, (candidate) => new sim(candidate, without).run().violation !== null);
  const { violation, trace } = new sim(smallest, without, true).run();
  const left = Math.max(0, trace.length - TRACE_LINES);
  return [
    `seed ${schedule.seed}, ${schedule.copies} copies on ${schedule.nodes} nodes: ${violation}`,
    `  ${smallest.clients.length} clients, ${smallest.troubles.length} troubles; ${left} lines before:`,
    ...trace.slice(left),
  ].join('\n');
}

function* smallerOnes(schedule: Schedule): Generator<Schedule> {
  const { clients, troubles } = schedule;
  for (const index of clients.keys()) yield { ...schedule, clients: clients.toSpliced(index, 1) };
  for (const index of troubles.keys()) yield { ...schedule, troubles: troubles.toSpliced(index, 1) };
  for (const [index, client] of clients.entries()) {
    for (const place of client.wants.keys()) {
      const shorter = { ...client, wants: client.wants.toSpliced(place, 1) };
      yield { ...schedule, clients: clients.with(index, shorter) };
    }
  }
}
