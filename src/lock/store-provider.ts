/**
 * Locks that the coordination store keeps: of a keyspace with `provider: store`. The main thread has the store; it is asked for each, and says
 * until when something is held by the clock that threads have in common.
 */
import { commonMs } from '../base/clock.js';
import { ERROR_CODES, errorBytes } from '../base/errors.js';
import type { Limits } from '../base/limits.js';
import { STORE_HOLDERS_MAX } from '../base/lock-mode.js';
import type { LockTurns } from '../base/lock-turns.js';
import type { Counts } from '../base/metrics.js';
import type { LockAsk, LockFacts, LockTold } from '../messages.js';
import type {
  AcquireOutcome,
  BreakOutcome,
  ExtendOutcome,
  GiveBack,
  InfoOutcome,
  Lock,
  LockOrder,
  NoQuorum,
  NotHeld,
  Overloaded,
  ReleaseOutcome,
  Undecided,
} from './lock.js';

export interface StoreProviderContext {
  /** Asks the main thread; `told` is called once, later. What is returned ends an `acquire`, of which `told` is still told. */
  askLock: (ask: LockAsk, told: (told: LockTold) => void) => () => void;
  lockTurns: Pick<LockTurns, 'draw'>;
  counts: Pick<Counts, 'locksAcquired' | 'locksCrowded' | 'locksWaiting'>;
  limits: Pick<Limits, 'lockQueueMax'>;
}

/** What LOCK.LIST asks for. */
export type StoredLocks =
  | { kind: 'listed'; locks: readonly { name: string; outcome: Exclude<InfoOutcome, Undecided> }[] }
  | NoQuorum
  | Overloaded;

/**
 * Questions of one worker that are not answered yet, and besides as many extensions and releases: these are for what is held, and whoever else asks is
 * not to cost that. Not counted is who waits, one of each client and bounded by the line (lockQueueMax), and what is given back.
 */
const ASKS_MAX = 10_000;
const OVERLOADED: Overloaded = { kind: 'overloaded', asksMax: ASKS_MAX };

export class StoreProvider {
  private readonly context: StoreProviderContext;
  private questions = 0;
  private changes = 0;

  constructor(context: StoreProviderContext) {
    this.context = context;
  }

  /** `name`: a character a byte. */
  lockOf(name: string, ttlMaxMs: number): Lock {
    return new StoreLock(this, name, ttlMaxMs);
  }

  /** Those that somebody holds, of names that fit `pattern`, which is one as KEYS has it. `told` is called once, never within the call. */
  list(pattern: string, told: (outcome: StoredLocks) => void): void {
    this.ask({ kind: 'list', pattern }, (answer) => {
      if (answer.kind === 'overloaded') told(answer);
      else if (answer.kind !== 'listed') told(noQuorum(answer, 'the command had no effect'));
      else
        told({
          kind: 'listed',
          locks: answer.locks.map(({ name, ...facts }) => ({ name, outcome: infoOutcome(facts) })),
        });
    });
  }

  /** Of `StoreLock`. */
  acquire(name: string, order: LockOrder, waitMs: number, told: (outcome: AcquireOutcome) => void): GiveBack {
    const { counts, limits, askLock, lockTurns } = this.context;
    const isWaiting = waitMs > 0;
    if (!isWaiting && this.questions >= ASKS_MAX) {
      told(OVERLOADED);
      return (done) => done?.();
    }
    const { ttlMs, token, client, mode } = order;
    const queueMax = limits.lockQueueMax;
    /** What is called when it is given back; null: it is wanted still. */
    let onGivenBack: (() => void) | null = null;
    if (isWaiting) counts.locksWaiting++;
    else this.questions++;
    const onTold = (answer: LockTold) => {
      if (isWaiting) counts.locksWaiting--;
      else this.questions--;
      if (answer.kind === 'crowded') counts.locksCrowded++;
      const outcome = acquireOutcome(answer, (grant, done) => this.giveBack(name, grant, done));
      if (onGivenBack !== null) {
        if (outcome.kind === 'granted') outcome.giveBack(onGivenBack);
        else onGivenBack();
        return;
      }
      if (outcome.kind === 'granted') counts.locksAcquired++;
      told(outcome);
    };
    const ticket = lockTurns.draw();
    const end = askLock({ kind: 'acquire', name, token, client, ttlMs, mode, waitMs, queueMax, ticket }, onTold);
    return (done = () => {}) => {
      onGivenBack = done;
      end();
    };
  }

