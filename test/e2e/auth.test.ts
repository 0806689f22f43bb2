/** Passwords for clients, next to a Redis with the same password: byte for byte the same answers. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import t from 'tap';
import { removeFolder, scratchFolder } from '../help/child.js';
import { deploy } from '../help/deployment.js';
import { freePort } from '../help/free-port.js';
import { redisPrograms } from '../help/redis-programs.js';
import { RedisServer } from '../help/redis-server.js';
import { connect } from '../help/resp-client.js';

const PASSWORD = 'opensesame';
const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));

/** One connection each, line by line. The numbers of clients and what differs by nature are made equal. */
const DIALOGUES: readonly (readonly string[][])[] = [
  [
    ['PING'],
    ['GET', 'a'],
    ['NONSENSE', 'a'],
    ['GET'],
    ['CLIENT', 'NONSENSE'],
    ['MULTI'],
    ['EXEC'],
    ['EXEC', 'x'],
    ['DISCARD'],
    ['WATCH', 'a'],
    ['SUBSCRIBE', 'a'],
    ['SELECT', '1'],
    ['AUTH'],
    ['AUTH', 'wrong'],
    ['AUTH', 'default', 'wrong'],
    ['AUTH', 'bob', PASSWORD],
    ['AUTH', 'a', 'b', 'c'],
    ['GET', 'a'],
    ['AUTH', PASSWORD],
    ['GET', 'a'],
    ['AUTH', 'wrong'],
    ['GET', 'a'],
    ['RESET', 'x'],
    ['MULTI'],
    ['RESET'],
    ['GET', 'a'],
    ['EXEC'],
    ['QUIT', 'x'],
  ],
  [
    ['HELLO'],
    ['HELLO', '3'],
    ['HELLO', '4'],
    ['HELLO', 'x'],
    ['HELLO', '3', 'NONSENSE'],
    ['HELLO', '3', 'SETNAME', 'a b'],
    ['HELLO', '3', 'SETNAME', 'me'],
    ['HELLO', '3', 'AUTH', 'default'],
    ['HELLO', '3', 'AUTH', 'default', 'wrong'],
    ['CLIENT', 'GETNAME'],
    ['HELLO', '3', 'AUTH', 'default', PASSWORD, 'SETNAME', 'me'],
    ['CLIENT', 'GETNAME'],
    ['GET', 'a'],
    ['HELLO', '2', 'AUTH', 'default', 'wrong'],
    ['GET', 'a'],
    ['HELLO', '2'],
    ['RESET'],
    ['CLIENT', 'GETNAME'],
    ['AUTH', 'default', PASSWORD],
    ['CLIENT', 'GETNAME'],
  ],
  [
    ['HELLO', '3', 'AUTH', 'default', PASSWORD, 'NONSENSE'],
    ['GET', 'a'],
    ['HELLO', '3', 'AUTH', 'default', PASSWORD, 'AUTH', 'default', 'wrong'],
    ['GET', 'a'],
  ],
];

function plain(reply: Buffer): string {
  return reply.toString('latin1').replace(/(\$2\r\nid\r\n):\d+/, '$1:n');
}

t.test('every answer is that of a Redis with the same password', async (t) => {
  const deployment = await deploy(t, { auth: { password: PASSWORD } });
  const single = await RedisServer.start({ args: ['--requirepass', PASSWORD] });
  t.teardown(() => single.stop());
  for (const dialogue of DIALOGUES) {
    const [ours, theirs] = [await connect(t, deployment.port), await connect(t, single.port)];
    for (const words of dialogue)
      t.equal(plain(await ours.raw(...words)), plain(await theirs.raw(...words)), words.join(' '));
  }
  for (const bytes of [
    '*11\r\n$4\r\nECHO\r\n',
    '*2\r\n$4\r\nAUTH\r\n$16385\r\n',
    `AUTH ${PASSWORD}\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$16385\r\n${'x'.repeat(16_385)}\r\nAUTH wrong\r\nGET a\r\nQUIT\r\n`,
    `GET a\r\nHELLO 3 AUTH default ${PASSWORD}\r\nGET a\r\nRESET\r\nGET a\r\nQUIT\r\n`,
  ]) {
    const answers: string[] = [];
    for (const port of [deployment.port, single.port]) {
      const client = await connect(t, port);
      client.send(bytes);
      await client.closed;
      answers.push(client.unread.replace(/(\$2\r\nid\r\n):\d+/, '$1:n'));
    }
    t.equal(answers[0], answers[1], JSON.stringify(bytes.slice(0, 60)));
    t.not(answers[0], '');
  }
  t.notMatch(deployment.proxy.output(), PASSWORD);
  t.match(deployment.proxy.output(), 'wrong-password');
});

