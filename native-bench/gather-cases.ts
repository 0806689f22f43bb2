/** The commands that bench:gather measures, and what their keys hold. */
import type { RespClient } from '../test/help/resp-client.js';

/** The two keys of a kind, and for what is written a third one beside the first. */
export type Pair = (kind: string) => readonly [string, string];

export interface Keys {
  readonly pair: Pair;
  /** Before the names of the keys that SORT_RO reads by patterns: a hash tag where all of them lie on one node. */
  readonly tag: string;
}

export interface GatherCase {
  name: string;
  isWrite: boolean;
  words: (pair: Pair, tag: string) => readonly string[];
}

const SCRIPT = "return redis.call('SINTERCARD', 2, KEYS[1], KEYS[2])";
const LCS_BYTES = 1_000;

export function gatherCases(): readonly GatherCase[] {
  const read = (name: string, words: GatherCase['words']): GatherCase => ({ name, isWrite: false, words });
  const write = (name: string, words: GatherCase['words']): GatherCase => ({ name, isWrite: true, words });
  return [
    read('SINTER', (pair) => ['SINTER', ...pair('set')]),
    read('SINTERCARD', (pair) => ['SINTERCARD', '2', ...pair('set')]),
    read('SUNION', (pair) => ['SUNION', ...pair('set')]),
    read('SDIFF', (pair) => ['SDIFF', ...pair('set')]),
    read('ZINTER', (pair) => ['ZINTER', '2', ...pair('zset'), 'WITHSCORES']),
    read('ZINTERCARD', (pair) => ['ZINTERCARD', '2', ...pair('zset')]),
    read('ZUNION', (pair) => ['ZUNION', '2', ...pair('zset'), 'WITHSCORES']),
    read('ZDIFF', (pair) => ['ZDIFF', '2', ...pair('zset'), 'WITHSCORES']),
    read('PFCOUNT', (pair) => ['PFCOUNT', ...pair('hll')]),
    read('LCS', (pair) => ['LCS', ...pair('text'), 'LEN']),
    read('XREAD', (pair) => ['XREAD', 'COUNT', '10', 'STREAMS', ...pair('stream'), '0', '0']),
    read('SORT_RO', (pair, tag) => ['SORT_RO', pair('list')[0], 'BY', `${tag}weight:*`, 'GET', `${tag}value:*`]),
    read('EVAL_RO', (pair) => ['EVAL_RO', SCRIPT, '2', ...pair('set')]),
    write('SINTERSTORE', (pair) => ['SINTERSTORE', pair('dest')[0], ...pair('set')]),
    write('ZUNIONSTORE', (pair) => ['ZUNIONSTORE', pair('dest')[0], '2', ...pair('zset')]),
    write('PFMERGE', (pair) => ['PFMERGE', pair('dest-hll')[0], ...pair('hll')]),
    write('BITOP', (pair) => ['BITOP', 'AND', pair('dest')[0], ...pair('text')]),
    write('COPY', (pair) => ['COPY', pair('set')[1], pair('dest')[0], 'REPLACE']),
    write('GEOSEARCHSTORE', (pair) => [
      ...['GEOSEARCHSTORE', pair('dest')[0], pair('geo')[1], 'FROMLONLAT', '10', '50'],
      ...['BYRADIUS', '100', 'km'],
    ]),
  ];
}

/** Half of what one key has is in the other, too. */
export async function seed(client: RespClient, { pair, tag }: Keys, members: number): Promise<void> {
  const numbers = Array.from({ length: members }, (_, index) => index);
  const from = [0, Math.floor(members / 2)];
  const all = async (kind: string, words: (key: string, from: number) => readonly string[]) => {
    for (const [at, key] of pair(kind).entries()) await client.command(...words(key, from[at] as number));
  };
  const member = (number: number) => `member:${number}`;
  await all('set', (key, first) => ['SADD', key, ...numbers.map((at) => member(at + first))]);
  await all('zset', (key, first) => ['ZADD', key, ...numbers.flatMap((at) => [String(at * 1.5), member(at + first)])]);
  await all('hll', (key, first) => ['PFADD', key, ...numbers.map((at) => member(at + first))]);
  await all('text', (key, first) => ['SET', key, textOf(first, LCS_BYTES)]);
  await all('list', (key) => ['RPUSH', key, ...numbers.map(String)]);
  await all('geo', (key) => ['GEOADD', key, ...numbers.flatMap((at) => ['10', String(50 + at / 10_000), member(at)])]);
  for (const key of pair('stream')) {
    await client.command('DEL', key);
    for (const at of numbers) await client.command('XADD', key, `${at + 1}-1`, 'field', member(at));
  }
  for (const at of numbers) {
    await client.command('MSET', `${tag}weight:${at}`, String((at * 7) % members), `${tag}value:${at}`, member(at));
  }
}

/** Text without a pattern, of which half a turn is the other key's, too. */
function textOf(first: number, length: number): string {
  return Array.from({ length }, (_, at) => String.fromCharCode(97 + (((at + first) * (at + first)) % 23))).join('');
}
