/**
 * `ringleader lock run`: a command that runs while a lock is held.
 *
 *   taking --granted--> held --the command ends--> released
 *                        └── lost: the proxy says so, the connection is gone, or validity is over --> SIGTERM, SIGKILL
 *
 * The lock is the connection's (SESSION): the proxy keeps it, and frees it when this process is gone, however that comes. Whether the
 * proxy is still there a connection does not tell, so that the lock is extended from here, too: only what was extended is believed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { LockMode } from '../base/lock-mode.js';
import { LockClient, LockRefusal, type TakenLock } from './lock-client.js';
import { EXIT_LOST, EXIT_NOT_ACQUIRED, EXIT_UNAVAILABLE } from './lock-exits.js';
import type { Door } from './proxy-door.js';

export interface RunOrder {
  name: string;
  ttlMs: number;
  waitMs: number;
  /** Between SIGTERM and SIGKILL. */
  graceMs: number;
  mode: LockMode;
}

const EXIT_NOT_RUN = 126;
const EXIT_NO_COMMAND = 127;
const EXIT_SIGNALLED = 128;
const PASSED_ON = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGINT', 'SIGQUIT'] as const;
/** A terminal sends these to the command itself. */
const OF_TERMINAL: readonly string[] = ['SIGINT', 'SIGQUIT'];
/** Of the ttl, between extensions; and after one that came to nothing. */
const EXTEND_SHARE = 1 / 3;
const RETRY_SHARE = 1 / 10;

/** Resolves with the exit code. */
export async function runUnderLock(
  door: Door,
  order: RunOrder,
  command: readonly [string, ...string[]],
): Promise<number> {
  const { name, ttlMs, waitMs, mode } = order;
  const kept = new KeptLock(name, ttlMs);
  try {
    const client = await LockClient.connect(door, waitMs, (error) =>
      kept.lose(`the connection is lost: ${error.message}`),
    );
    await client.introduce();
    const taken = await client.acquire(name, ['TTL', `${ttlMs}`, 'WAIT', `${waitMs}`, 'SESSION', ...wordsOf(mode)]);
    if (taken === null) {
      say(`somebody else has ${name}`);
      return EXIT_NOT_ACQUIRED;
    }
    await kept.begin(client, taken);
    const code = await new Guarded(order, command, taken, kept).ended;
    return (await kept.end()) ?? code;
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return EXIT_UNAVAILABLE;
  }
}

function wordsOf(mode: LockMode): string[] {
  if (mode.kind === 'exclusive') return [];
  return mode.kind === 'shared' ? ['SHARED'] : ['LIMIT', `${mode.max}`];
}

/** A lock that is extended until it is lost, or no longer needed. */
class KeptLock {
  /** Why it is lost. */
  readonly lost: Promise<string>;
  /** As `lost` has it; null while it is held. */
  loss: string | null = null;
  private readonly name: string;
  private readonly ttlMs: number;
  private held: { client: LockClient; token: string } | null = null;
  private validUntilMs = 0;
  private next: NodeJS.Timeout | undefined;
  private over: NodeJS.Timeout | undefined;
  private tellLost: (reason: string) => void = () => {};

  constructor(name: string, ttlMs: number) {
    this.name = name;
    this.ttlMs = ttlMs;
    this.lost = new Promise((resolve) => {
      this.tellLost = resolve;
    });
  }

  /** The lock was taken, it is not known how long ago: from the first extension on it is known for how long. Rejects where there is none. */
  async begin(client: LockClient, { token }: TakenLock): Promise<void> {
    this.held = { client, token };
    await this.extend();
    if (this.loss !== null) throw new Error(this.loss);
  }

  lose(reason: string): void {
    if (this.loss !== null) return;
    this.stop();
    this.loss = reason;
    this.tellLost(reason);
  }

  /** Gives it back. The exit code where it turns out not to have been held; null: all is well. */
  async end(): Promise<number | null> {
    this.stop();
    const { held } = this;
    if (this.loss !== null || held === null) return EXIT_LOST;
    try {
      await held.client.release(this.name, held.token);
    } catch (error) {
      say(`${this.name} was not released: ${error instanceof Error ? error.message : error}`);
      // Otherwise it is free when this process is gone, or after its ttl.
      if (error instanceof LockRefusal && error.code === 'NOTHELD') return EXIT_LOST;
    }
    return null;
  }

  private stop(): void {
    clearTimeout(this.next);
    clearTimeout(this.over);
  }

  private async extend(): Promise<void> {
    const { client, token } = this.held as { client: LockClient; token: string };
    const askedMs = performance.now();
    const validityMs = await client.extend(this.name, token, this.ttlMs);
    if (this.loss !== null) return;
    this.validUntilMs = askedMs + validityMs;
    clearTimeout(this.over);
    this.over = setTimeout(() => this.lose('it could not be extended in time'), this.validUntilMs - performance.now());
    this.extendIn(this.ttlMs * EXTEND_SHARE - (performance.now() - askedMs));
  }

  private extendIn(ms: number): void {
    this.next = setTimeout(() => {
      this.extend().catch((error: Error) => {
        if (this.loss !== null) return;
        if (error instanceof LockRefusal && error.code === 'NOTHELD') this.lose(error.message);
        else this.extendIn(this.ttlMs * RETRY_SHARE);
      });
    }, ms);
  }
}

/** The command, which is ended when the lock is lost. */
class Guarded {
  /** Its exit code. */
  readonly ended: Promise<number>;
  private readonly child: ChildProcess;

  constructor(
    { name, graceMs }: RunOrder,
    [program, ...args]: readonly [string, ...string[]],
    taken: TakenLock,
    kept: KeptLock,
  ) {
    const own = { RINGLEADER_LOCK: name, RINGLEADER_TOKEN: taken.token, RINGLEADER_FENCE: `${taken.fence}` };
    const isOnTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
    for (const signal of PASSED_ON) {
      // Caught in any case: this process ends when the command does. And before that runs: it may have been told who to signal.
      process.on(signal, () => {
        if (!isOnTerminal || !OF_TERMINAL.includes(signal)) this.child.kill(signal);
      });
    }
    const child = spawn(program, args, { stdio: 'inherit', env: { ...process.env, ...own } });
    this.child = child;
    this.ended = new Promise((resolve) => {
      child.once('error', (error: NodeJS.ErrnoException) => {
        if (child.pid !== undefined) return;
        say(`${program} cannot be run: ${error.message}`);
        resolve(error.code === 'ENOENT' ? EXIT_NO_COMMAND : EXIT_NOT_RUN);
      });
      child.once('exit', (code, signal) =>
        resolve(code ?? EXIT_SIGNALLED + constants.signals[signal as NodeJS.Signals]),
      );
    });
    void kept.lost.then((reason) => this.end(name, reason, graceMs));
  }

  private end(name: string, reason: string, graceMs: number): void {
    const { child } = this;
    if (child.exitCode !== null || child.signalCode !== null) return;
    say(`${name} is lost: ${reason}; the command is ended`);
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
    void this.ended.then(() => clearTimeout(timer));
  }
}

function say(text: string): void {
  process.stderr.write(`ringleader lock run: ${text}\n`);
}
