/**
 * Those that wait for answers, to be shown the time now and then.
 *
 * Not a Set: V8 has a Set that things come to and go from move to a new table again and again, and each old table knows the
 * next. Once one of them has grown old, all that was in any after it lives until the next full collection: of the processor time
 * of a strong SET a third went to the collector.
 */

export interface Member {
  /** The roster's own: where it stands there. */
  place: number;
}

export class Roster<T extends Member> {
  private readonly members: T[] = [];

  get size(): number {
    return this.members.length;
  }

  /** `member` stands in no roster. */
  add(member: T): void {
    member.place = this.members.length;
    this.members.push(member);
  }

  /** `member` stands in this one. */
  remove(member: T): void {
    const { members } = this;
    const { place } = member;
    if (members[place] !== member) throw new Error('who does not stand in the roster was to be taken out of it');
    const last = members.pop() as T;
    if (last === member) return;
    members[place] = last;
    last.place = place;
  }

  /** Meanwhile any may go, and others come, which are left out. */
  each(act: (member: T) => void): void {
    const { members } = this;
    // Who goes is replaced by the last: backwards none is passed over.
    for (let place = members.length - 1; place >= 0; place--) {
      const member = members[place];
      if (member !== undefined) act(member);
    }
  }
}
