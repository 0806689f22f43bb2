/** `auth: passthrough`, turn by turn: by which connections a client's commands go, and what becomes of these. */
import t from 'tap';
import { type Client, HELLO_REPLY, type NodeLink, Plane } from '../help/plane.js';

const HELLO = '*2\r\n$5\r\nHELLO\r\n$1\r\n2\r\n';
const IN = (name: string) => `*5\r\n$5\r\nHELLO\r\n$1\r\n2\r\n$4\r\nAUTH\r\n$1\r\n${name}\r\n$2\r\npw\r\n`;
/** With a password that nobody has. */
const ASKS_FOR_STRANGER = /^\*3\r\n\$4\r\nAUTH\r\n\$7\r\ndefault\r\n\$32\r\n[0-9a-f]{32}\r\n$/;
const NOAUTH = '-NOAUTH Authentication required.\r\n';
const WRONGPASS = '-WRONGPASS invalid username-password pair or user is disabled.\r\n';

function setUp() {
  return new Plane({ nodes: 1, rules: { isPassthrough: true } }).greetAll();
}

/** The connection that was opened last, greeted so; and greets it. */
function opened(plane: Plane, greeting: string): NodeLink {
  plane.turn();
  plane.pass(50);
  const link = plane.links(0).at(-1) as NodeLink;
  link.open();
  if (link.take() !== greeting) throw new Error('it was greeted otherwise');
  link.answer(HELLO_REPLY[2]);
  plane.turn();
  return link;
}

/** A client that is `name`, and the connection by which it is. */
function logIn(plane: Plane, name: string): { client: Client; link: NodeLink } {
  const client = plane.client().send(['AUTH', name, 'pw']);
  const link = opened(plane, IN(name));
  if (link.take() !== `*3\r\n$4\r\nAUTH\r\n$1\r\n${name}\r\n$2\r\npw\r\n`) throw new Error('it was asked otherwise');
  link.answer('+OK\r\n');
  plane.turn();
  return { client, link };
}

/** So many seconds go by, and the node answers what its connections are tried with. */
function pass(plane: Plane, seconds: number): void {
  for (let second = 0; second < seconds; second++) {
    plane.pass(1_000, 500);
    for (const each of plane.links(0)) if (each.take() !== '') each.answer('+PONG\r\n');
  }
}

t.test('what users say goes by connections of their own, and nothing by that of the proxy', async (t) => {
  const plane = setUp();
  const own = plane.only(0);
  const { client: one, link: first } = logIn(plane, 'a');
  const { client: two, link: second } = logIn(plane, 'b');
  t.equal(one.take() + two.take(), '+OK\r\n+OK\r\n');
  one.send(['GET', 'x'], ['GET', 'y']);
  two.send(['SET', 'x', '1']);
  plane.turn();
  t.same(first.commands(), ['GET x', 'GET y']);
  t.same(second.commands(), ['SET x 1']);
  t.equal(own.take(), '');
  const third = plane.client().send(['AUTH', 'a', 'pw'], ['GET', 'z']);
  plane.turn();
  t.same(first.commands(), ['AUTH a pw'], 'who is the same shares it, and is asked for all the same');
  first.answer('$1\r\n1\r\n', '$1\r\n2\r\n', '+OK\r\n');
  plane.turn();
  t.same(first.commands(), ['GET z'], 'read when it is known who it is');
  t.equal(one.take() + third.take(), '$1\r\n1\r\n$1\r\n2\r\n+OK\r\n');
});

t.test('who is refused is nobody, and what it pipelined goes nowhere', async (t) => {
  const plane = setUp();
  const client = plane.client().send(['AUTH', 'a', 'pw'], ['GET', 'x']);
  plane.turn();
  plane.pass(50);
  const link = plane.links(0).at(-1) as NodeLink;
  link.open();
  link.take();
  link.answer(WRONGPASS);
  plane.turn();
  t.equal(client.take(), WRONGPASS);
  const stranger = opened(plane, HELLO);
  t.match(stranger.take(), ASKS_FOR_STRANGER);
  stranger.answer('+OK\r\n');
  plane.turn();
  t.same(stranger.commands(), ['GET x'], 'as the user that the node takes such clients for');
  t.notMatch(JSON.stringify(plane.logs), 'pw');
});

t.test('a client that goes while it logs in leaves nothing behind', async (t) => {
  const plane = setUp();
  const client = plane.client().send(['AUTH', 'a', 'pw']);
  const link = opened(plane, IN('a'));
  client.connection.break(new Error('connection reset'));
  plane.turn();
  link.answer('+OK\r\n');
  plane.turn();
  t.ok(client.isClosed);
  pass(plane, 63);
  t.ok(link.isClosed, 'nobody has been that user for a minute');
  t.equal(plane.links(0).length, 1);
});

t.test('connections of a user are closed a minute after its last client went, and not before', async (t) => {
  const plane = setUp();
  const { client, link } = logIn(plane, 'a');
  client.take();
  pass(plane, 90);
  t.notOk(link.isClosed, 'while somebody is that user');
  client.send(['QUIT']).take();
  plane.turn();
  t.ok(client.isClosed);
  pass(plane, 55);
  t.notOk(link.isClosed);
  pass(plane, 8);
  t.ok(link.isClosed);
});

