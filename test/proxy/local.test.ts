import t from 'tap';
import { ANSWERS, bulk, type Client, command, HELLO_REPLY, Plane } from '../help/plane.js';

function setUp() {
  const world = new Plane({ nodes: 1 }).greetAll();
  const client = world.client();
  return { world, client, link: world.only(0) };
}

function ask(client: Client, ...words: string[]): string {
  return client.send(words).take();
}

const NOT_INTEGER = '-ERR Protocol version is not an integer or out of range\r\n';
const NAME_ERROR = '-ERR Client names cannot contain spaces, newlines or special characters.\r\n';
const NO_PASSWORD =
  '-ERR AUTH <password> called without any password configured for the default user. ' +
  'Are you sure your configuration is correct?\r\n';
const WRONG_PASSWORD = '-WRONGPASS invalid username-password pair or user is disabled.\r\n';

/** What a Redis 7.0.15 without a password answers, one after the other on one connection. */
const DIALOGUE: readonly [words: string[], reply: string][] = [
  [['HELLO', '03'], NOT_INTEGER],
  [['HELLO', '-0'], NOT_INTEGER],
  [['HELLO', 'x'], NOT_INTEGER],
  [['HELLO', ''], NOT_INTEGER],
  [['HELLO', ' 3'], NOT_INTEGER],
  [['HELLO', '99999999999999999999'], NOT_INTEGER],
  [['HELLO', '4'], '-NOPROTO unsupported protocol version\r\n'],
  [['HELLO', '1'], '-NOPROTO unsupported protocol version\r\n'],
  [['HELLO', '-1'], '-NOPROTO unsupported protocol version\r\n'],
  [['HELLO', '3', 'AUTH', 'bob', 'x', 'BAD'], WRONG_PASSWORD],
  [['HELLO', '2', 'AUTH', 'bob', 'x'], WRONG_PASSWORD],
  [['HELLO', '2', 'SETNAME'], "-ERR Syntax error in HELLO option 'SETNAME'\r\n"],
  [['HELLO', '2', 'SETNAME', 'a b'], NAME_ERROR],
  [['HELLO', '2', 'AUTH', 'default'], "-ERR Syntax error in HELLO option 'AUTH'\r\n"],
  [['HELLO', '2', 'FOO'], "-ERR Syntax error in HELLO option 'FOO'\r\n"],
  [['CLIENT', 'GETNAME'], '$-1\r\n'],
  [['SELECT', '0'], '+OK\r\n'],
  [['SELECT', '00'], '-ERR value is not an integer or out of range\r\n'],
  [['SELECT', 'x'], '-ERR value is not an integer or out of range\r\n'],
  [['SELECT', '9999999999999999999999'], '-ERR value is not an integer or out of range\r\n'],
  [['SELECT', '99999999999'], '-ERR value is out of range, value must between -2147483648 and 2147483647\r\n'],
  [['SELECT', '-1'], '-ERR DB index is out of range\r\n'],
  [['SELECT', '99'], '-ERR DB index is out of range\r\n'],
  [['SELECT'], "-ERR wrong number of arguments for 'select' command\r\n"],
  [['AUTH', 'x'], NO_PASSWORD],
  [['AUTH', 'default', 'x'], '+OK\r\n'],
  [['AUTH', 'bob', 'x'], WRONG_PASSWORD],
  [['AUTH', 'a', 'b', 'c'], '-ERR syntax error\r\n'],
  [['AUTH'], "-ERR wrong number of arguments for 'auth' command\r\n"],
  [['PING'], '+PONG\r\n'],
  [['ping', 'a\r\nb'], bulk('a\r\nb')],
  [['PING', ''], bulk('')],
  [['PING', 'x', 'y'], "-ERR wrong number of arguments for 'ping' command\r\n"],
  [['ECHO', 'x'], bulk('x')],
  [['ECHO'], "-ERR wrong number of arguments for 'echo' command\r\n"],
  [['CLIENT'], "-ERR wrong number of arguments for 'client' command\r\n"],
  [['CLIENT', 'FOO'], "-ERR unknown subcommand 'FOO'. Try CLIENT HELP.\r\n"],
  [['CLIENT', 'MAINT_NOTIFICATIONS', 'ON'], "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n"],
  [['CLIENT', 'ID'], ':1\r\n'],
  [['CLIENT', 'ID', 'x'], "-ERR wrong number of arguments for 'client|id' command\r\n"],
  [['CLIENT', 'SETNAME', 'a b'], NAME_ERROR],
  [['CLIENT', 'SETNAME', 'a\nb'], NAME_ERROR],
  [['CLIENT', 'SETNAME', '\x80'], NAME_ERROR],
  [['CLIENT', 'SETNAME', 'abc'], '+OK\r\n'],
  [['CLIENT', 'GETNAME'], bulk('abc')],
  [['CLIENT', 'SETNAME', ''], '+OK\r\n'],
  [['CLIENT', 'GETNAME'], '$-1\r\n'],
  [['HELLO', '2', 'AUTH', 'default', 'any', 'SETNAME', 'me', 'FOO'], "-ERR Syntax error in HELLO option 'FOO'\r\n"],
];

