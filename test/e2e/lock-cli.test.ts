/** `ringleader lock`, against a proxy that runs. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Child, startChild } from '../help/child.js';
import { freePort } from '../help/free-port.js';
import { acquire, fieldsOf } from '../help/lock-client.js';
import { deployLocks } from '../help/lock-deployment.js';
import { ProxyProcess } from '../help/proxy.js';
import { startRedisServers } from '../help/redis-server.js';
import { connect, type RespClient } from '../help/resp-client.js';
import { MAIN } from '../help/trial.js';
import { waitFor, within } from '../help/wait-for.js';

const SOON_MS = 15_000;
const [UNAVAILABLE, LOST, NOT_ACQUIRED] = [69, 74, 75];
/** Says so when it runs, and goes on until a signal ends it. */
const STAYS = ['sh', '-c', 'echo runs; while :; do sleep 0.05; done'];
const STUBBORN = ['sh', '-c', 'trap "echo no" TERM; echo runs; while :; do sleep 0.05; done'];
/** Loaded before the program: it has no processor for a while just after it has started a command. */
const STANDS_STILL_AFTER_SPAWN = `
  const processes = require('node:child_process');
  const { spawn } = processes;
  processes.spawn = (...args) => {
    const child = spawn(...args);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
    return child;
  };
  require('node:module').syncBuiltinESMExports();
`;

function start(...args: string[]): Promise<Child> {
  return startChild(process.execPath, [MAIN, 'lock', ...args]);
}

async function lock(...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = await start(...args);
  return { code: (await child.ended).code, output: child.output() };
}

async function runs(child: Child): Promise<void> {
  await waitFor('the command to run', () => /^runs$/m.test(child.output()));
}

async function stateOf(client: RespClient, name: string): Promise<string> {
  return `${fieldsOf(await client.command('LOCK.INFO', name)).get('state')}`;
}

