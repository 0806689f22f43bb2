/** The load generator: what it counts, and that a server which stands still cannot hide it. */
import { createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { openDriver } from '../../native-bench/load/driver.js';
import { latenessOf } from '../../native-bench/load/lateness.js';
import { type ClosedPace, type LoadReport, type OpenPace, runPlan } from '../../native-bench/load/load-run.js';
import type { TransportKind } from '../../src/messages.js';
import { freePort } from '../help/free-port.js';

const REQUEST = /\*2\r\n\$3\r\nGET\r\n\$16\r\nkey:(\d{12})\r\n/g;
const STALL_MS = 200;

/** Answers request `number` (counted from 0, over all connections) when the promise says so; null: never. */
type Answer = (number: number, socket: Socket) => string | null | Promise<string>;

t.test('replies are counted, and errors by their first word', async (t) => {
  const keys = new Set<number>();
  const answers = ['$1\r\nx\r\n', '$-1\r\n', '-ERR no such thing\r\n', '-NODEDOWN a is away\r\n', '$2\r\nxx\r\n'];
  const port = await server(t, (number) => answers[number % answers.length] as string, keys);
  const report = await load(
    t,
    port,
    { kind: 'closed', depth: 4, requests: 1_000, seconds: Number.POSITIVE_INFINITY },
    5,
  );
  t.equal(report.due, 1_000);
  t.equal(report.answered, 1_000);
  t.equal(report.nulls, 200);
  t.strictSame(report.errors, { ERR: 200, NODEDOWN: 200 });
  t.ok(Math.max(...keys) < 100 && keys.size > 90, 'keys are drawn from all that there are');
});

t.test('a load that waits for replies ends after its time, with all that it asked', async (t) => {
  const port = await server(t, () => '$1\r\nx\r\n');
  const pace = { kind: 'closed', depth: 10, requests: Number.POSITIVE_INFINITY, seconds: 0.3 } as const;
  const { due, answered, errors } = await load(t, port, pace, 3);
  t.ok(due > 0 && due % 10 === 0, `${due}`);
  t.equal(answered, due);
  t.strictSame(errors, {});
});

t.test(
  'at a fixed rate all that is due is asked, the warm-up is not counted, and the order of replies is kept',
  async (t) => {
    const port = await server(t, () => '$1\r\nx\r\n');
    const pace = { kind: 'open', rate: 2_000, isPoisson: false, warmUpSeconds: 0.2, seconds: 0.5 } as const;
    const report = await load(t, port, pace, 10);
    t.equal(report.due, 1_000);
    t.equal(report.answered, 1_000);
    t.strictSame(report.errors, {});
    t.ok(report.latencyUs.p50 >= report.lagUs.p50, 'the lag is part of the latency');
  },
);

for (const kind of ['io_uring', 'epoll', 'node'] as const) {
  t.test(`over ${kind} a reply ends the generator's sleep`, async (t) => {
    const port = await server(t, () => '+OK\r\n');
    const pace = { kind: 'closed', depth: 1, requests: 300, seconds: Number.POSITIVE_INFINITY } as const;
    const { answered, latencyUs } = await load(t, port, pace, 1, kind);
    t.equal(answered, 300);
    // It sleeps for 20 ms where nothing comes.
    t.ok(latencyUs.p50 < 10_000, `p50 ${latencyUs.p50} µs`);
  });
}

t.test('a server that stalls is told by all requests that were due meanwhile', async (t) => {
  const port = await server(t, stalling(500));
  const pace = { kind: 'open', rate: 1_000, isPoisson: false, warmUpSeconds: 0, seconds: 2 } as const;
  const { latencyUs, answered } = await load(t, port, pace, 1);
  t.equal(answered, 2_000);
  // A tenth of the requests were due in the 200 ms, and waited for 200 to 0 of them: one in a hundred for 180 at least.
  t.ok(latencyUs.p99 >= 0.85 * STALL_MS * 1_000, `p99 ${latencyUs.p99} µs`);
});

t.test(
  'a load that waits for replies does not show that stall: one request tells of it (coordinated omission)',
  async (t) => {
    const port = await server(t, stalling(500));
    const { latencyUs } = await load(
      t,
      port,
      { kind: 'closed', depth: 1, requests: 2_000, seconds: Number.POSITIVE_INFINITY },
      1,
    );
    t.ok(latencyUs.max >= 0.95 * STALL_MS * 1_000, `longest ${latencyUs.max} µs`);
    t.ok(latencyUs.p99 < 0.85 * STALL_MS * 1_000, `p99 ${latencyUs.p99} µs`);
  },
);

t.test('what was in flight on a lost connection is an error, and what is due on it later', async (t) => {
  const port = await server(t, (number, socket) => {
    if (number === 100) socket.destroy();
    return number < 100 || number > 100 ? '+OK\r\n' : null;
  });
  const pace = { kind: 'open', rate: 1_000, isPoisson: false, warmUpSeconds: 0, seconds: 0.5 } as const;
  const { due, answered, errors } = await load(t, port, pace, 2);
  t.equal(due, 500);
  t.strictSame(Object.keys(errors).sort(), ['connection-lost', 'no-connection']);
  t.equal(answered + (errors['connection-lost'] ?? 0) + (errors['no-connection'] ?? 0), 500);
});

t.test('what is never answered is an error, and its waiting counts', async (t) => {
  const port = await server(t, (number) => (number < 300 ? '+OK\r\n' : null));
  const pace = { kind: 'open', rate: 1_000, isPoisson: false, warmUpSeconds: 0, seconds: 0.4 } as const;
  const { answered, errors, latencyUs } = await load(t, port, pace, 4);
  t.equal(answered, 300);
  t.strictSame(errors, { 'no-reply': 100 });
  t.ok(latencyUs.p90 > 1e6, `p90 ${latencyUs.p90} µs`);
});

t.test('a server that is not there, or goes, ends the run with a message', async (t) => {
  const none = await freePort();
  const pace = { kind: 'closed', depth: 1, requests: 1_000, seconds: 10 } as const;
  await t.rejects(load(t, none, pace, 2), { message: /a connection could not be made: .*refused/i });
  const port = await server(t, (_, socket) => {
    socket.destroy();
    return null;
  });
  await t.rejects(load(t, port, pace, 2), { message: /all connections were lost/ });
});

t.test('what is not RESP ends the run', async (t) => {
  const port = await server(t, () => 'HTTP/1.1 400 Bad Request\r\n');
  await t.rejects(load(t, port, { kind: 'closed', depth: 1, requests: 10, seconds: 10 }, 1), {
    message: /what came is not RESP/,
  });
});

t.test('a generator that was late says so', async (t) => {
  const percentiles = (p50: number, p99: number) => ({ p50, p90: p99, p99, p999: p99, p9999: p99, max: p99 });
  const report = (lag: [number, number], generatorCores: number) =>
    ({ latencyUs: percentiles(200, 1_000), lagUs: percentiles(...lag), generatorCores }) as LoadReport;
  t.equal(latenessOf(report([50, 250], 0.9)), null);
  t.equal(latenessOf(report([51, 250], 0.9)), 'the generator itself was late: by 51 of 200 µs at p50');
  t.equal(latenessOf(report([50, 251], 0.9)), 'the generator itself was late: by 251 of 1000 µs at p99');
  const fast = { ...report([50, 50], 0.9), latencyUs: percentiles(60, 100) };
  t.equal(latenessOf(fast), null, 'a server that is faster than the kernel wakes');
  t.match(latenessOf(report([1, 1], 0.96)), 'all of its core');
});

/** One stall, when request `at` comes. */
function stalling(at: number): Answer {
  let stalled: Promise<void> | null = null;
  return async (number) => {
    if (number === at) stalled = new Promise((resolve) => setTimeout(resolve, STALL_MS));
    await stalled;
    return '+OK\r\n';
  };
}

/** A server that knows GET. Replies go out in the order of the requests. */
async function server(t: Test, answer: Answer, keys = new Set<number>()): Promise<number> {
  let count = 0;
  const sockets = new Set<Socket>();
  const listener = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    let rest = '';
    let last = Promise.resolve();
    socket.on('data', (bytes) => {
      rest = (rest + bytes.toString('latin1')).replaceAll(REQUEST, (_, key) => {
        keys.add(Number(key));
        const reply = answer(count++, socket);
        if (typeof reply === 'string') socket.write(reply);
        else if (reply !== null) last = last.then(async () => void socket.write(await reply));
        return '';
      });
    });
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    listener.close();
  });
  return (listener.address() as { port: number }).port;
}

async function load(
  t: Test,
  port: number,
  pace: OpenPace | ClosedPace,
  clients: number,
  kind: 'auto' | TransportKind = 'auto',
): Promise<LoadReport> {
  const driver = openDriver(kind);
  t.teardown(() => driver.close());
  const commands = [['GET', 'key:__rand_int__']];
  return await runPlan(driver, { host: '127.0.0.1', port, clients, commands, keys: 100, pace });
}
