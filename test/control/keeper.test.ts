/** The topology of a fleet in a store: versions that have one content, and the barrier that waits for all members. */
import t, { type Test } from 'tap';
import { Keeper } from '../../src/control/keeper.js';
import type { Layout } from '../../src/control/layout.js';
import {
  decodeTopology,
  encodeTopology,
  type SharedTopology,
  TOPOLOGY_KEY,
} from '../../src/control/shared-topology.js';
import { FileDriver } from '../../src/coord/file-driver.js';
import { Membership } from '../../src/coord/membership.js';
import { Store } from '../../src/coord/store.js';
import type { StoreError } from '../../src/coord/store-error.js';
import { waitFor } from '../help/wait-for.js';

function layout(nodes: number): Layout {
  const keyspaces = [
    { prefix: '', pool: 'main', mode: 'sharded', placement: { kind: 'slots', colocate: [] } },
  ] as const;
  const list = Array.from({ length: nodes }, (_, at) => ({ name: `n${at}`, weight: 1, address: `10.0.0.1:${at + 1}` }));
  return { services: [{ name: 'main', listen: [], keyspaces }], pools: [{ name: 'main', nodes: list }] };
}

function open(t: Test): Store {
  const store = new Store(new FileDriver(null));
  t.teardown(() => store.close());
  return store;
}

interface Told {
  keeper: Keeper;
  topologies: SharedTopology[];
  troubles: StoreError[];
}

function keep(t: Test, store: Store, member: string): Told {
  const [topologies, troubles]: [SharedTopology[], StoreError[]] = [[], []];
  const keeper = new Keeper(store, member, {
    onTopology: (topology) => topologies.push(topology),
    onSeen: () => {},
    onTrouble: (error) => troubles.push(error),
  });
  keeper.start();
  t.teardown(() => keeper.stop());
  return { keeper, topologies, troubles };
}

/** A member of the name, that shows `topologyVersion`. */
async function join(
  t: Test,
  store: Store,
  name: string,
  { topology }: Keeper,
  topologyVersion: number,
): Promise<Membership> {
  const facts = { version: '1', sinceMs: 0, topologyVersion, origin: topology?.origin, reason: null };
  const nothing = () => {};
  const told = { onMembers: nothing, onTrouble: nothing, onJoined: nothing, onLost: nothing };
  const membership = new Membership(store, { name, leaseMs: 10_000, facts, ...told });
  await membership.start();
  t.teardown(() => membership.leave());
  return membership;
}

t.test('each change has the next version, and every keeper is told', async (t) => {
  const store = open(t);
  const [one, other] = [keep(t, store, 'one'), keep(t, store, 'other')];
  t.match(await one.keeper.change(() => layout(1)), { version: 1, writer: 'one', layout: layout(1) });
  t.equal((await other.keeper.change(() => layout(2))).version, 2);
  t.equal((await one.keeper.change(() => layout(2))).version, 2, 'what is there already is not written');
  await waitFor('both to be told', () => [one, other].every(({ keeper }) => keeper.topology?.version === 2));
  for (const { topologies, troubles } of [one, other]) {
    t.same(troubles, []);
    const versions = topologies.map(({ version }) => version);
    t.same(versions, [...new Set(versions)].sort(), 'in order, each once');
  }
});

t.test('of changes that are made at once none is lost, and no version has two contents', async (t) => {
  const store = open(t);
  const keepers = ['a', 'b', 'c', 'd'].map((name) => keep(t, store, name));
  const made = await Promise.all(
    keepers.flatMap(({ keeper }) =>
      Array.from({ length: 4 }, () =>
        keeper.change((there) => layout((there?.layout.pools[0]?.nodes.length ?? 0) + 1)),
      ),
    ),
  );
  t.same(
    made.map(({ version }) => version).sort((one, other) => one - other),
    Array.from({ length: 16 }, (_, at) => at + 1),
  );
  for (const { version, layout } of made) t.equal(layout.pools[0]?.nodes.length, version);
});

