/** What clients of one Redis ask of a lock, asked of a majority of nodes: byte for byte what one Redis says, or refused. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { deployLocks } from '../help/lock-deployment.js';
import { connect, type RespClient } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

const ACQUIRE = `if redis.call('exists', KEYS[1]) == 1 then return 0 end
redis.call('set', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1`;
const RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end";
const SHOW =
  "return {redis.call('get', KEYS[1]), redis.call('exists', KEYS[1]), 'x', {1, false, {redis.status_reply('ok')}}}";

/** One after the other: what a plain Redis answers the proxy is to answer, too. */
const ALIKE: readonly (readonly string[])[] = [
  ['GET', 'lock:a'],
  ['PTTL', 'lock:a'],
  ['TTL', 'lock:a'],
  ['EXISTS', 'lock:a', 'lock:b', 'lock:a'],
  ['SET', 'lock:a', 'token', 'NX', 'PX', '9000'],
  ['SET', 'lock:a', 'token', 'NX', 'PX', '9000'],
  ['set', 'lock:b', 'other', 'ex', '9', 'nx'],
  ['GET', 'lock:a'],
  ['TTL', 'lock:a'],
  ['EXISTS', 'lock:a', 'lock:b', 'lock:a'],
  ['PEXPIRE', 'lock:a', '5000'],
  ['EXPIRE', 'lock:a', '3', 'GT'],
  ['EXPIRE', 'lock:a', '3', 'LT'],
  ['EXPIRE', 'lock:a', '3', 'LT', 'GT'],
  ['TTL', 'lock:a'],
  ['EVAL', SHOW, '1', 'lock:a'],
  ['EVAL', SHOW, '1', 'lock:none'],
  ['EVAL', RELEASE, '1', 'lock:a', 'wrong'],
  ['EVAL', RELEASE, '1', 'lock:a', 'token'],
  ['EVAL', ACQUIRE, '1', 'lock:a', 'mine', '5000'],
  ['EVAL', ACQUIRE, '1', 'lock:a', 'mine', '5000'],
  ['GET', 'lock:a'],
  ['EVALSHA', 'f'.repeat(40), '1', 'lock:a'],
  ['EVAL', 'return nonsense(', '1', 'lock:a'],
  ['EVAL', "return redis.call('lpush', KEYS[1], 'x')", '1', 'lock:a'],
  ['EVAL', "return redis.error_reply('MINE is this')", '1', 'lock:a'],
  ['EVAL', 'return 1', '2', 'lock:a'],
  ['PEXPIRE', 'lock:a', 'soon'],
  ['PEXPIRE', 'lock:a', '-1'],
  ['EXISTS', 'lock:a'],
  ['UNLINK', 'lock:a', 'lock:b'],
  ['DEL', 'lock:a', 'lock:b'],
  ['SET', 'lock:a', 'token', 'NX', 'PX', '0'],
  ['SET', 'lock:a', 'token', 'NX', 'PX', 'x'],
  ['SET', 'lock:a', 'token', 'NX', 'PX'],
  ['SET', 'lock:a', 'token', 'NX', 'PX', '9', 'EX', '9'],
  ['SET', 'lock:a', 'token', 'NX', 'so'],
  ['GET', 'lock:a', 'lock:b'],
  ['SET', 'lock:a'],
];

