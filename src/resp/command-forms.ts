/** Forms of commands that the proxy carries out in another way than their other forms, or refuses. */

import type { CommandSpec } from './command-spec.js';
import { argumentIs } from './command-words.js';
import { settingRefusal } from './node-settings.js';

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
  if (spec.name === 'sort' || spec.name === 'sort_ro') {
    if (!readsOtherKeys(spec, bytes, argumentStart, argumentEnd, argumentCount)) return null;
    return `ERR ${name} with patterns of BY or GET is not supported by this proxy inside MULTI, with RL.FENCED, and where some keys are replicated or locks: they may read keys of other shards`;
  }
  if (spec.name === 'config|set') {
    // CONFIG SET name value [name value …]
    for (let index = 2; index < argumentCount; index += 2) {
      const argument = bytes.subarray(argumentStart[index], argumentEnd[index]);
      const parameter = Buffer.from(argument).toString('latin1').toLowerCase();
      const reason = settingRefusal(parameter);
      if (reason !== null) return `ERR CONFIG SET ${parameter} is not supported by this proxy: ${reason}`;
    }
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

/** Whether patterns name more keys than `findKeys` finds. Of a command with `hasPatterns`. */
export function readsOtherKeys(
  spec: CommandSpec,
  bytes: Uint8Array,
  argumentStart: Int32Array,
  argumentEnd: Int32Array,
  argumentCount: number,
): boolean {
  if (!spec.hasPatterns) return false;
  return otherKeyPatterns(bytes, argumentStart, argumentEnd, argumentCount).length > 0;
}

/**
 * Which arguments of SORT are patterns that name keys. Redis looks a BY or GET pattern up only when it has a `*`, before any NUL;
 * without one BY means "do not sort" and GET yields nil.
 */
export function otherKeyPatterns(
  bytes: Uint8Array,
  argumentStart: Int32Array,
  argumentEnd: Int32Array,
  argumentCount: number,
): number[] {
  const patterns: number[] = [];
  for (let i = 2; i + 1 < argumentCount; i += 1) {
    const start = argumentStart[i] as number;
    const end = argumentEnd[i] as number;
    if (argumentIs(bytes, start, end, 'limit')) i += 2;
    else if (argumentIs(bytes, start, end, 'store')) i += 1;
    else if (argumentIs(bytes, start, end, 'by') || argumentIs(bytes, start, end, 'get')) {
      i += 1;
      const pattern = bytes.subarray(argumentStart[i], argumentEnd[i]);
      const star = pattern.indexOf(0x2a);
      if (star >= 0 && !pattern.subarray(0, star).includes(0)) patterns.push(i);
    }
  }
  return patterns;
}
