/** Commands of all types through the proxy over three nodes, against one plain Redis: byte for byte the same replies. */
import t, { type Test } from 'tap';
import { deploy } from '../help/deployment.js';
import { RedisServer } from '../help/redis-server.js';
import { parseReply, ReplyError, type Value } from '../help/reference-parser.js';
import { encodeWords, RespClient } from '../help/resp-client.js';
import { within } from '../help/wait-for.js';
import { COMMAND_SCRIPT, readScript, type ScriptedCommand } from './command-script.js';

const SCRIPT = readScript(COMMAND_SCRIPT);

interface Pair {
  proxy: RespClient;
  redis: RespClient;
}

for (const transport of ['io_uring', 'node'] as const) {
  t.test(`on ${transport}, the proxy answers as one Redis`, async (t) => {
    const deployment = await deploy(t, { transport });
    const oracle = await RedisServer.start();
    t.teardown(() => oracle.stop());
    const pair = async (): Promise<Pair> => ({
      proxy: await RespClient.connect(deployment.port),
      redis: await RespClient.connect(oracle.port),
    });

    for (const protocol of ['2', '3']) {
      t.test(`${SCRIPT.length} commands one by one in RESP${protocol}`, async (t) => {
        const { proxy, redis } = await pair();
        await greet(t, { proxy, redis }, protocol);
        for (const command of SCRIPT) {
          const own = await proxy.raw(...command.words);
          const theirs = await redis.raw(...command.words);
          if (!own.equals(theirs) || command.isUnordered)
            t.equal(show(own, command), show(theirs, command), command.line);
        }
        proxy.close();
        redis.close();
      });

      t.test(`the same in one pipeline in RESP${protocol}`, async (t) => {
        const { proxy, redis } = await pair();
        await greet(t, { proxy, redis }, protocol);
        const commands = SCRIPT.filter(({ isUnordered }) => !isUnordered);
        const frames = Buffer.concat(commands.map(({ words }) => encodeWords(words)));
        proxy.send(frames);
        redis.send(frames);
        for (const { line } of commands) {
          const [own, theirs] = [await proxy.next(), await redis.next()];
          if (!own.equals(theirs)) t.equal(own.toString('latin1'), theirs.toString('latin1'), line);
        }
        proxy.close();
        redis.close();
      });
    }
  });
}

