/**
 * Commands queued in a transaction of a connection that speaks RESP3, so that each reply is what Redis gives a client of either
 * protocol. For RESP2 the connection changes its protocol inside the transaction (nothing is pushed before its end), unless all
 * replies are alike in both but for what null looks like.
 */
import { encodeCommand } from '../resp/reply.js';
import type { Commands, Replies } from './commands.js';
import { nullsToResp2 } from './reply-shape.js';
import { commandTraits } from './script-commands.js';

const HELLO_2 = encodeCommand(['HELLO', '2']);
const HELLO_3 = encodeCommand(['HELLO', '3']);

export interface QueuedCommands {
  /** One command each. */
  readonly frames: readonly Uint8Array[];
  /** Replies to the commands, of the elements of EXEC's reply, where those of `frames` begin at `first`. */
  decode(elements: readonly Uint8Array[], first: number): Replies;
}

export function queueCommands({ list, protocol }: Commands): QueuedCommands {
  const own = list.map(encodeCommand);
  if (protocol === 3) return { frames: own, decode: (elements, first) => elements.slice(first, first + own.length) };
  const traits = list.map(commandTraits);
  if (traits.every(({ isAlike }) => isAlike)) {
    return {
      frames: own,
      decode: (elements, first) =>
        traits.map(({ nullArray }, index) => nullsToResp2(elements[first + index] as Uint8Array, nullArray)),
    };
  }
  return {
    frames: [HELLO_2, ...own, HELLO_3],
    decode: (elements, first) => elements.slice(first + 1, first + 1 + own.length),
  };
}
