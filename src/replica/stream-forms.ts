/**
 * XADD, XTRIM and XREAD. An id that XADD is to choose is chosen by the proxy, from the last one and its clock. How much `~`
 * leaves depends on how a node has laid the stream out: it is sent as `=`, without its LIMIT. The parser follows Redis 7.0's
 * t_stream.c; what it finds a fault in is sent as it is, for the nodes to say what.
 */
import type { Protocol } from '../resp/reply.js';
import { millisecondsFault } from './blocking-forms.js';
import { bulkAt } from './bulk-array.js';
import type { Command, Replies } from './commands.js';
import { all, everywhere, isWrongType, type KeyOperation, oneNode, planned, reading } from './key-operation.js';
import { formatStreamId, nextStreamId, parseStreamId, type StreamId } from './stream-id.js';
import { integerOf, isWord, replaced, textOf, word } from './words.js';

const XINFO = word('XINFO');
const STREAM = word('STREAM');
const EXACTLY = word('=');

/** What XINFO STREAM says before anything of the client's: the name in its reply, then the id. */
const LAST_ID = word('$17\r\nlast-generated-id\r\n');
const NO_ENTRY: StreamId = { ms: 0n, seq: 0n };

/** XADD key [NOMKSTREAM] [MAXLEN|MINID [=|~] threshold [LIMIT count]] id field value … */
export function xaddForm(words: Command, protocol: Protocol): KeyOperation {
  const options = parseOptions(words, true);
  if (options === null) return everywhere(words, protocol);
  const { exact, idAt } = options;
  if (textOf(exact[idAt] as Uint8Array) !== '*') return everywhere(exact, protocol);
  const key = words[1] as Uint8Array;
  return planned(words, protocol, (base, found, plain) => {
    if (base.live && found === null) return { kind: 'read', commands: { list: [[XINFO, STREAM, key]], protocol } };
    if (base.live && isWrongType(found?.[0])) return all(plain);
    const last = base.live ? lastIdOf(found) : NO_ENTRY;
    if (last === null) return oneNode(plain);
    const id = nextStreamId(last, base.nowMs);
    // None is left: with the last possible one the nodes say so.
    const next = id.ms === 0n && id.seq === 0n ? last : id;
    return all({ list: [replaced(exact, idAt, word(formatStreamId(next)))], protocol });
  });
}

/** XTRIM key MAXLEN|MINID [=|~] threshold [LIMIT count] */
export function xtrimForm(words: Command, protocol: Protocol): KeyOperation {
  return everywhere(parseOptions(words, false)?.exact ?? words, protocol);
}

/** XREAD [COUNT count] [BLOCK ms] STREAMS key id: what is there at once. */
export function xreadForm(words: Command, protocol: Protocol): KeyOperation | Uint8Array {
  const patient = withoutBlock(words);
  return patient instanceof Uint8Array ? patient : reading(patient, protocol, true);
}

/**
 * XREAD's or XREADGROUP's words without BLOCK; the error reply where its time-out is the first fault. Both stand before
 * STREAMS, where GROUP takes two words and COUNT one.
 */
export function withoutBlock(words: Command): Command | Uint8Array {
  const kept: Uint8Array[] = [words[0] as Uint8Array];
  for (let at = 1; at < words.length; at++) {
    const option = words[at] as Uint8Array;
    if (isWord(option, 'block') && at + 1 < words.length) {
      const fault = millisecondsFault(words[at + 1] as Uint8Array);
      if (fault !== null) return fault;
      at++;
      continue;
    }
    const taken = argumentsOf(option);
    kept.push(...words.slice(at, at + 1 + taken));
    at += taken;
    if (isWord(option, 'count') && integerOf(words[at] as Uint8Array) === null) return words;
  }
  return kept;
}

/** The word after the last option of that name of XREAD or XREADGROUP; null if there is none. */
export function argumentOf(words: Command, name: string): Uint8Array | null {
  let found: Uint8Array | null = null;
  for (let at = 1; at + 1 < words.length; at++) {
    const option = words[at] as Uint8Array;
    if (isWord(option, name)) found = words[at + 1] as Uint8Array;
    at += isWord(option, 'block') ? 1 : argumentsOf(option);
  }
  return found;
}

function argumentsOf(option: Uint8Array): number {
  if (isWord(option, 'count')) return 1;
  if (isWord(option, 'group')) return 2;
  return isWord(option, 'streams') ? Number.POSITIVE_INFINITY : 0;
}

interface Options {
  /** The words, with `~` as `=`. */
  exact: Command;
  /** Where the id stands in them. */
  idAt: number;
}

/** Null where Redis finds a fault in them. */
function parseOptions(words: Command, isAdding: boolean): Options | null {
  const exact: Uint8Array[] = words.slice(0, 2);
  let isTrimmed = false;
  let isApproximate = false;
  let isLimited = false;
  let at = 2;
  for (; at < words.length; at++) {
    const option = words[at] as Uint8Array;
    const left = words.length - 1 - at;
    const byId = isWord(option, 'minid');
    if (isAdding && textOf(option) === '*') break;
    if ((byId || isWord(option, 'maxlen')) && left > 0) {
      if (isTrimmed) return null;
      isTrimmed = true;
      const sign = textOf(words[at + 1] as Uint8Array);
      if (left > 1 && (sign === '~' || sign === '=')) {
        isApproximate = sign === '~';
        at++;
      }
      at++;
      const threshold = words[at] as Uint8Array;
      if (!byId && (integerOf(threshold) ?? -1n) < 0n) return null;
      exact.push(option, EXACTLY, threshold);
    } else if (isWord(option, 'limit') && left > 0) {
      if ((integerOf(words[at + 1] as Uint8Array) ?? -1n) < 0n) return null;
      isLimited = true;
      at++;
    } else if (isAdding && isWord(option, 'nomkstream')) exact.push(option);
    else if (isAdding) break;
    else return null;
  }
  // Neither without what it limits, nor with what is exact.
  if (isLimited && !isApproximate) return null;
  if (isAdding ? at === words.length : !isTrimmed) return null;
  return { exact: [...exact, ...words.slice(at)], idAt: exact.length };
}

/** Of XINFO STREAM's reply. */
function lastIdOf(found: Replies | null): StreamId | null {
  const info = found?.[0];
  if (info === undefined) return null;
  const at = Buffer.from(info.buffer, info.byteOffset, info.byteLength).indexOf(LAST_ID);
  const id = at < 0 ? null : bulkAt(info, at + LAST_ID.length);
  return id === null ? null : parseStreamId(textOf(id));
}
