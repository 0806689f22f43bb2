import t from 'tap';
import { PacedQueue } from '../../src/backend/paced-queue.js';
import { FakeTransport } from '../help/fake-transport.js';
import { Plane } from '../help/plane.js';
import { plainTopology, slotOwnersOf } from '../help/topology.js';

t.test('so many tasks are done in a turn, in their order, and the rest later', async (t) => {
  const transport = new FakeTransport();
  const queue = new PacedQueue(transport, 2);
  const done: number[] = [];
  for (let task = 0; task < 5; task++) queue.request(() => done.push(task));
  t.same(done, [0, 1], 'at once, as far as they may');
  transport.turn();
  t.same(done, [0, 1], 'not before a millisecond has passed');
  transport.pass(1);
  t.same(done, [0, 1, 2, 3]);
  queue.request(() => done.push(5));
  t.same(done, [0, 1, 2, 3], 'it waits behind the one that waits');
  transport.pass(1);
  t.same(done, [0, 1, 2, 3, 4, 5]);
  transport.pass(1);
  queue.request(() => done.push(6));
  t.same(done.at(-1), 6);
});

t.test('a task may ask for another', async (t) => {
  const transport = new FakeTransport();
  const queue = new PacedQueue(transport, 1);
  const done: string[] = [];
  queue.request(() => {
    done.push('first');
    queue.request(() => done.push('third'));
  });
  queue.request(() => done.push('fourth'));
  t.same(done, ['first']);
  transport.pass(1);
  transport.pass(1);
  t.same(done, ['first', 'third', 'fourth']);
});

t.test('a thousand nodes that come, change and go are connected to and given up a few in a turn', async (t) => {
  const count = 1_000;
  const node = (index: number) => ({ address: { kind: 'tcp', host: `10.0.0.${index}`, port: index } as const });
  const plane = new Plane({ nodes: 3, node });
  const { transport } = plane;
  const opened = () => transport.connections.length;
  const nodes = Array.from({ length: count }, (_, index) => {
    const first = plane.topology.nodes[0] as (typeof plane.topology.nodes)[0];
    return { ...first, ...node(index), index, name: `node-${index}`, label: `node-${index}` };
  });
  plane.greetAll();
  plane.data.prepare(nodes);
  const before = opened();
  plane.data.configure(plainTopology(2, nodes, slotOwnersOf(plane.topology)), plane.limits, plane.rules);
  let most = opened() - before;
  let turns = 0;
  for (; opened() < count && turns < 1_000; turns++) {
    const had = opened();
    transport.pass(1);
    most = Math.max(most, opened() - had);
  }
  t.equal(opened(), count, `after ${turns} turns`);
  t.ok(most <= 8, `${most} in one turn`);
  for (const connection of transport.connections) connection.open();
  plane.data.configure(plainTopology(3, nodes.slice(0, 3), slotOwnersOf(plane.topology)), plane.limits, plane.rules);
  const open = () => transport.connections.filter(({ isFinished }) => !isFinished).length;
  const had = open();
  transport.pass(1);
  t.ok(had - open() <= 64, `${had - open()} were given up in one turn`);
  plane.pass(1_000, 1);
  t.equal(open(), 3);
});
