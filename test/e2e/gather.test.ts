/**
 * Commands whose keys lie on three shards, beside one Redis that has all keys: every reply is byte for byte the same, but for the order
 * of sets, so is what is written, and no node keeps a key that is not its own.
 */
import t, { type Test } from 'tap';
import { type Deployment, deploy } from '../help/deployment.js';
import { digestOf } from '../help/key-digest.js';
import { misplacedKeys } from '../help/misplaced-keys.js';
import { RedisServer } from '../help/redis-server.js';
import { parseReply, type Value } from '../help/reference-parser.js';
import { connect, type RespClient } from '../help/resp-client.js';

type Words = readonly string[];

/** `name/2` is a key on node 2. */
const SEED: readonly Words[] = [
  ...lines(`SADD s/0 a b c 1 2 3|SADD s/1 b c d 2 3 4|SADD s/2 c d e 3 4 5|SADD ints/0 3 1 2|SADD ints/1 2 3 9|SADD lone/2 x
    ZADD z/0 1 a 2.5 b inf c|ZADD z/1 3 b 4 c -inf d|ZADD z/2 0.1 c 7 e 1e300 f
    SET str/0 ohmytext|SET str/1 mynewtext|SET str/2 other|SET mortal/1 soon EX 5000|SET mortal/2 bits EXAT 99999999999
    SET bits/0 abc|SET bits/1 foobar|SET bits/2 \xf0\x0f\x00\r\n
    PFADD hll/0 a b c|PFADD hll/1 c d e|PFADD hll/2 e f g
    RPUSH l/0 3 1 2|RPUSH l/1 one two|HSET h/1 f v g w|HSET h/2 f 1
    XADD x/0 1-1 a 1|XADD x/1 2-1 b 2|XADD x/1 3-1 c 3|XADD x/2 4-1 d 4|XGROUP CREATE x/1 group 0|XREADGROUP GROUP group me STREAMS x/1 >
    GEOADD geo/0 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 12.758489 38.788135 edge`),
];

const READS: readonly Words[] =
  lines(`SINTER s/0 s/1|SINTER s/0 s/1 s/2|SINTER s/0 none/1|SINTER none/0 none/1|SINTER s/0 str/1|SINTER str/1 none/0
  SINTER s/0 s/1 s/0 s/1|SUNION s/0 s/1 s/2|SUNION ints/0 ints/1|SUNION none/0 none/1|SUNION s/0 l/1|SDIFF s/0 s/1|SDIFF s/1 s/0 s/2|SDIFF none/0 s/1
  SDIFF h/1 s/0|SINTERCARD 2 s/0 s/1|SINTERCARD 3 s/0 s/1 s/2 LIMIT 1|SINTERCARD 2 s/0 s/1 LIMIT x|SINTERCARD 2 s/0 s/1 LIMIT -1
  ZUNION 2 z/0 z/1|ZUNION 3 z/0 z/1 z/2 WITHSCORES|ZUNION 3 z/0 z/1 s/2 WEIGHTS 2 3 0.5 AGGREGATE MAX WITHSCORES
  ZUNION 2 z/0 z/1 WEIGHTS 1|ZUNION 2 z/0 z/1 AGGREGATE no|ZUNION 2 z/0 str/1|ZINTER 2 z/0 z/1|ZINTER 3 z/0 z/1 z/2 WITHSCORES
  ZINTER 2 z/0 none/1 WITHSCORES|ZINTER 2 s/0 z/1 AGGREGATE MIN WITHSCORES|ZDIFF 2 z/0 z/1|ZDIFF 3 z/0 z/1 z/2 WITHSCORES|ZDIFF 2 z/2 str/0
  ZINTERCARD 2 z/0 z/1|ZINTERCARD 3 z/0 z/1 z/2 LIMIT 1|ZINTERCARD 2 z/0 str/1|PFCOUNT hll/0 hll/1|PFCOUNT hll/0 hll/1 hll/2 none/0
  PFCOUNT hll/0 str/1|PFCOUNT none/0 none/1|LCS str/0 str/1|LCS str/0 str/1 LEN|LCS str/0 str/1 IDX WITHMATCHLEN|LCS str/0 none/1|LCS str/0 h/1|LCS str/0 str/1 X
  LCS str/0 mortal/1|XREAD STREAMS x/0 x/1 x/2 0 0 0|XREAD COUNT 1 STREAMS x/0 x/1 0 0|XREAD STREAMS x/0 x/1 1-1 3-1|XREAD STREAMS x/0 none/1 x/2 0 0 4
  XREAD STREAMS x/1 x/0 $ 0|XREAD STREAMS x/0 str/1 0 0|XREAD STREAMS x/0 x/1 0 bad|XREAD COUNT x STREAMS x/0 x/1 0 0`);

