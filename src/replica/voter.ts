/**
 * One node that has copies of replicated keys, as a worker asks it: by a connection whose votes count (REPLICATION.md, M1).
 *
 *   idle --open()--> connecting --greeted--> looking --member--> votes --push--> looking ...
 *                        ^                      └──stranger──> rests, until the node says that its record changed
 *                        └────── lost, after a wait that doubles
 *
 * An answer counts only while the record that its step carried is the one that M1 held for. What cannot be asked, and what is not
 * answered, is told as no answer (null), never within the call that asks.
 */

import type { ChannelContext } from '../backend/channel.js';
import { BackendError } from '../backend/connection.js';
import type { NodeChannels } from '../backend/node-channels.js';
import type { Pending, ReplyOwner } from '../backend/pending.js';
import type { PrivateConnection, PrivateOwner } from '../backend/private-connection.js';
import { errorBytes } from '../base/errors.js';
import { Fifo } from '../base/fifo.js';
import type { Timer } from '../base/timers.js';
import { skipValue, TYPE } from '../resp/frame.js';
import { encodeCommand, headerLength, isError } from '../resp/reply.js';
import { AcceptBatch, ITEM_BYTES_MAX } from './accept-batch.js';
import { AcceptItem, isOk } from './accept-item.js';
import { Ask, AskedTogether, type Asking, type AskOwner, LoneAsk, type Sent } from './ask.js';
import type { Commands, Replies, Value } from './commands.js';
import { Membership } from './member.js';
import { NODE_KEY, WAKE_CHANNEL } from './meta.js';
import { copyOf, isBrokenOff, isNotMember, NOT_MEMBER, unable } from './node-answer.js';
import { encodeMemberStep } from './node-member-step.js';
import { parseNodeRecord } from './node-record.js';
import { type NodeStep, UNCLEAR } from './node-request.js';
import { PROCESS_MARKS } from './operation.js';
import { lineAfter, textOf } from './reply-shape.js';
import type { Asker } from './round.js';
import { encodeLoads, KEY_SCRIPTS, type Script } from './scripts.js';
import type { NotMember, Step, Unable, Unsent } from './step.js';
import type { StepFrames } from './step-frames.js';

export interface VoterContext extends Pick<ChannelContext, 'transport' | 'pendings' | 'random' | 'counts'> {
  readonly frames: StepFrames;
  /** What nodes are taught besides the scripts for steps on keys. */
  readonly scripts: readonly Script[];
  /** The node says that something was put into a key, with these words; null: it may have said so of any, unheard. */
  onWake(message: string | null): void;
  /** There may be something to send at the end of the turn: see `onTurnEnd`. */
  onBatch(voter: Voter): void;
  /** There is something to `tellUnanswered`. */
  onUnanswered(voter: Voter): void;
  /** Its votes count, or do not any more, for that reason. */
  onStanding(voter: Voter, isMember: boolean, reason: string): void;
}

type KeyAsker = Asker<Replies, Value>;
type KeyStep = Step<Commands, Value>;

const KIND = {
  identity: null,
  protocol: 3,
  database: 0,
  setUp: [encodeCommand(['CLIENT', 'TRACKING', 'ON', 'BCAST', 'PREFIX', NODE_KEY])],
} as const;
const LOOK = encodeMemberStep({ kind: 'look' }, new Uint8Array());
/** Its confirmation is a push: the reply is that to PING. */
const LISTEN = Buffer.concat([encodeCommand(['SUBSCRIBE', WAKE_CHANNEL]), encodeCommand(['PING'])]);
const MESSAGE = Buffer.from(`>3\r\n$7\r\nmessage\r\n$${WAKE_CHANNEL.length}\r\n${WAKE_CHANNEL}\r\n`);
const SUBSCRIBED = Buffer.from('>3\r\n$9\r\nsubscribe\r\n');
const NOT_NEEDED = 'no keys have copies there';
const NOSCRIPT = Buffer.from('-NOSCRIPT');
const OVERLOADED = Buffer.from('-OVERLOADED');
const OOM = Buffer.from('-OOM');
/**
 * Calls of several steps that a node is given before it has answered one, the second no smaller than the first: while it carries out some,
 * and writes them to its disk, the next become more. So a node that has much to do has less to do for each.
 */
