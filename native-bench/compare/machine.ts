/** The facts about the machine and the code that make a stored figure worth something later. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { type Programs, root } from './programs.js';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  /** Whether everything ran at high priority. */
  readonly raisedPriority: boolean;
}

export interface Versions {
  readonly redis: string;
  /** By name. */
  readonly peers: Readonly<Record<string, string>>;
  /** The Node that runs each ringleader, by label. */
  readonly node: Readonly<Record<string, string>>;
  /** The commit, with `+` when the sources differ from it. */
  readonly commit: string;
}

export function machineFacts(raisedPriority: boolean): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}${inContainer() ? ', container' : ''}`,
    raisedPriority,
  };
}

export function versions(programs: Programs, nodeOf: ReadonlyMap<string, string>): Versions {
  return {
    redis: programs.redis.version,
    peers: Object.fromEntries([...programs.peers].map(([name, { version }]) => [name, version])),
    node: Object.fromEntries([...nodeOf].map(([label, node]) => [label, output(node, ['--version'])])),
    commit: commit(),
  };
}

function commit(): string {
  const head = output('git', ['rev-parse', '--short', 'HEAD']);
  const changed = output('git', ['status', '--porcelain', '--', 'src', 'package.json', 'package-lock.json']);
  return `${head || 'unknown'}${changed === '' ? '' : '+'}`;
}

function output(command: string, args: readonly string[]): string {
  return spawnSync(command, args, { cwd: root, encoding: 'utf8' }).stdout?.trim() ?? '';
}

function inContainer(): boolean {
  return /docker|kubepods|containerd|lxc/.test(readFileSync('/proc/1/cgroup', 'utf8'));
}
