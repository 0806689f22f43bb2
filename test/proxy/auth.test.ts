/** Clients that must give a password: what they may do before, and what they are told. */
import t from 'tap';
import { configuredLines } from '../../src/acl/users.js';
import { type ClientRules, DEFAULT_RULES, passwordDigest } from '../../src/base/client-rules.js';
import type { Limits } from '../../src/base/limits.js';
import { bulk, type Client, Plane } from '../help/plane.js';

const NOAUTH = '-NOAUTH Authentication required.\r\n';
const WRONG = '-WRONGPASS invalid username-password pair or user is disabled.\r\n';

/** Of two tables of users that with the larger one is the later. */
let lastVersion = 1;

function withPasswords(passwords: readonly string[], user = 'default'): ClientRules {
  const lines = configuredLines({ mode: 'password', user, passwordDigests: passwords.map(passwordDigest) });
  return { ...DEFAULT_RULES, users: { version: ++lastVersion, lines } };
}

function setUp(passwords: readonly string[] = ['secret'], user?: string, limits: Partial<Limits> = {}) {
  const plane = new Plane({ nodes: 1, rules: withPasswords(passwords, user), limits }).greetAll();
  return { plane, client: plane.client(), link: plane.only(0) };
}

function ask(client: Client, ...words: string[]): string {
  return client.send(words).take();
}

t.test('without the password no command reaches a node', async (t) => {
  const { plane, client, link } = setUp();
  const commands = [['GET', 'a'], ['PING'], ['INFO'], ['MGET', 'a', 'b'], ['SCAN', '0'], ['COMMAND'], ['CLIENT', 'ID']];
  for (const words of [
    ...commands,
    ['SELECT', '0'],
    ['ECHO', 'x'],
    ['MULTI'],
    ['SUBSCRIBE', 'a'],
    ['CONFIG', 'GET', '*'],
  ])
    t.equal(ask(client, ...words), NOAUTH, words.join(' '));
  plane.turn();
  t.equal(link.take(), '');
  client.sendText('GET a\r\n');
  t.equal(client.take(), NOAUTH, 'nor an inline one');
});

t.test('AUTH lets a client in, and what is pipelined behind it is carried out in order', async (t) => {
  const { plane, client, link } = setUp();
  client.send(['GET', 'a'], ['AUTH', 'secret'], ['GET', 'a'], ['PING'], ['AUTH', 'wrong'], ['GET', 'b']);
  plane.turn();
  t.same(link.commands(), ['GET a', 'GET b']);
  link.answer(bulk('1'), bulk('2'));
  t.equal(client.take(), `${NOAUTH}+OK\r\n${bulk('1')}+PONG\r\n${WRONG}${bulk('2')}`, 'who is in stays in');
});

t.test('a wrong password is refused, counted and logged without it', async (t) => {
  const { plane, client } = setUp();
  for (const words of [['wrong'], ['default', 'wrong'], ['bob', 'secret'], ['Default', 'secret'], [''], ['secret ']])
    t.equal(ask(client, 'AUTH', ...words), WRONG, words.join(' '));
  t.equal(ask(client, 'HELLO', '3', 'AUTH', 'default', 'wrong'), WRONG);
  t.equal(ask(client, 'GET', 'a'), NOAUTH);
  t.equal(plane.counts.authFailures, 7);
  const lines = plane.logs.filter(({ event }) => event === 'wrong-password');
  t.same(lines[0], { level: 'warn', event: 'wrong-password', fields: { client: '127.0.0.1:50000' } });
  t.notMatch(JSON.stringify(plane.logs), /wrong [^-]|secret/);
  t.equal(ask(client, 'AUTH', 'a', 'b', 'c'), '-ERR syntax error\r\n');
  t.equal(plane.counts.authFailures, 7, 'bad syntax is no wrong password');
});

