/**
 * The names of what may be locks on some nodes: each is walked by SCAN, all at the same time. A lock that a majority holds all the while is among
 * them as soon as so many nodes of each set have been walked to their end that every majority has one of them: of nodes that have forgotten nothing.
 */
import { isNotMember, NOT_MEMBER, unable } from '../replica/node-answer.js';
import type { NodeStep } from '../replica/node-request.js';
import type { Replicas } from '../replica/replicas.js';
import { elementsOf, textOf } from '../replica/reply-shape.js';
import type { NotMember, Unable, Unsent } from '../replica/step.js';
import { COMMAND_HEAD_BYTES_MAX, type CommandWriter, wordBytesMax } from '../resp/command-writer.js';
import { TYPE } from '../resp/frame.js';
import { isError } from '../resp/reply.js';
import type { Transport } from '../transport/transport.js';
import type { NoQuorum } from './lock.js';
import { NAMES } from './lock-scripts.js';
import type { Quarantined } from './lock-step.js';
import { quorumOf } from './redlock.js';

export interface NamesQuery {
  /** Each set of nodes that some lock is on, by the numbers that they have as voters. */
  readonly sets: readonly (readonly number[])[];
  /** Of their pools. */
  readonly ttlMaxMs: number;
  /** As KEYS has it; a character a byte, as all names. */
  readonly pattern: string;
  readonly max: number;
  isLock(name: string): boolean;
  /** Whether somebody waits for them still: for nobody no further page is asked for. */
  isWanted(): boolean;
}

export type NamesOutcome =
  | { kind: 'names'; names: ReadonlySet<string> }
  /** There are more than `max`. */
  | { kind: 'too-many' }
  | NoQuorum;

interface Page {
  kind: 'page';
  /** '0': it is the last. */
  cursor: string;
  names: readonly string[];
}

type NamesAnswer = Page | Quarantined | NotMember | Unable;

/** Keys that a node looks at for one page: it does nothing else for about a millisecond. */
const PAGE_KEYS = '1000';

/** Begins a walk. `told` is called once, never within the call. */
export function walkNames(
  { replicas, transport }: { replicas: Replicas; transport: Transport },
  timeoutMs: number,
  query: NamesQuery,
  told: (outcome: NamesOutcome) => void,
): void {
  new NamesWalk(replicas, transport, timeoutMs, query, told).begin();
}

class NamesWalk {
  readonly key = '';
  private readonly replicas: Replicas;
  private readonly transport: Transport;
  /** For which a node may take for a page. */
  private readonly timeoutMs: number;
  private readonly query: NamesQuery;
  private readonly told: (outcome: NamesOutcome) => void;
  private readonly nodes: readonly number[];
  /** By their places: which page is awaited, and since when; null: none any more. */
  private readonly awaited: ({ tag: number; sinceMs: number } | null)[];
  private readonly walked = new Set<number>();
  private readonly names = new Set<string>();
  private quarantinedMs: number | null = null;
  private error: Uint8Array | null = null;
  private isOver = false;

  constructor(
    replicas: Replicas,
    transport: Transport,
    timeoutMs: number,
    query: NamesQuery,
    told: (outcome: NamesOutcome) => void,
  ) {
    this.replicas = replicas;
    this.transport = transport;
    this.timeoutMs = timeoutMs;
    this.query = query;
    this.told = told;
    this.nodes = [...new Set(query.sets.flat())];
    this.awaited = this.nodes.map(() => null);
  }

  begin(): void {
    for (const place of this.nodes.keys()) this.ask(place, 0, '0');
    this.watch();
  }

  onAnswer(place: number, tag: number, answer: NamesAnswer | Unsent | null): void {
    if (this.isOver || this.awaited[place]?.tag !== tag) return;
    this.awaited[place] = null;
    if (!this.query.isWanted()) {
      this.end({ kind: 'names', names: this.names });
      return;
    }
    if (answer?.kind === 'page') {
      for (const name of answer.names) if (this.query.isLock(name)) this.names.add(name);
      if (this.names.size > this.query.max) {
        this.end({ kind: 'too-many' });
        return;
      }
      if (answer.cursor === '0') this.walked.add(this.nodes[place] as number);
      else this.ask(place, tag + 1, answer.cursor);
    } else if (answer?.kind === 'quarantined') {
      this.quarantinedMs = Math.min(this.quarantinedMs ?? answer.leftMs, answer.leftMs);
    } else if (answer?.kind === 'unable') this.error = answer.error;
    this.look();
  }

  private ask(place: number, tag: number, cursor: string): void {
    const { pattern, ttlMaxMs } = this.query;
    this.awaited[place] = { tag, sinceMs: this.transport.now };
    const words = [`${ttlMaxMs}`, cursor, pattern, PAGE_KEYS];
    this.replicas.askNode<NamesAnswer>(this.nodes[place] as number, this, place, tag, new NamesStep(words));
  }

  /** All nodes are walked to their end where they can be: what one has seen another may lack. */
  private look(): void {
    if (this.awaited.some((page) => page !== null)) return;
    const areEnough = this.query.sets.every((set) => {
      const walked = set.filter((node) => this.walked.has(node)).length;
      return walked > set.length - quorumOf(set.length);
    });
    const { names, quarantinedMs, error } = this;
    this.end(areEnough ? { kind: 'names', names } : { kind: 'no-quorum', quarantinedMs, error });
  }

  /** A node that takes too long for a page is left out. */
  private watch(): void {
    const { timers, now } = this.transport;
    timers.set(now + this.timeoutMs, () => {
      if (this.isOver) return;
      const lateMs = this.transport.now - this.timeoutMs;
      for (const [place, page] of this.awaited.entries())
        if (page !== null && page.sinceMs <= lateMs) this.awaited[place] = null;
      this.look();
      if (!this.isOver) this.watch();
    });
  }

  private end(outcome: NamesOutcome): void {
    if (this.isOver) return;
    this.isOver = true;
    this.told(outcome);
  }
}

/** EVALSHA, sha, no keys, the record. */
const FIXED_WORDS = 4;

class NamesStep implements NodeStep<NamesAnswer> {
  readonly replyCount = 1;
  /** Behind the record. */
  private readonly words: readonly string[];

  constructor(words: readonly string[]) {
    this.words = words;
  }

  bytesMax(recordBytes: number): number {
    let bytes = COMMAND_HEAD_BYTES_MAX + NAMES.call.length + wordBytesMax(recordBytes);
    for (const { length } of this.words) bytes += wordBytesMax(length);
    return bytes;
  }

  write(writer: CommandWriter, record: Uint8Array): number {
    writer.begin(FIXED_WORDS + this.words.length);
    writer.part(NAMES.call);
    const recordAt = writer.at;
    writer.word(record);
    for (const word of this.words) writer.word(word);
    return recordAt;
  }

  decode([reply]: readonly Uint8Array[]): NamesAnswer {
    const frame = reply as Uint8Array;
    if (isError(frame, 0)) return unable(frame);
    if (frame[0] === TYPE.array) {
      const [cursor, ...names] = elementsOf(frame).map(textOf) as [string, ...string[]];
      return { kind: 'page', cursor, names };
    }
    const text = textOf(frame);
    return isNotMember(text) ? NOT_MEMBER : { kind: 'quarantined', leftMs: Number(text.slice(1)) };
  }

  plainAnswer(): null {
    return null;
  }
}
