/**
 * The steps on a key as a stock Redis server takes them, and what its replies mean: scripts for what decides, a transaction for
 * what only reads. The connection speaks RESP3, and has loaded KEY_SCRIPTS.
 *
 *   prepare, install, merge, collect   EVALSHA
 *   accept                             EVALSHA, or the watch form (watch-form) where a script's replies would not be exact
 *   read of GET                        MGET (get-step)
 *   read, peek, snapshot               MULTI; MGET node floor meta; EXISTS; the commands, or DUMP; EXEC
 *                                      without memory: EVALSHA of the same, and for read the commands between two of these
 */
import { COMMAND_HEAD_BYTES_MAX, CommandWriter, type Word, wordBytesMax } from '../resp/command-writer.js';
import { encodeCommand, isError } from '../resp/reply.js';
import { AcceptItem } from './accept-item.js';
import { type Ballot, largest } from './ballot.js';
import { type Command, type Commands, NO_COMMANDS, type Replies, type Value } from './commands.js';
import { GetStep, isGet } from './get-step.js';
import { FLOOR_KEY, formatTail, META_PREFIX, momentText, NODE_KEY } from './meta.js';
import {
  decodeAccept,
  decodeCollect,
  decodePrepare,
  decodeView,
  executed,
  NOT_MEMBER,
  plainView,
  unable,
} from './node-answer.js';
import type { KeyAnswer, NodeRequest, NodeStep } from './node-request.js';
import { bulkOf, elementsOf, isNull, shapeReplies } from './reply-shape.js';
import { areExactInScript, commandTraits } from './script-commands.js';
import { ACCEPT_ALL, ACCEPT_SMALL, COLLECT, INSTALL, MERGE, PREPARE, type Script, VIEW } from './scripts.js';
import type { KeyState, Step } from './step.js';
import { type QueuedCommands, queueCommands } from './transaction-replies.js';
import { WatchedStep } from './watch-form.js';

const MULTI = encodeCommand(['MULTI']);
const EXEC = encodeCommand(['EXEC']);
/** MGET with its first two keys; the third follows. */
const MGET = Buffer.concat([Buffer.from('*4\r\n'), ...['MGET', NODE_KEY, FLOOR_KEY].map(bulk)]);
const EXISTS = Buffer.concat([Buffer.from('*2\r\n'), bulk('EXISTS')]);
const DUMP = Buffer.concat([Buffer.from('*2\r\n'), bulk('DUMP')]);
const DIGIT_0 = 0x30;

type AcceptStep = Extract<Step<Commands, Value>, { kind: 'accept' }>;

/**
 * A step that was made never changes. `key`: bytes, or a character each. `isFull`: the node may have no memory left; what only reads
 * is asked for without a transaction, whose commands Redis would not queue.
 */
export function nodeStepOf(step: Step<Commands, Value>, key: Word, isFull = false): NodeStep {
  switch (step.kind) {
    case 'accept':
      return acceptStep(step, key);
    case 'prepare':
      return new ScriptStep(PREPARE, key, [step.ballot], decodePrepare);
    case 'collect':
      return new ScriptStep(COLLECT, key, [step.ballot], decodeCollect);
    case 'install':
      return stateStep(INSTALL, key, step.state, largest(step.state.accepted, step.next));
    case 'merge':
      return stateStep(MERGE, key, step.state, step.state.accepted);
    case 'read':
      return !isFull && isGet(step.commands)
        ? new GetStep(key, step.commands.protocol)
        : viewStep(key, step.commands, isFull);
    case 'peek':
      return viewStep(key, NO_COMMANDS, isFull);
    case 'snapshot':
      return isFull ? new FullViewStep(key, null, NOTHING_QUEUED) : new SnapshotStep(key);
  }
}

/**
 * `record`: the bytes of `~rl:node` that the node is to have. `aloneBytesMax`: see NodeStep; `isFull`: who is in no hurry need not know, and else
 * the answer may be UNCLEAR.
 */
export function encodeStep(
  step: Step<Commands, Value>,
  key: Uint8Array,
  record: Uint8Array,
  aloneBytesMax = Number.POSITIVE_INFINITY,
  isFull = true,
): NodeRequest<KeyAnswer> {
  const nodeStep = nodeStepOf(step, key, isFull);
  const room = Buffer.allocUnsafe(nodeStep.bytesMax(record.length));
  const writer = new CommandWriter();
  writer.aim(room, 0);
  nodeStep.write(writer, record, aloneBytesMax);
  return {
    frames: room.subarray(0, writer.at),
    replyCount: nodeStep.replyCount,
    decode: (replies) => nodeStep.decode(replies, record) as KeyAnswer,
  };
}

/** What gives a copy a whole state. */
function stateStep(script: Script, key: Word, state: KeyState<Value>, promised: Ballot): NodeStep {
  const { accepted, lineage, live, expireAt, value } = state;
  const words = [accepted, promised + accepted + lineage, formatTail(live, expireAt), momentText(expireAt)];
  return new ScriptStep(script, key, value === null ? words : [...words, value], (reply) => {
    return decodeAccept(reply, promised);
  });
}

