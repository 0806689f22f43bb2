/**
 * RANDOMKEY over all shards: every node is asked for a key of its own and for how many it has, in one round, and one of the
 * keys is drawn with that weight. So each key of the whole is as likely as on one Redis, and the answer is nil only when no
 * node has a key.
 */
import { TYPE } from '../resp/frame.js';
import { encodeCommand, parseInteger } from '../resp/reply.js';
import type { Output } from '../transport/output.js';
import { type Part, type Parts, type ResponsePolicy, unexpectedReply } from './response-policy.js';

/** What each node is asked besides. */
export const DBSIZE = encodeCommand(['DBSIZE']);

/** Of each node two parts: the reply to DBSIZE, then that to RANDOMKEY. */
export class RandomKeyPolicy implements ResponsePolicy {
  readonly inWords = 'that of a shard which is drawn by how many keys it has';
  readonly needsOne = false;
  private readonly random: () => number;

  /** `random`: a number in [0, 1). */
  constructor(random: () => number) {
    this.random = random;
  }

  fits(bytes: Uint8Array, { start }: Part): boolean {
    const type = bytes[start];
    return type === TYPE.integer || type === TYPE.bulk || type === TYPE.null;
  }

  write(parts: Parts, output: Output): void {
    const { bytes, partCount } = parts;
    let total = 0;
    for (let index = 0; index < partCount; index += 2) total += weight(parts, index);
    let left = this.random() * total;
    // With no key anywhere it is the last node's nil that is passed on.
    let chosen = partCount - 2;
    for (let index = 0; index < partCount; index += 2) {
      const own = weight(parts, index);
      if (own === 0) continue;
      chosen = index;
      left -= own;
      if (left < 0) break;
    }
    const key = parts.part(chosen + 1);
    if (bytes[key.start] === TYPE.integer) output.appendBytes(unexpectedReply(bytes, key));
    else output.appendNow(key.start, key.start + key.bytes);
  }
}

/** The weight of the node whose parts begin at `index`. A node with a key counts, whatever it says of its size. */
function weight(parts: Parts, index: number): number {
  const { bytes } = parts;
  const size = parts.part(index);
  const key = parts.part(index + 1);
  if (bytes[key.start] === TYPE.null || bytes[key.start + 1] === MINUS) return 0;
  const keys = bytes[size.start] === TYPE.integer ? parseInteger(bytes, size.start, size.start + size.bytes) : 0;
  return Math.max(keys, 1);
}

const MINUS = 0x2d;
