/** Users that change while clients are connected: at run time, by a reload, in all workers at once. */
import t from 'tap';
import { deploy } from '../help/deployment.js';
import { deployLocks } from '../help/lock-deployment.js';
import { RedisServer } from '../help/redis-server.js';
import { connect, type RespClient, say } from '../help/resp-client.js';

const NOPERM_SET = "-NOPERM this user has no permissions to run the 'set' command\r\n";

const USERS = [
  'default off',
  'admin on >admin-pw ~* &* +@all',
  'alice on >alice-pw ~app:* +@all -@dangerous',
  'gone on >gone-pw ~* &* +@all',
];

async function logIn(client: RespClient, name: string, password = `${name}-pw`): Promise<RespClient> {
  const reply = await say(client, 'AUTH', name, password);
  if (reply !== '+OK\r\n') throw new Error(`${name} could not log in: ${reply}`);
  return client;
}

t.test('users of the configuration have the rights that it gives them', async (t) => {
  const deployment = await deploy(t, { auth: { users: USERS } });
  const { port } = deployment;
  const nobody = await connect(t, port);
  t.equal(await say(nobody, 'GET', 'a'), '-NOAUTH Authentication required.\r\n');
  for (const words of [
    ['alice-pw'],
    ['alice', 'wrong'],
    ['default', ''],
    ['nosuch', 'alice-pw'],
    ['admin', 'alice-pw'],
  ])
    t.match(await say(nobody, 'AUTH', ...words), '-WRONGPASS ');
  const alice = await logIn(await connect(t, port), 'alice');
  t.equal(await say(alice, 'ACL', 'WHOAMI'), '$5\r\nalice\r\n');
  for (const node of [0, 1, 2]) t.equal(await say(alice, 'SET', deployment.key(node, 'app'), 'v'), '+OK\r\n');
  t.match(await say(alice, 'GET', 'other'), '-NOPERM this user has no permissions to access one of the keys');
  t.match(await say(alice, 'FLUSHALL'), "-NOPERM this user has no permissions to run the 'flushall' command");
  t.match(
    await say(alice, 'EVAL', 'return 1', '1', 'app:1'),
    '-NOPERM scripts of user alice are refused by this proxy',
  );
  t.match(await say(alice, 'RESET'), '+RESET');
  t.equal(await say(alice, 'GET', 'app:1'), '-NOAUTH Authentication required.\r\n');
  const admin = await logIn(await connect(t, port), 'admin');
  t.equal(await say(admin, 'EVAL', 'return 1', '0'), ':1\r\n');
  t.match(await say(admin, 'HELLO', '3', 'AUTH', 'alice', 'alice-pw'), /^%7/);
  t.equal(await say(admin, 'ACL', 'WHOAMI'), '$5\r\nalice\r\n');
  t.notMatch(deployment.proxy.output(), /-pw/);
});

t.test('a change holds in all workers before it is answered, and who is deleted is closed', async (t) => {
  const { port } = await deploy(t, { nodes: 1 });
  const admin = await connect(t, port);
  t.equal(await say(admin, 'ACL', 'SETUSER', 'bob', 'on', '>bob-pw', '+@all', '~*', '&*'), '+OK\r\n');
  // Enough of them for both workers to have some.
  const bobs = await Promise.all(Array.from({ length: 8 }, async () => logIn(await connect(t, port), 'bob')));
  for (const bob of bobs) t.equal(await say(bob, 'SET', 'a', '1'), '+OK\r\n');
  t.equal(await say(admin, 'ACL', 'SETUSER', 'bob', '-set'), '+OK\r\n');
  for (const bob of bobs) t.equal(await say(bob, 'SET', 'a', '1'), NOPERM_SET);
  t.equal(await say(admin, 'ACL', 'SETUSER', 'bob', '+set', 'off'), '+OK\r\n');
  for (const bob of bobs) t.equal(await say(bob, 'SET', 'a', '1'), '+OK\r\n', 'who is in stays in');
  t.match(await say(admin, 'AUTH', 'bob', 'bob-pw'), '-WRONGPASS');
  const [last] = bobs as [RespClient];
  t.equal(await say(last, 'ACL', 'DELUSER', 'nosuch', 'bob'), ':1\r\n', 'also to the one who deletes itself');
  await Promise.all(bobs.map((bob) => bob.closed));
  t.equal(await say(admin, 'ACL', 'USERS'), '*1\r\n$7\r\ndefault\r\n');
});