function acceptStep(step: AcceptStep, key: Word): NodeStep {
  const { list, protocol, isAlone, isSmall } = step.commands;
  if (isAlone === true) return new WatchedStep(step, key);
  if (list.length === 1 && !step.expired && isSmall !== true) {
    const command = list[0] as Command;
    const traits = commandTraits(command);
    if ((protocol === 3 ? traits.inScript3 : traits.inScript2) && !traits.readonly && isWordOf(command[1], key))
      return new AcceptItem(step, command, traits);
  }
  const traits = list.map(commandTraits);
  if (!areExactInScript(traits, protocol)) return new WatchedStep(step, key);
  const promised = largest(step.ballot, step.next);
  const words: Word[] = [
    step.ballot + step.base,
    promised + step.ballot + step.lineage,
    step.expired ? '1' : '0',
    momentOf(step),
  ];
  for (const command of list) {
    words.push(`${command.length}`);
    for (const word of command) words.push(word);
  }
  const script = isSmall !== true && traits.some(({ denyOom }) => denyOom) ? ACCEPT_ALL : ACCEPT_SMALL;
  return new ScriptStep(script, key, words, (reply) => {
    const answer = decodeAccept(reply, promised);
    if (answer.kind === 'ok') answer.replies = shapeReplies(answer.replies as Replies, traits, protocol);
    return answer;
  });
}

/** Whether the word is the key. */
function isWordOf(word: Uint8Array | undefined, key: Word): boolean {
  if (word?.length !== key.length) return false;
  for (let at = 0; at < key.length; at++) {
    if (word[at] !== (typeof key === 'string' ? key.charCodeAt(at) : key[at])) return false;
  }
  return true;
}

/** The earliest expiry that its commands set. */
function momentOf({ setsExpiry }: AcceptStep): string {
  return setsExpiry === 0 ? '' : `${setsExpiry}`;
}

/** EVALSHA, sha, the number of keys, the key, the record. */
const SCRIPT_WORDS = 5;

/** `words`: what follows the record. */
class ScriptStep implements NodeStep {
  readonly replyCount = 1;
  private readonly script: Script;
  private readonly key: Word;
  private readonly words: readonly Word[];
  private readonly decodeReply: (reply: Uint8Array) => KeyAnswer;

  constructor(script: Script, key: Word, words: readonly Word[], decodeReply: (reply: Uint8Array) => KeyAnswer) {
    this.script = script;
    this.key = key;
    this.words = words;
    this.decodeReply = decodeReply;
  }

  bytesMax(recordBytes: number): number {
    let bytes = scriptBytesMax(this.script, this.key, recordBytes);
    for (const { length } of this.words) bytes += wordBytesMax(length);
    return bytes;
  }

  write(writer: CommandWriter, record: Uint8Array): number {
    const recordAt = beginScript(writer, this.script, this.words.length, this.key, record);
    for (const word of this.words) writer.word(word);
    return recordAt;
  }

  decode(replies: readonly Uint8Array[]): KeyAnswer {
    return this.decodeReply(replies[0] as Uint8Array);
  }

  plainAnswer(): null {
    return null;
  }
}

/**
 * A transaction that reads. For a client of RESP2 the connection changes its protocol inside, where no push can be lost, unless
 * the replies are alike but for nulls. Whether a value has expired is decided at one time for all of a transaction.
 */
class ViewStep implements NodeStep {
  readonly replyCount: number;
  private readonly key: Word;
  private readonly commands: Commands;
  private readonly queued: QueuedCommands;

  constructor(key: Word, commands: Commands) {
    this.key = key;
    this.commands = commands;
    this.queued = commands.list.length === 0 ? NOTHING_QUEUED : queueCommands(commands);
    this.replyCount = this.queued.frames.length + 4;
  }

  bytesMax(): number {
    let bytes = viewBytesMax(this.key);
    for (const { length } of this.queued.frames) bytes += length;
    return bytes;
  }

  write(writer: CommandWriter): number {
    writeView(writer, this.key, EXISTS);
    for (const frame of this.queued.frames) writer.part(frame);
    writer.part(EXEC);
    return -1;
  }

  decode(replies: readonly Uint8Array[], record: Uint8Array): KeyAnswer {
    const exec = executed(replies);
    if (isError(exec, 0)) return unable(exec);
    const elements = elementsOf(exec);
    const isGone = (elements[1] as Uint8Array)[1] === DIGIT_0;
    const view = decodeView(elements[0] as Uint8Array, record, isGone);
    if (view.kind === 'view' && this.commands.list.length > 0) view.replies = this.queued.decode(elements, 2);
    return view;
  }

  plainAnswer(bytes: Buffer, start: number, end: number, record: Uint8Array): KeyAnswer | null {
    const { length } = this.commands.list;
    // Of several, or of one between commands of ours, the replies have to be taken apart.
    return length <= 1 && this.queued.frames.length === length ? plainView(bytes, start, end, record, length) : null;
  }
}

const NOTHING_QUEUED = queueCommands(NO_COMMANDS);

