/**
 * Connections that come and are killed, by either side and at any time, in order or by a reset, in the midst of large replies and
 * while one of them does not read, as many as asked for; and what must hold of them:
 * nobody hears what another one's peer said, and nobody ends unless it or its peer was killed. Two rules see to that, each
 * for itself: a place is not used again before the last completion has come, and generations tell one connection of a place from
 * the next. One of them alone stands a storm; uring.test.ts has a test of each.
 */
import type { Test } from 'tap';
import { system } from '../../src/transport/system.js';
import type { Connection, ConnectionOwner } from '../../src/transport/transport.js';
import { waitFor } from '../help/wait-for.js';
import { openDescriptors, type Rig, type RigOptions } from './rig.js';
import { Seeded } from './seeded.js';

/** At the same time. */
const CONNECTIONS = 64;
const LARGE_BYTES = 100_000;
const PAUSE_MS_MAX = 20;
const SOL_SOCKET = 1;
const SO_LINGER = 13;
/** struct linger: on, for no time at all. Whoever closes then resets the connection. */
const NO_LINGER = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);

/** Has `total` connections come and go on the driver that `start` starts, and says what did not hold. */
export async function weather(t: Test, start: (options: RigOptions) => Promise<Rig>, total: number): Promise<void> {
  const random = new Seeded();
  t.comment(`seed ${random.seed}`);
  let storm: Storm | null = null;
  const descriptors = openDescriptors();
  const rig = await start({ onConnection: (connection) => (storm as Storm).accept(connection) });
  t.teardown(() => rig.stop());
  storm = new Storm(rig, random, total);
  await storm.run();
  const { faults, resets, larges, pauses, cut } = storm;
  t.comment(`${resets} resets; ${larges} large replies; ${cut} ends with something unsent; ${pauses} pauses`);
  t.same(faults.slice(0, 5), []);
  t.ok(Math.min(resets, larges, cut, pauses) > 0, 'all that was meant to happen did');
  await waitFor('all sessions to end', () => rig.transport.totalSessions() === 0);
  await rig.stop();
  await waitFor('their descriptors to be closed', () => openDescriptors() <= descriptors);
}

/** One side of a connection; the two find each other by the address of the side that connected. */
class Side implements ConnectionOwner {
  connection: Connection | null = null;
  isKilled = false;
  private isClosed = false;
  /** What it hears is one word, again and again: that word, and what has come of the next one. */
  private word: string | null = null;
  private begun = '';
  private isPaused = false;
  private readonly storm: Storm;
  private readonly name: string | null;

  constructor(storm: Storm, name: string | null) {
    this.storm = storm;
    this.name = name;
  }

  say(text: string): void {
    this.connection?.output.appendBytes(Buffer.from(text));
    this.connection?.flush();
  }

  kill(): void {
    this.isKilled = true;
    if (this.storm.happens(3)) this.storm.reset(this.connection);
    this.connection?.destroy(null);
  }

  onOpen(): void {
    this.storm.open(this);
    this.storm.maybeKill(this);
    this.say(`${this.name}.`);
  }

  onBytes(start: number, end: number): number {
    const text = Buffer.from(this.storm.rig.transport.arena.bytes.subarray(start, end)).toString();
    const words = (this.begun + text).split('.');
    this.begun = words.pop() as string;
    for (const word of words) {
      this.word ??= this.name ?? word;
      if (word !== this.word) this.storm.faults.push(`${this.name ?? 'a server'} heard ${word}, not ${this.word}`);
    }
    this.storm.maybeKill(this);
    if (this.isKilled) return end;
    if (this.word !== null && words.length > 0) this.answer(`${this.word}.`);
    if (!this.isPaused && this.storm.happens(16)) this.pause();
    return end;
  }

  private answer(word: string): void {
    const isLarge = this.name === null && this.storm.happens(8);
    if (isLarge) this.storm.larges++;
    this.say(isLarge ? word.repeat(Math.ceil(LARGE_BYTES / word.length)) : word);
  }

