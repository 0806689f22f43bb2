/**
 * Whether a user may give the command last read. Asked only where the user has not all rights, or the client is nobody yet (Session.isFree).
 *
 * What a script does is seen by nobody but the node, where it runs with the rights of the proxy: so only who has all rights may run one.
 */
import type { Arguments } from '../acl/key-needs.js';
import type { Denial } from '../acl/selector.js';
import { DEFAULT_USER, type User } from '../acl/user.js';
import type { Refusal } from '../messages.js';
import { findKeys, KeyList } from '../resp/command-keys.js';
import { argumentIs } from '../resp/command-words.js';
import { arityFits, type CommandSpec, findCommand, findSubcommand } from '../resp/commands.js';
import { FENCED } from '../resp/own-commands.js';
import type { RequestReader } from '../resp/request.js';
import { clientLine } from './client-line.js';
import { WORDS_BEFORE_FENCED } from './fenced.js';
import type { RefusalLog } from './refusal-log.js';
import type { Session } from './session.js';

export interface PermissionsContext {
  bytes: Uint8Array;
  reader: RequestReader;
  refusals: RefusalLog;
  /** By the transport's clock. */
  now: () => number;
  /** Milliseconds since 1970. */
  clock: () => number;
}

const SCRIPTS = /^(eval|evalsha|fcall)(_ro)?$/;

/** As Redis says it of the command last read. */
const TEXTS = {
  command: (name: string) => `NOPERM this user has no permissions to run the '${name}' command`,
  key: () => 'NOPERM this user has no permissions to access one of the keys used as arguments',
  channel: () => 'NOPERM this user has no permissions to access one of the channels used as arguments',
} as const;

export class Permissions {
  private readonly context: PermissionsContext;
  private readonly keys = new KeyList();

  constructor(context: PermissionsContext) {
    this.context = context;
  }

  /** Why the command last read is not for the session's user, in an error line without the leading minus; or null. */
  refusal(session: Session, spec: CommandSpec): string | null {
    const { bytes, reader } = this.context;
    const { argumentStart: starts, argumentEnd: ends, argumentCount: count } = reader;
    const args = { bytes, starts, ends, count };
    const denial = denialOf(session.user, spec, args, this.keys);
    if (denial !== null) return this.refuse(session, denial, spec.name, args);
    if (spec.name === FENCED) return this.refusalOfFenced(session, args);
    if (SCRIPTS.test(spec.name)) {
      return `NOPERM scripts of user ${session.user.name} are refused by this proxy: a node would run them with all rights, which this user has not`;
    }
    return spec.name === 'sort' || spec.name === 'sort_ro' ? refusalOfSort(session.user, spec, args, this.keys) : null;
  }

  /** Notes that the client said who it is, and was wrong. */
  noteAuth(session: Session, user: string | null): void {
    const { bytes, reader } = this.context;
    const { argumentStart: starts, argumentEnd: ends, argumentCount: count } = reader;
    this.note(session, 'auth', textOf({ bytes, starts, ends, count }, 0), user ?? DEFAULT_USER);
  }

  /** RL.FENCED lock fence command …: the name of the lock is a key, and the command is one that the user gives. */
  private refusalOfFenced(session: Session, args: Arguments): string | null {
    if (!session.user.allowsKey(args, 1, 0)) return this.refuse(session, { kind: 'key', argument: 1 }, FENCED, args);
    const { bytes, starts, ends, count } = args;
    const inner = {
      bytes,
      starts: starts.subarray(WORDS_BEFORE_FENCED),
      ends: ends.subarray(WORDS_BEFORE_FENCED),
      count: count - WORDS_BEFORE_FENCED,
    };
    const spec = specOf(inner);
    // What is no command, or has not the arguments of one, is refused for that.
    if (spec === null || !arityFits(spec, inner.count)) return null;
    const denial = denialOf(session.user, spec, inner, this.keys);
    return denial === null ? null : this.refuse(session, denial, spec.name, inner);
  }

  private refuse(session: Session, { kind, argument }: Denial, name: string, args: Arguments): string {
    this.note(session, kind, kind === 'command' ? name : textOf(args, argument), session.user.name);
    return TEXTS[kind](name);
  }

  private note(session: Session, reason: Refusal['reason'], object: string, user: string): void {
    const { refusals, now, clock } = this.context;
    const context = session.transaction === null ? 'toplevel' : 'multi';
    refusals.note({ reason, context, object, user, count: 1, atMs: clock(), client: clientLine(session, now()) });
  }
}

/** The command that these arguments are, or null. */
export function specOf({ bytes, starts, ends, count }: Arguments): CommandSpec | null {
  const spec = findCommand(bytes, starts[0] as number, ends[0] as number);
  if (spec === null || spec.subcommands === null || count < 2) return spec;
  return findSubcommand(spec, bytes, starts[1] as number, ends[1] as number);
}

/** What of a command, which has a right number of arguments, is not for `user`; or null. `keys` is for the work. */
export function denialOf(user: User, spec: CommandSpec, args: Arguments, keys: KeyList): Denial | null {
  const keyCount = findKeys(spec, args.bytes, args.starts, args.ends, args.count, keys);
  return user.denial(spec, args, keys.positions, keyCount);
}

/** SORT with patterns reads keys that it does not name: whoever may not read all of them may not give it. `keys` is for the work. */
function refusalOfSort(user: User, spec: CommandSpec, args: Arguments, keys: KeyList): string | null {
  const keyCount = findKeys(spec, args.bytes, args.starts, args.ends, args.count, keys);
  if (user.readsAllKeys(spec, args, keys.positions, keyCount)) return null;
  const { bytes, starts, ends, count } = args;
  const is = (index: number, word: string) => argumentIs(bytes, starts[index] as number, ends[index] as number, word);
  for (let index = 2; index + 1 < count; index++) {
    if (is(index, 'limit')) index += 2;
    else if (is(index, 'store')) index += 1;
    else if (is(index, 'by')) {
      index += 1;
      if (textOf(args, index).includes('*')) return 'ERR BY option of SORT denied due to insufficient ACL permissions.';
    } else if (is(index, 'get')) return 'ERR GET option of SORT denied due to insufficient ACL permissions.';
  }
  return null;
}

/** One character a byte. */
function textOf({ bytes, starts, ends }: Arguments, index: number): string {
  return Buffer.from(bytes.subarray(starts[index], ends[index])).toString('latin1');
}
