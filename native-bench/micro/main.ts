/**
 * Runs the micro-benchmarks of this folder: all of them, or those named on the command line.
 *
 *   node dist/native-bench/micro/main.js [frame slot …]
 *
 * A micro-benchmark is a file here that exports `run(): Measurement[]` (or a promise of them), made with measure.ts.
 */
import { readdirSync } from 'node:fs';
import { type Measurement, printHeading } from './measure.js';

interface Micro {
  run(): Measurement[] | Promise<Measurement[]>;
}

const NOT_MICROS = ['main.js', 'measure.js'];
const known = readdirSync(new URL('.', import.meta.url))
  .filter((file) => file.endsWith('.js') && !NOT_MICROS.includes(file))
  .map((file) => file.slice(0, -'.js'.length))
  .sort();

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  console.error(`no such micro-benchmark: ${unknown.join(', ')} (there are: ${known.join(', ') || 'none'})`);
  process.exit(2);
}

console.log(`Node ${process.version}, V8 ${process.versions.v8}`);
for (const name of asked.length > 0 ? asked : known) {
  const micro = (await import(`./${name}.js`)) as Micro;
  printHeading(name);
  await micro.run();
}
