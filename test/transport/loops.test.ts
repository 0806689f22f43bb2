/** What the drivers do that wait in the kernel: io_uring and epoll. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { openListener } from '../../src/transport/listener.js';
import { SOCK_CLOEXEC, SOCK_NONBLOCK, SOL_SOCKET, system } from '../../src/transport/system.js';
import type { TransportError } from '../../src/transport/transport.js';
import type { FewDescriptorsReport } from './few-descriptors.js';
import {
  acceptedProbe,
  DRIVERS,
  dial,
  LOOPBACK,
  outside,
  type Probe,
  plainClient,
  type Rig,
  readBytes,
  round,
  socketDirectory,
} from './rig.js';

type Kind = 'io_uring' | 'epoll';

function onEachKind(name: string, test: (t: Test, kind: Kind) => Promise<unknown>): void {
  for (const kind of ['io_uring', 'epoll'] as const) t.test(`${kind}: ${name}`, (t) => test(t, kind));
}

async function start(t: Test, kind: Kind): Promise<Rig> {
  const rig = await DRIVERS[kind]();
  t.teardown(() => rig.stop());
  return rig;
}

/** Takes the next connection of a listener that no driver looks after. */
function acceptRaw(listener: number): number {
  return system().accept4(listener, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

onEachKind('an event for a descriptor that was given up in the same turn reaches nobody', async (t, kind) => {
  const rig = await start(t, kind);
  const clients = [await plainClient(rig.endpoint), await plainClient(rig.endpoint)];
  for (const client of clients) client.on('error', () => {});
  const probes = [await acceptedProbe(rig, 0), await acceptedProbe(rig, 1)] as const;
  const fresh: Probe[] = [];
  // Nobody accepts there, and its queue is full: a connection to it that opens has heard of another's event.
  const full = openListener(LOOPBACK, 0);
  t.teardown(() => system().close(full.descriptor));
  const filler = dial(rig, full.endpoint);
  await filler.until(() => filler.count('open') === 1);
  // Whichever comes first ends the other, and opens connections that would get its number if it were free by now.
  for (const [index, probe] of probes.entries()) {
    probe.also.bytes = () => {
      (probes[1 - index] as Probe).link.destroy(null);
      for (let count = 0; count < 3; count++) fresh.push(dial(rig, full.endpoint));
    };
  }
  // Both are readable before the next turn looks.
  for (const client of clients) client.write('x');
  await Promise.race(probes.map((probe) => probe.until(() => probe.count('bytes') === 1)));
  const ended = probes.find((probe) => probe.count('bytes') === 0);
  if (ended === undefined) return t.fail('the two events did not come in one turn');
  t.equal(await ended.closed(), null);
  t.same(ended.calls, ['close'], 'its bytes were shown to nobody');
  for (let count = 0; count < 5; count++) await round();
  for (const probe of fresh) t.same(probe.calls, []);
  for (const client of clients) client.destroy();
  return undefined;
});

onEachKind('the last words of a peer are read even when sending to it has failed', async (t, kind) => {
  const rig = await start(t, kind);
  const listener = openListener(LOOPBACK);
  t.teardown(() => system().close(listener.descriptor));
  const probe = dial(rig, listener.endpoint);
  await probe.until(() => probe.count('open') === 1);
  const peer = acceptRaw(listener.descriptor);
  // After the turn's events and before its sends: the peer speaks and resets.
  const lingerZero = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);
  const lastWords = Buffer.from('-ERR max number of clients reached\r\n');
  rig.transport.onTurnEnd = () => {
    rig.transport.onTurnEnd = () => {};
    system().write(peer, lastWords, lastWords.length);
    system().setsockopt(peer, SOL_SOCKET, 13, lingerZero, 8);
    system().close(peer);
    probe.send('PING\r\n');
  };
  // So that there is a turn.
  outside(() => probe.link.flush());
  const error = (await probe.closed()) as TransportError;
  t.match(error.code, /ECONNRESET|EPIPE/);
  t.match(error.message, /^send: /);
  t.equal(probe.text(), '-ERR max number of clients reached\r\n');
});

onEachKind('a unix socket whose queue is full is tried again, until the time is over', async (t, kind) => {
  const rig = await start(t, kind);
  const path = join(socketDirectory(t), 's');
  const listener = openListener({ kind: 'unix', path }, 0);
  t.teardown(() => system().close(listener.descriptor));
  const first = dial(rig, listener.endpoint);
  await first.until(() => first.count('open') === 1);
  const second = dial(rig, listener.endpoint);
  const hopeless = dial(rig, listener.endpoint, { timeoutMs: 35 });
  t.equal(((await hopeless.closed()) as TransportError).code, 'ETIMEDOUT');
  t.same(second.calls, []);
  const given = dial(rig, listener.endpoint);
  outside(() => given.link.destroy(null));
  await given.closed();
  const accepted = acceptRaw(listener.descriptor);
  await second.until(() => second.count('open') === 1);
  system().close(accepted);
});

onEachKind("where Node's loop cannot be seen, the driver looks at it now and then", async (t, kind) => {
  const calls = system();
  const { nodeLoop } = calls;
  calls.nodeLoop = () => null;
  let rig: Rig;
  try {
    rig = await start(t, kind);
  } finally {
    calls.nodeLoop = nodeLoop;
  }
  const client = await plainClient(rig.endpoint);
  const probe = await acceptedProbe(rig);
  probe.also.bytes = () => probe.send('pong');
  client.write('ping');
  t.equal((await readBytes(client, 4)).toString(), 'pong');
  client.destroy();
});

onEachKind(
  'out of descriptors it stops accepting for a while, says so, and goes on when there are some',
  async (t, kind) => {
    const child = spawn('sh', ['-c', `ulimit -n 80; exec "$0" "$1" "$2"`, process.execPath, childPath(), kind], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    t.teardown(() => child.kill());
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async (): Promise<FewDescriptorsReport> => JSON.parse((await lines.next()).value);
    const ask = async (): Promise<FewDescriptorsReport> => {
      child.stdin.write('report\n');
      return next();
    };
    const { port } = await next();
    // More than it can take: all are connected by the kernel, some are not accepted.
    const sockets: Socket[] = [];
    const answered = new Set<Socket>();
    for (let count = 0; count < 120; count++) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      socket.once('data', () => answered.add(socket));
      socket.write('hello');
      sockets.push(socket);
      await once(socket, 'connect');
    }
    let report = await ask();
    while (report.pauses < 3) report = await ask();
    t.match(report.reason, /accept: Too many open files/);
    t.ok(report.pausedMs === 100);
    t.ok(report.sessions > 20 && report.sessions < 80, `${report.sessions} sessions`);
    const pauses = report.pauses;
    const turns = report.turns;
    while (report.pauses < pauses + 3) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      report = await ask();
    }
    t.ok(report.turns - turns < 200, `${report.turns - turns} turns while three pauses went by`);
    // Those that were served leave; the others get their turn.
    while (answered.size < sockets.length) {
      for (const socket of answered) socket.destroy();
      await round();
    }
    t.pass('everybody was served in the end');
    for (const socket of sockets) socket.destroy();
  },
);

function childPath(): string {
  return fileURLToPath(new URL('./few-descriptors.js', import.meta.url));
}
