/** Several proxies that are one fleet by their configuration alone, whatever store they have. */
import type { Test } from 'tap';
import type { FleetStatus } from '../../src/control/status.js';
import { Placement } from '../help/deployment.js';
import { statusOf, waitForFleet, withNode } from '../help/fleet-member.js';
import { connectTo, type FleetStore } from '../help/fleet-stores.js';
import { type ProxyOptions, ProxyProcess } from '../help/proxy.js';
import { type RedisServer, startRedisServers } from '../help/redis-server.js';
import { connect, RespClient } from '../help/resp-client.js';

const LEASE_MS = 2_000;
const MOVES = 8;
/** Of each member: with so many it is unlikely that a worker has none. */
const CLIENTS = 10;
const NAMES = ['one', 'two', 'three'] as const;

type Start = (member: string, change?: (options: ProxyOptions) => ProxyOptions) => Promise<ProxyProcess>;

interface Fleet {
  readonly nodes: readonly RedisServer[];
  /** As all members are configured, unless changed. */
  readonly start: Start;
  readonly options: (member: string) => ProxyOptions;
  readonly layout: Readonly<Record<string, unknown>>;
}

async function prepare(t: Test, { section, pools }: FleetStore, cluster: string, nodes = 2): Promise<Fleet> {
  const servers = await startRedisServers(nodes);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  const named = servers.slice(0, 2).map(({ url }, index) => ({ name: 'ab'[index], url }));
  const layout = { pools: { main: { nodes: named }, ...pools }, keyspaces: [{ prefix: '', pool: 'main' }] };
  const options = (member: string): ProxyOptions => {
    return { layout, coordination: { ...section, cluster, member, lease: `${LEASE_MS}ms` } };
  };
  const start: Start = async (member, change = (options) => options) => {
    const proxy = await ProxyProcess.start(change(options(member)));
    t.teardown(() => proxy.kill9());
    return proxy;
  };
  return { nodes: servers, start, options, layout };
}

async function startAll(fleet: Fleet): Promise<ProxyProcess[]> {
  return Promise.all(NAMES.map((name) => fleet.start(name)));
}

/** All of them are members, all go by that version, and one leads. */
function isWhole(version: number, names: readonly string[] = NAMES): (fleet: FleetStatus) => boolean {
  return ({ members, leader, topologyVersion }) => {
    const own = members.map(({ name }) => name).join();
    const isThere = own === [...names].sort().join() && topologyVersion === version && leader?.term != null;
    return isThere && members.every((member) => member.topologyVersion === version);
  };
}

async function ask(proxy: ProxyProcess, ...command: string[]): Promise<unknown> {
  const client = await RespClient.connect(proxy.port);
  try {
    return await client.command(...command);
  } finally {
    client.close();
  }
}

function withKeyspace(text: string, prefix: string): string {
  const config = JSON.parse(text);
  config.keyspaces.push({ prefix, pool: 'main' });
  return JSON.stringify(config, null, 2);
}

type FleetCase = (t: Test, store: FleetStore) => Promise<void>;

