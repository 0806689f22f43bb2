import t from 'tap';
import { INCOMPLETE, INVALID } from '../../src/resp/frame.js';
import { encodeCommand } from '../../src/resp/reply.js';
import {
  ARGUMENTS_MAX,
  largestArgument,
  RequestProgress,
  RequestReader,
  UNAUTHENTICATED_ARGUMENTS_MAX,
  UNAUTHENTICATED_BULK_BYTES_MAX,
} from '../../src/resp/request.js';
import { MALFORMED_COMMANDS, MALFORMED_UNAUTHENTICATED } from '../help/malformed-commands.js';
import { randomFromSeed } from '../help/random.js';
import { everyCut, REDIS_LIMITS, readPieces, readWhole } from '../help/request-stream.js';

const COMMANDS: readonly [what: string, bytes: string, commands: string[][]][] = [
  ['one word', '*1\r\n$4\r\nPING\r\n', [['PING']]],
  ['several arguments', '*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n', [['SET', 'k', 'value']]],
  ['an empty argument', '*2\r\n$4\r\nECHO\r\n$0\r\n\r\n', [['ECHO', '']]],
  ['line ends and NULs in an argument', '*2\r\n$4\r\nECHO\r\n$6\r\n\r\n\0$1\n\r\n', [['ECHO', '\r\n\0$1\n']]],
  ['lengths of several digits', `*2\r\n$4\r\nECHO\r\n$123\r\n${'x'.repeat(123)}\r\n`, [['ECHO', 'x'.repeat(123)]]],
  ['a count of two digits', `*12\r\n${'$1\r\na\r\n'.repeat(12)}`, [Array(12).fill('a')]],
  ['two commands', '*1\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n', [['a'], ['b']]],
  ['no arguments', '*0\r\n*1\r\n$1\r\na\r\n', [[], ['a']]],
  ['a negative count', '*-1\r\n*-17\r\n*-9223372036854775808\r\n', [[], [], []]],
  // What Redis skips without a look.
  ['anything after a CR', '*1\rX$4\rYPING\r\n', [['PING']]],
  ['anything after the data', '*2\r\n$1\r\naXY$1\r\nbZZ', [['a', 'b']]],
  ['an inline command', 'PING\r\n', [['PING']]],
  ['an inline command without CR', 'GET key\n', [['GET', 'key']]],
  ['an inline command with a CR inside', 'GET\rkey\r\r\n', [['GET', 'key']]],
  ['empty lines', '\r\n\n   \r\n', [[], [], []]],
  ['an inline command, then one in RESP', 'PING\r\n*1\r\n$1\r\na\r\n', [['PING'], ['a']]],
  ['a word that begins as RESP elsewhere', '$3\r\n', [['$3']]],
];

for (const [what, text, commands] of COMMANDS) {
  t.test(`a command is read whole, byte by byte and in halves: ${what}`, async (t) => {
    const bytes = Buffer.from(text, 'latin1');
    const expected = { commands, rest: bytes.length, error: '' };
    t.same(readWhole(bytes), expected);
    t.same(readPieces(bytes, everyCut(bytes.length)), expected);
    for (const cut of everyCut(bytes.length)) t.same(readPieces(bytes, [cut, bytes.length]), expected);
  });
}

for (const { what, bytes, error } of MALFORMED_COMMANDS) {
  t.test(`bytes that Redis refuses are refused in its words: ${what}`, async (t) => {
    t.equal(readWhole(bytes).error, `Protocol error: ${error}`);
    const cuts = bytes.length < 100 ? everyCut(bytes.length) : [1, 2, 5, 9, 65_000, bytes.length - 1, bytes.length];
    t.equal(readPieces(bytes, cuts).error, `Protocol error: ${error}`);
    if (bytes.length >= 65_536)
      t.equal(readWhole(bytes.subarray(0, 65_536)).error, '', 'one byte less is not too long');
  });
}

for (const { what, bytes, error } of MALFORMED_UNAUTHENTICATED) {
  t.test(`a session without its password is bounded as in Redis: ${what}`, async (t) => {
    t.equal(readWhole(bytes, REDIS_LIMITS, unauthenticated()).error, `Protocol error: ${error}`);
    const cuts = everyCut(Math.min(bytes.length, 100));
    t.equal(readPieces(bytes, cuts, REDIS_LIMITS, unauthenticated()).error, `Protocol error: ${error}`);
  });
}