const SCRIPT_READS: readonly Words[] = [
  ['EVAL_RO', "return redis.call('SUNION', KEYS[1], KEYS[2])", '2', 's/0', 's/1'],
  [
    'EVAL_RO',
    "return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2]), ARGV[1]}",
    '2',
    'str/0',
    'mortal/1',
    '9',
  ],
  ['EVAL_RO', "return redis.call('SET', KEYS[1], 1)", '2', 'str/0', 'str/1'],
  ['EVAL_RO', 'return {1, false, {3}}', '2', 'str/0', 'none/1'],
  ['EVAL_RO', "redis.setresp(3) return redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')", '3', 'z/1', 'z/2', 'z/0'],
  ['EVALSHA_RO', '0123456789012345678901234567890123456789', '2', 'str/0', 'str/1'],
  ['FCALL_RO', 'both', '2', 'str/0', 'str/1'],
  ['FCALL_RO', 'nobody', '2', 'str/0', 'str/1'],
];

const WRITES: readonly Words[] =
  lines(`SINTERSTORE d/0 s/1 s/2|SINTERSTORE s/0 s/1 s/2|SINTERSTORE d/2 s/0 none/1|SINTERSTORE s/0 s/0 none/1|SINTERSTORE l/0 s/1 s/2
  SINTERSTORE d/0 s/1 str/2|SINTERSTORE s/0 s/1 str/2|SUNIONSTORE d/1 s/0 s/2 s/1|SUNIONSTORE d/1 none/0|SUNIONSTORE str/1 ints/0 lone/2|SDIFFSTORE d/2 s/0 s/1|SDIFFSTORE s/1 s/1 s/0
  ZUNIONSTORE d/0 2 z/1 z/2|ZUNIONSTORE z/0 3 z/0 z/1 s/2 WEIGHTS 1 2 3 AGGREGATE MIN|ZUNIONSTORE d/0 2 z/1 z/2 WEIGHTS x 1|ZUNIONSTORE d/0 2 z/1 str/2
  ZINTERSTORE d/1 2 z/0 z/2|ZINTERSTORE d/1 2 z/0 none/2|ZDIFFSTORE d/2 2 z/0 z/1|ZDIFFSTORE z/2 2 z/2 z/1
  ZRANGESTORE d/1 z/0 0 -1|ZRANGESTORE d/1 z/0 (1 +inf BYSCORE LIMIT 0 1|ZRANGESTORE z/1 none/0 0 -1|ZRANGESTORE d/1 z/0 x y|ZRANGESTORE d/1 str/0 0 -1
  PFMERGE hll/0 hll/1 hll/2|PFMERGE d/0 hll/1 none/2|PFMERGE hll/0 str/1|PFMERGE str/1 hll/0
  BITOP AND d/0 bits/1 bits/2|BITOP OR bits/0 bits/1 none/2|BITOP XOR d/2 bits/0 bits/1 bits/2|BITOP NOT d/1 bits/0|BITOP NOT d/1 bits/0 bits/2|BITOP AND d/0 none/1|BITOP AND d/0 l/1 bits/2|BITOP BAD d/0 bits/1
  COPY str/0 d/1|COPY str/0 str/1|COPY str/0 str/1 REPLACE|COPY none/0 str/1 REPLACE|COPY mortal/2 d/0|COPY mortal/1 d/2|COPY x/1 d/0|COPY z/0 l/1 REPLACE|COPY h/1 d/0|COPY hll/2 d/1|COPY str/0 d/1 BAD
  GEOSEARCHSTORE d/1 geo/0 FROMMEMBER Palermo BYRADIUS 200 km|GEOSEARCHSTORE d/1 geo/0 FROMLONLAT 15 37 BYBOX 400 400 km ASC COUNT 2 STOREDIST|GEOSEARCHSTORE z/1 geo/0 FROMMEMBER nobody BYRADIUS 1 m|GEOSEARCHSTORE z/1 none/0 FROMMEMBER a BYRADIUS 1 m
  GEORADIUS geo/0 15 37 200 km STORE d/1|GEORADIUS geo/0 15 37 200 km COUNT 1 ASC STOREDIST d/2|GEORADIUSBYMEMBER geo/0 Palermo 200 km STORE d/2|GEORADIUSBYMEMBER geo/0 Palermo 200 km STORE d/2 STOREDIST d/1
  GEORADIUS geo/0 15 37 200 km WITHDIST STORE d/1|SORT l/0 STORE d/1|SORT l/1 STORE d/0|SORT l/1 ALPHA DESC LIMIT 0 1 STORE d/0|SORT none/1 STORE l/0|SORT str/1 STORE l/0|SORT s/1 ALPHA BY nosort STORE d/2`);

