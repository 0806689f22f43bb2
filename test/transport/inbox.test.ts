import t from 'tap';
import { Arena } from '../../src/transport/arena.js';
import { Inbox, RECEIVE_PREFIX_BYTES, ReceiveBlock } from '../../src/transport/inbox.js';
import { Seeded } from './seeded.js';

const MIB = 1024 * 1024;
/** Of a place that the kernel has chosen. */
const LENT_BYTES = 60_000;

class Rig {
  readonly arena: Arena;
  readonly inbox: Inbox;
  /** Where the kernel has put something, when it chooses. */
  readonly lent: number;
  /** What is used when nothing is unread. */
  readonly idleBytes: number;
  /** The most that was used. */
  peakBytes = 0;
  /** Bytes moved inside the arena. */
  copied = 0;

  constructor(bytes = 256 * MIB) {
    this.arena = new Arena(new ArrayBuffer(bytes));
    const copyWithin = this.arena.bytes.copyWithin.bind(this.arena.bytes);
    this.arena.bytes.copyWithin = (target: number, start: number, end: number) => {
      this.copied += end - start;
      return copyWithin(target, start, end);
    };
    this.inbox = new Inbox(this.arena, new ReceiveBlock(this.arena));
    this.lent = this.arena.allocate(RECEIVE_PREFIX_BYTES + LENT_BYTES) + RECEIVE_PREFIX_BYTES;
    this.idleBytes = this.arena.usedBytes;
  }

  get held(): number {
    return this.arena.usedBytes - this.idleBytes;
  }

  /** The kernel has `bytes`; as many as fit are received. Returns the others. */
  receive(bytes: Buffer): Buffer {
    const target = this.inbox.prepare();
    if (target < 0) throw new Error('the arena is full');
    const count = Math.min(bytes.length, this.inbox.room);
    this.arena.bytes.set(bytes.subarray(0, count), target);
    this.inbox.filled(count);
    this.peakBytes = Math.max(this.peakBytes, this.held);
    return bytes.subarray(count);
  }

  /** The same, but the kernel has chosen where. */
  take(bytes: Buffer): Buffer {
    const count = Math.min(bytes.length, LENT_BYTES);
    this.arena.bytes.set(bytes.subarray(0, count), this.lent);
    if (!this.inbox.take(this.lent, count)) throw new Error('the arena is full');
    this.peakBytes = Math.max(this.peakBytes, this.held);
    return bytes.subarray(count);
  }

  /** Others receive now, and overwrite what does not belong to the inbox. */
  spoil(): void {
    this.arena.bytes.fill(0xee, 0, 256 * 1024);
    this.arena.bytes.fill(0xee, this.lent - RECEIVE_PREFIX_BYTES, this.lent + LENT_BYTES);
  }

  unread(): Buffer {
    return Buffer.from(this.arena.bytes.subarray(this.inbox.start, this.inbox.end));
  }
}

t.test('whatever is received, consumed, kept and expected, the unread bytes are the right ones', async (t) => {
  const random = new Seeded();
  t.comment(`seed ${random.seed}`);
  const rig = new Rig();
  const { inbox } = rig;
  let twin = Buffer.alloc(0);
  let kernel: Buffer = Buffer.alloc(0);
  for (let step = 0; step < 4_000; step++) {
    if (kernel.length === 0) kernel = random.bytes(random.size(random.below(30) === 0 ? 2 * MIB : 30_000));
    const piece = kernel.subarray(0, random.size(kernel.length));
    const left = random.below(2) === 0 ? rig.receive(piece) : rig.take(piece);
    twin = Buffer.concat([twin, piece.subarray(0, piece.length - left.length)]);
    kernel = kernel.subarray(piece.length - left.length);
    if (!inbox.isComplete()) {
      if (!inbox.keep()) return t.fail('the arena is full');
    } else {
      inbox.expect(0);
      if (!twin.equals(rig.unread())) return t.fail('what is shown is not what came');
      const consumed = random.pick([0, twin.length, random.below(twin.length + 1)]);
      if (random.below(4) === 0) inbox.expect(twin.length - consumed + random.size(MIB));
      if (!inbox.consume(inbox.start + consumed)) return t.fail('the arena is full');
      twin = twin.subarray(consumed);
    }
    rig.spoil();
    if (!twin.equals(rig.unread())) return t.fail('what is kept is not what was left');
    if (twin.length === 0 && rig.held !== 0) return t.fail('memory is held for nothing');
    if (twin.length > 8 * MIB) {
      inbox.release();
      twin = Buffer.alloc(0);
    }
  }
  inbox.release();
  t.equal(rig.held, 0);
  return undefined;
});

