/** `ringleader status`: what a running proxy does, once or every second. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Endpoint } from '../base/endpoint.js';
import type { Status } from '../control/status.js';
import { ADMIN_OPTION, adminEndpoint, askAdmin } from './admin-port.js';
import { defineCommand, print } from './command.js';
import { CONFIG_OPTION } from './config-option.js';
import { describeStatus, fitStatus } from './status-text.js';

const INTERVAL_MS = 1_000;
/** To the upper left corner, and the rest of the screen empty. */
const CLEAR = '\x1b[H\x1b[J';

export const status = defineCommand({
  name: 'status',
  about: 'show what a running proxy does: workers, sessions, nodes, rates',
  usage: ['[--config FILE | --admin ADDRESS] [--watch] [--json]'],
  text: `Asks the admin port of a running proxy for /status and prints it.

  worker      a data-plane thread; one that died is replaced at once, and down until then
  sessions    client connections open now
  commands/s  taken from clients, over the last two seconds
  memory      buffers in use now
  node        up when one worker reaches it; the last error stays, with its age, when it is up again
  queued      commands that wait for the node: for a reply, or to be sent
  counters    since the start, those that are not zero; docs/OPERATIONS.md says what each means

  ringleader status --admin 127.0.0.1:9121 --watch
`,
  options: {
    config: { ...CONFIG_OPTION, about: 'the configuration that the proxy runs by' },
    admin: ADMIN_OPTION,
    watch: { short: 'w', about: 'again every second, until Ctrl-C' },
    json: { about: 'as JSON; with --watch one line a second' },
  },
  async run(values) {
    const endpoint = adminEndpoint(values);
    const isJson = values.json === true;
    // The first must succeed, so that a mistyped address is an error.
    const first = await fetchStatus(endpoint);
    if (values.watch !== true)
      return print(isJson ? JSON.stringify(first, null, 2) : describeStatus(first, Date.now()));
    return watch(endpoint, first, (status) => {
      if (isJson) return JSON.stringify(status);
      // One row is the cursor's.
      return fitStatus(status, Date.now(), (process.stdout.rows ?? Number.POSITIVE_INFINITY) - 1);
    });
  },
});

async function fetchStatus(endpoint: Endpoint): Promise<Status> {
  const { code, text } = await askAdmin(endpoint, '/status');
  if (code !== 200) throw new Error(`the admin port answers ${code}: ${text.trim()}`);
  return JSON.parse(text) as Status;
}

/** On a terminal one screen that is drawn again; else one block after another. Ends on Ctrl-C, or when nobody reads. */
async function watch(endpoint: Endpoint, first: Status, describe: (status: Status) => string): Promise<number> {
  const isTerminal = process.stdout.isTTY === true;
  const ended = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ended.abort());
  process.stdout.on('error', () => ended.abort());
  let text = describe(first);
  for (;;) {
    const block = text.endsWith('\n') ? text : `${text}\n`;
    process.stdout.write(isTerminal ? `${CLEAR}${block}` : block);
    try {
      await sleep(INTERVAL_MS, undefined, { signal: ended.signal });
    } catch {
      return 0;
    }
    try {
      text = describe(await fetchStatus(endpoint));
      if (!isTerminal && text.includes('\n')) text = `\n${text}`;
    } catch (error) {
      // It may be restarted just now.
      text = `${error instanceof Error ? error.message : error}\n`;
    }
  }
}
