/** `auth: passthrough`: the nodes know the users, and enforce what each may do. */
import t, { type Test } from 'tap';
import { type Deployment, deploy } from '../help/deployment.js';
import { connect, type RespClient, say } from '../help/resp-client.js';

const OWN = ['proxy', 'on', '>proxy-pw', '~*', '&*', '+@all'];
const ALICE = ['alice', 'on', '>alice-pw', '~app:*', 'resetchannels', '&news', '+@all', '-@dangerous'];
const WRONGPASS = '-WRONGPASS invalid username-password pair or user is disabled.\r\n';
const NOAUTH = '-NOAUTH Authentication required.\r\n';

/** To the node itself, as one that may do everything there. */
async function onNode(t: Test, { servers }: Deployment, node: number, ...words: string[]): Promise<string> {
  const client = await connect(t, servers[node]?.port ?? 0);
  await say(client, 'AUTH', 'proxy', 'proxy-pw');
  const reply = await say(client, ...words);
  client.close();
  return reply;
}

async function onAll(t: Test, deployment: Deployment, ...words: string[]): Promise<void> {
  for (const node of deployment.servers.keys()) {
    const reply = await onNode(t, deployment, node, ...words);
    if (reply.startsWith('-')) throw new Error(reply);
  }
}

/** Three nodes that know the proxy and alice; whoever says nothing may do nothing. */
async function setUp(t: Test, redis: readonly string[] = []): Promise<Deployment> {
  const args = ['--user', ...OWN, '--user', ...ALICE, '--user', 'default', 'off', ...redis];
  return deploy(t, {
    auth: 'passthrough',
    redis: { args },
    url: ({ port }) => `redis://proxy:proxy-pw@127.0.0.1:${port}`,
  });
}

async function logIn(t: Test, { port }: Deployment, name: string, password = `${name}-pw`): Promise<RespClient> {
  const client = await connect(t, port);
  t.equal(await say(client, 'AUTH', name, password), '+OK\r\n', `${name} logs in`);
  return client;
}

