/** SUBSCRIBE and its like: by connections of their own to the nodes of the channels, whose fates clients do not notice. */
import t from 'tap';
import type { NodeSnapshot } from '../../src/messages.js';
import { pendingsInUse } from '../help/pending-watch.js';
import { bulk, type Client, command, type NodeLink, Plane, type PlaneOptions } from '../help/plane.js';
import { plainTopology, slotOwnersOf } from '../help/topology.js';

const PING = command('PING');
const PONG = '+PONG\r\n';

/** What a client is told: a push, or in RESP2 an array. */
function told(protocol: 2 | 3, ...words: (string | number | null)[]): string {
  const parts = words.map((word) => {
    if (typeof word === 'number') return `:${word}\r\n`;
    if (word === null) return protocol === 3 ? '_\r\n' : '$-1\r\n';
    return bulk(word);
  });
  return `${protocol === 3 ? '>' : '*'}${words.length}\r\n${parts.join('')}`;
}

/** No connection is kept or made before somebody needs it, unless a test says so: then each that is there has its reason. */
function planeOf({ limits = {}, ...options }: PlaneOptions = {}): Plane {
  return new Plane({ nodes: 2, ...options, limits: { privateConnectionsSpareMax: 0, ...limits } }).greetAll();
}

/** The newest connection for subscriptions to that node; it is greeted if it was not. */
function listener(plane: Plane, node: number): NodeLink {
  plane.turn();
  const link = plane.links(node, 3).at(-1);
  if (link === undefined) throw new Error(`nobody listens to node ${node}`);
  if (link.protocol === null) link.greet();
  plane.turn();
  return link;
}

/** The node confirms that change, which must be what it was asked for. */
function confirm(link: NodeLink, ...words: string[]): void {
  const sent = link.take();
  const asked = command(...words) + PING;
  if (sent !== asked) throw new Error(`asked for ${JSON.stringify(sent)}`);
  const kind = (words[0] as string).toLowerCase();
  link.answer(...words.slice(1).map((name, place) => told(3, kind, name, place + 1)), PONG);
}

function subscriber(plane: Plane, protocol: 2 | 3 = 2): Client {
  const client = plane.client();
  if (protocol === 2) return client;
  client.send(['HELLO', '3']);
  plane.turn();
  client.take();
  return client;
}

/** A client that is subscribed to a channel of node 0, and the connection by which it is. */
function subscribed(options: PlaneOptions = {}, protocol: 2 | 3 = 2) {
  const plane = planeOf(options);
  const channel = plane.key(0, 'channel');
  const client = subscriber(plane, protocol).send(['SUBSCRIBE', channel]);
  const link = listener(plane, 0);
  confirm(link, 'SUBSCRIBE', channel);
  plane.turn();
  if (client.take() !== told(protocol, 'subscribe', channel, 1)) throw new Error('it was not told');
  return { plane, client, channel, link };
}

for (const protocol of [2, 3] as const) {
  t.test(
    `RESP${protocol}: a channel lives on the shard of its name, and its messages go out as they are`,
    async (t) => {
      const plane = planeOf();
      const [here, there] = [plane.key(0, 'here'), plane.key(1, 'there')];
      const client = subscriber(plane, protocol).send(['SUBSCRIBE', there, here, there]);
      const links = [listener(plane, 0), listener(plane, 1)] as const;
      confirm(links[0], 'SUBSCRIBE', here);
      plane.turn();
      t.equal(client.take(), '', 'the other has not confirmed');
      confirm(links[1], 'SUBSCRIBE', there);
      plane.turn();
      const lines = [told(protocol, 'subscribe', there, 1), told(protocol, 'subscribe', here, 2)];
      t.equal(
        client.take(),
        [...lines, told(protocol, 'subscribe', there, 2)].join(''),
        'in the order of the arguments',
      );
      links[1].answer(told(3, 'message', there, 'one'));
      links[0].answer(told(3, 'message', here, 'two') + told(3, 'message', here, ''));
      plane.turn();
      const messages = [
        told(protocol, 'message', there, 'one'),
        told(protocol, 'message', here, 'two'),
        told(protocol, 'message', here, ''),
      ];
      t.equal(client.take(), messages.join(''));
      client.send(['UNSUBSCRIBE']);
      plane.turn();
      t.equal(client.take(), '');
      links[0].answer(told(3, 'message', here, 'last'));
      confirm(links[0], 'UNSUBSCRIBE', here);
      confirm(links[1], 'UNSUBSCRIBE', there);
      plane.turn();
      const ends = [told(protocol, 'unsubscribe', there, 1), told(protocol, 'unsubscribe', here, 0)];
      t.equal(client.take(), told(protocol, 'message', here, 'last') + ends.join(''));
      t.equal(plane.counts.privateConnectionsOpen, 0);
      t.equal(plane.usedBytes, 0);
      t.equal(pendingsInUse(), 0);
    },
  );
}