const CALLS_MAX = 2;
/** A node that had no memory is asked as such a one for so many milliseconds. */
const FULL_MS = 1000;

const UNSENT = { kind: 'unsent' } as const;
const SIMPLE = Buffer.from('+OK\r\n');

export class Voter implements PrivateOwner, ReplyOwner, AskOwner {
  readonly isGone = false;
  readonly channels: NodeChannels;
  readonly bytes: Uint8Array;
  private readonly context: VoterContext;
  private readonly loads: readonly Uint8Array[];
  private connection: PrivateConnection | null = null;
  private membership: Membership | null = null;
  /** The record that counts, as steps carry it. */
  private record: string | null = null;
  private recordBytes: Uint8Array = new Uint8Array();
  /** Of its process: see Reader.process. */
  process = 0;
  private readonly waiting = new Fifo<LoneAsk | AskedTogether>();
  /** Of these and of the batch. */
  private waitingBytes = 0;
  private waitingCount = 0;
  /** What sets out together. */
  private batch: AcceptBatch | null = null;
  /** It is looked at at the end of the turn. */
  private isDue = false;
  /** Calls of several steps that are not answered. */
  private callsUnderWay = 0;
  /** Steps of the last one. */
  private lastCount = 0;
  /** Until then it may have no memory left: see nodeStepOf. */
  private fullUntilMs = 0;
  private unanswered: Ask[] = [];
  /** The look under way: what it was begun with, and its replies. */
  private look: { begun: number; replies: Uint8Array[] } | null = null;
  private retry: Timer | null = null;
  private retryMs = 0;
  /** Whether its cluster is that of the pool's other nodes: members of two clusters have different states under equal ballots. */
  isOfPool = true;
  private isListening = false;
  private isClosed = false;
  /** Who asked was told that nothing comes. */
  private isEnded = false;
  /** Whether it has ever said what it is, or could not be reached. */
  private isHeardOf = false;
  private openedMs = Number.POSITIVE_INFINITY;

  constructor(context: VoterContext, channels: NodeChannels) {
    this.context = context;
    this.loads = [...KEY_SCRIPTS, ...context.scripts].map((script) => encodeLoads([script]));
    this.channels = channels;
    this.bytes = context.transport.arena.bytes;
  }

  /** Whether its votes count now. */
  get isMember(): boolean {
    return this.record !== null && this.isOfPool;
  }

  /** Whether nothing is known of it so far, and it has had no time to say what it is. */
  get isAwaited(): boolean {
    const { replicatedPatienceMs } = this.channels.wanted.limits;
    return !this.isHeardOf && this.context.transport.now - this.openedMs <= replicatedPatienceMs;
  }

  /** The cluster that it is a member of; null for none. */
  get clusterId(): string | null {
    const now = this.membership?.now;
    return now?.kind === 'member' ? now.clusterId : null;
  }

  /** Whether it has owed an answer for so long that it is asked only where no others will do. */
  get isSilent(): boolean {
    const oldest = this.waiting.peek();
    const { replicatedPatienceMs } = this.channels.wanted.limits;
    return oldest !== undefined && this.context.transport.now - oldest.sentMs > replicatedPatienceMs;
  }

  /** Connects, and stays connected. */
  open(): void {
    const { privates, wanted } = this.channels;
    if (this.isClosed || this.connection !== null) return;
    this.openedMs = Math.min(this.openedMs, this.context.transport.now);
    const connection = privates.keep(wanted, this);
    if (connection instanceof Uint8Array) {
      this.openLater();
      return;
    }
    // What it sends unasked must not be missed.
    connection.listens = true;
    this.connection = connection;
    this.membership = new Membership(wanted.name);
    connection.connect(KIND);
  }

  /** Hears what is put into keys there. */
  listen(): void {
    this.isListening = true;
    this.subscribe();
  }

  close(): void {
    this.isClosed = true;
    this.context.transport.timers.cancel(this.retry);
    this.connection?.destroy(NOT_NEEDED);
  }

