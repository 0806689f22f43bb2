/**
 * The versions of keys of consistency quorum: ballots whose counters are times, as a hybrid logical clock gives them (Kulkarni and others
 * 2014, "Logical Physical Clocks").
 *
 *   epoch (8 digits)   milliseconds (12)   how many in that millisecond (5), who (15)
 *
 * Invariant: each version is larger than all that this clock has made or seen, wherever the machine's clock goes. So two writes never have
 * one version, and who was refused is not refused by the same again.
 */
import { type Ballot, counterOf, epochOf, largest, makeBallot, proposerOf } from './ballot.js';

const COUNT_DIGITS = 5;
const COUNT_MAX = 10 ** COUNT_DIGITS - 1;
/** Counters begin there, in milliseconds since 1970: they have no digits for more. */
export const VERSIONS_BEGIN_MS = Date.UTC(2020, 0, 1);
/** A clock that shows more, in 2050 or later, is not believed: they end a year after that. */
const BELIEVED_MS_MAX = Date.UTC(2050, 0, 1) - VERSIONS_BEGIN_MS;

export class VersionClock {
  private readonly clock: () => number;
  private readonly who: string;
  private epoch = 0;
  private ms = 0;
  private count = 0;
  /** The largest that was seen. */
  private seen: Ballot = '';

  /** `clock`: milliseconds since 1970; `proposer`: see `proposerNumber`. Of its 64 random bits 49 are kept. */
  constructor(clock: () => number, proposer: string) {
    this.clock = clock;
    this.who = proposer.slice(COUNT_DIGITS);
  }

  next(): Ballot {
    const nowMs = Math.floor(this.clock()) - VERSIONS_BEGIN_MS;
    if (nowMs > this.ms && nowMs <= BELIEVED_MS_MAX) {
      this.ms = nowMs;
      this.count = 0;
    } else if (this.count < COUNT_MAX) {
      this.count++;
    } else {
      this.ms++;
      this.count = 0;
    }
    return makeBallot(this.epoch, this.ms, String(this.count).padStart(COUNT_DIGITS, '0') + this.who);
  }

  /** A node has promised or accepted that, and takes none of an epoch below the floor. */
  onSeen(version: Ballot, epochFloor: number): void {
    // Nearly all that is read was written long ago.
    if (version <= this.seen && epochFloor <= this.epoch) return;
    this.seen = largest(this.seen, version);
    this.epoch = Math.max(this.epoch, epochOf(version), epochFloor);
    const ms = counterOf(version);
    if (ms < this.ms) return;
    const count = Number(proposerOf(version).slice(0, COUNT_DIGITS));
    this.count = ms > this.ms ? count : Math.max(this.count, count);
    this.ms = ms;
  }
}

/** When it was made, by the clock of who made it or of who came before: milliseconds since 1970. */
export function timeOf(version: Ballot): number {
  return VERSIONS_BEGIN_MS + counterOf(version);
}