t.test('what is pipelined after SUBSCRIBE waits until it is confirmed', async (t) => {
  const plane = planeOf({ nodes: 1 });
  const client = subscriber(plane, 3).send(['SUBSCRIBE', 'c'], ['PUBLISH', 'c', 'text']);
  const link = listener(plane, 0);
  const shared = () => plane.links(0, 3).find((other) => other !== link);
  t.equal(shared(), undefined);
  confirm(link, 'SUBSCRIBE', 'c');
  plane.turn();
  plane.turn();
  shared()?.greet();
  plane.turn();
  t.equal(shared()?.take(), command('PUBLISH', 'c', 'text'));
  link.answer(told(3, 'message', 'c', 'text'));
  shared()?.answer(':1\r\n');
  plane.turn();
  t.equal(client.take(), `${told(3, 'subscribe', 'c', 1)}${told(3, 'message', 'c', 'text')}:1\r\n`);
});

t.test('what comes before all nodes have confirmed is told after that', async (t) => {
  const plane = planeOf();
  const [here, there] = [plane.key(0), plane.key(1)];
  const client = subscriber(plane).send(['SUBSCRIBE', here]);
  const link = listener(plane, 0);
  confirm(link, 'SUBSCRIBE', here);
  client.send(['PSUBSCRIBE', '*', here]);
  const other = listener(plane, 1);
  confirm(link, 'PSUBSCRIBE', '*', here);
  link.answer(told(3, 'message', here, 'a'), told(3, 'pmessage', '*', here, 'a'));
  plane.turn();
  const first = told(2, 'subscribe', here, 1) + told(2, 'message', here, 'a');
  t.equal(client.take(), first, 'what was subscribed to before does not wait');
  confirm(other, 'PSUBSCRIBE', '*', here);
  plane.turn();
  const lines = [told(2, 'psubscribe', '*', 2), told(2, 'psubscribe', here, 3)];
  t.equal(client.take(), lines.join('') + told(2, 'pmessage', '*', here, 'a'));
  other.answer(told(3, 'pmessage', '*', there, 'b'));
  plane.turn();
  t.equal(client.take(), told(2, 'pmessage', '*', there, 'b'));
  t.equal(plane.usedBytes, 0);
});

t.test('each node tells what happens to its keys: such channels are subscribed to everywhere', async (t) => {
  const plane = planeOf();
  const channel = '__keyevent@0__:expired';
  const client = subscriber(plane).send(['SUBSCRIBE', channel]);
  for (const node of [0, 1]) confirm(listener(plane, node), 'SUBSCRIBE', channel);
  plane.turn();
  t.equal(client.take(), told(2, 'subscribe', channel, 1));
  for (const node of [1, 0])
    plane
      .links(node, 3)
      .at(-1)
      ?.answer(told(3, 'message', channel, `key-${node}`));
  plane.turn();
  t.equal(client.take(), told(2, 'message', channel, 'key-1') + told(2, 'message', channel, 'key-0'));
});

t.test('shard channels count for themselves', async (t) => {
  const { plane, client, channel, link } = subscribed();
  client.send(['SSUBSCRIBE', channel]);
  plane.turn();
  confirm(link, 'SSUBSCRIBE', channel);
  plane.turn();
  t.equal(client.take(), told(2, 'ssubscribe', channel, 1));
  link.answer(told(3, 'smessage', channel, 'text'), told(3, 'message', channel, 'other'));
  plane.turn();
  t.equal(client.take(), told(2, 'smessage', channel, 'text') + told(2, 'message', channel, 'other'));
  client.send(['SUNSUBSCRIBE']);
  plane.turn();
  confirm(link, 'SUNSUBSCRIBE', channel);
  client.send(['SUNSUBSCRIBE'], ['PUNSUBSCRIBE'], ['UNSUBSCRIBE', 'none']);
  plane.turn();
  const ends = [told(2, 'sunsubscribe', channel, 0), told(2, 'sunsubscribe', null, 0)];
  t.equal(client.take(), [...ends, told(2, 'punsubscribe', null, 1), told(2, 'unsubscribe', 'none', 1)].join(''));
});

