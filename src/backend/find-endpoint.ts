/** Where to connect to for a node: names are resolved by the control plane, at each connection anew. */
import type { Endpoint } from '../base/endpoint.js';

/** Resolves a host name through the control plane. Calls back once, never from inside the call. */
export type Resolve = (host: string, port: number, done: (host: string | null, error: string | null) => void) => void;

/** Calls `done` once, with the endpoint or with null and why; from inside the call where nothing is to be resolved. */
export function findEndpoint(
  resolve: Resolve,
  address: Endpoint,
  done: (endpoint: Endpoint | null, error: string) => void,
): void {
  if (address.kind === 'unix' || isAddress(address.host)) {
    done(address, '');
    return;
  }
  resolve(address.host, address.port, (host, error) => {
    if (host !== null) done({ kind: 'tcp', host, port: address.port }, '');
    else done(null, `${address.host} cannot be resolved: ${error}`);
  });
}

/** Whether `host` is an IPv4 or IPv6 address, which no resolver need see. */
function isAddress(host: string): boolean {
  return /^\d+\.\d+\.\d+\.\d+$/.test(host) || host.includes(':');
}
