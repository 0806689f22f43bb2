/** The `ringleader` program: runs the command that its arguments name. src/cli/ has a file for each. */
import { UsageError } from './base/usage-error.js';
import { packageVersion } from './base/version.js';
import { EXIT_FAILED, EXIT_USAGE, print } from './cli/command.js';
import { readCommandLine } from './cli/command-line.js';
import { COMMANDS } from './cli/commands.js';
import { helpOf, overview } from './cli/help.js';

/** What runs, for what is said when it was called wrongly. */
let running: string | null = null;

async function main(): Promise<number> {
  const call = readCommandLine(process.argv.slice(2), COMMANDS);
  switch (call.kind) {
    case 'version':
      return print(`ringleader ${packageVersion()}`);
    case 'help':
      return print(call.command === null ? overview(COMMANDS) : helpOf(call.command));
    case 'run':
      running = call.command.name;
      return call.command.run(call.values, call.operands);
  }
}

try {
  process.exit(await main());
} catch (error) {
  process.stderr.write(`ringleader: ${error instanceof Error ? error.message : error}\n`);
  if (!(error instanceof UsageError)) process.exit(EXIT_FAILED);
  const command = error.command ?? running;
  const isGeneral = command === null || command === 'help';
  process.stderr.write(
    isGeneral ? 'ringleader help says what there is\n' : `ringleader help ${command} says how it is called\n`,
  );
  process.exit(EXIT_USAGE);
}
