/** docs/OPERATIONS.md is held to what the sources have: log lines, counters, limits, and what /status answers. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { DEFAULT_LIMITS } from '../src/base/limits.js';
import { COUNTERS } from '../src/base/metrics.js';
import { parseBytes, parseMilliseconds } from '../src/base/units.js';
import type { Status } from '../src/control/status.js';
import { logEventsOf } from './help/log-events.js';

/** Tests run in the checkout's folder. */
const DOCUMENT = readFileSync(join(process.cwd(), 'docs', 'OPERATIONS.md'), 'utf8');

/** The cells of a section's first table that has such a first heading, without the heading. */
function table(section: string, heading: string): string[][] {
  const [, text = ''] = DOCUMENT.split(`\n## ${section}\n`);
  const lines = (text.split('\n## ')[0] ?? '').split('\n');
  const first = lines.findIndex((line) => line.startsWith(`| ${heading} |`));
  if (first === -1) throw new Error(`the section ${section} has no table of ${heading}`);
  const rest = lines.slice(first + 2);
  const end = rest.findIndex((line) => !line.startsWith('|'));
  return rest.slice(0, end === -1 ? undefined : end).map((line) => {
    return line
      .slice(1, -1)
      .split(' | ')
      .map((cell) => cell.trim());
  });
}

/** What stands between backquotes. */
function names(cell: string | undefined): string[] {
  return [...(cell ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);
}

t.test('every log line that the sources write is explained, with its level, and no other', async (t) => {
  const root = join(process.cwd(), 'src');
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'));
  const events = paths.flatMap((path) => logEventsOf(path, readFileSync(join(root, path), 'utf8')));
  t.ok(events.length > 20, 'the sources were found');
  const written = new Set(events.map(({ event, level }) => `${event} ${level}`));
  const explained = table('Log lines', 'event').map(([event, level]) => `${names(event)[0]} ${level}`);
  t.same(explained.sort(), [...written].sort());
  for (const { event } of events) t.match(event, /^[a-z]+(-[a-z]+)*$/, 'an event is a word');
});

t.test('every counter is explained in the words of its table, and no other', async (t) => {
  const rows = table('Counters', 'counter');
  t.same(Object.fromEntries(rows.map(([counter, what]) => [names(counter)[0], what?.replaceAll('`', '')])), COUNTERS);
});

t.test('every limit is listed with its default, its counter and its log line, and no other', async (t) => {
  const counters = new Set(Object.keys(COUNTERS));
  const events = new Set(table('Log lines', 'event').map(([event]) => names(event)[0]));
  const rows = table('Limits', 'limit');
  t.same(rows.map(([limit]) => names(limit)[0]).sort(), Object.keys(DEFAULT_LIMITS).sort());
  for (const [limit, written = '', counter, event] of rows) {
    const name = names(limit)[0] as keyof typeof DEFAULT_LIMITS;
    const text = written.replace(' (never)', '');
    t.equal(name.endsWith('Ms') ? parseMilliseconds(text) : parseBytes(text), DEFAULT_LIMITS[name], name);
    for (const named of names(counter)) t.ok(counters.has(named) || named === 'workerDeaths', `${name}: ${named}`);
    for (const named of names(event)) t.ok(events.has(named), `${name}: ${named}`);
  }
});

t.test('every field of /status is explained, and no other', async (t) => {
  // The compiler holds these to the type; the end-to-end test holds the answer to it.
  const fields: Record<keyof Status, true> = {
    ...{ version: true, pid: true, startedAt: true, uptimeSeconds: true, ready: true, transport: true, listen: true },
    ...{ configuration: true, fleet: true, workers: true, workerDeaths: true, nodes: true, replicatedPools: true },
    ...{ counters: true },
  };
  const explained = table('The admin port', 'field of /status').flatMap(([field]) => names(field));
  t.same(explained.sort(), Object.keys(fields).sort());
});

t.test('log lines are found in the sources, whoever writes them', async (t) => {
  const source = `this.log.info({ a: log.b }, 'one'); log.fatal('two'); context.log('warn', 'three', {});
    log(level, event, fields); logger.info('four'); console.log('error', 'five'); Math.log(2);`;
  t.same(logEventsOf('made-up.ts', source), [
    { level: 'info', event: 'one' },
    { level: 'fatal', event: 'two' },
    { level: 'warn', event: 'three' },
    { level: 'error', event: 'five' },
  ]);
  t.throws(() => logEventsOf('made-up.ts', 'log.warn({}, event)'), { message: /not written out: event/ });
});
