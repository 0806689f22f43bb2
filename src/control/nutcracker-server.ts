/** The addresses of twemproxy's configuration: `listen` and the lines of `servers`, taken apart as it takes them apart. */
import { isIP } from 'node:net';
import { type Endpoint, formatEndpoint } from '../base/endpoint.js';
import { TWEMPROXY_WEIGHT_MAX } from '../base/placement.js';
import type { Fault } from '../base/schema.js';

export interface NutcrackerServer {
  /** What ketama hashes and modula sorts by. */
  name: string;
  address: Endpoint;
  weight: number;
}

/** A port by which twemproxy tells a memcached of old: unnamed servers there are hashed by their host alone. */
const MEMCACHED_PORT = 11211;
const PORT_MAX = 65_535;

/**
 * `host:port:weight name` or `/path:weight name`. The name is optional: without one it is `host:port`, the host alone for
 * port 11211, and for a unix socket the path with a colon after it.
 */
export function parseServer(line: string): NutcrackerServer | Fault {
  const [, place = '', name] = /^(.*?)(?: (\S+))?$/s.exec(line) ?? [];
  const parts = line.startsWith('/') ? /^(?<host>.+):(?<weight>\d+)$/s : /^(?<host>.+):(?<port>\d+):(?<weight>\d+)$/s;
  const { host, port, weight: digits } = parts.exec(place)?.groups ?? {};
  if (host === undefined) return { fault: 'another form' };
  const weight = Number(digits);
  if (weight < 1 || weight > TWEMPROXY_WEIGHT_MAX) return { fault: `a weight outside 1 to ${TWEMPROXY_WEIGHT_MAX}` };
  if (port === undefined) return { name: name ?? `${host}:`, address: { kind: 'unix', path: host }, weight };
  const number = Number(port);
  if (number < 1 || number > PORT_MAX) return { fault: `a port outside 1 to ${PORT_MAX}` };
  // As it stands there: a port with zeros before it is hashed with them.
  const unnamed = number === MEMCACHED_PORT ? host : `${host}:${port}`;
  return { name: name ?? unnamed, address: { kind: 'tcp', host, port: number }, weight };
}

/** Where a pool of twemproxy's listens, and the permissions of a unix socket as they are written, or null. */
export interface NutcrackerListen {
  address: Endpoint;
  permissions: string | null;
}

/** `host:port`, or `/path` with octal permissions after a space. The only host name taken is localhost. */
export function parseListen(text: string): NutcrackerListen | Fault {
  if (text.startsWith('/')) {
    const [, path = text, permissions = null] = /^(.*) ([^ ]*)$/s.exec(text) ?? [];
    if (permissions !== null && !/^[0-7]+$/.test(permissions)) return { fault: 'permissions that are no octal number' };
    return { address: { kind: 'unix', path }, permissions };
  }
  const { host, port } = /^(?<host>.+):(?<port>\d+)$/s.exec(text)?.groups ?? {};
  if (host === undefined) return { fault: 'another form' };
  const number = Number(port);
  if (number < 1 || number > PORT_MAX) return { fault: `a port outside 1 to ${PORT_MAX}` };
  const address = host === 'localhost' ? '127.0.0.1' : host;
  if (isIP(address) === 0) return { fault: 'a host name: write the IP address that it stands for' };
  return { address: { kind: 'tcp', host: address, port: number }, permissions: null };
}

/** The URL of a server in our configuration. */
export function serverUrl({ address }: NutcrackerServer, password: string | null): string {
  const login = password === null ? '' : `:${encodeURIComponent(password)}@`;
  if (address.kind === 'unix') return `unix:${login}${address.path}`;
  return `redis://${login}${formatEndpoint(address)}`;
}
