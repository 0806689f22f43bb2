/** MONITOR and the nodes whose scripts it is to show, which come and go. */
import t from 'tap';
import { command, Plane } from '../help/plane.js';
import { plainTopology } from '../help/topology.js';

t.test('who monitors does not wait for a node that a new topology lacks', async (t) => {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const client = plane.client().send(['MONITOR']);
  plane.pass(10, 1);
  const [kept, leaving] = [0, 1].map((node) => plane.links(node).at(-1));
  kept?.greet();
  plane.turn();
  t.equal(kept?.take(), command('MONITOR'));
  kept?.answer('+OK\r\n');
  plane.turn();
  t.equal(leaving?.protocol, null, 'it is still connected to');
  t.equal(client.take(), '');
  const slotOwners = new Uint16Array(16_384);
  const topology = plainTopology(plane.topology.version + 1, plane.topology.nodes.slice(0, 1), slotOwners);
  plane.data.configure(topology, plane.limits, plane.rules);
  plane.pass(10, 1);
  t.equal(client.take(), '+OK\r\n');
});
