/** Keyspaces with prefixes on several pools, and several services: each session sees one Redis made of its own pools. */
import t from 'tap';
import type { PlacementRule } from '../../src/base/placement.js';
import type { ServiceSnapshot, TopologySnapshot } from '../../src/messages.js';
import type { KeyspaceConfig } from '../../src/routing/keyspace-section.js';
import { openPlacement } from '../../src/routing/route.js';
import { planTopology } from '../../src/routing/topology.js';
import { bulk, Plane } from '../help/plane.js';
import { PLACER } from '../help/topology.js';

const SLOTS = { kind: 'slots', colocate: [] } as const;

type Keyspace = Partial<Extract<KeyspaceConfig, { mode: 'sharded' }>> & { prefix: string; pool: string };

/** Four nodes: a and b in pool one, c and d in pool two. Services by name, door 0 first. */
async function planeOf(services: Record<string, Keyspace[]>): Promise<Plane> {
  const names = ['a', 'b', 'c', 'd'];
  const poolOf = (index: number) => (index < 2 ? 'one' : 'two');
  const node = (index: number) => ({
    name: names[index] as string,
    label: names[index] as string,
    pool: poolOf(index),
  });
  const plain = new Plane({ nodes: 4, node });
  const topology = await planned(plain.topology, services);
  return new Plane({ nodes: 4, node, services: topology.services }).greetAll();
}

async function planned(topology: TopologySnapshot, services: Record<string, Keyspace[]>): Promise<TopologySnapshot> {
  const pools = ['one', 'two'].map((name) => {
    const nodes = topology.nodes.filter(({ pool }) => pool === name);
    return { name, nodes, limits: (nodes[0] as (typeof nodes)[0]).limits };
  });
  const written = Object.entries(services).map(([name, keyspaces], index) => {
    const full = keyspaces.map((keyspace) => {
      return { mode: 'sharded', placement: SLOTS, multiKeyWrites: 'split', ...keyspace } as const;
    });
    return { name, port: 6380 + index, announced: [], keyspaces: full };
  });
  return planTopology({ ...topology, services: [] }, pools, written, PLACER);
}

/** The commands that each node was sent, by its name; nodes that were sent none are left out. */
function sent(plane: Plane): Record<string, string[]> {
  plane.turn();
  const found: Record<string, string[]> = {};
  for (const { index, name } of plane.topology.nodes) {
    const commands = plane.only(index).commands();
    if (commands.length > 0) found[name] = commands;
  }
  return found;
}

/** The node answers what it has been sent. */
function answer(plane: Plane, node: number, reply: string): void {
  const link = plane.only(node);
  link.take();
  link.answer(reply);
}

/** A key with that prefix that this rule puts on the second node of its pool. */
function keyOnSecond(service: ServiceSnapshot, keyspace: number, prefix: string): string {
  const snapshot = service.keyspaces[keyspace] as ServiceSnapshot['keyspaces'][0];
  const placement = openPlacement(snapshot.placement);
  const largest = Math.max(...snapshot.placement.owners);
  for (let n = 0; ; n++) {
    const key = Buffer.from(`${prefix}${n}`);
    if (placement.nodeOf(key, 0, key.length) === largest) return key.toString();
  }
}

t.test('a key goes to the pool of the longest prefix, placed as its keyspace says', async (t) => {
  const rules: PlacementRule[] = [
    { kind: 'ketama', hash: 'fnv1a_64', hashTag: null },
    { kind: 'modula', hash: 'md5', hashTag: '{}' },
    { kind: 'slots', colocate: ['m:{group}:*'] },
  ];
  for (const placement of rules) {
    const plane = await planeOf({
      main: [
        { prefix: '', pool: 'one' },
        { prefix: 'm:', pool: 'two', placement },
      ],
    });
    const service = plane.topology.services[0] as ServiceSnapshot;
    const [plainKey, ownKey] = [keyOnSecond(service, 0, 'k'), keyOnSecond(service, 1, 'm:')];
    const client = plane.client().send(['GET', plainKey], ['GET', ownKey]);
    t.same(sent(plane), { b: [`GET ${plainKey}`], d: [`GET ${ownKey}`] });
    client.send(['INCR', ownKey], ['LPUSH', plainKey, 'x']);
    t.same(sent(plane), { b: [`LPUSH ${plainKey} x`], d: [`INCR ${ownKey}`] });
  }
});

