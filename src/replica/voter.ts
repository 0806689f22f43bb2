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
import { encodeCommand } from '../resp/reply.js';
import type { Commands, Replies, Value } from './commands.js';
import { Membership } from './member.js';
import { NODE_KEY, WAKE_CHANNEL } from './meta.js';
import { copyOf, unable } from './node-answer.js';
import { encodeMemberStep } from './node-member-step.js';
import { parseNodeRecord } from './node-record.js';
import type { NodeStep } from './node-request.js';
import { PROCESS_MARKS } from './operation.js';
import { elementsOf, textOf } from './reply-shape.js';
import type { Asker } from './round.js';
import { KEY_SCRIPTS } from './scripts.js';
import type { Answer, Step } from './step.js';
import type { StepFrames } from './step-frames.js';

export interface VoterContext extends Pick<ChannelContext, 'transport' | 'pendings' | 'random' | 'counts'> {
  readonly frames: StepFrames;
  /** The node says that something was put into a key, with these words; null: it may have said so of any, unheard. */
  onWake(message: string | null): void;
  /** There is something to `tellUnanswered`. */
  onUnanswered(voter: Voter): void;
  /** Its votes count, or do not any more, for that reason. */
  onStanding(voter: Voter, isMember: boolean, reason: string): void;
}

type KeyAsker = Asker<Replies, Value>;
type KeyStep = Step<Commands, Value>;

const KIND = {
  protocol: 3,
  database: 0,
  setUp: [encodeCommand(['CLIENT', 'TRACKING', 'ON', 'BCAST', 'PREFIX', NODE_KEY])],
} as const;
const LOADS = KEY_SCRIPTS.map(({ source }) => encodeCommand(['SCRIPT', 'LOAD', source]));
const LOOK = encodeMemberStep({ kind: 'look' }, new Uint8Array());
/** Its confirmation is a push: the reply is that to PING. */
const LISTEN = Buffer.concat([encodeCommand(['SUBSCRIBE', WAKE_CHANNEL]), encodeCommand(['PING'])]);
const MESSAGE = Buffer.from('>3\r\n$7\r\nmessage\r\n');
const SUBSCRIBED = Buffer.from('>3\r\n$9\r\nsubscribe\r\n');
const NOT_NEEDED = 'no keys have copies there';
const NOSCRIPT = Buffer.from('-NOSCRIPT');
const OVERLOADED = Buffer.from('-OVERLOADED');
const OOM = Buffer.from('-OOM');
/** A node that had no memory is asked as such a one for so many milliseconds. */
const FULL_MS = 1000;

const UNSENT = { kind: 'unsent' } as const;
const PLUS = 0x2b;
const CR = 0x0d;
const LETTER_K = 0x4b;
const LETTER_O = 0x4f;
const LETTER_Q = 0x51;
const SIMPLE = Buffer.from('+OK\r\n');

/** One step on its way. */
class Ask implements ReplyOwner {
  readonly isGone = false;
  readonly voter: Voter;
  readonly asker: KeyAsker;
  readonly copy: number;
  readonly tag: number;
  readonly step: KeyStep;
  /** The record that it carries. */
  record = '';
  nodeStep: NodeStep | null = null;
  bytes = 0;
  /** Replies before the last that say more than +OK or +QUEUED, each in its place; null where there are none. */
  told: Uint8Array[] | null = null;
  sentMs = 0;
  /** Something of it may have come to the node. */
  wasSent = false;
  /** Why it was not sent, as an error for the client; null where it is no limit's doing. */
  refusal: Uint8Array | null = null;
  /** The node did not know a script, or had no memory for a transaction: it was asked again. */
  wasRepeated = false;

  constructor(voter: Voter, asker: KeyAsker, copy: number, tag: number, step: KeyStep) {
    this.voter = voter;
    this.asker = asker;
    this.copy = copy;
    this.tag = tag;
    this.step = step;
  }

  onPrelude(_pending: Pending, place: number, start: number, end: number): void {
    const { bytes } = this.voter;
    if (isPlainSimple(bytes, start)) return;
    this.told ??= [];
    this.told[place] = copyOf(bytes, start, end);
  }

  onReply(pending: Pending, start: number, end: number): void {
    this.voter.onAnswered(this, pending, start, end);
  }

  onFailure(pending: Pending): void {
    this.voter.onFailed(this, pending);
  }

  awaits(): boolean {
    return false;
  }

  askers(): readonly object[] {
    return [];
  }
}

export class Voter implements PrivateOwner, ReplyOwner {
  readonly isGone = false;
  readonly channels: NodeChannels;
  readonly bytes: Uint8Array;
  private readonly context: VoterContext;
  private connection: PrivateConnection | null = null;
  private membership: Membership | null = null;
  /** The record that counts, as steps carry it. */
  private record: string | null = null;
  private recordBytes: Uint8Array = new Uint8Array();
  /** Of its process: see Reader.process. */
  process = 0;
  private readonly waiting = new Fifo<Ask>();
  private waitingBytes = 0;
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

  constructor(context: VoterContext, channels: NodeChannels) {
    this.context = context;
    this.channels = channels;
    this.bytes = context.transport.arena.bytes;
  }

