/**
 * Processes that tests start. Each has a scratch folder of its own, hears nothing of the test runner's instrumentation, and
 * is gone, with its folder, when the test process ends, however that comes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const children = new Set<ChildProcess>();
const folders = new Set<string>();

process.on('exit', destroyAll);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));

function destroyAll(): void {
  for (const child of children) child.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}

/** A new folder under the system's temporary one. */
export function scratchFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `ringleader-${name}-`));
  folders.add(folder);
  return folder;
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  folders.delete(folder);
}

/** The test runner's variables, and what loads its instrumentation into every Node process. */
const INSTRUMENTATION = /^(NODE_OPTIONS|NODE_V8_COVERAGE|_?TAP.*)$/;

/** How a process ended: its exit code, or the signal that ended it. */
export type Ending = { code: number; signal: null } | { code: null; signal: NodeJS.Signals };

export interface Child {
  readonly pid: number;
  readonly ended: Promise<Ending>;
  /** What it has written so far, standard error included. */
  output(): string;
  /** Calls `onLine` for every whole line of standard output, from the first on. */
  onLine(onLine: (line: string) => void): void;
  signal(signal: NodeJS.Signals): void;
}

const ENV = '/usr/bin/env';
/** Where there is one (util-linux), it has the kernel end the child with its parent, also when that is killed with -9. */
const SETPRIV = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => existsSync(path));

/**
 * A command that becomes the program, so that the id and the signals are the program's. It takes the instrumentation out of
 * the environment: the test runner puts that back into whatever environment a process is started with.
 */
function wrapped(program: string): string[] {
  const unset = Object.keys(process.env).filter((name) => INSTRUMENTATION.test(name));
  const mortal = SETPRIV === undefined ? [] : [SETPRIV, '--pdeathsig', 'KILL'];
  return [...mortal, ENV, ...unset.flatMap((name) => ['-u', name]), program];
}

/** Starts a process. One that cannot be started ends at once, or rejects. */
export async function startChild(
  program: string,
  args: readonly string[],
  options: { env?: Readonly<Record<string, string>>; cwd?: string } = {},
): Promise<Child> {
  const [command = program, ...prefix] = wrapped(program);
  const child = spawn(command, [...prefix, ...args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  children.add(child);
  const ended = new Promise<Ending>((resolve) => {
    child.once('close', (code, signal) => {
      children.delete(child);
      resolve({ code, signal } as Ending);
    });
  });

  let output = '';
  let partial = '';
  const lines: string[] = [];
  let listener: ((line: string) => void) | null = null;
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    const parts = (partial + text).split('\n');
    partial = parts.pop() ?? '';
    for (const line of parts) {
      lines.push(line);
      listener?.(line);
    }
  });
  return {
    pid: child.pid as number,
    ended,
    output: () => output,
    onLine: (onLine) => {
      for (const line of lines) onLine(line);
      listener = onLine;
    },
    signal: (signal) => child.kill(signal),
  };
}
