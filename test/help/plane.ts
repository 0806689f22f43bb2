/**
 * A whole data plane on the transport without a network: a test says what clients and nodes do, turn by turn, and looks at
 * what the plane sends.
 *
 *   client.send(...) -> plane -> nodeLink.take()      nodeLink.answer(...) -> plane -> client.take()
 *
 * Nothing waits and nothing is random: time is a number that `pass` moves.
 */
import { BusyNodes, busyNodesMemory } from '../../src/base/busy-nodes.js';
import { ClientCount, clientCountMemory } from '../../src/base/client-count.js';
import { type ClientRules, DEFAULT_RULES } from '../../src/base/client-rules.js';
import { CommandTimes, commandTimesMemory } from '../../src/base/command-times.js';
import { DEFAULT_LIMITS, type Limits, nodeLimitsOf } from '../../src/base/limits.js';
import { LockTurns, lockTurnsMemory } from '../../src/base/lock-turns.js';
import { type Counts, Metrics, metricsMemory } from '../../src/base/metrics.js';
import { MonitorFeed, monitorFeedMemory } from '../../src/base/monitor-feed.js';
import type { PauseSnapshot } from '../../src/base/pause-table.js';
import { ShownScripts, shownScriptsMemory } from '../../src/base/shown-scripts.js';
import { UserDesk } from '../../src/control/user-desk.js';
import type { Answer, NodeSnapshot, TopologySnapshot } from '../../src/messages.js';
import { DataPlane } from '../../src/proxy/data-plane.js';
import { COMMANDS } from '../../src/resp/commands.js';
import { slotOf } from '../../src/routing/slot.js';
import { type FakeConnection, FakeTransport } from './fake-transport.js';
import './pending-watch.js';
import { plainTopology, slotOwnersOf } from './topology.js';

export interface PlaneOptions {
  /** How many workers there are, of which it is one. */
  workers?: number;
  /** What they share. */
  shownScripts?: SharedArrayBuffer;
  nodes?: number;
  limits?: Partial<Limits>;
  rules?: Partial<ClientRules>;
  multiKeyWrites?: 'split' | 'reject';
  /** Instead of one service that has all keys by slots; its nodes are those of `nodes` and `node`. */
  services?: TopologySnapshot['services'];
  arenaBytes?: number;
  /** CLIENT PAUSE as it stands when the worker starts. */
  pauses?: readonly PauseSnapshot[];
  /** The next client has the number after it. */
  lastClientId?: number;
  random?: () => number;
  /** By node: what differs from the defaults. */
  node?: (index: number) => Partial<NodeSnapshot>;
}

export interface LogLine {
  level: string;
  event: string;
  fields: Record<string, unknown>;
}

/** The process that the plane runs in, as it is told. */
export const PROCESS = {
  version: '1.2.3',
  id: 4242,
  runId: 'c0ffee'.padEnd(40, '0'),
  startedAtMs: Date.now() - 90_500,
  workers: 1,
  transport: 'node',
} as const;

/** What a Redis 7.0 says to HELLO, as far as the proxy reads it. */
export const HELLO_REPLY = {
  2: '*4\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$2\r\nid\r\n:77\r\n',
  3: '%2\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$2\r\nid\r\n:77\r\n',
};

/** What it says to the questions that follow: CONFIG GET proto-max-bulk-len, CONFIG GET databases. */
export const ANSWERS = {
  2: '*2\r\n$18\r\nproto-max-bulk-len\r\n$9\r\n536870912\r\n*2\r\n$9\r\ndatabases\r\n$2\r\n16\r\n',
  3: '%1\r\n$18\r\nproto-max-bulk-len\r\n$9\r\n536870912\r\n%1\r\n$9\r\ndatabases\r\n$2\r\n16\r\n',
};

