/**
 * Connections between proxies and nodes, as TCP makes them: each is in order, together they are not. What is under way when one
 * is given up may be lost, or arrive long after, on the side that does not know yet.
 *
 *     proxy  == requests ==>  node      a direction that is blocked (a partition, a node that stands still) keeps
 *            <== answers ===            what is in it, and hands it over when the way is free again
 */
import type { Random } from '../../help/random.js';
import type { Agenda } from './agenda.js';

export interface Delays {
  /** Milliseconds that most messages take at most. */
  usualMs: number;
  /** Of a hundred messages, so many are late, */
  latePercent: number;
  /** by so many milliseconds at most. */
  lateMs: number;
}

/** What stands at the other end. Q are requests, A answers, and what comes unasked. */
export interface Server<Q, A> {
  /** Of the running process; changes with each start. Null when there is none. */
  readonly processId: string | null;
  /** Stands still: neither takes nor gives. */
  readonly isPaused: boolean;
  serve(request: Q, line: Line<Q, A>): A;
  /** The line's other end has come or gone. */
  onOpened(line: Line<Q, A>): void;
  onClosed(line: Line<Q, A>): void;
}

export interface Client<A> {
  onOpened(): void;
  onMessage(message: A): void;
  /** Nothing comes any more. */
  onLost(): void;
}

interface Passage {
  timeMs: number;
  arrive: () => void;
}

/** One direction: a queue, whose head waits for its time and for a free way. */
class Direction {
  private readonly queue: Passage[] = [];
  private readonly agenda: Agenda;
  private readonly isBlocked: () => boolean;
  private lastMs = 0;

  constructor(agenda: Agenda, isBlocked: () => boolean) {
    this.agenda = agenda;
    this.isBlocked = isBlocked;
  }

  put(delayMs: number, arrive: () => void): void {
    this.lastMs = Math.max(this.lastMs, this.agenda.nowMs + delayMs);
    this.queue.push({ timeMs: this.lastMs, arrive });
    this.agenda.after(this.lastMs - this.agenda.nowMs, () => this.pump());
  }

  pump(): void {
    while (this.queue.length > 0 && !this.isBlocked()) {
      const head = this.queue[0] as Passage;
      if (head.timeMs > this.agenda.nowMs) return;
      this.queue.shift();
      head.arrive();
    }
  }

  /** Only the first `kept` of what is in it arrive, later than planned by `delayMs`. */
  cut(kept: number, delayMs: number): void {
    this.queue.length = Math.min(kept, this.queue.length);
    for (const passage of this.queue) passage.timeMs += delayMs;
    this.agenda.after(delayMs, () => this.pump());
    const last = this.queue[this.queue.length - 1];
    if (last !== undefined) this.agenda.after(last.timeMs - this.agenda.nowMs, () => this.pump());
  }

  get length(): number {
    return this.queue.length;
  }
}

export class Line<Q, A> {
  readonly from: string;
  readonly to: number;
  /** The node's process that took it. */
  private processId: string | null = null;
  private isGivenUp = false;
  private isBroken = false;
  private readonly network: Network<Q, A>;
  private readonly server: Server<Q, A>;
  private readonly client: Client<A>;
  private readonly there: Direction;
  private readonly back: Direction;

  constructor(network: Network<Q, A>, from: string, to: number, client: Client<A>) {
    this.network = network;
    this.from = from;
    this.to = to;
    this.client = client;
    this.server = network.serverAt(to);
    const isBlocked = () => network.isBlocked(from, to) || this.server.isPaused;
    this.there = new Direction(network.agenda, isBlocked);
    this.back = new Direction(network.agenda, isBlocked);
    this.there.put(this.delayMs(), () => this.arrive());
  }

  send(request: Q): void {
    if (this.isGivenUp) return;
    this.there.put(this.delayMs(), () => {
      if (this.isBroken || this.processId === null || this.server.processId !== this.processId) this.break();
      else this.answer(this.server.serve(request, this));
    });
  }

