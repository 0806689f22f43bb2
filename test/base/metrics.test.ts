import t from 'tap';
import { COUNTERS, clientIdMemory, Metrics, metricsMemory, nextClientId, readMetrics } from '../../src/base/metrics.js';

t.test('every counter begins at zero', async (t) => {
  const memory = metricsMemory(2);
  t.same(Object.keys(new Metrics(memory, 0).counts), Object.keys(COUNTERS));
  t.ok(Object.values(readMetrics(memory)).every((value) => value === 0));
});

t.test('what workers count adds up once it is published', async (t) => {
  const memory = metricsMemory(3);
  const workers = [0, 1, 2].map((index) => new Metrics(memory, index));
  for (const [index, worker] of workers.entries()) {
    worker.counts.commands += 10 ** index;
    worker.counts.sessionsOpen = 5;
  }
  t.equal(readMetrics(memory).commands, 0);
  for (const worker of workers) worker.publish();
  t.equal(readMetrics(memory).commands, 111);
  t.equal(readMetrics(memory).sessionsOpen, 15);
  t.equal(readMetrics(memory).readsRetried, 0, 'and nothing else is touched');
  for (const worker of workers) worker.publish();
  t.equal(readMetrics(memory).commands, 111, 'publishing twice adds nothing');
});

t.test('what INFO says of clients is published without the rest', async (t) => {
  const memory = metricsMemory(2);
  const [worker, other] = [new Metrics(memory, 1), new Metrics(memory, 0)];
  other.counts.sessionsTracking = 2;
  other.publishClients();
  const names = [
    ...(['sessionsAccepted', 'sessionsRefused', 'sessionsPaused', 'sessionsWaiting'] as const),
    ...(['locksWaiting', 'sessionsTracking'] as const),
  ];
  for (const [at, name] of names.entries()) worker.counts[name] = at + 1;
  worker.counts.commands = 7;
  worker.publishClients();
  const read = readMetrics(memory);
  t.same(
    names.map((name) => read[name]),
    [1, 2, 3, 4, 5, 8],
  );
  t.equal(read.commands, 0);
  worker.publish();
  t.equal(new Metrics(memory, 1).counts.sessionsAccepted, 0);
  const again = new Metrics(memory, 1);
  again.publishClients();
  t.same(
    names.map((name) => readMetrics(memory)[name]),
    [1, 2, 0, 0, 0, 2],
    'counters only grow',
  );
});

t.test('counters only grow when a worker is started again; what is open now is counted anew', async (t) => {
  const memory = metricsMemory(2);
  const other = new Metrics(memory, 1);
  other.counts.commands = 1_000;
  other.counts.sessionsOpen = 3;
  other.publish();
  for (let life = 1; life <= 3; life++) {
    const worker = new Metrics(memory, 0);
    worker.counts.commands = 7;
    worker.counts.sessionsOpen = 2;
    worker.counts.memoryBytes = 64;
    worker.counts.sessionLocksHeld = 1;
    worker.counts.locksWaiting = 1;
    worker.publish();
    worker.publish();
    t.equal(readMetrics(memory).commands, 1_000 + 7 * life);
    t.equal(readMetrics(memory).sessionsOpen, 5);
    t.equal(readMetrics(memory).memoryBytes, 64);
    t.equal(readMetrics(memory).sessionLocksHeld, 1);
    t.equal(readMetrics(memory).locksWaiting, 1);
  }
});

t.test('numbers beyond 32 bits are exact', async (t) => {
  const memory = metricsMemory(1);
  const worker = new Metrics(memory, 0);
  worker.counts.commands = 2 ** 53 - 1;
  worker.publish();
  t.equal(readMetrics(memory).commands, 2 ** 53 - 1);
});

t.test('no two clients of a process have the same number, whichever worker has them', async (t) => {
  const memory = clientIdMemory();
  t.equal(nextClientId(memory), 1);
  t.equal(nextClientId(memory), 2);
  t.equal(nextClientId(memory), 3);
});
