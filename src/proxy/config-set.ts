/**
 * CONFIG SET at all nodes as at one server: where one of them refuses it, nothing is changed. Each is asked for the former values in the same
 * piece; if some have set the new ones and others refuse to, those that have are set back.
 *
 *   CONFIG GET name …  CONFIG SET name value …   -> all nodes     all OK, or all refuse  -> told
 *   CONFIG SET name former …                     -> those that have, where others refuse
 *
 * Where it is not known what became of it at a node, or that could not be reached, the others keep what they have set.
 */
import type { NodeSnapshot } from '../messages.js';
import { bulkOf, elementsOf, textOf } from '../replica/reply-shape.js';
import { encodeCommand, errorReply, isError, REPLY_OK } from '../resp/reply.js';
import { failedToo, isOwnError, textOfError } from './error-text.js';
import type { NodeSteps } from './node-steps.js';

/** What a node has said. */
interface Answer {
  readonly node: NodeSnapshot;
  readonly former: Uint8Array;
  readonly reply: Uint8Array;
}

/** `words`: those of the command, two at least and then names and values by turns. Its outcome is the client's reply. */
export function* setConfiguration(nodes: readonly NodeSnapshot[], words: readonly Uint8Array[]): NodeSteps<Uint8Array> {
  const names = words.slice(2).filter((_, index) => index % 2 === 0);
  const [ask, set] = [encodeCommand(['CONFIG', 'GET', ...names]), encodeCommand(words)];
  const replies = yield nodes.flatMap(({ index }) => [
    // Of a node that is lost nothing is asked again: it may have new values by then.
    { node: index, frame: ask, isWrite: true },
    { node: index, frame: set, isWrite: true },
  ]);
  const answers = nodes.map((node, place) => ({
    node,
    former: replies[2 * place] as Uint8Array,
    reply: replies[2 * place + 1] as Uint8Array,
  }));
  const [first] = answers as [Answer, ...Answer[]];
  const done = answers.filter(({ reply }) => !isError(reply, 0));
  if (answers.every(({ reply }) => Buffer.compare(reply, first.reply) === 0)) return first.reply;
  const refused = answers.find(({ reply }) => isError(reply, 0) && !isOwnError(textOfError(reply)));
  if (refused === undefined) return lost(answers, done);
  const from = `from node ${refused.node.label}`;
  const others = `${done.length} of ${nodes.length} shards have carried out their part of it`;
  const text = textOfError(refused.reply);
  if (done.length === 0)
    return errorReply(
      `${text} (${from}; ${nodes.length - 1} other shards were asked too)${alsoFailed(answers, refused)}`,
    );
  const backs = done.map(({ node, former }) => ({ node, frame: setBack(names, former) }));
  const known = backs.filter(({ frame }) => frame !== null);
  const outcomes = yield known.map(({ node, frame }) => ({
    node: node.index,
    frame: frame as Uint8Array,
    isWrite: true,
  }));
  const kept = [
    ...backs.filter(({ frame }) => frame === null).map(({ node }) => node.label),
    ...known.filter((_, place) => isError(outcomes[place] as Uint8Array, 0)).map(({ node }) => node.label),
  ];
  const end = kept.length === 0 ? 'and were set back' : `and were set back, but for ${kept.join(', ')}`;
  return errorReply(`${text} (${from}; ${others}, ${end})${alsoFailed(answers, refused)}`);
}

/** No node refuses it, but of some it is not known, or they cannot be reached. */
function lost(answers: readonly Answer[], done: readonly Answer[]): Uint8Array {
  const errors = answers.filter(({ reply }) => isError(reply, 0));
  const told = errors.find(({ reply }) => textOfError(reply).startsWith('UNKNOWN ')) ?? errors[0];
  if (told === undefined) return REPLY_OK;
  const text = textOfError(told.reply);
  const also = alsoFailed(answers, told);
  if (done.length === 0 || text.startsWith('UNKNOWN ')) return errorReply(`${text}${also}`);
  const why = text.slice(text.indexOf(' ') + 1);
  return errorReply(`UNKNOWN ${why} there, but other shards have carried out their part of it${also}`);
}

/** Which nodes have failed besides the one whose words are told. */
function alsoFailed(answers: readonly Answer[], told: Answer): string {
  const others = answers.filter((answer) => answer !== told && isError(answer.reply, 0)).map(({ node }) => node.label);
  return failedToo(others);
}

/** What sets a node back to what it had said; null where it has not said all of it. */
function setBack(names: readonly Uint8Array[], former: Uint8Array): Uint8Array | null {
  if (isError(former, 0)) return null;
  const elements = elementsOf(former);
  const values = new Map<string, Uint8Array>();
  for (let at = 0; at + 1 < elements.length; at += 2)
    values.set(textOf(elements[at] as Uint8Array).toLowerCase(), bulkOf(elements[at + 1] as Uint8Array));
  const words: (string | Uint8Array)[] = ['CONFIG', 'SET'];
  for (const name of names) {
    const value = values.get(Buffer.from(name).toString('latin1').toLowerCase());
    if (value === undefined) return null;
    words.push(name, value);
  }
  return encodeCommand(words);
}
