/** CLIENT TRACKING: by connections of the session's own, whose messages reach the client in their place, and none is missed. */
import t from 'tap';
import { pendingsInUse } from '../help/pending-watch.js';
import {
  ANSWERS,
  bulk,
  type Client,
  command,
  commandsIn,
  type NodeLink,
  Plane,
  type PlaneOptions,
} from '../help/plane.js';
import { plainTopology, slotOwnersOf } from '../help/topology.js';

const ALL = '>2\r\n$10\r\ninvalidate\r\n_\r\n';
const BLOCK = (...commands: string[][]) => [['MULTI'], ...commands, ['EXEC']].map((w) => command(...w)).join('');

function invalidate(...keys: string[]): string {
  return `>2\r\n$10\r\ninvalidate\r\n*${keys.length}\r\n${keys.map(bulk).join('')}`;
}

/** A client in RESP3 that has said CLIENT TRACKING ON with these options. */
function tracking(options: readonly string[] = [], plane = new Plane({ nodes: 2 }).greetAll()) {
  const client = plane.client().send(['HELLO', '3'], ['CLIENT', 'TRACKING', 'ON', ...options]);
  plane.turn();
  client.take();
  return { plane, client };
}

/** The node takes the newest connection, which greets it with these commands besides HELLO and its questions; `id` is its number there. */
function greet(plane: Plane, node: number, id = 0): { link: NodeLink; setUp: string[] } {
  plane.turn();
  const fresh = plane.links(node).find(({ protocol }) => protocol === null);
  if (fresh === undefined) throw new Error(`node ${node} has no new connection`);
  const [hello = '', , , ...setUp] = commandsIn(fresh.open().take());
  fresh.protocol = hello.includes('3') ? 3 : 2;
  const map = fresh.protocol === 3 ? '%2' : '*4';
  fresh.answer(`${map}\r\n${bulk('version')}${bulk('7.0.15')}${bulk('id')}:${id}\r\n`, ANSWERS[fresh.protocol]);
  fresh.answer('+OK\r\n'.repeat(setUp.length));
  plane.turn();
  return { link: fresh, setUp };
}

/** The node answers what it has taken. */
function answer(link: NodeLink, ...replies: string[]): void {
  link.take();
  link.answer(...replies);
}

/** As `tracking`, with a connection to node 0 by which `key` was read. */
function reading(options: readonly string[] = [], planeOptions: PlaneOptions = { nodes: 2 }) {
  const { plane, client } = tracking(options, new Plane(planeOptions).greetAll());
  const key = plane.key(0);
  client.send(['GET', key]);
  const { link } = greet(plane, 0);
  link.take();
  answer(link, '$1\r\n1\r\n');
  plane.turn();
  if (client.take() !== '$1\r\n1\r\n') throw new Error('it does not read');
  return { plane, client, key, link };
}

function told(plane: Plane, client: Client): string {
  plane.turn();
  plane.turn();
  return client.take();
}

t.test('what it reads goes by connections of its own, which track, and what they say reaches it', async (t) => {
  const { plane, client } = tracking();
  t.equal(plane.links(0).length, 1, 'nothing is opened before it is needed');
  const key = plane.key(0);
  client.send(['GET', key], ['SET', key, '1']);
  const { link, setUp } = greet(plane, 0);
  t.same(setUp, ['CLIENT TRACKING ON']);
  t.equal(link.protocol, 3);
  t.equal(link.take(), command('GET', key) + command('SET', key, '1'));
  t.equal(plane.links(0, 2)[0]?.take(), '', 'the shared connection has nothing of it');
  answer(link, '_\r\n+OK\r\n', invalidate(key));
  t.equal(told(plane, client), `_\r\n+OK\r\n${invalidate(key)}`);
  answer(link, invalidate('other'));
  t.equal(told(plane, client), invalidate('other'), 'it comes unasked');
  t.equal(plane.counts.privateConnectionsOpen, 1);
});

t.test('a message does not overtake a reply that its node gave before it', async (t) => {
  const { plane, client } = tracking();
  const [slow, quick] = [plane.key(0), plane.key(1)];
  client.send(['GET', slow], ['GET', quick]);
  const [first, second] = [greet(plane, 0).link, greet(plane, 1).link];
  answer(second, invalidate('earlier'));
  t.equal(told(plane, client), invalidate('earlier'), 'without a reply before it, it does not wait');
  answer(second, '$1\r\n1\r\n', invalidate(quick), invalidate('next'));
  t.equal(told(plane, client), '');
  answer(first, invalidate(slow), '$1\r\n0\r\n');
  t.equal(told(plane, client), `$1\r\n0\r\n$1\r\n1\r\n${invalidate(quick)}${invalidate('next')}${invalidate(slow)}`);
});

