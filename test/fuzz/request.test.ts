/**
 * Commands out of random bytes: the reader never throws, never looks past the end, never stands still, and says the same
 * of a stream in pieces as of the whole.
 */
import { strict as assert } from 'node:assert';
import t from 'tap';
import { type Random, randomFromSeed } from '../help/random.js';
import { mutate, RESP_ALPHABET, randomCommand } from '../help/random-frames.js';
import { readPieces, readWhole } from '../help/request-stream.js';

/** Of each kind of randomness, in every run. */
const BYTES = 500_000;
/** Small, so that chance reaches them. */
const LIMITS = { bulkBytesMax: 90, inlineBytesMax: 48 };

const KINDS: readonly [name: string, make: (random: Random) => Buffer][] = [
  ['random bytes', (random) => random.bytes(1 + random.below(200))],
  ['random bytes after a star', (random) => Buffer.concat([Buffer.from('*1'), random.bytes(random.below(80))])],
  ['random bytes of those that mean something', (random) => random.bytesOf(1 + random.below(100), RESP_ALPHABET)],
  ['random valid commands', commands],
  ['random commands, damaged', (random) => mutate(random, commands(random))],
];

for (const [name, make] of KINDS) {
  t.test(`commands are read alike, whole and in pieces, out of ${name}`, async (t) => {
    const random = randomFromSeed((text) => t.comment(text));
    let bytes = 0;
    while (bytes < BYTES) {
      const stream = make(random);
      bytes += stream.length + 1;
      const limits = random.chance(50) ? LIMITS : undefined;
      const cuts = Array.from({ length: random.below(6) }, () => random.below(stream.length + 1));
      cuts.push(stream.length);
      cuts.sort((a, b) => a - b);
      try {
        assert.deepEqual(readPieces(stream, cuts, limits), readWhole(stream, limits));
      } catch (error) {
        t.fail(`cut at ${cuts}: ${JSON.stringify(stream.toString('latin1'))}`, { error: String(error) });
        return;
      }
    }
    t.ok(bytes >= BYTES);
  });
}

function commands(random: Random): Buffer {
  return Buffer.concat(Array.from({ length: 1 + random.below(4) }, () => randomCommand(random)));
}
