/** The command line of a program that measures several things, one or more of which may be asked for. */
import { parseArgs } from 'node:util';
import { BenchmarkError } from './children.js';

export interface PartOptions {
  readonly parts: readonly string[];
  readonly isSaved: boolean;
}

/** `--only PART,PART --no-save`, and a number above 0 for each of `defaults`. Throws a BenchmarkError. */
export function readPartOptions<Name extends string>(
  args: readonly string[],
  parts: readonly string[],
  defaults: Readonly<Record<Name, number>>,
): PartOptions & Record<Name, number> {
  const names = Object.keys(defaults) as Name[];
  const numbers = names.map((name) => [name, { type: 'string', default: `${defaults[name]}` }] as const);
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', default: parts.join(',') },
      'no-save': { type: 'boolean', default: false },
      ...Object.fromEntries(numbers),
    },
  });
  const given = values as Readonly<Record<string, string | boolean>>;
  const wanted = `${given['only']}`.split(',');
  const unknown = wanted.find((part) => !parts.includes(part));
  if (unknown !== undefined) throw new BenchmarkError(`--only ${unknown}: one or more of ${parts.join(',')}`);
  const read = names.map((name) => {
    const value = Number(given[name]);
    if (!(value > 0)) throw new BenchmarkError(`--${name} ${given[name]}: a number above 0`);
    return [name, value] as const;
  });
  return { parts: wanted, isSaved: given['no-save'] !== true, ...(Object.fromEntries(read) as Record<Name, number>) };
}