t.test('nor one that is a part of a reply', async (t) => {
  const { plane, client } = tracking();
  const [slow, quick] = [plane.key(0), plane.key(1)];
  client.send(['MGET', slow, quick]);
  const [first, second] = [greet(plane, 0).link, greet(plane, 1).link];
  answer(second, `*1\r\n${bulk('1')}`, invalidate(quick));
  t.equal(told(plane, client), '');
  answer(first, `*1\r\n${bulk('0')}`);
  t.equal(told(plane, client), `*2\r\n${bulk('0')}${bulk('1')}${invalidate(quick)}`);
});

t.test(
  'that all keys are invalid is said once, however many nodes say it, until something else was said',
  async (t) => {
    const { plane, client } = tracking();
    client.send(['GET', plane.key(0)], ['GET', plane.key(1)]);
    const links = [greet(plane, 0).link, greet(plane, 1).link] as const;
    for (const link of links) answer(link, '_\r\n');
    t.equal(told(plane, client), '_\r\n_\r\n');
    for (const link of links) answer(link, ALL);
    t.equal(told(plane, client), ALL);
    client.send(['ECHO', 'x']);
    answer(links[0], ALL);
    t.equal(told(plane, client), `${bulk('x')}${ALL}`);
    for (const link of links) link.take();
    client.send(['FLUSHALL']);
    plane.turn();
    answer(links[1], '+OK\r\n', ALL);
    t.equal(told(plane, client), '');
    answer(links[0], '+OK\r\n', ALL);
    t.equal(told(plane, client), `+OK\r\n${ALL}`);
  },
);

t.test('a lost connection: the client is told that all keys are invalid, and the next one tracks', async (t) => {
  const { plane, client, key, link } = reading();
  client.send(['GET', key], ['SET', key, '2']);
  plane.turn();
  link.take();
  link.connection.break(new Error('reset'));
  const [push, read, write] = told(plane, client).split(/(?<=\r\n)(?=-)/);
  t.equal(push, ALL);
  t.match(read, /^-NODEDOWN node node-0 .*: the connection was lost: reset; the command had no effect\r\n$/);
  t.match(write, /^-UNKNOWN node node-0 /);
  client.send(['GET', key]);
  const again = greet(plane, 0);
  t.same(again.setUp, ['CLIENT TRACKING ON']);
  answer(again.link, '_\r\n');
  t.equal(told(plane, client), '_\r\n');
  t.equal(plane.counts.nodeConnectionsLost, 1);
  t.equal(plane.counts.privateConnectionsOpen, 1);
});

t.test('a node that has fallen silent is noticed, though nothing is asked of it', async (t) => {
  const { plane, client, link } = reading();
  plane.pass(plane.limits.idlePingMs + 600);
  t.equal(link.take(), command('PING'));
  answer(link, '+PONG\r\n');
  plane.pass(plane.limits.idlePingMs + 600);
  t.equal(told(plane, client), '', 'it has answered');
  plane.pass(plane.limits.stallTimeoutMs + 600);
  t.equal(told(plane, client), ALL);
  t.ok(link.isClosed);
});

t.test('a node that cannot be reached: its commands fail at once for a while, and it is tried again', async (t) => {
  const { plane, client } = tracking();
  const key = plane.key(0);
  const attempt = () => {
    client.send(['GET', key]);
    plane.turn();
    return plane.links(0).filter(({ protocol }) => protocol === null);
  };
  answer(attempt()[0]?.open() as NodeLink, '-ERR max number of clients reached\r\n');
  t.match(told(plane, client), /^-NODEDOWN .*it refused the greeting: ERR max number of clients reached/);
  t.same(attempt(), []);
  t.match(told(plane, client), /^-NODEDOWN .*it refused the greeting/);
  plane.pass(plane.limits.reconnectMinMs);
  t.equal(attempt().length, 1);
  answer(greet(plane, 0).link, '_\r\n');
  t.equal(told(plane, client), '_\r\n', 'nothing had been read there');
});

