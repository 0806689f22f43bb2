/**
 * The processes and the scratch folder of one benchmark: started at high priority where allowed, and gone when it ends,
 * however it ends.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';

/** What stops a benchmark and is not a fault of its code: the message says all, no stack is needed. */
export class BenchmarkError extends Error {}

/** Ends the process when `main` is stopped by a BenchmarkError, with its message. */
export async function run(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof BenchmarkError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}

const PRIORITY = -10;
const STOP_TIMEOUT_MS = 5_000;

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
}

export class Children {
  /** Whether processes run at nice -10 (needs root or CAP_SYS_NICE); else they run at the ordinary priority. */
  readonly raised: boolean;
  /** A folder for data, logs and configuration, removed at the end. */
  readonly scratch: string;
  private readonly running = new Map<string, ChildProcess>();
  private closing = false;

  constructor() {
    this.raised = spawnSync('nice', ['-n', `${PRIORITY}`, 'true']).stderr?.length === 0;
    this.scratch = mkdtempSync(join(tmpdir(), 'ringleader-bench-'));
    process.on('exit', () => this.destroy());
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        console.error(`\n${signal}: stopping`);
        process.exit(130);
      });
    }
  }

  /** A folder of its own for one process. */
  folder(name: string): string {
    const path = join(this.scratch, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /**
   * Starts a server that is to run until the end and returns its process id. `nice` and `env` execute the program in
   * their place, so the id is the program's own. When it ends early, `onExit` prints what it wrote last.
   */
  start(label: string, command: string, args: readonly string[], options: StartOptions = {}): number {
    const folder = this.folder(label);
    const logPath = join(folder, 'output.log');
    const log = createWriteStream(logPath);
    const [program, programArgs] = this.prefixed(command, args);
    const child = spawn(program, programArgs, {
      cwd: folder,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    child.on('error', (error) => this.onExit(label, logPath, error.message));
    child.on('exit', (code, signal) => this.onExit(label, logPath, `exit ${signal ?? code}`));
    if (child.pid === undefined) throw new BenchmarkError(`${label}: ${command} cannot be started`);
    this.running.set(label, child);
    return child.pid;
  }

  /** Runs a program to its end and returns what it printed. Rejects with a BenchmarkError after `timeoutMs`. */
  run(label: string, command: string, args: readonly string[], timeoutMs: number, options: StartOptions = {}) {
    const [program, programArgs] = this.prefixed(command, args);
    return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve, reject) => {
      const child = spawn(program, programArgs, {
        env: { ...process.env, ...options.env },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      this.running.set(label, child);
      let stdout = '';
      let stderr = '';
      let timedOut = false;
      const timer = setTimeout(() => {
        timedOut = true;
        child.kill('SIGKILL');
      }, timeoutMs);
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        stdout += text;
      });
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        stderr += text;
      });
      child.on('error', (error) => reject(new BenchmarkError(`${label}: ${error.message}`)));
      child.on('close', (code) => {
        clearTimeout(timer);
        this.running.delete(label);
        if (timedOut) reject(new BenchmarkError(`${label}: not done after ${timeoutMs / 1000} s. ${stderr.trim()}`));
        else resolve({ code, stdout, stderr });
      });
    });
  }

  /** Of what runs. */
  labels(): string[] {
    return [...this.running.keys()];
  }

  /** SIGKILL, as a machine that fails. Resolves when the process is gone; `start` may bring it back. */
  async kill9(label: string): Promise<void> {
    const child = this.running.get(label);
    if (child === undefined) throw new BenchmarkError(`${label} does not run`);
    this.running.delete(label);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  /** Gives a process that others started the priority of ours, thread by thread as Linux has it. */
  raise(threads: readonly number[]): void {
    if (this.raised) for (const thread of threads) setPriority(thread, PRIORITY);
  }

  /** Stops everything, politely first, and removes the scratch folder. */
  async close(): Promise<void> {
    this.closing = true;
    const children = [...this.running.values()].filter((child) => child.exitCode === null);
    const ended = children.map((child) => new Promise((resolve) => child.once('exit', resolve)));
    for (const child of children) child.kill('SIGTERM');
    const timer = setTimeout(() => {
      for (const child of children) child.kill('SIGKILL');
    }, STOP_TIMEOUT_MS);
    await Promise.all(ended);
    clearTimeout(timer);
    this.running.clear();
    this.destroy();
  }

  private prefixed(command: string, args: readonly string[]): [string, string[]] {
    return this.raised ? ['nice', ['-n', `${PRIORITY}`, command, ...args]] : [command, [...args]];
  }

  private onExit(label: string, logPath: string, reason: string): void {
    const wasToRun = this.running.delete(label);
    if (this.closing || !wasToRun) return;
    console.error(`${label} ended early (${reason}):\n${lastLines(logPath)}`);
    process.exit(1);
  }

  /** The last resort, and synchronous: nothing of ours outlives this process. */
  private destroy(): void {
    this.closing = true;
    for (const child of this.running.values()) child.kill('SIGKILL');
    rmSync(this.scratch, { recursive: true, force: true, maxRetries: 3 });
  }
}

function lastLines(path: string): string {
  return readFileSync(path, 'utf8').trimEnd().split('\n').slice(-10).join('\n');
}
