/** Forms of commands that the proxy carries out in another way than their other forms, or refuses. */

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
  if (spec.name === 'sort' || spec.name === 'sort_ro') {
    if (!sortReadsOtherKeys(bytes, argumentStart, argumentEnd, argumentCount)) return null;
    return `ERR ${name} with patterns of BY or GET is not supported by this proxy: they read keys of other shards`;
  }
  if (spec.name === 'config|set') {
    // CONFIG SET name value [name value …]
    for (let index = 2; index < argumentCount; index += 2) {
      const argument = bytes.subarray(argumentStart[index], argumentEnd[index]);
      const parameter = Buffer.from(argument).toString('latin1').toLowerCase();
      if (OF_ONE_NODE.test(parameter))
        return `ERR CONFIG SET ${parameter} is not supported by this proxy: it is about one node; connect to the node itself`;
    }
  }
  return null;
}

/** What two nodes cannot share, and by what the proxy reaches them. */
const OF_ONE_NODE =
  /^(port|tls-port|bind|bind-source-addr|dir|dbfilename|requirepass|master(auth|user)|(replica|slave|cluster)-announce-.*)$/;

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
