/** How a folder lies in a register: pure. */
import t from 'tap';
import { VALUE_BYTES_MAX } from '../../src/coord/key.js';
import {
  changeFields,
  decodeFolder,
  decodeHead,
  decodeStored,
  FOLDER_BYTES_MAX,
} from '../../src/coord/redis-folder.js';
import { StoreError } from '../../src/coord/store-error.js';

/** What a register would have after the changes that are asked of it. */
class Fields {
  readonly map = new Map<string, string>();
  private marks = 0;

  change(name: string, expected: number, value: string | null) {
    const found = ['/', name].map((field) => this.map.get(field) ?? null);
    const { attempt, changes } = changeFields(found, name, expected, `m.${++this.marks}`, value);
    for (const [field, text] of changes) {
      if (text === null) this.map.delete(field);
      else this.map.set(field, text);
    }
    return attempt;
  }

  get bytes(): number {
    return decodeHead(this.map.get('/') ?? null).bytes;
  }
}

t.test('what is written is read again, and a conflict changes nothing', async (t) => {
  const fields = new Fields();
  t.same(decodeFolder(fields.map), { last: 0, version: 0, entries: new Map() });
  t.same(fields.change('a', 0, 'x y'), { kind: 'done', version: 1 });
  t.same(fields.change('b', 1, ''), { kind: 'done', version: 2 });
  t.same(fields.change('a', 1, 'z'), { kind: 'done', version: 3 });
  const before = new Map(fields.map);
  t.same(fields.change('a', 1, 'no'), { kind: 'conflict', found: { version: 3, mark: 'm.3', value: 'z' } });
  t.same(fields.change('c', 3, null), { kind: 'conflict', found: { version: 2, mark: 'm.2', value: null } });
  t.same(fields.map, before);
  const a = { version: 3, mark: 'm.3', value: 'z' };
  const b = { version: 2, mark: 'm.2', value: '' };
  t.same(decodeFolder(fields.map), {
    last: 3,
    version: 2,
    entries: new Map([
      ['a', a],
      ['b', b],
    ]),
  });
  t.same(fields.change('b', 2, null), { kind: 'done', version: 4 });
  t.same(decodeStored([fields.map.get('/') ?? null, null], 'b'), { version: 4, mark: 'm.6', value: null });
  t.equal(fields.bytes, 'a'.length + '3 m.3 z'.length);
  fields.change('a', 3, null);
  t.equal(fields.bytes, 0, 'what is gone takes no room');
});

t.test('a folder does not grow beyond what nodes can be given in one piece, and can be emptied', async (t) => {
  const fields = new Fields();
  const value = 'x'.repeat(VALUE_BYTES_MAX);
  let version = 0;
  const add = (name: string) => {
    const attempt = fields.change(name, version, value);
    if (attempt.kind === 'done') version = attempt.version;
    return attempt.kind;
  };
  for (let count = 0; count < 8; count++) t.equal(add(`n${count}`), 'done');
  t.match(
    errorOf(() => add('other')),
    { fault: 'refused', message: /^a folder has at most 8388608 bytes, this one would have 90\d+$/ },
  );
  t.ok(fields.bytes <= FOLDER_BYTES_MAX);
  const first = decodeFolder(fields.map).entries.get('n0')?.version ?? 0;
  t.equal(fields.change('n0', first, 'small').kind, 'done', 'what makes it smaller is done');
  t.equal(add('other'), 'done');
  t.equal(errorOf(() => add('another')).fault, 'refused');
});

t.test('what somebody else wrote is refused', async (t) => {
  const heads = ['', '{', '{}', '{"format":2,"last":1,"version":1,"mark":"m","bytes":0}'];
  for (const head of heads) {
    t.equal(errorOf(() => decodeFolder(new Map([['/', head]]))).fault, 'refused', head);
    t.equal(errorOf(() => changeFields([head, null], 'a', 0, 'm', 'x')).fault, 'refused', head);
  }
  for (const entry of ['', 'x', '1', '0 m x', '-1 m x', '1.5 m x', ' m x', '1 m', '1  x']) {
    const error = errorOf(() => decodeStored([null, entry], 'a'));
    t.match(error, { fault: 'refused', message: /the field a of a register/ }, entry);
  }
});

function errorOf(work: () => unknown): StoreError {
  try {
    work();
  } catch (error) {
    if (error instanceof StoreError) return error;
    throw error;
  }
  throw new Error('nothing was wrong');
}
