import RedisParser from 'redis-parser';
import t from 'tap';
import { INCOMPLETE, INVALID, REPLY_LIMITS, ReplyProgress, scanReply, skipValue, TYPE } from '../../src/resp/frame.js';
import { randomFromSeed } from '../help/random.js';
import { randomReply } from '../help/random-frames.js';
import { parseReplies, parseReply } from '../help/reference-parser.js';
import { referenceEnd, scanPieces, scanWhole } from '../help/reply-stream.js';
import { everyCut } from '../help/request-stream.js';

const REPLIES: readonly [what: string, bytes: string][] = [
  ['a status', '+OK\r\n'],
  ['an empty status', '+\r\n'],
  ['an error', '-ERR unknown command\r\n'],
  ['an integer', ':1234\r\n'],
  ['a negative integer', ':-1\r\n'],
  ['the smallest integer', ':-9223372036854775808\r\n'],
  ['an integer with a plus sign', ':+1\r\n'],
  ['a bulk', '$5\r\nhello\r\n'],
  ['an empty bulk', '$0\r\n\r\n'],
  ['a bulk with line ends in it', '$8\r\na\r\n$1\r\nb\r\n'],
  ['a bulk of a length of three digits', `$123\r\n${'x'.repeat(123)}\r\n`],
  ['no bulk', '$-1\r\n'],
  ['an array', '*3\r\n:1\r\n$1\r\na\r\n+b\r\n'],
  ['an empty array', '*0\r\n'],
  ['no array', '*-1\r\n'],
  ['an array of twelve', `*12\r\n${':1\r\n'.repeat(12)}`],
  ['arrays in arrays', '*2\r\n*2\r\n*0\r\n*1\r\n:1\r\n*-1\r\n'],
  ['null', '_\r\n'],
  ['true', '#t\r\n'],
  ['false', '#f\r\n'],
  ['a double', ',3.25\r\n'],
  ['a whole double', ',10\r\n'],
  ['a double without digits before the point', ',.5\r\n'],
  ['a double without digits after the point', ',5.\r\n'],
  ['a double with an exponent', ',-1.5e-7\r\n'],
  ['a double with a plus sign in the exponent', ',1E+20\r\n'],
  ['infinity', ',inf\r\n'],
  ['minus infinity', ',-inf\r\n'],
  ['not a number', ',nan\r\n'],
  ['not a number as C may print it', ',-nan\r\n'],
  ['a big number', '(-3492890328409238509324850943850943825024385\r\n'],
  ['a bulk error', '!10\r\nERR failed\r\n'],
  ['a verbatim string', '=15\r\ntxt:Some string\r\n'],
  ['an empty verbatim string', '=4\r\ntxt:\r\n'],
  ['a map', '%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n'],
  ['an empty map', '%0\r\n'],
  ['a set', '~2\r\n:1\r\n:2\r\n'],
  ['a push', '>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n'],
  ['an attribute before a value', '|1\r\n+ttl\r\n:3600\r\n$1\r\nx\r\n'],
  ['attributes inside an array', '*2\r\n|1\r\n+a\r\n:1\r\n:1\r\n|0\r\n:2\r\n'],
  ['an attribute of an attribute', '|1\r\n|0\r\n+a\r\n:1\r\n|0\r\n_\r\n'],
];