  /** Of `StoreLock`. */
  ask(ask: Exclude<LockAsk, { kind: 'acquire' | 'give-back' }>, told: (told: LockTold | Overloaded) => void): void {
    const under = ask.kind === 'extend' || ask.kind === 'release' ? 'changes' : 'questions';
    if (this[under] >= ASKS_MAX) {
      queueMicrotask(() => told(OVERLOADED));
      return;
    }
    this[under]++;
    this.context.askLock(ask, (answer) => {
      this[under]--;
      told(answer);
    });
  }

  private giveBack(name: string, grant: string, done: () => void): void {
    this.context.askLock({ kind: 'give-back', name, grant }, done);
  }
}

class StoreLock implements Lock {
  readonly name: string;
  readonly ttlMaxMs: number;
  readonly holdersMax = STORE_HOLDERS_MAX;
  readonly home = 'the coordination store';
  private readonly provider: StoreProvider;

  constructor(provider: StoreProvider, name: string, ttlMaxMs: number) {
    this.provider = provider;
    this.name = name;
    this.ttlMaxMs = ttlMaxMs;
  }

  acquire(order: LockOrder, waitMs: number, told: (outcome: AcquireOutcome) => void): GiveBack {
    return this.provider.acquire(this.name, order, waitMs, told);
  }

  extend(token: string, ttlMs: number, told: (outcome: ExtendOutcome) => void): void {
    this.provider.ask({ kind: 'extend', name: this.name, token, ttlMs }, (answer) => told(extendOutcome(answer)));
  }

  release(token: string, told: (outcome: ReleaseOutcome) => void): void {
    this.provider.ask({ kind: 'release', name: this.name, token }, (answer) => {
      told(answer.kind === 'done' ? { kind: 'released' } : refusalOf(answer));
    });
  }

  break(told: (outcome: BreakOutcome) => void): void {
    this.provider.ask({ kind: 'break', name: this.name }, (answer) => {
      told(answer.kind === 'broken' ? answer : undecided(answer));
    });
  }

  look(told: (outcome: InfoOutcome) => void): void {
    this.provider.ask({ kind: 'look', name: this.name }, (answer) => {
      told(answer.kind === 'view' ? infoOutcome(answer) : undecided(answer));
    });
  }
}

/** Milliseconds from now on. */
function leftMs(untilMs: number): number {
  return Math.floor(untilMs - commonMs());
}

function acquireOutcome(answer: LockTold, giveBack: (grant: string, done: () => void) => void): AcquireOutcome {
  switch (answer.kind) {
    case 'granted': {
      const validityMs = leftMs(answer.untilMs);
      const back = (done: () => void = () => {}) => giveBack(answer.grant, done);
      if (validityMs > 0) return { kind: 'granted', fence: answer.fence, validityMs, giveBack: back };
      back();
      return { kind: 'late' };
    }
    case 'out-of-time':
    case 'crowded':
    case 'late':
      return answer;
    default:
      return noQuorum(answer, 'it is not held');
  }
}

function extendOutcome(answer: LockTold | Overloaded): ExtendOutcome {
  if (answer.kind !== 'extended') return refusalOf(answer);
  const validityMs = leftMs(answer.untilMs);
  return validityMs > 0 ? { kind: 'extended', validityMs } : { kind: 'unknown' };
}

function refusalOf(answer: LockTold | Overloaded): NotHeld | Undecided {
  if (answer.kind !== 'not-held') return undecided(answer);
  const { holders } = answer;
  return {
    kind: 'not-held',
    ttlMs: Math.max(0, ...holders.map((holder) => holder.leftMs)),
    holders: [...holders].reverse(),
  };
}

function infoOutcome({ mode, fence, holders }: LockFacts): Exclude<InfoOutcome, Undecided> {
  if (mode === null || holders.length === 0) return { kind: 'free', fence };
  return { kind: 'held', mode, fence, holders: holders.map(({ leftMs: ttlMs, ...holder }) => ({ ...holder, ttlMs })) };
}

function undecided(answer: LockTold | Overloaded): Undecided {
  if (answer.kind === 'overloaded') return answer;
  return answer.kind === 'trouble' && answer.isUnknown ? { kind: 'unknown' } : noQuorum(answer, 'it had no effect');
}

function noQuorum(answer: LockTold, fate: string): NoQuorum {
  if (answer.kind !== 'trouble')
    throw new Error(`the main thread has told of a lock what was not asked for: ${answer.kind}`);
  const error = errorBytes(ERROR_CODES.NOQUORUM, `the coordination store: ${answer.reason}; ${fate}`);
  return { kind: 'no-quorum', quarantinedMs: null, error };
}
