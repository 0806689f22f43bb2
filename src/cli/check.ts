/** `ringleader check`: what is wrong with a configuration; and nutcracker's, turned into one. */
import { formatEndpoint } from '../base/endpoint.js';
import { UsageError } from '../base/usage-error.js';
import { defineCommand, EXIT_FAILED, print } from './command.js';
import { CONFIG_OPTION } from './config-option.js';
import { readText } from './text-file.js';

export const check = defineCommand({
  name: 'check',
  about: 'say what is wrong with a configuration, and run nothing',
  usage: ['--config FILE', '--import nutcracker.yml > ringleader.yml'],
  text: `Prints every problem of the file as FILE:LINE:COLUMN: what was expected, and what was found; then exits with 1. Exits with
0 when there is none. What is right, but probably not meant, is a warning (FILE:LINE:COLUMN: warning: …), and leaves the exit
code at 0. Connects to nothing. Passwords are not printed.

--import prints nutcracker's configuration as one of Ringleader: each pool keeps its address, each key its server. What
is dropped stands in comments with the reason; what cannot be taken over is said by its line, and nothing is printed.
Here passwords are printed: they are part of the configuration.
`,
  options: {
    config: CONFIG_OPTION,
    import: { value: 'FILE', about: 'a configuration of nutcracker (twemproxy)', completes: 'file' },
  },
  async run(values) {
    if (values.import !== undefined && values.config !== undefined) {
      throw new UsageError(
        "check takes --config or --import, not both: one configuration is Ringleader's, the other nutcracker's",
      );
    }
    if (values.import !== undefined) return importFile(values.import);
    if (values.config === undefined) throw new UsageError('check needs --config FILE');
    const { readConfig } = await import('./config-file.js');
    const file = readConfig(values.config);
    if (file === null) return EXIT_FAILED;
    const { config, warnings } = file;
    for (const warning of warnings) process.stderr.write(`${warning}\n`);
    const nodes = config.pools.map((pool) => `${pool.nodes.length} in ${pool.name}`).join(', ');
    return print(`${values.config}: good; listens on ${config.listen.map(formatEndpoint).join(', ')}; nodes: ${nodes}`);
  },
});

async function importFile(path: string): Promise<number> {
  const [{ importNutcracker }, { formatProblem }] = await Promise.all([
    import('../control/nutcracker-import.js'),
    import('../config.js'),
  ]);
  const result = importNutcracker(readText(path));
  if ('yaml' in result) return print(result.yaml);
  for (const problem of result.problems) process.stderr.write(`${formatProblem(path, problem)}\n`);
  return EXIT_FAILED;
}
