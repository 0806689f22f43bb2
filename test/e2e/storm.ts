/**
 * Many checking clients at once, and the faults of nodes that they must get through. Some clients use all nodes, and for
 * each node there are some that use that one alone: they show that a fault of one node is nothing to the others.
 */
import { Redis } from 'ioredis';
import { type Cell, CheckingClient, isPossible } from '../help/checking-client.js';
import type { Deployment } from '../help/deployment.js';
import type { RedisServer } from '../help/redis-server.js';
import type { Relay } from '../help/relay.js';
import { waitFor } from '../help/wait-for.js';
import type { Seeded } from '../transport/seeded.js';

/** Short, so that a test meets them; the order between them is that of the defaults. */
export const FAULT_LIMITS = {
  connectTimeoutMs: 1_000,
  queueTimeoutMs: 1_000,
  requestTimeoutMs: 1_000,
  stallTimeoutMs: 2_000,
  idlePingMs: 1_000,
  reconnectMaxMs: 300,
};

/** Every acknowledged write is in the file before its reply goes out: a node that is killed comes back with all of them. */
export const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'no', '--auto-aof-rewrite-percentage', '0'];

/** Milliseconds within which a command must be answered whatever happens, on a machine that does other things as well. */
const ANSWER_MS_MAX = 15_000;
/** Commands that each client must get through before a phase is over. */
const STEP = 300;
const CELLS = 40;
const DEPTH = 32;

export class Storm {
  readonly clients: readonly CheckingClient[];
  private readonly deployment: Deployment;
  /** By node: the clients that use it alone. */
  private readonly loyal: CheckingClient[][];

  private constructor(deployment: Deployment, loyal: CheckingClient[][], clients: CheckingClient[]) {
    this.deployment = deployment;
    this.loyal = loyal;
    this.clients = clients;
  }

  /** `count` clients, a fifth of them for each of three nodes, the others for all nodes. */
  static async start(deployment: Deployment, count: number, random: Seeded, largePerMille = 0): Promise<Storm> {
    const { names } = deployment;
    const loyal: CheckingClient[][] = names.map(() => []);
    const clients: CheckingClient[] = [];
    for (let index = 0; index < count; index++) {
      const node = index % (names.length + 2);
      const isLoyal = node < names.length;
      const cells = Array.from({ length: CELLS }, (_, number): Cell => {
        const label = `${index}.${number}`;
        const home = isLoyal ? node : number % names.length;
        return { key: `{${deployment.key(home, label)}}`, node: names[home] as string, value: null, maybe: [] };
      });
      const options = { id: `${index}`, cells, depth: DEPTH, random, largePerMille };
      const client = new CheckingClient({ port: deployment.port, ...options });
      clients.push(client);
      if (isLoyal) loyal[node]?.push(client);
    }
    await Promise.all(clients.map((client) => client.start()));
    return new Storm(deployment, loyal, clients);
  }

  /** Commands carried out. */
  get done(): number {
    return this.clients.reduce((sum, client) => sum + client.done, 0);
  }

  /** Figures for the reader of a test's output. */
  summary(): string {
    const sum = (of: (client: CheckingClient) => number) => this.clients.map(of).reduce((a, b) => a + b, 0);
    const slowest = Math.max(...this.clients.map(({ slowestMs }) => slowestMs));
    return `${sum((client) => client.done)} done, ${sum((client) => client.nodeDown)} not sent, ${sum((client) => client.unknown)} of unknown fate, slowest batch ${Math.round(slowest)} ms`;
  }

  /** What was wrong, at most a few of it. */
  faults(): string[] {
    const slow = this.clients.filter(({ slowestMs }) => slowestMs > ANSWER_MS_MAX);
    const closed = this.clients.filter(({ isClosed }) => isClosed);
    return [
      ...this.clients.flatMap((client) => client.faults),
      ...slow.map(({ id, slowestMs }) => `client ${id} waited ${Math.round(slowestMs)} ms for a reply`),
      ...closed.map(({ id }) => `client ${id} was disconnected`),
    ].slice(0, 5);
  }

