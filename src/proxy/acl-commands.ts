/**
 * ACL: the users of the process, which all its workers go by before a change of them is answered; and what was refused to them.
 * In Redis's words (acl.c: aclCommand).
 */
import { randomBytes } from 'node:crypto';
import { CATEGORIES, commandsOf } from '../acl/command-set.js';
import type { Arguments } from '../acl/key-needs.js';
import { withoutPasswords } from '../acl/rules.js';
import { DEFAULT_USER, User } from '../acl/user.js';
import { errorBytes } from '../base/errors.js';
import type { Refusal } from '../messages.js';
import { KeyList } from '../resp/command-keys.js';
import { arityFits, wrongArityText } from '../resp/commands.js';
import { parseInt64 } from '../resp/int64.js';
import {
  arrayHeader,
  bulkReply,
  errorReply,
  integerReply,
  mapHeader,
  nullReply,
  type Protocol,
  REPLY_OK,
  setHeader,
} from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';
import type { Arena } from '../transport/arena.js';
import type { Authentication } from './authentication.js';
import type { Words } from './local.js';
import { denialOf, specOf } from './permissions.js';
import { type ClientInquiry, inquiry } from './questions.js';
import { merged } from './refusal-log.js';
import type { Session } from './session.js';

export interface AclCommandsContext {
  arena: Arena;
  reader: RequestReader;
  authentication: Authentication;
  /** The arguments of the command last read. */
  words: Words;
  /** Milliseconds since 1970. */
  clock: () => number;
}

const NOT_INTEGER = errorReply('ERR value is not an integer or out of range');
const WRONG_BITS = errorReply(
  'ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096',
);
const NO_FILE = errorReply(
  'ERR the users of this proxy are those of its configuration, and not of an ACL file: write them there, and have it reloaded (SIGHUP)',
);
const BITS_DEFAULT = 256;
const BITS_MAX = 4096n;
const NO_DEFAULT_REMOVED = errorReply("ERR The 'default' user cannot be removed");
/** As many as ACL LOG shows unless it is told. */
const REFUSALS_SHOWN = 10;
/** ACL, DRYRUN, and the user. */
const WORDS_BEFORE_DRY = 3;

export class AclCommands {
  private readonly context: AclCommandsContext;
  private readonly words: Words;
  private readonly keys = new KeyList();

  constructor(context: AclCommandsContext) {
    this.context = context;
    this.words = context.words;
  }

  /** The reply to the command last read, whose arity was checked, or what it asks of all workers. */
  inquire(session: Session, name: string): ClientInquiry | Uint8Array {
    const { users } = this.context.authentication;
    switch (name) {
      case 'acl|whoami':
        return bulk(session.user.name);
      case 'acl|users':
        return bulks(users.all().map((user) => user.name));
      case 'acl|list':
        return bulks(users.all().map((user) => `user ${user.name} ${user.describe()}`));
      case 'acl|getuser':
        return this.getUser(session.protocol);
      case 'acl|cat':
        return this.cat();
      case 'acl|genpass':
        return this.genPass();
      case 'acl|dryrun':
        return this.dryRun();
      case 'acl|setuser':
        return this.setUser(session);
      case 'acl|deluser':
        return this.delUser(session);
      case 'acl|log':
        return this.log(session);
      case 'acl|load':
      case 'acl|save':
        return NO_FILE;
      default:
        throw new Error(`the command table says that all workers are asked for ${name}; they are not`);
    }
  }

  private getUser(protocol: Protocol): Uint8Array {
    const user = this.context.authentication.users.get(this.words.text(2));
    if (user === undefined) return nullReply(protocol);
    const [root, ...others] = user.describeSelectors() as [Permitted, ...Permitted[]];
    const { flags } = user;
    return Buffer.concat([
      mapHeader(6, protocol),
      bulk('flags'),
      setHeader(flags.length, protocol),
      ...flags.map(bulk),
      bulk('passwords'),
      bulks(user.passwordDigests),
      ...permitted(root),
      bulk('selectors'),
      arrayHeader(others.length),
      ...others.flatMap((selector) => [mapHeader(3, protocol), ...permitted(selector)]),
    ]);
  }

  private cat(): Uint8Array {
    const { words } = this;
    if (words.count > 3) return this.wrongForm();
    if (words.count === 2) return bulks(CATEGORIES);
    const category = words.text(2);
    const commands = commandsOf(category.toLowerCase());
    if (commands === null) return errorReply(`ERR Unknown category '${category}'`);
    return bulks(commands.map((spec) => spec.name));
  }

  private genPass(): Uint8Array {
    const { words } = this;
    if (words.count > 3) return this.wrongForm();
    const bits = words.count === 3 ? parseInt64(words.text(2)) : BigInt(BITS_DEFAULT);
    if (bits === null) return NOT_INTEGER;
    if (bits <= 0n || bits > BITS_MAX) return WRONG_BITS;
    // A digit for each 4 bits that were begun.
    const digits = Math.ceil(Number(bits) / 4);
    return bulk(randomBytes(digits).toString('hex').slice(0, digits));
  }

