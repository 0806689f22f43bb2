/** What is to happen, in virtual milliseconds. Of two things at the same time, the one that was planned first comes first. */

/** One thing that is planned. */
export interface Appointment {
  readonly timeMs: number;
  readonly number: number;
  /** Null once it has been called off. */
  work: (() => void) | null;
}

export class Agenda {
  nowMs = 0;
  private count = 0;
  /** A heap, the first on top. */
  private readonly heap: Appointment[] = [];

  after(delayMs: number, work: () => void): Appointment {
    const appointment = { timeMs: this.nowMs + delayMs, number: this.count++, work };
    this.push(appointment);
    return appointment;
  }

  /** Does what comes next. False when nothing comes before `endMs`. */
  step(endMs: number): boolean {
    for (;;) {
      const first = this.heap[0];
      if (first === undefined || first.timeMs > endMs) return false;
      this.pop();
      const work = first.work;
      if (work === null) continue;
      this.nowMs = first.timeMs;
      work();
      return true;
    }
  }

  private push(appointment: Appointment): void {
    const { heap } = this;
    let at = heap.length;
    heap.push(appointment);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const other = heap[parent] as Appointment;
      if (comesBefore(other, appointment)) break;
      heap[at] = other;
      at = parent;
    }
    heap[at] = appointment;
  }

  private pop(): void {
    const { heap } = this;
    const last = heap.pop() as Appointment;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && comesBefore(heap[child + 1] as Appointment, heap[child] as Appointment)) child++;
      const other = heap[child] as Appointment;
      if (comesBefore(last, other)) break;
      heap[at] = other;
      at = child;
    }
    heap[at] = last;
  }
}

function comesBefore(one: Appointment, other: Appointment): boolean {
  return one.timeMs < other.timeMs || (one.timeMs === other.timeMs && one.number < other.number);
}
