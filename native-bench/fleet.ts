/**
 * A fleet of three members: how soon does a change reach all of them, how soon is a dead leader followed by another one, and what does
 * the store cost while nothing happens?
 *
 *   npm run bench:fleet -- [--stores redis,etcd,zookeeper] [--parts change,leader,idle] [--rounds 10] [--nodes 1000] [--seconds 20] [--no-save]
 *
 *   change    a member writes another address for one node, and for all nodes, of a pool of 1,000: until every worker of every member goes by it
 *   leader    the leader's process is killed: until another one has a term
 *   idle      CPU of a member and of the store's servers, beside a process that has no store in common with others
 *
 * Everything is on one machine, also the store's three servers; each syncs what it acknowledges to the disk.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { statusOf } from '../test/help/fleet-member.js';
import {
  type FleetStore,
  type StoreOwner,
  startEtcdStore,
  startRedisStore,
  startZooKeeperStore,
} from '../test/help/fleet-stores.js';
import { type LogLine, type ProxyOptions, ProxyProcess } from '../test/help/proxy.js';
import { RedisServer } from '../test/help/redis-server.js';
import { waitFor } from '../test/help/wait-for.js';
import { BenchmarkError, run } from './compare/children.js';
import { cpuTimeOfAll } from './compare/cpu.js';
import { findPrograms } from './compare/programs.js';
import { saveResults } from './compare/results.js';

const MEMBERS = ['one', 'two', 'three'];
const LEASE_MS = 2_000;
const REACH_MS_MAX = 100;
const IDLE_PER_CENT_MAX = 1;
/** After a lease, milliseconds. */
const SUCCESSION_MS_MAX = 1_000;
const SETTLE_MS = 3_000;
const PARTS = ['change', 'leader', 'idle'] as const;
const LOG = { level: 'info', format: 'json' } as const;

const STORES: Readonly<Record<string, (owner: StoreOwner) => Promise<FleetStore | null>>> = {
  redis: startRedisStore,
  etcd: startEtcdStore,
  zookeeper: startZooKeeperStore,
};

type Part = (typeof PARTS)[number];

interface Options {
  stores: readonly string[];
  parts: readonly Part[];
  rounds: number;
  nodes: number;
  seconds: number;
  isSaved: boolean;
}

/** Of one store, what was measured; times in milliseconds, CPU in per cent of a core. */
interface Results {
  changes?: Readonly<Record<string, readonly number[]>>;
  successions?: readonly number[];
  idle?: { member: number; alone: number; servers: number };
}

/** What is to be stopped, in the order in which it was started. */
class Owner implements StoreOwner {
  private readonly stops: (() => unknown)[] = [];

  teardown(stop: () => unknown): void {
    this.stops.unshift(stop);
  }

  pass(message: string): void {
    console.log(message);
  }

  async stop(): Promise<void> {
    for (const stop of this.stops.splice(0)) await stop();
  }
}

await run(() => main(readOptions()));

async function main(options: Options): Promise<void> {
  const owner = new Owner();
  const results: Record<string, Results> = {};
  try {
    const alone = options.parts.includes('idle') ? await idleAlone(owner, options) : 0;
    for (const name of options.stores) {
      const start = STORES[name] as (typeof STORES)[string];
      const own = new Owner();
      owner.teardown(() => own.stop());
      const store = await start(own);
      if (store !== null) results[name] = await measure(name, store, options, alone);
      await own.stop();
    }
  } finally {
    await owner.stop();
  }
  if (!options.isSaved) return;
  const nodeOf = new Map([['ringleader', process.execPath]]);
  const programs = await findPrograms();
  saveResults({ suffix: '-fleet', raisedPriority: false, programs, nodeOf }, { options, leaseMs: LEASE_MS, results });
}

async function measure(name: string, store: FleetStore, options: Options, alone: number): Promise<Results> {
  console.log(`\n${name}`);
  const { parts } = options;
  const results: Results = {};
  if (parts.includes('change')) results.changes = await measureChanges(store, options);
  if (parts.includes('leader')) results.successions = await measureLeaders(store, options);
  if (parts.includes('idle')) results.idle = { ...(await measureIdle(store, options, alone)), alone };
  return results;
}

type Changes = NonNullable<Results['changes']>;
type Idle = NonNullable<Results['idle']>;

