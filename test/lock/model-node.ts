/** A node as the steps of locks know it, without a server: what the scripts are compared with, and what the simulation runs on. */

import { parseRegister } from '../../src/lock/fence.js';
import type { Hold, HolderView, LockReply, LockStep } from '../../src/lock/lock-step.js';
import { HOLDERS_MAX, type ModeText, READER, type Share, WHOLE } from '../../src/lock/share.js';
import { HOLDERS_TOLD_MAX } from '../../src/lock/shares-script.js';
import type { Ballot } from '../../src/replica/ballot.js';
import { floorOf, largest, NEVER, proposerOf } from '../../src/replica/ballot.js';
import { type Lineage, NO_LINEAGE } from '../../src/replica/lineage.js';

export interface Register {
  promised: Ballot;
  accepted: Ballot;
  lineage: Lineage;
  text: string;
}

interface HeldLock {
  readonly mode: ModeText;
  /** By token. */
  readonly holders: Map<string, HeldShare>;
}

interface HeldShare {
  ballot: Ballot;
  untilMs: number;
  share: Share;
  /** Of shares alone; 0: it was not confirmed. */
  fence: number;
  client: string;
}

type ShareStep = Extract<LockStep, { kind: 'acquire-share' }>;

/** Rules that it leaves out, to show that somebody would see it. */
export type Omission = 'quarantine' | 'promise' | 'token' | 'mode' | 'slots' | 'granted' | 'in-time' | 'since' | 'free';

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
      case 'acquire':
      case 'acquire-share': {
        const leftMs = this.quarantineMs(ttlMaxMs, nowMs);
        if (leftMs > 0) return { kind: 'quarantined', leftMs };
        const hindrance =
          step.kind === 'acquire' ? this.hindrance(lock, step.token, nowMs) : this.shareHindrance(lock, step, nowMs);
        if (hindrance !== null) return hindrance;
        const promised = this.promisedOf(register);
        if (promised > step.ballot) return this.refusal(promised, register);
        const mode = step.kind === 'acquire' ? WHOLE : step.mode;
        const share = step.kind === 'acquire' ? WHOLE : step.share;
        const { ballot, token } = step;
        const taken = lock ?? { mode, holders: new Map() };
        taken.holders.set(token, { ballot, untilMs: nowMs + step.ttlMs, share, fence: 0, client: '?' });
        this.locks.set(name, taken);
        const { accepted, lineage, text } = register ?? NOTHING;
        this.registers.set(name, { promised: ballot, accepted, lineage, text });
        const { epochFloor } = this;
        return { kind: 'vote', accepted, lineage, collected: NEVER, epochFloor, register: text };
      }
      case 'confirm': {
        if (register?.accepted === step.ballot) return { kind: 'done' };
        const promised = this.promisedOf(register);
        if (promised > step.ballot && !this.without.includes('promise')) return this.refusal(promised, register);
        const { ballot, lineage, register: text } = step;
        const own = lock?.holders.get(step.token);
        if (own?.share !== step.share && !this.without.includes('token')) return { kind: 'lost' };
        if (own !== undefined && lock?.mode !== WHOLE) {
          const { fence, client } = parseRegister(text) as { fence: number; client: string };
          Object.assign(own, { fence, client });
        }
        this.registers.set(name, { promised: ballot, accepted: ballot, lineage, text });
        return { kind: 'done' };
      }
      case 'take-back': {
        const own = lock?.holders.get(step.token);
        // Of who has all of it the register's promise is that of who took it last.
        const isShared = lock !== null && lock.mode !== WHOLE;
        if (isShared && own === undefined) return this.notHeld(name, nowMs);
        const taken = isShared ? own?.ballot : register?.promised;
        if (taken === undefined) return { kind: 'lost' };
        const isTheirs = taken <= step.ballot && proposerOf(taken) === proposerOf(step.ballot);
        if (!isTheirs && (isShared || !this.isSettled(register, step.token, step.fence))) return { kind: 'lost' };
        return this.free(name, step.token, nowMs);
      }
      case 'release':
        return this.free(name, step.token, nowMs);
      case 'extend': {
        const leftMs = this.quarantineMs(ttlMaxMs, nowMs);
        if (leftMs > 0) return { kind: 'quarantined', leftMs };
        const own = lock?.holders.get(step.token);
        if (own === undefined) return this.notHeld(name, nowMs);
        own.untilMs = Math.max(own.untilMs, nowMs + step.ttlMs);
        const { share, ballot, fence, client } = own;
        const mode = lock?.mode ?? WHOLE;
        if (mode !== WHOLE) return { kind: 'extended', share, hold: { mode, ballot, fence, client }, nowMs };
        const named = parseRegister(register?.text ?? '');
        const hold = register === null || named?.token !== step.token ? null : { ...named, ballot: register.accepted };
        return { kind: 'extended', share, hold: hold && holdOf(WHOLE, hold), nowMs: null };
      }
      case 'retake':
        return this.retake(lock, register, step, name, ttlMaxMs, nowMs);
      case 'break': {
        this.locks.delete(name);
        return { kind: 'broken', tokens: [...(lock?.holders.keys() ?? [])] };
      }
      case 'look': {
        const leftMs = this.quarantineMs(ttlMaxMs, nowMs);
        if (leftMs > 0) return { kind: 'quarantined', leftMs };
        const { accepted, text } = register ?? NOTHING;
        const holders = [...(lock?.holders ?? [])].map(([token, held]): HolderView => {
          const { share, fence, client } = held;
          return { token, share, ttlMs: held.untilMs - nowMs, fence, client };
        });
        return { kind: 'view', mode: lock?.mode ?? '', holders, accepted, register: text };
      }
    }
  }

  /** Whether the register names that grant, and nobody has voted since. */
  private isSettled(register: Register | null, token: string, fence: number): boolean {
    const named = parseRegister(register?.text ?? '');
    const isVotedOn = register?.promised !== register?.accepted;
    return !isVotedOn && named?.token === token && (named.fence === fence || this.without.includes('granted'));
  }

  private retake(
    lock: HeldLock | null,
    register: Register | null,
    step: Extract<LockStep, { kind: 'retake' }>,
    name: string,
    ttlMaxMs: number,
    nowMs: number,
  ): LockReply {
    const leftMs = this.quarantineMs(ttlMaxMs, nowMs);
    if (leftMs > 0) return { kind: 'quarantined', leftMs };
    const { token, ttlMs, share, hold, fromMs, untilMs } = step;
    const { mode, ballot } = hold;
    const isLate = nowMs < fromMs || nowMs > untilMs;
    if (isLate && !this.without.includes('in-time')) return { kind: 'lost' };
    const wanted = { kind: 'acquire-share', ballot, token, ttlMs, mode, share, mayMove: true, waits: false } as const;
    const hindrance = mode === WHOLE ? this.hindrance(lock, token, nowMs) : this.shareHindrance(lock, wanted, nowMs);
    if (hindrance !== null && !this.without.includes('free')) return hindrance;
    const own = hindrance === null ? lock?.holders.get(token) : undefined;
    if (own?.share === share) return { kind: 'extended', share, hold: null, nowMs: null };
    if (own !== undefined && own.ballot > ballot) return { kind: 'lost' };
    const isBehind = (register?.accepted ?? NEVER) <= ballot;
    const names = parseRegister(register?.text ?? '')?.token === token;
    if (mode === WHOLE && !isBehind && !names && !this.without.includes('since')) return { kind: 'lost' };
    const taken = hindrance === null && lock !== null ? lock : { mode, holders: new Map() };
    const { fence, client } = mode === WHOLE ? { fence: 0, client: '?' } : hold;
    taken.holders.set(token, { ballot, untilMs: nowMs + ttlMs, share, fence, client });
    this.locks.set(name, taken);
    if (mode === WHOLE && ballot > this.promisedOf(register)) {
      this.registers.set(name, { ...(register ?? NOTHING), promised: ballot });
    }
    return { kind: 'extended', share, hold: null, nowMs: null };
  }

  /** Why who wants all of it does not get it. */
  private hindrance(lock: HeldLock | null, token: string, nowMs: number): LockReply {
    if (lock === null || (lock.mode === WHOLE && lock.holders.has(token))) return null;
    if (lock.mode !== WHOLE && this.without.includes('mode')) return null;
    return { kind: 'held', ttlMs: lastOf(lock) - nowMs, taken: '' };
  }

  private shareHindrance(lock: HeldLock | null, step: ShareStep, nowMs: number): LockReply {
    const { token, mode, share, mayMove } = step;
    if (lock === null) return null;
    const { holders } = lock;
    if (lock.mode !== mode) {
      return this.without.includes('mode') ? null : { kind: 'held', ttlMs: lastOf(lock) - nowMs, taken: '' };
    }
    const own = holders.get(token);
    if (mode === READER) {
      if (own !== undefined || holders.size < HOLDERS_MAX) return null;
      return { kind: 'held', ttlMs: firstOf([...holders.values()]) - nowMs, taken: '' };
    }
    if (own !== undefined && own.share !== share && !mayMove) return { kind: 'elsewhere', share: own.share };
    const others = [...holders].filter(([other]) => other !== token).map(([, held]) => held);
    const isFull = others.length >= Number(mode);
    const isTaken = this.without.includes('slots') ? isFull : others.some((other) => other.share === share);
    if (!isTaken) return null;
    const owners = Array.from({ length: Number(mode) }, (_, slot) => others.find((other) => other.share === `${slot}`));
    const text = owners.map((owner) => (owner === undefined ? '0' : owner.fence > 0 ? '1' : '2')).join('');
    return { kind: 'held', ttlMs: firstOf(others) - nowMs, taken: text };
  }

  private free(name: string, token: string, nowMs: number): LockReply {
    const lock = this.lockOf(name, nowMs);
    if (lock?.holders.delete(token) !== true) return this.notHeld(name, nowMs);
    if (lock.holders.size === 0) this.locks.delete(name);
    return { kind: 'done' };
  }

  private notHeld(name: string, nowMs: number): LockReply {
    const lock = this.lockOf(name, nowMs);
    if (lock === null) return { kind: 'not-held', ttlMs: 0, nowMs, registers: [] };
    const ttlMs = lastOf(lock) - nowMs;
    if (lock.mode === WHOLE) {
      const text = this.registers.get(name)?.text ?? '';
      const isTheirs = lock.holders.has(parseRegister(text)?.token ?? '');
      return { kind: 'not-held', ttlMs, nowMs, registers: isTheirs ? [text] : [] };
    }
    const latest = [...lock.holders].sort(([, one], [, other]) => other.fence - one.fence);
    const known = latest.slice(0, HOLDERS_TOLD_MAX + 1).filter(([, { fence }]) => fence > 0);
    return {
      kind: 'not-held',
      ttlMs,
      nowMs,
      registers: known.map(([token, { fence, client }]) => `${fence} ${client} ${token}`),
    };
  }

  private lockOf(name: string, nowMs: number): HeldLock | null {
    const lock = this.locks.get(name);
    if (lock === undefined) return null;
    for (const [token, { untilMs }] of lock.holders) if (untilMs <= nowMs) lock.holders.delete(token);
    if (lock.holders.size > 0) return lock;
    this.locks.delete(name);
    return null;
  }

  private promisedOf(register: Register | null): Ballot {
    return largest(register?.promised ?? NEVER, floorOf(this.epochFloor));
  }

  private refusal(promised: Ballot, register: Register | null): LockReply {
    const { accepted } = register ?? NOTHING;
    return { kind: 'refused', promised, accepted, epochFloor: this.epochFloor, collectFloor: NEVER };
  }

  private quarantineMs(ttlMaxMs: number, nowMs: number): number {
    if (!this.mayHaveForgotten || this.without.includes('quarantine')) return 0;
    this.quarantinedSinceMs ??= nowMs;
    return Math.max(0, this.quarantinedSinceMs + ttlMaxMs - nowMs);
  }
}

export const NOTHING: Register = { promised: NEVER, accepted: NEVER, lineage: NO_LINEAGE, text: '' };

function holdOf(mode: ModeText, { ballot, fence, client }: Omit<Hold, 'mode'>): Hold {
  return { mode, ballot, fence, client };
}

function firstOf(held: readonly HeldShare[]): number {
  return Math.min(...held.map(({ untilMs }) => untilMs));
}

/** When it is free. */
function lastOf({ holders }: HeldLock): number {
  return Math.max(...[...holders.values()].map(({ untilMs }) => untilMs));
}
