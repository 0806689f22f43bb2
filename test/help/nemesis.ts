/**
 * Faults of nodes, proxies and the ways between them, one after the other, while clients go on:
 *
 *   strike -> calls are answered nevertheless (if a majority can be reached) -> heal -> every key is written and read again
 *
 * After each phase all nodes are members again: the protocol bears one node of three (two of five) that has lost its memory at
 * a time, and says so.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, type ClusterOptions, nodeName } from './cluster.js';
import type { Random } from './random.js';
import type { RedisServer } from './redis-server.js';
import type { Workload } from './workload.js';

/** Clients that go on meanwhile. */
export interface Pressed {
  /** Calls, by what became of them. */
  readonly counts: Readonly<Record<'answered' | 'unknown' | 'failed', number>>;
  /** Resolves when so many more were answered. */
  answers(what: string, count: number, timeoutMs: number): Promise<void>;
  /** Resolves when all that they ask for is answered again. Rejects after `timeoutMs`. */
  goesOn(what: string, timeoutMs: number): Promise<void>;
}

/** Calls that must be answered while a fault lasts that leaves a majority. */
const ANSWERS_MIN = 20;
const ANSWERS_MS_MAX = 20_000;
/** Within which all goes on after a fault. */
const RECOVERY_MS_MAX = 30_000;
const FAULT_MS_MAX = 2_000;
/** What the repair of a small node takes, or less. */
const REPAIR_MS = 300;
/** Of a hundred faults, how many another one comes to. */
const DOUBLE_PER_CENT = 50;

interface Fault {
  what: string;
  /** Whether commands can be carried out meanwhile. */
  isBearable: boolean;
  strike(): Promise<void> | void;
  heal(): Promise<void> | void;
}

type FaultKind = (nemesis: Nemesis) => Fault;

export class Nemesis {
  readonly cluster: Cluster;
  readonly random: Random;
  /** What it has done. */
  readonly phases: string[] = [];
  private readonly clients: Pressed;

  constructor(cluster: Cluster, clients: Pressed, random: Random) {
    this.cluster = cluster;
    this.clients = clients;
    this.random = random;
  }

  /** Every kind of fault in an order left to chance, again and again, until that is over. Rejects when something does not go on. */
  async rage(durationMs: number): Promise<void> {
    const deadlineMs = performance.now() + durationMs;
    let kinds: FaultKind[] = [];
    while (performance.now() < deadlineMs) {
      if (kinds.length === 0) kinds = shuffled(this.random, this.cluster.options);
      const kind = kinds.pop() as FaultKind;
      const isDouble =
        hasCopies(this.cluster.options) && !OF_WAYS.includes(kind) && this.random.chance(DOUBLE_PER_CENT);
      await this.phase(kind(this), isDouble ? this.random.pick(OF_WAYS)(this) : null);
    }
  }

  /**
   * Reads all keys at the end, each of them first where one majority alone can be reached, then where all are: what only some
   * majorities know of is lost. Rejects when one cannot be read.
   */
  async readAll(workload: Workload): Promise<void> {
    const { servers, relays, options } = this.cluster;
    const keys = workload.keys();
    const away = options.keyspace.mode === 'replicated' ? Math.floor((options.keyspace.copies - 1) / 2) : 0;
    for (let first = 0; away > 0 && first < servers.length; first++) {
      const cut = relays.flatMap((ways) =>
        ways.filter((_, node) => (node - first + servers.length) % servers.length < away),
      );
      each(cut, (relay) => relay.refuse());
      await workload.read(keys.filter((_, index) => index % servers.length === first));
      each(cut, (relay) => relay.mend());
    }
    await workload.read(keys);
  }