t.test('ioredis and redis-cli log in as with one Redis', async (t) => {
  const deployment = await deploy(t, { auth: { password: PASSWORD, user: 'default' } });
  const redis = new Redis(deployment.port, '127.0.0.1', { password: PASSWORD });
  t.teardown(() => redis.disconnect());
  t.equal(await redis.set('a', '1'), 'OK');
  t.equal(await redis.get('a'), '1');
  const stranger = new Redis(deployment.port, '127.0.0.1', { lazyConnect: true, retryStrategy: () => null });
  stranger.on('error', () => {});
  t.teardown(() => stranger.disconnect());
  await t.rejects(stranger.get('a'), /NOAUTH/);

  const { cli, env } = await redisPrograms();
  const options = { env: { ...process.env, ...env }, encoding: 'utf8' } as const;
  for (const login of [
    ['-a', PASSWORD],
    ['--user', 'default', '--pass', PASSWORD, '-3'],
  ]) {
    const args = ['-p', `${deployment.port}`, '--no-auth-warning', ...login, 'get', 'a'];
    t.match(spawnSync(cli, args, options).stdout, /^"?1"?\n$/);
  }
});

t.test('a password is changed without a client being dropped', async (t) => {
  const deployment = await deploy(t, { auth: { password: 'old' } });
  const { proxy, port } = deployment;
  const before = await connect(t, port);
  t.equal((await before.raw('AUTH', 'old')).toString(), '+OK\r\n');

  const reload = async (password: unknown, count: number) => {
    proxy.reload((text) => JSON.stringify({ ...JSON.parse(text), auth: { password } }));
    await proxy.waitForLog('reloaded', () => proxy.logLines.filter(({ msg }) => msg === 'reloaded').length >= count);
  };
  /** Workers take a new configuration from a message, a moment after the line in the log. */
  const until = async (password: string, expected: RegExp) => {
    for (let reply = ''; !expected.test(reply); ) {
      const client = await connect(t, port);
      reply = (await client.raw('AUTH', password)).toString();
      client.close();
    }
  };
  await reload(['new', 'old'], 1);
  await until('new', /OK/);
  await until('old', /OK/);
  await reload('new', 2);
  await until('old', /WRONGPASS/);
  await until('new', /OK/);
  t.equal((await before.raw('SET', 'a', '1')).toString(), '+OK\r\n', 'who is in stays in');
  t.notMatch(proxy.output(), /"(old|new)"/);
});

function ringleader(...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { status, output: stdout + stderr };
}

t.test('a door to other machines without a password is refused at the start, and by check', async (t) => {
  const folder = scratchFolder('protected');
  t.teardown(() => removeFolder(folder));
  const file = join(folder, 'ringleader.yml');
  const pools = 'pools: { main: { nodes: [redis://127.0.0.1:1] } }';
  writeFileSync(file, `listen: 0.0.0.0:0\n${pools}\n`);
  for (const command of ['check', 'start']) {
    const { status, output } = ringleader(command, '--config', file);
    t.equal(status, 1);
    t.match(
      output,
      /ringleader.yml:1:9: listen(\[0\])?: 0.0.0.0:0 can be reached from other machines, and clients need no/,
    );
  }
  for (const good of ['protectedMode: no', 'auth: { password: opensesame }']) {
    writeFileSync(file, `listen: 0.0.0.0:0\n${pools}\n${good}\n`);
    const { status, output } = ringleader('check', '--config', file);
    t.equal(status, 0, output);
    t.notMatch(output, 'opensesame');
  }
});

t.test('protected mode turned off, or a password, opens the door', async (t) => {
  for (const rules of [{ protectedMode: 'no' }, { auth: { password: PASSWORD } }]) {
    const port = await freePort();
    await deploy(t, { nodes: 1, listen: [`0.0.0.0:${port}`], ...rules });
    const client = await connect(t, port);
    t.match((await client.raw('AUTH', 'default', PASSWORD)).toString(), '+OK\r\n');
    t.equal((await client.raw('SET', 'a', '1')).toString(), '+OK\r\n');
  }
});

t.test('with multiKeyWrites: reject a write of several shards is refused', async (t) => {
  const deployment = await deploy(t, {
    keyspaces: [{ prefix: '', pool: 'main', mode: 'sharded', multiKeyWrites: 'reject' }],
  });
  const client = await connect(t, deployment.port);
  const [a, b] = [deployment.key(0), deployment.key(1)];
  for (const words of [
    ['MSET', a, '1', b, '2'],
    ['DEL', a, b],
    ['UNLINK', a, b],
  ]) {
    t.match((await client.raw(...words)).toString(), /^-CROSSSLOT Keys in request don't hash to the same shard: /);
  }
  t.equal((await client.raw('MSET', `{${a}}1`, 'x', `{${a}}2`, 'y')).toString(), '+OK\r\n');
  t.equal((await client.raw('MGET', `{${a}}1`, b)).toString(), '*2\r\n$1\r\nx\r\n$-1\r\n');
});
