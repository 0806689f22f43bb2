/**
 * What the nodes of a lock are asked for a drop-in client's command, as a stock Redis server takes it, and what its replies mean.
 *
 *   command, time   EVALSHA of a script that carries it out where the node is the member that was expected, and is not quarantined
 *   script          MULTI; what keys are there; the client's EVAL; what keys are there now, and what they hold; EXEC
 *                   until it is known that the node is not quarantined: the first script, with nothing to carry out
 *                   without memory Redis queues nothing: the client's EVAL alone, which can write no key that is not there, and what holds now
 *   take-back       EVALSHA of a script that deletes what still holds what is to be taken back
 *
 * The client's own script cannot be called by one of ours, which is why it stands between two of them. Nothing of it is sent twice: scripts
 * of ours that stand in a transaction are sent whole, so that no node can lack them.
 */
import { NODE_KEY } from '../replica/meta.js';
import { executed, isNotMember, NOT_MEMBER, unable } from '../replica/node-answer.js';
import type { NodeStep } from '../replica/node-request.js';
import { bulkOf, elementsOf, textOf } from '../replica/reply-shape.js';
import { ALLOW_OOM, type Script, script } from '../replica/scripts.js';
import type { NotMember, Unable } from '../replica/step.js';
import { COMMAND_HEAD_BYTES_MAX, type CommandWriter, type Word, wordBytesMax } from '../resp/command-writer.js';
import { TYPE } from '../resp/frame.js';
import { encodeCommand, isError, parseInteger } from '../resp/reply.js';
import { type LockForm, TAKEN } from './lock-keyspace-forms.js';
import type { Vote, Written } from './lock-keyspace-votes.js';
import { QUARANTINE } from './lock-scripts.js';
import type { Quarantined } from './lock-step.js';
import { type Left, withoutTimes } from './times.js';

export type DropInAnswer =
  | ({ kind: 'vote' } & Vote)
  /** The node counts, and was asked nothing yet: it is to be asked again. */
  | { kind: 'open' }
  /** The node has no memory, and has carried out nothing: it is to be asked so. */
  | { kind: 'full' }
  /** The node had carried it out when it turned out that it does not count. */
  | { kind: 'stray' }
  /** The node lacks the script that was called by its SHA1, and has carried out nothing: it is to be sent its text. */
  | { kind: 'lacking' }
  | Quarantined
  | NotMember
  | Unable;

/**
 * ARGV[1]: the record, [2]: ttlMaxMs, then the command, or nothing; KEYS: as in it. The reply stands in an array, so that no reply of a client's
 * is taken for a verdict.
 */
const CARRY_OUT = script(`
if redis.call('GET', '${NODE_KEY}') ~= ARGV[1] then return 'N' end
${QUARANTINE}
if #ARGV == 2 then return {} end
return { redis.pcall(unpack(ARGV, 3)) }
`);

/** The same for what a lock holds, and how long yet: of one moment. */
const LOOK_AT = script(`
if redis.call('GET', '${NODE_KEY}') ~= ARGV[1] then return 'N' end
${QUARANTINE}
return { redis.pcall('GET', KEYS[1]), redis.call('PTTL', KEYS[1]) }
`);

/** ARGV[1]: the record, [2]: the command that shows what a key holds, then of each of KEYS what is taken back. */
const TAKE_BACK = script(`${ALLOW_OOM}
if redis.call('GET', '${NODE_KEY}') ~= ARGV[1] then return 'N' end
for at, key in ipairs(KEYS) do
  if redis.pcall(ARGV[2], key) == ARGV[at + 2] then redis.call('DEL', key) end
end
return {}
`);

/** What a connection has to have loaded for these steps. */
export const LOCK_KEYSPACE_SCRIPTS: readonly Script[] = [CARRY_OUT, LOOK_AT, TAKE_BACK];

/** ARGV[1]: the record. Of each key its PTTL. */
const BEFORE = script(`
if redis.call('GET', '${NODE_KEY}') ~= ARGV[1] then return 'N' end
local left = {}
for at, key in ipairs(KEYS) do left[at] = redis.call('PTTL', key) end
return left
`).source;

/**
 * ARGV[1]: ttlMaxMs. Of each key what it holds, '' for nothing, and its PTTL. None is left for longer than a lock may be held: whoever has it so
 * is told by the time, which is that from before.
 */
