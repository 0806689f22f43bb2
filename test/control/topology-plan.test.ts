/** What members do about the topology in the store, and how they go by it: decided purely. */
import t from 'tap';
import { type Config, parseConfig } from '../../src/config.js';
import { CannotFollowError, followLayout } from '../../src/control/follow-layout.js';
import type { Layout } from '../../src/control/layout.js';
import { describeDifferences } from '../../src/control/layout-differences.js';
import { planReload, planStart, RemapError, sharedLayoutOf } from '../../src/control/topology-plan.js';

const BASE = `
listen: 127.0.0.1:6380
pools:
  main:
    nodes:
      - { name: a, url: "redis://:s3cret@10.0.0.1:7001" }
      - { name: b, url: "redis://:s3cret@10.0.0.2:7001", weight: 2 }
  old: { nodes: [redis://10.0.0.3] }
keyspaces:
  - { prefix: "", pool: main }
  - { prefix: "old:", pool: old }
`;

function config(...changes: (readonly [from: string | RegExp, to: string])[]): Config {
  let text = BASE;
  for (const [from, to] of changes) {
    t.ok(typeof from === 'string' ? text.includes(from) : from.test(text), `the configuration has ${from}`);
    text = text.replace(from, to);
  }
  const result = parseConfig(text, { workers: 2, environment: {} });
  if ('config' in result) return result.config;
  throw new Error(JSON.stringify(result.problems));
}

const FLEET = { isAlone: false, acceptRemap: false };
const ALONE = { isAlone: true, acceptRemap: false };
const THERE = sharedLayoutOf(config(), false);

const NODE_C = ['weight: 2 }', 'weight: 2 }\n      - { name: c, url: "redis://:s3cret@10.0.0.9:7001" }'] as const;
const MOVED = ['10.0.0.2:7001', '10.0.0.7:7001'] as const;
const LISTENS = ['6380', '6390'] as const;
const MORE = [
  '- { prefix: "old:", pool: old }',
  '- { prefix: "old:", pool: old }\n  - { prefix: "m:", pool: main }',
] as const;
const LESS = ['  - { prefix: "old:", pool: old }\n', ''] as const;
const SPARE = ['  old:', '  spare: { nodes: [redis://10.0.0.5] }\n  old:'] as const;

function addressOf({ pools }: Layout, pool: string, node: string): string | undefined {
  return pools.find(({ name }) => name === pool)?.nodes.find(({ name }) => name === node)?.address;
}

t.test('the first writes its own; addresses to listen on are in the store of who is alone', (t) => {
  t.same(planStart(null, config(), FLEET), { layout: THERE, remaps: [] });
  t.same(THERE.services[0]?.listen, []);
  t.same(planStart(null, config(), ALONE).layout.services[0]?.listen, ['127.0.0.1:6380']);
  t.notMatch(JSON.stringify(THERE), /s3cret/);
  t.end();
});

t.test('at a start the store holds, but for what is new', (t) => {
  t.same(planStart(THERE, config(LISTENS), FLEET).layout, THERE, 'others listen elsewhere');
  t.same(planStart(THERE, config(MOVED), FLEET).layout, THERE, 'an old address takes nothing back');
  t.same(
    planStart(THERE, config(SPARE), FLEET).layout.pools.map(({ name }) => name),
    ['main', 'old', 'spare'],
  );
  const more = planStart(THERE, config(MORE), FLEET).layout;
  t.same(
    more.services[0]?.keyspaces.map(({ prefix }) => prefix),
    ['', 'old:', 'm:'],
  );
  t.same(planStart(more, config(), FLEET).layout, more, 'who does not know it yet takes nothing out');
  t.end();
});

