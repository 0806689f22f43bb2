/**
 * The system calls of Linux that the transport needs, through koffi, and the numbers that go with them.
 *
 * koffi is loaded when `system()` is first called, so that the node driver works where koffi does not. Two kinds of
 * arguments: an address (`uintptr_t`, a number, 41 ns a call) for memory of an arena that stays; a Buffer (90 ns), which
 * koffi keeps alive for the length of the call, for what is rare and small. No address of a Buffer is ever kept: the
 * collector does not see it and would free the memory under the kernel's hands.
 */
import { createRequire } from 'node:module';
import { constants, networkInterfaces } from 'node:os';
import type { Endpoint } from '../base/endpoint.js';
import { formatEndpoint } from '../base/endpoint.js';
import { ARENA_BYTES_MAX, Arena } from './arena.js';
import { TransportError } from './transport.js';

/** Constants of Linux as x86-64 and arm64 share them. */
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_ERROR = 4;
export const SO_KEEPALIVE = 9;
export const IPPROTO_TCP = 6;
export const TCP_NODELAY = 1;
export const TCP_KEEPIDLE = 4;
export const TCP_KEEPINTVL = 5;
export const TCP_KEEPCNT = 6;
export const TCP_USER_TIMEOUT = 18;
export const IPPROTO_IPV6 = 41;
export const IPV6_V6ONLY = 26;
export const MSG_DONTWAIT = 0x40;
export const MSG_WAITALL = 0x100;
export const MSG_NOSIGNAL = 0x4000;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;
export const EPOLL_CLOEXEC = 0o2000000;
export const EPOLL_CTL_ADD = 1;
export const EPOLL_CTL_DEL = 2;
export const EPOLL_CTL_MOD = 3;
export const EPOLLIN = 0x1;
export const EPOLLOUT = 0x4;
export const EPOLLERR = 0x8;
export const EPOLLHUP = 0x10;
export const EPOLLEXCLUSIVE = 1 << 28;
const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;
export const PROT_READ_WRITE = 3;
export const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_ANONYMOUS = 0x20;
export const MAP_POPULATE = 0x8000;
const MAP_NORESERVE = 0x4000;
const MADV_DONTNEED = 4;
/** The same on x86-64 and arm64. */
const SYS_IO_URING_SETUP = 425;
const SYS_IO_URING_ENTER = 426;
const SYS_IO_URING_REGISTER = 427;

/** Error numbers that decisions depend on. */
export const EPERM = 1;
export const EINTR = 4;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EBUSY = 16;
export const EINVAL = 22;
export const ENFILE = 23;
export const EMFILE = 24;
export const EPIPE = 32;
export const ENOSYS = 38;
export const ETIME = 62;
export const ECONNRESET = 104;
export const ENOBUFS = 105;
export const ECONNREFUSED = 111;
export const EINPROGRESS = 115;
export const ECANCELED = 125;

/** libc. Every call returns what the C function does; after -1 `errno()` has the reason, in the very next statement. */
export interface System {
  errno(): number;
  socket(domain: number, type: number, protocol: number): number;
  bind(descriptor: number, address: Buffer, length: number): number;
  listen(descriptor: number, backlog: number): number;
  accept4(descriptor: number, address: null, length: null, flags: number): number;
  connect(descriptor: number, address: Buffer, length: number): number;
  shutdown(descriptor: number, how: number): number;
  setsockopt(descriptor: number, level: number, option: number, value: Buffer, length: number): number;
  getsockopt(descriptor: number, level: number, option: number, value: Buffer, length: Buffer): number;
  getsockname(descriptor: number, address: Buffer, length: Buffer): number;
  getpeername(descriptor: number, address: Buffer, length: Buffer): number;
  epollCreate(flags: number): number;
  epollControl(poll: number, operation: number, descriptor: number, event: number): number;
  epollWait(poll: number, events: number, countMax: number, timeoutMs: number): number;
  recv(descriptor: number, address: number, length: number, flags: number): number;
  send(descriptor: number, address: number, length: number, flags: number): number;
  close(descriptor: number): number;
  flock(descriptor: number, operation: number): number;
  socketpair(domain: number, type: number, protocol: number, descriptors: Buffer): number;
  uringSetup(entries: number, parameters: Buffer): number;
  uringRegister(ring: number, operation: number, argument: Buffer, count: number): number;
  uringEnter(
    ring: number,
    submitted: number,
    completedMin: number,
    flags: number,
    argument: number,
    argumentBytes: number,
  ): number;
  eventfd(value: number, flags: number): number;
  read(descriptor: number, bytes: Buffer, length: number): number;
  write(descriptor: number, bytes: Buffer, length: number): number;
  mmap(
    address: number,
    length: number,
    protection: number,
    flags: number,
    descriptor: number,
    offset: number,
  ): number | bigint;
  munmap(address: number, length: number): number;
  madvise(address: number, length: number, advice: number): number;
  inetFromText(family: number, text: string, bytes: Buffer): number;
  inetToText(family: number, bytes: Buffer, text: Buffer, length: number): string | null;
  errorText(code: number): string;
  /** _exit: does not return, and waits for no thread. */
  exitNow(code: number): void;
  /** An ArrayBuffer over memory that stays mapped for as long as the buffer is used. */
  view(address: number, length: number): ArrayBuffer;
  /** This thread's libuv loop, or null where Node does not show it. */
  nodeLoop(): NodeLoop | null;
}