  /** Closes, and tells at once that nothing will be answered any more. */
  end(): void {
    this.isEnded = true;
    this.dropBatch();
    for (let sent = this.waiting.shift(); sent !== undefined; sent = this.waiting.shift()) this.leaveSent(sent);
    this.tellUnanswered();
    this.close();
  }

  /** Has a step carried out; `asker` is told, later, what comes of it. */
  ask(asker: KeyAsker, copy: number, tag: number, step: KeyStep): void {
    const { frames } = this.context;
    const nodeStep = frames.stepFor(step, asker.key, this.isFull);
    if (nodeStep instanceof AcceptItem && nodeStep.itemBytesMax <= ITEM_BYTES_MAX) {
      const ask = new Ask(asker, copy, tag, step, nodeStep);
      if (!this.join(ask, nodeStep)) this.leaveUnanswered(ask);
    } else {
      const ask = new LoneAsk(this, asker, copy, tag, step, nodeStep);
      if (!this.send(ask)) this.leaveUnanswered(ask);
    }
  }

  /** See Replicas. */
  get memberRecord(): string {
    return this.record ?? '';
  }

  /** The same of a step that is none on a key. */
  askOther<A>(asker: Asking<A | NotMember | Unable | Unsent>, copy: number, tag: number, nodeStep: NodeStep<A>): void {
    this.context.frames.take(nodeStep);
    const ask = new LoneAsk(this, asker, copy, tag, null, nodeStep);
    if (!this.send(ask)) this.leaveUnanswered(ask);
  }

  /** What was gathered goes, unless the node has enough to do: then there will be more of it. */
  onTurnEnd(): void {
    const { batch, callsUnderWay, lastCount } = this;
    this.isDue = false;
    if (batch === null) return;
    const isEnough = callsUnderWay < CALLS_MAX && batch.asks.length >= lastCount;
    if (callsUnderWay === 0 || isEnough) this.sendBatch();
  }

  private becomeDue(): void {
    if (this.isDue) return;
    this.isDue = true;
    this.context.onBatch(this);
  }

  private sendBatch(): void {
    const { batch, record, context } = this;
    if (batch === null) return;
    this.batch = null;
    batch.close();
    const { asks, start, end, itemBytes } = batch;
    const sent = new AskedTogether(this, asks, itemBytes, record as string, context.transport.now);
    const isSent = this.put(sent, start, end, 1);
    batch.release();
    if (!isSent) {
      this.leaveBatch(batch);
      return;
    }
    for (const ask of asks) ask.wasSent = true;
    this.waiting.push(sent);
    this.callsUnderWay++;
    this.lastCount = asks.length;
  }

  /** Tells who asked what will have no answer. */
  tellUnanswered(): void {
    const { unanswered } = this;
    this.unanswered = [];
    for (const { asker, copy, tag, wasSent, refusal } of unanswered) {
      const answer = refusal === null ? UNSENT : unable(refusal);
      asker.onAnswer(copy, tag, wasSent ? null : answer);
    }
  }

  /** The last of its replies is arena bytes [start, end). */
  onAnswered(ask: LoneAsk, pending: Pending, start: number, end: number): void {
    this.leave(ask, pending);
    const answer = this.isCounted(ask) ? this.answer(ask, start, end) : null;
    if (isUnable(answer) && !ask.wasRepeated && startsWith(answer.error, NOSCRIPT)) this.teach();
    this.tell(ask, answer);
  }

  /** The reply is arena bytes [start, end): an element for each of them, or what is said of all. */
  onAnsweredTogether(sent: AskedTogether, pending: Pending, start: number, end: number): void {
    this.leave(sent, pending);
    this.callsUnderWay--;
    if (this.batch !== null) this.becomeDue();
    const { asks } = sent;
    const { bytes } = this.context.frames;
    if (!this.isCounted(sent)) {
      for (const ask of asks) this.tell(ask, null);
    } else if (isOk(bytes, start)) {
      for (const ask of asks) this.tell(ask, (ask.nodeStep as AcceptItem).okAnswer);
    } else if (bytes[start] !== TYPE.array) {
      const answer = answerOfAll(copyOf(bytes, start, end));
      if (answer.kind === 'unable' && startsWith(answer.error, NOSCRIPT)) this.teach();
      for (const ask of asks) this.tell(ask, answer);
    } else {
      let at = start + headerLength(asks.length);
      for (const ask of asks) {
        const next = skipValue(bytes, at);
        this.tell(ask, (ask.nodeStep as AcceptItem).answerIn(bytes, at, next));
        at = next;
      }
    }
  }

