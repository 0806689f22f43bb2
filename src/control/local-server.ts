/**
 * One Redis server in a folder of its own, in which its data stay when it ends. The folder says which process the server
 * is, so that one whose proxy was killed is found, and ended, before another takes the folder.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.js';
import { makeFolder } from './make-folder.js';
import { isRunning, markOf, type ProcessMark } from './process-start.js';

export interface RedisPrograms {
  server: string;
  cli: string;
  /** Variables to add to the environment when running them. */
  env: Record<string, string>;
  version: string;
}

export interface LocalServer {
  readonly port: number;
  /** Asks it to end, and does not wait. */
  terminate(): void;
  /** Ends it: what it was told is on its disk then. */
  stop(): Promise<void>;
}

const MARK_FILE = 'process.json';
const READY = 'Ready to accept connections';
const IN_USE = 'Address already in use';
/** Another process may take the free port before the server does; hardly so often. */
const ATTEMPTS_MAX = 5;
/** Milliseconds that a server may take to end by itself. */
const END_TIMEOUT_MS = 5_000;
const LOOK_MS = 10;

/** Starts a server on a free port of loopback; resolves when it takes connections, rejects with what it said when it ends instead. */
export async function startLocalServer(programs: RedisPrograms, folder: string): Promise<LocalServer> {
  makeFolder(folder);
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const outcome = await launch(programs, folder, port);
    if ('server' in outcome) return outcome.server;
    if (!outcome.output.includes(IN_USE) || attempt === ATTEMPTS_MAX) {
      throw new Error(`redis-server with the data in ${folder} ended:\n${outcome.output}`);
    }
  }
}

/** Ends the server that a killed process left in that folder, if there is one. */
export async function endLeftover(folder: string): Promise<void> {
  const mark = readMark(folder);
  if (mark !== null && isRunning(mark)) await end(mark);
  rmSync(join(folder, MARK_FILE), { force: true });
}

async function launch(
  programs: RedisPrograms,
  folder: string,
  port: number,
): Promise<{ server: LocalServer } | { output: string }> {
  const address = ['--port', `${port}`, '--bind', '127.0.0.1'];
  const storage = ['--dir', folder, '--save', '', '--appendonly', 'yes'];
  const child = spawn(programs.server, [...address, ...storage], {
    env: { ...process.env, ...programs.env },
    stdio: ['ignore', 'pipe', 'ignore'],
    // A Ctrl-C on the terminal is for the proxy, which then ends the servers: a client's last commands still find them.
    detached: true,
  });
  const mark = child.pid === undefined ? null : markOf(child.pid);
  if (mark !== null) writeFileSync(join(folder, MARK_FILE), JSON.stringify(mark));
  let output = '';
  const isReady = await new Promise<boolean>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (output.includes(READY)) return;
      output += text;
      if (output.includes(READY)) resolve(true);
    });
    child.once('error', reject);
    child.once('close', () => resolve(false));
  });
  if (!isReady || mark === null) return { output };
  const terminate = () => void child.kill('SIGTERM');
  return { server: { port, terminate, stop: () => stop(child, mark, folder) } };
}

async function stop(child: ChildProcess, mark: ProcessMark, folder: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await end(mark);
  rmSync(join(folder, MARK_FILE), { force: true });
}

/** Politely first: then it writes what it has. */
async function end(mark: ProcessMark): Promise<void> {
  signal(mark, 'SIGTERM');
  // One that was stopped hears nothing before.
  signal(mark, 'SIGCONT');
  if (await isGone(mark, END_TIMEOUT_MS)) return;
  signal(mark, 'SIGKILL');
  if (await isGone(mark, END_TIMEOUT_MS)) return;
  throw new Error(`the redis-server with process id ${mark.pid} does not end`);
}

function signal(mark: ProcessMark, name: NodeJS.Signals): void {
  if (isRunning(mark)) process.kill(mark.pid, name);
}

async function isGone(mark: ProcessMark, timeoutMs: number): Promise<boolean> {
  const deadlineMs = performance.now() + timeoutMs;
  while (isRunning(mark)) {
    if (performance.now() > deadlineMs) return false;
    await sleep(LOOK_MS);
  }
  return true;
}

function readMark(folder: string): ProcessMark | null {
  try {
    return JSON.parse(readFileSync(join(folder, MARK_FILE), 'utf8')) as ProcessMark;
  } catch {
    return null;
  }
}