  /** Every client gets so many commands carried out from now on. */
  async goesOn(what: string, count = STEP): Promise<void> {
    await this.advance(what, this.clients, (client) => client.done, count);
  }

  /** Resolves when `count` commands were carried out altogether. */
  async hasDone(count: number): Promise<void> {
    await waitFor(`${count} commands`, () => this.halted() || this.done >= count, 120_000);
    this.check('at the end');
  }

  /** The node is gone with kill -9, and comes back. */
  async killNode(node: number): Promise<void> {
    const server = this.server(node);
    await server.kill9();
    await this.others('while a node is killed', node);
    await this.fails('while it is killed', node);
    await server.restart();
    await this.recovers('after it was restarted', node);
  }

  /** The node stops answering, and goes on. */
  async pauseNode(node: number): Promise<void> {
    const server = this.server(node);
    server.pause();
    try {
      await this.fails('while it is paused', node);
      await this.others('while a node is paused', node);
    } finally {
      server.resume();
    }
    await this.recovers('after it went on', node);
  }

  /** Connections to the node are cut in the middle of replies, again and again. */
  async cutNode(node: number, relay: Relay, cuts: number, random: Seeded): Promise<void> {
    const before = relay.cuts;
    relay.cutAfter(() => random.size(20_000));
    await waitFor(`${cuts} cuts`, () => this.halted() || relay.cuts >= before + cuts, 30_000);
    relay.cutAfter(null);
    this.check('cutting');
    await this.others('after connections to a node were cut', node);
    await this.recovers('after its connections were cut', node);
  }

  /** Lets all batches finish and disconnects. */
  async stop(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.stop()));
  }

  /** What the nodes hold, read from them directly, against what the clients were told. */
  async verify(): Promise<string[]> {
    const faults: string[] = [];
    for (const server of this.deployment.servers) {
      const node = this.deployment.names[this.deployment.servers.indexOf(server)];
      const redis = new Redis(server.port);
      const cells = this.clients.flatMap(({ cells, retired }) => [...cells, ...retired]);
      const own = cells.filter((cell) => cell.node === node);
      const values = await redis.mget(own.map(({ key }) => key));
      for (const [index, cell] of own.entries()) {
        const value = values[index] ?? null;
        if (!isPossible(cell, value))
          faults.push(`${cell.key} on ${node} is ${value}, not ${[cell.value, ...cell.maybe]}`);
      }
      redis.disconnect();
    }
    return faults.slice(0, 5);
  }

  private server(node: number): RedisServer {
    return this.deployment.servers[node] as RedisServer;
  }

  /** The clients of the other nodes do not notice. */
  private async others(what: string, node: number): Promise<void> {
    const others = this.loyal.flatMap((clients, index) => (index === node ? [] : clients));
    await this.advance(`commands for other nodes ${what}`, others, (client) => client.done, STEP);
  }

  /** The clients of that node are told, each of them and soon. */
  private async fails(what: string, node: number): Promise<void> {
    const failed = (client: CheckingClient) => client.nodeDown + client.unknown;
    await this.advance(`errors ${what}`, this.loyal[node] ?? [], failed, 1);
    const name = this.deployment.names[node];
    await this.deployment.proxy.waitForLog('node-down', (line) => line['node'] === name);
  }

  private async recovers(what: string, node: number): Promise<void> {
    await this.advance(`commands for the node ${what}`, this.loyal[node] ?? [], (client) => client.done, STEP);
  }

  private async advance(
    what: string,
    clients: readonly CheckingClient[],
    count: (client: CheckingClient) => number,
    step: number,
  ): Promise<void> {
    const goals = clients.map((client) => count(client) + step);
    const isThere = () => clients.every((client, index) => count(client) >= (goals[index] as number));
    await waitFor(what, () => this.halted() || isThere(), 30_000);
    this.check(what);
  }

  private halted(): boolean {
    return this.clients.some(({ faults, isClosed }) => isClosed || faults.length > 0);
  }

  private check(what: string): void {
    const faults = this.faults();
    if (faults.length > 0) throw new Error(`${what}: ${faults.join('; ')}`);
  }
}
