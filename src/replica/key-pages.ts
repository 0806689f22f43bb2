/**
 * What a node of replicated keys is asked about many keys at once: which it has, and what their metas say. It answers only if the
 * process that runs is the member that its record names, whoever asks and by whatever connection: that, and the keys, are looked
 * at in one step.
 */
import { encodeCommand, isError } from '../resp/reply.js';
import { BALLOT_DIGITS, type Ballot } from './ballot.js';
import { META_PREFIX, NO_FACTS, NODE_KEY, parseFacts } from './meta.js';
import { bulkOf, elementsOf, textOf } from './reply-shape.js';
import type { KeyFacts } from './step.js';

/** What a node says of a key. `type`: Redis's word, 'none' without a value; '' where it was not asked for. */
export interface SeenKey extends KeyFacts {
  /** Its bytes, a character each. */
  key: string;
  type: string;
}

/** `record`: that of the member. */
export interface KeyPage {
  record: string;
  /** Of the node; '0' after the last page. */
  cursor: string;
  keys: SeenKey[];
}

/** Of the same, as much as it takes to compare. */
export interface VersionPage {
  cursor: string;
  keys: { key: string; accepted: Ballot }[];
}

const MEMBER = `#!lua flags=no-writes,allow-oom
local record = redis.call('GET', '${NODE_KEY}') or ''
local status, runId, replId = string.match(record, '^1 (%a+) %S+ (%S+) (%S+) ')
local info = redis.call('INFO', 'server') .. redis.call('INFO', 'replication')
local function says(line) return string.find(info, line .. '\\r\\n', 1, true) end
if status ~= 'member' or not says('run_id:' .. runId) or not says('master_replid:' .. replId)
  or not says('role:master') or not says('connected_slaves:0') then return {} end
`;

const BEGIN = `${MEMBER}
local found = {}
local function look(key, meta)
  found[#found + 1] = key
  found[#found + 1] = string.sub(meta or '', ${BALLOT_DIGITS + 1})
  found[#found + 1] = ARGV[1] == '1' and redis.call('TYPE', key).ok or ''
end
`;

/** ARGV: whether types are wanted, cursor, pattern, COUNT. */
const PAGE = `${BEGIN}
local page = redis.call('SCAN', ARGV[2], 'MATCH', ARGV[3], 'COUNT', ARGV[4])
for _, name in ipairs(page[2]) do
  look(string.sub(name, ${META_PREFIX.length + 1}), redis.call('GET', name))
end
return { record, page[1], found }
`;

/** ARGV: whether types are wanted, then keys. */
const METAS = `${BEGIN}
for at = 2, #ARGV do look(ARGV[at], redis.call('GET', '${META_PREFIX}' .. ARGV[at])) end
return { record, '0', found }
`;

/** ARGV: cursor, pattern, COUNT. Metas are told as they are: that takes the node two thirds of the time. */
const VERSIONS = `${MEMBER}
local page = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
local names = page[2]
return { record, page[1], names, #names > 0 and redis.call('MGET', unpack(names)) or {} }
`;

export const PAGE_SCRIPTS: readonly string[] = [PAGE, METAS, VERSIONS];

/** Keys that have a meta, from a cursor on; `pattern` and `count` as SCAN takes them. */
export function askPage(cursor: string, pattern: Uint8Array, count: string, withTypes: boolean): Uint8Array {
  const match = Buffer.concat([Buffer.from(META_PREFIX), pattern]);
  return encodeCommand(['EVAL', PAGE, '0', withTypes ? '1' : '0', cursor, match, count]);
}

/** These keys; of one without a meta nothing was ever accepted. */
export function askMetas(keys: readonly string[], withTypes: boolean): Uint8Array {
  const words = keys.map((key) => Buffer.from(key, 'latin1'));
  return encodeCommand(['EVAL', METAS, '0', withTypes ? '1' : '0', ...words]);
}

/** All keys that have a meta, from a cursor on, with their versions alone. */
export function askVersions(cursor: string, count: string): Uint8Array {
  return encodeCommand(['EVAL', VERSIONS, '0', cursor, `${META_PREFIX}*`, count]);
}

/** Null: what it says does not count. `reply` is whole; nothing of it is kept. */
export function readVersions(reply: Uint8Array): VersionPage | null {
  if (isError(reply, 0)) return null;
  const [, cursor, names, metas] = elementsOf(reply);
  if (cursor === undefined || names === undefined || metas === undefined) return null;
  const found = elementsOf(metas);
  const keys = elementsOf(names).map((name, place) => ({
    key: textOf(name).slice(META_PREFIX.length),
    accepted: textOf(found[place] as Uint8Array).slice(BALLOT_DIGITS, 2 * BALLOT_DIGITS),
  }));
  return { cursor: textOf(cursor), keys };
}

/** Null: what it says does not count. `reply` is whole; nothing of it is kept. */
export function readPage(reply: Uint8Array): KeyPage | null {
  if (isError(reply, 0)) return null;
  const [record, cursor, found] = elementsOf(reply);
  if (record === undefined || cursor === undefined || found === undefined) return null;
  const words = elementsOf(found);
  const keys: SeenKey[] = [];
  for (let at = 0; at < words.length; at += 3) {
    const [key, facts, type] = [words[at], words[at + 1], words[at + 2]] as [Uint8Array, Uint8Array, Uint8Array];
    keys.push({ key: textOf(key), ...factsOf(textOf(facts)), type: textOf(type) });
  }
  return { record: Buffer.from(bulkOf(record)).toString('utf8'), cursor: textOf(cursor), keys };
}

function factsOf(text: string): KeyFacts {
  return text === '' ? NO_FACTS : parseFacts(text, 0);
}
