/** The order in which Redis's SCAN tells keys, and which parts of it are told again. */
import t from 'tap';
import { isWithin, stretchesOf } from '../../src/replica/scan-order.js';

/** The cursors with which a scan of a table of 2^bits buckets goes through it, bucket by bucket (dict.c, dictScan). */
function cursorsOf(bits: number): string[] {
  const mask = (1n << BigInt(bits)) - 1n;
  const cursors = ['0'];
  for (let v = 0n; ; ) {
    v = reverse(v | (0xffff_ffff_ffff_ffffn ^ mask));
    v = reverse(BigInt.asUintN(64, v + 1n));
    if (v === 0n) return cursors;
    cursors.push(`${v}`);
  }
}

function reverse(v: bigint): bigint {
  let reversed = 0n;
  for (let bit = 0n; bit < 64n; bit++) if ((v & (1n << bit)) !== 0n) reversed |= 1n << (63n - bit);
  return reversed;
}

t.test('a scan goes on until all of a stretch is told, and no farther', async (t) => {
  const cursors = cursorsOf(6);
  t.equal(cursors.length, 64);
  for (const [at, until] of cursors.entries()) {
    if (at === 0) continue;
    for (const [place, cursor] of cursors.entries()) {
      if (place === 0) continue;
      t.equal(isWithin(cursor, { from: '0', until }), place < at, `${cursor} before ${until}`);
    }
  }
  for (const cursor of cursors) t.equal(isWithin(cursor, { from: '1', until: '0' }), cursor !== '0', 'until the end');
  t.notOk(isWithin('0', { from: '0', until: '5' }), 'the end is behind all');
});

t.test('all buckets of a stretch are told again, also in a table that has grown or shrunk', async (t) => {
  const [from, until] = [5, 23];
  const cursors = cursorsOf(6);
  const stretch = { from: cursors[from] as string, until: cursors[until] as string };
  const told = cursors.slice(from, until).map(Number);
  for (const bits of [3, 5, 6, 7, 9]) {
    const all = cursorsOf(bits);
    const mask = 2 ** bits - 1;
    const wanted = bits < 6 ? told.map((one) => one & mask) : all.map(Number).filter((one) => told.includes(one & 63));
    const again = new Set<number>();
    // The bucket of a cursor is what its lowest bits say.
    let at = all.indexOf(`${Number(stretch.from) & mask}`);
    do again.add(Number(all[at++]));
    while (isWithin(all[at] ?? '0', stretch));
    for (const bucket of wanted) t.ok(again.has(bucket), `2^${bits} buckets: ${bucket}`);
    t.ok(again.size <= new Set(wanted).size + 1, 'and few others');
  }
});

t.test('pages that stand behind each other are one stretch', async (t) => {
  const cursors = ['0', '32', '16', '48', '8'];
  t.same(stretchesOf(cursors, []), []);
  t.same(stretchesOf(cursors, [0, 1, 3]), [
    { from: '0', until: '16' },
    { from: '48', until: '8' },
  ]);
  t.same(stretchesOf(cursors, [2, 4]), [
    { from: '16', until: '48' },
    { from: '8', until: '0' },
  ]);
  t.same(stretchesOf(cursors, [0, 1, 2, 3, 4]), [{ from: '0', until: '0' }]);
});