t.test('a plan is asked about the topology that was told, and about another one where it is another', async (t) => {
  const store = open(t);
  const [one, other] = [keep(t, store, 'one'), keep(t, store, 'other')];
  await one.keeper.change(() => layout(1));
  const seen = one.keeper.topology;
  const asked: (SharedTopology | null)[] = [];
  const ask = (there: SharedTopology | null) => {
    asked.push(there);
    return layout(2);
  };
  await one.keeper.change(ask);
  t.equal(asked[0], seen, 'what was planned by it need not be planned again');
  await waitFor('the other one to be told', () => other.keeper.topology?.version === 2);
  t.same(await other.keeper.change(ask), one.keeper.topology);
  t.equal(asked[1], other.keeper.topology);
  await other.keeper.change(() => layout(3));
  await one.keeper.change((there) => {
    t.same(there, other.keeper.topology);
    return layout(4);
  });
  t.same(one.troubles, []);
});

t.test('what a plan throws changes nothing', async (t) => {
  const store = open(t);
  const { keeper } = keep(t, store, 'a');
  await keeper.change(() => layout(1));
  const refuse = (): never => {
    throw new RangeError('no');
  };
  await t.rejects(keeper.change(refuse), RangeError);
  t.equal((await keeper.read())?.version, 1);
});

t.test('a change is acknowledged when all members go by it, or are none any more', async (t) => {
  const store = open(t);
  const { keeper } = keep(t, store, 'a');
  const [a, b, c] = (await Promise.all(['a', 'b', 'c'].map((name) => join(t, store, name, keeper, 1)))) as [
    Membership,
    Membership,
    Membership,
  ];
  let isDone = false;
  const all = keeper.acknowledged(2, a, new AbortController().signal).then(() => {
    isDone = true;
  });
  a.show({ topologyVersion: 2 });
  c.show({ topologyVersion: 3 });
  await waitFor(
    'both to be seen',
    () => a.members.get('a')?.topologyVersion === 2 && a.members.get('c')?.topologyVersion === 3,
  );
  t.notOk(isDone, 'b is waited for');
  b.show({ reason: 'it lacks a pool' });
  await waitFor('the reason to be seen', () => a.members.get('b')?.reason === 'it lacks a pool');
  t.notOk(isDone, 'whatever it says');
  await b.leave();
  await all;

  const late = await join(t, store, 'late', keeper, 0);
  const stopping = new AbortController();
  const never = keeper.acknowledged(2, a, stopping.signal);
  await waitFor('it to be seen', () => a.members.has('late'));
  stopping.abort(new Error('enough'));
  await t.rejects(never, 'who has joined since is waited for');
  late.show({ topologyVersion: 2 });
  await keeper.acknowledged(2, a, new AbortController().signal);
});

t.test('a topology that cannot be understood is said, and not gone by', async (t) => {
  const store = open(t);
  const { keeper, topologies, troubles } = keep(t, store, 'a');
  const { version } = await store.get(TOPOLOGY_KEY);
  const written = await store.compareAndSet(TOPOLOGY_KEY, version, '{"format":2}');
  await waitFor('the trouble', () => troubles.length > 0);
  t.match(troubles[0], {
    fault: 'refused',
    message: /not one that this version understands .*: was it written by a newer/,
  });
  await t.rejects(
    keeper.change(() => layout(1)),
    { name: 'StoreError' },
  );
  t.same(topologies, []);
  if (written.kind === 'done') await store.compareAndSet(TOPOLOGY_KEY, written.version, 'x');
  await waitFor('the next', () => troubles.length > 1);
  t.match(troubles[1], { message: /is no JSON/ });
});

t.test('a topology that is gone, or older than it was, is said, and nothing is made of it', async (t) => {
  const store = open(t);
  const { keeper, topologies, troubles } = keep(t, store, 'a');
  for (const nodes of [1, 2, 3]) await keeper.change(() => layout(nodes));
  await waitFor('the third to be told', () => topologies.length === 3);
  const old = encodeTopology({ version: 2, writer: 'b', origin: keeper.topology?.origin ?? '', layout: layout(9) });
  for (const [text, message] of [
    [null, /was version 3, and is gone: if the store was emptied, stop all members/],
    [old, /was version 3, and is version 2/],
  ] as const) {
    const { version } = await store.get(TOPOLOGY_KEY);
    await store.compareAndSet(TOPOLOGY_KEY, version, text);
    await waitFor('the watch to see it', () => troubles.some(({ message: told }) => message.test(told)));
    await t.rejects(keeper.read(), { name: 'StoreError', fault: 'refused', message });
    await t.rejects(
      keeper.change(() => layout(4)),
      { message },
    );
  }
  t.equal(keeper.topology?.version, 3);
});

