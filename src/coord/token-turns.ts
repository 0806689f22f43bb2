/** What is done about a lock by one token: one after the other, in the order of asking. */

export class TokenTurns {
  /** By lock and token, when the last that was asked for is over. */
  private readonly last = new Map<string, Promise<void>>();

  /** Does `work` when all is over that was asked for before: at once, where nothing is under way. */
  async take<A>(name: string, token: string, work: () => Promise<A>): Promise<A> {
    const key = `${name.length} ${name}${token}`;
    const before = this.last.get(key);
    const own = before === undefined ? work() : before.then(work);
    const over = own.then(
      () => {},
      // Who asked for it hears of that.
      () => {},
    );
    this.last.set(key, over);
    try {
      return await own;
    } finally {
      if (this.last.get(key) === over) this.last.delete(key);
    }
  }
}
