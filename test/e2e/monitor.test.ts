/** MONITOR through the proxy: the clients of all workers, next to one Redis that hears the same. */
import t, { type Test } from 'tap';
import { type Deployment, deploy } from '../help/deployment.js';
import { RedisServer } from '../help/redis-server.js';
import { connect, type RespClient, say } from '../help/resp-client.js';

/** A client that is told OK, and then what happens. */
async function monitor(t: Test, port: number): Promise<RespClient> {
  const client = await connect(t, port);
  t.equal(await say(client, 'MONITOR'), '+OK\r\n');
  return client;
}

/** The next line, without the time and the client's port. */
async function line(client: RespClient): Promise<string> {
  const text = (await client.next()).toString('latin1');
  const match = /^\+(\d{10}\.\d{6}) (\[\d+ (?:127\.0\.0\.1:\d+|lua|unix:.*?)\]) (.*)\r\n$/s.exec(text);
  if (match === null) throw new Error(`no line of MONITOR: ${JSON.stringify(text)}`);
  return `${(match[2] as string).replace(/:\d+\]/, ']')} ${match[3]}`;
}

/** Of what a monitor was shown, what clients asked for. */
function commands(lines: readonly string[]): string[] {
  return lines.filter((text) => !/^\[\d+ lua\]/.test(text));
}

/** Of the same, what scripts did: nodes tell each worker so by a connection of its own, which the client's next command may overtake. */
function scripted(lines: readonly string[]): string[] {
  return lines.filter((text) => /^\[\d+ lua\]/.test(text));
}

/** Several clients, so that each worker has some. */
async function clients(t: Test, { port }: { port: number }, count = 4): Promise<RespClient[]> {
  return Promise.all(Array.from({ length: count }, () => connect(t, port)));
}

t.test('MONITOR shows what one Redis shows, whatever worker a client is on', async (t) => {
  const deployment = await deploy(t);
  const single = await RedisServer.start();
  t.teardown(() => single.stop());
  const [first, second] = (await clients(t, deployment)) as [RespClient, RespClient];
  const theirs = await connect(t, single.port);
  const watching = [
    await monitor(t, deployment.port),
    await monitor(t, deployment.port),
    await monitor(t, single.port),
  ];
  const key = deployment.key(1);
  for (const words of [
    ['SET', key, 'a "quoted"\\ \n\r\t\x07\b\0\xff value'],
    ['get', key],
    ['PING'],
    ['ECHO', 'x'],
    ['CONFIG', 'GET', 'maxmemory'],
    ['NOSUCH', 'x'],
    ['GET'],
    ['CLIENT', 'ID'],
    ['SELECT', '3'],
    ['AUTH', 'secret'],
    ['AUTH', 'user', 'secret'],
    ['HELLO', '2', 'AUTH', 'user', 'secret', 'SETNAME', 'me'],
    ['HELLO', '2', 'SETNAME', 'auth', 'AUTH', 'default', 'secret'],
    ['HELLO', '2', 'setname', 'auth', 'setname', 'me'],
    ['HELLO', '2', 'NOPE', 'AUTH', 'default', 'secret'],
    ['EVAL', "return redis.call('set', KEYS[1], ARGV[1])", '1', key, 'x'],
    ['EVAL', 'return redis.call("get", KEYS[1])', '1', key],
    ['MULTI'],
    ['SET', key, 'y'],
    ['INCR', key],
    ['EXEC'],
    ['MULTI'],
    ['NOSUCH'],
    ['EXEC'],
    ['MULTI'],
    ['SET', key, 'z'],
    ['DISCARD'],
    ['EXEC'],
    ['RESET'],
    ['TIME'],
    ['QUIT'],
  ]) {
    await first.raw(...words);
    await theirs.raw(...words);
  }
  // Each ends with this.
  await say(second, 'ECHO', 'end');
  await say(await connect(t, single.port), 'ECHO', 'end');
  const shown = await Promise.all(
    watching.map(async (client) => {
      const lines: string[] = [];
      do lines.push(await line(client));
      while (!lines.at(-1)?.includes('"end"'));
      return lines;
    }),
  );
  const [ours, others, wanted] = shown as [string[], string[], string[]];
  for (const seen of [ours, others]) {
    t.same(commands(seen), commands(wanted), 'every monitor is shown the same');
    t.same(scripted(seen), scripted(wanted));
    for (const done of scripted(wanted)) {
      const call = wanted[wanted.indexOf(done) - 1] as string;
      t.ok(seen.indexOf(done) > seen.indexOf(call), `behind ${call}`);
    }
  }
});

