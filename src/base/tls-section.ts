/**
 * The section `tls` of the configuration: by what a server shows who it is, and this process to it. The files themselves are read by
 * whoever connects; here it is said what is wrong with them, without showing what is in them.
 *
 *   tls: { ca: /etc/ringleader/ca.pem, cert: /etc/ringleader/member.pem, key: /etc/ringleader/member.key }
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { about, absolutePath, type Complain, expecting, text } from './schema.js';
import type { Path } from './yaml-source.js';

/** Paths of files in PEM. */
export interface TlsConfig {
  /** The authorities that the server's certificate is to come from; null: those that Node knows. */
  ca: string | null;
  /** What this process shows the server; both or none. */
  cert: string | null;
  key: string | null;
  /** What the server's certificate is to be for; null: the host that was connected to. */
  serverName: string | null;
}

const SERVER_NAME = /^[\w.-]{1,253}$/;

export const TLS = z
  .strictObject(
    {
      ca: about(
        absolutePath('the absolute path of a file'),
        'Certificates (PEM) of the authorities that certify the server. Those that the system trusts are not asked then. ' +
          'Without it: those that Node knows.',
        { example: '/etc/ringleader/ca.pem' },
      ),
      cert: about(
        absolutePath('the absolute path of a file'),
        'The certificate (PEM, with those in between) that this process shows the server, where it asks for one.',
        { example: '/etc/ringleader/member.pem' },
      ),
      key: about(absolutePath('the absolute path of a file'), 'The private key (PEM, without a passphrase) of cert.', {
        example: '/etc/ringleader/member.key',
      }),
      serverName: about(
        text<string>('the name of a host', (name) => (SERVER_NAME.test(name) ? name : null), '^[\\w.-]{1,253}$'),
        'What the certificate of the server is to be for, where that is not the host of the endpoint.',
        { example: 'store.internal' },
      ),
    },
    expecting('a map: { ca: /etc/ringleader/ca.pem }'),
  )
  .partial();

export type TlsSection = z.infer<typeof TLS>;

export function completeTls({ ca, cert, key, serverName }: TlsSection): TlsConfig {
  return { ca: ca ?? null, cert: cert ?? null, key: key ?? null, serverName: serverName ?? null };
}

/** `readFile` returns what is in a file, or throws an error that says why not; without it files are not looked at. */
export function checkTls(
  path: Path,
  { ca, cert, key }: TlsSection,
  readFile: ((path: string) => string) | undefined,
  complain: Complain,
): void {
  if (cert !== undefined && key === undefined) complain([...path, 'cert'], ': needs its key, too');
  if (key !== undefined && cert === undefined) complain([...path, 'key'], ': needs its cert, too');
  if (readFile === undefined) return;
  const parsed = <A>(name: string, file: string | undefined, parse: (pem: string) => A): A | null => {
    if (file === undefined) return null;
    try {
      return parse(readFile(file));
    } catch (error) {
      complain([...path, name], `: ${file} cannot be used: ${(error as Error).message}`);
      return null;
    }
  };
  parsed('ca', ca, firstCertificate);
  const own = parsed('cert', cert, firstCertificate);
  const ownKey = parsed('key', key, privateKey);
  if (own !== null && ownKey !== null && !own.checkPrivateKey(ownKey))
    complain([...path, 'key'], ': is not that of cert');
}

function firstCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw new Error('it has no certificate in PEM', { cause: error });
  }
}

function privateKey(pem: string) {
  if (/ENCRYPTED/.test(pem)) throw new Error('it asks for a passphrase');
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw new Error('it has no private key in PEM', { cause: error });
  }
}
