/**
 * One flat stretch of memory per worker. Everything that the kernel reads or writes, and all bytes that wait, live in it.
 *
 * A position is an offset into `bytes`: a small integer below 2^31. So a frame is two numbers, a copy is `copyWithin`,
 * which allocates nothing, and no bare address leaves this folder (a bare address does not keep its memory alive).
 *
 *   | unit 0 | unit 1 | unit 2 ............... |        1 MiB each
 *     16 KiB    64 B     one run of units: a block over 512 KiB
 *     blocks    blocks
 *
 * A unit holds blocks of one size class (a slab), or is part of a run that is one large block. A slab that becomes empty
 * goes back to the free units, and `trim` hands free units back to the system.
 */

const UNIT_SHIFT = 20;
export const UNIT_BYTES = 1 << UNIT_SHIFT;
const CLASS_SHIFT_MIN = 6;
const CLASS_SHIFT_MAX = 19;
const CLASS_COUNT = CLASS_SHIFT_MAX - CLASS_SHIFT_MIN + 1;
const NONE = -1;
/** Up to here words are copied in a loop: a call of copyWithin takes as long as that (on Node 26 as two hundred bytes). */
const SHORT_BYTES = 160;
const WORD_BYTES = 4;

/** States of a unit beyond "slab of class c", which is c itself. */
const UNIT_FREE = 255;
const UNIT_RUN = 254;

/** Largest memory one arena manages, in bytes: offsets stay below 2^31, which V8 holds as small integers. */
export const ARENA_BYTES_MAX = 2 ** 31;

/** Hands the pages of `bytes[offset, offset + length)` back to the system; they read as zero afterwards. */
export type Decommit = (offset: number, length: number) => void;

export class Arena {
  readonly bytes: Uint8Array;
  /** Bytes in blocks that are allocated now (the size asked for, rounded up to its class). */
  usedBytes = 0;
  /** Bytes of large blocks that were released since `trim`: some may be in use again. */
  untrimmedBytes = 0;

  private readonly words: Int32Array;
  /** Reads and writes words that lie anywhere. */
  private readonly view: DataView;
  private readonly decommit: Decommit | null;
  private readonly unitCount: number;
  /** Per unit: UNIT_FREE, UNIT_RUN, or the class of its blocks. */
  private readonly unitState: Uint8Array;
  /** Per slab: blocks in use, offset of the first free block or NONE, and where blocks never handed out begin. */
  private readonly slabUsed: Int32Array;
  private readonly slabFree: Int32Array;
  private readonly slabFresh: Int32Array;
  /** Slabs of a class that have room, as doubly linked lists of units. */
  private readonly slabNext: Int32Array;
  private readonly slabPrevious: Int32Array;
  private readonly roomy = new Int32Array(CLASS_COUNT).fill(NONE);
  /** Free units that were written since they were last handed back. */
  private readonly unitDirty: Uint8Array;
  /** Every unit below it is taken: where the search for free units starts. */
  private searchFrom = 0;

  /** The one copy put off by `copy`, empty when runSource === runSourceEnd. */
  private runSource = 0;
  private runSourceEnd = 0;
  private runTarget = 0;

  /** `memory` is a multiple of UNIT_BYTES and at most ARENA_BYTES_MAX; `decommit` is null where pages cannot be given back. */
  constructor(memory: ArrayBuffer, decommit: Decommit | null = null) {
    if (memory.byteLength % UNIT_BYTES !== 0 || memory.byteLength > ARENA_BYTES_MAX || memory.byteLength === 0) {
      throw new RangeError(
        `an arena takes a multiple of ${UNIT_BYTES} bytes up to ${ARENA_BYTES_MAX}, not ${memory.byteLength}`,
      );
    }
    this.bytes = new Uint8Array(memory);
    this.words = new Int32Array(memory);
    this.view = new DataView(memory);
    this.decommit = decommit;
    this.unitCount = memory.byteLength >>> UNIT_SHIFT;
    this.unitState = new Uint8Array(this.unitCount).fill(UNIT_FREE);
    this.unitDirty = new Uint8Array(this.unitCount);
    this.slabUsed = new Int32Array(this.unitCount);
    this.slabFree = new Int32Array(this.unitCount);
    this.slabFresh = new Int32Array(this.unitCount);
    this.slabNext = new Int32Array(this.unitCount);
    this.slabPrevious = new Int32Array(this.unitCount);
  }

