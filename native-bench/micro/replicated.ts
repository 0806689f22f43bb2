/**
 * Commands on replicated keys through a whole data plane without a socket: sessions, forms, rounds, voters, steps.
 *
 * Sixty-four sessions send one command each, or one alone does, three nodes answer as steady ones do, turn by turn. What the kernel does with the
 * frames is not in it; what the nodes' answers cost to make here (some tenths of a microsecond) is.
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
import type { LevelSnapshot } from '../../src/messages.js';
import { DataPlane } from '../../src/proxy/data-plane.js';
import { NEVER } from '../../src/replica/ballot.js';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import { NO_FACTS_TEXT, NO_FLOOR } from '../../src/replica/meta.js';
import { PREPARE, type Script } from '../../src/replica/scripts.js';
import { COMMANDS } from '../../src/resp/commands.js';
import { skipValue } from '../../src/resp/frame.js';
import { strongLevel } from '../../src/routing/levels.js';
import { type FakeConnection, FakeTransport } from '../../test/help/fake-transport.js';
import { plainTopology } from '../../test/help/topology.js';
import { type Measurement, measure } from './measure.js';

const NODES = 3;
const SLOTS = 16_384;
const SESSIONS = 64;
const KEYS = 10_000;
const TURNS = 200;
const RUNS = 20;
const VALUE = 'x'.repeat(64);

const SET = (n: number) => words('SET', key(n), VALUE);
const GET = (n: number) => words('GET', key(n));
const STRONG = strongLevel(NODES);
const EVENTUAL: LevelSnapshot = { consistency: 'eventual', reads: 1, writes: 1, allowsChanges: true };

const CASES = [
  { name: 'strong SET of 64 bytes', level: STRONG, sessions: SESSIONS, command: SET },
  { name: 'strong GET of 64 bytes', level: STRONG, sessions: SESSIONS, command: GET },
  { name: 'eventual SET of 64 bytes', level: EVENTUAL, sessions: SESSIONS, command: SET },
  { name: 'eventual GET of 64 bytes', level: EVENTUAL, sessions: SESSIONS, command: GET },
  { name: 'eventual SET, one in a turn', level: EVENTUAL, sessions: 1, command: SET },
  { name: 'eventual GET, one in a turn', level: EVENTUAL, sessions: 1, command: GET },
] as const;

/** All, or those whose name contains `only`. */
export function run(only = ''): Measurement[] {
  return CASES.filter(({ name }) => name.includes(only)).map(({ name, level, sessions, command }) => {
    const world = new World(level, sessions);
    const requests = Array.from({ length: KEYS }, (_, n) => world.store(command(n)));
    let next = 0;
    const turn = () => {
      for (const client of world.clients) {
        const { start, end } = requests[next] as Place;
        next = (next + 1) % KEYS;
        client.receiveArena(start, end);
      }
      world.transport.onTurnEnd();
      world.answer();
      for (const client of world.clients) drain(client);
      world.transport.onTurnEnd();
    };
    return measure(
      name,
      SESSIONS * TURNS,
      () => {
        for (let n = 0; n < (SESSIONS * TURNS) / sessions; n++) turn();
      },
      { runs: RUNS, warmUpMs: 2000 },
    );
  });
}

interface Place {
  start: number;
  end: number;
}

/** A data plane with clients, whose nodes count. */
class World {
  readonly transport = new FakeTransport();
  readonly clients: FakeConnection[] = [];
  private readonly nodes: SteadyNode[] = [];

  constructor(level: LevelSnapshot, sessions: number) {
    const { transport } = this;
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
    const owners = new Uint16Array(new SharedArrayBuffer(SLOTS * NODES * 2)).map((_, place) => place % NODES);
    const replication = { copies: NODES, owners, level, tombstoneTtlMs: 60_000 } as const;
    const sharded = plainTopology(1, nodes, new Uint16Array(new SharedArrayBuffer(SLOTS * 2)));
    const services = sharded.services.map((service) => {
      return service && { ...service, keyspaces: service.keyspaces.map((keyspace) => ({ ...keyspace, replication })) };
    });
    const { counts } = new Metrics(metricsMemory(1), 0);
    const plane = new DataPlane({
      postHints: () => {},
      askLock: () => {
        throw new Error('no locks are kept by the coordination store here');
      },
      transport,
      topology: { ...sharded, services },
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
      times: new CommandTimes(commandTimesMemory(1, COMMANDS.length), 0, COMMANDS.length),
      log: () => {},
    });
    plane.start();
    // Each node has a shared connection, and one for steps on its keys.
    while (transport.connections.length < NODES * 2) transport.pass(1);
    for (const connection of transport.connections) {
      const { endpoint } = connection;
      const index = endpoint?.kind === 'tcp' ? endpoint.port - 7000 : 0;
      const node = new SteadyNode(transport, connection, `node-${index}`);
      connection.open();
      // What it is greeted with, and then its scripts and whether it is a member.
      for (let turn = 0; turn < 3; turn++) node.answer();
      this.nodes.push(node);
    }
    for (let session = 0; session < sessions; session++) this.clients.push(transport.accept());
  }

  answer(): void {
    // The first write of a key takes two rounds.
    for (let round = 0; round < 2; round++) {
      for (const node of this.nodes) node.answer();
      this.transport.onTurnEnd();
    }
  }

