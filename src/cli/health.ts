/** `ringleader health`: one line, and an exit code, for who starts and watches containers. */
import { formatEndpoint } from '../base/endpoint.js';
import { ADMIN_OPTION, adminEndpoint, askAdmin } from './admin-port.js';
import { defineCommand, EXIT_FAILED, print } from './command.js';
import { CONFIG_OPTION } from './config-option.js';

export const health = defineCommand({
  name: 'health',
  about: 'ask a running proxy whether it takes clients',
  usage: ['[--config FILE | --admin ADDRESS]'],
  text: `Asks the admin port of a running proxy for /readyz, prints one line, and exits with 0 when it takes clients, else with 1,
after two seconds at the latest. A proxy with a node down is ready: it serves the others.

With --config it looks for the line admin: in that file, and reads nothing else of it. In a Dockerfile:

  HEALTHCHECK CMD ["node", "dist/src/main.js", "health", "--config", "/etc/ringleader/ringleader.yml"]
`,
  options: {
    config: { ...CONFIG_OPTION, about: 'the configuration that the proxy runs by' },
    admin: ADMIN_OPTION,
  },
  async run(values) {
    const endpoint = adminEndpoint(values);
    const { code, text } = await askAdmin(endpoint, '/readyz');
    const where = formatEndpoint(endpoint);
    if (code === 200) return print(`ready (${where})`);
    process.stderr.write(`not ready (${where}): ${text.trim()}\n`);
    return EXIT_FAILED;
  },
});