t.test("what concerns the session is answered in Redis's words", async (t) => {
  const { client, link } = setUp();
  for (const [words, reply] of DIALOGUE) t.equal(ask(client, ...words), reply, words.join(' '));
  t.equal(link.take(), '', 'no node is asked');
});

t.test('CLIENT SETINFO as Redis 7.2 has it, which clients send unasked', async (t) => {
  const { client } = setUp();
  t.equal(ask(client, 'CLIENT', 'SETINFO', 'LIB-NAME', 'ioredis'), '+OK\r\n');
  t.equal(ask(client, 'CLIENT', 'SETINFO', 'lib-ver', '5.4.1'), '+OK\r\n');
  t.equal(ask(client, 'CLIENT', 'SETINFO', 'lib-os', 'x'), "-ERR Unrecognized option 'lib-os'\r\n");
  t.equal(
    ask(client, 'CLIENT', 'SETINFO', 'lib-name', 'a b'),
    '-ERR lib-name cannot contain spaces, newlines or special characters.\r\n',
  );
  t.equal(ask(client, 'CLIENT', 'SETINFO', 'x'), "-ERR wrong number of arguments for 'client|setinfo' command\r\n");
});

/** HELLO's fields, as they stand in a map of either protocol. */
function helloFields(protocol: 2 | 3, id: number): string {
  const texts = `${bulk('server')}${bulk('redis')}${bulk('version')}${bulk('7.0.15')}`;
  const numbers = `${bulk('proto')}:${protocol}\r\n${bulk('id')}:${id}\r\n`;
  return `${texts}${numbers}${bulk('mode')}${bulk('standalone')}${bulk('role')}${bulk('master')}${bulk('modules')}*0\r\n`;
}

t.test('HELLO answers a flat array in RESP2 and a map in RESP3, and the session speaks it from then on', async (t) => {
  const { client } = setUp();
  t.equal(ask(client, 'HELLO'), `*14\r\n${helloFields(2, 1)}`);
  t.equal(ask(client, 'hello', '3', 'setname', 'zed', 'auth', 'default', ''), `%7\r\n${helloFields(3, 1)}`);
  t.equal(ask(client, 'CLIENT', 'GETNAME'), bulk('zed'));
  t.equal(ask(client, 'CLIENT', 'SETNAME', ''), '+OK\r\n');
  t.equal(ask(client, 'CLIENT', 'GETNAME'), '_\r\n');
  t.equal(ask(client, 'HELLO'), `%7\r\n${helloFields(3, 1)}`);
  t.equal(ask(client, 'HELLO', '2'), `*14\r\n${helloFields(2, 1)}`);
  t.equal(ask(client, 'CLIENT', 'GETNAME'), '$-1\r\n');
});

t.test('HELLO shows the version of the nodes', async (t) => {
  const world = new Plane({ nodes: 2 });
  const client = world.client();
  t.match(ask(client, 'HELLO'), bulk('7.0.15'), 'until one has said its own: that of the command table');
  const link = world.only(1).open();
  link.take();
  link.answer(`*2\r\n${bulk('version')}${bulk('6.2.14')}`, '*0\r\n*0\r\n');
  t.match(ask(client, 'HELLO'), bulk('6.2.14'));
});

t.test('CLIENT ID differs from client to client', async (t) => {
  const { world, client } = setUp();
  t.equal(ask(client, 'CLIENT', 'ID'), ':1\r\n');
  t.equal(ask(world.client(), 'CLIENT', 'ID'), ':2\r\n');
  t.equal(ask(client, 'CLIENT', 'ID'), ':1\r\n');
});

t.test('CLIENT INFO is a line about this client, verbatim in RESP3', async (t) => {
  const { world, client } = setUp();
  ask(client, 'CLIENT', 'SETNAME', 'abc');
  world.pass(3_000);
  const line = ask(client, 'CLIENT', 'INFO');
  t.match(
    line,
    /^\$\d+\r\nid=1 addr=127\.0\.0\.1:50000 laddr=127\.0\.0\.1:6380 fd=-?\d+ name=abc age=3 idle=0 flags=N db=0 /,
  );
  t.match(line, / cmd=client\|info user=default redir=-1 resp=2\n\r\n$/);
  ask(client, 'HELLO', '3');
  t.match(ask(client, 'CLIENT', 'INFO'), /^=\d+\r\ntxt:id=1 .* resp=3\n\r\n$/);
});

