/** Passwords of nodes and of clients: in nothing that the proxy prints, nor in what it tells clients of nodes. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { Placement } from '../help/deployment.js';
import { ProxyProcess } from '../help/proxy.js';
import { RedisServer } from '../help/redis-server.js';
import { ReplyError } from '../help/reference-parser.js';
import { RespClient } from '../help/resp-client.js';

/** Each as the file or the environment has it, and as whoever prints it may have turned it. */
const SECRETS = {
  good: 'n0de-secret-good',
  wrong: 'n0de-secret-wr%ng',
  echoed: 'n0de-secret-echoed',
  client: 'cl1ent-secret-one',
  next: 'cl1ent-secret-two',
  guess: 'cl1ent-secret-guessed',
};
const ANY_SECRET = /n0de-secret|cl1ent-secret/;

/** Takes a greeting for something else and says it back, as Redis 5.0 does, or as plain text. */
async function echo(t: Test, answer: (greeting: string) => string): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (bytes) => socket.write(answer(bytes.toString('latin1'))));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

function words(frame: string): string[] {
  return frame.split('\r\n').filter((line) => line !== '' && !/^[*$]\d+$/.test(line));
}

/** Each command has a reply of its own, also where several come at once. */
const REDIS_5 = (greeting: string) =>
  greeting
    .split(/(?=\*\d+\r\n)/)
    .map(unknownTo5)
    .join('');

const unknownTo5 = (command: string) => {
  const [name, ...rest] = words(command);
  return `-ERR unknown command \`${name}\`, with args beginning with: ${rest.map((word) => `\`${word}\``).join(', ')}, \r\n`;
};

async function errorOf(client: RespClient, ...command: string[]): Promise<string> {
  const reply = await client.command(...command);
  if (!(reply instanceof ReplyError)) throw new Error(`${command[0]} was answered ${String(reply)}`);
  return reply.message;
}

t.test('no password stands in what a proxy prints, whatever goes wrong', async (t) => {
  const good = await RedisServer.start({ args: ['--requirepass', SECRETS.good] });
  t.teardown(() => good.stop());
  const other = await RedisServer.start({ args: ['--requirepass', 'another'] });
  t.teardown(() => other.stop());
  const old = await echo(t, REDIS_5);
  const chatty = await echo(t, (greeting) => `what is ${words(greeting).join(' ')}?\r\n`);
  const nodes = [
    { name: 'good', url: '${GOOD_URL}' },
    { name: 'wrong', url: `redis://:\${WRONG_PASSWORD}@127.0.0.1:${other.port}` },
    { name: 'old', url: `redis://user:${SECRETS.echoed}@127.0.0.1:${old}` },
    { name: 'chatty', url: `redis://user:${SECRETS.echoed}@127.0.0.1:${chatty}` },
  ];
  const env = {
    GOOD_URL: `redis://:${SECRETS.good}@127.0.0.1:${good.port}`,
    WRONG_PASSWORD: encodeURIComponent(SECRETS.wrong),
    CLIENT_PASSWORD: SECRETS.client,
    NEXT_PASSWORD: SECRETS.next,
    RINGLEADER_TEST_HOOKS: '1',
  };
  const auth = { password: '${CLIENT_PASSWORD}' };
  const log = { level: 'trace', format: 'json' } as const;
  const proxy = await ProxyProcess.start({ nodes, auth, env, log, workers: 2 });
  t.teardown(() => proxy.kill9());
  const placement = new Placement(nodes.map(({ name }) => name));

  for (const [index, { name }] of nodes.entries()) {
    if (index > 0) await proxy.waitForLog('node-down', (line) => line['node'] === name);
  }
  const said: string[] = [];
  for (const protocol of ['2', '3']) {
    const client = await RespClient.connect(proxy.port);
    t.teardown(() => client.close());
    said.push(await errorOf(client, 'AUTH', SECRETS.guess));
    said.push(await errorOf(client, 'HELLO', protocol, 'AUTH', 'default', SECRETS.guess));
    said.push(await errorOf(client, 'AUTH', SECRETS.client, SECRETS.guess, SECRETS.guess));
    await client.command('HELLO', protocol, 'AUTH', 'default', SECRETS.client);
    t.equal(await client.command('SET', placement.key(0, 'key'), '1'), 'OK');
    for (const node of [1, 2, 3]) said.push(await errorOf(client, 'GET', placement.key(node, 'key')));
    for (const command of [
      ['INFO', 'everything'],
      ['CLIENT', 'INFO'],
      ['CONFIG', 'GET', '*'],
    ]) {
      said.push(String(await client.command(...command)));
    }
  }
  t.equal(said.filter((reply) => /^NODEDOWN/.test(reply)).length, 6, 'also over RESP3');
  t.notMatch(said.join('\n'), ANY_SECRET);

  const file = proxy.configText();
  for (const broken of [
    file.replace('"127.0.0.1:', '"127.0.0.1;'),
    file.replace('${CLIENT_PASSWORD}', `${SECRETS.client}"`),
    file.replace('{\n    "password"', `{\n    "${SECRETS.client}"`),
    file.replace(`${SECRETS.echoed}@127.0.0.1`, `${SECRETS.echoed}@127.0.0.1:x`),
    file.replace(`"redis://user:${SECRETS.echoed}`, `"user:${SECRETS.echoed}`),
    file.replace('${GOOD_URL}', '${GOOD_URL}${WRONG_PASSWORD}'),
    file.replace('"workers": 2', '"workers": "${CLIENT_PASSWORD}"'),
    file.replace('${CLIENT_PASSWORD}', '${CLIENT_PASWORD}'),
    `${SECRETS.client}: [${SECRETS.next}\n${file}`,
  ]) {
    t.not(broken, file);
    const failures = () => proxy.logLines.filter(({ msg }) => msg === 'reload-failed').length;
    const before = failures();
    proxy.reload(() => broken);
    await proxy.waitForLog('reload-failed', () => failures() > before);
  }
  proxy.reload(() => file.replace('"name": "good"', '"name": "moved"'));
  await proxy.waitForLog('reload-refused');
  proxy.reload(() => file.replace('${CLIENT_PASSWORD}', '${NEXT_PASSWORD}'));
  await proxy.waitForLog('reloaded');
  proxy.signal('SIGUSR2');
  await proxy.waitForLog('worker-restarted');
  for (const page of ['livez', 'readyz', 'status', 'no-such-page'])
    said.push(await (await fetch(`${proxy.adminUrl}/${page}`)).text());
  t.equal(await proxy.stop(), 0);

  t.notMatch(said.join('\n'), ANY_SECRET);
  for (const line of proxy.output().split('\n')) {
    if (ANY_SECRET.test(line)) t.fail(line);
  }
  t.match(proxy.output(), /unknown command `AUTH`/);
});
