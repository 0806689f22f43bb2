/** The command line of the ladder of rates. */
import { parseArgs } from 'node:util';
import { BenchmarkError } from '../compare/children.js';
import { mainPath } from '../compare/endpoints.js';
import { type Options, parseOptions } from '../compare/options.js';
import type { Point } from '../compare/points.js';

export interface LatencyOptions {
  /** Where and what, as in the comparison. */
  readonly compare: Options;
  readonly point: Point;
  readonly rates: readonly number[];
  readonly isPoisson: boolean;
  /** What has to be known of the run, for the chart. */
  readonly note: string;
  /** Draw this file of results, and measure nothing. */
  readonly drawn: string | null;
}

const usage = `npm run bench:latency -- [options]

  --rates 2000,5000,…   offered loads, requests a second, in rising order
  --poisson             at random times of that rate instead of even ones
  --note TEXT           stands in the chart: what else the machine did
  --draw FILE           instead: draws the results of FILE anew
  and those of bench:compare; of --tests, --clients and --sizes one each. --rounds is 3, and --seconds 2 unless given`;

const OWN = {
  rates: { type: 'string', default: '2000,5000,10000,20000,30000,40000,50000,60000' },
  poisson: { type: 'boolean', default: false },
  note: { type: 'string', default: '' },
  draw: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const;

const DEFAULTS = ['--rounds', '3', '--seconds', '2', '--tests', 'get', '--depths', '1'];

/** Throws a BenchmarkError when the command line makes no sense. */
export function parseLatencyOptions(args: readonly string[]): LatencyOptions {
  const { values, tokens } = parseArgs({ args: [...args], options: OWN, strict: false, tokens: true });
  if (values.help === true) {
    console.log(usage);
    process.exit(0);
  }
  const own = new Set<number>();
  for (const token of tokens) {
    if (token.kind !== 'option' || !(token.name in OWN)) continue;
    own.add(token.index);
    if (token.value !== undefined && !token.inlineValue) own.add(token.index + 1);
  }
  const others = args.filter((_, index) => !own.has(index));
  const compare = parseOptions([...DEFAULTS, ...others], mainPath);
  const [point, ...more] = compare.points;
  if (point === undefined || more.length > 0) throw new BenchmarkError(`one of each list\n\n${usage}`);
  const rates = `${values.rates}`.split(',').map(Number);
  if (rates.some((rate, index) => !(rate > (rates[index - 1] ?? 0)))) {
    throw new BenchmarkError(`--rates ${values.rates}: numbers above 0, in rising order\n\n${usage}`);
  }
  const drawn = values.draw === undefined ? null : `${values.draw}`;
  return { compare, point, rates, isPoisson: values.poisson === true, note: `${values.note}`, drawn };
}
