import { spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { chooseTransport } from '../../src/transport/choose.js';
import { forbidding, IO_URING_REGISTER, IO_URING_SETUP } from '../help/forbidden-calls.js';

const { EINVAL, ENOSYS, EPERM } = constants.errno;
const CHOOSE = fileURLToPath(new URL('../../src/transport/choose.js', import.meta.url));

t.test('auto takes io_uring where it works, and says so', async (t) => {
  t.same(chooseTransport('auto', 3), { kind: 'io_uring', reason: 'the fastest that this system allows', workers: 3 });
  t.same(chooseTransport('io_uring', 2), { kind: 'io_uring', reason: 'asked for by the configuration', workers: 2 });
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

/** What a process says that was prepared by that script, or started with these words, for one value of `transport`. */
function elsewhere(wanted: string, preparation: string, { preload, env }: Partial<ReturnType<typeof forbidding>> = {}) {
  const script = `${preparation}
    const { chooseTransport } = await import(${JSON.stringify(CHOOSE)});
    try { console.log(JSON.stringify(chooseTransport(${JSON.stringify(wanted)}, 1))); } catch (error) { console.log(error.message); }`;
  const words = [...(preload === undefined ? [] : ['--import', preload]), '--input-type=module', '-e', script];
  const child = spawnSync(process.execPath, words, { encoding: 'utf8', env: { ...process.env, ...env } });
  return child.stdout.trim();
}

t.test('where neither is possible, auto falls back to node with the reasons, and each is an error', async (t) => {
  const onMac = "Object.defineProperty(process, 'platform', { value: 'darwin' });";
  t.same(JSON.parse(elsewhere('auto', onMac)), {
    kind: 'node',
    reason:
      'io_uring is not possible here: it is Linux only, this is darwin; ' +
      'epoll is not possible here: it is Linux only, this is darwin',
    workers: 1,
  });
  t.equal(elsewhere('epoll', onMac), 'transport epoll is not possible here: it is Linux only, this is darwin');
  t.equal(elsewhere('io_uring', onMac), 'transport io_uring is not possible here: it is Linux only, this is darwin');
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

/** What it says where a system call fails with `code`. */
function without(call: number, code: number, wanted: string): string {
  return elsewhere(wanted, '', forbidding([{ call, code, threads: [0] }]));
}

t.test('where the system forbids io_uring, auto takes epoll, and says why and where to read on', async (t) => {
  t.same(JSON.parse(without(IO_URING_SETUP, EPERM, 'auto')), {
    kind: 'epoll',
    reason:
      'the fastest that this system allows; io_uring is not possible here: a seccomp profile or a security module forbids ' +
      'io_uring; docs/OPERATIONS.md says how to allow it',
    workers: 1,
  });
  t.match(without(IO_URING_SETUP, EPERM, 'io_uring'), /^transport io_uring is not possible here: a seccomp profile/);
  t.match(without(IO_URING_SETUP, ENOSYS, 'auto'), /io_uring is not possible here: this kernel has no io_uring"/);
});

t.test('an io_uring that lacks something is not taken, and the reason names it', async (t) => {
  // Registering fails, which asks for operations and lends buffers.
  const lacking = without(IO_URING_REGISTER, EINVAL, 'auto');
  t.match(lacking, /"kind":"epoll".*this kernel's io_uring lacks asking for operations/);
  // Flags that it does not know.
  t.match(without(IO_URING_SETUP, EINVAL, 'auto'), /"kind":"epoll".*this kernel's io_uring lacks DEFER_TASKRUN/);
});
