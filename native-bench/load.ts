/**
 * A load of a fixed rate on one server: README.md says what it measures. Latency counts from when a request was due, so that a
 * server that stands still is told by all requests that were due meanwhile, and not by the one that it kept (coordinated omission).
 */
import { BenchmarkError, run } from './compare/children.js';
import { fill } from './compare/fill.js';
import { commandsOf, keyCount } from './compare/tests.js';
import { openDriver } from './load/driver.js';
import { latenessOf } from './load/lateness.js';
import { type LoadReport, runPlan } from './load/load-run.js';
import { type LoadOptions, parseLoadOptions } from './load/options.js';

await run(main);

async function main(): Promise<void> {
  const options = parseLoadOptions(process.argv.slice(2));
  const { host, port, test, keys, size, clients, pace } = options;
  if (!options.isFilled) await fill({ label: 'the target', host, port }, test, keys, size);
  const driver = openDriver(options.transport);
  try {
    const commands = commandsOf(test, size);
    const report = await runPlan(driver, { host, port, clients, commands, keys: keyCount(test, keys, size), pace });
    if (report.answered === 0) throw new BenchmarkError('nothing was answered');
    if (options.asJson) console.log(JSON.stringify({ ...report, lateness: latenessOf(report) }));
    else print(options, driver.transport.kind, report);
  } finally {
    await driver.close();
  }
}

function print({ test, clients, pace }: LoadOptions, transport: string, report: LoadReport): void {
  const { due, answered, errors, nulls, achievedRate, latencyUs, lagUs, generatorCores } = report;
  const asked = pace.kind === 'open' ? `${pace.rate} a second${pace.isPoisson ? ' at random' : ''}` : 'in turn';
  console.log(`${test}, ${clients} clients, ${asked}, over ${transport}`);
  console.log(`${due} due, ${answered} answered: ${achievedRate.toFixed(0)} a second; ${nulls} without a value`);
  const kinds = Object.entries(errors).map(([word, count]) => `${word}: ${count}`);
  console.log(`errors: ${kinds.length === 0 ? 'none' : kinds.join(', ')}`);
  console.log(
    `${''.padEnd(24)}${Object.keys(latencyUs)
      .map((name) => name.padStart(10))
      .join('')}`,
  );
  for (const [title, of] of [
    ['latency, µs', latencyUs],
    ['the generator was late', lagUs],
  ] as const) {
    console.log(
      `${title.padEnd(24)}${Object.values(of)
        .map((us) => `${us}`.padStart(10))
        .join('')}`,
    );
  }
  console.log(`the generator used ${generatorCores.toFixed(2)} of a core`);
  const lateness = latenessOf(report);
  if (lateness !== null) console.log(`Not the server's figures alone: ${lateness}.`);
}
