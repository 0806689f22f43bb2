/**
 * Random commands and replies that are valid, and what chance makes of them.
 */
import type { Random } from './random.js';

const RESP2_KINDS = [...'+-:$$*'];
const RESP3_KINDS = [...'+-:$$*_#,(!=%~>|'];
const LINE_ALPHABET = Buffer.from(' !"$%&*+,-.0123456789:=>ABCxyz_|~\n\t');
/** Bytes that mean something in RESP: better fuzz than the whole range. */
export const RESP_ALPHABET = Buffer.from('*$+-:_#,(!=%~>|0123456789\r\n\r\n\r\n1123 tfx"\'\\\0', 'latin1');

/** A command in RESP of 0 to 8 arguments, or an inline one. */
export function randomCommand(random: Random): Buffer {
  if (random.chance(15)) return randomInline(random);
  const count = random.below(9);
  const parts: Buffer[] = [Buffer.from(`*${count}\r\n`)];
  for (let index = 0; index < count; index++) parts.push(bulk('$', random.bytes(randomLength(random))));
  return Buffer.concat(parts);
}

/** Any reply of RESP3, or of RESP2 only, nested at most `depth` deep. */
export function randomReply(random: Random, depth: number, resp2Only = false): Buffer {
  const kind = random.pick(resp2Only ? RESP2_KINDS : RESP3_KINDS);
  switch (kind) {
    case '+':
    case '-':
      return line(kind, random.bytesOf(random.below(20), LINE_ALPHABET));
    case ':':
      return line(kind, random.pick(['0', '1', '-1', '42', '-9223372036854775808', String(random.below(2 ** 32))]));
    case '$':
      if (random.chance(10)) return line(kind, '-1');
      return bulk(kind, random.bytes(randomLength(random)));
    case '_':
      return line(kind, '');
    case '#':
      return line(kind, random.pick(['t', 'f']));
    case ',':
      return line(kind, random.pick(['0', '-1.5', '3.14159', '1e+20', '1.5E-7', 'inf', '-inf', 'nan', '-nan']));
    case '(':
      return line(kind, random.pick(['0', '-12', '3492890328409238509324850943850943825024385']));
    case '!':
      return bulk(kind, Buffer.concat([Buffer.from('ERR '), random.bytes(randomLength(random))]));
    case '=':
      return bulk(kind, Buffer.concat([Buffer.from('txt:'), random.bytes(randomLength(random))]));
    default:
      return randomAggregate(random, kind, depth, resp2Only);
  }
}

/** `frame` after one to three accidents: a byte changed, lost, doubled or put in, a piece repeated, the end cut off. */
export function mutate(random: Random, frame: Buffer): Buffer {
  let result = frame;
  for (let count = 1 + random.below(3); count > 0; count--) result = mutateOnce(random, result);
  return result;
}

function mutateOnce(random: Random, frame: Buffer): Buffer {
  const at = random.below(frame.length + 1);
  const head = frame.subarray(0, at);
  const tail = frame.subarray(at);
  switch (random.below(6)) {
    case 0:
      return Buffer.concat([head, random.bytesOf(1, RESP_ALPHABET), tail.subarray(1)]);
    case 1:
      return Buffer.concat([head, random.bytes(1), tail.subarray(1)]);
    case 2:
      return Buffer.concat([head, tail.subarray(1)]);
    case 3:
      return Buffer.concat([head, random.bytesOf(1, RESP_ALPHABET), tail]);
    case 4:
      return Buffer.concat([head, frame.subarray(random.below(at + 1), at), tail]);
    default:
      return Buffer.from(head);
  }
}

function randomInline(random: Random): Buffer {
  const words = Array.from({ length: random.below(5) }, () =>
    random.pick(['GET', 'key', '"quoted \\n \\x41"', "'single'", '""', '  ']),
  );
  return Buffer.from(words.join(' ') + random.pick(['\r\n', '\n']), 'latin1');
}

function randomAggregate(random: Random, kind: string, depth: number, resp2Only: boolean): Buffer {
  if (kind === '*' && random.chance(10)) return line(kind, '-1');
  const count = depth > 0 ? random.below(5) : 0;
  const values = count * (kind === '%' || kind === '|' ? 2 : 1) + (kind === '|' ? 1 : 0);
  const parts = [line(kind, String(count))];
  for (let index = 0; index < values; index++) parts.push(randomReply(random, Math.max(depth - 1, 0), resp2Only));
  return Buffer.concat(parts);
}

/** Mostly short, sometimes of two or three digits. */
function randomLength(random: Random): number {
  return random.pick([0, 1, 2, 3, 5, 8, 9, 10, 11, 40, 99, 100, 300]);
}

function line(kind: string, text: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(kind), typeof text === 'string' ? Buffer.from(text) : text, Buffer.from('\r\n')]);
}

function bulk(kind: string, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${kind}${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]);
}
