/**
 * Bytes that Redis refuses, and the words it does so with. request.test.ts holds our reader against this table, and
 * request-redis.test.ts holds the table against a Redis.
 */
export interface MalformedCommand {
  readonly what: string;
  readonly bytes: Buffer;
  /** The error's text without its `ERR Protocol error: `. */
  readonly error: string;
}

/** A session that has given its password, or needs none. */
export const MALFORMED_COMMANDS: readonly MalformedCommand[] = [
  malformed('a count that is no number', '*x\r\n', 'invalid multibulk length'),
  malformed('no count', '*\r\n', 'invalid multibulk length'),
  malformed('a count with a plus sign', '*+1\r\n', 'invalid multibulk length'),
  malformed('a count with a leading zero', '*01\r\n', 'invalid multibulk length'),
  malformed('a count of minus zero', '*-0\r\n', 'invalid multibulk length'),
  malformed('a count that is only a minus sign', '*-\r\n', 'invalid multibulk length'),
  malformed('a count after a blank', '* 1\r\n', 'invalid multibulk length'),
  malformed('a count before a blank', '*1 \r\n', 'invalid multibulk length'),
  malformed('a fraction as count', '*1.0\r\n', 'invalid multibulk length'),
  malformed('a count of 3,000,000,000', '*3000000000\r\n', 'invalid multibulk length'),
  malformed('a count of 2^31', '*2147483648\r\n', 'invalid multibulk length'),
  malformed('a count beyond 64 bits', '*9223372036854775808\r\n', 'invalid multibulk length'),
  malformed('a negative count beyond 64 bits', '*-9223372036854775809\r\n', 'invalid multibulk length'),
  malformed('a count of 21 digits', `*${'1'.repeat(21)}\r\n`, 'invalid multibulk length'),
  malformed('a second count that is no number', '*1\r\n$4\r\nPING\r\n*y\r\n', 'invalid multibulk length'),
  malformed('a count that does not end', `*${'1'.repeat(65_536)}`, 'too big mbulk count string'),
  malformed('a NUL in the count', `*1\0${'1'.repeat(65_536)}`, 'too big mbulk count string'),
  malformed('an argument without $', '*1\r\nfoo\r\n', "expected '$', got 'f'"),
  malformed('a number as argument', '*3\r\n$3\r\nSET\r\n$1\r\nx\r\n:1\r\n', "expected '$', got ':'"),
  malformed('an empty line as argument', '*1\r\n\r\n', "expected '$', got ' '"),
  malformed('an LF as argument', '*1\r\n\n\r\n', "expected '$', got ' '"),
  malformed('an argument that begins with 0xff', '*1\r\n\xff\r\n', "expected '$', got '\xff'"),
  malformed('an argument longer than announced', '*2\r\n$3\r\nGETTER\r\n$1\r\nx\r\n', "expected '$', got 'R'"),
  malformed('a negative length', '*1\r\n$-1\r\n', 'invalid bulk length'),
  malformed('no length', '*1\r\n$\r\n', 'invalid bulk length'),
  malformed('a length that is no number', '*2\r\n$3\r\nGET\r\n$blabla\r\n', 'invalid bulk length'),
  malformed('a length with a leading zero', '*1\r\n$04\r\nPING\r\n', 'invalid bulk length'),
  malformed('a length with a plus sign', '*1\r\n$+4\r\nPING\r\n', 'invalid bulk length'),
  malformed('a length over proto-max-bulk-len', '*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$536870913\r\n', 'invalid bulk length'),
  malformed('a length beyond 64 bits', `*1\r\n$${'9'.repeat(20)}\r\n`, 'invalid bulk length'),
  malformed('a length of 2^63', '*1\r\n$9223372036854775808\r\n', 'invalid bulk length'),
  malformed('a length that does not end', `*1\r\n$${'1'.repeat(65_536)}`, 'too big bulk count string'),
  malformed('a NUL in the length', `*1\r\n$\0${'1'.repeat(65_536)}`, 'too big bulk count string'),
  malformed('an inline command that does not end', 'x'.repeat(65_537), 'too big inline request'),
  malformed('a NUL in an inline command', `GET \0\r\n${'x'.repeat(65_536)}`, 'too big inline request'),
  malformed('a double quote that is not closed', 'SET "a b\r\n', 'unbalanced quotes in request'),
  malformed('a single quote that is not closed', "SET 'a b\r\n", 'unbalanced quotes in request'),
  malformed('a quote closed by an escaped quote', 'SET "a\\"\r\n', 'unbalanced quotes in request'),
  malformed('text right after a double quote', 'SET "a"b\r\n', 'unbalanced quotes in request'),
  malformed('text right after a single quote', "SET 'a'b\r\n", 'unbalanced quotes in request'),
  malformed('a quote inside a word, not closed', 'SET a"b\r\n', 'unbalanced quotes in request'),
];

/** A session that has yet to give its password. */
export const MALFORMED_UNAUTHENTICATED: readonly MalformedCommand[] = [
  malformed('eleven arguments', '*11\r\n', 'unauthenticated multibulk length'),
  malformed(
    'eleven arguments that are all there',
    `*11\r\n${'$1\r\nx\r\n'.repeat(11)}`,
    'unauthenticated multibulk length',
  ),
  malformed(
    'a bulk of 16,385 bytes that are all there',
    `*1\r\n$16385\r\n${'x'.repeat(16_385)}\r\n`,
    'unauthenticated bulk length',
  ),
  malformed('a bulk of 16,385 bytes', '*1\r\n$16385\r\n', 'unauthenticated bulk length'),
  malformed('a count that is no number', '*x\r\n', 'invalid multibulk length'),
  malformed('a count of 2^31', '*2147483648\r\n', 'invalid multibulk length'),
  malformed('a length over proto-max-bulk-len', '*1\r\n$536870913\r\n', 'invalid bulk length'),
];

function malformed(what: string, bytes: string, error: string): MalformedCommand {
  return { what, bytes: Buffer.from(bytes, 'latin1'), error };
}
