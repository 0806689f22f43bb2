/**
 * CLIENT PAUSE, service by service, as it stands. Of a pause and one that comes while it lasts, Redis keeps the stricter kind and the later
 * end (networking.c: pauseClients). Every worker keeps such a table, and the main thread for workers to come; times are by the own clock of each.
 */

/** CLIENT PAUSE: the commands of a service's clients are held back for so long, all or only those that may write. */
export interface PauseSnapshot {
  service: number;
  isAll: boolean;
  forMs: number;
}

export interface Pause {
  /** Holds every command; else only those that may write. */
  isAll: boolean;
  /** Milliseconds of the clock of whoever asks. */
  endMs: number;
}

export class PauseTable {
  private readonly pauses = new Map<number, Pause>();

  get size(): number {
    return this.pauses.size;
  }

  start({ service, isAll, forMs }: PauseSnapshot, nowMs: number): Pause {
    const before = this.of(service, nowMs);
    const pause = {
      isAll: isAll || before?.isAll === true,
      endMs: Math.max(nowMs + forMs, before?.endMs ?? 0),
    };
    this.pauses.set(service, pause);
    return pause;
  }

  end(service: number): void {
    this.pauses.delete(service);
  }

  /** The pause that lasts, or null. */
  of(service: number, nowMs: number): Pause | null {
    const pause = this.pauses.get(service);
    return pause !== undefined && pause.endMs > nowMs ? pause : null;
  }

  /** What somebody is to start with to have the same. */
  snapshots(nowMs: number): PauseSnapshot[] {
    return [...this.pauses]
      .filter(([, { endMs }]) => endMs > nowMs)
      .map(([service, { isAll, endMs }]) => ({ service, isAll, forMs: endMs - nowMs }));
  }

  /** The services that it has an entry for. */
  services(): number[] {
    return [...this.pauses.keys()];
  }
}