const AFTER = script(`${ALLOW_OOM}
local found = {}
for _, key in ipairs(KEYS) do
  local left = redis.call('PTTL', key)
  found[#found + 1] = redis.call('DUMP', key) or ''
  found[#found + 1] = left
  if left == -1 or left > tonumber(ARGV[1]) then redis.call('PEXPIRE', key, ARGV[1]) end
end
return found
`).source;

/** Those that stand around a client's script. */
export const SENT_WHOLE: readonly string[] = [BEFORE, AFTER];

type ScriptForm = Extract<LockForm, { kind: 'script' }>;

const OOM = Buffer.from('-OOM');
/** All of it: a script may answer with an error of its own. */
const NOSCRIPT = Buffer.from('-NOSCRIPT No matching script.');
const MULTI = encodeCommand(['MULTI']);
const EXEC = encodeCommand(['EXEC']);
const NOT_TAKEN: readonly Written[] = [];
/** PTTL of what does not expire. */
const FOR_GOOD = -1;

/** Scripts that are remembered of a node: where there are more it is sent them whole again. */
const SCRIPTS_MAX = 1_000;

interface NodeFacts {
  /** As a member of which it counts, a character a byte. */
  readonly record: string;
  /** It counts for locks of keyspaces with that ttlMaxMs, at most: a quarantine is as long as that, who counts for short locks may not for longer ones. */
  ttlMaxMs: number;
  /** Until then it does not count, by `performance.now()`. */
  quarantinedUntilMs: number;
  /** The SHA1 of scripts that it was sent whole, or said to have. */
  readonly scripts: Set<string>;
}

/** What is known of nodes, by the numbers that they have as voters, as long as they are members by the same record. */
export class KnownNodes {
  /** How often a node was asked first whether it counts, of which that was not known. */
  questions = 0;
  private readonly facts = new Map<number, NodeFacts>();

  /** Whether it is known not to be quarantined. */
  isOpen(node: number, record: string, ttlMaxMs: number): boolean {
    const facts = this.facts.get(node);
    return facts !== undefined && facts.record === record && facts.ttlMaxMs >= ttlMaxMs;
  }

  noteOpen(node: number, record: string, ttlMaxMs: number): void {
    const facts = this.of(node, record);
    facts.ttlMaxMs = Math.max(facts.ttlMaxMs, ttlMaxMs);
  }

  /** Whether it said not long ago that it does not count yet. */
  isQuarantined(node: number, record: string): boolean {
    const facts = this.facts.get(node);
    return facts !== undefined && facts.record === record && performance.now() < facts.quarantinedUntilMs;
  }

  noteQuarantined(node: number, record: string, leftMs: number): void {
    this.of(node, record).quarantinedUntilMs = performance.now() + leftMs;
  }

  hasScript(node: number, record: string, sha: string): boolean {
    const facts = this.facts.get(node);
    return facts !== undefined && facts.record === record && facts.scripts.has(sha);
  }

  /** `isThere`: it was sent whole, or is said to be there; otherwise the node has lost it. */
  noteScript(node: number, record: string, sha: string, isThere: boolean): void {
    const { scripts } = this.of(node, record);
    if (scripts.size >= SCRIPTS_MAX) scripts.clear();
    if (isThere) scripts.add(sha);
    else scripts.delete(sha);
  }

  private of(node: number, record: string): NodeFacts {
    let facts = this.facts.get(node);
    if (facts?.record !== record) {
      facts = { record, ttlMaxMs: 0, quarantinedUntilMs: 0, scripts: new Set() };
      this.facts.set(node, facts);
    }
    return facts;
  }
}

/** What a form is asked of the node of that number by. It is that node's alone. `isFull`: the node has no memory. */
export function dropInStep(
  form: LockForm,
  node: number,
  ttlMaxMs: number,
  known: KnownNodes,
  isFull: boolean,
): NodeStep<DropInAnswer> {
  switch (form.kind) {
    case 'command': {
      const { words, keys, takes } = form;
      return new CallStep(CARRY_OUT, words.slice(1, 1 + keys), [`${ttlMaxMs}`, ...words], (reply) =>
        voteOf(reply, takes),
      );
    }
    case 'time':
      return new CallStep(LOOK_AT, [form.key], [`${ttlMaxMs}`], timeVoteOf);
    case 'script':
      return isFull ? new FullScriptStep(form, ttlMaxMs) : new ScriptStep(form, node, ttlMaxMs, known);
  }
}

