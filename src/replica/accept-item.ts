/**
 * ACCEPT of one command on a base that has not expired, which nearly all writes are: an item of a call of ACCEPT_EACH (scripts), alone
 * or among others for the same node (accept-batch).
 *
 *   *N EVALSHA sha 0 record   code expected next command [moment]   expected next key value   …
 *   └──────── head ────────┘  └──────────── an item ────────────┘   └──── a plain one ────┘
 */
import { COMMAND_HEAD_BYTES_MAX, type CommandWriter, wordBytesMax } from '../resp/command-writer.js';
import { TYPE } from '../resp/frame.js';
import { headerLength } from '../resp/reply.js';
import { BALLOT_DIGITS, type Ballot, largest } from './ballot.js';
import type { Command, Commands, Replies, Value } from './commands.js';
import { expiry, formatTail, isLive, NO_FACTS } from './meta.js';
import { copyOf, decodeAccept, OK_REPLIES } from './node-answer.js';
import type { KeyAnswer, NodeStep } from './node-request.js';
import { elementsOf, shapeReplies } from './reply-shape.js';
import { type CommandTraits, isPlainSet, tailAfter } from './script-commands.js';
import { ACCEPT_EACH, ITEM } from './scripts.js';
import { type AcceptAnswer, ANY, type Step } from './step.js';

type AcceptStep = Extract<Step<Commands, Value>, { kind: 'accept' }>;
type Accepted = Extract<AcceptAnswer<Replies>, { kind: 'ok' }>;

/** EVALSHA, sha, the number of keys, the record. */
const HEAD_WORDS = 4;
/** What is expected, what is to be, the key and the value. */
const PLAIN_WORDS = 4;
/** Of a code, a tail and a moment. */
const NUMBER_BYTES_MAX = 24;
const DIGIT_1 = 0x31;
const LETTER_K = 0x4b;
const CR = 0x0d;
/** `*1` */
const ONE_ELEMENT_BYTES = 4;

/** Bytes of the head of any number of items, at most. */
export function headBytesMax(recordBytes: number): number {
  return COMMAND_HEAD_BYTES_MAX + ACCEPT_EACH.call.length + wordBytesMax(recordBytes);
}

/** Bytes of the head of items that have so many words together. */
export function headBytes(words: number, recordBytes: number): number {
  return headerLength(HEAD_WORDS + words) + ACCEPT_EACH.call.length + headerLength(recordBytes) + recordBytes + 2;
}

/** Returns where the record stands. */
export function writeHead(writer: CommandWriter, words: number, record: Uint8Array): number {
  writer.begin(HEAD_WORDS + words);
  writer.part(ACCEPT_EACH.call);
  const recordAt = writer.at;
  writer.word(record);
  return recordAt;
}

export class AcceptItem implements NodeStep {
  readonly replyCount = 1;
  /** How many it has as an item. */
  readonly words: number;
  private readonly step: AcceptStep;
  private readonly command: Command;
  private readonly traits: CommandTraits;
  private readonly promised: Ballot;
  /** See ITEM; 0 where it is a plain one. */
  private readonly code: number;
  /** Of what the command leaves, where all is as expected; '' where the node is to say. */
  private readonly tail: string;
  /** The answer where the reply is OK besides: the same for all nodes. */
  private accepted: Accepted | null = null;

  /** `command`: the step's only one, whose second word is the key. */
  constructor(step: AcceptStep, command: Command, traits: CommandTraits) {
    const { base, expected, setsExpiry } = step;
    this.step = step;
    this.command = command;
    this.traits = traits;
    this.promised = largest(step.ballot, step.next);
    const sets = isPlainSet(command, traits);
    this.tail = sets || expected !== null || base === ANY ? tailAfter(command, traits, expected ?? NO_FACTS) : '';
    const words = command.length + (setsExpiry === 0 ? 0 : 1);
    const asks = this.tail === '';
    const isKnown = expected === null ? base === ANY : expected.expireAt === 0;
    const looks = asks || setsExpiry !== 0 || !isKnown;
    if (sets && !looks) {
      this.code = 0;
      this.words = PLAIN_WORDS;
      return;
    }
    this.code = words + (sets ? ITEM.sets : 0) + (looks ? ITEM.looks : 0);
    this.code += (setsExpiry === 0 ? 0 : ITEM.moment) + (asks ? ITEM.asks : 0);
    this.words = words + 3;
  }

