/**
 * What of a lock one holder has, and in which mode, as nodes keep both:
 *
 *   mode         share
 *   x            x         exclusive: all of it
 *   s            s         shared: what readers have, besides each other
 *   5            0 to 4    counted: one of so many slots, each of which one holder has
 *
 * A slot is a lock of its own: who has it has it at a majority of nodes. (That each of the nodes lets in so many would let in more: with
 * two at each of three nodes, three holders have two of them each.)
 */
import { ALONE } from '../base/lock-turns.js';
import { EXCLUSIVE, type LockMode } from './lock.js';

export type Share = string;
export type ModeText = string;

export const WHOLE: Share = 'x';
export const READER: Share = 's';

/** Of one lock: a node walks over them all to find a slot that is free, and takes about a millisecond for so many. */
export const HOLDERS_MAX = 1000;

export function modeTextOf(mode: LockMode): ModeText {
  switch (mode.kind) {
    case 'exclusive':
      return WHOLE;
    case 'shared':
      return READER;
    case 'limit':
      return `${mode.max}`;
  }
}

export function parseMode(text: ModeText): LockMode {
  if (text === WHOLE) return EXCLUSIVE;
  return text === READER ? { kind: 'shared' } : { kind: 'limit', max: Number(text) };
}

/** Whether who wants the one may have the lock beside who has it in the other. */
export function areCompatible(one: LockMode, other: LockMode): boolean {
  return one.kind !== 'exclusive' && kindOf(one) === kindOf(other);
}

/** As a number, of those who may have it together the same: see LockTurns. */
export function kindOf(mode: LockMode): number {
  switch (mode.kind) {
    case 'exclusive':
      return ALONE;
    case 'shared':
      return 1;
    case 'limit':
      return 1 + mode.max;
  }
}
