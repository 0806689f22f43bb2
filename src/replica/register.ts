/** What one proposer remembers of one key: enough never to use a ballot twice, and to write again in one round trip. */
import { type Ballot, counterOf, epochOf, makeBallot, NEVER } from './ballot.js';
import { type Lineage, NO_LINEAGE } from './lineage.js';
import type { KeyFacts } from './step.js';

/** The numbers of one proposer, for all keys. */
export interface ProposerNumbers {
  /** 20 digits, drawn at start: see `proposerNumber`. */
  readonly proposer: string;
  /** The largest epoch seen. */
  epoch: number;
  /** No key that was forgotten has used a larger counter. */
  counterFloor: number;
}

/** A chosen state, and the promise that came with it (rule W5): the next write needs no PREPARE. */
export interface Ride {
  /** What was promised; used once. */
  readonly ballot: Ballot;
  readonly base: KeyFacts;
}

/** What copies have said to a read. Copies are bits, bit i for copy i. */
export interface Agreement {
  readonly ballot: Ballot;
  readonly lineage: Lineage;
  /** Those that have that state, enough of them, and those that have an older one. */
  readonly holders: number;
  readonly behind: number;
  /** More copies had to be asked than have to agree. */
  readonly isLate: boolean;
}

export class Register {
  /** The key's bytes, a character each (latin1). */
  readonly key: string;
  /** The nodes that have its copies. */
  readonly nodes: readonly number[];
  /** Taken by who writes next; null where a PREPARE is needed. */
  ride: Ride | null = null;
  /** The last ballot that was seen chosen here, what it stands on, and the copies that have it (bit i: copy i). */
  chosen: Ballot = NEVER;
  lineage: Lineage = NO_LINEAGE;
  holders = 0;
  /** Copies that were seen to have an older state than `chosen`. */
  behind = 0;
  /** Copies whose replies were not those of the others (rule W9): they are to be given the state of one that is not among them. */
  differing = 0;
  /** A state whose value somebody's clock has seen expire (rule X1). */
  knownExpired: Ballot = '';
  private readonly numbers: ProposerNumbers;
  private counter: number;

  constructor(key: string, nodes: readonly number[], numbers: ProposerNumbers) {
    this.key = key;
    this.nodes = nodes;
    this.numbers = numbers;
    this.counter = numbers.counterFloor;
  }

  /** A ballot above all that were used for this key, and above all that was seen of it. Throws when none is left. */
  freshBallot(): Ballot {
    this.counter++;
    return makeBallot(this.numbers.epoch, this.counter, this.numbers.proposer);
  }

  /** A node has promised that, and no ballot of an epoch below the floor is taken there. */
  onSeen(promised: Ballot, epochFloor: number): void {
    this.counter = Math.max(this.counter, counterOf(promised));
    this.numbers.epoch = Math.max(this.numbers.epoch, epochOf(promised), epochFloor);
  }

  /** `holders` have the state of that ballot, and they are enough. */
  onChosen(ballot: Ballot, lineage: Lineage, holders: number, behind: number): void {
    this.chosen = ballot;
    this.lineage = lineage;
    this.holders = holders;
    this.behind = behind;
  }

  /** A read has found what is chosen. Of another's ballot the next one is, most likely, promised to it as well, and not to us any more. */
  onFound({ ballot, lineage, holders, behind }: Agreement): void {
    if (ballot === this.chosen) {
      this.holders |= holders;
      this.behind |= behind;
    } else if (ballot > this.chosen) {
      this.ride = null;
      this.counter = Math.max(this.counter, counterOf(ballot) + 1);
      this.numbers.epoch = Math.max(this.numbers.epoch, epochOf(ballot));
      this.onChosen(ballot, lineage, holders, behind);
    }
  }

  /** It is forgotten: its ballots are not used for the key again. */
  forget(): void {
    this.numbers.counterFloor = Math.max(this.numbers.counterFloor, this.counter);
  }
}
