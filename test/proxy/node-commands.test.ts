/** Commands that the table lacks, on a plane without sockets: when nodes are asked, and who waits for it. */
import t from 'tap';
import { answerPings, bulk, command, Plane } from '../help/plane.js';
import { plainTopology, slotOwnersOf } from '../help/topology.js';

const NONE = '*1\r\n*-1\r\n';

/** What a node says of a command with one key, of one with movable keys, and of one without. */
function described(name: string, flags: string, first = 1): string {
  const words = flags.split(' ');
  const shown = words.map((word) => `+${word}\r\n`).join('');
  return `*1\r\n*10\r\n${bulk(name)}:-1\r\n*${words.length}\r\n${shown}:${first}\r\n:${first}\r\n:${first}\r\n*0\r\n*0\r\n*0\r\n*0\r\n`;
}

function setUp(nodes = 2) {
  const plane = new Plane({ nodes }).greetAll();
  /** Each node hears what is asked, and answers in turn. */
  const answerAll = (name: string, ...replies: string[]) => {
    // Questions have a distance.
    plane.pass(10);
    const heard = replies.map((_, node) => plane.only(node).take());
    for (const [node, reply] of replies.entries()) plane.only(node).answer(reply);
    plane.turn();
    t.same(new Set(heard), new Set([command('COMMAND', 'INFO', name)]));
  };
  return { plane, client: plane.client(), answerAll };
}

t.test('what no node knows is unknown, and for a second nobody is asked again', async (t) => {
  const { plane, client, answerAll } = setUp();
  client.send(['NONSENSE', 'a', 'b'], ['PING']);
  t.equal(client.take(), '', 'what comes behind it waits');
  answerAll('nonsense', NONE, NONE);
  const unknown = "-ERR unknown command 'NONSENSE', with args beginning with: 'a' 'b' \r\n";
  t.equal(client.take(), `${unknown}+PONG\r\n`);
  t.equal(client.send(['nonsense', 'a', 'b']).take(), unknown.replace('NONSENSE', 'nonsense'));
  plane.turn();
  t.equal(plane.only(0).take(), '');
  plane.pass(1_000);
  client.send(['NONSENSE', 'a', 'b']);
  answerAll('nonsense', NONE, NONE);
  t.equal(client.take(), unknown);
});

t.test('what cannot be a name is answered at once, and so is who owes a password', async (t) => {
  const { plane, client } = setUp();
  for (const [name, shown] of [
    ['x'.repeat(200), 'x'.repeat(128)],
    ['a\r\nb', 'a  b'],
    ['x', 'x'],
    ['config|get', 'config|get'],
  ] as const)
    t.equal(client.send([name]).take(), `-ERR unknown command '${shown}', with args beginning with: \r\n`);
  plane.turn();
  t.equal(plane.only(0).take(), '');
});

t.test('many names are one question, and many sessions wait for one answer', async (t) => {
  const { plane, client } = setUp(1);
  const clients = Array.from({ length: 100 }, () => plane.client());
  client.send(['FIRST']);
  for (const [number, other] of clients.entries()) other.send([`NAME${number % 70}`]);
  plane.turn();
  t.equal(plane.only(0).take(), command('COMMAND', 'INFO', 'first'));
  plane.only(0).answer(NONE);
  plane.turn();
  t.equal(plane.only(0).take(), '', 'not more often than every 10 ms');
  plane.pass(10);
  const names = Array.from({ length: 70 }, (_, number) => `name${number}`);
  t.equal(plane.only(0).take(), command('COMMAND', 'INFO', ...names.slice(0, 64)));
  plane.only(0).answer(`*64\r\n${'*-1\r\n'.repeat(64)}`);
  plane.pass(10);
  t.equal(plane.only(0).take(), command('COMMAND', 'INFO', ...names.slice(64)));
  plane.only(0).answer(`*6\r\n${'*-1\r\n'.repeat(6)}`);
  plane.turn();
  t.match(client.take(), /unknown command 'FIRST'/);
  for (const [number, other] of clients.entries()) t.match(other.take(), `unknown command 'NAME${number % 70}'`);
  t.equal(plane.usedBytes, 0);
});

t.test('a client that goes meanwhile leaves nothing behind', async (t) => {
  const { plane, client, answerAll } = setUp();
  client.send(['MY.GET', 'k']);
  plane.turn();
  client.connection.break(new Error('connection reset'));
  answerAll('my.get', described('my.get', 'readonly'), described('my.get', 'readonly'));
  t.equal(plane.usedBytes, 0);
  const [key, other] = [plane.key(0), plane.client()];
  other.send(['MY.GET', key]);
  plane.turn();
  t.equal(plane.only(0).take(), command('MY.GET', key), 'it is known by now');
});