/** Takes back what was written to those of the keys; `isValue`: what they hold is a client's own value. */
export function takeBackStep(
  keys: readonly Uint8Array[],
  written: readonly Written[],
  isValue: boolean,
): NodeStep<DropInAnswer> {
  const own = written.map(({ key }) => keys[key] as Uint8Array);
  const words = [isValue ? 'GET' : 'DUMP', ...written.map(({ content }) => content)];
  return new CallStep(TAKE_BACK, own, words, () => ({ kind: 'open' }));
}

/** EVALSHA, sha, the number of keys; the record. */
const CALL_WORDS = 4;

/** Of a script of ours, with the record as its first argument. */
class CallStep implements NodeStep<DropInAnswer> {
  readonly replyCount = 1;
  private readonly script: Script;
  private readonly keys: readonly Uint8Array[];
  private readonly words: readonly Word[];
  private readonly decodeArray: (reply: Uint8Array) => DropInAnswer;

  constructor(
    script: Script,
    keys: readonly Uint8Array[],
    words: readonly Word[],
    decodeArray: (reply: Uint8Array) => DropInAnswer,
  ) {
    this.script = script;
    this.keys = keys;
    this.words = words;
    this.decodeArray = decodeArray;
  }

  bytesMax(recordBytes: number): number {
    return COMMAND_HEAD_BYTES_MAX + callBytesMax(this.script.sha.length, this.keys, this.words, recordBytes);
  }

  write(writer: CommandWriter, record: Uint8Array): number {
    return writeCall(writer, ['EVALSHA', this.script.sha], this.keys, record, this.words);
  }

  decode([reply]: readonly Uint8Array[]): DropInAnswer {
    const frame = reply as Uint8Array;
    if (isError(frame, 0)) return unable(frame);
    return frame[0] === TYPE.array ? this.decodeArray(frame) : verdictOf(frame);
  }

  plainAnswer(): null {
    return null;
  }
}

class ScriptStep implements NodeStep<DropInAnswer> {
  /** Of what was written last. */
  replyCount = 1;
  /** What was written last has the script's text, though its client has sent the SHA1. */
  private isWhole = false;
  private readonly form: ScriptForm;
  private readonly node: number;
  private readonly ttlMaxMs: number;
  private readonly known: KnownNodes;
  private readonly gate: CallStep;

  constructor(form: ScriptForm, node: number, ttlMaxMs: number, known: KnownNodes) {
    this.form = form;
    this.node = node;
    this.ttlMaxMs = ttlMaxMs;
    this.known = known;
    this.gate = new CallStep(CARRY_OUT, [], [`${ttlMaxMs}`], () => ({ kind: 'open' }));
  }

  bytesMax(recordBytes: number): number {
    const { form } = this;
    const before = COMMAND_HEAD_BYTES_MAX + callBytesMax(BEFORE.length, form.keys, [], recordBytes);
    const bytes = MULTI.length + before + scriptBytesMax(form) + EXEC.length;
    return Math.max(bytes, this.gate.bytesMax(recordBytes));
  }

  write(writer: CommandWriter, record: Uint8Array): number {
    const { form, node, ttlMaxMs, known } = this;
    const { words, keys, sha, whole } = form;
    const member = latin1(record);
    if (!known.isOpen(node, member, ttlMaxMs)) {
      if (!known.isQuarantined(node, member)) known.questions++;
      this.replyCount = this.gate.replyCount;
      return this.gate.write(writer, record);
    }
    this.replyCount = BLOCK_REPLIES;
    this.isWhole = sha !== null && whole !== null && !known.hasScript(node, member, sha);
    writer.part(MULTI);
    writeCall(writer, ['EVAL', BEFORE], keys, record, []);
    writeScript(writer, this.isWhole && whole !== null ? whole : words, keys, ttlMaxMs);
    writer.part(EXEC);
    return -1;
  }

