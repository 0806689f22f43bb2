/** Connections for which there was no buffer when bytes had come: they are fed in the turns that follow, as many in each as there are buffers. */
export class BufferQueue<C extends { feed(): void }> {
  private readonly buffers: number;
  private readonly starving: C[] = [];
  /** Those of them that had had some in the turn, and wanted more. */
  private readonly insatiable: C[] = [];

  constructor(buffers: number) {
    this.buffers = buffers;
  }

  push(connection: C, hadSome: boolean): void {
    (hadSome ? this.insatiable : this.starving).push(connection);
  }

  get isEmpty(): boolean {
    return this.starving.length === 0 && this.insatiable.length === 0;
  }

  /** Feeds those that wait longest. */
  feed(): void {
    const { starving, insatiable, buffers } = this;
    // One connection can take all buffers of a turn. So who had none comes first, and one of the others last, for it is to have its turn.
    const fed = starving.splice(0, insatiable.length > 0 ? buffers - 1 : buffers);
    fed.push(...insatiable.splice(0, buffers - fed.length));
    for (const connection of fed) connection.feed();
  }
}