const KINDS: Record<string, readonly Words[]> = { reads: READS, 'reads by scripts': SCRIPT_READS };

function lines(text: string): Words[] {
  return text.split(/[|\n]/).map((line) => line.trim().split(' '));
}

class Twins {
  readonly deployment: Deployment;
  readonly proxied: RespClient;
  readonly single: RespClient;

  constructor(deployment: Deployment, proxied: RespClient, single: RespClient) {
    this.deployment = deployment;
    this.proxied = proxied;
    this.single = single;
  }

  async both(...words: string[]): Promise<[Buffer, Buffer]> {
    return Promise.all([this.proxied.raw(...words), this.single.raw(...words)]);
  }

  /** The command with its keys in place of `name/node`. */
  words(words: Words): string[] {
    return words.map((word) => {
      const [, label, node] = /^([a-z]+)\/(\d)$/.exec(word) ?? [];
      return label === undefined ? word : this.deployment.key(Number(node), label);
    });
  }

  async seed(): Promise<void> {
    await this.both('FLUSHALL');
    for (const words of SEED) {
      const [reply, expected] = await this.both(...this.words(words));
      if (!reply.equals(expected)) throw new Error(`${words.join(' ')}: ${reply} instead of ${expected}`);
    }
  }
}

async function twins(t: Test, protocol: '2' | '3', database = '0'): Promise<Twins> {
  const deployment = await deploy(t);
  const server = await RedisServer.start();
  t.teardown(() => server.stop());
  const twins = new Twins(deployment, await connect(t, deployment.port), await connect(t, server.port));
  await twins.both('HELLO', protocol);
  await twins.both('SELECT', database);
  const library =
    "#!lua name=lib\nredis.register_function{function_name='both', callback=function(keys) return redis.call('MGET', keys[1], keys[2]) end, flags={'no-writes'}}";
  await twins.both('FUNCTION', 'LOAD', library);
  await twins.seed();
  return twins;
}

/** Of a set's elements the order is chance. */
const UNORDERED = /^(SINTER|SUNION|SDIFF|EVAL_RO)$/;

function comparable(words: Words, reply: Buffer): string {
  if (!UNORDERED.test(words[0] as string)) return reply.toString('latin1');
  return `${reply.subarray(0, reply.indexOf('\n')).toString('latin1')} ${sorted(parseReply(reply)?.value as Value)}`;
}

function sorted(value: Value): string {
  const elements = value instanceof Set ? [...value] : value;
  return Array.isArray(elements) ? JSON.stringify(elements.map(String).sort()) : String(elements);
}

for (const protocol of ['2', '3'] as const) {
  t.test(`what reads keys of several shards is answered as by one Redis, in RESP${protocol}`, async (t) => {
    const database = protocol === '2' ? '0' : '5';
    const both = await twins(t, protocol, database);
    for (const [kind, commands] of Object.entries(KINDS)) {
      for (const words of commands) {
        const [reply, expected] = await both.both(...both.words(words));
        t.equal(comparable(words, reply), comparable(words, expected), `${kind}: ${words.join(' ')}`);
      }
    }
    t.same(await misplacedKeys(both.deployment, database), []);
  });
}

t.test(
  'what writes one key of what it reads on several shards writes what one Redis would, and answers so',
  async (t) => {
    const both = await twins(t, '2');
    const names = ['d', 's', 'ints', 'z', 'l', 'str', 'mortal', 'hll', 'bits', 'h', 'x', 'geo', 'none'];
    const keys = names.flatMap((name) => [0, 1, 2].map((node) => both.deployment.key(node, name)));
    for (const [at, words] of WRITES.entries()) {
      await both.seed();
      await both.both('HELLO', at % 2 === 0 ? '2' : '3');
      const [reply, expected] = await both.both(...both.words(words));
      await both.both('HELLO', '2');
      t.equal(reply.toString('latin1'), expected.toString('latin1'), words.join(' '));
      for (const key of keys)
        t.same(await stateOf(both.proxied, key), await stateOf(both.single, key), `${words.join(' ')}: ${key}`);
    }
    t.same(await misplacedKeys(both.deployment), []);
  },
);

