/** CLIENT LIST and CLIENT KILL, on planes without sockets; several planes are the workers of one proxy. */
import t from 'tap';
import { pendingsInUse } from '../help/pending-watch.js';
import { bulk, type Client, Plane } from '../help/plane.js';

function setUp() {
  const world = new Plane({ nodes: 1 }).greetAll();
  const other = new Plane({ nodes: 1, lastClientId: 100 }).greetAll();
  world.others.push(other);
  const ask = (client: Client, ...words: string[]): string => {
    client.send(words);
    world.turn();
    other.turn();
    return client.take();
  };
  return { world, other, link: world.only(0), ask };
}

/** The ids of the lines of a reply. */
function ids(reply: string): number[] {
  return [...reply.matchAll(/^(?:txt:)?id=(\d+) /gm)].map(([, id]) => Number(id));
}

const MISSING = '-ERR No such client\r\n';

t.test('CLIENT LIST has a line for each client of all workers, in the order in which they came', async (t) => {
  const { world, other, ask } = setUp();
  const [first, second] = [world.client(), world.client()];
  other.client();
  const reply = ask(second, 'CLIENT', 'LIST');
  t.same(ids(reply), [1, 2, 101]);
  t.match(reply, /^\$\d+\r\nid=1 .* cmd=NULL .*\nid=2 .* qbuf=26 .* cmd=client\|list .*\nid=101 .*\n\r\n$/);
  t.equal(Number(/^\$(\d+)/.exec(reply)?.[1]), reply.length - reply.indexOf('\n') - 3);
  ask(first, 'HELLO', '3');
  t.match(ask(first, 'CLIENT', 'LIST'), /^=\d+\r\ntxt:id=1 .* resp=3\nid=2 /);
});

t.test('CLIENT LIST shows whom it is asked for', async (t) => {
  const { world, other, ask } = setUp();
  const client = world.client();
  world.client();
  other.client();
  t.same(ids(ask(client, 'CLIENT', 'LIST', 'TYPE', 'Normal')), [1, 2, 101]);
  for (const type of ['replica', 'slave', 'master', 'pubsub']) {
    t.equal(ask(client, 'CLIENT', 'LIST', 'TYPE', type), bulk(''), type);
  }
  t.same(ids(ask(client, 'CLIENT', 'LIST', 'ID', '101', '2', '55', '1', '2')), [101, 2, 1, 2], 'in that order');
  t.equal(ask(client, 'CLIENT', 'LIST', 'ID', '55', '-1', '9223372036854775807'), bulk(''));
});

t.test('a line shows what the session is about', async (t) => {
  const { world, link, ask } = setUp();
  const [client, busy] = [world.client(), world.client()];
  busy.send(['CLIENT', 'SETNAME', 'me'], ['CLIENT', 'NO-EVICT', 'ON'], ['GET', 'k'], ['MULTI'], ['GET', 'k'], ['PING']);
  world.turn();
  link.take();
  busy.sendText('*2\r\n$3\r\nGET\r\n$100\r\nhalf');
  world.pass(3_000);
  const line = ask(client, 'CLIENT', 'LIST', 'ID', '2');
  t.match(line, / name=me age=3 idle=\d flags=xe db=0 sub=0 psub=0 ssub=0 multi=2 qbuf=23 /);
  t.match(line, / argv-mem=20 multi-mem=1294 .* cmd=ping user=default redir=-1 resp=2\n/);
});

t.test('the reply comes in its place, and later commands of the session go on meanwhile', async (t) => {
  const { world, link } = setUp();
  const before = pendingsInUse();
  const client = world.client();
  client.send(['GET', 'k'], ['CLIENT', 'LIST', 'ID', '1'], ['GET', 'k'], ['PING']);
  t.same(link.commands(), ['GET k', 'GET k']);
  link.answer('$-1\r\n', '$-1\r\n');
  t.equal(client.take(), '$-1\r\n');
  world.turn();
  t.match(client.take(), /^\$\d+\r\nid=1 .*\n\r\n\$-1\r\n\+PONG\r\n$/);
  client.send(['CLIENT', 'REPLY', 'SKIP'], ['CLIENT', 'LIST'], ['PING']);
  world.turn();
  t.equal(client.take(), '+PONG\r\n');
  t.equal(world.usedBytes, 0);
  t.equal(pendingsInUse(), before);
});

t.test('nothing is left of a question whose asker has gone', async (t) => {
  const { world } = setUp();
  const before = pendingsInUse();
  const client = world.client().send(['CLIENT', 'LIST']);
  client.connection.break(null);
  world.turn();
  t.equal(world.usedBytes, 0);
  t.equal(pendingsInUse(), before);
});

