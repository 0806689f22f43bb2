/**
 * A data plane between random clients and random nodes, step by step, everything drawn from one seed. Time is a number, the
 * network is a string: thousands of steps take a second.
 */
import type { Limits } from '../../../src/base/limits.js';
import { NO_MEMORY, type TransportError } from '../../../src/transport/transport.js';
import type { FakeConnection } from '../../help/fake-transport.js';
import { Plane } from '../../help/plane.js';
import type { Random } from '../../help/random.js';
import { SimClient } from './client.js';
import { Conversation } from './conversation.js';
import { History } from './history.js';
import { SimNode } from './node.js';
import { DATABASES } from './redis.js';

export interface Weather {
  /** Per step and node, in a thousand: it dies, stops for a while, loses a connection, says nonsense. */
  kills: number;
  freezes: number;
  breaks: number;
  babbles: number;
  /** Per step, in a thousand: a client vanishes or takes its leave, another comes; time makes a leap. */
  clients: number;
  leaps: number;
  /** Per step, in a thousand: a node gets another password, and with it new connections. */
  passwords: number;
  /** Commands are refused for a limit now and then. */
  overloads: boolean;
  /** Buffer memory runs out now and then: bytes of it, and of the largest values. */
  scarcity: { arenaBytes: number; valueBytes: number } | null;
  limits: Partial<Limits>;
}

const NODES = 3;
const CLIENTS = 8;
const SHARED_KEYS = 6;
const LISTS = 3;
const OWN_KEYS = 5;
/** Commands that a client may have asked before it is answered. */
const PIPELINE = 25;
/** Bytes of the largest values, unless memory is to run out. */
const VALUE_BYTES_MAX = 3_000;
/** Milliseconds after trouble with a node until it must be well again. */
const RECOVERY_MS = 600;
/** Milliseconds that a drain may take. */
const DRAIN_MS = 400;
/** Clients that ask nothing which may wait for others: one of so many. */
const BUSY_SHARE = 4;
/** Steps until a client's end is noticed, when nothing stands before it. */
const GOODBYE_STEPS = 10;
/** Bytes that are read of one whose command waits, so that its end is seen. */
const UNREAD_BYTES_MAX = 64 * 1024;
/** Milliseconds that a step takes are fewer. */
const STEP_MS = 5;
/** Milliseconds over all time-outs until it must be known that a node does not answer. */
const NOTICE_MS = 200;
/** Steps until those who wait get another element, when nothing else happens. */
const FEED_STEPS = 20;
/** Steps of all that is left to do, after which it must have been done. */
const SETTLE_STEPS = 3_000;

export class Simulation {
  readonly plane: Plane;
  readonly history = new History();
  steps = 0;
  answered = 0;
  failed = 0;
  /** Clients that the proxy cut off for a limit. */
  cutOff = 0;
  private readonly random: Random;
  private readonly weather: Weather;
  private readonly nodes: SimNode[];
  private readonly shared: string[];
  private readonly lists: string[][];
  private clients: SimClient[] = [];
  private clientCount = 0;
  /** By node: when something was last wrong with it, in the transport's milliseconds. */
  private readonly troubledMs: number[] = [];
  /** By node: when it goes on or returns. */
  private readonly backMs: number[] = [];
  private connectionCount = 0;
  /** When keys came to lie elsewhere, as far as anybody knows. */
  private movedMs = Number.NEGATIVE_INFINITY;
  /** By node, where it has another than at the start. */
  private readonly passwords: (string | undefined)[] = [];
  private isSettling = false;
  private isDraining = false;

  constructor(random: Random, weather: Weather) {
    this.random = random;
    this.weather = weather;
    this.plane = new Plane({
      nodes: NODES,
      limits: weather.limits,
      random: () => random.below(1_000) / 1_000,
      ...(weather.scarcity === null ? {} : { arenaBytes: weather.scarcity.arenaBytes }),
    });
    this.nodes = Array.from({ length: NODES }, (_, index) => new SimNode(index, random, this.history));
    // At first the nodes are not connected to.
    for (const node of this.nodes) this.trouble(node);
    this.shared = Array.from({ length: SHARED_KEYS }, (_, n) => `{shared:${n}}`);
    this.lists = Array.from({ length: LISTS }, (_, n) => [`{list:${n}}:a`, `{list:${n}}:b`]);
    for (let count = 0; count < CLIENTS; count++) this.admit();
  }

