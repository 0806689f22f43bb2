import t from 'tap';
import { ANY_CLIENT, parseKill, parseList } from '../../src/proxy/client-filter.js';

const args = (...words: string[]) => ({ count: words.length, text: (index: number) => words[index] as string });
const isUser = (name: string) => name === 'default' || name === 'app';
const SYNTAX = 'ERR syntax error';
const NOT_POSITIVE = 'ERR client-id should be greater than 0';

function shown<T>(parsed: T | Uint8Array): T | string {
  return parsed instanceof Uint8Array ? Buffer.from(parsed).toString('latin1').slice(1, -2) : parsed;
}

t.test('the arguments of CLIENT LIST', async (t) => {
  const CASES: readonly [words: string, expected: unknown][] = [
    ['', ANY_CLIENT],
    ['TYPE normal', { ...ANY_CLIENT, type: 'normal' }],
    ['type SLAVE', { ...ANY_CLIENT, type: 'replica' }],
    ['TYPE Replica', { ...ANY_CLIENT, type: 'replica' }],
    ['TYPE master', { ...ANY_CLIENT, type: 'master' }],
    ['TYPE pubsub', { ...ANY_CLIENT, type: 'pubsub' }],
    ['TYPE constructor', "ERR Unknown client type 'constructor'"],
    ['TYPE', SYNTAX],
    ['TYPE normal normal', SYNTAX],
    ['ID', SYNTAX],
    ['ID 1', { ...ANY_CLIENT, ids: [1] }],
    ['id 3 1 -2 3', { ...ANY_CLIENT, ids: [3, 1, -2, 3] }],
    ['ID 1 x', 'ERR Invalid client ID'],
    ['ID 01', 'ERR Invalid client ID'],
    ['ID 9223372036854775808', 'ERR Invalid client ID'],
    ['USER default', SYNTAX],
    ['normal', SYNTAX],
  ];
  for (const [words, expected] of CASES) {
    const list = args('CLIENT', 'LIST', ...words.split(' ').filter((word) => word !== ''));
    t.same(shown(parseList(list)), expected, words);
  }
});

t.test('the arguments of CLIENT KILL', async (t) => {
  const order = (filter: object, skipsMe = true) => ({
    filter: { ...ANY_CLIENT, ...filter },
    skipsMe,
    isOldForm: false,
  });
  const CASES: readonly [words: string, expected: unknown][] = [
    ['127.0.0.1:1', { filter: { ...ANY_CLIENT, address: '127.0.0.1:1' }, skipsMe: false, isOldForm: true }],
    ['ID', { filter: { ...ANY_CLIENT, address: 'ID' }, skipsMe: false, isOldForm: true }],
    ['ID 5', order({ ids: [5] })],
    ['ID 5 id 6', order({ ids: [6] })],
    ['ADDR a:1 LADDR b:2', order({ address: 'a:1', ownAddress: 'b:2' })],
    ['TYPE Pubsub USER app', order({ type: 'pubsub', user: 'app' })],
    ['SKIPME no', order({}, false)],
    ['SkipMe YES', order({})],
    ['SKIPME no SKIPME yes', order({})],
    ['ID 0', NOT_POSITIVE],
    ['ID -1', NOT_POSITIVE],
    ['ID x', NOT_POSITIVE],
    ['ID 9223372036854775808', NOT_POSITIVE],
    ['TYPE x', "ERR Unknown client type 'x'"],
    ['USER nobody', "ERR No such user 'nobody'"],
    ['SKIPME maybe', SYNTAX],
    ['ID 5 TYPE', SYNTAX],
    ['ID 0 TYPE', NOT_POSITIVE],
    ['FOO bar', SYNTAX],
  ];
  for (const [words, expected] of CASES) {
    t.same(shown(parseKill(args('CLIENT', 'KILL', ...words.split(' ')), isUser)), expected, words);
  }
});
