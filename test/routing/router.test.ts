import t from 'tap';
import type { KeyspaceSnapshot } from '../../src/messages.js';
import { Router } from '../../src/routing/router.js';
import { Seeded } from '../transport/seeded.js';

/** All keys of the keyspace lie on the node of that number. */
function keyspace(prefix: string, node: number): KeyspaceSnapshot {
  const owners = new Uint16Array(16_384).fill(node);
  return { prefix, pool: 'main', placement: { kind: 'slots', owners, colocate: [] }, splitsWrites: true };
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
