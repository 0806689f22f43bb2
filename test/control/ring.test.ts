/** `ringleader ring`: what it says and draws. The process itself is tried in test/main.test.ts. */
import t from 'tap';
import { UsageError } from '../../src/base/usage-error.js';
import { type Config, parseConfig } from '../../src/config.js';
import { BulkPool } from '../../src/control/bulk-pool.js';
import { drawRings } from '../../src/control/ring-drawing.js';
import { reportRing } from '../../src/control/ring-report.js';
import { type Change, type RingView, viewRings } from '../../src/control/ring-view.js';
import { planCopies } from '../../src/routing/ring.js';
import { slotOf } from '../../src/routing/slot.js';

function configOf(text: string): Config {
  const result = parseConfig(text, { workers: 1, environment: {} });
  if ('config' in result) return result.config;
  throw new Error(JSON.stringify(result.problems));
}

const NODES = `
      - { name: a, url: "redis://10.0.0.1:6379" }
      - { name: b, url: "redis://:s3cret@10.0.0.2:6379", weight: 2 }
      - redis://10.0.0.3:6379
`;
const SLOTS = `pools:\n  main:\n    nodes:${NODES}`;
const TWO = `pools:\n  one:\n    nodes:${NODES}  two:\n    nodes:${NODES}
services:
  - { name: first, listen: 127.0.0.1:1, keyspaces: [{ prefix: "", pool: one, placement: ketama, hashTag: "{}" }] }
  - { name: second, listen: 127.0.0.1:2, keyspaces: [{ prefix: "", pool: two, placement: modula, hash: crc32 }] }
`;

const bulk = new BulkPool();
t.teardown(() => bulk.destroy());

function view(text: string, change: Partial<Change> = {}, pool: string | null = null): Promise<RingView[]> {
  return viewRings(configOf(text), pool, { add: [], remove: [], ...change }, bulk);
}

async function report(text: string, change: Partial<Change> = {}, keys: string[] = []): Promise<string> {
  return (await view(text, change)).map((one) => reportRing(one, keys)).join('\n');
}

t.test('a report names every node, its slots and its share', async (t) => {
  const text = await report(SLOTS);
  t.match(text, 'keyspace "" of service main: pool main, 3 nodes, placed by slots\n');
  const rows = [...text.matchAll(/^ {2}(\S+) +(\d+) +([\d,]+) +([\d.]+) % +([\d.]+) % +([\d.]+) %$/gm)];
  t.same(
    rows.map(([, name, weight, , , fair]) => [name, weight, fair]),
    [
      ['a', '1', '25.00'],
      ['b', '2', '50.00'],
      ['10.0.0.3:6379', '1', '25.00'],
    ],
  );
  const slots = rows.map(([, , , slots]) => Number(slots?.replace(',', '')));
  t.equal(
    slots.reduce((sum, count) => sum + count, 0),
    16384,
  );
  t.match(text, /Fullest: \S+ owns 10\d\.\d % of its fair share\. Emptiest: \S+ owns 9\d\.\d % /);
  t.notMatch(text, 's3cret');
});

t.test('a node that joins: what would move, against what must', async (t) => {
  const text = await report(SLOTS, { add: ['d'] });
  t.match(text, '4 nodes after the change (3 before)');
  const [, moved, times, unavoidable] =
    /What would move: ([\d.]+) % \([\d,]+ slots\), ([\d.]+) times the unavoidable ([\d.]+) %\./.exec(text) ?? [];
  t.equal(unavoidable, '20.00');
  t.ok(Number(moved) > 18 && Number(moved) < 23, `${moved} %`);
  t.equal((Number(moved) / 20).toFixed(1), Number(times).toFixed(1));
  t.match(text, new RegExp(`d +gets +${moved} % `), 'all that moves goes to it');
});

t.test('a weight follows =, and a URL stands for the name that it would have', async (t) => {
  t.match(await report(SLOTS, { add: ['d=4'] }), 'times the unavoidable 50.00 %');
  t.match(await report(SLOTS, { add: ['10.0.0.9:6379=4'] }), /10\.0\.0\.9:6379 +gets/);
  t.match(await report(SLOTS, { add: ['redis://:s3cret@10.0.0.9=4'] }), /10\.0\.0\.9:6379 +gets/);
  t.match(await report(SLOTS, { add: ['unix:/r.sock'] }), /unix:\/r\.sock +gets/);
});

