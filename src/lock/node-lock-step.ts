/** The steps of locks as a stock Redis server takes them, and what its replies mean. The connection has loaded LOCK_SCRIPTS. */

import type { Ballot } from '../replica/ballot.js';
import { FENCE_PREFIX, FLOOR_DIGITS, parseFacts, parseFloors } from '../replica/meta.js';
import { decodeRefusal, isNotMember, NOT_MEMBER, unable } from '../replica/node-answer.js';
import type { NodeStep } from '../replica/node-request.js';
import { elementsOf, isNull, textOf } from '../replica/reply-shape.js';
import type { Script } from '../replica/scripts.js';
import type { NotMember, Unable } from '../replica/step.js';
import { COMMAND_HEAD_BYTES_MAX, type CommandWriter, wordBytesMax } from '../resp/command-writer.js';
import { TYPE } from '../resp/frame.js';
import { isError, parseInteger } from '../resp/reply.js';
import { ACQUIRE, CONFIRM, EXTEND, LOOK, RELEASE, TAKE_BACK } from './lock-scripts.js';
import type { LockAnswer, LockStep } from './lock-step.js';

type NodeLockAnswer = LockAnswer | NotMember | Unable;

/** First letters of the verdicts. */
const VERDICT = {
  already: 0x41, // A
  notHeld: 0x46, // F
  held: 0x48, // H
  done: 0x4b, // K
  lost: 0x4c, // L
  vote: 0x50, // P
  quarantined: 0x51, // Q
  refused: 0x52, // R
} as const;

/** EVALSHA, sha, the number of keys, both keys, the record. */
const FIXED_WORDS = 6;

/** `name`: a character a byte, as all texts of a step. `ttlMaxMs`: of its keyspace. A step that was made never changes. */
export class NodeLockStep implements NodeStep<NodeLockAnswer> {
  readonly replyCount = 1;
  private readonly name: string;
  private readonly script: Script;
  /** Behind the record. */
  private readonly words: readonly string[];

  constructor(step: LockStep, name: string, ttlMaxMs: number) {
    this.name = name;
    [this.script, this.words] = callOf(step, ttlMaxMs);
  }

  bytesMax(recordBytes: number): number {
    const { name, script, words } = this;
    const keys = wordBytesMax(FENCE_PREFIX.length + name.length) + wordBytesMax(name.length);
    let bytes = COMMAND_HEAD_BYTES_MAX + script.call.length + keys + wordBytesMax(recordBytes);
    for (const { length } of words) bytes += wordBytesMax(length);
    return bytes;
  }

  write(writer: CommandWriter, record: Uint8Array): number {
    const { name, script, words } = this;
    writer.begin(FIXED_WORDS + words.length);
    writer.part(script.call);
    writer.beginWord(FENCE_PREFIX.length + name.length);
    writer.part(FENCE_PREFIX);
    writer.part(name);
    writer.endWord();
    writer.word(name);
    const recordAt = writer.at;
    writer.word(record);
    for (const word of words) writer.word(word);
    return recordAt;
  }

  decode([reply]: readonly Uint8Array[]): NodeLockAnswer {
    const frame = reply as Uint8Array;
    if (isError(frame, 0)) return unable(frame);
    const parts = frame[0] === TYPE.array ? elementsOf(frame) : null;
    if (parts?.length === LOOK_PARTS) return viewOf(parts);
    const text = textOf(parts === null ? frame : (parts[0] as Uint8Array));
    const register = parts === null ? '' : textOf(parts[1] as Uint8Array);
    if (isNotMember(text)) return NOT_MEMBER;
    switch (text.charCodeAt(0)) {
      case VERDICT.vote:
        return voteOf(text, register);
      case VERDICT.held:
        return { kind: 'held', ttlMs: Number(text.slice(1)) };
      case VERDICT.notHeld:
        return { kind: 'not-held', ttlMs: Number(text.slice(1)), register };
      case VERDICT.quarantined:
        return { kind: 'quarantined', leftMs: Number(text.slice(1)) };
      case VERDICT.refused:
        return decodeRefusal(text);
      case VERDICT.lost:
        return { kind: 'lost' };
      case VERDICT.already:
      case VERDICT.done:
        return { kind: 'done' };
      default:
        throw new Error(`a step of a lock was answered ${text}`);
    }
  }

  plainAnswer(): null {
    return null;
  }
}

const LOOK_PARTS = 4;

function callOf(step: LockStep, ttlMaxMs: number): [Script, string[]] {
  switch (step.kind) {
    case 'acquire':
      return [ACQUIRE, [`${ttlMaxMs}`, step.ballot, step.token, `${step.ttlMs}`]];
    case 'confirm':
      return [CONFIRM, [step.ballot, step.token, step.lineage, step.register]];
    case 'take-back':
      return [TAKE_BACK, [step.token, step.mark, step.ballot]];
    case 'release':
      return [RELEASE, [step.token, step.mark]];
    case 'extend':
      return [EXTEND, [`${ttlMaxMs}`, step.token, `${step.ttlMs}`]];
    case 'look':
      return [LOOK, []];
  }
}

function voteOf(text: string, register: string): LockAnswer {
  const { epochFloor, collected } = parseFloors(text, 1);
  const { accepted, lineage } = parseFacts(text, 1 + FLOOR_DIGITS);
  return { kind: 'vote', accepted, lineage, collected, epochFloor, register };
}

function viewOf([holder, left, accepted, register]: readonly Uint8Array[]): LockAnswer {
  const [token, ms] = [holder, left] as [Uint8Array, Uint8Array];
  return {
    kind: 'view',
    token: isNull(token) ? null : textOf(token),
    ttlMs: parseInteger(ms, 0, ms.length),
    accepted: textOf(accepted as Uint8Array) as Ballot,
    register: textOf(register as Uint8Array),
  };
}
