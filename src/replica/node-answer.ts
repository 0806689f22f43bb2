/** What the replies of scripts and transactions (scripts, node-step) say, as answers to steps. */
import { skipValue, TYPE } from '../resp/frame.js';
import { headerLength, isError, REPLY_OK } from '../resp/reply.js';
import { BALLOT_DIGITS, type Ballot } from './ballot.js';
import type { Replies, Value } from './commands.js';
import { expiry, FLOOR_DIGITS, isLive, NO_FACTS, parseFacts, parseFloors, parseMetaFacts } from './meta.js';
import { bulkOf, elementsOf, isNull, lineAfter, textOf } from './reply-shape.js';
import type {
  AcceptAnswer,
  CollectAnswer,
  KeyFacts,
  NotMember,
  PrepareAnswer,
  Refusal,
  Unable,
  ViewAnswer,
} from './step.js';

type KeyView = Extract<ViewAnswer<Replies, Value>, { kind: 'view' }>;

/** First letters of the scripts' verdicts. */
const VERDICT = {
  already: 0x41, // A
  baseExpired: 0x42, // B
  notMember: 0x4e, // N
  ownExpired: 0x4f, // O
  refused: 0x52, // R
  stale: 0x53, // S
  same: 0x55, // U
} as const;

const LETTER_O = 0x4f;
const LETTER_K = 0x4b;
const DIGIT_0 = 0x30;
const DIGIT_2 = 0x32;

export const NOT_MEMBER: NotMember = { kind: 'not-member' };

/** The node's error as an answer. */
export function unable(error: Uint8Array): Unable {
  return { kind: 'unable', error };
}

/** Whether a script says so that broke off in the midst: what it has done by then is done. */
export function isBrokenOff(error: Uint8Array): boolean {
  return Buffer.from(error.buffer, error.byteOffset, error.length).includes('user_script');
}

/** Whether a script says that the node is another than was expected. */
export function isNotMember(text: string): boolean {
  return text.charCodeAt(0) === VERDICT.notMember;
}

/** Whether a reply of that type is the same in both protocols, and exact when it comes through a script. */
function isPlainReply(type: number): boolean {
  return type === TYPE.simple || type === TYPE.integer || type === TYPE.bulk || type === TYPE.error;
}

export const OK_REPLIES: Replies = [REPLY_OK];

/** The one reply that stands there, for good. */
function replyIn(bytes: Uint8Array, start: number, end: number): Replies {
  const isOk =
    end - start === REPLY_OK.length &&
    bytes[start] === TYPE.simple &&
    bytes[start + 1] === LETTER_O &&
    bytes[start + 2] === LETTER_K;
  return isOk ? OK_REPLIES : [copyOf(bytes, start, end)];
}

/** V8 has so small arrays on its heap, without a buffer of their own. */
const ON_HEAP_BYTES_MAX = 64;

/** From Buffer's pool: of an array of its own for each small reply most of the time would go to the collector. */
export function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const length = end - start;
  if (length > ON_HEAP_BYTES_MAX) {
    const copy = Buffer.allocUnsafe(length);
    copy.set(bytes.subarray(start, end));
    return copy;
  }
  const copy = new Uint8Array(length);
  for (let at = 0; at < length; at++) copy[at] = bytes[start + at] as number;
  return copy;
}

/** What ACCEPT and INSTALL say; the replies are as they came. */
export function decodeAccept(reply: Uint8Array, promised: Ballot): AcceptAnswer<Replies> {
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
    case VERDICT.same:
      return { kind: 'same', replies: [] };
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

/** Of a verdict that says so. */
export function decodeRefusal(text: string): Refusal {
  const floors = 1 + BALLOT_DIGITS;
  const { epochFloor, collectFloor } = parseFloors(text, floors);
  const accepted = text.slice(floors + FLOOR_DIGITS);
  return { kind: 'refused', promised: text.slice(1, floors), accepted, epochFloor, collectFloor };
}

export function decodeCollect(reply: Uint8Array): CollectAnswer {
  if (isError(reply, 0)) return unable(reply);
  const text = textOf(reply);
  return isNotMember(text) ? NOT_MEMBER : { kind: 'collected', isCollected: text === 'C1' };
}

/**
 * What EXEC says of a PEEK (no replies) or of a READ of one command, whose reply is plain, in bytes[start, end), if the node is the
 * member that is expected. Else null.
 *
 *   *2 or *3   *3 $record floor meta   :exists   reply
 */
export function plainView(
  bytes: Buffer,
  start: number,
  end: number,
  record: Uint8Array,
  replyCount: number,
): ViewAnswer<Replies, Value> | null {
  // The first two lines have four bytes each.
  const isPlain =
    bytes[start] === TYPE.array && bytes[start + 1] === DIGIT_2 + replyCount && bytes[start + 4] === TYPE.array;
  const node = start + 8;
  const recordAt = node + headerLength(record.length);
  const floor = recordAt + record.length + 2;
  if (!isPlain || bytes[node] !== TYPE.bulk || skipValue(bytes, node) !== floor) return null;
  for (let at = 0; at < record.length; at++) if (bytes[recordAt + at] !== record[at]) return null;
  const meta = skipValue(bytes, floor);
  const exists = skipValue(bytes, meta);
  const reply = exists + 4;
  const isMissing = bytes[meta] === TYPE.null;
  const facts = isMissing ? NO_FACTS : parseMetaFacts(bytes.toString('latin1', lineAfter(bytes, meta), exists - 2));
  const view = viewOf(facts, bytes[exists + 1] === DIGIT_0);
  if (replyCount === 0) return view;
  if (!isPlainReply(bytes[reply] as number)) return null;
  view.replies = replyIn(bytes, reply, end);
  return view;
}

function viewOf({ accepted, lineage, live, expireAt }: KeyFacts, isGone: boolean): KeyView {
  return { kind: 'view', accepted, lineage, live, expireAt, isExpired: live && isGone, value: null, replies: null };
}

/** `mget`: node, floor and meta; `isGone`: the key has no value. */
export function decodeView(mget: Uint8Array, record: Uint8Array, isGone: boolean): ViewAnswer<Replies, Value> {
  const [node, , meta] = elementsOf(mget) as [Uint8Array, Uint8Array, Uint8Array];
  if (isNull(node) || Buffer.compare(bulkOf(node), record) !== 0) return NOT_MEMBER;
  return viewOf(isNull(meta) ? NO_FACTS : parseMetaFacts(textOf(meta)), isGone);
}

/** What a transaction's EXEC answered, of all replies since MULTI; of one that was not carried out the first error, which says why. */
export function executed(replies: readonly Uint8Array[]): Uint8Array {
  const last = replies[replies.length - 1] as Uint8Array;
  if (!isError(last, 0)) return last;
  return replies.find((reply) => isError(reply, 0)) as Uint8Array;
}
