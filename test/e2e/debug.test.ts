/** DEBUG through the proxy, over three real servers. */
import t from 'tap';
import { debugRow } from '../../src/resp/debug-rows.js';
import { deploy } from '../help/deployment.js';
import { RedisServer } from '../help/redis-server.js';
import { connect, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

const ALLOWED = { enableDebugCommand: 'yes', redis: { args: ['--enable-debug-command', 'yes'] } } as const;

t.test('DIGEST and DIGEST-VALUE are those of one Redis that has all keys', async (t) => {
  const deployment = await deploy(t, ALLOWED);
  const single = await RedisServer.start(ALLOWED.redis);
  t.teardown(() => single.stop());
  const [ours, theirs] = [await connect(t, deployment.port), await connect(t, single.port)];
  const both = async (...words: string[]) => {
    const [own, other] = [await say(ours, ...words), await say(theirs, ...words)];
    t.equal(own, other, words.join(' '));
    return own;
  };
  const empty = await both('DEBUG', 'DIGEST');
  for (const database of ['0', '3']) {
    await both('SELECT', database);
    for (let number = 0; number < 30; number++) await both('SET', `key:${number}`, `${number}`);
    await both('RPUSH', 'list', 'a', 'b');
    await both('HSET', 'hash', 'f', 'v');
    await both('PEXPIRE', 'hash', '1000000');
    t.not(await both('DEBUG', 'DIGEST'), empty);
    const digests = await both('DEBUG', 'DIGEST-VALUE', 'key:1', 'list', 'none', 'key:2', 'hash', 'key:1');
    t.match(digests, /^\*6\r\n/);
    if (database === '3') break;
    await both('SELECT', '5');
    await both('SET', 'x', '1');
    t.match(await say(ours, 'DEBUG', 'DIGEST'), /^-ERR DEBUG DIGEST is refused: several databases have keys/);
    await both('FLUSHALL');
  }
});

t.test('OBJECT, SLEEP, SET-ACTIVE-EXPIRE, RELOAD and errors, as one Redis', async (t) => {
  const deployment = await deploy(t, ALLOWED);
  const client = await connect(t, deployment.port);
  for (const node of [0, 1, 2]) {
    const key = deployment.key(node);
    await say(client, 'SET', key, '12345');
    t.match(await say(client, 'DEBUG', 'OBJECT', key), /^\+Value at:.* encoding:int /);
    t.match(await say(client, 'DEBUG', 'SDSLEN', key), /^-ERR Not an sds encoded string/);
  }
  t.equal(await say(client, 'DEBUG', 'OBJECT', 'none'), '-ERR no such key\r\n');
  t.match(
    await say(client, 'DEBUG', 'OBJECT'),
    /^-ERR unknown subcommand or wrong number of arguments for 'OBJECT'\. Try DEBUG HELP\./,
  );
  t.match(
    await say(client, 'DEBUG', 'SLEEP'),
    /^-ERR unknown subcommand or wrong number of arguments for 'SLEEP'\. Try DEBUG HELP\.\r\n$/,
  );
  t.equal(await say(client, 'DEBUG', 'ERROR', 'MY own'), '-MY own\r\n');
  const startMs = performance.now();
  t.equal(await say(client, 'DEBUG', 'SLEEP', '0.2'), '+OK\r\n');
  t.ok(performance.now() - startMs >= 200);
  t.equal(await say(client, 'DEBUG', 'RELOAD'), '+OK\r\n');
  t.equal(await say(client, 'DBSIZE'), ':3\r\n');
  await say(client, 'SET', deployment.key(0, 'another'), 'x');
  t.match(await say(client, 'DEBUG', 'HTSTATS', '0'), /# Node a\n\[Dictionary HT\]/);
  t.equal(await say(client, 'DEBUG', 'SET-ACTIVE-EXPIRE', '0'), '+OK\r\n');
  for (const node of [0, 1, 2]) await say(client, 'PEXPIRE', deployment.key(node), '1');
  // Three rounds of what deletes them otherwise.
  await new Promise((done) => setTimeout(done, 300));
  t.equal(await say(client, 'DBSIZE'), ':4\r\n', 'expired keys stay');
  t.match(
    await say(client, 'DEBUG', 'SEGFAULT'),
    /^-ERR DEBUG SEGFAULT is not supported by this proxy: it stops the node/,
  );
  t.equal(await say(client, 'DEBUG', 'SET-ACTIVE-EXPIRE', '1'), '+OK\r\n');
  await waitFor('expired keys to go', async () => (await say(client, 'DBSIZE')) === ':1\r\n');
});

t.test('what the nodes know it to be it is, by their own list', async (t) => {
  const deployment = await deploy(t, { nodes: 1, ...ALLOWED });
  const [server] = deployment.servers as [RedisServer];
  const [ours, theirs] = [await connect(t, deployment.port), await connect(t, server.port)];
  const names = [...(await say(theirs, 'DEBUG', 'HELP')).matchAll(/^\+([A-Z][A-Z-]+)/gm)].map(
    ([, name]) => name as string,
  );
  t.ok(names.length > 30);
  for (const name of names.slice(1)) t.not(debugRow(name, '', 5), null, name);
  const words = ['DEBUG', 'STRINGMATCH-LEN', '10', 'a'];
  t.equal(await say(ours, ...words), await say(theirs, ...words), 'what they lack is none');
});

t.test('where keys are replicated, or locks, nothing is done at their nodes', async (t) => {
  for (const mode of ['replicated', 'lock']) {
    const deployment = await deploy(t, { enableDebugCommand: 'yes', keyspaces: [{ prefix: '', pool: 'main', mode }] });
    const client = await connect(t, deployment.port);
    const refused = new RegExp(
      `^-ERR DEBUG \\S+ is refused: some keys of this service are ${mode === 'lock' ? 'locks' : mode}, whose nodes do not allow DEBUG`,
    );
    for (const words of [['SLEEP', '0'], ['RELOAD'], ['DIGEST'], ['CHANGE-REPL-ID'], ['HTSTATS', '0']])
      t.match(await say(client, 'DEBUG', ...words), refused);
    for (const words of [
      ['OBJECT', 'k'],
      ['DIGEST-VALUE', 'k', 'l'],
      ['SDSLEN', 'k'],
    ])
      t.match(await say(client, 'DEBUG', ...words), /^-ERR /, words.join(' '));
    await say(client, 'MULTI');
    t.match(await say(client, 'DEBUG', 'SLEEP', '0'), /^-ERR DEBUG SLEEP is refused/);
    t.match(await say(client, 'DEBUG', 'OBJECT', 'k'), /^-ERR /);
    for (const { port } of deployment.servers)
      t.notMatch(await say(await connect(t, port), 'INFO', 'commandstats'), /cmdstat_debug/, 'no node was asked');
  }
});

t.test('a proxy that does not allow it refuses it, and so does a node by its own setting', async (t) => {
  const refusing = await deploy(t, { nodes: 1, redis: ALLOWED.redis });
  t.match(
    await say(await connect(t, refusing.port), 'DEBUG', 'SLEEP', '0'),
    /^-ERR DEBUG command not allowed\. If the enableDebugCommand option of the proxy is set to "local"/,
  );
  const local = await deploy(t, { nodes: 2, enableDebugCommand: 'local' });
  const client = await connect(t, local.port);
  t.match(
    await say(client, 'DEBUG', 'SLEEP', '0'),
    /^-ERR DEBUG command not allowed\. If the enable-debug-command option is set to "local"/,
  );
  t.match(
    await say(client, 'DEBUG', 'OBJECT', 'k'),
    /^-ERR DEBUG command not allowed\. If the enable-debug-command option/,
  );
});
