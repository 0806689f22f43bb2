/** What this process is called in its fleet, where the configuration does not say it: by where clients find it. */
import { isLocal } from '../base/address.js';
import { formatEndpoint } from '../base/endpoint.js';
import type { Config } from '../config.js';

/** `hostname`: of this machine. The port is that of the configuration: see `checkCoordination` for 0. */
export function memberName({ coordination, listen }: Config, hostname: string): string {
  if (coordination.member !== null) return coordination.member;
  const machine = hostname.replaceAll(/[^\w.-]/g, '-');
  const [first] = listen;
  if (first === undefined) return machine;
  if (first.kind === 'unix') return `${machine}:${first.path.replaceAll(/[^\w.-]+/g, '-')}`;
  // Other machines have such an address, too.
  const isShared = isLocal(first) || first.host === '0.0.0.0' || first.host === '::';
  return isShared ? `${machine}:${first.port}` : formatEndpoint(first);
}