function viewStep(key: Word, commands: Commands, isFull: boolean): NodeStep {
  if (!isFull) return new ViewStep(key, commands);
  const queued = queueCommands(commands);
  // In another protocol the connection would miss a push: outside of a transaction it stays in its own.
  const isAlike = queued.frames.length === commands.list.length;
  return isAlike ? new FullViewStep(key, commands, queued) : new ViewStep(key, commands);
}

/**
 * What reads, for a node without memory. Commands stand between two looks at the same: a ballot is never used twice, so that nothing has
 * come in between where these are equal.
 */
class FullViewStep implements NodeStep {
  readonly replyCount: number;
  private readonly key: Word;
  /** Null: the value, as DUMP makes it, is asked for. */
  private readonly commands: Commands | null;
  private readonly queued: QueuedCommands;

  constructor(key: Word, commands: Commands | null, queued: QueuedCommands) {
    this.key = key;
    this.commands = commands;
    this.queued = queued;
    this.replyCount = queued.frames.length === 0 ? 1 : queued.frames.length + 2;
  }

  bytesMax(): number {
    const look =
      COMMAND_HEAD_BYTES_MAX + VIEW.call.length + wordBytesMax(this.key.length) + wordBytesMax('EXISTS'.length);
    let bytes = look * 2;
    for (const { length } of this.queued.frames) bytes += length;
    return bytes;
  }

  write(writer: CommandWriter): number {
    this.writeLook(writer);
    for (const frame of this.queued.frames) writer.part(frame);
    if (this.replyCount > 1) this.writeLook(writer);
    return -1;
  }

  decode(replies: readonly Uint8Array[], record: Uint8Array): KeyAnswer {
    const { commands, queued } = this;
    const [first, last] = [replies[0], replies[replies.length - 1]] as [Uint8Array, Uint8Array];
    if (isError(first, 0)) return unable(first);
    if (Buffer.compare(first, last) !== 0) return NOT_MEMBER;
    const [found, value] = elementsOf(first) as [Uint8Array, Uint8Array];
    const isGone = commands === null ? isNull(value) : value[1] === DIGIT_0;
    const view = decodeView(found, record, isGone);
    if (view.kind !== 'view') return view;
    if (commands === null && !isGone) view.value = bulkOf(value);
    if (commands !== null && commands.list.length > 0) view.replies = queued.decode(replies, 1);
    return view;
  }

  plainAnswer(): null {
    return null;
  }

  private writeLook(writer: CommandWriter): void {
    writer.begin(LOOK_WORDS);
    writer.part(VIEW.call);
    writer.word(this.key);
    writer.word(this.commands === null ? 'DUMP' : 'EXISTS');
  }
}

/** EVALSHA, sha, the number of keys, the key, and what is asked of it. */
const LOOK_WORDS = 5;

class SnapshotStep implements NodeStep {
  readonly replyCount = 4;
  private readonly key: Word;

  constructor(key: Word) {
    this.key = key;
  }

  bytesMax(): number {
    return viewBytesMax(this.key);
  }

  write(writer: CommandWriter): number {
    writeView(writer, this.key, DUMP);
    writer.part(EXEC);
    return -1;
  }

  decode(replies: readonly Uint8Array[], record: Uint8Array): KeyAnswer {
    const exec = executed(replies);
    if (isError(exec, 0)) return unable(exec);
    const [found, dump] = elementsOf(exec) as [Uint8Array, Uint8Array];
    const view = decodeView(found, record, isNull(dump));
    if (view.kind === 'view' && !isNull(dump)) view.value = bulkOf(dump);
    return view;
  }

  plainAnswer(): null {
    return null;
  }
}

/** All but EXEC and what stands before it. */
function viewBytesMax(key: Word): number {
  const fixed = MULTI.length + MGET.length + Math.max(EXISTS.length, DUMP.length) + EXEC.length;
  return fixed + wordBytesMax(META_PREFIX.length + key.length) + wordBytesMax(key.length);
}

/** `ofKey`: the beginning of the command that is asked of the key. */
function writeView(writer: CommandWriter, key: Word, ofKey: Uint8Array): void {
  writer.part(MULTI);
  writer.part(MGET);
  writer.beginWord(META_PREFIX.length + key.length);
  writer.part(META_PREFIX);
  writer.part(key);
  writer.endWord();
  writer.part(ofKey);
  writer.word(key);
}

/** But for the words after the record. */
function scriptBytesMax({ call }: Script, key: Word, recordBytes: number): number {
  return COMMAND_HEAD_BYTES_MAX + call.length + wordBytesMax(key.length) + wordBytesMax(recordBytes);
}

/** `words`: how many follow the record. Returns where that stands. */
function beginScript(writer: CommandWriter, script: Script, words: number, key: Word, record: Uint8Array): number {
  writer.begin(SCRIPT_WORDS + words);
  writer.part(script.call);
  writer.word(key);
  const recordAt = writer.at;
  writer.word(record);
  return recordAt;
}

function bulk(text: string): Uint8Array {
  return Buffer.from(`$${text.length}\r\n${text}\r\n`);
}