  onFailed(asks: LoneAsk | AskedTogether, pending: Pending): void {
    this.leave(asks, pending);
    if (!this.isEnded) this.leaveSent(asks);
  }

  private leaveSent(sent: LoneAsk | AskedTogether): void {
    if (sent instanceof LoneAsk) {
      this.leaveUnanswered(sent);
    } else {
      this.callsUnderWay--;
      for (const ask of sent.asks) this.leaveUnanswered(ask);
    }
  }

  /** Since a push came nothing counts that was asked before. */
  private isCounted({ record }: Sent): boolean {
    return record === this.record && this.isOfPool;
  }

  private tell(ask: Ask, answer: unknown): void {
    const { asker, copy, tag } = ask;
    if (answer === UNCLEAR) {
      ask.isUnclear = true;
      if (!this.repeat(ask)) asker.onAnswer(copy, tag, null);
    } else if (isUnable(answer)) {
      const { error } = answer;
      if (!ask.wasRepeated && this.mayDoOtherwise(ask, error)) {
        ask.wasRepeated = true;
        if (this.repeat(ask)) return;
      }
      if (startsWith(error, OVERLOADED)) this.context.counts.replicatedTooLarge++;
      asker.onAnswer(copy, tag, isBrokenOff(error) ? null : answer);
    } else {
      asker.onAnswer(copy, tag, answer);
    }
  }

  /** Whether the node may be able to after all: it was told what it lacked, or is asked in another form. */
  private mayDoOtherwise({ step }: Ask, error: Uint8Array): boolean {
    if (startsWith(error, NOSCRIPT)) return true;
    if (step === null) return false;
    const { kind } = step;
    if (!startsWith(error, OOM) || (kind !== 'read' && kind !== 'peek' && kind !== 'snapshot')) return false;
    this.fullUntilMs = this.context.transport.now + FULL_MS;
    return true;
  }

  private repeat(ask: Ask): boolean {
    const { frames } = this.context;
    if (ask.step === null) frames.take(ask.nodeStep);
    else ask.nodeStep = frames.stepFor(ask.step, ask.asker.key, this.isFull || ask.isUnclear);
    return ask instanceof LoneAsk ? this.send(ask) : this.join(ask, ask.nodeStep as AcceptItem);
  }

  onReady(): void {
    this.retryMs = 0;
    this.teach();
    this.beginLook();
    this.subscribe();
  }

  onPush(_connection: PrivateConnection, start: number, end: number): void {
    const frame = this.bytes.subarray(start, end);
    if (startsWith(frame, MESSAGE)) {
      const { bytes } = this.context.frames;
      this.context.onWake(bytes.toString('latin1', lineAfter(bytes, start + MESSAGE.length), end - 2));
      return;
    }
    if (startsWith(frame, SUBSCRIBED)) return;
    this.membership?.onPush();
    this.settle('its record changed');
    this.beginLook();
  }

  onMoved(connection: PrivateConnection, error: Error): void {
    connection.breakOff(error);
  }

  onGivenBack(): void {}

  onLost(connection: PrivateConnection, error: Error): void {
    this.channels.privates.onLost(connection);
    if (connection !== this.connection) return;
    this.connection = null;
    this.membership = null;
    this.look = null;
    this.settle(error.message);
    this.openLater();
  }

  // Replies to what it asks for itself: looks, and scripts.

  onPrelude(_pending: Pending, _place: number, start: number, end: number): void {
    this.look?.replies.push(copyOf(this.bytes, start, end));
  }

