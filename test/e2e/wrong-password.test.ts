/**
 * A wrong password for one node of three: whatever needs that node is answered with an error that names it and says why, in bounded time; the keys
 * of the others go on being served, and that of the node once its password is right.
 */
import t from 'tap';
import { deploy } from '../help/deployment.js';
import type { RedisServer } from '../help/redis-server.js';
import { connect, encodeWords, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

const SECRET = 'w0rd-to-hide';
/** Milliseconds for a reply: more than the time-outs below, by as much as a busy machine takes. */
const REPLY_MS_MAX = 10_000;
const LIMITS = { connectTimeoutMs: 2_000, queueTimeoutMs: 2_000, requestTimeoutMs: 2_000, reconnectMaxMs: 200 };
const WHY = 'it refused the greeting: WRONGPASS [^\\r]*';
/** Nothing was done anywhere. */
const NO_EFFECT = new RegExp(`^-NODEDOWN node b \\(.*\\): ${WHY}; the command had no effect\\r\\n$`);
/** None has begun, as all are to have it alike. */
const NONE = new RegExp(
  `^-NODEDOWN node b \\(.*\\): ${WHY}; no node has (changed a setting|loaded the library)\\r\\n$`,
);
/** The others have done their part. */
const UNKNOWN = new RegExp(
  `^-UNKNOWN node b \\(.*\\): ${WHY}; the command had no effect there, but other shards have carried out their part of it\\r\\n$`,
);

interface Keys {
  /** Of the nodes a, b and c. */
  a: string;
  b: string;
  c: string;
}

const REFUSED: readonly (readonly [words: (keys: Keys) => string[], reply: RegExp])[] = [
  [({ b }) => ['GET', b], NO_EFFECT],
  [({ b }) => ['SET', b, 'x'], NO_EFFECT],
  [({ b }) => ['SET', b, 'x'.repeat(2_000_000)], NO_EFFECT],
  [({ b }) => ['EVAL', 'return 1', '1', b], NO_EFFECT],
  [({ b }) => ['WATCH', b], NO_EFFECT],
  [({ b }) => ['BLPOP', b, '0'], NO_EFFECT],
  [({ a, b, c }) => ['MGET', a, b, c], NO_EFFECT],
  [({ a, b, c }) => ['EXISTS', a, b, c], NO_EFFECT],
  [({ a, b }) => ['MSET', a, a, b, 'x'], UNKNOWN],
  [({ b, c }) => ['UNLINK', 'not there', `not there{${c}}`, b], UNKNOWN],
  [({ a, b }) => ['SINTER', `set{${a}}`, `set{${b}}`], NO_EFFECT],
  [({ a, b }) => ['SUNIONSTORE', `set{${a}}`, `set{${a}}`, `set{${b}}`], NO_EFFECT],
  [({ a, b }) => ['SUNIONSTORE', `set{${b}}`, `set{${a}}`, `set{${b}}`], NO_EFFECT],
  [({ a, b }) => ['ZUNION', '2', `sorted{${a}}`, `sorted{${b}}`], NO_EFFECT],
  [({ a, b }) => ['XREAD', 'STREAMS', `stream{${a}}`, `stream{${b}}`, '0', '0'], NO_EFFECT],
  [({ a, b }) => ['COPY', b, `copy{${a}}`], NO_EFFECT],
  [() => ['DBSIZE'], NO_EFFECT],
  [() => ['KEYS', '*'], NO_EFFECT],
  [() => ['RANDOMKEY'], NO_EFFECT],
  [() => ['SCRIPT', 'LOAD', 'return 1'], UNKNOWN],
  [() => ['CONFIG', 'SET', 'maxmemory-samples', '5'], NONE],
  [() => ['FUNCTION', 'LOAD', '#!lua name=l\n'], NONE],
  [() => ['SLOWLOG', 'GET'], NO_EFFECT],
];

for (const transport of ['io_uring', 'node'] as const) {
  t.test(`on ${transport}, the other nodes are served while one has another password than is said`, async (t) => {
    const deployment = await deploy(t, {
      transport,
      limits: LIMITS,
      redis: { args: ['--requirepass', 'right'] },
      url: (server, index) => `redis://:${index === 1 ? SECRET : 'right'}@127.0.0.1:${server.port}`,
    });
    const { port, proxy, servers } = deployment;
    await proxy.waitForLog('node-down', (line) => line['node'] === 'b');
    const keys = { a: deployment.key(0), b: deployment.key(1), c: deployment.key(2) };
    const client = await connect(t, port);
    for (const good of [keys.a, keys.c]) t.equal(await say(client, 'SET', good, good), '+OK\r\n');
    const isServed = async (what: string) => {
      for (const good of [keys.a, keys.c]) {
        t.equal(await say(client, 'GET', good), `$${good.length}\r\n${good}\r\n`, what);
        t.equal(await say(client, 'APPEND', good, ''), `:${good.length}\r\n`, what);
      }
    };

    for (const [wordsOf, expected] of REFUSED) {
      const words = wordsOf(keys);
      const what = words.join(' ').slice(0, 60);
      client.send(encodeWords(words));
      t.match((await client.next(REPLY_MS_MAX)).toString('latin1'), expected, what);
      await isServed(what);
    }

    let cursor = '0';
    let reply = '';
    const seen: string[] = [];
    do {
      reply = await say(client, 'SCAN', cursor);
      cursor = /^\*2\r\n\$\d+\r\n(\d+)\r\n/.exec(reply)?.[1] ?? '0';
      seen.push(...[keys.a, keys.c].filter((good) => reply.includes(`\r\n${good}\r\n`)));
    } while (cursor !== '0');
    t.match(reply, NO_EFFECT, 'SCAN does not end as if it had seen all');
    t.same(seen, [keys.a], 'the nodes come in their order');

    const inOneGo = [['GET', keys.a], ['GET', keys.b], ['PING'], ['GET', keys.c]];
    for (const words of inOneGo) client.send(encodeWords(words));
    t.equal(`${await client.next()}`, `$${keys.a.length}\r\n${keys.a}\r\n`);
    t.match(`${await client.next()}`, NO_EFFECT, 'in its place among the replies');
    t.equal(`${await client.next()}`, '+PONG\r\n');
    t.equal(`${await client.next()}`, `$${keys.c.length}\r\n${keys.c}\r\n`);
    t.equal(await say(client, 'MULTI'), '+OK\r\n');
    t.equal(await say(client, 'GET', keys.b), '+QUEUED\r\n');
    t.match(await say(client, 'EXEC'), NO_EFFECT);
    t.match(await say(client, 'INFO'), /^\$\d+\r\n/, 'what says how it is says so as long as one node does');
    t.match(await say(client, 'FLUSHALL'), UNKNOWN);
    t.equal(await say(client, 'GET', keys.a), '$-1\r\n');

    const direct = await connect(t, (servers[1] as RedisServer).port);
    t.equal(await say(direct, 'AUTH', 'right'), '+OK\r\n');
    t.equal(await say(direct, 'CONFIG', 'SET', 'requirepass', SECRET), '+OK\r\n');
    await waitFor('the node to be used', async () => (await say(client, 'SET', keys.b, 'x')) === '+OK\r\n');
    // Each worker finds for itself that the node is there, and the client is of one.
    t.equal(await say(client, 'DBSIZE'), ':1\r\n');
    t.notMatch(proxy.output(), new RegExp(SECRET), 'the password stands nowhere in the log');
  });
}
