/** Steps on their way to one node, alone or together, and who is told what comes of them. */
import type { Pending, ReplyOwner } from '../backend/pending.js';
import type { Commands, Value } from './commands.js';
import { copyOf } from './node-answer.js';
import type { NodeStep } from './node-request.js';
import type { Step } from './step.js';

/** Who asks a node for something, and is told what comes of it. */
export interface Asking<A> {
  /** The key that it is about, a character a byte (latin1). */
  readonly key: string;
  /** `tag`: what was given with the step; null: no answer will come. */
  onAnswer(copy: number, tag: number, answer: A | null): void;
}

export class Ask {
  readonly asker: Asking<unknown>;
  readonly copy: number;
  readonly tag: number;
  /** Null for what is no step on a key: it is always sent as it is. */
  readonly step: Step<Commands, Value> | null;
  /** As it was sent last. */
  nodeStep: NodeStep<unknown>;
  /** Something of it may have come to the node. */
  wasSent = false;
  /** Why it was not sent, as an error for the client; null where it is no limit's doing. */
  refusal: Uint8Array | null = null;
  /** The node did not know a script, or had no memory for a transaction: it was asked again. */
  wasRepeated = false;
  /** What the node has said was: see UNCLEAR. */
  isUnclear = false;

  constructor(
    asker: Asking<unknown>,
    copy: number,
    tag: number,
    step: Step<Commands, Value> | null,
    nodeStep: NodeStep<unknown>,
  ) {
    this.asker = asker;
    this.copy = copy;
    this.tag = tag;
    this.step = step;
    this.nodeStep = nodeStep;
  }
}

/** What the node's connection has one entry for. */
export interface Sent {
  /** How many steps it has, and the bytes that they are counted as. */
  readonly count: number;
  readonly bytes: number;
  /** The record that it carries. */
  readonly record: string;
  readonly sentMs: number;
}

/** Who sends them. A reply is bytes [start, end) of the arena, valid during the call. */
export interface AskOwner {
  /** The arena. */
  readonly bytes: Uint8Array;
  onAnswered(ask: LoneAsk, pending: Pending, start: number, end: number): void;
  onAnsweredTogether(asks: AskedTogether, pending: Pending, start: number, end: number): void;
  onFailed(asks: LoneAsk | AskedTogether, pending: Pending): void;
}

/** By frames of its own. */
export class LoneAsk extends Ask implements ReplyOwner, Sent {
  readonly isGone = false;
  readonly count = 1;
  bytes = 0;
  record = '';
  sentMs = 0;
  /** Replies before the last that say more than +OK or +QUEUED, each in its place; null where there are none. */
  told: Uint8Array[] | null = null;
  private readonly owner: AskOwner;

  constructor(
    owner: AskOwner,
    asker: Asking<unknown>,
    copy: number,
    tag: number,
    step: Step<Commands, Value> | null,
    nodeStep: NodeStep<unknown>,
  ) {
    super(asker, copy, tag, step, nodeStep);
    this.owner = owner;
  }

  onPrelude(_pending: Pending, place: number, start: number, end: number): void {
    const { bytes } = this.owner;
    if (isPlainSimple(bytes, start)) return;
    this.told ??= [];
    this.told[place] = copyOf(bytes, start, end);
  }

  onReply(pending: Pending, start: number, end: number): void {
    this.owner.onAnswered(this, pending, start, end);
  }

  onFailure(pending: Pending): void {
    this.owner.onFailed(this, pending);
  }

  awaits(): boolean {
    return false;
  }

  askers(): readonly object[] {
    return [];
  }
}

/** By one frame, as items of it. */
export class AskedTogether implements ReplyOwner, Sent {
  readonly isGone = false;
  readonly asks: readonly Ask[];
  readonly bytes: number;
  readonly record: string;
  readonly sentMs: number;
  private readonly owner: AskOwner;

  constructor(owner: AskOwner, asks: readonly Ask[], bytes: number, record: string, sentMs: number) {
    this.owner = owner;
    this.asks = asks;
    this.bytes = bytes;
    this.record = record;
    this.sentMs = sentMs;
  }

  get count(): number {
    return this.asks.length;
  }

  onPrelude(): void {}

  onReply(pending: Pending, start: number, end: number): void {
    this.owner.onAnsweredTogether(this, pending, start, end);
  }

  onFailure(pending: Pending): void {
    this.owner.onFailed(this, pending);
  }

  awaits(): boolean {
    return false;
  }

  askers(): readonly object[] {
    return [];
  }
}

const PLUS = 0x2b;
const CR = 0x0d;
const LETTER_K = 0x4b;
const LETTER_O = 0x4f;
const LETTER_Q = 0x51;

/** Whether it is +OK, or +QUEUED, which says no more. A command's own reply may be another: `+string`, to TYPE. */
function isPlainSimple(bytes: Uint8Array, start: number): boolean {
  if (bytes[start] !== PLUS) return false;
  const first = bytes[start + 1];
  return first === LETTER_Q || (first === LETTER_O && bytes[start + 2] === LETTER_K && bytes[start + 3] === CR);
}
