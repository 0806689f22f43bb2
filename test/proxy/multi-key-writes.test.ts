import t from 'tap';
import { DEFAULT_RULES } from '../../src/base/client-rules.js';
import { Plane } from '../help/plane.js';
import { plainTopology, slotOwnersOf } from '../help/topology.js';

t.test('writes of several shards are refused where the keyspace says so', async (t) => {
  const plane = new Plane({ nodes: 2, multiKeyWrites: 'reject' }).greetAll();
  const client = plane.client();
  const [a, b, c] = [plane.key(0), plane.key(1), plane.key(1, 'other')];
  const refusal = (one: string, other: string) =>
    `-CROSSSLOT Keys in request don't hash to the same shard: '${one}' on node node-0, '${other}' on node node-1; ` +
    'a {hash tag} keeps keys together\r\n';
  t.equal(client.send(['MSET', a, '1', b, '2']).take(), refusal(a, b));
  t.equal(client.send(['DEL', a, a, b]).take(), refusal(a, b));
  t.equal(client.send(['UNLINK', a, b, c]).take(), refusal(a, b));
  plane.turn();
  for (const node of [0, 1]) t.equal(plane.only(node).take(), '');
  client.send(['DEL', b, c], ['MGET', a, b], ['EXISTS', a, b], ['TOUCH', a, b]);
  plane.turn();
  t.same(plane.only(0).commands(), [`MGET ${a}`, `EXISTS ${a}`, `TOUCH ${a}`], 'reads are split');
  t.same(plane.only(1).commands(), [`DEL ${b} ${c}`, `MGET ${b}`, `EXISTS ${b}`, `TOUCH ${b}`]);
  const split = plainTopology(2, plane.topology.nodes, slotOwnersOf(plane.topology));
  plane.data.configure(split, plane.limits, DEFAULT_RULES);
  client.send(['DEL', a, b]);
  plane.turn();
  t.same(plane.only(0).commands(), [`DEL ${a}`], 'until the configuration says otherwise');
});