  /** Takes that many steps, then lets everything come to rest, and looks whether it does. */
  run(steps: number): void {
    for (let count = 0; count < steps; count++) this.step();
    this.settle();
  }

  /** Takes that many steps, then stops the plane in the middle of them: what is in flight is finished, or cut off in time. */
  runAndDrain(steps: number): void {
    for (let count = 0; count < steps; count++) this.step();
    this.isSettling = true;
    this.isDraining = true;
    let isDone = false;
    const { transport } = this.plane;
    const deadlineMs = transport.now + DRAIN_MS;
    this.plane.data.drain(deadlineMs, () => {
      isDone = true;
    });
    while (!isDone) {
      if (transport.now > deadlineMs + 100) throw new Error('draining does not end');
      this.step();
    }
    for (let count = 0; count < 50; count++) this.calmStep();
    if (this.clients.length > 0) throw new Error(`${this.clients.length} clients are left`);
    const links = this.nodes.flatMap((node) => node.liveLinks);
    if (links.length > 0) throw new Error(`${links.length} connections to nodes are left`);
  }

  private step(): void {
    this.history.step = ++this.steps;
    this.blow();
    for (const client of this.clients) this.move(client);
    this.attachNew();
    for (const node of this.nodes) {
      if (node.isFrozen || !node.isUp) this.trouble(node);
      if (this.random.chance(85)) node.step();
    }
    this.pass(this.random.below(STEP_MS));
    this.dropClosed();
    this.checkWaits();
  }

  /** What goes wrong in this step. */
  private blow(): void {
    const { weather, random } = this;
    const happens = (perMille: number) => random.below(1_000) < perMille;
    for (const node of this.nodes) {
      if (this.plane.transport.now >= (this.backMs[node.index] ?? 0)) {
        node.isUp = true;
        node.isFrozen = false;
      }
      if (happens(weather.kills)) {
        this.trouble(node, random.pick([0, 5, 50, 400]));
        node.kill();
      }
      if (happens(weather.freezes)) {
        this.trouble(node, random.pick([20, 100, 600, 1_500]));
        node.isFrozen = true;
      }
      if (happens(weather.breaks)) {
        this.trouble(node);
        node.breakOne();
      }
      if (happens(weather.babbles)) {
        this.trouble(node);
        node.babble();
      }
    }
    if (this.isDraining) return;
    if (happens(weather.passwords)) this.changePassword(random.below(NODES));
    if (happens(weather.clients)) this.disturb(random.pick(this.clients));
    if (happens(weather.leaps)) {
      this.pass(random.pick([50, 200, 700, 2_000]));
      for (const node of this.nodes) this.trouble(node);
    }
  }

  private changePassword(index: number): void {
    const { topology, limits, rules, data, transport } = this.plane;
    this.passwords[index] = `secret ${this.steps}`;
    // Those that the others were given before are theirs still.
    const nodes = topology.nodes.map((node) => ({ ...node, password: this.passwords[node.index] ?? node.password }));
    data.configure({ ...topology, version: topology.version + this.steps, nodes }, limits, rules);
    this.movedMs = transport.now;
    // What waits for the new connection may wait too long.
    this.trouble(this.nodes[index] as SimNode);
  }

  private disturb(client: SimClient): void {
    if (this.random.chance(40)) {
      client.conversation.client.connection.break(this.random.chance(50) ? null : new Error('reset'));
      this.clients = this.clients.filter((other) => other !== client);
    } else client.leave();
    if (this.clients.length < 2 * CLIENTS) this.admit();
  }

