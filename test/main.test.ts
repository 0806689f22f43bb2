/** The command line as a process of its own: what it prints, and its exit codes. */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { startChild } from './help/child.js';
import { freePort } from './help/free-port.js';
import { ProxyProcess } from './help/proxy.js';
import { startRedisServers } from './help/redis-server.js';
import { RespClient } from './help/resp-client.js';
import { waitFor } from './help/wait-for.js';

const MAIN = fileURLToPath(new URL('../src/main.js', import.meta.url));

async function ringleader(...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = await startChild(process.execPath, [MAIN, ...args]);
  const { code } = await child.ended;
  return { code, output: child.output() };
}

/** Writes a configuration file for that test and returns its path. */
function file(test: Test, text: string): string {
  return join(test.testdir({ 'ringleader.yml': text }), 'ringleader.yml');
}

t.test('help says what there is, with and without being asked', async (t) => {
  for (const args of [[], ['help'], ['--help'], ['nothing-known', '--help']]) {
    const { code, output } = await ringleader(...args);
    t.equal(code, 0);
    t.match(output, /ringleader start/);
    t.match(output, /ringleader check/);
    t.match(output, /ringleader ring/);
  }
  t.match((await ringleader('help', 'start')).output, /redis:\/\//, 'with an example');
  t.match((await ringleader('check', '--help')).output, /FILE:LINE:COLUMN/);
});

t.test('a call that cannot be meant is told what might have been, with exit code 2', async (t) => {
  const table: [string[], RegExp][] = [
    [['strat'], /no command "strat"; did you mean start\?/],
    [['dance'], /no command "dance"\n/],
    [['help', 'chekc'], /no command "chekc"; did you mean check\?/],
    [['help', 'start', 'check'], /"check" is one word too many after help/],
    [['check'], /--config FILE/],
    [['start', 'now'], /"now" is one word too many/],
    [['start', '--port', '0'], /--port: expected a port, 1 to 65535, found "0"/],
    [['start', '--port', '6380', '--config', 'x.yml'], /--port is for start without --config/],
    [['start', '--accept-remap'], /--accept-remap needs --config FILE/],
    [['start', '--svg', 'x.svg'], /start has no option --svg/],
    [['rign'], /did you mean ring\?/],
    [['ring'], /ring needs --config FILE/],
    [['check', '--import', 'a.yml', '--add', 'x'], /check has no option --add/],
    [['check', '--import', 'a.yml', '--config', 'b.yml'], /check takes --config or --import, not both/],
    [
      ['start', '--confg', 'x'],
      /^ringleader: there is no option --confg; did you mean --config\?\nringleader help start says/,
    ],
    [['check', 'ringleader.yml'], /did you mean check --config ringleader\.yml\?\nringleader help check says/],
    [['health', '--admin', 'x'], /\nringleader help health says how it is called\n$/],
    [['strat'], /\nringleader help says what there is\n$/],
    [['help', 'strat'], /\nringleader help says what there is\n$/],
  ];
  for (const [args, says] of table) {
    const { code, output } = await ringleader(...args);
    t.equal(code, 2, args.join(' '));
    t.match(output, says, args.join(' '));
  }
});

t.test('check says that a good file is good', async (t) => {
  const { code, output } = await ringleader('check', '--config', file(t, 'pools: { main: { nodes: [redis://h] } }'));
  t.equal(code, 0);
  t.match(output, /good; listens on 127\.0\.0\.1:6380; nodes: 1 in main/);
});

t.test('check warns of what may not be meant, and the file is still good', async (t) => {
  const path = file(t, 'pools: { main: { nodes: ["redis://s3cret@h"] } }');
  const { code, output } = await ringleader('check', '--config', path);
  t.equal(code, 0);
  t.match(output, `${path}:1:26: warning: pools.main.nodes[0]: without a name`);
  t.match(output, `${path}:1:26: warning: pools.main.nodes[0]: a user without a password`);
  t.match(output, `${path}: good`);
  t.notMatch(output, 's3cret');
});

t.test('check and start print every problem of a bad file, without passwords, and exit with 1', async (t) => {
  const path = file(t, 'workers: none\npools: { main: { nodes: ["redis://u:s3cret@h:x"] } }\n');
  for (const command of ['check', 'start']) {
    const { code, output } = await ringleader(command, '--config', path);
    t.equal(code, 1);
    t.match(output, `${path}:1:10: workers: expected a whole number`);
    t.match(output, `${path}:2:26: pools.main.nodes[0]: expected`);
    t.notMatch(output, 's3cret');
  }
});

const THREE = 'pools: { main: { nodes: [redis://h:1, redis://h:2, { name: c, url: "redis://:s3cret@h:3" }] } }';

t.test('ring says who owns how much, what would move, where a key is, and draws it', async (t) => {
  const path = file(t, THREE);
  const svg = path.replace('ringleader.yml', 'ring.svg');
  const { code, output } = await ringleader('ring', '-c', path, '--add', 'd=3', '--key', 'foo', '--svg', svg);
  t.equal(code, 0);
  t.match(output, /pool main, 4 nodes after the change \(3 before\), placed by slots/);
  t.match(output, /^ {2}d +3 +[\d,]+ +\d+\.\d\d % +50\.00 %/m);
  t.match(output, /times the unavoidable 50\.00 %/);
  t.match(output, /key 'foo': slot 12182/);
  t.match(readFileSync(svg, 'utf8'), /^<svg .*<\/svg>\n$/s);
  t.notMatch(output, 's3cret');
});

t.test('ring tells mistakes of a file and of a call apart', async (t) => {
  const good = file(t, THREE);
  const call = await ringleader('ring', '--config', good, '--remove', 'cc');
  t.equal(call.code, 2);
  t.match(call.output, 'pool main has no node cc; did you mean c?');
  const bad = await ringleader('ring', '--config', `${good}x`);
  t.equal(bad.code, 1);
  t.match(bad.output, 'cannot be read');
});

t.test('a drawing that cannot be written is said with its option and what to do', async (t) => {
  const path = file(t, THREE);
  const table: [string, RegExp][] = [
    ['/nope/x.svg', /^ringleader: --svg: \/nope\/x\.svg cannot be written: its folder is not there; make it, or name/],
    [dirname(path), /: it is a folder; name a file in it\n$/],
  ];
  for (const [svg, says] of table) {
    const { code, output } = await ringleader('ring', '--config', path, '--svg', svg);
    t.equal(code, 1);
    t.match(output, says);
  }
});

t.test('a table of a thousand nodes is printed whole, also to a reader that is slow', async (t) => {
  const nodes = Array.from({ length: 1_000 }, (_, i) => `redis://10.0.${i >> 8}.${i & 255}`);
  const { code, output } = await ringleader('ring', '-c', file(t, JSON.stringify({ pools: { main: { nodes } } })));
  t.equal(code, 0);
  t.equal([...output.matchAll(/^ {2}10\.0\.\d\.\d+:6379 /gm)].length, 1_000);
  t.match(output, /Fullest: .*\.\n$/);
});

t.test('check --import turns a configuration of nutcracker into one that ring takes', async (t) => {
  const alpha = (lines: string) => `alpha:\n  listen: 127.0.0.1:22121\n  redis: true\n${lines}`;
  const nutcracker = file(t, alpha('  hash: murmur\n  servers:\n    - 127.0.0.1:6379:1 one\n    - 127.0.0.1:6380:3\n'));
  const { code, output } = await ringleader('check', '--import', nutcracker);
  t.equal(code, 0);
  const ring = await ringleader('ring', '--config', file(t, output));
  t.equal(ring.code, 0);
  t.match(ring.output, 'keyspace "" of service alpha: pool alpha, 2 nodes, placed by ketama of murmur');
  const random = file(t, alpha('  distribution: random\n  servers:\n    - 127.0.0.1:6379:1 one\n'));
  const refused = await ringleader('check', '--import', random);
  t.equal(refused.code, 1);
  t.match(refused.output, `${random}:4:17: alpha.distribution: random sends each request to any server`);
  t.notMatch(refused.output, 'pools:', 'and nothing is printed that could be taken for a configuration');
});

t.test('a file that is not there is named', async (t) => {
  const { code, output } = await ringleader('start', '--config', '/no/such/file.yml');
  t.equal(code, 1);
  t.match(output, /\/no\/such\/file\.yml cannot be read/);
});

t.test('an address that is taken ends the start with its name', async (t) => {
  const [server] = await startRedisServers(1);
  t.teardown(() => server?.stop());
  const taken = `127.0.0.1:${server?.port}`;
  const nodes = 'pools: { main: { nodes: [redis://127.0.0.1:1] } }';
  const listening = await ringleader('start', '--config', file(t, `listen: ${taken}\n${nodes}`));
  t.equal(listening.code, 1);
  t.match(listening.output, `cannot listen on ${taken}`);
  const free = `127.0.0.1:${await freePort()}`;
  const admin = await ringleader('start', '--config', file(t, `listen: ${free}\nadmin: ${taken}\n${nodes}`));
  t.equal(admin.code, 1);
  t.match(admin.output, taken);
});

t.test('start serves clients, is live and ready, and ends in order on SIGTERM', async (t) => {
  const servers = await startRedisServers(3);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  const proxy = await ProxyProcess.start({ nodes: servers.map(({ url }) => url) });
  const client = await RespClient.connect(proxy.port);
  t.equal(await client.command('SET', 'greeting', 'hello'), 'OK');
  t.equal(await client.command('GET', 'greeting'), 'hello');
  t.equal((await fetch(`${proxy.adminUrl}/livez`)).status, 200);
  t.equal((await fetch(`${proxy.adminUrl}/readyz`)).status, 200);

  await servers[0]?.kill9();
  await proxy.waitForLog('node-down');
  t.equal((await fetch(`${proxy.adminUrl}/readyz`)).status, 200, 'it is ready while a node is down');

  t.equal(await proxy.stop(), 0);
  await client.closed;
  const events = proxy.logLines.map(({ msg }) => msg);
  t.ok(events.includes('stopping'));
  t.ok(events.includes('stopped'), 'the last line is not lost');
});

t.test('SIGINT that comes twice at once, as under npm, ends it in order too', async (t) => {
  const servers = await startRedisServers(1);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  const proxy = await ProxyProcess.start({ nodes: servers.map(({ url }) => url) });
  proxy.signal('SIGINT');
  proxy.signal('SIGINT');
  t.same(await proxy.ended, { code: 0, signal: null });
  const refused = () =>
    new Promise<boolean>((resolve) => connect(proxy.port, '127.0.0.1').on('error', () => resolve(true)));
  t.ok(await waitFor('the port to be closed', refused));
});
