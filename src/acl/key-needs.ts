/** What a command needs to be allowed for each of its keys: to read it, to write it, both, or either. By Redis's key specifications. */
import { COMMAND_FLAG, type CommandSpec, type KeySpec } from '../resp/command-spec.js';
import { argumentIs } from '../resp/command-words.js';

export const READ = 1;
export const WRITE = 2;

/** Where the arguments of a command lie: argument i is bytes[starts[i], ends[i]), its name is argument 0. */
export interface Arguments {
  readonly bytes: Uint8Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  readonly count: number;
}

/** The needs, READ and WRITE as bits, of the key that is argument `position`; 0: it must be allowed to do either. */
export function needOf(spec: CommandSpec, position: number, args: Arguments): number {
  switch (spec.name) {
    // Their specifications leave it to the arguments (`variable_flags`), or do not find all keys.
    case 'set':
      return hasGet(args) ? READ | WRITE : WRITE;
    case 'bitfield':
      return onlyGets(args) ? READ : READ | WRITE;
    case 'sort':
    case 'georadius':
    case 'georadiusbymember':
      return position === 1 ? READ : WRITE;
    default:
      for (const keySpec of spec.keySpecs) if (covers(keySpec, position, args.count)) return needs(keySpec);
      // Of keys that no specification tells of.
      return (spec.flags & COMMAND_FLAG.write) === 0 ? READ : READ | WRITE;
  }
}

function covers({ begin, find }: KeySpec, position: number, count: number): boolean {
  if (begin.kind !== 'index') return begin.kind === 'keyword';
  if (find.kind === 'unknown') return false;
  if (find.kind === 'keynum') return position >= begin.index + find.first;
  const last = find.last < 0 ? count + find.last : begin.index + find.last;
  return position >= begin.index && position <= last;
}

function needs({ flags }: KeySpec): number {
  const writes = flags.some((flag) => flag === 'update' || flag === 'insert' || flag === 'delete');
  return (flags.includes('access') ? READ : 0) | (writes ? WRITE : 0);
}

/** SET key value … GET */
function hasGet(args: Arguments): boolean {
  for (let index = 3; index < args.count; index++) if (isWord(args, index, 'get')) return true;
  return false;
}

/** BITFIELD key [GET type offset | OVERFLOW how] … */
function onlyGets(args: Arguments): boolean {
  let index = 2;
  while (index < args.count) {
    const left = args.count - index - 1;
    if (isWord(args, index, 'get') && left >= 2) index += 3;
    else if (isWord(args, index, 'overflow') && left >= 1) index += 2;
    else return false;
  }
  return true;
}

function isWord({ bytes, starts, ends }: Arguments, index: number, word: string): boolean {
  return argumentIs(bytes, starts[index] as number, ends[index] as number, word);
}
