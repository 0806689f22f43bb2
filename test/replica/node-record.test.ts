import t from 'tap';
import type { NodeRecord } from '../../src/replica/member-step.js';
import { compareAdmissions, formatNodeRecord, parseNodeRecord } from '../../src/replica/node-record.js';

const RECORD: NodeRecord = {
  clusterId: 'c0ffee',
  name: 'cache 1',
  admission: { epoch: 3, count: 1 },
  process: { runId: 'a'.repeat(40), replId: 'b'.repeat(40) },
  status: { kind: 'member' },
};

t.test('a record is read as it was written, whatever its status and name', async (t) => {
  for (const name of ['127.0.0.1:6379', 'cache 1', 'größer', 'two\nlines']) {
    for (const kind of ['joining', 'member'] as const) {
      const record: NodeRecord = { ...RECORD, name, status: { kind } };
      t.same(parseNodeRecord(formatNodeRecord(record)), record);
    }
    const record: NodeRecord = { ...RECORD, name, status: { kind: 'repairing', epoch: 42 } };
    t.same(parseNodeRecord(formatNodeRecord(record)), record);
  }
});

t.test('what is no record is none', async (t) => {
  const text = formatNodeRecord(RECORD);
  for (const other of [
    '',
    'member',
    `2${text.slice(1)}`,
    text.replace('3.1', '3'),
    text.replace('member', 'stranger'),
  ]) {
    t.equal(parseNodeRecord(other), null, other);
  }
});

t.test('admissions are ordered by their epoch, then by their count, as numbers', async (t) => {
  const sorted = [
    { epoch: 0, count: 1 },
    { epoch: 2, count: 0 },
    { epoch: 2, count: 9 },
    { epoch: 2, count: 10 },
    { epoch: 10, count: 0 },
  ];
  t.same([...sorted].reverse().sort(compareAdmissions), sorted);
  t.equal(compareAdmissions({ epoch: 1, count: 2 }, { epoch: 1, count: 2 }), 0);
});
