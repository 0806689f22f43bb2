/** Answers that are read where they lie, and those that are not; that they say the same otherwise is checked with every step of the other tests. */
import t from 'tap';
import { NEVER } from '../../src/replica/ballot.js';
import type { Commands } from '../../src/replica/commands.js';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import { nodeStepOf } from '../../src/replica/node-step.js';

const RECORD = Buffer.from('1 member A');
const READ: Commands = { list: [[Buffer.from('GET'), Buffer.from('k')]], protocol: 3 };
const META = bulk(`${NEVER}${NEVER}${NO_LINEAGE}10`);

function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}

function viewOf(node: string, reply: string): Buffer {
  return Buffer.from(`*3\r\n*3\r\n${node}_\r\n${META}:1\r\n${reply}`);
}

function plainAnswer(bytes: Buffer) {
  return nodeStepOf({ kind: 'read', commands: READ }, 'k').plainAnswer(bytes, 0, bytes.length, RECORD);
}

t.test('a read of a node that is the member is read where it lies', async (t) => {
  const answer = plainAnswer(viewOf(bulk('1 member A'), bulk('value')));
  t.match(answer, { kind: 'view', accepted: NEVER, live: true, isExpired: false });
  t.same(answer?.kind === 'view' ? answer.replies?.map((reply) => Buffer.from(reply).toString()) : null, [
    bulk('value'),
  ]);
});

t.test('a node with another record, or none, does not pass for the member', async (t) => {
  for (const other of [bulk('1 member B'), bulk('1 member AB'), bulk('2 member A'), bulk(''), '_\r\n', ':1\r\n'])
    t.equal(plainAnswer(viewOf(other, bulk('value'))), null, other);
});

t.test('a reply that looks otherwise in the other protocol, or may, is taken apart', async (t) => {
  for (const reply of ['_\r\n', '*0\r\n', '*1\r\n_\r\n', '%0\r\n', ',1.5\r\n', '(12345678901234567890\r\n', '#t\r\n'])
    t.equal(plainAnswer(viewOf(bulk('1 member A'), reply)), null, reply);
});

t.test('what is told of a reply outlives the bytes that it was read from', async (t) => {
  const bytes = viewOf(bulk('1 member A'), bulk('value'));
  const answer = plainAnswer(bytes);
  bytes.fill(0);
  t.same(answer?.kind === 'view' ? answer.replies?.map((reply) => Buffer.from(reply).toString()) : null, [
    bulk('value'),
  ]);
});