t.test('a session without its password may send what lies within its bounds', async (t) => {
  const words = ['AUTH', 'x'.repeat(UNAUTHENTICATED_BULK_BYTES_MAX), ...Array(8).fill('y')];
  const bytes = Buffer.from(encodeCommand(words));
  t.same(readWhole(bytes, REDIS_LIMITS, unauthenticated()).commands, [words]);
  t.same(readPieces(bytes, [100, bytes.length], REDIS_LIMITS, unauthenticated()).commands, [words]);
});

t.test('the bounds of a session stay when it goes on to its next command', async (t) => {
  const progress = unauthenticated();
  const bytes = Buffer.from('*1\r\n$4\r\nPING\r\n*11\r\n');
  t.equal(
    readPieces(bytes, [5, bytes.length], REDIS_LIMITS, progress).error,
    'Protocol error: unauthenticated multibulk length',
  );
});

t.test('a command that is read in pieces passes on what it would be read as, however it is cut', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  const whole = Buffer.from(`*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$40\r\n${'v'.repeat(40)}\r\n$2\r\nEX\r\n$0\r\n\r\n`);
  const bytes = Buffer.concat([whole, Buffer.from('*1\r\n$4\r\nPING\r\n')]);
  const reader = new RequestReader(REDIS_LIMITS);
  for (let round = 0; round < 500; round++) {
    const progress = new RequestProgress();
    let end = 30 + random.below(20);
    reader.read(bytes, 0, end, progress);
    reader.look(bytes, 0, progress);
    const key = bytes.toString('latin1', reader.argumentStart[1], reader.argumentEnd[1]);
    if (key !== 'k' || reader.argumentCount !== 5 || progress.announced !== 40) t.fail('it is not known what comes');
    reader.begin(progress);
    let at = 0;
    while (!progress.isAtEnd) {
      at = reader.passOn(bytes, at, end, progress);
      end = Math.min(bytes.length, end + 1 + random.below(9));
    }
    if (at !== whole.length) t.fail(`${at} bytes were passed on`);
  }
});

t.test('a command that is read in pieces is refused in the same words where it ends as none', async (t) => {
  for (const [rest, error] of [
    ['$two\r\n', 'invalid bulk length'],
    [':1\r\n', "expected '$', got ':'"],
    ['x'.repeat(70_000), 'too big bulk count string'],
  ]) {
    const bytes = Buffer.from(`*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$40\r\n${'v'.repeat(40)}\r\n${rest}`);
    const progress = new RequestProgress();
    const reader = new RequestReader(REDIS_LIMITS);
    t.equal(reader.read(bytes, 0, 40, progress), INCOMPLETE);
    reader.begin(progress);
    t.equal(reader.passOn(bytes, 0, bytes.length, progress), INVALID);
    t.equal(reader.error, `Protocol error: ${error}`);
  }
});

t.test('a bulk of 100 MB is asked for by its length and not looked at', async (t) => {
  const length = 100 * 1024 * 1024;
  const header = Buffer.from(`*2\r\n$4\r\nECHO\r\n$${length}\r\n`);
  const reader = new RequestReader(REDIS_LIMITS);
  const progress = new RequestProgress();
  t.equal(reader.read(header, 0, header.length, progress), INCOMPLETE);
  t.equal(progress.need, header.length + length + 2);

  const bytes = new Uint8Array(header.length + length + 2);
  bytes.set(header);
  t.equal(reader.read(bytes, 0, bytes.length - 1, progress), INCOMPLETE);
  t.equal(progress.need, bytes.length);
  t.equal(reader.read(bytes, 0, bytes.length, progress), bytes.length);
  t.equal(reader.argumentStart[1], header.length);
  t.equal(reader.argumentEnd[1], header.length + length);
});

t.test('a bulk may be as long as the limit says and no longer', async (t) => {
  const limits = { bulkBytesMax: 20, inlineBytesMax: 64 };
  const command = (length: number) => Buffer.from(`*1\r\n$${length}\r\n${'x'.repeat(length)}\r\n`);
  t.same(readWhole(command(20), limits).commands, [['x'.repeat(20)]]);
  t.equal(readWhole(command(21), limits).error, 'Protocol error: invalid bulk length');
});

