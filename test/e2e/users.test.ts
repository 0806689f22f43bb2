/** Users with rights of their own, next to one Redis with the same users: byte for byte the same answers. */
import t, { type Test } from 'tap';
import { COMMAND_RULES, COMMANDS_TRIED, KEYS_UNKNOWN, RULE_SETS, RULES_TRIED } from '../help/acl-table.js';
import { deploy } from '../help/deployment.js';
import { RedisServer } from '../help/redis-server.js';
import { connect, type RespClient, say } from '../help/resp-client.js';

async function pair(t: Test) {
  const deployment = await deploy(t, { nodes: 1 });
  const single = await RedisServer.start();
  t.teardown(() => single.stop());
  const ours = await connect(t, deployment.port);
  const theirs = await connect(t, single.port);
  return { deployment, single, ours, theirs };
}

async function both(t: Test, ours: RespClient, theirs: RespClient, words: readonly string[]): Promise<string> {
  const [own, other] = await Promise.all([say(ours, ...words), say(theirs, ...words)]);
  t.equal(own, other, words.join(' '));
  return own;
}

t.test('what a user may do, and what it is told, is as one Redis says', async (t) => {
  const { ours, theirs } = await pair(t);
  for (const [index, rules] of RULE_SETS.entries()) {
    const name = `user-${index}`;
    await t.test(`${name}: ${rules.join(' ')}`, async (t) => {
      await both(t, ours, theirs, ['ACL', 'SETUSER', name, 'on', 'nopass', ...rules]);
      for (const words of COMMANDS_TRIED) await both(t, ours, theirs, ['ACL', 'DRYRUN', name, ...words]);
    });
  }
});

/** One Redis looks at no key then: it finds the same keys as the command will, which the proxy can only hope for. */
t.test('a command whose keys cannot be found is for whom all keys are', async (t) => {
  const { ours, theirs } = await pair(t);
  const name = 'unknown-keys';
  await both(t, ours, theirs, ['ACL', 'SETUSER', name, 'on', 'nopass', '+@all', '~app:*']);
  for (const words of KEYS_UNKNOWN) {
    t.equal(await say(theirs, 'ACL', 'DRYRUN', name, ...words), '+OK\r\n');
    t.match(
      await say(ours, 'ACL', 'DRYRUN', name, ...words),
      `This user has no permissions to access the '${words[0]}' key`,
    );
  }
  await both(t, ours, theirs, ['ACL', 'SETUSER', name, '~*']);
  for (const words of KEYS_UNKNOWN) await both(t, ours, theirs, ['ACL', 'DRYRUN', name, ...words]);
});

/** Refused before anything is done: the error is the answer. */
t.test('the errors of commands that are refused are those of one Redis', async (t) => {
  const { deployment, single, ours, theirs } = await pair(t);
  for (const [index, rules] of RULE_SETS.entries()) {
    const name = `user-${index}`;
    await both(t, ours, theirs, ['ACL', 'SETUSER', name, 'on', 'nopass', ...rules]);
    const [mine, other] = [await connect(t, deployment.port), await connect(t, single.port)];
    await both(t, mine, other, ['AUTH', name, 'any']);
    for (const words of COMMANDS_TRIED) {
      const dry = await say(theirs, 'ACL', 'DRYRUN', name, ...words);
      if (dry.startsWith('$')) await both(t, mine, other, words);
    }
    if (!(await say(theirs, 'ACL', 'DRYRUN', name, 'MULTI')).startsWith('+')) continue;
    for (const words of [['MULTI'], ['GET', 'nobody'], ['SET', 'nobody', 'v'], ['EXEC'], ['GET', 'nobody']])
      await both(t, mine, other, words);
  }
});

