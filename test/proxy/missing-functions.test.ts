/** What a client is told where a node lacks a function, by what the other nodes say of it. */
import t from 'tap';
import { pendingsInUse } from '../help/pending-watch.js';
import { bulk, command, Plane } from '../help/plane.js';

const NOT_FOUND = '-ERR Function not found\r\n';
const EMPTY = '*0\r\n';
const LIST = command('FUNCTION', 'LIST');
const LISTED = `*1\r\n*6\r\n${bulk('library_name')}${bulk('l')}${bulk('engine')}${bulk('LUA')}${bulk('functions')}*1\r\n*6\r\n${bulk('name')}${bulk('f')}${bulk('description')}$-1\r\n${bulk('flags')}*0\r\n`;

/** A plane whose first node has said that it lacks what a client calls there; the nodes are being asked. */
function lacking() {
  const plane = new Plane({ nodes: 3 }).greetAll();
  const client = plane.client();
  const key = plane.key(0);
  client.send(['FCALL', 'f', '1', key], ['GET', key]);
  plane.turn();
  plane.only(0).take();
  plane.only(0).answer(NOT_FOUND, bulk('v'));
  plane.turn();
  const asked = [0, 1, 2].map((node) => plane.only(node).take());
  const answer = (...replies: string[]) => {
    for (const [node, reply] of replies.entries()) plane.only(node).answer(reply);
    plane.turn();
  };
  return { plane, client, key, asked, answer };
}

t.test('the nodes are asked, and the reply comes in its place in line', async (t) => {
  for (const [lists, expected] of [
    [[EMPTY, LISTED, LISTED], /^-ERR Function not found on node node-0, .*: node node-1 and 1 more have it\./],
    [[EMPTY, EMPTY, LISTED], /^-ERR Function not found on node node-0, .*: node node-2 has it\./],
    [[EMPTY, '-NOPERM no\r\n', LISTED], /^-ERR Function not found on node node-0, .*: node node-2 has it\./],
    [[EMPTY, EMPTY, EMPTY], /^-ERR Function not found\r\n/],
    [[LISTED, LISTED, LISTED], /^-ERR Function not found\r\n/],
    [['-NOPERM no\r\n', '-NOPERM no\r\n', '-NOPERM no\r\n'], /^-ERR Function not found\r\n/],
  ] as const) {
    const { plane, client, asked, answer } = lacking();
    t.same(asked, [LIST, LIST, LIST]);
    t.equal(client.take(), '');
    answer(...lists);
    const told = client.take();
    t.match(told, expected);
    t.ok(told.endsWith(bulk('v')));
    t.equal(plane.usedBytes, 0);
  }
});

t.test('who calls while the nodes are asked waits for the next question, and several for one', async (t) => {
  const { plane, client, key } = lacking();
  const others = [plane.client(), plane.client()];
  for (const other of others) other.send(['FCALL_RO', 'f', '1', key]);
  plane.turn();
  plane.only(0).take();
  plane.only(0).answer(EMPTY, NOT_FOUND, NOT_FOUND);
  plane.turn();
  t.equal(plane.only(0).take(), '');
  for (const node of [1, 2]) plane.only(node).answer(LISTED);
  plane.turn();
  t.match(client.take(), /node-0, which lacks its library/);
  plane.turn();
  t.same(
    [0, 1, 2].map((node) => plane.only(node).take()),
    [LIST, LIST, LIST],
  );
  for (const node of [0, 1, 2]) plane.only(node).answer(EMPTY);
  plane.turn();
  for (const other of others) t.equal(other.take(), NOT_FOUND, 'all nodes have lost it since');
});

t.test('a client that goes meanwhile, and a node that does', async (t) => {
  const before = pendingsInUse();
  const gone = lacking();
  gone.client.connection.break(null);
  gone.plane.turn();
  gone.answer(EMPTY, LISTED, LISTED);
  t.equal(gone.plane.usedBytes, 0);
  t.equal(pendingsInUse(), before);

  const lost = lacking();
  lost.plane.only(2).connection.break(null);
  lost.answer(EMPTY, LISTED);
  lost.plane.pass(10_000);
  t.match(lost.client.take(), /^-ERR Function not found on node node-0, .*: node node-1 has it\./);
});
