/** How the nodes' answers to PUBSUB become one: each channel once, each pattern once, though nodes know some of them all. */
import { skipValue, TYPE } from '../resp/frame.js';
import { arrayHeader, bulkReply, integerReply, parseInteger } from '../resp/reply.js';
import { type ResponsePolicy, responsePolicy, unexpectedReply } from './response-policy.js';

/** The policy of `pubsub|channels` and its like, or null where the command is none of them. */
export function pubsubPolicy(name: string): ResponsePolicy | null {
  return POLICIES.get(name) ?? null;
}

const LIST = responsePolicy(null, false);

/** CHANNELS: the names that any node has. */
const NAMES: ResponsePolicy = {
  inWords: 'each name once',
  needsOne: false,
  fits: LIST.fits,
  write: (parts, output) => {
    const names = new Set<string>();
    for (let index = 0; index < parts.partCount; index++) {
      forEachValue(parts.bytes, parts.part(index).start, (start, end) => names.add(textOf(parts.bytes, start, end)));
    }
    output.appendBytes(arrayHeader(names.size));
    for (const name of names) output.appendBytes(bulkReply(Buffer.from(name, 'latin1')));
  },
};

/** NUMSUB: for each name, in the order of the question, the number of that node which has most: its own has them all. */
const COUNTS: ResponsePolicy = {
  inWords: 'of each name the largest number: its own shard knows all of its subscribers',
  needsOne: false,
  fits: LIST.fits,
  write: (parts, output) => {
    const { bytes } = parts;
    const names: string[] = [];
    const counts: number[] = [];
    for (let index = 0; index < parts.partCount; index++) {
      const part = parts.part(index);
      let place = 0;
      forEachValue(bytes, part.start, (start, end) => {
        if (place % 2 === 0) names[place / 2] = textOf(bytes, start, end);
        else {
          const count = bytes[start] === TYPE.integer ? parseInteger(bytes, start, end) : 0;
          counts[(place - 1) / 2] = Math.max(counts[(place - 1) / 2] ?? 0, count);
        }
        place++;
      });
      if (place === names.length * 2) continue;
      output.appendBytes(unexpectedReply(bytes, part));
      return;
    }
    output.appendBytes(arrayHeader(names.length * 2));
    for (const [place, name] of names.entries()) {
      output.appendBytes(bulkReply(Buffer.from(name, 'latin1')));
      output.appendBytes(integerReply(counts[place] as number));
    }
  },
};

const POLICIES: ReadonlyMap<string, ResponsePolicy> = new Map([
  ['pubsub|channels', NAMES],
  ['pubsub|shardchannels', NAMES],
  ['pubsub|numsub', COUNTS],
  ['pubsub|shardnumsub', COUNTS],
  ['pubsub|numpat', responsePolicy('agg_max', false)],
]);

function forEachValue(bytes: Uint8Array, start: number, visit: (start: number, end: number) => void): void {
  let at = bytes.indexOf(0x0a, start) + 1;
  for (let left = parseInteger(bytes, start, at); left > 0; left--) {
    const end = skipValue(bytes, at);
    visit(at, end);
    at = end;
  }
}

/** The text of the bulk string that is bytes[start, end), one character a byte. */
function textOf(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.subarray(bytes.indexOf(0x0a, start) + 1, end - 2)).toString('latin1');
}
