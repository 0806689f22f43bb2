/**
 * Where the servers of etcd or ZooKeeper are, as the configuration writes it.
 *
 *   http://host[:port] or https://host[:port]     etcd
 *   host[:port]                                   ZooKeeper
 *
 * Of what is wrong with one nothing is shown: it may hold a password.
 */
import { z } from 'zod';
import { parseServer } from './address.js';
import { formatEndpoint, type TcpEndpoint } from './endpoint.js';
import { type Advice, type Complain, duplicates, expecting, type Fault, value } from './schema.js';

const ENDPOINTS_MAX = 32;
export const ENDPOINTS_FORM = 'a list of servers: ["http://10.0.0.1:2379"] for etcd, ["10.0.0.1:2181"] for zookeeper';

export type ServerStore = 'etcd' | 'zookeeper';

const PORTS: Readonly<Record<ServerStore, number>> = { etcd: 2379, zookeeper: 2181 };

/** An endpoint, and what stood before the host. */
export interface WrittenEndpoint {
  scheme: 'http' | 'https' | null;
  /** With the port that the store has where none is written. */
  at: Readonly<Record<ServerStore, TcpEndpoint>>;
}

const ENDPOINT = value('http://host[:port] or https://host[:port] for etcd, host[:port] for zookeeper', endpoint, {
  type: 'string',
});

export const ENDPOINTS = z
  .array(ENDPOINT, expecting(ENDPOINTS_FORM))
  .max(ENDPOINTS_MAX, `at most ${ENDPOINTS_MAX} servers`);

/** Those that are not for the store, or do not go together. `hasTls`: the section says how it is spoken. */
export function checkEndpoints(
  store: ServerStore,
  endpoints: readonly WrittenEndpoint[],
  hasTls: boolean,
  complain: Complain,
): void {
  const path = ['coordination', 'endpoints'];
  if (endpoints.length === 0) complain(path, ': expected at least one server, found none');
  const isMixed = new Set(endpoints.map(({ scheme }) => scheme)).size > 1;
  for (const [index, { scheme, at }] of endpoints.entries()) {
    const place = [...path, index];
    const where = formatEndpoint(at[store]);
    if (store === 'zookeeper' && scheme !== null) complain(place, `: zookeeper speaks no HTTP; write ${where}`);
    if (store !== 'etcd') continue;
    if (scheme === null) complain(place, `: etcd speaks HTTP; write ${hasTls ? 'https' : 'http'}://${where}`);
    else if (scheme === 'http' && hasTls) complain(place, `: has no TLS, and there is tls; write https://${where}`);
    else if (scheme === 'http' && isMixed) complain(place, ': has no TLS, which others of the list have');
  }
  for (const [index, address] of duplicates(endpoints.map(({ at }) => formatEndpoint(at[store])))) {
    complain([...path, index], `: ${address} is listed twice`);
  }
}

function endpoint(input: unknown): WrittenEndpoint | Fault | Advice | null {
  if (typeof input !== 'string') return typeof input === 'number' ? { fault: 'a port without a host' } : null;
  const [, before, rest = ''] = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(.*)$/is.exec(input) ?? [];
  const scheme = before?.toLowerCase() ?? null;
  if (scheme !== null && scheme !== 'http' && scheme !== 'https') {
    return { fault: 'another scheme than http:// and https://' };
  }
  if (rest.includes('@'))
    return { fault: 'a user before the host', advice: 'write username: and password: beside endpoints' };
  if (/,|\s/.test(rest))
    return { fault: 'several servers in one text, or a blank', advice: 'each is an item of the list' };
  const [, place = '', path = ''] = /^([^/?#]*)(.*)$/s.exec(rest) ?? [];
  if (path !== '' && path !== '/')
    return { fault: 'something after the port', advice: 'a name for all keys is cluster: NAME' };
  const [etcd, zookeeper] = [parseServer(place, PORTS.etcd), parseServer(place, PORTS.zookeeper)];
  if ('fault' in etcd) return etcd;
  return 'fault' in zookeeper ? zookeeper : { scheme, at: { etcd, zookeeper } };
}
