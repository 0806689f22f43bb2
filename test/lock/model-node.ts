/** A node as the steps of locks know it, without a server: what the scripts are compared with, and what the simulation runs on. */

import { parseRegister } from '../../src/lock/fence.js';
import type { LockReply, LockStep } from '../../src/lock/lock-step.js';
import type { Ballot } from '../../src/replica/ballot.js';
import { floorOf, largest, NEVER } from '../../src/replica/ballot.js';
import { type Lineage, NO_LINEAGE } from '../../src/replica/lineage.js';

export interface Register {
  promised: Ballot;
  accepted: Ballot;
  lineage: Lineage;
  text: string;
}

interface HeldLock {
  token: string;
  untilMs: number;
}

/** Rules that it leaves out, to show that somebody would see it. */
export type Omission = 'quarantine' | 'promise' | 'token';

export class ModelNode {
  readonly locks = new Map<string, HeldLock>();
  readonly registers = new Map<string, Register>();
  epochFloor = 0;
  isMember = true;
  /** Of a member that was admitted again: when the first lock was asked for, by its own clock; null: none yet. */
  quarantinedSinceMs: number | null = null;
  mayHaveForgotten = false;
  readonly without: readonly Omission[];

  constructor(without: readonly Omission[] = []) {
    this.without = without;
  }

  /** `nowMs`: by its own clock. */
  perform(step: LockStep, name: string, ttlMaxMs: number, nowMs: number): LockReply {
    if (!this.isMember) return { kind: 'not-member' };
    const lock = this.lockOf(name, nowMs);
    const register = this.registers.get(name) ?? null;
    switch (step.kind) {
      case 'acquire': {
        const leftMs = this.quarantineMs(ttlMaxMs, nowMs);
        if (leftMs > 0) return { kind: 'quarantined', leftMs };
        if (lock !== null && lock.token !== step.token) return { kind: 'held', ttlMs: leftOf(lock, nowMs) };
        const promised = this.promisedOf(register);
        if (promised > step.ballot) return this.refusal(promised);
        this.locks.set(name, { token: step.token, untilMs: nowMs + step.ttlMs });
        const { accepted, lineage, text } = register ?? NOTHING;
        this.registers.set(name, { promised: step.ballot, accepted, lineage, text });
        const { epochFloor } = this;
        return { kind: 'vote', accepted, lineage, collected: NEVER, epochFloor, register: text };
      }
      case 'confirm': {
        if (register?.accepted === step.ballot) return { kind: 'done' };
        const promised = this.promisedOf(register);
        if (promised > step.ballot && !this.without.includes('promise')) return this.refusal(promised);
        if (lock?.token !== step.token && !this.without.includes('token')) return { kind: 'lost' };
        const { ballot, lineage, register: text } = step;
        this.registers.set(name, { promised: ballot, accepted: ballot, lineage, text });
        return { kind: 'done' };
      }
      case 'take-back':
        if (register === null || register.promised > step.ballot) return { kind: 'lost' };
        if (register.promised.slice(20) !== step.ballot.slice(20)) return { kind: 'lost' };
        return this.free(name, step.token, nowMs);
      case 'release':
        return this.free(name, step.token, nowMs);
      case 'extend': {
        const leftMs = this.quarantineMs(ttlMaxMs, nowMs);
        if (leftMs > 0) return { kind: 'quarantined', leftMs };
        if (lock?.token !== step.token) return this.notHeld(name, nowMs);
        lock.untilMs = nowMs + step.ttlMs;
        return { kind: 'done' };
      }
      case 'look': {
        const { accepted, text } = register ?? NOTHING;
        return {
          kind: 'view',
          token: lock?.token ?? null,
          ttlMs: lock === null ? 0 : leftOf(lock, nowMs),
          accepted,
          register: text,
        };
      }
    }
  }

  private free(name: string, token: string, nowMs: number): LockReply {
    if (this.lockOf(name, nowMs)?.token !== token) return this.notHeld(name, nowMs);
    this.locks.delete(name);
    return { kind: 'done' };
  }

  private notHeld(name: string, nowMs: number): LockReply {
    const lock = this.lockOf(name, nowMs);
    const text = this.registers.get(name)?.text ?? '';
    const isTheirs = lock !== null && parseRegister(text)?.token === lock.token;
    return { kind: 'not-held', ttlMs: lock === null ? 0 : leftOf(lock, nowMs), register: isTheirs ? text : '' };
  }

  private lockOf(name: string, nowMs: number): HeldLock | null {
    const lock = this.locks.get(name);
    return lock === undefined || lock.untilMs <= nowMs ? null : lock;
  }

  private promisedOf(register: Register | null): Ballot {
    return largest(register?.promised ?? NEVER, floorOf(this.epochFloor));
  }

  private refusal(promised: Ballot): LockReply {
    return { kind: 'refused', promised, epochFloor: this.epochFloor, collectFloor: NEVER };
  }

  private quarantineMs(ttlMaxMs: number, nowMs: number): number {
    if (!this.mayHaveForgotten || this.without.includes('quarantine')) return 0;
    this.quarantinedSinceMs ??= nowMs;
    return Math.max(0, this.quarantinedSinceMs + ttlMaxMs - nowMs);
  }
}

export const NOTHING: Register = { promised: NEVER, accepted: NEVER, lineage: NO_LINEAGE, text: '' };

function leftOf({ untilMs }: HeldLock, nowMs: number): number {
  return untilMs - nowMs;
}
