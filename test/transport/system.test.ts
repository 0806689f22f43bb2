import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { isSelfConnected, openSocket, startConnecting } from '../../src/transport/dial.js';
import { openListener } from '../../src/transport/listener.js';
import { eventLayout } from '../../src/transport/poll.js';
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  decodeAddress,
  ECONNREFUSED,
  encodeAddress,
  errnoName,
  getOption,
  IPPROTO_TCP,
  mapArena,
  SO_KEEPALIVE,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  socketAddress,
  system,
  systemError,
  TCP_KEEPIDLE,
  TCP_NODELAY,
  TCP_USER_TIMEOUT,
  unmapArena,
} from '../../src/transport/system.js';
import type { TransportError } from '../../src/transport/transport.js';

t.test('struct epoll_event is packed on x86-64 and aligned elsewhere', async (t) => {
  t.same(eventLayout('x64'), { words: 3, eventsWord: 0, dataWord: 1 }, '12 bytes, data at 4');
  t.same(eventLayout('arm64'), { words: 4, eventsWord: 0, dataWord: 2 }, '16 bytes, data at 8');
});

t.test('why a call failed is read from the memory where libc has it, in every thread', async (t) => {
  const script = `
    const { parentPort } = require('node:worker_threads');
    import(${JSON.stringify(new URL('../../src/transport/system.js', import.meta.url).href)}).then(({ errnoName, system }) => {
      const calls = system();
      const koffi = require('koffi');
      calls.close(-1);
      const failed = errnoName(calls.errno());
      koffi.errno(104);
      const named = errnoName(calls.errno());
      const asked = koffi.errno;
      koffi.errno = () => { throw new Error('asked for by a call'); };
      calls.close(-1);
      const again = errnoName(calls.errno());
      koffi.errno = asked;
      parentPort.postMessage([failed, named, again]);
    });`;
  const worker = new Worker(script, { eval: true });
  const [names] = await once(worker, 'message');
  t.same(names, ['EBADF', 'ECONNRESET', 'EBADF']);
  await worker.terminate();
  system().close(-1);
  t.equal(errnoName(system().errno()), 'EBADF');
});

t.test('a sockaddr is encoded as the C library lays it out', async (t) => {
  const four = encodeAddress({ kind: 'tcp', host: '127.0.0.1', port: 6379 });
  t.same([four.family, four.length], [AF_INET, 16]);
  t.equal(four.bytes.subarray(0, 8).toString('hex'), '020018eb7f000001');
  const six = encodeAddress({ kind: 'tcp', host: '2001:db8::7', port: 6379 });
  t.same([six.family, six.length], [AF_INET6, 28]);
  t.equal(six.bytes.subarray(0, 28).toString('hex'), '0a0018eb0000000020010db800000000000000000000000700000000');
  const scoped = encodeAddress({ kind: 'tcp', host: 'fe80::1%3', port: 1 });
  t.equal(scoped.bytes.readUInt32LE(24), 3);
  const unix = encodeAddress({ kind: 'unix', path: '/run/s' });
  t.same([unix.family, unix.length], [AF_UNIX, 9]);
  t.equal(unix.bytes.subarray(0, 9).toString('hex'), '01002f72756e2f7300');
});

t.test('what was encoded is decoded again', async (t) => {
  for (const endpoint of [
    { kind: 'tcp' as const, host: '10.1.2.3', port: 65535 },
    { kind: 'tcp' as const, host: '::1', port: 1 },
    { kind: 'unix' as const, path: '/tmp/ä' },
  ]) {
    const { bytes, length } = encodeAddress(endpoint);
    t.same(decodeAddress(bytes, length), endpoint);
  }
  t.equal(decodeAddress(Buffer.from([1, 0]), 2), null, 'a client of a unix socket has no name');
  t.equal(decodeAddress(Buffer.alloc(16), 0), null);
});

t.test('what is no address is refused in plain words', async (t) => {
  const refused = (host: string): TransportError => {
    try {
      encodeAddress({ kind: 'tcp', host, port: 1 });
    } catch (error) {
      return error as TransportError;
    }
    throw new Error(`${host} was taken`);
  };
  t.match(refused('localhost').message, /localhost is not an IP address/);
  t.match(refused('1.2.3').message, /not an IP address/);
  t.match(refused('fe80::1%nosuch').message, /no network interface nosuch/);
  t.throws(() => encodeAddress({ kind: 'unix', path: `/${'x'.repeat(107)}` }), /1 to 107 bytes/);
  t.throws(() => encodeAddress({ kind: 'unix', path: '' }), /1 to 107 bytes/);
});