t.test('a node that does not track is not read from', async (t) => {
  const { plane, client } = tracking();
  client.send(['GET', plane.key(0)]);
  plane.turn();
  const link = plane.links(0).find(({ protocol }) => protocol === null) as NodeLink;
  link.open().take();
  answer(link, `%1\r\n${bulk('version')}${bulk('7.0.15')}`, ANSWERS[3], "-NOPERM this user can't\r\n");
  t.match(told(plane, client), /^-NODEDOWN .*it refused the greeting: NOPERM this user can't/);
});

t.test('broadcasts: all nodes say them before the client is told OK, and again after one was lost', async (t) => {
  const { plane, client } = tracking(['BCAST', 'PREFIX', 'a:', 'PREFIX', 'b:']);
  const { link, setUp } = greet(plane, 0);
  t.same(setUp, ['CLIENT TRACKING ON BCAST PREFIX a: PREFIX b:']);
  t.equal(told(plane, client), '');
  const other = greet(plane, 1).link;
  t.equal(told(plane, client), '+OK\r\n');
  answer(other, invalidate('a:1', 'a:2'));
  t.equal(told(plane, client), invalidate('a:1', 'a:2'));
  client.send(['CLIENT', 'TRACKING', 'ON', 'BCAST', 'PREFIX', 'c:']);
  plane.turn();
  for (const each of [link, other]) {
    t.same(each.commands(), ['CLIENT TRACKING ON BCAST PREFIX c:']);
    t.equal(told(plane, client), '');
    answer(each, '+OK\r\n');
  }
  t.equal(told(plane, client), '+OK\r\n');
  link.connection.break(new Error('reset'));
  t.equal(told(plane, client), ALL);
  client.send(['ECHO', 'x']);
  t.equal(told(plane, client), bulk('x'));
  plane.pass(plane.limits.reconnectMinMs);
  t.same(greet(plane, 0).setUp, ['CLIENT TRACKING ON BCAST PREFIX a: PREFIX b: PREFIX c:']);
  t.equal(told(plane, client), ALL, 'others may have read meanwhile');
  client.send(['CLIENT', 'TRACKING', 'ON', 'BCAST']);
  plane.turn();
  for (const each of [plane.links(0, 3)[0] as NodeLink, other]) {
    t.same(each.commands(), ['CLIENT TRACKING ON BCAST']);
    answer(each, '+OK\r\n');
  }
  t.equal(told(plane, client), '+OK\r\n');
  other.connection.break(null);
  plane.pass(plane.limits.reconnectMinMs);
  const again = ['CLIENT TRACKING ON BCAST PREFIX a: PREFIX b: PREFIX c:', 'CLIENT TRACKING ON BCAST'];
  t.same(greet(plane, 1).setUp, again);
});

t.test('broadcasts with a node that is down: OK, and it is tried until it is there', async (t) => {
  const { plane, client } = tracking(['BCAST']);
  greet(plane, 0);
  const refused = () => plane.links(1).find(({ protocol }) => protocol === null);
  refused()?.connection.break(new Error('refused'));
  t.equal(told(plane, client), '+OK\r\n');
  plane.pass(plane.limits.reconnectMinMs);
  refused()?.connection.break(new Error('refused'));
  t.equal(told(plane, client), '');
  t.equal(refused(), undefined, 'not at once');
  plane.pass(plane.limits.reconnectMinMs * 2);
  greet(plane, 1);
  t.equal(told(plane, client), ALL);
});

t.test('broadcasts of keys that the service does not see are kept from it', async (t) => {
  const [plain] = new Plane({ nodes: 1 }).topology.services;
  const [keyspace] = plain?.keyspaces ?? [];
  if (!plain || !keyspace) throw new Error('there is no service');
  const services = [{ ...plain, keyspaces: [{ ...keyspace, prefix: 'app:' }] }];
  const { plane, client } = tracking(['BCAST'], new Plane({ nodes: 1, services }).greetAll());
  const { link } = greet(plane, 0);
  t.equal(told(plane, client), '+OK\r\n');
  answer(link, invalidate('app:1', 'other:1', 'app:', 'app'), invalidate('other:2'));
  t.equal(told(plane, client), invalidate('app:1', 'app:'));
  answer(link, ALL);
  t.equal(told(plane, client), ALL);
});

t.test('CLIENT CACHING is for the next command, wherever that goes', async (t) => {
  const { plane, client } = tracking(['OPTIN']);
  const [a, b] = [plane.key(0), plane.key(1)];
  client.send(['CLIENT', 'CACHING', 'YES'], ['CLIENT', 'ID'], ['MGET', a, b], ['GET', a]);
  const first = greet(plane, 0);
  t.same(first.setUp, ['CLIENT TRACKING ON OPTIN']);
  const second = greet(plane, 1);
  t.same(first.link.commands(), ['CLIENT CACHING YES', `MGET ${a}`, `GET ${a}`]);
  t.same(second.link.commands(), ['CLIENT CACHING YES', `MGET ${b}`]);
  answer(first.link, '+OK\r\n*1\r\n_\r\n_\r\n');
  answer(second.link, '+OK\r\n*1\r\n_\r\n');
  t.equal(told(plane, client), '+OK\r\n:1\r\n*2\r\n_\r\n_\r\n_\r\n');
  client.send(['CLIENT', 'CACHING', 'YES'], ['MULTI'], ['GET', a], ['EXEC'], ['GET', a]);
  plane.turn();
  t.equal(first.link.take(), command('CLIENT', 'CACHING', 'YES') + BLOCK(['GET', a]) + command('GET', a));
  answer(first.link, '+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n_\r\n_\r\n');
  t.equal(told(plane, client), '+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n_\r\n_\r\n');
  client.send(['CLIENT', 'CACHING', 'YES'], ['PING'], ['GET', a]);
  plane.turn();
  for (const { link } of [first, second]) {
    t.same(link.commands(), ['PING']);
    answer(link, '+PONG\r\n');
  }
  plane.turn();
  plane.turn();
  t.same(first.link.commands(), [`GET ${a}`], 'PING was the next one');
  answer(first.link, '_\r\n');
  told(plane, client);
  client.send(['MULTI'], ['CLIENT', 'CACHING', 'YES'], ['GET', a], ['EXEC']);
  plane.turn();
  t.equal(first.link.take(), BLOCK(['CLIENT', 'CACHING', 'YES'], ['GET', a]));
});

t.test('CLIENT CACHING before a command that is put off', async (t) => {
  const { plane, client, key, link } = reading(['OPTOUT']);
  client.send(['GET', key], ['CLIENT', 'CACHING', 'NO'], ['CLIENT', 'LIST'], ['BLPOP', key, '0'], ['GET', key]);
  plane.turn();
  t.same(link.commands(), [`GET ${key}`]);
  answer(link, '_\r\n');
  for (let turn = 0; turn < 5; turn++) plane.turn();
  t.same(link.commands(), ['CLIENT CACHING NO', `BLPOP ${key} 0`]);
  answer(link, '+OK\r\n_\r\n');
  for (let turn = 0; turn < 5; turn++) plane.turn();
  t.same(link.commands(), [`GET ${key}`]);
});

t.test('PONG comes behind what a node has sent before it reads PING', async (t) => {
  const { plane, client, key, link } = reading();
  client.send(['GET', plane.key(1)]);
  const other = greet(plane, 1).link;
  answer(other, '_\r\n');
  told(plane, client);
  client.send(['PING'], ['PING', 'again']);
  t.equal(told(plane, client), '', 'a message may be under way');
  for (const each of [link, other]) t.same(each.commands(), ['PING']);
  link.answer(invalidate(key), '+PONG\r\n');
  t.equal(told(plane, client), invalidate(key));
  other.answer(ALL, '+PONG\r\n');
  t.equal(told(plane, client), `${ALL}+PONG\r\n`);
  for (const each of [link, other]) answer(each, '+PONG\r\n');
  t.equal(told(plane, client), bulk('again'));

  client.send(['GET', key], ['GET', plane.key(1)], ['PING'], ['ECHO', 'x']);
  plane.turn();
  t.same(link.commands(), [`GET ${key}`]);
  answer(other, '$1\r\n1\r\n', invalidate('early'));
  answer(link, '$1\r\n2\r\n');
  t.equal(told(plane, client), `$1\r\n2\r\n$1\r\n1\r\n${invalidate('early')}`);
  answer(other, '+PONG\r\n');
  link.answer(invalidate(key));
  t.equal(told(plane, client), invalidate(key));
  t.same(link.commands(), ['PING']);
  answer(link, '+PONG\r\n');
  t.equal(told(plane, client), `+PONG\r\n${bulk('x')}`);

  client.send(['HELLO', '2'], ['PING']);
  plane.turn();
  for (const each of [link, other]) t.same(each.commands(), ['HELLO 2'], 'in RESP2 it is told nothing');
  t.match(told(plane, client), /\+PONG\r\n$/);
});

t.test('nodes that are down do not keep PONG back, and one that is silent not for long', async (t) => {
  const { plane, client, key, link } = reading();
  client.send(['GET', plane.key(1)]);
  const other = greet(plane, 1).link;
  answer(other, '_\r\n');
  told(plane, client);
  client.send(['PING']);
  plane.turn();
  other.connection.break(new Error('reset'));
  t.equal(told(plane, client), ALL);
  answer(link, '+PONG\r\n');
  t.equal(told(plane, client), '+PONG\r\n');
  t.equal(plane.links(1).filter(({ protocol }) => protocol === null).length, 0, 'nothing is opened for PING');

  client.send(['GET', key]);
  plane.turn();
  answer(link, '_\r\n');
  told(plane, client);
  client.send(['PING']);
  plane.turn();
  t.same(link.commands(), ['PING']);
  plane.pass(plane.limits.requestTimeoutMs + 600);
  t.equal(told(plane, client), `${ALL}+PONG\r\n`);
  t.ok(link.isClosed);
  client.send(['PING']);
  t.equal(told(plane, client), '+PONG\r\n');
});

/** Two workers. A client of the one, in RESP3, that one of the other may have its messages sent to. */
function acrossWorkers() {
  const plane = new Plane({ nodes: 1, workers: 2 }).greetAll();
  const other = new Plane({ nodes: 1, workers: 2, lastClientId: 10 }).greetAll();
  plane.others.push(other);
  other.others.push(plane);
  const [target, client] = [plane.client().send(['HELLO', '3']), other.client()];
  told(plane, target);
  const turns = () => {
    for (let turn = 0; turn < 3; turn++) for (const each of [other, plane]) each.turn();
  };
  return { plane, other, target, client, turns };
}

t.test('so for a client that one of another worker has its messages sent to', async (t) => {
  const { plane, other, target, client, turns } = acrossWorkers();
  target.send(['PING']);
  t.equal(told(plane, target), '+PONG\r\n', 'nobody has');
  client.send(['CLIENT', 'TRACKING', 'ON', 'REDIRECT', '1']);
  turns();
  client.send(['GET', 'k']);
  const receiver = greet(other, 0, 77).link;
  const own = greet(other, 0).link;
  answer(own, '$-1\r\n');
  t.equal(told(other, client), '+OK\r\n$-1\r\n');

  target.send(['PING']);
  turns();
  t.equal(target.take(), '', 'a message may be under way');
  t.same(receiver.commands(), ['PING'], 'the nodes of the other worker are asked');
  receiver.answer(invalidate('k'), '+PONG\r\n');
  turns();
  t.equal(target.take(), `${invalidate('k')}+PONG\r\n`);

  client.send(['CLIENT', 'TRACKING', 'OFF']);
  turns();
  target.send(['PING']);
  turns();
  t.equal(target.take(), '+PONG\r\n', 'nobody has any more');
  target.send(['PING']);
  t.equal(target.take(), '+PONG\r\n', 'and nobody is asked');
});

t.test('while a worker is silent its clients may have their messages sent to it', async (t) => {
  const { plane, target, client, turns } = acrossWorkers();
  client.send(['CLIENT', 'TRACKING', 'ON', 'REDIRECT', '1'], ['CLIENT', 'TRACKING', 'OFF']);
  turns();
  for (const silent of [[2], []]) {
    plane.silent.splice(0, 1, ...silent);
    target.send(['PING']);
    t.equal(target.take(), '', 'all workers are asked');
    turns();
    t.equal(target.take(), '+PONG\r\n');
  }
  target.send(['PING']);
  t.equal(target.take(), '+PONG\r\n');
});

t.test('who begins to send it messages while it is asked who does counts as one that does', async (t) => {
  for (const isEarly of [true, false]) {
    const { plane, other, target, client, turns } = acrossWorkers();
    client.send(['CLIENT', 'TRACKING', 'ON', 'REDIRECT', '1'], ['CLIENT', 'TRACKING', 'OFF']);
    turns();
    client.take();
    const answers: (() => void)[] = [];
    // The worker of the target has said that it is there, but the other one does not know yet; or none sends messages when it is asked.
    if (isEarly) other.answersOnTheWay = answers;
    else plane.answersOnTheWay = answers;
    const begin = () => client.send(['CLIENT', 'TRACKING', 'ON', 'REDIRECT', '1']);
    if (isEarly) begin();
    turns();
    target.send(['PING']);
    turns();
    if (!isEarly) begin();
    turns();
    t.equal(target.take(), isEarly ? '+PONG\r\n' : '');
    for (const answer of answers.splice(0)) answer();
    other.answersOnTheWay = null;
    plane.answersOnTheWay = null;
    turns();
    t.equal(target.take(), isEarly ? '' : '+PONG\r\n');
    client.send(['GET', 'k']);
    const receiver = greet(other, 0, 77).link;
    answer(greet(other, 0).link, '$-1\r\n');
    t.equal(told(other, client), '+OK\r\n$-1\r\n');
    target.send(['PING']);
    turns();
    t.equal(target.take(), '', 'a message may be under way');
    t.same(receiver.commands(), ['PING']);
    receiver.answer('+PONG\r\n');
    turns();
    t.equal(target.take(), '+PONG\r\n');
  }
});

t.test('so for a client that another one has its messages sent to', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const [target, client] = [plane.client(), plane.client()];
  client.send(['CLIENT', 'TRACKING', 'ON', 'REDIRECT', '1'], ['GET', 'k']);
  const receiver = greet(plane, 0, 77).link;
  const own = greet(plane, 0).link;
  answer(own, '$-1\r\n');
  told(plane, client);
  for (const each of [target, client]) each.send(['PING']);
  t.same([told(plane, target), told(plane, client)], ['+PONG\r\n', '+PONG\r\n'], 'who is told nothing does not wait');

  target.send(['HELLO', '3']);
  told(plane, target);
  target.send(['PING']);
  t.equal(told(plane, target), '');
  t.same(receiver.commands(), ['PING']);
  receiver.answer(invalidate('k'), '+PONG\r\n');
  t.equal(told(plane, target), `${invalidate('k')}+PONG\r\n`);

  client.send(['HELLO', '3']);
  plane.turn();
  answer(own, '*0\r\n');
  told(plane, client);
  client.send(['PING']);
  t.equal(told(plane, client), '', 'it is told when the other one is gone');
  t.same(receiver.commands(), ['PING']);
  answer(receiver, '+PONG\r\n');
  t.equal(told(plane, client), '+PONG\r\n');

  client.send(['CLIENT', 'TRACKING', 'OFF']);
  told(plane, client);
  for (const each of [target, client]) each.send(['PING']);
  t.same([told(plane, target), told(plane, client)], ['+PONG\r\n', '+PONG\r\n']);
});

