/**
 * Recorded bytes through the whole data plane without a socket: sessions, command table, slots, node connections, merge.
 *
 * Fifty sessions send, three nodes answer, turn by turn, as under redis-benchmark with 50 clients. The figure is
 * nanoseconds and bytes allocated per command; `kept` says whether the heap stays flat over ten million commands.
 */
import { BusyNodes, busyNodesMemory } from '../../src/base/busy-nodes.js';
import { ClientCount, clientCountMemory } from '../../src/base/client-count.js';
import { DEFAULT_RULES } from '../../src/base/client-rules.js';
import { CommandTimes, commandTimesMemory } from '../../src/base/command-times.js';
import { DEFAULT_LIMITS, DEFAULT_NODE_LIMITS } from '../../src/base/limits.js';
import { LockTurns, lockTurnsMemory } from '../../src/base/lock-turns.js';
import { Metrics, metricsMemory } from '../../src/base/metrics.js';
import { MonitorFeed, monitorFeedMemory } from '../../src/base/monitor-feed.js';
import { ShownScripts, shownScriptsMemory } from '../../src/base/shown-scripts.js';
import { DataPlane } from '../../src/proxy/data-plane.js';
import { COMMANDS as TABLE } from '../../src/resp/commands.js';
import { type FakeConnection, FakeTransport } from '../../test/help/fake-transport.js';
import { plainTopology } from '../../test/help/topology.js';
import { type Measurement, measure } from './measure.js';

const NODES = 3;
const SESSIONS = 50;

interface Case {
  name: string;
  /** Commands per session and turn. */
  depth: number;
  /** The n-th command of a session, and the reply of a node to each command that it gets for it. */
  command: (n: number) => string;
  reply: string;
}

const VALUE = 'x'.repeat(64);

const CASES: readonly Case[] = [
  { name: 'GET, depth 1', depth: 1, command: (n) => words('GET', key(n)), reply: `$64\r\n${VALUE}\r\n` },
  { name: 'GET, depth 16', depth: 16, command: (n) => words('GET', key(n)), reply: `$64\r\n${VALUE}\r\n` },
  { name: 'GET, depth 64', depth: 64, command: (n) => words('GET', key(n)), reply: `$64\r\n${VALUE}\r\n` },
  { name: 'GET one key, depth 16', depth: 16, command: () => words('GET', key(1)), reply: `$64\r\n${VALUE}\r\n` },
  { name: 'SET 64 bytes, depth 1', depth: 1, command: (n) => words('SET', key(n), VALUE), reply: '+OK\r\n' },
  { name: 'SET 64 bytes, depth 16', depth: 16, command: (n) => words('SET', key(n), VALUE), reply: '+OK\r\n' },
  { name: 'INCR, depth 16', depth: 16, command: (n) => words('INCR', key(n)), reply: ':1234\r\n' },
  { name: 'PING, depth 16', depth: 16, command: () => words('PING'), reply: '' },
];

/** Ten million commands in all, so that a heap which grows with commands shows. */
const COMMANDS = 10_000_000;
const RUNS = 20;

/** All cases, with so many commands each, in so many runs. */
export function run(commands = COMMANDS, runs = RUNS): Measurement[] {
  return CASES.map((one) => replay(one, commands, runs));
}

