/** What CLUSTER COUNTKEYSINSLOT and GETKEYSINSLOT ask: answered by a walk over keys (key-walk.ts). */
import { parseInt64 } from '../resp/int64.js';
import { errorReply } from '../resp/reply.js';
import { SLOT_COUNT } from '../routing/slot.js';

export interface SlotQuestion {
  slot: number;
  /** How many keys are to be named at the most; null: all are counted. */
  keysMax: number | null;
}

const NOT_INTEGER = errorReply('ERR value is not an integer or out of range');
const INVALID_SLOT = errorReply('ERR Invalid slot');
const INVALID = errorReply('ERR Invalid slot or number of keys');

/** What the arguments behind the subcommand ask, `slot` or `slot count`, or the error reply that Redis has for them. */
export function slotQuestion(words: readonly string[]): SlotQuestion | Uint8Array {
  const numbers = words.map(parseInt64);
  if (numbers.includes(null)) return NOT_INTEGER;
  const [slot, keysMax] = numbers as [bigint, bigint?];
  const isSlot = slot >= 0n && slot < SLOT_COUNT;
  if (keysMax === undefined) return isSlot ? { slot: Number(slot), keysMax: null } : INVALID_SLOT;
  return isSlot && keysMax >= 0n ? { slot: Number(slot), keysMax: Number(keysMax) } : INVALID;
}