const NO_REPLIES: readonly [what: string, bytes: string][] = [
  ['another protocol', 'HTTP/1.1 400 Bad Request\r\n'],
  ['an inline text', 'OK\r\n'],
  ['an empty line', '\r\n\r\n'],
  ['a streamed bulk', '$?\r\n;4\r\nHell\r\n'],
  ['a streamed array', '*?\r\n:1\r\n.\r\n'],
  ['an integer without digits', ':\r\n'],
  ['an integer that is only a sign', ':-\r\n'],
  ['an integer with a letter', ':1a\r\n'],
  ['a fraction as integer', ':1.5\r\n'],
  ['an integer of twenty digits', ':12345678901234567890\r\n'],
  ['an integer whose CR has no LF', ':1\rx\n'],
  ['a status whose CR has no LF', '+O\rK\r\n'],
  ['a bulk without a length', '$\r\n\r\n'],
  ['a bulk of length -2', '$-2\r\n'],
  ['a bulk of length -0', '$-0\r\n'],
  ['a bulk of length -1x', '$-1x\r\n'],
  ['a bulk with a leading zero', '$01\r\nx\r\n'],
  ['a bulk with a plus sign', '$+1\r\nx\r\n'],
  ['a bulk with a letter in its length', '$1a\r\nx\r\n'],
  ['a bulk whose header has no LF', '$1\rxx\r\n'],
  ['a bulk longer than announced', '$1\r\nxyz\r\n'],
  ['a bulk that ends with only an LF', '$1\r\nx\n\n'],
  ['a bulk longer than a frame may be', '$2147483648\r\n'],
  ['a bulk that would end beyond the longest frame', '$2147483647\r\n'],
  ['an array without a count', '*\r\n'],
  ['an array of -2', '*-2\r\n'],
  ['an array of -1x', '*-1x\r\n'],
  ['an array whose header has no LF', '*1\rx:1\r\n'],
  ['an array of more values than a frame holds', '*715827883\r\n'],
  ['arrays that together have more values than a frame holds', '*715827882\r\n*715827882\r\n'],
  ['a map of -1', '%-1\r\n'],
  ['a map with a leading zero', '%01\r\n'],
  ['a set of -1', '~-1\r\n'],
  ['a push of -1', '>-1\r\n'],
  ['an attribute of -1', '|-1\r\n:1\r\n'],
  ['a bulk error of -1', '!-1\r\n'],
  ['a verbatim string of -1', '=-1\r\n'],
  ['a verbatim string without a format', '=3\r\ntxt\r\n'],
  ['a null with text', '_x\r\n'],
  ['a boolean that is neither', '#x\r\n'],
  ['a boolean of two letters', '#tt\r\n'],
  ['a double without digits', ',.\r\n'],
  ['a double that is only an exponent', ',e5\r\n'],
  ['a double without digits in its exponent', ',1e\r\n'],
  ['a double without digits in its signed exponent', ',1e+\r\n'],
  ['a double with two points', ',1.2.3\r\n'],
  ['a double in letters', ',abc\r\n'],
  ['an infinity in capitals', ',INF\r\n'],
  ['an empty double', ',\r\n'],
  ['a big number with a point', '(1.5\r\n'],
  ['a big number without digits', '(-\r\n'],
  ['an unknown type inside an array', '*2\r\n:1\r\n@abc\r\n'],
];

for (const [what, text] of REPLIES) {
  t.test(`a reply ends where it ends, whole, byte by byte and in halves: ${what}`, async (t) => {
    const bytes = Buffer.from(text, 'latin1');
    t.equal(scanWhole(bytes), bytes.length);
    t.equal(referenceEnd(bytes), bytes.length, 'the reference parser agrees');
    t.equal(scanPieces(bytes, everyCut(bytes.length)), bytes.length);
    for (const cut of everyCut(bytes.length - 1)) {
      t.equal(scanWhole(bytes.subarray(0, cut)), INCOMPLETE);
      t.equal(scanPieces(bytes, [cut, bytes.length]), bytes.length);
    }
    t.equal(scanWhole(Buffer.concat([bytes, Buffer.from('+next\r\n')])), bytes.length, 'what follows is not touched');
    t.equal(skipValue(bytes, 0), bytes.length);
  });
}

for (const [what, text] of NO_REPLIES) {
  t.test(`what is no reply is refused, whole and byte by byte: ${what}`, async (t) => {
    const bytes = Buffer.from(text, 'latin1');
    t.equal(scanWhole(bytes), INVALID);
    t.equal(scanPieces(bytes, everyCut(bytes.length)), INVALID);
  });
}

t.test('what no reply begins with is refused at its first byte', async (t) => {
  t.equal(scanWhole(Buffer.from('H')), INVALID);
  t.equal(scanWhole(Buffer.from('*2\r\n:1\r\n@')), INVALID);
});

t.test('values are found in a stream as redis-parser and the reference parser read them', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  for (let round = 0; round < 300; round++) {
    const replies = Array.from({ length: 1 + random.below(5) }, () => randomReply(random, 4, true));
    const bytes = Buffer.concat(replies);
    const ends: number[] = [];
    const progress = new ReplyProgress();
    for (let at = 0; at < bytes.length; ) {
      at = scanReply(bytes, at, bytes.length, progress);
      if (at < 0) break;
      ends.push(at);
    }
    const lengths = replies.map((reply) => reply.length);
    t.same(
      ends,
      lengths.map((_, index) => lengths.slice(0, index + 1).reduce((sum, length) => sum + length)),
    );
    t.same(parseReplies(bytes).map(comparable), readWithRedisParser(bytes), JSON.stringify(bytes.toString('latin1')));
  }
});

t.test('any reply of RESP3, cut anywhere, ends where the reference parser says', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  for (let round = 0; round < 1_000; round++) {
    const bytes = randomReply(random, 4);
    const cuts = [random.below(bytes.length), random.below(bytes.length), random.below(bytes.length), bytes.length];
    const ends = [
      scanWhole(bytes),
      scanPieces(
        bytes,
        cuts.sort((a, b) => a - b),
      ),
      skipValue(bytes, 0),
    ];
    const expected = parseReply(bytes)?.end;
    if (ends.some((end) => end !== expected))
      t.fail(`${ends} instead of ${expected}: ${JSON.stringify(bytes.toString('latin1'))}`);
  }
  t.pass('a thousand replies');
});