t.test('RESP2: only what Redis allows while there are subscriptions', async (t) => {
  const { plane, client, channel, link } = subscribed({ limits: { privateConnectionsSpareMax: 1 } });
  client.send(['GET', 'k'], ['CONFIG', 'GET', 'x'], ['HELLO', '3'], ['PING'], ['PING', 'x']);
  plane.turn();
  const refused = (name: string) =>
    `-ERR Can't execute '${name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n`;
  const pongs = `*2\r\n${bulk('pong')}${bulk('')}*2\r\n${bulk('pong')}${bulk('x')}`;
  t.equal(client.take(), ['get', 'config|get', 'hello'].map(refused).join('') + pongs);
  client.send(['RESET'], ['PING']);
  plane.turn();
  t.equal(client.take(), '+RESET\r\n+PONG\r\n');
  t.equal(link.take(), command('UNSUBSCRIBE') + PING, 'the connection is clean for the next one');
  link.answer(told(3, 'message', channel, 'late'), told(3, 'unsubscribe', channel, 0), PONG);
  plane.turn();
  t.equal(client.take(), '');
  client.send(['SUBSCRIBE', channel]);
  plane.turn();
  confirm(link, 'SUBSCRIBE', channel);
  plane.turn();
  t.equal(client.take(), told(2, 'subscribe', channel, 1));
  t.equal(plane.counts.privateConnectionsOpen, 2, 'and one that is ready for the next');
});

t.test('RESP3: all commands, and back to RESP2 with its subscriptions', async (t) => {
  const { plane, client, channel, link } = subscribed({ nodes: 1 }, 3);
  client.send(['GET', 'k'], ['PING'], ['HELLO', '2'], ['GET', 'k']);
  plane.turn();
  const shared = plane.links(0, 3).find((other) => other !== link) as NodeLink;
  shared.greet();
  plane.turn();
  t.equal(shared.take(), command('GET', 'k'));
  link.answer(told(3, 'message', channel, 'first'));
  plane.turn();
  t.equal(client.take(), told(3, 'message', channel, 'first'), 'a message does not wait for a reply');
  shared.answer('$1\r\nv\r\n');
  plane.turn();
  plane.turn();
  link.answer(told(3, 'message', channel, 'second'));
  plane.turn();
  const replies = client.take();
  t.ok(replies.startsWith('$1\r\nv\r\n+PONG\r\n*14\r\n'), replies);
  t.ok(replies.endsWith(told(2, 'message', channel, 'second')), replies);
  t.match(replies, "-ERR Can't execute 'get'");
});

t.test('CLIENT REPLY OFF and SKIP say nothing of messages and confirmations', async (t) => {
  const plane = planeOf({ nodes: 1 });
  const client = subscriber(plane, 3).send(['CLIENT', 'REPLY', 'OFF'], ['SUBSCRIBE', 'c']);
  const link = listener(plane, 0);
  confirm(link, 'SUBSCRIBE', 'c');
  link.answer(told(3, 'message', 'c', 'text'));
  plane.turn();
  t.equal(client.take(), told(3, 'subscribe', 'c', 1) + told(3, 'message', 'c', 'text'));
  client.send(['PING'], ['UNSUBSCRIBE', 'c']);
  plane.turn();
  confirm(link, 'UNSUBSCRIBE', 'c');
  plane.turn();
  t.equal(client.take(), told(3, 'unsubscribe', 'c', 0));
  client.send(['CLIENT', 'REPLY', 'ON'], ['CLIENT', 'REPLY', 'SKIP'], ['UNSUBSCRIBE'], ['PING']);
  plane.turn();
  t.equal(client.take(), `+OK\r\n${told(3, 'unsubscribe', null, 0)}+PONG\r\n`);
});

t.test('inside MULTI subscribing is refused, and PUBLISH counts as a command of its channel', async (t) => {
  const plane = planeOf();
  const [here, there] = [plane.key(0), plane.key(1)];
  const client = plane.client().send(['MULTI'], ['SUBSCRIBE', here], ['EXEC']);
  plane.turn();
  t.match(client.take(), /^\+OK\r\n-ERR SUBSCRIBE inside MULTI is not supported by this proxy\r\n-EXECABORT/);
  client.send(['MULTI'], ['SET', here, '1'], ['PUBLISH', there, 'x'], ['DISCARD']);
  plane.turn();
  t.match(client.take(), /^\+OK\r\n\+QUEUED\r\n-CROSSSLOT .*\r\n\+OK\r\n$/);
  client.send(['MULTI'], ['SET', here, '1'], ['PUBLISH', here, 'x'], ['EXEC']);
  plane.turn();
  const block = [['MULTI'], ['SET', here, '1'], ['PUBLISH', here, 'x'], ['EXEC']];
  t.equal(plane.only(0).take(), block.map((words) => command(...words)).join(''));
});

