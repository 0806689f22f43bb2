/**
 * EXEC's reply: made of the node's, of what the proxy answers itself, of what all its workers were asked, and of what other shards said to
 * the commands that are for all of them.
 */
import type { Carrier, Pending, ReplyOwner } from '../backend/pending.js';
import { skipValue, TYPE } from '../resp/frame.js';
import { arrayHeader, errorReply, isError, parseInteger } from '../resp/reply.js';
import type { Output } from '../transport/output.js';
import { textOfError } from './error-text.js';
import type { Merge } from './merge.js';
import type { Wait } from './node-steps.js';
import { writeMerged } from './partial-failure.js';
import { Part, type Parts, type ResponsePolicy } from './response-policy.js';
import type { ShardPlan } from './shard-plans.js';

/** A command for all shards, as part of a transaction. */
export interface Spread {
  readonly plan: ShardPlan;
  /** The names of all nodes, in their order, and which of them carries out the transaction. */
  readonly nodes: readonly string[];
  readonly own: number;
  /** Replies of the node to what comes before it in the transaction. */
  readonly repliesBefore: number;
  /** By node the first of its parts; the own one has none. Null while the others were not asked. */
  parts: readonly number[] | null;
}

export class ExecPolicy implements ResponsePolicy {
  readonly needsOne = false;
  private readonly commandCount: number;
  /** What the proxy has answered itself, by its place. */
  private readonly own = new Map<number, Uint8Array>();
  private readonly hasNode: boolean;
  /** By the place of what all workers were asked, which of the parts behind the node's has their answer. */
  private readonly asked: ReadonlyMap<number, number>;
  /** By its place. */
  private readonly spread = new Map<number, Spread>();
  /** What is to be done with the node's reply to the command at a place, when all replies have come. */
  private readonly acts = new Map<number, (start: number) => void>();
  /** What becomes of the node's reply to the command at a place. */
  private readonly shown = new Map<number, ResponsePolicy>();
  /** How the node refused MULTI, and the first of the commands after it. */
  private multiError = '';
  private queueError = '';

  constructor(commandCount: number, asked: readonly number[], hasNode: boolean) {
    this.commandCount = commandCount;
    this.asked = new Map(asked.map((place, question) => [place, question]));
    this.hasNode = hasNode;
  }

  /** The proxy's own reply to the command at that place. */
  answer(place: number, reply: Uint8Array): void {
    this.own.set(place, reply);
  }

  /** The command at that place is for all shards. They are added in their order. */
  addSpread(place: number, command: Omit<Spread, 'parts'>): void {
    this.spread.set(place, { ...command, parts: null });
  }

  /** The node's reply to the command at that place becomes what `policy` makes of it. */
  addShown(place: number, policy: ResponsePolicy): void {
    this.shown.set(place, policy);
  }

  /** `act` is called with where the node's reply to the command at that place begins, in the order of the places. */
  addAct(place: number, act: (start: number) => void): void {
    this.acts.set(place, act);
  }

  get effect(): ((parts: Parts) => Wait | null) | null {
    if (!this.hasNode) return null;
    const isMeant =
      this.acts.size > 0 || [...this.spread.values()].some(({ plan }) => (plan.policy.effect ?? null) !== null);
    return isMeant ? (parts) => this.act(parts) : null;
  }

  /** The others are asked: `parts` are, by node, the first of the merge's parts that its replies will be; -1 at the place of the own one. */
  onSpread(place: number, parts: readonly number[]): void {
    (this.spread.get(place) as Spread).parts = parts;
  }

  /**
   * The places of those commands for all shards that the others are to carry out too, by the node's reply to EXEC that begins at `start`:
   * where one has failed there, nothing is gained by having it done elsewhere. The reply may be long, and is gone through once.
   */
  goingOn(bytes: Uint8Array, start: number): ReadonlySet<number> {
    const places = new Set<number>();
    let at = bytes.indexOf(0x0a, start) + 1;
    let passed = 0;
    for (const [place, { plan, nodes, own, repliesBefore }] of this.spread) {
      for (; passed < repliesBefore; passed++) at = skipValue(bytes, at);
      const parts = partsOf(bytes, at, repliesOf(plan), nodes[own] as string);
      if (plan.policy.needsOne || parts.every((part) => plan.policy.fits(bytes, part))) places.add(place);
      for (const part of parts) at += part.bytes;
      passed += parts.length;
    }
    return places;
  }