t.test('rules are taken and refused as by one Redis, and shown alike', async (t) => {
  const { ours, theirs } = await pair(t);
  for (const rules of RULES_TRIED) await both(t, ours, theirs, ['ACL', 'SETUSER', 'tried', ...rules]);
  for (const rules of RULES_TRIED) {
    await both(t, ours, theirs, ['ACL', 'SETUSER', 'fresh', 'reset']);
    await both(t, ours, theirs, ['ACL', 'SETUSER', 'fresh', ...rules]);
    await both(t, ours, theirs, ['ACL', 'GETUSER', 'fresh']);
  }
  for (const [index, rules] of [...RULE_SETS, ...COMMAND_RULES].entries()) {
    await both(t, ours, theirs, ['ACL', 'SETUSER', `u${index}`, ...rules]);
  }
  const lists = await Promise.all([ours, theirs].map((client) => client.command('ACL', 'LIST')));
  const [own, other] = lists.map((lines) => (lines as unknown as Buffer[]).map((line) => inOrder(line.toString())));
  t.same(own, other);
  for (const protocol of ['3', '2']) {
    await Promise.all([say(ours, 'HELLO', protocol), say(theirs, 'HELLO', protocol)]);
    for (const name of ['default', 'tried', 'nosuch', 'u3', 'u9', 'u10'])
      await both(t, ours, theirs, ['ACL', 'GETUSER', name]);
  }
  for (const words of [
    ['WHOAMI'],
    ['USERS'],
    ['CAT'],
    ['CAT', 'nosuch'],
    ['CAT', 'a', 'b'],
    ['SETUSER', 'x y'],
    ['DELUSER', 'default'],
    ['DELUSER', 'tried', 'nosuch', 'fresh'],
    ['DRYRUN', 'nosuch', 'GET', 'a'],
    ['GENPASS', '0'],
    ['GENPASS', '4097'],
    ['GENPASS', 'a'],
    ['GENPASS', '1', '2'],
    ['LOG', 'a'],
    ['LOG', '-1'],
    ['LOG', '1', '2'],
    ['LOG'],
    ['HELP'],
    ['HELP', 'x'],
    ['NONSENSE'],
    ['GETUSER'],
  ])
    await both(t, ours, theirs, ['ACL', ...words]);
  t.match(await say(ours, 'ACL', 'GENPASS'), /^\$64\r\n[0-9a-f]{64}\r\n$/);
  t.match(await say(ours, 'ACL', 'GENPASS', '5'), /^\$2\r\n[0-9a-f]{2}\r\n$/);
  t.match(await say(ours, 'ACL', 'SAVE'), /^-ERR the users of this proxy are those of its configuration/);
  for (const category of ['string', 'pubsub', 'dangerous', 'transaction']) {
    const [mine, hers] = await Promise.all([ours, theirs].map((client) => client.command('ACL', 'CAT', category)));
    t.same(names(mine), names(hers), category);
  }
});

/** One Redis takes them, and shows what is another user. */
t.test('rules that would be read as others are refused, and the proxy goes on', async (t) => {
  const { ours, theirs } = await pair(t);
  for (const rules of [['+select|a b'], ['+select|0 ~* &* +@all'], ['(+get ~a))']]) {
    t.equal(await say(theirs, 'ACL', 'SETUSER', 'odd', ...rules), '+OK\r\n');
    t.match(await say(ours, 'ACL', 'SETUSER', 'odd', ...rules), /^-ERR /);
    t.equal(await say(ours, 'ACL', 'GETUSER', 'odd'), '$-1\r\n');
  }
  t.equal(await say(ours, 'SET', 'a', '1'), '+OK\r\n');
});

/** Redis's own order of single commands is that of a hash table. */
function inOrder(line: string): string {
  return line.replace(/([+-]@all)((?: [+-][^ )]+)*)/g, (_, all: string, rest: string) => {
    return `${all} ${rest.trim().split(' ').sort().join(' ')}`;
  });
}

function names(list: unknown): string[] {
  return (list as Buffer[]).map(String).sort();
}
