/**
 * One of three nodes with a million replicated keys is replaced by an empty one, while clients read and write: its repair is seen
 * to go on, keeps to its pace, is killed in the midst and goes on from there, and leaves what the others have.
 *
 * REPAIR_KEYS: another number of keys.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { Status } from '../../src/control/status.js';
import type { RepairProgress } from '../../src/replica/repair.js';
import { fillNodes, nodeDigest } from '../help/filled-nodes.js';
import { residentBytes, residentPeakBytes } from '../help/process-facts.js';
import { ProxyProcess } from '../help/proxy.js';
import { type RedisServer, startRedisServers } from '../help/redis-server.js';
import { RespClient } from '../help/resp-client.js';
import { runProgram } from '../help/run-program.js';
import { MAIN } from '../help/trial.js';
import { waitFor } from '../help/wait-for.js';

const { REPAIR_KEYS = '1000000' } = process.env;
const KEYS = Number(REPAIR_KEYS);
const VALUE_BYTES = 64;
const KEYS_PER_SECOND = 10_000;
/** A page is over before its pace is looked at; and what timers are late by, a tenth of a second at most, is made up for. */
const AHEAD_MAX = 500 + KEYS_PER_SECOND / 10;
/** Of what was to be copied, when the first repair is killed. */
const KILLED_AT = 0.3;
const CLIENTS = 4;
/** Keys of each that it writes and reads. */
const CLIENT_KEYS = 25;
/** The keys of two members, the metas and the values of the node itself. */
const PASSES = 4;
const CLIENT_PAUSE_MS = 2;
/** No command may take longer, also while a node is gone. */
const WAIT_MS_MAX = 2_000;
/** Between looks at the progress. */
const LOOK_MS = 200;
/** Over so many looks the pace is measured. */
const WINDOW = 10;
const REPAIR_MS_MAX = 60_000 + (KEYS / KEYS_PER_SECOND) * 3_000;

t.setTimeout(1_800_000);

interface Sample {
  atMs: number;
  progress: RepairProgress;
}

t.test(`a node of ${KEYS} keys is replaced by an empty one, and repaired while clients are served`, async (t) => {
  const servers = await startRedisServers(3);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  let proxy = await startProxy(t, servers);
  await fillNodes(
    servers.map(({ port }) => port),
    KEYS,
    VALUE_BYTES,
  );
  t.comment(`the proxy has ${mebibytes(residentBytes(proxy.pid))} MiB`);
  const lost = servers[1] as RedisServer;
  const clients = new Clients();
  clients.start(proxy.port);
  await lost.kill9();
  await lost.restart();

  // Until it is killed.
  const first = await watch(t, proxy, ({ keysReplaced }) => keysReplaced >= KEYS * KILLED_AT);
  checkPace(t, first);
  const { code, output } = await runProgram(process.execPath, [MAIN, 'status', '--admin', adminOf(proxy)]);
  t.equal(code, 0);
  t.match(output, /\nn1 +REPAIRING +.*; in epoch \d+, keys: [\d,]+ compared, [\d,]+ copied, \d+ dropped\n/);
  t.equal((await digestCount(lost)) > KEYS * KILLED_AT, true, 'so many are there');
  clients.check(t, await clients.stop());
  await proxy.kill9();
  const copied = (await digestCount(lost)) - CLIENTS * CLIENT_KEYS;

  proxy = await startProxy(t, servers);
  clients.start(proxy.port);
  const startMs = performance.now();
  const second = await watch(t, proxy, () => false);
  checkPace(t, second);
  const repaired = await proxy.waitForLog('repaired', ({ node }) => node === 'n1');
  t.comment(`repaired: ${JSON.stringify(repaired)}, ${Math.round(performance.now() - startMs)} ms after the start`);
  t.comment(`the proxy had at most ${mebibytes(residentPeakBytes(proxy.pid))} MiB`);
  const { keysCompared, keysReplaced } = repaired as unknown as RepairProgress;
  t.ok(keysCompared >= KEYS, 'all were compared');
  // What clients change is, in each of the passes.
  t.ok(
    keysReplaced <= KEYS - copied + PASSES * CLIENTS * CLIENT_KEYS + 1,
    `what was copied is not copied again: ${keysReplaced} after ${copied}`,
  );
  await waitFor('membership', async () => (await careOf(proxy)).standing === 'member');
  clients.check(t, await clients.stop());

  // What was written while it came back may be on its way to it.
  await clients.writeAll(proxy.port);
  const [one, other, third] = await Promise.all(servers.map(({ port }) => nodeDigest(port)));
  t.match(one, { keys: KEYS + CLIENTS * CLIENT_KEYS + 1, values: KEYS + CLIENTS * CLIENT_KEYS + 1 });
  t.same(other, one);
  t.same(third, one);
});

async function startProxy(t: Test, servers: readonly RedisServer[]): Promise<ProxyProcess> {
  const proxy = await ProxyProcess.start({
    nodes: servers.map(({ url }, index) => ({ name: `n${index}`, url })),
    keyspaces: [{ prefix: '', pool: 'main', mode: 'replicated', copies: 3 }],
    limits: { repairKeysPerSecond: KEYS_PER_SECOND },
  });
  t.teardown(() => proxy.kill9());
  const client = await RespClient.connect(proxy.port);
  await waitFor('replicated keys to be served', async () => (await client.command('GET', 'no such key')) === null);
  client.close();
  return proxy;
}

