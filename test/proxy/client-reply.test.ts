/** CLIENT REPLY and CLIENT NO-EVICT, on a plane without sockets. */
import t from 'tap';
import { pendingsInUse } from '../help/pending-watch.js';
import { bulk, type Client, Plane } from '../help/plane.js';

function setUp() {
  const world = new Plane({ nodes: 2 }).greetAll();
  const client = world.client();
  return { world, client };
}

function say(client: Client, line: string): string {
  return client.send(...line.split('; ').map((words) => words.split(' '))).take();
}

const SYNTAX = '-ERR syntax error\r\n';

/** Commands that come in one piece, and all that a Redis 7.0.15 answers. */
const SCRIPTS: readonly (readonly [script: string, replies: string])[] = [
  ['CLIENT REPLY ON', '+OK\r\n'],
  ['CLIENT REPLY OFF', ''],
  ['CLIENT REPLY OFF; PING; CONFIG NOSUCH; GET; CLIENT REPLY BAD; CLIENT REPLY ON; PING', '+OK\r\n+PONG\r\n'],
  ['CLIENT REPLY SKIP; PING; PING x', bulk('x')],
  ['CLIENT REPLY SKIP; CONFIG NOSUCH; PING x', bulk('x')],
  ['CLIENT REPLY SKIP; CLIENT REPLY BAD; PING x', bulk('x')],
  ['CLIENT REPLY SKIP; CLIENT REPLY SKIP; PING x; PING y', bulk('y')],
  ['CLIENT REPLY SKIP; CLIENT REPLY ON; PING x', `+OK\r\n${bulk('x')}`],
  ['CLIENT REPLY OFF; CLIENT REPLY SKIP; PING; PING; CLIENT REPLY ON', '+OK\r\n'],
  ['CLIENT REPLY SKIP; CLIENT REPLY OFF; PING; CLIENT REPLY ON', '+OK\r\n'],
  ['CLIENT REPLY OFF; RESET; PING', '+RESET\r\n+PONG\r\n'],
  ['CLIENT REPLY SKIP; RESET; PING', '+PONG\r\n'],
  ['CLIENT REPLY SKIP; MULTI; PING x; EXEC', `+QUEUED\r\n*1\r\n${bulk('x')}`],
  ['MULTI; PING x; CLIENT ID; DISCARD', '+OK\r\n+QUEUED\r\n+QUEUED\r\n+OK\r\n'],
  ['CLIENT REPLY', "-ERR wrong number of arguments for 'client|reply' command\r\n"],
  ['CLIENT REPLY ON OFF', "-ERR wrong number of arguments for 'client|reply' command\r\n"],
  ['client reply nothing', SYNTAX],
  ['CLIENT NO-EVICT ON', '+OK\r\n'],
  ['client no-evict off', '+OK\r\n'],
  ['CLIENT NO-EVICT 1', SYNTAX],
];

t.test('replies are dropped and skipped as Redis does', async (t) => {
  for (const [script, replies] of SCRIPTS) t.equal(say(setUp().client, script), replies, script);
});

t.test('a reply that was not wanted when the command came is dropped, in whatever order nodes answer', async (t) => {
  const { world, client } = setUp();
  const [a, b] = [world.key(0), world.key(1)];
  const before = pendingsInUse();
  client.send(['GET', a], ['CLIENT', 'REPLY', 'SKIP'], ['GET', b], ['GET', a], ['CLIENT', 'REPLY', 'OFF'], ['GET', b]);
  client.send(['CLIENT', 'REPLY', 'ON']);
  world.turn();
  world.only(1).take();
  world.only(1).answer(bulk('dropped'), bulk('dropped too'));
  t.equal(client.take(), '', 'the first is still awaited');
  world.only(0).take();
  world.only(0).answer(bulk('one'), bulk('three'));
  t.equal(client.take(), `${bulk('one')}${bulk('three')}+OK\r\n`);
  t.equal(world.usedBytes, 0);
  t.equal(pendingsInUse(), before);
});

t.test('the merged reply of several nodes is dropped whole, and so are errors', async (t) => {
  const { world, client } = setUp();
  const [a, b] = [world.key(0), world.key(1)];
  const before = pendingsInUse();
  client.send(['CLIENT', 'REPLY', 'OFF'], ['MGET', a, b], ['MGET', a, b], ['GET', a]);
  world.turn();
  world.only(0).take();
  world.only(1).take();
  world.only(1).answer(`*1\r\n${bulk('y')}`, `*1\r\n${bulk('y')}`);
  world.only(0).answer(`*1\r\n${bulk('x')}`, '-ERR no\r\n', '-ERR no\r\n');
  client.send(['CLIENT', 'REPLY', 'ON']);
  world.turn();
  t.equal(client.take(), '+OK\r\n');
  t.equal(world.usedBytes, 0);
  t.equal(pendingsInUse(), before);
});

t.test('QUIT closes also where no reply is wanted', async (t) => {
  const { world, client } = setUp();
  t.equal(say(client, 'CLIENT REPLY OFF; QUIT; PING'), '');
  world.turn();
  t.ok(client.isClosed);
});

t.test('what is no command is not answered either, and closes', async (t) => {
  const { world, client } = setUp();
  say(client, 'CLIENT REPLY OFF');
  t.equal(client.sendText('*1\r\nx\r\n').take(), '');
  world.turn();
  t.ok(client.isClosed);
});

t.test('CLIENT REPLY inside of MULTI is refused: EXEC would promise more replies than come', async (t) => {
  const { client } = setUp();
  const refusal = '-ERR CLIENT REPLY inside MULTI is not supported by this proxy\r\n';
  const abort = '-EXECABORT Transaction discarded because of previous errors.\r\n';
  t.equal(say(client, 'MULTI; CLIENT REPLY OFF; EXEC; PING'), `+OK\r\n${refusal}${abort}+PONG\r\n`);
});

t.test('a client with NO-EVICT is closed for memory only when no other is worth it', async (t) => {
  const world = new Plane({ nodes: 1, limits: { workerMemoryMax: 100_000 } }).greetAll();
  const [larger, smaller] = [world.client(), world.client()];
  t.equal(say(larger, 'CLIENT NO-EVICT ON'), '+OK\r\n');
  larger.send(['GET', 'k'], ['GET', 'k']);
  smaller.send(['GET', 'k'], ['CLIENT', 'NO-EVICT', 'OFF']);
  world.turn();
  world.only(0).take();
  world.only(0).answer(bulk('x'.repeat(120_000)), bulk('x'.repeat(120_000)), bulk('x'.repeat(70_000)));
  world.pass(200);
  t.ok(smaller.isClosed);
  t.notOk(larger.isClosed);
  world.pass(200);
  t.ok(larger.isClosed, 'what it holds is still too much');
});
