/** Where workers ask for locks that the coordination store keeps: their messages, and what they are told. */
import { commonMs } from '../base/clock.js';
import { globOf } from '../base/glob.js';
import type { EndWish } from '../coord/lock-line.js';
import type { LockView, NotHeldLock, Told, Trouble } from '../coord/lock-outcomes.js';
import type { StoreLocks } from '../coord/store-locks.js';
import type { LockAsk, LockFacts, LockTold } from '../messages.js';

/** That of one worker. */
export class LockDesk {
  private readonly locks: StoreLocks;
  private readonly tell: (id: number, told: LockTold) => void;
  /** What ends the acquisitions that are under way, by what they were asked by. */
  private readonly ends = new Map<number, EndWish>();

  /** `tell` sends it to the worker, if that lives. */
  constructor(locks: StoreLocks, tell: (id: number, told: LockTold) => void) {
    this.locks = locks;
    this.tell = tell;
  }

  async onAsk(id: number, ask: LockAsk): Promise<void> {
    const { locks } = this;
    switch (ask.kind) {
      case 'acquire':
        this.acquire(id, ask);
        return;
      case 'give-back':
        await locks.giveBack(ask.name, ask.grant);
        this.tell(id, { kind: 'done' });
        return;
      case 'extend': {
        const outcome = await locks.extend(ask.name, ask.token, ask.ttlMs);
        const isExtended = outcome.kind === 'extended';
        this.tell(id, isExtended ? { kind: 'extended', untilMs: this.commonOf(outcome.untilMs) } : toldOf(outcome));
        return;
      }
      case 'release': {
        const outcome = await locks.release(ask.name, ask.token);
        this.tell(id, outcome.kind === 'done' ? { kind: 'done' } : toldOf(outcome));
        return;
      }
      case 'break': {
        const outcome = await locks.break(ask.name);
        this.tell(id, outcome);
        return;
      }
      case 'list': {
        const outcome = await locks.list(globOf(ask.pattern));
        if (outcome.kind === 'trouble') this.tell(id, outcome);
        else {
          const found = outcome.views.map(([name, view]) => ({ name, ...factsOf(view) }));
          this.tell(id, { kind: 'listed', locks: found });
        }
        return;
      }
      case 'look': {
        const outcome = await locks.look(ask.name);
        this.tell(id, outcome.kind === 'view' ? { kind: 'view', ...factsOf(outcome.view) } : outcome);
        return;
      }
    }
  }

  /** Nobody wants what was asked for by `id`. */
  onEnd(id: number): void {
    const end = this.ends.get(id);
    if (end === undefined) return;
    this.ends.delete(id);
    end(() => this.tell(id, { kind: 'out-of-time' }));
  }

  /** The worker is gone. What it has been granted is over with its time. */
  leave(): void {
    for (const end of this.ends.values()) end(() => {});
    this.ends.clear();
  }

  private acquire(id: number, { name, ...wish }: Extract<LockAsk, { kind: 'acquire' }>): void {
    let isTold = false;
    const end = this.locks.acquire(name, wish, (outcome) => {
      isTold = true;
      this.ends.delete(id);
      this.tell(id, this.acquireTold(outcome));
    });
    if (!isTold) this.ends.set(id, end);
  }

  private acquireTold(outcome: Told): LockTold {
    if (outcome.kind !== 'granted') return outcome;
    const { id, fence, untilMs } = outcome;
    return { kind: 'granted', grant: id, fence, untilMs: this.commonOf(untilMs) };
  }

  /** By the clock that threads have in common. That one is read first: who stands still between both has less time left, and never more. */
  private commonOf(untilMs: number): number {
    const nowMs = commonMs();
    return nowMs + (untilMs - this.locks.clock.nowMs());
  }
}

function toldOf(outcome: NotHeldLock | Trouble): LockTold {
  return outcome.kind === 'not-held' ? { kind: 'not-held', ...factsOf(outcome.view) } : outcome;
}

function factsOf({ entry, holders }: LockView): LockFacts {
  return {
    mode: entry?.mode ?? null,
    fence: entry?.fence ?? null,
    holders: holders.map(({ client, fence, leftMs }) => ({ client, fence, leftMs })),
  };
}
