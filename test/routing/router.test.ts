import t from 'tap';
import type { KeyspaceSnapshot } from '../../src/messages.js';
import { planCopySets } from '../../src/routing/copy-sets.js';
import { strongLevel } from '../../src/routing/levels.js';
import { Router } from '../../src/routing/router.js';
import { slotOf } from '../../src/routing/slot.js';
import { Seeded } from '../transport/seeded.js';

/** All keys of the keyspace lie on the node of that number. */
function keyspace(prefix: string, node: number): KeyspaceSnapshot {
  const owners = new Uint16Array(16_384).fill(node);
  const placement = { kind: 'slots', owners, colocate: [] } as const;
  return { prefix, pool: 'main', placement, splitsWrites: true, replication: null, locks: null, storeLocks: null };
}

function router(...prefixes: string[]): (key: string) => string | null {
  const made = new Router(prefixes.map(keyspace));
  return (key) => {
    // The key stands among other bytes, as it does in the arena.
    const bytes = Buffer.from(`a:${key}a:`);
    const node = made.nodeOf(bytes, 2, bytes.length - 2);
    t.equal(made.keyspaceOf(bytes, 2, bytes.length - 2), node);
    return prefixes[node] ?? null;
  };
}

t.test('the keyspace with the longest prefix has a key', async (t) => {
  const find = router('', 'a:', 'a:b:', 'b', 'é');
  t.equal(find(''), '');
  t.equal(find('x'), '');
  t.equal(find('a'), '');
  t.equal(find('a:'), 'a:');
  t.equal(find('a:b'), 'a:');
  t.equal(find('a:b:'), 'a:b:');
  t.equal(find('a:b:c'), 'a:b:');
  t.equal(find('b'), 'b');
  t.equal(find('A:'), '');
  t.equal(find('éa'), 'é');
  t.equal(find('è'), '', 'the first byte alone is the same');
});

t.test('without a keyspace of all keys some belong to none', async (t) => {
  const find = router('a:', 'ab:');
  for (const key of ['', 'a', 'b:', 'ab', 'a;', 'ac:']) t.equal(find(key), null, key);
  t.equal(find('a:'), 'a:');
  t.equal(find('ab:x'), 'ab:');
});

t.test('random prefixes and keys are routed as by a dumb twin', async (t) => {
  const random = new Seeded();
  t.comment(`SEED=${random.seed}`);
  const word = (length: number) => Array.from({ length: random.below(length) }, () => 'ab'[random.below(2)]).join('');
  for (let round = 0; round < 200; round++) {
    const prefixes = [...new Set(Array.from({ length: 1 + random.below(8) }, () => word(5)))];
    const find = router(...prefixes);
    for (let count = 0; count < 50; count++) {
      const key = word(8);
      const fitting = prefixes.filter((prefix) => key.startsWith(prefix));
      const expected = fitting.sort((one, other) => other.length - one.length)[0] ?? null;
      if (find(key) !== expected) t.fail(`${key} among ${prefixes.join(' ')}`);
    }
  }
});

t.test("a replicated key is found at the nodes of its copies, and the proxy's own keys belong to nobody", async (t) => {
  const nodes = ['a', 'b', 'c', 'd', 'e'].map((name) => ({ name, weight: 1 }));
  const owners = planCopySets(nodes, 3);
  const first = new Uint16Array(16_384).map((_, slot) => owners[slot * 3] as number);
  const replication = { copies: 3, owners, level: strongLevel(3), tombstoneTtlMs: 1 };
  const placement = { kind: 'slots', owners: first, colocate: ['job:{id}:*'] } as const;
  const basics = { pool: 'main', splitsWrites: true, locks: null, storeLocks: null };
  const router = new Router([
    { ...basics, prefix: '', placement: { ...placement, colocate: [] }, replication },
    { ...basics, prefix: 'job:', placement, replication },
    { ...basics, prefix: '~', placement, replication: null },
  ]);
  const of = (key: string) => {
    const bytes = Buffer.from(`..${key}..`);
    const [start, end] = [2, bytes.length - 2];
    const sets = router.copySetsOf(bytes, start, end);
    const at = sets?.find(bytes, start, end) ?? -1;
    const found = sets === null ? null : Array.from(sets.owners.subarray(at, at + sets.copies));
    for (let node = 0; node < 5; node++) {
      t.equal(sets?.placeOf(node, bytes, start, end) ?? -1, found?.indexOf(node) ?? -1);
    }
    return { found, node: router.nodeOf(bytes, start, end) };
  };
  const slotted = (text: string) => {
    const slot = slotOf(Buffer.from(text), 0, text.length);
    return Array.from(owners.subarray(3 * slot, 3 * slot + 3));
  };
  for (const key of ['', 'k', 'user:1', '{user}:1']) {
    t.same(of(key), { found: slotted(key), node: slotted(key)[0] }, key);
  }
  t.same(of('job:7:log').found, slotted('7'), 'a colocate rule holds for all copies');
  t.same(of('~x'), { found: null, node: first[slotOf(Buffer.from('~x'), 0, 2)] });
  for (const key of ['~rl:', '~rl:m:k', '~rl:node']) t.same(of(key), { found: null, node: -1 }, key);
});

t.test('a lock is found at its nodes, and is no replicated key', async (t) => {
  const nodes = ['a', 'b', 'c', 'd', 'e'].map((name) => ({ name, weight: 1 }));
  const open = (copies: number) => {
    const owners = planCopySets(nodes, copies);
    const first = new Uint16Array(16_384).map((_, slot) => owners[slot * copies] as number);
    const placement = { kind: 'slots', owners: first, colocate: [] } as const;
    const locks = { copies, owners, ttlMaxMs: 7, fenceTtlMs: 8 };
    return new Router([
      { prefix: 'lock:', pool: 'main', splitsWrites: true, placement, replication: null, locks, storeLocks: null },
    ]);
  };
  const setsOf = (router: Router, key: string) => router.lockSetsOf(Buffer.from(key), 0, key.length);
  const five = open(5);
  t.equal(setsOf(five, 'x'), null);
  t.equal(five.copySetsOf(Buffer.from('lock:a'), 0, 6), null);
  t.equal(five.nodeOf(Buffer.from('~rl:node'), 0, 8), -1);
  const [all, three] = [setsOf(five, 'lock:a'), setsOf(open(3), 'lock:a')] as const;
  if (all === null || three === null) throw new Error('both have the key');
  t.equal(all.ttlMaxMs, 7);
  let apart = 0;
  for (let number = 0; number < 200; number++) {
    const other = Buffer.from(`lock:${number}`);
    t.ok(all.areTogether(all.find(Buffer.from('lock:a'), 0, 6), all.find(other, 0, other.length)), 'five of five');
    const [one, two] = [three.find(Buffer.from('lock:a'), 0, 6), three.find(other, 0, other.length)];
    const sets = [one, two].map((at) =>
      Array.from(three.owners.subarray(at, at + 3))
        .sort()
        .join(),
    );
    t.equal(three.areTogether(one, two), sets[0] === sets[1]);
    if (sets[0] !== sets[1]) apart++;
  }
  t.ok(apart > 100 && apart < 200, `${apart} of 200 are apart`);
});

t.test('where nothing is replicated all keys are the clients', async (t) => {
  t.equal(router('')('~rl:node'), '');
});
