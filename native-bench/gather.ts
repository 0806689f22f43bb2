/**
 * What it costs that the keys of a command lie on two shards: each command that is gathered, over two keys of 1,000 members, beside the
 * same on one Redis, through the same proxy and without it.
 *
 *   npm run bench:gather -- [--rounds 15] [--commands 100] [--members 1000] [--only sinter,zunion] [--no-save]
 *
 * One client, which asks for the next when it has been answered. Interleaved: each round measures everything once, in another order. The
 * exit code is 1 where a read takes more than six times as long as the same on one Redis without the proxy.
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
import { type GatherCase, gatherCases, type Keys, seed } from './gather-cases.js';

interface Target {
  label: string;
  client: RespClient;
  keys: Keys;
}

const GATHERED = 'two shards';
const ONE = 'one shard';
const DIRECT = 'one Redis';
const RATIO_MAX = 6;
const WARM_UP_ROUNDS = 3;
const NAMES = ['a', 'b'];

await run(() => main(readOptions()));

type Options = ReturnType<typeof readOptions>;

async function main(options: Options): Promise<void> {
  const stops: (() => unknown)[] = [];
  try {
    const servers = await Promise.all([...NAMES, 'alone'].map(() => RedisServer.start()));
    stops.unshift(() => Promise.all(servers.map((server) => server.stop())));
    const nodes = NAMES.map((name, index) => ({ name, url: servers[index]?.url as string }));
    const proxy = await ProxyProcess.start({ nodes, log: { level: 'info', format: 'json' } });
    stops.unshift(() => proxy.kill9());
    const clients = await Promise.all([proxy.port, servers[2]?.port as number].map((port) => RespClient.connect(port)));
    stops.unshift(() => clients.map((client) => client.close()));
    const took = await measure(clients as [RespClient, RespClient], options);
    process.exitCode = tell(took, options.cases) ? 0 : 1;
    if (!options.isSaved) return;
    const programs = await findPrograms();
    const nodeOf = new Map([['ringleader', process.execPath]]);
    const { rounds, commands, members } = options;
    const results = Object.fromEntries(took);
    saveResults(
      { suffix: '-gather', raisedPriority: false, programs, nodeOf },
      { options: { rounds, commands, members }, results },
    );
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
  const spread: Keys = { pair: (name) => [placement.key(0, `${name}1`), placement.key(1, `${name}2`)], tag: '' };
  const together: Keys = {
    pair: (name) => [placement.key(0, `${name}1`), placement.key(0, `${name}3`)],
    tag: `{${placement.key(0, 'tag')}}`,
  };
  const targets: Target[] = [
    { label: GATHERED, client: proxied, keys: spread },
    { label: ONE, client: proxied, keys: together },
    { label: DIRECT, client: direct, keys: together },
  ];
  for (const { client, keys } of targets) await seed(client, keys, options.members);
  const took = new Map<string, number[]>();
  for (const { name, words } of options.cases) {
    for (const [round, { label, client, keys }] of rounds(WARM_UP_ROUNDS + options.rounds, targets)) {
      const frame = encodeWords(words(keys.pair, keys.tag));
      client.send(frame);
      const reply = await client.next();
      if (reply[0] === '-'.charCodeAt(0)) throw new BenchmarkError(`${name}: ${reply}`);
      const startMs = performance.now();
      for (let count = 0; count < options.commands; count++) {
        client.send(frame);
        // However the elements are ordered, they have as many bytes.
        await client.nextBytes(reply.length);
      }
      const eachMs = (performance.now() - startMs) / options.commands;
      if (round >= WARM_UP_ROUNDS) note(took, `${name} ${label}`, eachMs);
    }
  }
  return took;
}

/** Prints the medians. Whether those of what reads are as they are asked to be. */
function tell(took: ReadonlyMap<string, readonly number[]>, cases: readonly GatherCase[]): boolean {
  let isKept = true;
  console.log(
    `${''.padEnd(16)}${[GATHERED, ONE, DIRECT].map((label) => label.padStart(16)).join('')}   to one shard, to one Redis`,
  );
  for (const { name, isWrite } of cases) {
    const medians = [GATHERED, ONE, DIRECT].map((label) => median(took.get(`${name} ${label}`) ?? []));
    const [gathered, one, direct] = medians as [number, number, number];
    const isOver = !isWrite && gathered / direct > RATIO_MAX;
    const shown = medians.map((ms) => `${ms.toFixed(3)} ms`.padStart(16)).join('');
    const ratios = `${(gathered / one).toFixed(2).padStart(12)} ${(gathered / direct).toFixed(2).padStart(12)}`;
    console.log(`${name.padEnd(16)}${shown}  ${ratios}${isOver ? `  more than ${RATIO_MAX}` : ''}`);
    isKept &&= !isOver;
  }
  return isKept;
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '15' },
      commands: { type: 'string', default: '100' },
      members: { type: 'string', default: '1000' },
      only: { type: 'string', default: '' },
      'no-save': { type: 'boolean', default: false },
    },
  });
  const number = (name: 'rounds' | 'commands' | 'members') => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < 1)
      throw new BenchmarkError(`--${name} ${values[name]}: a whole number above 0`);
    return value;
  };
  const all = gatherCases();
  const wanted = values.only
    .toLowerCase()
    .split(',')
    .filter((name) => name !== '');
  const cases = wanted.length === 0 ? all : all.filter(({ name }) => wanted.includes(name.toLowerCase()));
  if (cases.length === 0)
    throw new BenchmarkError(`--only ${values.only}: of ${all.map(({ name }) => name).join(', ')}`);
  return {
    rounds: number('rounds'),
    commands: number('commands'),
    members: number('members'),
    cases,
    isSaved: !values['no-save'],
  };
}
