import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseOptions } from '../../native-bench/compare/options.js';
import { findPeers } from '../../native-bench/compare/peers.js';

const path = process.env['PATH'];
t.afterEach(() => {
  process.env['PATH'] = path;
});

t.test('a peer is found in a folder of --peer-path before PATH, with its version', async (t) => {
  const folder = t.testdir({
    given: { predixy: '#!/bin/sh\necho predixy predixy-9.1' },
    path: { predixy: '#!/bin/sh\necho predixy predixy-9.2' },
  });
  const [given, onPath] = [join(folder, 'given', 'predixy'), join(folder, 'path', 'predixy')];
  for (const program of [given, onPath]) chmodSync(program, 0o755);
  process.env['PATH'] = `${join(folder, 'path')}:${path}`;
  const first = await found('--only', 'direct,predixy', '--peer-path', join(folder, 'given'));
  t.strictSame(first, [['predixy', { program: given, env: {}, version: '9.1' }]]);
  t.strictSame(await found('--only', 'predixy'), [['predixy', { program: onPath, env: {}, version: '9.2' }]]);
});

t.test('a peer that was asked for and is not there is named', async (t) => {
  process.env['PATH'] = t.testdir({});
  await t.rejects(found('--only', 'direct,predixy,codis-proxy'), {
    message: 'not found: predixy, codis-proxy (looked for in PATH and --peer-path)',
  });
});

t.test('a peer is not looked for when the command line says where it is', async (t) => {
  process.env['PATH'] = t.testdir({});
  t.strictSame(await found('--only', 'predixy', '--peer', 'predixy=127.0.0.1:1'), []);
  t.strictSame(await found('--only', 'predixy', '--peer-command', 'predixy=run {port}'), []);
});

t.test('a program that does not tell its version is refused', async (t) => {
  const folder = t.testdir({ dynomite: '#!/bin/sh\necho no' });
  chmodSync(join(folder, 'dynomite'), 0o755);
  await t.rejects(found('--only', 'dynomite', '--peer-path', folder), {
    message: /dynomite -V does not tell its version$/,
  });
});

t.test('the version of each is read from what it prints', async (t) => {
  const said: Record<string, readonly [said: string, version: string]> = {
    nutcracker: ['This is nutcracker-0.5.0', '0.5.0'],
    predixy: ['predixy predixy-1.0.5', '1.0.5'],
    'codis-proxy': ['version: 3.2.2', '3.2.2'],
    dynomite: ['This is dynomite-v0.6.21', 'v0.6.21'],
    envoy: ['envoy  version: 816188b86a0a52095b116b107f576324082c7c02/1.30.1/Clean/RELEASE/BoringSSL', '1.30.1'],
  };
  const folder = t.testdir(
    Object.fromEntries(Object.entries(said).map(([name, [text]]) => [name, `#!/bin/sh\necho '${text}'`])),
  );
  for (const name of Object.keys(said)) chmodSync(join(folder, name), 0o755);
  const peers = await found('--peer-path', folder);
  t.strictSame(
    peers.map(([name, { version }]) => [name, version]),
    Object.entries(said).map(([name, [, version]]) => [name, version]),
  );
});

async function found(...args: string[]) {
  return [...(await findPeers(parseOptions(args, 'main.js')))];
}