function adminOf({ adminUrl }: ProxyProcess): string {
  return adminUrl.replace('http://', '');
}

/** Of the node that was lost. */
async function careOf(proxy: ProxyProcess): Promise<Status['replicatedPools'][number]['nodes'][number]> {
  const status = (await (await fetch(`${proxy.adminUrl}/status`)).json()) as Status;
  const node = status.replicatedPools[0]?.nodes[1];
  if (node === undefined) throw new Error(`the status has no such node: ${JSON.stringify(status.replicatedPools)}`);
  return node;
}

async function digestCount({ port }: RedisServer): Promise<number> {
  const client = await RespClient.connect(port);
  const size = Number(await client.command('DBSIZE'));
  client.close();
  return Math.floor(size / 2);
}

/** Resolves when `isEnough` says so of the progress of a repair, or that is over. */
async function watch(t: Test, proxy: ProxyProcess, isEnough: (progress: RepairProgress) => boolean): Promise<Sample[]> {
  const samples: Sample[] = [];
  const deadlineMs = performance.now() + REPAIR_MS_MAX;
  for (;;) {
    const { standing, repair } = await careOf(proxy);
    if (repair !== null) samples.push({ atMs: performance.now(), progress: repair });
    if (repair !== null && isEnough(repair)) break;
    if (standing === 'member' && samples.length > 0) break;
    if (performance.now() > deadlineMs) throw new Error(`the repair takes too long: ${proxy.output().slice(-4000)}`);
    await sleep(LOOK_MS);
  }
  t.ok(samples.length > 5, `its progress was seen ${samples.length} times`);
  for (const [at, { progress }] of samples.entries()) {
    const before = samples[at - 1]?.progress;
    if (before === undefined || before.epoch !== progress.epoch) continue;
    if (before.keysCompared > progress.keysCompared || before.keysReplaced > progress.keysReplaced)
      t.fail(`progress only grows: ${JSON.stringify([before, progress])}`);
  }
  return samples;
}

/** Of those that were only compared ten count as one. */
function workOf({ keysCompared, keysReplaced, keysDropped }: RepairProgress): number {
  return keysReplaced + keysDropped + keysCompared / 10;
}

function checkPace(t: Test, samples: readonly Sample[]): void {
  let most = 0;
  for (let at = WINDOW; at < samples.length; at++) {
    const [from, to] = [samples[at - WINDOW] as Sample, samples[at] as Sample];
    if (from.progress.epoch !== to.progress.epoch) continue;
    const work = workOf(to.progress) - workOf(from.progress) - AHEAD_MAX;
    most = Math.max(most, work / ((to.atMs - from.atMs) / 1000));
  }
  t.ok(most > 0 && most <= KEYS_PER_SECOND, `the pace is ${Math.round(most)} keys/s at most`);
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}

interface Waits {
  count: number;
  most: number;
  p99: number;
}

/** Each writes keys of its own, and reads what it wrote last. */
class Clients {
  private readonly written = new Map<string, string>();
  private stopping = new AbortController();
  private running: Promise<number[]>[] = [];
  private writes = 0;

  start(port: number): void {
    this.stopping = new AbortController();
    this.running = Array.from({ length: CLIENTS }, (_, client) => this.run(port, client));
  }

  /** How long their commands took. Rejects when one was answered wrongly. */
  async stop(): Promise<Waits> {
    this.stopping.abort();
    const waits = (await Promise.all(this.running)).flat().sort((one, other) => one - other);
    const p99 = waits[Math.floor(waits.length * 0.99)] ?? 0;
    return { count: waits.length, most: waits.at(-1) ?? 0, p99 };
  }

  check(t: Test, { count, most, p99 }: Waits): void {
    t.ok(
      count > 0 && most < WAIT_MS_MAX,
      `${count} commands took at most ${most.toFixed(1)} ms (99 %: ${p99.toFixed(1)})`,
    );
  }

  /** Writes each key once more. */
  async writeAll(port: number): Promise<void> {
    const client = await RespClient.connect(port);
    for (let index = 0; index < CLIENTS * CLIENT_KEYS; index++) {
      const reply = await client.command('SET', keyOf(Math.floor(index / CLIENT_KEYS), index % CLIENT_KEYS), 'last');
      if (reply !== 'OK') throw new Error(`SET was answered ${String(reply)}`);
    }
    client.close();
  }

  private async run(port: number, client: number): Promise<number[]> {
    const connection = await RespClient.connect(port);
    const waits: number[] = [];
    const ask = async (...words: string[]) => {
      const startMs = performance.now();
      const reply = await connection.command(...words);
      waits.push(performance.now() - startMs);
      return reply;
    };
    while (!this.stopping.signal.aborted) {
      const key = keyOf(client, Math.floor(Math.random() * CLIENT_KEYS));
      const value = `${this.writes++}`;
      const set = await ask('SET', key, value);
      if (set !== 'OK') throw new Error(`SET was answered ${String(set)}`);
      this.written.set(key, value);
      const other = keyOf(client, Math.floor(Math.random() * CLIENT_KEYS));
      const found = await ask('GET', other);
      if (found !== (this.written.get(other) ?? null)) throw new Error(`${other} was ${String(found)}`);
      await sleep(CLIENT_PAUSE_MS);
    }
    connection.close();
    return waits;
  }
}

function keyOf(client: number, index: number): string {
  return `client:${client}:${index}`;
}
