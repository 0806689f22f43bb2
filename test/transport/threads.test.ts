/** The drivers in threads: woken by messages, ended, dying. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import type { Endpoint } from '../../src/base/endpoint.js';
import { createDescriptors, Descriptors } from '../../src/transport/descriptors.js';
import { buryWorker, createHandover, Handover } from '../../src/transport/handover.js';
import { closeListener, type Listener, openListener } from '../../src/transport/listener.js';
import { openWake, system } from '../../src/transport/system.js';
import { waitFor } from '../help/wait-for.js';
import type { EchoWorkerData, EchoWorkerReply } from './echo-worker.js';
import { LOOPBACK, openDescriptors, plainClient, readBytes } from './rig.js';

type Kind = EchoWorkerData['kind'];

/** What a supervisor does, in small. */
class Crew {
  readonly listener: Listener = openListener(LOOPBACK);
  readonly descriptors: Descriptors;
  readonly handover: Handover;
  readonly workers: Worker[] = [];
  private readonly data: Omit<EchoWorkerData, 'worker'>;

  constructor(kind: Kind, workers: number) {
    this.data = {
      kind,
      listeners: [{ ...this.listener, door: 0 }],
      descriptors: createDescriptors(workers),
      handover: createHandover(workers),
      wakeDescriptors: Array.from({ length: workers }, openWake),
    };
    this.descriptors = new Descriptors(this.data.descriptors);
    this.handover = new Handover(this.data.handover, this.descriptors, this.data.wakeDescriptors);
  }

  get endpoint(): Endpoint {
    return this.listener.endpoint;
  }

  async startWorker(worker: number): Promise<Worker> {
    const data: EchoWorkerData = { ...this.data, worker };
    const thread = new Worker(new URL('./echo-worker.js', import.meta.url), { workerData: data });
    this.workers[worker] = thread;
    // Deaths are part of the tests, which look at the exit.
    thread.on('error', () => {});
    await reply(thread, 'started');
    return thread;
  }

  bury(worker: number): { descriptors: number; sessions: number } {
    return buryWorker(worker, this.descriptors, this.handover);
  }

  async end(): Promise<void> {
    for (const [worker, thread] of this.workers.entries()) {
      await thread.terminate();
      this.bury(worker);
      this.handover.closeWaiting(worker);
    }
    closeListener(this.listener);
    for (const descriptor of this.data.wakeDescriptors) system().close(descriptor);
  }
}

async function reply(thread: Worker, kind: EchoWorkerReply['kind']): Promise<EchoWorkerReply> {
  for (;;) {
    const [message] = (await once(thread, 'message')) as [EchoWorkerReply];
    if (message.kind === kind) return message;
  }
}

async function ping(thread: Worker): Promise<number> {
  const pong = reply(thread, 'pong');
  thread.postMessage('ping');
  const message = await pong;
  return message.kind === 'pong' ? message.turns : 0;
}

/** Resolves when hardly a turn is taken in 100 ms: a worker that spins takes thousands, and never stops. */
async function untilQuiet(thread: Worker): Promise<void> {
  // Nothing but our own time passes here.
  await waitFor('100 milliseconds with hardly a turn', async () => {
    const before = await ping(thread);
    await new Promise((resolve) => setTimeout(resolve, 100));
    return (await ping(thread)) - before <= 10;
  });
}

function onEachKind(name: string, test: (t: Test, kind: Kind) => Promise<unknown>): void {
  for (const kind of ['io_uring', 'epoll'] as const) t.test(`${kind}: ${name}`, (t) => test(t, kind));
}

onEachKind('a message wakes a worker that waits in the kernel, and an idle one takes no turns', async (t, kind) => {
  const crew = new Crew(kind, 1);
  t.teardown(() => crew.end());
  const thread = await crew.startWorker(0);
  // The engine has tasks of its own for a while after the start and after many messages, and takes a turn for each.
  await untilQuiet(thread);
  const first = await ping(thread);
  let last = first;
  for (let count = 0; count < 100; count++) last = await ping(thread);
  t.ok(last - first <= 400, `${last - first} turns for 100 messages`);
  await untilQuiet(thread);
});

onEachKind('terminate ends a worker that waits in the kernel', async (t, kind) => {
  const crew = new Crew(kind, 1);
  t.teardown(() => crew.end());
  const thread = await crew.startWorker(0);
  const client = await plainClient(crew.endpoint);
  client.write('hello');
  await readBytes(client, 5);
  const gone = once(client, 'close');
  t.equal(await thread.terminate(), 1);
  t.same(crew.bury(0), { descriptors: 2, sessions: 1 }, 'its epoll or io_uring, and the client');
  await gone;
});