t.test('nodes that leave, and others that come in their place', async (t) => {
  const gone = await report(SLOTS, { remove: ['a'] });
  t.match(gone, 'times the unavoidable 25.00 %');
  t.match(gone, /a +gives/);
  const both = await report(SLOTS, { remove: ['a', '10.0.0.3:6379'], add: ['d', 'e'] });
  t.match(both, 'times the unavoidable 50.00 %');
});

t.test('a key: where it is, by what, and where it would be', async (t) => {
  const text = await report(SLOTS, {}, ['foo', 'x{foo}y']);
  t.match(text, /^key 'foo': slot 12182, node \S+ \(10\.0\.0\.\d:6379\)$/m);
  t.match(text, /^key 'x\{foo\}y': slot 12182, node/m);
  const rules = `${SLOTS}keyspaces: [{ prefix: "", pool: main, colocate: ["bull:{queue}:*"] }]`;
  t.match(await report(rules, {}, ['bull:foo:1']), /^key 'bull:foo:1': slot 12182 by 'foo', node/m);
  t.match(await report(SLOTS, { add: ['d=100'] }, ['foo']), /^key 'foo': slot 12182, node .*, then d$/m);
});

t.test("every service's keyspaces are told, with hash and hash tag", async (t) => {
  const text = await report(TWO, {}, ['x{foo}y']);
  t.match(text, 'keyspace "" of service first: pool one, 3 nodes, placed by ketama of fnv1a_64 with hash tag {}\n');
  t.match(text, 'keyspace "" of service second: pool two, 3 nodes, placed by modula of crc32\n');
  t.match(text, /key 'x\{foo\}y': hash \d+, node/);
  t.match(text, /key 'x\{foo\}y': remainder [0-3], node/);
});

t.test('ketama by crc32 is a trap, and it is said', async (t) => {
  const text = await report(`${SLOTS}keyspaces: [{ prefix: "", pool: main, placement: ketama, hash: crc32 }]`);
  t.match(text, /100\.00 %/);
  t.match(text, 'crc32 has only 32,768 values');
});

t.test('of very many changes the largest are listed', async (t) => {
  const nodes = Array.from({ length: 60 }, (_, i) => `redis://10.0.1.${i}`);
  const text = await report(JSON.stringify({ pools: { main: { nodes } } }), { add: ['d'] });
  t.match(text, /and \d+ smaller gains and losses/);
  t.equal([...text.matchAll(/^ {2}\S+ +(gets|gives) /gm)].length, 20);
});

t.test('a change that cannot be meant is refused in plain words', async (t) => {
  const table: [Partial<Change>, RegExp][] = [
    [{ remove: ['aa'] }, /pool main has no node aa; did you mean a\?/],
    [{ remove: ['redis-17.example.org'] }, /pool main has no node redis-17\.example\.org$/],
    [{ remove: ['a', 'a'] }, /has no node a/],
    [{ remove: ['a', 'b', '10.0.0.3:6379'] }, /pool main would have no node left/],
    [{ add: ['b'] }, /pool main has a node b already/],
    [{ add: ['redis://10.0.0.3'] }, /has a node 10\.0\.0\.3:6379 already/],
    [{ add: ['d', 'd'] }, /has a node d already/],
    [{ add: ['d=0'] }, /--add d=0: the weight must be a whole number above 0/],
    [{ add: ['d=x'] }, /--add d=x: the weight must be/],
    [{ add: [''] }, /--add needs the name of a node/],
    [{ add: ['d e'] }, /--add needs the name of a node/],
    [{ add: ['redis://u:s3cret@h:x'] }, /--add: expected the name of a node or its URL, found a port/],
  ];
  for (const [change, says] of table) {
    const error = await view(SLOTS, change).then(
      () => null,
      (error: unknown) => error,
    );
    t.ok(error instanceof UsageError, JSON.stringify(change));
    t.match((error as Error).message, says);
    t.notMatch((error as Error).message, 's3cret');
  }
  await t.rejects(view(TWO, { add: ['d'] }), /--pool must say which pool changes: one, two/);
  await t.rejects(view(TWO, {}, 'three'), /there is no pool three; there are one, two/);
  t.equal((await view(TWO, { add: ['d'] }, 'two')).length, 1);
});

t.test('the pool of threads reports what cannot be planned', async (t) => {
  await t.rejects(bulk.planCircle([], { kind: 'slots', colocate: [] }), /at least one node/);
});

