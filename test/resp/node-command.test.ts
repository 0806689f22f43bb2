import t from 'tap';
import { nodeCommand, routingFacts } from '../../src/resp/node-command.js';
import { type ReplyValue, readValue } from '../../src/resp/reply-value.js';

const SEVERAL = { nodes: 3, hasCopies: false };
const ONE = { nodes: 1, hasCopies: false };

/** `key specifications`: as COMMAND INFO has them in RESP2. */
function describe(
  flags: string,
  [first, last, step]: readonly [number, number, number] = [0, 0, 0],
  { categories = '', tips = '', specs = [] as ReplyValue[], arity = -1 } = {},
): ReplyValue[] {
  const words = (text: string) => text.split(' ').filter((word) => word !== '');
  return ['my.do', arity, words(flags), first, last, step, words(categories), words(tips), specs, []];
}

const KEYNUM = ['flags', ['RW'], 'begin_search', ['type', 'index', 'spec', ['index', 1]]];
const BY_NUMBER = [...KEYNUM, 'find_keys', ['type', 'keynum', 'spec', ['keynumidx', 0, 'firstkey', 1, 'keystep', 1]]];
const UNKNOWN = [
  'flags',
  ['RW', 'incomplete'],
  'begin_search',
  ['type', 'unknown', 'spec', []],
  'find_keys',
  ['type', 'unknown', 'spec', []],
];

t.test('where a command goes by its description', async (t) => {
  for (const [description, route, keys] of [
    [describe('write', [1, 1, 1]), 'one', 'single'],
    [describe('write', [1, -1, 1]), 'one', 'range'],
    [
      describe('write', [1, -1, 2], { tips: 'request_policy:multi_shard response_policy:all_succeeded' }),
      'split',
      'range',
    ],
    [describe('write', [1, -1, 2], { tips: 'request_policy:multi_shard response_policy:special' }), 'one', 'range'],
    // A part would lack what stands before the keys, or behind them.
    [describe('write', [2, -1, 1], { tips: 'request_policy:multi_shard response_policy:agg_sum' }), 'one', 'range'],
    [describe('write', [1, -2, 1], { tips: 'request_policy:multi_shard response_policy:agg_sum' }), 'one', 'range'],
    [describe('write blocking', [1, 1, 1]), 'block', 'single'],
    [describe('write movablekeys', [0, 0, 0], { specs: [BY_NUMBER] }), 'one', 'computed'],
    [describe('write movablekeys', [0, 0, 0], { specs: [BY_NUMBER, UNKNOWN] }), 'one', 'asked'],
    [describe('write movablekeys', [1, 1, 1]), 'one', 'asked'],
    [describe(''), 'any', 'none'],
    [describe('readonly', [0, 0, 0], { tips: 'request_policy:all_shards response_policy:agg_sum' }), 'all', 'none'],
    [describe('admin', [0, 0, 0], { tips: 'request_policy:all_nodes response_policy:all_succeeded' }), 'all', 'none'],
  ] as const) {
    const spec = nodeCommand(description, SEVERAL, true);
    t.same([spec.route, spec.keys], [route, keys], JSON.stringify(description));
  }
});

t.test('the keys of a subcommand stand behind its name: it goes to one shard', async (t) => {
  const tips = 'request_policy:multi_shard response_policy:agg_sum';
  const container = describe('');
  const inner = describe('write', [2, -1, 1], { tips });
  inner[0] = 'my.do|it';
  container[9] = [inner];
  const spec = nodeCommand(container, SEVERAL, true).subcommands?.get('it');
  t.same([spec?.route, spec?.keys, spec?.rangeFirst], ['one', 'range', 2]);
});

t.test('what is refused, with the reason', async (t) => {
  for (const [description, reason] of [
    [describe('readonly'), /it names no keys, but the data of one node are not all/],
    [describe('write'), /it names no keys, but/],
    [describe('blocking'), /it may wait, and names no key/],
    [describe('admin'), /it is about one node/],
    [describe('pubsub', [1, 1, 1]), /it may change the connection/],
    [describe('', [0, 0, 0], { categories: '@slow @connection' }), /it may change the connection/],
    [describe('', [0, 0, 0], { tips: 'request_policy:special' }), /does not say how several answers become one/],
    [describe('', [0, 0, 0], { tips: 'request_policy:all_shards response_policy:special' }), /does not say how/],
  ] as const) {
    const spec = nodeCommand(description, SEVERAL, true);
    t.equal(spec.route, 'reject');
    t.match(spec.reason, /^ERR MY\.DO is not supported by this proxy: /);
    t.match(spec.reason, reason);
  }
  t.equal(nodeCommand(describe('readonly'), ONE, true).route, 'any', 'one node has all');
  t.match(nodeCommand(describe(''), SEVERAL, false).reason, /nodes of another pool do not know it/);
  t.match(nodeCommand(describe(''), { nodes: 3, hasCopies: true }, true).reason, /may change copies/);
});

t.test('what is not said to read may write, and is not sent twice', async (t) => {
  t.notOk(nodeCommand(describe('readonly', [1, 1, 1]), SEVERAL, true).write);
  t.ok(nodeCommand(describe('fast', [1, 1, 1]), SEVERAL, true).write);
});

t.test('a command has as many arguments as its keys need', async (t) => {
  t.equal(nodeCommand(describe('write', [2, 2, 1]), SEVERAL, true).arity, -3);
  t.equal(nodeCommand(describe('write', [1, 3, 1]), SEVERAL, true).arity, -4);
  t.equal(nodeCommand(describe('write', [1, 1, 1], { arity: 4 }), SEVERAL, true).arity, 4);
  t.equal(nodeCommand(describe('write', [1, 1, 1], { arity: -3 }), SEVERAL, true).arity, -3);
});

t.test('descriptions are alike where a command goes the same way', async (t) => {
  t.equal(routingFacts(describe('write fast', [1, 1, 1])), routingFacts(describe('denyoom write', [1, 1, 1])));
  t.not(routingFacts(describe('write', [1, 1, 1])), routingFacts(describe('readonly', [1, 1, 1])));
  t.not(routingFacts(describe('write', [1, 1, 1])), routingFacts(describe('write', [1, 2, 1])));
});

t.test('before Redis 7 there are no specifications', async (t) => {
  const spec = nodeCommand(['my.do', 2, ['readonly'], 1, 1, 1, ['@read']], SEVERAL, true);
  t.same([spec.route, spec.firstKey, spec.categories], ['one', 1, ['read']]);
});

t.test('values of replies', async (t) => {
  const reply = '*5\r\n:-3\r\n$3\r\na\r\n\r\n+ok\r\n*-1\r\n*2\r\n$-1\r\n*0\r\n';
  t.same(readValue(Buffer.from(reply)), [-3, 'a\r\n', 'ok', null, [null, []]]);
});
