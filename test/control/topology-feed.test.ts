/** What a worker is told of topologies: only what is new, in parts, and put together again on the other side. */
import t from 'tap';
import { DEFAULT_NODE_LIMITS } from '../../src/base/limits.js';
import { PartNumbers, TopologyFeed } from '../../src/control/topology-feed.js';
import type { TopologySnapshot, ToWorker } from '../../src/messages.js';
import { KnownParts } from '../../src/routing/known-parts.js';
import { planTopology } from '../../src/routing/topology.js';
import { PLACER } from '../help/topology.js';

/** `count` nodes in pool main, those from `changed` on with another address; two services, the second with that port. */
async function plan(before: TopologySnapshot | null, count: number, changed: number, port: number) {
  const nodes = Array.from({ length: count }, (_, index) => {
    const address = { kind: 'tcp', host: index < changed ? '10.0.0.1' : '10.0.0.2', port: index + 1 } as const;
    return { name: `n${index}`, weight: 1, address, username: null, password: 'secret' };
  });
  const placement = { kind: 'slots', colocate: [] } as const;
  const keyspaces = [{ prefix: '', pool: 'main', mode: 'sharded', placement, multiKeyWrites: 'split' } as const];
  const services = [
    { name: 'one', port: 1, announced: [], keyspaces },
    { name: 'two', port, announced: [], keyspaces },
  ];
  // New objects each time, as a file that was read again has them.
  const pools = structuredClone([{ name: 'main', nodes, limits: DEFAULT_NODE_LIMITS }]);
  return planTopology(before, pools, services, PLACER);
}

/** A worker at the other end of a feed, and how many parts it was sent in each message. */
class FarEnd {
  readonly sizes: number[] = [];
  readonly feed: TopologyFeed;
  private readonly numbers = new PartNumbers();
  private readonly known: KnownParts;

  constructor(topology: TopologySnapshot) {
    this.feed = new TopologyFeed(this.numbers, topology, (message) => this.receive(structuredClone(message)));
    this.known = new KnownParts(structuredClone(topology), this.numbers.partsOf(topology));
  }

  async take(topology: TopologySnapshot): Promise<TopologySnapshot> {
    return this.known.assemble(structuredClone(await this.feed.prepare(topology)));
  }

  private receive(message: ToWorker): void {
    if (message.kind !== 'learn') throw new Error(`a feed sends no ${message.kind}`);
    this.sizes.push(message.parts.length);
    this.known.learn(message.parts);
    queueMicrotask(() => this.feed.learned());
  }
}

t.test('a topology that is as before is sent by its numbers alone', async (t) => {
  const first = await plan(null, 200, 200, 2);
  const worker = new FarEnd(first);
  const second = await plan(first, 200, 200, 2);
  t.same(await worker.take(second), second);
  t.same(worker.sizes, []);
});

t.test('nodes and services that changed are sent, a few at a time', async (t) => {
  const first = await plan(null, 700, 700, 2);
  const worker = new FarEnd(first);
  const second = await plan(first, 700, 690, 2);
  t.same(await worker.take(second), second);
  t.same(worker.sizes, [10]);
  const third = await plan(second, 700, 0, 3);
  t.same(await worker.take(third), third);
  t.same(worker.sizes, [10, 256, 256, 179], '690 nodes and a service');
  const fourth = await plan(third, 800, 0, 3);
  t.same(await worker.take(fourth), fourth);
});

t.test(
  'of much the next part is sent when the one before was learned, and of little nothing is waited for',
  async (t) => {
    const first = await plan(null, 300, 300, 2);
    const numbers = new PartNumbers();
    const sizes: number[] = [];
    const feed = new TopologyFeed(numbers, first, (message) => {
      if (message.kind === 'learn') sizes.push(message.parts.length);
    });
    const second = await plan(first, 300, 290, 2);
    t.same(await feed.prepare(second), numbers.partsOf(second), 'the worker has said nothing');
    const third = await plan(second, 300, 0, 2);
    let isReady = false;
    const ready = feed.prepare(third).then(() => {
      isReady = true;
    });
    for (const all of [[256], [256, 34]]) {
      await new Promise((resolve) => setImmediate(resolve));
      t.same(sizes.slice(1), all);
      t.notOk(isReady);
      feed.learned();
    }
    await ready;
  },
);

t.test('what a topology no longer has is forgotten on both sides', async (t) => {
  const first = await plan(null, 20, 20, 2);
  const worker = new FarEnd(first);
  const second = await plan(first, 10, 10, 2);
  await worker.take(second);
  const third = await plan(second, 20, 20, 2);
  t.same(await worker.take(third), third);
  t.same(worker.sizes, [2, 12], 'services with fewer nodes are others, too');
});
