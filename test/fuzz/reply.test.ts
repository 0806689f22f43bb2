/**
 * Replies out of random bytes: the scanner never throws, never looks past the end, never stands still, says the same of a
 * reply in pieces as of the whole, and agrees with the reference parser.
 */
import { strict as assert } from 'node:assert';
import t from 'tap';
import { INCOMPLETE, INVALID, skipValue } from '../../src/resp/frame.js';
import { type Random, randomFromSeed } from '../help/random.js';
import { mutate, RESP_ALPHABET, randomReply } from '../help/random-frames.js';
import { referenceEnd, scanPieces, scanWhole } from '../help/reply-stream.js';

/** Of each kind of randomness, in every run. */
const BYTES = 500_000;
/** What might complete a reply that the scanner calls hopeless and the reference parser does not yet. */
const COMPLETIONS = ['\r\n', '1\r\n', '\n', '1\r\nx\r\n', '\r\nx\r\n', '\r\n:1\r\n:1\r\n:1\r\n', '0\r\n\r\n', ':\r\n'];

const KINDS: readonly [name: string, make: (random: Random) => Buffer][] = [
  ['random bytes', (random) => random.bytes(1 + random.below(200))],
  ['random bytes after a type', (random) => Buffer.concat([random.bytesOf(1, TYPES), random.bytes(random.below(80))])],
  ['random bytes of those that mean something', (random) => random.bytesOf(1 + random.below(100), RESP_ALPHABET)],
  ['random valid replies', (random) => randomReply(random, 4)],
  ['random replies, damaged', (random) => mutate(random, randomReply(random, 4))],
];
const TYPES = Buffer.from('+-:$*_#,(!=%~>|');

for (const [name, make] of KINDS) {
  t.test(`replies end alike, whole, in pieces and for the reference parser, in ${name}`, async (t) => {
    const random = randomFromSeed((text) => t.comment(text));
    let bytes = 0;
    while (bytes < BYTES) {
      const stream = make(random);
      bytes += stream.length + 1;
      const cuts = Array.from({ length: random.below(6) }, () => random.below(stream.length + 1));
      cuts.push(stream.length);
      cuts.sort((a, b) => a - b);
      try {
        check(stream, cuts);
      } catch (error) {
        t.fail(`cut at ${cuts}: ${JSON.stringify(stream.toString('latin1'))}`, { error: String(error) });
        return;
      }
    }
    t.ok(bytes >= BYTES);
  });
}

function check(stream: Buffer, cuts: readonly number[]): void {
  const end = scanWhole(stream);
  assert.equal(scanPieces(stream, cuts), end);
  const reference = referenceEnd(stream);
  if (end === INVALID && reference === INCOMPLETE) {
    // The scanner refuses as soon as it can, the reference parser when the line is whole.
    for (const completion of COMPLETIONS) {
      assert.ok(referenceEnd(Buffer.concat([stream, Buffer.from(completion)])) < 0, `but for ${completion}`);
    }
  } else {
    assert.equal(end, reference);
  }
  if (end > 0) assert.equal(skipValue(stream, 0), end);
}
