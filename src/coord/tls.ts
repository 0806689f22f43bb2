/** TLS to a server of the coordination store: what the two show each other, and in words why they do not trust each other. */
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import type { TlsConfig } from '../base/tls-section.js';
import { StoreError } from './store-error.js';

/** Reads the files of now: they are renewed while the process runs. Throws a StoreError. */
export function tlsOptions({ ca, cert, key, serverName }: TlsConfig): ConnectionOptions {
  const own = cert === null || key === null ? {} : { cert: readPem(cert), key: readPem(key) };
  return {
    ...own,
    ...(ca === null ? {} : { ca: readPem(ca) }),
    ...(serverName === null ? {} : { servername: serverName }),
  };
}

/** Why the two do not trust each other, and what to look at; null where the error is another. Nothing was carried out. */
export function distrust({ code = '', message }: NodeJS.ErrnoException): string | null {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `its certificate is for another host (see tls.serverName): ${message}`;
  if (NOT_TRUSTED.test(code)) return `its certificate cannot be trusted (see tls.ca): ${message}`;
  // What OpenSSL says: error:CODE:LIBRARY:FUNCTION:REASON:FILE:LINE:SSL alert number N
  const [, reason] = /:SSL routines:[^:]*:([^:]+):/.exec(message) ?? [];
  if (reason === 'wrong version number' || reason === 'packet length too long')
    return 'it does not speak TLS at this port';
  const [, alert] = /:SSL alert number (\d+)/.exec(message) ?? [];
  if (!NOT_TRUSTING.includes(Number(alert))) return null;
  return `it does not trust this process (see tls.cert): ${reason}`;
}

/** What is to be said where `isBeforeTls`. */
export const BEFORE_TLS =
  'it closed the connection before TLS was agreed on: it is being stopped, or speaks no TLS at this port';

/** The server has closed the connection in the midst of the handshake: nothing was sent. Node has no code of its own for it. */
export function isBeforeTls({ code, message }: NodeJS.ErrnoException): boolean {
  return code === 'ECONNRESET' && message.includes('before secure TLS connection was established');
}

/** As Node names what OpenSSL says of a certificate (X509_V_ERR_…, "Certificate error codes" in Node's documentation of tls). */
const NOT_TRUSTED = /^(UNABLE_TO_|CERT_|SELF_SIGNED_CERT|DEPTH_ZERO_|INVALID_CA$|INVALID_PURPOSE$|ERROR_IN_CERT_)/;

/** The alerts by which a server ends a handshake because of who asks, or of what it asks with (RFC 8446, 6.2; 41 is of SSL 3). */
const NOT_TRUSTING: readonly number[] = [40, 41, 42, 43, 44, 45, 46, 48, 49, 116];

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new StoreError('unavailable', `${path} cannot be read: ${(error as Error).message}`, error);
  }
}
