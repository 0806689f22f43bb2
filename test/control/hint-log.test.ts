/** What a node has missed, on the disk and in memory: in order, whole, and no more than is whole. */
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { HintLog } from '../../src/control/hint-log.js';

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
  while (!log.isEmpty) {
    for (const parcel of await log.first()) found.push(Buffer.from(parcel).toString('latin1'));
    await log.removeFirst();
  }
  return found;
}

const PARCELS = Array.from({ length: 100 }, (_, place) => `${place} ${'x'.repeat(place * 1_000)}`);

for (const place of ['in files', 'in memory']) {
  t.test(`${place}, parcels come out in the order in which they went in, over several segments`, async (t) => {
    const folder = place === 'in files' ? folderOf(t) : null;
    const log = new HintLog({ folder, onTrouble });
    t.equal(log.oldestMs, null);
    for (const [at, parcel] of PARCELS.entries()) log.append(Buffer.from(parcel), 1_000 + at);
    t.equal(log.oldestMs, 1_000);
    t.ok(log.bytes > PARCELS.join('').length);
    t.same(await drain(log), PARCELS);
    t.equal(log.bytes, 0);
    log.append(Buffer.from('later'), 5_000);
    t.same(await drain(log), ['later']);
    await log.close();
    if (folder !== null) t.same(readdirSync(folder), []);
  });
}

t.test('another process finds all that was there, and what comes then is behind it', async (t) => {
  const folder = folderOf(t);
  const log = new HintLog({ folder, onTrouble });
  for (const parcel of PARCELS) log.append(Buffer.from(parcel), Date.now());
  await log.close();
  const next = await HintLog.open({ folder, onTrouble });
  t.equal(next.bytes, log.bytes);
  t.ok(Math.abs((next.oldestMs ?? 0) - Date.now()) < 60_000);
  next.append(Buffer.from('later'), Date.now());
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
    for (const parcel of ['one', 'two', 'three']) log.append(Buffer.from(parcel), Date.now());
    await log.close();
    const [name] = readdirSync(folder);
    spoil(join(folder, name as string));
    const next = await HintLog.open({ folder, onTrouble });
    const whole = what === 'half a head' ? ['one', 'two', 'three'] : ['one', 'two'];
    t.same(await drain(next), whole, what);
    await next.close();
  }
});

t.test('where the folder cannot be written it is said, and nobody waits', async (t) => {
  const folder = folderOf(t);
  writeFileSync(folder, 'a file');
  const told: string[] = [];
  const log = new HintLog({ folder, onTrouble: (reason) => void told.push(reason) });
  log.append(Buffer.from('lost'), 1_000);
  t.same(await drain(log), []);
  t.match(told[0], /EEXIST|ENOTDIR/);
  await log.close();
});
