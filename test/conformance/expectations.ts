/**
 * Which tests of Redis's suite are not expected to pass through the proxy, in which runs, and why: the file
 * expected-failures.txt, read and written. A decider.
 *
 *   ## MULTI, EXEC, DISCARD and WATCH are still to come       a reason
 *   error: '(multi|exec|discard|watch)'                       new failures whose text this matches belong under it
 *
 *   unit/multi
 *   c3 p3 c1 p1 | MULTI / EXEC basics                         does not pass in these runs
 *   ~ c3 p3 | SLOWLOG - …                                     may pass or not
 *   ! c3 p3 | Server is able to …                             hangs, and is not run: each would cost two minutes
 */
import { ListError } from './baseline.js';
import { RUN_KINDS } from './run-kind.js';

export interface Expectation {
  unit: string;
  name: string;
  /** Names of run kinds: in these it does not pass. */
  runs: Set<string>;
  /** Whether it may pass, too. */
  mayPass: boolean;
  /** Whether it hangs: then it is not run. */
  hangs: boolean;
}

export interface Reason {
  /** In words. */
  text: string;
  /** What the detail of a new failure must match to come under this reason. Null: none does by itself. */
  error: RegExp | null;
  expectations: Expectation[];
}

export interface Expectations {
  /** The comment at the top of the file. */
  preface: string[];
  reasons: Reason[];
}

/** Failures that nobody has explained yet come under it; a file that has it is not accepted. */
export const UNEXPLAINED = 'No reason has been found yet';

export function parseExpectations(text: string): Expectations {
  const preface: string[] = [];
  const reasons: Reason[] = [];
  const seen = new Set<string>();
  let reason: Reason | null = null;
  let unit = '';
  for (const [index, line] of text.split('\n').entries()) {
    const fail = (problem: string) => new ListError(`line ${index + 1}: ${problem}: ${line}`);
    if (line.startsWith('## ')) {
      reason = { text: line.slice(3), error: null, expectations: [] };
      reasons.push(reason);
      unit = '';
    } else if (line.startsWith('#') && reason === null) {
      preface.push(line);
    } else if (line === '') {
      unit = '';
    } else if (reason === null) {
      throw fail('it stands before the first reason');
    } else if (line.startsWith('error: ')) {
      reason.error = new RegExp(line.slice('error: '.length), 'i');
    } else if (/^(unit|integration)\/\S+$/.test(line)) {
      unit = line;
    } else {
      const [, mark, runs, name] = /^([~!] )?((?:\w\d )+)\| (.+)$/.exec(line) ?? [];
      if (runs === undefined || name === undefined || unit === '') throw fail('it is no expectation');
      const names = runs.trim().split(' ');
      for (const run of names) {
        if (!RUN_KINDS.some((kind) => kind.name === run)) throw fail(`there is no run ${run}`);
        const key = `${run} ${unit} ${name}`;
        if (seen.has(key)) throw fail(`it is there twice for ${run}`);
        seen.add(key);
      }
      reason.expectations.push({ unit, name, runs: new Set(names), mayPass: mark === '~ ', hangs: mark === '! ' });
    }
  }
  return { preface, reasons };
}

export function formatExpectations({ preface, reasons }: Expectations): string {
  const blocks = [preface.join('\n')];
  for (const reason of reasons) {
    blocks.push(`## ${reason.text}${reason.error === null ? '' : `\nerror: ${reason.error.source}`}`);
    for (const unit of new Set(reason.expectations.map((expectation) => expectation.unit))) {
      const lines = reason.expectations.filter((expectation) => expectation.unit === unit).map(formatExpectation);
      blocks.push([unit, ...lines].join('\n'));
    }
  }
  return `${blocks.join('\n\n')}\n`;
}

export function withoutUnexplained({ preface, reasons }: Expectations): Expectations {
  return { preface, reasons: reasons.filter(({ text }) => text !== UNEXPLAINED) };
}

/** The line of the file, without its unit. */
export function formatExpectation({ name, runs, mayPass, hangs }: Omit<Expectation, 'unit'>): string {
  const kinds = RUN_KINDS.filter((kind) => runs.has(kind.name)).map((kind) => kind.name);
  return `${mayPass ? '~ ' : hangs ? '! ' : ''}${kinds.join(' ')} | ${name}`;
}

/** The tests of `unit` that are not run, since they hang. */
export function hangingIn(expectations: Expectations, run: string, unit: string): string[] {
  const all = expectations.reasons.flatMap((reason) => reason.expectations);
  return all.filter((one) => one.hangs && one.unit === unit && one.runs.has(run)).map(({ name }) => name);
}

/** What is expected of one run of one unit: which tests do not pass (`fails`), and which may do either. */
export function expectedOf(expectations: Expectations, run: string, unit: string): Map<string, 'fails' | 'may pass'> {
  const expected = new Map<string, 'fails' | 'may pass'>();
  for (const { expectations: list } of expectations.reasons) {
    for (const expectation of list) {
      if (expectation.unit !== unit || !expectation.runs.has(run)) continue;
      expected.set(expectation.name, expectation.mayPass ? 'may pass' : 'fails');
    }
  }
  return expected;
}