  /** Whether its votes count now. */
  get isMember(): boolean {
    return this.record !== null && this.isOfPool;
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

  /** Has a step carried out; `asker` is told, later, what comes of it. */
  ask(asker: KeyAsker, copy: number, tag: number, step: KeyStep): void {
    const ask = new Ask(this, asker, copy, tag, step);
    if (!this.send(ask)) this.leaveUnanswered(ask);
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
  onAnswered(ask: Ask, pending: Pending, start: number, end: number): void {
    this.leave(ask, pending);
    const { asker, copy, tag, record } = ask;
    // Since a push came nothing counts that was asked before.
    const answer = record === this.record && this.isOfPool ? this.answer(ask, start, end) : null;
    if (answer?.kind === 'unable' && !ask.wasRepeated && this.mayDoOtherwise(ask, answer.error)) {
      ask.wasRepeated = true;
      if (this.send(ask)) return;
    }
    if (answer?.kind === 'unable' && startsWith(answer.error, OVERLOADED)) this.context.counts.replicatedTooLarge++;
    asker.onAnswer(copy, tag, answer);
  }

  /** Whether the node may be able to after all: it is told what it lacks, or asked in another form. */
  private mayDoOtherwise({ step }: Ask, error: Uint8Array): boolean {
    if (startsWith(error, NOSCRIPT)) {
      this.teach();
      return true;
    }
    const { kind } = step;
    if (!startsWith(error, OOM) || (kind !== 'read' && kind !== 'peek' && kind !== 'snapshot')) return false;
    this.fullUntilMs = this.context.transport.now + FULL_MS;
    return true;
  }

  onFailed(ask: Ask, pending: Pending): void {
    this.leave(ask, pending);
    this.leaveUnanswered(ask);
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
      this.context.onWake(textOf(elementsOf(frame)[2] as Uint8Array));
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

  private send(ask: Ask): boolean {
    const { connection, record, context } = this;
    if (connection === null || record === null || !this.isOfPool) return false;
    const { nodeQueueBytesMax, nodeQueueCommandsMax, replicatedScriptBytesMax } = this.channels.wanted.limits;
    const { frames } = context;
    const isFull = context.transport.now < this.fullUntilMs;
    const nodeStep = frames.write(ask.step, ask.asker.key, this.recordBytes, replicatedScriptBytesMax, isFull);
    if (nodeStep === null) return false;
    ask.bytes = frames.end - frames.start;
    const bytes = this.waitingBytes + ask.bytes;
    if (this.waiting.length >= nodeQueueCommandsMax || bytes > nodeQueueBytesMax) {
      frames.release();
      context.counts.replicatedStepsRefused++;
      ask.refusal = this.tooMuchWaits();
      return false;
    }
    ask.record = record;
    ask.nodeStep = nodeStep;
    ask.told = null;
    ask.sentMs = context.transport.now;
    const isSent = this.put(ask, frames.start, frames.end, nodeStep.replyCount);
    frames.release();
    if (!isSent) return false;
    ask.wasSent = true;
    this.waiting.push(ask);
    this.waitingBytes = bytes;
    return true;
  }

  private tooMuchWaits(): Uint8Array {
    const { label, limits } = this.channels.wanted;
    const { nodeQueueBytesMax, nodeQueueCommandsMax } = limits;
    const names = `nodeQueueBytesMax ${nodeQueueBytesMax}, nodeQueueCommandsMax ${nodeQueueCommandsMax}`;
    return errorBytes(
      'OVERLOADED',
      `node ${label}: too much waits for it (${names}); the command had no effect: repeat it later`,
    );
  }

  private answer({ nodeStep, told }: Ask, start: number, end: number): Answer<Replies, Value> {
    const { replyCount } = nodeStep as NodeStep;
    const { bytes } = this.context.frames;
    const plain = told === null ? (nodeStep as NodeStep).plainAnswer(bytes, start, end, this.recordBytes) : null;
    if (plain !== null) return plain;
    const replies = Array.from({ length: replyCount - 1 }, (_, place) => told?.[place] ?? SIMPLE);
    replies.push(copyOf(this.bytes, start, end));
    return (nodeStep as NodeStep).decode(replies, this.recordBytes);
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

  private leave(ask: Ask, pending: Pending): void {
    this.context.pendings.release(pending);
    this.waitingBytes -= ask.bytes;
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
    for (const load of LOADS) this.connection?.tell(load);
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
    if (record !== this.record) {
      this.record = record;
      this.recordBytes = Buffer.from(record ?? '');
      this.process = record === null ? 0 : processMark(record);
    }
    if (wasMember !== (record !== null) || reason !== '') this.context.onStanding(this, record !== null, reason);
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

/** Of the process that a record names: see Reader.process. */
function processMark(record: string): number {
  return Number.parseInt(parseNodeRecord(record)?.process.runId.slice(0, 8) ?? '0', 16) % PROCESS_MARKS;
}

/** Whether it is +OK, or +QUEUED, which says no more. A command's own reply may be another: `+string`, to TYPE. */
function isPlainSimple(bytes: Uint8Array, start: number): boolean {
  if (bytes[start] !== PLUS) return false;
  const first = bytes[start + 1];
  return first === LETTER_Q || (first === LETTER_O && bytes[start + 2] === LETTER_K && bytes[start + 3] === CR);
}

function startsWith(bytes: Uint8Array, beginning: Uint8Array): boolean {
  return beginning.every((byte, index) => bytes[index] === byte);
}
