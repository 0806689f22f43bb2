/**
 * Asks the other workers for scripts that this one does not know: a client may have shown one to another worker just now, and what one is shown the
 * others are told a moment later only.
 *
 *   none of its digits was shown since nobody knew it ──> nobody knows it now
 *   else: wanted ──> asked for, with others ──> learnt, or known to nobody ──> `then`
 *
 * One question at a time is under way; what is wanted meanwhile is asked for next, since it may have been shown behind that.
 */
import type { ShownScripts } from '../base/shown-scripts.js';
import type { QuestionsContext } from './questions.js';

export interface ScriptSearchContext {
  ask: QuestionsContext['ask'];
  shown: ShownScripts;
  /** Workers of this process. */
  workerCount: number;
  now: () => number;
  /** Another worker knows this one, a character a byte. */
  learn: (service: number, source: string) => void;
}

interface Wanted {
  readonly service: number;
  readonly sha: string;
  readonly thens: (() => void)[];
}

/** That nobody knew a script. */
interface Missing {
  /** Before the workers were asked. */
  readonly shownCount: number;
  readonly untilMs: number;
}

const SHA = /^[0-9a-f]{40}$/;
const SCRIPTS_PER_QUESTION = 1_024;
const MISSING_MAX = 4_096;
/** Milliseconds for which nobody is asked again where not all have answered, or not as it is now. */
const DOUBTFUL_MS = 100;

export class ScriptSearch {
  private readonly context: ScriptSearchContext;
  /** By service and SHA1. */
  private readonly wanted = new Map<string, Wanted>();
  private readonly missing = new Map<string, Missing>();
  private isAsking = false;
  /** Services whose scripts were flushed while the question is under way: what is answered may be from before. */
  private readonly flushed = new Set<number>();

  constructor(context: ScriptSearchContext) {
    this.context = context;
  }

  /** Whether another worker may know that script, in lower case, which this one does not know. */
  mayFind(service: number, sha: string): boolean {
    const { workerCount, shown, now } = this.context;
    if (workerCount === 1 || !SHA.test(sha)) return false;
    const missing = this.missing.get(keyOf(service, sha));
    return missing === undefined || missing.shownCount !== shown.count(sha) || missing.untilMs < now();
  }

  /** Asks for some that may be found. Calls `then` later, when each is learnt, or known to nobody. */
  find(service: number, shas: readonly string[], then: () => void): void {
    let awaited = shas.length;
    const onAsked = () => {
      if (--awaited === 0) then();
    };
    for (const sha of shas) {
      const key = keyOf(service, sha);
      const wanted = this.wanted.get(key);
      if (wanted === undefined) this.wanted.set(key, { service, sha, thens: [onAsked] });
      else wanted.thens.push(onAsked);
    }
    this.askNext();
  }

  /** Of some worker's client the nodes have carried out SCRIPT FLUSH. */
  forget(service: number): void {
    this.flushed.add(service);
  }

  private askNext(): void {
    if (this.isAsking || this.wanted.size === 0) return;
    const { ask, shown, learn } = this.context;
    const asked = [...this.wanted].slice(0, SCRIPTS_PER_QUESTION).map(([key, wanted]) => {
      this.wanted.delete(key);
      return { key, wanted, shownCount: shown.count(wanted.sha) };
    });
    this.isAsking = true;
    this.flushed.clear();
    const scripts = asked.map(({ wanted: { service, sha } }) => ({ service, sha }));
    ask({ kind: 'find-scripts', scripts }, (answers, silent) => {
      this.isAsking = false;
      const found = new Set<string>();
      const doubtfulMs = this.context.now() + DOUBTFUL_MS;
      for (const answer of answers) {
        if (answer.kind !== 'find-scripts') continue;
        for (const { service, sha, source } of answer.scripts) {
          const key = keyOf(service, sha);
          if (this.flushed.has(service) || found.has(key)) continue;
          found.add(key);
          learn(service, source);
        }
      }
      for (const { key, wanted, shownCount } of asked) {
        this.missing.delete(key);
        const isDoubtful = silent.length > 0 || this.flushed.has(wanted.service);
        const untilMs = isDoubtful ? doubtfulMs : Number.POSITIVE_INFINITY;
        if (!found.has(key)) this.missing.set(key, { shownCount, untilMs });
      }
      this.boundMissing();
      for (const { wanted } of asked) for (const then of wanted.thens) then();
      this.askNext();
    });
  }

  private boundMissing(): void {
    for (const key of this.missing.keys()) {
      if (this.missing.size <= MISSING_MAX) return;
      this.missing.delete(key);
    }
  }
}

function keyOf(service: number, sha: string): string {
  return `${service} ${sha}`;
}
