/**
 * `announce` of the configuration: where cluster clients are told to connect, where that is not the address by which they came (behind
 * NAT, out of a container). As Redis's cluster-announce-ip and cluster-announce-port, for each address that is listened on.
 */
import { z } from 'zod';
import { parseServer } from './address.js';
import type { Announced } from './announced.js';
import type { Endpoint, TcpEndpoint } from './endpoint.js';
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
