/** Replies that came in RESP3 through a script or a transaction, as Redis would have given them to the client itself. */
import { skipValue, TYPE } from '../resp/frame.js';
import { parseInteger, REPLY_NULL_ARRAY, REPLY_NULL_BULK } from '../resp/reply.js';
import type { Replies } from './commands.js';
import type { CommandTraits } from './script-commands.js';

const CR = 0x0d;

/** The frames of an aggregate's elements, which is whole and valid; of a map its keys and values in turn. Views of it. */
export function elementsOf(frame: Uint8Array): Uint8Array[] {
  let at = frame.indexOf(CR);
  const count = parseInteger(frame, 0, at + 2) * (frame[0] === TYPE.map ? 2 : 1);
  const elements: Uint8Array[] = new Array(count);
  at += 2;
  for (let index = 0; index < count; index++) {
    const end = skipValue(frame, at);
    elements[index] = frame.subarray(at, end);
    at = end;
  }
  return elements;
}

/** The bytes of a bulk string that is not null; a view. */
export function bulkOf(frame: Uint8Array): Uint8Array {
  return frame.subarray(frame.indexOf(CR) + 2, frame.length - 2);
}

/** Where the line ends that holds bytes[at]. */
export function lineAfter(bytes: Uint8Array, at: number): number {
  let end = at;
  while (bytes[end] !== CR) end++;
  return end + 2;
}

/** The text of a string that is not null, one character a byte; of a verbatim one with its `txt:`. */
export function textOf(frame: Uint8Array): string {
  const start = frame[0] === TYPE.simple ? 1 : frame.indexOf(CR) + 2;
  return Buffer.from(frame.buffer, frame.byteOffset + start, frame.length - start - 2).toString('latin1');
}

export function isNull(frame: Uint8Array): boolean {
  return frame[0] === TYPE.null;
}

/** In RESP2, of a reply that differs from it in what null looks like, and in nothing else. */
export function nullsToResp2(frame: Uint8Array, nullArray: boolean): Uint8Array {
  const type = frame[0];
  if (type === TYPE.null) return nullArray ? REPLY_NULL_ARRAY : REPLY_NULL_BULK;
  if (type !== TYPE.array || !frame.includes(TYPE.null)) return frame;
  const parts: Uint8Array[] = [];
  let copied = 0;
  let at = frame.indexOf(CR) + 2;
  while (at < frame.length) {
    const elementType = frame[at];
    // Of an array only the header is skipped: its elements are looked at one by one.
    const end = elementType === TYPE.array ? frame.indexOf(CR, at) + 2 : skipValue(frame, at);
    if (elementType === TYPE.null) {
      parts.push(frame.subarray(copied, at), REPLY_NULL_BULK);
      copied = end;
    }
    at = end;
  }
  parts.push(frame.subarray(copied));
  return parts.length === 1 ? frame : Buffer.concat(parts);
}

/** An integer too wide for Lua came as a big number, which no command in a script answers of its own. */
export function wideToInteger(frame: Uint8Array): Uint8Array {
  if (frame[0] !== TYPE.bigNumber) return frame;
  const integer = Buffer.from(frame);
  integer[0] = TYPE.integer;
  return integer;
}

/** Replies of a script to commands whose traits say that they can be made those of Redis. */
export function shapeReplies(replies: Replies, traits: readonly CommandTraits[], protocol: 2 | 3): Replies {
  return replies.map((reply, index) => {
    const exact = wideToInteger(reply);
    return protocol === 3 ? exact : nullsToResp2(exact, (traits[index] as CommandTraits).nullArray);
  });
}
