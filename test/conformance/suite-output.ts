/**
 * What Redis's test suite writes, as it comes, turned into what became of each test. A decider: lines in, results out.
 *
 *   [ok]: name (12 ms)            [err]: name in tests/unit/x.tcl      [ignore]: name: Tag: slow denied
 *   [skip]: name                  followed by lines that say why
 */

/** `hung`: it was in the middle of it when nothing came for too long. */
export type Outcome = 'passed' | 'failed' | 'hung';

export interface TestResult {
  name: string;
  outcome: Outcome;
  /** Of one that failed: what the suite says of it. Empty otherwise. */
  detail: string;
}

export interface SuiteOutput {
  results: TestResult[];
  /** What the server refused in the set-up of blocks of tests: `function flush: ERR …`. Each once. */
  refused: string[];
  /** Errors outside of tests, which end a block: the tests behind it in the block were not run. */
  endedBlocks: string[];
  /** The error that ended the unit, or null. */
  exception: string | null;
  /** Whether the suite came to its end. */
  isComplete: boolean;
}

const LINE = /^\[(ok|err|set-up|block|exception|skip|ignore|ready|TIMEOUT|\d+\/\d+ done)\]: ?(.*)$/;

export function parseSuiteOutput(text: string): SuiteOutput {
  const output: SuiteOutput = { results: [], refused: [], endedBlocks: [], exception: null, isComplete: false };
  const refused = new Set<string>();
  /** Takes the lines behind a failure. */
  let failure: TestResult | null = null;
  let inException = false;
  for (const line of text.split('\n')) {
    // The summary says all that failed once more.
    if (line.trim() === 'The End') break;
    const [, word, rest = ''] = LINE.exec(line) ?? [];
    if (word === undefined) {
      const hung = /^\w+ => \(IN PROGRESS\) (.*)$/.exec(line)?.[1];
      if (hung !== undefined) output.results.push({ name: hung, outcome: 'hung', detail: '' });
      else if (failure !== null) failure.detail += `\n${line}`;
      else if (inException) output.exception += `\n${line}`;
      continue;
    }
    failure = null;
    inException = false;
    if (word === 'ok') {
      output.results.push({ name: rest.replace(/ \(\d+ ms\)$/, ''), outcome: 'passed', detail: '' });
    } else if (word === 'err') {
      failure = { name: rest.replace(/ in tests\/\S+\.tcl$/, ''), outcome: 'failed', detail: '' };
      output.results.push(failure);
    } else if (word === 'set-up') {
      refused.add(rest);
    } else if (word === 'block') {
      output.endedBlocks.push(rest);
    } else if (word === 'exception') {
      output.exception = rest;
      inException = true;
    } else if (word.endsWith('done')) {
      output.isComplete = true;
    }
  }
  output.refused = [...refused];
  return output;
}
