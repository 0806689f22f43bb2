/**
 * One client of a simulation: pipelines commands, sends them cut anywhere, reads slowly or fast, and holds every reply
 * against what the judge knows. Its values carry ids, so that no reply can pass for another's.
 */
import { bulk, type Client, command, type Plane, replyEnd } from '../../help/plane.js';
import type { Random } from '../../help/random.js';
import { type History, idKey } from './history.js';

/** What a client may be told that is no answer. */
export interface Excuses {
  /** Whether a command that was asked at `sinceMs` may have failed for what was wrong with that node. */
  mayFail(node: number, sinceMs: number): boolean;
  mayOverload: boolean;
  /** Whether there may be no memory for anything. */
  mayRunOut: boolean;
}

export interface SimKeys {
  /** Keys that only this client writes, and keys that all do. */
  own: readonly string[];
  shared: readonly string[];
}

const INLINE_WORD = /^[\w{}:#<>.-]{1,5000}$/;

interface Asked {
  readonly words: readonly string[];
  readonly step: number;
  readonly ms: number;
  readonly sequence: number;
  /** Ids of the writes it consists of, and the keys that these write. */
  readonly ids: readonly string[];
  readonly keys: readonly string[];
  readonly check: (reply: string) => void;
}

/** Bytes that values are longer than their ids, in thousandths of what they may be. */
const PADDINGS = [0, 0, 0, 2, 15, 70, 230, 1_000];

export class SimClient {
  readonly number: number;
  readonly client: Client;
  /** Replies that came and were held against the judge, and how many of them said that a node failed, or is overloaded. */
  answered = 0;
  failed = 0;
  refused = 0;
  /** It said QUIT, or garbage, or that it sends no more. */
  isLeaving = false;
  lastError = '';
  private readonly plane: Plane;
  private readonly valueBytesMax: number;
  private readonly random: Random;
  private readonly history: History;
  private readonly keys: SimKeys;
  private readonly excuses: Excuses;
  private protocol: 2 | 3 = 2;
  private sequence = 0;
  private readonly asked: Asked[] = [];
  private outgoing = '';
  private incoming = '';
  /** By key: the latest of its own writes that it knows to have been done. */
  private readonly settled = new Map<string, string>();

  constructor(
    number: number,
    plane: Plane,
    keys: SimKeys,
    valueBytesMax: number,
    random: Random,
    history: History,
    excuses: Excuses,
  ) {
    this.number = number;
    this.plane = plane;
    this.valueBytesMax = valueBytesMax;
    this.client = plane.client();
    this.keys = keys;
    this.random = random;
    this.history = history;
    this.excuses = excuses;
  }

  /** Commands that were asked and not answered, and whether bytes are left to be sent. */
  get pending(): number {
    return this.asked.length;
  }

  get isSilent(): boolean {
    return this.outgoing === '';
  }

  issue(): void {
    if (this.isLeaving) return;
    const kind = this.random.below(100);
    if (kind < 22) this.askGet(this.pickKey());
    else if (kind < 42) this.askSet(this.pickKey());
    else if (kind < 54) this.askMget(this.pickKeys());
    else if (kind < 64) this.askMset(this.pickKeys());
    else if (kind < 72) this.askDel([this.pickKey()]);
    else if (kind < 78) this.askDel(this.pickKeys());
    else if (kind < 84) this.askAppend(this.random.pick(this.keys.own));
    else if (kind < 90) this.askExists(this.pickKeys());
    else if (kind < 92) this.askSize();
    else if (kind < 98) this.askEcho();
    else this.askHello();
  }

  /** Says good-bye in one of the ways there are. */
  leave(): void {
    if (this.isLeaving) return;
    const kind = this.random.below(3);
    if (kind === 0) this.ask(['QUIT'], (reply) => this.expect(reply, '+OK\r\n'));
    else if (kind === 1) {
      const error = '-ERR Protocol error: invalid multibulk length\r\n';
      this.asked.push(this.make(['*x'], (reply) => this.expect(reply, error)));
      this.outgoing += '*x\r\n';
    } else {
      this.send(this.outgoing.length);
      this.client.connection.end();
    }
    this.isLeaving = true;
  }

  /** Asks for all that it wrote. */
  askEverything(): void {
    for (const key of this.keys.own) this.askGet(key);
    this.askMget([...this.keys.own, ...this.keys.shared]);
  }

  send(count: number): void {
    if (this.outgoing === '' || count === 0 || this.client.connection.isFinished) return;
    const piece = this.outgoing.slice(0, count);
    this.outgoing = this.outgoing.slice(count);
    this.client.sendText(piece);
  }

  /** Takes up to `count` bytes, and judges the replies that are whole. */
  receive(count: number): void {
    if (this.client.isClosed || this.client.connection.output.unsentBytes === 0) return;
    this.incoming += this.client.connection.takeSome(count);
    let at = 0;
    for (let end = replyEnd(this.incoming, at); end >= 0; end = this.endOfReply(at)) {
      this.judge(this.incoming.slice(at, end));
      at = end;
      if (at === this.incoming.length) break;
    }
    this.incoming = this.incoming.slice(at);
  }

  private endOfReply(at: number): number {
    return at < this.incoming.length ? replyEnd(this.incoming, at) : -1;
  }

  private judge(reply: string): void {
    const asked = this.asked.shift();
    if (asked === undefined) throw new Error(`client ${this.number} got a reply to nothing: ${shown(reply)}`);
    this.answered++;
    try {
      if (!this.isExcused(asked, reply)) asked.check(reply);
    } catch (error) {
      const words = shown(asked.words.join(' '));
      throw new Error(`client ${this.number}, command ${asked.sequence} ${words}, reply ${shown(reply)}: ${error}`);
    }
  }

  /** Whether the reply is one of our errors, and may be true. */
  private isExcused(asked: Asked, reply: string): boolean {
    const code = /^-(NODEDOWN|UNKNOWN|OVERLOADED) (?:node node-(\d+)|no buffer memory)/.exec(reply);
    if (code === null) return false;
    const node = Number(code[2]);
    // A split write of which one part found a full queue, and another did not.
    const isOverload = code[1] === 'OVERLOADED' || (asked.ids.length > 1 && reply.includes('too much waits for it'));
    const { excuses } = this;
    if (!excuses.mayRunOut && !(isOverload ? excuses.mayOverload : excuses.mayFail(node, asked.ms))) {
      throw new Error(`nothing is wrong with node ${node}`);
    }
    if (isOverload) this.refused++;
    else {
      this.failed++;
      this.lastError = `${shown(asked.words.join(' '))} got ${shown(reply)}`;
    }
    if (code[1] !== 'UNKNOWN') this.history.disown(asked.ids);
    else if (asked.ids.length === 0) throw new Error('a read cannot be unknown');
    else this.history.admitUnknown(asked.ids);
    return true;
  }

  private askGet(key: string): void {
    const sequence = this.sequence;
    this.ask(['GET', key], (reply) => this.checkValue(key, reply, sequence, this.stepOf(sequence)));
  }

  private askMget(keys: string[]): void {
    const sequence = this.sequence;
    this.ask(['MGET', ...keys], (reply) => {
      const header = `*${keys.length}\r\n`;
      if (!reply.startsWith(header)) throw new Error(`it should begin with ${shown(header)}`);
      let at = header.length;
      for (const key of keys) {
        const end = replyEnd(reply, at);
        this.checkValue(key, reply.slice(at, end), sequence, this.stepOf(sequence));
        at = end;
      }
    });
  }

  private askSet(key: string): void {
    const id = this.id(0);
    this.write(['SET', key, this.value(id)], [id], [key], (reply) => this.expect(reply, '+OK\r\n'));
  }

  private askMset(keys: string[]): void {
    const ids = keys.map((_, part) => this.id(part));
    const words = keys.flatMap((key, part) => [key, this.value(ids[part] as string)]);
    this.write(['MSET', ...words], ids, keys, (reply) => this.expect(reply, '+OK\r\n'));
  }

  private askAppend(key: string): void {
    const id = this.id(0);
    this.write(['APPEND', key, this.value(id)], [id], [key], (reply, result) => this.expect(reply, `:${result}\r\n`));
  }

  private askDel(keys: string[]): void {
    const ids = keys.map((_, part) => this.id(part));
    const words = keys.flatMap((key, part) => [key, idKey(key, `<${ids[part]}>`)]);
    const name = this.random.pick(['DEL', 'UNLINK']);
    this.write([name, ...words], ids, keys, (reply, result) => this.expect(reply, `:${result}\r\n`));
  }

  private askExists(keys: string[]): void {
    const sequence = this.sequence;
    this.ask([this.random.pick(['EXISTS', 'TOUCH']), ...keys], (reply) => {
      let [least, most] = [0, 0];
      for (const key of keys) {
        const values = [...this.visible(key, sequence, this.stepOf(sequence))];
        if (values.every((value) => value !== null)) least++;
        if (values.some((value) => value !== null)) most++;
      }
      this.checkRange(reply, least, most);
    });
  }

  private askSize(): void {
    const sequence = this.sequence;
    const isInfo = this.random.chance(50);
    this.ask(isInfo ? ['INFO', 'keyspace'] : ['DBSIZE'], (reply) => {
      const [least, most] = this.history.sizeRange(this.stepOf(sequence));
      if (!isInfo) this.checkRange(reply, least, most);
      else if (!reply.includes('# Keyspace\r\n')) throw new Error('it is no INFO');
      else {
        // Of the nodes that did not answer it says the names.
        const isWhole = !/\r\nringleader_nodes_missing:[^\r]/.test(reply);
        this.checkRange(`:${/keys=(\d+)/.exec(reply)?.[1] ?? 0}\r\n`, isWhole ? least : 0, most);
      }
    });
  }

  private askEcho(): void {
    const text = `echo of ${this.number}.${this.sequence}`;
    if (this.random.chance(50)) this.ask(['ECHO', text], (reply) => this.expect(reply, bulk(text)));
    else this.ask(['PING'], (reply) => this.expect(reply, '+PONG\r\n'));
  }

  private askHello(): void {
    const protocol = this.random.chance(50) ? 2 : 3;
    this.ask(['HELLO', `${protocol}`], (reply) => {
      if (!reply.startsWith(protocol === 3 ? '%7\r\n' : '*14\r\n')) throw new Error('it is no greeting');
      this.protocol = protocol;
    });
  }

  private write(words: string[], ids: string[], keys: string[], check: (reply: string, result: number) => void): void {
    const asked = this.make(
      words,
      (reply) => {
        check(reply, this.history.acknowledge(ids));
        for (const key of keys) {
          const own = ids.filter((_, part) => keys[part] === key);
          this.settled.set(key, this.history.lastOf(own));
        }
      },
      ids,
      keys,
    );
    this.push(asked);
  }

  private ask(words: string[], check: (reply: string) => void): void {
    this.push(this.make(words, check));
  }

  private make(
    words: string[],
    check: (reply: string) => void,
    ids: readonly string[] = [],
    keys: readonly string[] = [],
  ): Asked {
    this.steps.set(this.sequence, this.history.step);
    return {
      words,
      check,
      ids,
      keys,
      step: this.history.step,
      ms: this.plane.transport.now,
      sequence: this.sequence++,
    };
  }

  private push(asked: Asked): void {
    this.asked.push(asked);
    const isInline = this.random.chance(10) && asked.words.every((word) => INLINE_WORD.test(word));
    this.outgoing += isInline ? `${asked.words.join(' ')}\r\n` : command(...asked.words);
  }

  /** By sequence: the step in which it was asked. */
  private readonly steps = new Map<number, number>();

  private stepOf(sequence: number): number {
    return this.steps.get(sequence) as number;
  }

  private visible(key: string, sequence: number, since: number): Set<string | null> {
    return this.history.visible(key, this.number, sequence, since, this.settled.get(key) ?? null);
  }

  private checkValue(key: string, reply: string, sequence: number, since: number): void {
    const isNull = reply === (this.protocol === 3 ? '_\r\n' : '$-1\r\n');
    const value = isNull ? null : reply.slice(reply.indexOf('\r\n') + 2, -2);
    const values = this.visible(key, sequence, since);
    if (!values.has(value) || (value !== null && reply !== bulk(value))) {
      throw new Error(`${key} may be seen as ${[...values].map((one) => shown(one ?? 'null')).join(' or ')}`);
    }
  }

  private checkRange(reply: string, least: number, most: number): void {
    const count = Number(/^:(\d+)\r\n$/.exec(reply)?.[1]);
    if (!(count >= least && count <= most)) throw new Error(`it should be from ${least} to ${most}`);
  }

  private expect(reply: string, expected: string): void {
    if (reply !== expected) throw new Error(`it should be ${shown(expected)}`);
  }

  private id(part: number): string {
    return `${this.number}.${this.sequence}.${part}`;
  }

  private value(id: string): string {
    return `<${id}>${'.'.repeat((this.random.pick(PADDINGS) * this.valueBytesMax) / 1_000)}`;
  }

  private pickKey(): string {
    return this.random.pick(this.random.chance(70) ? this.keys.own : this.keys.shared);
  }

  /** Different keys, of several shards as it happens. */
  private pickKeys(): string[] {
    const keys = new Set<string>();
    for (let count = this.random.size(6); count > 0; count--) keys.add(this.pickKey());
    return [...keys];
  }
}

function shown(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}