  tellsOf(index: number): boolean {
    return index > this.asked.size;
  }

  /** Which of the questions stands at that place; -1: none. */
  questionAt(place: number): number {
    return this.asked.get(place) ?? -1;
  }

  /** Whether the node's reply to EXEC, which begins at `start`, says that it was carried out. */
  wasCarriedOut(bytes: Uint8Array, start: number): boolean {
    if (this.multiError !== '') return false;
    const end = bytes.indexOf(0x0a, start) + 1;
    return bytes[start] === TYPE.array && parseInteger(bytes, start, end) >= 0;
  }

  /** The node's replies to MULTI and to each command that it queued. */
  onPrelude(place: number, bytes: Uint8Array, start: number, end: number): void {
    if (!isError(bytes, start)) return;
    const text = textOfError(bytes.subarray(start, end));
    if (place === 0) this.multiError = text;
    else if (this.queueError === '') this.queueError = text;
  }

  fits(): boolean {
    // Whatever EXEC answers is told as it is.
    return true;
  }

  write(parts: Parts, output: Output): void {
    const { bytes } = parts;
    const node: Part | null = this.hasNode ? parts.part(0) : null;
    if (node !== null && this.writeWhole(bytes, node, output)) return;
    output.appendBytes(arrayHeader(this.commandCount));
    let at = node === null ? 0 : lineEnd(bytes, node);
    for (let place = 0; place < this.commandCount; place++) {
      const own = this.own.get(place);
      const asked = this.questionAt(place);
      if (own !== undefined) {
        output.appendBytes(own);
      } else if (this.spread.has(place)) {
        at = this.writeSpread(this.spread.get(place) as Spread, parts, at, output);
      } else if (asked >= 0) {
        const { start, bytes: length } = parts.part(asked + (node === null ? 0 : 1));
        output.appendNow(start, start + length);
      } else {
        const end = skipValue(bytes, at);
        const policy = this.shown.get(place);
        if (policy === undefined) output.appendNow(at, end);
        else writeMerged(viewOfParts(bytes, partsOf(bytes, at, 1, (node as Part).nodeName)), policy, false, output);
        at = end;
      }
    }
  }

  /** What is to be done here about the commands of the node, and those for all shards, one after the other in their order. */
  private act(parts: Parts): Wait | null {
    const node = parts.part(0);
    if (node.failure !== null || !this.wasCarriedOut(parts.bytes, node.start)) return null;
    return this.actFrom(0, lineEnd(parts.bytes, node), parts);
  }

  /** From the command at `first` on, where the node's reply to it, if it has one, begins at `start`. */
  private actFrom(first: number, start: number, parts: Parts): Wait | null {
    let at = start;
    for (let place = first; place < this.commandCount; place++) {
      if (this.own.has(place) || this.asked.has(place)) continue;
      const spread = this.spread.get(place);
      if (spread === undefined) {
        this.acts.get(place)?.(at);
        at = skipValue(parts.bytes, at);
        continue;
      }
      const { view, end } = viewOf(spread, parts, at);
      const wait = spread.plan.policy.effect?.(view) ?? null;
      if (wait !== null) return this.after(wait, place + 1, end, parts);
      at = end;
    }
    return null;
  }

  /** What comes behind a command for which something has to come to pass first. */
  private after(wait: Wait, next: number, start: number, parts: Parts): Wait {
    return (then) =>
      wait(() => {
        const more = this.actFrom(next, start, parts);
        if (more === null) then();
        else more(then);
      });
  }

  /** Writes what all shards say together; `at` is where the node's own part of it begins. Returns where that ends. */
  private writeSpread(spread: Spread, parts: Parts, at: number, output: Output): number {
    const { policy, isWrite } = spread.plan;
    const { view, end } = viewOf(spread, parts, at);
    writeMerged(view, policy, isWrite, output);
    return end;
  }

