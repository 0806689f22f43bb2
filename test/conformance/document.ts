/** The tables in docs/CONFORMANCE.md, which follow from the checked-in lists. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Baseline } from './baseline.js';
import type { Expectations } from './expectations.js';
import { expectedTable, reasonTable } from './report.js';
import { RUN_KINDS } from './run-kind.js';

const PATH = join('docs', 'CONFORMANCE.md');

/** The document as it is, and as it would be by the lists. */
export function readDocument(baseline: Baseline, expectations: Expectations): { present: string; wanted: string } {
  const present = readFileSync(PATH, 'utf8');
  const tables = {
    units: expectedTable(baseline, expectations, RUN_KINDS),
    reasons: reasonTable(expectations, RUN_KINDS),
  };
  let wanted = present;
  for (const [name, table] of Object.entries(tables)) {
    const place = new RegExp(`(<!-- ${name} -->\\n)[^]*?(<!-- /${name} -->)`);
    if (!place.test(wanted)) throw new Error(`${PATH} has no place for the table of ${name}`);
    wanted = wanted.replace(place, (_, start: string, end: string) => `${start}${table}\n${end}`);
  }
  return { present, wanted };
}

export function writeDocument(baseline: Baseline, expectations: Expectations): void {
  writeFileSync(PATH, readDocument(baseline, expectations).wanted);
}
