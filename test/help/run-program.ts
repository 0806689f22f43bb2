/** One of Redis's own programs, run to its end. */
import { spawn } from 'node:child_process';
import { redisPrograms } from './redis-programs.js';

export interface ProgramResult {
  code: number | null;
  /** Standard error included. */
  output: string;
}

/** `input` is its standard input, a byte for each character. */
export async function runProgram(program: string, args: readonly string[], input = ''): Promise<ProgramResult> {
  const { env } = await redisPrograms();
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  // It may end before it has read everything.
  child.stdin.on('error', () => {});
  child.stdin.end(input, 'latin1');
  const code = await new Promise<number | null>((resolve, reject) =>
    child.once('close', resolve).once('error', reject),
  );
  return { code, output };
}