  private dryRun(): Uint8Array {
    const { arena, reader, authentication } = this.context;
    const name = this.words.text(2);
    const user = authentication.users.get(name);
    if (user === undefined) return errorReply(`ERR User '${name}' not found`);
    const args: Arguments = {
      bytes: arena.bytes,
      starts: reader.argumentStart.subarray(WORDS_BEFORE_DRY),
      ends: reader.argumentEnd.subarray(WORDS_BEFORE_DRY),
      count: reader.argumentCount - WORDS_BEFORE_DRY,
    };
    const spec = specOf(args);
    if (spec === null) return errorReply(`ERR Command '${this.words.text(WORDS_BEFORE_DRY)}' not found`);
    if (!arityFits(spec, args.count)) return errorReply(wrongArityText(spec));
    const denial = denialOf(user, spec, args, this.keys);
    if (denial === null) return REPLY_OK;
    if (denial.kind === 'command') return bulk(`This user has no permissions to run the '${spec.name}' command`);
    const object = this.words.text(WORDS_BEFORE_DRY + denial.argument);
    return bulk(`This user has no permissions to access the '${object}' ${denial.kind}`);
  }

  /** It is tried here first: what cannot be done need not be asked for. */
  private setUser(session: Session): ClientInquiry | Uint8Array {
    const { words } = this;
    const name = words.text(2);
    const given = Array.from({ length: words.count - 3 }, (_, index) => words.text(index + 3));
    const changed = this.context.authentication.users.withWords(name, given);
    if (!(changed instanceof User)) {
      const text =
        'fault' in changed
          ? `Error in ACL SETUSER modifier '${shown(changed.rule)}': ${changed.fault}`
          : changed.refusal;
      return errorReply(`ERR ${text}`);
    }
    const change = { kind: 'set', name, words: withoutPasswords(given) } as const;
    const question = { kind: 'change-users', change, asker: session.id, changed: null } as const;
    const asked = inquiry(question, (answers, silent) => {
      const error = answers[0]?.error ?? null;
      if (error !== null) return errorReply(`ERR ${error}`);
      return silent === '' ? REPLY_OK : notAll(silent);
    });
    return { ...asked, sequel: 'wait' };
  }

  private delUser(session: Session): ClientInquiry | Uint8Array {
    const { words } = this;
    const names = Array.from({ length: words.count - 2 }, (_, index) => words.text(index + 2));
    if (names.includes(DEFAULT_USER)) return NO_DEFAULT_REMOVED;
    const change = { kind: 'delete', names } as const;
    const question = { kind: 'change-users', change, asker: session.id, changed: null } as const;
    const asked = inquiry(question, (answers, silent) =>
      silent === '' ? integerReply(answers[0]?.count ?? 0) : notAll(silent),
    );
    return { ...asked, sequel: 'wait' };
  }

  /** ACL LOG [count | RESET] */
  private log({ protocol }: Session): ClientInquiry | Uint8Array {
    const { words } = this;
    if (words.count > 3) return this.wrongForm();
    if (words.count === 3 && words.text(2).toLowerCase() === 'reset') {
      const asked = inquiry({ kind: 'forget-refusals' } as const, (_answers, silent) =>
        silent === '' ? REPLY_OK : errorBytes('UNKNOWN', `${silent}: it may still have what it refused`),
      );
      return { ...asked, sequel: 'wait' };
    }
    const count = words.count === 3 ? parseInt64(words.text(2)) : BigInt(REFUSALS_SHOWN);
    if (count === null) return NOT_INTEGER;
    const nowMs = this.context.clock();
    const asked = inquiry({ kind: 'list-refusals' } as const, (answers, silent) => {
      if (silent !== '') return errorBytes('ERR', `${silent}: what it refused is not known`);
      const refusals = merged(answers.flatMap((answer) => answer.refusals)).slice(0, Math.max(0, Number(count)));
      return Buffer.concat([
        arrayHeader(refusals.length),
        ...refusals.map((each) => refusalReply(each, nowMs, protocol)),
      ]);
    });
    return { ...asked, sequel: 'go-on' };
  }

  /** How Redis refuses a subcommand with more arguments than it has. */
  private wrongForm(): Uint8Array {
    const text = `unknown subcommand or wrong number of arguments for '${this.words.text(1).slice(0, 128)}'`;
    return errorReply(`ERR ${text}. Try ACL HELP.`);
  }
}

type Permitted = ReturnType<User['describeSelectors']>[number];

function permitted({ commands, keys, channels }: Permitted): Uint8Array[] {
  return [bulk('commands'), bulk(commands), bulk('keys'), bulk(keys), bulk('channels'), bulk(channels)];
}

function refusalReply(refusal: Refusal, nowMs: number, protocol: Protocol): Uint8Array {
  const { count, reason, context, object, user, atMs, client } = refusal;
  const age = String(Math.max(0, nowMs - atMs) / 1000);
  return Buffer.concat([
    mapHeader(7, protocol),
    bulk('count'),
    integerReply(count),
    ...Object.entries({ reason, context, object, username: user }).flatMap(([name, value]) => [
      bulk(name),
      bulk(value),
    ]),
    bulk('age-seconds'),
    protocol === 3 ? Buffer.from(`,${age}\r\n`) : bulk(age),
    bulk('client-info'),
    bulk(client),
  ]);
}

function notAll(silent: string): Uint8Array {
  return errorBytes('UNKNOWN', `${silent}: it may go by the users of before`);
}

/** As C shows it: up to a NUL. */
function shown(rule: string): string {
  return rule.split('\0', 1)[0] as string;
}

/** A character a byte. */
function bulk(text: string): Uint8Array {
  return bulkReply(Buffer.from(text, 'latin1'));
}

function bulks(texts: readonly string[]): Uint8Array {
  return Buffer.concat([arrayHeader(texts.length), ...texts.map(bulk)]);
}