t.test('a topology that was begun anew is not gone by, whatever its version, and acknowledges nothing', async (t) => {
  const store = open(t);
  const { keeper, topologies, troubles } = keep(t, store, 'a');
  await keeper.change(() => layout(1));
  const old = await join(t, store, 'a', keeper, 1);
  await keeper.acknowledged(1, old, new AbortController().signal);
  const { version } = await store.get(TOPOLOGY_KEY);
  await store.compareAndSet(TOPOLOGY_KEY, version, null);
  // A process that was started since, by another configuration.
  const late = keep(t, store, 'b');
  for (const nodes of [5, 6, 7]) {
    const { version: next } = await late.keeper.change(() => layout(nodes));
    const message = new RegExp(`was begun anew: it is version ${next}, written by b, and not of those .* version 1`);
    await t.rejects(keeper.read(), { name: 'StoreError', fault: 'refused', message });
    await t.rejects(
      keeper.change(() => layout(2)),
      { message },
    );
    await waitFor('the watch to see it', () => troubles.some(({ message: told }) => message.test(told)));
  }
  t.same(
    topologies.map(({ layout }) => layout),
    [layout(1)],
  );
  const stopped = AbortSignal.timeout(500);
  await t.rejects(late.keeper.acknowledged(1, old, stopped), 'who goes by the version 1 of before goes by another one');
});

t.test('a version that has another content than it had is not gone by', async (t) => {
  const store = open(t);
  const { keeper, troubles } = keep(t, store, 'a');
  const first = await keeper.change(() => layout(1));
  const { version } = await store.get(TOPOLOGY_KEY);
  await store.compareAndSet(TOPOLOGY_KEY, version, encodeTopology({ ...first, layout: layout(2) }));
  const message = /version 1 of the topology .* has another content than it had/;
  await t.rejects(keeper.read(), { fault: 'refused', message });
  await waitFor('the watch to see it', () => troubles.some(({ message: told }) => message.test(told)));
  t.same(keeper.topology?.layout, layout(1));
});

t.test('as large as a configuration may be, it is an entry that every store takes', async (t) => {
  const large = { version: 1, writer: 'a', origin: '', layout: layout(65_536) };
  const text = encodeTopology(large);
  t.ok(Buffer.byteLength(text) < 1_000_000, `${Buffer.byteLength(text)} bytes`);
  t.same(decodeTopology(text), large);
  t.match(encodeTopology({ ...large, layout: layout(3) }), /^\{.*\}$/, 'a small one can be read by people');
  const usual = { ...large, layout: layout(1_000) };
  t.ok(
    encodeTopology(usual).length < JSON.stringify(usual).length / 5,
    'of a thousand nodes little goes over the wire',
  );
  t.same(decodeTopology(encodeTopology(usual)), usual);
  const begun = { ...usual, origin: 'somewhere' };
  t.same(decodeTopology(encodeTopology(begun)), begun);
});

t.test('a topology with a node that is none is not understood', async (t) => {
  const { pools, ...rest } = layout(2);
  const withNode = (node: unknown) => {
    const nodes = [...(pools[0]?.nodes ?? []), node];
    return JSON.stringify({ format: 1, version: 1, writer: 'a', layout: { ...rest, pools: [{ ...pools[0], nodes }] } });
  };
  const node = { name: 'x', weight: 1, address: '10.0.0.1:6379' };
  t.equal(decodeTopology(withNode(node)).layout.pools[0]?.nodes.length, 3);
  const others = [null, 'x', [], {}, { ...node, weight: 0 }, { ...node, weight: 1.5 }, { ...node, weight: '1' }];
  const more = [
    { ...node, name: 7 },
    { ...node, address: null },
    { ...node, zone: 'b' },
    { name: 'x', weight: 1 },
  ];
  for (const other of [...others, ...more]) {
    const message = /not one that this version understands \(layout\.pools\.0\.nodes: a list of nodes\)/;
    t.throws(() => decodeTopology(withNode(other)), { fault: 'refused', message }, JSON.stringify(other));
  }
});
