/** The store of a configuration, for tests. */
import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import type { Test } from 'tap';
import { parseConfig } from '../../src/config.js';
import { type Coordination, openCoordination } from '../../src/control/coordination.js';

/** Opened as a process does it, and closed with the test. */
export function openConfigured(t: Test, configuration: string): Coordination {
  const readFile = (path: string) => readFileSync(path, 'utf8');
  const result = parseConfig(configuration, { workers: 1, environment: {}, readFile });
  if ('problems' in result) throw new Error(JSON.stringify(result.problems));
  const coordination = openCoordination(result.config, { dataDir: null, log: pino({ level: 'silent' }) });
  t.teardown(() => coordination.store.close());
  return coordination;
}
