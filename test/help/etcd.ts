/** A real etcd of three members for tests: to be killed, paused and revived one by one. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Child, removeFolder, scratchFolder, startChild } from './child.js';
import { freePort } from './free-port.js';
import { waitFor, within } from './wait-for.js';

export interface EtcdProgram {
  program: string;
  env: Record<string, string>;
  version: string;
}

/** The program on this machine, or why there is none. Tests run in the checkout's folder, wherever they were compiled to. */
export async function findEtcd(): Promise<EtcdProgram | { reason: string }> {
  const script = pathToFileURL(join(process.cwd(), 'scripts', 'etcd.mjs')).href;
  const { etcdProgram } = (await import(script)) as { etcdProgram(): EtcdProgram };
  try {
    return etcdProgram();
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}

interface Member {
  readonly name: string;
  readonly url: string;
  readonly peerUrl: string;
  readonly folder: string;
  child: Child | null;
}

const HOST = '127.0.0.1';
const NAMES = ['a', 'b', 'c'];
/** Machines that run tests are slow now and then: an election a minute helps nobody. */
const START_MS_MAX = 30_000;

export class EtcdCluster {
  private readonly program: EtcdProgram;
  private readonly members: readonly Member[];

  private constructor(program: EtcdProgram, members: readonly Member[]) {
    this.program = program;
    this.members = members;
  }

  /** Resolves when it has a leader. */
  static async start(program: EtcdProgram): Promise<EtcdCluster> {
    const members: Member[] = [];
    for (const name of NAMES) {
      const [url, peerUrl] = [await freeUrl(), await freeUrl()];
      members.push({ name, url, peerUrl, folder: scratchFolder(`etcd-${name}`), child: null });
    }
    const cluster = new EtcdCluster(program, members);
    try {
      for (const member of members) await cluster.launch(member);
      await cluster.settled();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  /** Of clients. */
  get endpoints(): string[] {
    return this.members.map(({ url }) => url);
  }

  get size(): number {
    return this.members.length;
  }

  /** SIGKILL. */
  async kill(index: number): Promise<void> {
    const member = this.members[index] as Member;
    const { child } = member;
    if (child === null) throw new Error(`etcd ${member.name} does not run`);
    member.child = null;
    child.signal('SIGKILL');
    await within(`the end of etcd ${member.name}`, child.ended);
  }

  /** With the data that it had. Resolves when the process runs: see `settled`. */
  async restart(index: number): Promise<void> {
    await this.launch(this.members[index] as Member);
  }

  pause(index: number): void {
    this.members[index]?.child?.signal('SIGSTOP');
  }

  resume(index: number): void {
    this.members[index]?.child?.signal('SIGCONT');
  }

  /** Which one leads, as one that runs sees it; -1: none. */
  async leader(): Promise<number> {
    for (const [index, { url, child }] of this.members.entries()) {
      if (child === null) continue;
      const response = await fetch(`${url}/v3/maintenance/status`, {
        method: 'POST',
        body: '{}',
        signal: AbortSignal.timeout(500),
      }).catch(() => null);
      const status = (await response?.json()) as { leader?: string; header?: { member_id: string } } | undefined;
      if (status?.leader !== undefined && status.leader === status.header?.member_id) return index;
    }
    return -1;
  }

  /** Resolves when there is a leader. */
  async settled(): Promise<void> {
    await waitFor('a leader of etcd', async () => (await this.leader()) >= 0, START_MS_MAX);
  }

  /** From now on it serves who gives that password. */
  async askForPassword(user: string, password: string): Promise<void> {
    await this.post('/v3/auth/user/add', { name: user, password });
    await this.post('/v3/auth/role/add', { name: 'root' });
    await this.post('/v3/auth/user/grant', { user, role: 'root' });
    await this.post('/v3/auth/enable', {});
  }

  async put(key: string, value: string): Promise<void> {
    const [keyBytes, valueBytes] = [key, value].map((text) => Buffer.from(text).toString('base64'));
    await this.post('/v3/kv/put', { key: keyBytes, value: valueBytes });
  }

  async stop(): Promise<void> {
    for (const [index, { child }] of this.members.entries()) if (child !== null) await this.kill(index);
    for (const { folder } of this.members) removeFolder(folder);
  }

  private async post(path: string, body: object): Promise<void> {
    const response = await fetch(`${this.endpoints[0]}${path}`, { method: 'POST', body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
  }

  private async launch(member: Member): Promise<void> {
    const { name, url, peerUrl, folder } = member;
    const peers = this.members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(',');
    const args = [
      ...['--name', name, '--data-dir', join(folder, 'data'), '--log-level', 'error'],
      ...['--heartbeat-interval', '60', '--election-timeout', '600'],
      ...['--listen-client-urls', url, '--advertise-client-urls', url],
      ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
      ...['--initial-cluster', peers, '--initial-cluster-state', 'new'],
    ];
    member.child = await startChild(this.program.program, args, { env: this.program.env, cwd: folder });
  }
}

async function freeUrl(): Promise<string> {
  return `http://${HOST}:${await freePort()}`;
}
