/**
 * One Redis of a simulation: carries out commands in order, on every connection in its own time, answers in pieces cut
 * anywhere, and fails in all the ways in which servers and networks do.
 *
 *   connection.output --take--> inbound --whole commands--> queue --execute--> outbound --deliver--> connection
 *
 * A connection that broke, or that the proxy has closed, may live on at the node for a while: what was sent may be carried
 * out then, and nobody hears of it.
 */
import type { FakeConnection } from '../../help/fake-transport.js';
import { ANSWERS, HELLO_REPLY, readCommand } from '../../help/plane.js';
import type { Random } from '../../help/random.js';
import { ModelRedis } from '../model-redis.js';
import { type History, idIn } from './history.js';

/** Bytes that the kernel takes for a process that does not read. */
const SOCKET_BYTES = 1_500;

class Link {
  readonly connection: FakeConnection;
  isOpen = false;
  protocol: 2 | 3 = 2;
  inbound = '';
  queue: string[][] = [];
  outbound = '';

  constructor(connection: FakeConnection) {
    this.connection = connection;
  }

  /** Whether the proxy still counts on it. */
  get isLive(): boolean {
    return !this.connection.isClosed && !this.connection.isFinished;
  }
}

export class SimNode {
  readonly index: number;
  readonly redis = new ModelRedis();
  /** Takes connections. */
  isUp = true;
  /** Stopped, as by SIGSTOP: the kernel goes on for it. */
  isFrozen = false;
  private readonly random: Random;
  private readonly history: History;
  private links: Link[] = [];

  constructor(index: number, random: Random, history: History) {
    this.index = index;
    this.random = random;
    this.history = history;
  }

  attach(connection: FakeConnection): void {
    this.links.push(new Link(connection));
  }

  /** Connections that the proxy counts on. */
  get liveLinks(): number {
    return this.links.filter((link) => link.isLive).length;
  }

  /** A while passes: each connection gets on by some bytes, or by all that it can. */
  step(all = false): void {
    for (const link of [...this.links]) {
      if (!link.isLive) this.haunt(link, all);
      else if (!link.isOpen) this.open(link);
      else if (all || this.random.chance(80)) {
        this.take(link, all);
        if (!this.isFrozen) this.execute(link, all ? link.queue.length : this.random.below(link.queue.length + 1));
        this.deliver(link, all ? link.outbound.length : this.random.size(2_000));
      }
    }
  }

  /** The process dies. Some of what its connections had was carried out before. Data is on disk. */
  kill(): void {
    this.isUp = false;
    this.isFrozen = false;
    for (const link of this.links) if (link.isLive) this.cut(link);
  }

  /** One of its connections breaks, in whatever state it is. */
  breakOne(): void {
    const live = this.links.filter((link) => link.isLive);
    if (live.length > 0) this.cut(this.random.pick(live));
  }

  /** It says something that is no RESP on one of its connections, and nothing more. */
  babble(): void {
    const live = this.links.filter((link) => link.isLive && link.isOpen);
    if (live.length === 0 || this.isFrozen) return;
    const link = this.random.pick(live);
    this.deliver(link, link.outbound.length);
    link.connection.receive(this.random.pick(['HTTP/1.1 400 Bad Request\r\n', '\0\0\0\0', '$-2\r\n', '*1\r\n?']));
  }

  private open(link: Link): void {
    if (this.isUp) {
      if (!this.random.chance(70)) return;
      link.isOpen = true;
      link.connection.open();
    } else if (this.random.chance(50)) {
      link.connection.break(new Error('connection refused'));
      this.forget(link);
    }
  }

  private take(link: Link, all: boolean): void {
    const room = this.isFrozen ? SOCKET_BYTES - link.inbound.length : Number.POSITIVE_INFINITY;
    const wanted = all ? room : Math.min(room, this.random.size(4_000));
    if (wanted <= 0 || link.connection.output.unsentBytes === 0) return;
    link.inbound += link.connection.takeSome(wanted);
    let at = 0;
    for (let next = readCommand(link.inbound, at); next !== null; next = readCommand(link.inbound, at)) {
      at = next.end;
      link.queue.push(next.words);
      for (const word of next.words) this.note(word);
    }
    link.inbound = link.inbound.slice(at);
  }

  private note(word: string): void {
    const id = idIn(word);
    if (id !== null) this.history.onReceived(id);
  }

  private execute(link: Link, count: number): void {
    for (const words of link.queue.splice(0, count)) {
      const name = (words[0] as string).toUpperCase();
      if (name === 'HELLO') {
        link.protocol = words[1] === '3' ? 3 : 2;
        link.outbound += HELLO_REPLY[link.protocol];
      } else if (name === 'CONFIG') {
        // One answer for both questions, to the first.
        if (words[2] !== 'databases') link.outbound += ANSWERS[link.protocol];
      } else {
        link.outbound += this.carryOut(name, words, link);
      }
    }
  }

  /** Carries out one command, and tells the judge of each key that it wrote. */
  private carryOut(name: string, words: string[], link: Link): string {
    const size = this.redis.data.size;
    const [, ...args] = words as [string, ...string[]];
    const existed = args.map((key) => this.redis.data.has(key));
    const reply = this.redis.execute(words, link.protocol);
    const tell = (key: string, text: string, value: string | null, result: number) => {
      const id = idIn(text);
      if (id === null) throw new Error(`node ${this.index} got a write without an id: ${words.join(' ')}`);
      this.history.onExecuted(this.index, id, key, value, result, link.isLive);
    };
    if (name === 'SET' || name === 'MSET') {
      for (let at = 0; at < args.length; at += 2) {
        tell(args[at] as string, args[at + 1] as string, args[at + 1] as string, 0);
      }
    } else if (name === 'APPEND') {
      const value = this.redis.data.get(args[0] as string) as string;
      tell(args[0] as string, args[1] as string, value, value.length);
    } else if (name === 'DEL' || name === 'UNLINK') {
      // Keys and the keys of their ids take turns.
      for (let at = 0; at < args.length; at += 2) {
        tell(args[at] as string, args[at + 1] as string, null, existed[at] === true ? 1 : 0);
      }
    }
    if (this.redis.data.size !== size) this.history.onSize(this.index, this.redis.data.size);
    return reply;
  }

  private deliver(link: Link, count: number): void {
    if (link.outbound === '' || count === 0 || !link.isLive || this.isFrozen) return;
    const piece = link.outbound.slice(0, count);
    link.outbound = link.outbound.slice(count);
    link.connection.receive(piece);
  }

  /** Ends a connection: some more comes in, some of that is done, some replies still arrive; the rest may be done later. */
  private cut(link: Link): void {
    if (link.isOpen) {
      if (this.random.chance(50)) this.take(link, false);
      if (!this.isFrozen) this.execute(link, this.random.below(link.queue.length + 1));
      this.deliver(link, this.random.below(link.outbound.length + 1));
    }
    if (!link.isLive) return;
    if (link.isOpen && this.random.chance(30)) link.connection.end();
    else link.connection.break(new Error('connection reset by peer'));
    if (this.random.chance(50)) this.forget(link);
  }

  /** What is left of a connection that is no more. */
  private haunt(link: Link, all: boolean): void {
    if (this.isFrozen && !all) return;
    if (all || this.random.chance(20)) this.forget(link);
    else this.execute(link, this.random.below(link.queue.length + 1));
  }

  private forget(link: Link): void {
    this.links = this.links.filter((other) => other !== link);
  }
}
