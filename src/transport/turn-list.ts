/**
 * What is due in a turn, in order: connections with bytes to send, to be shown kept bytes again, or to be closed.
 *
 * The array keeps its size between turns, so that a busy worker makes no garbage here; its places are emptied, so that a
 * closed connection is not held by the place it once had.
 */
export class TurnList<T> {
  count = 0;
  private readonly items: (T | null)[] = [];

  push(item: T): void {
    this.items[this.count++] = item;
  }

  /** Item `index`, which is gone from the list then; each index is taken once, then `count` is set to 0. */
  take(index: number): T {
    const item = this.items[index] as T;
    this.items[index] = null;
    return item;
  }
}
