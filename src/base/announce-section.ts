/**
 * `announce` of the configuration: where cluster clients are told to connect, where that is not the address by which they came (behind
 * NAT, out of a container). As Redis's cluster-announce-ip and cluster-announce-port, for each address that is listened on.
 */
import { z } from 'zod';
import { parseServer } from './address.js';
import { type Endpoint, formatEndpoint, type TcpEndpoint } from './endpoint.js';
import { type Advice, type Complain, expecting, type Fault, value } from './schema.js';
import type { Path } from './yaml-source.js';

const FORMS = 'host:port, or a list with one for each address of listen';

const ADDRESS = value(FORMS, announcedAddress, { type: 'string', pattern: ':\\d+$|\\$\\{' });

export const ANNOUNCE = z
  .preprocess(
    (input) => (Array.isArray(input) || input === undefined ? input : [input]),
    z.array(ADDRESS, expecting(FORMS)),
  )
  .meta({ shortForm: ADDRESS.meta(), expected: FORMS });

/** Who comes in at `listen` is told of `address`. */
export interface Announced {
  listen: Endpoint;
  address: TcpEndpoint;
}

/** What stands in the configuration of one service: addresses that are announced, and how many it listens on. */
export interface PlacedAnnounce {
  path: Path;
  announce: readonly TcpEndpoint[];
  listenCount: number;
}

/** One is for all. */
export function completeAnnounce(listen: readonly Endpoint[], announce: readonly TcpEndpoint[] = []): Announced[] {
  return listen.flatMap((endpoint, index) => {
    const address = announce.length === 1 ? announce[0] : announce[index];
    return address === undefined ? [] : [{ listen: endpoint, address }];
  });
}

export function checkAnnounce(lists: readonly PlacedAnnounce[], complain: Complain): void {
  for (const { path, announce, listenCount } of lists) {
    if (announce.length === 1 || announce.length === listenCount) continue;
    const found = `found ${announce.length} for ${listenCount} in listen`;
    complain(path, `: expected one address, or one for each of listen, ${found}`);
  }
}

/** What is announced to whom the system says came in at `local` (as `formatEndpoint` writes it), or null. */
export function announcedAt(list: readonly Announced[], local: string): TcpEndpoint | null {
  const exact = list.find(({ listen }) => formatEndpoint(listen) === local);
  return (exact ?? list.find(({ listen }) => covers(listen, local)))?.address ?? null;
}

/** Whether `listen` is every interface, or a port that the system has chosen, and `local` may be one of it. */
function covers(listen: Endpoint, local: string): boolean {
  if (listen.kind === 'unix' || local.startsWith('unix:')) return false;
  const colon = local.lastIndexOf(':');
  const host = local.slice(0, colon).replace(/^\[|\]$/g, '');
  const isOfFamily = listen.host.includes(':') === host.includes(':');
  const isItsHost = listen.host === host || (isOfFamily && /^(0\.0\.0\.0|[0:]+)$/.test(listen.host));
  return isItsHost && (listen.port === 0 || listen.port === Number(local.slice(colon + 1)));
}

function announcedAddress(input: unknown): TcpEndpoint | Fault | Advice | null {
  if (typeof input !== 'string') return null;
  if (input.includes('://')) return { fault: 'a URL', advice: 'leave out what stands before the host' };
  if (/^([^:[\]]+|\[.*\])$/.test(input)) return { fault: 'no port', advice: `write ${input}:6380` };
  const address = parseServer(input, 0);
  if ('fault' in address) return address;
  return /^(0\.0\.0\.0|[0:]+)$/.test(address.host)
    ? { fault: 'every interface', advice: 'write the address that clients are to connect to' }
    : address;
}