  /** Where the node's reply is the whole, or says that there is none: writes it, and returns true. */
  private writeWhole(bytes: Uint8Array, node: Part, output: Output): boolean {
    if (this.multiError !== '') {
      const text = `UNKNOWN node ${node.nodeName} refused MULTI: ${this.multiError}; the commands may have been carried out one by one`;
      output.appendBytes(errorReply(text));
      return true;
    }
    if (isError(bytes, node.start) && this.queueError !== '') {
      output.appendBytes(errorReply(`EXECABORT Transaction discarded because of: ${this.queueError}`));
      return true;
    }
    const isMixed = this.own.size > 0 || this.asked.size > 0 || this.spread.size > 0 || this.shown.size > 0;
    if (isMixed && this.wasCarriedOut(bytes, node.start)) return false;
    output.appendNow(node.start, node.start + node.bytes);
    return true;
  }

  /** The whole reply, where the node had nothing to do. */
  localOnly(): Uint8Array {
    const replies = Array.from({ length: this.commandCount }, (_, place) => this.own.get(place) as Uint8Array);
    return Buffer.concat([arrayHeader(this.commandCount), ...replies]);
  }
}

/** Stands between the node and the merge: what the proxy is to do itself it does when it is known whether EXEC was carried out. */
export class ExecReply implements ReplyOwner {
  private readonly merge: Merge;
  private readonly policy: ExecPolicy;
  private readonly onKnown: (isDone: boolean, error: Uint8Array | null, start: number) => void;

  /** `onKnown` is told whether EXEC was carried out, and the error where the node did not answer; its reply begins at `start`. */
  constructor(
    merge: Merge,
    policy: ExecPolicy,
    onKnown: (isDone: boolean, error: Uint8Array | null, start: number) => void,
  ) {
    this.merge = merge;
    this.policy = policy;
    this.onKnown = onKnown;
  }

  /** Where there is no room for the reply, nobody learns what was carried out: then nothing more is. */
  onReply(pending: Pending, start: number, end: number): void {
    const failure = this.merge.keep(pending, start, end);
    if (failure !== null) {
      this.onFailure(pending, failure);
      return;
    }
    this.onKnown(this.policy.wasCarriedOut(this.merge.bytes, start), null, start);
    this.merge.onKept(pending);
  }

  onPrelude(pending: Pending, place: number, start: number, end: number): void {
    this.merge.onPrelude(pending, place, start, end);
  }

  onFailure(pending: Pending, error: Uint8Array): void {
    this.onKnown(false, error, -1);
    this.merge.onFailure(pending, error);
  }

  awaits(connection: Carrier): boolean {
    return this.merge.awaits(connection);
  }

  askers(): readonly object[] {
    return this.merge.askers();
  }

  get isGone(): boolean {
    return this.merge.isGone;
  }
}

const NO_KEYS = new Uint16Array(0);

/** How many replies a node gives to it. */
export function repliesOf({ before }: ShardPlan): number {
  return before === null ? 1 : 2;
}

/** What all shards say to a command, the node's own part of which begins at `at`; and where that ends. */
function viewOf({ plan, nodes, own, parts: asked }: Spread, parts: Parts, at: number): { view: Parts; end: number } {
  const count = repliesOf(plan);
  const ownParts = partsOf(parts.bytes, at, count, nodes[own] as string);
  const all = nodes.flatMap((_, node) => {
    if (node === own) return ownParts;
    const first = asked?.[node] ?? -1;
    return first < 0 ? [] : Array.from({ length: count }, (_, index) => parts.part(first + index));
  });
  const last = ownParts[count - 1] as Part;
  return { view: viewOfParts(parts.bytes, all), end: last.start + last.bytes };
}

/** What these say, as a policy sees it. */
function viewOfParts(bytes: Uint8Array, all: readonly Part[]): Parts {
  return { bytes, partCount: all.length, part: (index) => all[index] as Part, keyCount: 0, partOfKey: NO_KEYS };
}

/** The `count` values that begin at `at`, as parts of the node of that name. */
function partsOf(bytes: Uint8Array, at: number, count: number, nodeName: string): Part[] {
  let start = at;
  return Array.from({ length: count }, () => {
    const part = new Part();
    const end = skipValue(bytes, start);
    Object.assign(part, { nodeName, start, bytes: end - start });
    start = end;
    return part;
  });
}

/** Where the first line of the reply of `part` ends. */
function lineEnd(bytes: Uint8Array, { start }: Part): number {
  return bytes.indexOf(0x0a, start) + 1;
}