t.test('INFO has the fields of one Redis, and adds up what the nodes hold', async (t) => {
  const deployment = await deploy(t);
  const oracle = await RedisServer.start();
  t.teardown(() => oracle.stop());
  const [proxy, redis] = [await RespClient.connect(deployment.port), await RespClient.connect(oracle.port)];
  for (const client of [proxy, redis]) {
    for (let number = 0; number < 100; number++) await client.command('SET', `key:${number}`, 'v', 'EX', '1000');
    await client.command('SET', 'lasting', 'v');
  }
  const [own, theirs] = [await info(proxy), await info(redis)];
  const redisKeys = [...own.keys()].filter((name) => !name.startsWith('ringleader_'));
  t.same(redisKeys, [...theirs.keys()], 'the same fields, in the same order');
  for (const name of ['redis_version', 'redis_mode', 'loading', 'role', 'maxmemory_policy', 'connected_clients']) {
    t.equal(own.get(name), theirs.get(name), name);
  }
  t.match(own.get('db0'), /^keys=101,expires=100,avg_ttl=\d+$/);
  const sections = async (client: RespClient, ...words: string[]) =>
    `${await client.command('INFO', ...words)}`.match(/^# .*$/gm);
  for (const words of [['server'], ['Keyspace', 'clients'], ['all'], ['default'], ['everything'], ['commandstats']]) {
    const shown = (await sections(proxy, ...words))?.filter((title) => title !== '# Ringleader');
    t.same(shown, await sections(redis, ...words), `INFO ${words}`);
  }
  await proxy.command('HELLO', '3');
  t.match((await proxy.raw('INFO', 'server')).toString(), /^=\d+\r\ntxt:# Server\r\nredis_version:7/);
  proxy.close();
  redis.close();
});

t.test('each client has a number and a name of its own', async (t) => {
  const deployment = await deploy(t, { nodes: 1 });
  const clients = await Promise.all(Array.from({ length: 20 }, () => RespClient.connect(deployment.port)));
  const ids = await Promise.all(clients.map((client) => client.command('CLIENT', 'ID')));
  t.equal(new Set(ids).size, clients.length);
  for (const [index, client] of clients.entries()) await client.command('CLIENT', 'SETNAME', `name-${index}`);
  const direct = await RespClient.connect((deployment.servers[0] as RedisServer).port);
  const fields = (line: Value) => [...`${line}`.matchAll(/(\S+)=/g)].map(([, name]) => name);
  const expected = fields(await direct.command('CLIENT', 'INFO'));
  for (const [index, client] of clients.entries()) {
    t.equal(await client.command('CLIENT', 'GETNAME'), `name-${index}`);
    const line = await client.command('CLIENT', 'INFO');
    t.match(line, new RegExp(`^id=${ids[index]} addr=127\\.0\\.0\\.1:\\d+ .* name=name-${index} `));
    t.same(fields(line), expected, 'the fields of CLIENT INFO');
  }
  t.match(await clients[0]?.command('CLIENT', 'SETINFO', 'lib-name', 'a-library'), 'OK');
  const refusal = await clients[0]?.command('CLIENT', 'MAINT_NOTIFICATIONS', 'ON');
  t.match(refusal, new ReplyError("ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP."));
  for (const client of [...clients, direct]) client.close();
});

t.test('QUIT is answered, after all that came before it, and ends the connection', async (t) => {
  const deployment = await deploy(t);
  const client = await RespClient.connect(deployment.port);
  const keys = [0, 1, 2].map((node) => deployment.key(node));
  for (const key of keys) client.send(encodeWords(['SET', key, key]));
  client.send(Buffer.concat([encodeWords(['MGET', ...keys]), Buffer.from('QUIT\r\nPING\r\n')]));
  await within('the end of the connection', client.closed);
  const values = keys.map((key) => `$${key.length}\r\n${key}\r\n`).join('');
  t.equal(client.unread, `+OK\r\n+OK\r\n+OK\r\n*3\r\n${values}+OK\r\n`);
});

t.test('keys of different shards, and what is not supported, are refused with the reason', async (t) => {
  const deployment = await deploy(t);
  const client = await RespClient.connect(deployment.port);
  const [one, other] = [deployment.key(0), deployment.key(1)];
  for (const words of [
    ['SMOVE', one, other, 'member'],
    ['RENAME', one, other],
    ['EVAL', 'return 1', '2', one, other],
    ['MSETNX', one, '1', other, '2'],
    ['XREAD', 'BLOCK', '0', 'STREAMS', one, other, '0', '0'],
  ]) {
    const reply = (await client.command(...words)) as ReplyError;
    t.match(reply.message, /^CROSSSLOT /);
    t.match(reply.message, `'${one}' on node a, '${other}' on node b; a {hash tag} keeps keys together`, `${words[0]}`);
  }
  for (const words of [
    ['SHUTDOWN', 'NOSAVE'],
    ['REPLICAOF', 'NO', 'ONE'],
    ['FAILOVER'],
    ['MIGRATE', '', '', '', '0', '1'],
  ]) {
    const reply = (await client.command(...words)) as ReplyError;
    t.match(reply.message, new RegExp(`^ERR ${words[0]} is not supported by this proxy: .+`));
  }
  t.equal(await client.command('PING'), 'PONG', 'the connection stays');
  client.close();
});

t.test('ten thousand keys of all shards are written, read, counted and deleted by one command each', async (t) => {
  const deployment = await deploy(t);
  const client = await RespClient.connect(deployment.port);
  const keys = Array.from({ length: 10_000 }, (_, number) => `key:${number}`);
  t.equal(await client.command('MSET', ...keys.flatMap((key) => [key, `value of ${key}`])), 'OK');
  t.same(
    await client.command('MGET', ...keys),
    keys.map((key) => `value of ${key}`),
  );
  t.equal(await client.command('DBSIZE'), keys.length);
  t.equal(await client.command('EXISTS', ...keys, ...keys), 2 * keys.length);
  const perNode = [];
  for (const server of deployment.servers) {
    const direct = await RespClient.connect(server.port);
    perNode.push((await direct.command('DBSIZE')) as number);
    direct.close();
  }
  t.ok(
    perNode.every((count) => count > keys.length / 5),
    `${perNode} keys on the nodes`,
  );
  t.equal(await client.command('UNLINK', ...keys), keys.length);
  t.equal(await client.command('DBSIZE'), 0);
  client.close();
});

t.test('a value dumped on one node is restored on another', async (t) => {
  const deployment = await deploy(t);
  const client = await RespClient.connect(deployment.port);
  const [source, target] = [deployment.key(0), deployment.key(2)];
  await client.command('RPUSH', source, ...Array.from({ length: 500 }, (_, number) => `${number}\r\n\x00\xff`));
  const dump = Buffer.from((await client.command('DUMP', source)) as string, 'latin1');
  t.equal(await client.command('RESTORE', target, '0', dump), 'OK');
  t.same(await client.command('LRANGE', target, '0', '-1'), await client.command('LRANGE', source, '0', '-1'));
  client.close();
});

/** The fields of INFO, in their order. */
async function info(client: RespClient): Promise<Map<string, string>> {
  const text = `${await client.command('INFO')}`;
  return new Map([...text.matchAll(/^(\w+):(.*)\r$/gm)].map(([, name, value]) => [name as string, value as string]));
}

/** Both are asked HELLO; the replies are the same but for the client's number. */
async function greet(t: Test, { proxy, redis }: Pair, protocol: string): Promise<void> {
  const [own, theirs] = [await proxy.raw('HELLO', protocol), await redis.raw('HELLO', protocol)];
  const anonymous = (frame: Buffer) => frame.toString('latin1').replace(/(\$2\r\nid\r\n):\d+/, '$1:0');
  t.equal(anonymous(own), anonymous(theirs), `HELLO ${protocol}`);
}

function show(frame: Buffer, { isUnordered }: ScriptedCommand): string {
  if (!isUnordered) return frame.toString('latin1');
  const value = parseReply(frame)?.value as Value;
  const values = value instanceof Set ? [...value] : (value as readonly Value[]);
  return `${String.fromCharCode(frame[0] as number)} ${values.map(String).sort().join(' ')}`;
}