t.test('ringleader lock', async (t) => {
  const { proxies } = await deployLocks(t, { nodes: 3, ttlMaxMs: 60_000 });
  const config = proxies[0].configPath;
  const client = await connect(t, proxies[1].port);
  const run = (name: string, ...rest: string[]) => start('run', name, '--config', config, ...rest);

  t.test('run: a command has the lock while it runs, and its exit code is its own', async (t) => {
    const folder = t.testdir({});
    const tell = 'echo "$RINGLEADER_LOCK $RINGLEADER_TOKEN $RINGLEADER_FENCE"; echo runs';
    const script = `${tell}; while [ ! -e "$0" ]; do sleep 0.05; done; exit 7`;
    const child = await run('lock:a', '--', 'sh', '-c', script, join(folder, 'go'));
    await runs(child);
    const [, name, token, fence] = /^(\S+) ([0-9a-f]{32}) (\d+)$/m.exec(child.output()) as unknown as string[];
    t.equal(name, 'lock:a');
    const info = fieldsOf(await client.command('LOCK.INFO', 'lock:a'));
    t.equal(`${info.get('fence')}`, fence);
    const [holder] = info.get('holders') as unknown[];
    t.match(`${fieldsOf(holder).get('client')}`, /^ringleader:.+:\d+$/);
    t.ok(fieldsOf(await client.command('LOCK.EXTEND', 'lock:a', token as string, 'TTL', '30000')).get('validity'));
    writeFileSync(join(folder, 'go'), '');
    t.same(await within('its end', child.ended, SOON_MS), { code: 7, signal: null });
    t.equal(await stateOf(client, 'lock:a'), 'free', 'it is free when the command has ended');
  });

  t.test('run: a signal is passed on, and one that ends the command is its exit code', async (t) => {
    const child = await run('lock:b', '--', 'sh', '-c', 'trap "exit 9" USR1; echo runs; while :; do sleep 0.05; done');
    await runs(child);
    child.signal('SIGUSR1');
    t.same(await within('its end', child.ended, SOON_MS), { code: 9, signal: null });
    const terminated = await run('lock:b', '--', ...STAYS);
    await runs(terminated);
    terminated.signal('SIGINT');
    t.same(await within('its end', terminated.ended, SOON_MS), { code: 130, signal: null });
    t.equal(await stateOf(client, 'lock:b'), 'free');
  });

  t.test('run: a signal that comes as soon as the command runs is passed on', async (t) => {
    const preload = join(t.testdir({ 'preload.cjs': STANDS_STILL_AFTER_SPAWN }), 'preload.cjs');
    const signalsItsParent = 'trap "exit 9" USR1; kill -USR1 $PPID; while :; do sleep 0.05; done';
    const args = [MAIN, 'lock', 'run', 'lock:b', '--config', config, '--', 'sh', '-c', signalsItsParent];
    const child = await startChild(process.execPath, ['--require', preload, ...args]);
    t.same(await within('its end', child.ended, SOON_MS), { code: 9, signal: null });
  });

  t.test('run: a lock that somebody else has is waited for as long as was said', async (t) => {
    const held = await acquire(client, 'lock:c', 'TTL', '60000');
    for (const wait of [[], ['--wait', '300ms']]) {
      const { code, output } = await lock('run', 'lock:c', '--config', config, ...wait, '--', 'echo', 'runs');
      t.equal(code, NOT_ACQUIRED);
      t.equal(output, 'ringleader lock run: somebody else has lock:c\n');
    }
    const waiting = await run('lock:c', '--wait', '60s', '--', 'echo', 'runs');
    const asked = await connect(t, proxies[0].port);
    await waitFor('it to wait', async () => /blocked_clients:1\r/.test(`${await asked.command('INFO', 'clients')}`));
    await client.raw('LOCK.RELEASE', 'lock:c', held?.token as string);
    t.same(await within('the command', waiting.ended, SOON_MS), { code: 0, signal: null });
    t.equal(waiting.output(), 'runs\n');
  });

  t.test('run: commands have a lock together where they say so', async (t) => {
    for (const [name, ...mode] of [
      ['lock:readers', '--shared'],
      ['lock:slots', '--limit', '2'],
    ] as const) {
      const children = [await run(name, ...mode, '--', ...STAYS), await run(name, ...mode, '--', ...STAYS)];
      for (const child of children) await runs(child);
      const { code } = await lock('run', name, '--config', config, '--', 'echo', 'runs');
      t.equal(code, NOT_ACQUIRED, 'not with one that wants it alone');
      const third = await lock('run', name, '--config', config, ...mode, '--', 'echo', 'runs');
      t.equal(third.code, name === 'lock:readers' ? 0 : NOT_ACQUIRED);
      for (const child of children) child.signal('SIGTERM');
      for (const child of children) t.equal((await within('its end', child.ended, SOON_MS)).code, 143);
    }
    const { code, output } = await lock('run', 'lock:slots', '--config', config, '--limit', '1001', '--', 'ls');
    t.equal(code, UNAVAILABLE);
    t.match(output, /LIMIT must be a number from 1 to 1000/);
  });

  t.test('run: what was killed has no lock any more', async (t) => {
    const child = await run('lock:d', '--ttl', '60s', '--', 'sh', '-c', 'echo runs; sleep 1');
    await runs(child);
    child.signal('SIGKILL');
    t.ok(await within('the lock', acquire(client, 'lock:d', 'TTL', '1000', 'WAIT', '40000'), SOON_MS));
  });

  t.test('run: a lock that is lost ends the command, whether it likes that or not', async (t) => {
    const child = await run('lock:e', '--ttl', '1s', '--', ...STAYS);
    await runs(child);
    const broken = await lock('release', 'lock:e', '--force', '--config', config);
    t.same(broken, { code: 0, output: 'lock:e is freed; holders: 1\n' });
    t.same(await within('its end', child.ended, SOON_MS), { code: LOST, signal: null });
    t.match(child.output(), /ringleader lock run: lock:e is lost: .*; the command is ended\n/);
    const stubborn = await run('lock:e', '--ttl', '1s', '--grace', '300ms', '--', ...STUBBORN);
    await runs(stubborn);
    await lock('release', 'lock:e', '--force', '--config', config);
    t.same(await within('its end', stubborn.ended, SOON_MS), { code: LOST, signal: null });
    t.match(stubborn.output(), /^no$/m, 'it was asked before');
  });

  t.test('run: what cannot be run is said, and frees the lock', async (t) => {
    const none = await lock('run', 'lock:f', '--config', config, '--', '/no/such/command');
    t.equal(none.code, 127);
    t.match(none.output, /\/no\/such\/command cannot be run/);
    t.equal((await lock('run', 'lock:f', '--config', config, '--', '/')).code, 126);
    t.equal(await stateOf(client, 'lock:f'), 'free');
    const refused = await lock('run', 'plain', '--config', config, '--', 'echo', 'runs');
    t.same(refused, {
      code: UNAVAILABLE,
      output: 'ringleader lock run: ERR no keyspace of mode lock has this name: see docs/LOCKS.md\n',
    });
    const nobody = await lock('run', 'lock:f', '--proxy', `127.0.0.1:${await freePort()}`, '--', 'echo', 'runs');
    t.equal(nobody.code, UNAVAILABLE);
    t.match(nobody.output, /^ringleader lock run: no answer from 127\.0\.0\.1:\d+: /);
  });

  t.test('list, info and release', async (t) => {
    const proxy = `127.0.0.1:${proxies[1].port}`;
    t.same(await lock('list', '--proxy', proxy, 'lock:g*'), { code: 0, output: 'no lock is held\n' });
    t.same(await lock('info', 'lock:g', '--proxy', proxy), { code: 0, output: 'lock:g is free; it was never taken\n' });
    await client.raw('CLIENT', 'SETNAME', 'worker-7');
    const held = await acquire(client, 'lock:g', 'TTL', '60000', 'TOKEN', 'mine');
    await client.command('SET', 'lock:g2', 'x', 'NX', 'PX', '60000');
    const list = await lock('list', 'lock:g*', '--proxy', `redis://${proxy}`);
    t.equal(list.code, 0);
    t.match(
      list.output,
      /^lock +mode +holder +fence +for\nlock:g +exclusive +worker-7 +\d+ +5\d+ms\nlock:g2 +exclusive +\? +- +5\d+ms\n$/,
    );
    const info = await lock('info', 'lock:g', '--proxy', proxy);
    t.match(
      info.output,
      new RegExp(`^lock:g is held \\(exclusive\\):\n  worker-7, with fence ${held?.fence}, for \\d+ms more\n$`),
    );
    const json = JSON.parse((await lock('info', 'lock:g', '--json', '--proxy', proxy)).output);
    t.match(json, { name: 'lock:g', state: 'held', mode: 'exclusive', limit: null, fence: held?.fence as number });
    t.match(json.holders, [{ client: 'worker-7', fence: held?.fence as number, ttl: Number }]);
    t.match(
      JSON.parse((await lock('list', '--json', '--proxy', proxy)).output),
      [json.name, 'lock:g2'].map((name) => ({ name })),
    );
    const wrong = await lock('release', 'lock:g', '--token', 'wrong', '--proxy', proxy);
    t.equal(wrong.code, 1);
    t.match(wrong.output, /^ringleader: NOTHELD the lock is not held by this token, but by worker-7/);
    t.same(await lock('release', 'lock:g', '--token', 'mine', '--proxy', proxy), {
      code: 0,
      output: 'lock:g is released\n',
    });
    t.same(await lock('release', 'lock:g', '--force', '--proxy', proxy), { code: 0, output: 'lock:g was free\n' });
    t.equal(
      (await lock('info', 'lock:g', '--proxy', proxy)).output,
      `lock:g is free; its last fence is ${held?.fence}\n`,
    );
  });

  t.test('a call that cannot be meant is told why', async (t) => {
    for (const [args, says] of [
      [[], /lock needs one of list, info, release, run, and not ""/],
      [['show'], /and not "show"/],
      [['run'], /lock run needs the NAME of a lock/],
      [['run', 'lock:x'], /lock run needs a command: lock run NAME -- COMMAND/],
      [['run', 'lock:x', '--json', '--', 'ls'], /lock run has no option --json/],
      [['run', 'lock:x', '--ttl', 'x', '--', 'ls'], /--ttl: expected a time such as 500ms or 30s/],
      [['run', 'lock:x', '--grace', '25h', '--', 'ls'], /--grace: expected a time/],
      [['run', 'lock:x', '--limit', '0', '--', 'ls'], /--limit: expected a number, 1 or more, found "0"/],
      [['run', 'lock:x', '--limit', '2', '--shared', '--', 'ls'], /lock run takes --shared or --limit, not both/],
      [['list', '--shared'], /lock list has no option --shared/],
      [['info', 'lock:x', 'more'], /"more" is one word too many after lock info/],
      [['release', 'lock:x'], /needs --token TOKEN, or --force/],
      [['release', 'lock:x', '--force', '--token', 'x'], /and not both/],
      [['list', '--proxy', 'x y'], /--proxy: expected host:port/],
      [['list', '--proxy', 'x', '--config', 'y'], /--config or --proxy, not both/],
    ] as const) {
      const { code, output } = await lock(...args);
      t.equal(code, 2, args.join(' '));
      t.match(output, says, args.join(' '));
    }
  });

  t.test('run: a proxy that is gone, or stands still, has lost the lock', async (t) => {
    const child = await run('lock:h', '--ttl', '1500ms', '--', ...STAYS);
    const stubborn = await run('lock:i', '--ttl', '60s', '--grace', '300ms', '--', ...STUBBORN);
    await Promise.all([runs(child), runs(stubborn)]);
    proxies[0].signal('SIGSTOP');
    t.same(await within('its end', child.ended, SOON_MS), { code: LOST, signal: null });
    t.match(child.output(), /lock:h is lost: it could not be extended in time/);
    t.ok(await within('the lock', acquire(client, 'lock:h', 'TTL', '1000', 'WAIT', '40000'), SOON_MS));
    await proxies[0].kill9();
    t.same(await within('its end', stubborn.ended, SOON_MS), { code: LOST, signal: null });
    t.match(stubborn.output(), /lock:i is lost: the connection is lost: the other side closed the connection/);
  });
});

