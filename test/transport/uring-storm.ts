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

/**
 * One side of a connection. Who connects has a name, and says it: by that the two find each other. (By their address they cannot: the port of a
 * connection that was reset is free for the next one before its other side has heard of it.)
 */
class Side implements ConnectionOwner {
  connection: Connection | null = null;
  isKilled = false;
  /** The other side, once it is known. */
  other: Side | null = null;
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
    this.storm.maybeKill(this);
    this.say(`${this.name}.`);
  }

  onBytes(start: number, end: number): number {
    const text = Buffer.from(this.storm.rig.transport.arena.bytes.subarray(start, end)).toString();
    const words = (this.begun + text).split('.');
    this.begun = words.pop() as string;
    for (const word of words) {
      if (this.word === null) this.meet(word);
      if (word !== this.word) this.storm.faults.push(`${this.name ?? 'a server'} heard ${word}, not ${this.word}`);
    }
    this.storm.maybeKill(this);
    if (this.isKilled) return end;
    if (this.word !== null && words.length > 0) this.answer(`${this.word}.`);
    if (!this.isPaused && this.storm.happens(16)) this.pause();
    return end;
  }

  /** The first word has come. */
  private meet(word: string): void {
    this.word = this.name ?? word;
    if (this.name !== null) return;
    this.other = this.storm.clients.get(word) ?? null;
    if (this.other !== null) this.other.other = this;
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
    this.checkEnd();
    this.connection?.destroy(null);
  }

  onDrain(): void {}

  onClose(): void {
    this.isClosed = true;
    if ((this.connection?.output.unsentBytes ?? 0) > 0) this.storm.cut++;
    this.checkEnd();
    this.isKilled = true;
    if (this.name !== null) this.storm.onClosed(this.name);
  }

  /** One whose other side is not known yet may have been refused. */
  private checkEnd(): void {
    if (this.other === null || this.isKilled || this.other.isKilled) return;
    this.storm.faults.push(`${this.word} ended by itself`);
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
  /** Those who connected and have not ended, by their names. */
  readonly clients = new Map<string, Side>();

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
    this.maybeKill(side);
    return side;
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

  onClosed(client: string): void {
    this.clients.delete(client);
    this.ended++;
    if (this.begun < this.total) this.begin();
    else if (this.ended === this.total) setImmediate(this.done);
  }

  private begin(): void {
    const { transport, endpoint } = this.rig;
    const name = `client-${this.begun++}`;
    const side = new Side(this, name);
    this.clients.set(name, side);
    side.connection = transport.connect({ endpoint, timeoutMs: 60_000, retaining: false }, side);
    if (this.happens(32)) side.kill();
  }
}
