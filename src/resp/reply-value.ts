/** The value of a reply in RESP2, where it is needed and not only passed on: what a node says of commands. */
import { TYPE } from './frame.js';
import { parseInteger } from './reply.js';

/** Strings have a character a byte. An error reply is no value. */
export type ReplyValue = string | number | null | readonly ReplyValue[];

/** Of a reply that is whole and valid. */
export function readValue(reply: Uint8Array): ReplyValue {
  return new Reader(reply).next();
}

class Reader {
  private readonly bytes: Uint8Array;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  next(): ReplyValue {
    const { bytes, at } = this;
    const type = bytes[at];
    const end = bytes.indexOf(0x0a, at) + 1;
    this.at = end;
    if (type === TYPE.simple) return this.text(at + 1, end - 2);
    const number = parseInteger(bytes, at, end);
    if (type === TYPE.integer) return number;
    if (number < 0) return null;
    if (type === TYPE.array) return Array.from({ length: number }, () => this.next());
    this.at = end + number + 2;
    return this.text(end, end + number);
  }

  private text(start: number, end: number): string {
    return Buffer.from(this.bytes.subarray(start, end)).toString('latin1');
  }
}
