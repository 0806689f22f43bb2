/**
 * A client that pipelines reads and writes of values that nobody else uses, and holds every reply against what it knows.
 *
 *   batch of commands -> proxy -> replies, each compared with the cells' possible values -> next batch
 *
 * A reply that belongs to another session, or to another command of this one, carries a value that its command cannot get.
 * `faults` says what was wrong; the client stops at the first.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import RedisParser from 'redis-parser';
import type { Seeded } from '../transport/seeded.js';

/** A key that only one client writes, and what it may hold. */
export interface Cell {
  key: string;
  /** The node it lies on, as errors name it. */
  node: string;
  value: string | null;
  /** Values of writes whose fate is unknown: each may have been done, or be done still. */
  maybe: (string | null)[];
}

export interface CheckingClientOptions {
  port: number;
  /** Unique among the clients of a test. */
  id: string;
  cells: Cell[];
  /** Commands in a batch. */
  depth: number;
  /** Of a thousand values, how many are over 1 MiB; none unless said. */
  largePerMille?: number;
  random: Seeded;
}

type Operation =
  | { kind: 'get'; cell: Cell }
  | { kind: 'set'; cell: Cell; value: string }
  | { kind: 'del'; cell: Cell }
  | { kind: 'mget'; cells: Cell[] }
  | { kind: 'mset'; cells: Cell[]; values: string[] };

const NODEDOWN = /^NODEDOWN node (.+?)[: ].*the command had no effect$/s;
const UNKNOWN = /^UNKNOWN node (.+?)[: ]/;

export class CheckingClient {
  readonly id: string;
  readonly cells: Cell[];
  readonly faults: string[] = [];
  /** Commands that were carried out, that failed without effect, and whose fate is unknown. */
  done = 0;
  nodeDown = 0;
  unknown = 0;
  /** The longest that a batch took, in milliseconds. */
  slowestMs = 0;
  /** The connection ended before it was to. */
  isClosed = false;

  private readonly options: CheckingClientOptions;
  private readonly random: Seeded;
  private socket: Socket | null = null;
  private operations: Operation[] = [];
  private answered = 0;
  private sequence = 0;
  private isStopping = false;
  private isDone = false;
  private running: Promise<void> = Promise.resolve();
  private onBatchDone: () => void = () => {};

  constructor(options: CheckingClientOptions) {
    this.options = options;
    this.id = options.id;
    this.cells = options.cells;
    this.random = options.random;
  }

