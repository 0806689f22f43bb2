/** Commands that only nodes know, those of modules: with a real module on three real servers. */
import t from 'tap';
import { deploy } from '../help/deployment.js';
import { ProxyProcess } from '../help/proxy.js';
import { RedisServer } from '../help/redis-server.js';
import { deployReplicated } from '../help/replicated-deployment.js';
import { connect, encodeWords, type RespClient, say } from '../help/resp-client.js';
import { rediSearch, trialModule } from '../help/trial-module.js';
import { waitFor } from '../help/wait-for.js';

const built = await trialModule();
const skip = 'reason' in built ? built.reason : false;
const LOADED = 'path' in built ? { args: ['--loadmodule', built.path] } : {};

for (const transport of ['io_uring', 'node'] as const) {
  t.test(`a module on ${transport}`, { skip }, async (t) => {
    const deployment = await deploy(t, { transport, workers: 1, redis: LOADED });
    const client = await connect(t, deployment.port);
    const keys = [0, 1, 2].map((node) => deployment.key(node));
    const direct = await Promise.all(deployment.servers.map(({ port }) => connect(t, port)));

    t.test('keys: each command goes to the shard of its key', async (t) => {
      for (const [node, key] of keys.entries()) {
        t.equal(await say(client, 'TRIAL.SET', key, `of ${node}`), '+OK\r\n');
        t.equal(await client.command('trial.get', key), `of ${node}`);
        t.equal(await (direct[node] as RespClient).command('GET', key), `of ${node}`);
      }
      for (const words of [['TRIAL.GET'], ['TRIAL.SET', 'a'], ['TRIAL.GET', 'a', 'b'], ['TRIAL.MGET']])
        t.equal(
          await say(client, ...words),
          `-ERR wrong number of arguments for '${words[0]?.toLowerCase()}' command\r\n`,
        );
    });

    t.test('what reads keys of several shards is gathered, what writes them is refused', async (t) => {
      t.same(await client.command('TRIAL.MGET', ...keys, '{none}'), ['of 0', 'of 1', 'of 2', null]);
      t.match(await say(client, 'TRIAL.STORE', 'x', 'FROM', ...keys), /^-CROSSSLOT /);
      t.equal(await client.command('TRIAL.GET', keys[0] as string), 'of 0');
    });

    t.test('keys that only the module finds are asked for', async (t) => {
      for (const [node, key] of keys.entries()) {
        t.equal(await client.command('TRIAL.STORE', `by ${node}`, 'or', 'so', 'FROM', key, key), 2);
        t.equal(await (direct[node] as RespClient).command('GET', key), `by ${node}`);
      }
      t.equal(await say(client, 'TRIAL.STORE', 'x'), '-ERR Invalid arguments specified for command\r\n');
    });

    t.test('subcommands', async (t) => {
      for (const [node, key] of keys.entries()) {
        t.equal(await say(client, 'TRIAL.BOX', 'SET', key, `box ${node}`), '+OK\r\n');
        t.equal(await client.command('trial.box', 'get', key), `box ${node}`);
        t.equal(await (direct[node] as RespClient).command('GET', key), `box ${node}`);
      }
      for (const words of [['TRIAL.BOX'], ['TRIAL.BOX', 'NOPE'], ['TRIAL.BOX', 'GET']])
        t.equal(await say(client, ...words), await say(direct[0] as RespClient, ...words), words.join(' '));
    });

    t.test('one that waits holds up nobody', async (t) => {
      const waiter = await connect(t, deployment.port);
      const waiting = waiter.raw('TRIAL.WAIT', keys[1] as string, '300');
      let isOver = false;
      void waiting.then(() => {
        isOver = true;
      });
      await waitFor('the waiter', async () =>
        /blocked_clients:1\r/.test(String(await client.command('INFO', 'clients'))),
      );
      t.equal(await client.command('TRIAL.GET', keys[1] as string), 'box 1');
      t.notOk(isOver);
      t.equal((await waiting).toString(), '+OK\r\n');
      const goer = await connect(t, deployment.port);
      goer.send(encodeWords(['TRIAL.WAIT', keys[1] as string, '60000']));
      await waitFor('the goer', async () =>
        /blocked_clients:1\r/.test(String(await client.command('INFO', 'clients'))),
      );
      goer.close();
      await waitFor('its end', async () => /blocked_clients:0\r/.test(String(await client.command('INFO', 'clients'))));
    });

    t.test('without keys: where no data are concerned, or the description says how', async (t) => {
      const pids = deployment.servers.map(({ pid }) => pid);
      t.ok(pids.includes((await client.command('TRIAL.PID')) as number));
      t.match(
        await say(client, 'TRIAL.SIZE'),
        /^-ERR TRIAL\.SIZE is not supported by this proxy: it names no keys, but /,
      );
      t.equal(await client.command('TRIAL.TOTAL'), await client.command('DBSIZE'));
    });

    t.test('in transactions, pipelines and scripts, in RESP3 and other databases', async (t) => {
      const [key, other] = keys as [string, string];
      for (const words of [['MULTI'], ['TRIAL.SET', key, '1'], ['TRIAL.STORE', '2', 'FROM', key], ['TRIAL.GET', key]])
        await client.command(...words);
      t.same(await client.command('EXEC'), ['OK', 1, '2']);
      for (const [words, reply] of [
        [['MULTI'], '+OK\r\n'],
        [['TRIAL.SET', key, '3'], '+QUEUED\r\n'],
        [['TRIAL.STORE', '4', 'FROM', other], /^-CROSSSLOT /],
        [['EXEC'], /^-EXECABORT /],
      ] as const)
        t.match(await say(client, ...words), reply);
      await client.command('MULTI');
      t.match(
        await say(client, 'TRIAL.NOPE', 'x'),
        /^-ERR unknown command 'TRIAL\.NOPE', with args beginning with: 'x' /,
      );
      t.match(await say(client, 'EXEC'), /^-EXECABORT /);
      const frames = [
        ['SET', other, 'a'],
        ['TRIAL.GET', other],
        ['TRIAL.STORE', 'b', 'FROM', other],
        ['GET', other],
        ['TRIAL.PID'],
        ['PING'],
      ];
      client.send(Buffer.concat(frames.map(encodeWords)));
      const replies: string[] = [];
      for (const _ of frames) replies.push((await client.next()).toString());
      t.match(replies.join(''), /^\+OK\r\n\$1\r\na\r\n:1\r\n\$1\r\nb\r\n:\d+\r\n\+PONG\r\n$/);
      t.equal(await client.command('EVAL', 'return redis.call("TRIAL.GET", KEYS[1])', '1', other), 'b');
      const apart = await connect(t, deployment.port);
      await apart.command('HELLO', '3');
      await apart.command('SELECT', '2');
      t.equal(await apart.command('TRIAL.GET', other), null);
      await apart.command('TRIAL.STORE', 'c', 'FROM', other);
      t.equal(await apart.command('TRIAL.GET', other), 'c');
      t.equal(await client.command('GET', other), 'b');
    });

    t.test('WAIT and CLIENT PAUSE know which of them write', async (t) => {
      await client.command('CLIENT', 'PAUSE', '100000', 'WRITE');
      const writer = await connect(t, deployment.port);
      const written = writer.raw('TRIAL.SET', keys[0] as string, 'late');
      t.not(await client.command('TRIAL.GET', keys[0] as string), 'late');
      await client.command('CLIENT', 'UNPAUSE');
      t.equal((await written).toString(), '+OK\r\n');
      t.equal(await writer.command('WAIT', '0', '100'), 0);
    });

    t.test('MONITOR shows them', async (t) => {
      const monitor = await connect(t, deployment.port);
      await monitor.command('MONITOR');
      await client.command('CLIENT', 'SETNAME', 'somebody');
      for (const words of [
        ['TRIAL.BOX', 'GET', keys[0] as string],
        ['TRIAL.STORE', 'm', 'FROM', keys[0] as string],
        ['TRIAL.NOPE', 'x'],
        ['PING'],
      ])
        await client.raw(...words);
      for (const shown of [
        /SETNAME/,
        `"TRIAL.BOX" "GET" "${keys[0]}"`,
        `"TRIAL.STORE" "m" "FROM" "${keys[0]}"`,
        '"PING"',
      ])
        t.match((await monitor.next()).toString(), shown);
      t.match(await say(monitor, 'TRIAL.GET', keys[0] as string), /^-ERR Replica can't interact with the keyspace/);
    });

    t.test('COMMAND shows them', async (t) => {
      t.ok(((await client.command('COMMAND', 'LIST')) as string[]).includes('trial.set'));
      const [info] = (await client.command('COMMAND', 'INFO', 'trial.get')) as [[string]];
      t.equal(info[0], 'trial.get');
      t.same(await client.command('COMMAND', 'GETKEYS', 'TRIAL.STORE', 'v', 'FROM', 'a', 'b'), ['a', 'b']);
      t.equal(await client.command('COMMAND', 'COUNT'), await (direct[0] as RespClient).command('COMMAND', 'COUNT'));
    });

    t.test('nodes are asked once, also for what is none', async (t) => {
      /** How often all nodes were asked what they know. */
      const asked = async () => {
        const infos = await Promise.all(direct.map((node) => node.command('INFO', 'commandstats')));
        const calls = infos.map((info) => Number(/command\|info:calls=(\d+)/.exec(String(info))?.[1] ?? 0));
        return calls.reduce((sum, count) => sum + count, 0);
      };
      const before = await asked();
      for (let count = 0; count < 50; count++) await client.command('TRIAL.GET', 'a');
      t.equal(await asked(), before);
      client.send(Buffer.concat(Array.from({ length: 500 }, () => encodeWords(['NONSENSE']))));
      for (let count = 0; count < 500; count++)
        t.match((await client.next()).toString(), /^-ERR unknown command 'NONSENSE'/);
      const after = await asked();
      t.ok(after > before && after <= before + 3 * direct.length, `${after - before} times`);
    });

    t.test('a node that dies: an error that names it, and its module is known when it is back', async (t) => {
      await deployment.servers[0]?.kill9();
      await waitFor('the death', async () =>
        /^-NODEDOWN node a\b/.test(await say(client, 'TRIAL.GET', keys[0] as string)),
      );
      for (const key of keys.slice(1)) {
        t.equal(await say(client, 'TRIAL.SET', key, 'meanwhile'), '+OK\r\n');
        t.equal(await client.command('TRIAL.GET', key), 'meanwhile');
      }
      await deployment.servers[0]?.restart();
      await waitFor('the node', async () => (await say(client, 'TRIAL.SET', keys[0] as string, 'v')) === '+OK\r\n');
    });
  });
}

t.test(
  'not all nodes have the module: an error names one that lacks it, until it is loaded there',
  { skip },
  async (t) => {
    if ('reason' in built) return;
    const servers = [await RedisServer.start(LOADED), await RedisServer.start()] as const;
    t.teardown(() => Promise.all(servers.map((server) => server.stop())));
    const nodes = servers.map(({ url }, index) => ({ name: index === 0 ? 'with' : 'without', url }));
    const proxy = await ProxyProcess.start({ nodes });
    t.teardown(() => proxy.kill9());
    const client = await connect(t, proxy.port);
    for (const key of ['a', 'b', 'c', 'd'])
      t.match(
        await say(client, 'TRIAL.GET', key),
        /^-ERR node without does not know TRIAL\.GET; other nodes .* such as with, do/,
      );
    const shown = () => client.command('COMMAND', 'LIST') as Promise<string[]>;
    t.notOk((await shown()).includes('trial.get'), 'what is not carried out is not shown');
    await client.command('MULTI');
    t.match(await say(client, 'TRIAL.GET', 'a'), /^-ERR node without does not know/);
    t.match(await say(client, 'EXEC'), /^-EXECABORT /);
    const lacking = await connect(t, servers[1].port);
    await servers[1].kill9();
    lacking.close();
    // A name that was asked for a moment ago is asked for again when a node has come back.
    const other = await RedisServer.start({ port: servers[1].port, ...LOADED });
    t.teardown(() => other.stop());
    await waitFor('the module', async () => {
      const replies = await Promise.all(['a', 'b', 'c', 'd'].map((key) => say(client, 'TRIAL.SET', key, '1')));
      return replies.every((reply) => reply === '+OK\r\n');
    });
    t.ok((await shown()).includes('trial.get'));
  },
);

t.test('a module of one pool is of use to its keyspace alone', { skip }, async (t) => {
  const servers = [await RedisServer.start(LOADED), await RedisServer.start()] as const;
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  const layout = {
    pools: {
      main: { nodes: [{ name: 'm', url: servers[1].url }] },
      trial: { nodes: [{ name: 't', url: servers[0].url }] },
    },
    keyspaces: [
      { prefix: '', pool: 'main' },
      { prefix: 'trial:', pool: 'trial' },
    ],
  };
  const proxy = await ProxyProcess.start({ layout });
  t.teardown(() => proxy.kill9());
  const client = await connect(t, proxy.port);
  t.equal(await say(client, 'TRIAL.SET', 'trial:a', '1'), '+OK\r\n');
  t.equal(await client.command('TRIAL.STORE', '2', 'FROM', 'trial:a'), 1);
  t.match(await say(client, 'TRIAL.SET', 'a', '1'), /^-ERR unknown command 'TRIAL\.SET'/);
  t.ok(((await client.command('COMMAND', 'LIST')) as string[]).includes('trial.set'));
  t.match(await say(client, 'TRIAL.PID'), /^-ERR TRIAL\.PID is not supported by this proxy: /);
});

t.test(
  'users with rights of their own: its keys are looked at, also those that only the module finds',
  { skip },
  async (t) => {
    const users = ['all on nopass ~* &* +@all', 'some on nopass ~mine:* &* +@all', 'reader on nopass ~* &* +@read'];
    const { port } = await deploy(t, { nodes: 1, redis: LOADED, auth: { users } });
    const denied = /^-NOPERM this user has no permissions to access one of the keys used as arguments/;
    const some = await connect(t, port);
    await some.command('AUTH', 'some', 'x');
    t.equal(await say(some, 'TRIAL.SET', 'mine:a', '1'), '+OK\r\n');
    t.equal(await say(some, 'TRIAL.STORE', '2', 'FROM', 'mine:a', 'mine:b'), ':2\r\n');
    t.match(await say(some, 'TRIAL.SET', 'other', '1'), denied);
    t.match(await say(some, 'TRIAL.STORE', '2', 'FROM', 'mine:a', 'other'), denied);
    t.match(await say(some, 'TRIAL.BOX', 'GET', 'other'), denied);
    for (const words of [['MULTI'], ['TRIAL.STORE', '3', 'FROM', 'mine:a'], ['TRIAL.BOX', 'GET', 'mine:a']])
      await some.command(...words);
    t.same(await some.command('EXEC'), [1, '3']);
    const reader = await connect(t, port);
    await reader.command('AUTH', 'reader', 'x');
    t.match(
      await say(reader, 'TRIAL.GET', 'mine:a'),
      /^-NOPERM this user has no permissions to run the 'trial\.get' command/,
    );
  },
);

t.test('keys with copies: what a module does with them is not known', { skip }, async (t) => {
  const { proxies, servers, plain } = await deployReplicated(t, LOADED);
  const client = await connect(t, proxies[0].port);
  const refused = /^-ERR TRIAL\.\w+ is not for replicated keys: /;
  t.match(await say(client, 'TRIAL.SET', 'key', '1'), refused);
  t.match(await say(client, 'TRIAL.STORE', '1', 'FROM', 'key'), refused);
  t.match(
    await say(client, 'TRIAL.PID'),
    /^-ERR TRIAL\.PID is not supported by this proxy: it names no keys, and may change copies/,
  );
  await client.command('MULTI');
  t.match(await say(client, 'TRIAL.GET', 'key'), refused);
  t.match(await say(client, 'EXEC'), /^-EXECABORT /);
  for (const { port } of servers) t.equal(await (await connect(t, port)).command('EXISTS', 'key'), 0);
  t.equal(await say(client, 'TRIAL.SET', 'plain:key', '1'), '+OK\r\n');
  t.equal(await (await connect(t, plain.port)).command('GET', 'plain:key'), '1', 'a key without copies beside them');
});

t.test(
  'a command of Redis that a node lacks: its own error, and the others of a transaction are not done',
  async (t) => {
    const deployment = await deploy(t, {
      redis: { args: ['--rename-command', 'LCS', '', '--rename-command', 'DEL', ''] },
    });
    const client = await connect(t, deployment.port);
    const [one, other] = [deployment.key(0), deployment.key(1)];
    t.match(await say(client, 'LCS', '{x}a', '{x}b'), /^-ERR unknown command 'LCS'/);
    t.match(await say(client, 'DEL', one, other), /unknown command 'DEL'/);
    for (const words of [['MULTI'], ['SET', '{x}a', '1'], ['LCS', '{x}a', '{x}b']]) await client.command(...words);
    t.match(await say(client, 'EXEC'), /^-EXECABORT /);
    t.equal(await client.command('GET', '{x}a'), null);
  },
);

const search = await rediSearch();
const noSearch = 'reason' in search ? search.reason : false;
t.test('RediSearch, as Debian has it: an index is on the shard of its name', { skip: noSearch }, async (t) => {
  if ('reason' in search) return;
  const deployment = await deploy(t, { redis: { args: ['--loadmodule', search.path] } });
  const client = await connect(t, deployment.port);
  for (let node = 0; node < 3; node++) {
    const index = deployment.key(node, 'index');
    t.equal(await say(client, 'FT.CREATE', index, 'SCHEMA', 'title', 'TEXT'), '+OK\r\n');
    t.equal(await say(client, 'FT.ADD', index, `{${index}}doc`, '1.0', 'FIELDS', 'title', `hello ${node}`), '+OK\r\n');
    t.same(await client.command('FT.SEARCH', index, 'hello'), [1, `{${index}}doc`, ['title', `hello ${node}`]]);
    t.same(await client.command('HGETALL', `{${index}}doc`), ['title', `hello ${node}`]);
    t.equal(await say(client, 'FT.DROP', index), '+OK\r\n');
  }
  const direct = await connect(t, deployment.servers[0]?.port as number);
  t.equal(await say(client, 'FT.SEARCH', 'none', 'hello'), await say(direct, 'FT.SEARCH', 'none', 'hello'));
});
