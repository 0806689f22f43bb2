/** Where clients come in, as the configuration writes it: an address, or a list; of the file, or of one service. */
import { z } from 'zod';
import { isLocal, LISTEN_FORMS, listenAddress } from './address.js';
import { type Endpoint, formatEndpoint } from './endpoint.js';
import { type Complain, expecting, value } from './schema.js';
import type { Path } from './yaml-source.js';

export const ADDRESS = value(LISTEN_FORMS, listenAddress, {
  type: 'string',
  pattern: '^[^:]+:\\d+$|^\\[.*\\]:\\d+$|^unix:/|\\$\\{',
});

export const LISTEN = z
  .preprocess(
    (input) => (Array.isArray(input) || input === undefined ? input : [input]),
    z.array(ADDRESS, expecting(LISTEN_FORMS)),
  )
  .meta({ shortForm: ADDRESS.meta(), expected: LISTEN_FORMS });

/** Addresses, and where they stand. */
export interface PlacedListen {
  path: Path;
  listen: readonly Endpoint[];
}

/** What is there twice, or not at all. Of the admin server, which listens on `admin`, too. */
export function checkListen(lists: readonly PlacedListen[], admin: Endpoint | null, complain: Complain): void {
  const seen: Endpoint[] = [];
  for (const { path, listen } of lists) {
    if (listen.length === 0) complain(path, ': expected at least one address, found none');
    for (const [index, endpoint] of listen.entries()) {
      checkTaken([...path, index], endpoint, seen, complain);
      seen.push(endpoint);
    }
  }
  if (admin !== null) checkTaken(['admin'], admin, seen, complain);
}

/** As Redis's protected mode: who forgot a password does not serve the world. */
export function checkProtected(lists: readonly PlacedListen[], complain: Complain): void {
  for (const { path, listen } of lists) {
    for (const [index, endpoint] of listen.entries()) {
      if (isLocal(endpoint)) continue;
      const reason = `${formatEndpoint(endpoint)} can be reached from other machines, and clients need no password`;
      const ways = 'set auth: { password: … }, or listen on 127.0.0.1 or a unix socket';
      complain([...path, index], `: ${reason}: ${ways}, or say protectedMode: no where the network keeps others out`);
    }
  }
}

function checkTaken(path: Path, endpoint: Endpoint, seen: readonly Endpoint[], complain: Complain): void {
  const address = formatEndpoint(endpoint);
  const other = seen.find((other) => isSamePlace(endpoint, other));
  if (other === undefined) return;
  const isSame = formatEndpoint(other) === address;
  complain(path, isSame ? `: ${address} is listed twice` : `: ${address} is taken by ${formatEndpoint(other)}`);
}

/** Whether the system lets only one of them be listened on. [::] is of IPv6 alone; for each port 0 it chooses one. */
function isSamePlace(one: Endpoint, other: Endpoint): boolean {
  if (one.kind === 'unix' || other.kind === 'unix') return formatEndpoint(one) === formatEndpoint(other);
  if (one.port !== other.port || one.port === 0) return false;
  if (one.host === other.host) return true;
  const isOneFamily = one.host.includes(':') === other.host.includes(':');
  return isOneFamily && [one.host, other.host].some((host) => host === '0.0.0.0' || host === '::');
}
