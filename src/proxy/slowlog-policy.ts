/**
 * SLOWLOG GET: the entries of all nodes as one log, newest first.
 *
 *   node a   SPOP   FLUSHALL   SET                 each newest first
 *   node b          FLUSHALL   GET   SET
 *   the log  SPOP   FLUSHALL   SET   GET   SET     what went to all nodes once, when it is the newest left of each that has it
 *
 * Each node numbers its own entries. The number that a client sees is made of the node's and of the node's place, so that no two are
 * alike, and that of an entry stays while the nodes do. An entry's address is that of the proxy's connection, as the node saw it; in place
 * of that connection's name, which it has none, stands the name of the node, which is where to look.
 */
import { elementsOf, textOf } from '../replica/reply-shape.js';
import { COMMANDS } from '../resp/commands.js';
import { parseInt64 } from '../resp/int64.js';
import { arrayHeader, bulkReply, integerReply } from '../resp/reply.js';
import type { Output } from '../transport/output.js';
import { elementsOfAll, integerOf, isAggregate } from './node-frames.js';
import type { Part, Parts, ResponsePolicy } from './response-policy.js';

/** Redis's own, where the command does not say how many. */
const COUNT_DEFAULT = 10;
/** Places in an entry: its number, when it was (seconds), how long it took (microseconds), its words, and the client's name (since Redis 4.0). */
const ID = 0;
const TIME = 1;
const DURATION = 2;
const WORDS = 3;
const NAME = 5;
/** Between two nodes' times of one command that was sent to all. */
const SECONDS_APART_MAX = 1;

const TO_ALL: ReadonlySet<string> = new Set(COMMANDS.filter(({ route }) => route === 'all').map(({ name }) => name));

/** One node's entry, or what all nodes have of one command. */
interface Entry {
  time: number;
  duration: number;
  frames: Uint8Array[];
  /** How many nodes have it behind later ones that were not shown yet; and all that have it. */
  behind: number;
  readonly places: Set<number>;
}

export class SlowlogPolicy implements ResponsePolicy {
  readonly needsOne = false;
  private readonly countMax: number;

  /** `count`: the argument of the command, or null. What is wrong with it the nodes say. */
  constructor(count: string | null) {
    const asked = count === null ? COUNT_DEFAULT : Number(parseInt64(count) ?? 0);
    this.countMax = asked < 0 ? Number.POSITIVE_INFINITY : asked;
  }

  fits(bytes: Uint8Array, part: Part): boolean {
    return isAggregate(bytes, part);
  }

  write(parts: Parts, output: Output): void {
    const shown = inOrder(joined(parts), this.countMax);
    output.appendBytes(arrayHeader(shown.length));
    for (const { frames, duration } of shown) {
      output.appendBytes(arrayHeader(frames.length));
      for (const [at, frame] of frames.entries()) output.appendBytes(at === DURATION ? integerReply(duration) : frame);
    }
  }
}

/** What nodes have of one command that was sent to all, in one second. */
interface Alike {
  entries: Entry[];
  /** By the node's place: so many of the first it is known to have. */
  had: number[];
}

/** Of each node its entries, newest first. What was sent to all nodes is the same entry in each. */
function joined(parts: Parts): Entry[][] {
  const common = new Map<string, Alike>();
  return elementsOfAll(parts).map((frames, place) =>
    frames.map((frame) => {
      const entry = entryOf(elementsOf(frame), place, parts);
      const words = entry.frames[WORDS] as Uint8Array;
      if (!wentToAll(words)) return entry;
      const key = Buffer.from(words).toString('latin1');
      const same = sameOf(common, key, entry.time, place);
      if (same === undefined) {
        const alike = common.get(`${entry.time} ${key}`);
        if (alike === undefined) common.set(`${entry.time} ${key}`, { entries: [entry], had: [] });
        else alike.entries.push(entry);
        return entry;
      }
      same.places.add(place);
      same.behind++;
      same.time = Math.max(same.time, entry.time);
      same.duration = Math.max(same.duration, entry.duration);
      return same;
    }),
  );
}

/** The newest entry of about that time that the node at `place` has not. */
function sameOf(common: ReadonlyMap<string, Alike>, key: string, time: number, place: number): Entry | undefined {
  for (let second = time + SECONDS_APART_MAX; second >= time - SECONDS_APART_MAX; second--) {
    const alike = common.get(`${second} ${key}`);
    if (alike === undefined) continue;
    const { entries, had } = alike;
    let at = had[place] ?? 0;
    while (entries[at]?.places.has(place) === true) at++;
    had[place] = at;
    if (at < entries.length) return entries[at];
  }
  return undefined;
}

function entryOf(frames: Uint8Array[], place: number, parts: Parts): Entry {
  const number = integerOf(frames[ID] as Uint8Array);
  frames[ID] = integerReply(number * parts.partCount + place);
  const name = frames[NAME];
  if (name !== undefined && textOf(name) === '') frames[NAME] = bulkReply(parts.part(place).nodeName);
  const [time, duration] = [integerOf(frames[TIME] as Uint8Array), integerOf(frames[DURATION] as Uint8Array)];
  return { time, duration, frames, behind: 1, places: new Set([place]) };
}

function wentToAll(words: Uint8Array): boolean {
  const [first = '', second = ''] = elementsOf(words)
    .slice(0, 2)
    .map((word) => textOf(word).toLowerCase());
  return TO_ALL.has(first) || TO_ALL.has(`${first}|${second}`);
}

/** The newest of all, each node's in its own order. Of one second those that one node has come before those that all have. */
function inOrder(nodes: readonly Entry[][], countMax: number): Entry[] {
  const shown = new Set<Entry>();
  /** By node: where the newest is that was not shown. */
  const heads = nodes.map(() => 0);
  const headOf = (place: number) => nodes[place]?.[heads[place] as number];
  for (const [newest] of nodes) if (newest !== undefined) newest.behind--;
  while (shown.size < countMax) {
    const newestOfAll = nodes.flatMap((_, place) => headOf(place) ?? []);
    // Where clocks have been set, two that several nodes have may wait for each other.
    const free = newestOfAll.filter(({ behind }) => behind === 0);
    const [first, ...others] = free.length > 0 ? free : newestOfAll;
    if (first === undefined) break;
    const newest = others.reduce((one, other) => (isAfter(other, one) ? other : one), first);
    shown.add(newest);
    for (const place of newest.places) {
      let head = headOf(place);
      if (head !== newest) continue;
      for (; head !== undefined && shown.has(head); head = headOf(place)) heads[place] = (heads[place] as number) + 1;
      if (head !== undefined) head.behind--;
    }
  }
  return [...shown];
}

function isAfter(one: Entry, other: Entry): boolean {
  return one.time > other.time || (one.time === other.time && one.places.size < other.places.size);
}
