/** The configuration file, as commands read it: what is wrong with it is printed, a line each. */
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { type Config, type ConfigDefaults, formatProblem, formatWarning, parseConfig } from '../config.js';
import { defaultWorkers } from '../control/cpus.js';
import { readText } from './text-file.js';

export interface ConfigFile {
  config: Config;
  /** What the file may not have been meant to say: FILE:LINE:COLUMN: warning: … */
  warnings: string[];
}

/** The configuration in that file; prints what is wrong with it and returns null when it is not good. */
export function readConfig(path: string): ConfigFile | null {
  const result = parseConfig(readText(path), machineDefaults());
  if ('config' in result) {
    return { config: result.config, warnings: result.warnings.map((warning) => formatWarning(path, warning)) };
  }
  for (const problem of result.problems) process.stderr.write(`${formatProblem(path, problem)}\n`);
  return null;
}

/** What the file leaves to the machine that it is read on. */
export function machineDefaults(): ConfigDefaults {
  const readFile = (path: string) => readFileSync(path, 'utf8');
  return { workers: defaultWorkers(), environment: process.env, ownAddresses: ownAddresses(), readFile };
}

/** None where the system does not tell: a sandbox may keep netlink from the process, and the proxy needs it for nothing else. */
function ownAddresses(): string[] {
  try {
    return Object.values(networkInterfaces()).flatMap((addresses = []) => addresses.map(({ address }) => address));
  } catch {
    return [];
  }
}