t.test(
  'while a script keeps a node, PING asks that one by another connection, and the others by those that track',
  async (t) => {
    const { plane, client, key, link } = reading();
    client.send(['GET', plane.key(1)]);
    const other = greet(plane, 1).link;
    answer(other, '_\r\n');
    told(plane, client);
    const scripted = plane.client().send(['EVAL', 'while true do end', '1', plane.key(1)]);
    plane.turn();
    plane.pass(200);
    client.send(['PING']);
    plane.turn();
    t.same(link.commands(), ['PING']);
    t.same(other.commands(), []);
    link.answer(invalidate(key), '+PONG\r\n');
    t.equal(told(plane, client), invalidate(key));
    plane.pass(600);
    t.equal(told(plane, client), '+PONG\r\n');
    t.equal(scripted.take(), '');
  },
);

t.test('what it watches, and what it waits for, goes by the connection that tracks', async (t) => {
  const { plane, client, key, link } = reading();
  client.send(['WATCH', key], ['MULTI'], ['GET', key], ['EXEC'], ['BLPOP', key, '0']);
  plane.turn();
  t.same(link.commands(), [`WATCH ${key}`]);
  answer(link, '+OK\r\n');
  plane.turn();
  plane.turn();
  t.equal(link.take(), BLOCK(['GET', key]) + command('UNWATCH'));
  answer(link, '+OK\r\n+QUEUED\r\n*1\r\n_\r\n+OK\r\n');
  plane.turn();
  plane.turn();
  t.same(link.commands(), [`BLPOP ${key} 0`]);
  client.take();
  answer(link, invalidate(key));
  t.equal(told(plane, client), invalidate(key), 'also while it waits');
  plane.links(0, 2)[0]?.take();
  answer(link, '_\r\n');
  t.equal(told(plane, client), '_\r\n');
  t.equal(plane.counts.privateConnectionsOpen, 1);
  client.send(['WATCH', key], ['CLIENT', 'TRACKING', 'OFF'], ['MULTI'], ['EXEC']);
  plane.turn();
  answer(link, '+OK\r\n');
  t.equal(told(plane, client), '+OK\r\n+OK\r\n+OK\r\n_\r\n', 'nobody knows whether it was changed');
});

