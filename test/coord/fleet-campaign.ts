/** A fleet of processes in which members and servers are killed and stopped, one after another, and what cannot be true of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { pause } from '../../src/base/pause.js';
import { readLed } from '../../src/coord/led-entry.js';
import type { Member } from '../../src/coord/member-facts.js';
import { Membership } from '../../src/coord/membership.js';
import type { Store } from '../../src/coord/store.js';
import { StoreError } from '../../src/coord/store-error.js';
import type { Random } from '../help/random.js';
import { waitFor, within } from '../help/wait-for.js';
import { type Candidate, TOPOLOGY_KEY, type ToldEvent } from './candidate.js';
import { type Case, KEY } from './case.js';

const NAMES = ['a', 'b', 'c'];
const LEASE_MS = 2_000;
/** Of one trouble, before the next one. */
const TROUBLE_MS_MAX = 4_000;
/** Between two changes of which the first was not done. */
const RETRY_MS = 50;
/** Until all know everything, when all is well again. */
const PEACE_MS = 30_000;

export interface Campaign {
  /** What is wrong, in words. */
  faults: string[];
  terms: number;
  changes: number;
}

/** For so long, and then until all is well. */
export async function fleetCampaign(own: Case, random: Random, forMs: number): Promise<Campaign> {
  const all: Candidate[] = [];
  const start = async (name: string) => {
    all.push(await own.candidate(name, LEASE_MS));
  };
  await Promise.all(NAMES.map(start));
  const faults: string[] = [];
  watchTerms(own.store(), faults);
  const changer = new Changer(own.store(), faults);
  await changer.membership.start();
  const stopped = new AbortController();
  const changing = changer.changeUntil(stopped.signal);
  const endMs = performance.now() + forMs;
  while (performance.now() < endMs) {
    const forMs = random.below(TROUBLE_MS_MAX);
    const living = all.filter(({ isGone }) => !isGone);
    const leader = living.find(({ term }) => term !== null);
    const victim = leader !== undefined && random.chance(60) ? leader : random.pick(living);
    const server = random.below(own.servers.size);
    await random.pick([
      async () => {
        victim.signal('SIGSTOP');
        await sleep(forMs);
        victim.signal('SIGCONT');
      },
      async () => {
        await victim.kill();
        await sleep(random.below(forMs + 1));
        await start(victim.name);
      },
      async () => {
        await own.servers.kill(server);
        await sleep(forMs);
        await own.servers.restart(server);
        await own.servers.settled();
      },
      async () => {
        own.servers.pause(server);
        await sleep(forMs);
        own.servers.resume(server);
        // ZooKeeper before 3.9.3 may lose what is committed where the next server fails while this one is being brought up (docs/FLEET.md).
        await own.servers.settled();
      },
    ])();
  }
  stopped.abort();
  await changing;
  const living = all.filter(({ isGone }) => !isGone);
  await waitFor('a change in peace', () => changer.change(), PEACE_MS);
  await within('the change to reach all', changer.reach(NAMES, new AbortController().signal), PEACE_MS);
  await waitFor('one who leads and writes', () => living.some(isWriting), PEACE_MS);
  await changer.membership.leave();
  faults.push(...leaderFaults(all));
  for (const { name, complaints } of all) if (complaints !== '') faults.push(`${name}: ${complaints}`);
  const last = await readLed(own.store(), KEY);
  const terms = all.flatMap(electedTerms);
  if (!terms.includes(last.term)) faults.push(`nobody led in term ${last.term}`);
  return { faults, terms: terms.length, changes: changer.version };
}

/** What cannot be true of who led when, by what they said. */
export function leaderFaults(all: readonly Candidate[]): string[] {
  const faults: string[] = [];
  const reigns = all.flatMap((one) => {
    return one.events.filter((event) => event.kind === 'elected').map((event) => reignOf(one, event));
  });
  reigns.sort((one, other) => one.term - other.term);
  for (const [at, { term, name, fromMs }] of reigns.entries()) {
    for (const former of reigns.slice(0, at)) {
      if (former.term === term) faults.push(`${former.name} and ${name} both led in term ${term}`);
      if (former.untilMs > fromMs) {
        faults.push(`${former.name} led in ${former.term} ${former.untilMs - fromMs} ms after ${name} did in ${term}`);
      }
    }
  }
  return faults;
}

interface Reign {
  name: string;
  term: number;
  fromMs: number;
  /** Then it led for certain. */
  untilMs: number;
}

function reignOf({ name, events }: Candidate, { term, atMs }: ToldEvent & { kind: 'elected' }): Reign {
  const leadingMs = events.map((event) =>
    event.kind === 'written' && event.term === term ? (event.leadingMs ?? 0) : 0,
  );
  return { name, term, fromMs: atMs, untilMs: Math.max(0, ...leadingMs) };
}

function electedTerms({ events }: Candidate): number[] {
  return events.flatMap((event) => (event.kind === 'elected' ? [event.term] : []));
}

function isWriting({ term, events }: Candidate): boolean {
  const last = events.findLast(({ kind }) => kind === 'written');
  return term !== null && last?.kind === 'written' && last.term === term && last.leadingMs !== null;
}

/** What is wrong with the entry of the leaders, as it goes on: its terms only grow. */
function watchTerms(store: Store, faults: string[]): void {
  let last = 0;
  store.watch(KEY.folder, {
    onFolder: ({ entries }) => {
      const term = Number(entries.get(KEY.name)?.value?.split(' ')[0] ?? 0);
      if (term < last) faults.push(`what the leader of ${term} sent landed after ${last}`);
      last = Math.max(last, term);
    },
    onTrouble: () => {},
  });
}

/** A member that changes the topology, and waits each time until all others have it or are gone. */
class Changer {
  /** The last that is known to be there. */
  version = 0;
  readonly membership: Membership;
  private readonly store: Store;
  private readonly faults: string[];

  constructor(store: Store, faults: string[]) {
    this.store = store;
    this.faults = faults;
    this.membership = new Membership(store, {
      name: 'changer',
      leaseMs: LEASE_MS,
      facts: { version: '1', sinceMs: Date.now(), topologyVersion: 0, reason: null },
      onMembers: () => {},
      onTrouble: () => {},
      onJoined: () => {},
      onLost: () => {},
    });
  }

  async changeUntil(stopped: AbortSignal): Promise<void> {
    while (!stopped.aborted) {
      if (await this.change()) await this.reach([], stopped);
      else await pause(RETRY_MS, stopped);
    }
  }

  /** Resolves when all living members have it, and these are among them. */
  async reach(names: readonly string[], stopped: AbortSignal): Promise<void> {
    const { version, membership } = this;
    const haveIt = (members: ReadonlyMap<string, Member>) =>
      names.every((name) => members.has(name)) &&
      [...members.values()].every(({ topologyVersion }) => topologyVersion >= version);
    try {
      await membership.until(haveIt, stopped);
    } catch (error) {
      if (!stopped.aborted) throw error;
    }
  }

  /** Whether it is done. */
  async change(): Promise<boolean> {
    const { store, membership, faults } = this;
    try {
      const { version, value } = await store.get(TOPOLOGY_KEY);
      const found = Number(value ?? 0);
      if (found < this.version) faults.push(`the topology is ${found} after ${this.version}`);
      const written = await store.compareAndSet(TOPOLOGY_KEY, version, `${found + 1}`);
      // One of before, of which it was not known, has come.
      if (written.kind === 'conflict') return false;
      this.version = found + 1;
      membership.show({ topologyVersion: this.version });
      return true;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return false;
    }
  }
}
