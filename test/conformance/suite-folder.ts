/**
 * A folder that Redis's suite runs in: it wants to write beside its tests and to find Redis's programs under src/. The
 * suite's own files are linked, not changed; only what stands in for its set-up (set-up.tcl) is ours.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { removeFolder, scratchFolder } from '../help/child.js';
import { redisPrograms } from '../help/redis-programs.js';

export interface SuiteProgram {
  /** The folder that the suite's `tests` is in. */
  root: string;
  version: string;
  tclsh: string;
  env: Record<string, string>;
}

/** The suite on this machine, or why there is none. Tests run in the checkout's folder, wherever they were compiled to. */
export async function findSuite(): Promise<SuiteProgram | { reason: string }> {
  const script = (name: string): Promise<unknown> => import(pathToFileURL(join(process.cwd(), 'scripts', name)).href);
  const { SetupError } = (await script('setup.mjs')) as { SetupError: typeof Error };
  const { redisSuite, SUITE_VERSION } = (await script('redis-suite.mjs')) as {
    redisSuite(): SuiteProgram;
    SUITE_VERSION: string;
  };
  const { version } = await redisPrograms();
  if (minor(version) !== minor(SUITE_VERSION)) {
    return { reason: `the suite is that of Redis ${SUITE_VERSION}, and the nodes would be ${version}` };
  }
  try {
    return redisSuite();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    return { reason: error.message };
  }
}

function minor(version: string): string {
  return version.split('.').slice(0, 2).join('.');
}

export class SuiteFolder {
  readonly path: string;
  readonly tclsh: string;
  /** Variables to add to the environment of the suite. */
  readonly env: Readonly<Record<string, string>>;

  private constructor(path: string, tclsh: string, env: Record<string, string>) {
    this.path = path;
    this.tclsh = tclsh;
    this.env = env;
  }

  static async make(suite: SuiteProgram): Promise<SuiteFolder> {
    const path = scratchFolder('suite');
    const { server, cli, benchmark, env } = await redisPrograms();
    mkdirSync(join(path, 'tests', 'support'), { recursive: true });
    mkdirSync(join(path, 'tests', 'tmp'));
    mkdirSync(join(path, 'src'));
    linkAll(join(suite.root, 'tests'), join(path, 'tests'), ['support', 'tmp']);
    linkAll(join(suite.root, 'tests', 'support'), join(path, 'tests', 'support'), ['server.tcl']);
    symlinkSync(join(process.cwd(), 'test', 'conformance', 'set-up.tcl'), join(path, 'tests', 'support', 'server.tcl'));
    const programs = { 'redis-server': server, 'redis-cli': cli, 'redis-benchmark': benchmark };
    for (const [name, program] of Object.entries(programs)) symlinkSync(onPath(program), join(path, 'src', name));
    return new SuiteFolder(path, suite.tclsh, { ...env, ...suite.env, SUITE_ROOT: suite.root });
  }

  remove(): void {
    removeFolder(this.path);
  }
}

function linkAll(source: string, target: string, except: readonly string[]): void {
  for (const name of readdirSync(source)) {
    if (!except.includes(name)) symlinkSync(join(source, name), join(target, name));
  }
}

/** The path of a program that may be named without one. */
function onPath(program: string): string {
  if (program.includes('/')) return program;
  for (const folder of (process.env['PATH'] ?? '').split(':')) {
    if (existsSync(join(folder, program))) return join(folder, program);
  }
  return program;
}

/** The suite's units, in its order. */
export function listUnits({ root, tclsh, env }: SuiteProgram): string[] {
  const options = { cwd: root, env: { ...process.env, ...env }, encoding: 'utf8' } as const;
  const { stdout, stderr, status } = spawnSync(tclsh, ['tests/test_helper.tcl', '--list-tests'], options);
  if (status !== 0) throw new Error(`the suite does not list its units: ${stderr}`);
  return stdout.trim().split('\n');
}