t.test('WAIT that cannot ask every node leaves the connections that track as they are', async (t) => {
  const { plane, client, key, link } = reading();
  client.send(['SET', key, '1'], ['SET', plane.key(1), '1']);
  plane.turn();
  answer(link, '+OK\r\n');
  const other = plane.links(1).find(({ protocol }) => protocol === null) as NodeLink;
  answer(other.open(), '-ERR max number of clients reached\r\n');
  t.match(told(plane, client), /^\+OK\r\n-NODEDOWN .*it refused the greeting/);
  client.send(['WAIT', '0', '0'], ['GET', key]);
  t.match(told(plane, client), /^-NODEDOWN .*it refused the greeting/);
  t.notOk(link.isClosed);
  t.same(link.commands(), [`GET ${key}`], 'and no WAIT was sent');
  answer(link, '_\r\n', invalidate(key));
  t.equal(told(plane, client), `_\r\n${invalidate(key)}`);
});

t.test('another protocol, or another database: what was read is still remembered', async (t) => {
  const { plane, client, key, link } = reading();
  client.send(['SELECT', '2'], ['HELLO', '2'], ['GET', key]);
  plane.turn();
  t.same(link.commands(), ['SELECT 2', 'HELLO 2', `GET ${key}`]);
  answer(link, '+OK\r\n*0\r\n$-1\r\n');
  t.match(told(plane, client), /^\+OK\r\n\*14\r\n.*\$-1\r\n$/s);
  answer(link, invalidate(key));
  t.equal(told(plane, client), '', 'in RESP2 it cannot be told');
  client.send(['HELLO', '3']);
  plane.turn();
  client.take();
  client.send(['GET', plane.key(1)]);
  t.same(greet(plane, 1).setUp, ['SELECT 2', 'CLIENT TRACKING ON']);
});

