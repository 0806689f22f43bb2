/** A C compiler, for what tests preload: the one that is installed, else Debian's tcc, unpacked into a cache. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { hasDebianPackages, unpackedPackages } from './debian.mjs';
import { SetupError } from './setup.mjs';

const PATH_IN_PACKAGE = join('usr', 'bin', 'tcc');

/** As `nutcrackerProgram` of nutcracker.mjs; it takes the options that cc, gcc and tcc share. Throws a SetupError where there is none to be had. */
export function cCompiler() {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const installed = ['cc', 'gcc', 'tcc']
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find((path) => existsSync(path));
  if (installed !== undefined) return { program: installed, env: {} };
  if (!hasDebianPackages()) throw new SetupError('no C compiler (cc) is installed, and this is no Debian or Ubuntu');
  const { root, env } = unpackedPackages('tcc', ['tcc'], [PATH_IN_PACKAGE]);
  return { program: join(root, PATH_IN_PACKAGE), env };
}
