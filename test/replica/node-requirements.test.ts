/** What a server must be like to hold replicated keys: decided purely, and asked of real ones. */
import t from 'tap';
import { neededPermissions } from '../../src/replica/needed-permissions.js';
import { askConditions } from '../../src/replica/node-conditions.js';
import { fitVerdict, mixedVersions, type NodeConditions, nodeObstacles } from '../../src/replica/node-requirements.js';
import { RedisServer } from '../help/redis-server.js';
import { RespClient } from '../help/resp-client.js';

const GOOD: NodeConditions = { version: '7.0.15', maxmemoryPolicy: 'noeviction', refusals: [] };

t.test('a server that can hold replicated keys has no obstacles, and each fault is one', async (t) => {
  for (const version of ['7.0.0', '7.4.1', '8.0', '10.0.0']) t.same(nodeObstacles({ ...GOOD, version }), [], version);
  for (const version of ['6.2.14', '5.0.14', '', 'none']) {
    t.match(nodeObstacles({ ...GOOD, version }), [/: replicated keys need 7.0 or later$/], version);
  }
  t.same(nodeObstacles({ ...GOOD, maxmemoryPolicy: 'allkeys-lru' }), [
    'its maxmemory-policy is allkeys-lru, not noeviction: keys would vanish without a ballot',
  ]);
  t.same(nodeObstacles({ ...GOOD, refusals: ['a', 'b', 'c', 'd', 'e'] }), [
    'its user may not do all that is needed: a; b; c; and 2 more',
  ]);
  t.equal(nodeObstacles({ version: '6.0', maxmemoryPolicy: 'volatile-ttl', refusals: ['a'] }).length, 3);
});

t.test('versions between which values cannot be carried are named', async (t) => {
  const nodes = (...versions: string[]) => versions.map((version, index) => ({ name: `n${index}`, version }));
  t.equal(mixedVersions(nodes('7.0.15', '7.0.1', '7.0.0')), null);
  t.equal(mixedVersions([]), null);
  t.match(mixedVersions(nodes('7.0.15', '7.4.1', '7.0.0')), /^Redis 7.0 \(n0, n2\) and 7.4 \(n1\): /);
});

t.test('a node with obstacles does not become a member, and a member stays one', async (t) => {
  const admit = { kind: 'admit', expected: '', record: 'r', as: 'member' } as const;
  const stranger = { kind: 'stranger', reason: 'it was restarted' } as const;
  for (const verdict of [admit, stranger]) {
    t.equal(fitVerdict(verdict, []), verdict);
    t.same(fitVerdict(verdict, ['a', 'b']), { kind: 'refused', reason: 'a; b' });
  }
  for (const kind of ['member', 'silent'] as const) t.same(fitVerdict({ kind }, ['a']), { kind });
});

/** What a server says of itself to `user`, who knows how to log in. */
async function ask(server: RedisServer, protocol: 2 | 3, user: string, prefixes: readonly string[]) {
  const client = await RespClient.connect(server.port);
  try {
    await client.raw('HELLO', `${protocol}`, 'AUTH', user, 'p');
    const { frames, replyCount, decode } = askConditions(user, prefixes);
    client.send(frames);
    const replies: Uint8Array[] = [];
    while (replies.length < replyCount) replies.push(await client.next());
    return decode(replies);
  } finally {
    client.close();
  }
}

t.test('a real server is asked, and says what its user may not do', async (t) => {
  const server = await RedisServer.start();
  t.teardown(() => server.stop());
  const client = await RespClient.connect(server.port);
  t.teardown(() => client.close());
  const rules: Record<string, string[]> = {
    default: ['>p'],
    all: ['>p', 'on', '~acct:*', '~~rl:*', '&~rl:*', '+@all'],
    reader: ['>p', 'on', '%R~*', '&*', '+@all'],
    stranger: ['>p', 'on', '~acct:*', '&*', '+@all'],
    prefixed: ['>p', 'on', '~acct:*', '~~rl:*', '&*', '+@all'],
    few: ['>p', 'on', '~*', '&*', '+@all', '-dump', '-spop', '-xgroup|create', '-script|load'],
    unasked: ['>p', 'on', '~*', '&*', '+@all', '-acl'],
  };
  for (const [user, words] of Object.entries(rules)) await client.command('ACL', 'SETUSER', user, ...words);
  for (const protocol of [2, 3] as const) {
    t.same(nodeObstacles(await ask(server, protocol, 'all', ['acct:'])), []);
    t.same(nodeObstacles(await ask(server, protocol, 'default', ['', 'x:'])), []);
  }
  const version = (await ask(server, 3, 'all', [])).version;
  t.match(version, /^7\.0\.\d+$/);
  t.match((await ask(server, 3, 'reader', ['acct:'])).refusals.join('\n'), /access the '~rl:node' key/);
  t.match((await ask(server, 3, 'stranger', ['acct:'])).refusals.join('\n'), /access the '~rl:m:acct:x' key/);
  const other = (await ask(server, 3, 'prefixed', ['acct:', 'b:'])).refusals;
  t.ok(other.length > 0);
  t.ok(
    other.every((words) => words.includes("'b:x'")),
    'the keys of the one keyspace are allowed, and not those of the other',
  );
  const few = (await ask(server, 3, 'few', [''])).refusals;
  t.same(few.map((words) => /'(.*?)'/.exec(words)?.[1]).sort(), ['dump', 'script|load', 'spop', 'xgroup|create']);
  t.match((await ask(server, 3, 'unasked', [''])).refusals, [/NOPERM.*'acl\|dryrun'/]);
  await client.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lfu');
  t.match(nodeObstacles(await ask(server, 3, 'all', ['acct:'])), [/^its maxmemory-policy is allkeys-lfu/]);
});

t.test('every needed permission is asked for in words that Redis understands', async (t) => {
  const server = await RedisServer.start();
  t.teardown(() => server.stop());
  const client = await RespClient.connect(server.port);
  t.teardown(() => client.close());
  const all = neededPermissions(['p:']);
  t.ok(all.length > 150, `${all.length}`);
  // Nobody may do anything: whatever is not understood is answered otherwise.
  await client.command('ACL', 'SETUSER', 'nobody', 'on', 'nopass');
  for (const words of all) {
    const reply = (await client.raw('ACL', 'DRYRUN', 'nobody', ...words)).toString('latin1');
    const isAlwaysAllowed = ['hello', 'auth', 'quit', 'reset'].includes(words[0] as string);
    t.match(reply, isAlwaysAllowed ? /OK/ : /has no permissions to run/, words.join(' '));
  }
});
