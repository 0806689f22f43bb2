/**
 * What the client is told where not all parts of its command have come to a reply that can be merged.
 *
 * A part that failed makes the whole an error that names its shard. Of a write that was carried out on another shard
 * nobody says that it had no effect: it is -UNKNOWN.
 */
import { errorReply, isError } from '../resp/reply.js';
import type { Output } from '../transport/output.js';
import { failedToo, textOfError } from './error-text.js';
import { type Part, type Parts, type ResponsePolicy, unexpectedReply } from './response-policy.js';

/** Appends the merged reply, or the error in its place. `isWrite`: what has failed somewhere may have been done elsewhere. */
export function writeMerged(parts: Parts, policy: ResponsePolicy, isWrite: boolean, output: Output): void {
  const error = policy.needsOne ? errorOfAll(parts, policy, isWrite) : errorOfSome(parts, policy, isWrite);
  if (error !== null) output.appendBytes(error);
  else policy.write(parts, output);
}

/** Whether all parts have come to a reply that can be merged. */
export function allSucceeded(parts: Parts, policy: ResponsePolicy): boolean {
  for (let index = 0; index < parts.partCount; index++) if (!succeeded(parts, policy, index)) return false;
  return true;
}

const UNKNOWN = Buffer.from('-UNKNOWN ');
/** How a node refuses SCRIPT KILL when nothing runs there: what is wrong elsewhere says more. */
const NOT_BUSY = Buffer.from('-NOTBUSY ');

function errorOfSome(parts: Parts, policy: ResponsePolicy, isWrite: boolean): Uint8Array | null {
  let first = -1;
  const others = new Set<string>();
  for (let index = 0; index < parts.partCount; index++) {
    if (succeeded(parts, policy, index) || policy.tellsOf?.(index, parts) === true) continue;
    if (first < 0) first = index;
    else others.add(parts.part(index).nodeName);
  }
  if (first < 0) return null;
  const told = isWrite ? toldOfWrite(parts, first) : first;
  others.add(parts.part(first).nodeName);
  others.delete(parts.part(told).nodeName);
  const error = errorOf(parts, policy, told, isWrite);
  return others.size === 0 || isSaidByAll(parts, error) ? error : withOthers(error, [...others]);
}

/** Whose error is told where part `first` of a write failed: the one of which nobody knows what became of it. */
function toldOfWrite(parts: Parts, first: number): number {
  if (parts.part(first).failure === null) return first;
  for (let index = first; index < parts.partCount; index++) if (isUnknown(parts.part(index))) return index;
  return first;
}

/** As `errorOfSome`, where one part's success is enough. */
function errorOfAll(parts: Parts, policy: ResponsePolicy, isWrite: boolean): Uint8Array | null {
  let telling = -1;
  for (let index = 0; index < parts.partCount; index++) {
    if (succeeded(parts, policy, index)) return null;
    const { failure, start } = parts.part(index);
    const isIdle = failure === null && NOT_BUSY.compare(parts.bytes, start, start + NOT_BUSY.length) === 0;
    if (telling < 0 && !isIdle) telling = index;
  }
  return errorOf(parts, policy, Math.max(telling, 0), isWrite);
}

/** The error of part `index`, with its shard's name. What all shards say alike is said as one Redis would. */
function errorOf(parts: Parts, policy: ResponsePolicy, index: number, isWrite: boolean): Uint8Array {
  const part = parts.part(index);
  // Failures of our own name the node already.
  if (part.failure !== null) return isWrite ? fateOfWrite(parts, policy, part.failure) : part.failure;
  const { bytes } = parts;
  if (!isError(bytes, part.start)) return unexpectedReply(bytes, part);
  const frame = bytes.slice(part.start, part.start + part.bytes);
  if (isSaidByAll(parts, frame)) return frame;
  const [asked, failed] = [new Set<string>(), new Set<string>()];
  for (let at = 0; at < parts.partCount; at++) {
    const { nodeName } = parts.part(at);
    asked.add(nodeName);
    if (!succeeded(parts, policy, at)) failed.add(nodeName);
  }
  const done = asked.size - failed.size;
  const others =
    isWrite && done > 0
      ? `${done} of ${asked.size} shards have carried out their part of it`
      : `${asked.size - 1} other shards were asked too`;
  return errorReply(`${textOfError(frame)} (from node ${part.nodeName}; ${others})`);
}

function isSaidByAll(parts: Parts, frame: Uint8Array): boolean {
  for (let index = 0; index < parts.partCount; index++) {
    const { failure, start, bytes } = parts.part(index);
    if (failure !== null || Buffer.compare(frame, parts.bytes.subarray(start, start + bytes)) !== 0) return false;
  }
  return true;
}

/** `failure` says that a part had no effect, or that it is unknown; the command is what all its parts are. */
function fateOfWrite(parts: Parts, policy: ResponsePolicy, failure: Uint8Array): Uint8Array {
  let isDone = false;
  for (let index = 0; index < parts.partCount; index++) {
    const part = parts.part(index);
    if (part.failure === null) isDone ||= succeeded(parts, policy, index);
    else if (isUnknown(part)) return part.failure;
  }
  if (!isDone) return failure;
  const text = textOfError(failure);
  const why = text.slice(text.indexOf(' ') + 1);
  return errorReply(`UNKNOWN ${why} there, but other shards have carried out their part of it`);
}

function isUnknown({ failure }: Part): boolean {
  return failure !== null && UNKNOWN.equals(failure.subarray(0, UNKNOWN.length));
}

/** Whether the reply of part `index` can be merged with the others'. */
function succeeded(parts: Parts, policy: ResponsePolicy, index: number): boolean {
  const part = parts.part(index);
  return part.failure === null && policy.fits(parts.bytes, part);
}

/** `error`, an error reply of one node, and which others failed as well. */
function withOthers(error: Uint8Array, others: readonly string[]): Uint8Array {
  return Buffer.concat([error.subarray(0, error.length - 2), Buffer.from(`${failedToo(others)}\r\n`)]);
}