t.test('HELLO of the other protocol waits for the replies before it, and nothing behind it overtakes', async (t) => {
  const { world, client, link } = setUp();
  client.send(['GET', 'a'], ['HELLO', '3'], ['GET', 'a'], ['PING']);
  world.turn();
  t.same(link.commands(), ['GET a'], 'the second GET goes another way, and has to wait');
  t.equal(world.links(0, 3).filter((other) => other !== link).length, 0);
  t.equal(client.take(), '');
  link.answer('$-1\r\n');
  world.turn();
  t.equal(client.take(), `$-1\r\n%7\r\n${helloFields(3, 1)}`);
  const resp3 = world.links(0, 3).at(-1);
  t.same(resp3?.greet().commands(), ['GET a']);
  resp3?.answer('_\r\n');
  t.equal(client.take(), '_\r\n+PONG\r\n');
  t.equal(world.counts.commands, 4, 'a command that waited counts once');
});

t.test('HELLO that waits is not lost when the client sends more meanwhile', async (t) => {
  const { world, client, link } = setUp();
  client.send(['GET', 'a']).sendText('HELLO 3\r\n');
  client.send(['GET', 'b']);
  world.turn();
  client.send(['GET', 'c']);
  world.turn();
  t.same(link.commands(), ['GET a']);
  link.answer('$-1\r\n');
  world.turn();
  t.match(client.take(), /^\$-1\r\n%7\r\n/);
  t.same(world.links(0, 3).at(-1)?.greet().commands(), ['GET b', 'GET c']);
});

t.test('HELLO of the same protocol waits for nothing', async (t) => {
  const { world, client, link } = setUp();
  client.send(['GET', 'a'], ['HELLO', '2'], ['GET', 'b']);
  world.turn();
  t.same(link.commands(), ['GET a', 'GET b']);
  link.answer('$-1\r\n$-1\r\n');
  t.equal(client.take(), `$-1\r\n*14\r\n${helloFields(2, 1)}$-1\r\n`);
});

t.test('a client that goes away while its HELLO waits', async (t) => {
  const { world, client, link } = setUp();
  client.send(['GET', 'a'], ['HELLO', '3']);
  world.turn();
  link.take();
  client.connection.end();
  world.turn();
  t.notOk(client.isClosed, 'it is not read while HELLO waits, so its end is not known');
  link.answer('$-1\r\n');
  world.turn();
  t.match(client.take(), /^\$-1\r\n%7\r\n/);
  world.turn();
  t.ok(client.isClosed);
});

t.test('HELLO shows the lowest version of the nodes: what all of them can do', async (t) => {
  const plane = new Plane({ nodes: 4 });
  for (const [node, version] of ['7.0.15', '7.0.9', '7.2.1', '7.0.9'].entries()) {
    const link = plane.link(node)?.open();
    link?.take();
    const said = `*4\r\n${bulk('version')}${bulk(version)}${bulk('id')}:77\r\n`;
    link?.answer(said + ANSWERS[2]);
  }
  plane.turn();
  t.match(plane.client().send(['HELLO', '2']).take(), bulk('version') + bulk('7.0.9'));
});

t.test('COMMAND is asked of a node with no module that others of its pool lack', async (t) => {
  const asked = (counts: readonly number[]) => {
    const plane = new Plane({ nodes: counts.length });
    const module = `*4\r\n${bulk('name')}${bulk('m')}${bulk('ver')}:1\r\n`;
    for (const [node, count] of counts.entries()) {
      const link = plane.only(node).open();
      link.take();
      const hello = `*6${HELLO_REPLY[2].slice(2)}${bulk('modules')}*${count}\r\n${module.repeat(count)}`;
      link.answer(hello + ANSWERS[2]);
    }
    plane.client().send(['COMMAND', 'COUNT']);
    plane.turn();
    return counts.flatMap((_, node) => (plane.links(node).some((link) => link.take() !== '') ? [node] : []));
  };
  t.same(asked([2, 1]), [1]);
  t.same(asked([0, 1]), [0]);
  t.same(asked([1, 1]), [0]);
  t.same(asked([3, 4, 1, 4]), [2]);
});

t.test('COMMAND is asked of a node of the lowest version, while one is up', async (t) => {
  const plane = new Plane({ nodes: 3 });
  for (const [node, version] of ['7.2.4', '7.0.15', '7.2.4'].entries()) {
    const link = plane.only(node).open();
    link.take();
    link.answer(HELLO_REPLY[2].replace('6\r\n7.0.15', `${version.length}\r\n${version}`) + ANSWERS[2]);
  }
  const client = plane.client().send(['COMMAND', 'COUNT']);
  plane.turn();
  t.equal(plane.only(1).take(), command('COMMAND', 'COUNT'));
  plane.only(1).answer(':240\r\n');
  t.equal(client.take(), ':240\r\n');
  plane.only(1).connection.end();
  plane.turn();
  client.send(['COMMAND', 'COUNT']);
  plane.turn();
  t.equal(plane.only(0).take(), command('COMMAND', 'COUNT'));
});
