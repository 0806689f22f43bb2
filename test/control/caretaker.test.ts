/** Members of a pool of replicated keys, and their repair, on real Redis servers. */
import t from 'tap';
import { parseNodeRecord } from '../../src/replica/node-record.js';
import { TestPool, untilCare, untilEvent, untilMembers } from '../help/replicated-pool.js';

t.test('empty servers become the members of a pool without being told to', async (t) => {
  const pool = await TestPool.start(t);
  const care = pool.care();
  await untilMembers(care);
  const records = await Promise.all([0, 1, 2].map((node) => pool.text(node, 'GET', '~rl:node')));
  for (const [node, record] of records.entries()) {
    t.match(parseNodeRecord(record ?? ''), {
      name: `n${node}`,
      clusterId: care.caretaker.care().clusterId,
      admission: { epoch: 0, count: 1 },
      status: { kind: 'member' },
    });
  }
});

t.test('a member that was restarted empty gets back what the others have', async (t) => {
  const pool = await TestPool.start(t);
  const care = pool.care();
  await untilMembers(care);
  await pool.put([0, 1, 2], 'a', 1, 'value of a');
  await pool.put([0, 1], 'b', 2, 'value of b');
  await pool.put([0, 1, 2], 'gone', 3, null);
  await pool.put([0], 'half', 4, 'accepted by one');
  await pool.server(2).kill9();
  await untilCare(care, 'it is missed', ({ nodes }) => nodes[2]?.standing === 'silent');
  await pool.server(2).restart();
  const { epoch } = await untilEvent(care, 'repaired');
  await untilMembers(care);
  t.equal(epoch, 1);
  t.equal(await pool.text(2, 'GET', 'a'), 'value of a');
  t.equal(await pool.text(2, 'GET', 'b'), 'value of b');
  t.equal(await pool.text(2, 'GET', 'gone'), null);
  t.match(await pool.text(2, 'GET', '~rl:m:gone'), /00$/);
  t.equal(await pool.text(2, 'GET', 'half'), 'accepted by one', 'what one member had was settled');
  t.equal(await pool.text(1, 'GET', 'half'), 'accepted by one');
  for (const node of [0, 1, 2]) t.match(await pool.text(node, 'GET', '~rl:floor'), /^00000001/, 'all are raised');
  t.match(parseNodeRecord((await pool.text(2, 'GET', '~rl:node')) ?? ''), { admission: { epoch: 1, count: 0 } });
});
