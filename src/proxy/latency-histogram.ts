/**
 * LATENCY HISTOGRAM of all nodes as one server's: how often each command was called, and how long that took.
 *
 *   a command for one shard, or split: the nodes' calls added up
 *   a command for all nodes: those of the node that has had most, since a client's one call is one on each
 *   a command that the proxy answers itself: its own times; what the nodes show of it is the proxy's own doing (PING, HELLO)
 */
import type { CommandTimes } from '../base/command-times.js';
import { elementsOf, textOf } from '../replica/reply-shape.js';
import type { Route } from '../resp/command-routes.js';
import { COMMANDS } from '../resp/commands.js';
import { bulkReply, integerReply, mapHeader } from '../resp/reply.js';
import type { Output } from '../transport/output.js';
import { framesOf, integerOf, isAggregate, protocolOf } from './node-frames.js';
import type { Part, Parts, ResponsePolicy } from './response-policy.js';

/** Calls that took no longer than so many microseconds, by that, upwards: as Redis shows them. */
type Cumulative = readonly (readonly [bound: number, calls: number])[];

const ROUTES: ReadonlyMap<string, Route> = new Map(COMMANDS.map(({ name, route }) => [name, route]));
/** Routes of commands that the proxy answers itself. */
const OWN_ROUTES: ReadonlySet<Route> = new Set(['local', 'clients', 'tracking']);
const OWN = COMMANDS.filter(({ route }) => OWN_ROUTES.has(route));

export class HistogramPolicy implements ResponsePolicy {
  readonly needsOne = false;
  private readonly names: readonly string[];
  private readonly times: CommandTimes;

  /** `names`: the commands that are asked for, in any case; none for all. */
  constructor(names: readonly string[], times: CommandTimes) {
    this.names = names.map((name) => name.toLowerCase());
    this.times = times;
  }

  fits(bytes: Uint8Array, part: Part): boolean {
    return isAggregate(bytes, part);
  }

  write(parts: Parts, output: Output): void {
    const frames = framesOf(parts);
    const protocol = protocolOf(frames[0] as Uint8Array);
    const all = this.merge(frames.map(readHistograms));
    output.appendBytes(mapHeader(all.size, protocol));
    for (const [name, pairs] of all) {
      output.appendBytes(bulkReply(Buffer.from(name, 'latin1')));
      output.appendBytes(mapHeader(2, protocol));
      output.appendBytes(bulkReply('calls'));
      output.appendBytes(integerReply(callsOf(pairs)));
      output.appendBytes(bulkReply('histogram_usec'));
      output.appendBytes(mapHeader(pairs.length, protocol));
      for (const value of pairs.flat()) output.appendBytes(integerReply(value));
    }
  }

  private merge(nodes: readonly ReadonlyMap<string, Cumulative>[]): Map<string, Cumulative> {
    const found = new Map<string, Cumulative>();
    for (const name of new Set(nodes.flatMap((node) => [...node.keys()]))) {
      const route = ROUTES.get(name) ?? 'one';
      if (OWN_ROUTES.has(route)) continue;
      const each = nodes.flatMap((node) => [node.get(name) ?? []]);
      found.set(name, route === 'all' ? most(each) : sum(each));
    }
    for (const { name, index } of OWN) {
      const pairs = this.isAsked(name) ? this.times.cumulative(index) : null;
      if (pairs !== null) found.set(name, pairs);
    }
    if (this.names.length === 0) return found;
    // In the order in which they were asked for; a container stands for its subcommands.
    const order = this.names.flatMap((asked) => [...found.keys()].filter((name) => isOf(name, asked)));
    return new Map(order.map((name) => [name, found.get(name) as Cumulative]));
  }

  private isAsked(name: string): boolean {
    return this.names.length === 0 || this.names.some((asked) => isOf(name, asked));
  }
}

function isOf(name: string, asked: string): boolean {
  return name === asked || name.startsWith(`${asked}|`);
}

/** `name {calls n histogram_usec {bound calls …}} …`, in either protocol. */
function readHistograms(frame: Uint8Array): Map<string, Cumulative> {
  const histograms = new Map<string, Cumulative>();
  for (const [name, body] of pairsOf(elementsOf(frame))) {
    const [, , , buckets] = elementsOf(body) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    const pairs = pairsOf(elementsOf(buckets)).map(([bound, calls]) => [integerOf(bound), integerOf(calls)] as const);
    histograms.set(textOf(name), pairs);
  }
  return histograms;
}

function pairsOf(frames: readonly Uint8Array[]): [Uint8Array, Uint8Array][] {
  const pairs: [Uint8Array, Uint8Array][] = [];
  for (let at = 0; at + 1 < frames.length; at += 2)
    pairs.push([frames[at], frames[at + 1]] as [Uint8Array, Uint8Array]);
  return pairs;
}

function most(each: readonly Cumulative[]): Cumulative {
  return each.reduce((one, other) => (callsOf(other) > callsOf(one) ? other : one));
}

function sum(each: readonly Cumulative[]): Cumulative {
  const bounds = [...new Set(each.flatMap((pairs) => pairs.map(([bound]) => bound)))].sort((one, other) => one - other);
  return bounds.map((bound) => [bound, each.reduce((total, pairs) => total + upTo(pairs, bound), 0)]);
}

function callsOf(pairs: Cumulative): number {
  return pairs.at(-1)?.[1] ?? 0;
}

/** Calls that took no longer than `bound`. */
function upTo(pairs: Cumulative, bound: number): number {
  return pairs.findLast(([own]) => own <= bound)?.[1] ?? 0;
}