  bytesMax(recordBytes: number): number {
    return headBytesMax(recordBytes) + this.itemBytesMax;
  }

  get itemBytesMax(): number {
    const { lineage, expected } = this.step;
    const lineages = lineage.length + (expected?.lineage.length ?? 0);
    let bytes = 2 * wordBytesMax(2 * BALLOT_DIGITS) + lineages + 4 * wordBytesMax(NUMBER_BYTES_MAX);
    for (const { length } of this.command) bytes += wordBytesMax(length);
    return bytes;
  }

  write(writer: CommandWriter, record: Uint8Array): number {
    const recordAt = writeHead(writer, this.words, record);
    this.writeItem(writer);
    return recordAt;
  }

  writeItem(writer: CommandWriter): void {
    const { step, command, promised, tail, code } = this;
    const { ballot, base, lineage, expected, setsExpiry } = step;
    const expectedTail = expected === null ? '' : formatTail(expected.live, expected.expireAt);
    const expectedLineage = expected === null ? '' : expected.lineage;
    if (code !== 0) writer.word(`${code}`);
    writer.beginWord(ballot.length + base.length + expectedLineage.length + expectedTail.length);
    writer.part(ballot);
    writer.part(base);
    writer.part(expectedLineage);
    writer.part(expectedTail);
    writer.endWord();
    writer.beginWord(promised.length + ballot.length + lineage.length + tail.length);
    writer.part(promised);
    writer.part(ballot);
    writer.part(lineage);
    writer.part(tail);
    writer.endWord();
    for (let index = code === 0 ? 1 : 0; index < command.length; index++) writer.word(command[index] as Uint8Array);
    if (setsExpiry !== 0) writer.word(`${setsExpiry}`);
  }

  /** Of a call of its own. */
  decode(replies: readonly Uint8Array[]): KeyAnswer {
    const reply = replies[0] as Uint8Array;
    return this.decodeElement(reply[0] === TYPE.array ? (elementsOf(reply)[0] as Uint8Array) : reply);
  }

  plainAnswer(bytes: Buffer, start: number, end: number): KeyAnswer | null {
    return this.plainElement(bytes, bytes[start] === TYPE.array ? start + ONE_ELEMENT_BYTES : start, end);
  }

  /** All went as expected, with OK. */
  get okAnswer(): KeyAnswer {
    this.accepted ??= this.acceptedWith(OK_REPLIES);
    return this.accepted;
  }

  /** What its element of a call's reply says, bytes[start, end). It holds no views. */
  answerIn(bytes: Buffer, start: number, end: number): KeyAnswer {
    return this.plainElement(bytes, start, end) ?? this.decodeElement(copyOf(bytes, start, end));
  }

  /** Where everything was as expected, and the reply is OK or an integer; else null. */
  private plainElement(bytes: Buffer, start: number, end: number): KeyAnswer | null {
    if (isOk(bytes, start)) return this.okAnswer;
    return bytes[start] === TYPE.integer ? this.acceptedWith([copyOf(bytes, start, end)]) : null;
  }

  private acceptedWith(replies: Replies): Accepted {
    const { promised, tail } = this;
    return { kind: 'ok', promised, live: isLive(tail, 0), expireAt: expiry(tail, 0), replies };
  }

  private decodeElement(element: Uint8Array): KeyAnswer {
    if (isOk(element, 0)) return this.okAnswer;
    if (element[0] === TYPE.integer) return this.acceptedWith([element]);
    const answer = decodeAccept(element, this.promised);
    if (answer.kind === 'ok')
      answer.replies = shapeReplies(answer.replies as Replies, [this.traits], this.step.commands.protocol);
    return answer;
  }
}

/** `$1 K`: of one item, or of all of a call. */
export function isOk(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === TYPE.bulk && bytes[at + 1] === DIGIT_1 && bytes[at + 2] === CR && bytes[at + 4] === LETTER_K;
}
