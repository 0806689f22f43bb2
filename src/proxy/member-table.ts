/**
 * Members of sets, each known by its bytes: a hash table over one piece of memory, which makes nothing per member.
 *
 *   bytes     the members, one after the other
 *   slots     by hash, the next free one where it is taken:  number of the member + 1, or 0
 *   members   by number:  where its bytes begin and end, hash, mark
 *
 * The hash goes by a number that is drawn when the process starts, so that nobody can choose members that are all in one slot.
 */
const FIELDS = 4;
const FROM = 0;
const TO = 1;
const HASH = 2;
const MARK = 3;

/** Odd, so that no bit of what was hashed before is lost. */
const BASE = Math.floor(Math.random() * 2 ** 31) * 2 + 1;

/** What is kept for the next ones; larger tables are made for one use. */
const MEMBERS_KEPT_MAX = 16_384;
const BYTES_KEPT_MAX = 512 * 1024;

export class MemberTable {
  /** Members that it has. */
  count = 0;
  bytes = new Uint8Array(1_024);
  private view = new DataView(this.bytes.buffer);
  /** Bytes of the members that it has. */
  private used = 0;
  private members = new Int32Array(0);
  private slots = new Int32Array(0);
  private mask = 0;

  /** Empties it, for at most `countMax` members. */
  begin(countMax: number): void {
    this.count = 0;
    this.used = 0;
    let size = 16;
    while (size < countMax * 2) size *= 2;
    this.mask = size - 1;
    if (this.slots.length < size) this.slots = new Int32Array(size);
    else this.slots.fill(0, 0, size);
    if (this.members.length < countMax * FIELDS) this.members = new Int32Array(countMax * FIELDS);
  }

  /** Forgets what is larger than most need. */
  end(): void {
    if (this.bytes.length > BYTES_KEPT_MAX) {
      this.bytes = new Uint8Array(1_024);
      this.view = new DataView(this.bytes.buffer);
    }
    if (this.members.length > MEMBERS_KEPT_MAX * FIELDS) {
      this.members = new Int32Array(0);
      this.slots = new Int32Array(0);
    }
  }

  /** Adds the member source[from, to), unless it is there. */
  add(source: DataView, from: number, to: number): void {
    const { slots, used } = this;
    const hash = hashOf(source, from, to);
    const slot = this.slotOf(hash, source, from, to);
    if ((slots[slot] as number) > 0) return;
    const end = used + to - from;
    if (end > this.bytes.length) this.grow(end);
    const { members, view } = this;
    let at = used;
    let next = from;
    for (; next + 4 <= to; next += 4, at += 4) view.setInt32(at, source.getInt32(next));
    for (; next < to; next++, at++) view.setInt8(at, source.getInt8(next));
    const field = this.count * FIELDS;
    members[field + FROM] = used;
    members[field + TO] = end;
    members[field + HASH] = hash;
    members[field + MARK] = 0;
    slots[slot] = ++this.count;
    this.used = end;
  }

  /** The number of the member source[from, to), or -1. */
  find(source: DataView, from: number, to: number): number {
    return (this.slots[this.slotOf(hashOf(source, from, to), source, from, to)] as number) - 1;
  }

  /** What was noted of the member of that number; 0 at first. */
  markOf(index: number): number {
    return this.members[index * FIELDS + MARK] as number;
  }

  mark(index: number, mark: number): void {
    this.members[index * FIELDS + MARK] = mark;
  }

  startOf(index: number): number {
    return this.members[index * FIELDS + FROM] as number;
  }

  endOf(index: number): number {
    return this.members[index * FIELDS + TO] as number;
  }

  /** Where the member is, or would be. */
  private slotOf(hash: number, source: DataView, from: number, to: number): number {
    const { slots, members, mask } = this;
    let slot = hash & mask;
    for (let known = slots[slot] as number; known > 0; known = slots[slot] as number) {
      const field = (known - 1) * FIELDS;
      if (members[field + HASH] === hash && this.isEqual(field, source, from, to)) break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  private isEqual(field: number, source: DataView, from: number, to: number): boolean {
    const { members, view } = this;
    const length = to - from;
    let at = members[field + FROM] as number;
    if ((members[field + TO] as number) - at !== length) return false;
    let next = from;
    for (; next + 4 <= to; next += 4, at += 4) if (view.getInt32(at) !== source.getInt32(next)) return false;
    for (; next < to; next++, at++) if (view.getInt8(at) !== source.getInt8(next)) return false;
    return true;
  }

  private grow(bytes: number): void {
    const larger = new Uint8Array(Math.max(bytes, this.bytes.length * 2));
    larger.set(this.bytes.subarray(0, this.used));
    this.bytes = larger;
    this.view = new DataView(larger.buffer);
  }
}

function hashOf(source: DataView, from: number, to: number): number {
  let hash = to - from;
  let at = from;
  for (; at + 4 <= to; at += 4) {
    hash = Math.imul(hash ^ source.getInt32(at), BASE);
    hash ^= hash >>> 15;
  }
  for (; at < to; at++) hash = Math.imul(hash ^ source.getInt8(at), BASE);
  hash = Math.imul(hash ^ (hash >>> 16), BASE);
  return hash ^ (hash >>> 13);
}