t.test('a session that becomes another user, or nobody, uses nothing of who it was', async (t) => {
  const plane = setUp();
  const { client, link } = logIn(plane, 'a');
  client.take();
  client.send(['AUTH', 'b', 'pw'], ['GET', 'x']);
  const other = opened(plane, IN('b'));
  other.take();
  other.answer('+OK\r\n');
  plane.turn();
  t.same(other.commands(), ['GET x']);
  t.equal(link.take(), '');
  other.answer('$1\r\n1\r\n');
  client.send(['RESET'], ['GET', 'y']);
  const stranger = opened(plane, HELLO);
  t.match(stranger.take(), ASKS_FOR_STRANGER);
  stranger.answer(WRONGPASS);
  plane.turn();
  t.equal(client.take(), '+OK\r\n$1\r\n1\r\n+RESET\r\n-NOAUTH Authentication required.\r\n');
  t.equal(link.take() + other.take(), '');
});

/** A client that says nothing of itself, which the node lets in by that connection. */
function letIn(plane: Plane): { client: Client; link: NodeLink } {
  const client = plane.client().send(['GET', 'x']);
  const link = opened(plane, HELLO);
  link.take();
  link.answer('+OK\r\n');
  plane.turn();
  link.take();
  link.answer('$-1\r\n');
  plane.turn();
  if (client.take() !== '$-1\r\n') throw new Error('it was not let in');
  return { client, link };
}

t.test('where nodes begin to ask for a password, standing connections let nobody in who is new', async (t) => {
  const plane = setUp();
  const { client: before, link } = letIn(plane);
  const after = plane.client().send(['GET', 'x']);
  plane.turn();
  t.match(link.take(), ASKS_FOR_STRANGER);
  link.answer(WRONGPASS);
  plane.turn();
  t.equal(after.take(), NOAUTH);
  before.send(['GET', 'y']);
  plane.turn();
  t.same(link.commands(), ['GET y'], 'who was in stays in');
});

t.test('who is refused by all nodes is forgotten at once, with its connections', async (t) => {
  const plane = setUp();
  const client = plane.client();
  for (const name of ['a', 'b', 'c']) {
    client.send(['AUTH', name, 'pw']);
    const link = opened(plane, IN(name));
    link.take();
    link.answer(WRONGPASS);
    plane.turn();
    t.equal(client.take(), WRONGPASS);
    plane.pass(1_000);
    t.ok(link.isClosed, name);
  }
  t.equal(plane.counts.authFailures, 3);
});

t.test('until nodes are known to let strangers in, these may not send much, nor stay', async (t) => {
  const plane = setUp();
  const early = plane.client();
  early.sendText('*2\r\n$3\r\nGET\r\n$16385\r\n');
  t.match(early.take(), '-ERR Protocol error: unauthenticated bulk length');
  const silent = plane.client();
  pass(plane, 62);
  t.ok(silent.isClosed, 'authDeadlineMs');
  const waiting = plane.client();
  letIn(plane);
  const late = plane.client();
  late.sendText('*2\r\n$3\r\nGET\r\n$16385\r\n');
  t.equal(late.take(), '');
  const later = plane.client();
  pass(plane, 62);
  t.notOk(later.isClosed || waiting.isClosed, 'they would be let in');
});

t.test('who is subscribed becomes nobody else', async (t) => {
  const plane = setUp();
  const { client, link } = logIn(plane, 'a');
  client.send(['HELLO', '3']);
  plane.turn();
  client.take();
  client.send(['SUBSCRIBE', 'news']);
  plane.turn();
  plane.pass(50);
  const subscriber = plane.links(0).at(-1) as NodeLink;
  subscriber.open();
  t.match(subscriber.take(), 'HELLO');
  subscriber.answer(HELLO_REPLY[3]);
  plane.turn();
  t.match(subscriber.take(), 'SUBSCRIBE');
  subscriber.answer('>3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n', '+PONG\r\n');
  plane.turn();
  t.match(client.take(), 'subscribe');
  client.send(['AUTH', 'b', 'pw'], ['HELLO', '3', 'AUTH', 'b', 'pw']);
  plane.pass(100);
  t.match(client.take(), /^(-ERR AUTH as another user is refused while there are subscriptions[^\r]*\r\n){2}$/);
  client.send(['AUTH', 'a', 'pw']);
  plane.turn();
  t.same(link.commands(), ['AUTH a pw'], 'as the same it may');
});

t.test('a first command that only nodes know is looked up when they have let the client in', async (t) => {
  const plane = setUp();
  const own = plane.only(0);
  const client = plane.client().send(['MODULE.X', 'a']);
  const stranger = opened(plane, HELLO);
  t.match(stranger.take(), ASKS_FOR_STRANGER);
  stranger.answer('+OK\r\n');
  plane.pass(50);
  t.match(own.take() + stranger.take(), 'COMMAND\r\n$4\r\nINFO');
  const refused = setUp();
  const nobody = refused.client().send(['MODULE.X', 'a']);
  const link = opened(refused, HELLO);
  link.take();
  link.answer(WRONGPASS);
  refused.turn();
  t.match(nobody.take(), "-ERR unknown command 'MODULE.X'");
  t.equal(client.take(), '');
});

t.test('a node that is away is no wrong password', async (t) => {
  const plane = setUp();
  const client = plane.client().send(['AUTH', 'a', 'pw']);
  plane.turn();
  plane.pass(50);
  const link = plane.links(0).at(-1) as NodeLink;
  link.connection.break(new Error('refused'));
  plane.turn();
  plane.pass(200);
  t.match(client.take(), '-NODEDOWN');
  t.equal(plane.counts.authFailures, 0);
  t.notMatch(JSON.stringify(plane.logs), 'wrong-password');
});
