import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { adminEndpoint, askAdmin } from '../../src/cli/admin-port.js';
import { freePort } from '../help/free-port.js';

function file(t: Test, text: string): string {
  return join(t.testdir({ 'ringleader.yml': text }), 'ringleader.yml');
}

t.test('the admin port is where the option or the file says, and reached by loopback', async (t) => {
  const at = (host: string, port: number) => ({ kind: 'tcp', host, port });
  t.same(adminEndpoint({}), at('127.0.0.1', 9121));
  t.same(adminEndpoint({ admin: '0.0.0.0:80' }), at('127.0.0.1', 80));
  t.same(adminEndpoint({ admin: '[::]:80' }), at('::1', 80));
  t.same(adminEndpoint({ admin: '[fe80::1]:80' }), at('fe80::1', 80));
  t.same(adminEndpoint({ admin: 'unix:/run/a.sock' }), { kind: 'unix', path: '/run/a.sock' });
  t.same(adminEndpoint({ config: file(t, 'admin: 0.0.0.0:99') }), at('127.0.0.1', 99));
});

t.test('of the file nothing but that line is read: the rest may be wrong, and secrets may be missing', async (t) => {
  const path = file(t, 'admin: "127.0.0.1:${NO_SUCH_PORT:-77}"\npolls: 3\nauth: { password: "${NO_SUCH_SECRET}" }\n');
  t.same(adminEndpoint({ config: path }), { kind: 'tcp', host: '127.0.0.1', port: 77 });
});

t.test('what is wrong is said', async (t) => {
  const wrong: [{ config?: string; admin?: string }, RegExp][] = [
    [{ admin: 'x:1' }, /--admin: expected 127\.0\.0\.1:9121 or unix:\/path, found a host that is not/],
    [{ admin: '1.2.3.4:5', config: 'x' }, /not both/],
    [{ config: '/no/such.yml' }, /\/no\/such\.yml cannot be read/],
    [{ config: file(t, 'listen: 127.0.0.1:1') }, /has no admin port: add the line "admin: 127\.0\.0\.1:9121"/],
  ];
  for (const [options, message] of wrong) t.throws(() => adminEndpoint(options), { message });
  t.throws(() => adminEndpoint({ config: file(t, 'admin: "${NO_SUCH_PORT}"') }), {
    message: /no variable NO_SUCH_PORT/,
  });
  t.throws(() => adminEndpoint({ config: file(t, 'a: [') }), { message: /not valid YAML: ringleader check --config/ });
});

t.test('an answer has its code and its text', async (t) => {
  const server = createHttpServer((request, response) => response.writeHead(503).end(`no ${request.url}`));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  t.same(await askAdmin({ kind: 'tcp', host: '127.0.0.1', port }, '/x'), { code: 503, text: 'no /x' });
});

t.test('who does not answer is given up after two seconds, whatever keeps it', async (t) => {
  // The one says nothing; the other never comes to an end.
  const silent = createServer(() => {});
  const endless = createHttpServer((_request, response) => response.write('a'));
  for (const server of [silent, endless]) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await t.rejects(askAdmin({ kind: 'tcp', host: '127.0.0.1', port }, '/readyz'), {
      message: `no answer from 127.0.0.1:${port} within 2 s`,
    });
    if ('closeAllConnections' in server) server.closeAllConnections();
    server.close();
  }
  const port = await freePort();
  await t.rejects(askAdmin({ kind: 'tcp', host: '127.0.0.1', port }, '/'), { message: /nothing listens there/ });
  await t.rejects(askAdmin({ kind: 'unix', path: '/no/such.sock' }, '/'), { message: /there is no such socket/ });
});
