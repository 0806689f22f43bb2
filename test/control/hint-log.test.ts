/** What a node has missed, on the disk and in memory: in order, whole, and no more than is whole. */
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { HintLog, type HintSegment } from '../../src/control/hint-log.js';

function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'ringleader-hints-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'node');
}

function onTrouble(reason: string): never {
  throw new Error(reason);
}

/** All that is there, segment by segment, and nothing is afterwards. */
async function drain(log: HintLog): Promise<string[]> {
  const found: string[] = [];
  for (let segment = await log.first(); segment !== null; segment = await log.first()) {
    found.push(...textsOf(segment));
    await log.remove(segment);
  }
  return found;
}

function textsOf({ records }: HintSegment): string[] {
  return records.map(({ parcel }) => Buffer.from(parcel).toString('latin1'));
}

function append(log: HintLog, text: string, madeMs = Date.now()): Promise<boolean> {
  return log.append(Buffer.from(text), 1, madeMs);
}

const PARCELS = Array.from({ length: 100 }, (_, place) => `${place} ${'x'.repeat(place * 1_000)}`);

for (const place of ['in files', 'in memory']) {
  t.test(`${place}, parcels come out in the order in which they went in, over several segments`, async (t) => {
    const folder = place === 'in files' ? folderOf(t) : null;
    const log = new HintLog({ folder, onTrouble });
    t.equal(log.oldestMs, null);
    for (const [at, parcel] of PARCELS.entries()) void append(log, parcel, 1_000 + at);
    t.equal(log.oldestMs, 1_000);
    t.ok(log.bytes > PARCELS.join('').length);
    t.same(await drain(log), PARCELS);
    t.equal(log.bytes, 0);
    void append(log, 'later', 5_000);
    t.same(await drain(log), ['later']);
    await log.close();
    if (folder !== null) t.same(readdirSync(folder), []);
  });
}

t.test('after the millionth file the order is that of the numbers still', async (t) => {
  const folder = folderOf(t);
  const log = new HintLog({ folder, onTrouble });
  await append(log, 'first');
  await log.first();
  await append(log, 'second');
  await log.close();
  renameSync(join(folder, '000001.hints'), join(folder, '999999.hints'));
  renameSync(join(folder, '000002.hints'), join(folder, '1000000.hints'));
  const later = await HintLog.open({ folder, onTrouble });
  t.ok(await append(later, 'third'));
  t.same(await drain(later), ['first', 'second', 'third']);
  await later.close();
});

t.test('another process finds all that was there, and what comes then is behind it', async (t) => {
  const folder = folderOf(t);
  const log = new HintLog({ folder, onTrouble });
  for (const parcel of PARCELS) void append(log, parcel);
  await log.close();
  const next = await HintLog.open({ folder, onTrouble });
  t.equal(next.bytes, log.bytes);
  t.ok(Math.abs((next.oldestMs ?? 0) - Date.now()) < 60_000);
  t.ok(await append(next, 'later'));
  t.same(await drain(next), [...PARCELS, 'later']);
  await next.close();
});

t.test('what is not whole ends its segment, and nothing of it comes out', async (t) => {
  for (const [what, spoil] of [
    ['a torn end', (path: string) => truncateSync(path, readFileSync(path).length - 3)],
    ['half a head', (path: string) => appendFileSync(path, Buffer.from([9, 0, 0]))],
    [
      'a byte that has changed',
      (path: string) => {
        const bytes = readFileSync(path);
        bytes[bytes.length - 1] = (bytes[bytes.length - 1] as number) ^ 1;
        writeFileSync(path, bytes);
      },
    ],
  ] as const) {
    const folder = folderOf(t);
    const log = new HintLog({ folder, onTrouble });
    for (const parcel of ['one', 'two', 'three']) void append(log, parcel);
    await log.close();
    const [name] = readdirSync(folder);
    spoil(join(folder, name as string));
    const next = await HintLog.open({ folder, onTrouble });
    const whole = what === 'half a head' ? ['one', 'two', 'three'] : ['one', 'two'];
    t.same(await drain(next), whole, what);
    await next.close();
  }
});

