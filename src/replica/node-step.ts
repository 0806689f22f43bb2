/**
 * The steps on a key as a stock Redis server takes them, and what its replies mean: scripts for what decides, a transaction for
 * what only reads. The connection speaks RESP3, and has loaded KEY_SCRIPTS.
 *
 *   prepare, install, collect   EVALSHA
 *   accept                      EVALSHA, or the watch form (watch-form) where a script's replies would not be exact
 *   read, peek, snapshot        MULTI; MGET node floor meta; EXISTS; the commands, or DUMP; EXEC
 */
import { TYPE } from '../resp/frame.js';
import { encodeCommand, headerLength, isError, writeHeader } from '../resp/reply.js';
import { largest } from './ballot.js';
import { type Command, type Commands, NO_COMMANDS, type Replies, type Value } from './commands.js';
import { FLOOR_KEY, formatTail, metaKey, NODE_KEY } from './meta.js';
import { decodeAccept, decodeCollect, decodePrepare, decodeView, executed, unable } from './node-answer.js';
import type { NodeRequest } from './node-request.js';
import { bulkOf, elementsOf, isNull, nullsToResp2, wideToInteger } from './reply-shape.js';
import { areExactInScript, type CommandTraits, commandTraits, tailAfter } from './script-commands.js';
import { ACCEPT_ALL, ACCEPT_ONE, ACCEPT_SMALL, COLLECT, INSTALL, PREPARE, type Script } from './scripts.js';
import type { AcceptAnswer, Answer, Step } from './step.js';
import { queueCommands } from './transaction-replies.js';
import { encodeWatched } from './watch-form.js';

const MULTI = encodeCommand(['MULTI']);
const EXEC = encodeCommand(['EXEC']);
const DIGIT_0 = 0x30;
const CR = 0x0d;
const LF = 0x0a;

type Word = string | Uint8Array;
type AcceptStep = Extract<Step<Commands, Value>, { kind: 'accept' }>;

/** A step on its way to one node. */
export type NodeStep = NodeRequest<Answer<Replies, Value>>;

/** What is the same for all nodes that a step goes to. */
interface Body {
  /** Frames, up to the record's place and from there; one, where no record is sent. */
  readonly head: Uint8Array;
  readonly rest: Uint8Array | null;
  readonly replyCount: number;
  decode(replies: readonly Uint8Array[], record: Uint8Array): Answer<Replies, Value>;
}

/** A step goes to several nodes, one after the other: its body is made once. Larger ones are not kept. */
const KEPT_BYTES_MAX = 16 * 1024;
let keptStep: Step<Commands, Value> | null = null;
let keptKey: Uint8Array = new Uint8Array();
let keptBody: Body | null = null;

/**
 * `record`: the bytes of `~rl:node` that the node is to have. `aloneBytesMax`: memory that a value may take to which commands write
 * that one node alone carries out. A step that was encoded never changes.
 */
export function encodeStep(
  step: Step<Commands, Value>,
  key: Uint8Array,
  record: Uint8Array,
  aloneBytesMax = Number.POSITIVE_INFINITY,
): NodeStep {
  if (keptBody !== null && keptStep === step && isEqual(keptKey, key)) return new BodyRequest(keptBody, record);
  const body = step.kind === 'accept' ? acceptBody(step, key) : otherBody(step, key);
  if (body === null) return encodeWatched(step as AcceptStep, key, record, aloneBytesMax);
  if (body.head.length + (body.rest?.length ?? 0) <= KEPT_BYTES_MAX) {
    keptStep = step;
    keptKey = key;
    keptBody = body;
  }
  return new BodyRequest(body, record);
}

class BodyRequest implements NodeStep {
  readonly frames: Uint8Array;
  readonly replyCount: number;
  private readonly body: Body;
  private readonly record: Uint8Array;

  constructor(body: Body, record: Uint8Array) {
    this.body = body;
    this.record = record;
    this.replyCount = body.replyCount;
    this.frames = body.rest === null ? body.head : joinRecord(body.head, record, body.rest);
  }

  decode(replies: readonly Uint8Array[]): Answer<Replies, Value> {
    return this.body.decode(replies, this.record);
  }
}

function joinRecord(head: Uint8Array, record: Uint8Array, rest: Uint8Array): Uint8Array {
  const frames = Buffer.allocUnsafe(head.length + bulkLength(record) + rest.length);
  frames.set(head);
  frames.set(rest, writeBulk(frames, head.length, record));
  return frames;
}

function otherBody(step: Exclude<Step<Commands, Value>, AcceptStep>, key: Uint8Array): Body {
  switch (step.kind) {
    case 'prepare':
      return scriptBody(PREPARE, key, [step.ballot], decodePrepare);
    case 'collect':
      return scriptBody(COLLECT, key, [step.ballot], decodeCollect);
    case 'install': {
      const { accepted, lineage, live, expireAt, value } = step.state;
      const promised = largest(accepted, step.next);
      const words = [accepted, promised + accepted + lineage, formatTail(live, expireAt), `${expireAt}`];
      return scriptBody(INSTALL, key, value === null ? words : [...words, value], (reply) => {
        return decodeAccept(reply, promised);
      });
    }
    case 'read':
      return viewBody(key, step.commands);
    case 'peek':
      return viewBody(key, NO_COMMANDS);
    case 'snapshot':
      return snapshotBody(key);
  }
}