t.test('a subscriber that may no longer hear its channel is closed, and another is not', async (t) => {
  const { port } = await deploy(t, { nodes: 1 });
  const admin = await connect(t, port);
  await say(admin, 'ACL', 'SETUSER', 'sub', 'on', '>sub-pw', '+@all', 'resetchannels', '&one', '&two:*');
  const [one, two, pattern] = [
    await logIn(await connect(t, port), 'sub'),
    await logIn(await connect(t, port), 'sub'),
    await logIn(await connect(t, port), 'sub'),
  ];
  t.match(await say(one, 'SUBSCRIBE', 'one'), 'subscribe');
  t.match(await say(two, 'SSUBSCRIBE', 'two:1'), 'ssubscribe');
  t.match(await say(pattern, 'PSUBSCRIBE', 'two:*'), 'psubscribe');
  t.match(await say(pattern, 'PSUBSCRIBE', 'two:1'), '-NOPERM', 'a pattern must be one of the rules');
  await say(admin, 'ACL', 'SETUSER', 'sub', 'resetchannels', '&two:*');
  await one.closed;
  for (const client of [two, pattern]) t.match(await say(client, 'PING'), 'pong');
  await say(admin, 'ACL', 'SETUSER', 'sub', 'resetchannels', '&two:1');
  await pattern.closed;
  t.match(await say(two, 'PING'), 'pong');
});

t.test('EXEC looks at the rights again, as one Redis does', async (t) => {
  const { port } = await deploy(t, { nodes: 1 });
  const single = await RedisServer.start();
  t.teardown(() => single.stop());
  const replies: string[][] = [];
  for (const door of [port, single.port]) {
    const [admin, user] = [await connect(t, door), await connect(t, door)];
    const said: string[] = [];
    await say(admin, 'ACL', 'SETUSER', 'eve', 'on', 'nopass', '+@all', '~*', '&a');
    await say(user, 'AUTH', 'eve', '');
    const queue = [['SET', 'k', '1'], ['PING'], ['GET', 'k'], ['PUBLISH', 'a', 'm'], ['GET', 'other'], ['ECHO', 'x']];
    for (const change of [
      ['-set'],
      ['resetkeys', '~k', '+set'],
      ['resetchannels', '-ping'],
      ['-@all', '+exec', '+multi'],
    ]) {
      for (const words of [['MULTI'], ...queue]) said.push(await say(user, ...words));
      await say(admin, 'ACL', 'SETUSER', 'eve', ...change);
      said.push(await say(user, 'EXEC'));
    }
    replies.push(said);
  }
  t.same(replies[0], replies[1]);
});

t.test('ACL LOG has what all workers refused', async (t) => {
  const { port } = await deploy(t, { nodes: 1 });
  const admin = await connect(t, port);
  await say(admin, 'ACL', 'SETUSER', 'log', 'on', '>log-pw', '+get', '+multi', '+publish', '~a');
  const users = await Promise.all(Array.from({ length: 6 }, async () => logIn(await connect(t, port), 'log')));
  for (const user of users) t.match(await say(user, 'SET', 'a', '1'), '-NOPERM');
  const [first] = users as [RespClient];
  t.match(await say(first, 'GET', 'hidden'), '-NOPERM');
  t.match(await say(first, 'PUBLISH', 'ch', 'm'), '-NOPERM');
  t.match(await say(first, 'AUTH', 'log', 'wrong'), '-WRONGPASS');
  await say(first, 'MULTI');
  t.match(await say(first, 'GET', 'hidden'), '-NOPERM');
  await say(admin, 'HELLO', '3');
  const entries = (await admin.command('ACL', 'LOG')) as unknown as ReadonlyMap<unknown, unknown>[];
  const shown = entries.map((entry) => {
    const map = new Map([...entry].map(([name, value]) => [String(name), value]));
    return ['count', 'reason', 'context', 'object', 'username'].map((name) => String(map.get(name))).join(' ');
  });
  t.same(shown, [
    '1 key multi hidden log',
    '1 auth toplevel AUTH log',
    '1 channel toplevel ch log',
    '1 key toplevel hidden log',
    '6 command toplevel set log',
  ]);
  t.equal(await say(admin, 'ACL', 'LOG', 'RESET'), '+OK\r\n');
  t.equal(await say(admin, 'ACL', 'LOG'), '*0\r\n');
});