t.test('a write that was lost is unknown, and is not sent again; a read is', async (t) => {
  for (const [flags, resent] of [
    ['write', ''],
    ['fast', ''],
    ['readonly', 'again'],
  ] as const) {
    const { plane, client, answerAll } = setUp();
    const key = plane.key(0);
    client.send(['MY.DO', key]);
    answerAll('my.do', described('my.do', flags), described('my.do', flags));
    t.equal(plane.only(0).take(), command('MY.DO', key));
    plane.only(0).connection.end();
    plane.pass(1_000);
    plane.greetAll();
    t.equal(plane.only(0).take(), resent === '' ? '' : command('MY.DO', key), flags);
    t.match(client.take(), resent === '' ? /^-UNKNOWN / : /^$/, flags);
  }
});

t.test('what is known holds for a minute', async (t) => {
  const { plane, client, answerAll } = setUp();
  const key = plane.key(0);
  client.send(['MY.GET', key]);
  answerAll('my.get', described('my.get', 'readonly'), described('my.get', 'readonly'));
  for (let second = 0; second < 60; second++) {
    client.send(['MY.GET', key]);
    plane.turn();
    t.notMatch(plane.only(0).take(), 'COMMAND');
    plane.only(0).answer(bulk('v'));
    if (second === 0) plane.only(0).answer(bulk('v'));
    client.take();
    plane.pass(1_000);
    answerPings(plane);
  }
  for (const node of [0, 1]) plane.only(node).take();
  client.send(['MY.GET', key]);
  answerAll('my.get', NONE, NONE);
  t.match(client.take(), /^-ERR unknown command/);
});

t.test('nodes that say nothing, or not the same', async (t) => {
  const { client, answerAll } = setUp();
  client.send(['MY.A', 'k']);
  answerAll('my.a', '-NOPERM no\r\n', '-NOPERM no\r\n');
  t.equal(client.take(), '-NOPERM no\r\n');
  client.send(['MY.B', 'k']);
  answerAll('my.b', described('my.b', 'write'), NONE);
  t.match(client.take(), /^-ERR node node-1 does not know MY\.B; other nodes of pool main, such as node-0, do: /);
  client.send(['MY.C', 'k']);
  answerAll('my.c', described('my.c', 'write'), described('my.c', 'write', 2));
  t.match(client.take(), /^-ERR nodes node-0 and node-1 describe MY\.C differently: /);
  client.send(['MY.D', 'k']);
  answerAll('my.d', described('my.d', 'readonly', 0), '-LOADING busy\r\n');
  t.match(client.take(), /^-ERR MY\.D is not supported by this proxy: it names no keys/, 'the one that is away counts');
});

t.test('keys that a node has to be asked for: of this command alone, in order with all others', async (t) => {
  const { plane, client } = setUp();
  const [one, other] = [plane.key(0), plane.key(1)];
  client.send(['GET', one], ['MY.MOVE', 'x', one], ['GET', one]);
  plane.turn();
  plane.only(0).take();
  plane.only(1).take();
  plane.only(0).answer(bulk('first'));
  const movable = described('my.move', 'write movablekeys', 0);
  for (const node of [0, 1]) plane.only(node).answer(movable);
  plane.turn();
  t.equal(client.take(), bulk('first'));
  t.equal(plane.only(0).take(), command('COMMAND', 'GETKEYS', 'MY.MOVE', 'x', one));
  plane.only(0).answer(`*1\r\n${bulk(one)}`);
  plane.turn();
  t.equal(plane.only(0).take(), command('MY.MOVE', 'x', one) + command('GET', one));
  plane.only(0).answer(':1\r\n', bulk('last'));
  t.equal(client.take(), `:1\r\n${bulk('last')}`);
  for (const [told, reply] of [
    [`*2\r\n${bulk(one)}${bulk(other)}`, /^-CROSSSLOT /],
    ['-ERR Invalid arguments specified for command\r\n', /^-ERR Invalid arguments/],
    ['*0\r\n', /^-ERR MY\.MOVE is not supported by this proxy: it names no keys/],
    [`*1\r\n${bulk('else')}`, /^-ERR a node says that my\.move has keys which are none of its words/],
  ] as const) {
    client.send(['MY.MOVE', 'x', one, other]);
    plane.turn();
    plane.only(0).take();
    plane.only(0).answer(told);
    plane.turn();
    t.match(client.take(), reply);
  }
  t.equal(plane.usedBytes, 0);
});

t.test('what a node has told of the keys of one command is not said of the next one', async (t) => {
  const { plane, client, answerAll } = setUp();
  const [one, other] = [plane.key(0), plane.key(1)];
  const movable = described('my.move', 'write movablekeys', 0);
  client.send(['MY.MOVE', 'x', one]);
  answerAll('my.move', movable, movable);
  t.equal(plane.only(0).take(), command('COMMAND', 'GETKEYS', 'MY.MOVE', 'x', one));
  // Before the answer comes, nodes are others, which do not know the command.
  plane.only(1).connection.end();
  while (!plane.nodeStates.some((state) => state.startsWith('node-1 down'))) {
    plane.pass(200);
    plane.links(1).at(-1)?.connection.end();
  }
  plane.only(0).answer(`*1\r\n${bulk(one)}`);
  answerAll('my.move', NONE);
  t.match(client.take(), /^-ERR unknown command 'MY.MOVE'/);
  plane.pass(1_000);
  client.send(['MY.MOVE', 'x', other]);
  answerAll('my.move', movable);
  t.equal(plane.only(0).take(), command('COMMAND', 'GETKEYS', 'MY.MOVE', 'x', other));
});