/** Node's own event loop, as one sees it who waits in its stead. */
export interface NodeLoop {
  /** Becomes readable when something has come for Node: a message, the end of a thread pool's work, terminate(). */
  readonly descriptor: number;
  /**
   * Milliseconds until Node has something to do that `descriptor` does not tell of (its timers, setImmediate), or Infinity.
   * It is always 0 unless something referenced keeps the loop alive.
   */
  waitMs(): number;
}

let loaded: System | null = null;

/** libc, loaded at the first call. Throws a TransportError that says why where it cannot be had. */
export function system(): System {
  loaded ??= load();
  return loaded;
}

/** Memory for one worker. `address` is that of `arena.bytes[0]`; it stays inside transport/. */
export interface MappedArena {
  readonly arena: Arena;
  readonly address: number;
  readonly bytes: number;
}

const ARENA_BYTES_MIN = 64 * 1024 * 1024;

/**
 * Maps an arena of `bytes`, or of a half, a quarter … of it where the process may not map so much (RLIMIT_AS, strict
 * overcommit). Only pages that are written take memory. Throws a TransportError below 64 MiB.
 */
export function mapArena(bytes: number = ARENA_BYTES_MAX): MappedArena {
  const calls = system();
  const mapped = mapMemory(bytes);
  const decommit = (offset: number, length: number): void => {
    calls.madvise(mapped.address + offset, length, MADV_DONTNEED);
  };
  return { arena: new Arena(calls.view(mapped.address, mapped.bytes), decommit), ...mapped };
}

