/** `ringleader start`: runs the proxy, by a configuration or with Redis servers of its own. */
import { UsageError } from '../base/usage-error.js';
import { defineCommand, EXIT_FAILED } from './command.js';
import { CONFIG_OPTION } from './config-option.js';

/** Options that are for starting without a configuration. */
const TRIAL_OPTIONS = ['port', 'admin-port', 'folder', 'fresh'] as const;

export const start = defineCommand({
  name: 'start',
  about: 'run the proxy',
  usage: ['--config FILE [--accept-remap]', '[--port PORT] [--admin-port PORT] [--folder FOLDER] [--fresh]'],
  text: `Runs the proxy until SIGTERM or Ctrl-C: then it takes no new clients, finishes what is in flight (for drainTimeout at the
most), and exits with 0. The log goes to standard output: pretty on a terminal, else one JSON object a line.

SIGHUP has the file read again: a good one holds at once, without dropping a connection; a bad one is said in the log, and
the old one stays. A change that would have existing keys looked for on other nodes is refused, unless --accept-remap was given.
So it is at a start, if the configuration names a dataDir, where the proxy keeps what was the last time.

A configuration needs no more than its nodes:

  listen: 127.0.0.1:6380
  pools:
    main:
      nodes:
        - { name: a, url: "redis://127.0.0.1:7001" }
        - { name: b, url: "redis://user:password@127.0.0.1:7002", weight: 2 }

A node's name decides which keys it has (its weight, how many). It is host:port unless given; a node that moves to
another address keeps its keys if it keeps its name.

Without --config, to try it: three Redis servers of its own on free ports, the proxy on 127.0.0.1:6380, the admin port 9121.
They end with the proxy, and find their data again the next time, in $XDG_STATE_HOME/ringleader (~/.local/state/ringleader).
`,
  options: {
    config: CONFIG_OPTION,
    'accept-remap': { about: 'a start or a reload may have existing keys looked for on other nodes' },
    port: { value: 'PORT', short: 'p', about: 'without --config: listen on this port instead of 6380' },
    'admin-port': {
      value: 'PORT',
      about: 'without --config: admin port instead of 9121, or a free one if that is taken',
    },
    folder: { value: 'FOLDER', about: 'without --config: keep the data there', completes: 'folder' },
    fresh: { about: 'without --config: begin without the data of the last time' },
  },
  async run(values) {
    const path = values.config;
    if (path === undefined) {
      if (values['accept-remap'] === true) throw new UsageError('--accept-remap needs --config FILE');
      const { tryOut } = await import('./trial.js');
      return tryOut({
        port: values.port,
        adminPort: values['admin-port'],
        folder: values.folder,
        fresh: values.fresh === true,
      });
    }
    const stranger = TRIAL_OPTIONS.find((option) => values[option] !== undefined);
    if (stranger !== undefined) throw new UsageError(`--${stranger} is for start without --config: the file says it`);
    const [{ readConfig }, { serve, stopSignal }] = await Promise.all([
      import('./config-file.js'),
      import('./serve.js'),
    ]);
    const file = readConfig(path);
    if (file === null) return EXIT_FAILED;
    const source = { path, acceptRemap: values['accept-remap'] === true };
    return serve({ ...file, source }, stopSignal('SIGINT', 'SIGTERM'));
  },
});