t.test('where the folder cannot be written it is said, and nothing is kept', async (t) => {
  const folder = folderOf(t);
  writeFileSync(folder, 'a file');
  const told: string[] = [];
  const log = new HintLog({ folder, onTrouble: (reason) => void told.push(reason) });
  t.equal(await append(log, 'lost', 1_000), false);
  t.match(told[0], /EEXIST|ENOTDIR/);
  t.ok(log.isEmpty);
  t.equal(log.oldestMs, null);
  rmSync(folder);
  t.ok(await append(log, 'kept', 1_000));
  t.same(await drain(log), ['kept']);
  await log.close();
});

/** While `isFull` says so, files take half of what is written, and then nothing. */
async function limitDisk(t: Test, isFull: () => boolean): Promise<void> {
  const handle = await open('/dev/null', 'r');
  type Write = (bytes: Uint8Array, at: number, length: number, position: number) => Promise<{ bytesWritten: number }>;
  const prototype = Object.getPrototypeOf(handle) as { write: Write };
  await handle.close();
  const { write } = prototype;
  t.teardown(() => {
    prototype.write = write;
  });
  prototype.write = async function (this: FileHandle, bytes, at, length, position) {
    if (!isFull()) return write.call(this, bytes, at, length, position);
    if (length > 8) return write.call(this, bytes, at, length >> 1, position);
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  };
}

t.test('what a full disk has taken a part of is not kept, and hides nothing that comes behind it', async (t) => {
  const folder = folderOf(t);
  let isFull = false;
  await limitDisk(t, () => isFull);
  const told: string[] = [];
  const log = new HintLog({ folder, onTrouble: (reason) => void told.push(reason) });
  t.ok(await append(log, 'before'));
  const bytes = log.bytes;
  isFull = true;
  t.equal(await append(log, 'lost '.repeat(100)), false);
  t.match(told, [/ENOSPC/]);
  t.equal(log.bytes, bytes, 'it is not counted');
  isFull = false;
  t.ok(await append(log, 'behind'));
  await log.close();
  const next = await HintLog.open({ folder, onTrouble });
  t.equal(next.bytes, log.bytes);
  t.same(await drain(next), ['before', 'behind']);
  await next.close();
});

for (const place of ['in files', 'in memory']) {
  t.test(`${place}, a segment is removed by who has replayed it, and no other one by who is late`, async (t) => {
    const log = new HintLog({ folder: place === 'in files' ? folderOf(t) : null, onTrouble });
    t.ok(await append(log, 'first'));
    const [one, other] = [await log.first(), await log.first()] as [HintSegment, HintSegment];
    t.same([textsOf(one), textsOf(other)], [['first'], ['first']]);
    t.ok(await append(log, 'second'));
    await log.remove(one);
    await log.remove(other);
    t.same(await drain(log), ['second']);
    await log.close();
  });

  t.test(`${place}, what is too old is dropped and counted, but for what is being replayed`, async (t) => {
    const log = new HintLog({ folder: place === 'in files' ? folderOf(t) : null, onTrouble });
    t.ok(await log.append(Buffer.from('old'), 3, 1_000));
    const first = (await log.first()) as HintSegment;
    t.ok(await log.append(Buffer.from('older than some'), 2, 2_000));
    t.ok(await log.append(Buffer.from('new'), 1, 3_000));
    t.equal(await log.dropOlder(2_500), 0, 'the first is replayed, and the second has something new');
    log.leave(first);
    t.equal(await log.dropOlder(2_500), 3);
    t.same(await drain(log), ['older than some', 'new']);
    await log.close();
  });
}

t.test('what was written in another form is left alone, and said', async (t) => {
  const folder = folderOf(t);
  const log = new HintLog({ folder, onTrouble });
  t.ok(await append(log, 'one'));
  await log.close();
  const path = join(folder, readdirSync(folder)[0] as string);
  writeFileSync(path, readFileSync(path, 'latin1').replace('hints 1', 'hints 2'), 'latin1');
  await t.rejects(HintLog.open({ folder, onTrouble }), /000001\.hints was written by another version of Ringleader/);
  writeFileSync(path, 'ringl');
  const torn = await HintLog.open({ folder, onTrouble });
  t.same(await drain(torn), []);
});
