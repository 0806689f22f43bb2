/**
 * Three proxies of one fleet that change its topology again and again, while they and the servers of its store are killed and stopped;
 * and what must never be seen meanwhile.
 *
 *   strike -> the topology is changed nevertheless (if a majority of the store can be reached) -> heal -> and again
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { decodeTopology, type SharedTopology, TOPOLOGY_KEY } from '../../src/control/shared-topology.js';
import type { Store } from '../../src/coord/store.js';
import { StoreError } from '../../src/coord/store-error.js';
import { Placement } from './deployment.js';
import { statusOf, withNode } from './fleet-member.js';
import { connectTo, type FleetStore } from './fleet-stores.js';
import { type ProxyOptions, ProxyProcess } from './proxy.js';
import { type Random, randomFromSeed } from './random.js';
import { type RedisServer, startRedisServers } from './redis-server.js';
import { RespClient } from './resp-client.js';
import { waitFor, within } from './wait-for.js';

const NAMES = ['one', 'two', 'three'] as const;
const LEASE_MS = 2_000;
/** What a fault takes at the most, beyond the change that is made meanwhile: longer than a lease. */
const FAULT_MS_MAX = 3_000;
const CHANGE_MS_MAX = 30_000;
/** Within it every command of a member that runs is answered. */
const ANSWER_MS_MAX = 10_000;
/** Addresses of the node that moves: nothing is there, and nobody asks for its keys. */
const FIRST_PORT = 20_000;
const PORTS = 10_000;

interface Member {
  readonly name: string;
  proxy: ProxyProcess;
  isUp: boolean;
  /** One of its workers may have gone, with the clients that it had. */
  isShaken: boolean;
}

export class FleetCampaign {
  /** What must not be: empty at the end of a good run. */
  readonly faults: string[] = [];
  /** For a comment. */
  readonly counts = { changes: 0, refused: 0, strikes: 0, terms: 0, commands: 0 };
  private readonly store: FleetStore;
  private readonly cluster: string;
  private readonly random: Random;
  private readonly node: RedisServer;
  private readonly members: Member[] = [];
  private readonly observer: Store;
  private isOver = false;
  /** By version: what was read in the store. */
  private readonly seen = new Map<number, SharedTopology>();
  /** By version: the address that a member was told to be written. */
  private readonly acknowledged = new Map<number, string>();
  /** By term. */
  private readonly leaders = new Map<number, string>();
  private moves = 0;

  private constructor(store: FleetStore, cluster: string, random: Random, node: RedisServer) {
    this.store = store;
    this.cluster = cluster;
    this.random = random;
    this.node = node;
    this.observer = connectTo(store, cluster);
  }

  static async start(store: FleetStore, cluster: string, random: Random): Promise<FleetCampaign> {
    const [node] = (await startRedisServers(1)) as [RedisServer];
    const campaign = new FleetCampaign(store, cluster, random, node);
    for (const name of NAMES) {
      campaign.members.push({
        name,
        proxy: await ProxyProcess.start(campaign.options(name)),
        isUp: true,
        isShaken: false,
      });
    }
    return campaign;
  }

  async run(durationMs: number): Promise<void> {
    const deadlineMs = performance.now() + durationMs;
    const watching = [this.watchStore(), ...this.members.map((member) => this.useSharded(member))];
    try {
      while (performance.now() < deadlineMs) await this.phase();
      await this.change();
      await this.agree();
    } finally {
      this.isOver = true;
      await Promise.all(watching);
    }
    for (const { name, proxy } of this.members) this.readLog(name, proxy);
    this.judge();
  }

  async stop(): Promise<void> {
    this.isOver = true;
    await this.observer.close();
    await Promise.all(this.members.map(({ proxy }) => proxy.kill9()));
    await this.node.stop();
  }

  private options(member: string): ProxyOptions {
    const { section, pools } = this.store;
    const nodes = [
      { name: 'a', url: `redis://127.0.0.1:${FIRST_PORT - 1}` },
      { name: 'b', url: this.node.url },
    ];
    return {
      layout: { pools: { main: { nodes }, ...pools }, keyspaces: [{ prefix: '', pool: 'main' }] },
      coordination: { ...section, cluster: this.cluster, member, lease: `${LEASE_MS}ms` },
      log: { level: 'info', format: 'json' },
      workers: 2,
      env: { RINGLEADER_TEST_HOOKS: '1' },
    };
  }