  decode(replies: readonly Uint8Array[], record: Uint8Array): DropInAnswer {
    const { form, node, known } = this;
    const member = latin1(record);
    if (this.replyCount === 1) {
      const answer = this.gate.decode(replies);
      if (answer.kind === 'open') known.noteOpen(node, member, this.ttlMaxMs);
      if (answer.kind === 'quarantined') known.noteQuarantined(node, member, answer.leftMs);
      return answer;
    }
    const exec = executed(replies);
    if (isError(exec, 0)) return startsWith(exec, OOM) ? { kind: 'full' } : vote(exec, NOT_TAKEN);
    const [before, reply, after] = elementsOf(exec) as [Uint8Array, Uint8Array, Uint8Array];
    for (const own of [before, after]) if (isError(own, 0)) return unable(own);
    // The client's script stood behind it, and was carried out.
    if (before[0] !== TYPE.array) return { kind: 'stray' };
    const isMissing = form.sha !== null && !this.isWhole && isNoScript(reply);
    if (form.sha !== null && (isMissing || this.isWhole)) known.noteScript(node, member, form.sha, !isMissing);
    return isMissing && form.whole !== null
      ? { kind: 'lacking' }
      : this.voteOf(elementsOf(before), reply, elementsOf(after));
  }

  plainAnswer(): null {
    return null;
  }

  private voteOf(before: readonly Uint8Array[], reply: Uint8Array, after: readonly Uint8Array[]): DropInAnswer {
    const keys = before.map((was, key): Left => {
      return { beforeMs: integerOf(was), afterMs: integerOf(after[2 * key + 1] as Uint8Array) };
    });
    const written = keys.flatMap(({ beforeMs, afterMs }, key): Written[] => {
      if (beforeMs !== NOTHING || afterMs === NOTHING) return [];
      return [{ key, content: bulkOf(after[2 * key] as Uint8Array), ttlMs: Math.min(afterMs, this.ttlMaxMs) }];
    });
    const overlong = keys.some(({ afterMs }) => isOverlong(afterMs, this.ttlMaxMs));
    return { kind: 'vote', ...withoutTimes(reply, keys), written, overlong };
  }
}

/** The client's script, and ours behind it. */
class FullScriptStep implements NodeStep<DropInAnswer> {
  readonly replyCount = 2;
  private readonly form: ScriptForm;
  private readonly ttlMaxMs: number;

  constructor(form: ScriptForm, ttlMaxMs: number) {
    this.form = form;
    this.ttlMaxMs = ttlMaxMs;
  }

  bytesMax(): number {
    return scriptBytesMax(this.form);
  }

  write(writer: CommandWriter): number {
    const { words, keys, whole } = this.form;
    writeScript(writer, whole ?? words, keys, this.ttlMaxMs);
    return -1;
  }

  decode([reply, after]: readonly Uint8Array[]): DropInAnswer {
    if (isError(after as Uint8Array, 0)) return unable(after as Uint8Array);
    const found = elementsOf(after as Uint8Array);
    const keys = this.form.keys.map((_, key): Left => {
      return { beforeMs: NOTHING, afterMs: integerOf(found[2 * key + 1] as Uint8Array) };
    });
    const overlong = keys.some(({ afterMs }) => isOverlong(afterMs, this.ttlMaxMs));
    return { kind: 'vote', ...withoutTimes(reply as Uint8Array, keys), written: NOT_TAKEN, overlong };
  }

  plainAnswer(): null {
    return null;
  }
}

/** Whether the node has the script of that SHA1. */
export type ScriptAnswer = { kind: 'script'; isThere: boolean } | Unable;

/** What a node is asked before it is sent a SHA1 whose text nobody here knows. */
export class ExistsStep implements NodeStep<ScriptAnswer> {
  readonly replyCount = 1;
  private readonly words: readonly string[];
  private readonly sha: string;
  private readonly node: number;
  private readonly known: KnownNodes;

  constructor(sha: string, node: number, known: KnownNodes) {
    this.words = ['SCRIPT', 'EXISTS', sha];
    this.sha = sha;
    this.node = node;
    this.known = known;
  }

  bytesMax(): number {
    return COMMAND_HEAD_BYTES_MAX + this.words.reduce((bytes, { length }) => bytes + wordBytesMax(length), 0);
  }

  write(writer: CommandWriter): number {
    writer.begin(this.words.length);
    for (const word of this.words) writer.word(word);
    return -1;
  }

