/**
 * Addresses as the configuration writes them. What is wrong with one is said without repeating it: a URL may hold a
 * password, and one that is wrong may hold it anywhere.
 */
import { isIP } from 'node:net';
import type { Endpoint, TcpEndpoint } from './endpoint.js';
import type { Advice, Fault } from './schema.js';

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
  if (text.includes('://')) return { fault: 'a URL', advice: 'leave out what stands before the host' };
  if (text.startsWith('/')) return { fault: 'a path', advice: `write unix:${text}` };
  if (text.includes(','))
    return { fault: 'several addresses in one text', advice: 'write a list: [127.0.0.1:1, 127.0.0.1:2]' };
  if (/\s/.test(text)) return { fault: 'a text with a blank in it' };
  if (isIP(text) === 4) return { fault: 'no port', advice: `write ${text}:6380` };
  if (/^localhost$/i.test(text)) return { fault: 'no port', advice: 'write 127.0.0.1:6380' };
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*)):(\d+)$/.exec(text) ?? [];
  if (port === undefined) {
    const colons = text.split(':').length - 1;
    if (colons > 1)
      return { fault: 'an IPv6 address without brackets, or without a port', advice: 'write "[::1]:6380"' };
    return { fault: colons === 0 ? 'no port' : 'a port that is no number' };
  }
  if (Number(port) > 65_535) return { fault: 'a port above 65535' };
  if (plain === '' || plain === '*') {
    return { fault: 'no host', advice: `write 127.0.0.1:${port}, or 0.0.0.0:${port} for every interface` };
  }
  if (bracketed === undefined ? isIP(plain ?? '') !== 4 : isIP(bracketed) !== 6) {
    const advice = /^localhost$/i.test(plain ?? '') ? { advice: `write 127.0.0.1:${port}` } : {};
    return { fault: 'a host that is not an IP address', ...advice };
  }
  return { kind: 'tcp', host: bracketed ?? plain ?? '', port: Number(port) };
}

/** As `parseListenAddress`, of what stands in a file: a port alone may be meant. */
export function listenAddress(input: unknown): Endpoint | Fault | Advice | null {
  if (typeof input === 'string') return parseListenAddress(input);
  return typeof input === 'number' ? { advice: `write 127.0.0.1:${input}` } : null;
}

/** `redis://user:password@host:port`, user, password and port optional, or `unix:/path`, or `unix:user:password@/path`. */
export function parseNodeAddress(text: string): NodeAddress | Fault {
  if (text.startsWith('unix:')) return parseUnixNode(text.slice('unix:'.length).replace(/^\/\//, ''));
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === 'rediss') return { fault: 'rediss://: TLS to nodes is not supported yet' };
  if (/^redis:(?!\/\/)/i.test(text)) return { fault: 'redis: without two slashes after it' };
  if (/\s-\s?redis:/.test(text)) {
    return { fault: 'several nodes in one text', advice: 'each - must be indented as the first of the list is' };
  }
  if (scheme === undefined) {
    // Nothing else is shown: it may be a password.
    const isPlace = /^[\w.-]+(:\d+)?$/.test(text);
    return {
      fault: 'a text without redis:// or unix: before it',
      ...(isPlace ? { advice: `write redis://${text}` } : {}),
    };
  }
  if (scheme !== 'redis') return { fault: 'another scheme than redis:// or unix:' };

  const rest = text.slice('redis://'.length);
  const at = rest.lastIndexOf('@');
  const login = parseLogin(at === -1 ? '' : rest.slice(0, at));
  if ('fault' in login) return login;
  const [, place, path] = /^([^/?#]*)(.*)$/s.exec(rest.slice(at + 1)) ?? [];
  if (/,|\s/.test(`${place}${path}`)) {
    return { fault: 'several nodes in one text, or a blank', advice: 'each node is an item of the list' };
  }
  if (path !== '' && path !== '/' && path !== '/0') {
    return { fault: 'something after the port: only database 0 and no options are supported' };
  }
  const address = parseServer(place ?? '', REDIS_PORT);
  return 'fault' in address ? address : { address, ...login };
}

/** `host[:port]`: a name, an IPv4 address, or an IPv6 address in brackets. */
export function parseServer(text: string, defaultPort: number): TcpEndpoint | Fault {
  const [, bracketed, name, port] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d+))?$/.exec(text) ?? [];
  const host = bracketed ?? name;
  if (host === undefined) return { fault: 'a port that is no number, or an IPv6 address without brackets' };
  if (host === '') return { fault: 'no host' };
  if (bracketed === undefined ? !/^[\w.-]+$/.test(host) : isIP(host) !== 6)
    return { fault: 'a host that cannot be one' };
  const portNumber = port === undefined ? defaultPort : Number(port);
  if (portNumber < 1 || portNumber > 65_535) return { fault: 'a port outside 1 to 65535' };
  return { kind: 'tcp', host, port: portNumber };
}

/** As `parseNodeAddress`, of what stands in a file: a port alone may be meant. */
export function nodeAddress(input: unknown): NodeAddress | Fault | Advice | null {
  if (typeof input === 'string') return parseNodeAddress(input);
  return typeof input === 'number' ? { advice: `write redis://127.0.0.1:${input}` } : null;
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