async function measureChanges(store: FleetStore, { nodes, rounds }: Options): Promise<Changes> {
  const owner = new Owner();
  try {
    const server = await RedisServer.start({ args: ['--bind', '0.0.0.0'] });
    owner.teardown(() => server.stop());
    const proxies = await startMembers(owner, store, 'change', nodeList(nodes, server.port, 1));
    const [writer] = proxies as [ProxyProcess];
    const took = { 'one node of the pool moves': [] as number[], 'all nodes of the pool move': [] as number[] };
    for (let round = 0; round < rounds; round++) {
      for (const [what, all] of Object.entries(took)) {
        const isOne = all === took['one node of the pool moves'];
        const from = writer.logLines.length;
        writer.reload((text) => {
          const config = JSON.parse(text);
          const list = config.pools.main.nodes;
          const moved = nodeList(nodes, server.port, 2 * round + (isOne ? 2 : 3));
          config.pools.main.nodes = isOne ? [moved[0], ...list.slice(1)] : moved;
          return JSON.stringify(config);
        });
        const line = await lineAfter(writer, from, 'topology-acknowledged');
        if (line['members'] !== MEMBERS.length) throw new BenchmarkError(`${what}: ${JSON.stringify(line)}`);
        all.push(line['tookMs'] as number);
        // Its connections are made anew meanwhile.
        await sleep(SETTLE_MS);
      }
    }
    for (const [what, all] of Object.entries(took)) {
      console.log(
        `  ${nodes} nodes, ${what}: all members go by it after ${describe(all)} ms (asked: under ${REACH_MS_MAX})`,
      );
    }
    return took;
  } finally {
    await owner.stop();
  }
}

async function measureLeaders(store: FleetStore, { rounds }: Options): Promise<number[]> {
  const owner = new Owner();
  try {
    const server = await RedisServer.start();
    owner.teardown(() => server.stop());
    const proxies = await startMembers(owner, store, 'leader', [{ name: 'a', url: server.url }]);
    const members = new Map(MEMBERS.map((name, at) => [name, proxies[at] as ProxyProcess]));
    const all: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const { fleet } = await statusOf([...members.values()][round % MEMBERS.length] as ProxyProcess);
      const name = fleet.leader?.name ?? '';
      const term = fleet.leader?.term ?? 0;
      const others = [...members].filter(([own]) => own !== name).map(([, proxy]) => proxy);
      const startMs = performance.now();
      await members.get(name)?.kill9();
      await waitFor('another leader', () => {
        return others.some(({ logLines }) => {
          return logLines.some(({ msg, term: own }) => msg === 'fleet-elected' && (own as number) > term);
        });
      });
      all.push(performance.now() - startMs);
      members.set(name, await startMember(owner, store, 'leader', name, [{ name: 'a', url: server.url }]));
      await allWell([...members.values()]);
    }
    const asked = `asked: at most ${LEASE_MS + SUCCESSION_MS_MAX}`;
    console.log(`  the leader is killed: another one leads after ${describe(all)} ms (lease ${LEASE_MS}; ${asked})`);
    return all;
  } finally {
    await owner.stop();
  }
}

async function measureIdle(
  store: FleetStore,
  { seconds }: Options,
  alone: number,
): Promise<Pick<Idle, 'member' | 'servers'>> {
  const owner = new Owner();
  try {
    const server = await RedisServer.start();
    owner.teardown(() => server.stop());
    const proxies = await startMembers(owner, store, 'idle', [{ name: 'a', url: server.url }], '10s');
    await sleep(SETTLE_MS);
    const [all = 0, servers = 0] = await cpuPerCent([proxies.map(({ pid }) => pid), store.pids()], seconds);
    const each = all / MEMBERS.length;
    const both = `a member takes ${each.toFixed(2)} % of a core, and ${alone.toFixed(2)} % without a store in common`;
    const cost = `the store costs it ${(each - alone).toFixed(2)} % (asked: under ${IDLE_PER_CENT_MAX})`;
    console.log(`  idle, lease 10 s: ${both}: ${cost}; the store's three servers take ${servers.toFixed(2)} %`);
    return { member: each, servers };
  } finally {
    await owner.stop();
  }
}