/** Maps memory for an arena, as above, and does nothing with it. */
export function mapMemory(bytes: number = ARENA_BYTES_MAX): { address: number; bytes: number } {
  const calls = system();
  for (let size = bytes; ; size /= 2) {
    const address = calls.mmap(0, size, PROT_READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    // MAP_FAILED is all ones, which is no safe integer and so comes as a bigint.
    if (typeof address === 'number') return { address, bytes: size };
    const error = systemError('mmap', calls.errno());
    if (size / 2 < ARENA_BYTES_MIN) throw error;
  }
}

/** Unmaps an arena's memory. Nothing may touch its bytes afterwards: its thread has ended, or it is the test's own. */
export function unmapArena(address: number, bytes: number): void {
  system().munmap(address, bytes);
}

const names = new Map(Object.entries(constants.errno).map(([name, code]) => [code, name]));

/** The name of an error number: 111 is ECONNREFUSED. */
export function errnoName(code: number): string {
  return names.get(code) ?? `E${code}`;
}

/** An error from error number `code`; `what` says what failed: `connect 127.0.0.1:7001`. */
export function systemError(what: string, code: number): TransportError {
  return new TransportError(errnoName(code), `${what}: ${system().errorText(code)}`);
}

const SOCKADDR_BYTES = 128;
/** sun_path holds 108 bytes with its closing zero. */
const UNIX_PATH_BYTES_MAX = 107;

/** The sockaddr of `endpoint`, and its family. Throws a TransportError for what is no address. */
export function encodeAddress(endpoint: Endpoint): { family: number; bytes: Buffer; length: number } {
  const bytes = Buffer.alloc(SOCKADDR_BYTES);
  if (endpoint.kind === 'unix') {
    const pathBytes = Buffer.byteLength(endpoint.path);
    if (pathBytes > UNIX_PATH_BYTES_MAX || pathBytes === 0 || endpoint.path.includes('\0')) {
      throw new TransportError(
        'ENAMETOOLONG',
        `${formatEndpoint(endpoint)}: a unix socket's path has 1 to ${UNIX_PATH_BYTES_MAX} bytes`,
      );
    }
    bytes.writeUInt16LE(AF_UNIX, 0);
    bytes.write(endpoint.path, 2);
    return { family: AF_UNIX, bytes, length: 2 + pathBytes + 1 };
  }
  const calls = system();
  const binary = Buffer.alloc(16);
  bytes.writeUInt16BE(endpoint.port, 2);
  if (calls.inetFromText(AF_INET, endpoint.host, binary) === 1) {
    bytes.writeUInt16LE(AF_INET, 0);
    binary.copy(bytes, 4, 0, 4);
    return { family: AF_INET, bytes, length: 16 };
  }
  const [host, scope] = endpoint.host.split('%', 2) as [string, string | undefined];
  if (calls.inetFromText(AF_INET6, host, binary) === 1) {
    bytes.writeUInt16LE(AF_INET6, 0);
    binary.copy(bytes, 8);
    bytes.writeUInt32LE(scope === undefined ? 0 : scopeId(scope), 24);
    return { family: AF_INET6, bytes, length: 28 };
  }
  throw new TransportError('EADDRNOTAVAIL', `${formatEndpoint(endpoint)}: ${endpoint.host} is not an IP address`);
}

/** The number of a link-local address's interface: `fe80::1%eth0` and `fe80::1%2` are the same where eth0 is the second. */
function scopeId(scope: string): number {
  if (/^\d+$/.test(scope)) return Number(scope);
  const addresses = networkInterfaces()[scope] ?? [];
  for (const address of addresses) if (address.family === 'IPv6' && address.scopeid !== 0) return address.scopeid ?? 0;
  throw new TransportError('EADDRNOTAVAIL', `there is no network interface ${scope}`);
}

/** The endpoint in a sockaddr of `length` bytes, or null if it has none (a client of a unix socket has no path). */
export function decodeAddress(bytes: Buffer, length: number): Endpoint | null {
  const family = length < 2 ? 0 : bytes.readUInt16LE(0);
  if (family === AF_UNIX) {
    const end = bytes.indexOf(0, 2);
    const path = bytes.toString('utf8', 2, Math.min(end < 0 ? length : end, length));
    return path === '' ? null : { kind: 'unix', path };
  }
  if (family !== AF_INET && family !== AF_INET6) return null;
  const text = Buffer.alloc(64);
  const binary = family === AF_INET ? bytes.subarray(4, 8) : bytes.subarray(8, 24);
  const host = system().inetToText(family, binary, text, text.length);
  return host === null ? null : { kind: 'tcp', host, port: bytes.readUInt16BE(2) };
}

/** What getsockname (`local`) or getpeername says of a socket, or null when it has no address or none any more. */
export function socketAddress(descriptor: number, side: 'local' | 'remote'): Endpoint | null {
  const calls = system();
  const bytes = Buffer.alloc(SOCKADDR_BYTES);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length, 0);
  const result =
    side === 'local' ? calls.getsockname(descriptor, bytes, length) : calls.getpeername(descriptor, bytes, length);
  return result < 0 ? null : decodeAddress(bytes, length.readUInt32LE(0));
}

const option = Buffer.alloc(4);

/** Sets an option whose value is an int. Failure is left to the caller: most options are wishes. */
export function setOption(descriptor: number, level: number, name: number, value: number): number {
  option.writeInt32LE(value, 0);
  return system().setsockopt(descriptor, level, name, option, 4);
}

const optionLength = Buffer.alloc(4);

/** Reads an option whose value is an int, or -1. */
export function getOption(descriptor: number, level: number, name: number): number {
  optionLength.writeUInt32LE(4, 0);
  return system().getsockopt(descriptor, level, name, option, optionLength) < 0 ? -1 : option.readInt32LE(0);
}

/** The error number that waits on a socket (0 for none); asking clears it. */
export function pendingError(descriptor: number): number {
  return Math.max(getOption(descriptor, SOL_SOCKET, SO_ERROR), 0);
}

/** An eventfd: a descriptor that `wake` makes readable and `quiet` makes unreadable again. Throws a TransportError. */
export function openWake(): number {
  const descriptor = system().eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (descriptor < 0) throw systemError('eventfd', system().errno());
  return descriptor;
}

const one = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);
const counter = Buffer.alloc(8);

/** Makes the thread wake up that polls the eventfd `descriptor`. */
export function wake(descriptor: number): void {
  system().write(descriptor, one, 8);
}

/** Takes back all wakes of the eventfd `descriptor` so far. */
export function quiet(descriptor: number): void {
  system().read(descriptor, counter, 8);
}

