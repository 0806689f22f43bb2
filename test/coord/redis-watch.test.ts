/** A watch of registers that tell nothing, or what is past. */
import t from 'tap';
import type { Watch } from '../../src/coord/driver.js';
import { RedisDriver } from '../../src/coord/redis-driver.js';
import type { FieldChanges, Found, Registers } from '../../src/coord/registers.js';
import { waitFor } from '../help/wait-for.js';
import { Watched } from './watched.js';

const KEY = { folder: 'things', name: 'one' };

/** One folder, in memory. */
class OneFolder implements Registers {
  fields = new Map<string, string>();
  /** Whether who watches is told. */
  isTelling = true;
  reads = 0;
  readsOfAll = 0;
  private readonly watchers = new Set<() => void>();

  async read(_folder: string, fields: readonly string[]): Promise<Found> {
    this.reads++;
    return fields.map((field) => this.fields.get(field) ?? null);
  }

  async readAll(): Promise<ReadonlyMap<string, string>> {
    this.readsOfAll++;
    return new Map(this.fields);
  }

  async change(folder: string, fields: readonly string[], decide: (found: Found) => FieldChanges): Promise<Found> {
    const found = await this.read(folder, fields);
    for (const [field, text] of decide(found)) {
      if (text === null) this.fields.delete(field);
      else this.fields.set(field, text);
    }
    if (this.isTelling) this.tell();
    return found;
  }

  tell(): void {
    for (const watcher of this.watchers) watcher();
  }

  watch(_folder: string, onChange: () => void): Watch {
    this.watchers.add(onChange);
    return { close: () => this.watchers.delete(onChange) };
  }

  async close(): Promise<void> {}
}

t.test('a change of which no node has told is found all the same', async (t) => {
  const registers = new OneFolder();
  const driver = new RedisDriver(registers);
  t.teardown(() => driver.close());
  const watched = new Watched(driver, 'things');
  await watched.until('nothing', () => watched.told === 1);
  registers.isTelling = false;
  await driver.compareAndSet(KEY, 0, 'm.1', 'a', 1_000);
  await watched.until('the change', () => watched.values[0] === 'one=a');
});

t.test('what nodes tell of again and again is told when something is new', async (t) => {
  const registers = new OneFolder();
  const driver = new RedisDriver(registers);
  t.teardown(() => driver.close());
  const watched = new Watched(driver, 'things');
  await watched.until('nothing', () => watched.told === 1);
  for (let count = 1; count <= 5; count++) {
    registers.tell();
    await waitFor('a look', () => registers.readsOfAll > count);
  }
  t.equal(watched.told, 1);
  await driver.compareAndSet(KEY, 0, 'm.1', 'a', 1_000);
  await watched.until('the change', () => watched.values[0] === 'one=a');
  t.equal(watched.told, 2);
  const { reads, readsOfAll } = registers;
  await waitFor('looks of its own accord', () => registers.reads > reads + 1);
  t.equal(registers.readsOfAll, readsOfAll, 'read little');
});

t.test('where nodes have lost what was told, it is said, and nothing older is told', async (t) => {
  const registers = new OneFolder();
  const driver = new RedisDriver(registers);
  t.teardown(() => driver.close());
  const watched = new Watched(driver, 'things');
  await driver.compareAndSet(KEY, 0, 'm.1', 'a', 1_000);
  const before = new Map(registers.fields);
  await driver.compareAndSet(KEY, 1, 'm.2', 'b', 1_000);
  await watched.until('the second', () => watched.values[0] === 'one=b');
  registers.fields = before;
  registers.tell();
  await watched.until('the trouble', () => watched.trouble !== null);
  t.match(watched.trouble, {
    fault: 'refused',
    message: 'the nodes have lost changes of the folder things that were there: they have 1 of 2',
  });
  await driver.compareAndSet(KEY, 1, 'm.3', 'c', 1_000);
  await driver.compareAndSet(KEY, 2, 'm.4', 'd', 1_000);
  await watched.until('what is newer', () => watched.values[0] === 'one=d');
  t.same(watched.faults, []);
});
