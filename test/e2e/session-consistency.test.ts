/** RL.CONSISTENCY through a proxy before strong keys, keys of consistency quorum, eventual and weak ones, and sharded ones. */
import t from 'tap';
import { ProxyProcess } from '../help/proxy.js';
import { startRedisServers } from '../help/redis-server.js';
import { connect, encodeWords, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

t.setTimeout(120_000);

const servers = await startRedisServers(4);
t.teardown(() => Promise.all(servers.map((server) => server.stop())));
const nodes = servers.slice(0, 3).map(({ url }, index) => ({ name: `n${index}`, url }));
const mode = 'replicated';
const proxy = await ProxyProcess.start({
  layout: {
    pools: { main: { nodes }, plain: { nodes: [{ name: 'plain', url: servers[3]?.url }] } },
    keyspaces: [
      { prefix: '', pool: 'main', mode, copies: 3 },
      { prefix: 'q:', pool: 'main', mode, copies: 3, consistency: 'quorum' },
      { prefix: 'e:', pool: 'main', mode, copies: 3, consistency: 'eventual' },
      { prefix: 'w:', pool: 'main', mode, copies: 3, consistency: 'weak' },
      { prefix: 'plain:', pool: 'plain', mode: 'sharded' },
    ],
  },
});
t.teardown(() => proxy.kill9());
const first = await connect(t, proxy.port);
await waitFor('nodes that take part', async () => (await say(first, 'SET', 's', '1')) === '+OK\r\n');
for (const key of ['q:k', 'e:k', 'w:k', 'plain:k']) await say(first, 'SET', key, '1');

async function plainReads(): Promise<number> {
  return Number(/replicated_plain_reads:(\d+)/.exec(await say(first, 'INFO', 'ringleader'))?.[1]);
}

t.test('it is shown, set in any case, and put back by DEFAULT and RESET', async (t) => {
  const client = await connect(t, proxy.port);
  t.equal(await say(client, 'RL.CONSISTENCY'), '$7\r\ndefault\r\n');
  for (const level of ['strong', 'quorum', 'eventual', 'weak']) {
    t.equal(await say(client, 'rl.consistency', level.toUpperCase()), '+OK\r\n');
    t.equal(await say(client, 'RL.CONSISTENCY'), `$${level.length}\r\n${level}\r\n`);
  }
  t.equal(await say(client, 'RL.CONSISTENCY', 'Default'), '+OK\r\n');
  t.equal(await say(client, 'RL.CONSISTENCY'), '$7\r\ndefault\r\n');
  await say(client, 'RL.CONSISTENCY', 'weak');
  t.equal(await say(client, 'RESET'), '+RESET\r\n');
  t.equal(await say(client, 'RL.CONSISTENCY'), '$7\r\ndefault\r\n');
  t.match(
    await say(client, 'RL.CONSISTENCY', 'exact'),
    /^-ERR the level is to be one of strong, quorum, eventual, weak, default\r/,
  );
  t.match(await say(client, 'RL.CONSISTENCY', 'weak', 'weak'), /^-ERR wrong number of arguments for 'rl.consistency'/);
  t.equal(await say(client, 'MULTI'), '+OK\r\n');
  t.match(await say(client, 'RL.CONSISTENCY', 'weak'), /^-ERR RL.CONSISTENCY inside MULTI is not supported/);
  t.match(await say(client, 'EXEC'), /^-EXECABORT/);
  t.match(
    await say(client, 'COMMAND', 'DOCS', 'rl.consistency'),
    /at which level this connection reads[\s\S]*quorum[\s\S]*eventual[\s\S]*weak/,
  );
});

t.test('what is read after WATCH is what it looks after, not what one copy has', async (t) => {
  const [writer, reader] = [await connect(t, proxy.port), await connect(t, proxy.port)];
  t.equal(await say(reader, 'RL.CONSISTENCY', 'weak'), '+OK\r\n');
  const keys = Array.from({ length: 12 }, (_, number) => `watched:${number}`);
  for (const key of keys) t.equal(await say(writer, 'SET', key, 'old'), '+OK\r\n');
  // One node misses what is written now: it is the home of some of the keys.
  const late = await connect(t, servers[0]?.port as number);
  await say(late, 'CONFIG', 'SET', 'maxmemory', '1');
  for (const key of keys) t.equal(await say(writer, 'SET', key, 'new'), '+OK\r\n');
  const before = await plainReads();
  for (const key of keys) {
    t.equal(await say(reader, 'WATCH', key), '+OK\r\n');
    t.equal(await say(reader, 'GET', key), '$3\r\nnew\r\n');
    t.equal(await say(reader, 'UNWATCH'), '+OK\r\n');
  }
  t.equal(await plainReads(), before);
  await say(late, 'CONFIG', 'SET', 'maxmemory', '0');
  await say(reader, 'GET', 's');
  t.equal(await plainReads(), before + 1, 'and after UNWATCH it reads weakly again');
});

t.test('keys that promise less are refused, whatever is asked of them, and others are not', async (t) => {
  const client = await connect(t, proxy.port);
  const refused: Record<string, string[]> = {
    strong: ['q:k', 'e:k', 'w:k'],
    quorum: ['e:k', 'w:k'],
    eventual: ['w:k'],
    weak: [],
  };
  for (const [level, keys] of Object.entries(refused)) {
    t.equal(await say(client, 'RL.CONSISTENCY', level), '+OK\r\n');
    for (const key of ['s', 'q:k', 'e:k', 'w:k', 'plain:k']) {
      const isRefused = keys.includes(key);
      for (const words of [
        ['GET', key],
        ['SET', key, '1'],
        ['MGET', key],
        ['EVAL_RO', 'return 1', '1', key],
      ]) {
        const reply = await say(client, ...words);
        const text = `${level}: ${words.join(' ')}: ${reply}`;
        if (isRefused)
          t.match(reply, new RegExp(`^-ERR RL.CONSISTENCY ${level}: keys of this keyspace are of consistency`), text);
        else t.notMatch(reply, /^-/, text);
      }
    }
    if (!keys.includes('w:k')) continue;
    t.match(await say(client, 'MGET', 's', 'w:k'), /^-ERR RL.CONSISTENCY/);
    await say(client, 'MULTI');
    t.match(await say(client, 'GET', 'w:k'), /^-ERR RL.CONSISTENCY/);
    t.match(await say(client, 'EXEC'), /^-EXECABORT/);
  }
});

t.test('weak reads are sent to one copy, of keys of all levels; others are not', async (t) => {
  const client = await connect(t, proxy.port);
  for (const [level, plain] of [
    ['weak', 4],
    ['eventual', 0],
    ['quorum', 0],
    ['strong', 0],
    ['default', 1],
  ] as const) {
    await say(client, 'RL.CONSISTENCY', level);
    const before = await plainReads();
    for (const key of ['s', 'q:k', 'e:k', 'w:k', 'plain:k']) await say(client, 'GET', key);
    t.equal((await plainReads()) - before, plain, level);
  }
});

t.test('who is content with eventual reads is told of all other keys what their keyspaces promise', async (t) => {
  const client = await connect(t, proxy.port);
  await say(client, 'RL.CONSISTENCY', 'eventual');
  for (const key of ['s:last', 'q:last', 'e:last']) {
    for (let round = 0; round < 20; round++) {
      t.equal(await say(first, 'SET', key, `${round}`), '+OK\r\n');
      t.equal(await say(client, 'GET', key), `$${`${round}`.length}\r\n${round}\r\n`, `${key}: the last write`);
    }
  }
});

t.test('another session reads as before', async (t) => {
  const weak = await connect(t, proxy.port);
  await say(weak, 'RL.CONSISTENCY', 'weak');
  const before = await plainReads();
  await say(first, 'GET', 's');
  t.equal(await plainReads(), before);
});

t.test('a pipeline keeps its order where strong and eventual keys are read weakly', async (t) => {
  const client = await connect(t, proxy.port);
  await say(client, 'RL.CONSISTENCY', 'weak');
  for (let round = 0; round < 200; round++) {
    const key = round % 2 === 0 ? 'line' : 'e:line';
    const asked = [
      ['GET', key],
      ['SET', key, `a${round}`],
      ['GET', key],
      ['MULTI'],
      ['SET', key, `b${round}`],
      ['EXEC'],
    ];
    client.send(Buffer.concat(asked.map(encodeWords)));
    const replies: string[] = [];
    for (const _ of asked) replies.push(`${await client.next()}`);
    t.notMatch(replies[0], new RegExp(`[ab]${round}\r`), 'nothing that was written later');
    t.match(replies[2], new RegExp(`a${round}\r`), 'what was written before, and nothing later');
  }
});

t.test('with a majority gone, strong keys can still be read weakly, and not be written', async (t) => {
  await servers[0]?.kill9();
  await servers[1]?.kill9();
  const client = await connect(t, proxy.port);
  await waitFor('no quorum', async () => (await say(client, 'GET', 's')).startsWith('-NOQUORUM'));
  await say(client, 'RL.CONSISTENCY', 'weak');
  await waitFor('the last one', async () => (await say(client, 'GET', 's')) === '$1\r\n1\r\n');
  t.match(await say(client, 'SET', 's', '2'), /^-(NOQUORUM|UNKNOWN) /);
  t.equal(await say(client, 'GET', 'w:k'), '$1\r\n1\r\n');
  t.equal(await say(client, 'SET', 'w:k', '2'), '+OK\r\n');
  for (const level of ['weak', 'eventual', 'default']) {
    await say(client, 'RL.CONSISTENCY', level);
    t.match(await say(client, 'GET', 'e:k'), /^\$/, `eventual keys, ${level}`);
    t.equal(await say(client, 'SET', 'e:k', level), '+OK\r\n');
    t.equal(await say(client, 'GET', 'e:k'), `$${level.length}\r\n${level}\r\n`);
  }
  await say(client, 'RL.CONSISTENCY', 'eventual');
  t.match(await say(client, 'GET', 's'), /^-NOQUORUM/, 'eventual is no weak read of strong keys');
});

t.test('no worker has died of all that', async (t) => {
  t.same(
    proxy.logLines.filter(({ msg }) => msg === 'worker-died'),
    [],
  );
});
