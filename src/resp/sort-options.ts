/** What SORT and SORT_RO are to do, as Redis's sortCommandGeneric reads it. */
import { patternOf, type SortPattern } from './sort-patterns.js';

export interface SortOptions {
  /** What it is sorted by; null: by the elements. */
  by: SortPattern | null;
  /** It has a BY without `*`, whatever else it has. */
  isUnsorted: boolean;
  gets: readonly SortPattern[];
  isAlpha: boolean;
  isReversed: boolean;
  /** Of LIMIT; count -1: all. */
  start: number;
  count: number;
  /** The key that is written, or null. */
  store: Uint8Array | null;
  /** The words of the options, but for STORE: a node can say what is wrong with them without writing. */
  checked: readonly Uint8Array[];
}

/**
 * `words`: with the command's name and its key. What Redis would not understand is passed over: it is in `checked`, and a node that is
 * asked says so.
 */
export function sortOptions(words: readonly Uint8Array[]): SortOptions {
  const isReadonly = textOf(words[0] as Uint8Array) === 'sort_ro';
  const gets: SortPattern[] = [];
  const checked: Uint8Array[] = [];
  const found = { isUnsorted: false, isAlpha: false, isReversed: false, start: 0, count: -1 };
  let by: SortPattern | null = null;
  let store: Uint8Array | null = null;
  for (let at = 2; at < words.length; at++) {
    // Of Redis's C strings a NUL is the end.
    const option = textOf(words[at] as Uint8Array).split('\0')[0];
    const [first, second] = words.slice(at + 1, at + 3);
    const from = at;
    if (option === 'asc' || option === 'desc') found.isReversed = option === 'desc';
    else if (option === 'alpha') found.isAlpha = true;
    else if (option === 'limit' && first !== undefined && second !== undefined) {
      found.start = Number(textOf(first));
      found.count = Math.max(Number(textOf(second)), -1);
      at += 2;
    } else if (option === 'store' && first !== undefined && !isReadonly) {
      store = first;
      at += 1;
      continue;
    } else if (option === 'by' && first !== undefined) {
      by = patternOf(first);
      // A later BY does not take it back.
      if (by.kind !== 'key') found.isUnsorted = true;
      at += 1;
    } else if (option === 'get' && first !== undefined) {
      gets.push(patternOf(first));
      at += 1;
    }
    checked.push(...words.slice(from, at + 1));
  }
  return { ...found, by, gets, store, checked };
}

function textOf(word: Uint8Array): string {
  return Buffer.from(word).toString('latin1').toLowerCase();
}
