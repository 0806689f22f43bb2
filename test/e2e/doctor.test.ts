/** A replicated keyspace behind a proxy, one node of it lost and repaired, and what `doctor`, `inspect` and `status` say of it. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { ProxyProcess } from '../help/proxy.js';
import { startRedisServers } from '../help/redis-server.js';
import { connect, say } from '../help/resp-client.js';
import { runProgram } from '../help/run-program.js';
import { waitFor } from '../help/wait-for.js';

const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));

async function run(...words: string[]): Promise<{ code: number | null; output: string }> {
  return runProgram(process.execPath, [MAIN, ...words]);
}

async function start(t: Test, consistency: 'strong' | 'quorum' | 'eventual' | 'weak' = 'strong') {
  const servers = await startRedisServers(3);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  const proxy = await ProxyProcess.start({
    nodes: servers.map(({ url }, index) => ({ name: `n${index}`, url })),
    keyspaces: [{ prefix: '', pool: 'main', mode: 'replicated', copies: 3, consistency }],
  });
  t.teardown(() => proxy.kill9());
  return { servers, proxy };
}

type Client = Awaited<ReturnType<typeof connect>>;

/** `a` is 1 at all of them. */
async function writeToAll(client: Client, nodes: readonly Client[]): Promise<void> {
  // Nobody brings a write to a copy that is not admitted yet.
  await waitFor('a write that all copies have', async () => {
    if ((await say(client, 'SET', 'a', '1')) !== '+OK\r\n') return false;
    const metas = await Promise.all(nodes.map(metaOf));
    return metas.every((each) => each !== undefined && each === metas[0]);
  });
}

/** `a` is 0 at that node, under the version before its own. Returns what stands there now with the value. */
async function makeOlder(node: Client): Promise<string> {
  const before = (await metaOf(node)) as string;
  const older = before.slice(0, 40).replace(/^(.{8})(.{12})/, (_, epoch, counter) => {
    return epoch + String(Number(counter) - 1).padStart(12, '0');
  });
  const meta = older + older + before.slice(80);
  await say(node, 'SET', '~rl:m:a', meta);
  await say(node, 'SET', 'a', '0');
  return meta;
}

async function metaOf(node: Client): Promise<string | undefined> {
  return (await say(node, 'GET', '~rl:m:a')).split('\r\n')[1] || undefined;
}

t.test('a node that is lost is repaired while clients are served, and doctor finds all copies equal', async (t) => {
  const { servers, proxy } = await start(t);
  const client = await connect(t, proxy.port);
  await waitFor('a pool that is started', async () => (await say(client, 'SET', 'a', '1')) === '+OK\r\n');
  t.equal(await say(client, 'RPUSH', 'list', 'x', 'y'), ':2\r\n');
  await servers[1]?.kill9();
  t.equal(await say(client, 'INCR', 'a'), ':2\r\n');
  await servers[1]?.restart();
  await proxy.waitForLog('repaired', ({ node }) => node === 'n1');
  t.equal(await say(client, 'INCR', 'a'), ':3\r\n');
  t.equal(await say(client, 'LRANGE', 'list', '0', '-1'), '*2\r\n$1\r\nx\r\n$1\r\ny\r\n');

  // What was written just now may be on its way to the third copy.
  await waitFor('equal copies', async () => (await run('doctor', '--config', proxy.configPath)).code === 0);
  const doctor = await run('doctor', '--config', proxy.configPath, '--pool', 'main');
  t.match(
    doctor.output,
    /^pool main\n {2}n0: member\n {2}n1: member\n {2}n2: member\n {2}3 keys compared, 0 differ\n$/,
  );
  t.equal((await run('doctor', '--config', proxy.configPath, '--pace', '100')).output, doctor.output);
  const inspect = await run('inspect', '--config', proxy.configPath, 'list');
  t.match(
    inspect.output,
    /3 copies in pool main, 2 decide\n( {2}n\d: accepted .*; has a value\n){3}answered in one round trip/,
  );
  const status = await run('status', '--admin', proxy.adminUrl.replace('http://', ''));
  t.match(status.output, /replicas in main\nn0 +member\nn1 +member\nn2 +member\n/);
});

t.test(
  'keys of consistency quorum: a node that was away is given what it has missed, and doctor and inspect say what is promised',
  async (t) => {
    const { servers, proxy } = await start(t, 'quorum');
    const client = await connect(t, proxy.port);
    await waitFor('a pool that is started', async () => (await say(client, 'SET', 'a', '1')) === '+OK\r\n');
    servers[2]?.pause();
    t.equal(await say(client, 'SET', 'a', '2'), '+OK\r\n');
    t.equal(await say(client, 'RPUSH', 'list', 'x', 'y'), ':2\r\n');
    t.equal(await say(client, 'DEL', 'none'), ':0\r\n');
    servers[2]?.resume();
    for (const reply of ['$1\r\n2\r\n', '$1\r\n2\r\n', '$1\r\n2\r\n']) t.equal(await say(client, 'GET', 'a'), reply);
    await waitFor('equal copies', async () => (await run('doctor', '--config', proxy.configPath)).code === 0);
    const doctor = await run('doctor', '--config', proxy.configPath);
    const level = 'consistency quorum (readQuorum 2, writeQuorum 2)';
    t.ok(doctor.output.startsWith(`pool main\n  keys "*": ${level}\n  n0: member\n`), doctor.output);
    t.match(doctor.output, /3 keys compared, 0 differ/);
    const inspect = await run('inspect', '--config', proxy.configPath, 'list');
    t.ok(inspect.output.startsWith(`3 copies in pool main, ${level}\n`), inspect.output);
    t.match(inspect.output, /all that count have the same version, of 20\d\d-.* by the clock of who wrote it\n$/);
  },
);

