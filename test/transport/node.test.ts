/** What only the node driver does. */
import { spawn } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { chooseTransport } from '../../src/transport/choose.js';
import { createHandover } from '../../src/transport/handover.js';
import { tryListener } from '../../src/transport/listener.js';
import { NodeTransport } from '../../src/transport/node.js';
import type { FewDescriptorsReport } from './few-descriptors.js';
import { LOOPBACK, Probe, plainClient, readBytes } from './rig.js';

t.test('several workers listen on one port, and count their sessions together', async (t) => {
  if (chooseTransport('node', 2).workers < 2) return t.pass('this Node cannot share a port');
  const endpoint = await tryListener(LOOPBACK);
  const handover = createHandover(2);
  const transports: NodeTransport[] = [];
  for (const worker of [0, 1]) {
    const transport = new NodeTransport({
      worker,
      listeners: [{ endpoint, descriptor: -1, door: 0 }],
      handover,
      arenaBytes: 2 ** 24,
    });
    t.teardown(() => transport.stop());
    transport.startAccepting({
      onConnection: (connection) => {
        const probe = new Probe().attach(transport, connection);
        probe.also.bytes = () => probe.send(String(worker));
        return probe;
      },
      onAcceptPaused: () => {},
    });
    await new Promise<void>((resolve) => transport.start(resolve));
    transports.push(transport);
  }
  const clients: Socket[] = [];
  const servedBy = new Set<string>();
  for (let count = 0; count < 40; count++) {
    const client = await plainClient(endpoint);
    client.write('who');
    servedBy.add((await readBytes(client, 1)).toString());
    clients.push(client);
  }
  t.same([...servedBy].toSorted(), ['0', '1']);
  for (const transport of transports) t.equal(transport.totalSessions(), 40);
  for (const client of clients) client.destroy();
  return undefined;
});

t.test('out of descriptors, a client is served or closed, but does not hang', async (t) => {
  const path = fileURLToPath(new URL('./few-descriptors.js', import.meta.url));
  const child = spawn('sh', ['-c', `ulimit -n 80; exec "$0" "$@"`, process.execPath, path, 'node'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill());
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { port }: FewDescriptorsReport = JSON.parse((await lines.next()).value);
  const served: Socket[] = [];
  let closed = 0;
  for (let count = 0; count < 120; count++) {
    const socket = connect(port, '127.0.0.1');
    if (await isServed(socket)) served.push(socket);
    else closed++;
  }
  t.ok(served.length > 20, `${served.length} were served`);
  t.equal(served.length + closed, 120);
  for (const socket of served) socket.destroy();
  // The child notices that in its own time.
  for (let again = false; !again; ) {
    const socket = connect(port, '127.0.0.1');
    again = await isServed(socket);
    socket.destroy();
  }
  t.pass('and when there are some again, all is well');
});

/** Whether the socket is answered, or closed instead. */
function isServed(socket: Socket): Promise<boolean> {
  socket.on('error', () => {});
  socket.write('hello');
  return new Promise((resolve) => {
    socket.once('data', () => resolve(true));
    socket.once('close', () => resolve(false));
  });
}
