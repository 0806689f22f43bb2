/** What is kept for all nodes: where it lies, and what becomes of what is too much or too old. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { DEFAULT_NODE_LIMITS } from '../../src/base/limits.js';
import { Hints } from '../../src/control/hints.js';
import { waitFor } from '../help/wait-for.js';

function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'ringleader-hints-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** With what they log. */
function hintsIn(dataDir: string | null, clock?: () => number) {
  const events: Record<string, unknown>[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void events.push(JSON.parse(line)) });
  return { hints: new Hints(dataDir, log, clock), events };
}

t.test('whatever nodes are called, each has a folder of its own in dataDir, and is found there again', async (t) => {
  const dataDir = folderOf(t);
  const names = ['a', '..', '.', '10.0.0.1:6379', '../../a', '%2E%2E', 'a/b'];
  const { hints } = hintsIn(dataDir);
  for (const node of names) t.ok(await hints.take('..', node, Buffer.from(node), 1));
  await hints.close();
  t.same(readdirSync(dataDir), ['hints']);
  t.same(readdirSync(join(dataDir, 'hints')), ['%2E%2E']);
  t.equal(readdirSync(join(dataDir, 'hints', '%2E%2E')).length, names.length);
  writeFileSync(join(dataDir, 'hints', 'a file'), 'of somebody');
  const { hints: next } = hintsIn(dataDir);
  await next.open();
  for (const node of names) {
    const segment = await next.of('..', node)?.first();
    t.equal(Buffer.from(segment?.records[0]?.parcel ?? []).toString(), node);
  }
  await next.close();
});

t.test('what is too much, and what is too old, is counted and told', async (t) => {
  let nowMs = 1_000_000;
  const { hints, events } = hintsIn(null, () => nowMs);
  t.teardown(() => hints.close());
  const limits = { ...DEFAULT_NODE_LIMITS, hintBytesMax: 1_000, hintAgeMaxMs: 5_000 };
  hints.configure([{ pool: 'main', limits }]);
  t.ok(await hints.take('main', 'a', Buffer.alloc(600), 6));
  t.equal(await hints.take('main', 'a', Buffer.alloc(600), 7), false);
  t.equal(hints.counts.replicatedHintsDropped, 7);
  nowMs += 5_001;
  await waitFor('the old ones to be dropped', () => Promise.resolve(hints.of('main', 'a') === null));
  t.equal(hints.counts.replicatedHintsDropped, 13);
  const told = () => events.filter(({ msg }) => msg === 'hints-dropped');
  await waitFor('both to be told', () => Promise.resolve(told().length === 2));
  t.match(told(), [
    { pool: 'main', node: 'a', limit: 'hintBytesMax 1000', hints: 7 },
    { pool: 'main', node: 'a', limit: 'hintAgeMaxMs 5000', hints: 6 },
  ]);
});
