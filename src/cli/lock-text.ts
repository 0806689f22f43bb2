/** What people read of locks. */
import { formatMilliseconds } from '../base/units.js';
import type { LockFacts, LockHolder } from './lock-client.js';

const HEAD = ['lock', 'mode', 'holder', 'fence', 'for'];

/** A table with a line for each holder, or a sentence where there is none. */
export function describeLocks(locks: readonly LockFacts[]): string {
  if (locks.length === 0) return 'no lock is held';
  const rows = [HEAD, ...locks.flatMap(rowsOf)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => (row[column] as string).length)));
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] as number)).join('  '));
  return lines.map((line) => line.trimEnd()).join('\n');
}

/** A sentence, and a line for each holder. */
export function describeLock(facts: LockFacts): string {
  const name = printable(facts.name);
  const last = facts.fence === null ? 'it was never taken' : `its last fence is ${facts.fence}`;
  if (facts.state === 'free') return `${name} is free; ${last}`;
  if (facts.state !== 'held') return `${name} is held by no majority of its nodes (${facts.state}); ${last}`;
  return [`${name} is held (${modeOf(facts)}):`, ...facts.holders.map((holder) => `  ${describeHolder(holder)}`)].join(
    '\n',
  );
}

function describeHolder({ client, fence, ttl }: LockHolder): string {
  const who = client === null ? 'somebody who took it by another command' : printable(client);
  const by = fence === null ? 'without a fence' : `with fence ${fence}`;
  return `${who}, ${by}, ${ttl < 0 ? 'without end' : `for ${formatMilliseconds(ttl)} more`}`;
}

function rowsOf(facts: LockFacts): string[][] {
  const name = printable(facts.name);
  if (facts.state !== 'held') return [[name, facts.state, '-', `${facts.fence ?? '-'}`, '-']];
  return facts.holders.map(({ client, fence, ttl }) => {
    const time = ttl < 0 ? 'ever' : formatMilliseconds(ttl);
    return [name, modeOf(facts), printable(client ?? '?'), `${fence ?? '-'}`, time];
  });
}

function modeOf({ mode, limit }: LockFacts): string {
  return limit === null ? `${mode}` : `${mode} ${limit}`;
}

/** A name may hold anything, and a terminal does what it is told. */
function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, '?');
}
