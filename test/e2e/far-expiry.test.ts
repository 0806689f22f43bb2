/**
 * Expiries that are too far away for a double to hold them exactly, 2^53 ms and more: a copy that is given a state is given them, too, at most
 * half a second off, and the last moment that Redis knows as it is.
 */
import t from 'tap';
import { deathsOf, deployReplicated } from '../help/replicated-deployment.js';
import { connect, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

t.setTimeout(120_000);

const LAST = '9223372036854775807';
/** Doubles are 128 apart there, and 1024 where LAST is. */
const FAR = '1152921504606847001';
const NEAR_LAST = '9223372036854775000';
const OFF_MAX = 512n;

/** Each sets an expiry of the key that has no other, and answers what Redis does. */
const CASES: readonly { words: readonly string[]; expireAt: string; reply: string }[] = [
  { words: ['PEXPIREAT', 'k', LAST], expireAt: LAST, reply: ':1\r\n' },
  { words: ['PEXPIREAT', 'k', FAR], expireAt: FAR, reply: ':1\r\n' },
  { words: ['PEXPIREAT', 'k', NEAR_LAST, 'NX'], expireAt: NEAR_LAST, reply: ':1\r\n' },
  { words: ['EXPIREAT', 'k', '9223372036854775'], expireAt: NEAR_LAST, reply: ':1\r\n' },
  { words: ['SET', 'k', 'v', 'PXAT', LAST], expireAt: LAST, reply: '+OK\r\n' },
  { words: ['SET', 'k', 'v', 'XX', 'PXAT', LAST], expireAt: LAST, reply: '+OK\r\n' },
  { words: ['GETEX', 'k', 'PXAT', LAST], expireAt: LAST, reply: '$1\r\nv\r\n' },
  {
    words: ['EVAL', `return redis.call('PEXPIREAT', KEYS[1], ARGV[1])`, '1', 'k', LAST],
    expireAt: LAST,
    reply: ':1\r\n',
  },
  {
    words: ['EVAL', `return redis.call('PEXPIREAT', KEYS[1], ARGV[1])`, '1', 'k', FAR],
    expireAt: FAR,
    reply: ':1\r\n',
  },
];

for (const consistency of ['strong', 'quorum'] as const) {
  t.test(`keys of consistency ${consistency} that expire in millions of years`, async (t) => {
    const place = await deployReplicated(t, { keyspace: { consistency } });
    const client = await connect(t, place.proxies[0].port);
    const other = await connect(t, place.proxies[1].port);
    const nodes = await Promise.all(place.servers.map(({ port }) => connect(t, port)));
    for (const [index, { words, expireAt, reply }] of CASES.entries()) {
      const key = `far:${index}`;
      const name = words.join(' ');
      t.equal(await say(client, 'SET', key, 'v'), '+OK\r\n');
      t.equal(await say(client, ...words.map((word) => (word === 'k' ? key : word))), reply, name);
      for (const node of nodes) {
        // One copy may be behind for a moment.
        await waitFor('the expiry on all copies', async () => (await say(node, 'PEXPIRETIME', key)) !== ':-1\r\n');
        const held = BigInt((await say(node, 'PEXPIRETIME', key)).slice(1, -2));
        const off = held - BigInt(expireAt);
        t.ok(off >= -OFF_MAX && off <= OFF_MAX && (expireAt !== LAST || off === 0n), `${name}: ${held} on a node`);
      }
      // What is there can be read, changed and deleted by whoever comes next.
      t.equal(await say(other, 'APPEND', key, 'w'), ':2\r\n', `APPEND after ${name}`);
      t.equal(await say(client, 'GET', key), '$2\r\nvw\r\n', `GET after ${name}`);
      t.not(await say(other, 'PTTL', key), ':-1\r\n', `APPEND leaves the expiry of ${name}`);
      t.equal(await say(client, 'PERSIST', key), ':1\r\n', `PERSIST after ${name}`);
      t.equal(await say(other, 'DEL', key), ':1\r\n', `DEL after ${name}`);
    }
    // Told apart by the last of 15 digits, which is not what Lua makes of a number by itself.
    for (const expireAt of ['100000000000000', '100000000000001']) {
      await say(client, 'SET', 'near', 'v', 'NX');
      t.equal(await say(client, 'PEXPIREAT', 'near', expireAt), ':1\r\n');
      for (const node of nodes) {
        await waitFor(`${expireAt} on all copies`, async () => {
          return (await say(node, 'PEXPIRETIME', 'near')) === `:${expireAt}\r\n`;
        });
      }
    }
    t.same(deathsOf(place), []);
  });
}
