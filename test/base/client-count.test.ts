import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { ClientCount, clientCountMemory } from '../../src/base/client-count.js';

t.test('clients are admitted up to the most there may be, whichever worker has them', async (t) => {
  const memory = clientCountMemory(2);
  const [one, other] = [new ClientCount(memory, 0), new ClientCount(memory, 1)];
  t.same([one.admit(3), other.admit(3), one.admit(3)], [true, true, true]);
  t.same([one.admit(3), other.admit(3)], [false, false]);
  t.equal(other.total, 3);
  other.leave();
  t.ok(one.admit(3));
  t.notOk(one.admit(2), 'fewer may be than there are');
  t.equal(one.total, 3);
});

t.test('the clients of a worker that ended count no more', async (t) => {
  const memory = clientCountMemory(2);
  const [one, other] = [new ClientCount(memory, 0), new ClientCount(memory, 1)];
  for (let count = 0; count < 5; count++) one.admit(10);
  other.admit(10);
  t.equal(new ClientCount(memory, 0).forget(), 5);
  t.equal(other.total, 1);
  t.equal(new ClientCount(memory, 0).forget(), 0);
});

t.test('workers that admit at the same time fill every place, and none twice', async (t) => {
  const PLACES = 50_000;
  const memory = clientCountMemory(2);
  const start = new SharedArrayBuffer(4);
  const source = `
    import { workerData } from 'node:worker_threads';
    const { ClientCount } = await import(workerData.file);
    const clients = new ClientCount(workerData.memory, workerData.worker);
    const start = new Int32Array(workerData.start);
    Atomics.add(start, 0, 1);
    Atomics.notify(start, 0);
    while (Atomics.load(start, 0) < 2) Atomics.wait(start, 0, 1);
    let left = 0;
    for (let count = 0; count < ${PLACES}; count++) {
      if (!clients.admit(${PLACES})) break;
      if (count % 3 === 0 && left < ${PLACES / 10}) { clients.leave(); left++; count--; }
    }
  `;
  const file = new URL('../../src/base/client-count.js', import.meta.url).href;
  const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
  const workers = [0, 1].map((worker) => new Worker(url, { workerData: { file, memory, worker, start } }));
  const ends = await Promise.all(workers.map((worker) => once(worker, 'exit')));
  t.same(ends, [[0], [0]]);
  const [one, other] = [new ClientCount(memory, 0), new ClientCount(memory, 1)];
  t.equal(one.total, PLACES);
  t.equal(one.forget() + other.forget(), PLACES);
  t.equal(one.total, 0);
});
