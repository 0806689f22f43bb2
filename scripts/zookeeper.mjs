/**
 * ZooKeeper, to coordinate by: Debian's package, unpacked into a cache, with the Java of this machine or, where there is none, Debian's.
 * Run as a script it prints what it found.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { hasDebianPackages, unpackedPackages } from './debian.mjs';
import { orExit, SetupError } from './setup.mjs';

const PACKAGES = [
  'libzookeeper-java',
  'libslf4j-java',
  'libnetty-java',
  'libdropwizard-metrics-java',
  'libsnappy-java',
];
/** What a server needs of all that is in them. */
const JARS = [
  ...['zookeeper', 'zookeeper-jute', 'slf4j-api', 'slf4j-simple', 'metrics-core', 'snappy-java'],
  // For TLS. What Debian calls netty-all has nothing in it.
  ...['netty-buffer', 'netty-codec', 'netty-common', 'netty-handler', 'netty-resolver', 'netty-transport'],
  ...['netty-transport-native-epoll', 'netty-transport-native-unix-common'],
];

/**
 * Returns `{ java, env, classPath, version }`: the command, the environment variables to add when running it, where its classes
 * are, and ZooKeeper's version. Throws a SetupError where it is not to be had.
 */
export function zookeeperProgram() {
  if (!hasDebianPackages()) throw new SetupError('ZooKeeper is taken from Debian, and this is no Debian or Ubuntu');
  const { root } = unpackedPackages('zookeeper', PACKAGES, []);
  const folder = join(root, 'usr', 'share', 'java');
  const classPath = JARS.map((name) => join(folder, `${name}.jar`)).join(':');
  const version = readdirSync(folder)
    .map((name) => /^zookeeper-(\d+\.\d+\.\d+)\.jar$/.exec(name)?.[1])
    .find((found) => found !== undefined);
  if (version === undefined) throw new SetupError(`there is no ZooKeeper in ${root}: remove that folder`);
  return { ...javaProgram(), classPath, version };
}

function javaProgram() {
  if (runs('java', {})) return { java: 'java', env: {} };
  const name = defaultJava();
  if (name === null) throw new SetupError('ZooKeeper needs Java, and this system has no default-jre-headless');
  const { root, env } = unpackedPackages('java', [name], []);
  const machines = join(root, 'usr', 'lib', 'jvm');
  const machine = readdirSync(machines).find((name) => existsSync(join(machines, name, 'bin', 'java')));
  if (machine === undefined) throw new SetupError(`there is no Java in ${root}: remove that folder`);
  relink(root, join(machines, machine));
  const java = join(machines, machine, 'bin', 'java');
  if (!runs(java, env)) throw new SetupError(`${java} does not run`);
  return { java, env };
}

/** Its settings lie in /etc, and links lead there: they are to lead to where the package was unpacked. */
function relink(root, folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) relink(root, path);
    if (!entry.isSymbolicLink()) continue;
    const target = readlinkSync(path);
    const unpacked = join(root, target);
    if (!target.startsWith('/') || !existsSync(unpacked)) continue;
    rmSync(path);
    symlinkSync(relative(dirname(path), unpacked), path);
  }
}

/** `openjdk-17-jre-headless`: the package that the system's default stands for. */
function defaultJava() {
  const env = { ...process.env, LC_ALL: 'C' };
  const { stdout } = spawnSync('apt-cache', ['depends', 'default-jre-headless'], { env, encoding: 'utf8' });
  return /^ *Depends: (openjdk-\d+-jre-headless)$/m.exec(stdout ?? '')?.[1] ?? null;
}

function runs(java, env) {
  return spawnSync(java, ['-version'], { env: { ...process.env, ...env }, stdio: 'ignore' }).status === 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  console.log(JSON.stringify(await orExit(zookeeperProgram), null, 2));
}
