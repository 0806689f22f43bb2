/** The ballots that one worker uses for the registers of one pool's locks: each once. */
import { type Ballot, counterOf, epochOf, makeBallot } from '../replica/ballot.js';

/** Counters begin there, in milliseconds since 1970: they have no digits for more. Fences begin at counters. */
export const BEGIN_MS = Date.UTC(2020, 0, 1);

/**
 * Of a lock that others took last the largest ballot is not known here. As all count milliseconds, the next one is above it, most likely: else it
 * is refused, and one more round trip finds it. Fences begin at the counter: where nobody remembers the last one, they grow as these clocks do.
 */
export class LockBallots {
  private readonly proposer: string;
  private readonly clock: () => number;
  private epoch = 0;
  private counter = 0;

  /** `proposer`: see `proposerNumber`; `clock`: milliseconds since 1970. */
  constructor(proposer: string, clock: () => number) {
    this.proposer = proposer;
    this.clock = clock;
  }

  fresh(): Ballot {
    this.counter = Math.max(this.counter + 1, this.clock() - BEGIN_MS);
    return makeBallot(this.epoch, this.counter, this.proposer);
  }

  /** See AcquisitionPlan. */
  onSeen(promised: Ballot, epochFloor: number): void {
    this.counter = Math.max(this.counter, counterOf(promised));
    this.epoch = Math.max(this.epoch, epochOf(promised), epochFloor);
  }
}
