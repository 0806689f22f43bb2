/**
 * SINTER and its like, of values that nodes have dumped, without a node: where all of them are small, they have come with the first answers
 * (gather-steps.ts), and nothing has to be brought anywhere.
 *
 * Null, wherever it is returned: that is not for here. A node carries the command out, and says what is wrong with it.
 */

import { TYPE } from '../resp/frame.js';
import { headerLength, integerReply, type Protocol, setHeader, writeHeader } from '../resp/reply.js';
import { DumpedMembers } from './dumped-members.js';
import { MemberTable } from './member-table.js';

/** The reply, of the values of the command's keys in their order, as DUMP gives them; empty where there is none. */
export type Join = (values: readonly Uint8Array[]) => Uint8Array | null;

export interface JoinedCommand {
  /** Its keys in their order, also those that are named twice. */
  keys: readonly Uint8Array[];
  join: Join;
}

/** As Redis takes numbers, but for those beyond all counts. */
const COUNT = /^(0|[1-9]\d{0,14})$/;
/** Bytes that may come out of what Redis has compressed. */
const EXPANDED_MAX = 1024 * 1024;
/** A set without members, as it would be dumped. */
const NOTHING = Uint8Array.of(2, 0);
const CR = 0x0d;
const LF = 0x0a;
/** Below this a loop is faster than what copies long values. */
const SHORT = 64;

/** One is enough: nothing waits between its beginning and its end. */
const table = new MemberTable();

/** Null: its values are not put together here, whatever they are. */
export function joinedCommand(words: readonly Uint8Array[], protocol: Protocol): JoinedCommand | null {
  const keys = words.slice(1);
  switch (textOf(words[0] as Uint8Array)) {
    case 'SINTER':
      return { keys, join: (values) => joined(values, false, intersect, (mark) => membersReply(mark, protocol)) };
    case 'SUNION':
      return { keys, join: (values) => joined(values, false, unite, (mark) => membersReply(mark, protocol)) };
    case 'SDIFF':
      return { keys, join: (values) => joined(values, false, subtract, (mark) => membersReply(mark, protocol)) };
    case 'SINTERCARD':
      return cardinality(words, false);
    case 'ZINTERCARD':
      return cardinality(words, true);
    default:
      return null;
  }
}

/** Of SINTERCARD and ZINTERCARD, with LIMIT or without. */
function cardinality(words: readonly Uint8Array[], areSorted: boolean): JoinedCommand | null {
  const end = 2 + countOf(words[1] as Uint8Array);
  const [option, limit, ...more] = words.slice(end);
  const isLimit = option !== undefined && limit !== undefined && more.length === 0 && textOf(option) === 'LIMIT';
  const countMax = isLimit ? countOf(limit) : 0;
  if (end < 3 || countMax < 0 || (option !== undefined && !isLimit)) return null;
  return {
    keys: words.slice(2, end),
    join: (values) => joined(values, areSorted, intersect, (mark) => countReply(mark, countMax)),
  };
}

/** Fills the table. The mark that those members have in the end which the command wants; null: not all could be read. */
type Operation = (all: readonly DumpedMembers[]) => number | null;

function joined(
  values: readonly Uint8Array[],
  areSorted: boolean,
  operation: Operation,
  replyOf: (mark: number) => Uint8Array,
): Uint8Array | null {
  const all: DumpedMembers[] = [];
  for (const value of values) {
    const members = DumpedMembers.of(value.length === 0 ? NOTHING : value, areSorted, EXPANDED_MAX);
    if (members === null) return null;
    all.push(members);
  }
  const mark = operation(all);
  const reply = mark === null ? null : replyOf(mark);
  table.end();
  return reply;
}

/** The members of the smallest are marked with how many of the others have them. */
function intersect(all: readonly DumpedMembers[]): number | null {
  const [smallest, ...others] = [...all].sort((one, other) => one.countMax - other.countMax) as [
    DumpedMembers,
    ...DumpedMembers[],
  ];
  table.begin(smallest.countMax);
  if (!smallest.each(addToTable)) return null;
  for (const [round, members] of others.entries()) {
    const isWhole = members.each((source, from, to) => {
      const index = table.find(source, from, to);
      if (index >= 0 && table.markOf(index) === round) table.mark(index, round + 1);
    });
    if (!isWhole) return null;
  }
  return others.length;
}

function unite(all: readonly DumpedMembers[]): number | null {
  table.begin(all.reduce((sum, { countMax }) => sum + countMax, 0));
  return all.every((members) => members.each(addToTable)) ? 0 : null;
}

/** Those of the first that another has are marked. */
function subtract([first, ...others]: readonly DumpedMembers[]): number | null {
  table.begin((first as DumpedMembers).countMax);
  if (!(first as DumpedMembers).each(addToTable)) return null;
  const isWhole = others.every((members) =>
    members.each((source, from, to) => {
      const index = table.find(source, from, to);
      if (index >= 0) table.mark(index, 1);
    }),
  );
  return isWhole ? 0 : null;
}

function addToTable(source: DataView, from: number, to: number): void {
  table.add(source, from, to);
}

function countReply(mark: number, countMax: number): Uint8Array {
  let count = 0;
  for (let index = 0; index < table.count; index++) if (table.markOf(index) === mark) count++;
  return integerReply(countMax > 0 ? Math.min(count, countMax) : count);
}

function membersReply(mark: number, protocol: Protocol): Uint8Array {
  let count = 0;
  let bytes = 0;
  for (let index = 0; index < table.count; index++) {
    if (table.markOf(index) !== mark) continue;
    const length = table.endOf(index) - table.startOf(index);
    count++;
    bytes += headerLength(length) + length + 2;
  }
  const header = setHeader(count, protocol);
  const reply = Buffer.allocUnsafe(header.length + bytes);
  reply.set(header);
  let at = header.length;
  for (let index = 0; index < table.count; index++) {
    if (table.markOf(index) !== mark) continue;
    const [from, to] = [table.startOf(index), table.endOf(index)];
    at = writeHeader(reply, at, TYPE.bulk, to - from);
    if (to - from > SHORT) reply.set(table.bytes.subarray(from, to), at);
    else for (let byte = from; byte < to; byte++) reply[at + byte - from] = table.bytes[byte] as number;
    at += to - from;
    reply[at] = CR;
    reply[at + 1] = LF;
    at += 2;
  }
  return reply;
}

/** Digits as a number; -1 of all else. */
function countOf(word: Uint8Array): number {
  const text = Buffer.from(word).toString('latin1');
  return COUNT.test(text) ? Number(text) : -1;
}

function textOf(word: Uint8Array): string {
  return Buffer.from(word).toString('latin1').toUpperCase();
}
