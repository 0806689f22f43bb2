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

t.test('no worker has died of all that', async (t) => {
  t.same(deathsOf(place), []);
});
