import t from 'tap';
import { Arena } from '../../src/transport/arena.js';
import { Output } from '../../src/transport/output.js';
import { Seeded } from './seeded.js';

const MIB = 1024 * 1024;
/** Where the tests keep the bytes that they append from inside the arena. */
const SOURCE_BYTES = 512 * 1024;

function makeArena(bytes = 64 * MIB): { arena: Arena; source: number } {
  const arena = new Arena(new ArrayBuffer(bytes));
  return { arena, source: arena.allocate(SOURCE_BYTES) };
}

/** Takes up to `count` bytes as the kernel would. */
function take(arena: Arena, output: Output, count: number): Buffer {
  arena.settle();
  const start = output.unsentStart();
  const length = Math.min(count, output.unsentLength());
  const bytes = Buffer.from(arena.bytes.subarray(start, start + length));
  output.advance(length);
  return bytes;
}

for (const retaining of [false, true]) {
  t.test(
    `what is appended is sent, in order, ${retaining ? 'and kept until it is released' : 'and released'}`,
    async (t) => {
      const random = new Seeded();
      t.comment(`seed ${random.seed}`);
      const { arena, source } = makeArena();
      const idle = arena.usedBytes;
      const output = new Output(arena, retaining);
      const frames: { position: number; start: number; bytes: Buffer }[] = [];
      let expected = Buffer.alloc(0);
      let appended = 0;
      for (let step = 0; step < 5_000; step++) {
        const kind = random.below(6);
        if (kind < 3) {
          const bytes = random.bytes(random.size(random.below(50) === 0 ? SOURCE_BYTES : 2_000));
          if (kind === 0) {
            output.appendBytes(bytes);
          } else {
            arena.settle();
            arena.bytes.set(bytes, source);
            if (kind === 1) output.append(source, source + bytes.length);
            else output.appendNow(source, source + bytes.length);
            arena.settle();
          }
          appended += bytes.length;
          expected = Buffer.concat([expected, bytes]);
          if (retaining) frames.push({ position: output.appended, start: output.lastStart, bytes });
        } else if (kind < 5) {
          while (output.unsentBytes > 0 && random.below(3) > 0) {
            const sent = take(arena, output, random.size(SOURCE_BYTES));
            if (!sent.equals(expected.subarray(0, sent.length))) return t.fail('other bytes were sent than appended');
            expected = expected.subarray(sent.length);
          }
        } else {
          for (const frame of frames) {
            const kept = arena.bytes.subarray(frame.start, frame.start + frame.bytes.length);
            if (!frame.bytes.equals(kept)) return t.fail('a frame that was not released has changed');
          }
          const count = random.below(frames.length + 1);
          const answered = frames.slice(0, count).at(-1);
          // A reply comes only to what was sent.
          if (answered !== undefined && answered.position - output.sent <= 0) {
            output.releaseTo(answered.position);
            frames.splice(0, count);
          }
        }
        if (output.unsentBytes !== expected.length) return t.fail('unsentBytes is wrong');
      }
      while (output.unsentBytes > 0) take(arena, output, SOURCE_BYTES);
      t.equal(output.appended, appended | 0);
      t.equal(output.sent, output.appended);
      if (retaining) t.ok(frames.length === 0 || output.heldBytes > 0);
      else t.equal(arena.usedBytes, idle, 'an empty output holds nothing');
      output.releaseTo(output.appended);
      t.equal(arena.usedBytes, idle, 'nothing is held when all was answered');
      return undefined;
    },
  );
}

t.test('stream positions go on past 2^31', async (t) => {
  const { arena } = makeArena();
  const output = new Output(arena, true);
  output.appended = 2 ** 31 - 10;
  output.sent = 2 ** 31 - 10;
  output.appendBytes(Buffer.alloc(100, 1));
  take(arena, output, 100);
  t.ok(output.appended < 0, 'it is counted modulo 2^32');
  output.releaseTo((2 ** 31 - 10 + 50) | 0);
  t.ok(output.heldBytes > 0, 'half of it is not all of it');
  output.releaseTo(output.appended);
  t.equal(output.heldBytes, 0);
});

t.test('a full arena shows as overflow, and nothing is written where there is no room', async (t) => {
  const { arena } = makeArena(2 * MIB);
  const output = new Output(arena, false);
  output.appendBytes(Buffer.alloc(4 * MIB));
  t.ok(output.overflowed);
  t.equal(output.unsentBytes, 0);
  output.appendBytes(Buffer.from('small'));
  t.equal(output.unsentBytes, 0, 'bytes are missing already: no more are taken');
});

t.test('dispose gives everything back, also what was not sent', async (t) => {
  const { arena } = makeArena();
  const idle = arena.usedBytes;
  const output = new Output(arena, true);
  for (let count = 0; count < 100; count++) output.appendBytes(Buffer.alloc(10_000));
  take(arena, output, 3_000);
  t.ok(arena.usedBytes > idle);
  output.dispose();
  t.equal(arena.usedBytes, idle);
  t.equal(output.reserve(1), -1);
});