t.test('PUBLISH goes to the shard of its channel, and is never sent twice', async (t) => {
  const plane = planeOf();
  const channel = plane.key(1);
  const client = plane.client().send(['PUBLISH', channel, 'x'], ['SPUBLISH', channel, 'y']);
  plane.turn();
  t.equal(plane.only(1).take(), command('PUBLISH', channel, 'x') + command('SPUBLISH', channel, 'y'));
  plane.only(1).answer(':3\r\n');
  plane.turn();
  plane.only(1).connection.break(new Error('reset'));
  plane.turn();
  t.match(client.take(), /^:3\r\n-UNKNOWN /);
});

t.test('PUBSUB is answered as by one Redis', async (t) => {
  const plane = planeOf();
  const client = plane.client();
  const ask = (words: string[], ...replies: string[]) => {
    client.send(words);
    plane.turn();
    for (const [node, reply] of replies.entries()) {
      const link = plane.only(node);
      t.equal(link.take(), command(...words));
      link.answer(reply);
    }
    plane.turn();
    return client.take();
  };
  const names = (...list: string[]) => `*${list.length}\r\n${list.map(bulk).join('')}`;
  const counts = (a: number, b: number) => `*4\r\n${bulk('a')}:${a}\r\n${bulk('b')}:${b}\r\n`;
  t.equal(ask(['PUBSUB', 'CHANNELS'], names('a', 'x'), names('x', 'b')), names('a', 'x', 'b'));
  t.equal(ask(['PUBSUB', 'SHARDCHANNELS', '*'], names(), names()), names());
  t.equal(ask(['PUBSUB', 'NUMPAT'], ':2\r\n', ':3\r\n'), ':3\r\n');
  t.equal(ask(['PUBSUB', 'NUMSUB', 'a', 'b'], counts(0, 7), counts(2, 0)), counts(2, 7));
  t.equal(ask(['PUBSUB', 'SHARDNUMSUB'], '*0\r\n', '*0\r\n'), '*0\r\n');
});

t.test('a node that cannot be reached: an error, and nothing of the command holds', async (t) => {
  const { plane, client, channel, link } = subscribed();
  const [other, there] = [plane.key(0, 'other'), plane.key(1, 'there')];
  client.send(['SUBSCRIBE', other, there]);
  plane.turn();
  confirm(link, 'SUBSCRIBE', other);
  link.answer(told(3, 'message', other, 'lost'), told(3, 'message', channel, 'kept'));
  plane.turn();
  plane.links(1, 3).at(-1)?.connection.break(new Error('refused'));
  plane.turn();
  const answer = client.take();
  t.match(answer.slice(0, told(2, 'message', channel, 'kept').length), told(2, 'message', channel, 'kept'));
  t.match(answer, /-NODEDOWN node node-1 .*; the command had no effect\r\n$/);
  t.equal(link.take(), command('UNSUBSCRIBE', other) + PING);
  link.answer(told(3, 'message', other, 'lost'), told(3, 'unsubscribe', other, 1), PONG);
  plane.turn();
  link.answer(told(3, 'message', channel, 'again'));
  plane.turn();
  t.equal(client.take(), told(2, 'message', channel, 'again'));
  plane.pass(5_000);
  t.equal(plane.links(1, 3).length, 0, 'nobody tries for what nobody wants');
  t.equal(plane.usedBytes, 0);
});

t.test('a lost connection is made anew, and all is subscribed to again: the client does not notice', async (t) => {
  const { plane, client, channel, link } = subscribed();
  client.send(['PSUBSCRIBE', 'p*']);
  plane.turn();
  confirm(link, 'PSUBSCRIBE', 'p*');
  confirm(listener(plane, 1), 'PSUBSCRIBE', 'p*');
  plane.turn();
  client.take();
  link.connection.break(new Error('reset'));
  plane.turn();
  t.equal(plane.counts.privateConnectionsOpen, 2, 'its place is kept');
  plane.pass(100);
  const again = listener(plane, 0);
  t.not(again, link);
  t.equal(again.take(), command('SUBSCRIBE', channel) + command('PSUBSCRIBE', 'p*') + PING);
  again.answer(told(3, 'subscribe', channel, 1), told(3, 'psubscribe', 'p*', 2), PONG);
  again.answer(told(3, 'message', channel, 'text'));
  plane.turn();
  t.equal(client.take(), told(2, 'message', channel, 'text'));
  t.equal(plane.counts.privateConnectionsOpen, 2);
});

