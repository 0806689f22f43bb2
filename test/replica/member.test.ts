import t from 'tap';
import { clusterInForce, judgeNode, Membership } from '../../src/replica/member.js';
import type { NodeFacts, NodeRecord } from '../../src/replica/member-step.js';
import { formatNodeRecord } from '../../src/replica/node-record.js';

const PROCESS = { runId: 'run1', replId: 'repl1' };

function recordOf(changes: Partial<NodeRecord> = {}): string {
  return formatNodeRecord({
    clusterId: 'c1',
    name: 'a',
    admission: { epoch: 3, count: 1 },
    process: PROCESS,
    status: { kind: 'member' },
    ...changes,
  });
}

function factsOf(changes: Partial<NodeFacts> = {}): NodeFacts {
  return {
    process: PROCESS,
    role: 'master',
    wasReplica: false,
    replicas: 0,
    debugCommand: 'no',
    record: recordOf(),
    ...changes,
  };
}

t.test('a node counts only while all of M1 holds', async (t) => {
  t.match(judgeNode('a', factsOf()), { kind: 'member', record: recordOf(), admission: { epoch: 3, count: 1 } });
  const strangers: [string, Partial<NodeFacts>, RegExp][] = [
    ['without a record', { record: '' }, /never admitted/],
    ['with a record that is none', { record: 'member' }, /cannot be read/],
    ['with the record of another node', { record: recordOf({ name: 'b' }) }, /that of node b/],
    ['restarted', { process: { runId: 'run2', replId: 'repl1' } }, /restarted/],
    ['a replica in between', { process: { runId: 'run1', replId: 'repl2' } }, /replica/],
    ['under repair', { record: recordOf({ status: { kind: 'repairing', epoch: 4 } }) }, /repaired in epoch 4/],
    ['joining', { record: recordOf({ status: { kind: 'joining' } }) }, /joining/],
    ['a replica', { role: 'slave' }, /slave/],
    ['with replicas', { replicas: 1 }, /replicas/],
    ['with DEBUG', { debugCommand: 'yes' }, /enable-debug-command/],
    ['with DEBUG for some', { debugCommand: 'local' }, /enable-debug-command/],
    ['that does not say', { debugCommand: '' }, /enable-debug-command/],
  ];
  for (const [what, changes, reason] of strangers) {
    t.match(judgeNode('a', factsOf(changes)), { kind: 'stranger', reason }, what);
  }
});

/** A look that nothing comes between. */
function look(membership: Membership, facts: NodeFacts): string | null {
  membership.onFacts(membership.beginLook(), facts);
  return membership.record;
}

t.test('after a push nothing counts until a larger admission is seen', async (t) => {
  const membership = new Membership('a');
  t.equal(membership.record, null);
  t.equal(look(membership, factsOf()), recordOf());
  t.equal(look(membership, factsOf()), recordOf(), 'another look changes nothing');
  membership.onPush();
  t.equal(membership.record, null);
  const repaired = recordOf({ admission: { epoch: 4, count: 0 } });
  t.equal(look(membership, factsOf({ record: repaired })), repaired);
  t.equal(look(membership, factsOf({ record: repaired })), repaired);
  t.equal(membership.isSpent, false);
});

t.test('a voided connection is not trusted again by what it knew before', async (t) => {
  const membership = new Membership('a');
  look(membership, factsOf());
  membership.onPush();
  t.equal(look(membership, factsOf()), null);
  t.ok(membership.isSpent, 'it takes a new connection');
  t.equal(look(new Membership('a'), factsOf()), recordOf());
});

t.test('a push while a look is under way makes it count for nothing', async (t) => {
  const membership = new Membership('a');
  const early = membership.beginLook();
  membership.onPush();
  t.equal(membership.onFacts(early, factsOf()), false);
  t.equal(membership.record, null);
  t.equal(look(membership, factsOf()), recordOf(), 'nothing was known before');
});

t.test('a stranger that is repaired counts on the same connection', async (t) => {
  const membership = new Membership('a');
  look(membership, factsOf());
  membership.onPush();
  t.equal(look(membership, factsOf({ record: recordOf({ status: { kind: 'repairing', epoch: 4 } }) })), null);
  t.equal(membership.isSpent, false);
  membership.onPush();
  const repaired = recordOf({ admission: { epoch: 4, count: 0 } });
  t.equal(look(membership, factsOf({ record: repaired })), repaired);
});

t.test('where nodes are of several clusters, more than half of all must agree', async (t) => {
  t.equal(clusterInForce([null, null, null]), null);
  t.equal(clusterInForce(['x', null, null]), 'x');
  t.equal(clusterInForce(['x', 'x', 'y']), 'x');
  t.equal(clusterInForce(['x', null, 'y']), null);
  t.equal(clusterInForce(['x', 'x', 'y', 'y']), null);
});
