/** What the replies of scripts and transactions (scripts, node-step) say, as answers to steps. */
import { TYPE } from '../resp/frame.js';
import { isError } from '../resp/reply.js';
import { BALLOT_DIGITS, type Ballot } from './ballot.js';
import type { Replies, Value } from './commands.js';
import { expiry, FLOOR_DIGITS, isLive, NO_FACTS, parseFacts, parseFloors, parseMetaFacts } from './meta.js';
import { bulkOf, elementsOf, isNull, textOf } from './reply-shape.js';
import type { AcceptAnswer, CollectAnswer, NotMember, PrepareAnswer, Refusal, Unable, ViewAnswer } from './step.js';

/** First letters of the scripts' verdicts. */
const VERDICT = {
  already: 0x41, // A
  baseExpired: 0x42, // B
  notMember: 0x4e, // N
  ownExpired: 0x4f, // O
  refused: 0x52, // R
  stale: 0x53, // S
} as const;

const CR = 0x0d;
const DIGIT_1 = 0x31;
const DIGIT_2 = 0x32;

export const NOT_MEMBER: NotMember = { kind: 'not-member' };

/** The node's error as an answer. */
export function unable(error: Uint8Array): Unable {
  return { kind: 'unable', error };
}

/** Whether a script says that the node is another than was expected. */
export function isNotMember(text: string): boolean {
  return text.charCodeAt(0) === VERDICT.notMember;
}

/**
 * Whether it is the most frequent answer: one command was carried out, and there is no expiry. `*2 $2 10 reply`, the reply from byte
 * 12 on.
 */
function isPlainOk(reply: Uint8Array): boolean {
  return (
    reply[0] === TYPE.array &&
    reply[1] === DIGIT_2 &&
    reply[2] === CR &&
    reply[4] === TYPE.bulk &&
    reply[5] === DIGIT_2 &&
    reply[6] === CR
  );
}

/** What ACCEPT and INSTALL say; the replies are as they came. */
export function decodeAccept(reply: Uint8Array, promised: Ballot): AcceptAnswer<Replies> {
  if (isPlainOk(reply)) {
    return { kind: 'ok', promised, live: reply[8] === DIGIT_1, expireAt: 0, replies: [reply.subarray(12)] };
  }
  if (isError(reply, 0)) return unable(reply);
  const parts = reply[0] === TYPE.array ? elementsOf(reply) : null;
  const text = textOf(parts === null ? reply : (parts[0] as Uint8Array));
  switch (text.charCodeAt(0)) {
    case VERDICT.already:
      return {
        kind: 'already',
        promised: text.slice(1, 1 + BALLOT_DIGITS),
        live: isLive(text, 1 + BALLOT_DIGITS),
        expireAt: expiry(text, 1 + BALLOT_DIGITS),
      };
    case VERDICT.refused:
      return decodeRefusal(text);
    case VERDICT.stale:
      return { kind: 'stale' };
    case VERDICT.baseExpired:
      return { kind: 'expired', what: 'base' };
    case VERDICT.ownExpired:
      return { kind: 'expired', what: 'own' };
    case VERDICT.notMember:
      return NOT_MEMBER;
    default:
      return {
        kind: 'ok',
        promised,
        live: isLive(text, 0),
        expireAt: expiry(text, 0),
        replies: parts === null ? null : parts.slice(1),
      };
  }
}

export function decodePrepare(reply: Uint8Array): PrepareAnswer {
  if (isError(reply, 0)) return unable(reply);
  const text = textOf(reply);
  if (isNotMember(text)) return NOT_MEMBER;
  if (text.charCodeAt(0) === VERDICT.refused) return decodeRefusal(text);
  const { epochFloor, collected } = parseFloors(text, 1);
  const facts = 1 + FLOOR_DIGITS;
  const { accepted, lineage, live, expireAt } = parseFacts(text, facts);
  return { kind: 'ok', accepted, lineage, live, expireAt, collected, epochFloor };
}

function decodeRefusal(text: string): Refusal {
  const { epochFloor, collectFloor } = parseFloors(text, 1 + BALLOT_DIGITS);
  return { kind: 'refused', promised: text.slice(1, 1 + BALLOT_DIGITS), epochFloor, collectFloor };
}

export function decodeCollect(reply: Uint8Array): CollectAnswer {
  if (isError(reply, 0)) return unable(reply);
  const text = textOf(reply);
  return isNotMember(text) ? NOT_MEMBER : { kind: 'collected', isCollected: text === 'C1' };
}

/** `mget`: node, floor and meta; `isGone`: the key has no value. */
export function decodeView(mget: Uint8Array, record: Uint8Array, isGone: boolean): ViewAnswer<Replies, Value> {
  const [node, , meta] = elementsOf(mget) as [Uint8Array, Uint8Array, Uint8Array];
  if (isNull(node) || Buffer.compare(bulkOf(node), record) !== 0) return NOT_MEMBER;
  const { accepted, lineage, live, expireAt } = isNull(meta) ? NO_FACTS : parseMetaFacts(textOf(meta));
  return { kind: 'view', accepted, lineage, live, expireAt, isExpired: live && isGone, value: null, replies: null };
}

/** What a transaction's EXEC answered, of all replies since MULTI; of one that was not carried out the first error, which says why. */
export function executed(replies: readonly Uint8Array[]): Uint8Array {
  const last = replies[replies.length - 1] as Uint8Array;
  if (!isError(last, 0)) return last;
  return replies.find((reply) => isError(reply, 0)) as Uint8Array;
}