  private move(client: SimClient): void {
    const { random } = this;
    const { conversation } = client;
    if (!this.isSettling && conversation.pending < PIPELINE && random.chance(60)) {
      for (let count = random.size(6); count > 0; count--) client.issue();
    }
    if (random.chance(70)) conversation.send(random.chance(50) ? Number.POSITIVE_INFINITY : random.size(300));
    // A third of the clients read slowly.
    const isSlow = client.number % 3 === 0;
    if (random.chance(isSlow ? 30 : 90)) conversation.receive(isSlow ? random.size(400) : Number.POSITIVE_INFINITY);
  }

  private admit(): SimClient {
    const number = ++this.clientCount;
    const own = Array.from({ length: OWN_KEYS }, (_, n) => `{own:${number}:${n}}`);
    const keys = { own, shared: this.shared, lists: this.lists };
    const excuses = {
      mayFail: (node: number, sinceMs: number) => (this.troubledMs[node] as number) >= sinceMs - RECOVERY_MS,
      mayMove: (sinceMs: number) => this.movedMs >= sinceMs,
      mayOverload: this.weather.overloads,
      mayRunOut: this.weather.scarcity !== null,
    };
    const valueBytesMax = this.weather.scarcity?.valueBytes ?? VALUE_BYTES_MAX;
    const conversation = new Conversation(number, this.plane, this.random, this.history, excuses);
    const client = new SimClient(conversation, keys, valueBytesMax, number % BUSY_SHARE > 0);
    this.clients.push(client);
    return client;
  }

  /** Something is wrong with `node`, for `lastsMs` from now. */
  private trouble(node: SimNode, lastsMs = 0): void {
    const { now } = this.plane.transport;
    this.troubledMs[node.index] = now;
    if (lastsMs > 0) this.backMs[node.index] = now + lastsMs;
  }

  private attachNew(): void {
    const { connections } = this.plane.transport;
    for (; this.connectionCount < connections.length; this.connectionCount++) {
      const connection = connections[this.connectionCount] as FakeConnection;
      const port = connection.endpoint?.kind === 'tcp' ? connection.endpoint.port : 0;
      this.nodes[port - 7_000]?.attach(connection);
    }
  }

  private pass(ms: number): void {
    this.plane.transport.pass(ms);
    for (const node of this.nodes) node.silentMs = node.isFrozen ? node.silentMs + Math.min(ms, STEP_MS) : 0;
    this.attachNew();
  }

  /** Clients that are gone: those that took their leave have got all their replies, unless they went while one might wait. */
  private dropClosed(): void {
    for (const client of this.clients) {
      const { conversation } = client;
      if (!conversation.client.isClosed) continue;
      this.clients = this.clients.filter((other) => other !== client);
      this.tally(client);
      const error = conversation.client.connection.closeError;
      if (error?.name === 'SessionError') this.cutOff++;
      else if (this.weather.scarcity !== null && (error as TransportError | null)?.code === NO_MEMORY) this.cutOff++;
      else if (this.isDraining && error === null) continue;
      else if (!client.isLeaving) throw new Error(`client ${client.number} was closed: ${error?.message}`);
      else if (conversation.pending > 0 && client.givenUpStep === Number.POSITIVE_INFINITY)
        throw new Error(`client ${client.number} left with ${conversation.pending} replies to come`);
      if (!this.isSettling && this.clients.length < CLIENTS) this.admit();
    }
  }

  /** Nobody waits at a node for a client that is gone, nor for long at one that does not answer. */
  private checkWaits(): void {
    const { idlePingMs, requestTimeoutMs, connectTimeoutMs } = this.plane.limits;
    const noticedMs = idlePingMs + requestTimeoutMs + connectTimeoutMs + NOTICE_MS;
    const present = new Map(this.clients.map((client) => [client.number, client]));
    for (const { index, liveLinks, silentMs } of this.nodes) {
      for (const { wait } of liveLinks) {
        if (wait === null) continue;
        if (silentMs > noticedMs) throw new Error(`${wait.id} waits at node ${index}, which does not answer`);
        const client = present.get(Number(wait.id.split('.')[0]));
        const leftStep = client === undefined ? 0 : Math.max(client.givenUpStep, wait.step) + GOODBYE_STEPS;
        // What it sent behind the command may be too much to be read, and its end comes after that.
        if ((client?.conversation.client.connection.unreadBytes ?? 0) > UNREAD_BYTES_MAX) continue;
        if (this.steps > leftStep) throw new Error(`${wait.id} still waits at node ${index}, and its client is gone`);
      }
    }
  }

