/**
 * A process of a fleet, as far as its store goes: it is a member and shows the version of the topology, and stands for election; where it
 * leads it writes as fast as it can, until that is refused:
 *
 *   node candidate-main.js CONFIGURATION NAME LEASE-MS
 *
 * Says in a line of JSON what happens (candidate.ts). Whether it leads is noted, and nothing else made of it: what it writes is what was
 * under way.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { parseConfig } from '../../src/config.js';
import { openCoordination } from '../../src/control/coordination.js';
import { Election } from '../../src/coord/election.js';
import { LedEntry } from '../../src/coord/led-entry.js';
import { Membership } from '../../src/coord/membership.js';
import { StoreError } from '../../src/coord/store-error.js';
import { type CandidateEvent, machineMs, TOPOLOGY_KEY } from './candidate.js';
import { KEY } from './case.js';

const PAUSE_MS = 20;

const [, , text = '', name = '', leaseText = ''] = process.argv;
const leaseMs = Number(leaseText);
const parsed = parseConfig(text, { workers: 1, environment: {} });
if (!('config' in parsed)) throw new Error(`the configuration is wrong: ${JSON.stringify(parsed)}`);
const { store } = openCoordination(parsed.config, { dataDir: null, log: pino({ level: 'silent' }) });

const onTrouble = (reason: string) => tell({ kind: 'trouble', reason });
const membership = new Membership(store, {
  name,
  leaseMs,
  facts: { version: '1', sinceMs: Date.now(), topologyVersion: 0, reason: null },
  onMembers: () => {},
  onTrouble,
  onJoined: () => {},
  onLost: () => {},
});
void membership.start();
store.watch(TOPOLOGY_KEY.folder, {
  onFolder: ({ entries }) => {
    membership.show({ topologyVersion: Number(entries.get(TOPOLOGY_KEY.name)?.value ?? 0) });
  },
  onTrouble: (error) => onTrouble(error.message),
});

const election = new Election(store, {
  name,
  leaseMs,
  onLeader: () => {},
  onElected: (term) => {
    tell({ kind: 'elected', term });
    void lead(term);
  },
  onDeposed: (reason) => tell({ kind: 'deposed', reason }),
  onTrouble,
});
election.stand();

async function lead(term: number): Promise<void> {
  let entry: LedEntry | null = null;
  for (let count = 1; ; count++) {
    const askedMs = machineMs();
    const leadingMs = election.term === term && election.isLeader ? askedMs : null;
    try {
      if (entry === null) ({ entry } = await LedEntry.seal(store, KEY, term));
      else await entry.write(`${name}.${count}`);
      tell({ kind: 'written', term, leadingMs });
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
  console.log(JSON.stringify({ ...event, atMs: machineMs() }));
}
