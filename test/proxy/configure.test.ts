/** A new topology and new limits while commands are in flight. */
import t from 'tap';
import { DEFAULT_LIMITS } from '../../src/base/limits.js';
import type { NodeSnapshot, TopologySnapshot } from '../../src/messages.js';
import { bulk, command, Plane } from '../help/plane.js';
import { plainTopology } from '../help/topology.js';

/** The plane's topology with its nodes changed, and all slots at node 0 unless said. */
function changed(plane: Plane, nodes: NodeSnapshot[], owner = (slot: number) => slot % nodes.length): TopologySnapshot {
  const slotOwners = new Uint16Array(16_384);
  for (let slot = 0; slot < slotOwners.length; slot++) slotOwners[slot] = owner(slot);
  const indexed = nodes.map((node, index) => ({ ...node, index }));
  return plainTopology(plane.topology.version + 1, indexed, slotOwners);
}

t.test('a node with a new password finishes what is in flight, and the session stays in order', async (t) => {
  const plane = new Plane().greetAll();
  const client = plane.client();
  const key = plane.key(0);
  client.send(['GET', key]);
  plane.turn();
  const old = plane.only(0);
  t.equal(old.take(), command('GET', key));
  const nodes = plane.topology.nodes.map((node) => (node.index === 0 ? { ...node, password: 'new' } : node));
  plane.data.configure(changed(plane, nodes), DEFAULT_LIMITS, plane.rules);
  client.send(['INCR', key]);
  plane.turn();
  t.equal(old.take(), command('INCR', key), 'the session awaits a reply there, so it goes on there');
  const other = plane.client();
  other.send(['GET', key]);
  plane.turn();
  t.equal(old.take(), '', 'another session goes to the new connection');
  const fresh = plane.links(0).find((link) => link.connection !== old.connection);
  if (fresh === undefined) throw new Error('there is no new connection');
  fresh.open();
  t.ok(fresh.take().startsWith(command('HELLO', '2', 'AUTH', 'default', 'new')));
  fresh.answer('*2\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n-NOPERM no\r\n-NOPERM no\r\n');
  plane.turn();
  t.equal(fresh.take(), command('GET', key));
  old.answer(bulk('1'), ':2\r\n');
  fresh.answer(bulk('2'));
  plane.turn();
  t.equal(client.take(), `${bulk('1')}:2\r\n`);
  t.equal(other.take(), bulk('2'));
  t.ok(old.isClosed, 'the old connection closes when it has answered all');
});

t.test('a node with a new address while it is connected to: nothing was lost', async (t) => {
  const plane = new Plane();
  const [old] = plane.links(0);
  const nodes = plane.topology.nodes.map((node) => (node.index === 0 ? { ...node, password: 'new' } : node));
  plane.data.configure(changed(plane, nodes), DEFAULT_LIMITS, plane.rules);
  plane.turn();
  t.ok(old?.isClosed);
  t.equal(plane.counts.nodeConnectionsLost, 0);
  t.equal(plane.counts.nodeConnectFailures, 0);
});

t.test('a node with a new password that refuses us is down, though the old connection finishes', async (t) => {
  const plane = new Plane().greetAll();
  const client = plane.client().send(['GET', plane.key(0)]);
  plane.turn();
  const old = plane.only(0);
  old.take();
  const nodes = plane.topology.nodes.map((node) => (node.index === 0 ? { ...node, password: 'new' } : node));
  plane.data.configure(changed(plane, nodes), DEFAULT_LIMITS, plane.rules);
  const other = plane.client().send(['GET', plane.key(0)]);
  plane.turn();
  const fresh = plane.links(0).find((link) => link.connection !== old.connection);
  fresh?.open().take();
  fresh?.answer('-WRONGPASS no\r\n');
  plane.turn();
  t.match(other.take(), /^-NODEDOWN .*WRONGPASS/, 'who was let in by the old password is not used for others');
  old.answer(bulk('1'));
  t.equal(client.take(), bulk('1'));
});

t.test('an unchanged node keeps its connection, whatever its new index', async (t) => {
  const plane = new Plane().greetAll();
  const connections = plane.transport.connections.length;
  plane.data.configure(changed(plane, [...plane.topology.nodes].reverse()), DEFAULT_LIMITS, plane.rules);
  plane.turn();
  t.equal(plane.transport.connections.length, connections, 'none was opened');
  const client = plane.client();
  const key = plane.key(0);
  client.send(['GET', key]);
  plane.turn();
  t.equal(plane.only(2).take(), command('GET', key), 'slots of index 0 are now those of the node that was the third');
});

t.test('a node that is taken out answers what it has, then its connection is closed', async (t) => {
  const plane = new Plane().greetAll();
  const client = plane.client();
  const key = plane.key(2);
  client.send(['GET', key]);
  plane.turn();
  const leaving = plane.only(2);
  leaving.take();
  plane.data.configure(
    changed(plane, plane.topology.nodes.slice(0, 2), () => 0),
    DEFAULT_LIMITS,
    plane.rules,
  );
  client.send(['SET', key, '1']);
  plane.turn();
  t.equal(plane.only(0).take(), command('SET', key, '1'));
  plane.pass(1_000);
  t.notOk(leaving.isClosed);
  plane.only(0).answer('+OK\r\n');
  leaving.answer(bulk('old'));
  plane.turn();
  t.equal(client.take(), `${bulk('old')}+OK\r\n`);
  plane.pass(1_000);
  t.ok(leaving.isClosed);
});

t.test('new limits hold for the sessions there are', async (t) => {
  const plane = new Plane().greetAll();
  const client = plane.client();
  client.send(['PING']);
  plane.turn();
  client.take();
  plane.data.configure(plane.topology, { ...DEFAULT_LIMITS, bulkBytesMax: 2_000, idleTimeoutMs: 100 }, plane.rules);
  client.send(['ECHO', 'x'.repeat(2_001)]);
  plane.turn();
  t.match(client.take(), /^-ERR Protocol error: invalid bulk length/);
  const idle = plane.client();
  plane.pass(2_000);
  t.ok(idle.isClosed);
});
