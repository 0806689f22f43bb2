/** What every driver does while all is well. */
import type { Test } from 'tap';
import { VALUE_BYTES_MAX } from '../../src/coord/key.js';
import type { Entry, Store } from '../../src/coord/store.js';
import { type Case, faultOf, KEY, OTHER, versionOf, write } from './case.js';
import { Watched } from './watched.js';

export const BASIC_CASES: Record<string, (t: Test, own: Case) => Promise<void>> = {
  'what was never written has version 0': async (t, own) => {
    const store = own.store();
    t.same(await store.get(KEY), { version: 0, value: null });
    t.same(await store.list('things'), { version: 0, entries: new Map() });
  },

  'an entry is made, changed, removed and made again, and its version only grows': async (t, own) => {
    const store = own.store();
    const other = own.store();
    const made = versionOf(await store.compareAndSet(KEY, 0, 'a'));
    t.same(await other.get(KEY), { version: made, value: 'a' });
    const changed = versionOf(await other.compareAndSet(KEY, made, 'b'));
    t.same(await store.get(KEY), { version: changed, value: 'b' });
    const removed = versionOf(await store.compareAndSet(KEY, changed, null));
    t.same(await other.get(KEY), { version: removed, value: null });
    const again = versionOf(await other.compareAndSet(KEY, removed, 'c'));
    t.same(await store.get(KEY), { version: again, value: 'c' });
    t.ok(0 < made && made < changed && changed < removed && removed < again, [made, changed, removed, again].join());
  },

  'a change that goes by another version is a conflict, and shows what is there': async (t, own) => {
    const store = own.store();
    const made = versionOf(await store.compareAndSet(KEY, 0, 'a'));
    const now: Entry = { version: versionOf(await store.compareAndSet(KEY, made, 'b')), value: 'b' };
    for (const version of [0, made, now.version + 1, Number.MAX_SAFE_INTEGER]) {
      t.same(await store.compareAndSet(KEY, version, 'x'), { kind: 'conflict', found: now }, `${version}`);
      t.same(await store.compareAndSet(KEY, version, null), { kind: 'conflict', found: now }, `${version}, removal`);
    }
    t.same(await store.get(KEY), now);
  },

  'what was removed is not found again by an old version, nor made twice by one': async (t, own) => {
    const store = own.store();
    const made = versionOf(await store.compareAndSet(KEY, 0, 'a'));
    const removed = versionOf(await store.compareAndSet(KEY, made, null));
    const absent = { version: removed, value: null };
    for (const version of [0, made]) {
      t.same(await store.compareAndSet(KEY, version, 'x'), { kind: 'conflict', found: absent }, `${version}`);
    }
    const nothing = await store.compareAndSet(KEY, removed, null);
    t.same(nothing, { kind: 'conflict', found: absent }, 'there is nothing to remove');
    const again = versionOf(await store.compareAndSet(KEY, removed, 'a'));
    const gone = versionOf(await store.compareAndSet(KEY, again, null));
    t.same(
      await store.compareAndSet(KEY, removed, 'a'),
      { kind: 'conflict', found: { version: gone, value: null } },
      'a request that comes twice is carried out once',
    );
  },

  'a name that others add or remove makes what is not there newer, and nothing else': async (t, own) => {
    const store = own.store();
    const one = versionOf(await store.compareAndSet(KEY, 0, 'a'));
    t.same(await store.get(OTHER), { version: one, value: null });
    const two = versionOf(await store.compareAndSet(OTHER, one, 'b'));
    const three = versionOf(await store.compareAndSet(OTHER, two, 'c'));
    t.same(await store.get(KEY), { version: one, value: 'a' });
    t.same(await store.get({ folder: 'things', name: 'third' }), { version: two, value: null });
    t.same(await store.get({ folder: 'things-too', name: 'one' }), { version: 0, value: null }, 'another folder');
    const folder = await store.list('things');
    t.equal(folder.version, two);
    t.same(
      [...folder.entries].sort(),
      [
        ['one', { version: one, value: 'a' }],
        ['other', { version: three, value: 'c' }],
      ].sort(),
    );
    const gone = versionOf(await store.compareAndSet(OTHER, three, null));
    t.same(await store.list('things'), { version: gone, entries: new Map([['one', { version: one, value: 'a' }]]) });
  },

  'values are what they were, from nothing to the largest, and larger ones are refused': async (t, own) => {
    const store = own.store();
    const values = ['', ' ', 'a b\n\0"\\', 'größer ≠ 🎪', 'x'.repeat(VALUE_BYTES_MAX), 'ä'.repeat(VALUE_BYTES_MAX / 2)];
    const watched = new Watched(own.store(), 'things');
    for (const value of values) {
      const version = await write(store, KEY, value);
      const entry = await store.get(KEY);
      t.ok(entry.value === value && entry.version === version, `${value.length} characters`);
      await watched.until('the value', () => watched.versionOf('one') === version);
      t.ok(watched.folder?.entries.get('one')?.value === value, 'watched, too');
    }
    t.equal(await faultOf(write(store, KEY, `x${values[4]}`)), 'refused');
    t.equal(await faultOf(write(store, KEY, `ä${values[5]}`)), 'refused', 'its bytes count');
  },

  'names are what they were, and others are refused': async (t, own) => {
    const store = own.store();
    const names = [
      '10.0.0.1:6380',
      '[::1]:6380',
      'a',
      '...',
      '~',
      '!"#$%&\'()*+,-.:;<=>?@[\\]^_`{|}',
      'n'.repeat(200),
      '__proto__',
    ];
    for (const name of names) await write(store, { folder: 'names', name }, `of ${name}`);
    const { entries } = await store.list('names');
    t.same(
      [...entries].map(([name, { value }]) => [name, value]).sort(),
      names.map((name) => [name, `of ${name}`]).sort(),
    );
    for (const name of names) t.equal((await store.get({ folder: 'names', name })).value, `of ${name}`);
    for (const name of ['', '.', '..', 'a/b', 'a b', 'ä', 'n'.repeat(201), 'a\0']) {
      t.equal(await faultOf(store.get({ folder: 'names', name })), 'refused', name);
      t.equal(await faultOf(store.compareAndSet({ folder: 'names', name }, 0, '')), 'refused', name);
    }
    for (const folder of ['', 'A', 'a/b', '..', 'a'.repeat(33)]) t.equal(await faultOf(store.list(folder)), 'refused');
  },

  'a folder that is full takes no other name, and goes on with those that it has': async (t, own) => {
    const store = own.store({ entriesMax: 2 });
    await write(store, KEY, 'a');
    await write(store, OTHER, 'b');
    const third = { folder: 'things', name: 'third' };
    const { version } = await store.get(third);
    await t.rejects(store.compareAndSet(third, version, 'c'), {
      fault: 'refused',
      message: 'a folder has at most 2 entries',
    });
    const late = await store.compareAndSet(third, version - 1, 'c');
    t.equal(late.kind, 'conflict', 'it would not have been added anyway');
    await write(store, KEY, 'd');
    await write(store, { folder: 'others', name: 'one' }, 'another folder');
    await write(store, OTHER, null);
    await write(store, third, 'c');
    const { entries } = await store.list('things');
    t.same([...entries.keys()].sort(), ['one', 'third']);
  },

  'fleets do not see each other': async (t, own) => {
    const store = own.store();
    const other = own.store({ cluster: 'another' });
    await write(store, KEY, 'ours');
    t.same(await other.get(KEY), { version: 0, value: null });
    t.equal((await other.list('things')).entries.size, 0);
  },

  'of changes that go by one version one is carried out': async (t, own) => {
    const stores = Array.from({ length: 4 }, () => own.store());
    const per = 10;
    const versions: number[] = [];
    let conflicts = 0;
    await Promise.all(
      stores.map(async (store) => {
        for (let done = 0; done < per; ) {
          const { version, value } = await store.get(KEY);
          const written = await store.compareAndSet(KEY, version, `${Number(value ?? 0) + 1}`);
          if (written.kind === 'conflict') conflicts++;
          else {
            versions.push(written.version);
            done++;
          }
        }
      }),
    );
    t.equal((await (stores[0] as Store).get(KEY)).value, `${stores.length * per}`);
    t.equal(new Set(versions).size, versions.length, 'each has a version of its own');
    t.ok(conflicts > 0, 'they did meet');
  },

  'a watch tells what is there, and then each change': async (t, own) => {
    const store = own.store();
    await write(store, KEY, 'a');
    const watched = new Watched(own.store(), 'things');
    await watched.until('what is there', () => watched.told > 0);
    t.same(watched.values, ['one=a']);
    t.equal(watched.folder?.version, (await store.list('things')).version);
    const version = await write(store, KEY, 'b');
    await watched.until('the change', () => watched.versionOf('one') === version);
    t.same(watched.values, ['one=b']);
    const added = await write(store, OTHER, 'c');
    await watched.until('the new one', () => watched.folder?.version === added && watched.versionOf('other') === added);
    t.same(watched.values, ['one=b', 'other=c']);
    const gone = await write(store, KEY, null);
    await watched.until('the removal', () => watched.folder?.version === gone && watched.versionOf('one') === 0);
    t.same(watched.values, ['other=c']);
    await write(store, { folder: 'things-too', name: 'one' }, 'not watched');
    const again = await write(store, KEY, 'd');
    await watched.until('the same name again', () => watched.versionOf('one') === again);
    t.same(watched.values, ['one=d', 'other=c']);
    t.same(watched.faults, []);
  },

  'a watch of a folder that never was tells that, and then what comes': async (t, own) => {
    const watched = new Watched(own.store(), 'things');
    await watched.until('nothing', () => watched.told > 0);
    t.same(watched.folder, { version: 0, entries: new Map() });
    await write(own.store(), KEY, 'a');
    await watched.until('the first', () => watched.values.length > 0);
  },

  'a watch misses nothing that comes while it begins or while others write, and tells nothing when it is closed':
    async (t, own) => {
      const store = own.store();
      const reader = own.store();
      const open: Watched[] = [];
      let last = 0;
      for (let count = 0; count < 40; count++) {
        if (count % 4 === 0) open.push(new Watched(reader, 'things'));
        last = await write(store, count % 3 === 0 ? OTHER : KEY, count % 5 === 0 ? null : `${count}`).catch(
          async (error) => {
            // There was nothing to remove.
            if (!/a conflict/.test(error.message)) throw error;
            return last;
          },
        );
      }
      const { entries } = await store.list('things');
      const expected = [...entries].map(([name, { value }]) => `${name}=${value}`).sort();
      for (const watched of open) {
        await watched.until('the last', () => `${watched.values}` === `${expected}`);
        t.same(watched.faults, []);
      }
      const [closed, ...others] = open as [Watched, ...Watched[]];
      closed.close();
      const { told } = closed;
      const after = await write(store, KEY, 'after');
      for (const watched of others) await watched.until('the next', () => watched.versionOf('one') === after);
      t.equal(closed.told, told);
    },

  'what is asked of a store that is closed is unavailable, and its watches are silent': async (t, own) => {
    const store = own.store();
    const watched = new Watched(store, 'things');
    await watched.until('what is there', () => watched.told > 0);
    await store.close();
    t.equal(await faultOf(store.get(KEY)), 'unavailable');
    t.equal(await faultOf(store.compareAndSet(KEY, 0, 'a')), 'unavailable');
    await write(own.store(), KEY, 'b');
    t.equal(watched.told, 1);
  },
};
