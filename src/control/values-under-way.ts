/**
 * Whole values that are on their way from one node to others, bounded in bytes: who has no room waits, in the order of asking. One that is larger
 * than all of the room goes alone.
 */
interface Waiting {
  bytes: number;
  onRoom: () => void;
}

export class ValuesUnderWay {
  private readonly bytesMax: number;
  private bytes = 0;
  private readonly waiting: Waiting[] = [];

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** Resolves when there is room for so many; `leave` gives it back. */
  enter(bytes: number): Promise<void> {
    return new Promise((onRoom) => {
      this.waiting.push({ bytes, onRoom });
      this.letIn();
    });
  }

  leave(bytes: number): void {
    this.bytes -= Math.min(bytes, this.bytesMax);
    this.letIn();
  }

  private letIn(): void {
    for (let next = this.waiting[0]; next !== undefined; next = this.waiting[0]) {
      const bytes = Math.min(next.bytes, this.bytesMax);
      if (this.bytes + bytes > this.bytesMax) return;
      this.bytes += bytes;
      this.waiting.shift();
      next.onRoom();
    }
  }
}