t.test('messages for another client: a second connection to the node receives them', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const target = plane.client().send(['HELLO', '3']);
  const client = plane.client();
  t.equal(told(plane, target).includes('$2\r\nid\r\n:1\r\n'), true);
  client.send(['CLIENT', 'TRACKING', 'ON', 'REDIRECT', '1'], ['GET', 'k']);
  plane.turn();
  const receiver = greet(plane, 0, 77);
  t.same([receiver.link.protocol, receiver.setUp], [3, []]);
  const own = greet(plane, 0);
  t.same([own.link.protocol, own.setUp], [2, ['CLIENT TRACKING ON REDIRECT 77']]);
  t.same(own.link.commands(), ['GET k']);
  answer(own.link, '$-1\r\n');
  t.equal(told(plane, client), '+OK\r\n$-1\r\n');
  answer(receiver.link, invalidate('k'));
  t.equal(told(plane, target), invalidate('k'));
  t.equal(client.take(), '');
  client.send(['CLIENT', 'GETREDIR']);
  t.equal(told(plane, client), ':1\r\n');

  receiver.link.connection.break(new Error('reset'));
  t.equal(told(plane, target), ALL, 'what came after it was lost is not known');
  t.ok(own.link.isClosed);
  client.send(['GET', 'k']);
  const again = greet(plane, 0, 78).link;
  t.same(greet(plane, 0).setUp, ['CLIENT TRACKING ON REDIRECT 78']);

  target.connection.end();
  plane.turn();
  client.send(['HELLO', '3']);
  answer(plane.links(0, 2).at(-1) as NodeLink, '$-1\r\n');
  told(plane, client);
  answer(again, invalidate('k'));
  t.equal(told(plane, client), '>2\r\n$21\r\ntracking-redir-broken\r\n:1\r\n');
  client.send(['CLIENT', 'TRACKINGINFO'], ['CLIENT', 'TRACKING', 'ON', 'REDIRECT', '1']);
  t.match(told(plane, client), /broken_redirect.*-ERR The client ID you want redirect to does not exist\r\n$/s);
});

