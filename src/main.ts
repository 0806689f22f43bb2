/** The `ringleader` program: runs the command that its arguments name. src/cli/ has a file for each. */
import { UsageError } from './base/usage-error.js';
import { packageVersion } from './base/version.js';
import { EXIT_FAILED, EXIT_USAGE, print } from './cli/command.js';
import { readCommandLine } from './cli/command-line.js';
import { COMMANDS } from './cli/commands.js';
import { helpOf, overview } from './cli/help.js';

async function main(): Promise<number> {
  const call = readCommandLine(process.argv.slice(2), COMMANDS);
  switch (call.kind) {
    case 'version':
      return print(`ringleader ${packageVersion()}`);
    case 'help':
      return print(call.command === null ? overview(COMMANDS) : helpOf(call.command));
    case 'run':
      return call.command.run(call.values, call.operands);
  }
}

try {
  process.exit(await main());
} catch (error) {
  const isUsage = error instanceof UsageError;
  process.stderr.write(`ringleader: ${error instanceof Error ? error.message : error}\n`);
  if (isUsage) process.stderr.write('ringleader help says what there is\n');
  process.exit(isUsage ? EXIT_USAGE : EXIT_FAILED);
}