t.test('a reload changes the users that it has other rules for, and no others', async (t) => {
  const deployment = await deploy(t, { auth: { users: USERS } });
  const { proxy, port } = deployment;
  const admin = await logIn(await connect(t, port), 'admin');
  const alice = await logIn(await connect(t, port), 'alice');
  const gone = await logIn(await connect(t, port), 'gone');
  await say(admin, 'ACL', 'SETUSER', 'made', 'on', '>made-pw', '+ping');
  const made = await logIn(await connect(t, port), 'made');
  proxy.reload((text) => {
    const users = [...USERS.slice(0, 2), 'alice on >alice-pw ~app:* +get'];
    return JSON.stringify({ ...JSON.parse(text), auth: { users } });
  });
  await gone.closed;
  t.equal(await say(made, 'PING'), '+PONG\r\n');
  for (let reply = ''; reply !== NOPERM_SET; ) reply = await say(alice, 'SET', 'app:1', 'v');
  t.equal(await say(alice, 'GET', 'app:nobody'), '$-1\r\n');
  t.match(await say(admin, 'AUTH', 'gone', 'gone-pw'), '-WRONGPASS');
});

t.test('a worker that starts anew knows the users', async (t) => {
  const { proxy, port } = await deploy(t, { nodes: 1, workers: 1, env: { RINGLEADER_TEST_HOOKS: '1' } });
  const admin = await connect(t, port);
  await say(admin, 'ACL', 'SETUSER', 'kept', 'on', '>kept-pw', '+ping');
  proxy.signal('SIGUSR2');
  await admin.closed;
  await proxy.waitForLog('worker-restarted');
  const kept = await logIn(await connect(t, port), 'kept');
  t.equal(await say(kept, 'PING'), '+PONG\r\n');
  t.match(await say(kept, 'GET', 'a'), '-NOPERM');
});

t.test('names of locks are keys, and the command within RL.FENCED is one of the user', async (t) => {
  const { proxies } = await deployLocks(t, { nodes: 3, ttlMaxMs: 20_000 });
  const [{ port }] = proxies;
  const admin = await connect(t, port);
  const rules = ['+@all', '-set', '~lock:mine', '%R~readable', '~own'];
  await say(admin, 'ACL', 'SETUSER', 'ed', 'on', '>ed-pw', ...rules);
  const ed = await logIn(await connect(t, port), 'ed');
  const key = /^-NOPERM this user has no permissions to access one of the keys/;
  t.match(await say(ed, 'LOCK.ACQUIRE', 'lock:other', 'TTL', '5000'), key);
  t.match(await say(ed, 'LOCK.MACQUIRE', '2', 'lock:mine', 'lock:other', 'TTL', '5000'), key);
  t.match(await say(ed, 'LOCK.INFO', 'lock:other'), key);
  const acquired = (await ed.command('LOCK.ACQUIRE', 'lock:mine', 'TTL', '5000')) as readonly unknown[];
  const fence = String(acquired.at(-1));
  await say(admin, 'LOCK.ACQUIRE', 'lock:other', 'TTL', '5000');
  t.match(await say(admin, 'LOCK.LIST'), /lock:mine[\s\S]*lock:other/);
  const listed = await say(ed, 'LOCK.LIST');
  t.match(listed, 'lock:mine');
  t.notMatch(listed, 'lock:other', 'no names that LOCK.INFO would refuse');
  for (const [lock, ...command] of [
    ['lock:other', 'GET', 'own'],
    ['lock:mine', 'GET', 'foreign'],
    ['lock:mine', 'APPEND', 'readable', 'x'],
  ] as const)
    t.match(await say(ed, 'RL.FENCED', lock, fence, ...command), key, command.join(' '));
  t.equal(await say(ed, 'RL.FENCED', 'lock:mine', fence, 'SET', 'own', 'x'), NOPERM_SET);
  t.equal(await say(ed, 'RL.FENCED', 'lock:mine', fence, 'APPEND', 'own', 'x'), ':1\r\n');
  t.match(
    await say(ed, 'SORT', 'own', 'BY', 'w_*'),
    '-ERR BY option of SORT denied due to insufficient ACL permissions.',
  );
  await say(admin, 'ACL', 'SETUSER', 'ed', '-rl.fenced', '-@write');
  t.match(await say(ed, 'RL.FENCED', 'lock:mine', fence, 'GET', 'own'), "permissions to run the 'rl.fenced' command");
  t.match(await say(ed, 'LOCK.ACQUIRE', 'lock:mine', 'TTL', '5000'), "permissions to run the 'lock.acquire' command");
});