t.test('a start that would look for keys elsewhere is refused, unless that is accepted', (t) => {
  t.throws(() => planStart(THERE, config(NODE_C), FLEET), { name: 'RemapError', message: /node c is new/ });
  t.throws(() => planStart(THERE, config(['weight: 2', 'weight: 3']), FLEET), {
    message: /node b has weight 2, and would have 3/,
  });
  const { layout, remaps } = planStart(THERE, config(NODE_C), { ...FLEET, acceptRemap: true });
  t.equal(addressOf(layout, 'main', 'c'), '10.0.0.9:7001');
  t.match(remaps, [/node c is new/]);
  t.end();
});

t.test('who is alone goes by its own configuration', (t) => {
  const there = sharedLayoutOf(config(), true);
  t.equal(addressOf(planStart(there, config(MOVED), ALONE).layout, 'main', 'b'), '10.0.0.7:7001');
  t.throws(() => planStart(there, config(NODE_C), ALONE), RemapError);
  t.equal(addressOf(planReload(there, config(), config(MOVED), ALONE).layout, 'main', 'b'), '10.0.0.7:7001');
  t.end();
});

t.test('a reload changes what it changed itself, and nothing else', (t) => {
  // Somebody else has moved a node meanwhile, and added a keyspace.
  const there = planReload(planStart(THERE, config(MORE), FLEET).layout, config(), config(MOVED), FLEET).layout;
  t.equal(addressOf(there, 'main', 'b'), '10.0.0.7:7001');
  t.same(planReload(there, config(), config(LISTENS), FLEET).layout, there, 'nothing that others must know');
  const spare = planReload(there, config(), config(SPARE), FLEET).layout;
  t.equal(addressOf(spare, 'main', 'b'), '10.0.0.7:7001', 'the old address in the file is not news');
  t.equal(spare.pools.length, 3);
  const gone = planReload(spare, config(SPARE), config(), FLEET).layout;
  t.equal(gone.pools.length, 2, 'what it takes out is out');
  t.same(
    planReload(gone, config(SPARE), config(SPARE), FLEET).layout,
    gone,
    'and stays out while another has it still',
  );
  t.throws(() => planReload(there, config(), config(LESS), FLEET), { message: /keyspace "old:" is gone/ });
  const less = planReload(there, config(), config(LESS), { ...FLEET, acceptRemap: true });
  t.same(
    less.layout.services[0]?.keyspaces.map(({ prefix }) => prefix),
    ['', 'm:'],
  );
  t.end();
});

t.test('of a pool, too, a reload changes what it changed itself, and nothing else', (t) => {
  const there = planReload(THERE, config(), config(MOVED), FLEET).layout;
  const other = ['10.0.0.1:7001', '10.0.0.8:7001'] as const;
  const { layout } = planReload(there, config(), config(other), FLEET);
  t.same([addressOf(layout, 'main', 'a'), addressOf(layout, 'main', 'b')], ['10.0.0.8:7001', '10.0.0.7:7001']);
  const grown = planReload(there, config(), config(NODE_C), { ...FLEET, acceptRemap: true }).layout;
  t.equal(addressOf(grown, 'main', 'b'), '10.0.0.7:7001', 'a node that is new takes no address back');
  t.same(planReload(grown, config(), config(other), FLEET).layout.pools[0]?.nodes.length, 3, 'nor a node out');
  t.end();
});

t.test('a member serves some services of its fleet, and takes the others from nobody', (t) => {
  const service = (name: string, port: number, pool: string) =>
    `  - { name: ${name}, listen: 127.0.0.1:${port}, keyspaces: [{ prefix: "", pool: ${pool} }] }`;
  const of = (...lines: string[]) =>
    config(['listen: 127.0.0.1:6380\n', ''], [/keyspaces:[\s\S]*$/, `services:\n${lines.join('\n')}\n`]);
  const both = sharedLayoutOf(of(service('one', 1, 'main'), service('two', 2, 'old')), false);
  const one = of(service('one', 9, 'main'));
  t.same(planStart(both, one, FLEET).layout, both);
  t.equal(followLayout(one, both).services.length, 1);
  t.same(planStart(sharedLayoutOf(one, false), of(service('two', 2, 'old')), FLEET).layout.services.length, 2);
  const without = { ...one, pools: one.pools.filter(({ name }) => name === 'main') };
  t.same(planReload(both, one, without, FLEET).layout, both, 'a pool that others use stays');
  t.end();
});