t.test('while a node is down it is tried for, less and less often', async (t) => {
  const { plane, client, link } = subscribed({ limits: { reconnectMinMs: 50, reconnectMaxMs: 1_000 } });
  link.connection.break(new Error('reset'));
  let tries = 0;
  for (let passed = 0; passed < 10_000; passed += 50) {
    plane.pass(50);
    for (const attempt of plane.links(0, 3).filter(({ protocol }) => protocol === null)) {
      tries++;
      attempt.connection.break(new Error('refused'));
    }
    for (const shared of plane.links(0)) if (shared.take() !== '') shared.answer(PONG);
    for (const shared of plane.links(1)) if (shared.take() !== '') shared.answer(PONG);
  }
  t.ok(tries > 10 && tries < 25, `${tries} tries`);
  t.equal(plane.counts.privateConnectionsOpen, 1);
  client.connection.break(null);
  plane.pass(5_000);
  t.equal(plane.counts.privateConnectionsOpen, 0);
});

t.test('a silent node is tried, and given up on when it does not answer', async (t) => {
  const { plane, client, channel, link } = subscribed({ limits: { idlePingMs: 1_000, stallTimeoutMs: 6_000 } });
  const shared = () => [0, 1].map((node) => plane.links(node, 2)[0] as NodeLink);
  const pass = (ms: number) => {
    for (let left = ms; left > 0; left -= 500) {
      plane.pass(500);
      for (const link of shared()) if (link.take() !== '') link.answer(PONG);
    }
  };
  pass(2_000);
  t.equal(link.take(), PING);
  link.answer(PONG);
  pass(2_000);
  t.equal(link.take(), PING);
  pass(4_000);
  t.notOk(link.isClosed, 'what a paused node has to say comes when it goes on');
  pass(4_000);
  t.ok(link.isClosed);
  const again = listener(plane, 0);
  t.equal(again.take(), command('SUBSCRIBE', channel) + PING);
  t.equal(client.take(), '');
  t.notOk(client.isClosed);
});

t.test('a node that does not confirm in time: an error, and what was subscribed to before goes on', async (t) => {
  const { plane, client, channel, link } = subscribed({ limits: { requestTimeoutMs: 1_000 } });
  const more = plane.key(0, 'more');
  client.send(['SUBSCRIBE', more], ['PING']);
  plane.pass(2_000);
  t.match(client.take(), /^-NODEDOWN .*did not answer within 1000 ms.*\r\n\*2\r\n\$4\r\npong/);
  t.ok(link.isClosed);
  plane.pass(200);
  t.equal(listener(plane, 0).take(), command('SUBSCRIBE', channel) + PING);
});

t.test(
  'a node that refuses a subscription: the client hears why, and what it was subscribed to before goes on',
  async (t) => {
    const { plane, client, channel, link } = subscribed();
    const more = plane.key(0, 'more');
    client.send(['SUBSCRIBE', more], ['PING']);
    plane.turn();
    t.equal(link.take(), command('SUBSCRIBE', more) + PING);
    link.answer('-NOPERM no permissions to access the channel\r\n', PONG);
    plane.turn();
    const pong = `*2\r\n${bulk('pong')}${bulk('')}`;
    t.equal(client.take(), `-NOPERM no permissions to access the channel\r\n${pong}`);
    plane.pass(200);
    t.ok(link.isClosed);
    t.equal(listener(plane, 0).take(), command('SUBSCRIBE', channel) + PING);
  },
);

t.test('no memory for what is to be sent: an error, and what it was subscribed to before goes on', async (t) => {
  const { plane, client, channel, link } = subscribed({ arenaBytes: 4 * 1024 * 1024 });
  const { arena } = plane.transport;
  const names = Array.from({ length: 300 }, (_, place) => `${'x'.repeat(1_000)}{${channel}}${place}`);
  client.sendText(command('SUBSCRIBE', ...names).slice(0, -2));
  const blocks: number[] = [];
  for (let block = arena.allocate(64 * 1024); block >= 0; block = arena.allocate(64 * 1024)) blocks.push(block);
  client.sendText('\r\n');
  plane.turn();
  t.match(client.take(), /no buffer memory is left/);
  for (const block of blocks) arena.release(block, 64 * 1024);
  plane.pass(200);
  t.ok(link.isClosed);
  t.equal(listener(plane, 0).take(), command('SUBSCRIBE', channel) + PING);
});

