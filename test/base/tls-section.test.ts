/** Files that the configuration names: what is said of those that cannot be used. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { parseConfig } from '../../src/config.js';
import { Certificates, noCertificates } from '../help/certificates.js';

const reason = noCertificates();

if (reason !== null) t.pass(`not tried: ${reason}`, { skip: reason });
else {
  const certificates = new Certificates();
  t.teardown(() => certificates.remove());
  const { ca } = certificates;
  const [own, other] = [certificates.certify('a'), certificates.certify('b')];

  /** The problems as `COLUMN: TEXT` of the third line, with what is in the files that are given. */
  const problemsOf = (tls: object, files: Readonly<Record<string, string>> = {}) => {
    const readFile = (path: string) => files[path] ?? readFileSync(path, 'utf8');
    const section = JSON.stringify({ store: 'etcd', endpoints: ['https://h'], tls });
    const text = `pools: { main: { nodes: [redis://h] } }\ncoordination: ${section}`;
    const result = parseConfig(text, { workers: 1, environment: {}, readFile });
    return 'config' in result ? [] : result.problems.map(({ text }) => text);
  };

  t.test('certificates and keys that fit are good', async (t) => {
    t.same(problemsOf({}), []);
    t.same(problemsOf({ ca, ...own }), []);
  });

  t.test('files that cannot be used are named, each with the reason', async (t) => {
    const gone = '/nowhere/ca.pem';
    t.same(problemsOf({ ca: gone }), [
      `coordination.tls.ca: ${gone} cannot be used: ENOENT: no such file or directory, open '${gone}'`,
    ]);
    t.same(problemsOf({ ca: own.key, cert: own.key, key: own.cert }), [
      `coordination.tls.ca: ${own.key} cannot be used: it has no certificate in PEM`,
      `coordination.tls.cert: ${own.key} cannot be used: it has no certificate in PEM`,
      `coordination.tls.key: ${own.cert} cannot be used: it has no private key in PEM`,
    ]);
    t.same(problemsOf({ cert: own.cert, key: other.key }), ['coordination.tls.key: is not that of cert']);
    t.same(problemsOf({ cert: own.cert, key: '/k' }, { '/k': '-----BEGIN ENCRYPTED PRIVATE KEY-----\ns3cret' }), [
      'coordination.tls.key: /k cannot be used: it asks for a passphrase',
    ]);
  });
}
