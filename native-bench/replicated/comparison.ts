/** How long the nodes of a pool with keys of consistency eventual take to be compared, and until what differs is mended; and what it costs them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { ComparisonCare } from '../../src/control/comparisons.js';
import type { Status } from '../../src/control/status.js';
import { BenchmarkError } from '../compare/children.js';
import { type CpuTime, cpuTimeOf } from '../compare/cpu.js';
import type { RingleaderTarget } from './ringleader.js';

export interface ComparisonCost {
  /** From the beginning of the comparison until all is known of it, or from the damage until all copies are known to be equal. */
  seconds: number;
  /** Of a core, of the node that took most. */
  nodeShare: number;
  proxyShare: number;
}

const LOOK_MS = 20;
const MS_MAX = 300_000;
const DAMAGED_NODE = 2;

/** A comparison of all these keys, which are equal. */
export async function compareEqual(target: RingleaderTarget, keys: number): Promise<ComparisonCost> {
  const { beganAt: before } = await untilCompared(target, () => true);
  // The one after is seen from its beginning.
  const { beganAt } = await untilCompared(target, (care) => care.beganAt > before && care.keys >= keys);
  const begin = lookAt(target);
  const care = await untilCompared(target, (care) => care.beganAt > beganAt && care.keys >= keys);
  if (care.copies !== 'equal') throw new BenchmarkError(`${target.label}: its copies are not equal`);
  const { nodeShare, proxyShare, seconds } = sharesOf(begin, lookAt(target));
  // In between it had a pause, in which it costs nothing.
  const part = seconds / (care.tookMs / 1000);
  return { seconds: care.tookMs / 1000, nodeShare: nodeShare * part, proxyShare: proxyShare * part };
}

export interface MendingCost extends ComparisonCost {
  /** From the damage until the node has all keys again. */
  mendedSeconds: number;
}

/** One node loses so many of the keys, with all that it knows of them. */
export async function mendDifferences(target: RingleaderTarget, names: readonly string[]): Promise<MendingCost> {
  const redis = new Redis({ host: target.host, port: target.nodePorts[DAMAGED_NODE] as number, protocol: 2 });
  const lost = await redis.unlink(...names.flatMap((name) => [name, `~rl:m:${name}`]));
  if (lost !== 2 * names.length) throw new BenchmarkError(`${target.label}: only ${lost} of the keys were there`);
  const damagedAt = new Date().toISOString();
  const begin = lookAt(target);
  let mendedMs = Number.POSITIVE_INFINITY;
  const lookForKeys = async () => {
    while (mendedMs === Number.POSITIVE_INFINITY && performance.now() - begin.nowMs < MS_MAX) {
      if ((await redis.exists(...names)) === names.length) mendedMs = performance.now();
      await sleep(LOOK_MS);
    }
  };
  await Promise.all([lookForKeys(), untilCompared(target, ({ equalAt }) => (equalAt ?? '') > damagedAt)]);
  redis.disconnect();
  return { ...sharesOf(begin, lookAt(target)), mendedSeconds: (mendedMs - begin.nowMs) / 1000 };
}

interface Look {
  nowMs: number;
  nodes: CpuTime[];
  proxy: CpuTime;
}

function lookAt({ serverPids, proxyPid }: RingleaderTarget): Look {
  return { nowMs: performance.now(), nodes: serverPids.map(cpuTimeOf), proxy: cpuTimeOf(proxyPid) };
}

function sharesOf(before: Look, after: Look): ComparisonCost {
  const seconds = (after.nowMs - before.nowMs) / 1000;
  const share = (one: CpuTime, other: CpuTime) => (other.user + other.kernel - one.user - one.kernel) / seconds;
  const shares = before.nodes.map((one, node) => share(one, after.nodes[node] as CpuTime));
  return { seconds, nodeShare: Math.max(...shares), proxyShare: share(before.proxy, after.proxy) };
}

async function untilCompared(
  { label, adminUrl }: RingleaderTarget,
  isMeant: (care: ComparisonCare) => boolean,
): Promise<ComparisonCare> {
  const deadlineMs = performance.now() + MS_MAX;
  while (performance.now() < deadlineMs) {
    const status = (await (await fetch(`${adminUrl}/status`)).json()) as Status;
    const comparison = status.replicatedPools[0]?.comparison ?? null;
    if (comparison !== null && isMeant(comparison)) return comparison;
    await sleep(LOOK_MS);
  }
  throw new BenchmarkError(`${label}: its nodes were not compared within ${MS_MAX / 1000} s`);
}
