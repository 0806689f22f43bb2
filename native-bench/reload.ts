/**
 * Reloads of a configuration with 1,000 nodes (names and addresses of loopback, over three Redis processes) under load: does any
 * request fail, and how long is a worker kept from its sessions?
 *
 *   npm run bench:reload -- [NODES [ROUNDS]]
 *
 * How long a worker was away is measured inside of it, in processor time (reload/bursts.ts), since on a busy machine the clock
 * shows what others do. Beside it stands what clients saw: a prober for each worker asks PING, which the proxy answers itself,
 * and asks again when it has its answer. Windows with a reload take turns with windows without one, so that what the
 * machine itself does to both is seen. Other clients read and write, each its own keys, and count what is answered with an error.
 */
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { freePort } from '../test/help/free-port.js';
import { Children, run } from './compare/children.js';
import { mainPath } from './compare/endpoints.js';
import { awaitAnswer } from './compare/fill.js';
import { findPrograms, type Programs } from './compare/programs.js';
import type { ReloadClients, Seen } from './reload/clients.js';

const WORKERS = 2;
const CLIENTS = 20;
const WINDOW_MS = 500;
const STALL_MS_MAX = 5;
const HOST = '127.0.0.1';

/** What is reloaded in turn: something that all nodes are told of, and 1,000 more nodes that come and go. */
const CHANGES = ['a limit of all nodes', 'a second pool that comes', 'a second pool that goes'] as const;

await run(() => main(Number(process.argv[2] ?? 1_000), Number(process.argv[3] ?? 15)));

async function main(nodes: number, rounds: number): Promise<void> {
  const programs = await findPrograms();
  const children = new Children();
  const redisPorts = await startRedis(children, programs);
  const port = await freePort();
  const path = join(children.folder('ringleader'), 'ringleader.yml');
  let isTwo = false;
  let idlePingMs = 5_000;
  const secondPort = await freePort();
  const write = () => {
    const service = (name: string, port: number, pool: string) => {
      return { name, listen: `${HOST}:${port}`, keyspaces: [{ prefix: '', pool }] };
    };
    const pools: Record<string, unknown> = { main: { nodes: nodeList(1, nodes, redisPorts), limits: { idlePingMs } } };
    const services = [service('main', port, 'main')];
    if (isTwo) {
      pools['second'] = { nodes: nodeList(2, nodes, redisPorts) };
      services.push(service('second', secondPort, 'second'));
    }
    writeFileSync(path, JSON.stringify({ workers: WORKERS, pools, services, log: { format: 'json' } }));
  };
  write();
  const bursts = join(children.folder('ringleader'), 'bursts');
  writeFileSync(bursts, '');
  const hook = new URL('reload/bursts.js', import.meta.url).href;
  const args = ['--import', hook, mainPath, 'start', '--config', path, '--accept-remap'];
  const pid = children.start('ringleader', process.execPath, args, { env: { RINGLEADER_BURSTS: bursts } });
  await awaitAnswer({ label: 'ringleader', host: HOST, port });
  const logPath = join(children.folder('ringleader'), 'output.log');
  const count = (event: string) => readFileSync(logPath, 'utf8').split(`"msg":"${event}"`).length - 1;
  while (count('node-up') < nodes) await sleep(50);

  const clients = new Worker(new URL('reload/clients.js', import.meta.url), {
    workerData: { port, probes: WORKERS, clients: CLIENTS } satisfies ReloadClients,
  });
  const look = async () => {
    clients.postMessage('look');
    const [seen] = (await once(clients, 'message')) as [Seen];
    return seen;
  };
  const errors: string[] = [];
  let requests = 0;
  const gaps = new Map<string, number[]>();
  const burstsMs = new Map<string, number[]>();
  const note = (all: Map<string, number[]>, name: string, ms: number) => all.set(name, [...(all.get(name) ?? []), ms]);
  const window = async (name: string, action: () => Promise<void>) => {
    await look();
    const begin = statSync(bursts).size;
    await action();
    await sleep(WINDOW_MS);
    const seen = await look();
    note(gaps, name, seen.longestMs);
    const lines = readFileSync(bursts, 'utf8').slice(begin).split('\n').filter(Boolean);
    note(burstsMs, name, Math.max(0, ...lines.map((line) => Number(line.split(' ')[1]))));
    errors.push(...seen.errors);
    requests += seen.requests;
  };
  for (let round = 0; round < rounds; round++) {
    for (const change of CHANGES) {
      await window('none', async () => {});
      if (change === CHANGES[0]) idlePingMs++;
      else isTwo = change === CHANGES[1];
      write();
      await window(change, async () => {
        const before = count('reloaded');
        process.kill(pid, 'SIGHUP');
        while (count('reloaded') === before) await sleep(5);
      });
    }
  }
  await clients.terminate();
  const lost = count('reload-failed') + count('reload-refused') + count('worker-died') + count('node-down');
  await children.close();

  console.log(
    `${nodes} nodes, ${rounds} rounds, ${WORKERS} workers, ${CLIENTS} clients; the longest of each reload, ms:`,
  );
  print('processor time that a worker took at once', burstsMs);
  print('that a client waited, with what the machine does', gaps);
  const failed = `requests that failed: ${errors.length} of ${requests}`;
  console.log(errors.length === 0 ? failed : `${failed}, the first with ${errors[0]}`);
  console.log(`reloads that failed, workers that died, nodes that were lost: ${lost}`);
  const worstMs = Math.max(...CHANGES.flatMap((change) => burstsMs.get(change) ?? []));
  const isKept = worstMs <= STALL_MS_MAX && errors.length === 0 && lost === 0;
  console.log(
    `no request fails, and no worker is away for more than ${STALL_MS_MAX} ms: ${isKept ? 'kept' : 'MISSED'}`,
  );
  process.exitCode = isKept ? 0 : 1;
}

function print(what: string, rows: ReadonlyMap<string, readonly number[]>): void {
  console.log(`  ${what}`);
  for (const [name, all] of rows) {
    const sorted = all.toSorted((one, other) => one - other);
    const at = (part: number) => (sorted[Math.floor(part * (sorted.length - 1))] as number).toFixed(1).padStart(7);
    console.log(`    ${`reload: ${name}`.padEnd(34)} least ${at(0)}   median ${at(0.5)}   most ${at(1)}`);
  }
}

/** Three servers that take connections on all addresses of loopback; who comes from elsewhere is refused by protected mode. */
async function startRedis(children: Children, { redis }: Programs): Promise<number[]> {
  const ports: number[] = [];
  for (const name of ['a', 'b', 'c']) {
    const port = await freePort();
    const persistence = ['--save', '', '--appendonly', 'no'];
    const args = ['--port', `${port}`, '--bind', '0.0.0.0', '--protected-mode', 'yes', ...persistence];
    children.start(`redis-${name}`, redis.server, args, { env: redis.env });
    ports.push(port);
  }
  return ports;
}

/** So many nodes, each with an address of its own in 127.POOL.0.0/16. */
function nodeList(pool: number, count: number, ports: readonly number[]): { name: string; url: string }[] {
  return Array.from({ length: count }, (_, index) => {
    const host = `127.${pool}.${index >> 7}.${(index & 127) + 1}`;
    return { name: `pool${pool}-${index}`, url: `redis://${host}:${ports[index % ports.length]}` };
  });
}