t.test('redirected after it has read: what it read is told to the other client', async (t) => {
  const { plane, client, key, link } = reading();
  const target = plane.client().send(['HELLO', '3']);
  plane.turn();
  target.take();
  client.send(['CLIENT', 'TRACKING', 'ON', 'REDIRECT', '2'], ['GET', key]);
  plane.turn();
  t.equal(link.take(), '', 'not before the other connection is there');
  const receiver = greet(plane, 0, 5).link;
  t.same(link.commands(), ['CLIENT TRACKING ON REDIRECT 5']);
  t.equal(told(plane, client), '');
  answer(link, '+OK\r\n');
  t.equal(told(plane, client), '+OK\r\n');
  t.same(link.commands(), [`GET ${key}`]);
  answer(receiver, invalidate(key));
  t.equal(told(plane, target), invalidate(key));
  answer(link, '_\r\n');
  client.send(['CLIENT', 'TRACKING', 'ON']);
  plane.turn();
  t.same(link.commands(), ['CLIENT TRACKING ON']);
  answer(link, '+OK\r\n');
  t.equal(told(plane, client), '_\r\n+OK\r\n');
  t.ok(receiver.isClosed);
  t.equal(told(plane, target), '');
  answer(link, invalidate(key));
  t.equal(told(plane, client), invalidate(key));
});

t.test(
  'the topology changes: the client is told that all keys are invalid, and again after what is in flight',
  async (t) => {
    const { plane, client, key, link } = reading();
    client.send(['GET', key]);
    plane.turn();
    link.take();
    const [first, second] = plane.topology.nodes;
    if (first === undefined || second === undefined) throw new Error('there are no nodes');
    const moved = { ...first, address: { kind: 'tcp', host: '10.0.0.2', port: 7000 } } as const;
    plane.data.configure(plainTopology(2, [moved, second], slotOwnersOf(plane.topology)), plane.limits, plane.rules);
    t.equal(told(plane, client), ALL);
    client.send(['GET', key]);
    plane.turn();
    t.equal(link.take(), '', 'it goes where the node is now');
    t.notOk(link.isClosed);
    answer(link, '$1\r\n1\r\n');
    t.equal(told(plane, client), `$1\r\n1\r\n${ALL}`);
    t.ok(link.isClosed);
    const { endpoint } = plane.transport.connections.at(-1) ?? {};
    t.match(endpoint, { host: '10.0.0.2' });
  },
);

