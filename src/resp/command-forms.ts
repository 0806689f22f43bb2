/** Forms of commands that the proxy refuses although it serves the command: they block, or read what lies elsewhere. */

import type { CommandSpec } from './command-spec.js';
import { argumentIs } from './command-words.js';

/**
 * The error line (without the leading minus) for a command whose form is not served, else null. To be asked when
 * `spec.refusable`. Arguments as in `findKeys`; malformed ones are not refused: a node says what is wrong with them.
 */
export function refusedForm(
  spec: CommandSpec,
  bytes: Uint8Array,
  argumentStart: Int32Array,
  argumentEnd: Int32Array,
  argumentCount: number,
): string | null {
  const name = spec.name.toUpperCase();
  if (isBlockingForm(spec, bytes, argumentStart, argumentEnd, argumentCount)) {
    return `ERR ${name} with BLOCK is not supported by this proxy: commands that block are still to come`;
  }
  if (spec.name === 'sort' || spec.name === 'sort_ro') {
    if (!sortReadsOtherKeys(bytes, argumentStart, argumentEnd, argumentCount)) return null;
    return `ERR ${name} with patterns of BY or GET is not supported by this proxy: they read keys of other shards`;
  }
  if (spec.name === 'copy' && copiesElsewhere(bytes, argumentStart, argumentEnd, argumentCount)) {
    return 'ERR COPY to another database is not supported by this proxy: only database 0 is served';
  }
  return null;
}

/** Whether the command may block: all of BLPOP and its like, XREAD and XREADGROUP only with BLOCK. */
export function isBlockingForm(
  spec: CommandSpec,
  bytes: Uint8Array,
  argumentStart: Int32Array,
  argumentEnd: Int32Array,
  argumentCount: number,
): boolean {
  if (!spec.blocking) return false;
  if (spec.name !== 'xread' && spec.name !== 'xreadgroup') return true;
  for (let i = 1; i < argumentCount; i += 1) {
    const start = argumentStart[i] as number;
    const end = argumentEnd[i] as number;
    if (argumentIs(bytes, start, end, 'streams')) return false;
    if (argumentIs(bytes, start, end, 'block')) return true;
    if (argumentIs(bytes, start, end, 'count')) i += 1;
    else if (argumentIs(bytes, start, end, 'group')) i += 2;
  }
  return false;
}

/** Redis looks a BY or GET pattern up only when it has a `*`; without one BY means "do not sort" and GET yields nil. */
function sortReadsOtherKeys(
  bytes: Uint8Array,
  argumentStart: Int32Array,
  argumentEnd: Int32Array,
  argumentCount: number,
): boolean {
  for (let i = 2; i + 1 < argumentCount; i += 1) {
    const start = argumentStart[i] as number;
    const end = argumentEnd[i] as number;
    if (argumentIs(bytes, start, end, 'limit')) i += 2;
    else if (argumentIs(bytes, start, end, 'store')) i += 1;
    else if (argumentIs(bytes, start, end, 'by') || argumentIs(bytes, start, end, 'get')) {
      i += 1;
      const star = bytes.indexOf(0x2a, argumentStart[i] as number);
      if (star >= 0 && star < (argumentEnd[i] as number)) return true;
    }
  }
  return false;
}

/** `COPY source destination [DB n] [REPLACE]`: any number above 0. What Redis takes for no number, it refuses itself. */
function copiesElsewhere(
  bytes: Uint8Array,
  argumentStart: Int32Array,
  argumentEnd: Int32Array,
  argumentCount: number,
): boolean {
  for (let i = 3; i + 1 < argumentCount; i += 1) {
    if (!argumentIs(bytes, argumentStart[i] as number, argumentEnd[i] as number, 'db')) continue;
    i += 1;
    if (isPositiveNumber(bytes, argumentStart[i] as number, argumentEnd[i] as number)) return true;
  }
  return false;
}

/** Digits without a leading zero. */
function isPositiveNumber(bytes: Uint8Array, start: number, end: number): boolean {
  if (start === end || bytes[start] === 0x30) return false;
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at] as number;
    if (byte < 0x30 || byte > 0x39) return false;
  }
  return true;
}
