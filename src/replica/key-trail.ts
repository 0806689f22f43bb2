/**
 * What nodes have told of their keys, page by page, as much as it takes to know afterwards which pages have keys that other nodes have not, or
 * have otherwise. So these alone are asked for again.
 *
 *   a page, of each of its keys: range, and the hash of the key and its version: low, high
 */
import { writeHash } from './range-digests.js';

const WORDS = 3;
/** That each key of a page takes. */
export const TRAIL_KEY_BYTES = WORDS * Uint32Array.BYTES_PER_ELEMENT;

/** One page, as it is filled. It is shared with other threads. */
export class TrailPage {
  private readonly words: Uint32Array;
  private end = 0;

  constructor(keysMax: number) {
    this.words = new Uint32Array(new SharedArrayBuffer(keysMax * TRAIL_KEY_BYTES));
  }

  /** `key`, `version`: a character a byte. `see` is told the hash. */
  add(range: number, key: string, version: string, see: (low: number, high: number) => void): void {
    const { words, end } = this;
    words[end] = range;
    writeHash(words, end + 1, key, version);
    see(words[end + 1] as number, words[end + 2] as number);
    this.end += WORDS;
  }

  /** All that was added. */
  get told(): Uint32Array {
    return this.words.subarray(0, this.end);
  }
}

/**
 * Of each node the places of those of its pages that have a key which another one should have, too, and has not told so. `holders`: of each range that
 * is looked at, which of the nodes, by their places in `told`, have copies. Two hashes are taken for the same if they are in 53 bits.
 */
export function pagesThatDiffer(
  told: readonly (readonly Uint32Array[])[],
  holders: ReadonlyMap<number, readonly number[]>,
): number[][] {
  /** By hash, how many nodes have told it. */
  const counts = new Map<number, number>();
  for (const [node, pages] of told.entries()) {
    // A scan may tell a key twice.
    const own = new Set<number>();
    for (const page of pages) for (const { hash } of keysIn(page, node, holders)) own.add(hash);
    for (const hash of own) counts.set(hash, (counts.get(hash) ?? 0) + 1);
  }
  const differs = (page: Uint32Array, node: number) => {
    for (const { hash, copies } of keysIn(page, node, holders)) if ((counts.get(hash) as number) < copies) return true;
    return false;
  };
  return told.map((pages, node) => pages.flatMap((page, place) => (differs(page, node) ? [place] : [])));
}

function* keysIn(
  page: Uint32Array,
  node: number,
  holders: ReadonlyMap<number, readonly number[]>,
): Generator<{ hash: number; copies: number }> {
  for (let at = 0; at < page.length; at += WORDS) {
    const nodes = holders.get(page[at] as number);
    if (nodes?.includes(node) !== true) continue;
    yield { hash: (page[at + 2] as number) * 2 ** 21 + ((page[at + 1] as number) >>> 11), copies: nodes.length };
  }
}