t.test('at the limit, a client is told which', async (t) => {
  const limits = { privateConnectionsMax: 1, privateConnectionsSpareMax: 1 };
  const { plane } = reading([], { nodes: 1, limits });
  const { client } = tracking([], plane);
  client.send(['GET', 'k']);
  t.match(told(plane, client), /^-OVERLOADED node node-0 .*\(privateConnectionsMax 1\); nothing was sent\r\n$/);
  client.send(['CLIENT', 'TRACKING', 'OFF'], ['CLIENT', 'TRACKING', 'ON', 'BCAST'], ['CLIENT', 'GETREDIR']);
  t.match(told(plane, client), /^\+OK\r\n-OVERLOADED node node-0 .*nothing was sent\r\n:-1\r\n$/);
});

t.test('whatever CLIENT REPLY says, messages come', async (t) => {
  const { plane, client, key, link } = reading();
  client.send(['CLIENT', 'REPLY', 'OFF'], ['GET', key]);
  plane.turn();
  answer(link, '_\r\n', invalidate(key));
  t.equal(told(plane, client), invalidate(key));
});

t.test('what comes for a client that does not read it is bounded', async (t) => {
  const { plane, client, link } = reading([], { nodes: 1, limits: { sessionOutputHardBytes: 100_000 } });
  const many = invalidate(...Array.from({ length: 1_000 }, (_, n) => `key:${n}`));
  for (let n = 0; n < 20; n++) answer(link, many);
  plane.turn();
  plane.turn();
  t.ok(client.isClosed);
  t.equal(plane.counts.sessionOutputCloses, 1);
});

t.test('a client that has said QUIT tracks no more once it is answered, though it does not close', async (t) => {
  const { plane, client, key, link } = reading();
  client.send(['GET', key], ['QUIT']);
  plane.turn();
  t.equal(plane.counts.sessionsTracking, 1, 'it waits for an answer');
  answer(link, '_\r\n');
  plane.turn();
  t.notOk(client.isClosed);
  t.equal(plane.counts.sessionsTracking, 0);
  t.equal(plane.counts.privateConnectionsOpen, 0);
  t.ok(link.isClosed);
  t.equal(client.take(), '_\r\n+OK\r\n');
});

t.test('a client that goes leaves nothing behind, whatever it was about', async (t) => {
  const before = pendingsInUse();
  const cases: readonly ((plane: Plane, client: Client) => void)[] = [
    () => {},
    (plane, client) => client.send(['GET', plane.key(0)]),
    (plane, client) => {
      client.send(['GET', plane.key(0)]);
      greet(plane, 0);
    },
    (plane, client) => {
      client.send(['CLIENT', 'TRACKING', 'OFF'], ['CLIENT', 'TRACKING', 'ON', 'BCAST']);
      greet(plane, 0);
    },
    (plane, client) => {
      client.send(['CLIENT', 'TRACKING', 'ON', 'REDIRECT', '1'], ['GET', plane.key(0)]);
      greet(plane, 0, 5);
    },
    (plane, client) => {
      client.send(['GET', plane.key(0)], ['GET', plane.key(1)]);
      greet(plane, 0);
      answer(greet(plane, 1).link, '_\r\n', invalidate('k'), ALL);
    },
    (plane, client) => {
      client.send(['BLPOP', plane.key(0), '0']);
      greet(plane, 0);
    },
    (plane, client) => {
      client.send(['GET', plane.key(0)], ['GET', plane.key(1)]);
      for (const node of [0, 1]) answer(greet(plane, node).link, '_\r\n');
      client.send(['PING'], ['PING']);
    },
  ];
  for (const [number, act] of cases.entries()) {
    const { plane, client } = tracking();
    act(plane, client);
    plane.turn();
    client.connection.break(null);
    for (let turn = 0; turn < 3; turn++) plane.turn();
    plane.pass(5_000, 500);
    t.equal(plane.counts.privateConnectionsOpen, 0, `connections of case ${number}`);
    t.equal(plane.usedBytes, 0, `memory of case ${number}`);
    t.equal(plane.counts.sessionsOpen, 0);
    t.equal(plane.counts.sessionsTracking, 0);
  }
  t.equal(pendingsInUse(), before);
});