  private async phase(): Promise<void> {
    const { random, store } = this;
    const server = random.below(store.servers.size);
    const member = random.pick(this.members);
    const kinds: readonly (() => Promise<void>)[] = [
      () =>
        this.during(
          'a member is killed',
          () => this.killMember(member),
          () => this.startMember(member),
        ),
      () => this.restartMember(member),
      () => this.crashWorker(member),
      () =>
        this.during(
          'a member is stopped',
          () => this.pauseMember(member),
          () => this.resumeMember(member),
        ),
      () =>
        this.during(
          'a server is killed',
          () => store.servers.kill(server),
          () => store.servers.restart(server),
        ),
      () =>
        this.during(
          'a server is stopped',
          () => store.servers.pause(server),
          () => store.servers.resume(server),
        ),
      () => this.withoutMajority(),
    ];
    this.counts.strikes++;
    await random.pick(kinds)();
    await this.change();
  }

  private async during(
    what: string,
    strike: () => Promise<void> | void,
    heal: () => Promise<void> | void,
  ): Promise<void> {
    await strike();
    try {
      await this.change();
      await sleep(this.random.below(FAULT_MS_MAX));
    } catch (error) {
      throw new Error(`while ${what}: ${(error as Error).message}`, { cause: error });
    } finally {
      await heal();
    }
  }

  /** Nothing can be agreed on; sharded keys are served. */
  private async withoutMajority(): Promise<void> {
    const { servers } = this.store;
    const majority = Math.floor(servers.size / 2) + 1;
    for (let index = 0; index < majority; index++) servers.pause(index);
    await sleep(this.random.below(FAULT_MS_MAX));
    for (let index = 0; index < majority; index++) servers.resume(index);
  }

  private async killMember(member: Member): Promise<void> {
    member.isUp = false;
    this.readLog(member.name, member.proxy);
    await member.proxy.kill9();
    this.readLog(member.name, member.proxy);
  }

  private async startMember(member: Member): Promise<void> {
    // Its file says what was at the very beginning: that takes nothing back.
    member.proxy = await ProxyProcess.start(this.options(member.name));
    member.isUp = true;
  }

  /** In order: whoever is told to end leaves the fleet. */
  private async restartMember(member: Member): Promise<void> {
    member.isUp = false;
    const code = await member.proxy.stop();
    this.readLog(member.name, member.proxy);
    if (code !== 0) this.faults.push(`${member.name} ended with ${code}:\n${member.proxy.output()}`);
    await this.change();
    await this.startMember(member);
  }

  /** Its clients are cut off; another takes its place. */
  private async crashWorker(member: Member): Promise<void> {
    const { proxy } = member;
    const restarted = () => proxy.logLines.filter(({ msg }) => msg === 'worker-restarted').length;
    const before = restarted();
    member.isShaken = true;
    proxy.signal('SIGUSR2');
    await this.change();
    await waitFor('another worker', () => restarted() > before);
    member.isShaken = false;
  }

  private pauseMember(member: Member): void {
    member.isUp = false;
    member.proxy.signal('SIGSTOP');
  }

  private resumeMember(member: Member): void {
    member.proxy.signal('SIGCONT');
    member.isUp = true;
  }

  /** Members that run move a node, until one of them says that it is done. */
  private change(): Promise<void> {
    return within('a change of the topology', this.tryChanges(), CHANGE_MS_MAX);
  }

  private async tryChanges(): Promise<void> {
    for (;;) {
      const { proxy } = this.random.pick(this.members.filter(({ isUp }) => isUp));
      const address = `127.0.0.1:${FIRST_PORT + (this.moves++ % PORTS)}`;
      const from = proxy.logLines.length;
      proxy.reload((text) => withNode(text, 'a', `redis://${address}`));
      const answer = await waitFor(
        'an answer to the reload',
        () => proxy.logLines.slice(from).find(({ msg }) => msg === 'reloaded' || msg === 'reload-failed'),
        CHANGE_MS_MAX,
      );
      if (answer.msg === 'reloaded') {
        this.counts.changes++;
        this.acknowledge(answer['topology'] as number, address);
        return;
      }
      this.counts.refused++;
    }
  }

  private acknowledge(version: number, address: string): void {
    const before = this.acknowledged.get(version);
    if (before !== undefined) this.faults.push(`version ${version} was told to be both ${before} and ${address}`);
    this.acknowledged.set(version, address);
  }