  /** `second`: it comes while the first lasts, and outlasts it, so that nodes come back and are repaired through it. */
  private async phase(first: Fault, second: Fault | null): Promise<void> {
    const before = { ...this.clients.counts };
    const what = second === null ? first.what : `${first.what}, and ${second.what}`;
    const index = this.phases.push(what) - 1;
    const last = async (isBearable: boolean) => {
      if (isBearable) await this.clients.answers(`${ANSWERS_MIN} answers while ${what}`, ANSWERS_MIN, ANSWERS_MS_MAX);
      await sleep(this.random.below(FAULT_MS_MAX));
    };
    try {
      await first.strike();
      await last(first.isBearable);
      await second?.strike();
      if (second !== null) await last(first.isBearable && second.isBearable);
      await first.heal();
      if (second !== null) await sleep(this.random.below(FAULT_MS_MAX));
      await second?.heal();
    } catch (error) {
      throw new Error(`${what}: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
    await this.clients.goesOn(`after ${what}`, RECOVERY_MS_MAX);
    await this.cluster.isWhole();
    const { answered, unknown, failed } = this.clients.counts;
    const counts = [answered - before.answered, unknown - before.unknown, failed - before.failed];
    this.phases[index] = `${what}: ${counts[0]} answered, ${counts[1]} unknown, ${counts[2]} without effect`;
  }

  /** Some node, and whether the others can do without it. */
  node(): { node: number; name: string; isBearable: boolean } {
    const node = this.random.below(this.cluster.servers.length);
    return { node, name: nodeName(node), isBearable: hasCopies(this.cluster.options) };
  }

  pair(): { proxy: number; node: number; name: string } {
    const { node } = this.node();
    const proxy = this.random.below(this.cluster.relays.length);
    return { proxy, node, name: `proxy ${proxy} from ${nodeName(node)}` };
  }
}

/** Of nodes that keep what they have. */
const KEEPING: readonly FaultKind[] = [
  (nemesis) => {
    const { node, name, isBearable } = nemesis.node();
    const server = nemesis.cluster.server(node);
    return {
      what: `${name} is killed, and comes back`,
      isBearable,
      strike: () => server.kill9(),
      heal: () => server.restart(),
    };
  },
  (nemesis) => {
    const { node, name, isBearable } = nemesis.node();
    const server = nemesis.cluster.server(node);
    return { what: `${name} is stopped`, isBearable, strike: () => server.pause(), heal: () => server.resume() };
  },
  ({ cluster }) => ({
    what: 'most nodes are stopped',
    isBearable: false,
    strike: () => each(majority(cluster), (server) => server.pause()),
    heal: () => each(majority(cluster), (server) => server.resume()),
  }),
  // Each proxy sees a majority, but not the same one.
  ({ cluster, random }) => {
    const first = random.below(cluster.servers.length);
    const cut = cluster.relays.map((_, proxy) => cluster.relay(proxy, (first + proxy) % cluster.servers.length));
    return {
      what: 'silence parts each proxy from another node',
      isBearable: hasCopies(cluster.options),
      strike: () => each(cut, (relay) => relay.silence()),
      heal: () => each(cut, (relay) => relay.mend()),
    };
  },
];

/** Of the ways between them, and of proxies: each leaves a way for clients, also while one node of three is gone. */
const OF_WAYS: readonly FaultKind[] = [
  (nemesis) => {
    const { proxy, node, name } = nemesis.pair();
    const relay = nemesis.cluster.relay(proxy, node);
    return { what: `silence parts ${name}`, isBearable: true, strike: () => relay.silence(), heal: () => relay.mend() };
  },
  (nemesis) => {
    const { proxy, node, name } = nemesis.pair();
    const relay = nemesis.cluster.relay(proxy, node);
    return { what: `refusals part ${name}`, isBearable: true, strike: () => relay.refuse(), heal: () => relay.mend() };
  },
  (nemesis) => {
    const { proxy, node, name } = nemesis.pair();
    const { random } = nemesis;
    const relay = nemesis.cluster.relay(proxy, node);
    return {
      what: `the ways of ${name} are cut again and again`,
      isBearable: true,
      strike: () => relay.cutAfter(() => random.size(5_000)),
      heal: () => relay.cutAfter(null),
    };
  },
  ({ cluster, random }) => {
    const proxy = random.below(cluster.relays.length);
    return {
      what: `proxy ${proxy} is killed, and another takes its place`,
      isBearable: cluster.relays.length > 1,
      strike: () => cluster.killProxy(proxy),
      heal: () => cluster.startProxy(proxy),
    };
  },
  // What it has sent, and what waits for it, is late.
  ({ cluster, random }) => {
    const proxy = random.below(cluster.relays.length);
    return {
      what: `proxy ${proxy} is stopped`,
      isBearable: cluster.relays.length > 1,
      strike: () => cluster.proxy(proxy).signal('SIGSTOP'),
      heal: () => cluster.proxy(proxy).signal('SIGCONT'),
    };
  },
];

/** With these a node has forgotten all. */
const FORGETTING: readonly FaultKind[] = [
  (nemesis) => {
    const { node, name } = nemesis.node();
    const server = nemesis.cluster.server(node);
    return {
      what: `${name} is killed, and comes back empty`,
      isBearable: true,
      strike: () => server.kill9(),
      heal: () => {
        server.erase();
        return server.restart();
      },
    };
  },
  (nemesis) => {
    const { node, name } = nemesis.node();
    return {
      what: `${name} is killed, and an empty one takes its place`,
      isBearable: true,
      strike: () => nemesis.cluster.server(node).kill9(),
      heal: () => nemesis.cluster.replaceServer(node),
    };
  },
  // Maybe while it is being repaired.
  (nemesis) => {
    const { node, name } = nemesis.node();
    const server = nemesis.cluster.server(node);
    const comeBackEmpty = () => {
      server.erase();
      return server.restart();
    };
    return {
      what: `${name} comes back empty, and is killed again`,
      isBearable: true,
      strike: async () => {
        await server.kill9();
        await comeBackEmpty();
        await sleep(nemesis.random.below(REPAIR_MS));
        await server.kill9();
      },
      heal: comeBackEmpty,
    };
  },
  (nemesis) => {
    const { node, name } = nemesis.node();
    return {
      what: `${name} is flushed`,
      isBearable: true,
      strike: () => nemesis.cluster.flush(node),
      heal: () => {},
    };
  },
];

/** With these one has forgotten some of what it acknowledged: for pools that do not say otherwise. */
const LOSING: readonly FaultKind[] = [
  (nemesis) => {
    const { node, name } = nemesis.node();
    const server = nemesis.cluster.server(node);
    const keptPart = nemesis.random.below(100) / 100;
    return {
      what: `${name} is killed, and comes back with the first ${keptPart} of its file`,
      isBearable: true,
      strike: () => server.kill9(),
      heal: () => {
        server.truncate(keptPart);
        return server.restart();
      },
    };
  },
];

/** Whether others can do without one of the nodes. */
function hasCopies({ keyspace }: ClusterOptions): boolean {
  return keyspace.mode !== 'sharded';
}

/** All kinds that the cluster is to bear. */
function shuffled(random: Random, options: ClusterOptions): FaultKind[] {
  const kinds = [...KEEPING, ...OF_WAYS];
  if (hasCopies(options)) kinds.push(...FORGETTING);
  if (hasCopies(options) && options.restart !== 'keeps-data') kinds.push(...LOSING);
  for (let at = kinds.length - 1; at > 0; at--) {
    const other = random.below(at + 1);
    [kinds[at], kinds[other]] = [kinds[other] as FaultKind, kinds[at] as FaultKind];
  }
  return kinds;
}

function majority({ servers }: Cluster): readonly RedisServer[] {
  return servers.slice(0, Math.floor(servers.length / 2) + 1);
}

function each<T>(items: readonly T[], act: (item: T) => void): void {
  for (const item of items) act(item);
}
