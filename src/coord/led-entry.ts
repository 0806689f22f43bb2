/**
 * An entry that only leaders write, and that says in which term it was written last. A new leader seals it by its own term before it acts
 * by what it has: what a former one has sent goes by a version that is used up, however late it comes, and what it sends when it has
 * seen the seal is refused.
 *
 *   entry   7 term 3 "a" ──sealed──> 9 term 8 "a" ──written──> 12 term 8 "b"        the leader of term 3 writes by version 7: a conflict
 */
import type { Key } from './key.js';
import type { Entry, Store } from './store.js';
import { StoreError } from './store-error.js';

export interface LedValue {
  readonly term: number;
  /** Null: nothing was written ever. */
  readonly value: string | null;
}

export class LedEntry {
  private readonly store: Store;
  private readonly key: Key;
  private readonly term: number;
  private version: number;
  private isWriting = false;

  private constructor(store: Store, key: Key, term: number, version: number) {
    this.store = store;
    this.key = key;
    this.term = term;
    this.version = version;
  }

  /**
   * Seals it by that term, which is the caller's own. Resolves with what it has: no other leader changes that any more, but one of a later term.
   * Rejects with a StoreError: `refused` where it has a later term.
   */
  static async seal(store: Store, key: Key, term: number): Promise<{ entry: LedEntry; value: string | null }> {
    for (let found = decode(key, await store.get(key)); ; ) {
      checkTerm(key, term, found.term);
      const { value } = found;
      const written = await store.compareAndSet(key, found.version, encode({ term, value }));
      if (written.kind === 'done') return { entry: new LedEntry(store, key, term, written.version), value };
      found = decode(key, written.found);
    }
  }

  /**
   * Resolves when it is there. Rejects with a StoreError: `refused` where a later term has sealed it; `unknown`, `unavailable`: it may be
   * written again. One write at a time.
   */
  async write(value: string): Promise<void> {
    if (this.isWriting) throw new Error('an entry of a leader is written by one write at a time');
    this.isWriting = true;
    try {
      await this.writeNow(value);
    } finally {
      this.isWriting = false;
    }
  }

  private async writeNow(value: string): Promise<void> {
    const { store, key, term } = this;
    for (;;) {
      const written = await store.compareAndSet(key, this.version, encode({ term, value }));
      if (written.kind === 'done') {
        this.version = written.version;
        return;
      }
      const found = decode(key, written.found);
      checkTerm(key, term, found.term);
      // A write before was done without our knowing.
      this.version = found.version;
    }
  }
}

/** What leaders have written there, at some moment of the call. Rejects with a StoreError. */
export async function readLed(store: Store, key: Key): Promise<LedValue> {
  const { term, value } = decode(key, await store.get(key));
  return { term, value };
}

/** Throws a StoreError, `refused`, where the term found is later than one's own. */
function checkTerm({ folder, name }: Key, own: number, found: number): void {
  if (found <= own) return;
  throw new StoreError('refused', `${folder}/${name} has been sealed by the leader of term ${found}: ${own} is over`);
}

function encode({ term, value }: LedValue): string {
  return value === null ? `${term}` : `${term} ${value}`;
}

/** Term 0: nothing is there. Throws a StoreError, `refused`, for what no leader wrote. */
function decode({ folder, name }: Key, { version, value: text }: Entry): LedValue & { version: number } {
  if (text === null) return { version, term: 0, value: null };
  const [, term, , value = null] = /^(\d{1,16})( (.*))?$/s.exec(text) ?? [];
  if (term === undefined) throw new StoreError('refused', `${folder}/${name} was written by no leader`);
  return { version, term: Number(term), value };
}
