/** `ringleader start` without a configuration, as a process of its own. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ProcessMark } from '../../src/control/process-start.js';
import { type Child, type Ending, startChild } from './child.js';
import { waitFor, within } from './wait-for.js';

export const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));

export class TrialProcess {
  readonly ended: Promise<Ending>;
  private readonly child: Child;

  private constructor(child: Child) {
    this.child = child;
    this.ended = child.ended;
  }

  /** Resolves when the process runs. */
  static async launch(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<TrialProcess> {
    return new TrialProcess(await startChild(process.execPath, [MAIN, 'start', ...args], { env }));
  }

  /** Resolves when it has said where all is; rejects with what it said when it ends instead. */
  static async start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<TrialProcess> {
    const trial = await TrialProcess.launch(args, env);
    let isEnded = false;
    void trial.ended.then(() => {
      isEnded = true;
    });
    await waitFor('the introduction', () => isEnded || trial.output().includes('Ctrl-C ends all of it'));
    if (isEnded) throw new Error(trial.output());
    return trial;
  }

  get pid(): number {
    return this.child.pid;
  }

  output(): string {
    return this.child.output();
  }

  async kill9(): Promise<void> {
    this.child.signal('SIGKILL');
    await this.ended;
  }

  /** Ctrl-C. Resolves with the exit code. */
  async interrupt(): Promise<number | null> {
    this.child.signal('SIGINT');
    return (await within('the end after Ctrl-C', this.ended)).code;
  }
}

/** The servers that run in that folder, as it says. */
export function serversIn(folder: string, names: readonly string[] = ['a', 'b', 'c']): ProcessMark[] {
  return names.map((name) => {
    return JSON.parse(readFileSync(join(folder, `redis-${name}`, 'process.json'), 'utf8')) as ProcessMark;
  });
}
