/** The programs that a benchmark needs: Redis's, and nutcracker (twemproxy) to compare with. */
import { BenchmarkError } from './children.js';

export interface RedisPrograms {
  readonly server: string;
  readonly cli: string;
  readonly benchmark: string;
  /** Variables to add to the environment when running them. */
  readonly env: Readonly<Record<string, string>>;
  readonly version: string;
}

/** nutcracker, or etcd. */
export interface Peer {
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
  readonly version: string;
}

export interface Programs {
  readonly redis: RedisPrograms;
  /** Null where it was not asked for. */
  readonly nutcracker: Peer | null;
}

/** etcd, from Debian's package if need be. */
export async function findEtcd(): Promise<Peer> {
  const { etcdProgram } = await script<{ etcdProgram(): Peer }>('etcd.mjs');
  return find(etcdProgram, ' (or leave it out: --only cost,failure)');
}

/** The checkout's folder; this file runs from dist/native-bench/compare. */
export const root = new URL('../../../', import.meta.url);

/** Finds the programs, or unpacks them from Debian's packages into the cache that the tests use too. */
export async function findPrograms(withNutcracker: boolean): Promise<Programs> {
  const { redisPrograms } = await script<{ redisPrograms(): RedisPrograms }>('redis.mjs');
  const { nutcrackerProgram } = await script<{ nutcrackerProgram(): Peer }>('nutcracker.mjs');
  return {
    redis: find(redisPrograms, ''),
    nutcracker: withNutcracker ? find(nutcrackerProgram, ' (or leave it out: --only direct,ringleader)') : null,
  };
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
