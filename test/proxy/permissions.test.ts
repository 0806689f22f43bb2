/** What users with rights of their own are refused, on a plane without sockets. */
import t from 'tap';
import { RefusalLog } from '../../src/proxy/refusal-log.js';
import { bulk, type Client, command, Plane } from '../help/plane.js';

const NOPERM_KEY = '-NOPERM this user has no permissions to access one of the keys used as arguments\r\n';

function nopermCommand(name: string): string {
  return `-NOPERM this user has no permissions to run the '${name}' command\r\n`;
}

/** A plane of one node, somebody who may do everything, and `bob`. */
function setUp(...rules: string[]) {
  const plane = new Plane({ nodes: 1, limits: { privateConnectionsSpareMax: 0 } }).greetAll();
  const admin = plane.client();
  change(plane, admin, ...rules);
  const bob = plane.client();
  if (bob.send(['AUTH', 'bob', 'any']).take() !== '+OK\r\n') throw new Error('bob cannot log in');
  return { plane, admin, bob };
}

function change(plane: Plane, admin: Client, ...rules: string[]): void {
  admin.send(['ACL', 'SETUSER', 'bob', 'on', 'nopass', ...rules]);
  plane.turn();
  const reply = admin.take();
  if (reply !== '+OK\r\n') throw new Error(reply);
}

t.test('SORT with patterns is for whom one selector lets sort and read every key', async (t) => {
  const denied = '-ERR BY option of SORT denied due to insufficient ACL permissions.\r\n';
  for (const [rules, isAllowed] of [
    [['~mylist', '+sort', '(%R~* +exists)'], false],
    [['~mylist', '+sort', '(%R~* +sort)'], true],
    [['~mylist', '+sort', '(%W~* +sort)'], false],
    [['~*', '+sort'], true],
    [['+sort', '~mylist', '%R~*'], true],
  ] as const) {
    const { plane, bob } = setUp(...rules);
    const words = ['SORT', 'mylist', 'BY', 'w_*'];
    const reply = bob.send(words).take();
    t.equal(reply, isAllowed ? '' : denied, rules.join(' '));
    plane.turn();
    t.equal(plane.only(0).take(), isAllowed ? command(...words) : '');
  }
});

t.test('a command that the table lacks is for whom no category of it is taken away', async (t) => {
  const categories = ['@write', '@hash', '@fast'].map((name) => `+${name}\r\n`).join('');
  const described = `*1\r\n*10\r\n${bulk('hexpire')}:-6\r\n*1\r\n+write\r\n:1\r\n:1\r\n:1\r\n*3\r\n${categories}*0\r\n*0\r\n*0\r\n`;
  const words = ['HEXPIRE', 'a', '1', 'FIELDS', '1', 'f'];
  for (const [rules, isAllowed] of [
    [['+@all', '~*'], true],
    [['+@all', '-@dangerous', '~*'], true],
    [['+@all', '-get', '~*'], true],
    [['+@all', '-@write', '~*'], false],
    [['+@all', '-@write', '+set', '~*'], false],
    [['+@all', '-@write', '+@write', '~*'], true],
    [['+@read', '+@write', '~*'], false],
  ] as const) {
    const { plane, bob } = setUp(...rules);
    bob.send(words);
    plane.pass(10);
    t.equal(plane.only(0).take(), command('COMMAND', 'INFO', 'hexpire'));
    plane.only(0).answer(described);
    plane.turn();
    t.equal(bob.take(), isAllowed ? '' : nopermCommand('hexpire'), rules.join(' '));
    t.equal(plane.only(0).take(), isAllowed ? command(...words) : '');
  }
});

t.test('a command whose keys cannot be found is for whom all keys are', async (t) => {
  const malformed = [
    ['XREAD', 'COUNT', '1', 'STREAMS', 'a'],
    ['ZUNION', 'x', 'a'],
    ['SINTERCARD', '9', 'a'],
    ['SORT', 'a', 'NONSENSE'],
    ['MSET', 'a', '1', 'b'],
  ];
  const { plane, bob } = setUp('+@all', '~a');
  for (const words of malformed) t.equal(bob.send(words).take(), NOPERM_KEY, words.join(' '));
  plane.turn();
  t.equal(plane.only(0).take(), '');
  const { plane: other, bob: free } = setUp('+@all', '-get', '~*');
  free.send(...malformed);
  other.turn();
  t.equal(other.only(0).take(), malformed.map((words) => command(...words)).join(''));
});

t.test('who may no longer hear a channel is closed while the subscription is under way, too', async (t) => {
  for (const [words, isClosed] of [
    [['SUBSCRIBE', 'secret'], true],
    [['PSUBSCRIBE', 'secret'], true],
    [['SSUBSCRIBE', 'secret'], true],
    [['SUBSCRIBE', 'news'], false],
  ] as const) {
    const { plane, admin, bob } = setUp('+@all', '-get', 'resetchannels', '&secret', '&news');
    bob.send([...words]);
    plane.turn();
    t.equal(bob.take(), '', 'the node has not confirmed it');
    change(plane, admin, 'resetchannels', '&news');
    t.equal(bob.isClosed, isClosed, words.join(' '));
  }
});

t.test('of a command within RL.FENCED that lacks arguments nothing is looked at', async (t) => {
  const { plane, admin, bob } = setUp('+@all', '-ping', '~lock');
  // What another client has said stands behind it in memory.
  admin.send(['SET', 'a', 'b', 'EX', 'of-somebody-else']);
  plane.turn();
  if (plane.only(0).take() !== '') plane.only(0).answer('+OK\r\n');
  bob.send(['RL.FENCED', 'lock', '1', 'LINSERT'], ['RL.FENCED', 'lock', '1', 'GET']);
  plane.turn();
  t.match(bob.take(), /^-ERR no keyspace of mode lock/);
  t.equal(admin.take(), '+OK\r\n');
  admin.send(['ACL', 'LOG']);
  plane.pass(1);
  t.equal(admin.take(), '*0\r\n');
});

t.test('what was refused again is one entry, and there are no more than so many', async (t) => {
  const log = new RefusalLog();
  const refusal = (object: string, atMs: number) =>
    ({ reason: 'key', context: 'toplevel', object, user: 'bob', count: 1, atMs, client: `at ${atMs}` }) as const;
  for (let n = 0; n < 130; n++) log.note(refusal(`k${n}`, n));
  log.note(refusal('k100', 200));
  t.equal(log.all().length, 128);
  const [first, second] = log.all();
  t.strictSame(first, { ...refusal('k100', 200), count: 2 });
  t.equal(second?.object, 'k129');
  t.equal(log.all().at(-1)?.object, 'k2');
  log.note(refusal('k129', 70_000));
  t.equal(log.all()[0]?.count, 1, 'that was long ago');
  t.equal(log.all().length, 128);
  log.note({ ...refusal('x'.repeat(5_000), 70_000), user: 'u'.repeat(5_000) });
  t.strictSame([log.all()[0]?.object.length, log.all()[0]?.user.length], [1024, 1024]);
});
