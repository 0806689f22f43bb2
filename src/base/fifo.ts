/**
 * A first-in first-out queue on a ring of slots that doubles when full: no allocation per entry. Its bound is the
 * caller's business (limits.ts); it gives slots back when it runs empty after having grown large.
 */
const SLOTS_MIN = 16;
const SLOTS_KEPT_MAX = 4_096;

export class Fifo<T> {
  private slots: (T | undefined)[] = new Array<T | undefined>(SLOTS_MIN).fill(undefined);
  private mask = SLOTS_MIN - 1;
  /** Entry i lies in slot (head + i) & mask. */
  private head = 0;
  length = 0;

  push(entry: T): void {
    if (this.length > this.mask) this.resize(this.slots.length * 2);
    this.slots[(this.head + this.length) & this.mask] = entry;
    this.length++;
  }

  /** The oldest entry, or undefined. */
  peek(): T | undefined {
    return this.slots[this.head];
  }

  /** Takes the oldest entry, or undefined. */
  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const entry = this.slots[this.head];
    this.slots[this.head] = undefined;
    this.head = (this.head + 1) & this.mask;
    this.length--;
    if (this.length === 0 && this.mask >= SLOTS_KEPT_MAX) this.resize(SLOTS_MIN);
    return entry;
  }

  /** The entry `index` places behind the oldest; 0 <= index < length. */
  at(index: number): T {
    return this.slots[(this.head + index) & this.mask] as T;
  }

  /** Replaces the entry `index` places behind the oldest. */
  set(index: number, entry: T): void {
    this.slots[(this.head + index) & this.mask] = entry;
  }

  /** Gives back what it has grown by, if it is empty. */
  trim(): void {
    if (this.length === 0 && this.mask >= SLOTS_MIN) this.resize(SLOTS_MIN);
  }

  private resize(count: number): void {
    const slots = new Array<T | undefined>(count).fill(undefined);
    for (let index = 0; index < this.length; index++) slots[index] = this.at(index);
    this.slots = slots;
    this.mask = count - 1;
    this.head = 0;
  }
}