t.test('at privateConnectionsMax: an error, and a place that comes free serves', async (t) => {
  const { plane, client, channel } = subscribed({
    limits: { privateConnectionsMax: 1, privateConnectionsSpareMax: 0 },
  });
  const second = plane.client().send(['SUBSCRIBE', channel]);
  plane.turn();
  t.match(second.take(), /^-OVERLOADED .*privateConnectionsMax 1/);
  client.connection.break(null);
  plane.turn();
  plane.links(0, 3).at(-1)?.answer(PONG);
  plane.turn();
  second.send(['SUBSCRIBE', channel]);
  confirm(listener(plane, 0), 'SUBSCRIBE', channel);
  plane.turn();
  t.equal(second.take(), told(2, 'subscribe', channel, 1));
});

t.test('a client that goes while it subscribes leaves nothing', async (t) => {
  const plane = planeOf({ limits: { privateConnectionsSpareMax: 1 } });
  const channel = plane.key(0);
  const early = plane.client().send(['SUBSCRIBE', channel]);
  plane.turn();
  early.connection.break(null);
  plane.turn();
  t.equal(plane.links(0, 3).filter(({ protocol }) => protocol === null).length, 0, 'before the node was reached');
  const late = plane.client().send(['PSUBSCRIBE', '*']);
  const links = [listener(plane, 0), listener(plane, 1)];
  links[0]?.take();
  links[0]?.answer(told(3, 'psubscribe', '*', 1), PONG, told(3, 'pmessage', '*', channel, 'text'));
  plane.turn();
  late.connection.break(null);
  plane.turn();
  for (const link of links) {
    t.match(link.take(), command('PUNSUBSCRIBE'));
    link.answer(PONG, PONG);
  }
  plane.turn();
  plane.pass(61_000, 500);
  t.equal(plane.usedBytes, 0);
});

t.test('who does not read is closed at the limits for subscribers, and others go on', async (t) => {
  const limits = {
    subscriberOutputSoftBytes: 10_000,
    subscriberOutputSoftMs: 5_000,
    subscriberOutputHardBytes: 100_000,
  };
  const { plane, client, channel, link } = subscribed({ limits });
  const message = told(3, 'message', channel, 'x'.repeat(20_000));
  link.answer(message);
  plane.turn();
  plane.pass(4_000, 500);
  t.notOk(client.isClosed);
  plane.pass(4_000, 500);
  t.ok(client.isClosed, 'above the soft bound for too long');
  t.match(plane.logs.at(-1)?.fields['reason'], /subscriberOutputSoftBytes 10000/);

  const other = subscribed({ limits });
  for (let count = 0; count < 5; count++) other.link.answer(told(3, 'message', other.channel, 'x'.repeat(20_000)));
  other.plane.turn();
  t.ok(other.client.isClosed, 'above the hard bound');
  t.equal(other.plane.counts.subscriberOutputCloses, 1);
  t.match(other.plane.logs.at(-1)?.fields['reason'], /subscriberOutputHardBytes 100000/);
  other.plane.turn();
  t.equal(other.link.take(), command('UNSUBSCRIBE') + PING);
  other.link.answer(PONG);
  other.plane.turn();
  t.equal(other.plane.counts.privateConnectionsOpen, 0);
  t.equal(other.plane.usedBytes, 0);
});

t.test('a client has so many subscriptions and no more', async (t) => {
  const { plane, client, channel } = subscribed({ limits: { sessionSubscriptionsMax: 2 } });
  client.send(['SUBSCRIBE', channel, 'b', 'c']);
  plane.turn();
  t.match(client.take(), /^-OVERLOADED .*sessionSubscriptionsMax 2/);
});

t.test('a client with subscriptions may be idle for ever', async (t) => {
  const { plane, client } = subscribed({ limits: { idleTimeoutMs: 1_000 } });
  plane.pass(10_000, 500);
  t.notOk(client.isClosed);
});

