/**
 * Listening sockets. The main thread opens and closes them; all workers accept from the same descriptor. (With the node
 * driver workers listen themselves; the main thread then only tries beforehand whether they can.)
 */
import { lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { type Endpoint, formatEndpoint } from '../base/endpoint.js';
import {
  AF_INET6,
  AF_UNIX,
  ECONNREFUSED,
  encodeAddress,
  errnoName,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  IPV6_V6ONLY,
  SHUT_RDWR,
  SO_KEEPALIVE,
  SO_REUSEADDR,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  setOption,
  socketAddress,
  system,
  systemError,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_NODELAY,
} from './system.js';
import { TransportError } from './transport.js';

/** Connections that may wait to be accepted (the kernel takes less if net.core.somaxconn is less). */
export const BACKLOG = 4096;
/** A client that is silent for so long is asked for a sign of life, three times at a third of it (as Redis does). */
export const KEEPALIVE_SECONDS = 300;

export interface Listener {
  readonly descriptor: number;
  /** Where it listens: the port that was chosen if it was asked for port 0. */
  readonly endpoint: Endpoint;
}

/** Listens at `endpoint`, whose host is an address. Throws a TransportError in plain words when that cannot be. */
export function openListener(endpoint: Endpoint, backlog: number = BACKLOG): Listener {
  const calls = system();
  const where = `cannot listen on ${formatEndpoint(endpoint)}`;
  const address = encodeAddress(endpoint);
  if (endpoint.kind === 'unix') removeStale(endpoint, where);
  const descriptor = calls.socket(address.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) throw listenError(where, calls.errno());
  if (address.family !== AF_UNIX) {
    setOption(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
    // Accepted sockets inherit these, which saves five calls each.
    setOption(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
    setOption(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
    setOption(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_SECONDS);
    setOption(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_SECONDS / 3);
    setOption(descriptor, IPPROTO_TCP, TCP_KEEPCNT, 3);
  }
  // So that 0.0.0.0 and [::] can be listened on side by side, as with Redis.
  if (address.family === AF_INET6) setOption(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (calls.bind(descriptor, address.bytes, address.length) < 0 || calls.listen(descriptor, backlog) < 0) {
    const code = calls.errno();
    calls.close(descriptor);
    throw listenError(where, code);
  }
  return {
    descriptor,
    endpoint: endpoint.kind === 'unix' ? endpoint : (socketAddress(descriptor, 'local') ?? endpoint),
  };
}

/**
 * Refuses new connections from now on. The descriptor stays, since workers still watch it: they see the end of listening
 * as an error of accept, and stop accepting.
 */
export function endListening(listener: Listener): void {
  system().shutdown(listener.descriptor, SHUT_RDWR);
}

/** Ends listening; a unix socket's file goes too. Only after all workers stopped accepting from it. */
export function closeListener(listener: Listener): void {
  if (listener.endpoint.kind === 'unix') {
    try {
      unlinkSync(listener.endpoint.path);
    } catch {
      // Somebody else has removed it: nothing is left to do.
    }
  }
  system().close(listener.descriptor);
}

/**
 * Tries whether the node driver can listen at `endpoint`, and leaves it free again. Resolves with the endpoint, with the
 * port that was chosen if it was asked for port 0. Rejects with a TransportError in plain words.
 */
export async function tryListener(endpoint: Endpoint): Promise<Endpoint> {
  const where = `cannot listen on ${formatEndpoint(endpoint)}`;
  if (endpoint.kind === 'unix' && isSocketFile(endpoint, where)) await removeStaleByNet(endpoint, where);
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.once('listening', resolve);
      server.listen(
        endpoint.kind === 'unix' ? endpoint.path : { host: endpoint.host, port: endpoint.port, ipv6Only: true },
      );
    });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const name = code ?? 'EIO';
    throw new TransportError(name, `${where}: ${WORDS[name] ?? message}`);
  }
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  const hasPort = endpoint.kind === 'tcp' && address !== null && typeof address === 'object';
  return hasPort ? { ...endpoint, port: address.port } : endpoint;
}

/** A file that a dead process left is removed; one that somebody listens on, or that is no socket, is an error. */
function removeStale(endpoint: Endpoint & { kind: 'unix' }, where: string): void {
  if (!isSocketFile(endpoint, where)) return;
  const calls = system();
  const address = encodeAddress(endpoint);
  const probe = calls.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (probe < 0) throw listenError(where, calls.errno());
  const code = calls.connect(probe, address.bytes, address.length) < 0 ? calls.errno() : 0;
  calls.close(probe);
  // Anything but a refusal (a full backlog, a missing permission) means that somebody is there or that we may not know.
  if (code !== ECONNREFUSED) throw inUse(where);
  unlinkSync(endpoint.path);
}

async function removeStaleByNet(endpoint: Endpoint & { kind: 'unix' }, where: string): Promise<void> {
  const code = await new Promise<string | null>((resolve) => {
    const socket = connect(endpoint.path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(null);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? null));
  });
  if (code !== 'ECONNREFUSED') throw inUse(where);
  unlinkSync(endpoint.path);
}

/** False when there is no file; an error when there is one that is no socket. */
function isSocketFile(endpoint: Endpoint & { kind: 'unix' }, where: string): boolean {
  const stat = lstatSync(endpoint.path, { throwIfNoEntry: false });
  if (stat === undefined) return false;
  if (!stat.isSocket()) throw new TransportError('EEXIST', `${where}: the file exists and is not a socket`);
  return true;
}

function inUse(where: string): TransportError {
  return new TransportError('EADDRINUSE', `${where}: ${IN_USE}`);
}

function listenError(where: string, code: number): TransportError {
  const name = errnoName(code);
  const text = WORDS[name];
  return text === undefined ? systemError(where, code) : new TransportError(name, `${where}: ${text}`);
}

const IN_USE = 'another process listens there';
const WORDS: Record<string, string> = {
  EADDRINUSE: IN_USE,
  EACCES: 'permission denied (ports below 1024 and foreign directories need privileges)',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOENT: 'its directory does not exist',
  EMFILE: 'the process has no file descriptor left (ulimit -n)',
  EAFNOSUPPORT: 'this machine does not speak this address family (IPv6 is off)',
  EROFS: 'the file system is read-only',
};