t.test('elements of an aggregate are skipped one by one', async (t) => {
  const elements = [
    ':1\r\n',
    '$3\r\n\r\n$\r\n',
    '*2\r\n:1\r\n$-1\r\n',
    '%1\r\n+a\r\n_\r\n',
    '|1\r\n+a\r\n:1\r\n#t\r\n',
    '*-1\r\n',
  ];
  const bytes = Buffer.from(`*${elements.length}\r\n${elements.join('')}`);
  let at = bytes.indexOf('\n') + 1;
  for (const element of elements) {
    const end = skipValue(bytes, at);
    t.equal(bytes.toString('latin1', at, end), element);
    at = end;
  }
  t.equal(at, bytes.length);
});

t.test('an unfinished reply announces its largest bulk, and asks for what that needs', async (t) => {
  const progress = new ReplyProgress();
  const bytes = Buffer.from('*4\r\n$3\r\nabc\r\n$500000000\r\n');
  t.equal(scanReply(bytes, 0, 14, progress), INCOMPLETE);
  t.equal(progress.announced, 3);
  t.equal(scanReply(bytes, 0, bytes.length, progress), INCOMPLETE);
  t.equal(progress.announced, 500_000_000);
  t.equal(progress.need, bytes.length + 500_000_000 + 2);
  progress.reset();
  t.same(progress, new ReplyProgress());
});

t.test('what an attribute, an error or a verbatim string announces counts too', async (t) => {
  for (const text of ['|1\r\n$2000\r\n', '*2\r\n!2000\r\n', '%1\r\n+a\r\n=2000\r\n']) {
    const progress = new ReplyProgress();
    const bytes = Buffer.from(text);
    t.equal(scanReply(bytes, 0, bytes.length, progress), INCOMPLETE);
    t.equal(progress.announced, 2000);
  }
});

t.test('a line may be as long as the limit says and no longer', async (t) => {
  const { lineBytesMax } = REPLY_LIMITS;
  const bytes = Buffer.alloc(lineBytesMax + 3, 'x');
  bytes[0] = TYPE.error;
  bytes.write('\r\n', lineBytesMax);
  const progress = new ReplyProgress();
  t.equal(scanReply(bytes, 0, lineBytesMax >> 1, progress), INCOMPLETE);
  t.equal(scanReply(bytes, 0, bytes.length, progress), lineBytesMax + 2);
  bytes.write('x\r\n', lineBytesMax);
  t.equal(scanReply(bytes, 0, lineBytesMax, progress), INCOMPLETE);
  t.equal(scanReply(bytes, 0, bytes.length, progress), INVALID);
});

t.test('a million values deep are scanned without recursion', async (t) => {
  const depth = 1_000_000;
  const bytes = Buffer.from(`${'*1\r\n'.repeat(depth)}:1\r\n`);
  t.equal(scanReply(bytes, 0, bytes.length, new ReplyProgress()), bytes.length);
  t.equal(skipValue(bytes, 0), bytes.length);
});

t.test('a reply that comes byte by byte is scanned in time linear in its length', async (t) => {
  // Were everything looked at again for every byte, each would be more than 10^11 steps.
  for (const text of [`*100000\r\n${'$1\r\nx\r\n'.repeat(100_000)}`, `+${'x'.repeat(700_000)}\r\n`]) {
    const bytes = Buffer.from(text);
    const progress = new ReplyProgress();
    let end: number = INCOMPLETE;
    for (let length = 1; end === INCOMPLETE && length <= bytes.length; length++) {
      end = scanReply(bytes, 0, length, progress);
    }
    t.equal(end, bytes.length);
  }
});

/** Values as redis-parser gives them, errors as their texts. */
function readWithRedisParser(bytes: Buffer): unknown[] {
  const values: unknown[] = [];
  const parser = new RedisParser({
    returnReply: (reply) => values.push(comparable(reply)),
    returnError: (error) => values.push(comparable(error)),
    returnFatalError: (error) => {
      throw error;
    },
    returnBuffers: true,
    stringNumbers: true,
  });
  parser.execute(bytes);
  return values;
}

/** One form for both parsers' values: errors as objects, numbers and buffers as strings. */
function comparable(value: unknown): unknown {
  if (value instanceof Error) return { error: value.message };
  if (Buffer.isBuffer(value)) return value.toString('latin1');
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  return Array.isArray(value) ? value.map(comparable) : value;
}
