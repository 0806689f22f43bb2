/** `ringleader lock`: who holds which locks, and a command that runs while one is held. */

import type { LockMode } from '../base/lock-mode.js';
import { parseMilliseconds } from '../base/units.js';
import { UsageError } from '../base/usage-error.js';
import { defineCommand, print } from './command.js';
import { CONFIG_OPTION } from './config-option.js';
import { EXIT_LOST, EXIT_NOT_ACQUIRED, EXIT_UNAVAILABLE } from './lock-exits.js';
import { PROXY_OPTION, proxyDoor } from './proxy-door.js';

const ACTIONS = ['list', 'info', 'release', 'run'] as const;
type Action = (typeof ACTIONS)[number];

/** What each takes beside --config and --proxy. */
const OPTIONS_OF: Readonly<Record<Action, readonly string[]>> = {
  list: ['json'],
  info: ['json'],
  release: ['force', 'token'],
  run: ['ttl', 'wait', 'grace', 'shared', 'limit'],
};

const TTL_MS = 30_000;
const GRACE_MS = 10_000;
const TIME_MS_MAX = 86_400_000;

export const lock = defineCommand({
  name: 'lock',
  about: 'run a command while a lock is held; list, show and free locks',
  usage: [
    'run NAME [--ttl TIME] [--wait TIME] [--grace TIME] [--shared | --limit N] -- COMMAND [ARGUMENT …]',
    'list [PATTERN] [--json]',
    'info NAME [--json]',
    'release NAME --token TOKEN | --force',
  ],
  text: `Talks to a running proxy as a client does, about locks of a keyspace with mode: lock (docs/LOCKS.md). The proxy is that of
--config or --proxy, or else at 127.0.0.1:6380; a password comes from there, or from the environment: RINGLEADER_PASSWORD.

run takes the lock, runs the command while it is held, and frees it. With --shared all that ask so run at the same time, and with
--limit N no more than N of those that say the same N. The command finds RINGLEADER_LOCK, RINGLEADER_TOKEN and
RINGLEADER_FENCE in its environment, and gets the signals that are sent to ringleader. When the lock can no longer be known to
be held, it gets SIGTERM, and after --grace SIGKILL. The exit code is the command's; 128 and the signal's number, where one
ended it; or

  ${EXIT_NOT_ACQUIRED}   somebody else has the lock, and still had it after --wait: the command was not run
  ${EXIT_LOST}   the lock was lost while the command ran
  ${EXIT_UNAVAILABLE}   the proxy could not be asked, or refused: the command was not run
  126  the command could not be run; 127: there is none of that name

list shows the locks that are held, of names that fit the pattern (as KEYS has it); info says of one who has it, or had it last.
release frees one by its token; with --force whoever holds it: that client hears of it when it next asks, or its connection is
closed, where it had the lock for as long as it is connected.

  ringleader lock run lock:report --config ringleader.yml --wait 10s -- ./make-report daily
`,
  operands: [{ name: 'ACTION', completes: ACTIONS }, { name: 'NAME' }, { name: 'COMMAND', isRest: true }],
  options: {
    config: { ...CONFIG_OPTION, about: 'the configuration that the proxy runs by' },
    proxy: PROXY_OPTION,
    ttl: { value: 'TIME', about: 'run: how long nobody else gets the lock when the proxy dies; 30s unless said' },
    wait: { value: 'TIME', about: 'run: how long to wait for the lock; not at all unless said' },
    grace: { value: 'TIME', about: 'run: between SIGTERM and SIGKILL where the lock is lost; 10s unless said' },
    shared: { about: 'run: together with all others that ask so' },
    limit: { value: 'N', about: 'run: together with others that ask so, no more than N at a time' },
    token: { value: 'TOKEN', about: 'release: the one that holds the lock' },
    force: { about: 'release: whoever holds it' },
    json: { about: 'list, info: as JSON' },
  },
  async run(values, operands) {
    const [word = '', name, ...rest] = operands;
    const action = ACTIONS.find((known) => known === word);
    if (action === undefined) throw new UsageError(`lock needs one of ${ACTIONS.join(', ')}, and not "${word}"`);
    const { config, proxy, ...own } = values;
    const stranger = Object.keys(own).find((option) => !OPTIONS_OF[action].includes(option));
    if (stranger !== undefined) throw new UsageError(`lock ${action} has no option --${stranger}`);
    if (action !== 'run' && rest.length > 0)
      throw new UsageError(`"${rest.join(' ')}" is one word too many after lock ${action}`);
    const door = () =>
      proxyDoor({ ...(config === undefined ? {} : { config }), ...(proxy === undefined ? {} : { proxy }) });
    if (action !== 'list' && (name === undefined || name === ''))
      throw new UsageError(`lock ${action} needs the NAME of a lock`);
    if (action === 'run') {
      if (rest.length === 0) throw new UsageError('lock run needs a command: lock run NAME -- COMMAND');
      const order = {
        name: name as string,
        ttlMs: timeOf('ttl', values.ttl, TTL_MS),
        waitMs: timeOf('wait', values.wait, 0),
        graceMs: timeOf('grace', values.grace, GRACE_MS),
        mode: modeOf(values.shared === true, values.limit),
      };
      const { runUnderLock } = await import('./lock-run.js');
      return runUnderLock(door(), order, rest as [string, ...string[]]);
    }
    const { token, force = false } = values;
    if (action === 'release' && (token === undefined) !== force)
      throw new UsageError('lock release needs --token TOKEN, or --force, and not both');
    const [{ LockClient }, { describeLock, describeLocks }] = await Promise.all([
      import('./lock-client.js'),
      import('./lock-text.js'),
    ]);
    const client = await LockClient.connect(door());
    if (action === 'list') {
      const locks = await client.list(name);
      return print(values.json === true ? JSON.stringify(locks, null, 2) : describeLocks(locks));
    }
    if (action === 'info') {
      const facts = await client.info(name as string);
      return print(values.json === true ? JSON.stringify(facts, null, 2) : describeLock(facts));
    }
    if (token === undefined) {
      const holders = await client.break(name as string);
      return print(holders === 0 ? `${name} was free` : `${name} is freed; holders: ${holders}`);
    }
    await client.release(name as string, token);
    return print(`${name} is released`);
  },
});

function modeOf(isShared: boolean, limit: string | undefined): LockMode {
  if (isShared && limit !== undefined) throw new UsageError('lock run takes --shared or --limit, not both');
  if (isShared) return { kind: 'shared' };
  if (limit === undefined) return { kind: 'exclusive' };
  // How many it may be is the proxy's to say.
  if (!/^[1-9]\d{0,8}$/.test(limit)) throw new UsageError(`--limit: expected a number, 1 or more, found "${limit}"`);
  return { kind: 'limit', max: Number(limit) };
}

function timeOf(option: string, text: string | undefined, usual: number): number {
  if (text === undefined) return usual;
  const ms = parseMilliseconds(text);
  if (ms === null || ms > TIME_MS_MAX)
    throw new UsageError(`--${option}: expected a time such as 500ms or 30s, 24h at the most, found "${text}"`);
  return ms;
}
