/**
 * Reads the members of sets and sorted sets out of what DUMP gives: a byte for the type, the value as in an RDB file, and ten bytes more, the
 * format's version and a checksum, which nobody looks at who has it from the node itself. https://rdb.fnordig.de/file_format.html has most of it,
 * Redis's rdb.c, intset.c and listpack.c have the rest.
 */
import { decompressLzf } from './lzf.js';

const TYPE_SET = 2;
const TYPE_SORTED_SET = 5;
const TYPE_INTSET = 11;
const TYPE_SORTED_LISTPACK = 17;
const TYPE_LISTPACK = 20;

const SCORE_BYTES = 8;
const INTSET_HEADER = 8;
const LISTPACK_HEADER = 6;
const LISTPACK_END = 0xff;
/** At so many bytes an entry has one more behind it that says how many. All but the first are one less than seven bits each would need (lpEncodeBacklen of listpack.c). */
const BEHIND_MORE = [128, 16_383, 2_097_151, 268_435_455] as const;

const MINUS = 0x2d;
const ZERO = 0x30;

/** Is told of a member: where its bytes are, until it is told of the next. */
export type MemberVisit = (source: DataView, from: number, to: number) => void;

/** Digits of a number, which are written before each visit. */
const digits = new DataView(new ArrayBuffer(20));

export class DumpedMembers {
  /** At least as many as there are. */
  readonly countMax: number;
  private readonly type: number;
  private bytes: Uint8Array;
  private view: DataView;
  private at = 1;
  /** Bytes that were compressed may become more: of all members together at the most. */
  private expandedMax: number;

  private constructor(dump: Uint8Array, expandedMax: number) {
    this.type = dump[0] as number;
    this.bytes = dump;
    this.view = viewOf(dump);
    this.expandedMax = expandedMax;
    if (this.type === TYPE_SET || this.type === TYPE_SORTED_SET) this.countMax = this.length();
    else {
      // All of it is one string.
      this.bytes = this.packed();
      this.view = viewOf(this.bytes);
      this.at = 0;
      this.countMax = this.bytes.length >> 1;
    }
  }

  /** Of the value that DUMP gave; null: it is none whose members can be read here, or there is more compressed in it than `expandedMax` bytes. */
  static of(dump: Uint8Array, areSorted: boolean, expandedMax: number): DumpedMembers | null {
    const type = dump[0] as number;
    const isSet = type === TYPE_SET || type === TYPE_INTSET || type === TYPE_LISTPACK;
    const isSorted = type === TYPE_SORTED_SET || type === TYPE_SORTED_LISTPACK;
    if (!isSet && !(areSorted && isSorted)) return null;
    const members = new DumpedMembers(dump, expandedMax);
    return members.expandedMax < 0 ? null : members;
  }

  /** False: more was compressed than was allowed; not all were visited. */
  each(visit: MemberVisit): boolean {
    if (this.type === TYPE_INTSET) this.eachOfIntset(visit);
    else if (this.type === TYPE_LISTPACK || this.type === TYPE_SORTED_LISTPACK) this.eachOfListpack(visit);
    else {
      for (let left = this.countMax; left > 0; left--) {
        if (!this.string(visit)) return false;
        if (this.type === TYPE_SORTED_SET) this.at += SCORE_BYTES;
      }
    }
    return true;
  }

  private eachOfIntset(visit: MemberVisit): void {
    const { view } = this;
    const width = view.getUint32(0, true);
    const count = view.getUint32(4, true);
    for (let index = 0; index < count; index++) {
      const at = INTSET_HEADER + index * width;
      if (width === 8) visitText(visit, view.getBigInt64(at, true).toString());
      else visitNumber(visit, width === 2 ? view.getInt16(at, true) : view.getInt32(at, true));
    }
  }

  private eachOfListpack(visit: MemberVisit): void {
    const isSorted = this.type === TYPE_SORTED_LISTPACK;
    this.at = LISTPACK_HEADER;
    for (let index = 0; this.bytes[this.at] !== LISTPACK_END; index++) {
      // A score follows each member.
      this.entry(isSorted && index % 2 === 1 ? passOver : visit);
    }
  }

