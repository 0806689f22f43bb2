/** `ringleader inspect KEY`: the copies of one replicated key. */
import { UsageError } from '../base/usage-error.js';
import { defineCommand, EXIT_FAILED, print } from './command.js';
import { CONFIG_OPTION } from './config-option.js';

export const inspect = defineCommand({
  name: 'inspect',
  about: 'show the copies of a replicated key, their ballots, and who would answer',
  usage: ['--config FILE KEY'],
  text: `Asks the nodes that have copies of the key what they hold; changes nothing, and shows no value.

  accepted   the ballot of the state that the copy has, as EPOCH.COUNTER.PROPOSER: equal ballots are equal states
  promised   a larger one, by which somebody is about to write or was

  ringleader inspect --config ringleader.yml acct:42
`,
  operands: [{ name: 'KEY' }],
  options: { config: CONFIG_OPTION },
  async run(values, operands) {
    const [key] = operands;
    if (values.config === undefined || key === undefined) throw new UsageError('inspect needs --config FILE and a KEY');
    const { readConfig } = await import('./config-file.js');
    const file = readConfig(values.config);
    if (file === null) return EXIT_FAILED;
    const [{ reportKey }, { planReplicatedPools }] = await Promise.all([
      import('../control/key-report.js'),
      import('../control/replicated-pools.js'),
    ]);
    for (const pool of await planReplicatedPools(file.config)) {
      const report = await reportKey(pool, Buffer.from(key));
      if (report !== null) return print(report);
    }
    throw new UsageError(`${key} is no key of a replicated keyspace`);
  },
});
