import { unlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import { type AdminSubject, startAdminServer } from '../../src/admin/server.js';
import { removeFolder, scratchFolder, startChild } from '../help/child.js';
import { freePort } from '../help/free-port.js';

const subject = (ready: () => boolean): AdminSubject => ({ ready, status: () => null });
const READY = subject(() => true);

t.test('/livez answers while the process runs, /readyz only when clients are taken', async (t) => {
  const port = await freePort();
  let isReady = false;
  const admin = await startAdminServer(
    { kind: 'tcp', host: '127.0.0.1', port },
    subject(() => isReady),
  );
  t.teardown(() => admin.stop());
  const status = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).status;
  t.equal(await status('/livez'), 200);
  t.equal(await status('/readyz'), 503);
  isReady = true;
  t.equal(await status('/readyz'), 200);
  t.equal(await status('/livez'), 200);
  t.equal(await status('/other'), 404);
  t.equal(await status('/status'), 503, 'while it starts');
});

t.test('it listens on IPv6 and on unix sockets too', async (t) => {
  const port = await freePort();
  const overIpv6 = await startAdminServer({ kind: 'tcp', host: '::1', port }, READY);
  t.teardown(() => overIpv6.stop());
  t.equal((await fetch(`http://[::1]:${port}/readyz`)).status, 200);

  // A unix socket's path is short: t.testdir would be too deep.
  const folder = scratchFolder('admin');
  t.teardown(() => removeFolder(folder));
  const path = join(folder, 'admin.sock');
  writeFileSync(path, '');
  await t.rejects(startAdminServer({ kind: 'unix', path }, READY), {
    message: /cannot listen on unix:/,
  });
  unlinkSync(path);
  await leaveStaleSocket(path);

  const overUnix = await startAdminServer({ kind: 'unix', path }, READY);
  t.teardown(() => overUnix.stop());
  const status = await new Promise((resolve, reject) => {
    const asked = request({ socketPath: path, path: '/livez' }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    asked.on('error', reject).end();
  });
  t.equal(status, 200);
});

t.test('it stops although a client keeps its connection', async (t) => {
  const port = await freePort();
  const admin = await startAdminServer({ kind: 'tcp', host: '127.0.0.1', port }, READY);
  const response = await fetch(`http://127.0.0.1:${port}/livez`, { headers: { connection: 'keep-alive' } });
  t.equal(await response.text(), 'ok\n');
  await admin.stop();
  await t.rejects(fetch(`http://127.0.0.1:${port}/livez`));
});

t.test('a port that is taken is an error that names it', async (t) => {
  const endpoint = { kind: 'tcp', host: '127.0.0.1', port: await freePort() } as const;
  const admin = await startAdminServer(endpoint, READY);
  t.teardown(() => admin.stop());
  await t.rejects(startAdminServer(endpoint, READY), {
    message: `cannot listen on 127.0.0.1:${endpoint.port}`,
  });
});

/** A socket file that nobody listens on, as a process leaves it that is killed. */
async function leaveStaleSocket(path: string): Promise<void> {
  const listen = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  const child = await startChild(process.execPath, ['-e', listen]);
  await child.ended;
}
