/**
 * Clients that read and write a few keys at the same time, through whatever proxies there are, and record what they were told.
 *
 *   key (the current one of its kind) -> command -> reply, error, closed connection or none in time -> a call of the history
 *
 * A key is left after some calls for a new one, so that histories stay short enough to be judged, and because what nobody writes
 * any more is lost the easiest: now and then, and at the end, an old one is read. Who gets no reply closes the connection, and
 * goes to any proxy anew.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Answered, Asked, KeyCall } from './key-model.js';
import type { Outcome } from './linearizability.js';
import type { Random } from './random.js';
import { parseReply, ReplyError, type Value } from './reference-parser.js';
import { encodeWords, RespClient } from './resp-client.js';
import { waitFor } from './wait-for.js';

export interface WorkloadOptions {
  clients: number;
  /** Where the proxies listen now. */
  ports: () => readonly number[];
  random: Random;
  /** Keys in use at a time, of each kind. */
  keysEach?: number;
  kinds?: readonly Kind[];
  /** So many clients besides, who only read what is written whole, by RL.CONSISTENCY weak: what they are told is in `weakReads`. */
  weakReaders?: number;
}

/** Kinds of keys that are written as registers are, or deleted. */
export const REGISTERS: readonly Kind[] = ['register', 'lease', 'lock'];

export type Kind = 'register' | 'counter' | 'list' | 'cas' | 'lock' | 'lease';

/** Of a hundred calls on keys of a kind, how many are which. */
const MIX: Record<Kind, readonly [number, Asked['kind']][]> = {
  register: [
    [50, 'get'],
    [50, 'set'],
  ],
  counter: [
    [35, 'get'],
    [65, 'incr'],
  ],
  list: [
    [50, 'range'],
    [50, 'push'],
  ],
  cas: [
    [30, 'get'],
    [50, 'cas'],
    [15, 'set-absent'],
    [5, 'del'],
  ],
  lock: [
    [20, 'get'],
    [50, 'set-absent'],
    [30, 'del'],
  ],
  lease: [
    [70, 'get'],
    [30, 'set'],
  ],
};
export const KINDS = Object.keys(MIX) as Kind[];

const KEYS_EACH = 2;
/** Calls on one key before it is left: of its kind the first one in use is left late, the others soon. */
const CALLS_MAX = 250;
const CALLS_MAX_SOON = 40;
/** Of a hundred calls, how many read a key that was left. */
const OLD_PER_CENT = 10;
const REPLY_TIMEOUT_MS = 4_000;
const RETRY_MS = 20;
const LEASE_MS_MAX = 400;
const WRONG_MAX = 20;
const DOUBT_CHARACTERS = 100;

const COMPARE_AND_SET =
  "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) return 1 end return 0";

/** -NODEDOWN, -NOQUORUM, -OVERLOADED and -LOADING say that there was no effect. */
const NO_EFFECT = /^(NODEDOWN|NOQUORUM|OVERLOADED|LOADING) /;
const UNKNOWN = /^UNKNOWN /;
/** Errors that the model knows as answers. */
const ANSWER = /^(WRONGTYPE |ERR value is not an integer)/;

interface Slot {
  kind: Kind;
  name: string;
  generation: number;
  calls: number;
  callsMax: number;
  /** What was read last, for compare and set. */
  seen: string;
}

export class Workload {
  readonly calls: KeyCall[] = [];
  readonly weakReads: KeyCall[] = [];
  /** Replies that no command has, at most a few. */
  readonly wrong: string[] = [];
  /** How often clients were told what, by the first words, where the outcome is not known. */
  readonly doubts = new Map<string, number>();
  readonly counts = { answered: 0, unknown: 0, failed: 0 };
  private readonly options: WorkloadOptions;
  private readonly random: Random;
  private readonly slots: Slot[];
  private readonly clients: WorkloadClient[];
  private readonly readers: WorkloadClient[];
  private running: Promise<unknown> = Promise.resolve();
  private values = 0;
  private isStopping = false;

  constructor(options: WorkloadOptions) {
    this.options = options;
    this.random = options.random;
    const { kinds = KINDS, keysEach = KEYS_EACH } = options;
    this.slots = kinds.flatMap((kind) => {
      return Array.from({ length: keysEach }, (_, index): Slot => {
        const callsMax = index === 0 ? CALLS_MAX : CALLS_MAX_SOON;
        return { kind, name: `${kind}:${index}`, generation: 0, calls: 0, callsMax, seen: '' };
      });
    });
    this.clients = Array.from({ length: options.clients }, (_, index) => {
      return new WorkloadClient(`c${index}`, options.ports, options.random, this);
    });
    this.readers = Array.from({ length: options.weakReaders ?? 0 }, (_, index) => {
      return new WorkloadClient(`weak ${index}`, options.ports, options.random, this, 'weak');
    });
  }