t.test('colocate rules keep keys together that have no hash tag', async (t) => {
  const placement = { kind: 'slots', colocate: ['bull:{queue}:*'] } as const;
  const plane = await planeOf({ main: [{ prefix: '', pool: 'one', placement }] });
  const client = plane.client();
  for (let queue = 0; queue < 20; queue++) {
    client.send(['EVAL', 'return 1', '2', `bull:${queue}:wait`, `bull:${queue}:active`]);
    t.equal(Object.keys(sent(plane)).length, 1);
  }
  t.equal(client.take(), '');
});

t.test('a command with keys of several keyspaces is split as one with keys of several shards', async (t) => {
  const plane = await planeOf({
    main: [
      { prefix: '', pool: 'one' },
      { prefix: 'm:', pool: 'two' },
    ],
  });
  const service = plane.topology.services[0] as ServiceSnapshot;
  const [b, d] = [keyOnSecond(service, 0, 'k'), keyOnSecond(service, 1, 'm:')];
  const client = plane.client().send(['MGET', b, d, b]);
  t.same(sent(plane), { b: [`MGET ${b} ${b}`], d: [`MGET ${d}`] });
  answer(plane, 1, `*2\r\n${bulk('x')}${bulk('x')}`);
  answer(plane, 3, `*1\r\n${bulk('y')}`);
  plane.turn();
  t.equal(client.take(), `*3\r\n${bulk('x')}${bulk('y')}${bulk('x')}`);
  t.match(client.send(['RENAME', b, d]).take(), /^-CROSSSLOT .* on node b, .* on node d;/);
});

t.test('one keyspace that refuses to split is enough', async (t) => {
  const plane = await planeOf({
    main: [
      { prefix: '', pool: 'one' },
      { prefix: 'm:', pool: 'two', multiKeyWrites: 'reject' },
    ],
  });
  const service = plane.topology.services[0] as ServiceSnapshot;
  const [b, d] = [keyOnSecond(service, 0, 'k'), keyOnSecond(service, 1, 'm:')];
  const client = plane.client();
  t.match(client.send(['DEL', b, d]).take(), /^-CROSSSLOT /);
  client.send(['DEL', b, 'k:other', 'k:third']);
  t.notOk('d' in sent(plane));
});

t.test('without a keyspace of all keys, some keys are refused with the reason', async (t) => {
  const plane = await planeOf({
    main: [
      { prefix: 'a:', pool: 'one' },
      { prefix: 'm:', pool: 'two' },
    ],
  });
  const client = plane.client();
  const refusal = '-ERR no keyspace has the key \'x\'; there are keyspaces for the prefixes "a:", "m:"\r\n';
  t.equal(client.send(['GET', 'x']).take(), refusal);
  t.equal(client.send(['MSET', 'a:1', '1', 'x', '2']).take(), refusal);
  t.equal(client.send(['EVAL', 'return 1', '2', 'a:1', 'x']).take(), refusal);
  t.same(sent(plane), {});
  client.send(['EVAL', 'return 1', '0']);
  t.same(sent(plane), { a: ['EVAL return 1 0'] }, 'what has no keys goes somewhere');
});

t.test('each door leads to its own keys, and all commands to its own nodes', async (t) => {
  const plane = await planeOf({ first: [{ prefix: '', pool: 'one' }], second: [{ prefix: '', pool: 'two' }] });
  const [first, second] = [plane.client(0), plane.client(1)];
  const [one, two] = plane.topology.services as ServiceSnapshot[];
  const b = keyOnSecond(one as ServiceSnapshot, 0, 'k');
  const d = keyOnSecond(two as ServiceSnapshot, 0, 'k');
  first.send(['SET', b, '1']);
  second.send(['SET', d, '2']);
  t.same(sent(plane), { b: [`SET ${b} 1`], d: [`SET ${d} 2`] });
  for (const command of ['DBSIZE', 'FLUSHALL', 'KEYS *', 'RANDOMKEY', 'INFO']) {
    first.send(command.split(' '));
    t.same(Object.keys(sent(plane)), ['a', 'b'], command);
    second.send(command.split(' '));
    t.same(Object.keys(sent(plane)), ['c', 'd'], command);
  }
  second.send(['SCAN', '0'], ['CONFIG', 'GET', 'x']);
  t.same(sent(plane), { c: ['SCAN 0', 'CONFIG GET x'] });
  // It waits for its nodes, and is the last.
  for (const [client, nodes] of [
    [first, ['a', 'b']],
    [second, ['c', 'd']],
  ] as const) {
    client.send(['SCRIPT', 'FLUSH']);
    t.same(Object.keys(sent(plane)), nodes);
  }
});

