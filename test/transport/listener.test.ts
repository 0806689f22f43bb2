import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import type { Endpoint } from '../../src/base/endpoint.js';
import { closeListener, openListener, tryListener } from '../../src/transport/listener.js';
import { system } from '../../src/transport/system.js';
import type { TransportError } from '../../src/transport/transport.js';
import { hasIPv6, LOOPBACK, plainClient, socketDirectory } from './rig.js';

/** Both ways to find out whether one can listen somewhere. */
const ways: Record<string, (endpoint: Endpoint) => Promise<Endpoint>> = {
  openListener: async (endpoint) => {
    const listener = openListener(endpoint);
    closeListener(listener);
    return listener.endpoint;
  },
  tryListener,
};

async function refusal(action: Promise<unknown>): Promise<TransportError> {
  try {
    await action;
  } catch (error) {
    return error as TransportError;
  }
  throw new Error('nothing was refused');
}

for (const [name, listen] of Object.entries(ways)) {
  t.test(`${name} chooses a port, and says it`, async (t) => {
    const endpoint = await listen(LOOPBACK);
    t.ok(endpoint.kind === 'tcp' && endpoint.port > 0);
    t.same(await listen(endpoint), endpoint, 'which is free again');
  });

  t.test(`${name} says in plain words why it cannot listen`, async (t) => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.teardown(() => server.close());
    const { port } = server.address() as { port: number };
    const taken = await refusal(listen({ kind: 'tcp', host: '127.0.0.1', port }));
    t.equal(taken.code, 'EADDRINUSE');
    t.equal(taken.message, `cannot listen on 127.0.0.1:${port}: another process listens there`);
    const foreign = await refusal(listen({ kind: 'tcp', host: '192.0.2.1', port: 0 }));
    t.equal(foreign.message, 'cannot listen on 192.0.2.1:0: this machine has no such address');
    const path = join(socketDirectory(t), 'missing', 's');
    const missing = await refusal(listen({ kind: 'unix', path }));
    t.match(missing.message, /its directory does not exist|permission denied/);
  });

  t.test(`${name} replaces a socket file that a dead process left, and no other file`, async (t) => {
    const directory = socketDirectory(t);
    const path = join(directory, 's');
    const stale = openListener({ kind: 'unix', path });
    // Closed as a death closes it: the file stays.
    system().close(stale.descriptor);
    t.ok(existsSync(path));
    await listen({ kind: 'unix', path });
    t.notOk(existsSync(path), 'closing removes the file');
    const living = openListener({ kind: 'unix', path });
    const taken = await refusal(listen({ kind: 'unix', path }));
    t.equal(taken.message, `cannot listen on unix:${path}: another process listens there`);
    const client = await plainClient({ kind: 'unix', path });
    t.pass('and the other process is left alone');
    client.destroy();
    closeListener(living);
    const file = join(directory, 'file');
    writeFileSync(file, 'precious');
    const refused = await refusal(listen({ kind: 'unix', path: file }));
    t.match(refused.message, /exists and is not a socket/);
    t.ok(existsSync(file));
  });
}

t.test('IPv4 and IPv6 listeners stand side by side on one port', async (t) => {
  if (!hasIPv6()) return t.pass('this machine has no IPv6');
  const four = openListener({ kind: 'tcp', host: '0.0.0.0', port: 0 });
  const port = four.endpoint.kind === 'tcp' ? four.endpoint.port : 0;
  const six = openListener({ kind: 'tcp', host: '::', port });
  t.same(six.endpoint, { kind: 'tcp', host: '::', port });
  closeListener(four);
  closeListener(six);
  return undefined;
});

t.test('closing a listener whose file is gone already is no error', async (t) => {
  const path = join(socketDirectory(t), 's');
  const first = openListener({ kind: 'unix', path });
  system().close(openListener({ kind: 'tcp', host: '127.0.0.1', port: 0 }).descriptor);
  closeListener(first);
  t.notOk(existsSync(path));
});