t.test('a client that ends its side is answered all the same, with what stands behind', async (t) => {
  const { plane, client, answerAll } = setUp();
  const key = plane.key(0);
  const movable = described('my.move', 'write movablekeys', 0);
  client.send(['MY.MOVE', 'x', key], ['ECHO', 'last']);
  client.connection.end();
  plane.turn();
  t.notOk(client.isClosed);
  answerAll('my.move', movable, movable);
  t.equal(plane.only(0).take(), command('COMMAND', 'GETKEYS', 'MY.MOVE', 'x', key));
  plane.only(0).answer(`*1\r\n${bulk(key)}`);
  plane.turn();
  t.equal(plane.only(0).take(), command('MY.MOVE', 'x', key));
  plane.only(0).answer(':1\r\n');
  plane.turn();
  t.equal(client.take(), `:1\r\n${bulk('last')}`);
  plane.turn();
  t.ok(client.isClosed);
  t.equal(plane.usedBytes, 0);
});

t.test('a node that is silent holds it up until its time is over, and no longer', async (t) => {
  const { plane, client } = setUp();
  const key = plane.key(0);
  client.send(['MY.GET', key]);
  plane.turn();
  for (const node of [0, 1]) t.equal(plane.only(node).take(), command('COMMAND', 'INFO', 'my.get'));
  plane.only(0).answer(described('my.get', 'readonly'));
  plane.pass(plane.limits.requestTimeoutMs - 100);
  t.equal(plane.only(0).take().replace(command('PING'), ''), '');
  plane.pass(300);
  // That the other one is away now is news, so that what was heard may be old.
  t.match(plane.only(0).take(), command('COMMAND', 'INFO', 'my.get'));
  plane.only(0).answer('+PONG\r\n', described('my.get', 'readonly'));
  plane.turn();
  t.equal(plane.only(0).take(), command('MY.GET', key));
});

t.test('MULTI: where keys may lie elsewhere by EXEC, they are looked at again', async (t) => {
  const { plane, client } = setUp();
  const [one, other] = [plane.key(0), plane.key(1)];
  const told = described('my.move', 'write movablekeys', 0);
  const queue = (...words: string[]) => {
    client.send(words);
    plane.pass(10);
    const links = [0, 1].map((node) => ({ link: plane.only(node), heard: plane.only(node).take() }));
    for (const { link, heard } of links) if (heard.includes('INFO')) link.answer(told);
    plane.turn();
    t.match(`${links[0]?.heard}${plane.only(0).take()}`, 'GETKEYS');
    plane.only(0).answer(`*1\r\n${bulk(words[2] as string)}`);
    plane.turn();
  };
  const configure = (version: number, owners: Uint16Array) =>
    plane.data.configure(plainTopology(version, plane.topology.nodes, owners), plane.limits, plane.rules);
  client.send(['MULTI']);
  queue('MY.MOVE', 'x', one);
  t.equal(client.take(), '+OK\r\n+QUEUED\r\n');
  configure(2, new Uint16Array(16_384).fill(1));
  client.send(['EXEC']);
  plane.turn();
  t.equal(plane.only(1).take(), command('MULTI') + command('MY.MOVE', 'x', one) + command('EXEC'), 'all is on node 1');
  plane.only(1).answer('+OK\r\n', '+QUEUED\r\n', '*1\r\n:1\r\n');
  t.equal(client.take(), '*1\r\n:1\r\n');
  client.send(['MULTI']);
  queue('MY.MOVE', 'x', one);
  queue('MY.MOVE', 'x', other);
  t.equal(client.take(), '+OK\r\n+QUEUED\r\n+QUEUED\r\n');
  configure(3, slotOwnersOf(plane.topology));
  client.send(['EXEC']);
  plane.turn();
  t.match(client.take(), /^-EXECABORT Transaction discarded because of: CROSSSLOT /);
});

t.test('what is told by nodes of a topology that has gone is asked again', async (t) => {
  const { plane, client, answerAll } = setUp();
  const key = plane.key(0);
  client.send(['MY.GET', key]);
  plane.turn();
  plane.data.configure(plainTopology(2, plane.topology.nodes, slotOwnersOf(plane.topology)), plane.limits, plane.rules);
  answerAll('my.get', NONE, NONE);
  answerAll('my.get', described('my.get', 'readonly'), described('my.get', 'readonly'));
  t.equal(plane.only(0).take(), command('MY.GET', key));
});
