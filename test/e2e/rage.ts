/** Clients, a cluster and a nemesis for as long as is said, and then the judgement of all that the clients were told. */
import type { Test } from 'tap';
import { Cluster, type ClusterOptions } from '../help/cluster.js';
import { type KeyCall, keyModel } from '../help/key-model.js';
import { byKey } from '../help/linearizability.js';
import { historyFaults } from '../help/minimal-history.js';
import { Nemesis } from '../help/nemesis.js';
import { randomFromSeed } from '../help/random.js';
import type { RedisServer } from '../help/redis-server.js';
import { inventions, irregularities, type RegisterCall } from '../help/regularity.js';
import { RespClient } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';
import { KINDS, REGISTERS, Workload } from '../help/workload.js';

const CLIENTS = 20;
/** After the faults have ended, where the nodes are compared every two seconds. */
const EQUAL_MS_MAX = 30_000;
const START_MS_MAX = 30_000;
/** Of the log of each proxy, where something does not go on. */
const LINES_SHOWN = 40;
/** Expiry is decided by clocks in milliseconds, and by a server that looks at its own now and then. */
const TOLERANCE_MS = 50;

export interface RageOptions extends Omit<ClusterOptions, 'proxies'> {
  /** Of strong keys: so many clients besides read them by RL.CONSISTENCY weak. */
  weakReaders?: number;
}

interface Stored {
  version: string;
  value: string | null;
}

/** Two proxies, and workers that must not die. Rejects when something does not go on. */
export async function rage(t: Test, { weakReaders = 0, ...options }: RageOptions, durationMs: number): Promise<void> {
  const random = randomFromSeed((text) => t.comment(text));
  const cluster = await Cluster.start(t, { ...options, proxies: 2 });
  const level = options.keyspace.mode === 'replicated' ? options.keyspace.consistency : 'strong';
  const kinds = level === 'strong' ? KINDS : REGISTERS;
  const workload = new Workload({ clients: CLIENTS, ports: () => cluster.ports(), random, kinds, weakReaders });
  const nemesis = new Nemesis(cluster, workload, random);
  workload.start();
  let broken: unknown = null;
  try {
    await workload.goesOn('at the start', START_MS_MAX);
    // Before proxies are killed, whose counts go with them.
    if (weakReaders > 0) await waitFor('weak reads', async () => (await cluster.count('replicated_plain_reads')) > 0);
    await nemesis.rage(durationMs);
    await workload.halt();
    await nemesis.readAll(workload);
    if (level === 'eventual') await untilEqual(cluster, workload.keys());
  } catch (error) {
    // What was recorded may say why.
    broken = error;
    for (const line of cluster.lastLines(LINES_SHOWN)) t.comment(line);
  }
  await workload.halt();
  for (const phase of nemesis.phases) t.comment(phase);
  for (const [text, count] of workload.doubts) t.comment(`in doubt, ${count} times: ${text}`);
  const { answered, unknown, failed } = workload.counts;
  // Which of them the faults leave unknown is left to chance: maybe none.
  t.ok(answered > 0 && nemesis.phases.length > 0, `${answered} answered, ${unknown} unknown, ${failed} without effect`);
  t.same(workload.wrong, [], 'no reply that the command does not have');
  const skewMs = TOLERANCE_MS + spreadOf(options);
  t.same(
    level !== 'strong'
      ? registerFaults(workload.calls, skewMs, level === 'quorum' ? irregularities : inventions)
      : historyFaults(workload.calls, (calls) => keyModel(calls, { skewMs })),
    [],
  );
  if (weakReaders > 0) {
    const told = workload.weakReads.filter(({ outcome }) => outcome.kind === 'answered');
    t.ok(told.length > 0, `${told.length} weak reads`);
    const written = workload.calls.filter(isOfRegister).map(asTried);
    t.same(registerFaults([...written, ...told], skewMs, writtenOrFailed), []);
  }
  // Two copies hold each write, or one and its hints: no fault of a node comes with another one's. Clocks may put one write before another.
  if (level === 'eventual' && options.restart === 'keeps-data') {
    const kept = await valuesAt(cluster.server(0), workload.keys());
    t.same(losses(workload.calls, kept, skewMs), [], 'no acknowledged write was lost');
  }
  t.same(cluster.deaths(), [], 'no worker died');
  if (broken !== null) throw broken;
}

/** A weak read of a strong key may tell what somebody is about to write, and has no effect in the end. */
function writtenOrFailed(calls: RegisterCall[]): string[] {
  return inventions(calls, 'counts');
}