t.test('a member goes by the nodes of the fleet, with passwords of its own', (t) => {
  const own = config();
  t.same(followLayout(own, THERE), own);
  const moved = followLayout(own, sharedLayoutOf(config(MOVED), false));
  t.match(moved.pools[0]?.nodes[1], { name: 'b', weight: 2, address: { host: '10.0.0.7' }, password: 's3cret' });
  const grown = followLayout(own, sharedLayoutOf(config(NODE_C), false));
  t.match(grown.pools[0]?.nodes[2], { name: 'c', weight: 1, address: { host: '10.0.0.9' }, password: 's3cret' });
  t.equal(grown.limits, own.limits);
  t.end();
});

t.test(
  'nodes in another order are those of the configuration still, and what is as it has it is the very same',
  (t) => {
    const own = config(NODE_C);
    const [main, old] = own.pools;
    const [a, b, c] = main?.nodes ?? [];
    const shared = sharedLayoutOf(own, false);
    const same = followLayout(own, shared);
    t.equal(same.pools[0], main);
    t.equal(same.pools[1], old);
    const [pool, ...others] = shared.pools;
    const go = (nodes: Layout['pools'][number]['nodes']) =>
      followLayout(own, { ...shared, pools: [{ name: 'main', nodes }, ...others] }).pools[0]?.nodes ?? [];
    const [sharedA, sharedB, sharedC] = pool?.nodes ?? [];
    if (sharedA === undefined || sharedB === undefined || sharedC === undefined) throw new Error('there are three');
    const turned = go([sharedC, sharedA, sharedB]);
    t.equal(turned[0], c);
    t.equal(turned[1], a);
    t.equal(turned[2], b);
    t.strictSame(go([sharedA, sharedC]), [a, c], 'one is gone');
    t.match(go([sharedA, { ...sharedB, weight: 5 }, sharedC])[1], { name: 'b', weight: 5, address: b?.address });
    t.throws(() => go([sharedA, { ...sharedB, address: 'nowhere' }]), { message: /node b: "nowhere" is no address/ });
    t.end();
  },
);

t.test('why a member cannot go by it', (t) => {
  const cases: [string, Config, Config, RegExp[]][] = [
    ['a keyspace that it lacks', config(), config(MORE), [/keyspace "m:" of the fleet's topology is not in this conf/]],
    ['a keyspace that the fleet lacks', config(MORE), config(), [/keyspace "m:" is not in the fleet's topology/]],
    [
      'another placement',
      config(),
      config(['pool: old }', 'pool: old, placement: modula }']),
      [/keyspace "old:": the fleet's is .*"modula".*, this configuration's .*"slots"/],
    ],
    [
      'a pool that the fleet lacks',
      config(),
      { ...config(), pools: [] },
      [/pool main is not in/, /pool old is not in/],
    ],
    [
      'a node that it has no password for',
      config(['s3cret', 'other']),
      config(NODE_C),
      [/pool main: node c is not in this configuration, whose nodes do not all have the same user and password/],
    ],
  ];
  for (const [what, own, fleets, reasons] of cases) {
    t.throws(() => followLayout(own, sharedLayoutOf(fleets, false)), CannotFollowError, what);
    for (const message of reasons) t.throws(() => followLayout(own, sharedLayoutOf(fleets, false)), { message }, what);
  }
  t.end();
});

t.test('what differs without giving keys another place is said', (t) => {
  t.same(describeDifferences(THERE, sharedLayoutOf(config(), false)), []);
  t.match(describeDifferences(THERE, sharedLayoutOf(config(MOVED), false)), [
    /pool main, node b: it is at 10.0.0.2:7001 in the fleet's topology, and at 10.0.0.7:7001 in this configuration/,
  ]);
  t.end();
});