t.test('CLIENT KILL closes the clients of all workers that are meant', async (t) => {
  const { world, other, ask } = setUp();
  const client = world.client();
  const [near, far, farther] = [world.client(), other.client(), other.client()];
  t.equal(ask(client, 'CLIENT', 'KILL', 'ID', '101'), ':1\r\n');
  t.ok(far.isClosed);
  t.match(far.connection.closeError, { message: 'CLIENT KILL' });
  t.equal(ask(client, 'CLIENT', 'KILL', 'ID', '101'), ':0\r\n');
  t.equal(ask(client, 'CLIENT', 'KILL', 'ID', '2', 'TYPE', 'pubsub'), ':0\r\n');
  t.equal(ask(client, 'CLIENT', 'KILL', 'ID', '2', 'USER', 'default', 'ADDR', '127.0.0.1:1'), ':0\r\n');
  t.equal(
    ask(client, 'CLIENT', 'KILL', 'LADDR', '127.0.0.1:6380', 'TYPE', 'NORMAL', 'ADDR', '127.0.0.1:50000'),
    ':2\r\n',
  );
  t.ok(near.isClosed);
  t.ok(farther.isClosed);
  t.notOk(client.isClosed);
  t.equal(world.counts.sessionsKilled + other.counts.sessionsKilled, 3);
  t.equal(ask(client, 'CLIENT', 'KILL', '127.0.0.1:1'), MISSING);
  t.equal(ask(client, 'CLIENT', 'KILL', 'me'), MISSING);
});

t.test('a client that is being killed is not there any more', async (t) => {
  const { world } = setUp();
  const [client] = [world.client(), world.client()];
  const kill = ['CLIENT', 'KILL', 'TYPE', 'normal'];
  client.send(kill, kill, ['CLIENT', 'LIST', 'ID', '2']);
  world.turn();
  t.equal(client.take(), `:1\r\n:0\r\n${bulk('')}`);
});

t.test('a client that kills itself gets the reply, and what it sent after it is not carried out', async (t) => {
  for (const [words, reply] of [
    [['CLIENT', 'KILL', '127.0.0.1:50000'], '+OK\r\n'],
    [['CLIENT', 'KILL', 'SKIPME', 'no'], ':2\r\n'],
    [['CLIENT', 'KILL', 'ID', '1', 'skipme', 'NO'], ':1\r\n'],
  ] as const) {
    const { world, other, link } = setUp();
    const [client] = [world.client(), other.client()];
    client.send(['GET', 'k'], [...words], ['SET', 'k', 'v']);
    world.turn();
    t.same(link.commands(), ['GET k']);
    t.notOk(client.isClosed, 'a reply is awaited');
    link.answer('$-1\r\n');
    t.equal(client.take(), `$-1\r\n${reply}`);
    world.turn();
    t.ok(client.isClosed);
    t.equal(client.connection.closeError, null, 'in order');
  }
});

t.test('when a worker does not answer, the client hears which', async (t) => {
  const { world, ask } = setUp();
  const client = world.client();
  world.silent.push(3);
  t.equal(ask(client, 'CLIENT', 'LIST'), '-ERR worker 3 did not answer in time: its clients are not known\r\n');
  world.silent.push(5);
  const unknown = '-UNKNOWN workers 3, 5 did not answer in time: of the other clients 0 are killed\r\n';
  t.equal(ask(client, 'CLIENT', 'KILL', 'ID', '4'), unknown);
});

t.test('what waits for the answers of workers is bounded', async (t) => {
  const world = new Plane({ nodes: 1, limits: { sessionCommandsMax: 10_000 } }).greetAll();
  const client = world.client();
  client.send(...Array.from({ length: 5_000 }, () => ['CLIENT', 'LIST', 'ID', '9']));
  for (let turn = 0; turn < 1_000; turn++) world.turn();
  const replies = client.take();
  t.equal(replies.split('$0\r\n\r\n').length - 1, 4_096 + 8);
  t.equal(world.counts.commandsOverloaded, 5_000 - 4_096 - 8);
  t.match(replies, '-OVERLOADED 4096 commands wait for what other workers answer; this one had no effect\r\n');
});

t.test('a client that may not even ask is not killed by what it asks', async (t) => {
  const world = new Plane({ nodes: 1, limits: { sessionCommandsMax: 10_000 } }).greetAll();
  const client = world.client();
  client.send(...Array.from({ length: 4_096 + 8 }, () => ['CLIENT', 'LIST', 'ID', '9']));
  client.send(['CLIENT', 'KILL', 'SKIPME', 'no']);
  for (let turn = 0; turn < 1_000; turn++) world.turn();
  t.match(client.take(), /-OVERLOADED [^\r]*\r\n$/);
  t.notOk(client.isClosed);
});

t.test('other services have other clients', async (t) => {
  const plain = new Plane({ nodes: 1 });
  const service = plain.topology.services[0] ?? null;
  const world = new Plane({ nodes: 1, services: [service, service] }).greetAll();
  const [client, stranger] = [world.client(0), world.client(1)];
  client.send(['CLIENT', 'LIST'], ['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'no']);
  world.turn();
  const [, list = '', rest] = /^\$\d+\r\n(.*\n)\r\n(.*)$/s.exec(client.take()) ?? [];
  t.same(ids(list), [1]);
  t.equal(rest, ':1\r\n');
  t.notOk(stranger.isClosed);
});