export class Plane {
  readonly transport: FakeTransport;
  readonly counts: Counts;
  readonly limits: Limits;
  readonly rules: ClientRules;
  readonly data: DataPlane;
  readonly topology: TopologySnapshot;
  readonly logs: LogLine[] = [];
  /** What `onNodeState` was told: `node-1 up 7.0.15`. */
  readonly nodeStates: string[] = [];
  /** Names that wait to be resolved. */
  readonly resolving: { host: string; done: (host: string | null, error: string | null) => void }[] = [];
  /** The planes of other workers, which are asked as well; and workers that do not answer. */
  readonly others: Plane[] = [];
  readonly silent: number[] = [];
  /** Questions to all workers that are on their way, where a test delivers them itself. */
  onTheWay: (() => void)[] | null = null;
  /** The same of what all have answered to this one's. */
  answersOnTheWay: (() => void)[] | null = null;
  /** As the main thread has them. */
  private readonly users: UserDesk;
  private lastClientId: number;

  constructor(options: PlaneOptions = {}) {
    const count = options.nodes ?? 3;
    this.lastClientId = options.lastClientId ?? 0;
    this.transport = new FakeTransport(options.arenaBytes);
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.rules = { ...DEFAULT_RULES, ...options.rules };
    this.users = new UserDesk({ mode: 'users', lines: this.rules.users.lines });
    const metrics = new Metrics(metricsMemory(1), 0);
    this.counts = metrics.counts;
    const slotOwners = new Uint16Array(new SharedArrayBuffer(16_384 * 2));
    for (let slot = 0; slot < slotOwners.length; slot++) slotOwners[slot] = slot % count;
    const node = (index: number): NodeSnapshot => ({
      index,
      name: `node-${index}`,
      pool: 'main',
      label: `node-${index}`,
      weight: 1,
      address: { kind: 'tcp', host: '10.0.0.1', port: 7000 + index },
      username: null,
      password: null,
      limits: nodeLimitsOf(this.limits),
      ...options.node?.(index),
    });
    const nodes = Array.from({ length: count }, (_, index) => node(index));
    const plain = plainTopology(1, nodes, slotOwners, options.multiKeyWrites !== 'reject');
    this.topology = { ...plain, services: options.services ?? plain.services };
    this.data = new DataPlane({
      postHints: () => {},
      askLock: () => {
        throw new Error('no locks are kept by the coordination store here');
      },
      transport: this.transport,
      topology: this.topology,
      limits: this.limits,
      rules: this.rules,
      process: { ...PROCESS, workers: options.workers ?? PROCESS.workers },
      pauses: options.pauses ?? [],
      counts: this.counts,
      totals: () => this.counts,
      publishClients: () => metrics.publishClients(),
      random: options.random ?? (() => 0.5),
      ask: (question, done) => {
        const deliver = () => {
          const workers = [this, ...this.others];
          const answers: Answer[] = [];
          const asked =
            question.kind === 'change-users' ? { ...question, changed: this.users.change(question.change) } : question;
          for (const { data } of workers) {
            data.answer(asked, data === this.data, (answer) => {
              answers.push(answer);
              if (answers.length < workers.length) return;
              if (this.answersOnTheWay === null) done(answers, this.silent);
              else this.answersOnTheWay.push(() => done(answers, this.silent));
            });
          }
        };
        if (this.onTheWay === null) this.transport.later(deliver);
        else this.onTheWay.push(deliver);
      },
      resolve: (host, _port, done) => this.resolving.push({ host, done }),
      onNodeState: (state, isUp, reason) =>
        this.nodeStates.push(`${state.name} ${isUp ? 'up' : 'down'}${reason === '' ? '' : ` ${reason}`}`),
      clients: new ClientCount(clientCountMemory(1), 0),
      lockTurns: new LockTurns(lockTurnsMemory(1), 0),
      times: new CommandTimes(commandTimesMemory(1, COMMANDS.length), 0, COMMANDS.length),
      busyNodes: new BusyNodes(busyNodesMemory(1), 0),
      feed: new MonitorFeed(monitorFeedMemory(1), 0),
      shownScripts: new ShownScripts(options.shownScripts ?? shownScriptsMemory()),
      nextClientId: () => ++this.lastClientId,
      log: (level, event, fields) => this.logs.push({ level, event, fields }),
    });
    this.data.start();
  }

  /** Greets every node that is being connected to. */
  greetAll(): this {
    // Many nodes are connected to a few at a time.
    const { connections } = this.transport;
    for (let before = -1; connections.length > before; this.pass(DIAL_PAUSE_MS, 1)) before = connections.length;
    for (let node = 0; node < this.topology.nodes.length; node++) this.link(node)?.greet();
    this.turn();
    return this;
  }

