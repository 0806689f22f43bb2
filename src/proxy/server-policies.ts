/** How the replies of all nodes become one server's, command by command, where Redis's tips say `special`, or nothing. */
import type { CommandTimes } from '../base/command-times.js';
import { elementsOf, textOf } from '../replica/reply-shape.js';
import { TYPE } from '../resp/frame.js';
import {
  arrayHeader,
  bulkReply,
  encodeMap,
  integerReply,
  mapHeader,
  nullReply,
  type Protocol,
  setHeader,
} from '../resp/reply.js';
import type { Output } from '../transport/output.js';
import { HistogramPolicy } from './latency-histogram.js';
import { HISTORY, LATEST, ResetPolicy } from './latency-policies.js';
import { MEMORY_STATS } from './memory-stats.js';
import { elementsOfAll, frameOf, framesOf, integerOf, isAggregate } from './node-frames.js';
import { NodeTextsPolicy } from './node-texts.js';
import { pubsubPolicy } from './pubsub-policy.js';
import { type Part, type Parts, type ResponsePolicy, responsePolicy } from './response-policy.js';
import { SlowlogPolicy } from './slowlog-policy.js';

/** The policy for a command with those words, or null where the tips say all. */
export function serverPolicy(
  name: string,
  words: readonly string[],
  protocol: Protocol,
  times: CommandTimes,
): ResponsePolicy | null {
  switch (name) {
    case 'function|stats':
      return new FunctionStatsPolicy(protocol);
    case 'slowlog|get':
      return new SlowlogPolicy(words[2] ?? null);
    case 'latency|reset':
      return new ResetPolicy(words.slice(2));
    case 'latency|histogram':
      return new HistogramPolicy(words.slice(2), times);
    default:
      return POLICIES.get(name) ?? pubsubPolicy(name);
  }
}

/** BGSAVE, BGREWRITEAOF: `Background saving started`, unless some node has put it off. */
const BACKGROUND: ResponsePolicy = {
  inWords: 'what the first says, or the first that has put it off',
  needsOne: false,
  fits: (bytes, part) => bytes[part.start] === TYPE.simple,
  write: (parts, output) => {
    const frames = framesOf(parts);
    const putOff = frames.find((frame) => textOf(frame).endsWith('scheduled'));
    output.appendBytes(putOff ?? (frames[0] as Uint8Array));
  },
};

const MASTER = 'master';

/** ROLE: a master with the replicas of all nodes. Where a node is none, which refuses writes, its word is the whole's. */
const ROLE: ResponsePolicy = {
  needsOne: false,
  fits: isAggregate,
  write: (parts, output) => {
    const roles = elementsOfAll(parts);
    const replica = roles.findIndex(([role]) => textOf(role as Uint8Array) !== MASTER);
    if (replica >= 0) {
      output.appendBytes(framesOf(parts)[replica] as Uint8Array);
      return;
    }
    const replicas = roles.flatMap(([, , list]) => elementsOf(list as Uint8Array));
    output.appendBytes(arrayHeader(3));
    output.appendBytes(bulkReply(MASTER));
    output.appendBytes(integerReply(roles.reduce((sum, [, offset]) => sum + integerOf(offset as Uint8Array), 0)));
    output.appendBytes(arrayHeader(replicas.length));
    for (const frame of replicas) output.appendBytes(frame);
  },
};

/**
 * FUNCTION STATS: the function that runs on any node, also while others are down; libraries, which all nodes have, as the node that has
 * most. Nodes are asked in RESP2, by connections that a function does not keep.
 */
class FunctionStatsPolicy implements ResponsePolicy {
  readonly needsOne = false;
  private readonly protocol: Protocol;

  constructor(protocol: Protocol) {
    this.protocol = protocol;
  }

  fits(bytes: Uint8Array, part: Part): boolean {
    if (!isAggregate(bytes, part)) return false;
    const stats = fieldsOf(elementsOf(frameOf(bytes, part)));
    return stats.has('running_script') && stats.get('engines')?.[0] === TYPE.array;
  }

  /** Where a function runs, that is what was asked for. Where none does, one may run at a node that has not said. */
  tellsOf(_index: number, parts: Parts): boolean {
    return this.told(parts).some((stats) => runningIn(stats) !== null);
  }

