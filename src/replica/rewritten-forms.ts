/** Commands that are sent by another name, since theirs promises to write, and those that only some of their forms are for. */
import { findCommand } from '../resp/commands.js';
import { mayReplicate } from '../resp/may-replicate.js';
import { errorReply, type Protocol } from '../resp/reply.js';
import type { Command } from './commands.js';
import { atOneNode, everywhere, type KeyOperation, reading } from './key-operation.js';
import { integerOf, isWord, word } from './words.js';

const PFCOUNT = word('PFCOUNT');
const SORT_RO = word('SORT_RO');
const BITFIELD_RO = word('BITFIELD_RO');

const EVAL = word('EVAL');
const EVAL_SPEC = findCommand(EVAL, 0, EVAL.length);

/**
 * PFCOUNT of one key writes what it has counted into the key, so that GET would differ from node to node. Of two it merges
 * them aside and counts the same: so it is asked of the key twice.
 */
export function pfcountForm(words: Command, protocol: Protocol): KeyOperation {
  const [, key] = words as [Uint8Array, Uint8Array];
  return reading(words.length === 2 ? [PFCOUNT, key, key] : words, protocol, true);
}

/** SORT: with STORE one node sorts, since the locale of its environment decides what ALPHA means. */
export function sortForm(words: Command, protocol: Protocol): KeyOperation {
  for (let at = 2; at < words.length; at++) {
    const option = words[at];
    if (isWord(option, 'store')) return atOneNode(words, protocol);
    if (isWord(option, 'limit')) at += 2;
    else if (isWord(option, 'by') || isWord(option, 'get')) at += 1;
  }
  return reading([SORT_RO, ...words.slice(1)], protocol, false);
}

/** GEORADIUS and GEORADIUSBYMEMBER, whose options begin at `optionsAt`. */
export function geoRadiusForm(
  readOnlyName: string,
  optionsAt: number,
): (words: Command, protocol: Protocol) => KeyOperation {
  const name = word(readOnlyName);
  return (words, protocol) => {
    const stores = words.some(
      (option, at) => at >= optionsAt && (isWord(option, 'store') || isWord(option, 'storedist')),
    );
    return stores ? everywhere(words, protocol) : reading([name, ...words.slice(1)], protocol, true);
  };
}

/** BITFIELD that only gets. */
export function bitfieldForm(words: Command, protocol: Protocol): KeyOperation {
  for (let at = 2; at < words.length; at += 3) {
    if (!isWord(words[at], 'get') || at + 2 >= words.length) return everywhere(words, protocol);
  }
  return reading([BITFIELD_RO, ...words.slice(1)], protocol, true);
}

/** COPY onto itself is an error of Redis's; into another database, of ours. */
export function copyForm(words: Command, protocol: Protocol): KeyOperation | Uint8Array {
  for (let at = 3; at + 1 < words.length; at++) {
    if (!isWord(words[at], 'db')) continue;
    if (integerOf(words[at + 1] as Uint8Array) !== 0n) return ONE_DATABASE;
    at++;
  }
  return everywhere(words, protocol);
}

/** MOVE. */
export function moveForm(): Uint8Array {
  return ONE_DATABASE;
}

const ONE_DATABASE = errorReply('ERR replicated keyspaces exist in database 0 only');

/** EVAL of a script that says in its first line that it does not write is a read. */
export function scriptForm(words: Command, protocol: Protocol): KeyOperation {
  const script = words[1] as Uint8Array;
  const start = new Int32Array(2);
  const end = new Int32Array([0, script.length]);
  if (EVAL_SPEC === null || mayReplicate(EVAL_SPEC, script, start, end)) return atOneNode(words, protocol);
  return reading(words, protocol, false);
}
