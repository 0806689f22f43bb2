/**
 * What it costs that the keys of a command lie on two shards: SUNION and SINTER of two sets of 1,000 members, beside the same on one Redis,
 * through the same proxy and without it.
 *
 *   npm run bench:gather -- [--rounds 15] [--commands 100] [--members 1000] [--no-save]
 *
 * One client, which asks for the next when it has been answered. Interleaved: each round measures everything once, in another order. The
 * exit code is 1 where a gather takes more than six times as long as the same on one Redis through the proxy.
 */
import { parseArgs } from 'node:util';
import { Placement } from '../test/help/deployment.js';
import { ProxyProcess } from '../test/help/proxy.js';
import { RedisServer } from '../test/help/redis-server.js';
import { encodeWords, RespClient } from '../test/help/resp-client.js';
import { BenchmarkError, run } from './compare/children.js';
import { findPrograms } from './compare/programs.js';
import { saveResults } from './compare/results.js';
import { median, note, rounds } from './compare/rounds.js';

interface Target {
  label: string;
  client: RespClient;
  keys: readonly [string, string];
}

const COMMANDS = ['SUNION', 'SINTER'] as const;
const GATHERED = 'two shards';
const ONE = 'one shard';
const DIRECT = 'one Redis, without the proxy';
const RATIO_MAX = 6;
const WARM_UP_ROUNDS = 3;
const NAMES = ['a', 'b'];

await run(() => main(readOptions()));

type Options = ReturnType<typeof readOptions>;

async function main(options: Options): Promise<void> {
  const stops: (() => unknown)[] = [];
  try {
    const servers = await Promise.all(NAMES.map(() => RedisServer.start()));
    stops.unshift(() => Promise.all(servers.map((server) => server.stop())));
    const nodes = servers.map(({ url }, index) => ({ name: NAMES[index] as string, url }));
    const proxy = await ProxyProcess.start({ nodes, log: { level: 'info', format: 'json' } });
    stops.unshift(() => proxy.kill9());
    const clients = await Promise.all([proxy.port, servers[0]?.port as number].map((port) => RespClient.connect(port)));
    stops.unshift(() => clients.map((client) => client.close()));
    const took = await measure(clients as [RespClient, RespClient], options);
    process.exitCode = tell(took) ? 0 : 1;
    if (!options.isSaved) return;
    const programs = await findPrograms();
    const nodeOf = new Map([['ringleader', process.execPath]]);
    const results = Object.fromEntries(took);
    saveResults({ suffix: '-gather', raisedPriority: false, programs, nodeOf }, { options, results });
  } finally {
    for (const stop of stops) await stop();
  }
}

/** Milliseconds for one command in each round, by command and target. */
async function measure(
  [proxied, direct]: [RespClient, RespClient],
  options: Options,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const placement = new Placement(NAMES);
  const [first, second, beside] = [placement.key(0, 'first'), placement.key(1, 'second'), placement.key(0, 'beside')];
  // Half of each set's members is in the other, too.
  for (const [key, from] of [
    [first, 0],
    [second, options.members / 2],
    [beside, options.members / 2],
  ] as const) {
    const members = Array.from({ length: options.members }, (_, index) => `member:${from + index}`);
    await proxied.command('SADD', key, ...members);
  }
  const targets: Target[] = [
    { label: GATHERED, client: proxied, keys: [first, second] },
    { label: ONE, client: proxied, keys: [first, beside] },
    { label: DIRECT, client: direct, keys: [first, beside] },
  ];
  const took = new Map<string, number[]>();
  for (const command of COMMANDS) {
    for (const [round, { label, client, keys }] of rounds(WARM_UP_ROUNDS + options.rounds, targets)) {
      const frame = encodeWords([command, ...keys]);
      client.send(frame);
      const { length } = await client.next();
      const startMs = performance.now();
      for (let count = 0; count < options.commands; count++) {
        client.send(frame);
        // However the elements are ordered, they have as many bytes.
        await client.nextBytes(length);
      }
      const eachMs = (performance.now() - startMs) / options.commands;
      if (round >= WARM_UP_ROUNDS) note(took, `${command} ${label}`, eachMs);
    }
  }
  return took;
}

/** Prints the medians. Whether they are as they are asked to be. */
function tell(took: ReadonlyMap<string, readonly number[]>): boolean {
  let isKept = true;
  for (const command of COMMANDS) {
    const [gathered, one, direct] = [GATHERED, ONE, DIRECT].map((label) =>
      median(took.get(`${command} ${label}`) ?? []),
    );
    for (const [label, ms] of Object.entries({ [GATHERED]: gathered, [ONE]: one, [DIRECT]: direct })) {
      console.log(`${command} ${label.padEnd(30)} ${(ms as number).toFixed(3)} ms`);
    }
    const [ratio, toDirect] = [one, direct].map((ms) => (gathered as number) / (ms as number)) as [number, number];
    console.log(
      `${command} ratio ${ratio.toFixed(2)} to one shard (at most ${RATIO_MAX}), ${toDirect.toFixed(2)} to one Redis\n`,
    );
    isKept &&= ratio <= RATIO_MAX;
  }
  return isKept;
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '15' },
      commands: { type: 'string', default: '100' },
      members: { type: 'string', default: '1000' },
      'no-save': { type: 'boolean', default: false },
    },
  });
  const number = (name: 'rounds' | 'commands' | 'members') => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < 1)
      throw new BenchmarkError(`--${name} ${values[name]}: a whole number above 0`);
    return value;
  };
  return {
    rounds: number('rounds'),
    commands: number('commands'),
    members: number('members'),
    isSaved: !values['no-save'],
  };
}