/** One of three processes that have nothing to agree on, per cent of a core. */
async function idleAlone(owner: Owner, { seconds }: Options): Promise<number> {
  const own = new Owner();
  owner.teardown(() => own.stop());
  const server = await RedisServer.start();
  own.teardown(() => server.stop());
  const pids: number[] = [];
  for (const _ of MEMBERS) {
    const proxy = await ProxyProcess.start({ nodes: [{ name: 'a', url: server.url }], log: LOG });
    own.teardown(() => proxy.kill9());
    pids.push(proxy.pid);
  }
  await sleep(SETTLE_MS);
  const [percent = 0] = await cpuPerCent([pids], seconds);
  await own.stop();
  return percent / MEMBERS.length;
}

type Nodes = readonly { name: string; url: string }[];

async function startMembers(
  owner: Owner,
  store: FleetStore,
  cluster: string,
  nodes: Nodes,
  lease?: string,
): Promise<ProxyProcess[]> {
  const proxies: ProxyProcess[] = [];
  for (const name of MEMBERS) proxies.push(await startMember(owner, store, cluster, name, nodes, lease));
  await allWell(proxies);
  return proxies;
}

async function startMember(
  owner: Owner,
  { section, pools }: FleetStore,
  cluster: string,
  member: string,
  nodes: Nodes,
  lease = `${LEASE_MS}ms`,
): Promise<ProxyProcess> {
  const options: ProxyOptions = {
    layout: { pools: { main: { nodes }, ...pools }, keyspaces: [{ prefix: '', pool: 'main' }] },
    coordination: { ...section, cluster, member, lease },
    log: LOG,
  };
  const proxy = await ProxyProcess.start(options);
  owner.teardown(() => proxy.kill9());
  return proxy;
}

async function allWell(proxies: readonly ProxyProcess[]): Promise<void> {
  for (const proxy of proxies) {
    await waitFor('a whole fleet', async () => {
      const { fleet } = await statusOf(proxy);
      return fleet.isMember && fleet.members.length === MEMBERS.length && fleet.leader?.term != null;
    });
  }
}

function lineAfter({ logLines }: ProxyProcess, from: number, event: string): Promise<LogLine> {
  return waitFor(event, () => logLines.slice(from).find(({ msg }) => msg === event), 30_000);
}

/** Each with an address of its own in 127.NET.0.0/16. */
function nodeList(count: number, port: number, net: number): Nodes {
  return Array.from({ length: count }, (_, index) => {
    return { name: `n${index}`, url: `redis://127.${net}.${index >> 7}.${(index & 127) + 1}:${port}` };
  });
}

async function cpuPerCent(groups: readonly (readonly number[])[], seconds: number): Promise<number[]> {
  const usedBy = (pids: readonly number[]) => {
    const { user, kernel } = cpuTimeOfAll(pids);
    return user + kernel;
  };
  const before = groups.map(usedBy);
  const startMs = performance.now();
  await sleep(seconds * 1_000);
  const took = (performance.now() - startMs) / 1_000;
  return groups.map((pids, at) => ((usedBy(pids) - (before[at] as number)) / took) * 100);
}

function describe(all: readonly number[]): string {
  const sorted = all.toSorted((one, other) => one - other);
  const at = (part: number) => Math.round(sorted[Math.floor(part * (sorted.length - 1))] as number);
  return `${at(0.5)} (least ${at(0)}, most ${at(1)})`;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      stores: { type: 'string', default: 'redis,etcd,zookeeper' },
      parts: { type: 'string', default: PARTS.join() },
      rounds: { type: 'string', default: '10' },
      nodes: { type: 'string', default: '1000' },
      seconds: { type: 'string', default: '20' },
      'no-save': { type: 'boolean', default: false },
    },
  });
  const stores = values.stores.split(',');
  const unknown = stores.find((name) => STORES[name] === undefined);
  if (unknown !== undefined) throw new BenchmarkError(`--stores ${unknown}: some of ${Object.keys(STORES).join(',')}`);
  const asked = values.parts.split(',');
  const parts = PARTS.filter((part) => asked.includes(part));
  if (parts.length < asked.length) throw new BenchmarkError(`--parts ${values.parts}: some of ${PARTS.join()}`);
  const number = (name: 'rounds' | 'nodes' | 'seconds') => {
    const value = Number(values[name]);
    if (!(value > 0)) throw new BenchmarkError(`--${name} ${values[name]}: a number above 0`);
    return value;
  };
  const isSaved = !values['no-save'];
  return { stores, parts, rounds: number('rounds'), nodes: number('nodes'), seconds: number('seconds'), isSaved };
}
