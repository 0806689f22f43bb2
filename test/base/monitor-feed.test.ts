/** The rings that workers write into for monitors. */
import t from 'tap';
import { MonitorFeed, monitorFeedMemory, RECORD_BYTES_MAX } from '../../src/base/monitor-feed.js';

function record(text: string, timeMs = 0, service = 0) {
  return { service, timeMs, line: Buffer.from(text) };
}

function read(feed: MonitorFeed): string[] | null {
  return feed.read()?.map(({ line }) => Buffer.from(line).toString()) ?? null;
}

t.test('each reader reads what all workers have written, by time, and once', async (t) => {
  const memory = monitorFeedMemory(3);
  const [a, b, c] = [0, 1, 2].map((worker) => new MonitorFeed(memory, worker)) as [
    MonitorFeed,
    MonitorFeed,
    MonitorFeed,
  ];
  a.write(record('before'));
  c.skip();
  a.write(record('one', 1, 4));
  b.write(record('three', 3, 5));
  a.write(record('two', 2, 6));
  t.same(
    c.read()?.map(({ line, service, timeMs }) => [Buffer.from(line).toString(), service, timeMs]),
    [
      ['one', 4, 1],
      ['two', 6, 2],
      ['three', 5, 3],
    ],
  );
  t.same(read(c), []);
  t.same(read(b), ['before', 'one', 'two', 'three']);
});

t.test('the rings are written round and round', async (t) => {
  const memory = monitorFeedMemory(1);
  const [writer, reader] = [new MonitorFeed(memory, 0), new MonitorFeed(memory, 0)];
  for (let round = 0; round < 100; round++) {
    const texts = [1, 2, 3].map((n) => `${round}:${n}`.padEnd(100_000 + ((round * 7_919 + n) % 3_000), 'x'));
    for (const text of texts) writer.write(record(text));
    t.same(read(reader), texts);
  }
});

t.test('who is behind by more than a ring is told so, and goes on from there', async (t) => {
  const memory = monitorFeedMemory(1);
  const [writer, reader] = [new MonitorFeed(memory, 0), new MonitorFeed(memory, 0)];
  const long = record('x'.repeat(RECORD_BYTES_MAX));
  for (let n = 0; n < 3; n++) writer.write(long);
  t.equal(read(reader)?.length, 3);
  for (let n = 0; n < 5; n++) writer.write(long);
  t.equal(read(reader), null);
  writer.write(record('next'));
  t.same(read(reader), ['next']);
});

t.test('it is wanted while any worker has monitors', async (t) => {
  const memory = monitorFeedMemory(2);
  const [a, b] = [new MonitorFeed(memory, 0), new MonitorFeed(memory, 1)];
  t.notOk(a.isWanted);
  b.want(2);
  t.ok(a.isWanted);
  b.want(0);
  t.notOk(a.isWanted);
});
