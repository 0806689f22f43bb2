/** What a client is told of a gather that could not be carried out (gather-steps.ts). The command had no effect. */
import { errorBytes, showBytes } from '../base/errors.js';
import type { Counts } from '../base/metrics.js';
import { bulkOf, elementsOf } from '../replica/reply-shape.js';
import { errorReply, parseInteger } from '../resp/reply.js';
import { isOwnError, textOfError } from './error-text.js';
import { MARKER } from './gather-scripts.js';

/** What one Redis says of a command's keys and arguments, too: the node's name is of no use in it. */
const ABOUT_COMMAND =
  /^(WRONGTYPE |ERR (Invalid stream ID |The > ID can be specified only |syntax error|value is |(BY|GET) option of SORT |One or more scores ))/;

export function isAboutCommand(error: Uint8Array): boolean {
  return ABOUT_COMMAND.test(textOfError(error));
}

/** The refusal at the limit that `text` names. */
export function overloaded(counts: Counts, text: string): Uint8Array {
  counts.commandsOverloaded++;
  counts.gathersRefused++;
  return errorBytes('OVERLOADED', `${text}; the command had no effect`);
}

export function tooManyBytes(bytes: number, gatherBytesMax: number): string {
  return `the keys that this command reads on other nodes take ${bytes} bytes (gatherBytesMax ${gatherBytesMax})`;
}

export function tooManyKeys(gatherKeysMax: number): string {
  return `the keys that this command reads are more than gatherKeysMax ${gatherKeysMax}`;
}

export function tooManyElements(gatherKeysMax: number): string {
  return `what this command sorts has more elements that name keys than gatherKeysMax ${gatherKeysMax}`;
}

/** `count`: of values that SORT would write. */
export function tooManyValues(count: number, most: number): string {
  return `this command makes ${count} values, and more than ${most} are not taken in one piece: leave some out by LIMIT`;
}

/** `others` and `own`: what other gathers of the worker hold, and what this one would. */
export function tooMuchAtOnce(others: number, own: number, gatherWorkerBytesMax: number): string {
  const held = `other commands hold ${others} bytes of what they read on other nodes`;
  return `${held}, and this one takes ${own} (gatherWorkerBytesMax ${gatherWorkerBytesMax})`;
}

/** `error`: what the node of that name answered, or what the proxy says of it. */
export function refusedBy(label: string, error: Uint8Array): Uint8Array {
  const text = textOfError(error);
  return isOwnError(text) ? error : errorReply(`${text} (from node ${label}; the command had no effect)`);
}

/** A node answered that error where it was to take away what it was brought. */
export function notRemovedBy(label: string, error: Uint8Array): Uint8Array {
  const what = `node ${label} did not take away the copies that it was brought for this command`;
  return errorReply(`ERR ${what}: ${textOfError(error)}`);
}

/** The key that the command writes has another node now than the one that was to carry it out. */
export const MOVED = errorReply(
  'ERR the configuration has changed since this command was begun, and the key that it writes lies on another node; it had no effect: repeat it',
);

/** `reply`: what PLACE says of one of the names, which have a character a byte, or of MARKER. `sharedWith`: another service with keys there, or null. */
export function notPlacedBy(
  label: string,
  reply: Uint8Array,
  names: readonly string[],
  sharedWith: string | null,
): Uint8Array {
  const [number, error] = elementsOf(reply) as [Uint8Array, Uint8Array | undefined];
  const name = Buffer.from(names[parseInteger(number, 0, number.length) - 1] ?? MARKER, 'latin1');
  const key = showBytes(name, 0, name.length);
  if (error === undefined) {
    const whose = sharedWith === null ? 'of another layout' : `of the service ${sharedWith}, or of another layout`;
    const why = `node ${label} has a key ${key} ${whose}, which would be read instead of the one that lies elsewhere`;
    const help =
      sharedWith === null
        ? 'Delete it there, on the node itself'
        : 'Give the services of one pool prefixes that keep their keys apart';
    return errorReply(`ERR ${why}; the command had no effect. ${help}`);
  }
  const text = Buffer.from(bulkOf(error)).toString('latin1');
  return errorReply(`${text} (from node ${label}, which was to have ${key} for this command; it had no effect)`);
}
