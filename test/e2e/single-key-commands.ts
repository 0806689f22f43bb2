/**
 * Every command that can stand on one key, on a replicated key through the proxy and on a plain one of one Redis: the replies are
 * byte for byte the same, errors included, and so is what is left.
 */
import type { Test } from 'tap';
import { operationOf } from '../../src/replica/forms.js';
import { ask, type Found, findOnKey, isSameReply, isSameState } from '../help/command-comparison.js';
import { digestOf } from '../help/key-digest.js';
import { type Random, randomFromSeed } from '../help/random.js';
import { PATTERNS, randomState, randomWords } from '../help/random-commands.js';
import { connectAll, type ReplicatedDeployment } from '../help/replicated-deployment.js';
import { connect, encodeWords, type RespClient } from '../help/resp-client.js';

/** Of each pattern. */
const ROUNDS = Number(process.env['ROUNDS'] ?? 1);
/** Keys at a time, each with clients of its own. */
const LANES = 6;
/** Commands on one key before it is made anew. */
const COMMANDS = 3;

/** One key's clients: of two proxies, which take turns, and of the plain server. */
interface Lane {
  readonly key: string;
  readonly through: readonly RespClient[];
  readonly direct: RespClient;
  /** To look at what is left, in RESP2. */
  readonly looks: readonly [RespClient, RespClient];
}

async function openLane(t: Test, place: ReplicatedDeployment, key: string, protocol: 2 | 3): Promise<Lane> {
  const through = [...(await connectAll(t, place.proxies[0], 2)), await connect(t, place.proxies[1].port)];
  const direct = await connect(t, place.plain.port);
  for (const client of [...through, direct]) await client.raw('HELLO', `${protocol}`);
  const looks = [await connect(t, place.proxies[0].port), await connect(t, place.plain.port)] as const;
  return { key, through, direct, looks };
}

/** `found`, which is on `k`, on that key. */
function on({ spec, command }: Found, key: string): Found {
  return { spec, command: command.map((word) => (`${word}` === 'k' ? Buffer.from(key) : word)) };
}

/** Whether it is refused on replicated keys, or the order of a hash table says more than in which order things come. */
function isOdd([name = '', ...words]: readonly string[]): boolean {
  if (name === 'move' || name === 'copy') return true;
  if (name.startsWith('sort')) return words.includes('nosort') && words.includes('limit');
  // Cursors are not those of one Redis.
  if (/^[hsz]scan$/.test(name) && words[1] !== '0') return true;
  return name === 'sscan' && words.length > 2;
}

/** Both keys are made as `state` makes them, through a proxy and directly. */
async function makeBoth({ key, through, direct }: Lane, state: readonly string[][], random: Random): Promise<void> {
  for (const client of [random.pick(through), direct]) {
    const commands = [['DEL', 'k'], ...state].map((words) => words.map((word) => (word === 'k' ? key : word)));
    client.send(Buffer.concat(commands.map(encodeWords)));
    for (let count = 0; count < commands.length; count++) await client.next();
  }
}

/** In both protocols, as subtests. Those that `isOther` says are answered in another way are left out. */
export function compareCommands(
  t: Test,
  place: ReplicatedDeployment,
  isOther: (words: readonly string[]) => boolean = () => false,
): void {
  for (const protocol of [2, 3] as const) {
    t.test(`in RESP${protocol} each command is answered as one Redis answers it`, async (t) => {
      const random = randomFromSeed((text) => t.comment(text));
      const lanes = await Promise.all(
        Array.from({ length: LANES }, (_, lane) => openLane(t, place, `key:${lane}`, protocol)),
      );
      const patterns = Array.from({ length: ROUNDS }, () => PATTERNS).flat();
      let compared = 0;
      const seen = new Set<string>();
      const runLane = async (lane: Lane): Promise<void> => {
        for (let pattern = patterns.pop(); pattern !== undefined; pattern = patterns.pop()) {
          // PFCOUNT writes its count into a plain key, and GET shows it.
          const state = randomState(random).filter(([name]) => name !== 'pfcount');
          const said: string[] = [JSON.stringify(state)];
          await makeBoth(lane, state, random);
          for (let count = 0; count < COMMANDS; count++) {
            const words = randomWords(random, pattern);
            const found = findOnKey(words);
            const operation = found === null ? null : operationOf(found.spec, found.command, protocol);
            if (found === null || operation === null || isOdd(words) || isOther(words)) continue;
            said.push(JSON.stringify(words));
            const { spec, command } = on(found, lane.key);
            const expected = await ask(lane.direct, { spec, command });
            const carried = await ask(random.pick(lane.through), { spec, command });
            compared++;
            seen.add(spec.name);
            const agrees = operation instanceof Uint8Array || operation.repliesAgree;
            if (!isSameReply(found, agrees, expected, carried)) {
              t.equal(carried.toString('latin1'), expected.toString('latin1'), said.join(', then '));
              break;
            }
            const [own, theirs] = await Promise.all(lane.looks.map((look) => digestOf(look, lane.key)));
            if (own === undefined || theirs === undefined || !isSameState(spec, theirs, own)) {
              t.same(own, theirs, `what is left by ${said.join(', then ')}`);
              break;
            }
            // Chance has made them differ.
            if (JSON.stringify(own) !== JSON.stringify(theirs)) break;
          }
        }
      };
      await Promise.all(lanes.map(runLane));
      for (const { through, direct, looks } of lanes)
        for (const client of [...through, direct, ...looks]) client.close();
      t.ok(compared > PATTERNS.length * ROUNDS, `${compared} were compared, of ${seen.size} commands`);
    });
  }
}
