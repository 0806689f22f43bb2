/** The histories H1 to H8 of REPLICATION-HISTORIES.md. Each tells how it ended: what a late vote came to, and what is then read. */
import type { Act } from './language.js';
import { Hand, RepairByHand, Table } from './table.js';

const V: Act = { do: 'set', text: 'v', at: 0, flag: '' };
const W: Act = { do: 'set', text: 'w', at: 0, flag: '' };

function read(table: Table, numbers: readonly number[]): string {
  return new Hand(table, 'Z').submit({ do: 'get' }, numbers);
}

/** A state that was never chosen (P3). */
export function neverChosen(): string[] {
  const table = new Table(5);
  table.prepare('0.1.P', [1, 2, 3]);
  table.accept('0.1.P', V, [2, 3]);
  table.prepare('0.2.Q', [1, 4, 5]);
  table.accept('0.2.Q', W, [5]);
  table.lose(1);
  const repaired = new RepairByHand(table, 1, 1, [2, 3, 4]).finish();
  return [repaired, table.accept('0.1.P', V, [1]), read(table, [1, 4, 5])];
}

/** Members that were not raised (P3). */
export function notRaised(): string[] {
  const table = new Table(5);
  table.prepare('0.1.P', [1, 2, 5]);
  table.accept('0.1.P', V, [1, 2]);
  table.lose(1);
  const repaired = new RepairByHand(table, 1, 1, [2, 3, 4]).finish();
  return [repaired, table.accept('0.1.P', V, [5]), read(table, [1, 3, 4])];
}

/** A late `repairing` on a live member (P2). Broken: it is written whatever is there. */
export function lateRepairing(isBroken: boolean): string[] {
  const table = new Table(3);
  table.lose(1);
  const old = new RepairByHand(table, 1, 2, [2, 3]).until('admit', 1);
  const copy = old.pending;
  old.until('scan', 1);
  new RepairByHand(table, 1, 3, [2, 3]).finish();
  table.prepare('3.1.P', [1, 2]);
  table.accept('3.1.P', V, [1]);
  if (copy.step.kind !== 'admit') throw new Error('the copy is another step');
  if (isBroken) table.node(1).data.record = copy.step.record;
  else table.member(1, copy.step, copy.record);
  const repaired = old.finish();
  return [repaired, table.accept('3.1.P', V, [2]), read(table, [1, 3])];
}

/** An epoch of one's own making (P1). Broken: the second repair's epoch is the largest that it sees and one more. */
export function ownEpoch(isBroken: boolean): string[] {
  const table = new Table(5);
  table.lose(1);
  const first = new RepairByHand(table, 1, 1, [2]).until('raise', 2);
  // It reaches node 2, and its answer is lost.
  table.member(2, { kind: 'raise', epoch: 1 }, table.node(2).data.record);
  table.prepare('1.1.P', [2, 3, 4]);
  table.accept('1.1.P', V, [2]);
  table.lose(2);
  const second = new RepairByHand(table, 2, isBroken ? 1 : 2, [3, 4, 5]);
  first.raised = [3, 4, 5];
  const repaired = [second.finish(), first.finish()];
  return [...repaired, table.accept('1.1.P', V, [3, 4]), read(table, [1, 2, 5])];
}

/** OK-ALREADY as a ride (W5). */
export function ride(): string[] {
  const table = new Table(3);
  const p = new Hand(table, 'P');
  p.holds = (number, step) => step.kind === 'accept' && number === 2;
  const held = p.submit(V, [1, 2]);
  // A catch-up that gives away what is not chosen: REPLICATION.md forbids it, too.
  table.install(1, [2]);
  const set = p.release();
  table.prepare('0.1.Q', [2, 3]);
  const other = table.accept('0.1.Q', W, [2], '0.1.P');
  const installed = table.install(2, [3]);
  return [held, set, other, installed, p.submit({ do: 'append', text: 'x' }, [1, 3])];
}

/** e kept over a restart (P1). Broken: the second repair has the epoch of the first. */
export function keptEpoch(isBroken: boolean): string[] {
  const table = new Table(3);
  table.lose(1);
  new RepairByHand(table, 1, 1, [2, 3]).finish();
  table.prepare('1.1.P', [1, 2]);
  table.accept('1.1.P', V, [1]);
  table.lose(1);
  const repaired = new RepairByHand(table, 1, isBroken ? 1 : 2, [2, 3]).finish();
  return [repaired, table.accept('1.1.P', V, [2]), read(table, [1, 3])];
}

/** A late P4 (P4). Broken: it names the process that runs. */
export function lateFinish(isBroken: boolean): string[] {
  const table = new Table(3);
  table.lose(1);
  const repair = new RepairByHand(table, 1, 1, [2, 3]).until('raise', 2);
  const file = table.node(1).save();
  repair.until('admit', 1);
  const copy = repair.pending;
  const repaired = repair.finish();
  table.prepare('1.1.P', [1, 2]);
  table.accept('1.1.P', V, [1]);
  table.resync(1, file);
  if (copy.step.kind !== 'admit') throw new Error('the copy is another step');
  if (isBroken) table.node(1).data.record = table.memberRecord(1, table.node(1).process, 1);
  else table.member(1, copy.step, copy.record);
  return [repaired, table.accept('1.1.P', V, [2]), read(table, [1, 3])];
}

/** A reload behind everyone's back (M1). */
export function reload(): string[] {
  const table = new Table(3);
  table.debuggable.add(1);
  const file = table.node(1).save();
  table.prepare('0.1.P', [1, 2]);
  const accepted = table.accept('0.1.P', V, [1, 2]);
  table.node(1).resync(file, table.node(1).process.replId);
  return [accepted, read(table, [1, 3])];
}