  decode([reply]: readonly Uint8Array[], record: Uint8Array): ScriptAnswer {
    const frame = reply as Uint8Array;
    if (isError(frame, 0)) return unable(frame);
    const isThere = integerOf(elementsOf(frame)[0] as Uint8Array) === 1;
    this.known.noteScript(this.node, latin1(record), this.sha, isThere);
    return { kind: 'script', isThere };
  }

  plainAnswer(): null {
    return null;
  }
}

function writeScript(
  writer: CommandWriter,
  words: readonly Uint8Array[],
  keys: readonly Uint8Array[],
  ttlMaxMs: number,
): void {
  writer.begin(words.length);
  for (const word of words) writer.word(word);
  writeCall(writer, ['EVAL', AFTER], keys, Buffer.from(`${ttlMaxMs}`), []);
}

function scriptBytesMax({ words, keys, whole }: ScriptForm): number {
  const own = COMMAND_HEAD_BYTES_MAX * 2 + callBytesMax(AFTER.length, keys, [], 0);
  return own + Math.max(wordsBytesMax(words), wordsBytesMax(whole ?? []));
}

function wordsBytesMax(words: readonly Uint8Array[]): number {
  return words.reduce((bytes, { length }) => bytes + wordBytesMax(length), 0);
}

function isNoScript(reply: Uint8Array): boolean {
  return isError(reply, 0) && startsWith(reply, NOSCRIPT);
}

function isOverlong(afterMs: number, ttlMaxMs: number): boolean {
  return afterMs === FOR_GOOD || afterMs > ttlMaxMs;
}

/** MULTI, what it queues, EXEC. */
const BLOCK_REPLIES = 5;
/** PTTL of what is not there. */
const NOTHING = -2;

/** A command `head number-of-keys keys first words`. Returns where `first` stands. */
function writeCall(
  writer: CommandWriter,
  head: readonly [string, string],
  keys: readonly Uint8Array[],
  first: Uint8Array,
  words: readonly Word[],
): number {
  writer.begin(CALL_WORDS + keys.length + words.length);
  for (const word of head) writer.word(word);
  writer.word(`${keys.length}`);
  for (const key of keys) writer.word(key);
  const firstAt = writer.at;
  writer.word(first);
  for (const word of words) writer.word(word);
  return firstAt;
}

function callBytesMax(
  sourceBytes: number,
  keys: readonly Uint8Array[],
  words: readonly Word[],
  firstBytes: number,
): number {
  let bytes = wordBytesMax(8) * 2 + wordBytesMax(sourceBytes) + wordBytesMax(Math.max(firstBytes, 8));
  for (const { length } of [...keys, ...words]) bytes += wordBytesMax(length);
  return bytes;
}

/** The reply to a client's command, alone in an array. */
function voteOf(frame: Uint8Array, takes: Written | null): DropInAnswer {
  const [reply] = elementsOf(frame) as [Uint8Array];
  const isTaken = takes !== null && Buffer.compare(reply, TAKEN) === 0;
  return vote(reply, isTaken ? [takes] : NOT_TAKEN);
}

/** What the key holds, and its PTTL. */
function timeVoteOf(frame: Uint8Array): DropInAnswer {
  const [holds, left] = elementsOf(frame) as [Uint8Array, Uint8Array];
  return { kind: 'vote', reply: holds, times: [integerOf(left)], written: NOT_TAKEN, overlong: false };
}

function vote(reply: Uint8Array, written: readonly Written[]): DropInAnswer {
  return { kind: 'vote', reply, times: [], written, overlong: false };
}

/** `N`, or `Q` and the milliseconds. */
function verdictOf(frame: Uint8Array): NotMember | Quarantined {
  const text = textOf(frame);
  if (isNotMember(text)) return NOT_MEMBER;
  if (!text.startsWith('Q')) throw new Error(`a command on a lock was answered ${text}`);
  return { kind: 'quarantined', leftMs: Number(text.slice(1)) };
}

function integerOf(frame: Uint8Array): number {
  return parseInteger(frame, 0, frame.length);
}

function startsWith(bytes: Uint8Array, beginning: Uint8Array): boolean {
  return beginning.every((byte, index) => bytes[index] === byte);
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