t.test('HELLO lets a client in together with the protocol', async (t) => {
  const { plane, client } = setUp();
  for (const words of [['HELLO'], ['HELLO', '3'], ['HELLO', '3', 'SETNAME', 'x']])
    t.match(
      ask(client, ...words),
      /^-NOAUTH HELLO must be called with the client already authenticated, otherwise the/,
    );
  t.match(ask(client, 'HELLO', '3', 'AUTH', 'default', 'secret', 'SETNAME', 'me'), /^%7\r\n/);
  t.equal(ask(client, 'CLIENT', 'GETNAME'), bulk('me'));
  t.match(ask(client, 'HELLO'), /^%7\r\n/, 'then HELLO needs no AUTH');

  const other = plane.client();
  const refused = ask(other, 'HELLO', '3', 'AUTH', 'default', 'secret', 'NONSENSE');
  t.equal(refused, "-ERR Syntax error in HELLO option 'NONSENSE'\r\n");
  t.match(ask(other, 'HELLO'), /^\*14\r\n/, 'as in Redis, AUTH has counted, and the protocol has not');
});

t.test('two passwords hold while clients change from one to the other', async (t) => {
  const { plane } = setUp(['new', 'old']);
  for (const password of ['new', 'old']) t.equal(ask(plane.client(), 'AUTH', password), '+OK\r\n');
  plane.data.configure(plane.topology, plane.limits, withPasswords(['new']));
  t.equal(ask(plane.client(), 'AUTH', 'old'), WRONG);
  t.equal(ask(plane.client(), 'AUTH', 'new'), '+OK\r\n');
});

t.test('a new password is for new clients, also where there was none', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const before = plane.client();
  plane.data.configure(plane.topology, plane.limits, withPasswords(['secret']));
  t.equal(ask(before, 'PING'), '+PONG\r\n');
  t.equal(ask(plane.client(), 'PING'), NOAUTH);
  plane.pass(120_000, 1_000);
  t.equal(ask(before, 'PING'), '+PONG\r\n', 'also beyond authDeadlineMs');
  t.equal(ask(before, 'RESET'), '+RESET\r\n');
  t.equal(ask(before, 'PING'), NOAUTH, 'until it resets itself');
});

t.test('a user of another name', async (t) => {
  const { plane, client } = setUp(['secret'], 'app');
  t.equal(ask(client, 'AUTH', 'secret'), WRONG, 'without a name it means the default user');
  t.equal(ask(client, 'AUTH', 'default', 'secret'), WRONG);
  t.equal(ask(client, 'AUTH', 'app', 'secret'), '+OK\r\n');
  t.match(ask(client, 'CLIENT', 'INFO'), / user=app /);
  t.match(ask(plane.client(), 'HELLO', '2', 'AUTH', 'app', 'secret'), /^\*14\r\n/);
});

t.test('a password is any bytes, in UTF-8 where the configuration has more than ASCII', async (t) => {
  const { client } = setUp(['pä$$ wörd']);
  t.equal(ask(client, 'AUTH', Buffer.from('pä$$ wörd').toString('latin1')), '+OK\r\n');
});

t.test('RESET makes a session new: its name, its protocol and its password are gone', async (t) => {
  const { client } = setUp();
  client.send(['HELLO', '3', 'AUTH', 'default', 'secret', 'SETNAME', 'me']).take();
  t.equal(ask(client, 'RESET'), '+RESET\r\n');
  t.equal(ask(client, 'PING'), NOAUTH);
  t.equal(ask(client, 'AUTH', 'secret'), '+OK\r\n');
  t.equal(ask(client, 'CLIENT', 'GETNAME'), '$-1\r\n', 'RESP2 and no name');
});

t.test('RESET in RESP3 waits for the replies before it, and nothing behind it overtakes', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const client = plane.client();
  client.send(['HELLO', '3']).take();
  client.send(['GET', 'a'], ['RESET'], ['GET', 'b']);
  plane.turn();
  const link = plane.links(0, 3).at(-1)?.greet();
  t.same(link?.commands(), ['GET a']);
  t.same(plane.links(0, 2)[0]?.commands(), []);
  link?.answer('_\r\n');
  plane.turn();
  t.equal(client.take(), '_\r\n+RESET\r\n');
  t.same(plane.links(0, 2)[0]?.commands(), ['GET b']);
});

