/**
 * A proxy's connection to a node, made again whenever it is lost: what M1 asks for on each new one, and whether answers count.
 *
 *   connecting --opened--> tracking, looking --facts--> member or stranger --push--> looking …
 */
import { Membership } from '../../../src/replica/member.js';
import type { NodeFacts } from '../../../src/replica/member-step.js';
import type { Line } from './network.js';
import type { Message, Request } from './node.js';
import type { World } from './world.js';

interface Pending {
  sentMs: number;
  /** Null when nothing will come. */
  done: (message: Message | null) => void;
}

/** Milliseconds that a new connection is waited with at most. */
const RECONNECT_MS = 25;

export class NodeLink {
  /** As the node last showed itself on this connection; null while nothing is known. */
  facts: NodeFacts | null = null;
  membership: Membership;
  /** Which connection it is: answers on another one are none. */
  number = 0;
  private readonly world: World;
  private readonly proxy: string;
  private readonly node: number;
  /** Milliseconds without an answer after which the connection is given up. */
  private readonly stallMs: number;
  private line: Line<Request, Message> | null = null;
  private isOpen = false;
  private isClosed = false;
  private pending: Pending[] = [];

  constructor(world: World, proxy: string, node: number, stallMs: number) {
    this.world = world;
    this.proxy = proxy;
    this.node = node;
    this.stallMs = stallMs;
    this.membership = this.newMembership();
    this.connect();
  }

  /** A step of a key, for the member that the connection knows. */
  askStep(request: Omit<Extract<Request, { kind: 'step' }>, 'record'>, done: (message: Message | null) => void): void {
    const { record } = this.membership;
    if (record === null) {
      this.world.agenda.after(0, () => done(null));
      return;
    }
    this.ask({ ...request, record }, (message) => done(this.membership.record === record ? message : null));
  }

  ask(request: Request, done: (message: Message | null) => void): void {
    const { line, world } = this;
    if (line === null || !this.isOpen) {
      world.agenda.after(0, () => done(null));
      return;
    }
    this.pending.push({ sentMs: world.agenda.nowMs, done });
    line.send(request);
    world.agenda.after(this.stallMs, () => this.watch());
  }

  /**
   * Looks at the node. What it says of the connection is heeded only while nothing counts there: a proxy whose pool is looked at now
   * and then by others of its process learns from pushes alone.
   */
  look(done: (facts: NodeFacts | null) => void = () => {}): void {
    const look = this.membership.beginLook();
    const { membership } = this;
    this.ask({ kind: 'member', step: { kind: 'look' }, record: '' }, (message) => {
      const facts = message?.kind === 'member' && message.answer.kind === 'facts' ? message.answer : null;
      if (facts !== null && membership === this.membership) {
        this.facts = facts;
        if (membership.record === null) this.onFacts(look, facts);
      }
      done(facts);
    });
  }

  private onFacts(look: number, facts: NodeFacts): void {
    if (!this.membership.onFacts(look, facts)) this.look();
    else if (this.membership.isSpent) this.reconnect();
  }

  cut(): void {
    this.line?.break();
  }

  /** The proxy gives the connection up. */
  reconnect(): void {
    this.line?.giveUp();
    this.onLost();
  }

  /** The proxy is killed. */
  close(): void {
    this.isClosed = true;
    this.line?.giveUp();
    this.line = null;
    this.pending = [];
  }

  private connect(): void {
    if (this.isClosed) return;
    this.membership = this.newMembership();
    this.number++;
    this.line = this.world.network.connect(this.proxy, this.node, {
      onOpened: () => this.onOpened(),
      onMessage: (message) => this.onMessage(message),
      onLost: () => this.onLost(),
    });
    const { line } = this;
    this.world.agenda.after(this.stallMs, () => {
      if (this.line === line && !this.isOpen) this.reconnect();
    });
  }

  private onOpened(): void {
    this.isOpen = true;
    this.ask({ kind: 'track' }, () => {});
    this.look();
  }

  private onMessage(message: Message): void {
    if (message.kind === 'push') {
      this.membership.onPush();
      this.look();
      return;
    }
    (this.pending.shift() as Pending).done(message);
  }

  private onLost(): void {
    const { pending, world } = this;
    this.line = null;
    this.isOpen = false;
    this.facts = null;
    this.membership = this.newMembership();
    this.pending = [];
    for (const { done } of pending) done(null);
    world.agenda.after(1 + world.random.below(RECONNECT_MS), () => {
      if (this.line === null) this.connect();
    });
  }

  private watch(): void {
    const oldest = this.pending[0];
    if (oldest !== undefined && oldest.sentMs + this.stallMs <= this.world.agenda.nowMs) this.reconnect();
  }

  private newMembership(): Membership {
    return new Membership(this.world.nodes[this.node]?.name as string);
  }
}