t.test('SORT by patterns sorts by keys of all shards, as one Redis does', async (t) => {
  const both = await twins(t, '2');
  const elements = ['1', '2', '3', '10', 'x', 'y*', '', 'a->b', '\x00\xff', 'nobody'];
  await both.both('RPUSH', 'list', ...elements, '2');
  await both.both('SADD', 'set', ...elements.filter((element) => !element.includes('\x00')));
  await both.both('SADD', 'ints', '3', '1', '2');
  await both.both('ZADD', 'zset', '3', '1', '1', '2', '2', 'x');
  for (const [at, element] of elements.slice(0, -1).entries()) {
    await both.both('SET', `w_${element}`, String((at * 7) % 5));
    await both.both('SET', `${element}_tail`, element);
    await both.both('HSET', `h_${element}`, 'field', String(10 - at), '', 'empty', 'w->x', 'arrow');
    await both.both('HSET', `h_${element}->`, 'field', 'never');
    await both.both('SET', `s_${element}_e`, `value of ${element}`, 'EX', '1000');
  }
  await both.both('SET', 'text_1', 'abc');
  await both.both('RPUSH', 'w2_1', 'a list');
  const orders = [
    '',
    'DESC',
    'ALPHA',
    'ALPHA DESC',
    'LIMIT 1 3',
    'LIMIT 0 0',
    'LIMIT 8 -1',
    'LIMIT x 1',
    'BAD',
    'DESC LIMIT 2 3',
    'LIMIT -2 4',
    'ASC LIMIT 3 -7',
    'LIMIT 20 2',
    'LIMIT 2 1 DESC LIMIT 0 2 LIMIT 1 99',
  ];
  const patterns = [
    ...[
      'BY w_*',
      'BY h_*->field',
      'BY h_*->none',
      'BY *_tail',
      'BY text_*',
      'BY w2_*',
      'BY nosort',
      'BY w_* GET #',
      'BY none_*',
    ],
    ...[
      'GET w_*',
      'GET s_*_e GET # GET h_*->field',
      'BY w_* GET s_*_e',
      'BY nosort GET w_*',
      'GET h_*->',
      'GET h_*->w->x',
      'GET plain',
      'GET #*',
    ],
    ...[
      'GET w_* GET w_*',
      'BY h_*->field GET h_*->field',
      'BY w_* BY nosort',
      'GET h_*',
      'GET **',
      'BY w_\x00*',
      'GET s_*_\x00->x',
    ],
  ];
  for (const key of ['list', 'set', 'zset', 'ints', 'none', 'w_1']) {
    for (const pattern of patterns) {
      for (const order of orders) {
        for (const store of ['', 'STORE dest', `STORE ${both.deployment.key(2)}`]) {
          const words = ['SORT', key, pattern, order, store]
            .filter((part) => part !== '')
            .flatMap((part) => part.split(' '));
          if (store === '' && order === 'DESC') words[0] = 'SORT_RO';
          // What is equal as text, or is not sorted, comes in the order of a hash table.
          const isChance = /BY.*ALPHA|nosort/.test(words.join(' ')) || pattern.includes('\x00');
          if (/set/.test(key) && isChance && !(key === 'zset' && /nosort/.test(pattern))) continue;
          const [reply, expected] = await both.both(...words);
          if (!reply.equals(expected)) t.equal(reply.toString('latin1'), expected.toString('latin1'), words.join(' '));
          if (store === '') continue;
          const target = words.at(-1) as string;
          t.same(await stateOf(both.proxied, target), await stateOf(both.single, target), words.join(' '));
          await both.both('DEL', target);
        }
      }
    }
  }
  t.same(await misplacedKeys(both.deployment), []);
});

/** Without what the clock has to do with. */
async function stateOf(client: RespClient, key: string): Promise<unknown> {
  const { type, content, expireAt } = await digestOf(client, key);
  const said = content.replaceAll(/"\d{13}"|\b1[6-9]\d{11}\b/g, 'now');
  return { type, content: said, expireAt: Math.round(expireAt / 10_000) };
}