/**
 * SET NX that found something may have been on its way to some copies before it did: it began when nothing was there, and another one overtook it.
 * Weak reads may tell of that as of any other call without effect.
 */
function asTried(call: KeyCall): KeyCall {
  const { input, outcome } = call;
  const hasSetNothing = input.kind === 'set-absent' && outcome.kind === 'answered' && outcome.output === null;
  return hasSetNothing ? { ...call, outcome: { kind: 'failed' } } : call;
}

function isOfRegister({ key }: KeyCall): boolean {
  return REGISTERS.some((kind) => key.startsWith(`${kind}:`));
}

/** What `faultsOf` finds, key by key. */
function registerFaults(
  calls: readonly KeyCall[],
  skewMs: number,
  faultsOf: (own: RegisterCall[]) => string[],
): string[] {
  return [...byKey(calls)].flatMap(([key, own]) => {
    return faultsOf(own.map((call) => registerCallOf(call, skewMs))).map((fault) => `${key}: ${fault}`);
  });
}

function registerCallOf({ client, input, outcome, askedAt, endedAt }: KeyCall, skewMs: number): RegisterCall {
  const output = outcome.kind === 'answered' ? (outcome.output as string | null) : undefined;
  const text = `${JSON.stringify(input)} -> ${output === undefined ? outcome.kind : output}`;
  const call = { client, askedAt, endedAt, outcome: outcome.kind, latest: endedAt + skewMs, text };
  const life = 'lifeMs' in input ? input.lifeMs : undefined;
  const expireAt = life === undefined ? 0 : askedAt + life;
  switch (input.kind) {
    case 'get':
      return output === undefined ? call : { ...call, told: output };
    case 'del':
      return { ...call, writes: { value: null, expireAt: 0 } };
    case 'set':
      return { ...call, writes: { value: input.value, expireAt } };
    case 'set-absent':
      // If it was not set, it says nothing but that something was there.
      if (output === null) return call;
      return { ...call, ...(output === undefined ? {} : { told: null }), writes: { value: input.value, expireAt } };
    default:
      throw new Error(`a register has no ${input.kind}`);
  }
}

/** Between the clocks, in milliseconds. */
function spreadOf({ skewsMs }: Pick<ClusterOptions, 'skewsMs'>): number {
  const all = [...(skewsMs?.nodes ?? []), ...(skewsMs?.proxies ?? []), 0];
  return Math.max(...all) - Math.min(...all);
}

/** Resolves when all nodes have all keys with the same versions and values, which is to be so within a stated time. */
async function untilEqual(cluster: Cluster, keys: readonly string[]): Promise<void> {
  await waitFor(
    'all copies to be equal',
    async () => {
      const told = await Promise.all(cluster.servers.map((server) => valuesAt(server, keys)));
      const [first, ...others] = told.map((values) => JSON.stringify([...values]));
      return others.every((other) => other === first);
    },
    EQUAL_MS_MAX,
  );
}

/** What a node has of each key: its version and its value. */
async function valuesAt(server: RedisServer, keys: readonly string[]): Promise<ReadonlyMap<string, Stored>> {
  const client = await RespClient.connect(server.port);
  try {
    const stored = new Map<string, Stored>();
    for (const key of keys) {
      const version = `${(await client.command('GET', `~rl:m:${key}`)) ?? ''}`.slice(40, 80);
      const value = await client.command('GET', key);
      stored.set(key, { version, value: value === null ? null : `${value}` });
    }
    return stored;
  } finally {
    client.close();
  }
}

/** Keys whose value in the end was written by a call that had ended before another one began that was acknowledged. Of registers alone: nothing else ends them. */
function losses(calls: readonly KeyCall[], kept: ReadonlyMap<string, Stored>, skewMs: number): string[] {
  const faults: string[] = [];
  for (const [key, own] of byKey(calls)) {
    const writes = own.filter(({ input }) => input.kind === 'set' && input.lifeMs === undefined);
    if (writes.length === 0 || own.some(({ input }) => input.kind !== 'set' && input.kind !== 'get')) continue;
    const value = kept.get(key)?.value ?? null;
    const last = writes.find(({ input }) => input.kind === 'set' && input.value === value);
    const endedAt = last?.outcome.kind === 'answered' ? last.endedAt : Number.POSITIVE_INFINITY;
    const lost = writes.find((write) => {
      return (
        write.outcome.kind === 'answered' && write !== last && (last === undefined || write.askedAt > endedAt + skewMs)
      );
    });
    if (lost !== undefined)
      faults.push(`${key}: ${value} is there, and ${JSON.stringify(lost.input)} was acknowledged later`);
  }
  return faults;
}