  /** The newest connection to that node that speaks `protocol` or was not greeted; undefined when none is open. */
  link(node: number, protocol: 2 | 3 = 2): NodeLink | undefined {
    return this.links(node, protocol).at(-1);
  }

  /** All open connections to that node, oldest first. */
  links(node: number, protocol: 2 | 3 = 2): NodeLink[] {
    const { address } = this.topology.nodes[node] as NodeSnapshot;
    const links: NodeLink[] = [];
    for (const connection of this.transport.connections) {
      if (connection.isClosed || connection.endpoint === null) continue;
      const isSame =
        address.kind === 'tcp' && connection.endpoint.kind === 'tcp'
          ? connection.endpoint.port === address.port
          : address.kind === connection.endpoint.kind;
      const link = NodeLink.of(connection);
      if (isSame && (link.protocol === null || link.protocol === protocol)) links.push(link);
    }
    return links;
  }

  /** The only open connection to that node: a test that counts on there being one says so. */
  only(node: number, protocol: 2 | 3 = 2): NodeLink {
    const links = this.links(node, protocol);
    if (links.length !== 1) throw new Error(`node ${node} has ${links.length} connections`);
    return links[0] as NodeLink;
  }

  /** One that comes in by that door. */
  client(door = 0): Client {
    return new Client(this.transport.accept(door));
  }

  turn(): void {
    this.transport.turn();
  }

  /** Lets time pass, in steps so that what is looked at several times a second is looked at. */
  pass(ms: number, stepMs = 50): void {
    for (let left = ms; left > 0; left -= stepMs) this.transport.pass(Math.min(left, stepMs));
  }

  /** A key that lies on that node; another for each `label`. */
  key(node: number, label = 'k'): string {
    if (node >= this.topology.nodes.length) throw new RangeError(`there is no node ${node}`);
    for (let n = 0; ; n++) {
      const key = `${label}:${n}`;
      if (this.nodeOf(key) === node) return key;
    }
  }

  /** The node of `key`. */
  nodeOf(key: string): number {
    const bytes = Buffer.from(key, 'latin1');
    return slotOwnersOf(this.topology)[slotOf(bytes, 0, bytes.length)] as number;
  }

  /** Bytes of the arena in use. */
  get usedBytes(): number {
    return this.transport.arena.usedBytes;
  }
}

/** Between turns in which nodes are connected to that no command waits for. */
const DIAL_PAUSE_MS = 4;
const LINKS = new WeakMap<FakeConnection, NodeLink>();

/** One connection of the plane to a node, seen from the node. */
export class NodeLink {
  readonly connection: FakeConnection;
  /** As HELLO asked for; null before. */
  protocol: 2 | 3 | null = null;

  private constructor(connection: FakeConnection) {
    this.connection = connection;
  }

  static of(connection: FakeConnection): NodeLink {
    let link = LINKS.get(connection);
    if (link === undefined) {
      link = new NodeLink(connection);
      LINKS.set(connection, link);
    }
    return link;
  }

  /** Accepts the connection, takes HELLO and answers it. */
  greet(): this {
    this.open();
    const text = this.connection.take();
    if (!text.startsWith('*2\r\n$5\r\nHELLO\r\n')) throw new Error(`greeted with ${JSON.stringify(text)}`);
    this.protocol = text.includes('\r\n3\r\n') ? 3 : 2;
    this.connection.receive(HELLO_REPLY[this.protocol] + ANSWERS[this.protocol]);
    return this;
  }

  open(): this {
    this.connection.open();
    return this;
  }

  /** Takes all that was sent, as text. */
  take(): string {
    return this.connection.take();
  }

  /** Takes all that was sent, which must be whole commands: `GET a`. */
  commands(): string[] {
    return commandsIn(this.take());
  }

  /** The node answers. */
  answer(...replies: string[]): this {
    for (const reply of replies) this.connection.receive(reply);
    return this;
  }

  get isClosed(): boolean {
    return this.connection.isClosed;
  }
}

