/** `ringleader ring`: who owns how much, what would move, where a key is; printed and drawn. */
import { UsageError } from '../base/usage-error.js';
import { defineCommand, EXIT_FAILED, print } from './command.js';
import { CONFIG_OPTION } from './config-option.js';
import { writeText } from './text-file.js';

export const ring = defineCommand({
  name: 'ring',
  about: 'say who owns how much, and what would move if nodes came or went',
  usage: ['--config FILE [--pool NAME] [--add NODE[=WEIGHT]] [--remove NODE] [--key KEY] [--svg FILE]'],
  text: `Prints, for every keyspace, how much each node owns and how well that fits its weight. Connects to nothing.

  share       what the node owns, of all slots (or of all hashes, with ketama and modula)
  by weight   what it would own if keys could be divided exactly by the weights
  filled      the one against the other; the nearer all are to 100 %, the better the balance
  of all copies   for replicated keys: what the node holds; above, it is the first copies that are counted

--add and --remove, as often as needed, say what would move if nodes came or went, and how much of that is unavoidable: a
node that joins three others must get a quarter of the keys, and a good ring moves hardly more. Nodes are named as in the
file (host:port where they have no name); NODE=2 has weight 2. With several pools, --pool says which.

--key, as often as needed, says where a key is, and by which part of it.
--svg draws it all: the circle of the keys in the colours of their nodes. With a change, the inner circle is what is now.

  ringleader ring --config ringleader.yml --add 10.0.0.4:6379=2 --svg ring.svg
`,
  options: {
    config: CONFIG_OPTION,
    pool: { value: 'NAME', about: 'the pool that --add and --remove are about' },
    add: { value: 'NODE[=WEIGHT]', multiple: true, about: 'as if this node joined' },
    remove: { value: 'NODE', multiple: true, about: 'as if this node left' },
    key: { value: 'KEY', multiple: true, about: 'say which node has this key' },
    svg: { value: 'FILE', about: 'draw it into this file', completes: 'file' },
  },
  async run(values) {
    if (values.config === undefined) throw new UsageError('ring needs --config FILE');
    const { readConfig } = await import('./config-file.js');
    const file = readConfig(values.config);
    if (file === null) return EXIT_FAILED;
    const [{ BulkPool }, { viewRings }, { reportRing }] = await Promise.all([
      import('../control/bulk-pool.js'),
      import('../control/ring-view.js'),
      import('../control/ring-report.js'),
    ]);
    const bulk = new BulkPool();
    try {
      const change = { add: values.add ?? [], remove: values.remove ?? [] };
      const views = await viewRings(file.config, values.pool ?? null, change, bulk);
      if (values.svg !== undefined) {
        const { drawRings } = await import('../control/ring-drawing.js');
        writeText('svg', values.svg, drawRings(views));
      }
      return print(views.map((view) => reportRing(view, values.key ?? [])).join('\n'));
    } finally {
      await bulk.destroy();
    }
  },
});
