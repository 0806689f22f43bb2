/**
 * LATENCY of all nodes as one server's. An event that several nodes had in the same second counts once, with the worst of them, as one
 * server keeps one sample a second.
 */
import { elementsOf, textOf } from '../replica/reply-shape.js';
import { TYPE } from '../resp/frame.js';
import { arrayHeader, bulkReply, encodeCommand, integerReply } from '../resp/reply.js';
import type { Output } from '../transport/output.js';
import { elementsOfAll, framesOf, integerOf, isAggregate } from './node-frames.js';
import type { Part, Parts, ResponsePolicy } from './response-policy.js';

/** So many samples of an event does Redis keep (latency.h: LATENCY_TS_LEN). */
const SAMPLES_MAX = 160;

/** LATENCY HISTORY: pairs of a time in seconds and milliseconds, oldest first. */
export const HISTORY: ResponsePolicy = {
  needsOne: false,
  fits: isAggregate,
  write: (parts, output) => {
    const worst = new Map<number, number>();
    for (const sample of elementsOfAll(parts).flat()) {
      const [time, latency] = elementsOf(sample).map(integerOf) as [number, number];
      worst.set(time, Math.max(worst.get(time) ?? 0, latency));
    }
    const samples = [...worst].sort(([one], [other]) => one - other).slice(-SAMPLES_MAX);
    output.appendBytes(arrayHeader(samples.length));
    for (const sample of samples) {
      output.appendBytes(arrayHeader(sample.length));
      for (const value of sample) output.appendBytes(integerReply(value));
    }
  },
};

/** Of one event: when it was last, how long that took, and how long the worst did. */
interface Latest {
  time: number;
  latency: number;
  worst: number;
}

/** What each node is asked before LATENCY RESET. */
export const ASK_LATEST = encodeCommand(['LATENCY', 'LATEST']);

/** LATENCY LATEST */
export const LATEST: ResponsePolicy = {
  needsOne: false,
  fits: isAggregate,
  write: (parts, output) => {
    const events = latestEvents(elementsOfAll(parts).flat());
    output.appendBytes(arrayHeader(events.size));
    for (const [name, { time, latency, worst }] of events) {
      output.appendBytes(arrayHeader(4));
      output.appendBytes(bulkReply(Buffer.from(name, 'latin1')));
      for (const value of [time, latency, worst]) output.appendBytes(integerReply(value));
    }
  },
};

function latestEvents(frames: readonly Uint8Array[]): Map<string, Latest> {
  const events = new Map<string, Latest>();
  for (const frame of frames) {
    const [name, ...values] = elementsOf(frame) as [Uint8Array, ...Uint8Array[]];
    const [time, latency, worst] = values.map(integerOf) as [number, number, number];
    const before = events.get(textOf(name));
    const isNewer = before === undefined || time > before.time || (time === before.time && latency > before.latency);
    events.set(textOf(name), {
      ...(isNewer ? { time, latency } : before),
      worst: Math.max(before?.worst ?? 0, worst),
    });
  }
  return events;
}

/**
 * LATENCY RESET: how many events were forgotten. A node says of how many it had samples, and not of which: so it is asked for them before
 * (`LATENCY LATEST`), in the same piece. Of each node two parts: the reply to that, then the one to RESET.
 */
export class ResetPolicy implements ResponsePolicy {
  readonly inWords = 'how many events any had, each counted once';
  readonly needsOne = false;
  private readonly names: ReadonlySet<string> | null;

  /** `names`: the events that are to be forgotten, in any case; none for all. */
  constructor(names: readonly string[]) {
    this.names = names.length === 0 ? null : new Set(names.map((name) => name.toLowerCase()));
  }

  fits(bytes: Uint8Array, { start }: Part): boolean {
    return bytes[start] === TYPE.array || bytes[start] === TYPE.integer;
  }

  write(parts: Parts, output: Output): void {
    const forgotten = new Set<string>();
    for (const frame of framesOf(parts)) {
      if (frame[0] !== TYPE.array) continue;
      for (const name of latestEvents(elementsOf(frame)).keys()) {
        if (this.names?.has(name.toLowerCase()) !== false) forgotten.add(name);
      }
    }
    output.appendBytes(integerReply(forgotten.size));
  }
}
