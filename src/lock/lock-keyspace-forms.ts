/**
 * What a drop-in client may ask of a lock by Redis's own commands, and how its nodes are asked for it. One table; all else is refused,
 * since it could take a lock from its holder, or leave one for good.
 */
import { INT64_MAX, integerOf, isWord, word } from '../replica/words.js';
import { errorReply } from '../resp/reply.js';
import type { Written } from './lock-keyspace-votes.js';

export type LockForm =
  /** One command, carried out where the node counts. */
  | {
      kind: 'command';
      words: readonly Uint8Array[];
      /** Its keys are so many, from the second word on. */
      keys: number;
      /** It changes nothing, and may be asked for again. */
      isRead: boolean;
      /** What it takes where it is answered OK; null where it takes nothing. */
      takes: Written | null;
    }
  /** How long the key is held, in units of so many milliseconds. */
  | { kind: 'time'; key: Uint8Array; unitMs: 1 | 1000 }
  /** EVAL, or EVALSHA. */
  | {
      kind: 'script';
      words: readonly Uint8Array[];
      keys: readonly Uint8Array[];
      /** Of EVALSHA, as a node shows it; null of EVAL. */
      sha: string | null;
      /** EVALSHA with the script's text, for nodes that lack it; null of EVAL, and where the text is not known. */
      whole: readonly Uint8Array[] | null;
    };

const SYNTAX = errorReply('ERR syntax error');
const NO_INTEGER = errorReply('ERR value is not an integer or out of range');
const KNOWN = 'SET with NX and PX or EX, GET, PTTL, TTL, PEXPIRE, EXPIRE, DEL, UNLINK, EXISTS, EVAL and EVALSHA';

type Make = (words: readonly Uint8Array[], keys: number, ttlMaxMs: number) => LockForm | Uint8Array;

const FORMS: Readonly<Record<string, Make>> = {
  set: setForm,
  get: (words) => ({ kind: 'command', words, keys: 1, isRead: true, takes: null }),
  exists: (words, keys) => ({ kind: 'command', words, keys, isRead: true, takes: null }),
  del: (words, keys) => ({ kind: 'command', words, keys, isRead: false, takes: null }),
  unlink: (words, keys) => ({ kind: 'command', words, keys, isRead: false, takes: null }),
  pttl: ([, key]) => ({ kind: 'time', key: key as Uint8Array, unitMs: 1 }),
  ttl: ([, key]) => ({ kind: 'time', key: key as Uint8Array, unitMs: 1000 }),
  pexpire: (words, _keys, ttlMaxMs) => expireForm(words, 1, ttlMaxMs),
  expire: (words, _keys, ttlMaxMs) => expireForm(words, 1000, ttlMaxMs),
  eval: evalForm,
  evalsha: evalshaForm,
};

/**
 * How the nodes are asked for a command of that name (lower case), whose arity fits, with its words and so many keys, at least one; or the
 * error for the client. `ttlMaxMs`: of its keyspace.
 */
export function lockFormOf(
  name: string,
  words: readonly Uint8Array[],
  keys: number,
  ttlMaxMs: number,
): LockForm | Uint8Array {
  const make = Object.hasOwn(FORMS, name) ? FORMS[name] : undefined;
  if (make !== undefined) return make(words, keys, ttlMaxMs);
  return errorReply(
    `ERR ${name.toUpperCase().replace('|', ' ')} is not for locks: a key with mode lock knows ${KNOWN}`,
  );
}

/** SET key value NX PX|EX time, the options in any order. */
function setForm(words: readonly Uint8Array[], _keys: number, ttlMaxMs: number): LockForm | Uint8Array {
  let isNew = false;
  let ttl: { text: Uint8Array; unitMs: number } | null = null;
  for (let at = 3; at < words.length; at++) {
    const option = words[at] as Uint8Array;
    const unitMs = isWord(option, 'px') ? 1 : isWord(option, 'ex') ? 1000 : 0;
    if (isWord(option, 'nx')) {
      isNew = true;
    } else if (unitMs > 0) {
      const text = words[at + 1];
      if (ttl !== null || text === undefined) return SYNTAX;
      ttl = { text, unitMs };
      at++;
    } else if (OTHER_OPTIONS.some((name) => isWord(option, name))) {
      return errorReply(
        'ERR SET of a lock is SET key value NX PX milliseconds, or EX seconds; other options are not for locks',
      );
    } else {
      return SYNTAX;
    }
  }
  if (!isNew) return errorReply('ERR SET of a lock needs NX: without it a lock could be taken from its holder');
  if (ttl === null) {
    return errorReply(
      'ERR SET of a lock needs PX or EX: a lock without an end would be held for good once its holder is gone',
    );
  }
  const ttlMs = boundedTtl('SET', ttl.text, ttl.unitMs, ttlMaxMs);
  if (ttlMs instanceof Uint8Array) return ttlMs;
  if (ttlMs <= 0) return errorReply("ERR invalid expire time in 'set' command");
  const takes = { key: 0, content: words[2] as Uint8Array, ttlMs };
  return { kind: 'command', words, keys: 1, isRead: false, takes };
}

const OTHER_OPTIONS = ['xx', 'get', 'keepttl', 'exat', 'pxat'];

/** A time that is over deletes, as in Redis; flags are as they are. */
function expireForm(words: readonly Uint8Array[], unitMs: number, ttlMaxMs: number): LockForm | Uint8Array {
  const ttlMs = boundedTtl(unitMs === 1 ? 'PEXPIRE' : 'EXPIRE', words[2] as Uint8Array, unitMs, ttlMaxMs);
  return ttlMs instanceof Uint8Array ? ttlMs : { kind: 'command', words, keys: 1, isRead: false, takes: null };
}

function evalForm(words: readonly Uint8Array[], keys: number): LockForm {
  return { kind: 'script', words, keys: scriptKeys(words, keys), sha: null, whole: null };
}

function evalshaForm(words: readonly Uint8Array[], keys: number): LockForm {
  const sha = Buffer.from(words[1] as Uint8Array)
    .toString('latin1')
    .toLowerCase();
  return { kind: 'script', words, keys: scriptKeys(words, keys), sha, whole: null };
}

/** They stand behind their number. */
function scriptKeys(words: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  return words.slice(3, 3 + count);
}

function boundedTtl(name: string, text: Uint8Array, unitMs: number, ttlMaxMs: number): number | Uint8Array {
  const time = integerOf(text);
  if (time === null) return NO_INTEGER;
  const ms = time * BigInt(unitMs);
  if (ms > BigInt(ttlMaxMs)) {
    const shown = ms > INT64_MAX ? 'that' : `${ms} ms`;
    return errorReply(
      `ERR ${name} of a lock for ${shown}: its keyspace has ttlMaxMs ${ttlMaxMs}; a holder that needs longer extends it`,
    );
  }
  return Number(ms);
}

/** The reply to `words` of a SET that has taken its lock. */
export const TAKEN = word('+OK\r\n');