  /** For the first time, or again after `halt`. */
  start(): void {
    this.isStopping = false;
    const run = async (client: WorkloadClient, next: (client: WorkloadClient) => Promise<void>) => {
      while (!this.isStopping) await next(client);
      client.close();
    };
    this.running = Promise.all([
      ...this.clients.map((client) => run(client, (client) => this.next(client))),
      ...this.readers.map((reader) => run(reader, (reader) => this.readWeakly(reader))),
    ]);
  }

  /** Lets the calls under way come to an end. */
  async halt(): Promise<void> {
    this.isStopping = true;
    await this.running;
  }

  /** Those that were ever used. */
  keys(): string[] {
    return this.slots.flatMap((slot) => {
      return Array.from({ length: slot.generation + 1 }, (_, generation) => keyOf(slot, generation));
    });
  }

  /** Reads each of them, through any proxy that answers: after `halt`. */
  async read(keys: readonly string[]): Promise<void> {
    const client = new WorkloadClient('end', this.options.ports, this.random, this);
    for (const key of keys) {
      const read = async () => (await client.call(key, readOf(key)))?.outcome.kind === 'answered';
      await waitFor(`${key} to be read at the end`, read);
    }
    client.close();
  }

  /** Resolves when every client was answered again, and each key in use was written and read. Rejects after `timeoutMs`. */
  async goesOn(what: string, timeoutMs: number): Promise<void> {
    const begin = this.calls.length;
    const servedAt = this.clients.map(({ answered }) => answered);
    const isServed = () => this.clients.every(({ answered }, index) => answered > (servedAt[index] as number));
    const missing = () => {
      const since = this.calls.slice(begin).filter(({ outcome }) => outcome.kind === 'answered');
      return this.slots.filter(({ name }) => {
        const own = since.filter(({ key }) => key.startsWith(`${name}:`));
        return !own.some(({ input }) => isRead(input)) || !own.some(({ input }) => !isRead(input));
      });
    };
    try {
      await waitFor(what, () => isServed() && missing().length === 0, timeoutMs);
    } catch (error) {
      const names = missing().map(({ name }) => name);
      throw new Error(`${what}: not every key was written and read: ${names.join(', ') || 'but clients wait'}`, {
        cause: error,
      });
    }
  }

  /** Resolves when so many more calls were answered. */
  async answers(what: string, count: number, timeoutMs: number): Promise<void> {
    const goal = this.counts.answered + count;
    await waitFor(what, () => this.counts.answered >= goal, timeoutMs);
  }

  record(call: KeyCall, isWeak: boolean): void {
    if (isWeak) {
      this.weakReads.push(call);
      return;
    }
    this.calls.push(call);
    this.counts[call.outcome.kind]++;
  }

  doubt(text: string): void {
    this.doubts.set(text, (this.doubts.get(text) ?? 0) + 1);
  }

  complain(text: string): void {
    if (this.wrong.length < WRONG_MAX) this.wrong.push(text);
  }

  private async next(client: WorkloadClient): Promise<void> {
    const slot = this.random.pick(this.slots);
    if (slot.generation > 0 && this.random.chance(OLD_PER_CENT)) {
      const old = keyOf(slot, this.random.below(slot.generation));
      await client.call(old, readOf(old));
      return;
    }
    if (++slot.calls > slot.callsMax) Object.assign(slot, { generation: slot.generation + 1, calls: 1, seen: '' });
    const call = await client.call(keyOf(slot, slot.generation), this.inputFor(slot));
    // Nobody is there, or somebody who can do nothing now.
    if (call?.outcome.kind !== 'answered') await sleep(RETRY_MS);
    else if (call.input.kind === 'get' && typeof call.outcome.output === 'string') slot.seen = call.outcome.output;
  }

  private async readWeakly(reader: WorkloadClient): Promise<void> {
    const slot = this.random.pick(this.slots.filter(({ kind }) => REGISTERS.includes(kind)));
    const call = await reader.call(keyOf(slot, slot.generation), { kind: 'get' });
    if (call?.outcome.kind !== 'answered') await sleep(RETRY_MS);
  }

