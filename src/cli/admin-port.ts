/** The admin port of a running proxy, as commands find and ask it. */
import { request } from 'node:http';
import { parseListenAddress } from '../base/address.js';
import { type Endpoint, formatEndpoint } from '../base/endpoint.js';
import { UsageError } from '../base/usage-error.js';
import type { Option } from './command.js';
import { RunningConfig, reachable } from './running-config.js';

export const ADMIN_OPTION = {
  value: 'ADDRESS',
  short: 'a',
  about: 'its admin port: 127.0.0.1:9121 (unless said otherwise), [::1]:9121 or unix:/path',
} as const satisfies Option;

const USUAL: Endpoint = { kind: 'tcp', host: '127.0.0.1', port: 9121 };
/** Milliseconds. A proxy that takes longer to say that it is well is not. */
const TIMEOUT_MS = 2_000;

/** Where the options say that the admin port is. Throws an error in plain words. */
export function adminEndpoint({ config, admin }: { config?: string; admin?: string }): Endpoint {
  if (admin !== undefined && config !== undefined)
    throw new UsageError('--config or --admin, not both: each says where');
  if (admin !== undefined) {
    const endpoint = parseListenAddress(admin);
    if ('fault' in endpoint)
      throw new UsageError(`--admin: expected 127.0.0.1:9121 or unix:/path, found ${endpoint.fault}`);
    return reachable(endpoint);
  }
  return config === undefined ? USUAL : configuredAdmin(config);
}

function configuredAdmin(path: string): Endpoint {
  const admin = new RunningConfig(path).addressAt(['admin']);
  if (admin === null) throw new Error(`${path} has no admin port: add the line "admin: ${formatEndpoint(USUAL)}"`);
  return admin;
}

export interface Answer {
  code: number;
  text: string;
}

/** GET `path`. Rejects with an error in plain words when there is no answer within two seconds. */
export function askAdmin(endpoint: Endpoint, path: string): Promise<Answer> {
  const where = formatEndpoint(endpoint);
  const target =
    endpoint.kind === 'unix' ? { socketPath: endpoint.path } : { host: endpoint.host, port: endpoint.port };
  return new Promise((resolve, reject) => {
    // All of it, connecting and reading, within one limit.
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const fail = (error: NodeJS.ErrnoException) => {
      const late = `no answer from ${where} within ${TIMEOUT_MS / 1_000} s`;
      reject(new Error(signal.aborted ? late : `no answer from ${where}: ${WORDS[error.code ?? ''] ?? error.message}`));
    };
    const asked = request({ ...target, path, signal, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('error', fail);
      response.on('end', () => resolve({ code: response.statusCode ?? 0, text }));
    });
    asked.on('error', fail);
    asked.end();
  });
}

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOENT: 'there is no such socket',
  EACCES: 'permission denied',
};