t.test('INFO speaks of the port and the nodes of the door', async (t) => {
  const plane = await planeOf({ first: [{ prefix: '', pool: 'one' }], second: [{ prefix: '', pool: 'two' }] });
  const [first, second] = [plane.client(0), plane.client(1)];
  t.match(first.send(['INFO', 'ringleader']).take(), /ringleader_nodes:2\r\n[\s\S]*name=a,[\s\S]*name=b,/);
  t.match(second.send(['INFO', 'ringleader']).take(), /ringleader_nodes:2\r\n[\s\S]*name=c,[\s\S]*name=d,/);
  first.send(['INFO', 'server']);
  second.send(['INFO', 'server']);
  plane.turn();
  for (let node = 0; node < 4; node++) answer(plane, node, bulk('# Server\r\nredis_version:7.0.15\r\ntcp_port:1\r\n'));
  plane.turn();
  t.match(first.take(), 'tcp_port:6380');
  t.match(second.take(), 'tcp_port:6381');
});

t.test('in a pool that is shared, a service shows its own keys only, and touches no others', async (t) => {
  const plane = await planeOf({
    first: [{ prefix: 'a:', pool: 'one' }],
    second: [{ prefix: 'b:', pool: 'one' }],
    all: [{ prefix: '', pool: 'one' }],
  });
  const [first, , all] = [plane.client(0), plane.client(1), plane.client(2)];
  const service = plane.topology.services[0] as ServiceSnapshot;
  const key = keyOnSecond(service, 0, 'a:');
  for (const [command, effect] of Object.entries({
    DBSIZE: 'count keys',
    RANDOMKEY: 'draw keys',
    FLUSHALL: 'delete keys',
    FLUSHDB: 'delete keys',
    'SLOWLOG GET': 'show commands',
  })) {
    t.equal(
      first.send(command.split(' ')).take(),
      `-ERR ${command} is refused: it would ${effect} of service second too, which shares pool one with this one\r\n`,
    );
  }
  t.same(sent(plane), {});
  const monitor = plane.client(0).send(['MONITOR']);
  plane.turn();
  t.equal(monitor.take(), '+OK\r\n');
  for (const node of [0, 1])
    t.equal(plane.links(node).length, 1, "nodes' own MONITOR would show scripts of other services");
  monitor.connection.break(null);
  first.send(['KEYS', '*']);
  plane.turn();
  // The same name on the other node is nothing that GET would find.
  answer(plane, 0, `*2\r\n${bulk('b:1')}${bulk(key)}`);
  answer(plane, 1, `*3\r\n${bulk('b:2')}${bulk(key)}${bulk('')}`);
  plane.turn();
  t.equal(first.take(), `*1\r\n${bulk(key)}`);
  // SCAN walks over both nodes: of each it shows what KEYS shows.
  let cursor = '0';
  for (const [node, shown] of ['*0\r\n', `*1\r\n${bulk(key)}`].entries()) {
    for (const index of [0, 1]) plane.only(index).take();
    first.send(['SCAN', cursor]);
    plane.turn();
    answer(plane, node, `*2\r\n${bulk('0')}*2\r\n${bulk('b:3')}${bulk(key)}`);
    plane.turn();
    const reply = first.take();
    cursor = reply.split('\r\n')[2] as string;
    t.equal(reply, `*2\r\n${bulk(cursor)}${shown}`);
  }
  t.equal(cursor, '0');
  for (const index of [0, 1]) plane.only(index).take();
  all.send(['DBSIZE']);
  t.same(sent(plane), { a: ['DBSIZE'], b: ['DBSIZE'] }, 'who sees all keys may count them');
});
t.test('a session whose service goes is closed, and others go on', async (t) => {
  const services = { first: [{ prefix: '', pool: 'one' }], second: [{ prefix: '', pool: 'two' }] };
  const plane = await planeOf(services);
  const [first, second] = [plane.client(0), plane.client(1)];
  const topology = await planned(plane.topology, { first: services.first });
  plane.data.configure({ ...topology, services: [topology.services[0] ?? null, null] }, plane.limits, plane.rules);
  plane.turn();
  t.ok(second.isClosed);
  t.match(plane.logs.at(-1), { event: 'session-closed', fields: { reason: 'its service is no longer configured' } });
  first.send(['DBSIZE']);
  plane.turn();
  t.equal(plane.only(0).take(), '*1\r\n$6\r\nDBSIZE\r\n');
  const late = plane.client(1);
  plane.turn();
  t.ok(late.isClosed, 'as is one that was on its way');
});