t.test('QUIT needs no password', async (t) => {
  const { plane, client } = setUp();
  t.equal(ask(client, 'QUIT'), '+OK\r\n');
  plane.turn();
  t.ok(client.isClosed);
});

t.test('who owes a password may send no large command, and may afterwards', async (t) => {
  const { plane, client } = setUp();
  for (const [text, reply] of [
    ['*11\r\n', '-ERR Protocol error: unauthenticated multibulk length\r\n'],
    ['*2\r\n$4\r\nAUTH\r\n$16385\r\n', '-ERR Protocol error: unauthenticated bulk length\r\n'],
  ] as const) {
    const other = plane.client().sendText(text);
    plane.turn();
    t.equal(other.take(), reply);
    plane.turn();
    t.ok(other.isClosed);
  }
  const ten = ['DEL', ...'abcdefghi'];
  t.equal(ask(client, ...ten), NOAUTH, 'ten arguments are allowed');
  t.equal(ask(client, 'AUTH', 'x'.repeat(16_384)), WRONG, 'and 16 KiB');
  client.send(['AUTH', 'secret'], ['ECHO', 'x'.repeat(100_000)], [...ten, 'j', 'k']);
  plane.turn();
  t.equal(client.take(), `+OK\r\n${bulk('x'.repeat(100_000))}`);
  t.same(plane.only(0).commands(), ['DEL a b c d e f g h i j k'], 'also when they come with AUTH in one piece');
  plane.only(0).answer(':0\r\n');
  t.equal(client.send(['RESET']).take(), ':0\r\n+RESET\r\n');
  t.match(client.send([...ten, 'j']).take(), /unauthenticated multibulk length/);
});

t.test('who owes a password and does not read is not read for long', async (t) => {
  const { plane, client } = setUp();
  const command = '*1\r\n$4\r\nPING\r\n';
  client.sendText(command.repeat(10_000));
  plane.turn();
  const unsent = client.connection.output.unsentBytes;
  t.ok(unsent > 16_000 && unsent < 17_000, `${unsent} bytes wait`);
  let replies = '';
  for (let more = client.take(); more !== ''; more = client.take()) {
    replies += more;
    plane.turn();
  }
  t.equal(replies, NOAUTH.repeat(10_000), 'nothing is lost');
});

t.test('who gives no password in time is cut off, whatever else he sends', async (t) => {
  const { plane, client } = setUp(['secret'], 'default', { authDeadlineMs: 5_000 });
  const [late, good, deaf] = [plane.client(), plane.client(), plane.client()];
  good.send(['AUTH', 'secret']).take();
  plane.pass(4_000);
  late.send(['PING']).take();
  t.notOk(client.isClosed);
  plane.pass(2_500);
  for (const one of [client, late, deaf]) t.ok(one.isClosed);
  t.notOk(good.isClosed);
  t.match(plane.logs.at(-1), {
    event: 'session-closed',
    fields: { reason: 'it gave no password (authDeadlineMs 5000)' },
  });
  t.equal(plane.counts.sessionDeadlineCloses, 3);
  good.send(['RESET']).take();
  plane.pass(6_500);
  t.ok(good.isClosed, 'RESET begins a new term');
});

t.test('the deadline can be turned off', async (t) => {
  const { plane, client } = setUp(['secret'], 'default', { authDeadlineMs: 0 });
  plane.pass(3_600_000, 60_000);
  t.notOk(client.isClosed);
});

t.test('without auth nothing is asked for', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const client = plane.client();
  plane.pass(120_000, 1_000);
  t.notOk(client.isClosed);
  t.equal(ask(client, 'PING'), '+PONG\r\n');
  t.equal(ask(client, 'AUTH', 'default', 'anything'), '+OK\r\n');
  t.match(ask(client, 'AUTH', 'anything'), /^-ERR AUTH <password> called without any password configured/);
  t.equal(plane.counts.authFailures, 0);
});
