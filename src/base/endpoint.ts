/**
 * Where a node or a listener is. As a worker connects to it, `host` is an IPv4 or IPv6 address; as the configuration and
 * the topology hold it, `host` may be a name, which the control plane resolves (again at every reconnect).
 */
export type Endpoint = TcpEndpoint | { kind: 'unix'; path: string };

export interface TcpEndpoint {
  kind: 'tcp';
  host: string;
  port: number;
}

/** `127.0.0.1:6379`, `[::1]:6379` or `unix:/path`: as logs and errors show it. */
export function formatEndpoint(endpoint: Endpoint): string {
  if (endpoint.kind === 'unix') return `unix:${endpoint.path}`;
  return endpoint.host.includes(':') ? `[${endpoint.host}]:${endpoint.port}` : `${endpoint.host}:${endpoint.port}`;
}

export function isSameEndpoint(one: Endpoint, other: Endpoint): boolean {
  if (one.kind === 'unix' || other.kind === 'unix')
    return one.kind === other.kind && formatEndpoint(one) === formatEndpoint(other);
  return one.port === other.port && one.host === other.host;
}

/** What `formatEndpoint` has written; null for what it has not. */
export function readEndpoint(text: string): Endpoint | null {
  if (text.startsWith('unix:')) return { kind: 'unix', path: text.slice('unix:'.length) };
  const found = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  return found === null ? null : { kind: 'tcp', host: (found[1] ?? found[2]) as string, port: Number(found[3]) };
}