function replay(one: Case, commands: number, runs: number): Measurement {
  const world = new World();
  const { arena } = world.transport;
  const requests: { start: number; end: number }[] = [];
  for (let session = 0; session < SESSIONS; session++) {
    let text = '';
    for (let n = 0; n < one.depth; n++) text += one.command(session * one.depth + n);
    requests.push(world.store(text));
  }
  const replyBytes = one.reply.length;
  const replies = replyBytes === 0 ? { start: 0, end: 0 } : world.store(one.reply.repeat(SESSIONS * one.depth));

  const turn = () => {
    for (let session = 0; session < SESSIONS; session++) {
      const request = requests[session] as { start: number; end: number };
      (world.clients[session] as FakeConnection).receiveArena(request.start, request.end);
    }
    arena.settle();
    for (const [index, node] of world.nodes.entries()) {
      drain(node);
      const count = world.queued(index);
      if (count > 0) node.receiveArena(replies.start, replies.start + count * replyBytes);
    }
    for (const client of world.clients) drain(client);
    world.transport.onTurnEnd();
  };
  const perTurn = SESSIONS * one.depth;
  const turns = Math.ceil(commands / runs / perTurn);
  const result = measure(
    one.name,
    turns * perTurn,
    () => {
      for (let n = 0; n < turns; n++) turn();
    },
    { runs },
  );
  return result;
}

/** A data plane whose nodes are greeted and whose clients are connected. */
class World {
  readonly transport = new FakeTransport();
  readonly clients: FakeConnection[] = [];
  readonly nodes: FakeConnection[];
  private readonly plane: DataPlane;

  constructor() {
    const owners = new Uint16Array(new SharedArrayBuffer(16_384 * 2));
    for (let slot = 0; slot < owners.length; slot++) owners[slot] = slot % NODES;
    const nodes = Array.from({ length: NODES }, (_, index) => ({
      index,
      name: `node-${index}`,
      pool: 'main',
      label: `node-${index}`,
      weight: 1,
      address: { kind: 'tcp', host: '127.0.0.1', port: 7000 + index } as const,
      username: null,
      password: null,
      limits: DEFAULT_NODE_LIMITS,
    }));
    const topology = plainTopology(1, nodes, owners);
    const counts = new Metrics(metricsMemory(1), 0).counts;
    this.plane = new DataPlane({
      postHints: () => {},
      askLock: () => {
        throw new Error('no locks are kept by the coordination store here');
      },
      transport: this.transport,
      topology,
      limits: DEFAULT_LIMITS,
      rules: DEFAULT_RULES,
      process: { version: '', id: 0, runId: '', startedAtMs: 0, workers: 1, transport: 'epoll' },
      pauses: [],
      counts,
      totals: () => counts,
      publishClients: () => {},
      random: Math.random,
      ask: () => {},
      resolve: () => {},
      onNodeState: () => {},
      clients: new ClientCount(clientCountMemory(1), 0),
      lockTurns: new LockTurns(lockTurnsMemory(1), 0),
      busyNodes: new BusyNodes(busyNodesMemory(1), 0),
      shownScripts: new ShownScripts(shownScriptsMemory()),
      feed: new MonitorFeed(monitorFeedMemory(1), 0),
      nextClientId: () => 1,
      times: new CommandTimes(commandTimesMemory(1, TABLE.length), 0, TABLE.length),
      log: () => {},
    });
    this.plane.start();
    this.nodes = [...this.transport.connections];
    for (const node of this.nodes) {
      node.open();
      drain(node);
      node.receive('*2\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n*0\r\n*0\r\n');
    }
    for (let session = 0; session < SESSIONS; session++) this.clients.push(this.transport.accept());
  }

  /** Puts text into the arena for good. */
  store(text: string): { start: number; end: number } {
    const { arena } = this.transport;
    const start = arena.allocate(text.length);
    arena.bytes.set(Buffer.from(text, 'latin1'), start);
    return { start, end: start + text.length };
  }

  /** Commands that wait for a reply of that node. */
  queued(node: number): number {
    return this.plane.pool.common.channels[node]?.queued ?? 0;
  }
}

function drain(connection: FakeConnection): void {
  const { output } = connection;
  while (output.unsentBytes > 0) output.advance(output.unsentLength());
}

function key(n: number): string {
  return `key:${String(n).padStart(12, '0')}`;
}

function words(...parts: string[]): string {
  return `*${parts.length}\r\n${parts.map((part) => `$${part.length}\r\n${part}\r\n`).join('')}`;
}
