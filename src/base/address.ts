/**
 * Addresses as the configuration writes them. What is wrong with one is said without repeating it: a URL may hold a
 * password, and one that is wrong may hold it anywhere.
 */
import { isIP } from 'node:net';
import type { Endpoint } from './endpoint.js';
import type { Fault } from './schema.js';

/** A node's URL, taken apart. */
export interface NodeAddress {
  address: Endpoint;
  username: string | null;
  password: string | null;
}

export const LISTEN_FORMS = 'an address: 127.0.0.1:6380, [::1]:6380 or unix:/path (0.0.0.0 is every interface)';
export const NODE_FORMS = 'redis://[user:password@]host[:port] or unix:[user:password@]/path';

const REDIS_PORT = 6379;
/** Bytes of a unix socket's path that every kernel takes: `sun_path`, less its final zero. */
const UNIX_PATH_MAX = 103;

/** `127.0.0.1:6380`, `[::1]:6380` or `unix:/path`. Port 0 has the system choose one. */
export function parseListenAddress(text: string): Endpoint | Fault {
  if (text.startsWith('unix:')) return unixEndpoint(text.slice('unix:'.length));
  if (text.includes('://')) return { fault: 'a URL' };
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*)):(\d+)$/.exec(text) ?? [];
  if (port === undefined) return { fault: 'no port, or an IPv6 address without brackets' };
  if (bracketed === undefined ? isIP(plain ?? '') !== 4 : isIP(bracketed) !== 6) {
    return { fault: 'a host that is not an IP address' };
  }
  if (Number(port) > 65_535) return { fault: 'a port above 65535' };
  return { kind: 'tcp', host: bracketed ?? plain ?? '', port: Number(port) };
}

/** `redis://user:password@host:port`, user, password and port optional, or `unix:/path`, or `unix:user:password@/path`. */
export function parseNodeAddress(text: string): NodeAddress | Fault {
  if (text.startsWith('unix:')) return parseUnixNode(text.slice('unix:'.length).replace(/^\/\//, ''));
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === 'rediss') return { fault: 'rediss://: TLS to nodes is not supported yet' };
  if (scheme === undefined) return { fault: 'a text without redis:// or unix: before it' };
  if (scheme !== 'redis') return { fault: 'another scheme than redis:// or unix:' };

  const rest = text.slice('redis://'.length);
  const at = rest.lastIndexOf('@');
  const login = parseLogin(at === -1 ? '' : rest.slice(0, at));
  if ('fault' in login) return login;
  const [, place, path] = /^([^/?#]*)(.*)$/s.exec(rest.slice(at + 1)) ?? [];
  if (path !== '' && path !== '/' && path !== '/0') {
    return { fault: 'something after the port: only database 0 and no options are supported' };
  }
  const [, bracketed, name, port] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d+))?$/.exec(place ?? '') ?? [];
  const host = bracketed ?? name;
  if (host === undefined) return { fault: 'a port that is no number, or an IPv6 address without brackets' };
  if (host === '') return { fault: 'no host' };
  if (bracketed === undefined ? !/^[\w.-]+$/.test(host) : isIP(host) !== 6)
    return { fault: 'a host that cannot be one' };
  const portNumber = port === undefined ? REDIS_PORT : Number(port);
  if (portNumber < 1 || portNumber > 65_535) return { fault: 'a port outside 1 to 65535' };
  return { address: { kind: 'tcp', host, port: portNumber }, ...login };
}

/** Whether only this machine can reach it. */
export function isLocal(endpoint: Endpoint): boolean {
  return endpoint.kind === 'unix' || /^(127\.|::1$|::ffff:127\.)/i.test(endpoint.host);
}

function parseUnixNode(rest: string): NodeAddress | Fault {
  const at = rest.lastIndexOf('@/');
  const login = parseLogin(at === -1 ? '' : rest.slice(0, at));
  if ('fault' in login) return login;
  const address = unixEndpoint(at === -1 ? rest : rest.slice(at + 1));
  return 'fault' in address ? address : { address, ...login };
}

function unixEndpoint(path: string): Endpoint | Fault {
  if (!path.startsWith('/')) return { fault: 'a unix socket without an absolute path' };
  if (path.includes('\0')) return { fault: 'a zero byte in the path of a unix socket' };
  const bytes = Buffer.byteLength(path);
  if (bytes > UNIX_PATH_MAX) return { fault: `a unix socket's path of ${bytes} bytes, above ${UNIX_PATH_MAX}` };
  return { kind: 'unix', path };
}

/** `user:password`, `:password` or `user`, percent-encoded. Empty parts are null. */
function parseLogin(text: string): { username: string | null; password: string | null } | Fault {
  const colon = text.indexOf(':');
  const encoded = colon === -1 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)];
  try {
    const [username, password] = encoded.map((part) => (part === '' ? null : decodeURIComponent(part)));
    return { username: username ?? null, password: password ?? null };
  } catch {
    return { fault: 'a user or password with a % that is not followed by two hexadecimal digits (write %25 for %)' };
  }
}
