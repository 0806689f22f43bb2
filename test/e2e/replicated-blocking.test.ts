/** Commands that wait for data of a replicated key: as on one Redis, woken through whichever proxy, and when clients or nodes go. */
import t from 'tap';
import { connectAll, deathsOf, deployReplicated } from '../help/replicated-deployment.js';
import { connect, encodeWords, RespClient, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

t.setTimeout(120_000);

/** For what a thousand have to wait for on a machine that is busy. */
const PATIENCE_MS = 60_000;

const place = await deployReplicated(t, { limits: { requestTimeoutMs: 10_000 } });
const [two, one] = place.proxies;

/** Each line by one client; what is behind `<` by a second one, while the first waits, and behind the next `<` after that. */
const SCRIPTS: readonly (readonly string[])[] = [
  [
    'BLPOP l 0 < LPUSH l a',
    'BRPOP l 0 < RPUSH l b c',
    'LRANGE l 0 -1',
    'BLPOP l 1',
    'BLPOP l l 1 < RPUSH l x',
    'TYPE l',
  ],
  ['BLMOVE l l LEFT RIGHT 0 < RPUSH l x', 'LRANGE l 0 -1', 'BRPOPLPUSH l l 0', 'BLMPOP 0 1 l LEFT COUNT 2', 'EXISTS l'],
  ['BRPOPLPUSH l l 0 < RPUSH l x y', 'LRANGE l 0 -1', 'DEL l', 'BLMPOP 0 1 l RIGHT COUNT 2 < RPUSH l a b c', 'LLEN l'],
  [
    'BZPOPMIN z 0 < ZADD z 1.5 a',
    'BZPOPMAX z 0 < ZADD z 2 b 3 c',
    'ZCARD z',
    'BZMPOP 0 1 z MIN',
    'BZMPOP 0 1 z MAX < ZADD z 1 m',
  ],
  ['BZMPOP 0 1 z MIN COUNT 5 < ZINCRBY z 3 c', 'BZPOPMIN z 0 < ZADD z 1 x', 'EXISTS z'],
  ['XREAD BLOCK 0 STREAMS s $ < XADD s 1-1 f v', 'XREAD COUNT 1 BLOCK 10 STREAMS s 0', 'XREAD BLOCK 10 STREAMS s $'],
  ['XADD s 5-1 f v', 'XREAD BLOCK 0 STREAMS s 5-1 < XADD s 6-1 f v', 'XREAD BLOCK 0 STREAMS s $ < XADD s 7-1 f v g w'],
  [
    'XGROUP CREATE s g $ MKSTREAM',
    'XREADGROUP GROUP g c BLOCK 0 STREAMS s > < XADD s 2-1 f v',
    'XACK s g 2-1',
    'XPENDING s g',
  ],
  [
    'XGROUP CREATE s block $ MKSTREAM',
    'XREADGROUP GROUP block 0 BLOCK 10 STREAMS s >',
    'XREADGROUP GROUP block c STREAMS s 0',
  ],
  [
    'XGROUP CREATE s g $ MKSTREAM',
    'XREADGROUP GROUP g c BLOCK 0 STREAMS s > < XGROUP DESTROY s g',
    'XREADGROUP GROUP g c BLOCK 0 STREAMS s >',
  ],
  [
    'XGROUP CREATE s g $ MKSTREAM',
    'XREADGROUP GROUP g c BLOCK 0 STREAMS s > < DEL s',
    'XGROUP CREATE s g $ MKSTREAM',
    'XREADGROUP GROUP g c BLOCK 0 STREAMS s > < SET s x',
    'DEL s',
  ],
  // Nothing comes.
  [
    'BLPOP none 0.01',
    'BRPOP none 0.01',
    'BLMOVE none none LEFT LEFT 0.01',
    'BRPOPLPUSH none none 0.01',
    'BZPOPMIN none 0.01',
  ],
  [
    'BLMPOP 0.01 1 none LEFT',
    'BZMPOP 0.01 1 none MIN',
    'XREAD BLOCK 10 STREAMS none 0',
    'XREAD BLOCK 10 STREAMS none $',
    'PING',
  ],
  // Faults, and another type: at once, and later.
  [
    'BLPOP l x',
    'BLPOP l -1',
    'BZMPOP 0 0 z MIN',
    'XREAD BLOCK x STREAMS s $',
    'BLMOVE l l UP LEFT 0',
    'BLMPOP 0 1 l LEFT COUNT 0',
  ],
  ['XREAD COUNT x BLOCK 0 STREAMS s 0', 'XREADGROUP GROUP g c BLOCK 0 STREAMS s >', 'XREAD BLOCK 0 STREAMS s nonsense'],
  [
    'SET k 1',
    'BLPOP k 0',
    'BZPOPMIN k 0',
    'BLMOVE k k LEFT LEFT 0',
    'XREAD BLOCK 0 STREAMS k $',
    'XREAD BLOCK 0 STREAMS k 0',
  ],
  [
    'BLPOP k 0 < SADD k 1 < DEL k < RPUSH k a',
    'BLPOP k 0 < ZADD k 1 m < DEL k < LPUSH k b',
    'BLPOP k 1.5 < SET k 1',
    'GET k',
  ],
  ['BZPOPMIN k 0 < LPUSH k x < DEL k < ZADD k 1 a', 'XREAD BLOCK 0 STREAMS k $ < SET k 1 < DEL k < XADD k 1-1 f v'],
  // What wakes without a push.
  ['BLPOP l 0 < EVAL return(redis.call("rpush",KEYS[1],"a","b")) 1 l', 'LLEN l', 'BZPOPMIN z 0 < ZADD z 1 a', 'TYPE z'],
  // Inside MULTI nothing waits.
  [
    'MULTI',
    'BLPOP l 0',
    'BLMOVE l l LEFT LEFT 0',
    'RPUSH l a',
    'BLPOP l 0',
    'EXEC',
    'MULTI',
    'XREAD BLOCK 0 STREAMS s $',
    'EXEC',
  ],
  ['WATCH l', 'BLPOP l 0 < RPUSH l a', 'MULTI', 'LLEN l', 'EXEC', 'BLPOP l 0 < LPUSH l b', 'CLIENT GETNAME'],
];
const KEYS = ['l', 'z', 's', 'k', 'none'];

/** Resolves when so many clients wait, as the proxy or the server of `client` has it. */
async function blockedAre(client: RespClient, count: number): Promise<void> {
  await waitFor(`${count} clients that wait`, async () => {
    // A proxy has the counts of its other workers as they were a second ago; who has answered a question of it has told its own.
    await client.command('CLIENT', 'LIST', 'ID', '1');
    return `${await client.command('INFO', 'clients')}`.includes(`blocked_clients:${count}\r\n`);
  });
}

function fail(message: string): never {
  throw new Error(message);
}

/** Carries out a line of the scripts; `look` is asked how many wait. */
async function carryOut(line: string, first: RespClient, second: RespClient, look: RespClient): Promise<string> {
  const [words = [], ...others] = line.split(' < ').map((part) => part.split(' '));
  const reply = say(first, ...words);
  // It is said at once where it does not wait.
  if (others.length > 0) await Promise.race([blockedAre(look, 1), reply.then((text) => fail(`${line}: ${text}`))]);
  for (const other of others) {
    const put = await say(second, ...other);
    if (/^-(UNKNOWN|NOQUORUM)/.test(put)) fail(`${other.join(' ')}: ${put}`);
  }
  try {
    return await reply;
  } catch (error) {
    throw new Error(line, { cause: error });
  }
}

for (const protocol of ['2', '3']) {
  t.test(`in RESP${protocol}, as one Redis answers`, async (t) => {
    const [first, look] = (await connectAll(t, two, 2)) as [RespClient, RespClient];
    // Those who put something there are of this proxy and of the other one.
    const seconds = [...(await connectAll(t, two, 2)), await connect(t, one.port)];
    const direct = await connect(t, place.plain.port);
    const [directSecond, directLook] = [await connect(t, place.plain.port), await connect(t, place.plain.port)];
    for (const client of [first, direct]) await client.raw('HELLO', protocol);
    for (const [index, script] of SCRIPTS.entries()) {
      for (const key of KEYS) for (const client of [look, direct]) await client.raw('DEL', key);
      const second = seconds[index % seconds.length] as RespClient;
      for (const line of script) {
        // One after the other: who waits at the plain node is counted by the proxies, too.
        const own = await carryOut(line, first, second, look);
        const theirs = await carryOut(line, direct, directSecond, directLook);
        if (own !== theirs) t.equal(own, theirs, `${line}, of ${script.join(', ')}`);
      }
    }
    t.pass(`${SCRIPTS.length} scripts`);
  });
}

t.test('a time-out comes at its moment, and 0 is for ever', async (t) => {
  const client = await connect(t, two.port);
  for (const words of [
    ['BLPOP', 'none', '0.3'],
    ['XREAD', 'BLOCK', '300', 'STREAMS', 'none', '$'],
    ['BZMPOP', '0.3', '1', 'none', 'MIN'],
  ]) {
    const begun = performance.now();
    t.equal(await say(client, ...words), '*-1\r\n');
    const took = performance.now() - begun;
    t.ok(took >= 299, `${words[0]} took ${took} ms`);
    t.ok(took < 1500, `${words[0]} took ${took} ms`);
  }
  const [looks, patient] = [await connect(t, two.port), await connect(t, two.port)];
  const reply = say(patient, 'BLPOP', 'forever', '0');
  await blockedAre(looks, 1);
  // Longer than it takes until it is tried without a wake.
  t.equal(await say(client, 'BLPOP', 'none', '1.2'), '*-1\r\n');
  await blockedAre(looks, 1);
  await client.command('RPUSH', 'forever', 'x');
  t.match(await reply, 'forever');
});

t.test('whoever came first is served first, in one worker, and each once', async (t) => {
  const [pusher, ...clients] = (await connectAll(t, one, 11)) as [RespClient, ...RespClient[]];
  const elsewhere = await connect(t, two.port);
  for (const push of ['one by one', 'at once', 'through the other proxy']) {
    const waiting: Promise<string>[] = [];
    for (const client of clients) {
      waiting.push(say(client, 'BRPOP', 'queue', '0'));
      await blockedAre(pusher, waiting.length);
    }
    const values = clients.map((_, index) => `${index}`);
    const by = push === 'through the other proxy' ? elsewhere : pusher;
    if (push === 'at once') await by.command('LPUSH', 'queue', ...values);
    else for (const value of values) await by.command('LPUSH', 'queue', value);
    const got = (await Promise.all(waiting)).map((reply) => /\r\n(\d)\r\n$/.exec(reply)?.[1]);
    t.same(got, values, push);
    t.equal(await by.command('EXISTS', 'queue'), 0);
  }
});

t.test('who waits for another thing of the key is not in the way', async (t) => {
  const [writer, ...clients] = (await connectAll(t, one, 8)) as [RespClient, ...RespClient[]];
  const [a, b, c, d, e, f] = clients as [RespClient, RespClient, RespClient, RespClient, RespClient, RespClient];
  // A sorted set comes to where one waits for a list.
  const list = say(a, 'BLPOP', 'mixed', '0');
  await blockedAre(writer, 1);
  const zset = say(b, 'BZPOPMIN', 'mixed', '0');
  await blockedAre(writer, 2);
  await writer.command('ZADD', 'mixed', '1', 'm');
  t.match(await zset, 'm');
  // While it waits another one is told at once that there is something else.
  await writer.command('SET', 'mixed', 'text');
  t.match(await say(c, 'BLPOP', 'mixed', '0'), /^-WRONGTYPE/);
  await writer.command('DEL', 'mixed');
  await writer.command('RPUSH', 'mixed', 'x');
  t.match(await list, 'x');
  // One group has read all there is, another nothing; and there are those who only read.
  for (const group of ['g1', 'g2', 'g3']) await writer.command('XGROUP', 'CREATE', 'groups', group, '0', 'MKSTREAM');
  await writer.command('XADD', 'groups', '1-1', 'f', 'v');
  await writer.command('XREADGROUP', 'GROUP', 'g1', 'c', 'STREAMS', 'groups', '>');
  const waiting = [say(a, 'XREADGROUP', 'GROUP', 'g1', 'c', 'BLOCK', '0', 'STREAMS', 'groups', '>')];
  await blockedAre(writer, 1);
  t.match(await say(b, 'XREADGROUP', 'GROUP', 'g2', 'c', 'BLOCK', '0', 'STREAMS', 'groups', '>'), '1-1');
  t.match(await say(c, 'XREAD', 'BLOCK', '0', 'STREAMS', 'groups', '0'), '1-1');
  waiting.push(say(b, 'XREAD', 'BLOCK', '0', 'STREAMS', 'groups', '$'));
  await blockedAre(writer, 2);
  waiting.push(say(c, 'XREADGROUP', 'BLOCK', '0', 'GROUP', 'g2', 'c', 'STREAMS', 'groups', '>'));
  await blockedAre(writer, 3);
  t.match(await say(d, 'XREADGROUP', 'GROUP', 'g3', 'c', 'BLOCK', '0', 'STREAMS', 'groups', '>'), '1-1');
  waiting.push(say(e, 'XREAD', 'BLOCK', '0', 'STREAMS', 'groups', '1-1'));
  await blockedAre(writer, 4);
  const second = say(f, 'XREADGROUP', 'GROUP', 'g2', 'other', 'BLOCK', '0', 'STREAMS', 'groups', '>');
  await blockedAre(writer, 5);
  await writer.command('XADD', 'groups', '2-1', 'f', 'v');
  for (const reply of await Promise.all(waiting)) t.match(reply, '2-1');
  await blockedAre(writer, 1);
  await writer.command('XADD', 'groups', '3-1', 'f', 'v');
  t.match(await second, '3-1');
});

t.test('who waits to move what comes does not try again and again', async (t) => {
  const [client, looks] = (await connectAll(t, one, 2)) as [RespClient, RespClient];
  const moved = say(client, 'BLMOVE', 'moved', 'moved', 'LEFT', 'RIGHT', '0');
  await blockedAre(looks, 1);
  const before = await commandsOf(place.servers[0]?.port as number);
  // About as many as it takes to look at them, and not thousands.
  t.equal(await say(looks, 'BLPOP', 'none', '0.5'), '*-1\r\n');
  const grown = (await commandsOf(place.servers[0]?.port as number)) - before;
  t.ok(grown < 200, `${grown} commands at a node`);
  await looks.command('RPUSH', 'moved', 'x');
  t.equal(await moved, '$1\r\nx\r\n');
});

/** Commands that a server has carried out. */
async function commandsOf(port: number): Promise<number> {
  const client = await RespClient.connect(port);
  const info = `${await client.command('INFO', 'stats')}`;
  client.close();
  return Number(/total_commands_processed:(\d+)/.exec(info)?.[1]);
}

t.test('CLIENT UNBLOCK ends the wait of a client of any worker', async (t) => {
  const other = await connect(t, two.port);
  for (const words of [
    ['BLPOP', 'u', '0'],
    ['XREAD', 'BLOCK', '0', 'STREAMS', 'u', '$'],
    ['BZPOPMIN', 'u', '0'],
  ]) {
    for (const how of ['TIMEOUT', 'ERROR']) {
      const client = await connect(t, two.port);
      const id = `${await client.command('CLIENT', 'ID')}`;
      t.equal(await other.command('CLIENT', 'UNBLOCK', id), 0, 'it does not wait yet');
      const reply = say(client, ...words);
      await blockedAre(other, 1);
      t.match(await say(other, 'CLIENT', 'LIST', 'ID', id), ' flags=b ');
      t.equal(await other.command('CLIENT', 'UNBLOCK', id, how), 1, `${words[0]} ${how}`);
      const expected = how === 'ERROR' ? '-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n' : '*-1\r\n';
      t.equal(await reply, expected);
      await blockedAre(other, 0);
      t.equal(await say(client, 'PING'), '+PONG\r\n');
    }
  }
});

t.test('a client that goes while it waits takes nothing with it', async (t) => {
  const [other, stays] = (await connectAll(t, one, 2)) as [RespClient, RespClient];
  for (const goes of ['close', 'reset', 'end'] as const) {
    const client = await RespClient.connect(one.port);
    client.send(encodeWords(['BLPOP', 'kept', '0']));
    await blockedAre(other, 1);
    client[goes]();
    await blockedAre(other, 0);
    t.equal(await other.command('LPUSH', 'kept', goes), 1);
    t.equal(await other.command('LPOP', 'kept'), goes, 'nobody has taken it');
  }
  // The first in line goes, and one that has never tried: who stands behind them is served.
  const [first, second] = [await RespClient.connect(one.port), await RespClient.connect(one.port)];
  for (const [index, client] of [first, second].entries()) {
    client.send(encodeWords(['BLPOP', 'kept', '0']));
    await blockedAre(other, index + 1);
  }
  const third = say(stays, 'BLPOP', 'kept', '0');
  await blockedAre(other, 3);
  second.reset();
  await blockedAre(other, 2);
  first.reset();
  await blockedAre(other, 1);
  await other.command('RPUSH', 'kept', 'a', 'b');
  t.match(await third, '\r\na\r\n');
  t.equal(await other.command('LPOP', 'kept'), 'b');
});

t.test('a thousand that wait get each one of a thousand, from all sides', async (t) => {
  const count = 1000;
  const ports = [two.port, two.port, one.port];
  const clients = await Promise.all(
    Array.from({ length: count }, (_, index) => RespClient.connect(ports[index % 3] as number)),
  );
  t.teardown(() => {
    for (const client of clients) client.close();
  });
  const looks = await Promise.all([two, one].map((proxy) => connect(t, proxy.port)));
  // Some want the same, in three workers; most have a key of their own.
  const key = (index: number) => (index % 10 === 0 ? 'crowd' : `own:${index}`);
  const served = clients.map(async (client, index) => {
    client.send(encodeWords(['BLPOP', key(index), '0']));
    return `${await client.next(PATIENCE_MS)}`;
  });
  const push = async () => {
    await blockedAre(looks[0] as RespClient, Math.ceil((count * 2) / 3));
    await blockedAre(looks[1] as RespClient, Math.floor(count / 3));
    return Promise.all(
      clients.map((_, index) => (looks[index % 2] as RespClient).command('RPUSH', key(index), `${index}`)),
    );
  };
  const [pushed, ...taken] = await Promise.all([push(), ...served]);
  t.same(
    pushed.filter((reply) => reply instanceof Error),
    [],
  );
  for (const [index, reply] of taken.entries()) if (!reply.includes(key(index))) t.match(reply, key(index));
  const values = taken.map((reply) => Number(/\r\n(\d+)\r\n$/.exec(reply)?.[1]));
  t.same(
    values.sort((a, b) => a - b),
    values.map((_, index) => index),
    'each once',
  );
  for (const look of looks) await blockedAre(look, 0);
});

t.test('a node that dies while clients wait is not noticed by them', async (t) => {
  const [pusher, ...clients] = (await connectAll(t, two, 5)) as [RespClient, ...RespClient[]];
  const waiting = clients.map((client, index) => say(client, 'BLPOP', `fault:${index}`, '0'));
  await blockedAre(pusher, clients.length);
  await place.servers[0]?.kill9();
  for (const [index, reply] of waiting.entries()) {
    t.equal(await pusher.command('RPUSH', `fault:${index}`, 'x'), 1);
    t.match(await reply, `fault:${index}`);
  }
  const again = say(clients[0] as RespClient, 'BLPOP', 'fault', '0');
  await blockedAre(pusher, 1);
  await place.servers[1]?.kill9();
  t.match(await again, /^-(NOQUORUM|UNKNOWN)/, 'without a majority it is told so');
  t.match(await say(clients[0] as RespClient, 'BLPOP', 'fault', '0'), /^-(NOQUORUM|UNKNOWN)/);
});

t.test('no worker has died of all that', async (t) => {
  t.same(deathsOf(place), []);
});
