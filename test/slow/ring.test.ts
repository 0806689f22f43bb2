/** What `ringleader ring` costs with a thousand nodes: CPU time, which a machine that does other things hardly changes. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { removeFolder, scratchFolder, startChild } from '../help/child.js';

const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));
const NODES = 1_000;
const RUNS = 3;
/** Milliseconds of CPU, user and system, of all the process's threads. */
const CPU_MS_MAX = 2_000;

/** Has a process say at its end what it took. Worker threads load it too, and belong to the process. */
const METER = `data:text/javascript,${encodeURIComponent(`
  import { isMainThread } from 'node:worker_threads';
  if (isMainThread) process.on('exit', () => {
    const { user, system } = process.cpuUsage();
    process.stderr.write(\`CPU \${(user + system) / 1000} ms\\n\`);
  });
`)}`;

const CASES = [
  { what: 'slots', placement: 'slots', words: [] },
  {
    what: 'slots, a node more and one less, drawn',
    placement: 'slots',
    words: ['--add', 'new', '--remove', 'node-7', '--svg'],
  },
  { what: 'ketama', placement: 'ketama', words: [] },
  { what: 'modula', placement: 'modula', words: [] },
];

for (const { what, placement, words } of CASES) {
  t.test(`ringleader ring with 1,000 nodes takes less than two seconds: ${what}`, async (t) => {
    const folder = scratchFolder('ring');
    t.teardown(() => removeFolder(folder));
    const config = join(folder, 'ringleader.yml');
    const nodes = Array.from({ length: NODES }, (_, n) => ({
      name: `node-${n}`,
      url: `redis://10.0.${n >> 8}.${n & 255}`,
    }));
    const keyspaces = [placement === 'slots' ? { prefix: '', pool: 'main' } : { prefix: '', pool: 'main', placement }];
    // JSON is YAML.
    writeFileSync(config, JSON.stringify({ pools: { main: { nodes } }, keyspaces }));
    const args = [...words, ...(words.at(-1) === '--svg' ? [join(folder, 'ring.svg')] : [])];
    const taken: number[] = [];
    for (let run = 0; run < RUNS; run++) {
      const ring = await startChild(process.execPath, ['--import', METER, MAIN, 'ring', '--config', config, ...args]);
      t.same(await ring.ended, { code: 0, signal: null }, ring.output().slice(-1_000));
      const lines = ring.output().match(/^ +node-\d+ .*%$/gm) ?? [];
      t.ok(lines.length >= NODES - 1, `${lines.length} nodes are in it`);
      taken.push(Number(/^CPU ([\d.]+) ms$/m.exec(ring.output())?.[1]));
    }
    taken.sort((a, b) => a - b);
    const median = taken[RUNS >> 1] as number;
    t.ok(median > 0 && median < CPU_MS_MAX, `${Math.round(median)} ms of CPU`);
  });
}
