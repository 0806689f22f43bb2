/** Answers that are read where they lie, and those that are not; that they say the same otherwise is checked with every step of the other tests. */
import t from 'tap';
import { NEVER } from '../../src/replica/ballot.js';
import type { Commands } from '../../src/replica/commands.js';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import { UNCLEAR } from '../../src/replica/node-request.js';
import { encodeStep, nodeStepOf } from '../../src/replica/node-step.js';

const RECORD = Buffer.from('1 member A');
const READ: Commands = {
  list: [[Buffer.from('GETRANGE'), ...['k', '0', '9'].map((word) => Buffer.from(word))]],
  protocol: 3,
};
const GET: Commands = { list: [[Buffer.from('GET'), Buffer.from('k')]], protocol: 2 };
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

function getAnswer(text: string, commands = GET) {
  const bytes = Buffer.from(`:1\r\n${text}+OK\r\n`);
  const step = nodeStepOf({ kind: 'read', commands }, 'k');
  const plain = step.plainAnswer(bytes, 4, 4 + text.length, RECORD);
  bytes.fill(0);
  const decoded = step.decode([Buffer.from(text)], RECORD);
  if (plain !== null) t.match(decoded, plain);
  return decoded as Record<string, unknown>;
}

const MEMBER = bulk('1 member A');
const GONE = bulk(`${NEVER}${NEVER}${NO_LINEAGE}00`);
const EXPIRING = bulk(`${NEVER}${NEVER}${NO_LINEAGE}11700000000000`);

t.test('GET is read from one reply, with the meta that the value has', async (t) => {
  const found = getAnswer(`*3\r\n${MEMBER}${EXPIRING}${bulk('')}`);
  t.match(found, {
    kind: 'view',
    live: true,
    expireAt: 1_700_000_000_000,
    isExpired: false,
    replies: [Buffer.from(bulk(''))],
  });
  for (const meta of [GONE, '_\r\n']) {
    const none = `*3\r\n${MEMBER}${meta}_\r\n`;
    t.match(getAnswer(none), { kind: 'view', accepted: NEVER, live: false, replies: [Buffer.from('$-1\r\n')] });
    t.match(getAnswer(none, { ...GET, protocol: 3 }), { replies: [Buffer.from('_\r\n')] });
  }
});

t.test('GET of what has a value and no text is unclear: it has expired, or is of another type', async (t) => {
  for (const meta of [META, EXPIRING]) t.equal(getAnswer(`*3\r\n${MEMBER}${meta}_\r\n`), UNCLEAR);
});

t.test('GET of a node with another record, or none, or that refuses, tells nothing of the key', async (t) => {
  for (const other of [bulk('1 member B'), bulk('1 member AB'), bulk(''), '_\r\n'])
    t.same(getAnswer(`*3\r\n${other}${META}${bulk('value')}`), { kind: 'not-member' }, other);
  t.match(getAnswer('-LOADING Redis is loading\r\n'), { kind: 'unable' });
});

t.test('only GET alone, of a right number of words, is asked so, and not of a node without memory', async (t) => {
  const [get] = GET.list as [Buffer[]];
  const framesOf = (list: Buffer[][], isFull = false) => {
    const { frames } = encodeStep({ kind: 'read', commands: { ...GET, list } }, Buffer.from('k'), RECORD, 0, isFull);
    return Buffer.from(frames).toString();
  };
  t.match(framesOf([get]), /^\*4\r\n\$4\r\nMGET/);
  for (const list of [[get, get], [[...get, Buffer.from('x')]], [[Buffer.from('STRLEN'), Buffer.from('k')]]])
    t.match(framesOf(list), /^\*1\r\n\$5\r\nMULTI/);
  t.match(framesOf([get], true), /^\*\d+\r\n\$7\r\nEVALSHA/);
});