  write(parts: Parts, output: Output): void {
    const { protocol } = this;
    const engines = new Map<string, Map<string, number>>();
    let running: readonly Uint8Array[] | null = null;
    for (const stats of this.told(parts)) {
      running ??= runningIn(stats);
      for (const [engine, counts] of fieldsOf(elementsOf(stats.get('engines') as Uint8Array))) {
        const most = engines.get(engine) ?? new Map<string, number>();
        for (const [name, count] of fieldsOf(elementsOf(counts)))
          most.set(name, Math.max(most.get(name) ?? 0, integerOf(count)));
        engines.set(engine, most);
      }
    }
    output.appendBytes(mapHeader(2, protocol));
    output.appendBytes(bulkReply('running_script'));
    if (running === null) output.appendBytes(nullReply(protocol));
    else {
      output.appendBytes(mapHeader(running.length / 2, protocol));
      for (const frame of running) output.appendBytes(frame);
    }
    output.appendBytes(bulkReply('engines'));
    output.appendBytes(mapHeader(engines.size, protocol));
    for (const [engine, counts] of engines) {
      output.appendBytes(bulkReply(Buffer.from(engine, 'latin1')));
      output.appendBytes(encodeMap([...counts], protocol));
    }
  }

  /** What the nodes have said that did. */
  private told(parts: Parts): Map<string, Uint8Array>[] {
    const told: Map<string, Uint8Array>[] = [];
    for (let index = 0; index < parts.partCount; index++) {
      const part = parts.part(index);
      if (part.failure !== null || !this.fits(parts.bytes, part)) continue;
      told.push(fieldsOf(elementsOf(frameOf(parts.bytes, part))));
    }
    return told;
  }
}

/** The function that runs, as its node's answer to FUNCTION STATS has it; null: none does. */
function runningIn(stats: ReadonlyMap<string, Uint8Array>): readonly Uint8Array[] | null {
  const script = stats.get('running_script') as Uint8Array;
  return script[0] === TYPE.array ? elementsOf(script) : null;
}

/** MODULE LIST: the modules that all nodes have, each in the lowest version of any. */
const MODULES: ResponsePolicy = {
  needsOne: false,
  fits: isAggregate,
  write: (parts: Parts, output: Output) => {
    const protocol = framesOf(parts).some(([type]) => type === TYPE.set) ? 3 : 2;
    const [first, ...others] = elementsOfAll(parts).map(modulesByName) as [Modules, ...Modules[]];
    const common = [...first].flatMap(([name, module]) => {
      const same = others.map((modules) => modules.get(name));
      if (same.includes(undefined)) return [];
      return (same as Module[]).reduce((one, other) => (other.version < one.version ? other : one), module);
    });
    output.appendBytes(setHeader(common.length, protocol));
    for (const { frame } of common) output.appendBytes(frame);
  },
};

interface Module {
  version: number;
  frame: Uint8Array;
}
type Modules = ReadonlyMap<string, Module>;

function modulesByName(frames: readonly Uint8Array[]): Modules {
  return new Map(
    frames.map((frame) => {
      const fields = fieldsOf(elementsOf(frame));
      const version = integerOf(fields.get('ver') as Uint8Array);
      return [textOf(fields.get('name') as Uint8Array), { version, frame }];
    }),
  );
}

/** Of a map's keys and values in turn. */
function fieldsOf(frames: readonly Uint8Array[]): Map<string, Uint8Array> {
  const fields = new Map<string, Uint8Array>();
  for (let at = 0; at + 1 < frames.length; at += 2)
    fields.set(textOf(frames[at] as Uint8Array), frames[at + 1] as Uint8Array);
  return fields;
}

const TEXTS = new NodeTextsPolicy();

const POLICIES: ReadonlyMap<string, ResponsePolicy> = new Map([
  ['latency|history', HISTORY],
  ['latency|latest', LATEST],
  ['latency|doctor', TEXTS],
  ['latency|graph', new NodeTextsPolicy('-ERR No samples available')],
  ['memory|stats', MEMORY_STATS],
  ['memory|doctor', TEXTS],
  ['debug|htstats', TEXTS],
  ['memory|malloc-stats', TEXTS],
  ['module|list', MODULES],
  ['role', ROLE],
  ['bgsave', BACKGROUND],
  ['bgrewriteaof', BACKGROUND],
  // What all have saved.
  ['lastsave', responsePolicy('agg_min', false)],
]);