  /** Bytes that `allocate(size)` really takes, and that its caller may use. */
  static blockBytes(size: number): number {
    if (size <= 1 << CLASS_SHIFT_MIN) return 1 << CLASS_SHIFT_MIN;
    if (size <= 1 << CLASS_SHIFT_MAX) return 1 << (32 - Math.clz32(size - 1));
    return Math.ceil(size / UNIT_BYTES) * UNIT_BYTES;
  }

  /** Offset of a block of at least `size` bytes (> 0), or -1 when there is no room: the caller answers for that. */
  allocate(size: number): number {
    if (size > 1 << CLASS_SHIFT_MAX) return this.allocateRun(Math.ceil(size / UNIT_BYTES));
    const shift = size <= 1 << CLASS_SHIFT_MIN ? CLASS_SHIFT_MIN : 32 - Math.clz32(size - 1);
    const kind = shift - CLASS_SHIFT_MIN;
    let unit = this.roomy[kind] as number;
    if (unit === NONE) {
      unit = this.openSlab(kind);
      if (unit === NONE) return NONE;
    }
    let offset = this.slabFree[unit] as number;
    if (offset !== NONE) {
      this.slabFree[unit] = this.words[offset >> 2] as number;
    } else {
      offset = this.slabFresh[unit] as number;
      this.slabFresh[unit] = offset + (1 << shift);
    }
    const used = (this.slabUsed[unit] as number) + 1;
    this.slabUsed[unit] = used;
    if (used << shift === UNIT_BYTES) this.unlink(unit, kind);
    this.usedBytes += 1 << shift;
    return offset;
  }

  /** Makes a block over 512 KiB larger where it lies, if the memory behind it is free. Then `newSize` is its size. */
  extend(offset: number, size: number, newSize: number): boolean {
    if (size <= 1 << CLASS_SHIFT_MAX) return false;
    const first = (offset >>> UNIT_SHIFT) + Math.ceil(size / UNIT_BYTES);
    const end = (offset >>> UNIT_SHIFT) + Math.ceil(newSize / UNIT_BYTES);
    if (end > this.unitCount) return false;
    for (let unit = first; unit < end; unit++) if (this.unitState[unit] !== UNIT_FREE) return false;
    if (end <= first) return true;
    this.unitState.fill(UNIT_RUN, first, end);
    if (this.searchFrom >= first && this.searchFrom < end) this.searchFrom = end;
    this.usedBytes += (end - first) * UNIT_BYTES;
    return true;
  }

  /** Gives back a block; `size` is what it was asked for with (or its blockBytes). */
  release(offset: number, size: number): void {
    const unit = offset >>> UNIT_SHIFT;
    if (size > 1 << CLASS_SHIFT_MAX) {
      this.releaseRun(unit, Math.ceil(size / UNIT_BYTES));
      return;
    }
    const shift = size <= 1 << CLASS_SHIFT_MIN ? CLASS_SHIFT_MIN : 32 - Math.clz32(size - 1);
    const kind = shift - CLASS_SHIFT_MIN;
    this.words[offset >> 2] = this.slabFree[unit] as number;
    this.slabFree[unit] = offset;
    const used = (this.slabUsed[unit] as number) - 1;
    this.slabUsed[unit] = used;
    this.usedBytes -= 1 << shift;
    if ((used + 1) << shift === UNIT_BYTES) this.link(unit, kind);
    // One empty slab of each class is kept, so that a lone block that comes and goes does not open and close slabs.
    else if (used === 0 && (this.slabNext[unit] !== NONE || this.slabPrevious[unit] !== NONE))
      this.closeSlab(unit, kind);
  }

  /**
   * Copies bytes[source, sourceEnd) to `target`, maybe not yet: copies that continue each other on both sides become one.
   * Sixteen pipelined commands for one node cost one copy. Until `settle`, neither side may be reused or read.
   */
  copy(source: number, sourceEnd: number, target: number): void {
    if (source === this.runSourceEnd && target === this.runTarget + (source - this.runSource)) {
      this.runSourceEnd = sourceEnd;
      return;
    }
    this.settle();
    this.runSource = source;
    this.runSourceEnd = sourceEnd;
    this.runTarget = target;
  }

  /** Carries out what `copy` put off. Called before the source goes away and before the target is read. */
  settle(): void {
    if (this.runSourceEnd === this.runSource) return;
    this.copyNow(this.runSource, this.runSourceEnd, this.runTarget);
    this.runSourceEnd = this.runSource;
  }