t.test('a password is that of the file, of the URL, or of the environment', async (t) => {
  const [server] = await startRedisServers(1);
  t.teardown(() => server?.stop());
  const proxy = await ProxyProcess.start({ nodes: [server?.url as string], auth: { password: 's3cret' } });
  t.teardown(() => proxy.kill9());
  const welcome = /no keyspace of mode lock/;
  t.match((await lock('list', '--config', proxy.configPath)).output, welcome);
  t.match((await lock('list', '--proxy', `redis://:s3cret@127.0.0.1:${proxy.port}`)).output, welcome);
  const env = { RINGLEADER_PASSWORD: 's3cret' };
  const child = await startChild(process.execPath, [MAIN, 'lock', 'list', '--proxy', `127.0.0.1:${proxy.port}`], {
    env,
  });
  await child.ended;
  t.match(child.output(), welcome);
  for (const args of [
    ['--proxy', `127.0.0.1:${proxy.port}`],
    ['--proxy', `redis://:wr0ng@127.0.0.1:${proxy.port}`],
  ]) {
    const { code, output } = await lock('list', ...args);
    t.equal(code, 1);
    t.match(output, /^ringleader: no answer from 127\.0\.0\.1:\d+: HELLO 3 was answered: (NOAUTH|WRONGPASS)/);
    t.notMatch(output, 'wr0ng');
  }
});
