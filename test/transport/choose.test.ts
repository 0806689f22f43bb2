import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { chooseTransport } from '../../src/transport/choose.js';

const CHOOSE = fileURLToPath(new URL('../../src/transport/choose.js', import.meta.url));

t.test('auto takes epoll where it works, and says so', async (t) => {
  t.same(chooseTransport('auto', 3), { kind: 'epoll', reason: 'the fastest that this system allows', workers: 3 });
  t.same(chooseTransport('epoll', 2), { kind: 'epoll', reason: 'asked for by the configuration', workers: 2 });
});

t.test('node runs with several workers only where they can share a port', async (t) => {
  const major = Number(process.versions.node.split('.')[0]);
  t.equal(chooseTransport('node', 4).workers, major >= 24 ? 4 : 1);
  t.equal(chooseTransport('node', 1).workers, 1);
  t.match(chooseTransport('node', 1).reason, /asked for/);
  const socket = chooseTransport('node', 4, [{ kind: 'unix', path: '/a' }]);
  t.equal(socket.workers, 1, 'no Node can share a unix socket');
  t.match(socket.reason, /one worker/);
});

/** What a process says that has another platform, for one value of `transport`. */
function elsewhere(wanted: string, preparation: string): string {
  const script = `${preparation}
    const { chooseTransport } = await import(${JSON.stringify(CHOOSE)});
    try { console.log(JSON.stringify(chooseTransport(${JSON.stringify(wanted)}, 1))); } catch (error) { console.log(error.message); }`;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  return child.stdout.trim();
}

t.test('where epoll is not possible, auto falls back with the reason and epoll is an error', async (t) => {
  const onMac = "Object.defineProperty(process, 'platform', { value: 'darwin' });";
  t.same(JSON.parse(elsewhere('auto', onMac)), {
    kind: 'node',
    reason: 'epoll is not possible here: epoll is Linux only, this is darwin',
    workers: 1,
  });
  t.equal(elsewhere('epoll', onMac), 'transport epoll is not possible here: epoll is Linux only, this is darwin');
  const onSparc = "Object.defineProperty(process, 'arch', { value: 'sparc' });";
  t.match(elsewhere('auto', onSparc), /known for x64 and arm64, not for sparc/);
  const withoutKoffi = `import Module from 'node:module';
    const load = Module._load;
    Module._load = (name, ...rest) => {
      if (name === 'koffi') throw new Error('no prebuilt binary');
      return load(name, ...rest);
    };`;
  t.match(elsewhere('auto', withoutKoffi), /koffi does not load: no prebuilt binary/);
});
