import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { FileDriver } from '../../src/coord/file-driver.js';
import { type Deployment, testContract } from './contract.js';
import { Watched } from './watched.js';

/** One process has the folder: all clients of a fleet have one driver, until one of them closes it. */
function shared(pathOf: (cluster: string) => string | null): Deployment {
  const drivers = new Map<string, FileDriver>();
  const open = (cluster: string) => {
    const driver = new (class extends FileDriver {
      override close(): Promise<void> {
        drivers.delete(cluster);
        return super.close();
      }
    })(pathOf(cluster));
    drivers.set(cluster, driver);
    return driver;
  };
  return {
    connect: (cluster) => drivers.get(cluster) ?? open(cluster),
    servers: null,
    stop: async () => {},
  };
}

t.test('in memory', (t) =>
  testContract(
    t,
    shared(() => null),
  ),
);

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
