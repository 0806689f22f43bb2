import t from 'tap';
import { TYPE } from '../../src/resp/frame.js';
import * as reply from '../../src/resp/reply.js';
import { parseReply, ReplyError, Verbatim } from '../help/reference-parser.js';
import { readWhole } from '../help/request-stream.js';

const INTEGERS = [
  ...[0, 1, 9, 10, 11, 99, 100, 101, 12_345, 999_999, 1_000_000],
  ...[2 ** 31 - 1, 2 ** 31, 2 ** 32, 999_999_999_999_999, 1e15, Number.MAX_SAFE_INTEGER],
];

t.test('replies that never change are what Redis sends', async (t) => {
  t.same(parsed(reply.REPLY_OK), 'OK');
  t.same(parsed(reply.REPLY_PONG), 'PONG');
  t.same(parsed(reply.REPLY_EMPTY_ARRAY), []);
  t.equal(text(reply.REPLY_NULL_BULK), '$-1\r\n');
  t.equal(text(reply.REPLY_NULL_ARRAY), '*-1\r\n');
  t.equal(text(reply.REPLY_NULL), '_\r\n');
  t.equal(reply.nullReply(2), reply.REPLY_NULL_BULK);
  t.equal(reply.nullReply(3), reply.REPLY_NULL);
});

t.test('an error is one line, whatever its text', async (t) => {
  t.same(parsed(reply.errorReply('ERR syntax error')), new ReplyError('ERR syntax error'));
  t.equal(text(reply.errorReply('ERR a\r\nb\nc\r\n')), '-ERR a  b c\r\n');
});

t.test("an error's text is one character a byte, unless it has characters beyond that", async (t) => {
  t.equal(text(reply.errorReply('ERR \xff\x80')), '-ERR \xff\x80\r\n');
  t.equal(Buffer.from(reply.errorReply('ERR café ☕')).toString('utf8'), '-ERR café ☕\r\n');
});

t.test('integers are written and read back, with as many bytes as said', async (t) => {
  for (const integer of INTEGERS.flatMap((integer) => [integer, -integer])) {
    const bytes = reply.integerReply(integer);
    t.equal(text(bytes), `:${integer}\r\n`);
    t.equal(reply.headerLength(integer), bytes.length);
    t.equal(reply.parseInteger(bytes, 0, bytes.length), integer + 0);
  }
  t.equal(reply.parseInteger(Buffer.from('xx:+12\r\nyy'), 2, 8), 12);
});

t.test('a header is written in the middle of a memory and touches nothing else', async (t) => {
  const bytes = new Uint8Array(12).fill(0x2e);
  t.equal(reply.writeHeader(bytes, 3, TYPE.array, 123), 9);
  t.equal(text(bytes), '...*123\r\n...');
  t.equal(reply.writeInteger(bytes, 3, -42), 9);
  t.equal(text(bytes), '...:-42\r\n...');
});

t.test('bulk strings hold bytes, or text in UTF-8', async (t) => {
  t.equal(text(reply.bulkReply(Buffer.from([0, 13, 10, 255]))), '$4\r\n\0\r\n\xff\r\n');
  t.equal(Buffer.from(reply.bulkReply('é')).toString('utf8'), '$2\r\né\r\n');
  t.equal(text(reply.bulkReply('')), '$0\r\n\r\n');
});

t.test('text for people is verbatim in RESP3', async (t) => {
  t.same(parsed(reply.verbatimReply('# Server\r\n', 3)), new Verbatim('txt', '# Server\r\n'));
  t.same(parsed(reply.verbatimReply('# Server\r\n', 2)), '# Server\r\n');
});

t.test('a map is a flat array in RESP2', async (t) => {
  const fields = [
    ['server', 'redis'],
    ['proto', 3],
    ['modules', []],
    ['roles', ['a', 'b']],
  ] as const;
  t.same(parsed(reply.encodeMap(fields, 3)), new Map<string, unknown>(fields));
  t.same(parsed(reply.encodeMap(fields, 2)), fields.flat(1));
  t.equal(text(reply.mapHeader(2, 3)), '%2\r\n');
  t.equal(text(reply.mapHeader(2, 2)), '*4\r\n');
  t.equal(text(reply.arrayHeader(12)), '*12\r\n');
});

t.test('a command is read as the words it was made of', async (t) => {
  const words = ['SET', Buffer.from([0, 255, 13, 10]), 'é', ''];
  const bytes = Buffer.from(reply.encodeCommand(words));
  const expected = words.map((word) => Buffer.from(word as string).toString('latin1'));
  t.same(readWhole(bytes), { commands: [expected], rest: bytes.length, error: '' });
});

t.test('errors are told from other replies', async (t) => {
  t.equal(reply.isError(Buffer.from('x-ERR\r\n'), 1), true);
  t.equal(reply.isError(Buffer.from('!3\r\nERR\r\n'), 0), true);
  t.equal(reply.isError(reply.REPLY_OK, 0), false);
  t.equal(reply.isError(reply.integerReply(-1), 0), false);
});

/** The value of a frame, which must be the whole of it. */
function parsed(frame: Uint8Array): unknown {
  const result = parseReply(frame);
  return result?.end === frame.length ? result.value : undefined;
}

function text(frame: Uint8Array): string {
  return Buffer.from(frame).toString('latin1');
}
