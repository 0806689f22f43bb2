/** The configuration file, as commands read it: what is wrong with it is printed, a line each. */
import { networkInterfaces } from 'node:os';
import { type Config, type ConfigDefaults, formatProblem, parseConfig } from '../config.js';
import { defaultWorkers } from '../control/cpus.js';
import { readText } from './text-file.js';

/** The configuration in that file; prints what is wrong with it and returns null when it is not good. */
export function readConfig(path: string): Config | null {
  const result = parseConfig(readText(path), machineDefaults());
  if ('config' in result) return result.config;
  for (const problem of result.problems) process.stderr.write(`${formatProblem(path, problem)}\n`);
  return null;
}

/** What the file leaves to the machine that it is read on. */
export function machineDefaults(): ConfigDefaults {
  return { workers: defaultWorkers(), environment: process.env, ownAddresses: ownAddresses() };
}

/** None where the system does not tell: a sandbox may keep netlink from the process, and the proxy needs it for nothing else. */
function ownAddresses(): string[] {
  try {
    return Object.values(networkInterfaces()).flatMap((addresses = []) => addresses.map(({ address }) => address));
  } catch {
    return [];
  }
}
