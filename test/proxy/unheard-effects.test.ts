/** What a command for all nodes does in the proxy it also does where its client does not hear of it. */
import t from 'tap';
import { bulk, command, Plane } from '../help/plane.js';

const QUEUED = '+QUEUED\r\n';
const SOURCE = 'return 1';
const SHA = 'e0e1f9fabfc9d4800c877a703b823ac0578ff8db';
const OTHER_SOURCE = 'return 2';
const OTHER_SHA = '7f923f79fe76194c868d7e1d0820de36700eb649';
const NOSCRIPT = '-NOSCRIPT No matching script. Please use EVAL.\r\n';

/** How a client does not hear. */
const WAYS = ['gone', 'muted'] as const;

/** A plane of two nodes that knows a script, and where calls of a script by its SHA1 get to. */
function loaded() {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const loader = plane.client().send(['SCRIPT', 'LOAD', SOURCE]);
  plane.turn();
  for (const node of [0, 1]) {
    plane.only(node).take();
    plane.only(node).answer(bulk(SHA));
  }
  plane.turn();
  t.equal(loader.take(), bulk(SHA));
  const caller = plane.client();
  /** What the node of the key is sent for the call; it answers NOSCRIPT to it. */
  const call = (sha: string) => {
    caller.send(['EVALSHA', sha, '1', plane.key(0)]);
    plane.turn();
    const sent = plane.only(0).take();
    plane.only(0).answer(NOSCRIPT);
    plane.turn();
    const again = plane.only(0).take();
    if (again !== '') plane.only(0).answer(':1\r\n');
    plane.turn();
    caller.take();
    return sent + again;
  };
  return { plane, call };
}

for (const way of WAYS) {
  t.test(`SCRIPT FLUSH of a client that is ${way}`, async (t) => {
    for (const isTakenBy of ['all', 'one']) {
      const { plane, call } = loaded();
      const client = plane.client();
      client.send(...(way === 'muted' ? [['CLIENT', 'REPLY', 'OFF']] : []), ['SCRIPT', 'FLUSH']);
      plane.turn();
      for (const node of [0, 1]) t.equal(plane.only(node).take(), command('SCRIPT', 'FLUSH'));
      plane.only(0).answer('+OK\r\n');
      plane.turn();
      if (way === 'gone') client.connection.break(null);
      plane.turn();
      plane.only(1).answer(isTakenBy === 'all' ? '+OK\r\n' : '-BUSY a script runs\r\n');
      plane.turn();
      const sent = call(SHA);
      if (isTakenBy === 'all') t.equal(sent, command('EVALSHA', SHA, '1', plane.key(0)), 'nothing is known any more');
      else t.match(sent, SOURCE, 'the nodes have not all carried it out: it is known still');
    }
  });

  t.test(`the same of a client that is ${way}, in a transaction`, async (t) => {
    for (const isTakenBy of ['all', 'one']) {
      const { plane, call } = loaded();
      const client = plane.client();
      const key = plane.key(0);
      client.send(...(way === 'muted' ? [['CLIENT', 'REPLY', 'OFF']] : []), ['MULTI']);
      client.send(['SCRIPT', 'FLUSH'], ['SET', key, '1'], ['EVAL', OTHER_SOURCE, '1', key], ['EXEC']);
      plane.turn();
      t.match(plane.only(0).take(), /EXEC/);
      plane.only(0).answer('+OK\r\n', QUEUED.repeat(3), '*3\r\n+OK\r\n+OK\r\n:2\r\n');
      plane.turn();
      t.equal(plane.only(1).take(), command('SCRIPT', 'FLUSH'));
      if (way === 'gone') client.connection.break(null);
      plane.turn();
      plane.only(1).answer(isTakenBy === 'all' ? '+OK\r\n' : '-BUSY a script runs\r\n');
      plane.turn();
      t.match(call(OTHER_SHA), OTHER_SOURCE, 'what came behind it is known');
      const sent = call(SHA);
      if (isTakenBy === 'all') t.equal(sent, command('EVALSHA', SHA, '1', key), 'what was before is not');
      else t.match(sent, SOURCE);
    }
  });
}

t.test('a client that goes before EXEC is answered', async (t) => {
  const { plane, call } = loaded();
  const client = plane.client().send(['MULTI'], ['SCRIPT', 'FLUSH'], ['SET', plane.key(0), '1'], ['EXEC']);
  plane.turn();
  plane.only(0).take();
  client.connection.break(null);
  plane.turn();
  plane.only(0).answer('+OK\r\n', QUEUED.repeat(2), '*2\r\n+OK\r\n+OK\r\n');
  plane.turn();
  t.equal(plane.only(1).take(), command('SCRIPT', 'FLUSH'));
  plane.only(1).answer('+OK\r\n');
  plane.turn();
  t.equal(call(SHA), command('EVALSHA', SHA, '1', plane.key(0)));
  t.equal(plane.usedBytes, 0, 'and nothing is held for it');
});

t.test('what was shown before SCRIPT FLUSH is not told to the other workers behind it', async (t) => {
  const [plane, other] = [new Plane({ nodes: 1 }).greetAll(), new Plane({ nodes: 1 }).greetAll()];
  plane.others.push(other);
  const client = plane.client().send(['SCRIPT', 'LOAD', SOURCE], ['SCRIPT', 'LOAD', OTHER_SOURCE]);
  plane.turn();
  plane.only(0).take();
  plane.only(0).answer(bulk(SHA), bulk(OTHER_SHA));
  plane.turn();
  client.send(['SCRIPT', 'FLUSH']);
  plane.turn();
  plane.only(0).take();
  plane.only(0).answer('+OK\r\n');
  plane.pass(100);
  for (const [at, sha] of [
    [plane, SHA],
    [plane, OTHER_SHA],
    [other, SHA],
    [other, OTHER_SHA],
  ] as const) {
    at.turn();
    at.only(0).take();
    const caller = at.client().send(['EVALSHA', sha, '0']);
    at.turn();
    t.equal(at.only(0).take(), command('EVALSHA', sha, '0'), 'it is not known');
    at.only(0).answer(NOSCRIPT);
    at.turn();
    t.equal(caller.take(), NOSCRIPT);
  }
});
