/** CLIENT PAUSE and UNPAUSE, on planes without sockets. */
import t from 'tap';
import { pendingsInUse } from '../help/pending-watch.js';
import { bulk, type Client, Plane, type PlaneOptions } from '../help/plane.js';

function setUp(options: PlaneOptions = {}) {
  const world = new Plane({ nodes: 1, ...options }).greetAll();
  const [admin, client] = [world.client(), world.client()];
  const say = (who: Client, ...words: string[]): string => {
    who.send(words);
    world.turn();
    return who.take();
  };
  return { world, admin, client, link: world.only(0), say };
}

const OK = '+OK\r\n';

t.test('PAUSE holds every command until its end, and each is then carried out in its order', async (t) => {
  const { world, admin, client, link, say } = setUp();
  const before = pendingsInUse();
  client.send(['GET', 'k']);
  world.turn();
  t.equal(say(admin, 'CLIENT', 'PAUSE', '500'), OK);
  client.send(['SET', 'k', 'v'], ['PING']);
  client.sendText('PING inline\r\n');
  t.same(link.commands(), ['GET k']);
  link.answer('$-1\r\n');
  world.turn();
  t.equal(client.take(), '$-1\r\n', 'what was sent before is answered');
  t.equal(world.counts.sessionsPaused, 1);
  t.equal(say(admin, 'CLIENT', 'UNPAUSE'), '', 'which is held, too');
  world.pass(450);
  t.same(link.commands(), []);
  world.pass(100);
  t.same(link.commands(), ['SET k v']);
  link.answer(OK);
  t.equal(client.take(), `${OK}+PONG\r\n${bulk('inline')}`);
  t.equal(admin.take(), OK);
  t.equal(world.counts.sessionsPaused, 0);
  t.equal(world.usedBytes, 0);
  t.equal(pendingsInUse(), before);
  t.equal(world.counts.commands, 6, 'a command that waited counts once');
});

const READ_SCRIPT = '#!lua flags=no-writes\nreturn 1';
/** Commands, and whether PAUSE WRITE holds them. */
const COMMANDS: readonly (readonly [words: string[], isHeld: boolean])[] = [
  [['GET', 'k'], false],
  [['PING'], false],
  [['CLIENT', 'LIST'], false],
  [['EVAL_RO', 'return 1', '0'], false],
  [['EVAL', READ_SCRIPT, '0'], false],
  [['EVAL', '#!lua flags=allow-oom,no-writes\nreturn 1', '0'], false],
  [['EVAL', '#!lua\nreturn 1', '0'], true],
  [['EVAL', '#!lua flags=allow-oom\nreturn 1', '0'], true],
  [['EVAL', '#!lua flags=no-writes,no-such\nreturn 1', '0'], true],
  [['EVAL', '#!lua flags=no-writes', '0'], true],
  [['EVAL', '#!lua name=x flags=no-writes\nreturn 1', '0'], true],
  [['EVAL', 'return 1', '0'], true],
  [['EVALSHA', '0'.repeat(40), '0'], true],
  [['SCRIPT', 'LOAD', 'return 1'], false],
  [['SET', 'k', 'v'], true],
  [['SET'], false],
  [['GETEX', 'k'], true],
  [['PFCOUNT', 'k'], true],
  [['PUBLISH', 'channel', 'message'], true],
  [['FLUSHALL'], true],
  [['BLPOP', 'k', '0'], true],
  [['MULTI'], false],
];

t.test('PAUSE WRITE holds what may write or be replicated', async (t) => {
  for (const [words, isHeld] of COMMANDS) {
    const { world, admin, client, say } = setUp();
    t.equal(say(admin, 'CLIENT', 'PAUSE', '1000', 'WRITE'), OK);
    client.send(words);
    world.turn();
    t.equal(world.counts.sessionsPaused, isHeld ? 1 : 0, words.join(' '));
    t.equal(say(admin, 'CLIENT', 'UNPAUSE'), OK);
    t.equal(world.counts.sessionsPaused, 0);
  }
});

