/**
 * Whether a node's address is one where the proxy itself listens: it would be a client of its own, and every command would go
 * round in it until something gives up.
 */
import { BlockList, isIP } from 'node:net';
import { normalize } from 'node:path';
import type { NodeAddress } from './address.js';
import type { Endpoint } from './endpoint.js';
import type { PlacedListen } from './listen-section.js';
import { type Complain, formatPath } from './schema.js';

/** Nodes of a pool, in the order of the file. */
type Pools = Readonly<Record<string, { nodes: readonly { url: NodeAddress }[] }>>;

/**
 * Complains of each node in `pools` that one of `lists`, or the admin server on `admin`, answers for. 0.0.0.0 and [::] stand for
 * loopback and those of `ownAddresses`, which are the machine's. A host name is not looked up; localhost is known.
 */
export function checkOwnAddresses(
  pools: Pools,
  lists: readonly PlacedListen[],
  admin: Endpoint | null,
  ownAddresses: readonly string[],
  complain: Complain,
): void {
  const doors = [...lists, ...(admin === null ? [] : [{ path: ['admin'], listen: [admin] }])].flatMap(
    ({ path, listen }) => listen.map((endpoint) => ({ path, covers: coverage(endpoint, ownAddresses) })),
  );
  for (const [name, { nodes }] of Object.entries(pools)) {
    for (const [index, { url }] of nodes.entries()) {
      const door = doors.find(({ covers }) => covers(url.address));
      if (door === undefined) continue;
      // Without the address: it may be what a variable of the environment stands for.
      const where = formatPath(door.path);
      const why = `the proxy itself answers there (${where}), and would be its own client`;
      complain(['pools', name, 'nodes', index], `: ${why}: write the address of the Redis server, or change ${where}`);
    }
  }
}

/** Says of a node's address whether who listens on `listen` gets what is sent there. */
function coverage(listen: Endpoint, ownAddresses: readonly string[]): (node: Endpoint) => boolean {
  if (listen.kind === 'unix') {
    const path = normalize(listen.path);
    return (node) => node.kind === 'unix' && normalize(node.path) === path;
  }
  // The system chooses another port each time.
  if (listen.port === 0) return () => false;
  const hosts = new BlockList();
  const add = (host: string) => hosts.addAddress(host, isIP(host) === 6 ? 'ipv6' : 'ipv4');
  add(listen.host);
  if (hosts.check('0.0.0.0')) {
    hosts.addSubnet('127.0.0.0', 8);
    for (const host of ownAddresses) if (isIP(host) === 4) add(host);
  } else if (hosts.check('::', 'ipv6')) {
    add('::1');
    for (const host of ownAddresses) if (isIP(host) === 6) add(host);
  }
  return (node) => {
    if (node.kind === 'unix' || node.port !== listen.port) return false;
    return connectedHosts(node.host).some((host) => hosts.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4'));
  };
}

/** The IP addresses that a connection to `host` may go to, where that is known without looking the name up. */
function connectedHosts(host: string): string[] {
  if (/^localhost\.?$/i.test(host)) return ['127.0.0.1', '::1'];
  // Who connects to no address in particular reaches loopback.
  if (host === '0.0.0.0') return ['127.0.0.1'];
  if (/^[0:]+$/.test(host)) return ['::1'];
  return isIP(host) === 0 ? [] : [host];
}