t.test(
  'keys of consistency eventual: a copy that is behind is named, inspect shows it, and --repair gives it the newest',
  async (t) => {
    const { servers, proxy } = await start(t, 'eventual');
    const client = await connect(t, proxy.port);
    const nodes = await Promise.all(servers.map(({ port }) => connect(t, port)));
    const [node] = nodes as [Client];
    await writeToAll(client, nodes);
    // It would compare the copies itself.
    const config = join(t.testdir({ 'ringleader.yml': proxy.configText() }), 'ringleader.yml');
    await proxy.kill9();
    const newest = await metaOf(node);
    const older = await makeOlder(node);
    const doctor = await run('doctor', '--config', config);
    t.match(doctor, { code: 1, output: /keys "\*": consistency eventual\n/ });
    t.match(doctor.output, / {2}1 keys compared, 1 differ\n {2}"a": n0 is behind\n/);
    t.equal(await metaOf(node), older, 'it was looked at alone');
    const behind = await run('inspect', '--config', config, 'a');
    t.ok(behind.output.startsWith('3 copies in pool main, consistency eventual\n'), behind.output);
    t.match(
      behind.output,
      /\n( {2}n\d: accepted .*; has a value\n){3}the newest version, of 20\d\d-.*, is at n[12], n[12] alone: /,
    );
    const accepted = [...behind.output.matchAll(/(n\d): accepted (\S+);/g)].map(([, name, version]) => [name, version]);
    const versionOf = (name: string) => new Map(accepted as [string, string][]).get(name);
    t.equal(versionOf('n1'), versionOf('n2'));
    t.not(versionOf('n0'), versionOf('n1'));

    const repaired = await run('doctor', '--config', config, '--repair');
    t.match(repaired, { code: 0, output: / {2}1 keys compared, 1 differ, 1 mended\n {2}"a": n0 is behind: mended\n/ });
    t.equal(await metaOf(node), newest);
    t.equal(await say(node, 'GET', 'a'), '$1\r\n1\r\n');
    t.match(await run('doctor', '--config', config), { code: 0, output: / {2}1 keys compared, 0 differ\n/ });
    const equal = await run('inspect', '--config', config, 'a');
    t.match(equal.output, /all that count have the same version, of 20\d\d-.* by the clock of who wrote it\n$/);
  },
);

t.test('weak keys: a copy that is behind is no fault, and --repair leaves it', async (t) => {
  const { servers, proxy } = await start(t, 'weak');
  const client = await connect(t, proxy.port);
  const nodes = await Promise.all(servers.map(({ port }) => connect(t, port)));
  const [node] = nodes as [Client];
  await writeToAll(client, nodes);
  const older = await makeOlder(node);
  const doctor = await run('doctor', '--config', proxy.configPath);
  t.match(doctor, { code: 0, output: /keys "\*": consistency weak\n/ });
  t.match(doctor.output, /1 keys compared, 0 differ\n {2}1 weak keys are behind at some copies, as they may be\n/);
  const inspect = await run('inspect', '--config', proxy.configPath, 'a');
  t.match(inspect.output, /is at n\d, n\d alone: a read tells what the copy has that it asks\n/);
  const repaired = await run('doctor', '--config', proxy.configPath, '--repair');
  t.match(repaired, { code: 0, output: /1 keys compared, 0 differ, 0 mended\n/ });
  t.match(repaired.output, / {2}1 weak keys are behind at some copies, as they may be, and were left as they are\n/);
  t.equal(await metaOf(node), older);
  t.equal(await say(node, 'GET', 'a'), '$1\r\n0\r\n');
});

t.test('doctor and inspect say how they are called', async (t) => {
  const { proxy } = await start(t);
  const { configPath } = proxy;
  const wrong: [string[], RegExp][] = [
    [['doctor'], /doctor needs --config FILE/],
    [
      ['doctor', '--config', configPath, '--pool', 'other'],
      /pool other has no replicated keyspace, and no coordination store/,
    ],
    [['doctor', '--config', configPath, '--accept-loss'], /--accept-loss needs --pool NAME/],
    [['doctor', '--config', configPath, '--pace', '0'], /--pace is a number of keys, above 0, and not "0"/],
    [['inspect', '--config', configPath], /inspect needs --config FILE and a KEY/],
  ];
  for (const [words, text] of wrong) {
    const { code, output } = await run(...words);
    t.equal(code, 2, words.join(' '));
    t.match(output, text);
  }
});