const REFUSED: readonly (readonly [RegExp, ...string[]])[] = [
  [/^-ERR SET of a lock needs NX/, 'SET', 'lock:a', 'x'],
  [/^-ERR SET of a lock needs NX/, 'SET', 'lock:a', 'x', 'PX', '100'],
  [/^-ERR SET of a lock needs PX or EX/, 'SET', 'lock:a', 'x', 'NX'],
  [/^-ERR SET of a lock is SET key/, 'SET', 'lock:a', 'x', 'XX', 'PX', '100'],
  [/^-ERR SET of a lock is SET key/, 'SET', 'lock:a', 'x', 'NX', 'PXAT', '100'],
  [/^-ERR SET of a lock for 10001 ms: its keyspace has ttlMaxMs 10000/, 'SET', 'lock:a', 'x', 'NX', 'PX', '10001'],
  [/^-ERR SET of a lock for 11000 ms: its keyspace has ttlMaxMs 10000/, 'SET', 'lock:a', 'x', 'NX', 'EX', '11'],
  [/^-ERR PEXPIRE of a lock for 10001 ms/, 'PEXPIRE', 'lock:a', '10001'],
  [/^-ERR EXPIRE of a lock for that/, 'EXPIRE', 'lock:a', '9223372036854775807'],
  [/^-ERR SETNX is not for locks: a key with mode lock knows SET/, 'SETNX', 'lock:a', 'x'],
  [/^-ERR SETEX is not for locks/, 'SETEX', 'lock:a', '1', 'x'],
  [/^-ERR PERSIST is not for locks/, 'PERSIST', 'lock:a'],
  [/^-ERR PEXPIREAT is not for locks/, 'PEXPIREAT', 'lock:a', '1'],
  [/^-ERR MGET is not for locks/, 'MGET', 'lock:a', 'lock:b'],
  [/^-ERR INCR is not for locks/, 'INCR', 'lock:a'],
  [/^-ERR HSET is not for locks/, 'HSET', 'lock:a', 'f', 'v'],
  [/^-ERR OBJECT ENCODING is not for locks/, 'OBJECT', 'ENCODING', 'lock:a'],
  [/^-ERR BLPOP is not for locks/, 'BLPOP', 'lock:a', '1'],
  [/^-ERR EVAL_RO is not for locks/, 'EVAL_RO', 'return 1', '1', 'lock:a'],
  [/^-ERR WATCH is not for locks/, 'WATCH', 'lock:a'],
  [/^-CROSSSLOT Some of the keys are locks/, 'DEL', 'lock:a', 'plain'],
  [/^-CROSSSLOT Some of the keys are locks/, 'EVAL', 'return 1', '2', 'plain', 'lock:a'],
  [/^-ERR the key '~rl:node' is the proxy's own/, 'GET', '~rl:node'],
  [/^-ERR FLUSHALL is refused: some keys of this service are locks/, 'FLUSHALL'],
  [/^-ERR FLUSHDB is refused: some keys of this service are locks/, 'FLUSHDB'],
  [/^-ERR SWAPDB is refused: some keys of this service/, 'SWAPDB', '0', '1'],
  [
    /^-ERR CONFIG SET maxmemory-policy is refused: the locks of this service/,
    'CONFIG',
    'SET',
    'maxmemory-policy',
    'allkeys-lru',
  ],
  [/^-ERR a command on locks may have 65536 bytes/, 'SET', 'lock:a', 'x'.repeat(70_000), 'NX', 'PX', '100'],
];

t.test('drop-in commands', async (t) => {
  const { servers, plain, proxies } = await deployLocks(t, { nodes: 3, ttlMaxMs: 10_000 });
  for (const [name, proxy] of [
    ['auto', proxies[0]],
    ['node', proxies[1]],
  ] as const) {
    for (const protocol of ['2', '3']) {
      t.test(`as one Redis, on ${name}, in RESP${protocol}`, async (t) => {
        const [client, redis] = await Promise.all([connect(t, proxy.port), connect(t, plain.port)]);
        for (const one of [client, redis]) await one.command('HELLO', protocol);
        for (const words of ALIKE) {
          const [own, expected] = [await client.raw(...words), await redis.raw(...words)];
          t.equal(own.toString('latin1'), expected.toString('latin1'), words.join(' '));
        }
      });
    }
  }

  t.test('what could take a lock from its holder, or leave it for good, is refused', async (t) => {
    const client = await connect(t, proxies[0].port);
    for (const [expected, ...words] of REFUSED)
      t.match((await client.raw(...words)).toString(), expected, words.join(' ').slice(0, 80));
    t.equal((await client.raw('SELECT', '1')).toString(), '+OK\r\n');
    t.match((await client.raw('GET', 'lock:a')).toString(), /^-ERR locks are in database 0 only/);
    await client.command('SELECT', '0');
    await client.command('MULTI');
    t.match(
      (await client.raw('SET', 'lock:a', 'x', 'NX', 'PX', '100')).toString(),
      /^-ERR SET inside MULTI is not for locks/,
    );
    t.match((await client.raw('EXEC')).toString(), /^-EXECABORT/);
    t.equal(await client.command('EXISTS', 'lock:a'), 0, 'nothing of all that had an effect');
  });

  t.test('walks over all keys leave locks out, and see the others', async (t) => {
    const client = await connect(t, proxies[0].port);
    await client.command('SET', 'seen', '1');
    t.equal(await client.command('SET', 'lock:unseen', 'x', 'NX', 'PX', '9000'), 'OK');
    t.same(await client.command('KEYS', '*'), ['seen']);
    t.equal(await client.command('DBSIZE'), 1);
    t.equal(await client.command('RANDOMKEY'), 'seen');
    const [cursor, keys] = (await client.command('SCAN', '0', 'COUNT', '100')) as [string, string[]];
    const [, rest] = cursor === '0' ? ['0', []] : ((await client.command('SCAN', cursor)) as [string, string[]]);
    t.same([...keys, ...rest], ['seen']);
    await client.command('DEL', 'lock:unseen');
  });

  t.test('a lock is on every node, and one that was not had is on none', async (t) => {
    const [one, other] = await Promise.all(proxies.map(({ port }) => connect(t, port)));
    const nodes = await Promise.all(servers.map(({ port }) => connect(t, port)));
    const found = () => Promise.all(nodes.map((node) => node.command('GET', 'lock:x')));
    t.equal(await one?.command('SET', 'lock:x', 'one', 'NX', 'PX', '9000'), 'OK');
    await waitFor('the lock on every node', async () => (await found()).join() === 'one,one,one');
    t.equal(await other?.command('SET', 'lock:x', 'other', 'NX', 'PX', '9000'), null);
    // Two of three are somebody else's: what is had of the third is given back.
    for (const node of nodes.slice(0, 2)) await node.command('SET', 'lock:y', 'foreign', 'PX', '9000');
    t.equal(await one?.command('SET', 'lock:y', 'mine', 'NX', 'PX', '9000'), null);
    t.equal(await one?.command('EVAL', ACQUIRE, '1', 'lock:y', 'mine', '9000'), 0);
    await waitFor('it is taken back', async () => (await nodes[2]?.command('GET', 'lock:y')) === null);
    t.equal(await one?.command('GET', 'lock:y'), 'foreign');
    // All three are of different holders.
    for (const [index, node] of nodes.entries()) await node.command('SET', 'lock:z', `${index}`, 'PX', '9000');
    t.match(
      (await one?.raw('GET', 'lock:z'))?.toString(),
      /^-NOQUORUM the nodes of the lock do not agree; the command had no effect/,
    );
    t.match((await one?.raw('TTL', 'lock:z'))?.toString(), /^-NOQUORUM/);
    t.equal(await one?.command('SET', 'lock:z', 'mine', 'NX', 'PX', '9000'), null);
    t.equal((await one?.raw('DEL', 'lock:z'))?.toString(), ':1\r\n');
    await waitFor('no lock:z', async () => (await nodes[2]?.command('GET', 'lock:z')) === null);
    await nodes[0]?.command('SET', 'lock:z', 'half', 'PX', '9000');
    const reply = await one?.raw('DEL', 'lock:z', 'lock:y');
    t.match(reply?.toString(), /^-UNKNOWN the nodes of the lock do not agree; some may have carried out the command/);
    t.equal(await one?.command('DEL', 'lock:x'), 1);
  });

  t.test('scripts that tell how long a lock is held say it as a majority does', async (t) => {
    const client = await connect(t, proxies[0].port);
    await client.command('SET', 'lock:time', 'x', 'NX', 'PX', '9000');
    for (const [number, server] of servers.entries()) {
      const node = await connect(t, server.port);
      await node.command('PEXPIRE', 'lock:time', `${5000 + 1000 * number}`);
    }
    const left = "return {redis.call('get', KEYS[1]), redis.call('pttl', KEYS[1])}";
    const found = [
      (await client.command('PTTL', 'lock:time')) as number,
      ((await client.command('EVAL', left, '1', 'lock:time')) as [string, number])[1],
      1000 * ((await client.command('TTL', 'lock:time')) as number),
    ];
    for (const ms of found)
      t.ok((ms > 4000 && ms <= 5000) || (ms > 5000 && ms <= 6000), `${ms}: two nodes hold it for so long`);
    await client.command('DEL', 'lock:time');
  });

  t.test('nodes without memory take no lock, and give those that they have back', async (t) => {
    const client = await connect(t, proxies[1].port);
    const redis = await connect(t, plain.port);
    for (const one of [client, redis]) t.equal(await one.command('SET', 'lock:full', 'x', 'NX', 'PX', '9000'), 'OK');
    const nodes = await Promise.all([plain, ...servers].map(({ port }) => connect(t, port)));
    for (const node of nodes) await node.command('CONFIG', 'SET', 'maxmemory', '1');
    const words: string[][] = [
      ['SET', 'lock:fuller', 'x', 'NX', 'PX', '9000'],
      ['EVAL', ACQUIRE, '1', 'lock:fuller', 'x', '9000'],
      ['GET', 'lock:full'],
      ['PEXPIRE', 'lock:full', '5000'],
      ['EVAL', RELEASE, '1', 'lock:full', 'x'],
      ['DEL', 'lock:full'],
    ];
    for (const command of words) {
      t.equal(`${await client.raw(...command)}`, `${await redis.raw(...command)}`, command.join(' ').slice(0, 60));
    }
    for (const node of nodes) await node.command('CONFIG', 'SET', 'maxmemory', '0');
  });

  t.test(
    'what a node writes when the client was told no already is taken back, unless the client has asked again',
    async (t) => {
      const client = await connect(t, proxies[0].port);
      const nodes = await Promise.all(servers.map(({ port }) => connect(t, port)));
      const [first, second, slow] = nodes as [RespClient, RespClient, RespClient];
      for (const [name, times] of [
        ['lock:once', 1],
        ['lock:again', 2],
      ] as const) {
        // It is known not to be quarantined.
        await client.command('EVAL', 'return 1', '1', name);
        for (const node of [first, second]) await node.command('SET', name, 'foreign', 'PX', '9000');
        servers[2]?.pause();
        for (let time = 0; time < times; time++)
          t.equal(await client.command('EVAL', ACQUIRE, '1', name, 'mine', '9000'), 0);
        servers[2]?.resume();
        // Its answer comes behind those to what it was asked before.
        t.equal(await client.command('EVAL', RELEASE, '1', 'lock:other', 'x'), 0);
        await waitFor('the node to have answered', async () => {
          const ms = (await client.command('PTTL', 'lock:other')) as number;
          return ms === -2;
        });
        if (times === 1) await waitFor('it is taken back', async () => (await slow.command('GET', name)) === null);
        else t.equal(await slow.command('GET', name), 'mine', 'it may be what the client was given meanwhile');
        t.ok(((await first.command('PTTL', name)) as number) > 4_000, 'its time is not over');
        await client.command('EVAL', RELEASE, '1', name, 'mine');
        await waitFor('the client gives it back', async () => (await slow.command('GET', name)) === null);
      }
    },
  );

  t.test('a script that some nodes have lost is carried out once by each', async (t) => {
    const client = await connect(t, proxies[0].port);
    const nodes = await Promise.all(servers.map(({ port }) => connect(t, port)));
    const sha = createHash('sha1').update(RELEASE).digest('hex');
    t.equal(await client.command('EVAL', RELEASE, '1', 'lock:lost', 'mine'), 0, 'the proxy has seen it');
    // Somebody else has it at the last node, as what an attempt has left there.
    await nodes[2]?.command('SET', 'lock:lost', 'other', 'PX', '10000');
    t.equal(await client.command('SET', 'lock:lost', 'mine', 'NX', 'PX', '9000'), 'OK');
    for (const node of nodes.slice(1)) t.equal(await node.command('SCRIPT', 'FLUSH'), 'OK');
    t.equal(await client.command('EVALSHA', sha, '1', 'lock:lost', 'mine'), 1);
    t.same(await Promise.all(nodes.map((node) => node.command('GET', 'lock:lost'))), [null, null, 'other']);
    await nodes[2]?.command('DEL', 'lock:lost');
  });

  t.test('a script whose text the proxy does not know is carried out by all nodes, or by none', async (t) => {
    const client = await connect(t, proxies[0].port);
    const nodes = await Promise.all(servers.map(({ port }) => connect(t, port)));
    // Through another proxy, or before this one was started.
    const script = `${RELEASE} -- shown to nodes alone`;
    const sha = createHash('sha1').update(script).digest('hex');
    t.equal(await client.command('SET', 'lock:unknown', 'mine', 'NX', 'PX', '9000'), 'OK');
    await nodes[2]?.command('SET', 'lock:unknown', 'other', 'PX', '10000');
    for (const [count, node] of nodes.entries()) {
      const refused = await client.raw('EVALSHA', sha, '1', 'lock:unknown', 'mine');
      t.match(`${refused}`, /^-NOSCRIPT /, `${count} of three nodes have it`);
      t.equal(await client.command('GET', 'lock:unknown'), 'mine', 'it has had no effect');
      await node.command('SCRIPT', 'LOAD', script);
    }
    const [released, behind] = await Promise.all([
      client.command('EVALSHA', sha.toUpperCase(), '1', 'lock:unknown', 'mine'),
      client.command('SET', 'lock:unknown', 'next', 'NX', 'PX', '9000'),
    ]);
    t.same([released, behind], [1, 'OK'], 'what is sent behind it comes after it');
    t.same(await Promise.all(nodes.map((node) => node.command('GET', 'lock:unknown'))), ['next', 'next', 'other']);
    for (const node of nodes) await node.command('DEL', 'lock:unknown');
  });

  t.test('what a script leaves too long is cut off, and the client hears of it', async (t) => {
    const client = await connect(t, proxies[0].port);
    const nodes = await Promise.all(servers.map(({ port }) => connect(t, port)));
    const long = "return redis.call('set', KEYS[1], 'x', 'PX', 10001)";
    t.match(
      (await client.raw('EVAL', long, '1', 'lock:long')).toString(),
      /^-ERR a script set a lock to expire later than ttlMaxMs 10000, or never/,
    );
    await waitFor('it is gone', async () => {
      return (await Promise.all(nodes.map((node) => node.command('EXISTS', 'lock:long')))).join() === '0,0,0';
    });
    t.equal(await client.command('SET', 'lock:long', 'x', 'NX', 'PX', '1000'), 'OK');
    t.match(
      (await client.raw('EVAL', "return redis.call('persist', KEYS[1])", '1', 'lock:long')).toString(),
      /^-ERR a script set a lock/,
    );
    const left = (await client.command('PTTL', 'lock:long')) as number;
    t.ok(left > 1000 && left <= 10_000, `${left}`);
    await client.command('DEL', 'lock:long');
  });
});
