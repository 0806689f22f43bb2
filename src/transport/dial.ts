/** The socket of an outgoing connection: made, set up, and told to connect without waiting. */
import type { Endpoint } from '../base/endpoint.js';
import { formatEndpoint } from '../base/endpoint.js';
import {
  AF_UNIX,
  EINPROGRESS,
  EINTR,
  encodeAddress,
  IPPROTO_TCP,
  SO_KEEPALIVE,
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
  TCP_USER_TIMEOUT,
} from './system.js';

/** Sent bytes that are not acknowledged for so long end the connection: a node's machine has gone without a word. */
const USER_TIMEOUT_MS = 10_000;
/** A silent node's machine is asked for a sign of life, in seconds. */
const NODE_KEEPALIVE_SECONDS = 30;

/** A socket for `endpoint`, not yet connecting. Throws a TransportError. */
export function openSocket(endpoint: Endpoint): number {
  const { family } = encodeAddress(endpoint);
  const descriptor = system().socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) throw systemError(`connect ${formatEndpoint(endpoint)}`, system().errno());
  if (family === AF_UNIX) return descriptor;
  setOption(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  setOption(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
  setOption(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
  setOption(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, NODE_KEEPALIVE_SECONDS);
  setOption(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, NODE_KEEPALIVE_SECONDS / 3);
  setOption(descriptor, IPPROTO_TCP, TCP_KEEPCNT, 3);
  return descriptor;
}

/** Starts connecting. Returns 0 when it is done or under way, else the error number. */
export function startConnecting(descriptor: number, endpoint: Endpoint): number {
  const { bytes, length } = encodeAddress(endpoint);
  if (system().connect(descriptor, bytes, length) === 0) return 0;
  const code = system().errno();
  return code === EINPROGRESS || code === EINTR ? 0 : code;
}

/**
 * True when the kernel has connected the socket to itself: where nobody listens on a port of the ephemeral range, a
 * connection from that very port meets its own SYN. It would also keep the node from getting its port back.
 */
export function isSelfConnected(descriptor: number): boolean {
  const local = socketAddress(descriptor, 'local');
  const remote = socketAddress(descriptor, 'remote');
  return local?.kind === 'tcp' && remote?.kind === 'tcp' && formatEndpoint(local) === formatEndpoint(remote);
}
