/** CONFIG GET: what is not shown as the node says it, alone and inside MULTI. */
import t from 'tap';
import { bulk, type NodeLink, Plane } from '../help/plane.js';

const QUEUED = '+QUEUED\r\n';

/** An array, or with `type` % a map, of these names and values by turns. */
function settings(type: '*' | '%', ...words: string[]): string {
  return `${type}${type === '*' ? words.length : words.length / 2}\r\n${words.map(bulk).join('')}`;
}

const NODE = [
  ...['port', '7000', 'PORT', '7000', 'maxclients', '77', 'cluster-enabled', 'no', 'tls-port', '0', 'dir', '/data'],
  ...['requirepass', 'pw', 'RequirePass', 'pw', 'masterauth', 'pw', 'masteruser', 'someone', 'primaryauth', 'pw'],
  ...['primaryuser', 'someone', 'tls-key-file-pass', 'pw', 'tls-client-key-file-pass', 'pw', 'hz', '10'],
];
const SHOWN = [
  ...['port', '6380', 'PORT', '6380', 'maxclients', '10000', 'cluster-enabled', 'yes', 'tls-port', '0', 'dir', '/data'],
  ...['requirepass', '', 'RequirePass', '', 'masterauth', '', 'masteruser', '', 'primaryauth', ''],
  ...['primaryuser', '', 'tls-key-file-pass', '', 'tls-client-key-file-pass', '', 'hz', '10'],
];

t.test('it is shown what one Redis in the place of the proxy would show, and no password of a node', async (t) => {
  for (const [protocol, type] of [
    [2, '*'],
    [3, '%'],
  ] as const) {
    const plane = new Plane({ nodes: 2 }).greetAll();
    const client = plane.client().send(['HELLO', String(protocol)], ['GET', plane.key(0)], ['GET', plane.key(1)]);
    plane.turn();
    const [own, other] = [0, 1].map((node) => {
      const link = plane.link(node, 3) ?? plane.link(node, 2);
      return link?.protocol === protocol ? link : link?.greet();
    }) as [NodeLink, NodeLink];
    plane.turn();
    for (const link of [own, other]) {
      link.take();
      link.answer(bulk('v'));
    }
    client.take();

    client.send(['CONFIG', 'GET', '*'], ['PING']);
    plane.turn();
    t.same(own.commands(), ['CONFIG GET *']);
    own.answer(settings(type, ...NODE));
    t.equal(client.take(), `${settings(type, ...SHOWN)}+PONG\r\n`);

    client.send(['MULTI'], ['ECHO', 'x'], ['CONFIG', 'GET', '*'], ['DBSIZE'], ['CONFIG', 'GET', 'x'], ['EXEC']);
    plane.turn();
    t.same(own.commands(), ['MULTI', 'CONFIG GET *', 'DBSIZE', 'CONFIG GET x', 'EXEC']);
    const replies = [settings(type, ...NODE), ':1\r\n', settings(type, 'requirepass', 'pw')];
    own.answer('+OK\r\n', QUEUED.repeat(3), `*3\r\n${replies.join('')}`);
    plane.turn();
    t.same(other.commands(), ['DBSIZE']);
    other.answer(':2\r\n');
    plane.turn();
    const told = [bulk('x'), settings(type, ...SHOWN), ':3\r\n', settings(type, 'requirepass', '')];
    t.equal(client.take(), `+OK\r\n${QUEUED.repeat(4)}*4\r\n${told.join('')}`);

    client.send(['MULTI'], ['CONFIG', 'GET', '*'], ['GET', plane.key(1)], ['EXEC']);
    plane.turn();
    t.same(other.commands(), ['MULTI', 'CONFIG GET *', `GET ${plane.key(1)}`, 'EXEC']);
    other.answer('+OK\r\n', QUEUED.repeat(2), `*2\r\n${settings(type, ...NODE)}${bulk('v')}`);
    plane.turn();
    t.equal(client.take(), `+OK\r\n${QUEUED.repeat(2)}*2\r\n${settings(type, ...SHOWN)}${bulk('v')}`);
    t.equal(plane.usedBytes, 0);
  }
});

t.test('an error is told as it is, and nothing of what is no list of settings', async (t) => {
  const error = '-NOPERM no\r\n';
  for (const [reply, told] of [
    [error, error],
    ['*0\r\n', '*0\r\n'],
    [bulk('requirepass pw'), /^-ERR node node-0 answered the unexpected: a bulk string, 21 bytes in all\r\n$/],
    [settings('*', 'requirepass'), /^-ERR node node-0 answered the unexpected: an array, /],
    ['*-1\r\n', /^-ERR node node-0 answered the unexpected: an array, /],
    ['*2\r\n*1\r\n:1\r\n$2\r\npw\r\n', /^-ERR node node-0 answered the unexpected: an array, /],
  ] as const) {
    const plane = new Plane({ nodes: 1 }).greetAll();
    const client = plane.client().send(['CONFIG', 'GET', 'x']);
    plane.turn();
    plane.only(0).take();
    plane.only(0).answer(reply);
    const alone = client.take();
    t.match(alone, told);
    client.send(['MULTI'], ['CONFIG', 'GET', 'x'], ['EXEC']);
    plane.turn();
    plane.only(0).take();
    plane.only(0).answer('+OK\r\n', QUEUED, `*1\r\n${reply}`);
    plane.turn();
    t.equal(client.take(), `+OK\r\n${QUEUED}*1\r\n${alone}`);
    t.equal(plane.usedBytes, 0);
  }
});