const CASES: Readonly<Record<string, FleetCase>> = {
  async 'three processes are one fleet, and who would look for keys elsewhere is none of it'(t, store) {
    const fleet = await prepare(t, store, 'form');
    const [one, two, three] = (await startAll(fleet)) as [ProxyProcess, ProxyProcess, ProxyProcess];
    for (const proxy of [one, two, three]) await waitForFleet(proxy, 'a whole fleet', isWhole(1));
    const seen = await Promise.all([one, two, three].map(statusOf));
    t.equal(new Set(seen.map(({ fleet }) => JSON.stringify(fleet.leader))).size, 1, 'they see one leader');
    t.match(
      seen.map(({ fleet }) => fleet),
      NAMES.map((member) => ({ cluster: 'form', member, isMember: true, trouble: null })),
    );
    t.equal(await ask(one, 'SET', 'k', 'v'), 'OK');
    t.equal(await ask(three, 'GET', 'k'), 'v');

    const other = (options: ProxyOptions): ProxyOptions => {
      const nodes = fleet.nodes.map(({ url }, index) => ({ name: 'az'[index], url }));
      return { ...options, layout: { ...fleet.layout, pools: { main: { nodes }, ...store.pools } } };
    };
    await t.rejects(fleet.start('four', other), {
      message:
        /keys would be looked for elsewhere than the fleet form does \(topology version 1, written by \w+\):\n {2}pool main: node z is new, .*\n {2}pool main: node b is gone/,
    });
    t.equal(await two.stop(), 0);
    await waitForFleet(one, 'two to be gone at once', isWhole(1, ['one', 'three']), LEASE_MS / 2);

    const again = await fleet.start('two', (options) => ({ ...other(options), acceptRemap: true }));
    const line = await again.waitForLog('topology-acknowledged');
    t.match(line, { topology: 2 }, 'what is written at a start all have to go by, too');
    for (const proxy of [one, three]) t.equal((await statusOf(proxy)).fleet.topologyVersion, 2);
  },

  async 'what one member changes, all go by, and who cannot says why'(t, store) {
    const fleet = await prepare(t, store, 'change', 3);
    const [one, two, three] = (await startAll(fleet)) as [ProxyProcess, ProxyProcess, ProxyProcess];
    await waitForFleet(one, 'a whole fleet', isWhole(1));
    // A node moves: what it has is elsewhere from now on, for all members.
    const { url = '' } = fleet.nodes[2] ?? {};
    one.reload((text) => withNode(withNode(text, 'a', url), 'b', 'redis://127.0.0.1:1'));
    await waitForFleet(two, 'all to follow', isWhole(2));
    t.match(await one.waitForLog('topology-acknowledged', ({ topology }) => topology === 2), { members: 3 });
    t.match(await two.waitForLog('topology-followed'), { topology: 2, writer: 'one' });
    const moved = new URL(url);
    for (const proxy of [two, three]) {
      const { nodes } = await statusOf(proxy);
      t.equal(nodes.find(({ name }) => name === 'a')?.address, moved.host);
    }
    // Their own files still say what was: that is no news, and takes nothing back.
    two.reload((text) => text.replace('"workers": 1', '"workers": 1, "drainTimeout": "5s"'));
    await two.waitForLog('reloaded');
    t.equal((await statusOf(two)).fleet.topologyVersion, 2);

    three.reload((text) => withKeyspace(text, 'new:'));
    await three.waitForLog('reloaded', ({ topology }) => topology === 3);
    const lagging = await waitForFleet(one, 'the others to say why they lag', ({ members }) => {
      const late = members.filter(({ reason }) => reason !== null);
      return late.length === 2 && members.some(({ topologyVersion }) => topologyVersion === 3);
    });
    t.match(
      lagging.members.map(({ name, topologyVersion, reason }) => ({ name, topologyVersion, reason })),
      [
        {
          name: 'one',
          topologyVersion: 2,
          reason: /keyspace "new:" of the fleet's topology is not in this configuration/,
        },
        { name: 'three', topologyVersion: 3, reason: null },
        { name: 'two', topologyVersion: 2 },
      ],
    );
    t.equal(await ask(one, 'PING'), 'PONG', 'they go on by what they had');
    for (const proxy of [one, two]) proxy.reload((text) => withKeyspace(text, 'new:'));
    await waitForFleet(three, 'all to go by it', isWhole(3));
    t.match(await three.waitForLog('topology-acknowledged', ({ topology }) => topology === 3), { members: 3 });
    one.reload((text) => text.replace('"name": "a"', '"name": "z"'));
    t.match(await one.waitForLog('reload-refused'), { remaps: [/node z is new/, /node a is gone/] });
    t.equal((await statusOf(one)).fleet.topologyVersion, 3);
  },

  async 'what is acknowledged holds in every worker of every member'(t, store) {
    const fleet = await prepare(t, store, 'workers', 3);
    const twoWorkers = (options: ProxyOptions) => ({ ...options, workers: 2 });
    const proxies = await Promise.all(NAMES.map((name) => fleet.start(name, twoWorkers)));
    await waitForFleet(proxies[0] as ProxyProcess, 'a whole fleet', isWhole(1));
    // The node a is one of two servers in turn; each says which.
    const homes = [fleet.nodes[0], fleet.nodes[2]] as [RedisServer, RedisServer];
    const key = new Placement(['a', 'b']).key(0, 'home');
    for (const [home, { port }] of homes.entries()) {
      const client = await connect(t, port);
      await client.command('SET', key, `${home}`);
    }
    const clients: RespClient[] = [];
    for (const { port } of proxies) for (let n = 0; n < CLIENTS; n++) clients.push(await connect(t, port));
    for (let move = 1; move <= MOVES; move++) {
      const home = move % homes.length;
      // What a file says already is no news: each has to be another one than the writer wrote before.
      const writer = proxies[move <= MOVES / 2 ? 0 : 1] as ProxyProcess;
      const version = move + 1;
      writer.reload((text) => withNode(text, 'a', homes[home]?.url ?? ''));
      await writer.waitForLog('topology-acknowledged', ({ topology }) => topology === version);
      const replies = await Promise.all(clients.map((client) => client.command('GET', key)));
      t.same(new Set(replies), new Set([`${home}`]), `move ${move}`);
    }
  },

  async 'a leader that is killed or paused has a successor, in a later term'(t, store) {
    const fleet = await prepare(t, store, 'lead');
    const proxies = new Map<string, ProxyProcess>();
    for (const name of NAMES) proxies.set(name, await fleet.start(name));
    const others = (name: string) => [...proxies].filter(([own]) => own !== name).map(([, proxy]) => proxy);
    const first = await waitForFleet(proxies.get('one') as ProxyProcess, 'a whole fleet', isWhole(1));
    const { name = '', term: firstTerm } = first.leader ?? {};
    const leader = proxies.get(name) as ProxyProcess;
    leader.signal('SIGSTOP');
    const stoppedMs = performance.now();
    const [witness] = others(name) as [ProxyProcess];
    const second = await waitForFleet(
      witness,
      'another leader',
      ({ leader }) => leader?.term != null && leader.name !== name,
    );
    t.ok(Number(second.leader?.term) > Number(firstTerm), `term ${second.leader?.term} follows ${firstTerm}`);
    t.comment(`the next one led after ${Math.round(performance.now() - stoppedMs)} ms, with a lease of ${LEASE_MS} ms`);
    leader.signal('SIGCONT');
    t.match(await leader.waitForLog('fleet-deposed'), { reason: /./ });
    // Others may not have missed it yet.
    await waitForFleet(leader, 'it to be a member again', ({ isMember }) => isMember);
    await waitForFleet(witness, 'all to be members', isWhole(1));

    const next = second.leader?.name ?? '';
    const [survivor] = others(next) as [ProxyProcess];
    // It may be the one that was deposed, and know the leader of before for a while yet.
    await waitForFleet(survivor, 'the leader to be known to it', ({ leader }) => leader?.term === second.leader?.term);
    await (proxies.get(next) as ProxyProcess).kill9();
    const third = await waitForFleet(
      survivor,
      'a third leader',
      ({ leader }) => leader?.term != null && leader.name !== next,
    );
    t.ok(Number(third.leader?.term) > Number(second.leader?.term));
    const again = await fleet.start(next);
    t.equal(await ask(again, 'SET', 'k', 'v'), 'OK', 'it serves at once');
    await waitForFleet(again, 'its name to be its own again', isWhole(1));
  },

  async 'while the store is away, only what needs agreement waits'(t, store) {
    const fleet = await prepare(t, store, 'away');
    const [one, two] = (await Promise.all(['one', 'two'].map((name) => fleet.start(name)))) as [
      ProxyProcess,
      ProxyProcess,
    ];
    await waitForFleet(one, 'a fleet', isWhole(1, ['one', 'two']));
    const majority = Math.floor(store.servers.size / 2) + 1;
    for (let index = 0; index < majority; index++) await store.servers.kill(index);
    const lost = await waitForFleet(
      one,
      'the loss to be seen',
      ({ isMember, trouble }) => !isMember && trouble !== null,
    );
    t.match(lost.trouble, /./);
    t.equal(await ask(one, 'SET', 'k', 'v'), 'OK');
    t.equal(await ask(two, 'GET', 'k'), 'v');
    one.reload((text) => text.replace('"workers": 1', '"workers": 1, "drainTimeout": "5s"'));
    await one.waitForLog('reloaded', undefined, 10_000);
    one.reload((text) => withKeyspace(text, 'new:'));
    t.match(await one.waitForLog('reload-failed'), { reason: /./ });
    t.equal(await ask(one, 'GET', 'k'), 'v');

    const three = await ProxyProcess.launch(fleet.options('three'));
    t.teardown(() => three.kill9());
    t.match(await three.waitForLog('coordination-awaited'), { level: 'warn', reason: /./ }, 'who starts waits');
    t.equal((await fetch(`${three.adminUrl}/readyz`)).status, 503);
    const four = await ProxyProcess.launch(fleet.options('four'));
    t.teardown(() => four.kill9());
    await four.waitForLog('coordination-awaited');
    four.signal('SIGTERM');
    t.equal((await four.ended).code, 0, 'and can be ended meanwhile');
    t.notOk(three.logLines.some(({ msg }) => msg === 'listening'));
    for (let index = 0; index < majority; index++) await store.servers.restart(index);
    await three.waitForLog('listening');
    const isWell = ({ members, trouble }: FleetStatus) => members.length === 3 && trouble === null;
    await waitForFleet(one, 'all to be members again, and the store to be seen', isWell, 30_000);
    t.equal(await ask(three, 'GET', 'k'), 'v');
  },

  async 'a store that was emptied under its members, and is written anew, moves no key'(t, store) {
    const fleet = await prepare(t, store, 'emptied');
    const one = await fleet.start('one');
    await waitForFleet(one, 'a whole fleet', isWhole(1, ['one']));
    t.equal(await ask(one, 'SET', 'k', 'v'), 'OK');
    const client = connectTo(store, 'emptied');
    t.teardown(() => client.close());
    for (const folder of ['topology', 'leader']) {
      for (const [name, { version }] of (await client.list(folder)).entries) {
        await client.compareAndSet({ folder, name }, version, null);
      }
    }
    await waitForFleet(one, 'the loss to be seen', ({ trouble }) => /was version 1, and is gone/.test(trouble ?? ''));
    // It comes with other nodes, and finds nothing that it is to be compared with.
    const nodes = fleet.nodes.map(({ url }, index) => ({ name: 'xy'[index], url }));
    const two = await fleet.start('two', (options) => {
      return { ...options, layout: { ...fleet.layout, pools: { main: { nodes }, ...store.pools } } };
    });
    const isAnew = ({ trouble }: FleetStatus) => /was begun anew: it is version 1, written by two/.test(trouble ?? '');
    await waitForFleet(one, 'the new one to be seen', isAnew);
    one.reload((text) => withNode(text, 'a', 'redis://127.0.0.1:1'));
    t.match(await one.waitForLog('reload-failed'), { reason: /was begun anew/ });
    t.equal(await ask(one, 'GET', 'k'), 'v');
    t.match(
      await two.waitForLog('topology-late'),
      { late: [{ name: 'one' }] },
      'who goes by another version 1 is waited for',
    );
  },
};

/** Runs all cases, one after another: some of them kill the store's servers. */
export async function testFleet(t: Test, store: FleetStore): Promise<void> {
  for (const [name, run] of Object.entries(CASES)) await t.test(name, (t) => run(t, store));
}
