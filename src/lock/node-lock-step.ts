/** The steps of locks as a stock Redis server takes them, and what its replies mean. The connection has loaded LOCK_SCRIPTS. */

import type { Ballot } from '../replica/ballot.js';
import { FENCE_PREFIX, FLOOR_DIGITS, parseFacts, parseFloors } from '../replica/meta.js';
import { decodeRefusal, isNotMember, NOT_MEMBER, unable } from '../replica/node-answer.js';
import type { NodeStep } from '../replica/node-request.js';
import { elementsOf, lineAfter, textOf } from '../replica/reply-shape.js';
import type { Script } from '../replica/scripts.js';
import type { NotMember, Unable } from '../replica/step.js';
import { COMMAND_HEAD_BYTES_MAX, type CommandWriter, wordBytesMax } from '../resp/command-writer.js';
import { skipValue, TYPE } from '../resp/frame.js';
import { isError } from '../resp/reply.js';
import {
  ACQUIRE,
  ACQUIRE_SHARE,
  BREAK,
  CONFIRM,
  EXTEND,
  LOOK,
  RELEASE,
  RETAKE,
  RETAKE_SHARE,
  TAKE_BACK,
} from './lock-scripts.js';
import type { HolderView, LockAnswer, LockStep } from './lock-step.js';
import { WHOLE } from './share.js';

type NodeLockAnswer = LockAnswer | NotMember | Unable;

/** First letters of the verdicts. */
const VERDICT = {
  already: 0x41, // A
  broken: 0x42, // B
  extended: 0x45, // E
  notHeld: 0x46, // F
  held: 0x48, // H
  view: 0x49, // I
  done: 0x4b, // K
  lost: 0x4c, // L
  vote: 0x50, // P
  quarantined: 0x51, // Q
  refused: 0x52, // R
  elsewhere: 0x57, // W
} as const;

const DONE: LockAnswer = { kind: 'done' };
/** `$1 K`. */
const DONE_BYTES = 7;
const DIGIT_2 = 0x32;
/** `*2`. */
const TWO_HEADER_BYTES = 4;

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
    const [text, ...more] = (frame[0] === TYPE.array ? elementsOf(frame) : [frame]).map(textOf) as [
      string,
      ...string[],
    ];
    if (isNotMember(text)) return NOT_MEMBER;
    switch (text.charCodeAt(0)) {
      case VERDICT.vote:
        return voteOf(text, more[0] as string);
      case VERDICT.held:
        return { kind: 'held', ttlMs: Number(text.slice(1)), taken: more[0] ?? '' };
      case VERDICT.elsewhere:
        return { kind: 'elsewhere', share: text.slice(1) };
      case VERDICT.notHeld:
        return notHeldOf(text.slice(1), more);
      case VERDICT.extended:
        return extendedOf(text.slice(1), more[0]);
      case VERDICT.broken:
        return { kind: 'broken', tokens: more };
      case VERDICT.view:
        return viewOf(text.slice(1), more);
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

  plainAnswer(bytes: Buffer, start: number, end: number): NodeLockAnswer | null {
    if (bytes[start] === TYPE.bulk) {
      const isDone = end - start === DONE_BYTES && bytes[end - 3] === VERDICT.done;
      return isDone ? DONE : null;
    }
    if (bytes[start] !== TYPE.array || bytes[start + 1] !== DIGIT_2) return null;
    const first = start + TWO_HEADER_BYTES;
    const second = skipValue(bytes, first);
    const text = lineAfter(bytes, first);
    if (bytes[text] !== VERDICT.vote) return null;
    return voteOf(
      bytes.toString('latin1', text, second - 2),
      bytes.toString('latin1', lineAfter(bytes, second), end - 2),
    );
  }
}

function callOf(step: LockStep, ttlMaxMs: number): [Script, string[]] {
  switch (step.kind) {
    case 'acquire':
      return [ACQUIRE, [`${ttlMaxMs}`, step.ballot, step.token, `${step.ttlMs}`, flag(step.waits)]];
    case 'acquire-share': {
      const { ballot, token, ttlMs, mode, share, mayMove, waits } = step;
      const flags = [flag(mayMove), flag(waits)];
      return [ACQUIRE_SHARE, [`${ttlMaxMs}`, ballot, token, `${ttlMs}`, mode, share, ...flags]];
    }
    case 'confirm':
      return [CONFIRM, [step.ballot, step.token, step.lineage, step.register, step.share]];
    case 'take-back':
      return [TAKE_BACK, [step.token, step.mark, step.ballot, `${step.fence}`]];
    case 'release':
      return [RELEASE, [step.token, step.mark]];
    case 'extend':
      return [EXTEND, [`${ttlMaxMs}`, step.token, `${step.ttlMs}`]];
    case 'retake': {
      const { token, ttlMs, share, hold, fromMs, untilMs } = step;
      const { mode, ballot, fence, client } = hold;
      const times = [`${fromMs}`, `${untilMs}`];
      if (mode === WHOLE) return [RETAKE, [`${ttlMaxMs}`, token, `${ttlMs}`, ...times, ballot]];
      const words = [`${ttlMaxMs}`, ballot, token, `${ttlMs}`, mode, share, flag(true), ...times, `${fence}`, client];
      return [RETAKE_SHARE, words];
    }
    case 'break':
      return [BREAK, [step.mark]];
    case 'look':
      return [LOOK, [`${ttlMaxMs}`]];
  }
}

function flag(is: boolean): string {
  return is ? '1' : '0';
}

function voteOf(text: string, register: string): LockAnswer {
  const { epochFloor, collected } = parseFloors(text, 1);
  const { accepted, lineage } = parseFacts(text, 1 + FLOOR_DIGITS);
  return { kind: 'vote', accepted, lineage, collected, epochFloor, register };
}

function notHeldOf(text: string, registers: readonly string[]): LockAnswer {
  const [left, now] = text.split(' ');
  return { kind: 'not-held', ttlMs: Number(left), nowMs: Number(now), registers };
}

function extendedOf(share: string, text: string | undefined): LockAnswer {
  if (text === undefined) return { kind: 'extended', share, hold: null, nowMs: null };
  const [mode, ballot, fence, client, now] = text.split(' ') as [string, string, string, string, string?];
  const hold = { mode, ballot, fence: Number(fence), client };
  return { kind: 'extended', share, hold, nowMs: now === undefined ? null : Number(now) };
}

const HOLDER = /^(-?\d+) (\S+) (\d+) (\S+)$/;

function viewOf(mode: string, [accepted, register, ...texts]: readonly string[]): LockAnswer {
  const holders = Array.from({ length: texts.length / 2 }, (_, at): HolderView => {
    const match = HOLDER.exec(texts[2 * at + 1] as string);
    if (match === null) throw new Error(`a holder of a lock was said to be ${texts[2 * at + 1]}`);
    const [, left, share, fence, client] = match as unknown as [string, string, string, string, string];
    return { token: texts[2 * at] as string, share, ttlMs: Number(left), fence: Number(fence), client };
  });
  return { kind: 'view', mode, holders, accepted: accepted as Ballot, register: register as string };
}
