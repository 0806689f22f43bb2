/** Clients that read and write one entry while servers come and go, and all that they were told. */
import { StoreError, type StoreFault } from '../../src/coord/store-error.js';
import { waitFor } from '../help/wait-for.js';
import { type Case, KEY } from './case.js';
import type { History } from './history.js';

/** Between two faults, so that there is something to lose. */
const CHANGES_BETWEEN_FAULTS = 5;
const CLIENTS = 4;

/** Clients read and write one entry while servers come and go, one at a time, so many times. */
export async function campaign(own: Pick<Case, 'store' | 'servers'>, turns: number): Promise<History[]> {
  const { servers } = own;
  const histories: History[] = [];
  let done = 0;
  let isOver = false;
  const client = async (index: number) => {
    const store = own.store({ server: index % servers.size, times: { timeoutMs: 2_000, attemptMs: 500 } });
    for (let count = 0; !isOver; count++) {
      const read = await timed(() => store.get(KEY));
      if (!('result' in read)) continue;
      const { startMs, endMs, result } = read;
      histories.push({ kind: 'read', startMs, endMs, version: result.version, value: result.value });
      const value = `${index}.${count}`;
      const written = await timed(() => store.compareAndSet(KEY, result.version, value));
      const times = { startMs: written.startMs, endMs: written.endMs };
      const change = { kind: 'write', ...times, expected: result.version, value } as const;
      if ('fault' in written) histories.push({ ...change, outcome: written.fault });
      else if (written.result.kind === 'done') {
        histories.push({ ...change, outcome: 'done', version: written.result.version });
        done++;
      } else histories.push({ ...change, outcome: 'conflict', found: written.result.found });
    }
  };
  const someChanges = () => {
    const goal = done + CHANGES_BETWEEN_FAULTS;
    return waitFor('changes between faults', () => done >= goal, 60_000);
  };
  const nemesis = async () => {
    try {
      for (let turn = 0; turn < turns; turn++) {
        await someChanges();
        const leader = await servers.leader();
        const victim = leader >= 0 && turn % 2 === 0 ? leader : turn % servers.size;
        if (turn % 4 < 2) await servers.kill(victim);
        else servers.pause(victim);
        // The others go on without it.
        await someChanges();
        if (turn % 4 < 2) await servers.restart(victim);
        else servers.resume(victim);
      }
      await someChanges();
    } finally {
      isOver = true;
    }
  };
  await Promise.all([nemesis(), ...Array.from({ length: CLIENTS }, (_, index) => client(index))]);
  return histories;
}

interface Times {
  startMs: number;
  endMs: number;
}

async function timed<A>(work: () => Promise<A>): Promise<Times & ({ result: A } | { fault: StoreFault })> {
  const startMs = performance.now();
  try {
    const result = await work();
    return { startMs, endMs: performance.now(), result };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return { startMs, endMs: performance.now(), fault: error.fault };
  }
}