t.test('a client does as its user what the nodes let that user do, whichever way it goes', async (t) => {
  const deployment = await setUp(t);
  const { port } = deployment;
  const nobody = await connect(t, port);
  for (const words of [['GET', 'app:1'], ['PING'], ['ACL', 'WHOAMI'], ['CLIENT', 'LIST'], ['SUBSCRIBE', 'news']])
    t.equal(await say(nobody, ...words), NOAUTH, words.join(' '));
  t.equal(
    await say(nobody, 'EXEC'),
    '-EXECABORT Transaction discarded because of: NOAUTH Authentication required.\r\n',
  );
  t.match(await say(nobody, 'HELLO', '3'), /^-NOAUTH HELLO must be called with the client already authenticated/);
  for (const words of [['alice', 'wrong'], ['nosuch', 'alice-pw'], ['alice-pw']])
    t.equal(await say(nobody, 'AUTH', ...words), WRONGPASS, words.join(' '));
  t.match(await say(nobody, 'HELLO', '3', 'AUTH', 'alice', 'alice-pw', 'SETNAME', 'me'), /^%7/);
  t.equal(await say(nobody, 'CLIENT', 'GETNAME'), '$2\r\nme\r\n');
  t.equal(await say(nobody, 'RESET'), '+RESET\r\n');
  t.equal(await say(nobody, 'GET', 'app:1'), NOAUTH);

  const alice = await logIn(t, deployment, 'alice');
  t.equal(await say(alice, 'ACL', 'WHOAMI'), '$5\r\nalice\r\n');
  const keys = [0, 1, 2].map((node) => deployment.key(node, 'app'));
  for (const key of keys) t.equal(await say(alice, 'SET', key, 'v'), '+OK\r\n');
  t.equal(await say(alice, 'MGET', ...keys), '*3\r\n$1\r\nv\r\n$1\r\nv\r\n$1\r\nv\r\n');
  const [key = ''] = keys;
  const denied = /^-NOPERM this user has no permissions to access one of the keys/;
  for (const words of [
    ['GET', 'other'],
    ['MGET', key, 'other'],
    ['BLPOP', 'other', '1'],
    ['WATCH', 'other'],
  ])
    t.match(await say(alice, ...words), denied, words.join(' '));
  t.match(
    await say(alice, 'EVAL', "return redis.call('get', 'other')", '1', key),
    /can't access at least one of the keys/,
  );
  t.equal(await say(alice, 'EVAL', "return redis.call('get', KEYS[1])", '1', key), '$1\r\nv\r\n');
  t.match(await say(alice, 'FLUSHALL'), "-NOPERM this user has no permissions to run the 'flushall' command");
  t.match(await say(alice, 'KEYS', '*'), "-NOPERM this user has no permissions to run the 'keys' command");
  t.match(await say(alice, 'CLIENT', 'LIST'), "-NOPERM this user has no permissions to run the 'client|list' command");
  t.match(await say(alice, 'ACL', 'LIST'), "-NOPERM this user has no permissions to run the 'acl|list' command");
  t.equal(await say(alice, 'UNWATCH'), '+OK\r\n');
  t.equal(await say(alice, 'MULTI'), '+OK\r\n');
  t.equal(await say(alice, 'SET', key, '2'), '+QUEUED\r\n');
  t.equal(await say(alice, 'EXEC'), '*1\r\n+OK\r\n');
  t.equal(await say(alice, 'WATCH', key), '+OK\r\n');
  t.equal(await say(alice, 'SELECT', '1'), '+OK\r\n');
  t.equal(await say(alice, 'GET', key), '$-1\r\n');
  t.match(
    await say(alice, 'SUBSCRIBE', 'secret'),
    '-NOPERM this user has no permissions to access one of the channels',
  );
  t.match(await say(alice, 'SUBSCRIBE', 'news'), 'subscribe');
  const proxy = await logIn(t, deployment, 'proxy');
  t.match(await say(proxy, 'CLIENT', 'LIST'), 'user=alice');
  t.equal(await say(proxy, 'PUBLISH', 'news', 'm'), ':1\r\n');
  t.match((await alice.next()).toString(), 'message');
  t.match(await say(proxy, 'INFO', 'server'), 'redis_version');
  t.notMatch(deployment.proxy.output(), /-pw|alice-|wrong"/);
});

t.test('what a user may not run on one shard is refused for keys of several, too', async (t) => {
  const deployment = await setUp(t);
  await onAll(t, deployment, 'ACL', 'SETUSER', 'bob', 'on', '>bob-pw', '~*', '+@all', '-sinter', '-xread');
  const bob = await logIn(t, deployment, 'bob');
  const sets = [0, 1].map((node) => deployment.key(node, 'set'));
  const streams = [0, 1].map((node) => deployment.key(node, 'stream'));
  for (const key of sets) await bob.command('SADD', key, 'm', 'n');
  for (const key of streams) await bob.command('XADD', key, '1-1', 'f', 'v');
  t.match(await say(bob, 'SUNION', ...sets), /^\*2\r\n/);
  t.equal(await say(bob, 'SINTERCARD', '2', ...sets), ':2\r\n');
  t.match(await say(bob, 'SINTER', ...sets), /^-NOPERM this user has no permissions to run the 'sinter' command/);
  t.equal(
    await say(bob, 'XREAD', 'STREAMS', ...streams, '0', '0'),
    "-ERR The user executing the script can't run this command or subcommand (from node a; the command had no effect)\r\n",
  );
  t.equal(await say(bob, 'DEL', ...sets, ...streams), ':4\r\n', 'nothing was left at any node');
});

t.test('a user that has no keys of the proxy cannot have keys of several shards read together', async (t) => {
  const deployment = await setUp(t);
  await onAll(t, deployment, 'ACL', 'SETUSER', 'bob', 'on', '>bob-pw', '~set:*', '+@all');
  const bob = await logIn(t, deployment, 'bob');
  const sets = [0, 1].map((node) => deployment.key(node, 'set'));
  for (const key of sets) t.equal(await bob.command('SADD', key, 'm'), 1);
  const denied = /^-NOPERM [^(]* one of the keys used as arguments \(from node [ab]; the command had no effect\)\r\n$/;
  t.match(await say(bob, 'SUNION', ...sets), denied);
  await onAll(t, deployment, 'ACL', 'SETUSER', 'bob', '~~rl:*');
  t.equal(await say(bob, 'SUNION', ...sets), '*1\r\n$1\r\nm\r\n');
});

t.test('what the proxy answers itself is not held against the rights of a user', async (t) => {
  const deployment = await setUp(t);
  await onAll(t, deployment, 'ACL', 'SETUSER', 'bob', 'on', '>bob-pw', '~*', '-@all', '+get', '+set');
  const bob = await logIn(t, deployment, 'bob');
  for (const words of [
    ...[['PING'], ['ECHO', 'x'], ['SELECT', '0'], ['UNWATCH'], ['MULTI'], ['DISCARD'], ['READONLY'], ['HELLO', '2']],
    ...[
      ['CLIENT', 'ID'],
      ['CLIENT', 'INFO'],
      ['CLIENT', 'SETNAME', 'x'],
      ['CLIENT', 'NO-EVICT', 'off'],
    ],
    ...[
      ['CLUSTER', 'SLOTS'],
      ['CLUSTER', 'KEYSLOT', 'a'],
      ['CLUSTER', 'INFO'],
      ['CLIENT', 'REPLY', 'ON'],
    ],
  ])
    t.notMatch(await say(bob, ...words), /^-/, words.join(' '));
  const key = deployment.key(0, 'app');
  for (const words of [['DEL', key], ['WATCH', key], ['PUBLISH', 'news', 'm'], ['CLIENT', 'LIST'], ['DBSIZE']])
    t.match(await say(bob, ...words), /^-NOPERM /, words.join(' '));
  t.equal(await say(bob, 'MULTI'), '+OK\r\n');
  t.equal(await say(bob, 'SET', key, '1'), '+QUEUED\r\n');
  t.match(await say(bob, 'EXEC'), /^-UNKNOWN node a refused MULTI: NOPERM /);
  t.equal(await say(bob, 'GET', key), '$1\r\n1\r\n', 'it was carried out');
});

t.test('ACL commands are for the users of all nodes', async (t) => {
  const deployment = await setUp(t);
  const admin = await logIn(t, deployment, 'proxy');
  t.equal(await say(admin, 'ACL', 'SETUSER', 'bob', 'on', '>bob-pw', '~*', '+@all'), '+OK\r\n');
  for (const node of [0, 1, 2]) t.match(await onNode(t, deployment, node, 'ACL', 'GETUSER', 'bob'), '+@all');
  const bob = await logIn(t, deployment, 'bob');
  t.equal(await say(bob, 'SET', 'a', '1'), '+OK\r\n');
  t.match(await say(admin, 'ACL', 'SETUSER', 'bob', '+nonsense'), /-ERR .*Error in ACL SETUSER modifier/);
  t.match(await say(bob, 'PUBLISH', 'ch', 'm'), '-NOPERM');
  t.match(await say(admin, 'ACL', 'LOG'), /channel[\s\S]*bob/);
  t.equal(await say(admin, 'ACL', 'LOG', 'RESET'), '+OK\r\n');
  t.equal(await say(admin, 'ACL', 'LOG'), '*0\r\n');
  t.equal(await say(admin, 'ACL', 'DELUSER', 'bob'), ':1\r\n');
  // The nodes close its connections, and take no new ones.
  for (let reply = ''; !reply.startsWith('-WRONGPASS'); ) reply = await say(bob, 'GET', 'a');
  t.match(await say(bob, 'GET', 'a'), /^-WRONGPASS .*\(node [abc] said so\)/);
  t.equal(await say(bob, 'AUTH', 'bob', 'bob-pw'), WRONGPASS);
  t.equal(await say(bob, 'AUTH', 'alice', 'alice-pw'), '+OK\r\n');
  t.equal(await say(bob, 'GET', 'app:nobody'), '$-1\r\n');
});

t.test('what is asked of users one node answers, in whatever form it does', async (t) => {
  const deployment = await setUp(t);
  const admin = await logIn(t, deployment, 'proxy');
  const direct = await connect(t, deployment.servers[0]?.port ?? 0);
  await say(direct, 'AUTH', 'proxy', 'proxy-pw');
  for (const protocol of ['2', '3']) {
    for (const client of [admin, direct]) await say(client, 'HELLO', protocol);
    for (const words of [
      ['LIST'],
      ['USERS'],
      ['GETUSER', 'alice'],
      ['GETUSER', 'nosuch'],
      ['CAT'],
      ['CAT', 'string'],
      ['CAT', 'nosuch'],
      ['DRYRUN', 'alice', 'GET', 'other'],
      ['WHOAMI'],
    ]) {
      const answer = await say(direct, 'ACL', ...words);
      t.not(answer, '');
      t.equal(await say(admin, 'ACL', ...words), answer, `${words.join(' ')} in RESP${protocol}`);
    }
  }
});

t.test('a password that one node of three does not take is refused, and that node named', async (t) => {
  const deployment = await setUp(t);
  await onNode(t, deployment, 1, 'ACL', 'SETUSER', 'alice', 'resetpass', '>another');
  const client = await connect(t, deployment.port);
  const reply = await say(client, 'AUTH', 'alice', 'alice-pw');
  t.equal(reply, '-WRONGPASS invalid username-password pair or user is disabled. (node b said so; 2 of 3 took it)\r\n');
  t.equal(await say(client, 'GET', 'app:1'), NOAUTH, 'it is nobody');
  await onNode(t, deployment, 1, 'ACL', 'SETUSER', 'alice', '>alice-pw');
  for (let last = ''; last !== '+OK\r\n'; ) last = await say(client, 'AUTH', 'alice', 'alice-pw');
  t.equal(await say(client, 'GET', deployment.key(1, 'app')), '$-1\r\n');
});

t.test('a password is rotated on the nodes', async (t) => {
  const deployment = await setUp(t);
  const before = await logIn(t, deployment, 'alice');
  const keys = [0, 1, 2].map((node) => deployment.key(node, 'app'));
  for (const key of keys) t.equal(await say(before, 'SET', key, 'v'), '+OK\r\n');
  await onAll(t, deployment, 'ACL', 'SETUSER', 'alice', '>new-pw');
  const after = await logIn(t, deployment, 'alice', 'new-pw');
  await onAll(t, deployment, 'ACL', 'SETUSER', 'alice', '<alice-pw');
  const late = await connect(t, deployment.port);
  t.equal(await say(late, 'AUTH', 'alice', 'alice-pw'), WRONGPASS, 'though others are in by it');
  for (const key of keys) t.equal(await say(before, 'GET', key), '$1\r\nv\r\n', 'who is in stays in');
  await onAll(t, deployment, 'CLIENT', 'KILL', 'USER', 'alice');
  for (const key of keys) {
    for (let reply = ''; !reply.startsWith('-WRONGPASS'); ) reply = await say(before, 'GET', key);
    t.equal(await say(after, 'GET', key), '$1\r\nv\r\n', 'by connections of its own');
  }
});

t.test('who logs in while a node is away is in, and is asked for by that node when it is back', async (t) => {
  const deployment = await setUp(t);
  const [first] = deployment.servers;
  await first?.kill9();
  const alice = await connect(t, deployment.port);
  t.equal(await say(alice, 'AUTH', 'alice', 'alice-pw'), '+OK\r\n');
  t.match(await say(alice, 'GET', deployment.key(0, 'app')), '-NODEDOWN');
  t.equal(await say(alice, 'GET', deployment.key(1, 'app')), '$-1\r\n');
  await first?.restart();
  for (let reply = ''; reply !== '$-1\r\n'; ) reply = await say(alice, 'GET', deployment.key(0, 'app'));
  for (const server of deployment.servers) await server.kill9();
  const late = await connect(t, deployment.port);
  for (let reply = ''; !reply.startsWith('-NODEDOWN'); ) reply = await say(late, 'AUTH', 'alice', 'alice-pw');
  t.pass('and nobody gets in where nobody can be asked');
});

t.test('nodes that ask for nothing let in who says nothing', async (t) => {
  const deployment = await deploy(t, { auth: 'passthrough' });
  const client = await connect(t, deployment.port);
  client.send('*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n');
  t.equal((await client.nextBytes(19)).toString(), '+PONG\r\n+OK\r\n$1\r\n1\r\n');
  t.equal(await say(client, 'ACL', 'WHOAMI'), '$7\r\ndefault\r\n');
  t.match(await say(client, 'AUTH', 'any'), /^-ERR AUTH <password> called without any password configured/);
  t.equal(await say(client, 'AUTH', 'default', 'any'), '+OK\r\n');
  t.match(await say(client, 'HELLO', '3'), /^%7/);
  t.equal(await say(client, 'CLIENT', 'TRACKING', 'ON', 'BCAST'), '+OK\r\n');
  t.equal(await say(client, 'SCRIPT', 'LOAD', 'return 1'), '$40\r\ne0e1f9fabfc9d4800c877a703b823ac0578ff8db\r\n');
});

t.test('what the proxy answers or watches for a user ends with its rights', async (t) => {
  const deployment = await setUp(t);
  const admin = await logIn(t, deployment, 'proxy');
  const bob = ['on', '>bob-pw', '~*', '&*', '+@all'];
  t.equal(await say(admin, 'ACL', 'SETUSER', 'bob', ...bob), '+OK\r\n');
  const [first, second, third] = [
    await logIn(t, deployment, 'bob'),
    await logIn(t, deployment, 'bob'),
    await logIn(t, deployment, 'bob'),
  ];
  t.match(await say(first, 'INFO', 'ringleader'), 'ringleader_version');
  t.equal(await say(second, 'MONITOR'), '+OK\r\n');
  t.equal(await say(third, 'MONITOR'), '+OK\r\n');
  t.equal(await say(admin, 'ACL', 'SETUSER', 'bob', '-info'), '+OK\r\n');
  t.match(await say(first, 'INFO', 'ringleader'), "-NOPERM this user has no permissions to run the 'info' command");
  t.equal(await say(admin, 'ACL', 'SETUSER', 'bob', '-monitor'), '+OK\r\n');
  await Promise.all([second.closed, third.closed]);
  t.equal(await say(admin, 'CLIENT', 'KILL', 'USER', 'bob'), ':1\r\n');
  await first.closed;
  t.equal(await say(admin, 'ACL', 'SETUSER', 'bob', '+@all'), '+OK\r\n');
  const last = await logIn(t, deployment, 'bob');
  t.equal(await say(last, 'MONITOR'), '+OK\r\n');
  t.equal(await say(admin, 'ACL', 'DELUSER', 'bob'), ':1\r\n');
  await last.closed;
});

t.test('nodes that begin to ask for a password let in nobody who is new', async (t) => {
  const deployment = await deploy(t, { nodes: 1, workers: 1, auth: 'passthrough' });
  const before = await connect(t, deployment.port);
  t.equal(await say(before, 'SET', 'a', '1'), '+OK\r\n');
  await onNode(t, deployment, 0, 'CONFIG', 'SET', 'requirepass', 'pw');
  const after = await connect(t, deployment.port);
  t.equal(await say(after, 'GET', 'a'), NOAUTH);
  t.equal(await say(after, 'AUTH', 'pw'), '+OK\r\n');
  t.equal(await say(after, 'GET', 'a'), '$1\r\n1\r\n');
  t.equal(await say(before, 'GET', 'a'), '$1\r\n1\r\n', 'who was in stays in, as with one Redis');
});

t.test('a reload that has others say who clients are closes all sessions', async (t) => {
  const deployment = await deploy(t, { nodes: 1, auth: 'passthrough' });
  const { proxy, port } = deployment;
  const reloads = () => proxy.logLines.filter(({ msg }) => msg === 'reloaded').length;
  for (const auth of ['none', 'passthrough']) {
    const before = reloads();
    const client = await connect(t, port);
    t.equal(await say(client, 'PING'), '+PONG\r\n');
    proxy.reload((text) => JSON.stringify({ ...JSON.parse(text), auth }));
    await client.closed;
    // The other workers go by it, too: who came sooner may be closed by them.
    await proxy.waitForLog('reloaded', () => reloads() > before);
  }
});

t.test('there are as many users as there may be, and the others are told', async (t) => {
  const deployment = await deploy(t, { nodes: 1, workers: 1, auth: 'passthrough', limits: { passthroughUsersMax: 2 } });
  const clients: RespClient[] = [];
  for (const name of ['a', 'b', 'c']) {
    await onNode(t, deployment, 0, 'ACL', 'SETUSER', name, 'on', `>${name}-pw`, '+@all', '~*');
    clients.push(await connect(t, deployment.port));
  }
  const [one, two, three] = clients as [RespClient, RespClient, RespClient];
  t.equal(await say(one, 'AUTH', 'a', 'a-pw'), '+OK\r\n');
  t.equal(await say(two, 'AUTH', 'b', 'b-pw'), '+OK\r\n');
  t.match(await say(three, 'AUTH', 'c', 'c-pw'), '-OVERLOADED clients are as many users as they may be');
  one.close();
  for (let reply = ''; reply !== '+OK\r\n'; ) reply = await say(three, 'AUTH', 'c', 'c-pw');
  t.equal(await say(two, 'ACL', 'WHOAMI'), '$1\r\nb\r\n');
});
