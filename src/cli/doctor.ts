/** `ringleader doctor`: whether the copies of replicated keys are equal, and what to do where they are not. */
import { UsageError } from '../base/usage-error.js';
import { defineCommand, EXIT_FAILED, print } from './command.js';
import { CONFIG_OPTION } from './config-option.js';
import { Progress } from './progress.js';

export const doctor = defineCommand({
  name: 'doctor',
  about: 'compare the copies of replicated keys, and mend what differs',
  usage: [
    '--config FILE [--pool NAME] [--repair] [--pace KEYS]',
    '--config FILE --pool NAME --accept-loss [--pace KEYS]',
  ],
  text: `Connects to the nodes of all pools with replicated keys, says whose votes count, and compares all copies: ballots, and
where these are equal the values. Proxies may run meanwhile. Exits with 1 when something is wrong, and still is.

  behind            a copy has an older state. It mends itself when the key is written, or when it is swept
  another value     under the same ballot: somebody wrote past the proxies
  a value that no proxy wrote, or that should not be there: it is shown, and never touched

--repair brings copies that are behind up to date; where values differ all get the one that most have.

--accept-loss is the way out where too few nodes are left to decide anything (-NOQUORUM, and they will not come back): what
the nodes that answer have is taken for all that there is. It says which nodes it gave up. Writes that only these had are
lost, also acknowledged ones. A node that is only away for a while is not a reason.

How far it is stands on standard error: one line on a terminal, else a line every five seconds. --pace bounds how many keys it
compares in a second, so that clients do not feel it; where it is not given, the limit repairKeysPerSecond of the pool does.

  ringleader doctor --config ringleader.yml
`,
  options: {
    config: CONFIG_OPTION,
    pool: { value: 'NAME', about: 'this pool alone' },
    repair: { about: 'mend what differs' },
    'accept-loss': { about: 'give up what too few nodes have left' },
    pace: { value: 'KEYS', about: 'compare, or repair, so many keys in a second at most' },
  },
  async run(values) {
    if (values.config === undefined) throw new UsageError('doctor needs --config FILE');
    if (values['accept-loss'] === true && values.pool === undefined)
      throw new UsageError('--accept-loss needs --pool NAME');
    const keysPerSecond = values.pace === undefined ? undefined : parsePace(values.pace);
    const { readConfig } = await import('./config-file.js');
    const file = readConfig(values.config);
    if (file === null) return EXIT_FAILED;
    const [{ examine }, { planReplicatedPools }] = await Promise.all([
      import('../control/doctor.js'),
      import('../control/replicated-pools.js'),
    ]);
    const all = await planReplicatedPools(file.config);
    const pools = all.filter(({ name }) => values.pool === undefined || name === values.pool);
    if (pools.length === 0) {
      throw new UsageError(
        values.pool === undefined
          ? 'no keyspace of this configuration is replicated, and its coordination store is not redis'
          : `pool ${values.pool} has no replicated keyspace, and no coordination store`,
      );
    }
    let isWell = true;
    const progress = new Progress();
    for (const pool of pools) {
      const keepsData = file.config.pools.find(({ name }) => name === pool.name)?.restart === 'keeps-data';
      const diagnosis = await examine(pool, keepsData, {
        repair: values.repair === true,
        acceptLoss: values['accept-loss'] === true,
        ...(keysPerSecond === undefined ? {} : { keysPerSecond }),
        tell: progress.say,
      });
      progress.end();
      print(diagnosis.lines.join('\n'));
      isWell &&= diagnosis.isWell;
    }
    return isWell ? 0 : EXIT_FAILED;
  },
});

function parsePace(text: string): number {
  const pace = Number(text);
  if (!/^\d+$/.test(text) || pace === 0) throw new UsageError(`--pace is a number of keys, above 0, and not "${text}"`);
  return pace;
}
