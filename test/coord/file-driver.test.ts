import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Attempt, Driver, DriverWatcher, Stored, StoredFolder, Watch } from '../../src/coord/driver.js';
import { FileDriver } from '../../src/coord/file-driver.js';
import type { Key } from '../../src/coord/key.js';
import { StoreError } from '../../src/coord/store-error.js';
import type { Deployment } from './case.js';
import { testContract } from './contract.js';
import { Watched } from './watched.js';

/** A client among several of one driver: one process has the folder, and its clients come and go. */
class Client implements Driver {
  private readonly driver: FileDriver;
  private readonly watches: Watch[] = [];
  private isClosed = false;

  constructor(driver: FileDriver) {
    this.driver = driver;
  }

  get(key: Key): Promise<Stored> {
    return this.open(() => this.driver.get(key));
  }

  list(folder: string): Promise<StoredFolder> {
    return this.open(() => this.driver.list(folder));
  }

  compareAndSet(key: Key, expected: number, mark: string, value: string | null): Promise<Attempt> {
    return this.open(() => this.driver.compareAndSet(key, expected, mark, value));
  }

  watch(folder: string, watcher: DriverWatcher): Watch {
    const watch = this.driver.watch(folder, watcher);
    this.watches.push(watch);
    return watch;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    for (const watch of this.watches) watch.close();
  }

  private async open<A>(work: () => Promise<A>): Promise<A> {
    if (this.isClosed) throw new StoreError('unavailable', 'the client is closed');
    return work();
  }
}

function shared(pathOf: (cluster: string) => string | null): Deployment {
  const drivers = new Map<string, FileDriver>();
  const driverOf = (cluster: string, entriesMax?: number) => {
    const driver = drivers.get(cluster) ?? new FileDriver(pathOf(cluster), entriesMax);
    drivers.set(cluster, driver);
    return driver;
  };
  return {
    connect: (cluster, _server, entriesMax) => new Client(driverOf(cluster, entriesMax)),
    servers: null,
    stop: async () => {
      for (const driver of drivers.values()) await driver.close();
    },
  };
}

t.test('in memory', (t) => {
  return testContract(
    t,
    shared(() => null),
  );
});

t.test('in files', (t) => {
  const folder = t.testdir({});
  return testContract(
    t,
    shared((cluster) => join(folder, cluster)),
  );
});

const KEY = { folder: 'things', name: 'one' };

t.test('what was written is there after a restart, to the version', async (t) => {
  const path = join(t.testdir({}), 'coordination');
  const first = new FileDriver(path);
  await first.compareAndSet(KEY, 0, 'm.1', 'a');
  await first.compareAndSet({ ...KEY, name: 'other' }, 1, 'm.2', 'b');
  await first.compareAndSet(KEY, 1, 'm.3', null);
  const before = await first.list('things');
  await first.close();
  t.equal(statSync(path).mode & 0o777, 0o700, 'for nobody else');
  t.equal(statSync(join(path, 'things.json')).mode & 0o777, 0o600);
  writeFileSync(join(path, 'things.json.new'), 'half');
  const second = new FileDriver(path);
  t.same(await second.list('things'), before);
  t.same(await second.get(KEY), { version: 3, mark: 'm.3', value: null });
  t.same(await second.compareAndSet(KEY, 3, 'm.4', 'c'), { kind: 'done', version: 4 });
  t.same(readdirSync(path), ['things.json'], 'what was half written is gone');
});

t.test('a file that is not ours is refused, and left as it is', async (t) => {
  for (const text of ['', '{', '{}', '{"format":2,"last":0,"version":0,"mark":"","entries":[]}']) {
    const path = t.testdir({ 'things.json': text });
    const driver = new FileDriver(path);
    await t.rejects(driver.get(KEY), { fault: 'refused', message: /is damaged, or was written by another version/ });
    await t.rejects(driver.compareAndSet(KEY, 0, 'm.1', 'a'), { fault: 'refused', message: /is damaged/ });
    t.equal(readFileSync(join(path, 'things.json'), 'utf8'), text);
  }
  const driver = new FileDriver(t.testdir({ 'things.json': '', 'locks.json': '' }));
  await t.rejects(driver.get(KEY), { message: /it is made anew/ });
  await t.rejects(driver.get({ folder: 'locks', name: 'a' }), { message: /locks are forgotten that are held/ });
});

t.test(
  'a change that the disk does not take is not known, and what the disk has is believed when it is written again',
  async (t) => {
    const path = join(t.testdir({}), 'coordination');
    const driver = new FileDriver(path);
    t.teardown(() => driver.close());
    const watched = new Watched(driver, 'things');
    await watched.until('what is there', () => watched.told === 1);
    t.same(await driver.compareAndSet(KEY, 0, 'm.1', 'a'), { kind: 'done', version: 1 });
    // Where the file would be written aside there is a folder, which even who may do everything cannot write to.
    mkdirSync(join(path, 'things.json.new'));
    await t.rejects(driver.compareAndSet(KEY, 1, 'm.2', 'b'), { fault: 'unknown', message: /cannot be written/ });
    await t.rejects(driver.get(KEY), { fault: 'unavailable', message: /cannot be written/ }, 'it may not be durable');
    rmSync(join(path, 'things.json.new'), { recursive: true, force: true });
    t.same(await driver.get(KEY), { version: 1, mark: 'm.1', value: 'a' });
    t.same(await driver.compareAndSet(KEY, 1, 'm.3', 'c'), { kind: 'done', version: 2 });
    t.same(watched.values, ['one=c']);
    t.equal(watched.told, 3, 'what was not done was not told');
  },
);

t.test('a watch of a file that cannot be read says so, and goes on when it can', async (t) => {
  const path = t.testdir({ 'things.json': 'damaged' });
  const driver = new FileDriver(path);
  t.teardown(() => driver.close());
  const watched = new Watched(driver, 'things');
  await watched.until('the trouble', () => watched.trouble !== null);
  rmSync(join(path, 'things.json'));
  await watched.until('what is there', () => watched.told === 1);
});

t.test('what is closed is unavailable, after what is under way, and its watches are silent', async (t) => {
  const path = join(t.testdir({}), 'coordination');
  const driver = new FileDriver(path);
  const watched = new Watched(driver, 'things');
  await watched.until('what is there', () => watched.told === 1);
  const change = driver.compareAndSet(KEY, 0, 'm.1', 'a');
  await driver.close();
  t.same(await change, { kind: 'done', version: 1 });
  t.equal(watched.told, 1);
  await t.rejects(driver.get(KEY), { fault: 'unavailable', message: 'the store is closed' });
  await t.rejects(driver.compareAndSet(KEY, 1, 'm.2', 'b'), { fault: 'unavailable', message: 'the store is closed' });
});