t.test('the main thread stays free while a ring of 1,000 nodes is planned', async (t) => {
  const nodes = Array.from({ length: 1_000 }, (_, i) => ({ name: `n${i}`, weight: 1 }));
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const circle = await bulk.planCircle(nodes, { kind: 'slots', colocate: [] });
  clearInterval(timer);
  t.equal(new Set(circle.owners).size, 1_000);
  t.ok(turns > 5, `${turns} turns of the main thread meanwhile`);
});

/** The names of the elements in the order in which they begin; throws where one is not closed in its place. */
function elements(svg: string): string[] {
  const names: string[] = [];
  const open: string[] = [];
  for (const [, end, name, rest] of svg.matchAll(/<(\/?)([a-z]+)((?:\s+[\w:-]+="[^"<]*")*\s*\/?)>/gi)) {
    if (end === '/') {
      if (open.pop() !== name) throw new Error(`</${name}> closes nothing`);
      continue;
    }
    names.push(name as string);
    if (!rest?.endsWith('/')) open.push(name as string);
  }
  if (open.length > 0) throw new Error(`${open} not closed`);
  const text = svg.replaceAll(/<[^<>]*>/g, '');
  if (/[<>]|&(?!amp;|lt;|gt;|quot;)/.test(text)) throw new Error('a character is not escaped');
  return names;
}

t.test('a drawing is well-formed, and shows every node and every keyspace', async (t) => {
  const svg = drawRings(await view(TWO));
  t.equal(elements(svg).filter((name) => name === 'path').length, 2 * (3 + 3), 'an arc and a mark for each node');
  t.equal([...svg.matchAll(/<title>b<\/title>/g)].length, 2);
  t.match(svg, 'keyspace &quot;&quot; of service second');
  t.notMatch(svg, /NaN|undefined|s3cret/);
});

t.test('a drawing of a change has two circles, and what stays is pale', async (t) => {
  const [one] = await view(SLOTS, { add: ['<&">'] });
  const svg = drawRings([one as RingView]);
  t.ok(elements(svg).length > 0);
  t.match(svg, '<title>&lt;&amp;&quot;&gt;</title>');
  t.equal([...svg.matchAll(/opacity="0\.2"/g)].length, 3, 'the three that were there');
  t.match(svg, 'inside: before');
});

t.test('one node alone is a full circle, and a thousand nodes are a legend that ends', async (t) => {
  const [alone] = await view('pools: { main: { nodes: [redis://h] } }');
  const svg = drawRings([alone as RingView]);
  t.equal([...svg.matchAll(/A200 200/g)].length, 4, 'in quarters');
  t.match(reportRing(alone as RingView, []), 'It owns everything.');
  const nodes = Array.from({ length: 1_000 }, (_, i) => `redis://10.0.${i >> 8}.${i & 255}`);
  const large = drawRings(await view(JSON.stringify({ pools: { main: { nodes } } })));
  t.match(large, 'and 980 more');
  t.ok(large.length < 1_000_000, `${large.length} bytes`);
});

t.test('of replicated keys a report says where all copies are', async (t) => {
  const nodes = ['a', 'b', 'c', 'd'].map((name) => `{ name: ${name}, url: "redis://${name}" }`).join(', ');
  const config = `pools: { main: { nodes: [${nodes}] } }
keyspaces: [{ prefix: "", pool: main, mode: replicated }]`;
  const text = await report(config, { add: ['e'] }, ['k']);
  t.match(text, /placed by slots, 3 copies of each key\n/);
  t.match(text, /filled +of all copies\n +a +1 .* (19|20)\.\d\d %\n/);
  const [, part] = /Of all copies (\d+\.\d\d) % would be on another node\.$/m.exec(text) as unknown as [string, string];
  t.ok(Number(part) > 18 && Number(part) < 23, `${part} of the unavoidable 20`);
  const all = ['a', 'b', 'c', 'd'].map((name) => ({ name, weight: 1 }));
  const slot = slotOf(Buffer.from('k'), 0, 1);
  const [first, second, third] = Array.from(planCopies(all, 3).subarray(slot * 3, slot * 3 + 3), (at) => all[at]?.name);
  t.match(text, `key 'k': slot ${slot}, node ${first} (${first}:6379), copies on ${second} and ${third}, then `);
});
