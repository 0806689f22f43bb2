/** Scripts and functions that run for long at one node of three: PING says so, as one Redis does, and the others serve. */
import { setTimeout } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { type Deployment, deploy } from '../help/deployment.js';
import { connect, type RespClient, say } from '../help/resp-client.js';

const BUSY_SCRIPT = '-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n';
const LIBRARY = "#!lua name=l\nredis.register_function('f', function() while true do end end)";
const PONG = '+PONG\r\n';

async function setUp(t: Test): Promise<{ deployment: Deployment; runner: RespClient; others: readonly RespClient[] }> {
  const deployment = await deploy(t, {
    redis: { args: ['--busy-reply-threshold', '20'] },
    limits: { requestTimeoutMs: '60s', stallTimeoutMs: '120s' },
  });
  const [runner, ...others] = await Promise.all(Array.from({ length: 4 }, () => connect(t, deployment.port)));
  return { deployment, runner: runner as RespClient, others };
}

/** Asks again and again, until PING is answered otherwise than `now`; says how. */
async function pingUntilNot(client: RespClient, now: string): Promise<string> {
  for (;;) {
    const reply = await say(client, 'PING');
    if (reply !== now) return reply;
  }
}

/** A node that runs a script answers nothing at first, and a healthy one within much less than that. */
function answersSoon(reply: Promise<string>): Promise<boolean> {
  return Promise.race([reply.then(() => true), setTimeout(500, false)]);
}

t.test('PING says that a script runs, on every worker, until it is killed; other shards go on', async (t) => {
  const { deployment, runner, others } = await setUp(t);
  runner.send(`EVAL "while true do end" 1 ${deployment.key(2)}\r\n`);
  for (const client of others) {
    t.equal(await pingUntilNot(client, PONG), BUSY_SCRIPT);
    t.equal(await say(client, 'PING', 'hello'), BUSY_SCRIPT);
    t.equal(await say(client, 'SET', deployment.key(0), 'x'), '+OK\r\n', 'another shard serves');
  }
  const [first] = others as [RespClient];
  t.equal(await say(first, 'SCRIPT', 'KILL'), '+OK\r\n');
  t.match((await runner.next()).toString(), /^-ERR .*killed by user/);
  for (const client of others) t.equal(await pingUntilNot(client, BUSY_SCRIPT), PONG);
  t.equal(await say(first, 'PING', 'hello'), '$5\r\nhello\r\n');
});

t.test('the same of a function, in RESP3, which FUNCTION STATS shows', async (t) => {
  const { deployment, runner, others } = await setUp(t);
  const [client] = others as [RespClient];
  await runner.command('FUNCTION', 'LOAD', LIBRARY);
  await client.command('HELLO', '3');
  const key = deployment.key(1);
  runner.send(`FCALL f 1 ${key}\r\n`);
  t.match(await pingUntilNot(client, PONG), /^-BUSY .* FUNCTION KILL/);
  const stats = (await client.command('FUNCTION', 'STATS')) as unknown as Map<string, Map<string, unknown>>;
  t.same(stats.get('running_script')?.get('command'), ['FCALL', 'f', '1', key]);
  t.equal(await say(client, 'FUNCTION', 'KILL'), '+OK\r\n');
  t.match((await runner.next()).toString(), /^-ERR .*killed by user/);
});

t.test(
  'SCRIPT KILL and FUNCTION KILL end what runs before its node says that it is busy, as one Redis does',
  async (t) => {
    // As it is without any settings: a node listens to nobody for the first five seconds of a script.
    const deployment = await deploy(t, { workers: 1 });
    const clients = await Promise.all(Array.from({ length: 4 }, () => connect(t, deployment.port)));
    const [script, caller, ...killers] = clients as [RespClient, RespClient, RespClient, RespClient];
    const nodes = await Promise.all(deployment.servers.slice(0, 2).map(({ port }) => connect(t, port)));
    await say(caller, 'FUNCTION', 'LOAD', LIBRARY);
    script.send(`EVAL "while true do end" 1 ${deployment.key(0)}\r\n`);
    caller.send(`FCALL f 1 ${deployment.key(1)}\r\n`);
    for (const node of nodes) while (await answersSoon(say(node, 'PING')));
    const killed = await Promise.all([
      say(killers[0], 'SCRIPT', 'KILL'),
      say(killers[1] as RespClient, 'FUNCTION', 'KILL'),
    ]);
    t.same(killed, ['+OK\r\n', '+OK\r\n']);
    // The reply comes when requestTimeoutMs ends, too.
    for (const client of [script, caller])
      t.match((await client.next()).toString(), /^-ERR .*killed by user|^-UNKNOWN /);
    // One that is answered before what was killed has ended is refused.
    for (const index of [0, 1]) while ((await say(killers[0], 'SET', deployment.key(index), 'x')) !== '+OK\r\n') {}
  },
);

