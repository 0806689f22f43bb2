import t from 'tap';
import { ParkedReplies } from '../../src/proxy/parked-replies.js';
import { Arena } from '../../src/transport/arena.js';
import { Seeded } from '../transport/seeded.js';

const MIB = 1024 * 1024;

interface Parked {
  readonly at: number;
  readonly reply: Buffer;
}

t.test('parked replies are there as they came, in whatever order they go, and leave nothing behind', async (t) => {
  const random = new Seeded();
  t.comment(`seed ${random.seed}`);
  const arena = new Arena(new ArrayBuffer(16 * MIB));
  const received = arena.allocate(64 * 1024);
  const before = arena.usedBytes;
  const parked = new ParkedReplies(arena);
  const kept: Parked[] = [];
  let held = 0;
  const go = (place: number): void => {
    const [{ at, reply }] = kept.splice(place, 1) as [Parked];
    if (!reply.equals(arena.bytes.subarray(at, at + reply.length))) t.fail('a parked reply was overwritten');
    parked.release(at, reply.length);
    held -= reply.length;
  };

  for (let step = 0; step < 20_000; step++) {
    if (random.below(2) === 0 && kept.length < 200) {
      const reply = random.bytes(1 + random.below(random.below(20) === 0 ? 30_000 : 120));
      arena.bytes.set(reply, received);
      const at = random.below(4) > 0 ? parked.keep(received, received + reply.length) : parked.keepBytes(reply);
      if (at < 0) t.fail('there was room');
      kept.push({ at, reply: Buffer.from(reply) });
      held += reply.length;
    } else if (kept.length > 0) {
      go(random.below(kept.length));
    }
    // Now and then all of them go.
    if (random.below(500) === 0) while (kept.length > 0) go(0);
    if (random.below(2_000) === 0) parked.trim();
    if (parked.bytes !== held) t.fail(`${parked.bytes} bytes are said to be parked, and ${held} are`);
    if (arena.usedBytes !== before + parked.heldBytes) t.fail('held bytes are not what the arena has lent');
    if (kept.length === 0 && parked.heldBytes > 0) t.fail('nothing is parked, and memory is held for it');
  }
  while (kept.length > 0) go(kept.length - 1);
  t.equal(parked.bytes, 0);
  t.equal(parked.heldBytes, 0);
  t.equal(arena.usedBytes, before);
});

t.test('a reply for which the arena has no room is not parked', async (t) => {
  const arena = new Arena(new ArrayBuffer(MIB));
  const parked = new ParkedReplies(arena);
  t.equal(parked.keep(0, 2 * MIB), -1);
  t.equal(parked.keepBytes(new Uint8Array(2 * MIB)), -1);
  t.equal(parked.bytes, 0);
  t.equal(parked.heldBytes, 0);
});

t.test('many small replies take few blocks, of their size altogether', async (t) => {
  const arena = new Arena(new ArrayBuffer(8 * MIB));
  const received = arena.allocate(64 * 1024);
  const parked = new ParkedReplies(arena);
  for (let count = 0; count < 11; count++) parked.keep(received, received + 72);
  t.equal(parked.heldBytes, 1024);
  for (let count = 11; count < 1000; count++) parked.keep(received, received + 5);
  t.equal(parked.bytes, 11 * 72 + 989 * 5);
  t.ok(parked.heldBytes >= parked.bytes && parked.heldBytes < 32 * 1024, `${parked.heldBytes}`);
});
