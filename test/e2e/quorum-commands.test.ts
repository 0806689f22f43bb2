/** Commands on keys of consistency quorum, through two proxies, while nothing goes wrong: as one Redis answers them. */
import t from 'tap';
import { deathsOf, deployReplicated } from '../help/replicated-deployment.js';
import { connect, encodeWords, say } from '../help/resp-client.js';
import { compareCopiedCommands } from './copied-commands.js';

t.setTimeout(120_000);

const place = await deployReplicated(t, { keyspace: { consistency: 'quorum' } });

compareCopiedCommands(t, place);

t.test('who waits for an element gets it from whichever proxy', async (t) => {
  const waiting = await connect(t, place.proxies[0].port);
  const pushing = await connect(t, place.proxies[1].port);
  waiting.send(encodeWords(['BLPOP', 'queue', '20']));
  t.equal(await say(pushing, 'RPUSH', 'queue', 'x'), ':1\r\n');
  t.equal(`${await waiting.next()}`, '*2\r\n$5\r\nqueue\r\n$1\r\nx\r\n');
  t.equal(await say(pushing, 'LLEN', 'queue'), ':0\r\n');
});

t.test('all keys are walked', async (t) => {
  const client = await connect(t, place.proxies[1].port);
  for (let key = 0; key < 20; key++) await client.raw('SET', `walk:${key}`, '1');
  await client.raw('DEL', 'walk:0');
  const found: readonly string[] = `${await client.raw('KEYS', 'walk:*')}`.match(/walk:\d+/g) ?? [];
  t.equal(new Set(found).size, 19);
  t.notOk(found.includes('walk:0'));
});

t.test('readModifyWrite: reject refuses what changes a value, and nothing else', async (t) => {
  const keyspace = { consistency: 'quorum', readQuorum: 1, writeQuorum: 3, readModifyWrite: 'reject' };
  const rejecting = await deployReplicated(t, { keyspace });
  const client = await connect(t, rejecting.proxies[0].port);
  const carriedOut = [
    'SET a 1',
    'SETEX a 10 1',
    'PSETEX a 10000 1',
    'SET a 1 EX 10',
    'MSET a 1 b 2',
    'GET a',
    'MGET a b',
    'TTL a',
    'DEL b',
    'UNLINK b',
  ];
  for (const line of carriedOut) t.notMatch(await say(client, ...line.split(' ')), /^-/, line);
  const refused = [
    'INCR a',
    'SET a 1 NX',
    'SET a 1 GET',
    'APPEND a x',
    'EXPIRE a 5',
    'LPUSH l x',
    'GETDEL a',
    'BLPOP l 1',
    'EVAL return(1) 1 a',
  ];
  for (const line of refused) t.match(await say(client, ...line.split(' ')), /^-ERR readModifyWrite: reject/, line);
  t.equal(await say(client, 'MULTI'), '+OK\r\n');
  t.match(await say(client, 'SET', 'a', '2'), /^-ERR readModifyWrite: reject/);
  t.match(await say(client, 'EXEC'), /^-EXECABORT/);
  t.equal(await say(client, 'GET', 'a'), '$1\r\n1\r\n');
  t.same(deathsOf(rejecting), []);
});

t.test('no worker has died of all that', async (t) => {
  t.same(deathsOf(place), []);
});
