/**
 * The steps on a key as a stock Redis server takes them, and what its replies mean: scripts for what decides, a transaction for
 * what only reads. The connection speaks RESP3, and has loaded KEY_SCRIPTS.
 *
 *   prepare, install, collect   EVALSHA
 *   accept                      EVALSHA, or the watch form (watch-form) where a script's replies would not be exact
 *   read, peek, snapshot        MULTI; MGET node floor meta; EXISTS; the commands, or DUMP; EXEC
 */
import { encodeCommand, isError } from '../resp/reply.js';
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

type Word = string | Uint8Array;

/** A step on its way to one node. */
export type NodeStep = NodeRequest<Answer<Replies, Value>>;

/** `record`: the bytes of `~rl:node` that the node is to have. */
export function encodeStep(step: Step<Commands, Value>, key: Uint8Array, record: Uint8Array): NodeStep {
  switch (step.kind) {
    case 'prepare':
      return scriptStep(PREPARE, [key, record, step.ballot], decodePrepare);
    case 'collect':
      return scriptStep(COLLECT, [key, record, step.ballot], decodeCollect);
    case 'install': {
      const { accepted, live, expireAt, value } = step.state;
      const promised = largest(accepted, step.next);
      const words = [key, record, accepted, promised + accepted, formatTail(live, expireAt), `${expireAt}`];
      return scriptStep(INSTALL, value === null ? words : [...words, value], (reply) => {
        return decodeAccept(reply, promised);
      });
    }
    case 'accept':
      return encodeAccept(step, key, record);
    case 'read':
      return encodeView(key, record, step.commands);
    case 'peek':
      return encodeView(key, record, NO_COMMANDS);
    case 'snapshot':
      return encodeSnapshot(key, record);
  }
}

function encodeAccept(
  step: Extract<Step<Commands, Value>, { kind: 'accept' }>,
  key: Uint8Array,
  record: Uint8Array,
): NodeStep {
  const { list, protocol } = step.commands;
  const traits = list.map(commandTraits);
  if (!areExactInScript(traits, protocol)) return encodeWatched(step, key, record);
  const promised = largest(step.ballot, step.next);
  const words: Word[] = [
    ...[key, record, step.ballot + step.base, promised + step.ballot],
    ...[step.expired ? '1' : '0', step.setsExpiry === 0 ? '' : `${step.setsExpiry}`],
  ];
  const decode = (reply: Uint8Array): AcceptAnswer<Replies> => {
    const answer = decodeAccept(reply, promised);
    if (answer.kind === 'ok') answer.replies = shapeReplies(answer.replies as Replies, traits, protocol);
    return answer;
  };
  const [only] = traits;
  if (only !== undefined && traits.length === 1 && !only.readonly && !step.expired) {
    const command = list[0] as Command;
    words.push(tailAfter(command, only), ...command);
    return scriptStep(ACCEPT_ONE, words, decode);
  }
  for (const command of list) words.push(`${command.length}`, ...command);
  return scriptStep(traits.some(({ denyOom }) => denyOom) ? ACCEPT_ALL : ACCEPT_SMALL, words, decode);
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
function encodeView(key: Uint8Array, record: Uint8Array, commands: Commands): NodeStep {
  const queued = queueCommands(commands);
  const frames = Buffer.concat([MULTI, mget(key), encodeCommand(['EXISTS', key]), ...queued.frames, EXEC]);
  return {
    frames,
    replyCount: queued.frames.length + 4,
    decode(frames) {
      const exec = executed(frames);
      if (isError(exec, 0)) return unable(exec);
      const elements = elementsOf(exec);
      const isGone = (elements[1] as Uint8Array)[1] === DIGIT_0;
      const view = decodeView(elements[0] as Uint8Array, record, isGone);
      if (view.kind === 'view' && commands.list.length > 0) view.replies = queued.decode(elements, 2);
      return view;
    },
  };
}

function encodeSnapshot(key: Uint8Array, record: Uint8Array): NodeStep {
  return {
    frames: Buffer.concat([MULTI, mget(key), encodeCommand(['DUMP', key]), EXEC]),
    replyCount: 4,
    decode(frames) {
      const exec = executed(frames);
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

function scriptStep(
  script: Script,
  words: readonly Word[],
  decode: (reply: Uint8Array) => Answer<Replies, Value>,
): NodeStep {
  return {
    frames: encodeCommand(['EVALSHA', script.sha, '1', ...words]),
    replyCount: 1,
    decode: (replies) => decode(replies[0] as Uint8Array),
  };
}