t.test('PAUSE WRITE holds EXEC if one of its commands is such, and a write when it is queued', async (t) => {
  const cases: [queued: string[], isHeld: boolean][] = [
    [['GET', 'k'], false],
    [['EVAL', READ_SCRIPT, '0'], false],
    [['SET', 'k', 'v'], true],
    [['EVAL', 'return 1', '0'], true],
  ];
  for (const [queued, isHeld] of cases) {
    const { world, admin, client, link, say } = setUp();
    t.equal(say(client, 'MULTI'), OK);
    t.equal(say(client, ...queued), '+QUEUED\r\n');
    t.equal(say(admin, 'CLIENT', 'PAUSE', '1000', 'WRITE'), OK);
    say(client, 'EXEC');
    t.equal(link.commands().length, isHeld ? 0 : 3);
    say(admin, 'CLIENT', 'UNPAUSE');
    world.turn();
    t.equal(link.commands().length, isHeld ? 3 : 0);
    say(admin, 'CLIENT', 'PAUSE', '1000', 'WRITE');
    const other = world.client();
    t.equal(say(other, 'MULTI'), OK);
    t.equal(say(other, ...queued), isHeld ? '' : '+QUEUED\r\n');
    say(admin, 'CLIENT', 'UNPAUSE');
    world.turn();
    t.equal(other.take(), isHeld ? '+QUEUED\r\n' : '');
  }
});

t.test('the later end and the stricter kind of two pauses count; after the end both begin anew', async (t) => {
  const { world, admin, client, say } = setUp();
  say(admin, 'CLIENT', 'PAUSE', '1000', 'write');
  say(admin, 'CLIENT', 'PAUSE', '100', 'WRITE');
  client.send(['SET', 'k', 'v']);
  world.pass(900);
  t.equal(world.counts.sessionsPaused, 1);
  say(admin, 'CLIENT', 'PAUSE', '10', 'ALL');
  t.equal(say(admin, 'PING'), '');
  world.pass(50);
  t.equal(admin.take(), '', 'the kind of the one, the end of the other');
  world.pass(100);
  t.equal(admin.take(), '+PONG\r\n');
  t.equal(world.counts.sessionsPaused, 0);
  say(admin, 'CLIENT', 'PAUSE', '1000', 'WRITE');
  t.equal(say(admin, 'PING'), '+PONG\r\n');
  say(admin, 'CLIENT', 'UNPAUSE');
  t.equal(say(admin, 'CLIENT', 'UNPAUSE'), OK, 'also when there is none');
  t.equal(say(admin, 'CLIENT', 'PAUSE', '0', 'ALL'), OK);
  t.equal(say(admin, 'PING'), '+PONG\r\n');
  t.equal(say(admin, 'CLIENT', 'PAUSE', '9007199254740993000', 'WRITE'), OK);
  t.equal(say(admin, 'CLIENT', 'UNPAUSE'), OK);
});

t.test('the commands of all workers are held, and what comes behind PAUSE in the same bytes', async (t) => {
  const { world, admin, link } = setUp();
  const other = new Plane({ nodes: 1 }).greetAll();
  world.others.push(other);
  admin.send(['CLIENT', 'PAUSE', '100', 'WRITE'], ['SET', 'k', 'v'], ['PING']);
  world.turn();
  t.equal(admin.take(), OK);
  t.same(link.commands(), []);
  const far = other.client().send(['SET', 'k', 'v'], ['PING']);
  other.turn();
  t.same(other.only(0).commands(), []);
  t.equal(far.take(), '');
  other.pass(150);
  t.same(other.only(0).commands(), ['SET k v']);
  world.pass(150);
  t.same(link.commands(), ['SET k v']);
});