  /** Puts text into the arena for good. */
  store(text: string): Place {
    const { arena } = this.transport;
    const start = arena.allocate(text.length);
    arena.bytes.set(Buffer.from(text, 'latin1'), start);
    return { start, end: start + text.length };
  }
}

const OK = Buffer.from('+OK\r\n');
const QUEUED = Buffer.from('+QUEUED\r\n');
const PROMISED = Buffer.from(bulk(`P${NO_FLOOR}${NO_FACTS_TEXT}`));
/** Of all items of a call of ACCEPT_EACH. */
const ACCEPTED = Buffer.from(bulk('K'));
const VERSION = Buffer.from('%1\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n');
const RUN_ID = 'r'.repeat(40);
const REPL_ID = '1'.repeat(40);
const META = bulk(`${NEVER}${NEVER}${NO_LINEAGE}10`);
const ANSWERS_BYTES = 64 * 1024;

/** Of a command's name, what tells it from the others: its length and its first two letters. */
function mark(name: string): number {
  return markOf(Buffer.from(name), 0, name.length);
}

function markOf(bytes: Uint8Array, start: number, length: number): number {
  return (length << 16) | ((bytes[start] as number) << 8) | (bytes[start + 1] as number);
}

const HELLO = mark('HELLO');
const MULTI = mark('MULTI');
const EXEC = mark('EXEC');
const EVALSHA = mark('EVALSHA');
const EVAL = mark('EVAL');
const CONFIG = mark('CONFIG');
const MGET = mark('MGET');
/** To what the greeting and the look ask for. */
const SETTINGS = Buffer.from('%1\r\n$20\r\nenable-debug-command\r\n$2\r\nno\r\n');

/** A node with the same state for every key, which promises and accepts whatever it is asked to. */
class SteadyNode {
  private readonly transport: FakeTransport;
  private readonly connection: FakeConnection;
  /** What it answers to who looks whether it is a member; what EXEC answers, to PEEK, to READ; and what MGET does, to READ of GET. */
  private readonly looked: Uint8Array;
  private readonly peeked: Uint8Array;
  private readonly read: Uint8Array;
  private readonly got: Uint8Array;
  private readonly answers: number;
  /** Commands since MULTI; -1 outside of it. */
  private queued = -1;

  constructor(transport: FakeTransport, connection: FakeConnection, name: string) {
    this.transport = transport;
    this.connection = connection;
    this.answers = transport.arena.allocate(ANSWERS_BYTES);
    const record = bulk(`1 member 0.1 ${RUN_ID} ${REPL_ID} ${'c'.repeat(32)} ${name}`);
    const info = bulk(`role:master\r\nconnected_slaves:0\r\nrun_id:${RUN_ID}\r\nmaster_replid:${REPL_ID}\r\n`);
    const found = `*3\r\n${record}_\r\n${META}`;
    this.looked = Buffer.from(`*2\r\n${info}${record}`);
    this.peeked = Buffer.from(`*2\r\n${found}:1\r\n`);
    this.read = Buffer.from(`*3\r\n${found}:1\r\n${bulk(VALUE)}`);
    this.got = Buffer.from(`*3\r\n${record}${META}${bulk(VALUE)}`);
  }

  /** All that it was sent. */
  answer(): void {
    const { connection, transport, answers } = this;
    const { output } = connection;
    const { bytes } = transport.arena;
    let end = answers;
    while (output.unsentBytes > 0) {
      const sent = output.unsentLength();
      const start = output.unsentStart();
      for (let at = start; at < start + sent; at = skipValue(bytes, at)) {
        const reply = this.replyTo(bytes, at);
        bytes.set(reply, end);
        end += reply.length;
      }
      output.advance(sent);
    }
    if (end > answers) connection.receiveArena(answers, end);
  }

  /** To the command that begins at `at`. */
  private replyTo(bytes: Uint8Array, at: number): Uint8Array {
    const lengthAt = lineAfter(bytes, at);
    const nameAt = lineAfter(bytes, lengthAt);
    switch (markOf(bytes, nameAt, (bytes[lengthAt + 1] as number) - 0x30)) {
      case HELLO:
        return VERSION;
      case EVALSHA:
        return isCalled(PREPARE, bytes, lineAfter(bytes, nameAt + 9)) ? PROMISED : ACCEPTED;
      case MULTI:
        this.queued = 0;
        return OK;
      case EXEC: {
        const isPeek = this.queued === 2;
        this.queued = -1;
        return isPeek ? this.peeked : this.read;
      }
      case EVAL:
        return this.looked;
      case CONFIG:
        return SETTINGS;
      case MGET:
        if (this.queued < 0) return this.got;
        break;
    }
    if (this.queued < 0) return OK;
    this.queued++;
    return QUEUED;
  }
}

function isCalled({ sha }: Script, bytes: Uint8Array, at: number): boolean {
  for (let digit = 0; digit < 4; digit++) if (bytes[at + digit] !== sha.charCodeAt(digit)) return false;
  return true;
}

function lineAfter(bytes: Uint8Array, at: number): number {
  let end = at;
  while (bytes[end] !== 0x0a) end++;
  return end + 1;
}

function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}

function drain({ output }: FakeConnection): void {
  while (output.unsentBytes > 0) output.advance(output.unsentLength());
}

function key(n: number): string {
  return `key:${String(n).padStart(12, '0')}`;
}

function words(...parts: string[]): string {
  return `*${parts.length}\r\n${parts.map((part) => `$${part.length}\r\n${part}\r\n`).join('')}`;
}