t.test('a script that begins where another has just ended: once PING has said BUSY it goes on saying so', async (t) => {
  const { deployment, runner, others } = await setUp(t);
  const [client, killer] = others as [RespClient, RespClient];
  const script = `EVAL "while true do end" 1 ${deployment.key(0)}\r\n`;
  for (let round = 0; round < 5; round++) {
    runner.send(script);
    const said: string[] = [];
    while (said.filter((each) => each === BUSY_SCRIPT).length < 20) said.push(await say(client, 'PING'));
    t.same(new Set(said.slice(said.indexOf(BUSY_SCRIPT))), new Set([BUSY_SCRIPT]), `round ${round}`);
    t.equal(await say(killer, 'SCRIPT', 'KILL'), '+OK\r\n');
    t.match((await runner.next()).toString(), /killed by user/);
  }
});

t.test('a script within a transaction', async (t) => {
  const { deployment, runner, others } = await setUp(t);
  const [client] = others as [RespClient];
  await say(runner, 'MULTI');
  await say(runner, 'EVAL', 'while true do end', '1', deployment.key(0));
  runner.send('EXEC\r\n');
  t.equal(await pingUntilNot(client, PONG), BUSY_SCRIPT);
  t.equal(await say(client, 'SCRIPT', 'KILL'), '+OK\r\n');
  t.match((await runner.next()).toString(), /killed by user/);
});

t.test('a client whose own script runs is told when it has ended, and then PONG', async (t) => {
  const { runner, others } = await setUp(t);
  runner.send('EVAL "while true do end" 0\r\nPING\r\n');
  t.equal(await pingUntilNot(others[0] as RespClient, PONG), BUSY_SCRIPT);
  await say(others[0] as RespClient, 'SCRIPT', 'KILL');
  t.match((await runner.next()).toString(), /^-ERR .*killed by user/);
  t.equal((await runner.next()).toString(), PONG);
});

t.test('PING is answered where the node of a script hangs, or has died', async (t) => {
  const { deployment, runner, others } = await setUp(t);
  const [client] = others as [RespClient];
  const server = deployment.servers[1];
  runner.send(`EVAL "while true do end" 1 ${deployment.key(1)}\r\n`);
  t.equal(await pingUntilNot(client, PONG), BUSY_SCRIPT);
  server?.pause();
  t.equal(await pingUntilNot(client, BUSY_SCRIPT), PONG, 'nobody waits for what a hanging node would say');
  await server?.kill9();
  t.match((await runner.next()).toString(), /^-UNKNOWN node b /);
  t.equal(await say(client, 'PING'), PONG);
});

t.test(
  'commands for the node of a script are refused, whichever worker they come to, and served when it has ended',
  async (t) => {
    const { deployment, runner, others } = await setUp(t);
    const [key, elsewhere] = [deployment.key(1), deployment.key(0)];
    runner.send(`EVAL "while true do end" 1 ${key}\r\nGET ${key}\r\n`);
    for (const client of others) {
      t.equal(await pingUntilNot(client, PONG), BUSY_SCRIPT);
      t.equal(await say(client, 'GET', key), BUSY_SCRIPT);
      t.match(await say(client, 'MGET', key, elsewhere), /^-BUSY /);
      t.equal(await say(client, 'MGET', elsewhere), '*1\r\n$-1\r\n');
    }
    const [killer] = others as [RespClient];
    t.equal(await say(killer, 'SCRIPT', 'KILL'), '+OK\r\n');
    t.match((await runner.next()).toString(), /^-ERR .*killed by user/);
    t.equal((await runner.next()).toString(), '$-1\r\n', 'its own command kept its place');
    for (const client of [runner, ...others]) t.equal(await say(client, 'SET', key, 'x'), '+OK\r\n');
  },
);

t.test('a transaction is refused by a busy node as one Redis does: when it is queued, or at EXEC', async (t) => {
  const { deployment, runner, others } = await setUp(t);
  const key = deployment.key(1);
  const [early, late] = others as [RespClient, RespClient];
  await say(early, 'MULTI');
  t.equal(await say(early, 'INCR', key), '+QUEUED\r\n');
  runner.send(`EVAL "while true do end" 1 ${key}\r\n`);
  for (const client of others) t.match(await pingUntilNot(client, client === early ? '+QUEUED\r\n' : PONG), /^-BUSY/);
  await say(late, 'MULTI');
  t.equal(await say(late, 'INCR', key), BUSY_SCRIPT);
  t.match(await say(early, 'EXEC'), /^-EXECABORT /);
  t.equal(await say(others[2] as RespClient, 'SCRIPT', 'KILL'), '+OK\r\n');
  await runner.next();
  t.match(await say(late, 'EXEC'), /^-EXECABORT /);
  t.equal(await say(late, 'GET', key), '$-1\r\n');
});