t.test('an inline command may be as long as the limit says and no longer', async (t) => {
  const limits = { bulkBytesMax: 20, inlineBytesMax: 64 };
  t.same(readWhole(Buffer.from(`${'x'.repeat(64)}\n`), limits).commands, [['x'.repeat(64)]]);
  t.equal(readWhole(Buffer.from(`${'x'.repeat(65)}\n`), limits).error, 'Protocol error: too big inline request');
});

t.test('a command of many arguments is read, whole and in pieces', async (t) => {
  for (const count of [99, 100, 999, 1_000, 1_024, 1_025, 5_000, 100_000]) {
    const words = Array.from({ length: count }, (_, index) => `k${index}`);
    const bytes = Buffer.from(encodeCommand(words));
    t.same(readWhole(bytes).commands, [words], `${count} arguments at once`);
    const cuts = [5, 11, bytes.length >> 1, bytes.length - 1, bytes.length];
    t.same(readPieces(bytes, cuts).commands, [words], `${count} arguments in pieces`);
  }
});

t.test('arrays that grew for a giant command are given back at the next', async (t) => {
  const reader = new RequestReader(REDIS_LIMITS);
  const progress = new RequestProgress();
  const giant = encodeCommand(Array(200_000).fill('x'));
  const small = encodeCommand(['PING']);
  const kept = reader.argumentStart.length;
  t.equal(reader.read(giant, 0, giant.length, progress), giant.length);
  t.ok(reader.argumentStart.length >= 200_000 && reader.argumentEnd.length >= 200_000);
  t.equal(reader.read(small, 0, small.length, progress), small.length);
  t.equal(reader.argumentStart.length, kept);
  t.equal(reader.argumentEnd.length, kept);
  t.equal(reader.argumentCount, 1);
});

t.test('a count beyond what positions are kept for is refused before anything of it is read', async (t) => {
  const reader = new RequestReader(REDIS_LIMITS);
  for (const [count, result] of [
    [ARGUMENTS_MAX, INCOMPLETE],
    [ARGUMENTS_MAX + 1, INVALID],
  ]) {
    const bytes = Buffer.from(`*${count}\r\n`);
    t.equal(reader.read(bytes, 0, bytes.length, new RequestProgress()), result);
  }
});

t.test('nothing to read asks for one byte', async (t) => {
  const reader = new RequestReader(REDIS_LIMITS);
  const progress = new RequestProgress();
  t.equal(reader.read(Buffer.from('*1\r\n'), 2, 2, progress), INCOMPLETE);
  t.equal(progress.need, 1);
});

t.test('a command that comes byte by byte is read in time linear in its length', async (t) => {
  // Were everything looked at again for every byte, this would be 5 × 10^11 steps.
  const bytes = Buffer.from(encodeCommand(Array(100_000).fill('abcd')));
  const reader = new RequestReader(REDIS_LIMITS);
  const progress = new RequestProgress();
  let end: number = INCOMPLETE;
  for (let length = 1; end === INCOMPLETE && length <= bytes.length; length++) {
    end = reader.read(bytes, 0, length, progress);
  }
  t.equal(end, bytes.length);
  t.equal(reader.argumentCount, 100_000);
});

function unauthenticated(): RequestProgress {
  const progress = new RequestProgress();
  progress.argumentsMax = UNAUTHENTICATED_ARGUMENTS_MAX;
  progress.bulkBytesMax = UNAUTHENTICATED_BULK_BYTES_MAX;
  return progress;
}

t.test('the largest argument is found, in one command and in several behind each other', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  for (let run = 0; run < 200; run++) {
    const commands = Array.from({ length: 1 + random.below(3) }, () => {
      return Array.from({ length: 1 + random.below(5) }, () => random.bytes(random.below(300)));
    });
    const frames = Buffer.concat([
      Buffer.from('before'),
      ...commands.map((words) => Buffer.from(encodeCommand(words))),
    ]);
    const expected = Math.max(...commands.flat().map((word) => word.length));
    t.equal(largestArgument(frames, 'before'.length, frames.length), expected);
  }
});