  onReply(pending: Pending, start: number, end: number): void {
    this.context.pendings.release(pending);
    const { look, membership } = this;
    this.look = null;
    if (look === null || membership === null) return;
    look.replies.push(copyOf(this.bytes, start, end));
    const facts = LOOK.decode(look.replies);
    if (facts.kind !== 'facts') {
      this.connection?.breakOff(new BackendError('it refused to say whether it is a member'));
      return;
    }
    if (!membership.onFacts(look.begun, facts)) {
      this.beginLook();
      return;
    }
    const { now } = membership;
    this.settle(now?.kind === 'stranger' ? now.reason : '');
    if (membership.isSpent)
      this.connection?.breakOff(new BackendError('its data may have changed behind this connection'));
  }

  onFailure(pending: Pending): void {
    this.context.pendings.release(pending);
    this.look = null;
  }

  awaits(): boolean {
    return false;
  }

  askers(): readonly object[] {
    return [];
  }

  /** Has it go with others, at the end of the turn. */
  private join(ask: Ask, item: AcceptItem): boolean {
    const { context } = this;
    const { frames, transport } = context;
    if (!this.isAskable || !frames.writeItem(item)) return false;
    const bytes = frames.end - frames.start;
    if (this.isTooMuch(bytes)) {
      ask.refusal = this.tooMuchWaits();
      return false;
    }
    if (this.batch === null) {
      this.batch = AcceptBatch.open(transport.arena, frames.bytes, this.recordBytes);
      if (this.batch === null) return false;
    }
    this.becomeDue();
    this.waitingBytes += bytes;
    this.waitingCount++;
    if (this.batch.add(ask, item, frames.start, frames.end)) this.sendBatch();
    return true;
  }

  private send(ask: LoneAsk): boolean {
    const { context, channels } = this;
    const { frames, transport } = context;
    // What was accepted on the key before is to be there.
    if (this.batch?.hasKey(ask.asker.key) === true) this.sendBatch();
    if (!this.isAskable || !frames.write(this.recordBytes, channels.wanted.limits.replicatedScriptBytesMax))
      return false;
    const { start, end } = frames;
    ask.bytes = end - start;
    ask.record = this.record as string;
    ask.told = null;
    ask.sentMs = transport.now;
    const isRefused = this.isTooMuch(ask.bytes);
    if (isRefused) ask.refusal = this.tooMuchWaits();
    const isSent = !isRefused && this.put(ask, start, end, ask.nodeStep.replyCount);
    frames.release();
    if (!isSent) return false;
    ask.wasSent = true;
    this.waiting.push(ask);
    this.waitingBytes += ask.bytes;
    this.waitingCount++;
    return true;
  }

  private get isAskable(): boolean {
    return this.connection !== null && !this.isClosed && this.record !== null && this.isOfPool;
  }

  private get isFull(): boolean {
    return this.context.transport.now < this.fullUntilMs;
  }

  /** Whether so many bytes more, of one step, may not wait. */
  private isTooMuch(bytes: number): boolean {
    const { nodeQueueBytesMax, nodeQueueCommandsMax } = this.channels.wanted.limits;
    return this.waitingCount >= nodeQueueCommandsMax || this.waitingBytes + bytes > nodeQueueBytesMax;
  }

  private tooMuchWaits(): Uint8Array {
    const { label, limits } = this.channels.wanted;
    const { nodeQueueBytesMax, nodeQueueCommandsMax } = limits;
    const names = `nodeQueueBytesMax ${nodeQueueBytesMax}, nodeQueueCommandsMax ${nodeQueueCommandsMax}`;
    this.context.counts.replicatedStepsRefused++;
    return errorBytes(
      'OVERLOADED',
      `node ${label}: too much waits for it (${names}); the command had no effect: repeat it later`,
    );
  }

  private answer({ nodeStep, told }: LoneAsk, start: number, end: number): unknown {
    const { replyCount } = nodeStep;
    const { bytes } = this.context.frames;
    const plain = told === null ? nodeStep.plainAnswer(bytes, start, end, this.recordBytes) : null;
    if (plain !== null) return plain;
    const replies = Array.from({ length: replyCount - 1 }, (_, place) => told?.[place] ?? SIMPLE);
    replies.push(copyOf(this.bytes, start, end));
    return nodeStep.decode(replies, this.recordBytes);
  }