t.test('MONITOR shows clients of all workers in the order of what they did', async (t) => {
  const deployment = await deploy(t);
  const all = await clients(t, deployment, 6);
  const watching = await monitor(t, deployment.port);
  const wanted: string[] = [];
  for (let round = 0; round < 20; round++) {
    for (const [n, client] of all.entries()) {
      await say(client, 'INCR', `n:${round}`);
      wanted.push(`[0 127.0.0.1] "INCR" "n:${round}"`);
      if (n === 0) {
        await say(client, 'EVAL', "return redis.call('incr', KEYS[1])", '1', `n:${round}`);
        wanted.push(`[0 127.0.0.1] "EVAL" "return redis.call('incr', KEYS[1])" "1" "n:${round}"`);
      }
    }
  }
  const shown: string[] = [];
  const scripts: string[] = [];
  while (shown.length < wanted.length || scripts.length < 20) {
    const next = await line(watching);
    if (next.startsWith('[0 lua]')) {
      t.match(next, `"incr" "n:${scripts.length}"`);
      t.ok(
        shown.some((each) => each.includes('EVAL') && each.endsWith(`"n:${scripts.length}"`)),
        'it stands behind its command',
      );
      scripts.push(next);
    } else shown.push(next);
  }
  t.same(shown, wanted);
});

t.test('who monitors cannot use keys, and goes on after RESET; a second MONITOR says nothing', async (t) => {
  const deployment = await deploy(t);
  const client = await monitor(t, deployment.port);
  client.send('*1\r\n$7\r\nMONITOR\r\n');
  t.equal(await say(client, 'GET', 'x'), "-ERR Replica can't interact with the keyspace\r\n");
  t.equal(await say(client, 'EVAL', 'return 1', '0'), "-ERR Replica can't interact with the keyspace\r\n");
  t.equal(await say(client, 'RESET'), '+RESET\r\n');
  const [other] = (await clients(t, deployment, 1)) as [RespClient];
  await say(other, 'SET', 'x', 'y');
  t.match((await client.raw('GET', 'x')).toString(), /\$1\r\ny\r\n$/);
  t.match(await say(client, 'MULTI'), '+OK');
  t.match(await say(client, 'MONITOR'), /^-ERR MONITOR inside MULTI is not supported/);
});

t.test('what the proxy runs on the nodes for its own ends is not shown', async (t) => {
  const deployment = await deploy(t);
  const [client] = (await clients(t, deployment, 1)) as [RespClient];
  const keys = [0, 1, 2].map((node) => deployment.key(node, 'set'));
  for (const key of keys) await say(client, 'SADD', key, 'a', 'b');
  const watching = await monitor(t, deployment.port);
  t.equal(await say(client, 'SUNIONSTORE', ...keys), ':2\r\n');
  const script = "return redis.call('scard', KEYS[1])";
  for (const key of keys) await say(client, 'EVAL', script, '1', key);
  const shown: string[] = [];
  while (shown.filter((each) => each.includes('lua')).length < keys.length) shown.push(await line(watching));
  const names = keys.map((key) => `"${key}"`);
  t.same(shown.filter((each) => each.includes('lua')).sort(), names.map((key) => `[0 lua] "scard" ${key}`).sort());
  t.equal(shown[0], `[0 127.0.0.1] "SUNIONSTORE" ${names.join(' ')}`);
});

