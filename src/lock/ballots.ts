/** The ballots by which locks of one pool are taken, in one worker. */
import { type Ballot, counterOf, epochOf, makeBallot } from '../replica/ballot.js';

/** Counters begin there, in milliseconds since 1970: they have no digits for more. Fences begin at counters. */
export const BEGIN_MS = Date.UTC(2020, 0, 1);

export class LockBallots {
  private readonly drawProposer: () => string;
  private readonly clock: () => number;
  /** The largest that was seen: epochs are the pool's. */
  private epoch = 0;

  /** `drawProposer`: a number that nobody else has, see `proposerNumber`; `clock`: milliseconds since 1970. */
  constructor(drawProposer: () => string, clock: () => number) {
    this.drawProposer = drawProposer;
    this.clock = clock;
  }

  /** Those of one attempt. Nothing is remembered of it: as it has a proposer's number of its own, none of them is used again. */
  begin(): AttemptBallots {
    return new AttemptBallots(this, this.drawProposer());
  }

  /** Of `AttemptBallots` alone. */
  make(counter: number, proposer: string): Ballot {
    return makeBallot(this.epoch, counter, proposer);
  }

  /** Of `AttemptBallots` alone. */
  seeEpoch(epoch: number): void {
    this.epoch = Math.max(this.epoch, epoch);
  }

  get time(): number {
    return this.clock() - BEGIN_MS;
  }
}

/**
 * Counters are times. Of a lock that others took last the largest ballot is not known here; as all count milliseconds, the next one is above it, most
 * likely: else it is refused, and one more round trip finds it. What is seen raises the counters of this attempt, and of no other one: fences are not
 * below them, so that they must not run ahead of the clock, by which they go on where nobody remembers the last one.
 */
export class AttemptBallots {
  private readonly ballots: LockBallots;
  private readonly proposer: string;
  private counter = 0;

  constructor(ballots: LockBallots, proposer: string) {
    this.ballots = ballots;
    this.proposer = proposer;
  }

  fresh(): Ballot {
    this.counter = Math.max(this.counter + 1, this.ballots.time);
    return this.ballots.make(this.counter, this.proposer);
  }

  /** See AcquisitionPlan. */
  onSeen(promised: Ballot, epochFloor: number): void {
    this.counter = Math.max(this.counter, counterOf(promised));
    this.ballots.seeEpoch(Math.max(epochOf(promised), epochFloor));
  }
}
