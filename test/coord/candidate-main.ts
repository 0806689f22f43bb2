/**
 * A process that stands for election, and that writes as a leader as fast as it can where it leads, until that is refused:
 *
 *   node candidate-main.js CONFIGURATION NAME LEASE-MS
 *
 * Says in a line of JSON what happens (candidate.ts). It looks at nothing before it writes: what it does is what was under way.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { parseConfig } from '../../src/config.js';
import { openCoordination } from '../../src/control/coordination.js';
import { Election } from '../../src/coord/election.js';
import { LedEntry } from '../../src/coord/led-entry.js';
import { StoreError } from '../../src/coord/store-error.js';
import type { CandidateEvent } from './candidate.js';
import { KEY } from './case.js';

const PAUSE_MS = 20;

const [, , text = '', name = '', leaseMs = ''] = process.argv;
const parsed = parseConfig(text, { workers: 1, environment: {} });
if (!('config' in parsed)) throw new Error(`the configuration is wrong: ${JSON.stringify(parsed)}`);
const { store } = openCoordination(parsed.config, { dataDir: null, log: pino({ level: 'silent' }) });

const election = new Election(store, {
  name,
  leaseMs: Number(leaseMs),
  onLeader: () => {},
  onElected: (term) => {
    tell({ kind: 'elected', term });
    void lead(term);
  },
  onDeposed: (reason) => tell({ kind: 'deposed', reason }),
  onTrouble: (reason) => tell({ kind: 'trouble', reason }),
});
election.stand();

async function lead(term: number): Promise<void> {
  let entry: LedEntry | null = null;
  for (let count = 1; ; count++) {
    const isLeader = election.term === term && election.isLeader;
    try {
      if (entry === null) ({ entry } = await LedEntry.seal(store, KEY, term));
      else await entry.write(`${name}.${count}`);
      tell({ kind: 'written', term, isLeader });
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (error.fault === 'refused') {
        tell({ kind: 'refused', term, reason: error.message });
        return;
      }
    }
    await sleep(PAUSE_MS);
  }
}

function tell(event: CandidateEvent): void {
  console.log(JSON.stringify({ ...event, atMs: Date.now() }));
}
