/** Commands on weak keys, through two proxies, while nothing goes wrong: as one Redis answers them, since each key has one home. */
import t from 'tap';
import { deathsOf, deployReplicated } from '../help/replicated-deployment.js';
import { connect, encodeWords, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';
import { compareCopiedCommands } from './copied-commands.js';

t.setTimeout(120_000);

const place = await deployReplicated(t, { keyspace: { consistency: 'weak' } });

compareCopiedCommands(t, place);

t.test('what one client has been told is written another sees, through the other proxy', async (t) => {
  const clients = await Promise.all(place.proxies.map(({ port }) => connect(t, port)));
  for (let round = 0; round < 200; round++) {
    const [writer, reader] = round % 2 === 0 ? clients : clients.toReversed();
    t.equal(await say(writer as (typeof clients)[0], 'SET', `seen:${round % 7}`, `${round}`), '+OK\r\n');
    const reply = await say(reader as (typeof clients)[0], 'GET', `seen:${round % 7}`);
    if (reply !== `$${`${round}`.length}\r\n${round}\r\n`) t.fail(`round ${round}: ${reply}`);
  }
});

t.test('a pipeline of one client is carried out in its order', async (t) => {
  const client = await connect(t, place.proxies[0].port);
  for (let round = 0; round < 100; round++) {
    const told = await Promise.all([
      say(client, 'GET', 'line'),
      say(client, 'SET', 'line', `a${round}`),
      say(client, 'GET', 'line'),
      say(client, 'GET', 'line'),
      say(client, 'SET', 'line', `b${round}`),
      say(client, 'GET', 'line'),
    ]);
    const before = round === 0 ? '$-1' : `b${round - 1}`;
    const shown = told.map((reply) => /^\$-1/.exec(reply)?.[0] ?? /([ab]\d+)\r\n$/.exec(reply)?.[1] ?? 'OK');
    t.same(shown, [before, 'OK', `a${round}`, `a${round}`, 'OK', `b${round}`]);
  }
});

t.test('a write does not overtake the reads before it, which take another way', async (t) => {
  const client = await connect(t, place.proxies[0].port);
  const reads = 5_000;
  t.equal(await say(client, 'SET', 'behind', 'before'), '+OK\r\n');
  for (const last of [
    [['SET', 'behind', 'after']],
    [['MSET', 'behind', 'after']],
    [['MULTI'], ['SET', 'behind', 'after'], ['EXEC']],
  ]) {
    const asked = [...Array.from({ length: reads }, () => ['GET', 'behind']), ...last, ['SET', 'behind', 'before']];
    client.send(Buffer.concat(asked.map(encodeWords)));
    const told = new Set<string>();
    for (let count = 0; count < reads; count++) told.add(`${await client.next()}`);
    for (const _ of [...last, 'the last']) t.notMatch(`${await client.next()}`, /^-/);
    t.same([...told], ['$6\r\nbefore\r\n'], last.join(' '));
  }
});

t.test('a read of one key is sent to one copy as it came, also of a value that is large', async (t) => {
  const client = await connect(t, place.proxies[1].port);
  const plain = async () => {
    return Number(/replicated_plain_reads:(\d+)/.exec(await say(client, 'INFO', 'ringleader'))?.[1]);
  };
  const value = 'x'.repeat(3_000_000);
  t.equal(await say(client, 'SET', 'large', value), '+OK\r\n');
  const before = await plain();
  t.equal(await say(client, 'GET', 'large'), `$${value.length}\r\n${value}\r\n`);
  t.equal(await say(client, 'STRLEN', 'large'), `:${value.length}\r\n`);
  t.match(await say(client, 'LLEN', 'large'), /^-WRONGTYPE/);
  t.equal(await plain(), before + 3);
});

t.test('keys are served by whatever node is left', async (t) => {
  const client = await connect(t, place.proxies[0].port);
  t.equal(await say(client, 'SET', 'homeless', '1'), '+OK\r\n');
  for (const server of place.servers.slice(1)) {
    await server.kill9();
    await waitFor('an answer', async () => (await say(client, 'GET', 'homeless')) === '$1\r\n1\r\n');
    await waitFor('a write', async () => (await say(client, 'SET', 'homeless', '1')) === '+OK\r\n');
  }
  t.equal(await say(client, 'INCR', 'homeless'), ':2\r\n');
});

t.test('no worker has died of all that', async (t) => {
  t.same(deathsOf(place), []);
});