onEachKind('of a worker that dies while its sessions end each is counted off once', async (t, kind) => {
  const crew = new Crew(kind, 1);
  t.teardown(() => crew.end());
  const thread = await crew.startWorker(0);
  const clients = await Promise.all(Array.from({ length: 10 }, () => plainClient(crew.endpoint)));
  for (const client of clients) {
    client.write('hello');
    await readBytes(client, 5);
  }
  t.equal(crew.handover.total(), 10);
  const exit = new Promise((resolve) => thread.once('exit', resolve));
  const gone = Promise.all(clients.map((client) => once(client, 'close')));
  (clients[0] as Socket).write('fall');
  t.equal(await exit, 1);
  t.equal(crew.bury(0).sessions, 1, 'the one whose owner was not told');
  t.equal(crew.handover.total(), 0);
  await gone;
});

onEachKind('a worker that is stopped closes everything itself', async (t, kind) => {
  const crew = new Crew(kind, 1);
  t.teardown(() => crew.end());
  const thread = await crew.startWorker(0);
  const client = await plainClient(crew.endpoint);
  client.write('hello');
  await readBytes(client, 5);
  const gone = once(client, 'close');
  const exit = once(thread, 'exit');
  thread.postMessage('stop');
  await gone;
  t.same(await exit, [0]);
  t.same(crew.bury(0), { descriptors: 0, sessions: 0 });
  t.equal(crew.handover.total(), 0);
});

/** A client that asked who serves it: the worker's index, or null if it was closed instead. */
interface Client {
  socket: Socket;
  worker: number | null;
}

async function greet(endpoint: Endpoint): Promise<Client> {
  if (endpoint.kind !== 'tcp') throw new Error('TCP only');
  const socket = connect({ host: endpoint.host, port: endpoint.port, noDelay: true });
  socket.on('error', () => {});
  socket.write('who');
  const worker = await new Promise<number | null>((resolve) => {
    socket.once('data', (data: Buffer) => resolve(Number(data.toString())));
    socket.once('close', () => resolve(null));
  });
  return { socket, worker };
}

function greetings(endpoint: Endpoint, count: number): Promise<Client>[] {
  return Array.from({ length: count }, () => greet(endpoint));
}

async function closed(client: Client): Promise<void> {
  // Reset is as good as ended.
  if (!client.socket.closed) await new Promise((resolve) => client.socket.once('close', resolve));
}

onEachKind(
  'a worker that dies under load, ten times: its clients are told, nobody hangs, nothing stays open',
  async (t, kind) => {
    const crew = new Crew(kind, 2);
    t.teardown(() => crew.end());
    await crew.startWorker(0);
    await crew.startWorker(1);
    const before = openDescriptors();
    const late = { served: 0, closed: 0 };
    for (let round = 0; round < 10; round++) {
      const clients = await Promise.all(greetings(crew.endpoint, 40));
      // Both accept at the same time, so that they may both find the same one to have fewer.
      const counts = [crew.handover.of(0), crew.handover.of(1)];
      t.ok(Math.min(...counts) >= 17, `the clients are shared evenly: ${counts.join(' and ')}`);
      t.equal(crew.handover.total(), 40);
      const victim = round % 2;
      const lost = clients.filter((client) => client.worker === victim);
      const others = clients.filter((client) => client.worker === 1 - victim);

      const thread = crew.workers[victim] as Worker;
      const error = new Promise((resolve) => thread.once('error', resolve));
      const isTerminated = round % 4 >= 2;
      const exit = new Promise((resolve) => thread.once('exit', resolve));
      const coming = greetings(crew.endpoint, 20);
      // Bytes are under way in both directions.
      for (const { socket } of lost) socket.write('x'.repeat(1_000_000));
      if (isTerminated) void thread.terminate();
      else (lost[0] as Client).socket.write('die');
      coming.push(...greetings(crew.endpoint, 20));
      if (!isTerminated) t.match(await error, { message: 'a client asked for it' });
      coming.push(...greetings(crew.endpoint, 10));
      await exit;
      const buried = crew.bury(victim);
      t.ok(buried.sessions >= lost.length, `${buried.sessions} sessions end with it`);
      await Promise.all(lost.map(closed));
      coming.push(...greetings(crew.endpoint, 10));
      await crew.startWorker(victim);
      for (const client of await Promise.all(coming)) {
        late[client.worker === null ? 'closed' : 'served']++;
        clients.push(client);
      }
      for (const { socket } of others) {
        socket.write('still');
        t.equal((await readBytes(socket, 5)).toString(), 'still');
      }
      clients.push(...(await Promise.all(greetings(crew.endpoint, 10))));
      t.ok(
        clients.slice(-10).every((client) => client.worker !== null),
        'all is well afterwards',
      );

      for (const { socket } of clients) socket.destroy();
      await Promise.all(clients.map(closed));
      while (crew.handover.total() > 0) await Promise.all(crew.workers.map(ping));
      // A socket with an operation of io_uring in flight is closed when that has ended.
      await waitFor('as many descriptors to be open as before', () => openDescriptors() === before);
    }
    t.comment(`of the late clients ${late.served} were served and ${late.closed} closed`);
    t.ok(late.served > late.closed);
  },
);
