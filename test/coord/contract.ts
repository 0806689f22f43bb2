/**
 * The contract of the coordination store: what every driver is to do, against the servers that it is for. Each case has a fleet of its
 * own.
 */
import type { Test } from 'tap';
import { BASIC_CASES } from './basic-cases.js';
import { Case, type Deployment } from './case.js';
import { ELECTION_CASES } from './election-cases.js';
import { FAULT_CASES } from './fault-cases.js';
import { PROCESS_CASES, STEADY_CASES } from './fleet-cases.js';
import { LEASE_CASES } from './lease-cases.js';
import { MEMBER_CASES } from './member-cases.js';

type Cases = Readonly<Record<string, (t: Test, own: Case) => Promise<void>>>;

/** Cases in which nothing fails do not disturb each other. */
const CASES_AT_ONCE = 4;

/** Holds a driver to the contract; what happens when servers fail only where there are some. */
export async function testContract(t: Test, deployment: Deployment): Promise<void> {
  t.teardown(() => deployment.stop());
  await t.test('while all is well', async (t) => {
    t.jobs = CASES_AT_ONCE;
    await Promise.all(
      runCases(t, deployment, 'well', { ...BASIC_CASES, ...LEASE_CASES, ...MEMBER_CASES, ...ELECTION_CASES }),
    );
  });
  if (deployment.servers === null) return;
  await t.test('while servers fail', async (t) => {
    await Promise.all(runCases(t, deployment, 'ill', { ...FAULT_CASES, ...STEADY_CASES }));
  });
  if (deployment.configuration === undefined) return;
  await t.test('while processes fail', async (t) => {
    await Promise.all(runCases(t, deployment, 'gone', PROCESS_CASES));
  });
}

function runCases(t: Test, deployment: Deployment, group: string, cases: Cases): Promise<unknown>[] {
  return Object.entries(cases).map(([name, run], index) => {
    return t.test(name, { buffered: t.jobs > 1 }, async (t) => {
      const own = new Case(deployment, `${group}-${index}`);
      try {
        await run(t, own);
      } finally {
        await own.end();
      }
    });
  });
}
