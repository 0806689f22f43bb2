/** A system that refuses io_uring to the whole process, to one worker, or all of a sudden: the proxy serves on epoll. */
import { writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { scratchFolder } from '../help/child.js';
import { type Deployment, deploy } from '../help/deployment.js';
import {
  EPOLL_CREATE,
  type ForbiddenCall,
  forbidding,
  IO_URING_ENTER,
  IO_URING_SETUP,
} from '../help/forbidden-calls.js';
import type { LogLine, ProxyProcess } from '../help/proxy.js';
import { RespClient } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

const { EAGAIN, EINVAL, EMFILE, ENOMEM, EPERM } = constants.errno;
const CLIENTS = 40;

interface WorkerStatus {
  alive: boolean;
  sessions: number;
}

async function workersOf(proxy: ProxyProcess): Promise<WorkerStatus[]> {
  const response = await fetch(`${proxy.adminUrl}/status`);
  return ((await response.json()) as { workers: WorkerStatus[] }).workers;
}

function linesOf(proxy: ProxyProcess, event: string): LogLine[] {
  return proxy.logLines.filter(({ msg }) => msg === event);
}

/** Clients of all workers are served. */
async function allServe(t: Test, { proxy, port }: Deployment): Promise<void> {
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => RespClient.connect(port)));
  for (const [index, client] of clients.entries())
    t.equal(await client.command('SET', `key:${index}`, `${index}`), 'OK');
  for (const [index, client] of clients.entries()) t.equal(await client.command('GET', `key:${index}`), `${index}`);
  const workers = await waitFor('all workers to have clients', async () => {
    const workers = await workersOf(proxy);
    return workers.every(({ alive, sessions }) => alive && sessions > 0) && workers;
  });
  t.comment(`sessions: ${workers.map(({ sessions }) => sessions).join(', ')}`);
  for (const client of clients) client.close();
}

for (const [code, reason] of [
  [EPERM, /io_uring is not possible here: a seccomp profile or a security module forbids io_uring/],
  [EINVAL, /io_uring is not possible here: this kernel's io_uring lacks DEFER_TASKRUN/],
] as const) {
  t.test(`where io_uring_setup fails with ${code}, the proxy says once why it takes epoll, and serves`, async (t) => {
    const deployment = await deploy(t, {
      transport: 'auto',
      ...forbidding([{ call: IO_URING_SETUP, code, threads: [0] }]),
    });
    const { proxy } = deployment;
    const lines = linesOf(proxy, 'transport');
    t.equal(lines.length, 1);
    t.match(lines[0], { level: 'info', transport: 'epoll', workers: 2, reason });
    t.same(linesOf(proxy, 'worker-on-epoll'), [], 'which is said of the whole process');
    await allServe(t, deployment);
    t.equal(await proxy.stop(), 0);
  });
}

for (const [code, reason] of [
  [ENOMEM, /io_uring_setup: Cannot allocate memory/],
  [EMFILE, /io_uring_setup: Too many open files/],
] as const) {
  t.test(`one worker of four that is refused a ring with ${code} takes epoll, and says so`, async (t) => {
    const deployment = await deploy(t, {
      transport: 'auto',
      workers: 4,
      ...forbidding([{ call: IO_URING_SETUP, code, threads: [2] }]),
    });
    const { proxy } = deployment;
    t.match(linesOf(proxy, 'transport'), [{ transport: 'io_uring', workers: 4 }]);
    const lines = linesOf(proxy, 'worker-on-epoll');
    t.equal(lines.length, 1);
    t.match(lines[0], { level: 'warn', worker: Number, reason });
    await allServe(t, deployment);
    t.same(linesOf(proxy, 'worker-died'), []);
    t.equal(await proxy.stop(), 0);
  });
}

for (const code of [EINVAL, EAGAIN]) {
  t.test(`a worker whose ring fails with ${code} under way is replaced by one on epoll`, async (t) => {
    const once = join(scratchFolder('refused'), 'now');
    const deployment = await deploy(t, {
      transport: 'auto',
      ...forbidding([{ call: IO_URING_ENTER, code, threads: [1], once }]),
    });
    const { proxy } = deployment;
    await allServe(t, deployment);
    writeFileSync(once, '');
    const died = await proxy.waitForLog('worker-died');
    t.match(died, { err: { message: /^io_uring_enter: / } });
    const fellBack = await proxy.waitForLog('worker-on-epoll');
    t.match(fellBack, { level: 'warn', worker: died['worker'], reason: /^io_uring_enter: / });
    await proxy.waitForLog('worker-restarted');
    await allServe(t, deployment);
    t.equal(linesOf(proxy, 'worker-died').length, 1);
    t.equal(await proxy.stop(), 0);
  });
}

const HOOKS = { RINGLEADER_TEST_HOOKS: '1' };

t.test('a successor that is refused a ring takes epoll', async (t) => {
  const successors = Array.from({ length: 50 }, (_, index) => index + 3);
  const { preload, env } = forbidding([{ call: IO_URING_SETUP, code: ENOMEM, threads: successors }]);
  const deployment = await deploy(t, { transport: 'auto', preload, env: { ...env, ...HOOKS } });
  const { proxy } = deployment;
  await allServe(t, deployment);
  t.same(linesOf(proxy, 'worker-on-epoll'), []);
  for (let death = 1; death <= 4; death++) {
    proxy.signal('SIGUSR2');
    await waitFor('a successor', () => linesOf(proxy, 'worker-restarted').length === death);
    await allServe(t, deployment);
  }
  t.equal(linesOf(proxy, 'worker-died').length, 4);
  t.ok(linesOf(proxy, 'worker-on-epoll').length > 0);
  t.equal(await proxy.stop(), 0);
});

t.test('a worker that cannot start is tried again ever more rarely, until it can', async (t) => {
  const forbidden: ForbiddenCall[] = [IO_URING_SETUP, EPOLL_CREATE].map((call) => {
    return { call, code: EMFILE, threads: [3, 4, 5] };
  });
  const { preload, env } = forbidding(forbidden);
  const deployment = await deploy(t, { transport: 'auto', preload, env: { ...env, ...HOOKS } });
  const { proxy } = deployment;
  await allServe(t, deployment);
  proxy.signal('SIGUSR2');
  const restarted = await proxy.waitForLog('worker-restarted', undefined, 60_000);
  const deaths = linesOf(proxy, 'worker-died');
  t.equal(deaths.length, 4, 'its own, and three that could not start');
  const tookMs = Date.parse(restarted.time) - Date.parse((deaths[0] as LogLine).time);
  t.comment(`${tookMs} ms`);
  t.ok(tookMs > 6_900, '1, 2 and 4 seconds apart');
  await allServe(t, deployment);
  t.equal(await proxy.stop(), 0);
});