/** Null: it takes the watch form. */
function acceptBody(step: AcceptStep, key: Uint8Array): Body | null {
  const { list, protocol, isAlone } = step.commands;
  const traits = list.map(commandTraits);
  if (isAlone === true || !areExactInScript(traits, protocol)) return null;
  const promised = largest(step.ballot, step.next);
  const setsExpiry = step.setsExpiry === 0 ? '' : `${step.setsExpiry}`;
  const words: Word[] = [
    step.ballot + step.base,
    promised + step.ballot + step.lineage,
    step.expired ? '1' : '0',
    setsExpiry,
  ];
  const decode = (reply: Uint8Array): AcceptAnswer<Replies> => {
    const answer = decodeAccept(reply, promised);
    if (answer.kind === 'ok') answer.replies = shapeReplies(answer.replies as Replies, traits, protocol);
    return answer;
  };
  const [only] = traits;
  if (only !== undefined && traits.length === 1 && !only.readonly && !step.expired) {
    const command = list[0] as Command;
    words.push(tailAfter(command, only));
    for (const word of command) words.push(word);
    return scriptBody(ACCEPT_ONE, key, words, decode);
  }
  for (const command of list) {
    words.push(`${command.length}`);
    for (const word of command) words.push(word);
  }
  return scriptBody(traits.some(({ denyOom }) => denyOom) ? ACCEPT_ALL : ACCEPT_SMALL, key, words, decode);
}

/** Replies of a script to commands whose traits say that they can be made those of Redis. */
function shapeReplies(replies: Replies, traits: readonly CommandTraits[], protocol: 2 | 3): Replies {
  return replies.map((reply, index) => {
    const exact = wideToInteger(reply);
    return protocol === 3 ? exact : nullsToResp2(exact, (traits[index] as CommandTraits).nullArray);
  });
}

/**
 * A transaction that reads. For a client of RESP2 the connection changes its protocol inside, where no push can be lost, unless
 * the replies are alike but for nulls. Whether a value has expired is decided at one time for all of a transaction.
 */
function viewBody(key: Uint8Array, commands: Commands): Body {
  const queued = queueCommands(commands);
  return {
    head: Buffer.concat([MULTI, mget(key), encodeCommand(['EXISTS', key]), ...queued.frames, EXEC]),
    rest: null,
    replyCount: queued.frames.length + 4,
    decode(replies, record) {
      const exec = executed(replies);
      if (isError(exec, 0)) return unable(exec);
      const elements = elementsOf(exec);
      const isGone = (elements[1] as Uint8Array)[1] === DIGIT_0;
      const view = decodeView(elements[0] as Uint8Array, record, isGone);
      if (view.kind === 'view' && commands.list.length > 0) view.replies = queued.decode(elements, 2);
      return view;
    },
  };
}

function snapshotBody(key: Uint8Array): Body {
  return {
    head: Buffer.concat([MULTI, mget(key), encodeCommand(['DUMP', key]), EXEC]),
    rest: null,
    replyCount: 4,
    decode(replies, record) {
      const exec = executed(replies);
      if (isError(exec, 0)) return unable(exec);
      const [found, dump] = elementsOf(exec) as [Uint8Array, Uint8Array];
      const view = decodeView(found, record, isNull(dump));
      if (view.kind === 'view' && !isNull(dump)) view.value = bulkOf(dump);
      return view;
    },
  };
}

function mget(key: Uint8Array): Uint8Array {
  return encodeCommand(['MGET', NODE_KEY, FLOOR_KEY, metaKey(key)]);
}

/** `words`: what follows the record. */
function scriptBody(
  script: Script,
  key: Uint8Array,
  words: readonly Word[],
  decode: (reply: Uint8Array) => Answer<Replies, Value>,
): Body {
  const { call } = script;
  // EVALSHA, sha, the number of keys, the key, the record.
  const count = words.length + 5;
  const head = Buffer.allocUnsafe(headerLength(count) + call.length + bulkLength(key));
  const at = writeHeader(head, 0, TYPE.array, count);
  head.set(call, at);
  writeBulk(head, at + call.length, key);
  let length = 0;
  for (const word of words) length += bulkLength(word);
  const rest = Buffer.allocUnsafe(length);
  let end = 0;
  for (const word of words) end = writeBulk(rest, end, word);
  return { head, rest, replyCount: 1, decode: (replies) => decode(replies[0] as Uint8Array) };
}

/** Bytes of a word in a command. */
function bulkLength(word: Word): number {
  return headerLength(word.length) + word.length + 2;
}

/** Writes a word into a command, texts one character a byte, and returns where it ends. */
function writeBulk(frames: Buffer, at: number, word: Word): number {
  const start = writeHeader(frames, at, TYPE.bulk, word.length);
  if (typeof word === 'string') frames.write(word, start, 'latin1');
  else frames.set(word, start);
  const end = start + word.length;
  frames[end] = CR;
  frames[end + 1] = LF;
  return end + 2;
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  return one === other || (one.length === other.length && Buffer.compare(one, other) === 0);
}
