/** The replies of several nodes as frames, for policies that take them apart. */
import { elementsOf } from '../replica/reply-shape.js';
import { TYPE } from '../resp/frame.js';
import { type Protocol, parseInteger } from '../resp/reply.js';
import type { Part, Parts } from './response-policy.js';

const MINUS = 0x2d;

/** The whole reply of `part`: a view of the arena. */
export function frameOf(bytes: Uint8Array, { start, bytes: length }: Part): Uint8Array {
  return bytes.subarray(start, start + length);
}

/** Those of all parts. */
export function framesOf(parts: Parts): Uint8Array[] {
  return Array.from({ length: parts.partCount }, (_, index) => frameOf(parts.bytes, parts.part(index)));
}

/** Of each part the frames of its elements; of a map its keys and values in turn. */
export function elementsOfAll(parts: Parts): Uint8Array[][] {
  return framesOf(parts).map(elementsOf);
}

/** Whether the reply of `part` is an array that is not null, or in RESP3 a map or a set. */
export function isAggregate(bytes: Uint8Array, { start }: Part): boolean {
  const type = bytes[start];
  return (type === TYPE.array && bytes[start + 1] !== MINUS) || type === TYPE.map || type === TYPE.set;
}

/** The protocol that a reply is in which is a map. */
export function protocolOf(map: Uint8Array): Protocol {
  return map[0] === TYPE.map ? 3 : 2;
}

/** The value of an integer's frame. */
export function integerOf(frame: Uint8Array): number {
  return parseInteger(frame, 0, frame.length);
}