t.test('a worker that starts meanwhile knows of the pause', async (t) => {
  const { world, client, say } = setUp({ pauses: [{ service: 0, isAll: true, forMs: 300 }] });
  t.equal(say(client, 'PING'), '');
  world.pass(350);
  t.equal(client.take(), '+PONG\r\n');
});

t.test('other services go on', async (t) => {
  const plain = new Plane({ nodes: 1 });
  const service = plain.topology.services[0] ?? null;
  const { world, admin, say } = setUp({ services: [service, service] });
  t.equal(say(admin, 'CLIENT', 'PAUSE', '1000'), OK);
  t.equal(say(world.client(1), 'PING'), '+PONG\r\n');
  t.equal(say(world.client(0), 'PING'), '');
});

t.test('a client that goes, or is killed, while it is held leaves nothing behind', async (t) => {
  const { world, admin, link, say } = setUp();
  const before = pendingsInUse();
  say(admin, 'CLIENT', 'PAUSE', '1000', 'WRITE');
  const held = Array.from({ length: 4 }, () => world.client().send(['SET', 'k', 'v']));
  const [gone, ended, broken, killed] = held as [Client, Client, Client, Client];
  world.turn();
  t.equal(world.counts.sessionsPaused, 4);
  gone.connection.end();
  ended.sendText('more').connection.end();
  broken.connection.break(new Error('reset'));
  world.turn();
  t.ok(gone.isClosed, 'its end is noticed');
  t.ok(ended.isClosed, 'also behind what came meanwhile');
  t.match(say(admin, 'CLIENT', 'LIST'), /id=6 .* flags=b .* cmd=set /);
  t.equal(say(admin, 'CLIENT', 'KILL', 'ID', '6'), ':1\r\n');
  world.turn();
  t.ok(killed.isClosed);
  t.equal(world.counts.sessionsPaused, 0);
  say(admin, 'CLIENT', 'UNPAUSE');
  world.turn();
  t.same(link.commands(), [], 'nothing of theirs is carried out');
  t.equal(world.usedBytes, 0);
  t.equal(pendingsInUse(), before);
});

t.test('who is held is not idle, and what it sends meanwhile is bounded', async (t) => {
  const { world, admin, client, link, say } = setUp({ limits: { idleTimeoutMs: 2_000 } });
  say(admin, 'CLIENT', 'PAUSE', '5000', 'WRITE');
  client.send(['SET', 'k', 'v']);
  for (let n = 0; n < 10; n++) client.sendText('x'.repeat(10_000));
  t.ok(client.connection.isPaused);
  world.pass(4_500);
  t.notOk(client.isClosed);
  world.pass(1_000);
  t.same(link.commands(), ['SET k v']);
});

t.test('a drain does not wait for the end of a pause', async (t) => {
  const { world, admin, client, say } = setUp();
  say(admin, 'CLIENT', 'PAUSE', '100000');
  client.send(['PING']);
  let isDone = false;
  world.data.drain(world.transport.now + 10_000, () => {
    isDone = true;
  });
  world.turn();
  t.ok(client.isClosed);
  t.ok(isDone);
});

t.test('INFO counts who is held among the blocked clients', async (t) => {
  const { world, admin, client, link, say } = setUp();
  say(admin, 'CLIENT', 'PAUSE', '1000', 'WRITE');
  say(client, 'SET', 'k', 'v');
  admin.send(['INFO', 'clients']);
  world.turn();
  link.take();
  link.answer(bulk('# Clients\r\nconnected_clients:5\r\nblocked_clients:2\r\n'));
  t.match(admin.take(), /blocked_clients:3\r\n/);
});

