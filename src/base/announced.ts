/** Where cluster clients are told to connect: what announce-section.ts reads, as workers go by it. */
import { type Endpoint, formatEndpoint, type TcpEndpoint } from './endpoint.js';

/** Who comes in at `listen` is told of `address`. */
export interface Announced {
  listen: Endpoint;
  address: TcpEndpoint;
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
