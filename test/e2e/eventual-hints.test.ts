/** Keys of consistency eventual on real servers, what copies have missed: it is kept for them. */
import t from 'tap';
import { connect, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';
import { awaitEqual, careOf, copiesOf, countsOf, PATIENT_MS, startProxy, startServers } from './eventual-pool.js';

t.setTimeout(180_000);

t.test(
  'writes go on with one node left, and the others get them when they are back, from the hints alone',
  async (t) => {
    const servers = await startServers(t);
    const proxy = await startProxy(t, servers);
    const client = await connect(t, proxy.port);
    const keys = Array.from({ length: 150 }, (_, place) => `key:${place}`);
    for (const key of keys) t.equal(await say(client, 'SET', key, 'before'), '+OK\r\n');
    await awaitEqual(servers, keys);
    for (const server of servers.slice(1)) server.pause();
    const sent = keys.map((key, place) =>
      place % 3 === 0 ? ['DEL', key] : place % 3 === 1 ? ['INCR', `n:${key}`] : ['SET', key, 'after'],
    );
    for (const words of sent) t.notMatch(await say(client, ...words), /^-/, words.join(' '));
    const isKept = async () => (await countsOf(proxy)).replicatedHints >= 2 * keys.length;
    await waitFor('all that was missed to be kept', isKept, PATIENT_MS);
    const { nodes } = await careOf(proxy);
    t.ok(
      nodes.slice(1).every(({ hints }) => hints.bytes > 0 && hints.oldestMs !== null),
      'the status shows it',
    );
    t.equal(nodes[0]?.hints.bytes, 0);
    const isGiven = async (node: number) => (await careOf(proxy)).nodes[node]?.hints.bytes === 0;
    servers[1]?.resume();
    await waitFor('b to have all, while c is still away', () => isGiven(1), PATIENT_MS);
    t.notOk(await isGiven(2));
    servers[2]?.resume();
    await awaitEqual(servers, [...keys, ...keys.map((key) => `n:${key}`)]);
    for (const copies of await copiesOf(servers, ['key:2', 'key:3', 'n:key:4']))
      t.match(copies, [/^after /, /^null .*00$/, /^1 /]);
    await waitFor('nothing to be kept any more', () => isGiven(2), PATIENT_MS);
    t.ok(await isGiven(1));
    t.equal((await countsOf(proxy)).replicatedHintsDropped, 0);
  },
);