t.test('inside of MULTI what asks all workers is carried out by EXEC, and its answer is in its place', async (t) => {
  const { world, admin, client, link, say } = setUp();
  const before = pendingsInUse();
  const other = new Plane({ nodes: 1, lastClientId: 100 }).greetAll();
  world.others.push(other);
  const far = other.client();
  for (const words of [
    ['MULTI'],
    ['CLIENT', 'KILL', 'ID', '101'],
    ['CLIENT', 'LIST', 'ID', '2'],
    ['CLIENT', 'KILL', 'x'],
  ])
    say(client, ...words);
  t.match(say(client, 'EXEC'), /^\*3\r\n:1\r\n\$\d+\r\nid=2 .* cmd=exec .*\n\r\n-ERR No such client\r\n$/);
  other.turn();
  t.ok(far.isClosed);

  for (const words of [['MULTI'], ['SET', 'a', '1'], ['CLIENT', 'PAUSE', '1000', 'WRITE'], ['SET', 'b', '2']])
    say(admin, ...words);
  admin.send(['EXEC'], ['SET', 'c', '3']);
  world.turn();
  t.same(link.commands(), ['MULTI', 'SET a 1', 'SET b 2', 'EXEC']);
  link.answer(OK, '+QUEUED\r\n', '+QUEUED\r\n', `*2\r\n${OK}${OK}`);
  world.turn();
  t.equal(admin.take(), `*3\r\n${OK}${OK}${OK}`);
  t.same(link.commands(), [], 'the pause starts at the end of the transaction');
  t.equal(say(client, 'CLIENT', 'UNPAUSE'), OK);
  world.turn();
  t.same(link.commands(), ['SET c 3']);
  link.answer(OK);
  t.equal(admin.take(), OK);
  for (const words of [['MULTI'], ['PING'], ['CLIENT', 'PAUSE', '-1'], ['CLIENT', 'UNPAUSE']]) say(client, ...words);
  t.equal(say(client, 'EXEC'), `*3\r\n+PONG\r\n-ERR timeout is negative\r\n${OK}`);
  t.equal(world.usedBytes, 0);
  t.equal(pendingsInUse(), before);
});

t.test('a client whose EXEC kills itself gets the reply', async (t) => {
  const { world, client, say } = setUp();
  for (const words of [['MULTI'], ['CLIENT', 'KILL', 'ID', '2', 'SKIPME', 'no'], ['PING']]) say(client, ...words);
  client.send(['EXEC'], ['PING']);
  world.turn();
  t.equal(client.take(), '*2\r\n:1\r\n+PONG\r\n');
  world.turn();
  t.ok(client.isClosed);
});

t.test('arguments that make no sense get the errors of Redis', async (t) => {
  const { say, admin } = setUp();
  const errors: [words: string, error: string][] = [
    ['PAUSE', "wrong number of arguments for 'client|pause' command"],
    ['PAUSE x', 'timeout is not an integer or out of range'],
    ['PAUSE 1.5', 'timeout is not an integer or out of range'],
    ['PAUSE 9223372036854775808', 'timeout is not an integer or out of range'],
    ['PAUSE 9223372036854775807', 'timeout is out of range'],
    ['PAUSE -1', 'timeout is negative'],
    ['PAUSE x never', 'CLIENT PAUSE mode must be WRITE or ALL'],
    ['Pause 1 ALL WRITE', "unknown subcommand or wrong number of arguments for 'Pause'. Try CLIENT HELP."],
    ['UNPAUSE now', "wrong number of arguments for 'client|unpause' command"],
  ];
  for (const [words, error] of errors) t.equal(say(admin, 'CLIENT', ...words.split(' ')), `-ERR ${error}\r\n`, words);
});

t.test('when a worker does not answer, the client hears that its clients may not be paused', async (t) => {
  const { world, admin, say } = setUp();
  world.silent.push(1);
  const silent = '-UNKNOWN worker 1 did not answer in time: its clients may';
  t.equal(say(admin, 'CLIENT', 'PAUSE', '1000', 'WRITE'), `${silent} not be paused\r\n`);
  t.equal(say(admin, 'CLIENT', 'UNPAUSE'), `${silent} still be paused\r\n`);
});