  /** Connects, and sends batch after batch until it is stopped, its connection ends or a reply is wrong. */
  async start(): Promise<void> {
    const socket = connect({ host: '127.0.0.1', port: this.options.port, noDelay: true });
    await once(socket, 'connect');
    const parser = new RedisParser({
      returnReply: (reply) => this.onReply(reply),
      returnError: (error) => this.onReply(error),
      returnFatalError: (error) => this.fail(`what came is not RESP: ${error.message}`),
    });
    socket.on('data', (bytes) => parser.execute(bytes));
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isClosed = !this.isDone;
      this.onBatchDone();
    });
    this.socket = socket;
    this.running = this.run();
  }

  /** Lets the batch under way finish, and disconnects. */
  async stop(): Promise<void> {
    this.isStopping = true;
    await this.running;
    this.isDone = true;
    this.socket?.destroy();
  }

  /** Commands answered in any way. */
  get replies(): number {
    return this.done + this.nodeDown + this.unknown;
  }

  private async run(): Promise<void> {
    while (!this.isStopping && !this.isClosed && this.faults.length === 0) {
      const startMs = performance.now();
      await this.batch();
      this.slowestMs = Math.max(this.slowestMs, performance.now() - startMs);
    }
    // What was sent and not answered may have been done.
    for (const operation of this.operations.splice(0).slice(this.answered)) this.doubt(operation);
  }

  private async batch(): Promise<void> {
    this.operations = [];
    this.answered = 0;
    let frames = '';
    for (let count = this.options.depth; count > 0; count--) {
      const operation = this.choose();
      this.operations.push(operation);
      frames += frameOf(operation);
    }
    const finished = new Promise<void>((resolve) => {
      this.onBatchDone = resolve;
    });
    this.socket?.write(frames);
    await finished;
    for (const cell of this.cells) if (cell.maybe.length > 0) this.replace(cell);
  }

  private choose(): Operation {
    const { random } = this;
    const cell = random.pick(this.cells);
    const dice = random.below(100);
    if (dice < 45) return { kind: 'set', cell, value: this.newValue() };
    if (dice < 85) return { kind: 'get', cell };
    if (dice < 90) return { kind: 'del', cell };
    const cells = [...new Set([cell, random.pick(this.cells), random.pick(this.cells)])];
    if (dice < 95) return { kind: 'mget', cells };
    return { kind: 'mset', cells, values: cells.map(() => this.newValue()) };
  }

  private newValue(): string {
    const { random } = this;
    let padding = random.below(20) === 0 ? random.below(3000) : random.below(60);
    if (random.below(1000) < (this.options.largePerMille ?? 0)) padding = 1_100_000 + random.below(1_000_000);
    return `${this.id}.${this.sequence++}.${'x'.repeat(padding)}`;
  }

  private onReply(reply: unknown): void {
    const operation = this.operations[this.answered++];
    if (operation === undefined) {
      this.fail(`a reply that nobody asked for: ${show(reply)}`);
      return;
    }
    if (reply instanceof Error) this.onError(operation, reply.message);
    else this.onValue(operation, reply);
    if (this.answered === this.operations.length) this.onBatchDone();
  }

  private onValue(operation: Operation, reply: unknown): void {
    this.done++;
    switch (operation.kind) {
      case 'get':
        this.checkValue(operation.cell, reply);
        return;
      case 'mget':
        if (!Array.isArray(reply) || reply.length !== operation.cells.length) {
          this.fail(`MGET of ${operation.cells.length} keys was answered ${show(reply)}`);
          return;
        }
        for (const [index, cell] of operation.cells.entries()) this.checkValue(cell, reply[index]);
        return;
      case 'del': {
        const { cell } = operation;
        const possible = cell.maybe.length > 0 ? [0, 1] : [cell.value === null ? 0 : 1];
        if (!possible.includes(reply as number)) this.fail(`DEL ${cell.key} was answered ${show(reply)}`);
        cell.value = null;
        return;
      }
      case 'set':
        if (reply !== 'OK') this.fail(`SET ${operation.cell.key} was answered ${show(reply)}`);
        operation.cell.value = operation.value;
        return;
      case 'mset':
        if (reply !== 'OK') this.fail(`MSET was answered ${show(reply)}`);
        for (const [index, cell] of operation.cells.entries()) cell.value = operation.values[index] as string;
        return;
    }
  }

  private onError(operation: Operation, text: string): void {
    const cells = 'cell' in operation ? [operation.cell] : operation.cells;
    // A node that was restarted and reads its file says so itself: nothing was done there.
    if (text.startsWith('LOADING ')) {
      this.nodeDown++;
      if (cells.length > 1) this.doubt(operation);
      return;
    }
    const isRead = operation.kind === 'get' || operation.kind === 'mget';
    const down = NODEDOWN.exec(text);
    const unknown = UNKNOWN.exec(text);
    const node = down?.[1] ?? unknown?.[1];
    if (node === undefined || !cells.some((cell) => cell.node === node) || (unknown !== null && isRead)) {
      this.fail(`${operation.kind} of ${cells.map(({ key, node }) => `${key} (node ${node})`)} was answered ${text}`);
    } else if (down !== null) {
      this.nodeDown++;
    } else {
      this.unknown++;
      this.doubt(operation);
    }
  }

  /** A write that may have been done, wholly or in part, or may be done later. */
  private doubt(operation: Operation): void {
    if (operation.kind === 'set') operation.cell.maybe.push(operation.value);
    else if (operation.kind === 'del') operation.cell.maybe.push(null);
    else if (operation.kind === 'mset') {
      for (const [index, cell] of operation.cells.entries()) cell.maybe.push(operation.values[index] as string);
    }
  }

  private checkValue(cell: Cell, reply: unknown): void {
    if (!isPossible(cell, reply)) this.fail(`${cell.key} holds ${show(cell.value)} and was read as ${show(reply)}`);
  }

  /** A write that is done late would spoil what is known of a key, so it is written no more. */
  private replace(cell: Cell): void {
    const fresh: Cell = { key: `${cell.key}'`, node: cell.node, value: null, maybe: [] };
    // The hash tag at the front keeps the new key on the same node.
    this.retired.push(cell);
    this.cells[this.cells.indexOf(cell)] = fresh;
  }

  /** Cells given up for a write of unknown fate. */
  readonly retired: Cell[] = [];

  private fail(text: string): void {
    this.faults.push(`client ${this.id}, command ${this.replies}: ${text}`);
    this.onBatchDone();
  }
}

/** Whether a read of the cell may give `value`. */
export function isPossible(cell: Cell, value: unknown): boolean {
  return value === cell.value || cell.maybe.includes(value as string | null);
}

function frameOf(operation: Operation): string {
  switch (operation.kind) {
    case 'get':
      return frame('GET', operation.cell.key);
    case 'set':
      return frame('SET', operation.cell.key, operation.value);
    case 'del':
      return frame('DEL', operation.cell.key);
    case 'mget':
      return frame('MGET', ...operation.cells.map(({ key }) => key));
    case 'mset':
      return frame('MSET', ...operation.cells.flatMap(({ key }, index) => [key, operation.values[index] as string]));
  }
}

/** ASCII only: a character is a byte. */
function frame(...words: string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;
}

function show(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 200);
}
