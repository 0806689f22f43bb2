/**
 * Names of keys from a node that also holds keys which a service does not see: those of another service in the same pool, or
 * what lies where no route of the service leads. Only its own are shown, so that what KEYS names, GET finds.
 */
import { skipValue, TYPE } from '../resp/frame.js';
import { arrayHeader, parseInteger } from '../resp/reply.js';
import type { Output } from '../transport/output.js';
import { type Part, type Parts, type ResponsePolicy, responsePolicy } from './response-policy.js';

/** Whether the key bytes[start, end), which the node of that index has, is to be shown. */
export type KeyTest = (bytes: Uint8Array, start: number, end: number, node: number) => boolean;

/** KEYS: the names from all nodes of a service, in the order of its nodes. */
export class OwnKeysPolicy implements ResponsePolicy {
  readonly needsOne = false;
  private readonly nodes: readonly { index: number }[];
  private readonly isOwn: KeyTest;

  constructor({ nodes, isOwn }: { nodes: readonly { index: number }[]; isOwn: KeyTest }) {
    this.nodes = nodes;
    this.isOwn = isOwn;
  }

  fits(bytes: Uint8Array, part: Part): boolean {
    return responsePolicy(null, false).fits(bytes, part);
  }

  write(parts: Parts, output: Output): void {
    const { bytes } = parts;
    let count = 0;
    for (const [place, { index }] of this.nodes.entries()) {
      count += countOwnKeys(bytes, parts.part(place).start, index, this.isOwn);
    }
    output.appendBytes(arrayHeader(count));
    for (const [place, { index }] of this.nodes.entries()) {
      appendOwnKeys(bytes, parts.part(place).start, index, this.isOwn, output);
    }
  }
}

/** How many elements of the array at `start`, which is all there, are keys to be shown. */
export function countOwnKeys(bytes: Uint8Array, start: number, node: number, isOwn: KeyTest): number {
  let count = 0;
  forEachKey(bytes, start, node, isOwn, () => count++);
  return count;
}

/** Appends those elements of the array at `start` that are keys to be shown, without a header. */
export function appendOwnKeys(bytes: Uint8Array, start: number, node: number, isOwn: KeyTest, output: Output): void {
  forEachKey(bytes, start, node, isOwn, (from, to) => output.appendNow(from, to));
}

function forEachKey(
  bytes: Uint8Array,
  start: number,
  node: number,
  isOwn: KeyTest,
  show: (start: number, end: number) => void,
): void {
  let at = lineEnd(bytes, start);
  for (let left = parseInteger(bytes, start, at); left > 0; left--) {
    const end = skipValue(bytes, at);
    if (bytes[at] === TYPE.bulk && isOwn(bytes, lineEnd(bytes, at), end - 2, node)) show(at, end);
    at = end;
  }
}

function lineEnd(bytes: Uint8Array, start: number): number {
  return bytes.indexOf(0x0a, start) + 1;
}
