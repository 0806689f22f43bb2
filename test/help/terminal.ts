/** A program in a pseudo-terminal, as somebody at a keyboard has it: what it shows is read, and keys are typed. */
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import type { Test } from 'tap';
import { waitFor } from './wait-for.js';

/** Why there is no pseudo-terminal here, or null. */
export function terminalObstacle(): string | null {
  const { stdout } = spawnSync('script', ['--version'], { encoding: 'utf8' });
  return /util-linux/.test(stdout ?? '') ? null : "a pseudo-terminal needs util-linux's `script`, and it is not here";
}

export class Terminal {
  private readonly child: ChildProcessByStdio<Writable, Readable, null>;
  private output = '';
  /** Characters of it that have been looked at, without what moves the cursor and makes text bold or coloured. */
  private seen = 0;

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>) {
    this.child = child;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.output += text;
    });
  }

  /** Ends the program when the test ends. No word of the command may need quotes in a shell. */
  static open(t: Test, command: readonly string[], env: Readonly<Record<string, string>>): Terminal {
    // A terminal that cannot move its cursor is shown lines, rather than the same line again with every key.
    const environment = { ...process.env, ...env, TERM: 'dumb' };
    // `script` runs a shell, whichever SHELL names. A shell that waits for the program gets its Ctrl-C, too, and may die of it.
    const child = spawn('script', ['-qefc', `exec ${command.join(' ')}`, '/dev/null'], {
      env: environment,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    t.teardown(async () => {
      child.kill('SIGTERM');
      await ended;
    });
    return new Terminal(child);
  }

  /** Types a line and Enter. */
  enter(line: string): void {
    this.press(`${line}\r`);
  }

  /** Types as it is: `\x03` is Ctrl-C. */
  press(keys: string): void {
    this.child.stdin.write(keys);
  }

  /** Resolves with what has been shown since the last call, to the end of the first match, when there is one. */
  async until(pattern: RegExp): Promise<string> {
    const shown = () => stripVTControlCharacters(this.output).replaceAll('\r', '').slice(this.seen);
    const look = () => {
      const match = pattern.exec(shown());
      return match === null ? null : shown().slice(0, match.index + match[0].length);
    };
    const text = await waitFor(`${pattern}`, look).catch((cause: unknown) => {
      throw new Error(`the terminal shows: ${shown()}`, { cause });
    });
    this.seen += text.length;
    return text;
  }

  /** Resolves with the exit code when the program has ended. */
  async ended(): Promise<number | null> {
    await waitFor('the end of the program', () => this.child.exitCode !== null);
    return this.child.exitCode;
  }
}
