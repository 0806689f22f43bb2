/** What one worker refused to users, for ACL LOG: the latest first, and what was refused again within a while once. */
import type { Refusal } from '../messages.js';

/** As Redis's acllog-max-len. */
export const REFUSALS_MAX = 128;
/** Of the name of a command, a key or a channel, and of a user. */
const WORD_CHARACTERS_MAX = 1024;
/** What is refused again within so many milliseconds is the same entry. */
const SAME_MS_MAX = 60_000;

export class RefusalLog {
  private refusals: Refusal[] = [];

  /** `refusal` is the latest. What it names is cut short: clients choose it. */
  note(refusal: Refusal): void {
    const object = refusal.object.slice(0, WORD_CHARACTERS_MAX);
    const user = refusal.user.slice(0, WORD_CHARACTERS_MAX);
    const noted = { ...refusal, object, user };
    const { refusals } = this;
    const place = refusals.findIndex((earlier) => isSame(noted, earlier));
    if (place >= 0) noted.count += (refusals.splice(place, 1)[0] as Refusal).count;
    else if (refusals.length === REFUSALS_MAX) refusals.pop();
    refusals.unshift(noted);
  }

  all(): readonly Refusal[] {
    return this.refusals;
  }

  clear(): void {
    this.refusals = [];
  }
}

/** Those of all workers as one worker would have noted them. */
export function merged(refusals: readonly Refusal[]): Refusal[] {
  const found: Refusal[] = [];
  for (const refusal of [...refusals].sort((a, b) => b.atMs - a.atMs)) {
    const same = found.findIndex((later) => isSame(later, refusal));
    const later = found[same];
    if (later !== undefined) found[same] = { ...later, count: later.count + refusal.count };
    else if (found.length < REFUSALS_MAX) found.push(refusal);
  }
  return found;
}

function isSame(later: Refusal, earlier: Refusal): boolean {
  return (
    later.reason === earlier.reason &&
    later.context === earlier.context &&
    later.object === earlier.object &&
    later.user === earlier.user &&
    later.atMs - earlier.atMs <= SAME_MS_MAX
  );
}
