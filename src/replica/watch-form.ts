/**
 * ACCEPT in the watch form: the commands stand in a transaction, so that their replies are exactly Redis's, whatever they are
 * (client scripts and functions, wide integers, RESP3's types, thousands of arguments).
 *
 *   WATCH meta node floor key guard; EVAL check; MULTI; the commands; EVAL finish; EXEC
 *
 * Messages go out behind EXEC, carried out or not: a connection that listens to its own would get them in the midst of EXEC's reply.
 *
 * It is one piece on a connection that others use, too: a check that refuses touches the guard, so that EXEC answers null. The
 * key is watched because it may expire between the check and EXEC (INCR then answered 1: seen). The scripts go out whole: after
 * a NOSCRIPT for the check alone the transaction would be carried out unchecked.
 */
import { COMMAND_HEAD_BYTES_MAX, type CommandWriter, type Word, wordBytesMax } from '../resp/command-writer.js';
import { encodeCommand, isError } from '../resp/reply.js';
import { BALLOT_DIGITS, type Ballot, largest } from './ballot.js';
import type { Command, Commands, Replies, Value } from './commands.js';
import { FLOOR_KEY, GUARD_PREFIX, META_PREFIX, metaKey, NODE_KEY } from './meta.js';
import { decodeAccept, executed, unable } from './node-answer.js';
import type { NodeStep } from './node-request.js';
import { elementsOf, isNull, textOf } from './reply-shape.js';
import { CHECK, FINISH } from './scripts.js';
import type { AcceptAnswer, Step } from './step.js';
import { type QueuedCommands, queueCommands } from './transaction-replies.js';
import { isWord } from './words.js';

/** Reply to PUBLISH; nobody asks how many heard it. */
const NOBODY = Buffer.from(':0\r\n');
const MULTI = encodeCommand(['MULTI']);
const EXEC = encodeCommand(['EXEC']);

type AcceptStep = Extract<Step<Commands, Value>, { kind: 'accept' }>;

/** Of an attempt, behind its ballot. */
const ATTEMPT_DIGITS_MAX = 17;
const LIMIT_DIGITS_MAX = 17;
/** What stands before and between the words of WATCH and of the scripts' calls, but for keys, records and lineage. */
const FIXED_BYTES_MAX =
  3 * COMMAND_HEAD_BYTES_MAX +
  2 * wordBytesMax('EVAL'.length) +
  wordBytesMax(CHECK.source.length) +
  wordBytesMax(FINISH.source.length) +
  wordBytesMax(META_PREFIX.length) +
  wordBytesMax(NODE_KEY.length) +
  wordBytesMax(FLOOR_KEY.length) +
  3 * wordBytesMax(GUARD_PREFIX.length + BALLOT_DIGITS + ATTEMPT_DIGITS_MAX) +
  2 * wordBytesMax(BALLOT_DIGITS * 2) +
  7 * wordBytesMax(1) +
  wordBytesMax(LIMIT_DIGITS_MAX) +
  MULTI.length +
  EXEC.length;

/** Makes each check's pass one that no other finish takes for its own. */
let attempts = 0;

export class WatchedStep implements NodeStep {
  readonly replyCount: number;
  private readonly step: AcceptStep;
  private readonly key: Uint8Array;
  private readonly promised: Ballot;
  private readonly queued: QueuedCommands;
  private readonly deletion: readonly Uint8Array[];
  private readonly messages: readonly Uint8Array[];

  /** `step.setsExpiry` is 0: see `canSetExpiry`. */
  constructor(step: AcceptStep, key: Word) {
    if (step.setsExpiry !== 0) throw new Error('commands in the watch form set an expiry on several nodes');
    const { commands, expired } = step;
    this.step = step;
    this.key = typeof key === 'string' ? Buffer.from(key, 'latin1') : key;
    this.promised = largest(step.ballot, step.next);
    this.queued = queueCommands({ ...commands, list: commands.list.filter((command) => !isMessage(command)) });
    this.deletion = expired ? [encodeCommand(['DEL', this.key])] : [];
    this.messages = commands.list.filter(isMessage).map(encodeCommand);
    this.replyCount = this.transactionReplies + this.messages.length;
  }

  bytesMax(recordBytes: number): number {
    const { key, deletion, queued, messages, step } = this;
    let bytes = FIXED_BYTES_MAX + 5 * wordBytesMax(key.length) + 2 * wordBytesMax(recordBytes) + step.lineage.length;
    for (const { length } of [...deletion, ...queued.frames, ...messages]) bytes += length;
    return bytes;
  }

  /** Each attempt has a pass of its own: none takes another's frames. */
  write(writer: CommandWriter, record: Uint8Array, aloneBytesMax: number): number {
    const { key, deletion, queued, messages, promised } = this;
    const { ballot, base, lineage, expired, commands, keepsSame } = this.step;
    const isBounded = commands.isAlone === true && aloneBytesMax !== Number.POSITIVE_INFINITY;
    const pass = `${ballot}.${attempts++}`;
    const flag = expired ? '1' : '0';
    writeCommand(writer, ['WATCH', metaKey(key), NODE_KEY, FLOOR_KEY, key, GUARD_PREFIX + pass]);
    writeCommand(writer, [
      'EVAL',
      CHECK.source,
      '1',
      key,
      record,
      ballot + base,
      pass,
      flag,
      '',
      isBounded ? `${aloneBytesMax}` : '',
      keepsSame === true ? '1' : '',
    ]);
    writer.part(MULTI);
    for (const frame of deletion) writer.part(frame);
    for (const frame of queued.frames) writer.part(frame);
    writeCommand(writer, ['EVAL', FINISH.source, '1', key, record, promised + ballot + lineage, pass, flag]);
    writer.part(EXEC);
    for (const frame of messages) writer.part(frame);
    return -1;
  }

  decode(all: readonly Uint8Array[]): AcceptAnswer<Replies> {
    const { promised, queued, deletion, step } = this;
    const replies = all.slice(0, this.transactionReplies);
    const exec = executed(replies);
    if (isError(exec, 0)) return unable(exec);
    if (isNull(exec)) {
      const verdict = replies[1] as Uint8Array;
      if (isError(verdict, 0)) return unable(verdict);
      // Another has written between check and EXEC, or its value has expired: it is not the base any more.
      return textOf(verdict) === '' ? { kind: 'stale' } : decodeAccept(verdict, promised);
    }
    const elements = elementsOf(exec);
    const answer = decodeAccept(elements[elements.length - 1] as Uint8Array, promised);
    if (answer.kind === 'ok' || answer.kind === 'same') {
      const own = queued.decode(elements, deletion.length);
      let place = 0;
      answer.replies = step.commands.list.map((command) => {
        return isMessage(command) ? NOBODY : (own[place++] as Uint8Array);
      });
    }
    return answer;
  }

  plainAnswer(): null {
    return null;
  }

  /** To WATCH, the check, MULTI, what is queued with the finish, and EXEC. */
  private get transactionReplies(): number {
    return this.deletion.length + this.queued.frames.length + 5;
  }
}

function isMessage([name]: Command): boolean {
  return isWord(name, 'publish');
}

function writeCommand(writer: CommandWriter, words: readonly Word[]): void {
  writer.begin(words.length);
  for (const word of words) writer.word(word);
}