t.test('100 MB that were announced are copied 1.4 times at the most, and held once', async (t) => {
  for (const isCrowded of [false, true]) {
    const rig = new Rig(512 * MIB);
    const total = 100 * 1000 * 1000;
    const chunk = Buffer.alloc(200_000, 7);
    if (isCrowded) rig.arena.extend = () => false;
    rig.receive(chunk);
    for (let came = chunk.length; came < total; ) {
      rig.inbox.expect(total);
      if (!rig.inbox.keep()) return t.fail('the arena is full');
      const piece = chunk.subarray(0, Math.min(chunk.length, total - came));
      came += piece.length - rig.receive(piece).length;
    }
    t.equal(rig.inbox.end - rig.inbox.start, total);
    t.ok(rig.inbox.isComplete());
    const limit = isCrowded ? 1.4 : 0.02;
    t.ok(
      rig.copied < limit * total,
      `${(rig.copied / total).toFixed(3)} times, ${isCrowded ? 'at worst' : 'as a rule'}`,
    );
    t.ok(rig.held < 1.05 * total, `holds ${(rig.held / total).toFixed(2)} times its size`);
    rig.inbox.consume(rig.inbox.end);
    t.equal(rig.held, 0, 'and nothing when it was consumed');
  }
  return undefined;
});

t.test('an announced length alone costs nothing', async (t) => {
  const rig = new Rig(256 * MIB);
  rig.receive(Buffer.from('*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n'));
  rig.inbox.expect(512 * MIB);
  t.ok(rig.inbox.keep());
  t.equal(rig.held, 64);
  rig.receive(Buffer.alloc(100_000));
  t.ok(rig.inbox.keep());
  t.ok(rig.held <= 4 * 131_072, `${rig.held} bytes for 100,000`);
});

t.test('a stream of small frames that are cut at every read keeps only the cut ones', async (t) => {
  const rig = new Rig(16 * MIB);
  let kept = 0;
  for (let step = 0; step < 1_000; step++) {
    rig.receive(Buffer.alloc(50_000));
    const frames = Math.floor((kept + 50_000) / 777) * 777;
    kept = kept + 50_000 - frames;
    if (!rig.inbox.consume(rig.inbox.start + frames)) return t.fail('the arena is full');
    if (rig.held > 1024) return t.fail(`${rig.held} bytes are held for less than 777`);
  }
  return undefined;
});

t.test('bytes that come one by one behind a large rest are not copied over and over', async (t) => {
  const rig = new Rig(64 * MIB);
  rig.receive(Buffer.alloc(200_000));
  t.ok(rig.inbox.consume(rig.inbox.start));
  const before = rig.copied;
  for (let count = 0; count < 100_000; count++) {
    rig.receive(Buffer.alloc(1));
    rig.inbox.consume(rig.inbox.start);
  }
  t.ok(rig.copied - before < 1_000_000, `${rig.copied - before} bytes were copied`);
});

t.test('a window that slides over a large rest is not copied over and over', async (t) => {
  const rig = new Rig(64 * MIB);
  rig.receive(Buffer.alloc(200_000));
  t.ok(rig.inbox.consume(rig.inbox.start));
  const before = rig.copied;
  for (let count = 0; count < 10_000; count++) {
    rig.receive(Buffer.alloc(1_000));
    if (!rig.inbox.consume(rig.inbox.start + 1_000)) return t.fail('the arena is full');
  }
  const passed = 10_000 * 1_000;
  t.ok(rig.copied - before < 2.5 * passed, `${(rig.copied - before) / passed} bytes were copied for each`);
  t.ok(rig.held < 2 * MIB);
  return undefined;
});

t.test('a full arena is said, and consuming out of range is our own mistake', async (t) => {
  const rig = new Rig(2 * MIB);
  let isFull = false;
  for (let count = 0; count < 100 && !isFull; count++) {
    if (rig.inbox.prepare() < 0) isFull = true;
    else {
      rig.receive(Buffer.alloc(200_000));
      isFull = !rig.inbox.consume(rig.inbox.start);
    }
  }
  t.ok(isFull);
  t.throws(() => rig.inbox.consume(rig.inbox.end + 1), /consumed up to/);
  t.throws(() => rig.inbox.consume(rig.inbox.start - 1), /consumed up to/);
});

t.test('what has come is large, and received in another way, once much has come or is expected', async (t) => {
  const rig = new Rig();
  rig.inbox.expect(MIB);
  rig.take(Buffer.alloc(4_000));
  rig.inbox.keep();
  t.notOk(rig.inbox.isLarge(), 'what is kept is put before what comes');
  rig.inbox.expect(0);
  rig.take(Buffer.alloc(16_000));
  rig.inbox.keep();
  t.notOk(rig.inbox.isLarge(), 'a copy of a little costs less');
  rig.inbox.expect(64 * 1024);
  t.notOk(rig.inbox.isLarge());
  rig.inbox.expect(64 * 1024 + 1);
  t.ok(rig.inbox.isLarge());
  rig.inbox.expect(0);
  rig.take(Buffer.alloc(60_000));
  rig.inbox.keep();
  t.ok(rig.inbox.isLarge());
});