  /** Resolves when all members see each other, one leader and the newest topology, and go by it. */
  private async agree(): Promise<void> {
    const entry = await waitFor('the store', () => this.observer.get(TOPOLOGY_KEY), CHANGE_MS_MAX);
    const { version, layout } = decodeTopology(entry.value ?? '');
    const address = layout.pools.find(({ name }) => name === 'main')?.nodes[0]?.address;
    for (const { name, proxy } of this.members) {
      await waitFor(
        `${name} to agree on version ${version}`,
        async () => {
          const { configuration, fleet, nodes } = await statusOf(proxy);
          const isWhole = fleet.isMember && fleet.members.length === NAMES.length && fleet.leader?.term != null;
          const goesByIt = configuration.topologyVersion === version && nodes[0]?.address === address;
          return isWhole && goesByIt && fleet.members.every(({ topologyVersion }) => topologyVersion === version);
        },
        CHANGE_MS_MAX,
      );
    }
  }

  private async watchStore(): Promise<void> {
    while (!this.isOver) {
      try {
        const { value } = await this.observer.get(TOPOLOGY_KEY);
        if (value !== null) this.see(decodeTopology(value));
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
      }
      await sleep(20);
    }
  }

  private see(topology: SharedTopology): void {
    const before = this.seen.get(topology.version);
    if (before !== undefined && JSON.stringify(before) !== JSON.stringify(topology)) {
      this.faults.push(`version ${topology.version} had two contents: ${JSON.stringify([before, topology])}`);
    }
    this.seen.set(topology.version, topology);
  }

  /** Keys that need nobody's agreement are served all the time by who runs. */
  private async useSharded(member: Member): Promise<void> {
    const key = new Placement(['a', 'b']).key(1, 'key');
    while (!this.isOver) {
      await sleep(20);
      const { proxy, isUp } = member;
      if (!isUp) continue;
      try {
        const client = await RespClient.connect(proxy.port);
        try {
          await this.useBy(client, key, member, proxy);
        } finally {
          client.close();
        }
      } catch (error) {
        // It was killed or stopped meanwhile.
        if (!member.isUp || member.isShaken || member.proxy !== proxy || this.isOver) continue;
        this.faults.push(`${member.name} does not serve: ${(error as Error).message}`);
        await sleep(FAULT_MS_MAX);
      }
    }
  }

  private async useBy(client: RespClient, key: string, member: Member, proxy: ProxyProcess): Promise<void> {
    for (let count = 0; member.isUp && member.proxy === proxy && !this.isOver; count++) {
      const value = `${member.name}.${count}`;
      const reply = await within('the reply to SET', client.command('SET', key, value), ANSWER_MS_MAX);
      if (reply !== 'OK') throw new Error(`SET: ${reply}`);
      this.counts.commands++;
      await sleep(10);
    }
  }

  private readLog(name: string, { logLines }: ProxyProcess): void {
    for (const { msg, term, time } of logLines) {
      if (msg !== 'fleet-elected') continue;
      const who = `${name} at ${time}`;
      const before = this.leaders.get(term as number);
      if (before !== undefined && before !== who) this.faults.push(`term ${term} has two leaders: ${before}, ${who}`);
      this.leaders.set(term as number, who);
    }
  }

  private judge(): void {
    this.counts.terms = this.leaders.size;
    for (const [version, address] of this.acknowledged) {
      const topology = this.seen.get(version);
      // It was overwritten before it was read.
      if (topology === undefined) continue;
      const written = topology.layout.pools.find(({ name }) => name === 'main')?.nodes[0]?.address;
      if (written !== address) this.faults.push(`version ${version} was told to have ${address}, and has ${written}`);
    }
  }
}

/** Runs one for so long; the test says what was done, and fails for what must not be. */
export async function testCampaign(t: Test, store: FleetStore, durationMs: number): Promise<void> {
  const random = randomFromSeed((text) => t.comment(text));
  const campaign = await FleetCampaign.start(store, 'campaign', random);
  t.teardown(() => campaign.stop());
  await campaign.run(durationMs);
  t.comment(
    Object.entries(campaign.counts)
      .map(([name, count]) => `${count} ${name}`)
      .join(', '),
  );
  t.same(campaign.faults, []);
  t.ok(campaign.counts.changes > 0 && campaign.counts.commands > 0);
}