t.test(
  'when shards move, channels are subscribed to where they are now, and a little later no more where they were',
  async (t) => {
    const { plane, client, channel, link } = subscribed();
    const swapped = slotOwnersOf(plane.topology).map((owner) => 1 - owner);
    plane.data.configure(plainTopology(2, [...plane.topology.nodes], swapped, true), plane.limits, plane.rules);
    confirm(listener(plane, 1), 'SUBSCRIBE', channel);
    link.answer(told(3, 'message', channel, 'old'));
    plane
      .links(1, 3)
      .at(-1)
      ?.answer(told(3, 'message', channel, 'new'));
    plane.turn();
    t.equal(client.take(), told(2, 'message', channel, 'old') + told(2, 'message', channel, 'new'));
    plane.pass(2_500, 500);
    t.equal(link.take(), command('UNSUBSCRIBE', channel) + PING);
    client.send(['UNSUBSCRIBE']);
    plane.turn();
    const now = plane.links(1, 3).at(-1) as NodeLink;
    confirm(now, 'UNSUBSCRIBE', channel);
    plane.turn();
    t.equal(client.take(), told(2, 'unsubscribe', channel, 0));
  },
);

t.test('a node by another address: its subscribers follow', async (t) => {
  const { plane, client, channel, link } = subscribed();
  const nodes = plane.topology.nodes.map((node) =>
    node.index === 0 ? { ...node, address: { kind: 'tcp' as const, host: '10.0.0.9', port: 7000 } } : node,
  );
  plane.data.configure(plainTopology(2, nodes, slotOwnersOf(plane.topology), true), plane.limits, plane.rules);
  plane.pass(500);
  t.ok(link.isClosed);
  t.equal(plane.links(0, 3).length, 1, 'its shared connection goes first');
  plane.link(0)?.greet();
  plane.pass(2_000);
  const again = listener(plane, 0);
  t.same(again.connection.endpoint, { kind: 'tcp', host: '10.0.0.9', port: 7000 });
  t.equal(again.take(), command('SUBSCRIBE', channel) + PING);
  t.notOk(client.isClosed);
});

t.test(
  'a node that is taken out: its channels are subscribed to elsewhere, and nobody goes to it any more',
  async (t) => {
    const { plane, client, channel, link } = subscribed();
    const nodes = [{ ...(plane.topology.nodes[1] as NodeSnapshot), index: 0 }];
    plane.data.configure(
      plainTopology(2, nodes, slotOwnersOf(plane.topology).fill(0), true),
      plane.limits,
      plane.rules,
    );
    const now = listener(plane, 1);
    confirm(now, 'SUBSCRIBE', channel);
    plane.pass(1_000);
    t.ok(link.isClosed);
    plane.pass(2_000);
    t.equal(plane.links(0, 3).length, 0);
    t.equal(plane.counts.privateConnectionsOpen, 1);
    now.answer(told(3, 'message', channel, 'text'));
    plane.turn();
    t.equal(client.take(), told(2, 'message', channel, 'text'));
  },
);

t.test('a client whose service goes away goes with it, and its subscriptions too', async (t) => {
  const { plane, client, link } = subscribed();
  plane.data.configure({ ...plane.topology, version: 2, services: [null] }, plane.limits, plane.rules);
  plane.turn();
  t.ok(client.isClosed);
  t.equal(link.take(), command('UNSUBSCRIBE') + PING);
});

const SHARED = { rules: { pubsub: 'shared' } } as const;

t.test('shared: one subscription for all, and each hears of it from its confirmation to its end', async (t) => {
  const { plane, client, channel, link } = subscribed(SHARED);
  const second = subscriber(plane, 3).send(['SUBSCRIBE', channel]);
  plane.turn();
  t.equal(link.take(), PING, 'the node has it already');
  link.answer(told(3, 'message', channel, 'early'));
  plane.turn();
  t.equal(client.take(), told(2, 'message', channel, 'early'));
  t.equal(second.take(), '');
  link.answer(PONG);
  plane.turn();
  t.equal(second.take(), told(3, 'subscribe', channel, 1) + told(3, 'message', channel, 'early'));
  t.equal(plane.links(0, 3).length, 1);
  client.send(['UNSUBSCRIBE', channel]);
  plane.turn();
  t.equal(link.take(), PING, 'another wants it still');
  link.answer(PONG, told(3, 'message', channel, 'late'));
  plane.turn();
  t.equal(client.take(), told(2, 'unsubscribe', channel, 0));
  t.equal(second.take(), told(3, 'message', channel, 'late'));
  second.connection.break(null);
  plane.turn();
  confirm(link, 'UNSUBSCRIBE', channel);
  plane.turn();
  t.equal(plane.counts.privateConnectionsOpen, 0);
  t.equal(plane.usedBytes, 0);
});