  /** By the node: an answer, or what comes unasked. */
  answer(message: A): void {
    if (this.isGivenUp || this.isBroken) return;
    this.back.put(this.delayMs(), () => {
      if (!this.isGivenUp) this.client.onMessage(message);
    });
  }

  /** By the proxy. Some of what is under way to the node may still arrive, and late. */
  giveUp(): void {
    if (this.isGivenUp) return;
    this.isGivenUp = true;
    const { random } = this.network;
    this.there.cut(random.below(this.there.length + 1), random.chance(50) ? 0 : this.delayMs());
    this.there.put(0, () => {
      this.network.lines.delete(this);
      this.server.onClosed(this);
    });
  }

  /** By the network or the node: the proxy learns of it some time later. What is under way is lost, or some of it. */
  break(): void {
    if (this.isBroken) return;
    this.isBroken = true;
    this.there.cut(0, 0);
    this.server.onClosed(this);
    this.back.cut(0, 0);
    this.back.put(this.delayMs(), () => {
      this.network.lines.delete(this);
      if (this.isGivenUp) return;
      this.isGivenUp = true;
      this.client.onLost();
    });
  }

  private delayMs(): number {
    return this.network.delayMs(this.from, this.to);
  }

  pump(): void {
    this.there.pump();
    this.back.pump();
  }

  private arrive(): void {
    if (this.server.processId === null) {
      this.break();
      return;
    }
    this.processId = this.server.processId;
    this.server.onOpened(this);
    if (this.isGivenUp) return;
    this.back.put(this.delayMs(), () => {
      if (!this.isGivenUp) this.client.onOpened();
    });
  }
}

export class Network<Q, A> {
  readonly agenda: Agenda;
  readonly random: Random;
  delays: Delays = { usualMs: 3, latePercent: 0, lateMs: 0 };
  readonly lines = new Set<Line<Q, A>>();
  private readonly blocked = new Set<string>();
  private readonly slowed = new Map<string, number>();
  private readonly servers: readonly Server<Q, A>[];

  constructor(agenda: Agenda, random: Random, servers: readonly Server<Q, A>[]) {
    this.agenda = agenda;
    this.random = random;
    this.servers = servers;
  }

  serverAt(index: number): Server<Q, A> {
    return this.servers[index] as Server<Q, A>;
  }

  connect(from: string, to: number, client: Client<A>): Line<Q, A> {
    const line = new Line(this, from, to, client);
    this.lines.add(line);
    return line;
  }

  delayMs(from: string, to: number): number {
    return this.slownessMs(from, to) + this.usualDelayMs();
  }

  /** 0: they are as others again. */
  slow(from: string, to: number, byMs: number): void {
    this.slowed.set(`${from} ${to}`, byMs);
  }

  private slownessMs(from: string, to: number): number {
    if (this.slowed.size === 0) return 0;
    const byMs = this.slowed.get(`${from} ${to}`) ?? 0;
    return byMs === 0 ? 0 : this.random.below(byMs);
  }

  private usualDelayMs(): number {
    const { random, delays } = this;
    if (delays.latePercent > 0 && random.chance(delays.latePercent)) return random.below(delays.lateMs);
    return 1 + random.below(delays.usualMs);
  }

  isBlocked(from: string, to: number): boolean {
    return this.blocked.size > 0 && this.blocked.has(`${from} ${to}`);
  }

  block(from: string, to: number): void {
    this.blocked.add(`${from} ${to}`);
  }

  unblock(from: string, to: number): void {
    if (this.blocked.delete(`${from} ${to}`)) this.pumpAll();
  }

  /** No partition, and nothing slow. */
  healAll(): void {
    this.blocked.clear();
    this.slowed.clear();
    this.pumpAll();
  }

  /** After a node has woken, or a partition has healed. */
  pumpAll(): void {
    for (const line of [...this.lines]) line.pump();
  }
}
