/** MULTI, EXEC and WATCH on a replicated key, by real proxies over real servers: as on one Redis, and where it has to be otherwise. */
import t from 'tap';
import { connectAll, deathsOf, deployReplicated } from '../help/replicated-deployment.js';
import { connect, encodeWords, RespClient, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

t.setTimeout(120_000);

const BYTES_MAX = 20_000;
const place = await deployReplicated(t, { limits: { sessionTransactionBytesMax: BYTES_MAX } });

/** Each line by one client; what is behind `<` by another one, while the first is between the commands. */
const SCRIPTS: readonly (readonly string[])[] = [
  ['MULTI', 'SET k 1', 'INCR k', 'GET k', 'EXPIRE k 1000', 'EXEC', 'GET k', 'MULTI', 'GET k', 'TYPE k', 'EXEC'],
  ['MULTI', 'EXEC', 'EXEC', 'DISCARD', 'MULTI', 'MULTI', 'SET k 1', 'DISCARD', 'GET k', 'EXEC'],
  ['MULTI', 'SET k', 'SET k 2', 'EXEC', 'GET k', 'MULTI', 'NOSUCH k', 'EXEC', 'MULTI', 'INCR k', 'EXEC x', 'EXEC'],
  ['MULTI', 'SET k a', 'INCR k', 'LPUSH k x', 'APPEND k b', 'EXEC', 'GET k', 'MULTI', 'LPOP k', 'EXEC'],
  [
    'MULTI',
    'RPUSH k a b c',
    'LPOP k',
    'LRANGE k 0 -1',
    'DEL k',
    'EXISTS k',
    'SADD k 1',
    'SMEMBERS k',
    'EXEC',
    'TYPE k',
  ],
  ['HSET k f 1', 'MULTI', 'HGETALL k', 'HINCRBYFLOAT k f 0.5', 'HRANDFIELD k', 'HGET k f', 'EXEC', 'HGETALL k'],
  [
    'ZADD k 1 a 2 b',
    'MULTI',
    'ZPOPMIN k',
    'ZSCORE k b',
    'ZRANGE k 0 -1 WITHSCORES',
    'ZPOPMIN k',
    'ZPOPMIN k',
    'EXEC',
    'TYPE k',
  ],
  [
    'MULTI',
    'XADD k 1-1 f v',
    'XGROUP CREATE k g 0',
    'XREADGROUP GROUP g c STREAMS k >',
    'XACK k g 1-1',
    'XLEN k',
    'EXEC',
  ],
  ['MULTI', 'EVAL return(redis.call("incr",KEYS[1])) 1 k', 'GET k', 'EXEC', 'MULTI', 'SPOP k', 'EXEC', 'GET k'],
  ['MULTI', 'BLPOP k 0', 'BRPOP k 1', 'RPUSH k a', 'BLPOP k 0', 'BLPOP k x', 'BZPOPMIN k -1', 'EXEC', 'EXISTS k'],
  ['MULTI', 'XREAD BLOCK 0 STREAMS k $', 'XREAD BLOCK x STREAMS k 0', 'BLMOVE k k LEFT RIGHT 0', 'EXEC'],
  [
    'MULTI',
    'BLPOP k nan',
    'EXEC',
    'MULTI',
    'MGET k',
    'MSET k 1',
    'DEL k',
    'UNLINK k',
    'EXEC',
    'MULTI',
    'MGET k k',
    'EXEC',
  ],
  // The key as it was.
  [
    'WATCH k',
    'MULTI',
    'SET k 1',
    'EXEC',
    'GET k',
    'WATCH k',
    'GET k',
    'MULTI',
    'GET k',
    'EXEC',
    'WATCH k',
    'MULTI',
    'EXEC',
  ],
  // Another client's change: of a key, of none, and away with it.
  ['SET k 1', 'WATCH k < SET k 2', 'MULTI', 'SET k mine', 'EXEC', 'GET k', 'MULTI', 'SET k mine', 'EXEC', 'GET k'],
  [
    'WATCH k < SET k 2',
    'MULTI',
    'SET k mine',
    'EXEC',
    'GET k',
    'WATCH k < DEL k',
    'MULTI',
    'SET k mine',
    'EXEC',
    'GET k',
  ],
  ['SET k 1', 'WATCH k', 'WATCH k < EXPIRE k 1000', 'MULTI', 'INCR k', 'EXEC', 'TTL none', 'GET k'],
  ['SET k 1', 'WATCH k', 'SET k 2', 'MULTI', 'INCR k', 'EXEC', 'GET k', 'WATCH k', 'MULTI', 'GET k < INCR k', 'EXEC'],
  // Taken back.
  [
    'WATCH k < SET k 2',
    'UNWATCH',
    'MULTI',
    'SET k mine',
    'EXEC',
    'GET k',
    'WATCH k < SET k 3',
    'MULTI',
    'DISCARD',
    'MULTI',
    'INCR k',
    'EXEC',
  ],
  ['WATCH k', 'MULTI', 'WATCH k', 'DISCARD', 'WATCH k < SET k 5', 'MULTI', 'EXEC', 'UNWATCH', 'GET k'],
  ['SET k 1', 'WATCH k < SET k 2', 'MULTI', 'SET k', 'EXEC', 'MULTI', 'SET k 3', 'EXEC', 'GET k'],
  ['WATCH k < INCR k', 'RESET', 'MULTI', 'INCR k', 'EXEC', 'MULTI', 'INCR k', 'RESET', 'GET k'],
  [
    'SELECT 0',
    'MULTI',
    'GETEX k PERSIST',
    'SORT k',
    'BITFIELD k SET u8 0 7 GET u8 0',
    'COPY k k',
    'RENAME k k',
    'EXEC',
  ],
];

/** Carries out a line of the scripts. In what the first client is answered, its number in HELLO is left out. */
async function carryOut(line: string, first: RespClient, second: RespClient): Promise<string> {
  const [words = [], others] = line.split(' < ').map((part) => part.split(' '));
  const reply = await say(first, ...words);
  if (others !== undefined) await second.raw(...others);
  return reply;
}

for (const protocol of ['2', '3']) {
  t.test(`in RESP${protocol}, as one Redis`, async (t) => {
    const through = [await connect(t, place.proxies[0].port), await connect(t, place.proxies[1].port)] as const;
    const direct = [await connect(t, place.plain.port), await connect(t, place.plain.port)] as const;
    for (const script of SCRIPTS) {
      for (const client of [through[0], direct[0]]) await client.raw('DEL', 'k');
      for (const client of [through[0], direct[0]]) await client.raw('HELLO', protocol);
      for (const line of script) {
        const [own, theirs] = [await carryOut(line, ...through), await carryOut(line, ...direct)];
        if (own !== theirs) t.equal(own, theirs, `${line}, of ${script.join(', ')}`);
      }
    }
    t.pass(`${SCRIPTS.length} scripts`);
  });

  t.test(`in RESP${protocol}, all of them in one write`, async (t) => {
    const [through, direct] = [await connect(t, place.proxies[0].port), await connect(t, place.plain.port)];
    for (const client of [through, direct]) await client.raw('HELLO', protocol);
    const lines = SCRIPTS.flatMap((script) => [
      'DEL k',
      `HELLO ${protocol}`,
      ...script.map((line) => line.replace(/ < .*/, '')),
    ]);
    const frames = Buffer.concat(lines.map((line) => encodeWords(line.split(' '))));
    for (const client of [through, direct]) client.send(frames);
    for (const line of lines) {
      const [own, theirs] = [await through.next(), await direct.next()];
      if (!line.startsWith('HELLO') && !own.equals(theirs)) t.equal(`${own}`, `${theirs}`, line);
    }
    t.pass(`${lines.length} commands`);
  });
}

t.test(
  'what a transaction on a replicated key cannot have is refused when it comes, and EXEC has no effect',
  async (t) => {
    const [client, other] = (await connectAll(t, place.proxies[0], 2)) as [RespClient, RespClient];
    const transactions: readonly (readonly [readonly string[], RegExp])[] = [
      [['SET k 9', 'SET other 9'], /^-CROSSSLOT A transaction on a replicated key is on that key alone/],
      [['SET k 9', 'SET plain:k 9'], /^-CROSSSLOT A transaction/],
      [['SET plain:k 9', 'SET k 9'], /^-CROSSSLOT A transaction/],
      [['SET k 9', 'PING'], /^-CROSSSLOT A transaction/],
      [['PING', 'SET k 9'], /^-CROSSSLOT A transaction/],
      [['SET k 9', 'CLIENT SETNAME nobody'], /^-CROSSSLOT A transaction/],
      [['SET k 9', 'EVAL return(1) 0'], /^-ERR a script without keys/],
      [['SET k 9', 'UNWATCH'], /^-CROSSSLOT A transaction/],
      [['SET k 9', 'PUBLISH a b'], /^-CROSSSLOT A transaction/],
      [['SET k 9', 'MGET k other'], /^-CROSSSLOT/],
      [['SET k 9', 'BLPOP k other 0'], /^-CROSSSLOT/],
      [['SET k 9', 'GET ~rl:m:k'], /^-/],
      [['SET k 9', 'FLUSHALL'], /^-/],
      [['SET k 9', 'SELECT 1'], /^-/],
      [['SET k 9', 'COPY k k DB 1'], /^-ERR replicated keyspaces exist in database 0 only/],
    ];
    await client.command('SET', 'k', '1');
    for (const [lines, reason] of transactions) {
      const what = lines.join(', ');
      t.equal(await say(client, 'MULTI'), '+OK\r\n');
      for (const line of lines.slice(0, -1)) t.equal(await say(client, ...line.split(' ')), '+QUEUED\r\n', what);
      t.match(await say(client, ...(lines.at(-1) as string).split(' ')), reason, what);
      t.match(await say(client, 'EXEC'), /^-EXECABORT/, what);
      t.equal(await say(other, 'GET', 'k'), '$1\r\n1\r\n', what);
    }
    t.equal(await say(other, 'EXISTS', 'plain:k'), ':0\r\n');
    t.equal(await say(client, 'CLIENT', 'GETNAME'), '$-1\r\n');

    t.equal(await say(client, 'WATCH', 'k'), '+OK\r\n');
    for (const key of ['other', 'plain:k']) t.match(await say(client, 'WATCH', key), /^-CROSSSLOT A transaction/, key);
    t.equal(await say(client, 'MULTI'), '+OK\r\n');
    t.match(await say(client, 'SET', 'other', '1'), /^-CROSSSLOT A transaction/);
    t.match(await say(client, 'EXEC'), /^-EXECABORT/);
    t.equal(await say(client, 'WATCH', 'plain:k'), '+OK\r\n');
    t.match(await say(client, 'WATCH', 'k'), /^-CROSSSLOT/);
    t.equal(await say(client, 'MULTI'), '+OK\r\n');
    t.match(await say(client, 'SET', 'k', '3'), /^-CROSSSLOT/);
    t.equal(await say(client, 'DISCARD'), '+OK\r\n');
    t.equal(await say(client, 'UNWATCH'), '+OK\r\n');
    t.equal(await say(client, 'SET', 'k', '3'), '+OK\r\n', 'nothing of it stays');
  },
);

t.test('a watched key that expires has changed', async (t) => {
  const [client, other] = (await connectAll(t, place.proxies[0], 2)) as [RespClient, RespClient];
  await client.command('SET', 'w', '1', 'PX', '50');
  t.equal(await client.command('WATCH', 'w'), 'OK');
  await waitFor('its end', async () => (await other.command('EXISTS', 'w')) === 0);
  await client.command('MULTI');
  await client.command('SET', 'w', '2');
  t.equal(await say(client, 'EXEC'), '*-1\r\n');
  // Nobody has looked at it since: EXEC itself finds that it is over.
  await client.command('SET', 'w', '1', 'PX', '50');
  t.equal(await client.command('WATCH', 'w'), 'OK');
  const over = Date.now() + 100;
  await waitFor('its moment', () => Date.now() > over);
  await client.command('MULTI');
  await client.command('SET', 'w', '2');
  t.equal(await say(client, 'EXEC'), '*-1\r\n');
  t.equal(await client.command('EXISTS', 'w'), 0);
  // One that was over when it was watched is as one that is not there.
  t.equal(await client.command('WATCH', 'w'), 'OK');
  await client.command('MULTI');
  await client.command('SET', 'w', '3');
  t.equal(await say(client, 'EXEC'), '*1\r\n+OK\r\n');
});

t.test('of many that watch, add and write, by all workers, none overwrites what it has not seen', async (t) => {
  const clients = [...(await connectAll(t, place.proxies[0], 4)), ...(await connectAll(t, place.proxies[1], 2))];
  const [first] = clients as [RespClient];
  const each = 10;
  await first.command('SET', 'sum', '0');
  let tries = 0;
  let doubts = 0;
  await Promise.all(
    clients.map(async (client) => {
      for (let done = 0; done < each; tries++) {
        await client.command('WATCH', 'sum');
        const seen = Number(await client.command('GET', 'sum'));
        client.send(Buffer.concat([['MULTI'], ['SET', 'sum', `${seen + 1}`], ['EXEC']].map(encodeWords)));
        await client.next();
        await client.next();
        const executed = `${await client.next()}`;
        if (executed === '*1\r\n+OK\r\n') done++;
        // They meet at every turn: seldom one cannot be told what became of its own.
        else if (executed.startsWith('-UNKNOWN')) doubts++;
        else if (executed !== '*-1\r\n') throw new Error(executed);
      }
    }),
  );
  const beyond = Number(await first.command('GET', 'sum')) - clients.length * each;
  t.ok(beyond >= 0 && beyond <= doubts, `${tries} tries, ${doubts} in doubt, of which ${beyond} were carried out`);
  t.ok(doubts < clients.length * each);
});

t.test('more than sessionTransactionBytesMax is refused, and what was queued has no effect', async (t) => {
  const client = await connect(t, place.proxies[0].port);
  await client.command('DEL', 'big');
  const before = await overloaded();
  await client.command('MULTI');
  const value = 'x'.repeat(BYTES_MAX / 4);
  for (let count = 0; count < 3; count++) t.equal(await say(client, 'APPEND', 'big', value), '+QUEUED\r\n');
  const refusal = await say(client, 'APPEND', 'big', value);
  t.match(refusal, /^-OVERLOADED the commands after MULTI are more than may wait \(sessionTransactionBytesMax 20000\)/);
  await waitFor('its count', async () => (await overloaded()) === before + 1);
  t.match(await say(client, 'EXEC'), /^-EXECABORT/);
  t.equal(await say(client, 'EXISTS', 'big'), ':0\r\n');
  await client.command('MULTI');
  for (let count = 0; count < 3; count++) t.equal(await say(client, 'APPEND', 'big', value), '+QUEUED\r\n', 'anew');
  t.match(await say(client, 'EXEC'), /^\*3\r\n/);
});

t.test('clients that go between MULTI, WATCH and EXEC leave nothing behind', async (t) => {
  const looks = await connect(t, place.proxies[0].port);
  const wave = async () => {
    const clients = await Promise.all(
      Array.from({ length: 50 }, (_, index) => RespClient.connect(place.proxies[(index % 2) as 0 | 1].port)),
    );
    await Promise.all(
      clients.map(async (client, index) => {
        if (index % 3 > 0) await client.command('WATCH', `gone:${index}`);
        if (index % 3 > 1) await client.command('MULTI');
        if (index % 3 > 1) await client.command('SET', `gone:${index}`, 'x'.repeat(3000));
        // Some of them do not wait for the outcome either.
        if (index % 2 === 0) client.send(encodeWords(['EXEC']));
        if (index % 5 === 0) client.send(encodeWords(['WATCH', `gone:${index}`]));
        if (index % 4 === 0) client.reset();
        else client.close();
      }),
    );
    await waitFor('all to be gone', async () =>
      /connected_clients:1\r\n/.test(`${await looks.command('INFO', 'clients')}`),
    );
  };
  await wave();
  const before = await memory();
  for (let count = 0; count < 5; count++) await wave();
  await waitFor('the buffers of before', async () => (await memory()) <= before);
  t.equal(await say(looks, 'PING'), '+PONG\r\n');
});

t.test('no worker has died of all that', async (t) => {
  t.same(deathsOf(place), []);
});

async function counters(): Promise<Record<string, number>> {
  const status = (await (await fetch(`${place.proxies[0].adminUrl}/status`)).json()) as {
    counters: Record<string, number>;
  };
  return status.counters;
}

async function overloaded(): Promise<number> {
  return (await counters())['commandsOverloaded'] as number;
}

/** Bytes of the buffers of all workers of the first proxy. */
async function memory(): Promise<number> {
  return (await counters())['memoryBytes'] as number;
}