t.test(
  'shared: a message goes to those of its channel, of its pattern, or of its shard channel, and one who goes is left out',
  async (t) => {
    const { plane, client, channel, link } = subscribed({ ...SHARED, nodes: 1 });
    const [byPattern, byShard] = [subscriber(plane, 3), subscriber(plane, 2)];
    byPattern.send(['PSUBSCRIBE', channel]);
    byShard.send(['SSUBSCRIBE', channel]);
    plane.turn();
    t.equal(link.take(), command('PSUBSCRIBE', channel) + PING + command('SSUBSCRIBE', channel) + PING);
    link.answer(told(3, 'psubscribe', channel, 2), PONG, told(3, 'ssubscribe', channel, 1), PONG);
    const messages = [
      told(3, 'message', channel, 'a'),
      told(3, 'pmessage', channel, channel, 'b'),
      told(3, 'smessage', channel, 'c'),
    ];
    link.answer(...messages);
    plane.turn();
    t.equal(client.take(), told(2, 'message', channel, 'a'));
    t.equal(byPattern.take(), told(3, 'psubscribe', channel, 1) + told(3, 'pmessage', channel, channel, 'b'));
    t.equal(byShard.take(), told(2, 'ssubscribe', channel, 1) + told(2, 'smessage', channel, 'c'));
    byPattern.connection.break(null);
    link.answer(...messages);
    plane.turn();
    t.equal(client.take(), told(2, 'message', channel, 'a'));
    t.equal(byShard.take(), told(2, 'smessage', channel, 'c'));
  },
);

t.test(
  'shared: a lost connection is made anew for all; who subscribes meanwhile is told whether that went well',
  async (t) => {
    const { plane, client, channel, link } = subscribed(SHARED);
    link.connection.break(new Error('reset'));
    const more = plane.key(0, 'more');
    const [second, third] = [plane.client().send(['SUBSCRIBE', more]), plane.client().send(['SUBSCRIBE', channel])];
    plane.turn();
    plane.links(0, 3).at(-1)?.connection.break(new Error('refused'));
    plane.turn();
    for (const refused of [second, third]) t.match(refused.take(), /^-NODEDOWN /);
    second.send(['SUBSCRIBE', more]);
    const again = listener(plane, 0);
    t.equal(again.take(), command('SUBSCRIBE', channel, more) + PING, 'of those who were refused nothing is left');
    again.answer(
      told(3, 'subscribe', channel, 1),
      told(3, 'subscribe', more, 2),
      PONG,
      told(3, 'message', channel, 'x'),
    );
    plane.turn();
    t.equal(second.take(), told(2, 'subscribe', more, 1));
    t.equal(client.take(), told(2, 'message', channel, 'x'));
    t.equal(third.take(), '');
  },
);

t.test('shared: one who does not read is closed, and the others hear each message', async (t) => {
  const { plane, client, channel, link } = subscribed({ ...SHARED, limits: { subscriberOutputHardBytes: 50_000 } });
  const second = plane.client().send(['SUBSCRIBE', channel]);
  plane.turn();
  link.take();
  link.answer(PONG);
  plane.turn();
  second.take();
  const message = ['message', channel, 'x'.repeat(20_000)];
  for (let count = 0; count < 5; count++) {
    link.answer(told(3, ...message));
    plane.turn();
    t.equal(second.take(), told(2, ...message));
  }
  t.ok(client.isClosed);
  t.notOk(second.isClosed);
});

t.test('a reload that shares connections holds for who subscribes then', async (t) => {
  const { plane, client, channel, link } = subscribed();
  plane.data.configure(plane.topology, plane.limits, { ...plane.rules, pubsub: 'shared' });
  const others = [plane.client(), plane.client()].map((other) => other.send(['SUBSCRIBE', channel]));
  const shared = listener(plane, 0);
  t.not(shared, link);
  t.equal(plane.links(0, 3).length, 2);
  confirm(shared, 'SUBSCRIBE', channel);
  plane.turn();
  for (const other of others) t.equal(other.take(), told(2, 'subscribe', channel, 1));
  client.send(['UNSUBSCRIBE']);
  plane.turn();
  confirm(link, 'UNSUBSCRIBE', channel);
  client.send(['SUBSCRIBE', channel]);
  plane.turn();
  t.equal(client.take(), told(2, 'unsubscribe', channel, 0));
  t.equal(shared.take(), PING);
});
