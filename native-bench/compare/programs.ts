/** The programs that a benchmark needs: Redis's, and those of others to compare with. */
import { BenchmarkError } from './children.js';

export interface RedisPrograms {
  readonly server: string;
  readonly cli: string;
  readonly benchmark: string;
  /** Variables to add to the environment when running them. */
  readonly env: Readonly<Record<string, string>>;
  readonly version: string;
}

/** A proxy to compare with, or etcd. */
export interface Peer {
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
  readonly version: string;
}

export interface Programs {
  readonly redis: RedisPrograms;
  /** Other proxies, by name; none unless they were looked for. */
  readonly peers: ReadonlyMap<string, Peer>;
}

/** etcd, from Debian's package if need be. */
export async function findEtcd(): Promise<Peer> {
  const { etcdProgram } = await script<{ etcdProgram(): Peer }>('etcd.mjs');
  return find(etcdProgram, ' (or leave it out: --only cost,failure)');
}

/** The checkout's folder; this file runs from dist/native-bench/compare. */
export const root = new URL('../../../', import.meta.url);

/** Finds Redis, or unpacks it from Debian's packages into the cache that the tests use too. */
export async function findPrograms(peers: ReadonlyMap<string, Peer> = new Map()): Promise<Programs> {
  const { redisPrograms } = await script<{ redisPrograms(): RedisPrograms }>('redis.mjs');
  return { redis: find(redisPrograms, ''), peers };
}

/** nutcracker from Debian's package; null where this is no Debian, or has no way to it. */
export async function nutcrackerPackage(): Promise<Peer | null> {
  const { nutcrackerProgram } = await script<{ nutcrackerProgram(): Peer }>('nutcracker.mjs');
  const { SetupError } = await script<{ SetupError: new () => Error }>('setup.mjs');
  try {
    return nutcrackerProgram();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(error.message);
    return null;
  }
}

function find<T>(program: () => T, advice: string): T {
  try {
    return program();
  } catch (error) {
    throw new BenchmarkError(`${error instanceof Error ? error.message : error}${advice}`, { cause: error });
  }
}

/** The scripts are plain JavaScript outside the compiled sources, so their types are stated where they are used. */
async function script<T>(name: string): Promise<T> {
  return (await import(new URL(`scripts/${name}`, root).href)) as T;
}