function load(): System {
  if (process.platform !== 'linux') {
    throw new TransportError('ENOSYS', `it is Linux only, this is ${process.platform}`);
  }
  if (process.arch !== 'x64' && process.arch !== 'arm64') {
    throw new TransportError(
      'ENOSYS',
      `the layout of system calls is known for x64 and arm64, not for ${process.arch}`,
    );
  }
  let koffi: typeof import('koffi');
  try {
    koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  } catch (error) {
    throw new TransportError(
      'ENOSYS',
      `koffi does not load: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  const libc = koffi.load(null);
  // libc has no functions of their own for these. `syscall` takes as many arguments as there are, all of them long.
  const uringSetup = libc.func('syscall', 'long', ['long', 'long', 'void *']);
  const uringRegister = libc.func('syscall', 'long', ['long', 'long', 'long', 'void *', 'long']);
  const uringEnter = libc.func('syscall', 'long', ['long', 'long', 'long', 'long', 'long', 'uintptr_t', 'long']);
  // Read where libc keeps it, as memory: asked for by a call, something of the engine's may come between, and leave its own.
  const errnoAddress: number = libc.func('__errno_location', 'uintptr_t', [])();
  const errno = new Int32Array(koffi.view(errnoAddress, Int32Array.BYTES_PER_ELEMENT));
  const nodeLoop = (): NodeLoop | null => {
    // Private to Node but there since version 10. Where they are missing, the driver looks at Node every 50 ms instead.
    try {
      const getLoop = libc.func('napi_get_uv_event_loop', 'int', ['uintptr_t', 'void *']);
      const getDescriptor = libc.func('uv_backend_fd', 'int', ['uintptr_t']);
      const getTimeout = libc.func('uv_backend_timeout', 'int', ['uintptr_t']);
      const pointer = Buffer.alloc(8);
      if (getLoop(koffi.node.env, pointer) !== 0) return null;
      const loop = Number(pointer.readBigUInt64LE(0));
      const descriptor: number = getDescriptor(loop);
      const waitMs = (): number => {
        const timeoutMs: number = getTimeout(loop);
        return timeoutMs < 0 ? Number.POSITIVE_INFINITY : timeoutMs;
      };
      return descriptor < 0 ? null : { descriptor, waitMs };
    } catch {
      return null;
    }
  };
  return {
    errno: () => errno[0] as number,
    socket: libc.func('socket', 'int', ['int', 'int', 'int']),
    bind: libc.func('bind', 'int', ['int', 'void *', 'uint32_t']),
    listen: libc.func('listen', 'int', ['int', 'int']),
    accept4: libc.func('accept4', 'int', ['int', 'void *', 'void *', 'int']),
    connect: libc.func('connect', 'int', ['int', 'void *', 'uint32_t']),
    shutdown: libc.func('shutdown', 'int', ['int', 'int']),
    setsockopt: libc.func('setsockopt', 'int', ['int', 'int', 'int', 'void *', 'uint32_t']),
    getsockopt: libc.func('getsockopt', 'int', ['int', 'int', 'int', 'void *', 'void *']),
    getsockname: libc.func('getsockname', 'int', ['int', 'void *', 'void *']),
    getpeername: libc.func('getpeername', 'int', ['int', 'void *', 'void *']),
    epollCreate: libc.func('epoll_create1', 'int', ['int']),
    epollControl: libc.func('epoll_ctl', 'int', ['int', 'int', 'int', 'uintptr_t']),
    epollWait: libc.func('epoll_wait', 'int', ['int', 'uintptr_t', 'int', 'int']),
    recv: libc.func('recv', 'intptr_t', ['int', 'uintptr_t', 'size_t', 'int']),
    send: libc.func('send', 'intptr_t', ['int', 'uintptr_t', 'size_t', 'int']),
    close: libc.func('close', 'int', ['int']),
    flock: libc.func('flock', 'int', ['int', 'int']),
    socketpair: libc.func('socketpair', 'int', ['int', 'int', 'int', 'void *']),
    uringSetup: (entries, parameters) => uringSetup(SYS_IO_URING_SETUP, entries, parameters),
    uringRegister: (ring, operation, argument, count) =>
      uringRegister(SYS_IO_URING_REGISTER, ring, operation, argument, count),
    uringEnter: (ring, submitted, completedMin, flags, argument, argumentBytes) =>
      uringEnter(SYS_IO_URING_ENTER, ring, submitted, completedMin, flags, argument, argumentBytes),
    eventfd: libc.func('eventfd', 'int', ['uint32_t', 'int']),
    read: libc.func('read', 'intptr_t', ['int', 'void *', 'size_t']),
    write: libc.func('write', 'intptr_t', ['int', 'void *', 'size_t']),
    mmap: libc.func('mmap', 'uintptr_t', ['uintptr_t', 'size_t', 'int', 'int', 'int', 'int64_t']),
    munmap: libc.func('munmap', 'int', ['uintptr_t', 'size_t']),
    madvise: libc.func('madvise', 'int', ['uintptr_t', 'size_t', 'int']),
    inetFromText: libc.func('inet_pton', 'int', ['int', 'str', 'void *']),
    inetToText: libc.func('inet_ntop', 'str', ['int', 'void *', 'void *', 'uint32_t']),
    errorText: libc.func('strerror', 'str', ['int']),
    exitNow: libc.func('_exit', 'void', ['int']),
    view: (address, length) => koffi.view(address, length),
    nodeLoop,
  };
}
