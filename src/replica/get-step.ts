/**
 * GET of a key, as nearly all reads are: one command, which is atomic by itself, where other reads take a transaction of five (node-step).
 *
 *   MGET ~rl:node ~rl:m:KEY KEY   ->   *3  record  meta  value
 *
 * To MGET a value of another type is none. Where the meta says that there is a value, and there is no text, it may have expired or be of
 * another type: that is unclear, and asked for otherwise.
 */
import { COMMAND_HEAD_BYTES_MAX, type CommandWriter, type Word, wordBytesMax } from '../resp/command-writer.js';
import { skipValue, TYPE } from '../resp/frame.js';
import { headerLength, isError, nullReply } from '../resp/reply.js';
import type { Command, Commands } from './commands.js';
import { META_PREFIX, NO_FACTS, NODE_KEY, parseMetaFacts } from './meta.js';
import { copyOf, NOT_MEMBER, unable } from './node-answer.js';
import { type KeyAnswer, type NodeStep, UNCLEAR, type Unclear } from './node-request.js';
import { lineAfter } from './reply-shape.js';
import { commandTraits, GET } from './script-commands.js';

const MGET = Buffer.from(`*4\r\n$4\r\nMGET\r\n$${NODE_KEY.length}\r\n${NODE_KEY}\r\n`);
/** `*3` */
const ELEMENTS_BYTES = 4;

export class GetStep implements NodeStep {
  readonly replyCount = 1;
  private readonly key: Word;
  private readonly protocol: Commands['protocol'];

  constructor(key: Word, protocol: Commands['protocol']) {
    this.key = key;
    this.protocol = protocol;
  }

  bytesMax(): number {
    const { length } = this.key;
    return COMMAND_HEAD_BYTES_MAX + MGET.length + wordBytesMax(META_PREFIX.length + length) + wordBytesMax(length);
  }

  write(writer: CommandWriter): number {
    const { key } = this;
    writer.part(MGET);
    writer.beginWord(META_PREFIX.length + key.length);
    writer.part(META_PREFIX);
    writer.part(key);
    writer.endWord();
    writer.word(key);
    return -1;
  }

  decode(replies: readonly Uint8Array[], record: Uint8Array): KeyAnswer | Unclear {
    const { buffer, byteOffset, length } = replies[0] as Uint8Array;
    const reply = Buffer.from(buffer, byteOffset, length);
    return isError(reply, 0) ? unable(reply) : (this.plainAnswer(reply, 0, length, record) ?? NOT_MEMBER);
  }

  plainAnswer(bytes: Buffer, start: number, end: number, record: Uint8Array): KeyAnswer | Unclear | null {
    const node = start + ELEMENTS_BYTES;
    const recordAt = node + headerLength(record.length);
    const meta = recordAt + record.length + 2;
    if (bytes[start] !== TYPE.array || bytes[node] !== TYPE.bulk || skipValue(bytes, node) !== meta) return null;
    for (let at = 0; at < record.length; at++) if (bytes[recordAt + at] !== record[at]) return null;
    const value = skipValue(bytes, meta);
    const isNew = bytes[meta] === TYPE.null;
    const facts = isNew ? NO_FACTS : parseMetaFacts(bytes.toString('latin1', lineAfter(bytes, meta), value - 2));
    const { accepted, lineage, live, expireAt } = facts;
    const hasValue = bytes[value] !== TYPE.null;
    if (live && !hasValue) return UNCLEAR;
    const reply = hasValue ? copyOf(bytes, value, end) : nullReply(this.protocol);
    return { kind: 'view', accepted, lineage, live, expireAt, isExpired: false, value: null, replies: [reply] };
  }
}

/** Whether the commands are a GET and nothing else, of a right number of words. */
export function isGet({ list }: Commands): boolean {
  if (list.length !== 1) return false;
  const command = list[0] as Command;
  return command.length === 2 && commandTraits(command) === GET;
}