/** Answers what the shared connections of a plane are tried with while nobody uses them. */
export function answerPings(plane: Plane): void {
  for (const node of plane.topology.nodes) {
    const [shared] = plane.links(node.index);
    if (shared !== undefined && shared.take() !== '') shared.answer('+PONG\r\n');
  }
}

/** One client of the plane. */
export class Client {
  readonly connection: FakeConnection;

  constructor(connection: FakeConnection) {
    this.connection = connection;
  }

  /** Sends commands, in one piece. */
  send(...commands: readonly string[][]): this {
    this.connection.receive(commands.map((words) => command(...words)).join(''));
    return this;
  }

  /** Sends these bytes (latin1). */
  sendText(text: string): this {
    this.connection.receive(text);
    return this;
  }

  /** Takes all that the plane sends it. */
  take(): string {
    return this.connection.take();
  }

  get isClosed(): boolean {
    return this.connection.isClosed;
  }
}

/** A command's frame; one character a byte. */
export function command(...words: readonly string[]): string {
  return `*${words.length}\r\n${words.map(bulk).join('')}`;
}

/** A bulk string's frame; one character a byte. */
export function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}

/** The commands that `text` consists of, each with blanks between its words. */
export function commandsIn(text: string): string[] {
  return wordsIn(text).map((words) => words.join(' '));
}

/** The commands that `text` consists of, each as its words. */
export function wordsIn(text: string): string[][] {
  const commands: string[][] = [];
  for (let at = 0; at < text.length; ) {
    const next = readCommand(text, at);
    if (next === null) throw new Error(`half a command: ${JSON.stringify(text.slice(at, at + 100))}`);
    commands.push(next.words);
    at = next.end;
  }
  return commands;
}

/** The command at `at`, or null when not all of it is there. */
export function readCommand(text: string, at: number): { words: string[]; end: number } | null {
  const head = /\*(\d+)\r\n/y;
  head.lastIndex = at;
  const count = head.exec(text);
  if (count === null) {
    if (/^\*?\d*\r?$/.test(text.slice(at, at + 16))) return null;
    throw new Error(`no command: ${JSON.stringify(text.slice(at, at + 100))}`);
  }
  let end = at + count[0].length;
  const words: string[] = [];
  for (let left = Number(count[1]); left > 0; left--) {
    const word = /\$(\d+)\r\n/y;
    word.lastIndex = end;
    const length = word.exec(text);
    if (length === null) {
      if (/^\$?\d*\r?$/.test(text.slice(end, end + 16))) return null;
      throw new Error(`no bulk string: ${JSON.stringify(text.slice(end, end + 100))}`);
    }
    const start = end + length[0].length;
    const wordEnd = start + Number(length[1]);
    if (wordEnd + 2 > text.length) return null;
    words.push(text.slice(start, wordEnd));
    end = wordEnd + 2;
  }
  return { words, end };
}

/** The end of the reply at `at`, or -1 when not all of it is there: slow, plain, and independent of the product. */
export function replyEnd(text: string, at: number): number {
  const lineEnd = text.indexOf('\r\n', at);
  if (lineEnd < 0) return -1;
  const type = text[at] as string;
  const count = Number(text.slice(at + 1, lineEnd));
  let end = lineEnd + 2;
  if (type === '$' || type === '=') {
    if (count < 0) return end;
    end += count + 2;
    return end > text.length ? -1 : end;
  }
  if (type === '*' || type === '%' || type === '~' || type === '>') {
    for (let left = type === '%' ? count * 2 : count; left > 0; left--) {
      end = replyEnd(text, end);
      if (end < 0) return -1;
    }
    return end;
  }
  if (!'+-:_#,('.includes(type)) throw new Error(`no reply: ${JSON.stringify(text.slice(at, at + 100))}`);
  return end;
}

/** The replies that `text` consists of. */
export function repliesIn(text: string): string[] {
  const replies: string[] = [];
  for (let at = 0; at < text.length; ) {
    const end = replyEnd(text, at);
    if (end < 0) throw new Error(`half a reply: ${JSON.stringify(text.slice(at, at + 100))}`);
    replies.push(text.slice(at, end));
    at = end;
  }
  return replies;
}