  /** Copies bytes[source, sourceEnd) to `target` at once. The two do not overlap. */
  copyNow(source: number, sourceEnd: number, target: number): void {
    const length = sourceEnd - source;
    if (length > SHORT_BYTES) {
      this.bytes.copyWithin(target, source, sourceEnd);
      return;
    }
    const shift = target - source;
    if (length < WORD_BYTES) {
      for (let at = source; at < sourceEnd; at++) this.bytes[at + shift] = this.bytes[at] as number;
      return;
    }
    const { view } = this;
    const last = sourceEnd - WORD_BYTES;
    let at = source;
    for (const lastFour = sourceEnd - 4 * WORD_BYTES; at <= lastFour; at += 4 * WORD_BYTES) {
      view.setInt32(at + shift, view.getInt32(at, true), true);
      view.setInt32(at + shift + 4, view.getInt32(at + 4, true), true);
      view.setInt32(at + shift + 8, view.getInt32(at + 8, true), true);
      view.setInt32(at + shift + 12, view.getInt32(at + 12, true), true);
    }
    for (; at < last; at += WORD_BYTES) view.setInt32(at + shift, view.getInt32(at, true), true);
    // The last word may share bytes with the one before.
    view.setInt32(last + shift, view.getInt32(last, true), true);
  }

  /** Hands free units back to the system. Cheap when nothing was freed; called about once a second. */
  trim(): void {
    this.untrimmedBytes = 0;
    if (this.decommit === null) return;
    for (let unit = 0; unit < this.unitCount; unit++) {
      if (this.unitState[unit] !== UNIT_FREE || this.unitDirty[unit] === 0) continue;
      const first = unit;
      while (unit < this.unitCount && this.unitState[unit] === UNIT_FREE && this.unitDirty[unit] === 1) {
        this.unitDirty[unit++] = 0;
      }
      this.decommit(first * UNIT_BYTES, (unit - first) * UNIT_BYTES);
    }
  }

  private openSlab(kind: number): number {
    const unit = this.takeUnits(1);
    if (unit === NONE) return NONE;
    this.unitState[unit] = kind;
    this.slabUsed[unit] = 0;
    this.slabFree[unit] = NONE;
    this.slabFresh[unit] = unit * UNIT_BYTES;
    this.link(unit, kind);
    return unit;
  }

  private closeSlab(unit: number, kind: number): void {
    this.unlink(unit, kind);
    this.freeUnits(unit, 1);
  }

  private link(unit: number, kind: number): void {
    const next = this.roomy[kind] as number;
    this.slabNext[unit] = next;
    this.slabPrevious[unit] = NONE;
    if (next !== NONE) this.slabPrevious[next] = unit;
    this.roomy[kind] = unit;
  }

  private unlink(unit: number, kind: number): void {
    const next = this.slabNext[unit] as number;
    const previous = this.slabPrevious[unit] as number;
    if (previous === NONE) this.roomy[kind] = next;
    else this.slabNext[previous] = next;
    if (next !== NONE) this.slabPrevious[next] = previous;
  }

  private allocateRun(units: number): number {
    const unit = this.takeUnits(units);
    if (unit === NONE) return NONE;
    this.unitState.fill(UNIT_RUN, unit, unit + units);
    this.usedBytes += units * UNIT_BYTES;
    return unit * UNIT_BYTES;
  }

  private releaseRun(unit: number, units: number): void {
    this.usedBytes -= units * UNIT_BYTES;
    this.untrimmedBytes += units * UNIT_BYTES;
    this.freeUnits(unit, units);
  }

  /** First of `units` neighbouring free units, or NONE. First fit: low units stay busy, high ones can be handed back. */
  private takeUnits(units: number): number {
    let run = 0;
    for (let unit = this.searchFrom; unit < this.unitCount; unit++) {
      run = this.unitState[unit] === UNIT_FREE ? run + 1 : 0;
      if (run === units) {
        const first = unit - units + 1;
        if (first === this.searchFrom) this.searchFrom = unit + 1;
        return first;
      }
    }
    return NONE;
  }

  private freeUnits(unit: number, units: number): void {
    this.unitState.fill(UNIT_FREE, unit, unit + units);
    this.unitDirty.fill(1, unit, unit + units);
    if (unit < this.searchFrom) this.searchFrom = unit;
  }
}
