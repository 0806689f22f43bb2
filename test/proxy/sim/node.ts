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
import { readCommand } from '../../help/plane.js';
import type { Random } from '../../help/random.js';
import { type History, idIn } from './history.js';
import { Link } from './link.js';
import { SimRedis } from './redis.js';

/** Bytes that the kernel takes for a process that does not read. */
const SOCKET_BYTES = 1_500;

export class SimNode {
  readonly index: number;
  /** Takes connections. */
  isUp = true;
  /** Stopped, as by SIGSTOP: the kernel goes on for it. */
  isFrozen = false;
  /**
   * For how long it has been stopped, and the kernel has taken nothing for it from connections that it has answered, but for leaps of time:
   * what the kernel takes looks like a sign of life.
   */
  silentMs = 0;
  private readonly random: Random;
  private readonly history: History;
  private readonly redis: SimRedis;
  private links: Link[] = [];
  private linkCount = 0;

  constructor(index: number, random: Random, history: History) {
    this.index = index;
    this.random = random;
    this.history = history;
    this.redis = new SimRedis(index, history, () => this.links);
  }

  attach(connection: FakeConnection): void {
    this.links.push(new Link(connection, ++this.linkCount));
  }

  /** Connections that the proxy counts on. */
  get liveLinks(): readonly Link[] {
    return this.links.filter((link) => link.isLive);
  }

  /** A while passes: each connection gets on by some bytes, or by all that it can. */
  step(all = false): void {
    for (const link of [...this.links]) {
      if (!link.isLive) this.haunt(link, all);
      else if (!link.isOpen) this.open(link);
      else if (all || this.random.chance(80)) {
        this.take(link, all);
        if (!this.isFrozen) this.execute(link, all ? link.queue.length : this.random.below(link.queue.length + 1));
        if (link.wait?.hasTimeout === true && !this.isFrozen && !all && this.random.chance(3)) this.redis.timeOut(link);
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
    const live = this.liveLinks;
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
    if (!this.isFrozen) link.unreadBytes = 0;
    const room = this.isFrozen ? SOCKET_BYTES - link.unreadBytes : Number.POSITIVE_INFINITY;
    const wanted = all ? room : Math.min(room, this.random.size(4_000));
    if (wanted <= 0 || link.connection.output.unsentBytes === 0) return;
    const bytes = link.connection.takeSome(wanted);
    link.unreadBytes += bytes.length;
    if (link.hasAnswered) this.silentMs = 0;
    link.inbound += bytes;
    let at = 0;
    for (let next = readCommand(link.inbound, at); next !== null; next = readCommand(link.inbound, at)) {
      at = next.end;
      link.queue.push(next.words);
      for (const word of next.words) this.note(word);
    }
    link.inbound = link.inbound.slice(at);
    if (link.wait === null || link.queue.length === 0) return;
    throw new Error(`node ${this.index} got ${link.queue[0]} by a connection that waits`);
  }

  private note(word: string): void {
    const id = idIn(word);
    if (id !== null) this.history.onReceived(id);
  }

  private execute(link: Link, count: number): void {
    for (let left = count; left > 0 && link.wait === null; left--) {
      const words = link.queue.shift();
      if (words === undefined) return;
      this.redis.execute(link, words);
    }
  }

  private deliver(link: Link, count: number): void {
    if (link.outbound === '' || count === 0 || !link.isLive || this.isFrozen) return;
    const piece = link.outbound.slice(0, count);
    link.outbound = link.outbound.slice(count);
    link.hasAnswered = true;
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
