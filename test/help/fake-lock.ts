/** A lock that says what a test has it say. */
import type {
  AcquireOutcome,
  BreakOutcome,
  ExtendOutcome,
  GiveBack,
  InfoOutcome,
  Lock,
  LockOrder,
  ReleaseOutcome,
} from '../../src/lock/lock.js';

export class FakeLock implements Lock {
  readonly name: string;
  readonly ttlMaxMs = 60_000;
  readonly holdersMax = 1_000;
  readonly home = 'here';
  /** Ttls of the extensions that were asked for. */
  readonly extensions: number[] = [];
  /** Tokens of those who want it now. */
  readonly wanting: LockOrder[] = [];
  /** Of who wanted it last. */
  waitMs = -1;
  readonly released: string[] = [];
  /** Tokens that were given back. */
  readonly givenBack: string[] = [];
  private readonly acquiring: ((outcome: AcquireOutcome) => void)[] = [];
  private readonly extending: ((outcome: ExtendOutcome) => void)[] = [];
  private readonly givingBack: (() => void)[] = [];

  constructor(name: string) {
    this.name = name;
  }

  acquire(order: LockOrder, waitMs: number, told: (outcome: AcquireOutcome) => void): GiveBack {
    this.wanting.push(order);
    this.waitMs = waitMs;
    this.acquiring.push(told);
    return (done = () => {}) => {
      const at = this.acquiring.indexOf(told);
      this.acquiring.splice(at, 1);
      this.wanting.splice(at, 1);
      this.givingBack.push(done);
    };
  }

  extend(_token: string, ttlMs: number, told: (outcome: ExtendOutcome) => void): void {
    this.extensions.push(ttlMs);
    this.extending.push(told);
  }

  release(token: string, _told: (outcome: ReleaseOutcome) => void): void {
    this.released.push(token);
  }

  break(_told: (outcome: BreakOutcome) => void): void {
    throw new Error('nobody breaks it');
  }

  look(_told: (outcome: InfoOutcome) => void): void {
    throw new Error('nobody looks');
  }

  /** As the provider grants it. */
  granted(token: string, validityMs: number): Extract<AcquireOutcome, { kind: 'granted' }> {
    const giveBack = (done = () => {}) => {
      this.givenBack.push(token);
      this.givingBack.push(done);
    };
    return { kind: 'granted', fence: 1, validityMs, giveBack };
  }

  /** Answers the first who wants it. */
  grant(validityMs: number): void {
    const { token } = this.wanting[0] as LockOrder;
    this.answer(this.granted(token, validityMs));
  }

  answer(outcome: AcquireOutcome): void {
    this.wanting.shift();
    this.acquiring.shift()?.(outcome);
  }

  /** Answers an extension: the first that has no answer, or that many behind it. */
  answerExtension(outcome: ExtendOutcome, at = 0): void {
    const [told] = this.extending.splice(at, 1);
    if (told === undefined) throw new Error('nobody extends it');
    told(outcome);
  }

  get extensionsOut(): number {
    return this.extending.length;
  }

  /** All that was given back is free. */
  answerGivenBack(): void {
    for (const done of this.givingBack.splice(0)) done();
  }
}
