/** MEMORY STATS of all nodes as one server's: quantities added up, and what is worked out of them worked out again. */
import { elementsOf, textOf } from '../replica/reply-shape.js';
import { TYPE } from '../resp/frame.js';
import { bulkReply, integerReply, mapHeader, type Protocol } from '../resp/reply.js';
import type { Output } from '../transport/output.js';
import { framesOf, integerOf, isAggregate, protocolOf } from './node-frames.js';
import type { Part, Parts, ResponsePolicy } from './response-policy.js';

/** Numbers, and for each database numbers of its own. */
type Stats = Map<string, number | Map<string, number>>;

export const MEMORY_STATS: ResponsePolicy = {
  needsOne: false,
  fits: (bytes: Uint8Array, part: Part) => isAggregate(bytes, part),
  write: (parts: Parts, output: Output) => {
    const frames = framesOf(parts);
    const protocol = protocolOf(frames[0] as Uint8Array);
    const stats = merge(frames.map(readStats));
    output.appendBytes(mapHeader(stats.size, protocol));
    for (const [name, value] of stats) {
      output.appendBytes(bulkReply(Buffer.from(name, 'latin1')));
      if (typeof value === 'number') output.appendBytes(numberReply(name, value, protocol));
      else {
        output.appendBytes(mapHeader(value.size, protocol));
        for (const [inner, bytes] of value) {
          output.appendBytes(bulkReply(Buffer.from(inner, 'latin1')));
          output.appendBytes(integerReply(bytes));
        }
      }
    }
  },
};

/** What is worked out of quantities (object.c: getMemoryOverheadData), by its name: what is divided, by what, and times what. */
interface Quotient {
  readonly of: (stats: Stats) => number;
  readonly by: (stats: Stats) => number;
  readonly times: number;
}

const take = (name: string) => (stats: Stats) => {
  const value = stats.get(name);
  return typeof value === 'number' ? value : 0;
};
/** What was taken since the start. */
const sinceStart = (stats: Stats) => take('total.allocated')(stats) - take('startup.allocated')(stats);
/** Resident bytes: what is there more than was asked for is a quantity of its own. */
const resident = (stats: Stats) => take('total.allocated')(stats) + take('fragmentation.bytes')(stats);
const residentOfProcess = (stats: Stats) => take('allocator.resident')(stats) + take('rss-overhead.bytes')(stats);

const QUOTIENTS: Readonly<Record<string, Quotient>> = {
  'keys.bytes-per-key': { of: sinceStart, by: take('keys.count'), times: 1 },
  'dataset.percentage': { of: take('dataset.bytes'), by: sinceStart, times: 100 },
  'peak.percentage': { of: take('total.allocated'), by: take('peak.allocated'), times: 100 },
  'allocator-fragmentation.ratio': { of: take('allocator.active'), by: take('allocator.allocated'), times: 1 },
  'allocator-rss.ratio': { of: take('allocator.resident'), by: take('allocator.active'), times: 1 },
  'rss-overhead.ratio': { of: residentOfProcess, by: take('allocator.resident'), times: 1 },
  fragmentation: { of: resident, by: take('total.allocated'), times: 1 },
};

function merge(all: readonly Stats[]): Stats {
  const merged: Stats = new Map();
  // Databases that only later nodes have stand behind those of the first.
  for (const name of namesOf(all)) {
    const values = all.flatMap((stats) => stats.get(name) ?? []);
    const maps = values.filter((value) => typeof value !== 'number');
    if (maps.length > 0) merged.set(name, addUp(maps));
    else
      merged.set(
        name,
        (values as number[]).reduce((total, value) => total + value, 0),
      );
  }
  for (const [name, { of, by, times }] of Object.entries(QUOTIENTS)) {
    if (!merged.has(name)) continue;
    const divisor = by(merged);
    const quotient = divisor > 0 ? (of(merged) * times) / divisor : 0;
    merged.set(name, INTEGERS.has(name) ? Math.trunc(quotient) : quotient);
  }
  return merged;
}

const INTEGERS: ReadonlySet<string> = new Set(['keys.bytes-per-key']);

function namesOf(all: readonly Stats[]): string[] {
  const names: string[] = [];
  for (const stats of all) {
    let before = -1;
    for (const name of stats.keys()) {
      const at = names.indexOf(name);
      if (at >= 0) before = at;
      else names.splice(++before, 0, name);
    }
  }
  return names;
}

function addUp(maps: readonly Map<string, number>[]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const map of maps) for (const [name, value] of map) sums.set(name, (sums.get(name) ?? 0) + value);
  return sums;
}

function readStats(frame: Uint8Array): Stats {
  const frames = elementsOf(frame);
  const stats: Stats = new Map();
  for (let at = 0; at + 1 < frames.length; at += 2) {
    const value = frames[at + 1] as Uint8Array;
    const isMap = value[0] === TYPE.array || value[0] === TYPE.map;
    stats.set(textOf(frames[at] as Uint8Array), isMap ? (readStats(value) as Map<string, number>) : numberOf(value));
  }
  return stats;
}

/** A number: an integer, or one that RESP2 has as text. */
function numberOf(frame: Uint8Array): number {
  if (frame[0] === TYPE.integer) return integerOf(frame);
  if (frame[0] === TYPE.double) return Number(Buffer.from(frame.subarray(1, -2)).toString('latin1'));
  return Number(textOf(frame));
}

/** What is a ratio or a percentage is one also where it happens to be whole. */
function numberReply(name: string, value: number, protocol: Protocol): Uint8Array {
  if (QUOTIENTS[name] === undefined || INTEGERS.has(name)) return integerReply(value);
  return protocol === 3 ? Buffer.from(`,${value}\r\n`) : bulkReply(String(value));
}