t.test('what a user may not do is not shown', async (t) => {
  const deployment = await deploy(t);
  const [client] = (await clients(t, deployment, 1)) as [RespClient];
  await say(client, 'ACL', 'SETUSER', 'bob', 'on', 'nopass', '~own:*', '+@all');
  const watching = await monitor(t, deployment.port);
  t.equal(await say(client, 'AUTH', 'bob', 'x'), '+OK\r\n');
  t.match(await say(client, 'GET', 'others'), /^-NOPERM/);
  await say(client, 'GET', 'own:key');
  t.equal(await line(watching), '[0 127.0.0.1] "AUTH" "(redacted)" "(redacted)"');
  t.equal(await line(watching), '[0 127.0.0.1] "GET" "own:key"');
});

t.test('CLIENT LIST shows who monitors, and QUIT ends it', async (t) => {
  const deployment = await deploy(t);
  const [client] = (await clients(t, deployment, 1)) as [RespClient];
  const watching = await monitor(t, deployment.port);
  t.match(await client.command('CLIENT', 'LIST'), /flags=O /);
  watching.send('QUIT\r\n');
  await watching.closed;
  t.notMatch(await client.command('CLIENT', 'LIST'), /flags=O /);
});

t.test('a monitor that does not read is closed, and others go on', async (t) => {
  const deployment = await deploy(t, { limits: { sessionOutputHardBytes: '1mb', sessionOutputSoftBytes: '256kb' } });
  const slow = await monitor(t, deployment.port);
  slow.stopReading();
  const [client] = (await clients(t, deployment, 1)) as [RespClient];
  const closes = async () => {
    const info = String(await client.command('INFO', 'ringleader'));
    return Number(/ringleader_session_output_closes:(\d+)/.exec(info)?.[1]);
  };
  const value = 'x'.repeat(100_000);
  while ((await closes()) === 0) await client.raw('SET', 'k', value);
  t.equal(await closes(), 1);
  const other = await monitor(t, deployment.port);
  await say(client, 'ECHO', 'still here');
  t.match(await line(other), /"still here"/);
});

t.test('MONITOR with a node down shows the others, and its scripts again when it is back', async (t) => {
  const deployment: Deployment = await deploy(t);
  const [client] = (await clients(t, deployment, 1)) as [RespClient];
  await deployment.servers[1]?.kill9();
  const down = await deployment.proxy.waitForLog('node-down', (line) => line['node'] === 'b');
  const watching = await monitor(t, deployment.port);
  const script = "return redis.call('incr', KEYS[1])";
  await client.raw('EVAL', script, '1', deployment.key(0));
  t.match(await line(watching), /"EVAL"/);
  t.match(await line(watching), /^\[0 lua\] "incr"/);
  await deployment.servers[1]?.restart();
  await deployment.proxy.waitForLog('node-up', (line) => line['node'] === 'b' && line.time > down.time);
  for (;;) {
    await client.raw('EVAL', script, '1', deployment.key(1));
    if ((await line(watching)).startsWith('[0 lua]')) break;
  }
  t.pass('heard of again');
});

t.test('MONITOR hears the scripts of a node where it is after a reload', async (t) => {
  const deployment = await deploy(t);
  const other = await RedisServer.start();
  t.teardown(() => other.stop());
  const [client] = (await clients(t, deployment, 1)) as [RespClient];
  const watching = await monitor(t, deployment.port);
  deployment.proxy.reload((text) => text.replace(`:${deployment.servers[1]?.port}`, `:${other.port}`));
  await deployment.proxy.waitForLog('reloaded');
  const direct = await connect(t, other.port);
  const key = deployment.key(1);
  const script = "return redis.call('incr', KEYS[1])";
  for (;;) {
    await client.raw('EVAL', script, '1', key);
    t.match(await line(watching), /"EVAL"/);
    if ((await direct.command('EXISTS', key)) === 1) break;
  }
  // What the old server has shown of those before is passed over.
  for (;;) {
    await client.raw('ECHO', 'mark');
    await client.raw('EVAL', script, '1', key);
    await client.raw('ECHO', 'end');
    const shown: string[] = [];
    do shown.push(await line(watching));
    while (!shown.at(-1)?.includes('"end"'));
    if (shown.slice(shown.findIndex((each) => each.includes('"mark"'))).some((each) => each.startsWith('[0 lua]')))
      break;
  }
  t.pass('heard of there');
});
