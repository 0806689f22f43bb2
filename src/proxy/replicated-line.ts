/** Those of one worker who wait for the same of one replicated key: first come, first served. */
import type { Commands, Replies } from '../replica/commands.js';
import { type KeyOperation, reading } from '../replica/key-operation.js';
import type { Operation } from '../replica/operation.js';
import type { Replicas } from '../replica/replicas.js';
import { textOf, word } from '../replica/words.js';
import { REPLY_NULL } from '../resp/reply.js';
import type { ReplicaSets } from '../routing/copy-sets.js';
import { replyOf } from './replicated-reply.js';

/** What is waited for, and how long. */
export interface Wanted {
  copySets: ReplicaSets;
  key: Uint8Array;
  /** Of the key, as TYPE says it. */
  type: 'list' | 'zset' | 'stream';
  /** What is tried is the same each time. */
  operation: KeyOperation;
  /** The same for those of whom only one gets what comes; null where it is there for all. */
  contest: string | null;
  /** Infinity: for ever. */
  timeoutMs: number;
}

const TYPE = word('TYPE');
const XINFO = word('XINFO');
const STREAM = word('STREAM');

export class Line<Waiter> {
  readonly waiters: Waiter[] = [];
  private readonly replicas: Replicas;
  /** That of any of them, but for how long. */
  readonly wanted: Wanted;
  private readonly giveTurn: (waiter: Waiter) => void;
  private isLooking = false;
  /** Something was said since the look under way began. */
  private isToLookAgain = false;
  /** Of the stream, when it was looked at last. */
  private seen: Uint8Array = REPLY_NULL;

  /** `giveTurn` has one of them try. */
  constructor(replicas: Replicas, wanted: Wanted, giveTurn: (waiter: Waiter) => void) {
    this.replicas = replicas;
    this.wanted = wanted;
    this.giveTurn = giveTurn;
  }

  /** The first of them is to try if there may be something. */
  look(): void {
    const { copySets, key, type, operation } = this.wanted;
    if (operation.reads !== null) {
      this.tryFirst();
      return;
    }
    this.isToLookAgain = this.isLooking;
    if (this.isLooking) return;
    this.isLooking = true;
    const looking = type === 'stream' ? reading([XINFO, STREAM, key], 2, false) : typeOf(key);
    this.replicas.submit(copySets, key, 0, key.length, looking, {
      onOutcome: (outcome) => {
        this.isLooking = false;
        // Where a look fails, trying tells the client why.
        if (outcome.kind !== 'done' || this.isPromising(replyOf(outcome))) this.tryFirst();
        else if (this.isToLookAgain) this.look();
      },
    });
  }

  private tryFirst(): void {
    const [first] = this.waiters;
    if (first !== undefined) this.giveTurn(first);
  }

  /** A stream stays when nothing in it is new to a group, and when the group goes that ends the waiting: so it is whether anything has changed. */
  private isPromising(found: Uint8Array): boolean {
    const { type } = this.wanted;
    if (type !== 'stream') return typeName(found) === type;
    const { seen } = this;
    this.seen = found;
    return Buffer.compare(seen, found) !== 0;
  }
}

/** Reads the key's type: see `typeName`. */
export function typeOf(key: Uint8Array): Operation<Commands, Replies> {
  return reading([TYPE, key], 2, true);
}

/** Of TYPE's reply, `+list`; `none` where there is no key. */
export function typeName(reply: Uint8Array): string {
  return textOf(reply).slice(1, -2);
}
