/**
 * ACCEPT in the watch form: the commands stand in a transaction, so that their replies are exactly Redis's, whatever they are
 * (client scripts and functions, wide integers, RESP3's types, thousands of arguments).
 *
 *   WATCH meta node floor key guard; EVAL check; MULTI; the commands; EVAL finish; EXEC
 *
 * Messages go out behind EXEC, carried out or not: a connection that listens to its own would get them in the midst of EXEC's reply.
 *
 * It is one piece on a connection that others use, too: a check that refuses touches the guard, so that EXEC answers null. The
 * key is watched because it may expire between the check and EXEC (INCR then answered 1: seen). The scripts go out whole: after
 * a NOSCRIPT for the check alone the transaction would be carried out unchecked.
 */
import { encodeCommand, isError } from '../resp/reply.js';
import { largest } from './ballot.js';
import type { Command, Commands, Replies, Value } from './commands.js';
import { FLOOR_KEY, GUARD_PREFIX, metaKey, NODE_KEY } from './meta.js';
import { decodeAccept, executed, unable } from './node-answer.js';
import type { NodeRequest } from './node-request.js';
import { elementsOf, isNull, textOf } from './reply-shape.js';
import { CHECK, FINISH } from './scripts.js';
import type { AcceptAnswer, Step } from './step.js';
import { queueCommands } from './transaction-replies.js';
import { isWord } from './words.js';

/** Reply to PUBLISH; nobody asks how many heard it. */
const NOBODY = Buffer.from(':0\r\n');
const MULTI = encodeCommand(['MULTI']);
const EXEC = encodeCommand(['EXEC']);

/** Makes each check's pass one that no other finish takes for its own. */
let attempts = 0;

/** `step.setsExpiry` is 0: see `canSetExpiry`. `aloneBytesMax`: see `encodeStep`. */
export function encodeWatched(
  step: Extract<Step<Commands, Value>, { kind: 'accept' }>,
  key: Uint8Array,
  record: Uint8Array,
  aloneBytesMax = Number.POSITIVE_INFINITY,
): NodeRequest<AcceptAnswer<Replies>> {
  if (step.setsExpiry !== 0) throw new Error('commands in the watch form set an expiry on several nodes');
  const { ballot, base, lineage, expired, commands, next } = step;
  const promised = largest(ballot, next);
  const pass = `${ballot}.${attempts++}`;
  const flag = expired ? '1' : '0';
  const bytesMax = commands.isAlone === true && aloneBytesMax !== Number.POSITIVE_INFINITY ? `${aloneBytesMax}` : '';
  const isMessage = ([name]: Command) => isWord(name, 'publish');
  const messages = commands.list.filter(isMessage);
  const queued = queueCommands({ ...commands, list: commands.list.filter((command) => !isMessage(command)) });
  const deletion = expired ? [encodeCommand(['DEL', key])] : [];
  const finish = ['EVAL', FINISH.source, '1', key, record, promised + ballot + lineage, pass, flag];
  const inside = [...deletion, ...queued.frames, encodeCommand(finish)];
  return {
    frames: Buffer.concat([
      encodeCommand(['WATCH', metaKey(key), NODE_KEY, FLOOR_KEY, key, GUARD_PREFIX + pass]),
      encodeCommand(['EVAL', CHECK.source, '1', key, record, ballot + base, pass, flag, '', bytesMax]),
      MULTI,
      ...inside,
      EXEC,
      ...messages.map(encodeCommand),
    ]),
    replyCount: inside.length + 4 + messages.length,
    decode(all) {
      const replies = all.slice(0, inside.length + 4);
      const exec = executed(replies);
      if (isError(exec, 0)) return unable(exec);
      if (isNull(exec)) {
        const verdict = replies[1] as Uint8Array;
        if (isError(verdict, 0)) return unable(verdict);
        // Another has written between check and EXEC, or its value has expired: it is not the base any more.
        return textOf(verdict) === '' ? { kind: 'stale' } : decodeAccept(verdict, promised);
      }
      const elements = elementsOf(exec);
      const answer = decodeAccept(elements[elements.length - 1] as Uint8Array, promised);
      if (answer.kind === 'ok') {
        const own = queued.decode(elements, deletion.length);
        let place = 0;
        answer.replies = commands.list.map((command) => (isMessage(command) ? NOBODY : (own[place++] as Uint8Array)));
      }
      return answer;
    },
  };
}