  /** An entry of a listpack, and the bytes behind it that say how long it was. */
  private entry(visit: MemberVisit): void {
    const { bytes, view, at } = this;
    const first = bytes[at] as number;
    const second = bytes[at + 1] as number;
    const number = (width: number, value: number) => {
      visitNumber(visit, value);
      this.pass(width);
    };
    const text = (header: number, length: number) => {
      visit(view, at + header, at + header + length);
      this.pass(header + length);
    };
    if (first < 0x80) number(1, first);
    else if (first < 0xc0) text(1, first & 0x3f);
    else if (first < 0xe0) number(2, ((((first & 0x1f) << 8) | second) << 19) >> 19);
    else if (first < 0xf0) text(2, ((first & 0x0f) << 8) | second);
    else if (first === 0xf0) text(5, view.getUint32(at + 1, true));
    else if (first === 0xf1) number(3, view.getInt16(at + 1, true));
    else if (first === 0xf2) number(4, view.getUint16(at + 1, true) | (view.getInt8(at + 3) << 16));
    else if (first === 0xf3) number(5, view.getInt32(at + 1, true));
    else if (first === 0xf4) {
      visitText(visit, view.getBigInt64(at + 1, true).toString());
      this.pass(9);
    } else throw new Error(`a listpack has an entry of the unknown kind ${first}`);
  }

  /** Passes over an entry of that many bytes, and the one to five behind it that say how many that were. */
  private pass(length: number): void {
    let more = 0;
    while (more < BEHIND_MORE.length && length >= (BEHIND_MORE[more] as number)) more++;
    this.at += length + 1 + more;
  }

  /** Visits the next string. False: it is compressed, and too long. */
  private string(visit: MemberVisit): boolean {
    const { bytes, view, at } = this;
    const first = bytes[at] as number;
    if (first < 0xc0) {
      const length = this.length();
      visit(view, this.at, this.at + length);
      this.at += length;
    } else if (first === 0xc0) {
      visitNumber(visit, view.getInt8(at + 1));
      this.at += 2;
    } else if (first === 0xc1) {
      visitNumber(visit, view.getInt16(at + 1, true));
      this.at += 3;
    } else if (first === 0xc2) {
      visitNumber(visit, view.getInt32(at + 1, true));
      this.at += 5;
    } else {
      this.at++;
      const compressed = this.length();
      const length = this.length();
      this.expandedMax -= length;
      if (this.expandedMax < 0) return false;
      const expanded = new Uint8Array(length);
      decompressLzf(bytes.subarray(this.at, this.at + compressed), expanded);
      visit(viewOf(expanded), 0, length);
      this.at += compressed;
    }
    return true;
  }

  /** The string that an intset or a listpack is; empty where it is compressed and too long. */
  private packed(): Uint8Array {
    let bytes = new Uint8Array(0);
    this.string(({ buffer, byteOffset }, from, to) => {
      bytes = new Uint8Array(buffer as ArrayBuffer, byteOffset + from, to - from);
    });
    return bytes;
  }

  private length(): number {
    const { bytes, view, at } = this;
    const first = bytes[at] as number;
    if (first < 0x40) {
      this.at += 1;
      return first;
    }
    if (first < 0x80) {
      this.at += 2;
      return ((first & 0x3f) << 8) | (bytes[at + 1] as number);
    }
    const isLong = first === 0x81;
    this.at += isLong ? 9 : 5;
    return isLong ? Number(view.getBigUint64(at + 1)) : view.getUint32(at + 1);
  }
}

/** A score of a listpack. */
function passOver(): void {}

/** An integer of 32 bits or less, in digits. */
function visitNumber(visit: MemberVisit, value: number): void {
  const { byteLength } = digits;
  let at = byteLength;
  let rest = Math.abs(value);
  do {
    digits.setUint8(--at, ZERO + (rest % 10));
    rest = Math.floor(rest / 10);
  } while (rest > 0);
  if (value < 0) digits.setUint8(--at, MINUS);
  visit(digits, at, byteLength);
}

/** Digits of an integer of 64 bits. */
function visitText(visit: MemberVisit, text: string): void {
  for (let index = 0; index < text.length; index++) digits.setUint8(index, text.charCodeAt(index));
  visit(digits, 0, text.length);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