t.test('errors have the name and the words of the system', async (t) => {
  t.equal(errnoName(111), 'ECONNREFUSED');
  t.equal(errnoName(9999), 'E9999');
  const error = systemError('connect 127.0.0.1:1', ECONNREFUSED);
  t.equal(error.code, 'ECONNREFUSED');
  t.equal(error.message, 'connect 127.0.0.1:1: Connection refused');
});

t.test('accepted sockets inherit what was set on the listener', async (t) => {
  const listener = openListener({ kind: 'tcp', host: '127.0.0.1', port: 0 });
  const client = openSocket(listener.endpoint);
  t.equal(startConnecting(client, listener.endpoint), 0);
  const accepted = system().accept4(listener.descriptor, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC);
  t.ok(accepted >= 0);
  t.equal(getOption(accepted, IPPROTO_TCP, TCP_NODELAY), 1);
  t.equal(getOption(accepted, SOL_SOCKET, SO_KEEPALIVE), 1);
  t.equal(getOption(accepted, IPPROTO_TCP, TCP_KEEPIDLE), 300);
  t.equal(getOption(client, IPPROTO_TCP, TCP_NODELAY), 1);
  t.equal(getOption(client, IPPROTO_TCP, TCP_USER_TIMEOUT), 10_000);
  t.same(socketAddress(accepted, 'local'), listener.endpoint);
  t.same(socketAddress(accepted, 'remote'), socketAddress(client, 'local'));
  t.notOk(isSelfConnected(client));
  for (const descriptor of [client, accepted, listener.descriptor]) system().close(descriptor);
  t.equal(socketAddress(accepted, 'remote'), null);
});

t.test('a socket that was connected to itself is recognised', async (t) => {
  const calls = system();
  const descriptor = calls.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const any = encodeAddress({ kind: 'tcp', host: '127.0.0.1', port: 0 });
  t.equal(calls.bind(descriptor, any.bytes, any.length), 0);
  const own = socketAddress(descriptor, 'local');
  if (own === null) throw new Error('a bound socket has no address');
  t.equal(startConnecting(descriptor, own), 0, 'the kernel does that');
  t.ok(isSelfConnected(descriptor));
  calls.close(descriptor);
});

t.test('an arena is mapped, reads as zero after it was given back, and is unmapped', async (t) => {
  const mapped = mapArena(64 * 1024 * 1024);
  const { arena } = mapped;
  const block = arena.allocate(4 * 1024 * 1024);
  arena.bytes.fill(7, block, block + 4 * 1024 * 1024);
  arena.release(block, 4 * 1024 * 1024);
  arena.trim();
  t.equal(arena.bytes[block + 5], 0, 'the pages are fresh ones');
  unmapArena(mapped.address, mapped.bytes);
});

t.test('where 2 GiB cannot be mapped, a half or a quarter is, and below 64 MiB the reason is said', async (t) => {
  // A process that may map so many MiB more than it has: RLIMIT_AS, set from inside.
  const script = `
    import { createRequire } from 'node:module';
    import { readFileSync } from 'node:fs';
    import { mapMemory, system } from ${JSON.stringify(new URL('../../src/transport/system.js', import.meta.url))};
    system();
    const koffi = createRequire(${JSON.stringify(import.meta.url)})('koffi');
    const setrlimit = koffi.load(null).func('setrlimit', 'int', ['int', 'void *']);
    const used = Number(/VmSize:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;
    const limit = Buffer.alloc(16);
    for (const word of [0, 8]) limit.writeBigUInt64LE(BigInt(used + Number(process.argv[1]) * 2 ** 20), word);
    setrlimit(9, limit);
    let outcome;
    try { outcome = mapMemory().bytes / 2 ** 20; } catch (error) { outcome = error.message; }
    setrlimit(9, Buffer.alloc(16, 0xff));
    console.log(outcome);`;
  const gets = (mebibytes: number): string => {
    const arguments_ = ['--input-type=module', '-e', script, String(mebibytes)];
    return spawnSync(process.execPath, arguments_, { encoding: 'utf8' }).stdout.trim();
  };
  t.equal(gets(3000), '2048');
  t.equal(gets(1500), '1024');
  t.equal(gets(300), '256');
  t.equal(gets(40), 'mmap: Cannot allocate memory');
});
