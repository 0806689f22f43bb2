/** Where a running proxy takes clients, and as whom, as commands find it that are its clients. */
import { parseNodeAddress, parseServer } from '../base/address.js';
import type { Endpoint } from '../base/endpoint.js';
import { UsageError } from '../base/usage-error.js';
import type { Option } from './command.js';
import { RunningConfig } from './running-config.js';

export const PROXY_OPTION = {
  value: 'ADDRESS',
  about: 'where it takes clients: host:port, redis://[user:password@]host:port or unix:/path',
} as const satisfies Option;

export interface Door {
  endpoint: Endpoint;
  user: string | null;
  password: string | null;
}

const PORT = 6380;
const USUAL: Endpoint = { kind: 'tcp', host: '127.0.0.1', port: PORT };

/**
 * Where the options say. The password is that of the URL or of the file, else what the environment has as RINGLEADER_PASSWORD. Throws an
 * error in plain words, without a password.
 */
export function proxyDoor({ config, proxy }: { config?: string; proxy?: string }): Door {
  if (proxy !== undefined && config !== undefined)
    throw new UsageError('--config or --proxy, not both: each says where');
  const door = config === undefined ? addressedDoor(proxy) : configuredDoor(config);
  return { ...door, password: door.password ?? (process.env['RINGLEADER_PASSWORD'] || null) };
}

function addressedDoor(text: string | undefined): Door {
  if (text === undefined) return { endpoint: USUAL, user: null, password: null };
  const isUrl = text.startsWith('unix:') || text.includes('://');
  const found = isUrl ? parseNodeAddress(text) : parseServer(text, PORT);
  if ('fault' in found)
    throw new UsageError(`--proxy: expected host:port, redis://host:port or unix:/path, found ${found.fault}`);
  if (!('address' in found)) return { endpoint: found, user: null, password: null };
  return { endpoint: found.address, user: found.username, password: found.password };
}

/** The first address of the file; where it has services, of the first that has locks. */
function configuredDoor(path: string): Door {
  const config = new RunningConfig(path);
  const services = config.valueAt(['services']);
  const at = Array.isArray(services) ? ['services', lockServiceOf(path, services)] : [];
  const endpoint = config.addressAt([...at, 'listen', 0]) ?? config.addressAt([...at, 'listen']) ?? USUAL;
  return {
    endpoint,
    user: config.textAt(['auth', 'user']),
    // Of two that hold while it is changed the first is the new one.
    password: config.textAt(['auth', 'password', 0]) ?? config.textAt(['auth', 'password']),
  };
}

function lockServiceOf(path: string, services: readonly unknown[]): number {
  const found = services.findIndex((service) => {
    const { keyspaces } = (service ?? {}) as { keyspaces?: unknown };
    return (
      Array.isArray(keyspaces) && keyspaces.some((keyspace: { mode?: unknown } | null) => keyspace?.mode === 'lock')
    );
  });
  if (found === -1) throw new Error(`${path}: none of its services has a keyspace with mode: lock`);
  return found;
}
