/** A process of a fleet, as far as its store goes (candidate-main.ts): to be killed, stopped and resumed. */
import { fileURLToPath } from 'node:url';
import { type Child, startChild } from '../help/child.js';
import { waitFor } from '../help/wait-for.js';

export type CandidateEvent =
  | { kind: 'elected'; term: number }
  | { kind: 'deposed'; reason: string }
  /** `leadingMs`: when it led for certain, before it asked for that; null: it did not any more. */
  | { kind: 'written'; term: number; leadingMs: number | null }
  | { kind: 'refused'; term: number; reason: string }
  | { kind: 'trouble'; reason: string };

/** With the time of the machine, as `machineMs` has it. */
export type ToldEvent = CandidateEvent & { atMs: number };

/** What all show of it. */
export const TOPOLOGY_KEY = { folder: 'topology', name: 'current' };

/** One clock for all processes of this machine, which nobody sets. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** That of a process whose fleet meets there; `pools` are those that it needs for that. */
export function configurationOf(
  coordination: Readonly<Record<string, unknown>>,
  pools: Readonly<Record<string, unknown>> = {},
): string {
  // Nobody asks it for anything.
  const keys = { nodes: [{ name: 'a', url: 'redis://127.0.0.1:1' }] };
  return JSON.stringify({ pools: { keys, ...pools }, keyspaces: [{ prefix: '', pool: 'keys' }], coordination });
}

const PROGRAM = fileURLToPath(new URL('candidate-main.js', import.meta.url));

export class Candidate {
  readonly name: string;
  readonly events: ToldEvent[] = [];
  /** It was killed. */
  isGone = false;
  private readonly child: Child;

  private constructor(name: string, child: Child) {
    this.name = name;
    this.child = child;
    child.onLine((line) => this.events.push(JSON.parse(line)));
  }

  static async start(configuration: string, name: string, leaseMs: number): Promise<Candidate> {
    return new Candidate(name, await startChild(process.execPath, [PROGRAM, configuration, name, `${leaseMs}`]));
  }

  /** What it said that is no event, such as why it could not go on. */
  get complaints(): string {
    return this.child
      .output()
      .split('\n')
      .filter((line) => !line.startsWith('{'))
      .join('\n');
  }

  /** In which it leads, as far as it has said; null: it does not. */
  get term(): number | null {
    const last = this.events.findLast(({ kind }) => kind === 'elected' || kind === 'deposed');
    return last?.kind === 'elected' ? last.term : null;
  }

  /** Resolves when it has said so. */
  async until<K extends ToldEvent['kind']>(
    kind: K,
    isIt: (event: ToldEvent & { kind: K }) => boolean = () => true,
  ): Promise<ToldEvent & { kind: K }> {
    const find = () =>
      this.events.find((event): event is ToldEvent & { kind: K } => {
        return event.kind === kind && isIt(event as ToldEvent & { kind: K });
      });
    return waitFor(`${this.name}: ${kind}`, () => find() ?? null);
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.child.signal(signal);
  }

  async kill(): Promise<void> {
    this.isGone = true;
    this.child.signal('SIGKILL');
    await this.child.ended;
  }
}
