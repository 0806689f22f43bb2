/** The programs that a benchmark needs: Redis's, and nutcracker (twemproxy) to compare with. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { BenchmarkError } from './children.js';

export interface RedisPrograms {
  readonly server: string;
  readonly cli: string;
  readonly benchmark: string;
  /** Variables to add to the environment when running them. */
  readonly env: Readonly<Record<string, string>>;
  readonly version: string;
}

export interface Nutcracker {
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
  readonly version: string;
}

export interface Programs {
  readonly redis: RedisPrograms;
  /** Null where it was not asked for. */
  readonly nutcracker: Nutcracker | null;
}

/** The checkout's folder; this file runs from dist/native-bench/compare. */
export const root = new URL('../../../', import.meta.url);

/** Finds the programs, or unpacks them from Debian's packages into the cache that the tests use too. */
export async function findPrograms(withNutcracker: boolean): Promise<Programs> {
  const { redisPrograms } = await script<{ redisPrograms(): RedisPrograms }>('redis.mjs');
  try {
    return { redis: redisPrograms(), nutcracker: withNutcracker ? await findNutcracker() : null };
  } catch (error) {
    throw new BenchmarkError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

async function findNutcracker(): Promise<Nutcracker> {
  const { PATH = '' } = process.env;
  const installed = [...PATH.split(delimiter), '/usr/sbin', '/usr/local/sbin']
    .map((folder) => join(folder, 'nutcracker'))
    .find((path) => existsSync(path));
  if (installed !== undefined) return { program: installed, env: {}, version: versionOf(installed, {}) };

  const debian = await script<DebianPackages>('debian.mjs');
  if (!debian.hasDebianPackages()) {
    throw new BenchmarkError('nutcracker is not installed (or leave it out: --only direct,ringleader)');
  }
  const path = 'usr/sbin/nutcracker';
  const { root: folder, env } = debian.unpackedPackages('nutcracker', ['nutcracker'], [path]);
  const program = join(folder, path);
  return { program, env, version: versionOf(program, env) };
}

interface DebianPackages {
  hasDebianPackages(): boolean;
  unpackedPackages(
    name: string,
    packages: readonly string[],
    programs: readonly string[],
  ): { root: string; env: Record<string, string> };
}

/** nutcracker writes `This is nutcracker-0.5.0` to standard error. */
function versionOf(program: string, env: Readonly<Record<string, string>>): string {
  const { stdout, stderr } = spawnSync(program, ['-V'], { env: { ...process.env, ...env }, encoding: 'utf8' });
  return /nutcracker-(\S+)/.exec(`${stdout}${stderr}`)?.[1] ?? 'unknown';
}

/** The scripts are plain JavaScript outside the compiled sources, so their types are stated where they are used. */
async function script<T>(name: string): Promise<T> {
  return (await import(new URL(`scripts/${name}`, root).href)) as T;
}
