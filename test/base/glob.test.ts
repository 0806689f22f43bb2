/** Patterns match what those of a real Redis match. */
import t from 'tap';
import { globOf } from '../../src/base/glob.js';
import { randomFromSeed } from '../help/random.js';
import { startRedisServers } from '../help/redis-server.js';
import { RespClient } from '../help/resp-client.js';

const PATTERNS = [
  '*',
  '',
  'a',
  'a*',
  '*a',
  '*a*b*',
  '?',
  '??',
  '[ab]',
  '[^a]*',
  '[a-c]?',
  '[c-a]?',
  '[',
  'a[',
  '[a',
  '[^',
  '[]a',
  '\\',
  'a\\',
];
const MORE = [
  '\\*',
  '[\\]]',
  '[\\a-c]',
  '[a-',
  '[a-]',
  '[-a]',
  '**',
  '*?*',
  '[^]',
  '*[*',
  '\xff*',
  '[\xf0-\xff]',
  '*\\',
  '[a\\',
];
const TEXTS = [
  '',
  'a',
  'b',
  'ab',
  'abc',
  'aab',
  'c',
  '*',
  '[',
  ']',
  '^',
  '-',
  '\\',
  'a\\',
  'a[',
  '\xff',
  '\xffa',
  'axbyb',
  'a-',
  '\n',
];
const LETTERS = 'aab*?[]^-\\c';

t.test('as KEYS has them', async (t) => {
  const [server] = await startRedisServers(1);
  if (server === undefined) throw new Error('no server');
  t.teardown(() => server.stop());
  const client = await RespClient.connect(server.port);
  t.teardown(() => client.close());
  const random = randomFromSeed((text) => t.comment(text));
  const drawn = (length: number) =>
    Array.from({ length: random.below(length) }, () => LETTERS[random.below(LETTERS.length)]).join('');
  const texts = [...new Set([...TEXTS, ...Array.from({ length: 200 }, () => drawn(6))])];
  for (const text of texts) await client.command('SET', text, '');
  const patterns = [...PATTERNS, ...MORE, ...Array.from({ length: 1_000 }, () => drawn(8))];
  for (const pattern of patterns) {
    const reply = (await client.raw('KEYS', pattern)).toString('latin1').split('\r\n');
    const found = reply.slice(1).filter((_, at) => at % 2 === 1);
    const own = texts.filter(globOf(pattern));
    if (own.sort().join('\r') !== found.sort().join('\r')) t.same(own, found, JSON.stringify(pattern));
  }
  t.equal(globOf('a*'.repeat(40))('a'.repeat(4_000)), true, 'and take no longer for many stars');
  t.equal(globOf(`${'a*'.repeat(40)}b`)('a'.repeat(4_000)), false);
});
