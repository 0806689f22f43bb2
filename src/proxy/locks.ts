/**
 * Commands on the keys of a keyspace with `mode: lock`: each is asked of all nodes of its key, and answered by a majority of them.
 */
import type { Pending, PendingPool } from '../backend/pending.js';
import type { LockKeyspace } from '../lock/lock-keyspace.js';
import { lockFormOf } from '../lock/lock-keyspace-forms.js';
import type { CommandSpec } from '../resp/commands.js';
import { errorReply } from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';
import type { LockSets } from '../routing/copy-sets.js';
import { type KeyLocator, ROUTES_WITH_KEYS } from './key-locator.js';
import { requestWords } from './request-words.js';
import type { ScriptCalls } from './script-calls.js';
import type { Service } from './service.js';
import type { Session } from './session.js';

/** The keys of a command, all of which are locks on the same nodes. */
interface FoundLocks {
  lockSets: LockSets;
  /** Where in its owners their nodes begin. */
  at: number;
  count: number;
}

export interface LocksContext {
  bytes: Uint8Array;
  reader: RequestReader;
  scripts: ScriptCalls;
  locator: KeyLocator;
  pendings: PendingPool;
  lockKeyspace: LockKeyspace;
  now: () => number;
}

/** A lock's command is small: a token, a script. What is larger would be sent to each node, and kept until all have answered. */
const REQUEST_BYTES_MAX = 64 * 1024;
const KEYS_MAX = 256;
const TOO_LARGE = errorReply(`ERR a command on locks may have ${REQUEST_BYTES_MAX} bytes and ${KEYS_MAX} keys`);

const OTHER_DATABASE = errorReply('ERR locks are in database 0 only');
const TRACKING = errorReply('ERR locks are not tracked: turn CLIENT TRACKING off to use them');
const MIXED = errorReply(
  'CROSSSLOT Some of the keys are locks and others are not: a command may have keys of one kind',
);
const APART = errorReply(
  'CROSSSLOT The locks are not all on the same nodes: a {hash tag} keeps them together, and so does a keyspace without copies',
);
const KEYLESS = errorReply('ERR a script without keys may change locks on one node alone: name the keys that it uses');

export class Locks {
  private readonly context: LocksContext;

  constructor(context: LocksContext) {
    this.context = context;
  }

  /** Carries out the command last read, if its keys are locks. False: they are not, or it has none. */
  carryOut(session: Session, service: Service, spec: CommandSpec, requestBytes: number): boolean {
    const found = spec.route === 'transaction' ? null : this.find(session, service, spec);
    if (found === null) return false;
    if (found instanceof Uint8Array) {
      session.reply(found);
      return true;
    }
    const { lockSets: sets, at, count } = found;
    if (requestBytes > REQUEST_BYTES_MAX || count > KEYS_MAX) {
      session.reply(TOO_LARGE);
      return true;
    }
    const { reader, bytes, pendings, lockKeyspace, scripts, now } = this.context;
    const words = requestWords(reader, bytes);
    const form = lockFormOf(spec.name, words, count, sets.ttlMaxMs);
    if (form instanceof Uint8Array) {
      session.reply(form);
      return true;
    }
    if (form.kind === 'script') {
      const whole = scripts.wholeWords(session, spec, words);
      if (whole !== words && bytesOf(whole) <= REQUEST_BYTES_MAX) form.whole = whole;
    }
    const pending: Pending = pendings.take(session, now(), spec.write);
    session.track(pending, requestBytes);
    const { protocol } = session;
    const mustWait = lockKeyspace.ask({ sets, at, form, asker: session, protocol }, (reply) =>
      session.answer(pending, reply),
    );
    if (mustWait) session.waitForReplies();
    return true;
  }

  /** Why the command last read may not stand in a transaction, or null. WATCH is refused with it. */
  transactionRefusal(session: Session, service: Service, spec: CommandSpec): Uint8Array | null {
    const found = this.find(session, service, spec);
    if (found === null || found instanceof Uint8Array) return found;
    const what = spec.name === 'watch' ? 'WATCH' : `${nameOf(spec)} inside MULTI`;
    return errorReply(
      `ERR ${what} is not for locks: their nodes carry out each command on its own; a script does several things at once`,
    );
  }

  /** The locks among the keys of the command last read: null where there are none, an error where they cannot be used together. */
  private find(session: Session, service: Service, spec: CommandSpec): FoundLocks | Uint8Array | null {
    if (spec.keys === 'none' || !ROUTES_WITH_KEYS.has(spec.route)) return null;
    const { bytes, reader, locator } = this.context;
    const { argumentStart, argumentEnd } = reader;
    const count = locator.locate(service, spec);
    if (count === 0 && spec.write && service.isHomeCopied) return KEYLESS;
    if (count <= 0) return null;
    let lockSets: LockSets | null = null;
    let [first, locks, areTogether] = [-1, 0, true];
    for (let index = 0; index < count; index++) {
      const argument = locator.keys.positions[index] as number;
      const [start, end] = [argumentStart[argument] as number, argumentEnd[argument] as number];
      const sets = service.lockSetsOf(bytes, start, end);
      if (sets === null) continue;
      const at = sets.find(bytes, start, end);
      if (lockSets === null) [lockSets, first] = [sets, at];
      areTogether &&= lockSets === sets && sets.areTogether(first, at);
      locks++;
    }
    if (lockSets === null) return null;
    if (locks < count) return locator.stray(service, count) ?? MIXED;
    if (!areTogether) return APART;
    if (session.database !== 0) return OTHER_DATABASE;
    if (session.tracking !== null) return TRACKING;
    return { lockSets, at: first, count };
  }
}

function bytesOf(words: readonly Uint8Array[]): number {
  return words.reduce((bytes, { length }) => bytes + length, 0);
}

/** `CLIENT LIST` */
function nameOf({ name }: CommandSpec): string {
  return name.toUpperCase().replace('|', ' ');
}