  private tally({ conversation }: SimClient): void {
    this.answered += conversation.answered;
    this.failed += conversation.failed;
  }

  /** All nodes are well again. What was asked is answered, then everything can be read, then nothing is left. */
  private settle(): void {
    this.isSettling = true;
    for (const node of this.nodes) {
      node.isUp = true;
      node.isFrozen = false;
      this.trouble(node);
    }
    this.calm('what was asked is not answered');
    for (let ms = 0; ms < 4 * RECOVERY_MS; ms += 20) {
      this.calmStep();
      this.pass(20);
    }
    const failed = new Map(this.clients.map(({ conversation }) => [conversation, conversation.failed]));
    for (const client of this.clients) client.askEverything();
    this.calm('the last reads are not answered');
    for (const { conversation } of this.clients) {
      if (conversation.failed > (failed.get(conversation) ?? 0) && this.weather.scarcity === null)
        throw new Error(`all is well again: ${conversation.lastError}`);
    }
    for (const client of this.clients) {
      this.tally(client);
      client.conversation.client.connection.break(null);
    }
    this.clients = [];
    for (let count = 0; count < 50 || !this.isQuiet; count++) {
      if (count > SETTLE_STEPS) throw new Error('the connections to nodes do not come to rest');
      this.calmStep();
    }
    this.checkLinks();
  }

  /** Whether nothing is on its way to or from a node: no greeting, no PING. */
  private get isQuiet(): boolean {
    return this.nodes.every(({ liveLinks }) => liveLinks.every((link) => link.isQuiet));
  }

  /** What is left, when no clients are: a connection of each protocol and database, one for what is urgent, and clean spare ones. */
  private checkLinks(): void {
    const { counts, limits } = this.plane;
    const open = counts.privateConnectionsOpen;
    const links = this.nodes.flatMap((node) => node.liveLinks);
    const most = NODES * (2 * DATABASES + 1) + open;
    if (links.length > most) throw new Error(`${links.length} connections to nodes are left, and ${most} may be`);
    if (open > NODES * limits.privateConnectionsSpareMax) throw new Error(`${open} private connections are left`);
    for (const { id, wait, block, watched } of links) {
      if (wait !== null || block !== null || watched.size > 0) throw new Error(`connection ${id} is not clean`);
    }
  }

  /** Lets all that was asked be answered. Who waits for an element gets one; who does not take it will get no other answer. */
  private calm(complaint: string): void {
    let feeder = this.admit();
    for (let count = 0; count < SETTLE_STEPS; count++) {
      if (this.clients.every(({ conversation }) => conversation.pending === 0 && conversation.isSilent)) return;
      // It may have been cut off itself.
      if (!this.clients.includes(feeder)) feeder = this.admit();
      if (count % FEED_STEPS === 0) this.feed(feeder);
      this.calmStep();
    }
    const late = this.clients.find(({ conversation }) => conversation.pending > 0);
    const oldest = late?.conversation.oldest?.words.join(' ');
    throw new Error(`${complaint}: client ${late?.number} has ${late?.conversation.pending} to come, after ${oldest}`);
  }

  private feed(feeder: SimClient): void {
    for (const { liveLinks } of this.nodes) {
      for (const { wait, database } of liveLinks) {
        if (wait !== null) feeder.feed(database, wait.keys[0] as string);
      }
    }
  }

  private calmStep(): void {
    this.history.step = ++this.steps;
    for (const { conversation } of this.clients) {
      conversation.send(Number.POSITIVE_INFINITY);
      conversation.receive(Number.POSITIVE_INFINITY);
    }
    this.attachNew();
    for (const node of this.nodes) node.step(true);
    this.pass(2);
    this.dropClosed();
    this.checkWaits();
  }
}
