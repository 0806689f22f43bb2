/** Certificates for tests: an authority of their own, and what it certifies, by the command `openssl`. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { removeFolder, scratchFolder } from './child.js';

/** Paths of files in PEM. */
export interface Certified {
  cert: string;
  key: string;
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
const DAYS = ['-days', '2'];

/** Why there are no certificates on this machine, or null. */
export function noCertificates(): string | null {
  return spawnSync('openssl', ['version']).status === 0 ? null : 'there is no openssl';
}

export class Certificates {
  /** What it certifies itself by. */
  readonly ca: string;
  private readonly folder = scratchFolder('certificates');
  private readonly caKey: string;
  private count = 0;

  constructor() {
    this.ca = join(this.folder, 'ca.pem');
    this.caKey = join(this.folder, 'ca.key');
    openssl(
      'req',
      '-x509',
      ...KEY,
      ...DAYS,
      '-subj',
      '/CN=the authority of a test',
      '-keyout',
      this.caKey,
      '-out',
      this.ca,
    );
  }

  /** For servers at these hosts and addresses, and for clients. `name`: its common name; '' for none. */
  certify(name: string, hosts: readonly string[] = ['localhost', '127.0.0.1']): Certified {
    const path = (suffix: string) => join(this.folder, `${this.count}.${suffix}`);
    this.count++;
    const names = hosts.map((host) => `${/^[\d.]+$/.test(host) ? 'IP' : 'DNS'}:${host}`).join(',');
    writeFileSync(path('ext'), `subjectAltName=${names}\nextendedKeyUsage=serverAuth,clientAuth\n`);
    openssl(
      'req',
      ...KEY,
      '-subj',
      `/O=tests${name === '' ? '' : `/CN=${name}`}`,
      '-keyout',
      path('key'),
      '-out',
      path('csr'),
    );
    const signing = ['-CA', this.ca, '-CAkey', this.caKey, '-CAcreateserial', '-extfile', path('ext')];
    openssl('x509', '-req', ...DAYS, ...signing, '-in', path('csr'), '-out', path('pem'));
    return { cert: path('pem'), key: path('key') };
  }

  remove(): void {
    removeFolder(this.folder);
  }
}

function openssl(...args: string[]): void {
  const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`);
}
