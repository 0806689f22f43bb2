/** A real ZooKeeper of three servers for tests: to be killed, paused and revived one by one. */
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Certificates } from './certificates.js';
import { type Child, removeFolder, scratchFolder, startChild } from './child.js';
import { freePort } from './free-port.js';
import { waitFor, within } from './wait-for.js';

export interface ZooKeeperProgram {
  java: string;
  env: Record<string, string>;
  classPath: string;
  version: string;
}

/** The program on this machine, or why there is none. Tests run in the checkout's folder, wherever they were compiled to. */
export async function findZooKeeper(): Promise<ZooKeeperProgram | { reason: string }> {
  const script = pathToFileURL(join(process.cwd(), 'scripts', 'zookeeper.mjs')).href;
  const { zookeeperProgram } = (await import(script)) as { zookeeperProgram(): ZooKeeperProgram };
  try {
    return zookeeperProgram();
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}

export interface ZooKeeperSettings {
  /** Beside the port without it there is one with TLS, which asks for a certificate, too. */
  certificates?: Certificates;
}

interface Server {
  readonly id: number;
  readonly port: number;
  readonly tlsPort: number;
  /** Where the servers speak to each other, and where they elect. */
  readonly peerPorts: readonly [number, number];
  readonly folder: string;
  child: Child | null;
}

const HOST = '127.0.0.1';
const COUNT = 3;
/** Three virtual machines start on two cores. */
const START_MS_MAX = 60_000;
const ASK_MS = 300;
/** A machine that is small, and there soon. */
const JAVA_OPTIONS = ['-Xmx128m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xshare:auto'];

export class ZooKeeperEnsemble {
  private readonly program: ZooKeeperProgram;
  private readonly settings: ZooKeeperSettings;
  private readonly servers: readonly Server[];

  private constructor(program: ZooKeeperProgram, settings: ZooKeeperSettings, servers: readonly Server[]) {
    this.program = program;
    this.settings = settings;
    this.servers = servers;
  }

  /** Resolves when it has a leader. */
  static async start(program: ZooKeeperProgram, settings: ZooKeeperSettings = {}): Promise<ZooKeeperEnsemble> {
    const servers: Server[] = [];
    for (let id = 1; id <= COUNT; id++) {
      const [port, tlsPort] = [await freePort(), await freePort()];
      const peerPorts = [await freePort(), await freePort()] as const;
      servers.push({ id, port, tlsPort, peerPorts, folder: scratchFolder(`zookeeper-${id}`), child: null });
    }
    const ensemble = new ZooKeeperEnsemble(program, settings, servers);
    try {
      for (const server of servers) await ensemble.launch(server);
      await ensemble.settled();
    } catch (error) {
      await ensemble.stop();
      throw error;
    }
    return ensemble;
  }

  /** Of clients. */
  /** Of those that run. */
  get pids(): number[] {
    return this.servers.flatMap(({ child }) => child?.pid ?? []);
  }

  get endpoints(): { host: string; port: number }[] {
    return this.servers.map(({ port }) => ({ host: HOST, port }));
  }

  get tlsEndpoints(): { host: string; port: number }[] {
    return this.servers.map(({ tlsPort }) => ({ host: HOST, port: tlsPort }));
  }

  get size(): number {
    return this.servers.length;
  }

  /** SIGKILL. */
  async kill(index: number): Promise<void> {
    const server = this.servers[index] as Server;
    const { child } = server;
    if (child === null) throw new Error(`ZooKeeper ${server.id} does not run`);
    server.child = null;
    child.signal('SIGKILL');
    await within(`the end of ZooKeeper ${server.id}`, child.ended);
  }

  /** With the data that it had. Resolves when the process runs: see `settled`. */
  async restart(index: number): Promise<void> {
    await this.launch(this.servers[index] as Server);
  }

  pause(index: number): void {
    this.servers[index]?.child?.signal('SIGSTOP');
  }

  resume(index: number): void {
    this.servers[index]?.child?.signal('SIGCONT');
  }

  /** Which one leads, as it says itself; -1: none. */
  async leader(): Promise<number> {
    const modes = await Promise.all(this.servers.map(({ port, child }) => (child === null ? '' : modeOf(port))));
    return modes.indexOf('leader');
  }

  /** Resolves when there is a leader, and all that run serve. */
  async settled(): Promise<void> {
    const isSettled = async () => {
      const running = this.servers.filter(({ child }) => child !== null);
      const modes = await Promise.all(running.map(({ port }) => modeOf(port)));
      return modes.includes('leader') && modes.every((mode) => mode === 'leader' || mode === 'follower');
    };
    await waitFor('a leader of ZooKeeper', isSettled, START_MS_MAX);
  }

  async stop(): Promise<void> {
    for (const [index, { child }] of this.servers.entries()) if (child !== null) await this.kill(index);
    for (const { folder } of this.servers) removeFolder(folder);
  }

  private async launch(server: Server): Promise<void> {
    const { id, port, folder } = server;
    const peers = this.servers.map(({ id, peerPorts }) => `server.${id}=${HOST}:${peerPorts.join(':')}`);
    // A tick is what all its times are counted in: two seconds, unless it is said otherwise.
    const times = ['tickTime=200', 'initLimit=50', 'syncLimit=10'];
    const own = [`dataDir=${folder}`, `clientPort=${port}`, `clientPortAddress=${HOST}`];
    const rest = [
      'admin.enableServer=false',
      '4lw.commands.whitelist=srvr',
      'maxClientCnxns=0',
      'maxSessionTimeout=60000',
    ];
    const path = join(folder, 'zoo.cfg');
    writeFileSync(path, `${[...times, ...own, ...rest, ...this.tlsLines(server), ...peers].join('\n')}\n`);
    writeFileSync(join(folder, 'myid'), `${id}\n`);
    const { java, env, classPath } = this.program;
    const log = '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn';
    const args = [...JAVA_OPTIONS, log, '-cp', classPath, 'org.apache.zookeeper.server.quorum.QuorumPeerMain', path];
    server.child = await startChild(java, args, { env, cwd: folder });
  }

  private tlsLines({ id, tlsPort, folder }: Server): string[] {
    const { certificates } = this.settings;
    if (certificates === undefined) return [];
    const { cert, key } = certificates.certify(`zookeeper-${id}`);
    const both = join(folder, 'own.pem');
    writeFileSync(both, `${readFileSync(key)}${readFileSync(cert)}`);
    return [
      ...['serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory', `secureClientPort=${tlsPort}`],
      ...['ssl.keyStore.type=PEM', `ssl.keyStore.location=${both}`],
      ...['ssl.trustStore.type=PEM', `ssl.trustStore.location=${certificates.ca}`],
    ];
  }
}

/** `leader`, `follower`, or '' where nothing is said. */
function modeOf(port: number): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(port, HOST, () => socket.write('srvr'));
    socket.setTimeout(ASK_MS, () => socket.destroy());
    socket.on('data', (bytes) => {
      text += bytes;
    });
    // Nobody is there yet.
    socket.on('error', () => {});
    socket.on('close', () => resolve(/^Mode: (\w+)$/m.exec(text)?.[1] ?? ''));
  });
}
