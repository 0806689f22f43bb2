/**
 * Votes that come when the client has been answered already: what they tell of as written has to be taken back, too, but only while the same
 * client has not asked anything more of the same locks. What it asks later may write the same again, and that must stay.
 */

/** What was asked, and by whom. */
export interface Asked {
  /** Whoever asks the same way is the same client. */
  readonly asker: object;
  /** A character a byte. */
  readonly keys: readonly string[];
  /** All of them, with their lengths: who asks the very same by another way may be the same client, too. */
  readonly text: string;
}

export interface Latecomer extends Asked {
  /** Nothing of it is to be taken back any more. */
  forgo(): void;
}

export class LateVotes {
  private readonly byKey = new Map<string, Set<Latecomer>>();

  /** Until `remove`. As many as commands that nodes owe an answer to, which is bounded by what may wait for a node. */
  add(latecomer: Latecomer): void {
    for (const key of latecomer.keys) {
      const others = this.byKey.get(key);
      if (others === undefined) this.byKey.set(key, new Set([latecomer]));
      else others.add(latecomer);
    }
  }

  remove(latecomer: Latecomer): void {
    for (const key of latecomer.keys) {
      const others = this.byKey.get(key);
      others?.delete(latecomer);
      if (others?.size === 0) this.byKey.delete(key);
    }
  }

  /** Something is asked of these locks: to be called before it goes to any node. */
  onAsked({ asker, keys, text }: Asked): void {
    if (this.byKey.size === 0) return;
    for (const key of keys) {
      for (const latecomer of [...(this.byKey.get(key) ?? [])]) {
        if (latecomer.asker === asker || latecomer.text === text) latecomer.forgo();
      }
    }
  }

  get size(): number {
    return this.byKey.size;
  }
}
