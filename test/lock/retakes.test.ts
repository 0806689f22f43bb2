/** Where an extension has a lock taken again: what is asked of which node, and what models of nodes make of it. */
import t from 'tap';
import type { ExtendOutcome } from '../../src/lock/lock.js';
import type { LockReply, LockStep } from '../../src/lock/lock-step.js';
import { Retakes } from '../../src/lock/retakes.js';
import { extendOutcome, Replies } from '../../src/lock/verdicts.js';
import { type Ballot, makeBallot, proposerNumber } from '../../src/replica/ballot.js';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import { ModelNode } from './model-node.js';

const TTL_MS = 10_000;
const PROPOSER = proposerNumber(0, 1);
const [FIRST, SECOND, THIRD] = [1, 2, 3].map((counter) => makeBallot(0, counter, PROPOSER)) as [Ballot, Ballot, Ballot];

function perform(node: ModelNode, step: LockStep, nowMs: number): LockReply {
  return node.perform(step, 'lock', TTL_MS, nowMs);
}

/** One of two slots, as an acquisition gets it; not confirmed without a fence. */
function take(node: ModelNode, ballot: Ballot, token: string, share: string, fence = 0): void {
  const step = { kind: 'acquire-share', ballot, token, ttlMs: TTL_MS, mode: '2', share, mayMove: true } as const;
  t.match(perform(node, { ...step, waits: false }, 0), { kind: 'vote' });
  if (fence === 0) return;
  const register = `${fence} client ${token}`;
  t.same(perform(node, { kind: 'confirm', ballot, token, share, lineage: NO_LINEAGE, register }, 0), { kind: 'done' });
}

/** `between`: before the nodes hear of what is taken again. */
function extend(nodes: readonly ModelNode[], token: string, nowMs: number, between = () => {}): ExtendOutcome | null {
  const replies = new Replies(nodes.length);
  const retakes = new Retakes(token, TTL_MS, nowMs);
  for (const [copy, node] of nodes.entries())
    replies.add(copy, perform(node, { kind: 'extend', token, ttlMs: TTL_MS }, nowMs));
  const steps = retakes.next(replies, nowMs);
  between();
  for (const { copy, step } of steps) perform(nodes[copy] as ModelNode, step, nowMs);
  t.same(retakes.next(replies, nowMs), [], 'each node is asked once');
  return extendOutcome(replies, TTL_MS, nowMs, nowMs);
}

function sharesOf(nodes: readonly ModelNode[], token: string): (string | undefined)[] {
  return nodes.map((node) => node.locks.get('lock')?.holders.get(token)?.share);
}

/** Who tried slot 0 first has it at the third node still, where another's vote was in the way of slot 1, which it got at the others. */
function leftOver(): [ModelNode, ModelNode, ModelNode] {
  const nodes = [new ModelNode(), new ModelNode(), new ModelNode()] as const;
  take(nodes[2], FIRST, 'long', '0');
  for (const node of nodes.slice(0, 2)) take(node, SECOND, 'long', '1', 7);
  return [...nodes];
}

t.test(
  'who has one slot at a majority is given it where it has another one, and outlives the nodes it was got at',
  async (t) => {
    const nodes = leftOver();
    t.same(sharesOf(nodes, 'long'), ['1', '1', '0']);
    t.match(extend(nodes, 'long', 1000), { kind: 'extended' });
    t.same(sharesOf(nodes, 'long'), ['1', '1', '1']);
    // One is started anew, and takes part again.
    nodes[0] = new ModelNode();
    t.match(extend(nodes, 'long', 2000), { kind: 'extended' });
    nodes[1] = new ModelNode();
    t.match(extend(nodes, 'long', 3000), { kind: 'extended' });
    t.same(sharesOf(nodes, 'long'), ['1', '1', '1']);
    // What was left over is free for others.
    for (const node of nodes) take(node, THIRD, 'other', '0');
  },
);

t.test('where others have that slot it keeps the other one until they have gone', async (t) => {
  const nodes = leftOver();
  take(nodes[2], FIRST, 'other', '1');
  t.match(extend(nodes, 'long', 1000), { kind: 'extended' });
  t.same(sharesOf(nodes, 'long'), ['1', '1', '0']);
  perform(nodes[2], { kind: 'release', token: 'other', mark: 'm' }, 1500);
  extend(nodes, 'long', 2000);
  t.same(sharesOf(nodes, 'long'), ['1', '1', '1']);
});

t.test('a slot that the same token has got since stays', async (t) => {
  const nodes = leftOver();
  extend(nodes, 'long', 1000, () => take(nodes[2], THIRD, 'long', '0', 8));
  t.same(sharesOf(nodes, 'long'), ['1', '1', '0']);
});

t.test('nothing is taken again by what comes too late', async (t) => {
  const nodes = leftOver();
  const replies = new Replies(3);
  for (const [copy, node] of nodes.entries())
    replies.add(copy, perform(node, { kind: 'extend', token: 'long', ttlMs: TTL_MS }, 1000));
  const [retake] = new Retakes('long', TTL_MS, 1000).next(replies, 1000);
  t.match(retake, { copy: 2, step: { kind: 'retake', share: '1', fromMs: 1000 } });
  perform(nodes[2], { kind: 'extend', token: 'long', ttlMs: TTL_MS }, 10_000);
  t.same(perform(nodes[2], retake?.step as LockStep, 11_000), { kind: 'lost' });
  t.same(sharesOf(nodes, 'long'), ['1', '1', '0']);
});