  private inputFor({ kind, seen }: Slot): Asked {
    let chance = this.random.below(100);
    const [, asked] = MIX[kind].find(([share]) => {
      chance -= share;
      return chance < 0;
    }) as [number, Asked['kind']];
    const value = `${++this.values}`;
    if (asked === 'set' && kind === 'lease') return { kind: asked, value, lifeMs: 1 + this.random.below(LEASE_MS_MAX) };
    if (asked === 'cas') return { kind: asked, expected: seen, value };
    if (asked === 'set' || asked === 'set-absent' || asked === 'push') return { kind: asked, value };
    return { kind: asked } as Asked;
  }
}

function keyOf({ name }: Slot, generation: number): string {
  return `${name}:${generation}`;
}

function readOf(key: string): Asked {
  return { kind: key.startsWith('list') ? 'range' : 'get' };
}

function isRead({ kind }: Asked): boolean {
  return kind === 'get' || kind === 'range';
}

/** One connection at a time, and one command at a time on it. */
class WorkloadClient {
  answered = 0;
  private readonly name: string;
  private readonly ports: () => readonly number[];
  private readonly random: Random;
  private readonly workload: Workload;
  private readonly level: 'default' | 'weak';
  private connection: RespClient | null = null;

  constructor(
    name: string,
    ports: () => readonly number[],
    random: Random,
    workload: Workload,
    level: 'default' | 'weak' = 'default',
  ) {
    this.name = name;
    this.level = level;
    this.ports = ports;
    this.random = random;
    this.workload = workload;
  }

  close(): void {
    this.connection?.close();
    this.connection = null;
  }

  /** The call as it was recorded; null where nobody took the connection, so that nothing was asked. */
  async call(key: string, input: Asked): Promise<KeyCall | null> {
    try {
      this.connection ??= await this.connect();
    } catch {
      return null;
    }
    const askedAt = performance.now();
    const outcome = await this.ask(this.connection, key, input);
    const call: KeyCall = { client: this.name, key, input, outcome, askedAt, endedAt: performance.now() };
    this.workload.record(call, this.level === 'weak');
    if (outcome.kind === 'answered') this.answered++;
    return call;
  }

  private async connect(): Promise<RespClient> {
    const connection = await RespClient.connect(this.random.pick(this.ports()));
    if (this.level === 'default') return connection;
    try {
      const reply = `${await connection.raw('RL.CONSISTENCY', this.level)}`;
      if (reply === '+OK\r\n') return connection;
      this.workload.complain(`RL.CONSISTENCY ${this.level} was answered ${reply}`);
      throw new Error(reply);
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  private async ask(connection: RespClient, key: string, input: Asked): Promise<Outcome<Answered>> {
    let reply: Value;
    try {
      connection.send(encodeWords(wordsOf(key, input)));
      reply = parseReply(await connection.next(REPLY_TIMEOUT_MS))?.value as Value;
    } catch (error) {
      // It was cut off, or waited long enough.
      this.close();
      this.workload.doubt((error instanceof Error ? error.message : `${error}`).slice(0, DOUBT_CHARACTERS));
      return { kind: 'unknown' };
    }
    if (!(reply instanceof ReplyError)) return { kind: 'answered', output: reply as Answered };
    if (ANSWER.test(reply.message)) return { kind: 'answered', output: reply.message };
    if (NO_EFFECT.test(reply.message)) {
      // Another proxy may reach the nodes: all clients may be with this one, since the other was killed before.
      this.close();
      return { kind: 'failed' };
    }
    this.workload.doubt(reply.message.slice(0, DOUBT_CHARACTERS));
    if (!UNKNOWN.test(reply.message)) {
      this.workload.complain(`${wordsOf(key, input).join(' ')} was answered ${reply.message}`);
    }
    return { kind: 'unknown' };
  }
}

function wordsOf(key: string, input: Asked): string[] {
  switch (input.kind) {
    case 'get':
      return ['GET', key];
    case 'set':
      return ['SET', key, input.value, ...(input.lifeMs === undefined ? [] : ['PX', `${input.lifeMs}`])];
    case 'set-absent':
      return ['SET', key, input.value, 'NX'];
    case 'del':
      return ['DEL', key];
    case 'incr':
      return ['INCR', key];
    case 'append':
      return ['APPEND', key, input.value];
    case 'cas':
      return ['EVAL', COMPARE_AND_SET, '1', key, input.expected, input.value];
    case 'push':
      return ['RPUSH', key, input.value];
    case 'range':
      return ['LRANGE', key, '0', '-1'];
  }
}
