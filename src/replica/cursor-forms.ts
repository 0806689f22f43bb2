/**
 * HSCAN, SSCAN and ZSCAN (REPLICATION.md, R3): a cursor is a place in one process's hash table, and taken elsewhere it misses
 * fields silently. So the cursors that clients see name the copy and the process:
 *
 *   the node's cursor << 13 | process (10 bits) << 3 | copy + 1        and 0 is 0: the beginning, and the end
 */
import { bulkReply, errorReply, isError, type Protocol } from '../resp/reply.js';
import { type Command, type Commands, NO_COMMANDS, type Replies } from './commands.js';
import { all, type KeyOperation } from './key-operation.js';
import { PROCESS_MARKS, type Reader } from './operation.js';
import { bulkOf, elementsOf } from './reply-shape.js';

import { replaced, textOf, word } from './words.js';

const COPY_BITS = 3n;
const PROCESS_BITS = BigInt(Math.log2(PROCESS_MARKS));
const INVALID = errorReply('ERR invalid cursor');
const FOREIGN = errorReply('ERR that cursor is of no node of this key: start again with cursor 0');
const CURSOR_MAX = 2n ** 64n - 1n;
const TWO = word('*2\r\n');

/** `words`: name key cursor [MATCH pattern] [COUNT count] */
export function cursorForm(words: Command, protocol: Protocol): KeyOperation | Uint8Array {
  const given = parseCursor(textOf(words[2] as Uint8Array));
  if (given === null) return INVALID;
  const place = readCursor(given);
  if (place === null) return FOREIGN;
  const command = replaced(words, 2, word(place.cursor.toString()));
  const commands: Commands = { list: [command], protocol };
  return {
    reads: commands,
    readReply: (replies) => replies,
    walk: {
      reader: place.reader,
      reply: (replies, reader) => [withCursor(replies[0] as Uint8Array, reader)],
    },
    plain: commands,
    plainReply: (replies: Replies) => replies,
    repliesAgree: false,
    plan: () => all(NO_COMMANDS),
  };
}

/** As Redis reads one (strtoul): nothing is 0, and a number below 0 counts from the end. Null for what is none. */
function parseCursor(text: string): bigint | null {
  if (text === '') return 0n;
  const [, sign, digits] = /^([+-]?)(\d+)$/.exec(text) ?? [];
  if (digits === undefined || BigInt(digits) > CURSOR_MAX) return null;
  return sign === '-' ? BigInt.asUintN(64, -BigInt(digits)) : BigInt(digits);
}

/** Null for what is no cursor of ours. */
function readCursor(given: bigint): { cursor: bigint; reader: Reader | null } | null {
  if (given === 0n) return { cursor: 0n, reader: null };
  const copy = Number(given & ((1n << COPY_BITS) - 1n)) - 1;
  const process = Number((given >> COPY_BITS) & ((1n << PROCESS_BITS) - 1n));
  const cursor = given >> (COPY_BITS + PROCESS_BITS);
  return copy < 0 || cursor === 0n ? null : { cursor, reader: { copy, process } };
}

/** The reply `*2 cursor elements`, with the cursor as clients see it. */
function withCursor(reply: Uint8Array, { copy, process }: Reader): Uint8Array {
  if (isError(reply, 0)) return reply;
  const [cursor, elements] = elementsOf(reply) as [Uint8Array, Uint8Array];
  const inner = BigInt(textOf(bulkOf(cursor)));
  if (inner === 0n) return reply;
  const outer = (inner << (COPY_BITS + PROCESS_BITS)) | (BigInt(process) << COPY_BITS) | BigInt(copy + 1);
  return Buffer.concat([TWO, bulkReply(outer.toString()), elements]);
}