  /** Sends arena bytes [start, end), frames that have so many replies. */
  private put(owner: ReplyOwner, start: number, end: number, replyCount: number): boolean {
    const { transport, pendings } = this.context;
    const pending = pendings.take(owner, transport.now, true);
    pending.preludes = replyCount - 1;
    const refusal = (this.connection as PrivateConnection).send(pending, start, end);
    if (refusal !== null) pendings.release(pending);
    transport.arena.settle();
    return refusal === null;
  }

  private leave({ bytes, count }: Sent, pending: Pending): void {
    this.context.pendings.release(pending);
    this.waitingBytes -= bytes;
    this.waitingCount -= count;
    // They are answered in order, and lost in order.
    this.waiting.shift();
  }

  private leaveUnanswered(ask: Ask): void {
    this.unanswered.push(ask);
    if (this.unanswered.length === 1) this.context.onUnanswered(this);
  }

  private subscribe(): void {
    const { connection } = this;
    if (!this.isListening || connection?.isReady !== true) return;
    connection.tell(LISTEN);
    this.context.onWake(null);
  }

  /** Tells the node the scripts. */
  private teach(): void {
    for (const load of this.loads) this.connection?.tell(load);
  }

  private beginLook(): void {
    const { membership, connection } = this;
    if (membership === null || connection?.isReady !== true || this.look !== null) return;
    this.look = { begun: membership.beginLook(), replies: [] };
    const { arena } = this.context.transport;
    const { frames, replyCount } = LOOK;
    const block = arena.allocate(frames.length);
    if (block >= 0) arena.bytes.set(frames, block);
    const isSent = block >= 0 && this.put(this, block, block + frames.length, replyCount);
    if (block >= 0) arena.release(block, frames.length);
    if (!isSent) {
      connection.breakOff(new BackendError('no buffer memory is left to ask whether it is a member'));
    }
  }

  /** Goes by what is known now. */
  private settle(reason: string): void {
    const record = this.membership?.record ?? null;
    const wasMember = this.record !== null;
    this.isHeardOf = true;
    if (record !== this.record) {
      this.dropBatch();
      this.record = record;
      this.recordBytes = Buffer.from(record ?? '');
      this.process = record === null ? 0 : processMark(record);
    }
    if (wasMember !== (record !== null) || reason !== '') this.context.onStanding(this, record !== null, reason);
  }

  /** What was to go with a record that does not count any more does not go. */
  private dropBatch(): void {
    const { batch } = this;
    if (batch === null) return;
    this.batch = null;
    batch.release();
    this.leaveBatch(batch);
  }

  private leaveBatch({ asks, itemBytes }: AcceptBatch): void {
    this.waitingBytes -= itemBytes;
    this.waitingCount -= asks.length;
    for (const ask of asks) this.leaveUnanswered(ask);
  }

  private openLater(): void {
    if (this.isClosed) return;
    const { transport, random } = this.context;
    const { reconnectMinMs, reconnectMaxMs } = this.channels.wanted.limits;
    this.retryMs = Math.min(Math.max(this.retryMs * 2, reconnectMinMs), reconnectMaxMs);
    const waitMs = Math.round(this.retryMs * (0.5 + random() / 2));
    this.retry = transport.timers.set(transport.now + waitMs, () => this.open());
  }
}

/** What a call says of all its items: nothing was done for any of them. */
function answerOfAll(reply: Uint8Array): NotMember | Unable {
  if (isError(reply, 0)) return unable(reply);
  if (isNotMember(textOf(reply))) return NOT_MEMBER;
  throw new Error(`a call of several steps was answered ${textOf(reply)}`);
}

/** Whether it says of a step that the node could not do it. */
function isUnable(answer: unknown): answer is Unable {
  return (answer as { kind: string } | null)?.kind === 'unable';
}

/** Of the process that a record names: see Reader.process. */
function processMark(record: string): number {
  return Number.parseInt(parseNodeRecord(record)?.process.runId.slice(0, 8) ?? '0', 16) % PROCESS_MARKS;
}

function startsWith(bytes: Uint8Array, beginning: Uint8Array): boolean {
  return beginning.every((byte, index) => bytes[index] === byte);
}
