// Nanoseconds to find the boundaries of one frame: commands (with their arguments' positions) and replies.

import { ReplyProgress, scanReply, skipValue } from '../../src/resp/frame.js';
import { encodeCommand } from '../../src/resp/reply.js';
import { RequestProgress, RequestReader } from '../../src/resp/request.js';
import { type Measurement, measure } from './measure.js';

const FRAMES_PER_RUN = 1_000_000;
const KEY = 'key:000000123456';

export function run(): Measurement[] {
  const get = encodeCommand(['GET', KEY]);
  const set = encodeCommand(['SET', KEY, 'x'.repeat(64)]);
  const values = Array.from({ length: 100 }, (_, index) => `value-${index}`);
  const bulk = Buffer.from(`$64\r\n${'x'.repeat(64)}\r\n`);
  const array = encodeCommand(values);
  return [
    measureRequests('GET', get, 1),
    measureRequests('SET, 64 bytes', set, 1),
    measureRequests('SET, 1,024 bytes', encodeCommand(['SET', KEY, 'x'.repeat(1024)]), 1),
    measureRequests('GET, 16 pipelined', get, 16),
    measureRequests('SET of 64 bytes, 16 pipelined', set, 16),
    measureRequests('MGET of 100 keys', encodeCommand(['MGET', ...values]), 1),
    measureRequests('MGET of 2,000 keys', encodeCommand(['MGET', ...Array(2_000).fill(KEY)]), 1),
    measurePieces('SET of 64 bytes in two pieces', set),
    measureReplies('+OK', Buffer.from('+OK\r\n'), 1),
    measureReplies('integer', Buffer.from(':1234\r\n'), 1),
    measureReplies('null', Buffer.from('$-1\r\n'), 1),
    measureReplies('bulk of 64 bytes', bulk, 1),
    measureReplies('bulk of 64 bytes, 16 pipelined', bulk, 16),
    measureReplies('array of 100 bulks', array, 1),
    measureReplies('map of 50 bulks', mapOf(values), 1),
    measureSkips('skip each of an array of 100 bulks', array, 100),
  ];
}

function measureRequests(name: string, command: Uint8Array, pipelined: number): Measurement {
  const bytes = inArena(command, pipelined);
  const reader = new RequestReader({ bulkBytesMax: 512 * 1024 * 1024, inlineBytesMax: 64 * 1024 });
  const progress = new RequestProgress();
  const rounds = roundsFor(command.length * pipelined, pipelined);
  const end = command.length * pipelined;
  return measure(`request: ${name}`, rounds * pipelined, () => {
    for (let round = 0; round < rounds; round++) {
      let at = 0;
      while (at < end) at = reader.read(bytes, at, end, progress);
      if (at !== end) throw new Error(`read ${at} of ${end} bytes`);
    }
  });
}

function measurePieces(name: string, command: Uint8Array): Measurement {
  const reader = new RequestReader({ bulkBytesMax: 512 * 1024 * 1024, inlineBytesMax: 64 * 1024 });
  const progress = new RequestProgress();
  return measure(`request: ${name}`, FRAMES_PER_RUN, () => {
    for (let round = 0; round < FRAMES_PER_RUN; round++) {
      reader.read(command, 0, command.length >> 1, progress);
      const end = reader.read(command, 0, command.length, progress);
      if (end !== command.length) throw new Error(`read ${end} of ${command.length} bytes`);
    }
  });
}

function measureReplies(name: string, reply: Uint8Array, pipelined: number): Measurement {
  const bytes = inArena(reply, pipelined);
  const progress = new ReplyProgress();
  const rounds = roundsFor(reply.length * pipelined, pipelined);
  const end = reply.length * pipelined;
  return measure(`reply: ${name}`, rounds * pipelined, () => {
    for (let round = 0; round < rounds; round++) {
      let at = 0;
      while (at < end) at = scanReply(bytes, at, end, progress);
      if (at !== end) throw new Error(`scanned ${at} of ${end} bytes`);
    }
  });
}

function measureSkips(name: string, array: Uint8Array, count: number): Measurement {
  const first = array.indexOf(0x0a) + 1;
  const rounds = FRAMES_PER_RUN / count;
  return measure(`reply: ${name}`, rounds * count, () => {
    for (let round = 0; round < rounds; round++) {
      let at = first;
      while (at < array.length) at = skipValue(array, at);
      if (at !== array.length) throw new Error(`skipped ${at} of ${array.length} bytes`);
    }
  });
}

/** Fewer rounds for long frames, so that each run takes about as long. */
function roundsFor(bytes: number, frames: number): number {
  return Math.ceil(FRAMES_PER_RUN / Math.max(frames, bytes / 40));
}

/** The frame, `count` times, at the front of a memory as large as a worker's. */
function inArena(frame: Uint8Array, count: number): Uint8Array {
  const bytes = new Uint8Array(64 * 1024 * 1024);
  for (let index = 0; index < count; index++) bytes.set(frame, index * frame.length);
  return bytes;
}

function mapOf(values: string[]): Uint8Array {
  const array = encodeCommand(values);
  const header = Buffer.from(`%${values.length / 2}\r\n`);
  return Buffer.concat([header, array.subarray(array.indexOf(0x0a) + 1)]);
}