  private pause(): void {
    this.isPaused = true;
    this.connection?.pause();
    this.storm.later(() => {
      this.isPaused = false;
      if (!this.isClosed) this.connection?.resume();
    });
  }

  onEnd(): void {
    this.storm.checkEnd(this);
    this.connection?.destroy(null);
  }

  onDrain(): void {}

  onClose(): void {
    this.isClosed = true;
    if ((this.connection?.output.unsentBytes ?? 0) > 0) this.storm.cut++;
    this.storm.checkEnd(this);
    this.storm.onClosed(this, this.name !== null);
  }
}

class Storm {
  readonly rig: Rig;
  readonly faults: string[] = [];
  resets = 0;
  larges = 0;
  pauses = 0;
  /** Connections that ended with something unsent. */
  cut = 0;
  private readonly random: Seeded;
  private readonly total: number;
  private begun = 0;
  private ended = 0;
  private done: () => void = () => {};
  /** Of both sides, by the address of the one that connected. */
  private readonly sides = new Map<string, Side[]>();
  private readonly addresses = new Map<Side, string>();

  constructor(rig: Rig, random: Seeded, total: number) {
    this.rig = rig;
    this.random = random;
    this.total = total;
  }

  /** Resolves when all have come and gone. */
  async run(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.done = resolve;
      this.rig.transport.timers.set(this.rig.transport.now, () => {
        for (let count = 0; count < CONNECTIONS; count++) this.begin();
      });
    });
  }

  /** The owner of a connection that was accepted. */
  accept(connection: Connection): Side {
    const side = new Side(this, null);
    side.connection = connection;
    this.enter(side, connection.remoteAddress());
    this.maybeKill(side);
    return side;
  }

  open(side: Side): void {
    this.enter(side, side.connection?.localAddress() ?? '');
  }

  /** One time in `times`. */
  happens(times: number): boolean {
    return this.random.below(times) === 0;
  }

  maybeKill(side: Side): void {
    if (this.happens(8)) side.kill();
  }

  /** Its end will be a reset. */
  reset(connection: Connection | null): void {
    const { descriptor } = connection as unknown as { descriptor: number };
    if (descriptor < 0) return;
    system().setsockopt(descriptor, SOL_SOCKET, SO_LINGER, NO_LINGER, NO_LINGER.length);
    this.resets++;
  }

  /** Some milliseconds after a pause has begun. */
  later(end: () => void): void {
    this.pauses++;
    const { timers, now } = this.rig.transport;
    timers.set(now + this.random.below(PAUSE_MS_MAX), end);
  }

  checkEnd(side: Side): void {
    const address = this.addresses.get(side);
    // One that never opened was not accepted either; and a side whose other is not known yet may have been refused.
    if (address === undefined) return;
    const both = this.sides.get(address) ?? [];
    if (both.length === 2 && !both.some(({ isKilled }) => isKilled)) this.faults.push(`${address} ended by itself`);
  }

  onClosed(side: Side, isClient: boolean): void {
    const address = this.addresses.get(side);
    this.addresses.delete(side);
    side.isKilled = true;
    if (address !== undefined && !(this.sides.get(address) ?? []).some((other) => this.addresses.has(other))) {
      this.sides.delete(address);
    }
    if (!isClient) return;
    this.ended++;
    if (this.begun < this.total) this.begin();
    else if (this.ended === this.total) setImmediate(this.done);
  }

  private begin(): void {
    const { transport, endpoint } = this.rig;
    const side = new Side(this, `client-${this.begun++}`);
    side.connection = transport.connect({ endpoint, timeoutMs: 60_000, retaining: false }, side);
    if (this.happens(32)) side.kill();
  }

  private enter(side: Side, address: string): void {
    this.addresses.set(side, address);
    const both = this.sides.get(address) ?? [];
    // The number of a port comes again, when both sides of before have gone.
    this.sides.set(address, [...both.filter((other) => this.addresses.has(other)), side]);
  }
}
