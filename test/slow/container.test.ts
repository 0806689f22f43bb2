/** The Dockerfile's steps in a clean folder: what would be in the image runs as it would there. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { removeFolder, scratchFolder, startChild } from '../help/child.js';
import { buildIn, execForm, stagesOf } from '../help/dockerfile.js';
import { freePort } from '../help/free-port.js';
import { startRedisServers } from '../help/redis-server.js';
import { RespClient } from '../help/resp-client.js';
import { waitFor, within } from '../help/wait-for.js';

const USER = 1000;
/** Bytes that the image may add to its base. */
const SIZE_MAX = 16 * 1024 * 1024;

/** The compiler, the test runner, the set-up of a checkout, source maps, binaries for another C library. */
const UNWANTED = /^app\/(scripts|src|test)|node_modules\/(typescript|tap)$|\.map$|musl/;

/** Where it is permitted, what makes this machine's file system read-only and the command another user's, as in a container. */
const CONFINED = [
  ...['unshare', '--mount', 'sh', '-c', 'mount -o remount,bind,ro / && exec "$0" "$@"'],
  ...['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups', '--no-new-privs', '--bounding-set=-all', '--'],
];

/** Null where it is not permitted: then only permissions keep the tree as it is. */
function confinement(): string[] | null {
  const probe = 'test "$(id -u)" = 1000 && ! touch /tmp/ringleader-probe 2> /dev/null';
  const { status } = spawnSync(CONFINED[0] as string, [...CONFINED.slice(1), 'sh', '-c', probe]);
  return status === 0 ? CONFINED : null;
}

t.test('what the Dockerfile builds runs without root and without a place to write, and ends in order', async (t) => {
  const root = scratchFolder('image');
  t.teardown(() => removeFolder(root));
  chmodSync(root, 0o755);
  const stages = stagesOf(readFileSync('Dockerfile', 'utf8'));
  const image = buildIn(join(root, 'stages'), process.cwd(), stages);
  const files = readdirSync(image, { recursive: true, encoding: 'utf8' });
  const size = files.reduce(
    (sum, path) => sum + (statSync(join(image, path)).isFile() ? statSync(join(image, path)).size : 0),
    0,
  );
  t.comment(`adds ${(size / 1024 / 1024).toFixed(1)} MiB to its base, ${files.length} files`);
  t.ok(size < SIZE_MAX, `${size} bytes`);
  t.same(
    files.filter((path) => UNWANTED.test(path)),
    [],
    'only what it needs to run',
  );

  const servers = await startRedisServers(3);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  const [port, adminPort] = [await freePort(), await freePort()];
  const nodes = servers.map(({ url }, index) => ({ name: `n${index}`, url }));
  mkdirSync(join(root, 'conf'));
  const configPath = join(root, 'conf', 'ringleader.yml');
  const config = { listen: `127.0.0.1:${port}`, admin: `127.0.0.1:${adminPort}`, pools: { main: { nodes } } };
  writeFileSync(configPath, JSON.stringify(config));
  spawnSync('chmod', ['-R', 'a-w', image]);
  t.teardown(() => spawnSync('chmod', ['-R', 'u+w', image]));

  /** A command of the image with the paths of this machine in it. */
  const last = stages.at(-1) as (typeof stages)[number];
  const here = (words: string[] | null) => {
    return (words ?? []).map((word) => {
      if (word === 'node') return process.execPath;
      return word.startsWith('/app/') ? join(image, word) : word.replace('/etc/ringleader/ringleader.yml', configPath);
    });
  };
  const confined = confinement();
  t.comment(confined === null ? 'not confined: it is not permitted here' : 'a read-only file system, another user');
  const run = (words: string[]) => {
    const [program = '', ...args] = [...(confined ?? []), ...words];
    return startChild(program, args, {
      cwd: join(image, 'app'),
      env: { NODE_ENV: 'production', HOME: '/nonexistent' },
    });
  };
  const proxy = await run([...here(execForm(last, 'ENTRYPOINT')), ...here(execForm(last, 'CMD'))]);
  const client = await waitFor('the proxy', () => RespClient.connect(port)).catch((error) => {
    throw new Error(`${error}\n${proxy.output()}`);
  });
  t.equal(await client.command('MSET', 'a', '1', 'b', '2', 'c', '3'), 'OK');
  t.same(await client.command('MGET', 'a', 'b', 'c'), ['1', '2', '3']);
  t.match(proxy.output(), /"transport":"(io_uring|epoll)"/, 'koffi is there and works');
  const health = await run(here(execForm(last, 'HEALTHCHECK')));
  t.equal((await health.ended).code, 0, health.output());
  client.close();
  proxy.signal('SIGTERM');
  t.equal((await within('the end', proxy.ended)).code, 0, proxy.output());
  const trial = await run([...here(execForm(last, 'ENTRYPOINT')), 'start']);
  t.equal((await trial.ended).code, 1);
  t.match(trial.output(), /has no Redis to try: give start --config FILE/);
  const gone = await run(here(execForm(last, 'HEALTHCHECK')));
  t.equal((await gone.ended).code, 1);
});
